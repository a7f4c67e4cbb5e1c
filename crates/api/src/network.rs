//! `spec.network`: what a tenant's pods may talk to.

use bulkhead_model::network::{Direction, NetworkIsolation, PortRange, TrafficRule};

use bulkhead_model::{FieldPath, Network};
use serde_json::{Value, json};

use crate::Fields;
use crate::error::Errors;
use crate::parse::{flag, known, list, object};

/// More rules in one direction are refused: each pod of the tenant is held to all of them.
pub(crate) const MAX_RULES: usize = 32;
/// More peers or ports in one rule are refused.
const MAX_PEERS: usize = 32;

pub(crate) fn parse_network(spec: Fields<'_>, errors: &mut Errors) -> Network {
    let path = FieldPath::of("spec.network");
    let fields = object(spec.get("network"), &path, errors);
    known(
        fields,
        &path,
        &[
            "isolation",
            "blockInstanceMetadata",
            "withinTenant",
            "allowIngress",
            "allowEgress",
        ],
        errors,
    );
    let isolation = match fields.get("isolation").map(Value::as_str) {
        None | Some(Some("DefaultDeny")) => NetworkIsolation::DefaultDeny,
        Some(Some("Open")) => NetworkIsolation::Open,
        Some(_) => {
            let path = path.clone().then("isolation");
            errors.add(path, "expected `DefaultDeny` or `Open`");
            NetworkIsolation::DefaultDeny
        }
    };
    let network = Network {
        isolation,
        block_instance_metadata: flag(fields, "blockInstanceMetadata", true, &path, errors),
        within_tenant: flag(fields, "withinTenant", true, &path, errors),
        allow_ingress: rules(fields, "allowIngress", Direction::Ingress, &path, errors),
        allow_egress: rules(fields, "allowEgress", Direction::Egress, &path, errors),
    };
    let idle = [
        ("allowIngress", !network.allow_ingress.is_empty()),
        ("allowEgress", !network.allow_egress.is_empty()),
        ("withinTenant", !network.within_tenant),
    ];
    if isolation == NetworkIsolation::Open {
        for (field, _) in idle.into_iter().filter(|(_, set)| *set) {
            let message = "has no effect while `isolation` is `Open`";
            errors.add(path.clone().then(field), message);
        }
    }
    for (index, rule) in network.allow_egress.iter().enumerate() {
        if let Some(flow) = network.opens_metadata(rule) {
            errors.add(
                path.clone().then("allowEgress").index(index),
                format!(
                    "reaches the instance metadata service ({flow}), which `blockInstanceMetadata` \
                     forbids: leave 169.254.0.0/16, fe80::/10 and fd00:ec2::254 out (169.254.170.23, \
                     169.254.20.10 and fd00:ec2::23 may be named)"
                ),
            );
        }
    }
    network
}

fn rules(
    fields: Fields<'_>,
    field: &'static str,
    direction: Direction,
    path: &FieldPath,
    errors: &mut Errors,
) -> Vec<TrafficRule> {
    let path = path.clone().then(field);
    let mut rules = Vec::new();
    for (index, item) in list(fields, field, &path, MAX_RULES, errors)
        .iter()
        .enumerate()
    {
        let path = path.clone().index(index);
        let fields = object(Some(item), &path, errors);
        for part in [direction.peers(), "ports"] {
            list(fields, part, &path.clone().then(part), MAX_PEERS, errors);
        }
        match TrafficRule::parse(fields, direction) {
            Ok(rule) => {
                for (index, port) in rule.ports.iter().enumerate() {
                    if matches!(port.port, Some(PortRange::Name(_))) {
                        let path = path.clone().then("ports").index(index).then("port");
                        let message =
                            "expected a number: what a name means, each pod says for itself";
                        errors.add(path, message);
                    }
                }
                rules.push(rule);
            }
            Err(error) => errors.add(error.path.below(path), error.message),
        }
    }
    rules
}

/// The schema of `spec.network`.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "Traffic of the tenant's pods.",
        "default": {},
        "x-kubernetes-validations": [{
            "rule": "!has(self.isolation) || self.isolation == 'DefaultDeny' || ((!has(self.withinTenant) || self.withinTenant) && !has(self.allowIngress) && !has(self.allowEgress))",
            "message": "withinTenant, allowIngress and allowEgress have no effect while isolation is Open",
        }],
        "properties": {
            "isolation": {
                "type": "string",
                "description": "DefaultDeny: traffic within the tenant, DNS, and to the internet; never to private ranges or the instance metadata service. Open: anything but the instance metadata service.",
                "enum": ["DefaultDeny", "Open"],
                "default": "DefaultDeny",
            },
            "blockInstanceMetadata": {
                "type": "boolean",
                "description": "Keeps pods from 169.254.0.0/16, fe80::/10 and fd00:ec2::254, where nodes get their credentials. allowEgress may still name the agent of EKS Pod Identity (169.254.170.23, fd00:ec2::23) and the DNS cache of the node (169.254.20.10).",
                "default": true,
            },
            "withinTenant": {
                "type": "boolean",
                "description": "Whether the tenant's namespaces may talk to each other. If not, each namespace only talks to itself.",
                "default": true,
            },
            "allowIngress": rules_schema(Direction::Ingress, "What may reach the tenant's pods beside that, such as the ingress controller: rules as a NetworkPolicy has them."),
            "allowEgress": rules_schema(Direction::Egress, "What the tenant's pods may reach beside that, such as a database in a private range: rules as a NetworkPolicy has them."),
        },
    })
}

