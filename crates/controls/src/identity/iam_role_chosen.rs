//! A ServiceAccount that names a role of the cloud is that role, as far as its trust policy goes.

use bulkhead_model::view::Fields;
use bulkhead_model::{FieldPath, Json};

use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "iam-role-chosen",
    guide: Section::DirectAccess,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "whoever picks a role of the cloud acts as whoever it was made for, other tenants and nodes among them",
    remedy: "have the role added to the Tenant's `spec.serviceAccounts.iamRoles`, or remove the annotation",
    page: include_str!("iam_role_chosen.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

/// The annotations that choose a role, on ServiceAccounts and pods: EKS, kube2iam and kiam, GKE,
/// Azure, Alibaba Cloud, SPIFFE's registrar.
const ROLES: [&str; 9] = [
    "azure.workload.identity/client-id",
    "azure.workload.identity/tenant-id",
    "eks.amazonaws.com/role-arn",
    "iam.amazonaws.com/external-id",
    "iam.amazonaws.com/role",
    "iam.gke.io/gcp-service-account",
    "pod-identity.alibabacloud.com/role-name",
    "ram.aliyuncs.com/role",
    "spiffe.io/spiffe-id",
];

/// The label by which Azure's older pod identity chooses one.
const BINDING: &str = "aadpodidbinding";

/// The account of a Windows domain that a container runs as, by name and by content.
const DOMAIN_ACCOUNTS: [&str; 2] = ["gmsaCredentialSpecName", "gmsaCredentialSpec"];

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    if object.is("", "serviceaccounts") {
        let path = || FieldPath::of("metadata.annotations");
        chosen(object.metadata(), path, context, findings);
    }
    for pod in object.pods() {
        let path = || pod.path("metadata.annotations");
        chosen(pod.metadata(), path, context, findings);
        let bound = pod.metadata().at("labels").get(BINDING);
        unlisted(
            bound,
            || pod.path("metadata.labels").key(BINDING),
            context,
            findings,
        );
        let path = || pod.path("spec.securityContext.windowsOptions");
        domain_account(pod.security_context(), path, context, findings);
        for container in pod.containers() {
            let path = || container.path("securityContext.windowsOptions");
            domain_account(container.security_context(), path, context, findings);
        }
    }
}

fn domain_account(
    security: Fields<'_>,
    path: impl Fn() -> FieldPath,
    context: &Context<'_>,
    findings: &mut Findings,
) {
    let windows = security.at("windowsOptions");
    for field in DOMAIN_ACCOUNTS {
        let account = windows.get(field);
        unlisted(account, || path().then(field), context, findings);
    }
}

fn chosen(
    metadata: Fields<'_>,
    path: impl Fn() -> FieldPath,
    context: &Context<'_>,
    findings: &mut Findings,
) {
    let annotations = metadata.at("annotations");
    for key in ROLES {
        unlisted(annotations.get(key), || path().key(key), context, findings);
    }
}

fn unlisted(
    role: Option<&Json<'_>>,
    path: impl Fn() -> FieldPath,
    context: &Context<'_>,
    findings: &mut Findings,
) {
    let listed = &context.rules.service_accounts.iam_roles;
    if let Some(role) = role
        && role.as_str().is_none_or(|role| !listed.contains(role))
    {
        findings.add(
            path(),
            format!("is {}, which is on no list of the tenant's", shown(role)),
        );
    }
}
