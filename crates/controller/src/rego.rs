//! The kinds of constraints: a CustomResourceDefinition for each of Gatekeeper's templates.

use std::collections::BTreeMap;
use std::time::Duration;

use bulkhead_cluster::{ClusterError, Kind};
use bulkhead_rego::{TEMPLATES, Template};
use serde_json::{Value, json};

use crate::context::Context;

/// How long a new template waits for its kind.
const EVERY: Duration = Duration::from_secs(2);

/// Makes the kinds, for ever. A kind goes with its template, which owns it.
pub(crate) async fn kinds(context: &Context) {
    let mut made = BTreeMap::new();
    loop {
        if let Err(error) = make(context, &mut made).await {
            tracing::warn!(error = %error.chain(), "cannot make the kinds of constraints");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn make(context: &Context, made: &mut BTreeMap<String, Value>) -> Result<(), ClusterError> {
    let kind = Kind::new(&format!("{TEMPLATES}/v1"), "ConstraintTemplate");
    let templates = match context.cluster.list(&kind, None, "").await {
        Ok(templates) => templates,
        Err(ClusterError::UnknownKind { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut seen = Vec::new();
    for object in templates {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let name = text("/metadata/name").to_owned();
        seen.push(name.clone());
        // One that is refused was there before Bulkhead; the webhook says so at every request.
        let Ok(template) = Template::parse(&object, &name) else {
            continue;
        };
        let mut crd = template.crd();
        if let Some(metadata) = crd.get_mut("metadata").and_then(Value::as_object_mut) {
            let owner = json!([{
                "apiVersion": format!("{TEMPLATES}/v1"), "kind": "ConstraintTemplate",
                "name": name, "uid": text("/metadata/uid"),
            }]);
            metadata.insert("ownerReferences".to_owned(), owner);
        }
        if made.get(&name) != Some(&crd) {
            context.cluster.apply(&crd).await?;
            if object.pointer("/status/created") != Some(&Value::Bool(true)) {
                let status = json!({
                    "apiVersion": format!("{TEMPLATES}/v1"), "kind": "ConstraintTemplate",
                    "metadata": {"name": name}, "status": {"created": true},
                });
                context.cluster.apply_status(&status).await?;
            }
            made.insert(name, crd);
        }
    }
    made.retain(|name, _| seen.contains(name));
    Ok(())
}
