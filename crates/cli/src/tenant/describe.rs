//! What there is to say of a tenant, as text.

use std::fmt::Write as _;

use bulkhead_api::percent;
use bulkhead_model::labels;
use serde_json::Value;

use super::mend::troubles;
use super::table::{State, Table, items, mark, printable, text};
use super::{condition, is_observed};

/// A Tenant and the Namespaces that carry its name, for people.
pub(super) fn describe(tenant: &Value, namespaces: &[Value]) -> String {
    let mut out = head(tenant);
    section(&mut out, "Members", &members(tenant));
    section(&mut out, "Namespaces", &namespace_table(tenant, namespaces));
    section(&mut out, "Usage", &usage(tenant));
    section(&mut out, "Ranges", &pairs(tenant.pointer("/status/ranges")));
    section(&mut out, "Nodes", &nodes(tenant));
    section(&mut out, "Conditions", &conditions(tenant));
    let troubles = troubles(tenant, namespaces);
    if troubles.is_empty() {
        section(&mut out, "What is wrong", "  nothing\n");
    } else {
        let style = State::Bad.style();
        let _ = write!(out, "\n{style}What is wrong{style:#}\n");
        for (number, trouble) in troubles.iter().enumerate() {
            let clean: String = trouble.what.chars().map(printable).collect();
            let _ = writeln!(
                out,
                "  {}. {clean}\n     mend: {}",
                number + 1,
                trouble.mend
            );
        }
    }
    out
}

fn section(out: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        let _ = write!(out, "\n{title}\n{body}");
    }
}

fn head(tenant: &Value) -> String {
    let mut lines = vec![
        ("Tenant", text(tenant, "/metadata/name").to_owned()),
        ("UID", text(tenant, "/metadata/uid").to_owned()),
        (
            "Created",
            text(tenant, "/metadata/creationTimestamp").to_owned(),
        ),
    ];
    let mut field = |name, pointer, default: &str| {
        let value = match text(tenant, pointer) {
            "" => default,
            value => value,
        };
        if !value.is_empty() {
            lines.push((name, value.to_owned()));
        }
    };
    field("Tier", "/spec/tier", "");
    field("Profile", "/spec/podSecurity/profile", "Strict");
    let own = format!("{}-", text(tenant, "/metadata/name"));
    field("Prefix", "/spec/namespaceOptions/prefix", &own);
    field("Network", "/spec/network/isolation", "DefaultDeny");
    let cordoned = tenant.pointer("/spec/cordoned") == Some(&Value::Bool(true));
    let in_force = condition(tenant, "Cordoned").is_some_and(|c| text(c, "/status") == "True");
    lines.push((
        "Cordoned",
        match (cordoned, in_force) {
            (true, true) => "yes",
            (true, false) => "yes, not yet in force everywhere",
            (false, true) => "no, not yet lifted everywhere",
            (false, false) => "no",
        }
        .to_owned(),
    ));
    if let Some(ready) = condition(tenant, "Ready") {
        let message = match text(ready, "/status") {
            "True" => text(ready, "/message").to_owned(),
            _ => format!("not ready: {}", text(ready, "/reason")),
        };
        let old = if is_observed(tenant) {
            ""
        } else {
            " (of an earlier spec)"
        };
        lines.push(("State", format!("{message}{old}")));
    } else {
        lines.push(("State", "the controller has not looked at it".to_owned()));
    }
    let mut out = String::new();
    for (name, value) in lines {
        let value: String = value.chars().map(printable).collect();
        let _ = writeln!(out, "{name:<12}{value}");
    }
    out
}

fn members(tenant: &Value) -> String {
    let members = items(tenant, "/spec/members");
    if members.is_empty() {
        return "  none: nobody outside may act for it\n".to_owned();
    }
    let mut table = Table::new(&["KIND", "NAME", "ROLE"]);
    for member in members {
        table.row(
            State::Plain,
            [
                text(member, "/kind"),
                text(member, "/name"),
                text(member, "/role"),
            ],
        );
    }
    table.text(2)
}

