//! Whether a Tenant may stand as it is written.

use bulkhead_api::{overlapping, overlapping_nodes, parse_tenant};
use bulkhead_cluster::TenantCache;
use bulkhead_model::{AdmissionRequest, Operation};

use crate::answer::{Answer, Denial};

/// The answer to the creation or change of a Tenant.
///
/// Two Tenants that are made in the same moment may both pass for want of knowing each other;
/// the controller serves the older one alone then.
pub(crate) fn check(request: &AdmissionRequest<'_>, tenants: &TenantCache) -> Answer {
    if request.resource.group != bulkhead_model::labels::GROUP
        || request.resource.resource != "tenants"
    {
        return refuse(format!(
            "`/tenants` judges Tenants, not {}",
            request.resource
        ));
    }
    if !matches!(request.operation, Operation::Create | Operation::Update) {
        return refuse("only CREATE and UPDATE of Tenants are judged".to_owned());
    }
    let Some(object) = &request.object else {
        return refuse("the request carries no object".to_owned());
    };
    // Finalizers come and go, also on Tenants that stand in each other's way.
    let old = request.old_object.as_ref();
    if request.operation == Operation::Update
        && old.is_some_and(|old| old.get("spec") == object.get("spec"))
    {
        return Answer::Allowed;
    }
    if !tenants.is_ready() {
        return refuse("the other Tenants are not known yet, try again shortly".to_owned());
    }
    let errors = match parse_tenant(&object.into()) {
        Err(errors) => errors,
        Ok(tenant) => {
            let tenants = tenants.tenants();
            let others = || tenants.iter().map(AsRef::as_ref);
            overlapping(&tenant, others())
                .into_iter()
                .chain(overlapping_nodes(&tenant, others()))
                .collect()
        }
    };
    if errors.is_empty() {
        Answer::Allowed
    } else {
        let errors = errors.iter().map(|error| {
            (
                error.to_string(),
                error.path.to_string(),
                error.message.clone(),
            )
        });
        Answer::Denied(Denial::invalid(bulkhead_api::KIND, &request.name, errors))
    }
}

fn refuse(message: String) -> Answer {
    Answer::Denied(Denial::forbidden(message))
}
