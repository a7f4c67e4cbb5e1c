//! What the webhook counts, as Prometheus reads it. No tenant's name is in it: whoever reaches
//! the port may read.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::answer::Answer;

pub(crate) struct Metrics {
    registry: Registry,
    reviews: Family<Review, Counter>,
    denials: Family<Denied, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Review {
    path: &'static str,
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Denied {
    control: String,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("bulkhead_webhook");
        let reviews = Family::<Review, Counter>::default();
        let denials = Family::<Denied, Counter>::default();
        registry.register("reviews", "Answers to the API server", reviews.clone());
        registry.register(
            "denials",
            "Refusals, by each control that refused",
            denials.clone(),
        );
        Self {
            registry,
            reviews,
            denials,
        }
    }

    pub(crate) fn note(&self, path: &'static str, answer: &Answer) {
        let word = match answer {
            Answer::Allowed => "allowed",
            Answer::Patched(_) => "patched",
            Answer::Warned(_) => "warned",
            Answer::Denied(_) => "denied",
        };
        self.reviews
            .get_or_create(&Review { path, answer: word })
            .inc();
        if let Answer::Denied(denial) = answer {
            for control in &denial.controls {
                let control = control.to_string();
                self.denials.get_or_create(&Denied { control }).inc();
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
