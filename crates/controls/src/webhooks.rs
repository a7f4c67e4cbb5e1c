//! The webhook configurations, generated from the table of what the rules cover.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulkhead_model::labels;
use bulkhead_model::quiet::{PLATFORM_NAMESPACES, QUIET_GROUPS};
use serde_json::{Value, json};

use crate::carriers::{Carrier, Carriers, Phase};
use crate::policies;

/// How the API server reaches the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookClient {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The certificates that the API server believes, as PEM.
    pub ca_bundle_pem: String,
}

/// Where the webhook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A URL with scheme, host and port, and no path: for control planes without a network to
    /// Services.
    Url(String),
    /// A Service in the cluster.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
}

impl WebhookClient {
    fn config(&self, path: &str) -> Value {
        let mut config = match &self.endpoint {
            Endpoint::Url(base) => json!({"url": format!("{}{path}", base.trim_end_matches('/'))}),
            Endpoint::Service {
                namespace,
                name,
                port,
            } => json!({
                "service": {"namespace": namespace, "name": name, "port": port, "path": path},
            }),
        };
        if let Some(config) = config.as_object_mut() {
            config.insert(
                "caBundle".to_owned(),
                STANDARD.encode(&self.ca_bundle_pem).into(),
            );
        }
        config
    }
}

/// False for an update that only takes finalizers or owners away: a namespace could not be
/// deleted while we are down. PodTemplates have no spec, so they are always judged.
const CHANGES: &str = "\
request.operation != 'UPDATE' || !has(object.spec) || !has(oldObject.spec) \
|| object.spec != oldObject.spec \
|| object.metadata.?labels.orValue({}) != oldObject.metadata.?labels.orValue({}) \
|| object.metadata.?annotations.orValue({}) != oldObject.metadata.?annotations.orValue({}) \
|| object.metadata.?ownerReferences.orValue([]).exists(r, !(r in oldObject.metadata.?ownerReferences.orValue([]))) \
|| object.metadata.?finalizers.orValue([]).exists(x, !(x in oldObject.metadata.?finalizers.orValue([])))";

/// The MutatingWebhookConfiguration and the ValidatingWebhookConfiguration, in this order, which bring
/// these kinds to us. They name `/mutate`, `/validate`, `/tenants` and `/policies`.
#[must_use]
pub fn webhook_configurations(carriers: &Carriers, client: &WebhookClient) -> Vec<Value> {
    let mut mend = webhook("mend", client, "/mutate", mending_rules());
    set(&mut mend, "reinvocationPolicy", json!("IfNeeded"));
    set(&mut mend, "namespaceSelector", tenants_namespaces());
    set(
        &mut mend,
        "matchConditions",
        json!([changes(), administrators()]),
    );
    let mut judge = webhook(
        "judge",
        client,
        "/validate",
        resource_rules(carriers, |_| true).into(),
    );
    set(&mut judge, "namespaceSelector", tenants_namespaces());
    set(
        &mut judge,
        "matchConditions",
        json!([changes(), foreign(), administrators()]),
    );
    // What is let in is charged to the tenant's quota, and names are taken from the ledger, by
    // requests that are meant.
    set(&mut judge, "sideEffects", json!("NoneOnDryRun"));
    let tenants = json!([{
        "apiGroups": [labels::GROUP], "apiVersions": ["*"], "resources": ["tenants"],
        "operations": ["CREATE", "UPDATE"], "scope": "Cluster",
    }]);
    let mut tenants = webhook("tenants", client, "/tenants", tenants);
    set(&mut tenants, "matchConditions", json!([changes()]));
    let policies = json!([{
        "apiGroups": [labels::GROUP], "apiVersions": ["*"], "resources": ["podsecuritypolicies"],
        "operations": ["CREATE", "UPDATE"], "scope": "Cluster",
    }]);
    let policies = webhook("policies", client, "/policies", policies);
    vec![
        configuration("MutatingWebhookConfiguration", "bulkhead-mend", vec![mend]),
        configuration(
            "ValidatingWebhookConfiguration",
            "bulkhead-judge",
            vec![judge, tenants, policies],
        ),
        configuration(
            "ValidatingWebhookConfiguration",
            "bulkhead-rego",
            rego(carriers, client).to_vec(),
        ),
    ]
}

