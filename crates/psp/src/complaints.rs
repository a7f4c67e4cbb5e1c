//! What the API server says to a policy that is not valid, in its words and with its paths.

use crate::field::FieldError;
use crate::policy::{GroupRule, IdRange, PodSecurityPolicy, RuntimeClasses, Spec};
use crate::quote::{Quoted, listed};
use crate::rules::{APPARMOR_ALLOWED, APPARMOR_DEFAULT, SECCOMP_ALLOWED, SECCOMP_DEFAULT};
use crate::volumes::kinds;

const MAY: &str = "MayRunAs";
const MUST: &str = "MustRunAs";
const NON_ROOT: &str = "MustRunAsNonRoot";
const ANY: &str = "RunAsAny";
/// The longest name of a sysctl.
const SYSCTL_LENGTH: usize = 253;
const SYSCTL_PATTERN: &str = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?\.)*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]";

/// What is wrong with a policy; nothing if the API server would have taken it.
#[must_use]
pub fn complaints(policy: &PodSecurityPolicy) -> Vec<FieldError> {
    let mut all = Vec::new();
    metadata(policy, &mut all);
    annotations(policy, &mut all);
    spec(&policy.spec, &mut all);
    all
}

fn metadata(policy: &PodSecurityPolicy, all: &mut Vec<FieldError>) {
    let name = "metadata.name".to_owned();
    if policy.name.is_empty() {
        all.push(FieldError::required(
            name,
            "name or generateName is required",
        ));
    } else {
        subdomain(&name, &policy.name, &policy.name, all);
    }
    if !policy.namespace.is_empty() {
        let field = "metadata.namespace".to_owned();
        all.push(FieldError::forbidden(field, "not allowed on this type"));
    }
}

