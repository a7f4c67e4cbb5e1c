//! One line for each request: who asked for what, as whom, and what came of it. Never a token, a
//! header or a body.

mod log;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bulkhead_scope::{
    ApiRequest, Caller, Credential, Denial, Membership, Path, ScopedRequest, Spread,
};
use bulkhead_serve::{Body, BoxError};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use serde::Serialize;
use tokio::sync::oneshot;

pub(crate) use self::log::Log;
pub use self::log::Target;
use crate::authn::Identity;
use crate::limits::{Permit, Sort};
use crate::metrics::Metrics;
use crate::splice::{Carried, Ended};

/// Where what is known goes when a request is over.
#[derive(Clone)]
pub(crate) struct Books {
    pub(crate) log: Log,
    pub(crate) metrics: Arc<Metrics>,
}

#[cfg(test)]
impl Books {
    /// Books that nobody reads.
    pub(crate) fn nowhere() -> Self {
        let metrics = Arc::new(Metrics::new());
        let log = Log::to(std::io::sink(), 64, &metrics);
        Self {
            log: log.unwrap_or_else(|error| unreachable!("{error}")),
            metrics,
        }
    }
}

/// What is known of a request so far, and what it holds until its answer is over.
pub(crate) struct Audit {
    pub(crate) id: String,
    books: Books,
    began: Instant,
    line: Line,
    permits: Vec<Permit>,
    /// Who takes over when the request is answered.
    keeper: Option<oneshot::Sender<Audit>>,
}

