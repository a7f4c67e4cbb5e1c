//! What there is to say about one file.

use std::collections::BTreeSet;

use bulkhead_api::parse_tenant;
use bulkhead_controls::{Fill, Inspected, Inspection, ObjectKey, Unjudged, judge_dockerfile};
use bulkhead_manifests::{
    Content, Node, Parsed, insertions, looks_like_a_template, parse, parse_dockerfile,
};
use bulkhead_model::{FieldPath, Finding};
use bulkhead_report::{FileReport, Level, Lines, ObjectName};
use serde_json::Value;

use crate::allow::{Allow, allowed, allows};
use crate::index::{Index, field};
use crate::issues::{of_finding, of_own, of_problem, place};
use crate::objects::{carrier, hidden_pod, name, request};
use crate::rules::{
    ALLOW_MALFORMED, ALLOW_OF_NOTHING, ALLOW_WITHOUT_REASON, MALFORMED, Own, POD_SECURITY_POLICY,
    REGO_POLICY, UNKNOWN_WORKLOAD, UNREADABLE, is_rule,
};
use crate::settings::{Settings, Source, with_uid};

/// Why a template is left aside.
const TEMPLATE: &str = "a template; check what `helm template` makes of it";

/// Why an object is left aside that lacks what makes it one of its kind.
const PART: &str = "a part of an object, as patches are; check what they are applied to";

/// Judges a file.
#[must_use]
pub fn check(source: &Source<'_>, settings: &Settings, index: &Index) -> FileReport {
    let parsed = read(source);
    let mut report = FileReport {
        path: source.path.to_owned(),
        ..FileReport::default()
    };
    if parsed.is_broken() && !source.dockerfile && looks_like_a_template(source.text) {
        report.skipped.push(TEMPLATE.to_owned());
        return report;
    }
    let lines = Lines::of(source.text);
    let (allows, odd) = allows(source.text, &parsed, source.dockerfile);
    let mut file = File {
        source,
        settings,
        index,
        lines: &lines,
        allows: &allows,
        report,
    };
    if source.dockerfile {
        parsed
            .documents
            .iter()
            .for_each(|document| file.dockerfile(document));
    } else {
        file.objects(&parsed);
    }
    let objects = file.report.objects;
    for problem in &parsed.problems {
        // What is no manifest may mean by its scalars what it likes.
        let counts =
            problem.kind.is_error() || (objects > 0 && settings.counts(problem.kind.name()));
        if counts && !allowed(&allows, problem.kind.name(), problem.span.start) {
            file.report.issues.push(of_problem(problem, &lines));
        }
    }
    file.comments(&odd, parsed.is_broken());
    let mut report = file.report;
    report.issues.sort_by_key(|issue| issue.region.bytes.start);
    report
}

pub(crate) fn read(source: &Source<'_>) -> Parsed {
    if source.dockerfile {
        parse_dockerfile(source.text)
    } else {
        parse(source.text)
    }
}

/// The safe values that `--fix` puts into an object: of controls that count, and that nobody has
/// made an exception from anywhere in the object. A mend of the pod would undo that of a container.
pub(crate) fn wanted(
    inspection: &Inspection,
    node: &Node,
    settings: &Settings,
    allows: &[Allow],
) -> Vec<Fill> {
    let mut excepted = BTreeSet::new();
    for found in &inspection.findings {
        let Finding { control, .. } = &found.finding;
        if allowed(allows, control, place(node, &found.finding).start) {
            excepted.insert(*control);
        }
    }
    let mended = |control: &str| {
        let of = |found: &&Inspected| found.finding.control == control && found.mendable;
        inspection.findings.iter().any(|found| of(&found))
    };
    let fills = inspection.fills.iter().filter(|fill| {
        settings.counts(fill.control) && !excepted.contains(fill.control) && mended(fill.control)
    });
    fills.cloned().collect()
}

/// The values as edits take them.
pub(crate) fn plain(fills: &[Fill]) -> Vec<(FieldPath, Value)> {
    let pairs = fills
        .iter()
        .map(|fill| (fill.path.clone(), Value::from(&fill.value)));
    pairs.collect()
}

