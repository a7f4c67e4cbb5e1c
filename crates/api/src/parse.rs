//! From the wire to the model.

use std::collections::BTreeSet;

use bulkhead_model::tenant::CustomRole;
use bulkhead_model::{
    Capability, FieldPath, Granted, HostPathPrefix, Images, Member, PodSecurity, Prefix, Profile,
    PullPolicy, Registry, Role, RoleName, RuntimeClasses, SelinuxChoice, ServiceAccountRef,
    Subject, Tenant, TenantName, Tier, Uid, UserNamespaces,
};
use serde_json::Value;

use crate::Fields;
use crate::classes::{DefaultClass, parse_class_list};
use crate::error::{Errors, FieldError};
use crate::exposure::parse_exposure;
use crate::limits::{default_limits, parse_limits, parse_quota};
use crate::network::parse_network;
use crate::nodes::parse_nodes;
use crate::{API_VERSION, KIND, MAX_NAME, REFUSED_CLUSTER_ROLES};
use bulkhead_model::quantity::Amounts;

pub(crate) const MAX_MEMBERS: usize = 500;
pub(crate) const MAX_ROLES: usize = 32;
pub(crate) const MAX_CAPABILITIES: usize = 32;
pub(crate) const MAX_HOST_PATHS: usize = 16;
pub(crate) const MAX_SECCOMP_PROFILES: usize = 64;
pub(crate) const MAX_REGISTRIES: usize = 64;
pub(crate) const MAX_MEMBER_NAME: usize = 253;

/// Why a tenant of a shared cluster does not get `Privileged`.
pub(crate) const PRIVILEGED_IN_POOL: &str = "`Privileged` is for tenants of tier `Silo`, which have a cluster of their own: here it would be root on every other tenant's nodes";

/// Reads a Tenant object as the API server stores it, or as an administrator is about to.
///
/// # Errors
/// Every field that is wrong, unknown, or missing, in the order of the fields.
pub fn parse_tenant(tenant: &Value) -> Result<Tenant, Vec<FieldError>> {
    let mut errors = Errors::default();
    let root = object(Some(tenant), &FieldPath::default(), &mut errors);
    for (field, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if root.str(field) != Some(expected) {
            errors.add(FieldPath::of(field), format!("expected `{expected}`"));
        }
    }
    known(
        root,
        &FieldPath::default(),
        &["apiVersion", "kind", "metadata", "spec", "status"],
        &mut errors,
    );
    let metadata = root.at("metadata");
    let name = parse_name(metadata, &mut errors);
    let uid = Uid::parse(metadata.str("uid").unwrap_or_default())
        .map_err(|error| errors.add(FieldPath::of("metadata.uid"), error.to_string()))
        .ok();
    let path = FieldPath::of("spec");
    if root.get("spec").is_none() {
        errors.add(path.clone(), "missing");
    }
    let spec = object(root.get("spec"), &path, &mut errors);
    const FIELDS: [&str; 18] = [
        "tier",
        "members",
        "roles",
        "namespaceOptions",
        "nodes",
        "podSecurity",
        "priorityClasses",
        "deviceClasses",
        "images",
        "serviceAccounts",
        "network",
        "services",
        "hostnames",
        "ingressClasses",
        "gatewayClasses",
        "storageClasses",
        "resources",
        "cordoned",
    ];
    known(spec, &path, &FIELDS, &mut errors);
    let tier = parse_tier(spec, &mut errors);
    let roles = parse_roles(spec, &mut errors);
    let members = parse_members(spec, &roles, &mut errors);
    let prefix = parse_prefix(spec, name.as_ref(), &mut errors);
    let pod_security = parse_pod_security(spec, tier, &mut errors);
    let nodes = parse_nodes(spec, &mut errors);
    let classes = |field, default, errors: &mut Errors| {
        parse_class_list(spec, &FieldPath::of("spec"), field, default, &[], errors)
    };
    let priority_classes = classes("priorityClasses", DefaultClass::Settable, &mut errors);
    let device_classes = classes("deviceClasses", DefaultClass::Never, &mut errors);
    let images = parse_images(spec, &mut errors);
    let service_accounts = crate::identity::parse(spec, &mut errors);
    let network = parse_network(spec, &mut errors);
    let exposure = parse_exposure(spec, &mut errors);
    let (limits, quota) = parse_resources(spec, &mut errors);
    let cordoned = match spec.get("cordoned") {
        None => false,
        Some(Value::Bool(cordoned)) => *cordoned,
        Some(_) => {
            errors.add(FieldPath::of("spec.cordoned"), "expected `true` or `false`");
            true
        }
    };
    match (name, uid, prefix) {
        (Some(name), Some(uid), Some(prefix)) if errors.0.is_empty() => Ok(Tenant {
            name,
            uid,
            generation: metadata
                .get("generation")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            deleting: metadata.get("deletionTimestamp").is_some(),
            tier,
            members,
            roles,
            prefix,
            pod_security,
            nodes,
            priority_classes,
            device_classes,
            images,
            service_accounts,
            network,
            exposure,
            limits,
            quota,
            cordoned,
            granted: Granted::default(),
        }),
        _ => Err(errors.0),
    }
}