/// A line as it is written. Empty fields are left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    /// When the line was written, in UTC.
    time: String,
    /// The `Audit-ID` that the API server's audit log has of the same request.
    audit_id: String,
    /// `started` for what goes on, and `complete` for everything.
    stage: &'static str,
    client: SocketAddr,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    credential: &'static str,
    /// The client certificate's number, by which it can be taken back.
    #[serde(skip_serializing_if = "str::is_empty")]
    serial: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    tenant: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    role: String,
    method: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    verb: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    subresource: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: String,
    /// `forwarded`, `answered` (by the gateway itself) or `refused`.
    decision: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    control: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: String,
    /// The status that the client got.
    status: u16,
    /// The API server's, if it was asked and answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    /// Bytes of the answer's body that went out.
    bytes: u64,
    /// Bytes that the client sent through a connection.
    #[serde(skip_serializing_if = "is_zero")]
    bytes_up: u64,
    milliseconds: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Audit {
    pub(crate) fn new(books: &Books, id: String, client: SocketAddr, method: &str) -> Self {
        Self {
            books: books.clone(),
            began: Instant::now(),
            line: Line {
                time: String::new(),
                audit_id: id.clone(),
                stage: "complete",
                client,
                user: String::new(),
                credential: "",
                serial: String::new(),
                tenant: String::new(),
                role: String::new(),
                method: method.chars().take(16).collect(),
                verb: "",
                group: String::new(),
                resource: String::new(),
                subresource: String::new(),
                namespace: String::new(),
                name: String::new(),
                decision: "answered",
                control: "",
                reason: String::new(),
                status: 0,
                upstream_status: None,
                bytes: 0,
                bytes_up: 0,
                milliseconds: 0,
            },
            id,
            permits: Vec::new(),
            keeper: None,
        }
    }

    /// Hands itself on when the request is answered, for what goes on without it.
    pub(crate) fn outlives_its_answer(&mut self, keeper: oneshot::Sender<Self>) {
        self.keeper = Some(keeper);
    }

    /// What a connection has come to.
    pub(crate) fn carried(&mut self, (ended, carried): (Ended, Carried)) {
        self.line.bytes = carried.down;
        self.line.bytes_up = carried.up;
        self.line.reason = match ended {
            Ended::Client | Ended::Upstream => "",
            Ended::Revoked => "the right to it is gone",
            Ended::Idle => "nothing was said for too long",
        }
        .to_owned();
    }

    pub(crate) fn who(&mut self, identity: &Identity, credential: &'static str) {
        self.line.user = identity.name();
        let serial = identity.serial.as_ref();
        self.line.serial = serial.map(ToString::to_string).unwrap_or_default();
        self.line.credential = credential;
    }

    /// Keeps a place among the requests under way until the answer is over.
    pub(crate) fn hold(&mut self, permit: Permit) {
        self.permits.push(permit);
    }

    /// All that the person could act as; [`Self::scoped`] says which it was.
    pub(crate) fn member(&mut self, caller: &Caller) {
        let join = |of: fn(&Membership) -> String| {
            caller
                .memberships
                .iter()
                .map(of)
                .collect::<Vec<_>>()
                .join(",")
        };
        self.line.tenant = join(|member| member.tenant.to_string());
        self.line.role = join(|member| member.user.role.to_string());
    }

    pub(crate) fn asked(&mut self, request: &ApiRequest) {
        let line = &mut self.line;
        line.verb = request.verb().as_str();
        match request.path() {
            Path::Document(document) => line.resource = document.to_string(),
            Path::Resource(resource) => {
                line.group.clone_from(&resource.group);
                line.resource.clone_from(&resource.resource);
                line.subresource = resource.subresource.clone().unwrap_or_default();
                line.namespace = resource
                    .namespace
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                line.name = resource.name.clone().unwrap_or_default();
            }
        }
    }

    pub(crate) fn scoped(&mut self, request: &ScopedRequest) {
        let line = &mut self.line;
        line.tenant = request.tenant().to_string();
        if let Credential::Forwarder { user, .. } = request.credential() {
            line.role = user.role.to_string();
        }
        if let Some(name) = request.created_namespace() {
            line.name = name.to_string();
        }
        line.decision = "forwarded";
    }

    /// What the API server has answered.
    pub(crate) fn upstream(&mut self, status: StatusCode) {
        self.line.upstream_status = Some(status.as_u16());
    }

    /// Each tenant's part goes on under its own user, so all of them stay.
    pub(crate) fn spread(&mut self, spread: &Spread) {
        let parts = spread.parts().iter();
        let names: Vec<&str> = parts.map(|part| part.namespace().as_str()).collect();
        self.line.namespace = names.join(",");
        self.line.decision = "forwarded";
    }

    pub(crate) fn refused(&mut self, denial: &Denial) {
        self.line.decision = "refused";
        self.line.control = denial.control.unwrap_or_default();
        self.line.reason.clone_from(&denial.message);
    }

    /// The answer, whose end is the request's: the line is written then, and what was held is
    /// given back. What goes on has a line at its beginning, too.
    pub(crate) fn until_the_end(mut self, response: Response<Body>, sort: Sort) -> Response<Body> {
        self.line.status = response.status().as_u16();
        if sort != Sort::Call && self.line.decision == "forwarded" && self.line.status < 300 {
            self.line.stage = "started";
            self.write();
            self.line.stage = "complete";
        }
        match self.keeper.take() {
            // Whoever was to keep it has gone: it is written here.
            Some(keeper) => {
                drop(keeper.send(self));
                response
            }
            None => response.map(|body| Ledger { body, audit: self }.boxed_unsync()),
        }
    }

    fn write(&mut self) {
        let elapsed = self.began.elapsed();
        self.line.milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.line.time = log::now();
        self.books.log.write(&self.line);
    }
}

impl Drop for Audit {
    /// However a request ends, it is in the books: a client that hangs up drops it.
    fn drop(&mut self) {
        if self.line.status == 0 {
            // Nobody was there any more to take an answer.
            self.line.status = 499;
            if self.line.reason.is_empty() {
                "the client has gone".clone_into(&mut self.line.reason);
            }
        }
        self.write();
        let line = &self.line;
        self.books
            .metrics
            .note(line.verb, line.decision, line.status, self.began.elapsed());
    }
}

/// A body that is counted.
struct Ledger {
    body: Body,
    audit: Audit,
}

