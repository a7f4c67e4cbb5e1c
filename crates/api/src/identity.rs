//! `spec.serviceAccounts`: its schema and its parsing.

use std::collections::BTreeSet;

use bulkhead_model::view::Fields;
use bulkhead_model::{FieldPath, ServiceAccounts};
use serde_json::{Value, json};

use crate::error::Errors;
use crate::parse::{known, list, object};

const MAX: usize = 64;
const AUDIENCE: &str = "an audience: 1 to 256 visible ASCII characters";
const IAM_ROLE: &str = "a role, whole, such as `arn:aws:iam::123456789012:role/acme-app`";
const SIGNER: &str =
    "a signer, such as `example.com/pods`, and none of Kubernetes' own for components";

pub(crate) fn schema() -> Value {
    let list = |description: &str, longest: usize, rule: &str, message: &str| {
        json!({
            "type": "array",
            "description": description,
            "maxItems": MAX,
            "x-kubernetes-list-type": "set",
            "items": {
                "type": "string",
                "minLength": 1,
                "maxLength": longest,
                "x-kubernetes-validations": [{"rule": rule, "message": format!("expected {message}")}],
            },
        })
    };
    let never = ServiceAccounts::NEVER_SIGNERS
        .map(|signer| format!("'{signer}'"))
        .join(", ");
    json!({
        "type": "object",
        "description": "What the tenant's ServiceAccounts may be outside the cluster's own API. Nothing by default.",
        "properties": {
            "tokenAudiences": list(
                "Audiences that tokens may be made for, beside the API server and the gateway: `sts.amazonaws.com` for IAM roles for service accounts, `pods.eks.amazonaws.com` for EKS Pod Identity.",
                256,
                "self.matches('^[!-~]+$')",
                AUDIENCE,
            ),
            "iamRoles": list(
                "Roles of the cloud that ServiceAccounts and pods may name in annotations such as `eks.amazonaws.com/role-arn`.",
                2048,
                "self.matches('^[A-Za-z0-9+=,.@_:/-]+$')",
                IAM_ROLE,
            ),
            "certificateSigners": list(
                "Signers whose certificates and trust bundles pods may project.",
                571,
                &format!("self.matches('^[a-z0-9.-]+/[A-Za-z0-9._:-]+$') && !(self in [{never}])"),
                SIGNER,
            ),
        },
    })
}

pub(crate) fn parse(spec: Fields<'_, Value>, errors: &mut Errors) -> ServiceAccounts {
    let path = FieldPath::of("spec.serviceAccounts");
    let fields = object(spec.get("serviceAccounts"), &path, errors);
    known(
        fields,
        &path,
        &["tokenAudiences", "iamRoles", "certificateSigners"],
        errors,
    );
    let mut set = |field: &'static str, fits: fn(&str) -> bool, what: &str| {
        let path = path.clone().then(field);
        let mut set = BTreeSet::new();
        for (i, item) in list(fields, field, &path, MAX, errors).iter().enumerate() {
            match item.as_str().filter(|text| fits(text)) {
                None => errors.add(path.clone().index(i), format!("expected {what}")),
                Some(text) if !set.insert(text.to_owned()) => {
                    errors.add(path.clone().index(i), format!("`{text}` stands twice"));
                }
                Some(_) => {}
            }
        }
        set
    };
    ServiceAccounts {
        token_audiences: set("tokenAudiences", ServiceAccounts::is_audience, AUDIENCE),
        iam_roles: set("iamRoles", ServiceAccounts::is_iam_role, IAM_ROLE),
        certificate_signers: set("certificateSigners", ServiceAccounts::is_signer, SIGNER),
    }
}
