//! From a request to its response.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bulkhead_cluster::{
    ClusterError, Forwarder, Lane, NamespaceCache, NamespaceRecord, RevocationCache, Switch,
    TenantCache,
};
use bulkhead_model::{NamespaceName, TenantName};
use bulkhead_scope::{
    ApiRequest, Caller, Claim, Credential, Denial, Membership, Outcome, Path, QueryValue,
    ScopedRequest, Spread, Verb, parse, scope,
};
use bulkhead_serve::{Body, BoxError, Peer, probe};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use tokio::sync::oneshot;

use crate::accept::negotiate;
use crate::audit::{Audit, Books};
use crate::authn::{self, Identity};
use crate::limits::{Allowance, Allowances, Limiter, Sort, Whose};
use crate::lists::{self, Seal, Sender, Stop};
use crate::shared::Lens;
use crate::token::Tokens;
use crate::upgrade::{self, Upgrade};
use crate::upstream::{self, Envelope};
use crate::{answer, body, headers, id, judge, reviews, splice, stream, watches};

/// How old what we know of tenants and namespaces may be. Older than this, nobody is let in by it.
const STALE: Duration = Duration::from_secs(30);
/// How long upstream may take to begin an answer.
const ANSWER: Duration = Duration::from_secs(65);
/// How long the creator of a namespace waits for it to take pods.
const OPENING: Duration = Duration::from_secs(5);
/// How often the API server is asked whether it knows a tenant's rights yet.
const RIGHTS: Duration = Duration::from_millis(25);
/// How often an open stream is looked at though nothing has been heard.
const LOOK: Duration = Duration::from_secs(10);
/// How often a list begins anew because a namespace has come or gone meanwhile, and how long it
/// waits for the news of that.
const MOVES: u32 = 5;
const MOVE: Duration = Duration::from_millis(300);

pub(crate) struct Gateway {
    pub(crate) tenants: TenantCache,
    pub(crate) namespaces: NamespaceCache,
    /// Client certificates that were taken back.
    pub(crate) revocations: RevocationCache,
    /// Sees all Namespaces; for their list only.
    pub(crate) reader: Forwarder,
    /// Impersonates the tenants' synthetic users and has no other right.
    pub(crate) forwarder: Forwarder,
    pub(crate) tokens: Tokens,
    pub(crate) listed: AtomicBool,
    pub(crate) books: Books,
    pub(crate) allowances: Allowances,
    pub(crate) carriers: bulkhead_controls::Carriers,
    pub(crate) tenant_limits: Limiter,
    pub(crate) person_limits: Limiter,
    /// For the tokens by which lists over many namespaces go on.
    pub(crate) seal: Arc<Seal>,
}

/// A change of the protocol under way.
struct Change<R> {
    upgrade: Upgrade,
    switched: bulkhead_serve::Switch,
    /// Ready when the right to it is gone.
    revoked: R,
    /// The request's line in the books, once it has been answered.
    kept: oneshot::Receiver<Audit>,
}

impl Gateway {
    /// Waits until tenants and namespaces are known, then lets people in.
    pub(crate) async fn open(&self) {
        self.tenants.ready().await;
        self.namespaces.ready().await;
        self.revocations.ready().await;
        self.listed.store(true, Ordering::Release);
        tracing::info!("the gateway is open");
    }