impl http_body::Body for Ledger {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let sent = frame.data_ref().map_or(0, Bytes::len);
                this.audit.line.bytes += u64::try_from(sent).unwrap_or(u64::MAX);
            }
            Poll::Ready(Some(Err(_))) => {
                "the answer broke off".clone_into(&mut this.audit.line.reason);
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_serve::{full, read_body};
    use http_body::Body as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::limits::{Allowances, Limiter, Whose};

    fn books(path: &std::path::Path) -> Books {
        let metrics = Arc::new(Metrics::new());
        Books {
            log: Log::open(&Target::File(path.to_owned()), 64, &metrics).unwrap(),
            metrics,
        }
    }

    async fn lines(books: Books, path: &std::path::Path) -> Vec<Value> {
        books.log.flush().await;
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn a_line_at_the_end_and_places_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let books = books(&path);
        let limiter = Limiter::new(Whose::Tenant);
        let allowance = Allowances::default().tenant;
        let enter = || limiter.enter("acme", Sort::Call, &allowance, Instant::now());
        let one = crate::limits::Allowance {
            calls: 1,
            ..allowance
        };
        let mut audit = Audit::new(&books, "id-1".into(), "192.0.2.1:7".parse().unwrap(), "GET");
        let alice = Identity {
            who: crate::authn::Who::User {
                name: "alice".into(),
                groups: vec![],
            },
            ends: None,
            serial: Some(bulkhead_model::Serial::parse("A1").unwrap()),
        };
        audit.who(&alice, "certificate");
        let asked = bulkhead_scope::parse(
            "GET",
            "/apis/apps/v1/namespaces/acme-app/deployments/web/scale",
        )
        .unwrap();
        audit.asked(&asked);
        audit.hold(enter().ok().unwrap());
        let refused = Denial::forbidden("no").by("tenant-cordoned");
        audit.refused(&refused);
        let answer = audit.until_the_end(Response::new(full("12345")), Sort::Call);
        assert_eq!(
            answer.body().size_hint().exact(),
            Some(5),
            "a length is a length"
        );
        assert!(
            limiter
                .enter("acme", Sort::Call, &one, Instant::now())
                .is_err()
        );
        assert_eq!(read_body(answer.into_body(), 9).await.unwrap(), "12345");
        assert!(
            limiter
                .enter("acme", Sort::Call, &one, Instant::now())
                .is_ok()
        );
        let mut lines = lines(books, &path).await;
        assert_eq!(lines.len(), 1);
        let line = lines[0].as_object_mut().unwrap();
        assert!(
            line.remove("time")
                .unwrap()
                .as_str()
                .unwrap()
                .ends_with('Z')
        );
        line.remove("milliseconds").unwrap();
        assert_eq!(
            lines[0],
            json!({
                "auditId": "id-1", "stage": "complete", "client": "192.0.2.1:7", "user": "alice",
                "credential": "certificate", "serial": "a1", "method": "GET", "verb": "get", "group": "apps",
                "resource": "deployments", "subresource": "scale", "namespace": "acme-app",
                "name": "web", "decision": "refused", "control": "tenant-cordoned",
                "reason": "no", "status": 200, "bytes": 5,
            })
        );
    }

    #[tokio::test]
    async fn who_hangs_up_is_in_the_books() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let books = books(&path);
        let client = "192.0.2.1:7".parse().unwrap();
        drop(Audit::new(&books, "early".into(), client, "GET"));
        let audit = Audit::new(&books, "late".into(), client, "GET");
        drop(audit.until_the_end(Response::new(full("12345")), Sort::Call));
        let lines = lines(books, &path).await;
        let short: Vec<String> = lines
            .iter()
            .map(|line| {
                let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
                format!(
                    "{} {} {} {}",
                    text("auditId"),
                    text("stage"),
                    line["status"],
                    line["bytes"]
                )
            })
            .collect();
        let expected = ["early complete 499 0", "late complete 200 0"];
        assert_eq!(short, expected);
    }
}
