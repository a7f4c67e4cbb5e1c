//! Names for which an admitted object answers are taken from the ledger before it is admitted: of two
//! tenants that may both have a name, the first to use it has it.

use std::time::Duration;

use bulkhead_cluster::{Cluster, Ledger};
use bulkhead_controls::{denial, hostnames};
use bulkhead_model::{AdmissionRequest, FieldPath, Finding, Holder, TenantRules};
use tokio::time::timeout;

use crate::answer::Denial;

/// For all names of a request together. The API server waits three seconds for the whole answer.
const DEADLINE: Duration = Duration::from_millis(1500);
/// More names than this in one object are refused: each costs a look into the ledger.
const MOST: usize = 32;

/// Claims every name of the object for the tenant. A dry run claims nothing.
///
/// # Errors
/// What the requester is told: a name is another tenant's, or the ledger does not answer.
pub(crate) async fn claim(
    cluster: Option<&Cluster>,
    request: &AdmissionRequest<'_>,
    rules: &TenantRules,
) -> Result<(), Denial> {
    let (Some(object), false) = (&request.object, request.dry_run) else {
        return Ok(());
    };
    let kind = &request.resource;
    let names = hostnames(&kind.group, &kind.resource, object);
    if names.is_empty() {
        return Ok(());
    }
    if names.len() > MOST {
        return Err(refusal(format!(
            "holds {} names, at most {MOST} fit into one object",
            names.len()
        )));
    }
    let Some(cluster) = cluster else {
        return Err(Denial::forbidden(
            "the ledger of hostnames cannot be asked; try again in a moment",
        ));
    };
    let ledger = Ledger::new(cluster);
    let holder = Holder {
        tenant: rules.tenant.clone(),
        uid: rules.uid.clone(),
    };
    let all = async {
        for name in names {
            match ledger.claim_hostname(name, &holder).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    return Err(refusal(format!(
                        "holds `{name}`, which another tenant has, or has a name that it overlaps"
                    )));
                }
                Err(error) => {
                    tracing::error!(host = name, error = %error.chain(), "cannot claim a hostname");
                    return Err(Denial::forbidden(
                        "the ledger of hostnames does not answer; try again in a moment",
                    ));
                }
            }
        }
        Ok(())
    };
    timeout(DEADLINE, all).await.unwrap_or_else(|_| {
        Err(Denial::forbidden(
            "the ledger of hostnames does not answer in time; try again in a moment",
        ))
    })
}

/// In the words of the control, which judged that the tenant may have the name.
fn refusal(detail: String) -> Denial {
    const CONTROL: &str = "hostname-taken";
    let finding = Finding {
        control: CONTROL,
        path: FieldPath::of("spec"),
        detail,
    };
    Denial {
        controls: vec![CONTROL],
        ..Denial::forbidden(denial(&[finding]))
    }
}
