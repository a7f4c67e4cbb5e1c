//! Everything that the API server serves, as it says itself: a kind or subresource that is new fails
//! a trial until somebody has said why it is safe.

use anyhow::{Context as _, bail, ensure};
use bulkhead_attack::wire::{Request, Response};
use bulkhead_attack::{Account, good_pod};
use bulkhead_scope::Verb;
use bulkhead_scope::table::{Answer, Place, Subject, is_shared, row};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::Bed;
use crate::client::{succeeded, text};
use crate::rights::{self, Rule};

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "discovery::nothing_of_another_tenant_through_the_gateway",
        through_the_gateway,
    ),
    (
        "discovery::nothing_of_another_tenant_with_a_plain_token",
        with_a_token,
    ),
    (
        "discovery::whatever_tenants_may_write_is_judged_or_has_a_reason",
        covered,
    ),
    (
        "discovery::what_is_discovered_through_the_gateway_works",
        discovered,
    ),
    (
        "discovery::tenants_have_no_cluster_wide_rights_but_these",
        cluster_wide,
    ),
];

/// A resource or subresource as discovery has it.
pub(super) struct Served {
    pub(super) group: String,
    version: String,
    /// `pods` or `pods/log`.
    pub(super) name: String,
    pub(super) namespaced: bool,
    pub(super) verbs: Vec<String>,
}

impl Served {
    pub(super) fn list(bed: &Bed) -> anyhow::Result<Vec<Self>> {
        let mut versions = vec![("/api/v1".to_owned(), String::new(), "v1".to_owned())];
        let groups = bed.do_as_admin(&Request::get("/apis"))?;
        for group in groups
            .pointer("/groups")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            for version in group
                .pointer("/versions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let path = format!("/apis/{}", text(version, "/groupVersion"));
                versions.push((
                    path,
                    text(group, "/name").to_owned(),
                    text(version, "/version").to_owned(),
                ));
            }
        }
        let mut all = Vec::new();
        for (path, group, version) in versions {
            let list = bed.do_as_admin(&Request::get(path))?;
            for resource in list
                .pointer("/resources")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let verbs = resource
                    .pointer("/verbs")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                all.push(Self {
                    group: group.clone(),
                    version: version.clone(),
                    name: text(resource, "/name").to_owned(),
                    namespaced: resource.pointer("/namespaced") == Some(&Value::Bool(true)),
                    verbs: verbs
                        .filter_map(|verb| verb.as_str().map(str::to_owned))
                        .collect(),
                });
            }
        }
        ensure!(
            all.len() > 100,
            "discovery lists only {} resources",
            all.len()
        );
        Ok(all)
    }

    /// `GROUP/VERSION NAME`.
    pub(super) fn label(&self) -> String {
        format!("{}/{} {}", self.group, self.version, self.name)
    }

    /// The requests by which a verb is tried on what is the victim's.
    fn request(&self, verb: &str, namespace: &str) -> Option<Request> {
        self.ask(verb, namespace, "attack-victim")
    }

    /// The request for a verb in a namespace, or in none if that is empty.
    pub(super) fn ask(&self, verb: &str, namespace: &str, name: &str) -> Option<Request> {
        let root = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        let (resource, sub) = match self.name.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub)),
            None => (self.name.as_str(), None),
        };
        let collection = match (self.namespaced, namespace) {
            (_, "") => format!("{root}/{resource}"),
            (true, _) => format!("{root}/namespaces/{namespace}/{resource}"),
            (false, _) => format!("{root}/{resource}"),
        };
        let name = if (resource, self.namespaced) == ("namespaces", false) {
            namespace
        } else {
            name
        };
        let object = match sub {
            Some(sub) => format!("{collection}/{name}/{sub}"),
            None => format!("{collection}/{name}"),
        };
        let dry = |path: &str| format!("{path}?dryRun=All");
        let body = json!({"metadata": {"name": "attack-walk"}, "spec": good_pod()});
        Some(match (verb, sub) {
            (_, Some("attach" | "exec" | "portforward")) => {
                let method = if verb == "get" { "GET" } else { "POST" };
                let protocol = match sub {
                    Some("portforward") => "portforward.k8s.io",
                    _ => "v4.channel.k8s.io",
                };
                Request::new(method, object)
                    .header("Connection", "Upgrade")
                    .header("Upgrade", "SPDY/3.1")
                    .header("X-Stream-Protocol-Version", protocol)
            }
            ("get", _) => Request::get(object),
            ("list", _) => Request::get(collection),
            // So old that the watch ends at once.
            ("watch", _) => Request::get(format!(
                "{collection}?watch=true&timeoutSeconds=1&resourceVersion=1"
            )),
            ("create", None) => Request::post(dry(&collection), &body),
            ("create", Some(_)) => Request::post(dry(&object), &body),
            ("update", _) => Request::put(dry(&object), &body),
            ("patch", _) => Request::patch(
                dry(&object),
                "application/merge-patch+json",
                &json!({"metadata": {"labels": {"taken": "over"}}}),
            ),
            ("delete", _) => Request::delete(dry(&object)),
            ("deletecollection", _) => Request::delete(dry(&collection)),
            _ => return None,
        })
    }
}

