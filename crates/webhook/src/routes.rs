//! From an HTTP request to an answer.

use bulkhead_cluster::{Cluster, NamespaceCache, TenantCache};
use bulkhead_controls::{Addition, Carriers, Facts, Unjudged};
use bulkhead_model::admission::parse_review;
use bulkhead_model::{AdmissionRequest, Finding, Json, Operation, TenantRules, labels};
use bulkhead_serve::{Body, BoxError, full, probe, read_body, scrape, text};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::answer::{Admission, Answer, Denial};
use crate::facts::look_up;
use crate::hostnames;
use crate::metrics::Metrics;
use crate::namespaces::Namespaces;
use crate::policies::{self, PodPolicies};
use crate::quota::Quotas;
use crate::rego::Rego;
use crate::tenants;

/// The API server takes objects of up to 3 MiB and sends two of them.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// What answers the API server.
pub struct Webhook {
    namespaces: Namespaces,
    tenants: TenantCache,
    metrics: Metrics,
    carriers: Carriers,
    /// None where there is no cluster to have them.
    policies: Option<PodPolicies>,
    /// None where there is no cluster to count in.
    quotas: Option<std::sync::Arc<Quotas>>,
    rego: std::sync::Arc<Rego>,
}

#[derive(Clone, Copy)]
enum Route {
    Mutate,
    Validate,
    Tenants,
    Policies,
    /// Asks the policies in Rego.
    Rego,
    /// A policy in Rego is written.
    RegoPolicy,
}

impl Route {
    fn path(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::Validate => "/validate",
            Self::Tenants => "/tenants",
            Self::Policies => "/policies",
            Self::Rego => "/rego",
            Self::RegoPolicy => "/rego/check",
        }
    }
}

impl Webhook {
    /// A webhook that knows what the caches know, and asks the cluster for namespaces that are
    /// too young for them.
    pub(crate) fn new(
        namespaces: NamespaceCache,
        tenants: TenantCache,
        cluster: Cluster,
        quotas: std::sync::Arc<Quotas>,
        policies: PodPolicies,
    ) -> Self {
        Self {
            policies: Some(policies),
            rego: Rego::start(&cluster),
            quotas: Some(quotas),
            namespaces: Namespaces::new(namespaces, Some(cluster)),
            tenants,
            metrics: Metrics::new(),
            carriers: Carriers::default(),
        }
    }

    /// A webhook without a cluster, which knows these Namespace and Tenant objects for good. For
    /// tests and measurements.
    #[must_use]
    pub fn fixed(namespaces: Vec<Value>, tenants: Vec<Value>) -> Self {
        Self {
            policies: None,
            rego: std::sync::Arc::new(Rego::fixed(Vec::new())),
            quotas: None,
            namespaces: Namespaces::new(NamespaceCache::fixed(namespaces), None),
            tenants: TenantCache::fixed(tenants),
            metrics: Metrics::new(),
            carriers: Carriers::default(),
        }
    }

    /// The same webhook, with these policies in Rego for good: templates, constraints, ConfigMaps.
    #[must_use]
    pub fn with_rego(self, objects: Vec<Value>) -> Self {
        Self {
            rego: std::sync::Arc::new(Rego::fixed(objects)),
            ..self
        }
    }

    /// The same, for these kinds.
    #[must_use]
    pub fn judging(self, carriers: Carriers) -> Self {
        Self { carriers, ..self }
    }

