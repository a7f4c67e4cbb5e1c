//! A name on the platform's shared doors is one tenant's. Whose, the Tenant says for names that are
//! allowed, and the ledger among tenants that are allowed the same.

use bulkhead_model::view::Fields;
use std::collections::BTreeSet;

use bulkhead_model::{FieldPath, Json};

use crate::carriers::CARRIERS;
use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "hostname-taken",
    guide: Section::ExternalAddresses,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "whoever answers for a name gets its visitors, with their passwords and cookies",
    remedy: "use names that the Tenant's `spec.hostnames` allows and that no other tenant has",
    page: include_str!("hostname_taken.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

const GATEWAY: &str = "gateway.networking.k8s.io";
const ROUTES: [&str; 3] = ["httproutes", "grpcroutes", "tlsroutes"];
const LISTENERS: [&str; 2] = ["gateways", "listenersets"];

/// Ends of annotations by which controllers let Ingresses answer for more names, or write what they
/// like into the configuration that all tenants share.
const BACK_DOORS: [&str; 4] = ["server-alias", "-snippet", "-snippets", "/config-backend"];

/// What external-dns makes records for, names with commas between them: on Services, Ingresses, Gateways,
/// and routes, whatever their own hosts are.
const RECORDS: [&str; 2] = [
    "external-dns.alpha.kubernetes.io/hostname",
    "external-dns.alpha.kubernetes.io/internal-hostname",
];

/// Steers those records to an address of the author's choice.
const RECORD_TARGET: &str = "external-dns.alpha.kubernetes.io/target";

/// A place that says for which name an object answers.
struct Place<'a> {
    path: FieldPath,
    host: Host<'a>,
}

enum Host<'a> {
    Name(&'a Json<'a>),
    /// Every name, for this reason.
    Any(&'static str),
}

/// Every name for which an Ingress, a Gateway or a route answers, in order; none of any other
/// object. A name may be a wildcard.
#[must_use]
pub fn hostnames<'a>(group: &str, resource: &str, object: &'a Json<'a>) -> BTreeSet<&'a str> {
    let name = |place: Place<'a>| match place.host {
        Host::Name(host) => host.as_str(),
        Host::Any(_) => None,
    };
    let mut carriers = CARRIERS.iter();
    carriers
        .find(|it| it.group == group && it.resource == resource)
        .map(|carrier| Object::new(carrier, object))
        .into_iter()
        .flat_map(|object| places(&object))
        .filter_map(name)
        .collect()
}

/// The kinds that answer for names: group and plural name.
pub const NAMED: [(&str, &str); 6] = [
    ("networking.k8s.io", "ingresses"),
    (GATEWAY, "gateways"),
    (GATEWAY, "grpcroutes"),
    (GATEWAY, "httproutes"),
    (GATEWAY, "listenersets"),
    (GATEWAY, "tlsroutes"),
];

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    let allowed = &context.rules.exposure.hostnames;
    for place in places(object) {
        match place.host {
            Host::Any(why) => findings.add(place.path, why),
            Host::Name(host) => {
                if !host.as_str().is_some_and(|host| allowed.permits(host)) {
                    let detail = format!("{}; the tenant may use {allowed}", is(host));
                    findings.add(place.path, detail);
                }
            }
        }
    }
    records(object, context, findings);
    if object.is("networking.k8s.io", "ingresses") {
        for (key, value) in object.metadata().at("annotations").iter() {
            if BACK_DOORS.iter().any(|end| key.ends_with(end)) {
                findings.add(
                    FieldPath::of("metadata.annotations").key(key),
                    format!(
                        "is {}, which reaches past the Ingress's own hosts",
                        shown(value)
                    ),
                );
            }
        }
    }
}

/// Records in the domain name system are not the ledger's: a name has to be the tenant's alone.
fn records(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    let annotations = object.metadata().at("annotations");
    let path = |key| FieldPath::of("metadata.annotations").key(key);
    let allowed = &context.rules.exposure.hostnames;
    for key in RECORDS {
        let Some(value) = annotations.get(key) else {
            continue;
        };
        let own = value.as_str().is_some_and(|names| {
            let mut names = names.split(',').map(str::trim);
            names.all(|name| allowed.permits(name.trim_end_matches('.')))
        });
        if !own {
            let detail = format!("{}; the tenant may use {allowed}", is(value));
            findings.add(path(key), detail);
        }
    }
    if let Some(value) = annotations.get(RECORD_TARGET) {
        let detail = format!("is {}, which leads a name to any address", shown(value));
        findings.add(path(RECORD_TARGET), detail);
    }
}

fn places<'a>(object: &Object<'a>) -> Vec<Place<'a>> {
    let spec = object.spec();
    if object.is("networking.k8s.io", "ingresses") {
        ingress(spec)
    } else if ROUTES.iter().any(|route| object.is(GATEWAY, route)) {
        route(spec)
    } else if LISTENERS.iter().any(|kind| object.is(GATEWAY, kind)) {
        listeners(spec)
    } else {
        Vec::new()
    }
}

fn ingress<'a>(spec: Fields<'a>) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    if spec.get("defaultBackend").is_some() {
        places.push(Place {
            path: FieldPath::of("spec.defaultBackend"),
            host: Host::Any("answers for every name that nobody else has"),
        });
    }
    for (index, rule) in spec.list("rules").iter().enumerate() {
        let path = FieldPath::of("spec.rules").index(index);
        places.push(one(
            Fields::of(Some(rule)).get("host"),
            path,
            "host",
            "has no host, and so answers for every name",
        ));
    }
    for (index, tls) in spec.list("tls").iter().enumerate() {
        let path = FieldPath::of("spec.tls").index(index).then("hosts");
        places.extend(all(Fields::of(Some(tls)).list("hosts"), &path));
    }
    places
}

fn route<'a>(spec: Fields<'a>) -> Vec<Place<'a>> {
    let path = FieldPath::of("spec.hostnames");
    let names = spec.list("hostnames");
    if names.is_empty() {
        let host = Host::Any("names no host, and so answers for every name of its Gateway");
        return vec![Place { path, host }];
    }
    all(names, &path).collect()
}

fn listeners<'a>(spec: Fields<'a>) -> Vec<Place<'a>> {
    let listeners = spec.list("listeners").iter().enumerate();
    listeners
        .filter_map(|(index, listener)| {
            let fields = Fields::of(Some(listener));
            let nameless = matches!(fields.str("protocol"), Some("TCP" | "UDP"));
            if nameless && fields.get("hostname").is_none() {
                return None;
            }
            Some(one(
                fields.get("hostname"),
                FieldPath::of("spec.listeners").index(index),
                "hostname",
                "has no hostname, and so answers for every name",
            ))
        })
        .collect()
}

fn one<'a>(
    host: Option<&'a Json<'a>>,
    path: FieldPath,
    field: &'static str,
    any: &'static str,
) -> Place<'a> {
    match host.filter(|host| host.as_str() != Some("")) {
        None => Place {
            path,
            host: Host::Any(any),
        },
        Some(host) => Place {
            path: path.then(field),
            host: Host::Name(host),
        },
    }
}

fn all<'a>(names: &'a [Json<'a>], path: &FieldPath) -> impl Iterator<Item = Place<'a>> {
    let path = path.clone();
    names.iter().enumerate().map(move |(index, host)| Place {
        path: path.clone().index(index),
        host: Host::Name(host),
    })
}
