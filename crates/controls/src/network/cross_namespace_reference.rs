//! References of the Gateway API and of claims lead into other namespaces; grants let others in.

use bulkhead_model::view::Fields;
use bulkhead_model::{FieldPath, Json, labels};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::facts::{Fact, ObjectKey, Wanted};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "cross-namespace-reference",
    guide: Section::Namespaces,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "the object would be joined to what another tenant has, or lend what is this one's",
    remedy: "refer to the tenant's own namespaces; attach routes to its own Gateways or the platform's",
    page: include_str!("cross_namespace_reference.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

const GATEWAY: &str = "gateway.networking.k8s.io";

/// A namespace that an object names, and whether it is a Gateway's, which decides itself who attaches.
struct Reference<'a> {
    path: FieldPath,
    value: &'a Json<'a>,
    parent: bool,
}

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    for reference in references(object) {
        let whose = match reference.value.as_str() {
            Some(name) if name == context.namespace || name.is_empty() => continue,
            Some(name) => whose(name, context),
            None => Whose::Unclear,
        };
        let fine = match whose {
            Whose::Own => true,
            Whose::Platform => reference.parent,
            Whose::Another | Whose::Unclear => false,
        };
        if !fine {
            let what = match whose {
                Whose::Platform => "no namespace of the tenant's",
                Whose::Unclear => "a namespace of which nobody knows whose it is",
                Whose::Own | Whose::Another => "a namespace of another tenant's",
            };
            findings.add(reference.path, format!("{}, {what}", is(reference.value)));
        }
    }
}

/// The Namespaces that are named, to learn whose they are.
pub(crate) fn wanted(object: &Object<'_>, context: &Context<'_>, wanted: &mut Wanted<'_>) {
    for reference in references(object) {
        if let Some(name) = reference.value.as_str()
            && !name.is_empty()
            && name != context.namespace
        {
            wanted.add(ObjectKey::namespace(name));
        }
    }
}

enum Whose {
    Own,
    Another,
    /// No tenant's.
    Platform,
    Unclear,
}

fn whose(name: &str, context: &Context<'_>) -> Whose {
    match context.facts.object(&ObjectKey::namespace(name)) {
        Fact::Known(Some(found)) if context.owns(found) => Whose::Own,
        Fact::Known(Some(found)) => {
            let found = Fields::of(Some(found)).at("metadata").at("labels");
            match (found.str(labels::TENANT), found.str(labels::TENANT_UID)) {
                (None, None) => Whose::Platform,
                _ => Whose::Another,
            }
        }
        Fact::Later => Whose::Own,
        Fact::Known(None) | Fact::Unknown => Whose::Unclear,
    }
}

fn references<'a>(object: &Object<'a>) -> Vec<Reference<'a>> {
    let mut found = Vec::new();
    if object.group() == GATEWAY
        && let Some(spec) = object.fields().get("spec")
    {
        walk(spec, &FieldPath::of("spec"), false, &mut found);
    }
    found
}

/// Every field `namespace` of every object below. Selectors of namespaces have none.
fn walk<'a>(value: &'a Json<'a>, path: &FieldPath, parent: bool, found: &mut Vec<Reference<'a>>) {
    if let Some(list) = value.as_array() {
        for (index, value) in list.iter().enumerate() {
            walk(value, &path.clone().index(index), parent, found);
        }
        return;
    }
    for (key, value) in Fields::of(Some(value)).iter() {
        let path = path.clone().key(key);
        if key == "namespace" {
            found.push(Reference {
                path,
                value,
                parent,
            });
        } else {
            let parent = matches!(key, "parentRefs" | "parentRef");
            walk(value, &path, parent, found);
        }
    }
}