/// Whether another tenant could own a namespace of the same name. Tenants that are being deleted
/// count as well: their namespaces may still stand.
pub fn overlapping<'a>(
    tenant: &Tenant,
    others: impl Iterator<Item = &'a Tenant>,
) -> Option<FieldError> {
    let other = others
        .filter(|other| other.name != tenant.name)
        .find(|other| other.prefix.overlaps(&tenant.prefix))?;
    Some(FieldError {
        path: FieldPath::of("spec.namespaceOptions.prefix"),
        message: format!(
            "`{}` overlaps with the prefix `{}` of the tenant `{}`: one namespace name could be \
             both tenants'",
            tenant.prefix, other.prefix, other.name
        ),
    })
}

/// The fields of an object; an error if the value is something else.
pub(crate) fn object<'a>(
    value: Option<&'a Value>,
    path: &FieldPath,
    errors: &mut Errors,
) -> Fields<'a> {
    if value.is_some_and(|value| !value.is_object() && !value.is_null()) {
        errors.add(path.clone(), "expected an object");
    }
    Fields::of(value)
}

/// An error for each field that the schema does not have.
pub(crate) fn known(fields: Fields<'_>, path: &FieldPath, names: &[&str], errors: &mut Errors) {
    for (field, _) in fields.iter().filter(|(field, _)| !names.contains(field)) {
        let expected = names.join(", ");
        errors.add(
            path.clone().key(field),
            format!("unknown field, expected one of {expected}"),
        );
    }
}

/// The elements of a list; an error if the value is something else or too long.
pub(crate) fn list<'a>(
    fields: Fields<'a>,
    field: &str,
    path: &FieldPath,
    max: usize,
    errors: &mut Errors,
) -> &'a [Value] {
    if fields.get(field).is_some_and(|value| !value.is_array()) {
        errors.add(path.clone(), "expected a list");
    }
    let items = fields.list(field);
    if items.len() > max {
        errors.add(
            path.clone(),
            format!("{} elements, at most {max} are allowed", items.len()),
        );
        return &[];
    }
    items
}

fn parse_name(metadata: Fields<'_>, errors: &mut Errors) -> Option<TenantName> {
    let path = FieldPath::of("metadata.name");
    match TenantName::parse(metadata.str("name").unwrap_or_default()) {
        Err(error) => errors.add(path, error.to_string()),
        Ok(name) if name.as_str().len() > MAX_NAME => {
            errors.add(
                path,
                format!("`{name}` is longer than {MAX_NAME} characters"),
            );
        }
        Ok(name) if is_reserved(&format!("{name}-")) => {
            errors.add(
                path,
                format!("`{name}`: names of Kubernetes and Bulkhead are taken"),
            );
        }
        Ok(name) => return Some(name),
    }
    None
}

/// Namespaces of the control plane and of ours start so.
fn is_reserved(prefix: &str) -> bool {
    prefix.starts_with("kube-") || prefix.starts_with("bulkhead-")
}

fn parse_roles(spec: Fields<'_>, errors: &mut Errors) -> Vec<CustomRole> {
    let path = FieldPath::of("spec.roles");
    let mut seen = BTreeSet::new();
    let mut roles = Vec::new();
    for (i, item) in list(spec, "roles", &path, MAX_ROLES, errors)
        .iter()
        .enumerate()
    {
        let path = path.clone().index(i);
        let fields = object(Some(item), &path, errors);
        known(fields, &path, &["name", "clusterRole"], errors);
        let cluster_role = fields.str("clusterRole").unwrap_or_default();
        if let Err(message) = check_cluster_role(cluster_role) {
            errors.add(path.clone().then("clusterRole"), message);
        }
        let path = path.then("name");
        match RoleName::parse(fields.str("name").unwrap_or_default()) {
            Err(error) => errors.add(path, error.to_string()),
            Ok(name) if name.as_str().len() > MAX_NAME => {
                errors.add(
                    path,
                    format!("`{name}` is longer than {MAX_NAME} characters"),
                );
            }
            Ok(name) if matches!(name.as_str(), "admin" | "developer" | "viewer") => {
                errors.add(path, format!("`{name}` is the name of a built-in role"));
            }
            Ok(name) if !seen.insert(name.clone()) => {
                errors.add(path, format!("`{name}` stands twice"));
            }
            Ok(name) => roles.push(CustomRole {
                name,
                cluster_role: cluster_role.to_owned(),
            }),
        }
    }
    roles
}

