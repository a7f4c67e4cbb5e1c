//! What is promised of the readers of bytes from outside, whatever the bytes are: held against the
//! files of `corpus/`, and against what becomes of them if something is changed.

use std::time::Duration;

use bulkhead_model::json;
use bulkhead_scope::{Body, PatchType, Verb, parse};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;

use crate::lists::{Position, Seal};
use crate::{accept, authn, body, headers};

/// A head: lines of `name: value`. What goes upstream of it is text of ours, and one line.
fn head(bytes: &[u8]) {
    let mut map = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            map.append(name, value);
        }
    }
    let agent = headers::user_agent(&map);
    if agent.len() > 256 || !agent.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        panic!("the agent `{agent}` does not stand in a log");
    }
    if headers::screen(&map).is_ok()
        && map
            .keys()
            .any(|name| name.as_str().starts_with("impersonate-"))
    {
        panic!("somebody is impersonated");
    }
    let _ = authn::bearer(&map);
    let _ = headers::one(&map, &header::CONTENT_TYPE);
    let accepted: Vec<&str> = map
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    for target in [
        "/api/v1/pods",
        "/apis",
        "/openapi/v2",
        "/openapi/v3",
        "/version",
    ] {
        let Ok(asked) = parse("GET", target) else {
            panic!("`{target}` is refused")
        };
        let Ok(forms) = accept::negotiate(&accepted, asked.path()) else {
            continue;
        };
        let known = |form: &str| {
            [
                "application/json",
                "application/com.github.proto-openapi.spec.v2",
                "*/*",
            ]
            .iter()
            .any(|known| form.trim().starts_with(known))
        };
        if !forms.split(',').all(known) || forms.contains("cbor") {
            panic!("`{forms}` is asked for");
        }
    }
}

/// A token by which a list goes on: none opens that we have not made for that list.
fn token(bytes: &[u8]) {
    let (seal, now) = (Seal::of(b"secret"), Duration::from_secs(1_767_323_045));
    let text = String::from_utf8_lossy(bytes);
    if seal.open(&text, "alice", now).is_ok() {
        panic!("a token of another's making is taken");
    }
    let position = Position {
        version: u64::try_from(bytes.len()).unwrap_or_default(),
        namespace: "acme-app".into(),
        after: text.replace('\n', ""),
    };
    let ours = seal.close(&position, "alice", now);
    if seal.open(&ours, "alice", now).as_ref() != Ok(&position) {
        panic!("a token of ours is not taken");
    }
    let others = [
        seal.open(&ours, "bob", now),
        seal.open(&ours, "alice", now + Duration::from_secs(300)),
        Seal::of(b"other").open(&ours, "alice", now),
    ];
    if others.iter().any(Result::is_ok) {
        panic!("a token opens what it was not made for");
    }
}

/// A body, after one byte that says in which form: what is read of it has one reading, which is
/// what goes upstream.
fn body(bytes: &[u8]) {
    let Some((form, bytes)) = bytes.split_first() else {
        return;
    };
    let (media, verb) = match form % 6 {
        0 => ("application/json", Verb::Create),
        1 => ("application/yaml", Verb::Update),
        2 => ("application/vnd.kubernetes.protobuf", Verb::Create),
        3 => (PatchType::Apply.media_type(), Verb::Patch),
        4 => (PatchType::Json.media_type(), Verb::Patch),
        _ => (PatchType::Strategic.media_type(), Verb::Patch),
    };
    let Ok(read) = body::parse(Some(media), bytes, verb) else {
        return;
    };
    match read {
        Body::Empty if bytes.is_empty() => {}
        Body::Empty => panic!("a body is dropped"),
        Body::Object(value) | Body::Patch(_, value) => {
            let sent = value.to_string();
            let again = json::parse(sent.as_bytes()).map(Value::from);
            if !again.is_ok_and(|again| again == value) {
                panic!("what is sent reads otherwise: {sent}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Promise = fn(&[u8]);

    const PROMISES: [(&str, Promise); 3] = [("heads", head), ("tokens", token), ("bodies", body)];

    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap();
        files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }

    #[test]
    fn the_corpora_keep_their_promises() {
        for (target, promise) in PROMISES {
            let corpus = corpus(target);
            assert!(corpus.len() > 1, "{target} has no corpus");
            corpus.iter().for_each(|bytes| promise(bytes));
        }
    }

    #[test]
    fn the_corpus_of_bodies_is_read() {
        let read = corpus("bodies").into_iter().filter(|bytes| {
            let media = ["application/json", "application/yaml"].get(usize::from(bytes[0]));
            media.is_some_and(|media| body::parse(Some(media), &bytes[1..], Verb::Create).is_ok())
        });
        assert!(read.count() >= 2);
    }

    proptest! {
        #[test]
        fn what_is_changed_in_the_corpora_breaks_no_promise(
            which in 0..PROMISES.len(),
            file in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            with in prop::collection::vec(any::<u8>(), 0..6),
            cut in 0..9_usize,
        ) {
            let (target, promise) = PROMISES[which];
            let mut bytes = file.get(&corpus(target)).clone();
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, with);
            promise(&bytes);
        }
    }
}
