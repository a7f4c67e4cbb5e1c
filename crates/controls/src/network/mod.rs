//! NetworkPolicies of tenants: what they allow, next to what the tenant's network allows.

use bulkhead_model::FieldPath;
use bulkhead_model::labels;
use bulkhead_model::network::{Direction, Flow, Home, NAMESPACE_NAME, TrafficRule};
use bulkhead_model::view::Fields;

use crate::context::Context;
use crate::facts::{Fact, ObjectKey, Wanted};
use crate::object::Object;

pub(crate) mod annotation_forged;
pub(crate) mod cross_namespace_reference;
pub(crate) mod foreign_endpoint;
pub(crate) mod hostname_taken;
pub(crate) mod ingress_class_unlisted;
pub(crate) mod metadata_reachable;
pub(crate) mod open;
pub(crate) mod policy_widened;

/// What one peer of one rule allows, and where it stands.
struct Allowed {
    path: FieldPath,
    direction: Direction,
    flows: Vec<Flow>,
}

/// What stands somewhere and cannot be read.
struct Unreadable {
    path: FieldPath,
    message: String,
}

/// A NetworkPolicy, and what is known of the namespaces that it names.
struct Policy<'a> {
    spec: Fields<'a>,
    own: Vec<&'a str>,
    context: &'a Context<'a>,
}

impl<'a> Policy<'a> {
    fn of(object: &Object<'a>, context: &'a Context<'a>) -> Option<Self> {
        object
            .is("networking.k8s.io", "networkpolicies")
            .then(|| Self {
                spec: object.spec(),
                own: std::iter::once(context.namespace)
                    .chain(names(object.spec()).filter(|name| is_own(name, context)))
                    .collect(),
                context,
            })
    }

    /// Calls with all that the policy allows, peer by peer.
    fn read(&self, mut each: impl FnMut(Result<Allowed, Unreadable>)) {
        if let Err(unreadable) = self.read_into(&mut each) {
            each(Err(unreadable));
        }
    }

    fn read_into(
        &self,
        each: &mut impl FnMut(Result<Allowed, Unreadable>),
    ) -> Result<(), Unreadable> {
        let unreadable = |path, message: &str| Unreadable {
            path,
            message: message.to_owned(),
        };
        let spec = FieldPath::of("spec");
        let types = self.spec.list("policyTypes");
        let known = |direction: Direction| {
            types
                .iter()
                .any(|word| word.as_str() == Some(direction.policy_type()))
        };
        let is_type = |word: Option<&str>| matches!(word, Some("Ingress" | "Egress"));
        if self
            .spec
            .get("policyTypes")
            .is_some_and(|it| !it.is_array())
            || !types.iter().all(|word| is_type(word.as_str()))
        {
            let path = spec.then("policyTypes");
            return Err(unreadable(path, "is no list of `Ingress` and `Egress`"));
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            let rules = self.spec.list(direction.rules());
            let path = spec.clone().then(direction.rules());
            if self
                .spec
                .get(direction.rules())
                .is_some_and(|it| !it.is_array())
            {
                return Err(unreadable(path, "is no list"));
            }
            let counts = known(direction)
                || (types.is_empty() && (direction == Direction::Ingress || !rules.is_empty()));
            for (index, rule) in rules.iter().enumerate().filter(|_| counts) {
                let path = path.clone().index(index);
                if !rule.is_object() {
                    each(Err(unreadable(path, "is no object")));
                    continue;
                }
                match TrafficRule::parse(Fields::of(Some(rule)), direction) {
                    Ok(rule) => self.peers(rule, direction, &path, each),
                    Err(error) => each(Err(Unreadable {
                        path: error.path.below(path),
                        message: error.message,
                    })),
                }
            }
        }
        Ok(())
    }

    fn peers(
        &self,
        rule: TrafficRule,
        direction: Direction,
        path: &FieldPath,
        each: &mut impl FnMut(Result<Allowed, Unreadable>),
    ) {
        if rule.peers.is_empty() {
            return each(Ok(Allowed {
                path: path.clone(),
                direction,
                flows: self.flows(&rule),
            }));
        }
        for (index, peer) in rule.peers.into_iter().enumerate() {
            let rule = TrafficRule {
                peers: vec![peer],
                ports: rule.ports.clone(),
            };
            each(Ok(Allowed {
                path: path.clone().then(direction.peers()).index(index),
                direction,
                flows: self.flows(&rule),
            }));
        }
    }

    fn flows(&self, rule: &TrafficRule) -> Vec<Flow> {
        let rules = self.context.rules;
        rule.flows(&Home {
            namespace: self.context.namespace,
            own: &self.own,
            labels: &[
                (labels::TENANT, rules.tenant.as_str()),
                (labels::TENANT_UID, rules.uid.as_str()),
            ],
        })
    }

    /// All that the tenant's network allows in a direction.
    fn limit(&self, direction: Direction) -> Vec<Flow> {
        let rules = self.context.rules;
        let allowed = rules.network.rules(direction, &rules.tenant, &rules.uid);
        allowed.iter().flat_map(|rule| self.flows(rule)).collect()
    }
}

/// The namespaces that the peers of a policy name.
fn names(spec: Fields<'_>) -> impl Iterator<Item = &str> {
    [Direction::Ingress, Direction::Egress]
        .into_iter()
        .flat_map(move |direction| {
            let rules = spec.list(direction.rules()).iter();
            rules.flat_map(move |rule| Fields::of(Some(rule)).list(direction.peers()))
        })
        .flat_map(|peer| {
            let selector = Fields::of(Some(peer)).at("namespaceSelector");
            let equal = selector.at("matchLabels").str(NAMESPACE_NAME);
            let listed = selector
                .list("matchExpressions")
                .iter()
                .map(|it| Fields::of(Some(it)))
                .filter(|it| it.str("key") == Some(NAMESPACE_NAME))
                .flat_map(|it| it.list("values").iter().filter_map(|value| value.as_str()));
            equal.into_iter().chain(listed)
        })
}

/// The Namespaces that a policy's peers name, to learn whose they are.
pub(crate) fn wanted(object: &Object<'_>, context: &Context<'_>, wanted: &mut Wanted<'_>) {
    if let Some(policy) = Policy::of(object, context) {
        for name in names(policy.spec).filter(|name| *name != context.namespace) {
            wanted.add(ObjectKey::namespace(name));
        }
    }
}

/// Whether the namespace of this name is the tenant's: by name and UID, both guarded. Where nobody
/// looks, whoever looks afterwards decides.
fn is_own(name: &str, context: &Context<'_>) -> bool {
    match context.facts.object(&ObjectKey::namespace(name)) {
        Fact::Known(Some(found)) => context.owns(found),
        Fact::Later => true,
        Fact::Known(None) | Fact::Unknown => false,
    }
}