/// Both forms of discovery say the same, which is what the table does not refuse; so do the schemas.
fn discovered(bed: &Bed) -> anyhow::Result<()> {
    let mut found = Vec::new();
    let accept =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    for path in ["/api", "/apis"] {
        let response = bed.tenant(&Request::get(path).header("accept", accept))?;
        let document = succeeded(&response)?;
        ensure!(
            text(&document, "/kind") == "APIGroupDiscoveryList",
            "{document}"
        );
        found.extend(aggregated(&document));
    }
    let mut expected = Vec::new();
    for served in Served::list(bed)? {
        let (resource, subresource) = match served.name.split_once('/') {
            Some((resource, part)) => (resource, Some(part)),
            None => (served.name.as_str(), None),
        };
        for verb in &served.verbs {
            let places = match (served.namespaced, served.name.split('/').next()) {
                (true, _) => &[Place::Own][..],
                (false, Some("namespaces")) => &[Place::Own, Place::Nowhere],
                _ => &[Place::Nowhere],
            };
            let works = places.iter().any(|place| {
                let subject = Subject {
                    group: &served.group,
                    resource,
                    subresource,
                    verb: super::scope::verb(verb).unwrap_or(Verb::Get),
                    place: *place,
                };
                row(&subject).is_some_and(|row| !matches!(row.answer, Answer::Refused(_)))
            });
            if works {
                expected.push(format!("{} {verb}", served.label()));
            }
        }
    }
    expected.sort();
    found.sort();
    let extra: Vec<&String> = found.iter().filter(|one| !expected.contains(one)).collect();
    let less: Vec<&String> = expected.iter().filter(|one| !found.contains(one)).collect();
    ensure!(
        extra.is_empty() && less.is_empty() && found.len() > 200,
        "{} are found; too much: {extra:?}; missing: {less:?}",
        found.len()
    );
    let groups = succeeded(&bed.tenant(&Request::get("/apis"))?)?;
    ensure!(!groups.to_string().contains("bulkhead.dev"), "{groups}");
    let nodes = succeeded(&bed.tenant(&Request::get("/api/v1"))?)?;
    ensure!(!nodes.to_string().contains("nodes/proxy"), "{nodes}");
    let group = bed.tenant(&Request::get("/apis/bulkhead.dev/v1alpha1"))?;
    ensure!(group.status == 404, "{}", group.status);
    let index = succeeded(&bed.tenant(&Request::get("/openapi/v3"))?)?;
    ensure!(
        index.pointer("/paths/apis~1apps~1v1").is_some()
            && !index.to_string().contains("bulkhead.dev"),
        "{index}"
    );
    let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    for accept in ["application/json", protobuf] {
        let response = bed.tenant(&Request::get("/openapi/v2").header("accept", accept))?;
        let text = response.text();
        ensure!(
            response.is_success()
                && text.contains("io.k8s.api.apps.v1.Deployment")
                && text.contains("/api/v1/namespaces/{namespace}/pods/{name}/log")
                && !text.contains("dev.bulkhead.v1alpha1")
                && !text.contains("/pods/{name}/proxy"),
            "{accept}: {} {} bytes",
            response.status,
            text.len()
        );
    }
    Ok(())
}