/// The object, held to its tenant's rules. None of a kind that no rule looks at.
pub(crate) fn judged(
    (api_version, kind, node): (&str, &str, &Node),
    settings: &Settings,
    index: &Index,
) -> Option<Result<Inspection, Unjudged>> {
    let carriers = &settings.carriers;
    let request = request(carrier(carriers, api_version, kind)?, node);
    let namespace = field(node, "namespace").filter(|_| !settings.one_tenant);
    let rules = namespace
        .and_then(|namespace| index.tenant_of(namespace))
        .unwrap_or(&settings.tenant);
    Some(carriers.inspect(&request, rules, &|key| index.get(key)))
}

struct File<'a> {
    source: &'a Source<'a>,
    settings: &'a Settings,
    index: &'a Index,
    lines: &'a Lines<'a>,
    allows: &'a [Allow],
    report: FileReport,
}

impl File<'_> {
    fn objects(&mut self, parsed: &Parsed) {
        for content in parsed.documents.iter().flat_map(Content::of) {
            match content {
                Content::Other(other) => self.report.skipped.push(other.describe().to_owned()),
                Content::Object {
                    api_version,
                    kind,
                    node,
                } => self.object(api_version, kind, node),
            }
        }
    }

    fn object(&mut self, api_version: &str, kind: &str, node: &Node) {
        self.report.objects += 1;
        let object = name(api_version, kind, node);
        if (api_version, kind) == (bulkhead_api::API_VERSION, bulkhead_api::KIND) {
            self.tenant(node, &object);
        }
        let Some(judged) = judged((api_version, kind, node), self.settings, self.index) else {
            self.rego(node, &object);
            return self.stranger(node, &object);
        };
        match judged {
            Ok(inspection) => {
                self.inspected(&inspection, node, &object);
                self.policies((api_version, kind, node), &object);
                self.rego(node, &object);
            }
            // No API server takes it, so nothing comes of it by itself.
            Err(Unjudged::Malformed { missing: true, .. }) => {
                self.report.objects -= 1;
                self.report.skipped.push(PART.to_owned());
            }
            Err(Unjudged::Malformed { path, expected, .. }) => {
                let detail = match expected {
                    "object" => "must be an object".to_owned(),
                    expected => format!("must be a {expected}"),
                };
                self.malformed(node, &object, &path, detail);
            }
            // The carrier was found by its kind, and the request makes an object.
            Err(error) => self.malformed(node, &object, &FieldPath::default(), error.to_string()),
        }
    }

    fn inspected(&mut self, inspection: &Inspection, node: &Node, object: &ObjectName) {
        let fills = wanted(inspection, node, self.settings, self.allows);
        let possible = || insertions(self.source.text, node, &plain(&fills)).is_some();
        let fixed: BTreeSet<&str> = if fills.is_empty() || !possible() {
            BTreeSet::new()
        } else {
            fills.iter().map(|fill| fill.control).collect()
        };
        for found in &inspection.findings {
            let finding = &found.finding;
            // An exception for it is still one that something needs: `wanted` has counted it.
            let stamped = found.mendable || self.is_stamped(finding.control);
            if self.settings.as_admitted && stamped {
                continue;
            }
            self.finding(
                finding,
                Level::Finding,
                found.mendable && fixed.contains(finding.control),
                Some(object),
                node,
            );
        }
        for finding in &inspection.unchecked {
            self.finding(finding, Level::NotChecked, false, Some(object), node);
        }
    }

    /// Whether admission sets the field to what files cannot know: ids come from the ledger.
    fn is_stamped(&self, control: &str) -> bool {
        control == "missing-fs-group" && self.settings.tenant.ids.range.is_none()
    }

    fn policies(&mut self, (api_version, kind, node): (&str, &str, &Node), object: &ObjectName) {
        let Some(carrier) = carrier(&self.settings.carriers, api_version, kind) else {
            return;
        };
        let own = POD_SECURITY_POLICY;
        for (path, detail) in self.settings.policies.pods(carrier, node) {
            let span = node.locate(&path).span;
            if self.settings.counts(own.name) && !allowed(self.allows, own.name, span.start) {
                let text = (path.to_string(), detail);
                let issue = of_own(own, Level::Finding, Some(object), text, span, self.lines);
                self.report.issues.push(issue);
            }
        }
    }

    /// What policies in Rego say. They name no field, so that the object's name is marked.
    fn rego(&mut self, node: &Node, object: &ObjectName) {
        let (own, rego) = (REGO_POLICY, &self.settings.policies.rego);
        if rego.is_empty() || !self.settings.counts(own.name) {
            return;
        }
        let namespace = object.namespace.as_ref().and_then(|name| {
            self.index.get(&ObjectKey {
                group: "",
                resource: "namespaces",
                namespace: None,
                name: name.clone(),
            })
        });
        let namespace = namespace.map(Value::from);
        let span = node.locate(&FieldPath::of("metadata.name")).span;
        for (level, detail) in rego.ask(&node.to_value(), namespace.as_ref()) {
            if !allowed(self.allows, own.name, span.start) {
                let text = (String::new(), detail);
                let issue = of_own(own, level, Some(object), text, span.clone(), self.lines);
                self.report.issues.push(issue);
            }
        }
    }

    fn finding(
        &mut self,
        finding: &Finding,
        level: Level,
        fixable: bool,
        object: Option<&ObjectName>,
        node: &Node,
    ) {
        let span = place(node, finding);
        if self.settings.counts(finding.control)
            && !allowed(self.allows, finding.control, span.start)
        {
            let issue = of_finding(finding, level, fixable, object, span, self.lines);
            self.report.issues.push(issue);
        }
    }

    fn malformed(&mut self, node: &Node, object: &ObjectName, path: &FieldPath, detail: String) {
        let span = node.locate(path).span;
        let text = (path.to_string(), detail);
        let issue = of_own(
            MALFORMED,
            Level::Unreadable,
            Some(object),
            text,
            span,
            self.lines,
        );
        self.report.issues.push(issue);
    }

    /// A Tenant that the API server would refuse isolates nobody.
    fn tenant(&mut self, node: &Node, object: &ObjectName) {
        for error in parse_tenant(&with_uid(node.to_value()))
            .err()
            .unwrap_or_default()
        {
            self.malformed(node, object, &error.path, error.message);
        }
    }

    /// An object of a kind that no rule looks at.
    fn stranger(&mut self, node: &Node, object: &ObjectName) {
        let Some(pod) = hidden_pod(node) else { return };
        let containers = pod
            .entry("containers")
            .map_or(pod.span.clone(), |entry| entry.key_span.clone());
        if self.settings.counts(UNKNOWN_WORKLOAD.name)
            && !allowed(self.allows, UNKNOWN_WORKLOAD.name, containers.start)
        {
            let detail = format!(
                "no rule knows the kind `{}` of `{}`",
                object.kind, object.api_version
            );
            let text = (String::new(), detail);
            let issue = of_own(
                UNKNOWN_WORKLOAD,
                Level::NotChecked,
                Some(object),
                text,
                containers,
                self.lines,
            );
            self.report.issues.push(issue);
        }
    }

    fn dockerfile(&mut self, document: &Node) {
        self.report.objects += 1;
        for finding in judge_dockerfile(&document.to_json()) {
            self.finding(&finding, Level::Finding, false, None, document);
        }
    }

    /// Comments to Bulkhead are judged as well. In a file that is broken nothing can be said of
    /// what they allow.
    fn comments(&mut self, odd: &[std::ops::Range<usize>], broken: bool) {
        let mut add = |own: Own, detail: String, span| {
            if self.settings.counts(own.name) {
                let text = (String::new(), detail);
                let issue = of_own(own, Level::Finding, None, text, span, self.lines);
                self.report.issues.push(issue);
            }
        };
        for span in odd {
            add(
                ALLOW_MALFORMED,
                "this comment is not understood".to_owned(),
                span.clone(),
            );
        }
        for allow in self.allows {
            if !allow.has_reason {
                add(
                    ALLOW_WITHOUT_REASON,
                    "this exception has no reason".to_owned(),
                    allow.span.clone(),
                );
            }
            for name in allow.names.iter().filter(|name| !name.used.get()) {
                let detail = if !is_rule(&name.name) {
                    format!("there is no rule `{}`", name.name)
                } else if broken || !self.settings.counts(&name.name) {
                    continue;
                } else {
                    format!("`{}` finds nothing here", name.name)
                };
                add(ALLOW_OF_NOTHING, detail, allow.span.clone());
            }
        }
    }
}

/// What there is to say about a file that cannot even be opened.
#[must_use]
pub fn unreadable(path: &str, message: &str) -> FileReport {
    let lines = Lines::of("");
    let text = (String::new(), message.to_owned());
    FileReport {
        path: path.to_owned(),
        issues: vec![of_own(
            UNREADABLE,
            Level::Unreadable,
            None,
            text,
            0..0,
            &lines,
        )],
        ..FileReport::default()
    }
}
