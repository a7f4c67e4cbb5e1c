use std::collections::HashSet;

use bulkhead_model::{NamespaceName, Prefix, SyntheticUser, TenantName, Uid};
use serde_json::json;

use super::*;
use crate::{Body, Caller, Credential, Membership, Outcome, PatchType, parse, scope};

fn caller() -> Caller {
    Caller {
        person: "alice".into(),
        memberships: vec![Membership {
            tenant: TenantName::parse("acme").unwrap(),
            uid: Uid::parse("u-1").unwrap(),
            user: SyntheticUser::parse("bulkhead:tenant:acme:admin").unwrap(),
            prefix: Prefix::parse("acme-").unwrap(),
            cordoned: false,
            usable: crate::Usable::everything(),
            namespaces: [NamespaceName::parse("acme-app").unwrap()].into(),
        }],
    }
}

/// What is really decided. None if the path or its method has no form.
fn decided(subject: &Subject<'_>) -> Option<Answer> {
    let root = match subject.group {
        "" => "/api/v1".to_owned(),
        group => format!("/apis/{group}/v1"),
    };
    let place = match subject.place {
        Place::Own => "acme-app",
        Place::Others => "globex-app",
        Place::Nowhere => "",
    };
    let collective = collective(subject);
    let mut path = match (subject.resource, place) {
        ("namespaces", "") => format!("{root}/namespaces"),
        ("namespaces", place) => format!("{root}/namespaces/{place}"),
        (resource, "") => format!("{root}/{resource}"),
        (resource, place) => format!("{root}/namespaces/{place}/{resource}"),
    };
    let named = subject.resource == "namespaces" && !place.is_empty();
    match (collective, named) {
        (true, true) => return None,
        (false, false) => path.push_str("/x"),
        _ => {}
    }
    if let Some(sub) = subject.subresource {
        if collective {
            return None;
        }
        path = format!("{path}/{sub}");
    }
    if subject.verb == Verb::Watch {
        path.push_str("?watch=true");
    }
    let object = json!({"metadata": {"name": "acme-new"}, "spec": {}});
    let connects = matches!(subject.subresource, Some("exec" | "attach" | "portforward"));
    let body = match subject.verb {
        Verb::Create | Verb::Update if !connects => Body::Object(object),
        Verb::Patch => Body::Patch(PatchType::Merge, object),
        _ => Body::Empty,
    };
    let outcome =
        parse(subject.verb.method(), &path).and_then(|asked| scope(asked, &caller(), body));
    Some(match outcome {
        Ok(Outcome::Forward(request)) if request.credential() == &Credential::Reader => {
            Answer::Narrowed
        }
        Ok(Outcome::Forward(_)) if subject.resource.starts_with("selfsubject") => Answer::Computed,
        Ok(Outcome::Forward(_)) => Answer::Passed,
        Ok(Outcome::Spread(_)) => Answer::Narrowed,
        Ok(Outcome::Answer(_) | Outcome::Each { .. }) => Answer::Computed,
        Err(denial) => Answer::Refused(denial.status),
    })
}

fn collective(subject: &Subject<'_>) -> bool {
    matches!(
        subject.verb,
        Verb::List | Verb::Watch | Verb::DeleteCollection
    ) || subject.verb == Verb::Create && subject.subresource.is_none()
}

const VERBS: [Verb; 8] = [
    Verb::Get,
    Verb::List,
    Verb::Watch,
    Verb::Create,
    Verb::Update,
    Verb::Patch,
    Verb::Delete,
    Verb::DeleteCollection,
];

#[test]
fn the_table_says_what_is_decided() {
    let kinds = [
        ("", "pods"),
        ("", "secrets"),
        ("", "bindings"),
        ("", "namespaces"),
        ("", "nodes"),
        ("apps", "deployments"),
        ("example.com", "things"),
        ("bulkhead.dev", "tenants"),
        ("storage.k8s.io", "storageclasses"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    ];
    let parts = [
        None,
        Some("status"),
        Some("finalize"),
        Some("binding"),
        Some("log"),
        Some("scale"),
        Some("exec"),
        Some("portforward"),
        Some("proxy"),
        Some("token"),
        Some("unheard"),
    ];
    let mut seen = HashSet::new();
    let mut tried = 0;
    for (group, resource) in kinds {
        for subresource in parts {
            for verb in VERBS {
                for place in [Place::Own, Place::Others, Place::Nowhere] {
                    let subject = Subject {
                        group,
                        resource,
                        subresource,
                        verb,
                        place,
                    };
                    if skipped(&subject) {
                        continue;
                    }
                    let Some(decided) = decided(&subject) else {
                        continue;
                    };
                    let row = row(&subject).unwrap();
                    assert_eq!(decided, row.answer, "{subject:?}: {}", row.paths);
                    seen.insert(row.paths.to_owned() + row.verbs);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 500, "{tried}");
    for row in ROWS {
        let key = row.paths.to_owned() + row.verbs;
        assert!(seen.contains(&key), "nothing fits {key}");
    }
}

/// What no client of Kubernetes' could mean: kinds of the cluster inside a namespace, parts of what
/// has none, methods that the parser refuses.
fn skipped(subject: &Subject<'_>) -> bool {
    let named = subject.resource == "namespaces";
    let reviews = subject.resource.starts_with("selfsubject");
    let connection = matches!(subject.subresource, Some("exec" | "attach" | "portforward"));
    (cluster_scoped(subject) && !named && subject.place != Place::Nowhere)
        || (named && !matches!(subject.subresource, None | Some("status" | "finalize")))
        || (subject.place == Place::Nowhere && subject.subresource.is_some())
        // The name is the place.
        || (named && subject.place == Place::Nowhere && !collective(subject))
        || (reviews && subject.verb != Verb::Create)
        || (connection
            && (subject.resource != "pods" || !matches!(subject.verb, Verb::Get | Verb::Create)))
        || (subject.subresource == Some("binding") && subject.resource == "bindings")
}
