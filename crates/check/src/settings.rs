//! What a file is held to.

use bulkhead_api::parse_tenant;
use bulkhead_controls::Carriers;
use bulkhead_manifests::{Parsed, parse};
use bulkhead_model::{Profile, TenantRules};
use serde_json::{Value, json};

use crate::policies::Policies;
use crate::rules::is_rule;

/// A file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its path as the report shows it.
    pub path: &'a str,
    /// What is in it.
    pub text: &'a str,
    /// Whether it is a Dockerfile.
    pub dockerfile: bool,
}

/// What files are held to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The rules of objects whose namespace is no tenant's that the files know.
    pub tenant: TenantRules,
    /// Whether these rules hold for all, whatever tenants the files know.
    pub one_tenant: bool,
    /// The rules that count; none for all.
    select: Vec<String>,
    /// The rules that do not.
    ignore: Vec<String>,
    /// Whether what admission would set by itself is no finding.
    pub as_admitted: bool,
    /// What pods must fit besides the controls.
    pub policies: Policies,
    /// The kinds that hold pods.
    pub carriers: Carriers,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsError {
    /// A name that no rule has.
    NoSuchRule(String),
    /// A Tenant that is none.
    Tenant(Vec<String>),
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchRule(name) => {
                write!(
                    f,
                    "there is no rule `{name}`: `bulkhead rules` lists them all"
                )
            }
            Self::Tenant(errors) => write!(f, "not a Tenant: {}", errors.join("; ")),
        }
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Of a tenant that has nothing allowed beyond its profile.
    #[must_use]
    pub fn of_profile(profile: Profile) -> Option<Self> {
        let tier = if profile == Profile::Privileged {
            "Silo"
        } else {
            "Pool"
        };
        let tenant = json!({
            "apiVersion": bulkhead_api::API_VERSION, "kind": bulkhead_api::KIND,
            "metadata": {"name": "tenant"},
            "spec": {"tier": tier, "podSecurity": {"profile": profile.as_str()}},
        });
        let tenant = tenant_of(tenant).ok()?;
        Some(Self {
            tenant,
            one_tenant: false,
            select: Vec::new(),
            ignore: Vec::new(),
            as_admitted: false,
            policies: Policies::default(),
            carriers: Carriers::default(),
        })
    }

    /// Of the one Tenant that a file holds.
    ///
    /// # Errors
    /// If the text is not one Tenant.
    pub fn of_tenant(text: &str) -> Result<Self, SettingsError> {
        let Parsed {
            documents,
            problems,
            ..
        } = parse(text);
        if let Some(problem) = problems.iter().find(|problem| problem.kind.is_error()) {
            return Err(SettingsError::Tenant(vec![problem.message.clone()]));
        }
        let [document] = documents.as_slice() else {
            let message = format!("one document is expected, not {}", documents.len());
            return Err(SettingsError::Tenant(vec![message]));
        };
        Ok(Self {
            tenant: tenant_of(document.to_value()).map_err(SettingsError::Tenant)?,
            one_tenant: true,
            select: Vec::new(),
            ignore: Vec::new(),
            as_admitted: false,
            policies: Policies::default(),
            carriers: Carriers::default(),
        })
    }

    /// Takes only these rules, or all if the list is empty, without those.
    ///
    /// # Errors
    /// If no rule has one of the names.
    pub fn choose(
        mut self,
        select: Vec<String>,
        ignore: Vec<String>,
    ) -> Result<Self, SettingsError> {
        if let Some(name) = select.iter().chain(&ignore).find(|name| !is_rule(name)) {
            return Err(SettingsError::NoSuchRule(name.clone()));
        }
        (self.select, self.ignore) = (select, ignore);
        Ok(self)
    }

    /// Whether a rule counts.
    #[must_use]
    pub fn counts(&self, rule: &str) -> bool {
        let among = |list: &[String]| list.iter().any(|name| name == rule);
        (self.select.is_empty() || among(&self.select)) && !among(&self.ignore)
    }
}

/// The rules of a Tenant from a file, which no API server has given a UID.
fn tenant_of(tenant: Value) -> Result<TenantRules, Vec<String>> {
    let tenant = parse_tenant(&with_uid(tenant));
    let tenant =
        tenant.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(tenant.rules())
}

/// The object with a UID, if it has none.
pub(crate) fn with_uid(mut tenant: Value) -> Value {
    if let Some(metadata) = tenant.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("uid").or_insert_with(|| json!("of-a-file"));
    }
    tenant
}
