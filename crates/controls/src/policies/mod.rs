//! Generated policies: the controls once more, as ValidatingAdmissionPolicies that the API server
//! evaluates by itself. A second line, for the day on which the webhook's configuration is gone.
//!
//! Few policies with many validations, as for the guards. A control says its rule in CEL beside
//! the function ([`Control::cel`]); what is repeated in them has a name here. The profile of a
//! tenant stands in the guarded annotation of the Namespace that also the webhook reads.

use bulkhead_model::labels;
use serde_json::{Value, json};

use crate::carriers::{CARRIERS, Carrier, Carriers, Holds};
use crate::control::{Control, Mend, Rule};
use crate::profiles::Profiles;
use crate::registry::REGISTRY;
use crate::webhooks::{changes, resource_rules, tenants_namespaces};

/// Whether some policy judges objects of this kind.
pub(crate) fn speak_of(carrier: &Carrier) -> bool {
    ALL.into_iter().any(|about| about.has(carrier))
}

/// What a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// Pods, as they come to be, and what is added to them.
    Pods,
    /// What makes pods. Templates are not mended, so only what their author wrote is judged; what
    /// is left unset the policy over pods judges.
    Templates,
    Services,
    Claims,
    Objects,
}

const ALL: [About; 5] = [
    About::Pods,
    About::Templates,
    About::Services,
    About::Claims,
    About::Objects,
];

/// Every generated policy with its binding, policies first.
#[must_use]
pub fn policies() -> Vec<Value> {
    let about: Vec<About> = ALL
        .into_iter()
        .filter(|about| about.controls().next().is_some())
        .collect();
    let policies = about.iter().map(|about| about.policy());
    policies
        .chain(about.iter().map(|about| about.binding()))
        .collect()
}

/// Names for CEL, in every policy over pods: `spec` of the pod, its security context, and every
/// container with its own.
const POD_VARIABLES: [(&str, &str); 6] = [
    ("context", "variables.spec.?securityContext.orValue({})"),
    (
        "containers",
        "variables.spec.?initContainers.orValue([]) + variables.spec.containers \
         + variables.spec.?ephemeralContainers.orValue([])",
    ),
    (
        "contexts",
        "[variables.context] + variables.containers.map(c, c.?securityContext.orValue({}))",
    ),
    (
        "linux",
        "variables.spec.?os.?name.orValue('linux') == 'linux'",
    ),
    (
        "old",
        "request.resource.resource == 'pods' && oldObject != null ? oldObject.spec : {}",
    ),
    (
        "daemon",
        "request.resource.resource == 'pods' && request.userInfo.username in \
         ['system:serviceaccount:kube-system:daemon-set-controller', 'system:kube-controller-manager'] \
         && object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) \
         && o.kind == 'DaemonSet' && o.apiVersion.startsWith('apps/'))",
    ),
];

/// The rules of the tenant as JSON. A quote inside a string of it is escaped, so that a field and
/// its value can only be found where they are meant.
const RULES: &str = "namespaceObject.metadata.?annotations[?'$RULES'].orValue('')";

/// The tenant's name, as the guarded label has it.
const TENANT: &str = "namespaceObject.metadata.?labels[?'$TENANT'].orValue('')";

const PROFILE: &str = r#"
variables.rules.contains('"profile":"Privileged"') ? 'Privileged'
: variables.rules.contains('"profile":"Baseline"') ? 'Baseline'
: variables.rules.contains('"profile":"Restricted"') ? 'Restricted' : 'Strict'"#;

impl About {
    fn name(self) -> &'static str {
        match self {
            Self::Pods => "bulkhead-control-pods",
            Self::Templates => "bulkhead-control-templates",
            Self::Services => "bulkhead-control-services",
            Self::Claims => "bulkhead-control-claims",
            Self::Objects => "bulkhead-control-objects",
        }
    }

    fn has(self, carrier: &Carrier) -> bool {
        carrier.holds.iter().any(|held| match self {
            Self::Pods => *held == Holds::Pod,
            Self::Templates => matches!(held, Holds::Template(_)),
            Self::Services => *held == Holds::Service,
            Self::Claims => *held == Holds::Claim,
            // The kinds that these controls name.
            Self::Objects => ["services", "ingresses"].contains(&&*carrier.resource),
        })
    }

    fn controls(self) -> impl Iterator<Item = (&'static Control, &'static str)> {
        REGISTRY
            .iter()
            .filter_map(|control| Some((control, control.cel?)))
            .filter(move |(control, _)| match self {
                Self::Pods => matches!(control.rule, Rule::Pod(_)),
                Self::Templates => {
                    matches!(control.rule, Rule::Pod(_)) && matches!(control.mend, Mend::ByHand)
                }
                Self::Services => matches!(control.rule, Rule::Service(_)),
                Self::Claims => matches!(control.rule, Rule::Claim(_)),
                Self::Objects => matches!(control.rule, Rule::Object(_)),
            })
    }

    fn policy(self) -> Value {
        let carriers = || CARRIERS.iter().filter(move |carrier| self.has(carrier));
        let mut variables = vec![
            ("rules", RULES.replace("$RULES", labels::RULES)),
            ("profile", squeezed(PROFILE)),
            ("tenant", TENANT.replace("$TENANT", labels::TENANT)),
        ];
        if matches!(self, Self::Pods | Self::Templates) {
            variables.push(("spec", self.place(carriers(), ".spec")));
            let annotations = self.place(carriers(), ".?metadata.?annotations.orValue({})");
            variables.push(("annotations", annotations));
            variables.extend(POD_VARIABLES.map(|(name, value)| (name, value.to_owned())));
        }
        let variables: Vec<Value> = variables
            .into_iter()
            .map(|(name, expression)| json!({"name": name, "expression": expression}))
            .collect();
        let validations: Vec<Value> = self
            .controls()
            .map(|(control, cel)| {
                json!({
                    "expression": under(control.profiles, cel),
                    "message": format!(
                        "{}: {}; {}", control.name, control.why, control.remedy
                    ),
                    "reason": "Forbidden",
                })
            })
            .collect();
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": self.name()},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": resource_rules(Carriers::BUILT_IN, |carrier| self.has(carrier)),
                    "namespaceSelector": tenants_namespaces(),
                },
                "matchConditions": [changes()],
                "variables": variables,
                "validations": validations,
            },
        })
    }

    fn binding(self) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": self.name()},
            "spec": {"policyName": self.name(), "validationActions": ["Deny"]},
        })
    }

    /// A field of the pod, by resource.
    fn place<'a>(self, carriers: impl Iterator<Item = &'a Carrier>, field: &str) -> String {
        let mut places: Vec<(&str, Vec<&str>)> = Vec::new();
        for carrier in carriers {
            for held in carrier.holds {
                let at = match *held {
                    Holds::Pod => "",
                    Holds::Template(at) => at,
                    _ => continue,
                };
                match places.iter_mut().find(|(place, _)| *place == at) {
                    Some((_, resources)) => resources.push(&carrier.resource),
                    None => places.push((at, vec![&*carrier.resource])),
                }
            }
        }
        // The place that most have needs no question.
        places.sort_by_key(|(_, resources)| resources.len());
        let mut expression = String::new();
        while let Some((at, resources)) = places.pop() {
            let dot = if at.is_empty() { "" } else { "." };
            let place = format!("object{dot}{at}{field}");
            expression = if expression.is_empty() {
                place
            } else {
                let these: Vec<String> = resources.iter().map(|r| format!("'{r}'")).collect();
                format!(
                    "request.resource.resource in [{}] ? {place} : {expression}",
                    these.join(", ")
                )
            };
        }
        expression
    }
}

