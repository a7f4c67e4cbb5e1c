//! Which rules want to know something of the cluster, and what: only a request that a rule could
//! refuse by a fact costs a lookup.

use bulkhead_model::{AdmissionRequest, TenantRules};

use crate::carriers::Carriers;
use crate::claim::host_path_claim;
use crate::context::Context;
use crate::facts::{Facts, ObjectKey, Wanted};
use crate::identity::rbac_beyond_tenant;
use crate::judge::{context, covered};
use crate::network;
use crate::object::Object;

/// A kind of object that rules look up.
#[derive(Debug)]
pub struct LookedUp {
    /// API group, empty for the core.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// The plural name in URLs.
    pub resource: &'static str,
    /// Whether its objects stand in namespaces.
    pub namespaced: bool,
}

/// Every kind that some rule looks up. The webhook reads exactly these, `check` finds exactly these
/// in other files.
pub static LOOKED_UP: [LookedUp; 3] = [
    core("Namespace", "namespaces", false),
    core("PersistentVolume", "persistentvolumes", false),
    core("PersistentVolumeClaim", "persistentvolumeclaims", true),
];

const fn core(kind: &'static str, resource: &'static str, namespaced: bool) -> LookedUp {
    LookedUp {
        group: "",
        version: "v1",
        kind,
        resource,
        namespaced,
    }
}

impl LookedUp {
    /// The kind that a key names; none of what no rule may look up.
    #[must_use]
    pub fn of(key: &ObjectKey) -> Option<&'static Self> {
        LOOKED_UP
            .iter()
            .find(|kind| (kind.group, kind.resource) == (key.group, key.resource))
    }

    /// `v1`, `storage.k8s.io/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// Says which objects a rule wants to see for what it is shown. It runs again once these were looked
/// up, with what was found in `context.facts`, so that one object may lead to the next.
type Wants = fn(&Object<'_>, &Context<'_>, &mut Wanted<'_>);

/// What all rules want: a line for each rule that asks `context.facts`.
static LOOKUPS: &[Wants] = &[
    network::wanted,
    network::annotation_forged::wanted,
    rbac_beyond_tenant::wants,
    network::cross_namespace_reference::wanted,
    host_path_claim::wanted,
];

/// [`Carriers::needed`], of Kubernetes' own kinds.
#[must_use]
pub fn needed(
    request: &AdmissionRequest<'_>,
    rules: &TenantRules,
    facts: &Facts,
) -> Vec<ObjectKey> {
    Carriers::BUILT_IN.needed(request, rules, facts)
}

impl Carriers {
    /// What the rules want to see for this request and `facts` do not answer yet. Call it again with the
    /// answers until it wants nothing more, which takes as many rounds as the longest way from object to
    /// object. Empty for what cannot be judged anyway.
    #[must_use]
    pub fn needed(
        &self,
        request: &AdmissionRequest<'_>,
        rules: &TenantRules,
        facts: &Facts,
    ) -> Vec<ObjectKey> {
        needed_by(LOOKUPS, self, request, rules, facts)
    }
}

/// Mends name no objects, so the object is looked at as it was sent. In one of a wrong shape less is
/// found, and it is refused anyway.
fn needed_by(
    lookups: &[Wants],
    carriers: &Carriers,
    request: &AdmissionRequest<'_>,
    rules: &TenantRules,
    facts: &Facts,
) -> Vec<ObjectKey> {
    let Ok((carrier, object)) = covered(carriers, request) else {
        return Vec::new();
    };
    let context = context(request, rules, facts);
    let mut wanted = Wanted::beside(facts);
    let object = Object::new(carrier, object);
    for wants in lookups {
        wants(&object, &context, &mut wanted);
    }
    let keys = wanted.into_vec();
    debug_assert!(
        keys.iter().all(|key| LookedUp::of(key).is_some()),
        "{keys:?}"
    );
    keys
}

#[cfg(test)]
mod tests {
    use bulkhead_model::view::Fields;
    use serde_json::json;

    use super::*;
    use crate::facts::Fact;

    fn claim(name: &str) -> ObjectKey {
        ObjectKey::claim("acme-dev", name)
    }

    /// From a pod to its claims, and on to the volumes that these are bound to.
    fn behind(object: &Object<'_>, context: &Context<'_>, wanted: &mut Wanted<'_>) {
        for held in object.pods().flat_map(|pod| pod.volumes()) {
            let Some(name) = held.fields().at("persistentVolumeClaim").str("claimName") else {
                continue;
            };
            let key = ObjectKey::claim(context.namespace, name);
            if let Fact::Known(Some(found)) = context.facts.object(&key)
                && let Some(name) = Fields::of(Some(found)).at("spec").str("volumeName")
            {
                wanted.add(ObjectKey::volume(name));
            }
            wanted.add(key);
        }
    }

    #[test]
    fn one_object_leads_to_the_next() {
        let rules: TenantRules =
            serde_json::from_value(json!({"tenant": "acme", "uid": "u-1", "profile": "Strict"}))
                .unwrap();
        let request: AdmissionRequest<'_> = serde_json::from_value(json!({
            "uid": "1", "operation": "CREATE", "namespace": "acme-dev",
            "kind": {"version": "v1", "kind": "Pod"},
            "resource": {"version": "v1", "resource": "pods"},
            "object": {"spec": {"volumes": [
                {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "b", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "gone"}},
                {"name": "d", "emptyDir": {}},
            ]}},
        }))
        .unwrap();
        let wants =
            |facts: &Facts| needed_by(&[behind], Carriers::BUILT_IN, &request, &rules, facts);
        let mut facts = Facts::default();
        assert_eq!(wants(&facts), [claim("data"), claim("gone")]);
        facts.learn(
            claim("data"),
            Some(json!({"spec": {"volumeName": "pv-1"}}).into()),
        );
        facts.learn(claim("gone"), None);
        assert_eq!(wants(&facts), [ObjectKey::volume("pv-1")]);
        facts.fail(ObjectKey::volume("pv-1"));
        assert_eq!(wants(&facts), []);

        let odd = AdmissionRequest {
            object: Some(json!({"spec": {"volumes": {}}}).into()),
            ..request
        };
        assert_eq!(
            needed_by(
                &[behind],
                Carriers::BUILT_IN,
                &odd,
                &rules,
                &Facts::default()
            ),
            []
        );
    }
}
