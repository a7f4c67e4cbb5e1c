//! Devices that were not granted, and budgets that keep nodes from being emptied.

use serde_json::{Value, json};

use super::{MERGE, ways};
use crate::credential::Credential;
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

struct Grab {
    control: &'static str,
    variant: &'static str,
    does: &'static str,
    theorem: Theorem,
    collection: &'static str,
    spec: fn() -> Value,
}

const CLAIMS: &str = "/apis/resource.k8s.io/v1/namespaces/{own}/resourceclaims";
const TEMPLATES: &str = "/apis/resource.k8s.io/v1/namespaces/{own}/resourceclaimtemplates";
const BUDGETS: &str = "/apis/policy/v1/namespaces/{own}/poddisruptionbudgets";

#[rustfmt::skip]
const GRABS: &[Grab] = &[
    Grab { control: "device-admin-access", variant: "claim", does: "asks for administrative access to devices that others use", theorem: Theorem::T2, collection: CLAIMS, spec: || json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu.example", "allocationMode": "All", "adminAccess": true}}]}}) },
    Grab { control: "device-admin-access", variant: "template", does: "has each of its pods ask for administrative access to devices", theorem: Theorem::T2, collection: TEMPLATES, spec: || json!({"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu.example", "adminAccess": true}}]}}}) },
    Grab { control: "device-class-unlisted", variant: "claim", does: "claims a device of a class that was not granted", theorem: Theorem::T5, collection: CLAIMS, spec: || json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu.example"}}]}}) },
    Grab { control: "device-class-unlisted", variant: "alternative", does: "hides a class that was not granted among alternatives", theorem: Theorem::T5, collection: TEMPLATES, spec: || json!({"spec": {"devices": {"requests": [{"name": "r", "firstAvailable": [{"name": "a", "deviceClassName": "gpu.example"}]}]}}}) },
    Grab { control: "drain-blocked", variant: "zero", does: "keeps its pods where they are by a budget of nothing", theorem: Theorem::T5, collection: BUDGETS, spec: || json!({"maxUnavailable": 0, "selector": {"matchLabels": {"attack": "x"}}}) },
    Grab { control: "drain-blocked", variant: "rounded", does: "keeps its pods where they are by a share that is rounded up to all of them", theorem: Theorem::T5, collection: BUDGETS, spec: || json!({"minAvailable": "99%", "selector": {}}) },
    Grab { control: "drain-blocked", variant: "share", does: "keeps its pods where they are by demanding all of them", theorem: Theorem::T5, collection: BUDGETS, spec: || json!({"minAvailable": "100%", "selector": {}}) },
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for grab in GRABS {
        for (door, credential, way, layer) in ways(Layer::Gateway, Layer::Webhook) {
            let name = format!("{}-{}-{way}", grab.control, grab.variant);
            let object = format!("attack-{name}");
            let does = format!("Creates, at the {way}, an object that {}.", grab.does);
            let plan = move |field: &Field| {
                let collection = field.fill(grab.collection);
                let body = json!({"metadata": {"name": object}, "spec": (grab.spec)()});
                let path = format!("{collection}/{object}");
                Attack::shot(door, credential.clone(), Request::post(collection, &body))
                    .truth(Truth::Absent(path))
            };
            let technique = Technique::new(name, Family::Pods, grab.theorem, does, plan);
            let mut technique = technique.stopped_by(Expected::new(layer, 403, grab.control));
            if (grab.control, door) == ("device-admin-access", Door::ApiServer) {
                // Between the phases of admission the API server asks for a label that is guarded.
                let text = "requires the `resource.kubernetes.io/admin-access: true` label";
                technique = technique.stopped_by(Expected::new(Layer::ApiServer, 422, text));
            }
            if door == Door::ApiServer && grab.collection != BUDGETS {
                // Before Kubernetes 1.34 these kinds are not there.
                let absent = Expected::new(Layer::ApiServer, 404, "404 page not found");
                technique = technique.stopped_by(absent);
            }
            all.push(technique);
        }
    }
    let late = ways(Layer::Webhook, Layer::Webhook);
    all.extend(late.clone().map(spoilt_budget));
    all.extend(late.map(unsettling_annotation));
    all
}

/// A harmless budget that is tightened afterwards. Only the API server knows what a patch makes of it.
fn spoilt_budget(
    (door, credential, way, layer): (Door, Credential, &'static str, Layer),
) -> Technique {
    let plan = move |field: &Field| {
        let path = field.fill(&format!("{BUDGETS}/attack-own"));
        let patch = json!({"spec": {"maxUnavailable": "0%"}});
        let request = Request::patch(path.as_str(), MERGE, &patch);
        Attack::shot(door, credential.clone(), request).truth(Truth::Same(path))
    };
    let name = format!("drain-blocked-by-patch-{way}");
    let does = format!("Patches, at the {way}, a harmless budget so that no pod may go.");
    Technique::new(name, Family::Pods, Theorem::T5, does, plan).stopped_by(Expected::new(
        layer,
        403,
        "drain-blocked",
    ))
}

/// An annotation that tells an autoscaler to leave the pod's node alone, on a pod that runs.
fn unsettling_annotation(
    (door, credential, way, layer): (Door, Credential, &'static str, Layer),
) -> Technique {
    let plan = move |field: &Field| {
        let path = field.fill("/api/v1/namespaces/{own}/pods/attack-own");
        let patch = json!({"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}});
        let request = Request::patch(path.as_str(), MERGE, &patch);
        Attack::shot(door, credential.clone(), request)
            .truth(Truth::Lacks(path, "do-not-disrupt".into()))
    };
    let name = format!("drain-blocked-by-annotation-{way}");
    let does = format!("Tells an autoscaler, at the {way}, to leave a running pod's node alone.");
    Technique::new(name, Family::Pods, Theorem::T5, does, plan).stopped_by(Expected::new(
        layer,
        403,
        "drain-blocked",
    ))
}