/// `judged` is what must be a name, `shown` what was written.
fn subdomain(field: &str, judged: &str, shown: &str, all: &mut Vec<FieldError>) {
    if judged.len() > 253 {
        let detail = "must be no more than 253 characters";
        all.push(FieldError::invalid_text(field.to_owned(), shown, detail));
    }
    if !judged.split('.').all(is_label) {
        let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
            characters, '-' or '.', and must start and end with an alphanumeric character \
            (e.g. 'example.com', regex used for validation is \
            '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
        all.push(FieldError::invalid_text(field.to_owned(), shown, detail));
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Begins and ends plainly; between stand what is plain and `-`.
fn is_label(label: &str) -> bool {
    let ends = [label.bytes().next(), label.bytes().last()];
    ends.iter().all(|end| end.is_some_and(is_plain))
        && label.bytes().all(|byte| is_plain(byte) || byte == b'-')
}

fn annotations(policy: &PodSecurityPolicy, all: &mut Vec<FieldError>) {
    let path = |key: &str| format!("metadata.annotations[{key}]");
    let note = |key: &str| {
        policy
            .annotations
            .get(key)
            .filter(|value| !value.is_empty())
    };
    for (key, is_list) in [(APPARMOR_DEFAULT, false), (APPARMOR_ALLOWED, true)] {
        let Some(value) = note(key) else { continue };
        for name in names(value, is_list) {
            let known = matches!(name, "" | "runtime/default" | "unconfined");
            if !known && !name.starts_with("localhost/") {
                let detail = format!("invalid AppArmor profile name: {}", Quoted(name));
                all.push(FieldError::invalid_text(path(key), value, &detail));
            }
        }
    }
    for (key, is_list) in [(SECCOMP_DEFAULT, false), (SECCOMP_ALLOWED, true)] {
        let Some(value) = note(key) else { continue };
        for name in names(value, is_list) {
            if is_list && name == "*" {
                continue;
            }
            seccomp(name, &path(key), all);
        }
    }
}

fn names(value: &str, is_list: bool) -> Vec<&str> {
    if is_list {
        value.split(',').collect()
    } else {
        vec![value]
    }
}

fn seccomp(name: &str, path: &str, all: &mut Vec<FieldError>) {
    if matches!(name, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    let mut wrong =
        |value, detail| all.push(FieldError::invalid_text(path.to_owned(), value, detail));
    match name.strip_prefix("localhost/") {
        None => wrong(name, "must be a valid seccomp profile"),
        Some(local) => {
            if local.starts_with('/') {
                wrong(local, "must be a relative path");
            }
            if local.split('/').any(|step| step == "..") {
                wrong(local, "must not contain '..'");
            }
        }
    }
}

fn spec(spec: &Spec, all: &mut Vec<FieldError>) {
    one_of(
        "spec.runAsUser.rule",
        &spec.run_as_user.rule,
        &[MUST, NON_ROOT, ANY],
        all,
    );
    id_ranges("spec.runAsUser.ranges", &spec.run_as_user.ranges, all);
    if let Some(rule) = &spec.run_as_group {
        run_as_group(rule, all);
    }
    one_of("spec.seLinux.rule", &spec.se_linux.rule, &[MUST, ANY], all);
    for (name, rule) in [
        ("supplementalGroups", &spec.supplemental_groups),
        ("fsGroup", &spec.fs_group),
    ] {
        one_of(
            &format!("spec.{name}.rule"),
            &rule.rule,
            &[MAY, MUST, ANY],
            all,
        );
        let ranges = rule.ranges.as_deref().unwrap_or_default();
        id_ranges(&format!("spec.{name}.ranges"), ranges, all);
    }
    let mut known = kinds();
    known.insert(0, "*");
    for volume in &spec.volumes {
        one_of("spec.volumes", volume, &known, all);
    }
    capabilities(spec, all);
    let escalation = spec.allow_privilege_escalation.unwrap_or(true);
    if spec.default_allow_privilege_escalation == Some(true) && !escalation {
        all.push(FieldError::invalid(
            "spec.defaultAllowPrivilegeEscalation".to_owned(),
            true,
            "Cannot set DefaultAllowPrivilegeEscalation to true without also setting \
             AllowPrivilegeEscalation to true",
        ));
    }
    for (index, mount) in spec.allowed_proc_mount_types.iter().enumerate() {
        let field = format!("spec.allowedProcMountTypes[{index}]");
        one_of(&field, mount, &["Default", "Unmasked"], all);
    }
    host_paths(spec, all);
    for (index, driver) in spec.allowed_flex_volumes.iter().enumerate() {
        if driver.is_empty() {
            // The original's path says the list's name twice.
            let field = format!("spec.allowedFlexVolumes.allowedFlexVolumes[{index}].driver");
            all.push(FieldError::required(field, "must specify a driver"));
        }
    }
    for (index, name) in spec.allowed_csi_drivers.iter().enumerate() {
        let field = format!("spec.allowedCSIDrivers.allowedCSIDriver[{index}].name");
        if name.is_empty() {
            all.push(FieldError::required(field.clone(), ""));
        }
        if name.len() > 63 {
            all.push(FieldError::too_long(field.clone(), 63));
        }
        subdomain(&field, &name.to_lowercase(), name, all);
    }
    sysctls(
        "spec.allowedUnsafeSysctls",
        &spec.allowed_unsafe_sysctls,
        all,
    );
    sysctls("spec.forbiddenSysctls", &spec.forbidden_sysctls, all);
    overlaps(spec, all);
    if let Some(classes) = &spec.runtime_class {
        runtime_class(classes, all);
    }
}

fn one_of(field: &str, value: &str, known: &[&str], all: &mut Vec<FieldError>) {
    if !known.contains(&value) {
        all.push(FieldError::unsupported(field.to_owned(), value, known));
    }
}

fn id_ranges(field: &str, ranges: &[IdRange], all: &mut Vec<FieldError>) {
    for (index, range) in ranges.iter().enumerate() {
        let mut wrong = |end: &str, value: i64, detail: &str| {
            let field = format!("{field}[{index}].{end}");
            all.push(FieldError::invalid(field, value, detail));
        };
        if range.min < 0 {
            wrong("min", range.min, "min cannot be negative");
        }
        if range.max < 0 {
            wrong("max", range.max, "max cannot be negative");
        }
        if range.min > range.max {
            wrong("min", range.min, "min cannot be greater than max");
        }
    }
}

fn run_as_group(rule: &GroupRule, all: &mut Vec<FieldError>) {
    let field = "spec.runAsGroup.ranges";
    let ranges = rule.ranges.as_deref().unwrap_or_default();
    let shown = || match &rule.ranges {
        None => "[]policy.IDRange(nil)".to_owned(),
        Some(ranges) => {
            let ranges: Vec<String> = ranges
                .iter()
                .map(|range| format!("policy.IDRange{{Min:{}, Max:{}}}", range.min, range.max))
                .collect();
            format!("[]policy.IDRange{{{}}}", ranges.join(", "))
        }
    };
    match rule.rule.as_str() {
        ANY if !ranges.is_empty() => {
            all.push(FieldError::invalid(
                field.to_owned(),
                shown(),
                "Ranges must be empty",
            ));
        }
        ANY => {}
        MUST | MAY if ranges.is_empty() => {
            let detail = "must provide at least one range";
            all.push(FieldError::invalid(field.to_owned(), shown(), detail));
        }
        MUST | MAY => id_ranges(field, ranges, all),
        other => one_of("spec.runAsGroup.rule", other, &[MUST, ANY, MAY], all),
    }
}

fn capabilities(spec: &Spec, all: &mut Vec<FieldError>) {
    let has = |list: &Option<Vec<String>>, one: &str| list.iter().flatten().any(|held| held == one);
    let dropped = &spec.required_drop_capabilities;
    if dropped.as_ref().is_some_and(|list| !list.is_empty()) && has(&spec.allowed_capabilities, "*")
    {
        let list = dropped.as_ref().map(|list| list.iter().map(String::as_str));
        all.push(FieldError::invalid(
            "requiredDropCapabilities".to_owned(),
            listed("core.Capability", list),
            "must be empty when all capabilities are allowed by a wildcard",
        ));
    }
    for (name, list) in [
        ("defaultAddCapabilities", &spec.default_add_capabilities),
        ("allowedCapabilities", &spec.allowed_capabilities),
    ] {
        for capability in list.iter().flatten().filter(|one| has(dropped, one)) {
            let detail = format!("capability is listed in {name} and requiredDropCapabilities");
            all.push(FieldError::invalid_text(
                name.to_owned(),
                capability,
                &detail,
            ));
        }
    }
}

fn host_paths(spec: &Spec, all: &mut Vec<FieldError>) {
    for (index, path) in spec.allowed_host_paths.iter().enumerate() {
        let field = format!("spec.allowedHostPaths[{index}]");
        if path.path_prefix.is_empty() {
            // The original looks no further.
            all.push(FieldError::required(field, "is required"));
            return;
        }
        if path.path_prefix.split('/').any(|step| step == "..") {
            let detail = "must not contain '..'";
            all.push(FieldError::invalid_text(field, &path.path_prefix, detail));
        }
    }
}

fn sysctls(field: &str, list: &[String], all: &mut Vec<FieldError>) {
    let mut covers_all = false;
    for (index, name) in list.iter().enumerate() {
        let detail = if name.is_empty() {
            "empty sysctl not allowed".to_owned()
        } else if !is_sysctl_pattern(name) {
            format!("must have at most {SYSCTL_LENGTH} characters and match regex {SYSCTL_PATTERN}")
        } else {
            covers_all |= name.starts_with('*');
            continue;
        };
        all.push(FieldError::invalid_text(
            format!("{field}[{index}]"),
            name,
            &detail,
        ));
    }
    if covers_all && list.len() > 1 {
        let detail = "if '*' is present, must not specify other sysctls";
        all.push(FieldError::forbidden(format!("{field}.items"), detail));
    }
}

/// Segments between dots that begin and end plainly; the last may also end with `*`.
fn is_sysctl_pattern(name: &str) -> bool {
    let inner = |byte: u8| is_plain(byte) || byte == b'-' || byte == b'_';
    let mut segments: Vec<&str> = name.split('.').collect();
    let Some(last) = segments.pop() else {
        return false;
    };
    let whole = |segment: &&str| {
        let ends = [segment.bytes().next(), segment.bytes().last()];
        ends.iter().all(|end| end.is_some_and(is_plain)) && segment.bytes().all(inner)
    };
    let rest = last.strip_suffix('*').unwrap_or(last);
    let ends = last.ends_with('*') || last.bytes().last().is_some_and(is_plain);
    let begins = rest.is_empty() || rest.bytes().next().is_some_and(is_plain);
    let plain = rest.bytes().all(inner);
    name.len() <= SYSCTL_LENGTH && segments.iter().all(whole) && ends && begins && plain
}

fn overlaps(spec: &Spec, all: &mut Vec<FieldError>) {
    for (i, allowed) in spec.allowed_unsafe_sysctls.iter().enumerate() {
        for (j, forbidden) in spec.forbidden_sysctls.iter().enumerate() {
            let detail = |other: &str| format!("sysctl overlaps with {other}");
            let of_allowed = || {
                let field = format!("spec.allowedUnsafeSysctls[{i}]");
                FieldError::invalid_text(field, allowed, &detail(forbidden))
            };
            let of_forbidden = || {
                let field = format!("spec.forbiddenSysctls[{j}]");
                FieldError::invalid_text(field, forbidden, &detail(allowed))
            };
            match (allowed.strip_suffix('*'), forbidden.strip_suffix('*')) {
                (Some(a), Some(f)) if a.starts_with(f) => all.push(of_allowed()),
                (Some(a), Some(f)) if f.starts_with(a) => all.push(of_forbidden()),
                (Some(a), None) if forbidden.starts_with(a) => all.push(of_forbidden()),
                (None, Some(f)) if allowed.starts_with(f) => all.push(of_allowed()),
                (None, None) if allowed == forbidden => all.push(of_allowed()),
                _ => {}
            }
        }
    }
}

fn runtime_class(classes: &RuntimeClasses, all: &mut Vec<FieldError>) {
    let field = "spec.runtimeClass.allowedRuntimeClassNames";
    let names = classes.allowed.as_deref().unwrap_or_default();
    for (index, name) in names.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if name != "*" {
            subdomain(&field, name, name, all);
        }
        if names.iter().take(index).any(|earlier| earlier == name) {
            all.push(FieldError::duplicate(field, name));
        }
    }
    let any = names.iter().any(|name| name == "*");
    if let Some(default) = &classes.default {
        subdomain(
            "spec.runtimeClass.defaultRuntimeClassName",
            default,
            default,
            all,
        );
        if !any && !names.contains(default) {
            let detail = format!("default {} must be allowed", Quoted(default));
            all.push(FieldError::required(field.to_owned(), &detail));
        }
    }
    if any && names.len() > 1 {
        all.push(FieldError::invalid(
            field.to_owned(),
            listed("string", Some(names.iter().map(String::as_str))),
            "if '*' is present, must not specify other RuntimeClass names",
        ));
    }
}