/// Policies in Rego. What the controls judge in tenants' namespaces is not let in where nobody answers;
/// for all else they are asked as Gatekeeper is, which lets in what it cannot be asked about: a
/// cluster whose tenants could not write a ConfigMap without us would not be theirs. No request is asked
/// about twice. What is written as a policy is looked through first.
fn rego(carriers: &Carriers, client: &WebhookClient) -> [Value; 5] {
    let of = |group: &str, resources: &[&str], scope: &str| {
        json!({
            "apiGroups": [group], "apiVersions": ["*"], "resources": resources,
            "operations": ["CREATE", "UPDATE"], "scope": scope,
        })
    };
    let objects = |scope: &str| of("*", &["*", "pods/ephemeralcontainers"], scope);
    let asked = |name: &str, rules: Value, selector: Value, judged: Option<Value>| {
        let mut asked = webhook(name, client, "/rego", rules);
        let conditions = [changes(), foreign(), quiet()].into_iter().chain(judged);
        set(&mut asked, "namespaceSelector", selector);
        set(&mut asked, "matchConditions", conditions.collect());
        asked
    };
    let judged = asked(
        "rego",
        json!([objects("Namespaced")]),
        tenants_namespaces(),
        Some(json!({"name": "judged", "expression": judged_kinds(carriers)})),
    );
    let mut others = asked(
        "rego-others",
        json!([objects("Namespaced"), of("", &["namespaces"], "Cluster"),]),
        tenants_namespaces(),
        Some(json!({"name": "not-judged", "expression": format!("!({})", judged_kinds(carriers))})),
    );
    let mut elsewhere = asked(
        "rego-elsewhere",
        json!([objects("*")]),
        json!({"matchExpressions": [
            {"key": labels::TENANT, "operator": "DoesNotExist"},
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": PLATFORM_NAMESPACES},
        ]}),
        None,
    );
    for open in [&mut others, &mut elsewhere] {
        set(open, "failurePolicy", json!("Ignore"));
    }
    let kinds = webhook(
        "rego-policy",
        client,
        "/rego/check",
        json!([
            of(
                "templates.gatekeeper.sh",
                &["constrainttemplates"],
                "Cluster"
            ),
            of("constraints.gatekeeper.sh", &["*"], "Cluster"),
            of("config.gatekeeper.sh", &["configs"], "Namespaced"),
        ]),
    );
    let mut maps = webhook(
        "rego-map",
        client,
        "/rego/check",
        json!([of("", &["configmaps"], "Namespaced")]),
    );
    set(
        &mut maps,
        "namespaceSelector",
        json!({"matchLabels": {"kubernetes.io/metadata.name": labels::SYSTEM_NAMESPACE}}),
    );
    set(
        &mut maps,
        "objectSelector",
        json!({"matchLabels": {"openpolicyagent.org/policy": "rego"}}),
    );
    [judged, others, elsewhere, kinds, maps]
}

/// Whether a control judges objects of the request's kind.
fn judged_kinds(carriers: &Carriers) -> String {
    let kinds: BTreeSet<String> = carriers
        .iter()
        .filter(|carrier| carrier.only.is_none())
        .map(|carrier| format!("'{}/{}'", carrier.group, carrier.resource))
        .collect();
    let kinds: Vec<String> = kinds.into_iter().collect();
    format!(
        "request.resource.group + '/' + request.resource.resource in [{}]",
        kinds.join(", ")
    )
}

/// What the cluster says of itself all the time is no policy's affair, nor are policies.
fn quiet() -> Value {
    let groups = QUIET_GROUPS.map(|group| format!("'{group}'")).join(", ");
    let expression = format!(
        "!(request.resource.group in [{groups}] || request.resource.group == '' && request.resource.resource in ['events', 'nodes', 'bindings'])"
    );
    json!({"name": "no-talk-of-the-cluster-with-itself", "expression": expression})
}

fn configuration(kind: &str, name: &str, webhooks: Vec<Value>) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "webhooks": webhooks,
    })
}

