//! The decoder against Go's own encoder, and against bodies that no encoder writes.
#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bulkhead_protobuf::to_json;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Sample {
    protobuf: String,
    json: Value,
}

fn fixtures() -> Vec<(Vec<u8>, Value)> {
    include_str!("fixtures.jsonl")
        .lines()
        .map(|line| {
            let sample: Sample = serde_json::from_str(line).unwrap();
            (
                BASE64_STANDARD.decode(sample.protobuf).unwrap(),
                sample.json,
            )
        })
        .collect()
}

/// A field that holds bytes: text, a message.
fn bytes(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [
        encode(number << 3 | 2),
        encode(content.len() as u64),
        content.to_vec(),
    ]
    .concat()
}

/// A field that holds a number.
fn number(number: u64, value: i64) -> Vec<u8> {
    [encode(number << 3), encode(value.cast_unsigned())].concat()
}

fn encode(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn body(parts: &[Vec<u8>]) -> Vec<u8> {
    [b"k8s\0".to_vec(), parts.concat()].concat()
}

fn object(api_version: &str, kind: &str, raw: &[Vec<u8>]) -> Vec<u8> {
    let type_meta = [bytes(1, api_version), bytes(2, kind)].concat();
    body(&[
        bytes(1, type_meta),
        bytes(2, raw.concat()),
        bytes(3, ""),
        bytes(4, ""),
    ])
}

fn error(body: &[u8]) -> String {
    to_json(body).unwrap_err().to_string()
}

#[test]
fn every_kind_reads_as_go_reads_it() {
    let fixtures = fixtures();
    assert!(fixtures.len() > 140);
    for (body, json) in fixtures {
        assert_eq!(to_json(&body).unwrap(), json);
    }
}

#[test]
fn a_field_that_is_sent_is_kept_though_it_is_zero() {
    let spec = bytes(2, [number(1, 0), bytes(3, "")].concat());
    let deployment = to_json(&object("apps/v1", "Deployment", &[spec])).unwrap();
    assert_eq!(deployment["spec"]["replicas"], json!(0));
    // What Go holds by value is written even if nothing was sent.
    assert_eq!(deployment["spec"]["strategy"], json!({}));
    assert_eq!(deployment["spec"]["selector"], Value::Null);
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"],
        Value::Null
    );
    assert!(deployment["spec"].get("paused").is_none());
}

