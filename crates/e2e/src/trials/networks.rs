//! Networks of tenants: their own policies, and the settings of the Tenant.

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, succeeded};
use crate::guest::{self, Guest};

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "networks::a_tenant_writes_policies_within_its_network",
        own_policies,
    ),
    ("networks::settings_of_the_tenant_decide", settings),
    (
        "networks::what_no_rule_can_be_is_refused_with_its_path",
        wrong_settings,
    ),
];

fn policies(namespace: &str) -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
}

fn policy(name: &str, egress: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": egress},
    })
}

/// Egress to one CIDR.
fn block(cidr: &str) -> Value {
    json!([{"to": [{"ipBlock": {"cidr": cidr}}]}])
}

/// Egress to the pods of one namespace.
fn named(namespace: &str) -> Value {
    json!([{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}]}])
}

fn own_policies(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-net", &json!({}))?;
    let second = format!("{}-second", guest.name);
    guest.make_namespace(&second)?;
    let path = policies(&guest.namespace);
    let create = |object: &Value| guest.send(&Request::post(path.as_str(), object));
    eventually("the second namespace is the guest's", || {
        let object = bed.do_as_admin(&Request::get(format!("/api/v1/namespaces/{second}")))?;
        let uid = guest::uid(bed, &guest.name)?;
        Ok((object.to_string().contains(&uid)).then_some(()))
    })?;
    for (name, egress) in [
        ("internet", block("203.0.113.0/24")),
        ("second", named(&second)),
        ("home", named(&guest.namespace)),
        ("none", json!([])),
    ] {
        succeeded(&create(&policy(name, egress))?)?;
    }
    for (name, egress, control) in [
        ("private", block("10.1.0.0/16"), "network-policy-widened"),
        ("everything", json!([{}]), "network-policy-widened"),
        ("neighbour", named(bed.theirs()), "network-policy-widened"),
        ("system", named("kube-system"), "network-policy-widened"),
        ("gone", named("e2e-net-gone"), "network-policy-widened"),
        (
            "metadata",
            block("169.254.169.254/32"),
            "instance-metadata-reachable",
        ),
    ] {
        refused(
            &create(&policy(name, egress.clone()))?,
            403,
            &[control, "spec.egress[0]", "mend:"],
        )?;
        // A policy that was right does not become a wrong one, by whatever patch.
        for (kind, patch) in [
            (
                "application/merge-patch+json",
                json!({"spec": {"egress": egress}}),
            ),
            (
                "application/json-patch+json",
                json!([{"op": "replace", "path": "/spec/egress", "value": egress}]),
            ),
        ] {
            let request = Request::patch(format!("{path}/internet"), kind, &patch);
            refused(&guest.send(&request)?, 403, &[control])?;
        }
    }
    // All at once: the tenant's own go, Bulkhead's stays, and says so.
    let response = guest.send(&Request::delete(path.as_str()))?;
    refused(&response, 403, &["open-network", "bulkhead-"])?;
    succeeded(&bed.admin(&Request::get(format!("{path}/bulkhead-isolation")))?)?;
    // Its end takes them along.
    guest.leave()
}

fn settings(bed: &Bed) -> anyhow::Result<()> {
    let network = json!({"network": {
        "withinTenant": false,
        "allowIngress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]}],
        "allowEgress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 5432}]}],
    }});
    let guest = Guest::arrive(bed, "e2e-netset", &network)?;
    let path = policies(&guest.namespace);
    let ours = bed.do_as_admin(&Request::get(format!("{path}/bulkhead-isolation")))?;
    ensure!(
        ours.pointer("/spec/ingress/0/from/0/podSelector").is_some()
            && ours
                .pointer("/spec/egress/3/ports/0/port")
                .and_then(Value::as_u64)
                == Some(5432),
        "{ours}"
    );
    let create = |name: &str, egress: Value| {
        guest.send(&Request::post(path.as_str(), &policy(name, egress)))
    };
    let to_database = |port: u16| json!([{"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": port}]}]);
    succeeded(&create("database", to_database(5432))?)?;
    refused(
        &create("other-port", to_database(22))?,
        403,
        &["network-policy-widened", "10.1.2.3 on TCP 22"],
    )?;
    // Open: anything but the metadata service.
    let open = Request::patch(
        guest.path(),
        "application/merge-patch+json",
        &json!({"spec": {"network": {"isolation": "Open", "withinTenant": null, "allowIngress": null, "allowEgress": null}}}),
    );
    bed.do_as_admin(&open)?;
    eventually("the network is open", || {
        Ok(create("wide", block("10.0.0.0/8"))?
            .is_success()
            .then_some(()))
    })?;
    refused(
        &create("metadata", block("169.254.0.0/16"))?,
        403,
        &["instance-metadata-reachable"],
    )?;
    eventually("our policy is about egress alone", || {
        let ours = bed.do_as_admin(&Request::get(format!("{path}/bulkhead-isolation")))?;
        Ok((ours.pointer("/spec/policyTypes") == Some(&json!(["Egress"]))).then_some(()))
    })?;
    let unblocked = Request::patch(
        guest.path(),
        "application/merge-patch+json",
        &json!({"spec": {"network": {"blockInstanceMetadata": false}}}),
    );
    bed.do_as_admin(&unblocked)?;
    bed.gone(&format!("{path}/bulkhead-isolation"))?;
    guest.leave()
}

fn wrong_settings(bed: &Bed) -> anyhow::Result<()> {
    for (network, field) in [
        (
            json!({"allowEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]}),
            "spec.network.allowEgress[0].to[0].ipBlock",
        ),
        (
            json!({"allowEgress": [{"to": [{"ipBlock": {"cidr": "169.254.0.0/16"}}]}]}),
            "spec.network.allowEgress[0]",
        ),
        (json!({"allowEgress": [{}]}), "spec.network.allowEgress[0]"),
        (
            json!({"allowIngress": [{"from": [{}]}]}),
            "spec.network.allowIngress[0].from[0]",
        ),
        (
            json!({"allowIngress": [{"ports": [{"port": 0}]}]}),
            "spec.network.allowIngress[0].ports[0].port",
        ),
        (json!({"isolation": "Closed"}), "spec.network.isolation"),
        (
            json!({"isolation": "Open", "withinTenant": false}),
            "spec.network",
        ),
        (
            json!({"blockInstanceMetadata": "yes"}),
            "spec.network.blockInstanceMetadata",
        ),
    ] {
        let tenant = json!({
            "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": "e2e-netbad"}, "spec": {"network": network},
        });
        let response = bed.admin(&Request::post(
            "/apis/bulkhead.dev/v1alpha1/tenants?dryRun=All",
            &tenant,
        ))?;
        ensure!(
            matches!(response.status, 400 | 403 | 422) && response.message().contains(field),
            "{network}: {} {}",
            response.status,
            response.message()
        );
    }
    Ok(())
}
