//! No container without limits: what one takes without end, its neighbours lack.

use bulkhead_model::quantity::nanos;
use bulkhead_model::view::{Container, ContainerKind, Fields, Pod};

use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "no-resource-limit",
    guide: Section::Since,
    severity: Severity::High,
    profiles: Profiles::Confined,
    why: "a container without limits takes the processors and the memory of all others on its node",
    remedy: "set `resources.limits` of `cpu` and `memory`, above zero, in the container or, for all of them, in the pod",
    page: include_str!("no_resource_limit.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::ByHand,
};

/// What a pod may limit for all of its containers together.
const OF_PODS: [&str; 2] = ["cpu", "memory"];

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    for resource in OF_PODS {
        let of_pod = pod.spec().at("resources").at("limits");
        if !is_limited(of_pod, resource) {
            unlimited(pod, resource, context, findings);
        }
    }
}

/// Finds the containers that have no limit of a resource, neither of their own nor by the tenant's
/// LimitRange. Ephemeral containers cannot have resources at all: they live on their pod's.
pub(super) fn unlimited(
    pod: &Pod<'_>,
    resource: &'static str,
    context: &Context<'_>,
    findings: &mut Findings,
) {
    let given = !context.rules.without_default_limit.contains(resource);
    let limited = pod
        .containers()
        .filter(|container| container.kind != ContainerKind::Ephemeral);
    for container in limited {
        let limits = container.fields().at("resources").at("limits");
        let written = limits.get(resource);
        if is_limited(limits, resource) || (written.is_none() && given) {
            continue;
        }
        // Most of a pod cannot change, and to refuse its labels for that would mend nothing.
        let old = old_limits(&container, context);
        if old.is_some_and(|old| old.get(resource) == written) {
            continue;
        }
        let path = container.path("resources.limits").key(resource);
        findings.add(
            path,
            match written {
                None => "is unset, and the tenant's LimitRange gives none".to_owned(),
                Some(value) => format!("is {}, which limits nothing", shown(value)),
            },
        );
    }
}

/// Runtimes read a limit of zero as none, and what is no quantity is none either.
fn is_limited(limits: Fields<'_>, resource: &str) -> bool {
    let value = limits.get(resource).map(serde_json::Value::from);
    value.as_ref().and_then(nanos).is_some_and(|it| it > 0)
}

fn old_limits<'a>(container: &Container<'_>, context: &Context<'a>) -> Option<Fields<'a>> {
    let old = context.old_pod_spec()?;
    let old = old.list(container.kind.field()).get(container.index)?;
    Some(Fields::of(Some(old)).at("resources").at("limits"))
}
