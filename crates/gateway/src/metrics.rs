//! What the gateway counts, as Prometheus reads it. No tenant's or person's name is in it:
//! whoever reaches the port may read.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::limits::{Sort, Whose};

pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Verb, Histogram>,
    limited: Family<Limited, Counter>,
    authentications: Family<Authentication, Counter>,
    lost: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    verb: &'static str,
    decision: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verb {
    verb: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limited {
    whose: &'static str,
    sort: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Authentication {
    credential: &'static str,
    code: u16,
}

/// Upper bounds in seconds: from what a small GET takes to the longest that a call may.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("bulkhead_gateway");
        let requests = Family::<Request, Counter>::default();
        let seconds = Family::<Verb, Histogram>::new_with_constructor(|| Histogram::new(BOUNDS));
        let limited = Family::<Limited, Counter>::default();
        let authentications = Family::<Authentication, Counter>::default();
        let lost = Counter::default();
        registry.register("requests", "Requests that are over", requests.clone());
        registry.register(
            "request_seconds",
            "How long requests took to the last byte, watches and sessions included",
            seconds.clone(),
        );
        registry.register(
            "limited",
            "Refusals because somebody's allowance was used up",
            limited.clone(),
        );
        registry.register(
            "authentications",
            "Credentials that were looked at, by what came of it: 200, 401 or 503",
            authentications.clone(),
        );
        registry.register(
            "audit_lines_lost",
            "Lines of the audit log that could not be written",
            lost.clone(),
        );
        Self {
            registry,
            requests,
            seconds,
            limited,
            authentications,
            lost,
        }
    }

    pub(crate) fn note(
        &self,
        verb: &'static str,
        decision: &'static str,
        code: u16,
        took: Duration,
    ) {
        let request = Request {
            verb,
            decision,
            code,
        };
        self.requests.get_or_create(&request).inc();
        self.seconds
            .get_or_create(&Verb { verb })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn limited(&self, whose: Whose, sort: Sort) {
        let limited = Limited {
            whose: whose.as_str(),
            sort: sort.as_str(),
        };
        self.limited.get_or_create(&limited).inc();
    }

    pub(crate) fn authentication(&self, credential: &'static str, code: u16) {
        let authentication = Authentication { credential, code };
        self.authentications.get_or_create(&authentication).inc();
    }

    pub(crate) fn audit_lost(&self, lines: u64) {
        self.lost.inc_by(lines);
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
