use super::*;

fn lease(holder: &str, renewed: &str) -> Value {
    json!({
        "metadata": {"uid": "u", "resourceVersion": renewed},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
    })
}

async fn election() -> Election {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let text = r#"{"apiVersion":"v1","kind":"Config","current-context":"x",
        "clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],
        "users":[{"name":"u","user":{"token":"t"}}],
        "contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}]}"#;
    std::fs::write(&path, text).unwrap();
    let cluster = Cluster::connect(&path).await.unwrap();
    Election::new(
        &cluster,
        "controller",
        "me".to_owned(),
        LeaseTimes::default(),
    )
}

#[tokio::test]
async fn a_lease_is_taken_only_once_it_has_not_changed_for_its_duration() {
    let mut me = election().await;
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(me.decide(None, start), Move::Create);
    assert_eq!(me.decide(Some(&lease("me", "1")), start), Move::Renew);
    assert_eq!(
        me.decide(Some(&lease("", "1")), start),
        Move::Take,
        "it was let go"
    );
    let other = lease("other", "1");
    assert_eq!(
        me.decide(Some(&other), at(100)),
        Move::Wait,
        "not seen before"
    );
    me.note(other.clone(), start);
    assert_eq!(me.decide(Some(&other), at(14)), Move::Wait);
    let renewed = lease("other", "2");
    assert_eq!(
        me.decide(Some(&renewed), at(20)),
        Move::Wait,
        "it was renewed"
    );
    me.note(renewed.clone(), at(20));
    assert_eq!(me.decide(Some(&renewed), at(34)), Move::Wait);
    me.note(renewed.clone(), at(34));
    assert_eq!(
        me.decide(Some(&renewed), at(35)),
        Move::Take,
        "looking does not make it younger"
    );
}

#[tokio::test]
async fn a_lease_that_was_made_anew_is_another() {
    let mut me = election().await;
    let start = Instant::now();
    let mut other = lease("other", "1");
    me.note(other.clone(), start);
    other["metadata"]["uid"] = json!("v");
    assert_eq!(
        me.decide(Some(&other), start + Duration::from_secs(60)),
        Move::Wait
    );
}

#[test]
fn a_fence_falls_by_the_clock() {
    let fence = Fence::default();
    assert!(!fence.stands(), "nobody leads at first");
    fence.set(Some(Instant::now() + Duration::from_secs(60)));
    assert!(fence.clone().stands());
    fence.set(Some(Instant::now()));
    assert!(!fence.stands());
}

#[tokio::test]
async fn nothing_is_written_behind_a_fence_that_is_down() {
    let me = election().await;
    let cluster = me.cluster.fenced(me.fence());
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}});
    let reference = ObjectRef::of(&object).unwrap();
    let refused = [
        cluster.apply(&object).await.err(),
        cluster.apply_status(&object).await.err(),
        cluster.create(&object).await.err(),
        cluster.replace(&object).await.err(),
        cluster.merge_patch(&reference, &object).await.err(),
        cluster
            .delete(&reference, &crate::DeleteOptions::default())
            .await
            .err(),
    ];
    for error in refused {
        assert!(is_fenced(error.as_ref()), "{error:?}");
    }
    assert!(
        !is_fenced(cluster.get(&reference).await.err().as_ref()),
        "reading is free"
    );
}

fn is_fenced(error: Option<&ClusterError>) -> bool {
    matches!(
        error.and_then(ClusterError::failure),
        Some(crate::Failure::NotLeading)
    )
}

#[test]
fn times_are_written_as_leases_have_them() {
    let text = micro_time();
    assert_eq!(text.len(), "2026-01-02T03:04:05.000006Z".len(), "{text}");
}