fn check_cluster_role(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 253 || name.contains(['/', '%']) || name.trim() != name {
        return Err(format!("`{name}` is not the name of a ClusterRole"));
    }
    let ours = name.starts_with("bulkhead-") && !name.starts_with("bulkhead-tenant-");
    if REFUSED_CLUSTER_ROLES.contains(&name) || name.starts_with("system:") || ours {
        return Err(format!(
            "`{name}` holds more than a tenant may have; name a role of your own"
        ));
    }
    Ok(())
}

fn parse_members(spec: Fields<'_>, roles: &[CustomRole], errors: &mut Errors) -> Vec<Member> {
    let path = FieldPath::of("spec.members");
    let mut seen = BTreeSet::new();
    let mut members = Vec::new();
    for (i, item) in list(spec, "members", &path, MAX_MEMBERS, errors)
        .iter()
        .enumerate()
    {
        let path = path.clone().index(i);
        let fields = object(Some(item), &path, errors);
        known(fields, &path, &["kind", "name", "role"], errors);
        let (kind, name) = (fields.str("kind"), fields.str("name").unwrap_or_default());
        let subject = match parse_subject(kind, name) {
            Ok(subject) => subject,
            Err((field, message)) => {
                errors.add(path.clone().then(field), message);
                continue;
            }
        };
        if !seen.insert((kind, name)) {
            errors.add(path.clone().then("name"), format!("`{name}` stands twice"));
        }
        match parse_role(fields.str("role").unwrap_or_default(), roles) {
            Some(role) => members.push(Member { subject, role }),
            None => errors.add(
                path.then("role"),
                "expected Admin, Developer, Viewer, or the name of one of `spec.roles`",
            ),
        }
    }
    members
}

fn parse_subject(kind: Option<&str>, name: &str) -> Result<Subject, (&'static str, String)> {
    let odd = |c: char| c.is_control();
    match kind {
        Some("ServiceAccount") => ServiceAccountRef::parse(name)
            .map(Subject::ServiceAccount)
            .map_err(|error| ("name", error.to_string())),
        Some("User" | "Group") if name.is_empty() || name.len() > MAX_MEMBER_NAME => {
            Err(("name", format!("expected 1 to {MAX_MEMBER_NAME} bytes")))
        }
        Some("User" | "Group") if name.trim() != name || name.contains(odd) => Err((
            "name",
            format!("{name:?} starts or ends with a space, or has a control character"),
        )),
        Some("User" | "Group") if name.starts_with("system:") || name.starts_with("bulkhead:") => {
            Err((
                "name",
                format!(
                    "`{name}`: identities of the API server and of Bulkhead are no members; a \
                     ServiceAccount is named by kind `ServiceAccount` and `namespace/name`"
                ),
            ))
        }
        Some("User") => Ok(Subject::User(name.to_owned())),
        Some("Group") => Ok(Subject::Group(name.to_owned())),
        _ => Err((
            "kind",
            "expected one of User, Group, ServiceAccount".to_owned(),
        )),
    }
}

fn parse_role(written: &str, roles: &[CustomRole]) -> Option<Role> {
    Some(match written {
        "Admin" => Role::Admin,
        "Developer" => Role::Developer,
        "Viewer" => Role::Viewer,
        custom => {
            let role = roles.iter().find(|role| role.name.as_str() == custom)?;
            Role::Custom(role.name.clone())
        }
    })
}

fn parse_prefix(
    spec: Fields<'_>,
    name: Option<&TenantName>,
    errors: &mut Errors,
) -> Option<Prefix> {
    let path = FieldPath::of("spec.namespaceOptions");
    let options = object(spec.get("namespaceOptions"), &path, errors);
    known(options, &path, &["prefix"], errors);
    let path = path.then("prefix");
    let written = match options.get("prefix") {
        None => format!("{}-", name?),
        Some(Value::String(prefix)) => prefix.clone(),
        Some(_) => {
            errors.add(path, "expected a string");
            return None;
        }
    };
    match Prefix::parse(written) {
        Err(error) => errors.add(path, error.to_string()),
        Ok(prefix) if is_reserved(prefix.as_str()) => {
            errors.add(
                path,
                format!("`{prefix}`: names of Kubernetes and Bulkhead are taken"),
            );
        }
        Ok(prefix) => return Some(prefix),
    }
    None
}

