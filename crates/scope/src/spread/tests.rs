use super::*;
use crate::{Outcome, parse, scope};
use bulkhead_model::Prefix;

fn member(tenant: &str, namespaces: &[&str]) -> Membership {
    Membership {
        tenant: TenantName::parse(tenant).unwrap(),
        uid: Uid::parse(format!("u-{tenant}")).unwrap(),
        user: SyntheticUser::parse(&format!("bulkhead:tenant:{tenant}:viewer")).unwrap(),
        prefix: Prefix::parse(format!("{tenant}-")).unwrap(),
        cordoned: false,
        usable: crate::Usable::default(),
        namespaces: namespaces
            .iter()
            .map(|n| NamespaceName::parse(*n).unwrap())
            .collect(),
    }
}

fn spread(target: &str, memberships: Vec<Membership>) -> Spread {
    let caller = Caller {
        person: "alice".into(),
        memberships,
    };
    match scope(parse("GET", target).unwrap(), &caller, Body::Empty) {
        Ok(Outcome::Spread(spread)) => *spread,
        other => panic!("{other:?}"),
    }
}

fn both(target: &str) -> Spread {
    spread(
        target,
        vec![
            member("acme", &["acme", "acme-1"]),
            member("beta", &["beta-x"]),
        ],
    )
}

#[test]
fn each_namespace_is_read_under_its_own_tenants_user() {
    let spread = both("/api/v1/pods?limit=500&labelSelector=a%3Db&timeout=9s&resourceVersion=7");
    let sent: Vec<String> = spread
        .parts()
        .iter()
        .map(|part| {
            let request = spread.list(part, At::AsAsked, Some(3));
            let Credential::Forwarder { user, person } = request.credential() else {
                panic!("not the forwarder");
            };
            assert_eq!(request.namespace(), Some(part.namespace()));
            format!("{user} {person} {}", request.target())
        })
        .collect();
    let query = "labelSelector=a%3Db&limit=3&resourceVersion=7";
    assert_eq!(
        sent,
        [
            format!("bulkhead:tenant:acme:viewer alice /api/v1/namespaces/acme-1/pods?{query}"),
            format!("bulkhead:tenant:acme:viewer alice /api/v1/namespaces/acme/pods?{query}"),
            format!("bulkhead:tenant:beta:viewer alice /api/v1/namespaces/beta-x/pods?{query}"),
        ]
    );
}

#[test]
fn the_state_that_is_meant_replaces_what_was_asked() {
    let spread = both(
        "/api/v1/pods?limit=5&resourceVersion=7&resourceVersionMatch=NotOlderThan&continue=abc&timeoutSeconds=4",
    );
    let part = &spread.parts()[0];
    for (at, limit, query) in [
        (
            At::AsAsked,
            None,
            "?resourceVersion=7&resourceVersionMatch=NotOlderThan",
        ),
        (At::Newest, None, ""),
        (
            At::Exact(9),
            Some(2),
            "?limit=2&resourceVersion=9&resourceVersionMatch=Exact",
        ),
        (At::Continue("xyz"), Some(2), "?continue=xyz&limit=2"),
    ] {
        assert_eq!(
            spread.list(part, at, limit).target(),
            format!("/api/v1/namespaces/acme-1/pods{query}")
        );
    }
}

#[test]
fn a_watch_is_one_watch_for_each_from_the_same_state() {
    let spread = both(
        "/api/v1/pods?watch=true&resourceVersion=0&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&labelSelector=a",
    );
    let part = &spread.parts()[1];
    assert_eq!(
        spread.watch(part, 9, 30).target(),
        "/api/v1/namespaces/acme/pods?allowWatchBookmarks=true&labelSelector=a&resourceVersion=9&timeoutSeconds=30&watch=true"
    );
    assert_eq!(
        spread.list(part, At::AsAsked, Some(5)).target(),
        "/api/v1/namespaces/acme/pods?labelSelector=a&limit=5&resourceVersion=0&resourceVersionMatch=NotOlderThan"
    );
    let newest =
        both("/api/v1/pods?watch=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true");
    assert_eq!(
        newest.list(part, At::AsAsked, None).target(),
        "/api/v1/namespaces/acme/pods"
    );
    let fewer = self::spread("/api/v1/pods", vec![member("acme", &["acme"])]);
    assert!(newest.holds(&fewer) && !fewer.holds(&newest));
}

#[test]
fn the_namespaces_are_asked_for_by_the_reader_under_the_tenants_labels() {
    let request = both("/api/v1/pods").namespaces(Some(9));
    assert_eq!(request.credential(), &Credential::Reader);
    assert_eq!(
        request.target(),
        "/api/v1/namespaces?labelSelector=bulkhead.dev%2Ftenant%20in%20%28acme%2Cbeta%29%2Cbulkhead.dev%2Ftenant-uid%20in%20%28u-acme%2Cu-beta%29&resourceVersion=9&resourceVersionMatch=Exact"
    );
}

#[test]
fn another_set_of_namespaces_is_another() {
    let spread = both("/api/v1/pods");
    let same = [
        ("beta-x", "beta", "u-beta"),
        ("acme", "acme", "u-acme"),
        ("acme-1", "acme", "u-acme"),
    ];
    assert!(spread.is_of(same));
    assert!(!spread.is_of(same[..2].to_vec()));
    assert!(!spread.is_of([same[0], same[1], ("acme-1", "acme", "u-0")]));
    // A namespace whose labels mix two tenants is neither's.
    let mixed = ("acme-2", "acme", "u-beta");
    assert!(spread.is_of([same[0], same[1], same[2], mixed]));
    assert!(!spread.is_of([same[0], same[1], mixed]));
}

#[test]
fn pages_of_another_list_are_told_apart() {
    let identity = |target| both(target).identity();
    let pods = identity("/api/v1/pods");
    assert_eq!(pods, identity("/api/v1/pods?limit=5&continue=abc"));
    for other in [
        "/api/v1/services",
        "/apis/x.dev/v1/pods",
        "/api/v1/pods?labelSelector=a",
        "/api/v1/pods?fieldSelector=a%3Db",
    ] {
        assert_ne!(pods, identity(other), "{other}");
    }
    assert_ne!(
        pods,
        spread("/api/v1/pods", vec![member("acme", &["acme", "acme-1"])]).identity()
    );
}
