//! What a Tenant's settings allow of doors and disks, and no more.

use std::collections::BTreeSet;

use bulkhead_controls::{Facts, ObjectKey, hostnames, judge, needed};
use bulkhead_model::TenantRules;
use serde_json::{Value, json};

use crate::admission::{create, update};

fn rules(exposure: Value) -> TenantRules {
    serde_json::from_value(
        json!({"tenant": "acme", "uid": "u-1", "profile": "Strict", "exposure": exposure}),
    )
    .unwrap()
}

/// The paths that a control names.
fn found(rules: &TenantRules, object: &Value, control: &str) -> Vec<String> {
    let findings = judge(&create(object.clone()), rules, Facts::NONE).unwrap();
    let ours = findings.iter().filter(|it| it.control == control);
    ours.map(|it| it.path.to_string()).collect()
}

#[test]
fn services_of_the_outside_are_what_the_tenant_may_have() {
    let service =
        |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec});
    let node_port = json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": 30001}]});
    let balancer = json!({"type": "LoadBalancer", "ports": [{"port": 1}], "allocateLoadBalancerNodePorts": false, "loadBalancerSourceRanges": ["192.0.2.0/24"]});
    let allocating = json!({"type": "LoadBalancer", "ports": [{"port": 1}]});
    let external = json!({"type": "ExternalName", "externalName": "api.example.com"});
    let inside = json!({"type": "ExternalName", "externalName": "web.globex.svc.cluster.local."});
    let address = json!({"type": "ExternalName", "externalName": "169.254.169.254"});
    let chosen = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "loadBalancerIP": "192.0.2.1", "externalIPs": ["192.0.2.1"], "loadBalancerClass": "x"});
    let name = "service-external-ip";
    for (services, spec, paths) in [
        (
            json!({}),
            &node_port,
            vec!["spec.type", "spec.ports[0].nodePort"],
        ),
        (json!({"nodePort": true}), &node_port, vec![]),
        (
            json!({"nodePort": true}),
            &balancer,
            vec!["spec.type", "spec.loadBalancerSourceRanges"],
        ),
        (json!({"loadBalancer": true}), &balancer, vec![]),
        (
            json!({"loadBalancer": true}),
            &allocating,
            vec!["spec.allocateLoadBalancerNodePorts"],
        ),
        (
            json!({"loadBalancer": true, "nodePort": true}),
            &allocating,
            vec![],
        ),
        (
            json!({"loadBalancer": true}),
            &chosen,
            vec![
                "spec.externalIPs",
                "spec.loadBalancerClass",
                "spec.loadBalancerIP",
            ],
        ),
        (
            json!({"loadBalancer": true}),
            &external,
            vec!["spec.type", "spec.externalName"],
        ),
        (json!({"externalName": true}), &external, vec![]),
        (
            json!({"externalName": true}),
            &inside,
            vec!["spec.externalName"],
        ),
        (
            json!({"externalName": true}),
            &address,
            vec!["spec.externalName"],
        ),
    ] {
        let rules = rules(json!({"services": services}));
        assert_eq!(
            found(&rules, &service(spec.clone()), name),
            paths,
            "{services} {spec}"
        );
    }
}

#[test]
fn names_are_those_that_the_tenant_may_have() {
    let rules = rules(json!({"hostnames": {"allowed": ["www.acme.example", "*.apps.example"]}}));
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {},
        "spec": {
            "tls": [{"hosts": ["www.acme.example", "acme.example"]}],
            "rules": [{"host": "x.apps.example"}, {"host": "*.apps.example"}, {"host": ""}, {"host": "shop.globex.example"}],
        },
    });
    assert_eq!(
        found(&rules, &ingress, "hostname-taken"),
        [
            "spec.rules[2]",
            "spec.rules[3].host",
            "spec.tls[0].hosts[1]"
        ]
    );
    let parsed = serde_json::from_value(ingress).unwrap();
    assert_eq!(
        hostnames("networking.k8s.io", "ingresses", &parsed),
        BTreeSet::from([
            "*.apps.example",
            "acme.example",
            "shop.globex.example",
            "www.acme.example",
            "x.apps.example"
        ])
    );
    assert!(hostnames("", "services", &parsed).is_empty());
    for (kind, spec, paths) in [
        (
            "HTTPRoute",
            json!({"hostnames": ["x.apps.example"]}),
            vec![],
        ),
        ("TLSRoute", json!({"hostnames": []}), vec!["spec.hostnames"]),
        (
            "GRPCRoute",
            json!({"hostnames": ["*.example"]}),
            vec!["spec.hostnames[0]"],
        ),
        (
            "Gateway",
            json!({"listeners": [{"protocol": "TCP"}, {"protocol": "HTTP"}, {"protocol": "example.com/own", "hostname": ""}]}),
            vec!["spec.listeners[1]", "spec.listeners[2]"],
        ),
    ] {
        for version in ["v1", "v1alpha3", "v7"] {
            let route = json!({"apiVersion": format!("gateway.networking.k8s.io/{version}"), "kind": kind, "metadata": {}, "spec": spec});
            assert_eq!(
                found(&rules, &route, "hostname-taken"),
                paths,
                "{kind} {spec}"
            );
        }
    }
}