fn parse_tier(spec: Fields<'_>, errors: &mut Errors) -> Tier {
    match spec.get("tier").map(Value::as_str) {
        None | Some(Some("Pool")) => Tier::Pool,
        Some(Some("Silo")) => Tier::Silo,
        Some(_) => {
            errors.add(FieldPath::of("spec.tier"), "expected `Pool` or `Silo`");
            Tier::Pool
        }
    }
}

fn parse_profile(
    pod_security: Fields<'_>,
    tier: Tier,
    path: &FieldPath,
    errors: &mut Errors,
) -> Profile {
    let Some(written) = pod_security.get("profile") else {
        return Profile::default();
    };
    match written.as_str().unwrap_or_default().parse() {
        Ok(Profile::Privileged) if tier != Tier::Silo => {
            errors.add(path.clone(), PRIVILEGED_IN_POOL);
            Profile::default()
        }
        Ok(profile) => profile,
        Err(_) => {
            let names = Profile::ALL.map(Profile::as_str).join(", ");
            errors.add(path.clone(), format!("expected one of {names}"));
            Profile::default()
        }
    }
}

fn parse_pod_security(spec: Fields<'_>, tier: Tier, errors: &mut Errors) -> PodSecurity {
    let path = FieldPath::of("spec.podSecurity");
    let fields = object(spec.get("podSecurity"), &path, errors);
    let user_namespaces = choice(
        fields,
        "userNamespaces",
        &path,
        &[
            ("Optional", UserNamespaces::Optional),
            ("Preferred", UserNamespaces::Preferred),
            ("Required", UserNamespaces::Required),
        ],
        errors,
    );
    let selinux = choice(
        fields,
        "selinuxLevel",
        &path,
        &[
            ("Runtime", SelinuxChoice::Runtime),
            ("PerTenant", SelinuxChoice::PerTenant),
        ],
        errors,
    );
    let runtime_classes = parse_runtime_classes(fields, &path, errors);
    const FIELDS: [&str; 7] = [
        "userNamespaces",
        "selinuxLevel",
        "runtimeClasses",
        "profile",
        "allowedCapabilities",
        "allowedHostPaths",
        "allowedSeccompProfiles",
    ];
    known(fields, &path, &FIELDS, errors);
    let profile = parse_profile(fields, tier, &path.clone().then("profile"), errors);
    let allowed_host_paths = parse_host_paths(fields, &path, errors);
    let allowed_seccomp_profiles = parse_seccomp_profiles(fields, &path, errors);
    let path = path.then("allowedCapabilities");
    let mut allowed_capabilities = BTreeSet::new();
    let items = list(
        fields,
        "allowedCapabilities",
        &path,
        MAX_CAPABILITIES,
        errors,
    );
    for (i, item) in items.iter().enumerate() {
        match Capability::parse(item.as_str().unwrap_or_default()) {
            Err(error) => errors.add(path.clone().index(i), error.to_string()),
            Ok(capability) if !allowed_capabilities.insert(capability.clone()) => {
                errors.add(
                    path.clone().index(i),
                    format!("`{capability}` stands twice"),
                );
            }
            Ok(_) => {}
        }
    }
    PodSecurity {
        profile,
        allowed_capabilities,
        runtime_classes,
        allowed_host_paths,
        allowed_seccomp_profiles,
        user_namespaces,
        selinux,
    }
}

/// One of a few words; the default if there is none.
fn choice<T: Copy + Default>(
    fields: Fields<'_>,
    field: &'static str,
    path: &FieldPath,
    words: &[(&str, T)],
    errors: &mut Errors,
) -> T {
    let Some(value) = fields.get(field) else {
        return T::default();
    };
    let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
    if let Some((_, choice)) = found {
        return *choice;
    }
    let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    errors.add(
        path.clone().then(field),
        format!("expected one of {}", words.join(", ")),
    );
    T::default()
}

fn parse_runtime_classes(
    pod_security: Fields<'_>,
    path: &FieldPath,
    errors: &mut Errors,
) -> RuntimeClasses {
    const FIELD: &str = "runtimeClasses";
    let more = ["required"];
    let classes = parse_class_list(
        pod_security,
        path,
        FIELD,
        DefaultClass::Settable,
        &more,
        errors,
    );
    let path = path.clone().then(FIELD).then("required");
    let required = match pod_security.at(FIELD).get("required") {
        None => false,
        Some(Value::Bool(required)) => *required,
        Some(_) => {
            errors.add(path.clone(), "expected `true` or `false`");
            true
        }
    };
    if required && classes.is_empty() {
        errors.add(path, "no class is allowed, so no pod could run");
    }
    RuntimeClasses { classes, required }
}