/// The expression of a control, held against those tenants only that are held to it. For the
/// levels of Kubernetes' own standards the second line is Pod Security Admission, which stands
/// inside the API server and reads a guarded label; so a control that is one of them says in CEL
/// only what it asks of tenants at `Strict`.
fn under(profiles: Profiles, cel: &str) -> String {
    let cel = squeezed(cel);
    let exempt = match profiles {
        Profiles::Every => return cel,
        Profiles::Confined => "variables.profile == 'Privileged'",
        Profiles::Strict | Profiles::Baseline(_) | Profiles::Restricted(_) => {
            "variables.profile != 'Strict'"
        }
    };
    format!("{exempt} || ({cel})")
}

/// On one line.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Controls without CEL, and why. Grows only for a reason.
#[cfg(test)]
const NOT_IN_CEL: &[(&str, &[&str])] = &[
    (
        "walks references of kinds that a cluster may not have",
        &["cross-namespace-reference"],
    ),
    ("asks the ledger", &["hostname-taken"]),
    (
        "depends on what the tenant's LimitRange gives, which a template does not show",
        &["no-resource-limit", "node-exhaustion"],
    ),
    (
        "the API server hands policies only the fields that it knows",
        &["unknown-pod-field"],
    ),
    (
        "reads image references by their grammar",
        &["untrusted-registry"],
    ),
    (
        "matches patterns or prefixes of the tenant's",
        &[
            "certificate-signer-unlisted",
            "device-class-unlisted",
            "iam-role-chosen",
            "ingress-class-unlisted",
            "missing-runtime-class",
            "priority-class-unlisted",
            "storage-class-unlisted",
            "token-audience-chosen",
            "writable-host-path",
        ],
    ),
    (
        "compares with what the ledger has given the tenant, or with its nodes, and mends by it",
        &[
            "host-user-namespace",
            "id-outside-tenant-range",
            "missing-fs-group",
            "missing-node-selector",
            "selinux-label-chosen",
            "selinux-label-shared",
            "shared-node",
        ],
    ),
    (
        "computes with sets of addresses",
        &["instance-metadata-reachable", "network-policy-widened"],
    ),
    (
        "looks at objects that the rules look up",
        &[
            "direct-api-access",
            "host-path-claim",
            "impersonation-unconstrained",
            "network-annotation-forged",
            "rbac-beyond-tenant",
        ],
    ),
    (
        "another guard, of Kubernetes, stands behind it",
        &["device-admin-access"],
    ),
    ("keeps no tenant from another's things", &["drain-blocked"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_of_the_webhook_is_in_cel_or_says_why_not() {
        for control in REGISTRY {
            let judged = !matches!(control.rule, Rule::Guard | Rule::Dockerfile(_));
            let excused = NOT_IN_CEL
                .iter()
                .any(|(_, names)| names.contains(&control.name));
            let expected = judged && !excused;
            assert_eq!(control.cel.is_some(), expected, "{}", control.name);
        }
        for name in NOT_IN_CEL.iter().flat_map(|(_, names)| *names) {
            assert!(crate::by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_policies_are_what_people_read() {
        let text: Vec<String> = policies()
            .iter()
            .map(|policy| serde_json::to_string_pretty(policy).unwrap())
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn a_message_starts_with_the_controls_name_and_fits() {
        for policy in policies() {
            for validation in policy["spec"]["validations"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let message = validation["message"].as_str().unwrap();
                let name = message.split(':').next().unwrap();
                assert!(crate::by_name(name).is_some(), "{message}");
                assert!(!message.contains('\n') && message.len() < 1024, "{message}");
            }
        }
    }
}
