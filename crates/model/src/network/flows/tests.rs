use proptest::prelude::*;

use super::*;
use crate::network::{Block, LabelSelector, Operator, Requirement};

/// A world so small that all of it can be asked: sixteen addresses of each family, pods in
/// namespaces by name and one label each, and the ports that rules name or lie between.
#[derive(Debug, Clone, PartialEq)]
enum Who {
    Address(Family, u128),
    Pod {
        namespace: &'static str,
        team: Option<&'static str>,
        app: Option<&'static str>,
    },
}

const HOME: &str = "home";
const OWN: [&str; 2] = ["home", "second"];
const HOME_OF: Home<'static> = Home {
    namespace: HOME,
    own: &OWN,
    labels: &[("team", "us")],
};

/// Ports 0 to 4 of TCP and UDP, and what has no ports.
const PORTS: [(Option<Protocol>, u16); 11] = [
    (Some(Protocol::Tcp), 0),
    (Some(Protocol::Tcp), 1),
    (Some(Protocol::Tcp), 2),
    (Some(Protocol::Tcp), 3),
    (Some(Protocol::Tcp), 4),
    (Some(Protocol::Udp), 1),
    (Some(Protocol::Udp), 2),
    (Some(Protocol::Udp), 3),
    (Some(Protocol::Udp), 65535),
    (Some(Protocol::Sctp), 1),
    (None, 0),
];

fn world() -> Vec<Who> {
    let mut all: Vec<Who> = (0..16).map(|n| Who::Address(Family::V4, n)).collect();
    all.extend((0..16).map(|n| Who::Address(Family::V6, n)));
    for app in [None, Some("web"), Some("db"), Some("other")] {
        // The API server and the guards see to it that a namespace of ours has our label.
        let pods = [("home", Some("us")), ("second", Some("us"))];
        let theirs = ["theirs", "fourth"]
            .into_iter()
            .flat_map(|name| [None, Some("us"), Some("them")].map(|team| (name, team)));
        all.extend(
            pods.into_iter()
                .chain(theirs)
                .map(|(namespace, team)| Who::Pod {
                    namespace,
                    team,
                    app,
                }),
        );
    }
    all
}

/// The words of the API, read as its documentation reads them, one peer and port at a time.
fn allows(rule: &TrafficRule, who: &Who, port: (Option<Protocol>, u16)) -> bool {
    let on_port = rule.ports.is_empty()
        || rule.ports.iter().any(|p| {
            port.0 == Some(p.protocol)
                && match &p.port {
                    None | Some(PortRange::Name(_)) => true,
                    Some(PortRange::Numbers(first, last)) => (*first..=*last).contains(&port.1),
                }
        });
    let with = rule.peers.is_empty()
        || rule.peers.iter().any(|peer| match (peer, who) {
            (Peer::IpBlock(block), Who::Address(family, n)) => {
                let within = |text: &str| {
                    let (address, length) = text.split_once('/').unwrap();
                    let length: u32 = length.parse().unwrap();
                    let (of, bits, host) = match address.parse().unwrap() {
                        std::net::IpAddr::V4(a) => {
                            (Family::V4, u128::from(a.to_bits()), 32 - length)
                        }
                        std::net::IpAddr::V6(a) => (Family::V6, a.to_bits(), 128 - length),
                    };
                    of == *family && (host == 128 || bits >> host == n >> host)
                };
                within(block.cidr()) && !block.except().iter().any(|text| within(text))
            }
            (
                Peer::Pods { namespaces, pods },
                Who::Pod {
                    namespace,
                    team,
                    app,
                },
            ) => {
                let labels = |key: &str| match key {
                    NAMESPACE_NAME => Some(*namespace),
                    "team" => *team,
                    _ => None,
                };
                let of = |key: &str| if key == "app" { *app } else { None };
                namespaces
                    .as_ref()
                    .map_or(*namespace == HOME, |selector| selects(selector, labels))
                    && pods.as_ref().is_none_or(|selector| selects(selector, of))
            }
            _ => false,
        });
    on_port && with
}

