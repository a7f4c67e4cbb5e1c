//! PodSecurityPolicies in tenants' namespaces, beside the controls. As long as there is none they
//! are not enforced; from the first on, a pod needs one that it may `use`, as it was in Kubernetes
//! up to 1.24.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bulkhead_cluster::{Cluster, PodPolicyCache};
use bulkhead_controls::Addition;
use bulkhead_model::{AdmissionRequest, Json, Operation, UserInfo, labels};
use bulkhead_psp::{
    AUDIT_ADMIT, AUDIT_VALIDATE, Admitted, Change, Denied, FieldError, Pod, PodSecurityPolicy,
    Policies, RESOURCE, USE, Verdict, complaints, only_owners_and_finalizers, parse,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::answer::{Admission, Answer, Denial};

/// For all questions about one pod. It stays under the three seconds that the API server waits.
const DEADLINE: Duration = Duration::from_millis(1200);

/// What is said where nothing else is: a policy that would fit would have to change the pod.
const WORDLESS: &str = "no policy that may be used fits the pod as it is; policies set fields only when a pod is made, and not in ephemeral containers";

/// The policies of a cluster, and who may use them.
pub(crate) struct PodPolicies {
    cluster: Cluster,
    cache: PodPolicyCache,
    /// None until they are known.
    ready: Arc<RwLock<Option<Arc<Policies>>>>,
}

impl PodPolicies {
    /// Follows the policies of a cluster. Starts tasks; needs a tokio runtime.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let cache = PodPolicyCache::start(cluster);
        let ready = Arc::new(RwLock::new(None));
        let (follow, target) = (cache.clone(), Arc::clone(&ready));
        tokio::spawn(async move {
            let mut changes = follow.changes();
            follow.ready().await;
            loop {
                let policies: Vec<PodSecurityPolicy> = follow
                    .all()
                    .iter()
                    .map(|record| read(&record.name, &record.object))
                    .collect();
                let policies = Policies::new(&policies);
                for unusable in policies.unusable() {
                    tracing::warn!(policy = ?unusable.name, reasons = ?unusable.reasons, "no pod can be held to a policy");
                }
                *target.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(policies));
                changes.next().await;
            }
        });
        Self {
            cluster: cluster.clone(),
            cache,
            ready,
        }
    }

    /// Whether the policies are known.
    pub(crate) fn is_ready(&self) -> bool {
        self.cache.is_ready() && self.known().is_some()
    }

    fn known(&self) -> Option<Arc<Policies>> {
        self.ready
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What a policy sets in a new pod.
    ///
    /// # Errors
    /// Why no policy admits it.
    pub(crate) async fn mend(
        &self,
        request: &AdmissionRequest<'_>,
    ) -> Result<Option<(Vec<Addition>, Admission)>, Denial> {
        if request.operation != Operation::Create || subresource(request) != Some("") {
            return Ok(None);
        }
        let Some(admitted) = self.ask(request, true).await? else {
            return Ok(None);
        };
        let changes = admitted.changes.into_iter().chain(admitted.fields);
        let changes = changes.map(addition).collect();
        Ok(Some((changes, admission(AUDIT_ADMIT, admitted.policy))))
    }

    /// Which policy fits a pod as it will be stored; none if none is asked.
    ///
    /// # Errors
    /// Why no policy does.
    pub(crate) async fn judge(
        &self,
        request: &AdmissionRequest<'_>,
    ) -> Result<Option<Admission>, Denial> {
        // The original looked away from all subresources, and so from ephemeral containers.
        let whole = match subresource(request) {
            Some("") => true,
            Some("ephemeralcontainers") => false,
            _ => return Ok(None),
        };
        let unchanged = |old: &Json<'_>| {
            request
                .object
                .as_ref()
                .is_some_and(|new| only_owners_and_finalizers(old, new))
        };
        let update = request.operation == Operation::Update && whole;
        if update && request.old_object.as_ref().is_some_and(unchanged) {
            return Ok(None);
        }
        let admitted = self.ask(request, false).await?;
        Ok(admitted.map(|admitted| admission(AUDIT_VALIDATE, admitted.policy)))
    }

    async fn ask(
        &self,
        request: &AdmissionRequest<'_>,
        admit: bool,
    ) -> Result<Option<Admitted>, Denial> {
        let Some(policies) = self.known() else {
            return Err(denial(
                "the PodSecurityPolicies are not known yet, try again shortly",
            ));
        };
        if policies.is_empty() {
            return Ok(None);
        }
        let Some(object) = &request.object else {
            return Err(denial("the request carries no object"));
        };
        let pod = Pod::read(object).map_err(|malformed| denial(malformed.to_string()))?;
        let pod = if admit { pod } else { pod.as_stored() };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let deadline = Instant::now() + DEADLINE;
        let mut rights: BTreeMap<String, bool> = BTreeMap::new();
        loop {
            let may_use = |name: &str| rights.get(name).copied();
            let verdict = if admit {
                policies.admit(&pod, &may_use)
            } else {
                policies.validate(&pod, &may_use)
            };
            match verdict {
                Verdict::Admitted(admitted) => return Ok(Some(admitted)),
                Verdict::Denied(denied) => return Err(denial(words(&denied))),
                Verdict::Ask(names) => {
                    let who = whose(&request.user_info, pod.service_account(), namespace);
                    self.learn(&names, who, namespace, deadline, &mut rights)
                        .await;
                }
            }
        }
    }

    /// Asks the API server who may use these policies. What is not answered in time, or at all,
    /// is no right.
    async fn learn(
        &self,
        names: &[String],
        who: Vec<UserInfo>,
        namespace: &str,
        deadline: Instant,
        rights: &mut BTreeMap<String, bool>,
    ) {
        let mut questions = JoinSet::new();
        for name in names {
            rights.insert(name.clone(), false);
            for user in &who {
                let review = json!({
                    "user": user.username, "groups": user.groups,
                    "resourceAttributes": {
                        "namespace": namespace, "verb": USE, "group": labels::GROUP, "version": "*",
                        "resource": RESOURCE, "name": name,
                    },
                });
                let (cluster, name) = (self.cluster.clone(), name.clone());
                questions.spawn(async move {
                    let answer = timeout_at(deadline, cluster.review_access(&review)).await;
                    (name, answer)
                });
            }
        }
        let mut granted = BTreeSet::new();
        while let Some(answer) = questions.join_next().await {
            match answer {
                Ok((name, Ok(Ok(true)))) => {
                    granted.insert(name);
                }
                Ok((_, Ok(Ok(false)))) => {}
                Ok((name, Ok(Err(error)))) => {
                    tracing::error!(policy = ?name, error = %error.chain(), "cannot ask who may use a policy");
                }
                Ok((name, Err(_))) => {
                    tracing::error!(policy = ?name, "asking who may use a policy takes too long");
                }
                Err(error) => tracing::error!(%error, "a question broke off"),
            }
        }
        for name in granted {
            rights.insert(name, true);
        }
    }
}