#[test]
fn classes_are_those_that_the_tenant_may_name() {
    let rules = rules(json!({
        "ingressClasses": {"allowed": ["inner"]}, "gatewayClasses": {"allowedRegex": "acme-.*"},
        "storageClasses": {"allowed": ["gold"]},
    }));
    let ingress = |metadata: Value, spec: Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec});
    let name = "ingress-class-unlisted";
    let old = json!({"annotations": {"kubernetes.io/ingress.class": "outer"}});
    assert_eq!(
        found(
            &rules,
            &ingress(json!({}), json!({"ingressClassName": "inner"})),
            name
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        found(
            &rules,
            &ingress(json!({}), json!({"ingressClassName": "outer"})),
            name
        ),
        ["spec.ingressClassName"]
    );
    assert_eq!(
        found(
            &rules,
            &ingress(old, json!({"ingressClassName": "inner"})),
            name
        ),
        [r#"metadata.annotations["kubernetes.io/ingress.class"]"#]
    );
    // Before the API server's default is set, nothing is missing; afterwards it is.
    let none = ingress(json!({}), json!({}));
    assert_eq!(found(&rules, &none, name), Vec::<String>::new());
    let findings = judge(&create(none), &rules, &Facts::default()).unwrap();
    assert!(
        findings
            .iter()
            .any(|it| it.control == name && it.path.to_string() == "spec.ingressClassName")
    );
    for (class, fine) in [
        (json!("acme-1"), true),
        (json!("other"), false),
        (json!(null), false),
        (json!(1), false),
    ] {
        let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {}, "spec": {"gatewayClassName": class}});
        assert_eq!(found(&rules, &gateway, name).is_empty(), fine, "{class}");
    }
    let claim = |spec: Value| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {}, "spec": spec});
    let name = "storage-class-unlisted";
    for (spec, paths) in [
        (json!({"storageClassName": "gold"}), vec![]),
        (json!({}), vec![]),
        (
            json!({"storageClassName": "local"}),
            vec!["spec.storageClassName"],
        ),
        (
            json!({"storageClassName": "gold", "volumeAttributesClassName": "fast"}),
            vec!["spec.volumeAttributesClassName"],
        ),
        (
            json!({"storageClassName": ""}),
            vec!["spec.storageClassName"],
        ),
    ] {
        assert_eq!(found(&rules, &claim(spec.clone()), name), paths, "{spec}");
        // What a claim has it keeps, so that it can be bound.
        let kept = judge(
            &update(claim(spec.clone()), claim(spec), None),
            &rules,
            Facts::NONE,
        )
        .unwrap();
        assert!(kept.iter().all(|it| it.control != name));
    }
}

#[test]
fn a_claim_is_given_no_volume_of_the_node_by_anybody() {
    let volume = |source: Value| json!({"metadata": {"name": "pv"}, "spec": source});
    let claim = |name: &str| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {"volumeName": name}});
    let key = ObjectKey {
        group: "",
        resource: "persistentvolumes",
        namespace: None,
        name: "pv".into(),
    };
    let (none, listed) = (
        rules(json!({})),
        rules(json!({"storageClasses": {"allowed": ["local-a"]}})),
    );
    let judged = |rules: &TenantRules, before: &str, found: Option<Option<Value>>| {
        let mut request = update(claim(before), claim("pv"), None);
        request.user_info.username =
            "system:serviceaccount:kube-system:persistent-volume-binder".into();
        let mut facts = Facts::default();
        let wanted = needed(&request, rules, &facts);
        assert_eq!(wanted.is_empty(), before == "pv");
        match found {
            Some(found) => facts.learn(key.clone(), found.map(Into::into)),
            None => facts.fail(key.clone()),
        }
        let findings = judge(&request, rules, &facts).unwrap();
        let paths: Vec<String> = findings
            .iter()
            .map(|it| format!("{} {}", it.control, it.path))
            .collect();
        assert!(paths.len() < 2, "{paths:?}");
        paths.first().map(String::as_str) == Some("host-path-claim spec.volumeName")
    };
    let host = || {
        Some(Some(volume(
            json!({"hostPath": {"path": "/srv"}, "storageClassName": "local-a"}),
        )))
    };
    let local = |class: &str| {
        Some(Some(volume(
            json!({"local": {"path": "/dev/sdb"}, "storageClassName": class}),
        )))
    };
    let disk = || Some(Some(volume(json!({"csi": {"driver": "disks.example"}}))));
    for (rules, before, found, refused) in [
        (&none, "", host(), true),
        (&listed, "", host(), true),
        (&none, "", local("local-a"), true),
        (&listed, "", local("local-a"), false),
        (&listed, "", local("other"), true),
        (&none, "", disk(), false),
        (&none, "", Some(None), true),
        (&none, "", None, true),
        // It has been bound before, and nobody can unbind it.
        (&none, "pv", host(), false),
    ] {
        assert_eq!(judged(rules, before, found.clone()), refused, "{found:?}");
    }
}
