//! LedgerEntry: its CustomResourceDefinition, and the way between the wire and
//! [`bulkhead_model::LedgerEntry`].

use crate::Fields;
use bulkhead_model::{ClaimKind, FieldPath, Holder, LedgerEntry, TenantName, Uid, labels};
use serde_json::{Map, Value, json};

use crate::API_VERSION;
use crate::error::{Errors, FieldError};
use crate::parse::{known, object};

/// `kind` of a ledger entry.
pub const LEDGER_KIND: &str = "LedgerEntry";

/// Longest key of an entry, in characters.
const MAX_KEY: usize = 512;

pub(crate) fn crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "ledgerentries.bulkhead.dev"},
        "spec": {
            "group": labels::GROUP,
            "scope": "Cluster",
            "names": {
                "kind": LEDGER_KIND,
                "listKind": "LedgerEntryList",
                "plural": "ledgerentries",
                "singular": "ledgerentry",
            },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "additionalPrinterColumns": [
                    {"name": "Kind", "type": "string", "jsonPath": ".spec.kind"},
                    {"name": "Key", "type": "string", "jsonPath": ".spec.key"},
                    {"name": "Tenant", "type": "string", "jsonPath": ".spec.holder.tenant"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": schema()},
            }],
        },
    })
}

fn schema() -> Value {
    json!({
        "type": "object",
        "description": "What may never be shared or exceeded, and who has it. Written by Bulkhead alone: the ledger is the truth that annotations and statuses repeat.",
        "required": ["spec"],
        "properties": {"spec": {
            "type": "object",
            "required": ["kind", "key"],
            "x-kubernetes-validations": [{
                "rule": "self.kind == oldSelf.kind && self.key == oldSelf.key",
                "message": "an entry is about one thing for good: its name is made of `kind` and `key`",
            }],
            "properties": {
                "kind": {
                    "type": "string",
                    "description": "What the entry is about.",
                    "enum": ClaimKind::ALL.map(ClaimKind::as_str),
                },
                "key": {
                    "type": "string",
                    "description": "Which of them. The object's name is made of kind and key, hashed if the key is long or no name.",
                    "minLength": 1,
                    "maxLength": MAX_KEY,
                },
                "holder": {
                    "type": "object",
                    "description": "Whose it is; left out where many share the entry and `data` say who has what.",
                    "required": ["tenant", "uid"],
                    "properties": {
                        "tenant": {"type": "string", "description": "Name of the Tenant.", "minLength": 1, "maxLength": 63},
                        "uid": {"type": "string", "description": "UID of the Tenant.", "minLength": 1, "maxLength": 63},
                    },
                },
                "data": {
                    "type": "object",
                    "description": "What else is to be remembered; each kind has its own form.",
                    "x-kubernetes-preserve-unknown-fields": true,
                },
            },
        }},
    })
}

/// The object of an entry, without a resource version. Labels repeat kind and holder for
/// selectors; nothing is decided by them.
#[must_use]
pub fn entry_object(entry: &LedgerEntry) -> Value {
    let mut spec = json!({"kind": entry.kind, "key": entry.key});
    let mut wanted = json!({labels::CLAIM: entry.kind});
    if let (Some(holder), Some(spec), Some(labels)) =
        (&entry.holder, spec.as_object_mut(), wanted.as_object_mut())
    {
        spec.insert("holder".to_owned(), json!(holder));
        labels.insert(labels::TENANT.to_owned(), json!(holder.tenant));
        labels.insert(labels::TENANT_UID.to_owned(), json!(holder.uid));
    }
    if let (false, Some(spec)) = (entry.data.is_empty(), spec.as_object_mut()) {
        spec.insert("data".to_owned(), Value::Object(entry.data.clone()));
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": LEDGER_KIND,
        "metadata": {"name": entry.name(), "labels": wanted},
        "spec": spec,
    })
}

/// Reads an entry. One whose name is not made of its kind and key is none: two of them could be
/// about the same thing.
///
/// # Errors
/// Every field that is wrong.
pub fn parse_entry(entry: &Value) -> Result<LedgerEntry, Vec<FieldError>> {
    let mut errors = Errors::default();
    let path = FieldPath::of("spec");
    let spec = object(entry.get("spec"), &path, &mut errors);
    known(spec, &path, &["kind", "key", "holder", "data"], &mut errors);
    let kind = ClaimKind::parse(spec.str("kind").unwrap_or_default())
        .map_err(|error| errors.add(path.clone().then("kind"), error.to_string()))
        .ok();
    let key = spec.str("key").filter(|key| !key.is_empty());
    if key.is_none() {
        errors.add(path.clone().then("key"), "expected a string");
    }
    let holder = parse_holder(spec, &path, &mut errors);
    let data = match spec.get("data") {
        None => Map::new(),
        Some(Value::Object(data)) => data.clone(),
        Some(_) => {
            errors.add(path.then("data"), "expected an object");
            Map::new()
        }
    };
    let (Some(kind), Some(key), []) = (kind, key, errors.0.as_slice()) else {
        return Err(errors.0);
    };
    let parsed = LedgerEntry {
        kind,
        key: key.to_owned(),
        holder,
        data,
    };
    let name = Fields::of(entry.get("metadata"))
        .str("name")
        .unwrap_or_default();
    if name == parsed.name() {
        Ok(parsed)
    } else {
        let message = format!("`{name}` is not the name of `{kind} {key}`");
        errors.add(FieldPath::of("metadata.name"), message);
        Err(errors.0)
    }
}

fn parse_holder(spec: Fields<'_>, path: &FieldPath, errors: &mut Errors) -> Option<Holder> {
    spec.get("holder")?;
    let path = path.clone().then("holder");
    let holder = object(spec.get("holder"), &path, errors);
    known(holder, &path, &["tenant", "uid"], errors);
    let tenant = TenantName::parse(holder.str("tenant").unwrap_or_default())
        .map_err(|error| errors.add(path.clone().then("tenant"), error.to_string()));
    let uid = Uid::parse(holder.str("uid").unwrap_or_default())
        .map_err(|error| errors.add(path.then("uid"), error.to_string()));
    Some(Holder {
        tenant: tenant.ok()?,
        uid: uid.ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(holder: Option<Holder>, data: &Value) -> LedgerEntry {
        LedgerEntry {
            kind: ClaimKind::Hostname,
            key: "*.acme.example".to_owned(),
            holder,
            data: data.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let holder = Holder {
            tenant: TenantName::parse("acme").unwrap(),
            uid: Uid::parse("u-1").unwrap(),
        };
        for entry in [
            entry(None, &json!({})),
            entry(Some(holder), &json!({"route": "a"})),
        ] {
            assert_eq!(parse_entry(&entry_object(&entry)), Ok(entry));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = entry_object(&entry(None, &json!({})));
        for (pointer, value, field) in [
            ("/spec/kind", json!("Other"), "spec.kind"),
            ("/spec/key", json!(""), "spec.key"),
            ("/spec/key", json!("*.globex.example"), "metadata.name"),
            (
                "/spec",
                json!({"kind": "Node", "key": "a", "x": 1}),
                "spec.x",
            ),
            (
                "/spec",
                json!({"kind": "Node", "key": "a", "holder": {"tenant": "A", "uid": "u"}}),
                "spec.holder.tenant",
            ),
            (
                "/spec",
                json!({"kind": "Node", "key": "a", "data": []}),
                "spec.data",
            ),
            ("/metadata/name", json!("hostname.x"), "metadata.name"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            let errors = parse_entry(&bad).unwrap_err();
            assert_eq!(errors[0].path.to_string(), field, "{bad}");
        }
    }
}