fn selects<'a>(selector: &LabelSelector, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    selector
        .match_labels
        .iter()
        .all(|(key, value)| label(key) == Some(value.as_str()))
        && selector.match_expressions.iter().all(|it| {
            let value = label(&it.key);
            let listed = value.is_some_and(|value| it.values.iter().any(|v| v == value));
            match it.operator {
                Operator::In => listed,
                Operator::NotIn => !listed,
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
}

fn holds(flows: &[Flow], who: &Who, port: (Option<Protocol>, u16)) -> bool {
    let number = match port {
        (None, _) => 3 << 16,
        (Some(protocol), n) => ports(protocol, n, n).as_slice()[0].0,
    };
    let inside = |set: &Ranges, n: u128| {
        set.as_slice()
            .iter()
            .any(|&(low, high)| (low..=high).contains(&n))
    };
    let one = |key: &str, value: Option<&str>| {
        let label = value.map_or_else(Label::missing, |value| Label::one_of([value]));
        Selection::ALL.and(key, &label)
    };
    flows.iter().any(|flow| {
        inside(&flow.ports, number)
            && match (&flow.peers, who) {
                (Peers::Addresses(family, set), Who::Address(of, n)) => {
                    family == of && inside(set, *n)
                }
                (
                    Peers::Pods { namespaces, pods },
                    Who::Pod {
                        namespace,
                        team,
                        app,
                    },
                ) => {
                    let it =
                        one("team", *team).intersection(&one(NAMESPACE_NAME, Some(*namespace)));
                    !namespaces.intersection(&it).is_empty()
                        && !pods.intersection(&one("app", *app)).is_empty()
                }
                _ => false,
            }
    })
}

fn selector(
    keys: &'static [(&'static str, &'static [&'static str])],
) -> impl Strategy<Value = LabelSelector> {
    let requirement = (
        prop::sample::select(keys.to_vec()),
        0_u8..5,
        prop::collection::vec(any::<prop::sample::Index>(), 1..3),
    )
        .prop_map(|((key, values), operator, picks)| {
            let values: Vec<String> = picks
                .iter()
                .map(|pick| (*pick.get(values)).to_owned())
                .collect();
            let (operator, values) = match operator {
                0 | 1 => (Operator::In, values),
                2 => (Operator::NotIn, values),
                3 => (Operator::Exists, vec![]),
                _ => (Operator::DoesNotExist, vec![]),
            };
            Requirement {
                key: key.to_owned(),
                operator,
                values,
            }
        });
    prop::collection::vec(requirement, 0..3).prop_map(|match_expressions| LabelSelector {
        match_labels: Default::default(),
        match_expressions,
    })
}

fn block() -> impl Strategy<Value = Peer> {
    let v4 = |(n, length): (u32, u32)| format!("0.0.0.{n}/{length}");
    let v6 = |(n, length): (u32, u32)| format!("::{n:x}/{}", length + 96);
    let cidr = || (0_u32..16, prop_oneof![Just(0_u32), 28_u32..=32]);
    (any::<bool>(), cidr(), prop::collection::vec(cidr(), 0..3)).prop_map(
        move |(six, cidr, except)| {
            let show = |it| if six { v6(it) } else { v4(it) };
            let except: Vec<String> = except.into_iter().map(show).collect();
            let except: Vec<&str> = except.iter().map(String::as_str).collect();
            Peer::IpBlock(Block::parse(&show(cidr), &except).unwrap())
        },
    )
}

fn peer() -> impl Strategy<Value = Peer> {
    let namespaces = selector(&[
        ("team", &["us", "them"]),
        (NAMESPACE_NAME, &["home", "second", "theirs", "fourth"]),
    ]);
    let pods = selector(&[("app", &["web", "db"])]);
    prop_oneof![
        block(),
        (prop::option::of(namespaces), prop::option::of(pods)).prop_map(|(namespaces, pods)| {
            let pods = if namespaces.is_none() {
                pods.or(Some(LabelSelector::default()))
            } else {
                pods
            };
            Peer::Pods { namespaces, pods }
        }),
    ]
}