fn rules_schema(direction: Direction, description: &str) -> Value {
    let peers = direction.peers();
    json!({
        "type": "array",
        "description": description,
        "maxItems": MAX_RULES,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "properties": {
                peers: {
                    "type": "array",
                    "maxItems": MAX_PEERS,
                    "x-kubernetes-list-type": "atomic",
                    "items": {
                        "type": "object",
                        "properties": {
                            "ipBlock": {
                                "type": "object",
                                "required": ["cidr"],
                                "properties": {
                                    "cidr": {"type": "string", "maxLength": 64},
                                    "except": {
                                        "type": "array",
                                        "maxItems": 64,
                                        "x-kubernetes-list-type": "atomic",
                                        "items": {"type": "string", "maxLength": 64},
                                    },
                                },
                            },
                            "namespaceSelector": selector_schema(),
                            "podSelector": selector_schema(),
                        },
                    },
                },
                "ports": {
                    "type": "array",
                    "maxItems": MAX_PEERS,
                    "x-kubernetes-list-type": "atomic",
                    "items": {
                        "type": "object",
                        "properties": {
                            "protocol": {"type": "string", "enum": ["TCP", "UDP", "SCTP"]},
                            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                            "endPort": {"type": "integer", "minimum": 1, "maximum": 65535},
                        },
                    },
                },
            },
        },
    })
}

fn selector_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": {"type": "string", "maxLength": 63},
            },
            "matchExpressions": {
                "type": "array",
                "maxItems": 32,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string", "maxLength": 317},
                        "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                        "values": {
                            "type": "array",
                            "maxItems": 32,
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string", "maxLength": 63},
                        },
                    },
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(network: Value) -> Vec<String> {
        let spec = json!({"network": network});
        let mut errors = Errors::default();
        parse_network(Fields::of(Some(&spec)), &mut errors);
        errors
            .0
            .iter()
            .map(|error| error.path.to_string())
            .collect()
    }

    #[test]
    fn rules_of_a_network_policy_are_read() {
        let spec = json!({"network": {
            "withinTenant": false,
            "allowIngress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]}],
            "allowEgress": [
                {"to": [{"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.9.0/24"]}}], "ports": [{"port": 5432}]},
                {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"protocol": "TCP", "port": 80, "endPort": 80}]},
            ],
        }});
        let mut errors = Errors::default();
        let network = parse_network(Fields::of(Some(&spec)), &mut errors);
        assert!(errors.0.is_empty());
        assert!(!network.within_tenant && network.block_instance_metadata);
        assert_eq!(
            network.allow_egress[0].to_json(Direction::Egress),
            json!({
                "to": [{"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.9.0/24"]}}],
                "ports": [{"protocol": "TCP", "port": 5432}],
            })
        );
        assert_eq!(network.allow_ingress.len(), 1);
    }

    #[test]
    fn what_is_no_rule_is_named() {
        let egress = |rule: Value| errors(json!({"allowEgress": [rule]}));
        let at = |rest: &str| vec![format!("spec.network.allowEgress[0]{rest}")];
        for (rule, rest) in [
            (json!(1), ""),
            (json!({"from": []}), ""),
            (json!({"to": {}}), ".to"),
            (json!({"to": [1]}), ".to[0]"),
            (json!({"to": [{}]}), ".to[0]"),
            (json!({"to": [{"services": {}}]}), ".to[0]"),
            (
                json!({"to": [{"ipBlock": {"cidr": "10.0.0.0"}}]}),
                ".to[0].ipBlock",
            ),
            (
                json!({"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["::/0"]}}]}),
                ".to[0].ipBlock",
            ),
            (
                json!({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}),
                ".to[0].ipBlock",
            ),
            (
                json!({"to": [{"podSelector": {"matchLabels": {"a": 1}}}]}),
                ".to[0].podSelector.matchLabels.a",
            ),
            (
                json!({"to": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]}),
                ".to[0].podSelector.matchExpressions[0]",
            ),
            (
                json!({"to": [{"podSelector": {}}], "ports": [{"port": 0}]}),
                ".ports[0].port",
            ),
            (
                json!({"to": [{"podSelector": {}}], "ports": [{"port": "http"}]}),
                ".ports[0].port",
            ),
            (
                json!({"to": [{"podSelector": {}}], "ports": [{"port": 9, "endPort": 8}]}),
                ".ports[0].endPort",
            ),
            (
                json!({"to": [{"podSelector": {}}], "ports": [{"protocol": "ICMP"}]}),
                ".ports[0].protocol",
            ),
            // All peers are the metadata service, too.
            (json!({}), ""),
            (
                json!({"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": [{"port": 80}]}),
                "",
            ),
            (json!({"to": [{"ipBlock": {"cidr": "fd00::/8"}}]}), ""),
        ] {
            let found = egress(rule.clone());
            assert!(
                !found.is_empty() && found.iter().all(|path| *path == at(rest)[0]),
                "{rule}: {found:?}"
            );
        }
        assert_eq!(
            errors(json!({"blockInstanceMetadata": 1})),
            ["spec.network.blockInstanceMetadata"]
        );
        assert_eq!(
            errors(json!({"withinTenant": "no"})),
            ["spec.network.withinTenant"]
        );
        assert_eq!(
            errors(json!({"isolation": "Open", "withinTenant": false, "allowIngress": [{}]})),
            ["spec.network.allowIngress", "spec.network.withinTenant"]
        );
        let many: Vec<Value> = (0..=MAX_RULES)
            .map(|_| json!({"to": [{"podSelector": {}}]}))
            .collect();
        assert_eq!(
            errors(json!({"allowEgress": many})),
            ["spec.network.allowEgress"]
        );
    }
}
