use bulkhead_model::{Prefix, SyntheticUser, Uid};
use serde_json::json;

use super::*;
use crate::{Body, Credential, Membership, Outcome, parse, scope};

fn member(tenant: &str, usable: Usable) -> Membership {
    Membership {
        tenant: TenantName::parse(tenant).unwrap(),
        uid: Uid::parse("u-1").unwrap(),
        user: SyntheticUser::parse(&format!("bulkhead:tenant:{tenant}:viewer")).unwrap(),
        prefix: Prefix::parse(format!("{tenant}-")).unwrap(),
        cordoned: true,
        usable,
        namespaces: BTreeSet::new(),
    }
}

fn classes(kind: Kind, list: &str) -> Usable {
    Usable {
        dedicated: false,
        classes: [(kind, serde_json::from_str(list).unwrap())].into(),
    }
}

fn dedicated() -> Usable {
    Usable {
        dedicated: true,
        classes: BTreeMap::new(),
    }
}

fn caller(memberships: Vec<Membership>) -> Caller {
    Caller {
        person: "alice".into(),
        memberships,
    }
}

/// The target that goes upstream, or the status of the refusal.
fn sent(caller: &Caller, method: &str, target: &str) -> Result<String, u16> {
    match parse(method, target).and_then(|asked| scope(asked, caller, Body::Empty)) {
        Ok(Outcome::Forward(scoped)) => {
            assert_eq!(scoped.credential(), &Credential::Reader);
            assert!(scoped.sight().is_some() && scoped.sees_the_same(caller));
            Ok(scoped.target())
        }
        Ok(other) => panic!("{other:?}"),
        Err(denial) => Err(denial.status),
    }
}

#[test]
fn kinds_of_the_cluster_are_read_and_never_written() {
    let two = caller(vec![
        member("acme", dedicated()),
        member(
            "beta",
            classes(
                Kind::StorageClasses,
                r#"{"allowed":["gold"],"allowedRegex":"b-.*"}"#,
            ),
        ),
    ]);
    let none = caller(vec![member("acme", Usable::default())]);
    let nodes = "node-restriction.kubernetes.io%2Ftenant";
    let storage = "/apis/storage.k8s.io/v1/storageclasses";
    for (caller, target, expected) in [
        (
            &two,
            "/api/v1/nodes?labelSelector=x&limit=5",
            Ok(format!(
                "/api/v1/nodes?includeObject=Object&labelSelector={nodes}%20in%20%28acme%29%2Cx"
            )),
        ),
        (
            &two,
            "/api/v1/nodes/n-1",
            Ok("/api/v1/nodes/n-1?includeObject=Object".into()),
        ),
        (&two, "/api/v1/nodes?continue=abc", Err(410)),
        (&two, "/api/v1/nodes/n-1/proxy/metrics", Err(501)),
        (&two, "/api/v1/nodes/n-1/status", Err(404)),
        (
            &none,
            "/api/v1/nodes",
            Ok(format!(
                "/api/v1/nodes?includeObject=Object&labelSelector={nodes}%2C%21{nodes}"
            )),
        ),
        (&none, "/api/v1/nodes/n-1", Err(404)),
        (
            &two,
            &format!("{storage}/gold"),
            Ok(format!("{storage}/gold?includeObject=Object")),
        ),
        (
            &two,
            &format!("{storage}/b-x"),
            Ok(format!("{storage}/b-x?includeObject=Object")),
        ),
        (&two, &format!("{storage}/silver"), Err(404)),
        (&none, &format!("{storage}/gold"), Err(404)),
        (
            &none,
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            Ok("/apis/scheduling.k8s.io/v1/priorityclasses?includeObject=Object".into()),
        ),
        (&none, "/api/v1/persistentvolumes", Err(404)),
    ] {
        assert_eq!(sent(caller, "GET", target), expected, "{target}");
        assert_eq!(sent(caller, "DELETE", "/api/v1/nodes/n-1"), Err(403));
    }
}