fn webhook(name: &str, client: &WebhookClient, path: &str, rules: Value) -> Value {
    json!({
        "name": format!("{name}.{}", labels::GROUP),
        "clientConfig": client.config(path),
        "rules": rules,
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        // A server that hangs costs each request this long.
        "timeoutSeconds": 3,
        "admissionReviewVersions": ["v1"],
    })
}

fn set(webhook: &mut Value, key: &str, value: Value) {
    if let Some(webhook) = webhook.as_object_mut() {
        webhook.insert(key.to_owned(), value);
    }
}

pub(crate) fn tenants_namespaces() -> Value {
    json!({"matchExpressions": [{"key": labels::TENANT, "operator": "Exists"}]})
}

pub(crate) fn changes() -> Value {
    json!({"name": "more-than-finalizers-or-owners-taken-away", "expression": CHANGES})
}

/// What our own controller writes is right by its making, and must not wait for us.
fn foreign() -> Value {
    let expression = format!(
        "request.userInfo.username != 'system:serviceaccount:{}:controller'",
        labels::SYSTEM_NAMESPACE
    );
    json!({"name": "not-by-bulkheads-controller", "expression": expression})
}

/// False for rights and tokens that an administrator gives (`adopt`, which Bulkhead's controller has
/// too) or a component of the platform (`operate`): whom the platform lets into a tenant's namespace
/// is its own affair. A kubelet's tokens are for pods that were judged. A tenant's users are always
/// judged, whatever rights they were given by mistake.
fn administrators() -> Value {
    let asked = |verb: &str| {
        format!(
            "authorizer.group('{}').resource('tenants').check('{verb}').allowed()",
            labels::GROUP
        )
    };
    let expression = format!(
        "!(request.resource.group == 'rbac.authorization.k8s.io' || request.resource.resource == 'serviceaccounts' && request.?subResource.orValue('') == 'token') \
         || request.userInfo.username.startsWith('{}') \
         || !('system:nodes' in request.userInfo.groups || {} || {})",
        labels::SYNTHETIC_PREFIX,
        asked("adopt"),
        asked("operate"),
    );
    json!({"name": "no-rights-given-by-the-platform", "expression": expression})
}

/// What is mended, what is judged as it was sent, and what a generated policy judges between the two
/// phases: the webhook's words name field and mend, the policy's only the control, and whoever
/// refuses first is heard.
fn mending_rules() -> Value {
    let as_sent = Carriers::BUILT_IN.iter().filter_map(|carrier| {
        let only = carrier.only.filter(|_| carrier.phase == Phase::Mutation)?;
        let resource = format!("{}/{}", carrier.resource, only.subresource);
        Some(rule(
            (&carrier.group, carrier.version),
            [resource],
            &["CREATE"],
        ))
    });
    resource_rules(Carriers::BUILT_IN, policies::speak_of)
        .into_iter()
        .chain(as_sent)
        .collect()
}

/// A rule for each group and version, with those of their kinds that are judged at the end.
pub(crate) fn resource_rules(carriers: &Carriers, wanted: impl Fn(&Carrier) -> bool) -> Vec<Value> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Carrier>> = BTreeMap::new();
    for carrier in carriers
        .iter()
        .filter(|carrier| carrier.phase == Phase::Validation && wanted(carrier))
    {
        let group = (&*carrier.group, carrier.version);
        groups.entry(group).or_default().push(carrier);
    }
    groups
        .into_iter()
        .map(|((group, version), carriers)| {
            let resources = carriers.into_iter().flat_map(|carrier| {
                let subresources = carrier.subresources.iter();
                [carrier.resource.clone().into_owned()]
                    .into_iter()
                    .chain(subresources.map(|sub| format!("{}/{sub}", carrier.resource)))
                    .collect::<Vec<_>>()
            });
            rule((group, version), resources, &["CREATE", "UPDATE"])
        })
        .collect()
}

fn rule(
    (group, version): (&str, &str),
    resources: impl IntoIterator<Item = String>,
    operations: &[&str],
) -> Value {
    json!({
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": resources.into_iter().collect::<Vec<_>>(),
        "operations": operations,
        "scope": "Namespaced",
    })
}
