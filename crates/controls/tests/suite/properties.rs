//! Mending, over pods that nobody would write.

use bulkhead_controls::{Facts, judge, mend_and_judge};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::admission::{create, mended, pod, strict};

/// One of these values under a key, or nothing.
fn field(key: &'static str, values: Vec<Value>) -> impl Strategy<Value = Option<(String, Value)>> {
    proptest::option::of(proptest::sample::select(values).prop_map(move |v| (key.to_owned(), v)))
}

fn object(fields: Vec<BoxedStrategy<Option<(String, Value)>>>) -> impl Strategy<Value = Value> {
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect::<Map<_, _>>()))
}

/// A security context. The good values alone, or with bad and odd ones among them.
fn context(bad: bool) -> impl Strategy<Value = Value> {
    let values = |good: Vec<Value>, more: Vec<Value>| {
        good.into_iter()
            .chain(more.into_iter().filter(|_| bad))
            .collect::<Vec<_>>()
    };
    let null = Value::Null;
    object(vec![
        field(
            "runAsNonRoot",
            values(
                vec![json!(true), null.clone()],
                vec![json!(false), json!("x")],
            ),
        )
        .boxed(),
        field(
            "runAsUser",
            values(vec![json!(1000)], vec![json!(0), json!("root")]),
        )
        .boxed(),
        field(
            "allowPrivilegeEscalation",
            values(vec![json!(false), null.clone()], vec![json!(true)]),
        )
        .boxed(),
        field("privileged", values(vec![json!(false)], vec![json!(true)])).boxed(),
        field(
            "seccompProfile",
            values(
                vec![json!({"type": "RuntimeDefault"}), null.clone()],
                vec![json!({}), json!({"type": "Unconfined"}), json!([])],
            ),
        )
        .boxed(),
        field(
            "capabilities",
            values(
                vec![
                    json!({}),
                    json!({"drop": ["ALL"]}),
                    json!({"drop": []}),
                    json!({"add": []}),
                    null,
                ],
                vec![
                    json!({"drop": ["KILL"]}),
                    json!({"add": ["CAP_SYS_ADMIN"]}),
                    json!(1),
                ],
            ),
        )
        .boxed(),
    ])
}

fn containers(bad: bool) -> impl Strategy<Value = Value> {
    let container = proptest::option::of(context(bad)).prop_map(|context| match context {
        Some(context) => json!({"name": "c", "securityContext": context}),
        None => json!({"name": "c"}),
    });
    proptest::collection::vec(container, 0..3).prop_map(Value::Array)
}

fn pods(bad: bool) -> impl Strategy<Value = Value> {
    let system = if bad {
        vec![json!({"name": "windows"}), json!({"name": "linux"})]
    } else {
        vec![json!({"name": "linux"})]
    };
    (
        proptest::option::of(context(bad)),
        containers(bad),
        containers(bad),
        field("os", system),
        proptest::bool::ANY,
    )
        .prop_map(move |(context, init, ordinary, system, annotated)| {
            let mut pod = pod(json!({
                "securityContext": context, "initContainers": init, "containers": ordinary,
            }));
            if let Some((key, system)) = system {
                pod["spec"][key] = system;
            }
            if bad && annotated {
                pod["metadata"]["annotations"] =
                    json!({"seccomp.security.alpha.kubernetes.io/pod": "unconfined"});
            }
            pod
        })
}

/// Whether everything that is set in `before` stands unchanged in `after`.
fn kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Array(list), _) if list.is_empty() => after.is_array(),
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(key, value)| {
            value.is_null() || after.get(key).is_some_and(|after| kept(value, after))
        }),
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(b, a)| kept(b, a))
        }
        _ => before == after,
    }
}

/// Any JSON at all.
fn json() -> impl Strategy<Value = Value> {
    let keys = proptest::sample::select(vec![
        "metadata",
        "annotations",
        "spec",
        "os",
        "name",
        "containers",
        "initContainers",
        "volumes",
        "securityContext",
        "capabilities",
        "add",
        "drop",
        "seccompProfile",
        "type",
        "privileged",
        "template",
        "jobTemplate",
        "ports",
        "hostPort",
        "hostPath",
        "projected",
        "sources",
        "ephemeral",
        "volumeClaimTemplate",
        "volumeClaimTemplates",
        "volumeName",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z~/]{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((keys.clone(), inner), 0..6).prop_map(|entries| {
                Value::Object(
                    entries
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn mending_twice_is_mending_once(pod in pods(true)) {
        if let Some(once) = mended(&create(pod), Facts::NONE) {
            prop_assert_eq!(mended(&create(once), Facts::NONE), None);
        }
    }

    #[test]
    fn mending_changes_nothing_that_is_set(pod in pods(true)) {
        if let Some(mended) = mended(&create(pod.clone()), Facts::NONE) {
            prop_assert!(kept(&pod, &mended), "{pod}\n{mended}");
            prop_assert_ne!(pod, mended);
        }
    }

    #[test]
    fn the_patch_does_what_mending_does(pod in pods(true)) {
        let mut request = create(pod.clone());
        match mend_and_judge(&mut request, &strict(), Facts::NONE) {
            Ok((operations, _)) => {
                let operations: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
                let mut patched = pod.clone();
                json_patch::patch(&mut patched, &operations).unwrap();
                prop_assert_eq!(request.object.as_ref(), Some(&patched.clone().into()));
                prop_assert_eq!(mended(&create(pod.clone()), Facts::NONE).unwrap_or(pod), patched);
            }
            Err(unjudged) => prop_assert_eq!(judge(&create(pod), &strict(), Facts::NONE), Err(unjudged)),
        }
    }

    #[test]
    fn a_pod_with_nothing_bad_in_it_passes_once_mended(pod in pods(false)) {
        let mended = mended(&create(pod.clone()), Facts::NONE).unwrap_or(pod);
        prop_assert_eq!(judge(&create(mended.clone()), &strict(), Facts::NONE), Ok(vec![]), "{}", mended);
    }

    #[test]
    fn any_object_gets_an_answer(object in json(), kind in proptest::sample::select(vec![
        ("v1", "Pod"), ("apps/v1", "StatefulSet"), ("batch/v1", "CronJob"), ("v1", "Service"),
        ("v1", "PersistentVolumeClaim"), ("v1", "PodTemplate"),
    ])) {
        let mut request = create(json!({"apiVersion": kind.0, "kind": kind.1}));
        request.object = Some(object.into());
        let _ = crate::admission::admit(request, &strict());
    }
}
