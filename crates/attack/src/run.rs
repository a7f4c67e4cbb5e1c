//! Makes the attacks and judges what came of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::field::Field;
use crate::technique::{Expected, Family, Layer, Shot, Technique, Theorem, Truth};
use crate::wire::Request;

/// How many attacks run at the same time.
const AT_ONCE: usize = 8;

/// What came of a technique.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It was stopped, for an expected reason, and nothing has changed.
    Stopped {
        /// The reason.
        by: String,
    },
    /// It succeeded, or was stopped by something else, or could not be made.
    Failed {
        /// What happened instead.
        why: String,
    },
}

/// A technique and what came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What it does.
    pub does: String,
    /// What it tries to break.
    pub theorem: Theorem,
    /// Its row.
    pub family: Family,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub duration: Duration,
}

impl Outcome {
    /// Whether the technique was stopped as it should be.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.verdict, Verdict::Stopped { .. })
    }
}

/// Makes the attacks whose names the filter accepts, several at once. The outcomes are in the order
/// of the registry.
pub async fn run(field: &Arc<Field>, filter: impl Fn(&str) -> bool) -> Vec<Outcome> {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    let chosen = crate::techniques::techniques()
        .into_iter()
        .filter(|t| filter(&t.name));
    for (index, technique) in chosen.enumerate() {
        let (gate, field) = (gate.clone(), field.clone());
        tasks.spawn(async move {
            let _permit = gate.acquire().await;
            (index, run_one(&field, &technique).await)
        });
    }
    let mut outcomes = tasks.join_all().await;
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Makes one attack.
pub async fn run_one(field: &Field, technique: &Technique) -> Outcome {
    let start = Instant::now();
    let verdict = match attempt(field, technique).await {
        Ok(by) => Verdict::Stopped { by },
        Err(why) => Verdict::Failed { why },
    };
    Outcome {
        name: technique.name.clone(),
        does: technique.does.clone(),
        theorem: technique.theorem,
        family: technique.family,
        verdict,
        duration: start.elapsed(),
    }
}

/// The reason that stopped it, or else what went wrong.
async fn attempt(field: &Field, technique: &Technique) -> Result<String, String> {
    let attack = technique.plan(field);
    let mut before = Vec::new();
    for truth in &attack.truths {
        before.push(match truth {
            Truth::Same(path) => Some(look(field, path).await?),
            _ => None,
        });
    }
    let mut verdict = Ok(String::new());
    for shot in &attack.shots {
        verdict = fire(field, shot, &technique.stopped_by).await;
        if verdict.is_err() {
            break;
        }
    }
    // The truth is looked at, and put right, whatever the answers were.
    let mut changes = Vec::new();
    for (truth, before) in attack.truths.iter().zip(before) {
        if let Err(change) = check(field, truth, before).await {
            changes.push(change);
        }
    }
    match (verdict, changes.is_empty()) {
        (verdict, true) => verdict,
        (Ok(by), false) => Err(format!(
            "{} although it was refused ({by})",
            changes.join(", ")
        )),
        (Err(why), false) => Err(format!("{why}; {}", changes.join(", "))),
    }
}

async fn fire(field: &Field, shot: &Shot, expected: &[Expected]) -> Result<String, String> {
    let client = field
        .client(shot.door, &shot.credential)
        .map_err(|error| error.to_string())?;
    let response = match client.send_again(&shot.request).await {
        Ok(response) => response,
        Err(error) => {
            let alert = error.alert();
            let by = alert.as_ref().and_then(|alert| {
                expected
                    .iter()
                    .find(|e| e.layer == Layer::Tls && alert.contains(&*e.text))
            });
            return by.map(ToString::to_string).ok_or_else(|| match alert {
                Some(alert) => format!("TLS alert {alert}, expected {}", one_of(expected)),
                None => format!("no answer: {error}"),
            });
        }
    };
    let text = response.text();
    let encoded = STANDARD_NO_PAD.encode(&field.canary);
    if text.contains(&field.canary) || text.contains(&encoded) {
        return Err(format!(
            "the answer ({}) holds the victim's data",
            response.status
        ));
    }
    if let Some(by) = expected
        .iter()
        .find(|e| e.explains(&response, shot.door, field))
    {
        return Ok(by.to_string());
    }
    let message = response.message();
    let layer = crate::technique::speaker(&response, &message, shot.door);
    let cut: String = message.chars().take(300).collect();
    Err(match layer {
        Layer::Harmless => format!("it succeeded: {} {cut}", response.status),
        layer => format!(
            "{layer:?} {} `{cut}`, expected {}",
            response.status,
            one_of(expected)
        ),
    })
}

fn one_of(expected: &[Expected]) -> String {
    expected
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" or ")
}

/// What the administrator sees there: the object without what changes by itself, null if there is none.
async fn look(field: &Field, path: &str) -> Result<Value, String> {
    let response = field
        .as_admin(&Request::get(path))
        .await
        .map_err(|e| format!("cannot look at `{path}`: {e}"))?;
    match response.status {
        200 => {
            let mut value = response.json();
            strip(&mut value);
            Ok(value)
        }
        404 => Ok(Value::Null),
        status => Err(format!(
            "cannot look at `{path}`: {status} {}",
            response.message()
        )),
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("status");
            if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
                metadata.remove("resourceVersion");
                metadata.remove("managedFields");
            }
            if let Some(items) = map.get_mut("items") {
                strip(items);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Says what has changed, after putting it right.
async fn check(field: &Field, truth: &Truth, before: Option<Value>) -> Result<(), String> {
    match truth {
        Truth::Absent(path) => match look(field, path).await? {
            Value::Null => Ok(()),
            _ => {
                // INVARIANT: the verdict is failed already; a clean-up that fails too would add nothing.
                let free = json!({"metadata": {"finalizers": null}});
                let free = Request::patch(path.as_str(), "application/merge-patch+json", &free);
                let _ = field.as_admin(&free).await;
                let _ = crate::setup::remove(&field.admin, path).await;
                Err(format!("`{path}` was created"))
            }
        },
        Truth::Same(path) => {
            let (before, after) = (before.unwrap_or_default(), look(field, path).await?);
            if before == after {
                return Ok(());
            }
            if before.pointer("/metadata/name").is_some() {
                restore(field, path, &before, after.is_null()).await;
            }
            Err(format!("`{path}` has changed"))
        }
        Truth::Lacks(path, text) => {
            let response = field.as_admin(&Request::get(path.as_str())).await;
            let response = response.map_err(|error| format!("cannot look at `{path}`: {error}"))?;
            if response.status == 200 && !response.text().contains(text.as_str()) {
                Ok(())
            } else {
                Err(format!("`{path}` ({}) holds `{text}`", response.status))
            }
        }
    }
}

async fn restore(field: &Field, path: &str, before: &Value, gone: bool) {
    let mut object = before.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("uid");
    }
    let request = match path.rsplit_once('/') {
        Some((collection, _)) if gone => Request::post(collection, &object),
        _ => Request::put(path, &object),
    };
    // INVARIANT: the verdict is failed already; a clean-up that fails too would add nothing.
    let _ = field.as_admin(&request).await;
}