#[test]
fn bodies_that_no_encoder_writes_are_refused_with_the_field_and_what_was_expected() {
    let meta = |fields: &[Vec<u8>]| object("v1", "ConfigMap", &[bytes(1, fields.concat())]);
    let pod_container = |fields: &[Vec<u8>]| {
        let container = bytes(2, [bytes(1, "c"), fields.concat()].concat());
        object("v1", "Pod", &[bytes(2, container)])
    };
    let entry = |key: &str| bytes(2, [bytes(1, key), bytes(2, "v")].concat());
    let service = |target_port: &[u8]| {
        object(
            "v1",
            "Service",
            &[bytes(2, bytes(1, bytes(4, target_port)))],
        )
    };
    let quota = |text: &str| bytes(1, [bytes(1, "pods"), bytes(2, bytes(1, text))].concat());
    let cases = [
        (
            b"{}".to_vec(),
            "protobuf body: expected the body to start with `k8s\\0`",
        ),
        (
            body(&[]),
            "protobuf body: `typeMeta`: expected a value, found none",
        ),
        (
            body(&[bytes(1, bytes(2, "Pod")), bytes(2, "")]),
            "protobuf body: `typeMeta.apiVersion`: expected a value, found none",
        ),
        (
            body(&[bytes(1, [bytes(1, "v1"), bytes(2, "Pod")].concat())]),
            "protobuf body: `raw`: expected a value, found none",
        ),
        (
            [object("v1", "Pod", &[]), bytes(2, "")].concat(),
            "protobuf body: `2`: expected one value, found more",
        ),
        (
            body(&[bytes(1, ""), bytes(2, ""), bytes(4, "application/json")]),
            "protobuf body: `contentType`: expected no further encoding, found `application/json`",
        ),
        (
            object("example.com/v1", "Lamp", &[]),
            "protobuf body of `example.com/v1 Lamp`: this kind is not taken in protobuf; send the object as JSON",
        ),
        (
            meta(&[bytes(1, "a"), bytes(1, "b")]),
            "protobuf body of `v1 ConfigMap`: `metadata.name`: expected one value, found more",
        ),
        (
            object("v1", "Pod", &[bytes(2, ""), bytes(2, "")]),
            "protobuf body of `v1 Pod`: `spec`: expected one value, found more",
        ),
        (
            object("v1", "ConfigMap", &[entry("k"), entry("k")]),
            "protobuf body of `v1 ConfigMap`: `data[\"k\"]`: expected one value, found more",
        ),
        (
            pod_container(&[bytes(26, "")]),
            "protobuf body of `v1 Pod`: `spec.containers[0]`: expected only fields of the Kubernetes version that this was built for, found number 26; send the object as JSON",
        ),
        (
            pod_container(&[number(2, 1)]),
            "protobuf body of `v1 Pod`: `spec.containers[0].image`: expected a length and bytes, found wire type 0",
        ),
        (
            pod_container(&[bytes(16, "")]),
            "protobuf body of `v1 Pod`: `spec.containers[0].stdin`: expected a varint, found wire type 2",
        ),
        (
            pod_container(&[bytes(2, b"\xff")]),
            "protobuf body of `v1 Pod`: `spec.containers[0].image`: expected text in UTF-8",
        ),
        (
            pod_container(&[bytes(6, [number(3, 1 << 32 | 80)].concat())]),
            "protobuf body of `v1 Pod`: `spec.containers[0].ports[0].containerPort`: expected an integer of 32 bits, found 4294967376",
        ),
        (
            object("v1", "Pod", &[bytes(2, number(11, 2))]),
            "protobuf body of `v1 Pod`: `spec.hostNetwork`: expected 0 or 1, found 2",
        ),
        (
            object("v1", "Pod", &[vec![0x12, 0x05, 0x00]]),
            "protobuf body of `v1 Pod`: expected 5 more bytes, found 1",
        ),
        (
            object("v1", "Pod", &[vec![0x13, 0x14]]),
            "protobuf body of `v1 Pod`: expected a varint or a length and bytes, found wire type 3",
        ),
        (
            object("v1", "Pod", &[vec![0x00]]),
            "protobuf body of `v1 Pod`: expected a field number from 1 to 536870911, found 0",
        ),
        (
            object("v1", "Pod", &[bytes(2, [0x58, 0x81, 0x00])]),
            "protobuf body of `v1 Pod`: `spec`: expected a varint of 64 bits in its shortest form",
        ),
        (
            meta(&[bytes(8, number(1, i64::MAX))]),
            "protobuf body of `v1 ConfigMap`: `metadata.creationTimestamp`: expected a time from year 1 to 9999, found 9223372036854775807",
        ),
        (
            service(&[number(1, 0), number(2, 80), bytes(3, "http")].concat()),
            "protobuf body of `v1 Service`: `spec.ports[0].targetPort`: expected either a number or text",
        ),
        (
            service(&number(1, 2)),
            "protobuf body of `v1 Service`: `spec.ports[0].targetPort`: expected either a number or text",
        ),
        (
            object("v1", "ResourceQuota", &[bytes(2, quota("1 Gi"))]),
            "protobuf body of `v1 ResourceQuota`: `spec.hard[\"pods\"]`: expected a quantity such as `500m` or `1Gi`, found `1 Gi`",
        ),
        (
            object(
                "apps/v1",
                "ControllerRevision",
                &[bytes(2, bytes(1, r#"{"a":1,"a":2}"#))],
            ),
            "protobuf body of `apps/v1 ControllerRevision`: `data`: expected JSON without duplicate keys and with numbers that fit 64 bits",
        ),
        (
            object("v1", "Pod", &[bytes(2, bytes(2, "").repeat(100_000))]),
            "protobuf body of `v1 Pod`: `spec.containers[83332].resources`: expected at most 250000 values in the object",
        ),
        (
            object("v1", "Pod", &[bytes(2, bytes(2, "").repeat(300_000))]),
            "protobuf body of `v1 Pod`: `spec`: expected at most 250000 values in the object",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(error(&body), expected);
    }
}

#[test]
fn times_lose_what_the_api_server_does_not_keep() {
    let time = [number(1, 1_753_900_000), number(2, 123_456_789)].concat();
    let spec = [bytes(1, "me"), bytes(3, &time)].concat();
    let lease = object(
        "coordination.k8s.io/v1",
        "Lease",
        &[bytes(1, bytes(8, &time)), bytes(2, spec)],
    );
    let lease = to_json(&lease).unwrap();
    assert_eq!(
        lease["metadata"]["creationTimestamp"],
        json!("2025-07-30T18:26:40Z")
    );
    assert_eq!(
        lease["spec"]["acquireTime"],
        json!("2025-07-30T18:26:40.123456Z")
    );
}

/// Only the two empty parts at the envelope's end may go missing unseen.
#[test]
fn a_truncated_body_is_refused_or_says_the_same() {
    for (body, json) in fixtures().iter().filter(|(body, _)| body.len() < 1500) {
        for end in 0..body.len() {
            if let Ok(value) = to_json(&body[..end]) {
                assert_eq!(value, *json);
                assert!(body.len() - end <= 4, "{end} of {}", body.len());
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = to_json(&bytes);
        let _ = to_json(&[b"k8s\0".as_slice(), &bytes].concat());
        for kind in ["Pod", "ResourceQuota", "Event"] {
            let _ = to_json(&object("v1", kind, std::slice::from_ref(&bytes)));
        }
    }

    #[test]
    fn a_damaged_body_gives_an_answer(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let fixtures = fixtures();
        let mut body = which.get(&fixtures).0.clone();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = to_json(&body);
        body.truncate(end.index(body.len()));
        let _ = to_json(&body);
    }
}
