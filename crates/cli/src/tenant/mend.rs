//! What is wrong with a tenant, and what to do about it.

use bulkhead_model::labels;
use serde_json::Value;

use super::table::{items, mark, text};
use super::{condition, is_observed};

/// Something that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) mend: String,
}

/// The mend for each reason that the condition `Ready` may give; `NAME` is the tenant.
const MENDS: &[(&str, &str)] = &[
    (
        "InvalidSpec",
        "correct the fields that are named: `kubectl edit tenant NAME`; until then it has no rights",
    ),
    (
        "PrefixConflict",
        "delete the other tenant, or make this one anew under a prefix of its own; what it has it keeps",
    ),
    (
        "NotReconciled",
        "the controller tries again by itself; if this stays, read its log: \
         `kubectl -n bulkhead-system logs deploy/controller`",
    ),
    (
        "NamespacesNotIsolated",
        "the controller opens them once all is in place; if this stays, the message of each says what is not",
    ),
    (
        "NamespacesIncomplete",
        "a ClusterRole that `spec.roles` names must exist, and the controller may bind it only if another \
         with verb `bind` on it is labelled `bulkhead.dev/aggregate-to-controller: \"true\"`",
    ),
    (
        "Deleting",
        "what is named keeps it: `kubectl describe` each, and take away the finalizers of operators that are gone",
    ),
];

/// Everything that is wrong, the gravest first.
pub(super) fn troubles(tenant: &Value, namespaces: &[Value]) -> Vec<Trouble> {
    let name = text(tenant, "/metadata/name");
    let mut troubles = Vec::new();
    match condition(tenant, "Ready") {
        None => troubles.push(Trouble {
            what: "the controller has not looked at it".to_owned(),
            mend: "see that the controller runs and leads: \
                   `kubectl -n bulkhead-system get pods,leases`"
                .to_owned(),
        }),
        Some(ready) if text(ready, "/status") != "True" => {
            let reason = text(ready, "/reason");
            let mend = MENDS.iter().find(|(known, _)| *known == reason);
            troubles.push(Trouble {
                what: format!("{reason}: {}", text(ready, "/message")),
                mend: mend
                    .map_or("see the conditions above", |(_, mend)| mend)
                    .replace("NAME", name),
            });
        }
        Some(_) if !is_observed(tenant) => troubles.push(Trouble {
            what: "the status speaks of an earlier spec".to_owned(),
            mend: "wait a moment; if this stays, see that the controller runs".to_owned(),
        }),
        Some(_) => {}
    }
    let uid = text(tenant, "/metadata/uid");
    let strays: Vec<&str> = namespaces
        .iter()
        .filter(|namespace| mark(namespace, "labels", labels::TENANT_UID) != Some(uid))
        .map(|namespace| text(namespace, "/metadata/name"))
        .collect();
    if !strays.is_empty() {
        troubles.push(Trouble {
            what: format!(
                "not adopted, as they carry another Tenant's UID: {}",
                strays.join(", ")
            ),
            mend: format!(
                "if they are its own (a restore from a backup?): `bulkhead tenant adopt {name}`"
            ),
        });
    }
    for other in items(tenant, "/status/conditions") {
        let kind = text(other, "/type");
        if !["Ready", "Cordoned"].contains(&kind) && text(other, "/status") == "False" {
            troubles.push(Trouble {
                what: format!(
                    "{kind} is False ({}): {}",
                    text(other, "/reason"),
                    text(other, "/message")
                ),
                mend: "the message says what is missing".to_owned(),
            });
        }
    }
    troubles
}
