//! How things that were found become issues of the report.

use std::ops::Range;

use bulkhead_controls::by_name;
use bulkhead_manifests::{Node, Problem};
use bulkhead_model::Finding;
use bulkhead_report::{Issue, Level, Lines, ObjectName, Related};

use crate::rules::{Own, mend_of, severity};

/// What a problem of the text is.
pub(crate) fn of_problem(problem: &Problem, lines: &Lines<'_>) -> Issue {
    let level = if problem.kind.is_error() {
        Level::Unreadable
    } else {
        Level::Warning
    };
    Issue {
        rule: problem.kind.name(),
        level,
        severity: None,
        object: None,
        field: String::new(),
        detail: problem.message.clone(),
        why: problem.kind.why(),
        mend: Some(mend_of(problem.kind)),
        fixable: false,
        region: lines.region(problem.span.clone()),
        related: problem.related.as_ref().map(|(span, message)| Related {
            region: lines.region(span.clone()),
            message: message.clone(),
        }),
    }
}

/// What a control has found.
pub(crate) fn of_finding(
    finding: &Finding,
    level: Level,
    fixable: bool,
    object: Option<&ObjectName>,
    span: Range<usize>,
    lines: &Lines<'_>,
) -> Issue {
    let control = by_name(finding.control);
    Issue {
        rule: finding.control,
        level,
        severity: control.map(|control| severity(control.severity)),
        object: object.cloned(),
        field: finding.path.to_string(),
        detail: finding.detail.clone(),
        why: control.map_or("", |control| control.why),
        mend: control.map(|control| control.remedy),
        fixable,
        region: lines.region(span),
        related: None,
    }
}

/// What a rule about files has found.
pub(crate) fn of_own(
    own: Own,
    level: Level,
    object: Option<&ObjectName>,
    (field, detail): (String, String),
    span: Range<usize>,
    lines: &Lines<'_>,
) -> Issue {
    Issue {
        rule: own.name,
        level,
        severity: None,
        object: object.cloned(),
        field,
        detail,
        why: own.why,
        mend: Some(own.mend),
        fixable: false,
        region: lines.region(span),
        related: None,
    }
}

/// What to mark of the file for a finding.
pub(crate) fn place(node: &Node, finding: &Finding) -> Range<usize> {
    node.locate(&finding.path).span
}
