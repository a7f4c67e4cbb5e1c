//! `spec.services`, `spec.hostnames` and the classes of doors and disks.

use std::collections::BTreeSet;

use bulkhead_model::classes::MAX_PATTERN;
use bulkhead_model::exposure::HostPattern;
use bulkhead_model::{ClassPattern, Exposure, FieldPath, Hostnames, Services};
use serde_json::{Value, json};

use crate::Fields;
use crate::classes::{DefaultClass, parse_class_list};
use crate::error::Errors;
use crate::parse::{flag, known, list, object};

pub(crate) fn parse_exposure(spec: Fields<'_>, errors: &mut Errors) -> Exposure {
    let root = FieldPath::of("spec");
    let classes = |field, errors: &mut Errors| {
        parse_class_list(spec, &root, field, DefaultClass::Never, &[], errors)
    };
    Exposure {
        services: parse_services(spec, errors),
        hostnames: parse_hostnames(spec, errors),
        ingress_classes: classes("ingressClasses", errors),
        gateway_classes: classes("gatewayClasses", errors),
        storage_classes: classes("storageClasses", errors),
    }
}

fn parse_services(spec: Fields<'_>, errors: &mut Errors) -> Services {
    let path = FieldPath::of("spec.services");
    let fields = object(spec.get("services"), &path, errors);
    known(
        fields,
        &path,
        &["nodePort", "loadBalancer", "externalName"],
        errors,
    );
    let mut may = |field| flag(fields, field, false, &path, errors);
    Services {
        node_port: may("nodePort"),
        load_balancer: may("loadBalancer"),
        external_name: may("externalName"),
    }
}

fn parse_hostnames(spec: Fields<'_>, errors: &mut Errors) -> Hostnames {
    let path = FieldPath::of("spec.hostnames");
    let fields = object(spec.get("hostnames"), &path, errors);
    known(fields, &path, &["allowed", "allowedRegex"], errors);
    let mut allowed = BTreeSet::new();
    let at = path.clone().then("allowed");
    let items = list(fields, "allowed", &at, Hostnames::MAX_ALLOWED, errors);
    for (index, item) in items.iter().enumerate() {
        let at = at.clone().index(index);
        match HostPattern::parse(item.as_str().unwrap_or_default()) {
            Err(error) => errors.add(at, error.to_string()),
            Ok(name) if allowed.contains(&name) => {
                errors.add(at, format!("`{}` stands twice", name.as_str()));
            }
            Ok(name) => drop(allowed.insert(name)),
        }
    }
    let mut allowed_regex = None;
    if let Some(pattern) = fields.get("allowedRegex") {
        match ClassPattern::parse(pattern.as_str().unwrap_or_default()) {
            Ok(pattern) => allowed_regex = Some(pattern),
            Err(error) => errors.add(path.then("allowedRegex"), error.to_string()),
        }
    }
    Hostnames {
        allowed,
        allowed_regex,
    }
}

pub(crate) fn services_schema() -> Value {
    let may = |what: &str| json!({"type": "boolean", "default": false, "description": what});
    json!({
        "type": "object",
        "description": "Kinds of Services that the tenant may have beside those that stay inside.",
        "properties": {
            "nodePort": may("Type NodePort: a port of every node."),
            "loadBalancer": may("Type LoadBalancer, with an address of the platform's choice. Without nodePort, Services must set allocateLoadBalancerNodePorts to false."),
            "externalName": may("Type ExternalName, for names outside the cluster."),
        },
    })
}

pub(crate) fn hostnames_schema() -> Value {
    json!({
        "type": "object",
        "description": "Names under which the tenant may be reached through Ingresses, Gateways and their routes. Without any it has none. Each name is one tenant's: the first to use it has it.",
        "properties": {
            "allowed": {
                "type": "array",
                "description": "Names, such as www.example.com, or *.example.com for all names below it.",
                "maxItems": Hostnames::MAX_ALLOWED,
                "x-kubernetes-list-type": "set",
                "items": {
                    "type": "string",
                    "maxLength": 255,
                    "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
                },
            },
            "allowedRegex": {
                "type": "string",
                "description": "Names that this regular expression fits as a whole, in the syntax of RE2. It gives no wildcards.",
                "minLength": 1,
                "maxLength": MAX_PATTERN,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_read_and_what_is_none_is_named() {
        let read = |spec: Value| {
            let mut errors = Errors::default();
            let exposure = parse_exposure(Fields::of(Some(&spec)), &mut errors);
            let paths: Vec<String> = errors.0.iter().map(|it| it.path.to_string()).collect();
            (exposure, paths)
        };
        let (exposure, errors) = read(json!({
            "services": {"nodePort": true},
            "hostnames": {"allowed": ["www.acme.example", "*.acme.example"], "allowedRegex": "a.*"},
            "ingressClasses": {"allowed": ["nginx"]},
        }));
        assert_eq!(errors, Vec::<String>::new());
        assert!(exposure.services.node_port && !exposure.services.load_balancer);
        assert!(exposure.hostnames.permits("x.acme.example"));
        assert!(exposure.ingress_classes.permits("nginx"));
        for (spec, path) in [
            (
                json!({"services": {"nodePort": 1}}),
                "spec.services.nodePort",
            ),
            (json!({"services": {"sctp": true}}), "spec.services.sctp"),
            (json!({"hostnames": []}), "spec.hostnames"),
            (
                json!({"hostnames": {"allowed": ["com"]}}),
                "spec.hostnames.allowed[0]",
            ),
            (
                json!({"hostnames": {"allowed": ["a.b", "a.b"]}}),
                "spec.hostnames.allowed[1]",
            ),
            (
                json!({"hostnames": {"allowed": ["a.*.b"]}}),
                "spec.hostnames.allowed[0]",
            ),
            (
                json!({"hostnames": {"allowedRegex": "("}}),
                "spec.hostnames.allowedRegex",
            ),
            (
                json!({"hostnames": {"allowedRegex": "(a{999}){999}"}}),
                "spec.hostnames.allowedRegex",
            ),
            (
                json!({"storageClasses": {"default": "x"}}),
                "spec.storageClasses.default",
            ),
            (
                json!({"gatewayClasses": {"allowed": [""]}}),
                "spec.gatewayClasses.allowed[0]",
            ),
        ] {
            assert_eq!(read(spec.clone()).1, [path], "{spec}");
        }
    }
}