/// The subresource of a request about pods; none if it is about something else.
fn subresource<'r>(request: &'r AdmissionRequest<'_>) -> Option<&'r str> {
    let resource = &request.resource;
    let pods = resource.group.is_empty() && resource.resource == "pods";
    pods.then(|| request.sub_resource.as_deref().unwrap_or_default())
}

/// The policy, or one that no pod can be held to.
fn read(name: &str, object: &Value) -> PodSecurityPolicy {
    parse(object).unwrap_or_else(|_| PodSecurityPolicy {
        name: name.to_owned(),
        ..PodSecurityPolicy::default()
    })
}

/// Who makes the pod, and whom it runs as: either may have the right. The original gave the
/// ServiceAccount its own two groups, and not `system:authenticated`.
fn whose(user: &UserInfo, account: &str, namespace: &str) -> Vec<UserInfo> {
    let mut who = vec![user.clone()];
    if !account.is_empty() {
        who.push(UserInfo {
            username: format!("system:serviceaccount:{namespace}:{account}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
            ],
        });
    }
    who
}

/// The API server puts our webhook's name where the original's stood.
fn admission(annotation: &'static str, policy: String) -> Admission {
    let key = annotation
        .rsplit_once('/')
        .map_or(annotation, |(_, key)| key);
    Admission { key, policy }
}

fn words(denied: &Denied) -> String {
    match denied {
        Denied::Refused { by, .. } if by.is_empty() => format!("{denied}: {WORDLESS}"),
        _ => denied.to_string(),
    }
}

fn denial(message: impl Into<String>) -> Denial {
    Denial::forbidden(message)
}

fn addition(change: Change) -> Addition {
    Addition {
        path: change.path,
        value: change.value.into(),
    }
}

/// The answer to the creation or change of a PodSecurityPolicy.
pub(crate) fn check(request: &AdmissionRequest<'_>) -> Answer {
    let resource = &request.resource;
    if resource.group != labels::GROUP || resource.resource != RESOURCE {
        let message = format!("`/policies` judges PodSecurityPolicies, not {resource}");
        return Answer::Denied(denial(message));
    }
    let Some(object) = &request.object else {
        return Answer::Denied(denial("the request carries no object"));
    };
    let errors: Vec<FieldError> = match parse(&object.into()) {
        Ok(policy) => complaints(&policy),
        Err(wrong) => wrong
            .into_iter()
            .map(|misread| FieldError {
                field: misread.path.to_string(),
                message: misread.message,
            })
            .collect(),
    };
    if errors.is_empty() {
        return Answer::Allowed;
    }
    let errors = errors
        .into_iter()
        .map(|error| (error.to_string(), error.field, error.message));
    Answer::Denied(Denial::invalid(bulkhead_psp::KIND, &request.name, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_has_its_groups_and_no_others() {
        let user = UserInfo {
            username: "ada".to_owned(),
            groups: vec!["devs".to_owned()],
        };
        assert_eq!(whose(&user, "", "team"), std::slice::from_ref(&user));
        let who = whose(&user, "builder", "team");
        assert_eq!(who[1].username, "system:serviceaccount:team:builder");
        assert_eq!(
            who[1].groups,
            ["system:serviceaccounts", "system:serviceaccounts:team"]
        );
    }

    #[test]
    fn what_says_nothing_gets_words() {
        let denied = Denied::Refused {
            admit: false,
            by: Vec::new(),
        };
        assert!(words(&denied).ends_with(WORDLESS));
    }
}
