//! What a tenant and a person may take: requests in a time, and how many at a time. Who is over
//! is refused at once (429), so nothing of one tenant's waits in another's way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_scope::{ApiRequest, Denial, Path, Verb};

/// What one tenant, or one person, may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in a second, in the long run.
    pub requests_per_second: u32,
    /// Requests at once, after a pause.
    pub burst: u32,
    /// Requests under way at a time, those below aside.
    pub calls: u32,
    /// Watches and followed logs open at a time.
    pub watches: u32,
    /// Sessions (exec, attach, port-forward) open at a time.
    pub sessions: u32,
}

/// The allowances of everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowances {
    /// Of each tenant, all its people together.
    pub tenant: Allowance,
    /// Of each person, over all tenants.
    pub person: Allowance,
}

impl Default for Allowances {
    fn default() -> Self {
        Self {
            tenant: Allowance {
                requests_per_second: 200,
                burst: 400,
                calls: 64,
                watches: 1000,
                sessions: 50,
            },
            // A burst is what kubectl makes of one command at most.
            person: Allowance {
                requests_per_second: 50,
                burst: 300,
                calls: 32,
                watches: 200,
                sessions: 20,
            },
        }
    }
}

/// How long a request goes on, which decides what it is counted among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Call,
    Watch,
    Session,
}

impl Sort {
    pub(crate) fn of(request: &ApiRequest) -> Self {
        let Path::Resource(resource) = request.path() else {
            return Self::Call;
        };
        match resource.subresource.as_deref() {
            Some("exec" | "attach" | "portforward") => Self::Session,
            Some("log") if request.query().flag("follow") => Self::Watch,
            _ if request.verb() == Verb::Watch => Self::Watch,
            _ => Self::Call,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Watch => "watch",
            Self::Session => "session",
        }
    }
}

/// Whose allowance it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Tenant,
    Person,
}

impl Whose {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Person => "person",
        }
    }
}

/// Meters by name. More than this many are looked through for those that nobody uses.
const METERS: usize = 4096;

/// Keeps everybody to an allowance.
pub(crate) struct Limiter {
    whose: Whose,
    meters: Mutex<HashMap<String, Arc<Meter>>>,
}

impl Limiter {
    pub(crate) fn new(whose: Whose) -> Self {
        Self {
            whose,
            meters: Mutex::default(),
        }
    }

    /// Lets one request in. The permit is held until its answer is over.
    ///
    /// # Errors
    /// 429 with the time after which to try again.
    pub(crate) fn enter(
        &self,
        name: &str,
        sort: Sort,
        allowance: &Allowance,
        now: Instant,
    ) -> Result<Permit, Denial> {
        let meter = self.meter(name, allowance, now);
        let refused = |what: String, seconds: u32| {
            let whose = self.whose.as_str();
            Denial::too_many_requests(format!("too many {what} for the {whose} `{name}`"), seconds)
        };
        let mut state = meter.state();
        let (under_way, most, what, seconds) = match sort {
            Sort::Call => (&state.calls, allowance.calls, "requests at a time", 1),
            Sort::Watch => (
                &state.watches,
                allowance.watches,
                "watches and followed logs",
                5,
            ),
            Sort::Session => (&state.sessions, allowance.sessions, "sessions", 5),
        };
        if *under_way >= most {
            return Err(refused(format!("{what}: {most} are under way"), seconds));
        }
        if let Err(wait) = state.bucket.take(allowance, now) {
            let rate = allowance.requests_per_second;
            let seconds = u32::try_from(wait.as_secs())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            return Err(refused(
                format!("requests: {rate} in a second are allowed"),
                seconds,
            ));
        }
        *state.count(sort) += 1;
        drop(state);
        Ok(Permit { meter, sort })
    }

    fn meter(&self, name: &str, allowance: &Allowance, now: Instant) -> Arc<Meter> {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.get(name) {
            return meter.clone();
        }
        if meters.len() >= METERS {
            // One that is full and holds nothing is as good as a new one.
            meters.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.state().is_new(now));
        }
        let meter = Arc::new(Meter(Mutex::new(State {
            bucket: Bucket {
                left: f64::from(allowance.burst),
                rate: f64::from(allowance.requests_per_second),
                most: f64::from(allowance.burst),
                at: now,
            },
            calls: 0,
            watches: 0,
            sessions: 0,
        })));
        meters.insert(name.to_owned(), meter.clone());
        meter
    }
}

struct Meter(Mutex<State>);

impl Meter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    bucket: Bucket,
    calls: u32,
    watches: u32,
    sessions: u32,
}

impl State {
    fn count(&mut self, sort: Sort) -> &mut u32 {
        match sort {
            Sort::Call => &mut self.calls,
            Sort::Watch => &mut self.watches,
            Sort::Session => &mut self.sessions,
        }
    }

    fn is_new(&mut self, now: Instant) -> bool {
        self.bucket.fill(now);
        self.bucket.left >= self.bucket.most
    }
}

/// Requests that may be made now, refilled as time goes by.
struct Bucket {
    left: f64,
    rate: f64,
    most: f64,
    at: Instant,
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = self.rate.mul_add(since, self.left).min(self.most);
        // Requests come in here in another order than they read the clock.
        self.at = self.at.max(now);
    }

    /// Takes one, or says how long until there is one.
    fn take(&mut self, allowance: &Allowance, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        // The allowance may be another than a moment ago.
        self.rate = f64::from(allowance.requests_per_second);
        self.most = f64::from(allowance.burst);
        self.left = self.left.min(self.most);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.left) / self.rate;
        Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::from_secs(60)))
    }
}

