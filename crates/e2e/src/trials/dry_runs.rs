//! What trials of policies inside the API server share: the policies come and go, and many generated
//! objects are sent to be judged and not stored.

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Request, Response};
use futures::StreamExt as _;
use serde_json::Value;

use crate::bed::Bed;
use crate::client::text;

/// A number from the environment.
pub(super) fn number(name: &str) -> anyhow::Result<Option<u64>> {
    match std::env::var(name) {
        Ok(text) => {
            let number = text
                .parse()
                .with_context(|| format!("{name} is no number"))?;
            Ok(Some(number))
        }
        Err(_) => Ok(None),
    }
}

/// What is generated: `BULKHEAD_E2E_SEED` tries others.
pub(super) fn seed() -> anyhow::Result<Option<u64>> {
    number("BULKHEAD_E2E_SEED")
}

/// Makes a ValidatingAdmissionPolicy, or a binding of one.
pub(super) fn make_policy(bed: &Bed, object: &Value) -> anyhow::Result<()> {
    let path = path_of(object);
    let collection = path.rsplit_once('/').map_or("", |(path, _)| path);
    bed.do_as_admin(&Request::post(collection, object))?;
    Ok(())
}

/// Deletes one.
pub(super) fn delete_policy(bed: &Bed, object: &Value) -> anyhow::Result<()> {
    bed.admin(&Request::delete(path_of(object)))?;
    Ok(())
}

fn path_of(object: &Value) -> String {
    let kind = match text(object, "/kind") {
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
        _ => "validatingadmissionpolicybindings",
    };
    let name = text(object, "/metadata/name");
    format!("/apis/admissionregistration.k8s.io/v1/{kind}/{name}")
}

/// The warnings in an answer that hold these words.
pub(super) fn warnings<'a>(
    headers: &'a [(String, String)],
    words: &'a str,
) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(name, value)| name.eq_ignore_ascii_case("warning") && value.contains(words))
        .map(|(_, value)| value.as_str())
}

/// Sends each object to its collection as an administrator, some at a time, and gives the answers to
/// those that Kubernetes takes for valid.
pub(super) fn dry_run<T>(
    bed: &Bed,
    batch: Vec<(T, String, Value)>,
) -> anyhow::Result<Vec<(T, Response)>> {
    let sending = batch
        .into_iter()
        .map(|(what, collection, object)| async move {
            let request = Request::post(format!("{collection}?dryRun=All"), &object);
            (what, bed.field.as_admin(&request).await)
        });
    let answers = futures::stream::iter(sending).buffer_unordered(8);
    let mut taken = Vec::new();
    for (what, response) in bed.wait(answers.collect::<Vec<_>>()) {
        let response = response.context("the API server does not answer")?;
        if response.status == 422 || response.status == 400 {
            continue;
        }
        ensure!(
            response.is_success(),
            "unexpected: {} {}",
            response.status,
            response.message()
        );
        taken.push((what, response));
    }
    Ok(taken)
}
