//! What a quota costs an admission: the same pod of a tenant that has one and of one that has none,
//! in turns, at the webhook's own door, with all the others loaded.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Client, Request};
use bulkhead_sandbox::pki::AuthorityName;
use serde_json::{Value, json};

use super::median;
use crate::bed::Bed;
use crate::client::text;
use crate::guest::Guest;

/// Medians of the time that the webhook takes for one answer.
pub(super) struct Outcome {
    with: Duration,
    without: Duration,
    requests: usize,
}

impl Outcome {
    fn ratio(&self) -> f64 {
        self.with.as_secs_f64() / self.without.as_secs_f64()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "requests": self.requests, "p50WithQuotaMicros": self.with.as_secs_f64() * 1e6,
            "p50WithoutMicros": self.without.as_secs_f64() * 1e6, "ratio": self.ratio(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "webhook with a quota   {:>10.2} ×   p50 {} µs and {} µs, {} each      goal: at most 1.10 ×",
            self.ratio(),
            self.with.as_micros(),
            self.without.as_micros(),
            self.requests
        )
    }
}

pub(super) fn compare(bed: &Bed, requests: usize) -> anyhow::Result<Outcome> {
    let quota = json!({"resources": {"quota": {"hard": {"pods": "100k", "requests.cpu": "100k", "limits.memory": "1Pi"}}}});
    let limited = Guest::arrive(bed, "speed-limited", &quota)?;
    let free = Guest::arrive(bed, "speed-free", &json!({}))?;
    let authorities = std::fs::read(AuthorityName::Servers.certificate(&bed.layout.pki()))?;
    let webhook = Client::anonymous(
        bed.state.webhook.trim_start_matches("https://"),
        &authorities,
    )?;
    let sides = [Side::new(bed, &limited)?, Side::new(bed, &free)?];
    let mut times = [Vec::new(), Vec::new()];
    // The first of them lease, connect and fill caches.
    let warm = requests / 10;
    for number in 0..requests + warm {
        for (side, times) in sides.iter().zip(&mut times) {
            let request = side.request(number);
            let began = Instant::now();
            let response = bed.wait(webhook.send_again(&request))?;
            let took = began.elapsed();
            let allowed = response.json().pointer("/response/allowed") == Some(&json!(true));
            ensure!(allowed, "refused: {}", response.text());
            if number >= warm {
                times.push(took);
            }
        }
    }
    let [mut with, mut without] = times;
    limited.leave()?;
    free.leave()?;
    let middle = |times: &mut Vec<Duration>| {
        median(times, Duration::as_secs_f64).context("no requests were sent")
    };
    Ok(Outcome {
        with: middle(&mut with)?,
        without: middle(&mut without)?,
        requests,
    })
}

/// A tenant's pod, as it comes to be judged at the end.
struct Side {
    namespace: String,
    pod: Value,
}

impl Side {
    fn new(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<Self> {
        let pod = json!({"metadata": {"name": "x"}, "spec": bulkhead_attack::good_pod()});
        let pods = format!("/api/v1/namespaces/{}/pods?dryRun=All", guest.namespace);
        let pod = bed.do_as_admin(&Request::post(pods, &pod))?;
        ensure!(!text(&pod, "/metadata/uid").is_empty(), "{pod}");
        Ok(Self {
            namespace: guest.namespace.clone(),
            pod,
        })
    }

    /// None comes about: what is charged for them comes back by itself.
    fn request(&self, number: usize) -> Request {
        let mut pod = self.pod.clone();
        if let Some(metadata) = pod.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".to_owned(), json!(format!("bench-{number}")));
            metadata.insert(
                "uid".to_owned(),
                json!(format!("00000000-0000-0000-0001-{number:012}")),
            );
        }
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": format!("00000000-0000-0000-0002-{number:012}"), "operation": "CREATE",
                "namespace": self.namespace, "name": format!("bench-{number}"),
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "userInfo": {"username": "somebody"}, "object": pod,
            },
        });
        Request::new("POST", "/validate").body("application/json", review.to_string())
    }
}