fn port() -> impl Strategy<Value = Port> {
    let range = prop_oneof![
        Just(None),
        (1_u16..4, 0_u16..3)
            .prop_map(|(first, more)| Some(PortRange::Numbers(first, first + more))),
        Just(Some(PortRange::Name("http".into()))),
    ];
    (prop::sample::select(Protocol::ALL.to_vec()), range)
        .prop_map(|(protocol, port)| Port { protocol, port })
}

fn rule() -> impl Strategy<Value = TrafficRule> {
    (
        prop::collection::vec(peer(), 0..4),
        prop::collection::vec(port(), 0..3),
    )
        .prop_map(|(peers, ports)| TrafficRule { peers, ports })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Each peer and port of the small world, asked one by one, agrees with the sets.
    #[test]
    fn what_goes_beyond_is_what_brute_force_finds(
        ours in prop::collection::vec(rule(), 0..4),
        theirs in rule(),
    ) {
        let limits: Vec<Flow> = ours.iter().flat_map(|rule| rule.flows(&HOME_OF)).collect();
        let flows = theirs.flows(&HOME_OF);
        let left = beyond(flows.clone(), &limits).unwrap();
        let both: Vec<Flow> = flows
            .iter()
            .flat_map(|flow| limits.iter().filter_map(|limit| flow.intersection(limit)))
            .collect();
        for who in world() {
            for port in PORTS {
                let allowed = allows(&theirs, &who, port);
                prop_assert_eq!(holds(&flows, &who, port), allowed, "{:?} {:?}", who, port);
                let wider = allowed && !ours.iter().any(|rule| allows(rule, &who, port));
                prop_assert_eq!(holds(&left, &who, port), wider, "{:?} {:?}", who, port);
                prop_assert_eq!(holds(&both, &who, port), allowed && !wider, "{:?} {:?}", who, port);
            }
        }
    }
}

#[test]
fn a_union_of_too_many_pieces_is_said_to_be_one() {
    let namespaces = LabelSelector::default();
    let all = TrafficRule {
        peers: vec![Peer::pods(Some(namespaces), None)],
        ports: vec![],
    };
    let limits: Vec<Flow> = (0..13)
        .flat_map(|n| {
            let pair = [(format!("a{n}"), "x"), (format!("b{n}"), "y")];
            let pair: Vec<(&str, &str)> = pair
                .iter()
                .map(|(key, value)| (key.as_str(), *value))
                .collect();
            TrafficRule {
                peers: vec![Peer::pods(Some(LabelSelector::of(&pair)), None)],
                ports: vec![],
            }
            .flows(&HOME_OF)
        })
        .collect();
    assert_eq!(beyond(all.flows(&HOME_OF), &limits), Err(TooComplex));
}

#[test]
fn flows_are_told_by_example() {
    let shown = |rule: &TrafficRule| rule.flows(&HOME_OF)[0].to_string();
    let block = |cidr: &str, ports| TrafficRule {
        peers: vec![Peer::IpBlock(Block::parse(cidr, &[]).unwrap())],
        ports,
    };
    assert_eq!(
        shown(&block("10.0.0.0/8", vec![])),
        "10.0.0.0 to 10.255.255.255 on every port"
    );
    let https = vec![Port::number(Protocol::Tcp, 443)];
    assert_eq!(
        shown(&block("169.254.169.254/32", https)),
        "169.254.169.254 on TCP 443"
    );
    let sctp = vec![Port {
        protocol: Protocol::Sctp,
        port: Some(PortRange::Numbers(5, 9)),
    }];
    assert_eq!(
        shown(&block("fd00:ec2::254/128", sctp)),
        "fd00:ec2::254 on SCTP 5 to 9"
    );
    let pods = |labels| TrafficRule {
        peers: vec![Peer::pods(Some(LabelSelector::of(labels)), None)],
        ports: vec![],
    };
    assert_eq!(
        shown(&pods(&[(NAMESPACE_NAME, "kube-system")])),
        "pods of the namespace kube-system on every port"
    );
    assert_eq!(
        shown(&pods(&[("team", "us")])),
        "pods of namespaces of other tenants on every port"
    );
}
