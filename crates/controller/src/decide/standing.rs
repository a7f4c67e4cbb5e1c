//! How a tenant stands: what it may claim, and why not more.

use std::sync::Arc;

use bulkhead_api::FieldError;
use bulkhead_cluster::TenantRecord;
use bulkhead_model::Tenant;

/// How a tenant stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// It gets what it asks for.
    Good(Arc<Tenant>),
    /// It keeps what it has, but an earlier tenant's prefix keeps it from new namespaces.
    Conflict(Arc<Tenant>, FieldError),
    /// Its spec cannot be read: nothing can be known of its rights, so it has none.
    Invalid(Vec<FieldError>),
    /// It is going: nothing of it may be reachable.
    Deleting,
}

/// How a tenant stands by its own object. That its prefix is another's stands in the ledger: see
/// `prefixes`.
pub(crate) fn standing(record: &TenantRecord) -> Standing {
    if record.deleting {
        return Standing::Deleting;
    }
    match &record.tenant {
        Ok(tenant) => Standing::Good(tenant.clone()),
        Err(errors) => Standing::Invalid(errors.clone()),
    }
}

/// The tenants whose users the gateway may impersonate, in the order of their names.
pub(crate) fn reachable(all: &[Arc<TenantRecord>]) -> Vec<Arc<Tenant>> {
    let live = all.iter().filter(|record| !record.deleting);
    live.filter_map(|record| record.tenant.as_ref().ok().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(name: &str, prefix: &str, created: &str, deleted: bool) -> Arc<TenantRecord> {
        let mut object = json!({
            "apiVersion": bulkhead_api::API_VERSION, "kind": bulkhead_api::KIND,
            "metadata": {"name": name, "uid": format!("u-{name}"), "generation": 1,
                         "creationTimestamp": format!("2026-01-01T00:00:{created}Z")},
            "spec": {"namespaceOptions": {"prefix": prefix}},
        });
        if deleted {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        }
        Arc::new(TenantRecord::of(object).unwrap())
    }

    fn word(standing: &Standing) -> String {
        match standing {
            Standing::Good(_) => "good".to_owned(),
            Standing::Conflict(_, error) => format!("conflict at {}", error.path),
            Standing::Invalid(errors) => format!("invalid at {}", errors[0].path),
            Standing::Deleting => "deleting".to_owned(),
        }
    }

    #[test]
    fn a_tenant_stands_by_its_object() {
        for (tenant, expected) in [
            (record("a", "acme-", "01", false), "good"),
            (record("a", "acme-", "01", true), "deleting"),
            (
                record("a", "NO", "01", false),
                "invalid at spec.namespaceOptions.prefix",
            ),
        ] {
            assert_eq!(word(&standing(&tenant)), expected);
        }
    }

    #[test]
    fn whoever_is_going_or_unreadable_is_out_of_reach() {
        let all = [
            record("a", "acme-", "01", false),
            record("b", "acme-b-", "02", false),
            record("c", "NO", "01", false),
            record("d", "d-", "01", true),
        ];
        let names: Vec<String> = reachable(&all).iter().map(|t| t.name.to_string()).collect();
        assert_eq!(
            names,
            ["a", "b"],
            "a tenant in conflict still reaches what it has"
        );
    }
}