/// Each verb of each resource and subresource of a document with all resources.
fn aggregated(document: &Value) -> Vec<String> {
    let list = |value: &Value, pointer: &str| -> Vec<Value> {
        let items = value.pointer(pointer).and_then(Value::as_array);
        items.cloned().unwrap_or_default()
    };
    let mut found = Vec::new();
    for item in list(document, "/items") {
        let group = text(&item, "/metadata/name");
        for version in list(&item, "/versions") {
            let root = format!("{group}/{}", text(&version, "/version"));
            for resource in list(&version, "/resources") {
                let name = text(&resource, "/resource");
                let verbs = list(&resource, "/verbs").into_iter();
                found
                    .extend(verbs.map(|verb| {
                        format!("{root} {name} {}", verb.as_str().unwrap_or_default())
                    }));
                for part in list(&resource, "/subresources") {
                    let name = format!("{name}/{}", text(&part, "/subresource"));
                    let verbs = list(&part, "/verbs").into_iter();
                    found.extend(verbs.map(|verb| {
                        format!("{root} {name} {}", verb.as_str().unwrap_or_default())
                    }));
                }
            }
        }
    }
    found
}

/// What is everybody's: reviews of oneself.
const OF_ONESELF: [&str; 3] = [
    "selfsubjectreviews",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
];

fn through_the_gateway(bed: &Bed) -> anyhow::Result<()> {
    walk(bed, |served, verb, request| {
        // The list of namespaces is answered, with the tenant's own.
        let own_list = served.name == "namespaces" && matches!(verb, "list" | "watch");
        let response = bed.tenant(request)?;
        if own_list {
            ensure!(
                response.is_success() && !response.text().contains(bed.theirs()),
                "{}",
                response.text()
            );
            return Ok(());
        }
        // Of these, there is what the tenant may use.
        let shared = is_shared(&served.group, &served.name) && matches!(verb, "list" | "watch");
        match response.status {
            200 if shared => no_leak(bed, &response),
            403 | 404 | 405 | 501 => no_leak(bed, &response),
            status => bail!("{status} {}", response.message()),
        }
    })
}

fn with_a_token(bed: &Bed) -> anyhow::Result<()> {
    walk(bed, |_, _, request| {
        let response = bed.account(Account::Plain, request)?;
        ensure!(
            response.status == 403,
            "{} {}",
            response.status,
            response.message()
        );
        ensure!(
            response.message().contains("cannot "),
            "not refused by RBAC: {}",
            response.message()
        );
        no_leak(bed, &response)
    })
}

fn no_leak(bed: &Bed, response: &Response) -> anyhow::Result<()> {
    ensure!(
        !response.text().contains(&bed.field.canary),
        "the answer holds the victim's data"
    );
    Ok(())
}

