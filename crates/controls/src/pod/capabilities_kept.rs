//! What a container does not drop it keeps: the runtime's own list has fourteen capabilities.

use bulkhead_model::view::Pod;
use serde_json::json;

use super::{NOT_LINUX, OS, System, system};
use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::{Fills, unset_list};
use crate::profiles::Profiles;

const PATH: &str = "securityContext.capabilities.drop";

pub(crate) const CONTROL: Control = Control {
    name: "capabilities-kept",
    guide: Section::ContainerPrivileges,
    severity: Severity::Medium,
    profiles: Profiles::Restricted(22),
    why: "the runtime gives fourteen capabilities to every container that does not drop them",
    remedy: "set `capabilities.drop: [ALL]` in every container, and add the few that it needs",
    page: include_str!("capabilities_kept.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.linux && variables.containers.all(c,
        'ALL' in c.?securityContext.?capabilities.?drop.orValue([]))"#,
    ),
    mend: Mend::Fill(fill),
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    match system(pod, context) {
        System::Linux => {}
        System::Foreign => return findings.add(pod.path(OS), NOT_LINUX),
        System::Excused => return,
    }
    for container in pod.containers() {
        let capabilities = container.security_context().at("capabilities");
        // Literally: the API server keeps any spelling, and runtimes differ in what they make of it.
        if !capabilities
            .list("drop")
            .iter()
            .any(|dropped| dropped == "ALL")
        {
            let written = capabilities
                .get("drop")
                .filter(|drop| !unset_list(Some(drop)));
            let detail = written.map_or_else(
                || "is unset".to_owned(),
                |drop| format!("is {}, without `\"ALL\"`", shown(drop)),
            );
            findings.add(container.path(PATH), detail);
        }
    }
}

fn fill(pod: &Pod<'_>, _: &Context<'_>, fills: &mut Fills<'_>) {
    for container in fills.containers(pod) {
        if unset_list(container.security_context().at("capabilities").get("drop")) {
            fills.set(container.path(PATH), json!(["ALL"]));
        }
    }
}