/// A place among those under way, until dropped.
pub(crate) struct Permit {
    meter: Arc<Meter>,
    sort: Sort,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.meter.state();
        let count = state.count(self.sort);
        *count = count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_scope::parse;

    use super::*;

    const FEW: Allowance = Allowance {
        requests_per_second: 10,
        burst: 20,
        calls: 4,
        watches: 2,
        sessions: 1,
    };

    fn passed(limiter: &Limiter, name: &str, now: Instant, tries: usize) -> usize {
        let tries = (0..tries).filter(|_| limiter.enter(name, Sort::Call, &FEW, now).is_ok());
        tries.count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let limiter = Limiter::new(Whose::Tenant);
        let start = Instant::now();
        assert_eq!(passed(&limiter, "a", start, 100), 20);
        assert_eq!(passed(&limiter, "a", start, 100), 0);
        assert_eq!(passed(&limiter, "b", start, 1), 1, "each has its own");
        assert_eq!(
            passed(&limiter, "a", start + Duration::from_millis(100), 100),
            1
        );
        // However many come for however long, no more than the limit gets through.
        let through: usize = (1..=1000)
            .map(|tick| {
                passed(
                    &limiter,
                    "a",
                    start + Duration::from_millis(100 + 10 * tick),
                    10,
                )
            })
            .sum();
        assert!((99..=100).contains(&through), "{through}");
        assert_eq!(
            passed(&limiter, "a", start + Duration::from_secs(3600), 100),
            20
        );
        // Clocks that go back give nothing.
        assert_eq!(passed(&limiter, "a", start, 100), 0);
    }

    #[test]
    fn refusals_say_when_to_come_again() {
        let limiter = Limiter::new(Whose::Person);
        let slow = Allowance {
            requests_per_second: 1,
            burst: 1,
            ..FEW
        };
        let now = Instant::now();
        drop(limiter.enter("alice", Sort::Call, &slow, now).unwrap());
        let denial = limiter
            .enter("alice", Sort::Call, &slow, now)
            .err()
            .unwrap();
        assert_eq!((denial.status, denial.retry_after), (429, Some(2)));
        assert_eq!(
            denial.message,
            "too many requests: 1 in a second are allowed for the person `alice`"
        );
        let none = Allowance {
            requests_per_second: 0,
            burst: 0,
            ..FEW
        };
        let denial = limiter.enter("bob", Sort::Call, &none, now).err().unwrap();
        assert_eq!(denial.retry_after, Some(61));
    }

    #[test]
    fn places_are_given_back() {
        let limiter = Limiter::new(Whose::Tenant);
        let now = Instant::now();
        for (sort, most, says) in [
            (Sort::Call, 4, "requests at a time: 4 are under way"),
            (Sort::Watch, 2, "watches and followed logs: 2 are under way"),
            (Sort::Session, 1, "sessions: 1 are under way"),
        ] {
            let mut held: Vec<Permit> = (0..most)
                .map(|_| limiter.enter("a", sort, &FEW, now).ok().unwrap())
                .collect();
            let denial = limiter.enter("a", sort, &FEW, now).err().unwrap();
            assert!(
                denial.status == 429 && denial.message.contains(says),
                "{}",
                denial.message
            );
            held.pop();
            held.push(limiter.enter("a", sort, &FEW, now).ok().unwrap());
            assert!(limiter.enter("a", sort, &FEW, now).is_err());
        }
    }

    #[test]
    fn a_refusal_for_want_of_a_place_costs_nothing() {
        let limiter = Limiter::new(Whose::Tenant);
        let now = Instant::now();
        let held: Vec<Permit> = (0..4)
            .map(|_| limiter.enter("a", Sort::Call, &FEW, now).ok().unwrap())
            .collect();
        assert_eq!(passed(&limiter, "a", now, 50), 0);
        drop(held);
        assert_eq!(passed(&limiter, "a", now, 50), 16);
    }

    #[test]
    fn meters_that_nobody_uses_go() {
        let limiter = Limiter::new(Whose::Person);
        let now = Instant::now();
        let watch = limiter
            .enter("watcher", Sort::Watch, &FEW, now)
            .ok()
            .unwrap();
        for n in 0..METERS {
            drop(limiter.enter(&n.to_string(), Sort::Call, &FEW, now));
        }
        let later = now + Duration::from_secs(1);
        drop(limiter.enter("later", Sort::Call, &FEW, later));
        let meters = limiter.meters.lock().unwrap();
        assert_eq!(meters.len(), 2);
        assert_eq!(meters["watcher"].state().watches, 1);
        drop(meters);
        drop(watch);
    }

    #[test]
    fn requests_are_sorted_by_how_long_they_go_on() {
        for (target, sort) in [
            ("/api/v1/namespaces/a/pods", Sort::Call),
            ("/api/v1/namespaces/a/pods?watch=true", Sort::Watch),
            ("/api/v1/namespaces/a/pods/x/log", Sort::Call),
            ("/api/v1/namespaces/a/pods/x/log?follow=true", Sort::Watch),
            ("/version", Sort::Call),
        ] {
            assert_eq!(Sort::of(&parse("GET", target).unwrap()), sort, "{target}");
        }
    }
}
