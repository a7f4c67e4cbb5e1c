//! Services that take another's traffic, claims that take another's volume.

use serde_json::{Value, json};

use crate::credential::{Account, Credential};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

struct Grab {
    control: &'static str,
    variant: &'static str,
    does: &'static str,
    theorem: Theorem,
    resource: &'static str,
    spec: fn() -> Value,
}

#[rustfmt::skip]
const GRABS: &[Grab] = &[
    Grab { control: "service-external-ip", variant: "address", does: "takes traffic to an address that is not its own", theorem: Theorem::T4, resource: "services", spec: || json!({"ports": [{"port": 443}], "externalIPs": ["203.0.113.7"]}) },
    Grab { control: "volume-preclaimed", variant: "name", does: "names the volume that it wants", theorem: Theorem::T2, resource: "persistentvolumeclaims", spec: || json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "volume-of-another"}) },
    Grab { control: "volume-preclaimed", variant: "selector", does: "selects the volume that it wants", theorem: Theorem::T2, resource: "persistentvolumeclaims", spec: || json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "selector": {"matchLabels": {"of": "another"}}}) },
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for grab in GRABS {
        let ways = [
            (
                Door::Gateway,
                Credential::Tenant,
                "gateway",
                Expected::new(Layer::Gateway, 403, grab.control),
            ),
            (
                Door::ApiServer,
                Credential::Account(Account::Star),
                "api",
                Expected::new(Layer::Webhook, 403, grab.control),
            ),
        ];
        for (door, credential, way, expected) in ways {
            let name = format!("{}-{}-{way}", grab.control, grab.variant);
            let object = format!("attack-{name}");
            let does = format!(
                "Creates, at the {way}, one of {} that {}.",
                grab.resource, grab.does
            );
            let plan = move |field: &Field| {
                let collection =
                    field.fill(&format!("/api/v1/namespaces/{{own}}/{}", grab.resource));
                let body = json!({"metadata": {"name": object}, "spec": (grab.spec)()});
                let path = format!("{collection}/{object}");
                Attack::shot(door, credential.clone(), Request::post(collection, &body))
                    .truth(Truth::Absent(path))
            };
            all.push(
                Technique::new(name, Family::Services, grab.theorem, does, plan)
                    .stopped_by(expected),
            );
        }
    }
    all
}