    /// Whether it knows enough to be asked.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.namespaces.is_ready()
            && self.tenants.is_ready()
            && self.rego.is_ready()
            && self.quotas.as_ref().is_none_or(|quotas| quotas.is_ready())
            && self.policies.as_ref().is_none_or(PodPolicies::is_ready)
    }

    /// Answers one request. What is no AdmissionReview gets an HTTP error, at which the API
    /// server refuses what it asked about.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if let Some(response) = probe(&request, || self.is_ready()) {
            return response;
        }
        if let Some(response) = scrape(&request, || self.metrics.text()) {
            return response;
        }
        let route = match request.uri().path() {
            "/mutate" => Route::Mutate,
            "/validate" => Route::Validate,
            "/tenants" => Route::Tenants,
            "/policies" => Route::Policies,
            "/rego" => Route::Rego,
            "/rego/check" => Route::RegoPolicy,
            _ => return text(StatusCode::NOT_FOUND, "not found\n"),
        };
        if request.method() != Method::POST {
            let mut response = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "an AdmissionReview comes by POST\n",
            );
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        if !is_json(request.headers().get(header::CONTENT_TYPE)) {
            let message = "an AdmissionReview is of type `application/json`\n";
            return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
        }
        let body = match read_body(request.into_body(), MAX_BODY).await {
            Ok(body) => body,
            Err(error) => {
                tracing::warn!(%error, "cannot read an AdmissionReview");
                return text(error.status(), format!("{error}\n"));
            }
        };
        let mut review = match parse_review(&body) {
            Ok(review) => review,
            Err(error) => {
                tracing::warn!(%error, "refused a body that is no AdmissionReview");
                return text(StatusCode::BAD_REQUEST, format!("{error}\n"));
            }
        };
        let mut admission = None;
        let answer = match route {
            Route::Rego => {
                self.rego
                    .judge(body.clone(), review.namespace.as_deref())
                    .await
            }
            Route::RegoPolicy => self.rego.check(review.object.take().map(Value::from)).await,
            Route::Mutate | Route::Validate | Route::Tenants | Route::Policies => {
                self.answer(route, &mut review, &mut admission).await
            }
        };
        self.metrics.note(route.path(), &answer);
        if let Answer::Denied(denial) = &answer {
            tracing::info!(
                namespace = ?review.namespace.as_deref().unwrap_or_default(),
                resource = %review.resource,
                subresource = ?review.sub_resource.as_deref().unwrap_or_default(),
                name = ?review.name,
                user = ?review.user_info.username,
                code = denial.code,
                controls = ?denial.controls,
                "denied",
            );
        }
        match answer.review(&review.uid, admission.as_ref()) {
            Ok(body) => {
                let mut response = Response::new(full(body));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(error) => {
                tracing::error!(%error, "cannot write an answer");
                text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
            }
        }
    }

    async fn answer(
        &self,
        route: Route,
        request: &mut AdmissionRequest<'_>,
        admission: &mut Option<Admission>,
    ) -> Answer {
        if matches!(route, Route::Tenants) {
            return tenants::check(request, &self.tenants);
        }
        if matches!(route, Route::Policies) {
            return policies::check(request);
        }
        let Some(namespace) = request.namespace.as_deref().filter(|name| !name.is_empty()) else {
            let message = format!(
                "{} has no namespace, so no tenant's rules",
                request.resource
            );
            return Answer::Denied(Denial::forbidden(message));
        };
        let rules = match self.namespaces.rules(namespace).await {
            Ok(rules) => rules,
            Err(why) => {
                let message = format!("no rules are known for the namespace `{namespace}`: {why}");
                return Answer::Denied(Denial::forbidden(message));
            }
        };
        match route {
            Route::Mutate => {
                let answer = mend(&self.carriers, request, &rules);
                self.with_policies(request, answer, admission).await
            }
            Route::Validate
            | Route::Tenants
            | Route::Policies
            | Route::Rego
            | Route::RegoPolicy => {
                let cluster = self.namespaces.cluster();
                let facts = look_up(cluster, &self.carriers, request, &rules).await;
                let answer = answer_to(self.carriers.judge(request, &rules, &facts));
                if !matches!(answer, Answer::Allowed) {
                    return answer;
                }
                if let Some(policies) = &self.policies {
                    match policies.judge(request).await {
                        Ok(by) => *admission = by,
                        Err(denial) => return Answer::Denied(denial),
                    }
                }
                // Last, so that as little as can be is claimed for what is refused.
                match hostnames::claim(cluster, request, &rules).await {
                    Ok(()) => self.charge(request, &rules).await,
                    Err(denial) => Answer::Denied(denial),
                }
            }
        }
    }
}