fn namespace_table(tenant: &Value, namespaces: &[Value]) -> String {
    if namespaces.is_empty() {
        return "  none\n".to_owned();
    }
    let mut table = Table::new(&["NAME", "STATE", "MESSAGE"]);
    for namespace in namespaces {
        let name = text(namespace, "/metadata/name");
        let (word, state) = standing(tenant, namespace);
        let reported = items(tenant, "/status/namespaces").iter();
        let message = reported
            .filter(|status| text(status, "/name") == name)
            .map(|status| text(status, "/message"))
            .next();
        table.row(state, [name, word, message.unwrap_or_default()]);
    }
    table.text(2)
}

/// How a namespace stands, in one word.
fn standing(tenant: &Value, namespace: &Value) -> (&'static str, State) {
    let uid = Some(text(tenant, "/metadata/uid"));
    if namespace.pointer("/metadata/deletionTimestamp").is_some() {
        ("going", State::Plain)
    } else if mark(namespace, "labels", labels::TENANT_UID) != uid {
        ("not adopted", State::Bad)
    } else if mark(namespace, "annotations", labels::ISOLATED) != uid {
        ("closed", State::Bad)
    } else if mark(namespace, "annotations", labels::CORDONED).is_some() {
        ("cordoned", State::Plain)
    } else {
        ("open", State::Good)
    }
}

fn usage(tenant: &Value) -> String {
    let Some(usage) = tenant.pointer("/status/usage").and_then(Value::as_object) else {
        return String::new();
    };
    let mut table = Table::new(&["RESOURCE", "USED", "LIMIT", "SHARE"]);
    for (resource, value) in usage {
        let used = match text(value, "/used") {
            "" => "not counted".to_owned(),
            used => readable(resource, used),
        };
        let hard = readable(resource, text(value, "/hard"));
        let share = value
            .get("used")
            .zip(value.get("hard"))
            .and_then(|(used, hard)| percent(used, hard));
        let state = match share {
            Some(100..) => State::Bad,
            _ => State::Plain,
        };
        let share = share.map(|share| format!("{share} %")).unwrap_or_default();
        table.row(state, [resource, &used, &hard, &share]);
    }
    table.text(2)
}

/// Bytes by the largest unit of which there is a whole one; everything else as it is written.
fn readable(resource: &str, amount: &str) -> String {
    const UNITS: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let bytes = ["memory", "storage", "hugepages-"];
    let mut number = match amount.parse::<u128>() {
        Ok(number) if bytes.iter().any(|part| resource.contains(part)) => number,
        _ => return amount.to_owned(),
    };
    let (mut tenths, mut unit) = (0, "");
    for next in UNITS {
        if number < 1024 {
            break;
        }
        (tenths, number, unit) = (number % 1024 * 10 / 1024, number / 1024, next);
    }
    match tenths {
        0 => format!("{number}{unit}"),
        _ => format!("{number}.{tenths}{unit}"),
    }
}

/// Fields and their values, nested ones on one line.
fn pairs(value: Option<&Value>) -> String {
    let mut table = Vec::new();
    for (key, value) in value.and_then(Value::as_object).into_iter().flatten() {
        table.push((key.clone(), plain(value)));
    }
    let width = table
        .iter()
        .map(|(key, _)| key.chars().count())
        .max()
        .unwrap_or(0)
        + 2;
    let mut out = String::new();
    for (key, value) in table {
        let _ = writeln!(out, "  {key:<width$}{value}");
    }
    out
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().map(printable).collect(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| format!("{key} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

fn nodes(tenant: &Value) -> String {
    let mut out = match text(tenant, "/spec/nodes/placement") {
        "" => String::new(),
        placement => format!("  placement  {placement}\n"),
    };
    match tenant.pointer("/status/nodes") {
        None => {}
        Some(value @ Value::Object(_)) => out += &pairs(Some(value)),
        Some(value) => out += &format!("  nodes      {}\n", plain(value)),
    }
    out
}

fn conditions(tenant: &Value) -> String {
    let conditions = items(tenant, "/status/conditions");
    if conditions.is_empty() {
        return "  none yet\n".to_owned();
    }
    let mut table = Table::new(&["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for condition in conditions {
        let status = text(condition, "/status");
        let state = match text(condition, "/type") {
            "Ready" => State::of(status),
            _ => State::Plain,
        };
        table.row(
            state,
            [
                text(condition, "/type"),
                status,
                text(condition, "/reason"),
                text(condition, "/lastTransitionTime"),
                text(condition, "/message"),
            ],
        );
    }
    table.text(2)
}