    pub(crate) async fn serve<B>(self: Arc<Self>, request: Request<B>, peer: Peer) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let anonymous =
            peer.certificate.is_none() && !request.headers().contains_key(header::AUTHORIZATION);
        if anonymous && let Some(answer) = probe(&request, || self.fresh()) {
            return answer;
        }
        let (id, method) = (id::fresh(), request.method().as_str());
        let mut audit = Audit::new(&self.books, id, peer.address, method);
        let mut sort = Sort::Call;
        let result = self.answer(request, &peer, &mut audit, &mut sort).await;
        let mut response = result.unwrap_or_else(|denial| {
            audit.refused(&denial);
            answer::refused(&denial)
        });
        if let Ok(value) = HeaderValue::from_str(&audit.id) {
            response.headers_mut().insert("audit-id", value);
        }
        audit.until_the_end(response, sort)
    }

    async fn answer<B>(
        self: &Arc<Self>,
        request: Request<B>,
        peer: &Peer,
        audit: &mut Audit,
        sort: &mut Sort,
    ) -> Result<Response<Body>, Denial>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let (mut head, payload) = request.into_parts();
        let switched = bulkhead_serve::Switch::take(&mut head.extensions);
        let identity = self.authenticate(&head, peer).await;
        let code = identity
            .as_ref()
            .map_or_else(|denial| denial.status, |_| 200);
        let credential = authn::sort_of(&head.headers, peer);
        self.books.metrics.authentication(credential, code);
        let identity = identity?;
        audit.who(&identity, credential);
        if !self.fresh() {
            return Err(Denial::unavailable(
                "the gateway does not know the tenants yet",
                1,
            ));
        }
        headers::screen(&head.headers)?;
        let asked = parse(head.method.as_str(), target(&head)?)?;
        audit.asked(&asked);
        *sort = Sort::of(&asked);
        // Before the body, which takes memory and time.
        let person = &self.allowances.person;
        self.enter(audit, Whose::Person, &identity.name(), *sort, person)?;
        if asked.connection().is_none() {
            upgrade::asked(&head, None)?;
        }
        let accept = accepted(&head, &asked)?;
        let content_type = headers::one(&head.headers, &header::CONTENT_TYPE)?;
        let bytes = body::read(payload).await?;
        let body = body::parse(content_type, &bytes, asked.verb())?;
        drop(bytes);
        let caller = self.caller(&identity);
        audit.member(&caller);
        let sender = Sender {
            gateway: Arc::clone(self),
            accept,
            user_agent: headers::user_agent(&head.headers),
            audit_id: audit.id.clone(),
            client: peer.address.ip(),
        };
        let outcome = scope(asked, &caller, body)?;
        // Nothing that is made here has another protocol.
        if head.headers.contains_key(header::UPGRADE) && !matches!(outcome, Outcome::Forward(_)) {
            return Err(Denial::not_implemented(
                "this gateway changes no protocols: leave out the `Upgrade` header",
            ));
        }
        let scoped = match outcome {
            Outcome::Forward(scoped) => scoped,
            Outcome::Answer(value) => return Ok(answer::object(StatusCode::CREATED, &value)),
            Outcome::Each { requests, spec } => {
                let tenants: BTreeSet<&str> =
                    requests.iter().map(|r| r.tenant().as_str()).collect();
                for tenant in tenants {
                    self.enter(audit, Whose::Tenant, tenant, *sort, &self.allowances.tenant)?;
                }
                return reviews::any(&sender, requests, spec).await;
            }
            Outcome::Spread(spread) => {
                audit.spread(&spread);
                for tenant in spread.tenants() {
                    let allowance = &self.allowances.tenant;
                    self.enter(audit, Whose::Tenant, tenant.as_str(), *sort, allowance)?;
                }
                let response = self.everywhere(*spread, &identity, &sender).await?;
                audit.upstream(response.status());
                return Ok(response);
            }
        };
        audit.scoped(&scoped);
        let tenant = &self.allowances.tenant;
        self.enter(
            audit,
            Whose::Tenant,
            scoped.tenant().as_str(),
            *sort,
            tenant,
        )?;
        let upgrade = upgrade::asked(&head, scoped.request().connection())?;
        let namespace = scoped
            .namespace()
            .and_then(|name| self.namespaces.get(name.as_str()));
        judge::early(&scoped, namespace.as_deref(), &self.carriers)?;
        let envelope = sender.envelope();
        if let Some((upgrade, switched)) = upgrade.zip(switched) {
            let revoked = Arc::clone(self).revoked(identity, caller, scoped.as_ref().clone());
            let (keep, kept) = oneshot::channel();
            let change = Change {
                upgrade,
                switched,
                revoked,
                kept,
            };
            let response = self.connect(&scoped, &envelope, change, audit).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                audit.outlives_its_answer(keep);
            }
            return Ok(response);
        }
        let response = match Lens::of(&scoped, &sender.accept) {
            None => self.forward(&scoped, &envelope).await?,
            Some((lens, accept)) => {
                let envelope = Envelope {
                    accept: &accept,
                    ..envelope
                };
                let response = self.forward(&scoped, &envelope).await?;
                lens.narrow(response, scoped.request().verb()).await?
            }
        };
        let envelope = sender.envelope();
        self.opened(&scoped, &identity, &envelope, response.status())
            .await;
        audit.upstream(response.status());
        if !streams(&scoped) || !response.status().is_success() {
            return Ok(response);
        }
        let revoked = Arc::clone(self).revoked(identity, caller, *scoped);
        Ok(response.map(|body| stream::until(body, revoked)))
    }

    /// Lets a request in among those of a tenant or person.
    fn enter(
        &self,
        audit: &mut Audit,
        whose: Whose,
        name: &str,
        sort: Sort,
        allowance: &Allowance,
    ) -> Result<(), Denial> {
        let limiter = match whose {
            Whose::Tenant => &self.tenant_limits,
            Whose::Person => &self.person_limits,
        };
        let permit = limiter.enter(name, sort, allowance, Instant::now());
        let permit = permit.inspect_err(|_| self.books.metrics.limited(whose, sort))?;
        audit.hold(permit);
        Ok(())
    }

    async fn authenticate(
        &self,
        head: &http::request::Parts,
        peer: &Peer,
    ) -> Result<Identity, Denial> {
        match (&peer.certificate, authn::bearer(&head.headers)?) {
            (Some(certificate), None) => {
                let identity = authn::of_certificate(certificate, SystemTime::now())?;
                if self.is_taken_back(&identity) {
                    return Err(Denial::unauthorized(
                        "the client certificate is refused: it has been revoked",
                    ));
                }
                Ok(identity)
            }
            (None, Some(token)) => self.tokens.identify(token).await,
            (Some(_), Some(_)) => Err(Denial::unauthorized(
                "give a client certificate or a token, not both: they could name two people",
            )),
            (None, None) => Err(Denial::unauthorized(
                "give a client certificate of the gateway's authority, or a token for its audience",
            )),
        }
    }

    /// Answers what is asked of all of a person's namespaces.
    async fn everywhere(
        self: &Arc<Self>,
        mut spread: Spread,
        identity: &Identity,
        sender: &Sender,
    ) -> Result<Response<Body>, Denial> {
        let mut changes = self.namespaces.changes();
        let jitter = watches::jitter(&sender.audit_id);
        for _ in 0..MOVES {
            let asked = (sender.clone(), spread.clone());
            let answered = match spread.request().verb() {
                Verb::Watch => {
                    let revoked = Arc::clone(self).revoked_anywhere(
                        identity.clone(),
                        asked.1.clone(),
                        jitter,
                    );
                    watches::answer(asked.0, asked.1, jitter, revoked).await
                }
                _ => lists::answer(asked.0, asked.1, Arc::clone(&self.seal)).await,
            };
            match answered {
                Ok(response) => return Ok(response),
                Err(Stop::Denied(denial)) => return Err(denial),
                Err(Stop::Answered(response)) => return Ok(*response),
                // One has come or gone, and we have not heard of it yet.
                Err(Stop::Moved) => drop(tokio::time::timeout(MOVE, changes.next()).await),
            }
            let asked = spread.request().clone();
            match scope(asked, &self.caller(identity), bulkhead_scope::Body::Empty)? {
                Outcome::Spread(now) => spread = *now,
                _ => break,
            }
        }
        Err(Denial::unavailable("your namespaces are just changing", 1))
    }

    /// Ready when a watch over all of a person's namespaces has to end: at once if a right is gone,
    /// a little later if a namespace has only come.
    async fn revoked_anywhere(self: Arc<Self>, identity: Identity, spread: Spread, jitter: u64) {
        let (mut tenants, mut namespaces) = (self.tenants.changes(), self.namespaces.changes());
        let mut revocations = self.revocations.changes();
        loop {
            let asked = spread.request().clone();
            let over = identity.is_over(SystemTime::now()) || self.is_taken_back(&identity);
            let now = match self.fresh() && !over {
                true => scope(asked, &self.caller(&identity), bulkhead_scope::Body::Empty),
                false => return,
            };
            match now {
                Ok(Outcome::Spread(now)) if now.parts() == spread.parts() => {}
                Ok(Outcome::Spread(now)) if now.holds(&spread) => {
                    return tokio::time::sleep(watches::pause(jitter)).await;
                }
                _ => return,
            }
            tokio::select! {
                () = tenants.next() => {}
                () = namespaces.next() => {}
                () = revocations.next() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    pub(crate) async fn forward(
        &self,
        scoped: &ScopedRequest,
        envelope: &Envelope<'_>,
    ) -> Result<Response<Body>, Denial> {
        let request = upstream::request(scoped, envelope)
            .map_err(|error| answer::incident(&format!("cannot print the request: {error}")))?;
        let by = match scoped.credential() {
            Credential::Reader => &self.reader,
            Credential::Forwarder { .. } => &self.forwarder,
        };
        let lane = match streams(scoped) {
            true => Lane::Watch,
            false => Lane::Call,
        };
        let response = self.within(by.send(request, lane)).await?;
        answer::upstream(response, scoped).await
    }

    /// Makes the client's connection and one to the API server one, if the API server agrees.
    async fn connect(
        &self,
        scoped: &ScopedRequest,
        envelope: &Envelope<'_>,
        change: Change<impl Future<Output = ()> + Send + 'static>,
        audit: &mut Audit,
    ) -> Result<Response<Body>, Denial> {
        let Change {
            upgrade,
            switched,
            revoked,
            kept,
        } = change;
        let mut request = upstream::request(scoped, envelope)
            .map_err(|error| answer::incident(&format!("cannot print the request: {error}")))?;
        upgrade.request_headers(request.headers_mut());
        let (headers, upstream) = match self.within(self.forwarder.switch(request)).await? {
            Switch::Done(headers, upstream) => (headers, upstream),
            Switch::Not(response) => {
                audit.upstream(response.status());
                if response.status().is_success() {
                    return Err(answer::incident("the API server has changed no protocol"));
                }
                return answer::upstream(response, scoped).await;
            }
        };
        audit.upstream(StatusCode::SWITCHING_PROTOCOLS);
        let response = upgrade
            .response(&headers)
            .ok_or_else(|| answer::incident("the API server speaks another protocol than asked"))?;
        tokio::spawn(async move {
            // Holds the places among the tenant's sessions until the end.
            let Ok(mut audit) = kept.await else { return };
            match switched.done().await {
                Ok(client) => audit.carried(splice::splice(client, upstream, revoked).await),
                Err(error) => {
                    tracing::debug!(audit_id = %audit.id, %error, "the protocol was not changed");
                }
            }
        });
        Ok(response)
    }

    /// Waits for the API server, and not for ever.
    async fn within<T>(
        &self,
        asking: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, Denial> {
        match tokio::time::timeout(ANSWER, asking).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::warn!(error = %error.chain(), "the API server cannot be reached");
                Err(Denial::unavailable("the API server cannot be reached", 1))
            }
            Err(_) => Err(Denial::unavailable("the API server does not answer", 1)),
        }
    }

    /// Whether what we know of tenants and namespaces is recent enough to let people in by.
    pub(crate) fn fresh(&self) -> bool {
        let stale = [
            self.tenants.stale_for(),
            self.namespaces.stale_for(),
            self.revocations.stale_for(),
        ];
        self.listed.load(Ordering::Acquire)
            && stale.into_iter().flatten().all(|since| since < STALE)
    }

    fn is_taken_back(&self, identity: &Identity) -> bool {
        let serial = identity.serial.as_ref();
        serial.is_some_and(|serial| self.revocations.is_revoked(serial))
    }

    /// What a person is to each tenant, now.
    fn caller(&self, identity: &Identity) -> Caller {
        let person = identity.person();
        let tenants = self.tenants.tenants();
        let memberships = tenants.iter().filter_map(|tenant| {
            tenant.role_of(&person)?;
            let records = self.namespaces.of_tenant(&tenant.name, &tenant.uid);
            Membership::of(
                tenant,
                &person,
                records.iter().filter_map(|record| claim(record)),
            )
        });
        Caller {
            person: identity.name(),
            memberships: memberships.collect(),
        }
    }

    /// Waits, after the creation of a namespace, until it takes pods and the API server knows the
    /// tenant's rights in it, so that the next command works.
    async fn opened(
        &self,
        scoped: &ScopedRequest,
        identity: &Identity,
        envelope: &Envelope<'_>,
        status: StatusCode,
    ) {
        let dry = matches!(
            scoped.request().query().get("dryRun"),
            Some(QueryValue::Text(_))
        );
        let (Some(name), StatusCode::CREATED, false) = (scoped.created_namespace(), status, dry)
        else {
            return;
        };
        let usable = async {
            self.namespaces.wait_isolated(name, OPENING).await;
            while !self.reaches(identity, name, envelope).await {
                tokio::time::sleep(RIGHTS).await;
            }
        };
        if tokio::time::timeout(OPENING, usable).await.is_err() {
            tracing::warn!(namespace = %name, "a new namespace does not open for its tenant");
        }
    }

    /// Whether the API server lets a person read a namespace of its own. Its rights there come
    /// with one RoleBinding, which the API server sees a little later than we do.
    async fn reaches(
        &self,
        identity: &Identity,
        name: &NamespaceName,
        envelope: &Envelope<'_>,
    ) -> bool {
        let read = parse("GET", &format!("/api/v1/namespaces/{name}"))
            .and_then(|asked| scope(asked, &self.caller(identity), bulkhead_scope::Body::Empty));
        match read {
            Ok(Outcome::Forward(scoped)) => self
                .forward(&scoped, envelope)
                .await
                .is_ok_and(|response| response.status().is_success()),
            _ => false,
        }
    }

    /// Ready when the right by which a stream was opened is gone.
    async fn revoked(self: Arc<Self>, identity: Identity, caller: Caller, scoped: ScopedRequest) {
        let (mut tenants, mut namespaces) = (self.tenants.changes(), self.namespaces.changes());
        let mut revocations = self.revocations.changes();
        while self.still_holds(&identity, &caller, &scoped) {
            tokio::select! {
                () = tenants.next() => {}
                () = namespaces.next() => {}
                () = revocations.next() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn still_holds(&self, identity: &Identity, caller: &Caller, scoped: &ScopedRequest) -> bool {
        let over = identity.is_over(SystemTime::now()) || self.is_taken_back(identity);
        if !self.fresh() || over {
            return false;
        }
        match (scoped.credential(), scoped.namespace()) {
            (Credential::Forwarder { .. }, Some(namespace)) => {
                caller.owner(namespace.as_str()).is_some_and(|member| {
                    self.is_still(identity, member) && self.owned(namespace, &member.tenant, member)
                })
            }
            // The list of namespaces was opened for all tenants of the person.
            _ => {
                let now = self.caller(identity);
                scoped.sees_the_same(&now)
                    && now.memberships.len() == caller.memberships.len()
                    && caller
                        .memberships
                        .iter()
                        .all(|member| self.is_still(identity, member))
            }
        }
    }

    fn is_still(&self, identity: &Identity, member: &Membership) -> bool {
        self.tenants
            .get(member.tenant.as_str())
            .is_some_and(|record| {
                record.tenant.as_ref().is_ok_and(|tenant| {
                    Membership::of(tenant, &identity.person(), [])
                        .is_some_and(|now| now.uid == member.uid && now.user == member.user)
                })
            })
    }

    fn owned(&self, namespace: &NamespaceName, tenant: &TenantName, member: &Membership) -> bool {
        let record = self.namespaces.get(namespace.as_str());
        record.is_some_and(|record| record.belongs_to(tenant, &member.uid))
    }
}

fn claim(record: &NamespaceRecord) -> Option<Claim<'_>> {
    Some(Claim {
        namespace: &record.name,
        tenant: record.tenant.as_ref()?,
        uid: record.tenant_uid.as_ref()?,
    })
}

/// The request target in origin form.
fn target(head: &http::request::Parts) -> Result<&str, Denial> {
    // HTTP/2 has no request line: its authority is the host.
    if head.version < Version::HTTP_2 && head.uri.authority().is_some() {
        return Err(Denial::bad_request(
            "the request target must start with `/`: absolute URLs are not taken",
        ));
    }
    Ok(head
        .uri
        .path_and_query()
        .map_or("", http::uri::PathAndQuery::as_str))
}

fn accepted(head: &http::request::Parts, asked: &ApiRequest) -> Result<String, Denial> {
    let values: Result<Vec<&str>, _> = head
        .headers
        .get_all(header::ACCEPT)
        .iter()
        .map(HeaderValue::to_str)
        .collect();
    let values = values.map_err(|_| Denial::bad_request("the header `accept` is no ASCII text"))?;
    negotiate(&values, asked.path())
}

/// Whether the answer has no end of its own.
fn streams(scoped: &ScopedRequest) -> bool {
    let request = scoped.request();
    let follows = matches!(request.path(), Path::Resource(_)) && request.query().flag("follow");
    request.verb() == Verb::Watch || follows
}

#[cfg(test)]
mod tests;