impl Webhook {
    /// What a PodSecurityPolicy sets comes after what the controls set: it sees the mended pod.
    async fn with_policies(
        &self,
        request: &AdmissionRequest<'_>,
        answer: Answer,
        admission: &mut Option<Admission>,
    ) -> Answer {
        let (Some(policies), Answer::Allowed | Answer::Patched(_)) = (&self.policies, &answer)
        else {
            return answer;
        };
        let set = match policies.mend(request).await {
            Ok(Some((set, by))) => {
                *admission = Some(by);
                set
            }
            Ok(None) => return answer,
            Err(denial) => return Answer::Denied(denial),
        };
        match answer {
            answer if set.is_empty() => answer,
            Answer::Patched(mut operations) => {
                operations.extend(set);
                Answer::Patched(operations)
            }
            _ => Answer::Patched(set),
        }
    }

    /// Charges what has been judged, after everybody has mended it.
    async fn charge(&self, request: &AdmissionRequest<'_>, rules: &TenantRules) -> Answer {
        let charged = match &self.quotas {
            _ if !rules.limited => Ok(()),
            Some(quotas) => quotas.charge(request, rules).await,
            None => Err("there is no cluster to count in".to_owned()),
        };
        match charged {
            Ok(()) => Answer::Allowed,
            Err(message) => Answer::Denied(Denial {
                controls: vec!["quota"],
                ..Denial::forbidden(message)
            }),
        }
    }
}

/// Mends, and already judges the result: Pod Security Admission stands between this phase and
/// that of validation, and its words would name neither control nor mend. What other webhooks
/// change afterwards is judged in that phase, and so is what only a look at the cluster can tell.
fn mend(carriers: &Carriers, request: &mut AdmissionRequest<'_>, rules: &TenantRules) -> Answer {
    match carriers.mend_and_judge(request, rules, Facts::NONE) {
        Ok((mut operations, findings)) if findings.is_empty() => {
            operations.extend(stamp(request, rules));
            if operations.is_empty() {
                Answer::Allowed
            } else {
                Answer::Patched(operations)
            }
        }
        judged => answer_to(judged.map(|(_, findings)| findings)),
    }
}

/// What labels a new object with its tenant. A label of that key that is there
/// already stays: a pod whose labels differ from its template's would be made again and again,
/// and nothing is decided by an object's own label.
fn stamp(request: &AdmissionRequest<'_>, rules: &TenantRules) -> Option<Addition> {
    let whole = request.sub_resource.as_deref().is_none_or(str::is_empty);
    if request.operation != Operation::Create || !whole {
        return None;
    }
    let metadata = request.object.as_ref()?.get("metadata")?.as_object()?;
    let tenant = rules.tenant.as_str();
    match metadata.get("labels") {
        None | Some(Json::Null) => Some(Addition {
            path: "/metadata/labels".to_owned(),
            value: json!({labels::TENANT: tenant}).into(),
        }),
        Some(Json::Object(present)) if !present.contains_key(labels::TENANT) => Some(Addition {
            path: format!("/metadata/labels/{}", labels::TENANT.replace('/', "~1")),
            value: json!(tenant).into(),
        }),
        Some(_) => None,
    }
}

fn answer_to(judged: Result<Vec<Finding>, Unjudged>) -> Answer {
    match judged {
        Ok(findings) if findings.is_empty() => Answer::Allowed,
        Ok(findings) => Answer::Denied(Denial {
            controls: controls_of(&findings),
            ..Denial::forbidden(bulkhead_controls::denial(&findings))
        }),
        Err(unjudged) => Answer::Denied(Denial::forbidden(unjudged.to_string())),
    }
}

fn controls_of(findings: &[Finding]) -> Vec<&'static str> {
    let mut controls: Vec<&'static str> = Vec::new();
    for finding in findings {
        if !controls.contains(&finding.control) {
            controls.push(finding.control);
        }
    }
    controls
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