fn walk(
    bed: &Bed,
    check: impl Fn(&Served, &str, &Request) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for served in Served::list(bed)? {
        if OF_ONESELF.contains(&served.name.as_str()) {
            continue;
        }
        for verb in &served.verbs {
            let Some(request) = served.request(verb, bed.theirs()) else {
                bail!(
                    "`{verb}` of {} is a verb that this trial does not know",
                    served.label()
                );
            };
            if let Err(error) = check(&served, verb, &request) {
                wrong.push(format!("{verb} {}: {error:#}", served.label()));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What tenants may write and no control looks at, with the reason why that is safe.
#[rustfmt::skip]
const REASONS: &[(&str, &str, &str)] = &[
    ("authentication.k8s.io", "selfsubjectreviews", "a question about oneself, nothing is stored"),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "a question about oneself, nothing is stored"),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "a question about oneself, nothing is stored"),
    ("coordination.k8s.io", "leases", "says who leads among the tenant's own processes"),
    ("", "configmaps", "plain data, read by the tenant's own pods"),
    ("", "secrets", "plain data, read by the tenant's own pods; a guard refuses the types that the control plane fills with tokens"),
    ("", "pods/eviction", "deletes a pod of the tenant's own"),
    ("", "pods/exec", "runs in a container that was judged"),
    ("", "pods/attach", "reaches a container that was judged"),
    ("", "pods/portforward", "reaches a container that was judged"),
    ("", "replicationcontrollers/scale", "says how many, not what"),
    ("apps", "deployments/scale", "says how many, not what"),
    ("apps", "replicasets/scale", "says how many, not what"),
    ("apps", "statefulsets/scale", "says how many, not what"),
    ("autoscaling", "horizontalpodautoscalers", "says how many, of the same namespace"),
];

const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

fn covered(bed: &Bed) -> anyhow::Result<()> {
    let webhooks = bed.do_as_admin(&Request::get(
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/bulkhead-judge",
    ))?;
    let policies = bed.do_as_admin(&Request::get(
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    ))?;
    // What is judged as it was sent is judged in the mutating phase.
    let mending = bed.do_as_admin(&Request::get(
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/bulkhead-mend",
    ))?;
    let judged = [
        rights::rules(&webhooks, "/webhooks", "/rules"),
        rights::rules(&mending, "/webhooks", "/rules"),
    ]
    .concat();
    // Of the guards, those that refuse everybody but the control plane.
    let guards: Vec<&Value> = policies
        .pointer("/items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    let guarded = |name: &str| {
        let policy = guards
            .iter()
            .find(|policy| text(policy, "/metadata/name") == name);
        policy
            .map(|policy| rights::rules_of(policy, "/spec/matchConstraints/resourceRules"))
            .with_context(|| format!("no policy `{name}`"))
    };
    let guarded = [guarded("bulkhead-status")?, guarded("bulkhead-namespaces")?].concat();
    let granted = granted(bed)?;
    let mut open = Vec::new();
    let mut used = Vec::new();
    for served in Served::list(bed)? {
        let is = |rules: &[Rule]| {
            rules
                .iter()
                .any(|rule| rule.matches(&served.group, &served.name))
        };
        let writes = served.verbs.iter().any(|verb| WRITES.contains(&verb.as_str()))
            // A connection may be opened by GET.
            || matches!(served.name.split_once('/'), Some((_, "exec" | "attach" | "portforward" | "proxy")));
        if !writes || is(&judged) || is(&guarded) {
            continue;
        }
        let may = granted
            .iter()
            .any(|rule| rule.writes() && rule.matches(&served.group, &served.name));
        let reason = REASONS
            .iter()
            .position(|(group, name, _)| *group == served.group && *name == served.name);
        match (may, reason) {
            (false, None) => {}
            (true, Some(reason)) => used.push(reason),
            (true, None) => open.push(served.label()),
            (false, Some(_)) => {
                open.push(format!("{}: has a reason and needs none", served.label()))
            }
        }
    }
    ensure!(
        open.is_empty(),
        "tenants may write these, and nothing judges them:\n{}",
        open.join("\n")
    );
    let idle = (0..REASONS.len()).find(|index| !used.contains(index));
    ensure!(
        idle.is_none(),
        "this reason is about nothing: {:?}",
        idle.and_then(|i| REASONS.get(i))
    );
    Ok(())
}

/// Every rule of the roles that are bound in tenants' namespaces, and of those that are bound to
/// everybody.
fn granted(bed: &Bed) -> anyhow::Result<Vec<Rule>> {
    let roles = bed.do_as_admin(&Request::get(
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ))?;
    let items = roles
        .pointer("/items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let ours = items.filter(|role| text(role, "/metadata/name").starts_with("bulkhead-tenant-"));
    let rules: Vec<Rule> = ours
        .flat_map(|role| rights::rules_of(role, "/rules"))
        .collect();
    ensure!(!rules.is_empty(), "the tenants' roles are not there");
    Ok([rules, everybodys(bed)?].concat())
}

/// Rules of ClusterRoles that are bound, cluster-wide, to groups that tenants or their pods are in.
fn everybodys(bed: &Bed) -> anyhow::Result<Vec<Rule>> {
    let roles = bed.do_as_admin(&Request::get(
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ))?;
    let bindings = bed.do_as_admin(&Request::get(
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    ))?;
    let groups = [
        "bulkhead:tenants",
        "system:authenticated",
        "system:serviceaccounts",
        "system:unauthenticated",
    ];
    let mut rules = Vec::new();
    for binding in bindings
        .pointer("/items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let subjects = binding
            .pointer("/subjects")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let ours = subjects.into_iter().any(|subject| {
            let name = text(subject, "/name");
            groups.contains(&name) || name.starts_with("bulkhead:tenant:")
        });
        let role = text(binding, "/roleRef/name");
        let items = roles
            .pointer("/items")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for found in items.filter(|found| ours && text(found, "/metadata/name") == role) {
            rules.extend(rights::rules_of(found, "/rules"));
        }
    }
    Ok(rules)
}

fn cluster_wide(bed: &Bed) -> anyhow::Result<()> {
    let mut found: Vec<String> = everybodys(bed)?.iter().flat_map(Rule::words).collect();
    found.sort();
    found.dedup();
    let expected = [
        "create authentication.k8s.io/selfsubjectreviews",
        "create authorization.k8s.io/selfsubjectaccessreviews",
        "create authorization.k8s.io/selfsubjectrulesreviews",
        "create /namespaces",
    ];
    let extra: Vec<&String> = found
        .iter()
        .filter(|word| !expected.contains(&word.as_str()))
        .collect();
    ensure!(
        extra.is_empty(),
        "tenants have more rights over the whole cluster than they should: {extra:?}"
    );
    Ok(())
}
