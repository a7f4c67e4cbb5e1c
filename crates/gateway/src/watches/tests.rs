use bulkhead_model::{NamespaceName, Prefix, SyntheticUser, TenantName, Uid};
use bulkhead_scope::{Body as RequestBody, Caller, Membership, Outcome, parse, scope};

use super::*;

fn asked(query: &str) -> Result<Asked, u16> {
    let caller = Caller {
        person: "alice".into(),
        memberships: vec![Membership {
            tenant: TenantName::parse("acme").unwrap(),
            uid: Uid::parse("u-1").unwrap(),
            user: SyntheticUser::parse("bulkhead:tenant:acme:admin").unwrap(),
            prefix: Prefix::parse("acme-").unwrap(),
            cordoned: false,
            usable: bulkhead_scope::Usable::default(),
            namespaces: [NamespaceName::parse("acme-app").unwrap()].into(),
        }],
    };
    let request = parse("GET", &format!("/api/v1/pods?watch=true&{query}")).unwrap();
    match scope(request, &caller, RequestBody::Empty) {
        Ok(Outcome::Spread(spread)) => Asked::of(&spread, 7).map_err(|denial| denial.status),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_watch_begins_where_the_api_server_would_begin_it() {
    for (query, from, marks_end) in [
        ("", From::Listed, false),
        ("resourceVersion=0", From::Listed, false),
        ("resourceVersion=17", From::Version(17), false),
        (
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            From::Listed,
            true,
        ),
        (
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=17",
            From::Listed,
            true,
        ),
        (
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
            From::Now,
            false,
        ),
        (
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=17",
            From::Version(17),
            false,
        ),
    ] {
        let got = asked(query).unwrap();
        assert_eq!((got.from, got.marks_end), (from, marks_end), "{query}");
        assert!(!got.bookmarks);
    }
    for (query, status) in [
        ("sendInitialEvents=true", 422),
        (
            "sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1",
            422,
        ),
        ("resourceVersionMatch=NotOlderThan&resourceVersion=1", 422),
        ("resourceVersion=abc", 400),
    ] {
        assert_eq!(asked(query), Err(status), "{query}");
    }
}

#[test]
fn no_watch_lives_longer_than_the_longest() {
    for (query, seconds) in [
        ("timeoutSeconds=9", 9),
        ("timeoutSeconds=9999", MAX_WATCH_SECONDS),
        ("timeoutSeconds=0", MAX_WATCH_SECONDS - 7),
        ("", MAX_WATCH_SECONDS - 7),
    ] {
        assert_eq!(asked(query).unwrap().seconds, seconds, "{query}");
    }
    assert!(asked("allowWatchBookmarks=true").unwrap().bookmarks);
}

fn body(lines: &[String]) -> Body {
    bulkhead_serve::full(lines.concat())
}

fn change(version: u64) -> String {
    format!(
        "{{\"type\":\"ADDED\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{version}\"}}}}}}\n"
    )
}

/// What a client hears of these watches, from resource version 100 on.
async fn merged(watches: Vec<Vec<String>>) -> (String, Result<(), Stop>) {
    let mut writer = Writer::whole();
    let bodies = watches.iter().map(|lines| body(lines)).collect();
    let result = merge(&mut writer, 100, false, bodies).await;
    let text = String::from_utf8(writer.into_bytes()).unwrap();
    (text, result)
}

#[tokio::test]
async fn events_of_many_watches_are_told_in_one_order() {
    let (text, result) = merged(vec![
        vec![change(101), change(104), change(106)],
        vec![change(103), change(105)],
        vec![],
    ])
    .await;
    assert!(result.is_ok());
    let all: String = [101, 103, 104, 105, 106].map(change).concat();
    // What is held when a watch ends may be left out, from its end; nothing before that.
    assert!(all.starts_with(&text), "{text}");
}

#[tokio::test]
async fn an_error_or_an_event_that_is_too_old_ends_the_watch() {
    let error = "{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n".to_owned();
    let (text, result) = merged(vec![vec![error.clone(), change(101)]]).await;
    assert!(result.is_ok());
    assert_eq!(text, error);
    let (_, result) = merged(vec![vec![change(100)], vec![]]).await;
    assert!(matches!(result, Err(Stop::Denied(denial)) if denial.status == 410));
    let (_, result) = merged(vec![vec!["nonsense\n".to_owned()]]).await;
    assert!(matches!(result, Err(Stop::Denied(denial)) if denial.status == 500));
}