#[test]
fn only_what_may_be_used_is_shown() {
    let of = |kind: (&str, &str), usable: Usable| {
        let caller = caller(vec![member("acme", usable)]);
        Sight::of_kind(kind.0, kind.1, &caller, Include::Metadata).unwrap()
    };
    let nodes = of(("", "nodes"), dedicated());
    let node =
        |tenant: &str| json!({"metadata": {"name": "n", "labels": {labels::NODE_TENANT: tenant}}});
    assert!(nodes.shows(&node("acme")) && !nodes.shows(&node("beta")));
    assert!(!nodes.shows(&json!({"metadata": {"name": "n"}})));
    assert!(!of(("", "nodes"), Usable::default()).shows(&node("acme")));

    let storage = of(
        ("storage.k8s.io", "storageclasses"),
        classes(Kind::StorageClasses, r#"{"default":"gold"}"#),
    );
    assert!(storage.shows(&json!({"metadata": {"name": "gold"}})));
    assert!(!storage.shows(&json!({"metadata": {"name": "silver"}})) && !storage.shows(&json!({})));

    let kinds = of(
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        Usable::default(),
    );
    let kind = |group: &str, scope: &str| json!({"spec": {"group": group, "scope": scope, "names": {"plural": "things"}}});
    assert!(kinds.shows(&kind("example.com", "Namespaced")));
    assert!(!kinds.shows(&kind("example.com", "Cluster")));
    assert!(!kinds.shows(&kind("bulkhead.dev", "Namespaced")) && !kinds.shows(&json!({})));
}

#[test]
fn what_is_shown_is_trimmed() {
    let caller = caller(vec![member("acme", dedicated())]);
    let trimmed = |kind: (&str, &str), mut object: Value| {
        let sight = Sight::of_kind(kind.0, kind.1, &caller, Include::Metadata).unwrap();
        sight.trim(&mut object);
        object
    };
    let node = json!({
        "metadata": {"name": "n", "annotations": {"a": "b"}, "managedFields": []},
        "spec": {"podCIDR": "10.0.0.0/24", "providerID": "aws:///i-1", "taints": []},
        "status": {
            "images": [{"names": ["globex/secret-project"]}],
            "volumesInUse": ["vol-1"], "capacity": {"cpu": "1"},
            "nodeInfo": {"machineID": "1", "kubeletVersion": "v1.36.3"},
        },
    });
    assert_eq!(
        trimmed(("", "nodes"), node),
        json!({
            "metadata": {"name": "n"},
            "spec": {"taints": []},
            "status": {"capacity": {"cpu": "1"}, "nodeInfo": {"kubeletVersion": "v1.36.3"}},
        })
    );
    let class = json!({
        "metadata": {"name": "gold", "annotations": {
            "storageclass.kubernetes.io/is-default-class": "true",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        }},
        "provisioner": "p", "parameters": {"csi.storage.k8s.io/provisioner-secret-name": "s"},
    });
    assert_eq!(
        trimmed(("storage.k8s.io", "storageclasses"), class),
        json!({
            "metadata": {"name": "gold", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "p",
        })
    );
    for (kind, object, left) in [
        (
            ("apiextensions.k8s.io", "customresourcedefinitions"),
            json!({"spec": {"conversion": {}, "scope": "x"}}),
            json!({"spec": {"scope": "x"}}),
        ),
        (
            ("networking.k8s.io", "ingressclasses"),
            json!({"spec": {"parameters": {}, "controller": "x"}}),
            json!({"spec": {"controller": "x"}}),
        ),
        (
            ("gateway.networking.k8s.io", "gatewayclasses"),
            json!({"spec": {"parametersRef": {}}}),
            json!({"spec": {}}),
        ),
        (
            ("resource.k8s.io", "deviceclasses"),
            json!({"spec": {"config": [], "selectors": []}}),
            json!({"spec": {"selectors": []}}),
        ),
        (
            ("scheduling.k8s.io", "priorityclasses"),
            json!({"value": 1}),
            json!({"value": 1}),
        ),
        (
            ("node.k8s.io", "runtimeclasses"),
            json!({"handler": "x"}),
            json!({"handler": "x"}),
        ),
    ] {
        assert_eq!(trimmed(kind, object), left, "{kind:?}");
    }
}