fn parse_host_paths(
    pod_security: Fields<'_>,
    path: &FieldPath,
    errors: &mut Errors,
) -> Vec<HostPathPrefix> {
    let path = path.clone().then("allowedHostPaths");
    let items = list(
        pod_security,
        "allowedHostPaths",
        &path,
        MAX_HOST_PATHS,
        errors,
    );
    let mut prefixes = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = path.clone().index(i);
        let fields = object(Some(item), &path, errors);
        known(fields, &path, &["pathPrefix"], errors);
        match HostPathPrefix::parse(fields.str("pathPrefix").unwrap_or_default()) {
            Ok(prefix) => prefixes.push(prefix),
            Err(error) => errors.add(path.then("pathPrefix"), error.to_string()),
        }
    }
    prefixes
}

/// Names of files below the kubelet's folder of seccomp profiles, as manifests have them.
fn parse_seccomp_profiles(
    pod_security: Fields<'_>,
    path: &FieldPath,
    errors: &mut Errors,
) -> BTreeSet<String> {
    let path = path.clone().then("allowedSeccompProfiles");
    let max = MAX_SECCOMP_PROFILES;
    let items = list(pod_security, "allowedSeccompProfiles", &path, max, errors);
    let mut profiles = BTreeSet::new();
    for (i, item) in items.iter().enumerate() {
        let name = item.as_str().unwrap_or_default();
        let mut parts = name.split('/');
        let inside = parts.all(|part| !matches!(part, "" | "." | ".."));
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
        if !inside || name.len() > 253 || !name.bytes().all(plain) {
            let expected = "expected the path of a file below the kubelet's folder `seccomp`, such as `profiles/acme.json`";
            errors.add(path.clone().index(i), expected);
        } else if !profiles.insert(name.to_owned()) {
            errors.add(path.clone().index(i), format!("`{name}` stands twice"));
        }
    }
    profiles
}

fn parse_images(spec: Fields<'_>, errors: &mut Errors) -> Images {
    let path = FieldPath::of("spec.images");
    let fields = object(spec.get("images"), &path, errors);
    known(
        fields,
        &path,
        &["allowedRegistries", "pullPolicies"],
        errors,
    );
    let mut images = Images::default();
    let place = path.clone().then("allowedRegistries");
    let items = list(fields, "allowedRegistries", &place, MAX_REGISTRIES, errors);
    for (i, item) in items.iter().enumerate() {
        match Registry::parse(item.as_str().unwrap_or_default()) {
            Ok(registry) => images.allowed_registries.push(registry),
            Err(error) => errors.add(place.clone().index(i), error.to_string()),
        }
    }
    if fields.get("pullPolicies").is_some() {
        let place = path.then("pullPolicies");
        let items = list(
            fields,
            "pullPolicies",
            &place,
            PullPolicy::ALL.len(),
            errors,
        );
        images.pull_policies.clear();
        for (i, item) in items.iter().enumerate() {
            match item.as_str().and_then(PullPolicy::parse) {
                Some(policy) => images.pull_policies.push(policy),
                None => {
                    let names = PullPolicy::ALL.map(PullPolicy::as_str).join(", ");
                    errors.add(place.clone().index(i), format!("expected one of {names}"));
                }
            }
        }
        if items.is_empty() {
            errors.add(place, "expected at least one pull policy");
        }
    }
    images
}

/// A boolean; an error if the value is something else.
pub(crate) fn flag(
    fields: Fields<'_>,
    field: &'static str,
    unset: bool,
    path: &FieldPath,
    errors: &mut Errors,
) -> bool {
    match fields.get(field).map(|value| value.as_bool()) {
        None => unset,
        Some(Some(value)) => value,
        Some(None) => {
            errors.add(path.clone().then(field), "expected `true` or `false`");
            unset
        }
    }
}

fn parse_resources(spec: Fields<'_>, errors: &mut Errors) -> (Vec<Value>, Amounts) {
    let path = FieldPath::of("spec.resources");
    let resources = object(spec.get("resources"), &path, errors);
    known(resources, &path, &["limitRange", "quota"], errors);
    let quota = parse_quota(resources, &path, errors);
    if resources.get("limitRange").is_none() {
        return (default_limits(), quota);
    }
    let path = path.then("limitRange");
    let range = object(resources.get("limitRange"), &path, errors);
    known(range, &path, &["limits"], errors);
    (parse_limits(range, &path, errors), quota)
}

#[cfg(test)]
mod tests;
