//! What is refused at load because the engine is known to evaluate it differently from OPA, or
//! because it could only fail once an object is there to be judged.

mod calls;
mod heads;
mod references;

pub(crate) use heads::{entry, has};
pub(crate) use references::outside_of_closures;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::refusal::{Place, Refusal};
use crate::syntax::Module;
use crate::tree::{Node, Span, walk};

/// What a policy finds under `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// The packages of its own set, and nothing else.
    Packages,
    /// `data.inventory` and the libraries, as Gatekeeper has it.
    Gatekeeper,
}

/// What modules define together.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Functions by `data.package.name`, with the numbers of their arguments.
    pub(crate) functions: BTreeMap<String, BTreeSet<usize>>,
    /// `data.package` of each.
    pub(crate) packages: BTreeSet<String>,
}

impl Names {
    pub(crate) fn of(modules: &[&Module]) -> Self {
        let mut names = Self::default();
        for module in modules {
            names.packages.insert(module.package.clone());
            for rule in rules(module) {
                let Some(head) = rule.child("head").filter(|head| head.kind == "Func") else {
                    continue;
                };
                let arguments = head.fields.get("args").and_then(Value::as_array);
                if let Some(path) = head.child("refr").and_then(Node::path) {
                    let name = format!("{}.{}", module.package, path.join("."));
                    let arities = names.functions.entry(name).or_default();
                    arities.insert(arguments.map_or(0, Vec::len));
                }
            }
        }
        names
    }
}

/// Looks through modules that make up one policy; all that there is to say, in the text's order.
pub(crate) fn lint(modules: &[&Module], data: Data) -> Vec<Refusal> {
    let names = Names::of(modules);
    let mut found = Vec::new();
    for module in modules {
        let mut look = Look {
            module,
            names: &names,
            data,
            found: &mut found,
        };
        look.imports();
        look.heads();
        walk(&module.tree, &mut |node| {
            look.call(node);
            look.reference(node);
            look.negation(node);
        });
    }
    found.sort();
    found.dedup();
    found
}

/// The rules of a module: `Spec` and `Default`.
pub(crate) fn rules(module: &Module) -> Vec<Node<'_>> {
    let rules = module.tree.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().filter_map(Node::of).collect()
}

/// Imports: the name, and what it stands for.
pub(crate) fn imports(module: &Module) -> Vec<(String, Vec<String>, Option<Span>)> {
    let imports = module.tree.get("imports").and_then(Value::as_array);
    let each = imports.into_iter().flatten().filter_map(|import| {
        let node = Node::of(import.get("refr")?)?;
        let path: Vec<String> = node.path()?.into_iter().map(str::to_owned).collect();
        let alias = import.get("as").and_then(crate::tree::span);
        let name = alias
            .and_then(|span| module.rego.get(span.start..span.end))
            .map_or_else(|| path.last().cloned(), |name| Some(name.to_owned()))?;
        Some((name, path, node.span()))
    });
    each.collect()
}

struct Look<'a, 'f> {
    module: &'a Module,
    names: &'a Names,
    data: Data,
    found: &'f mut Vec<Refusal>,
}

impl Look<'_, '_> {
    fn refuse(&mut self, rule: &'static str, at: Option<Span>, message: impl Into<String>) {
        self.found.push(Refusal {
            rule,
            place: place(self.module, at.map_or(0, |span| span.start)),
            message: message.into(),
        });
    }

    fn text(&self, start: usize, end: usize) -> &str {
        self.module.rego.get(start..end).unwrap_or_default()
    }
}

/// The place of a byte. The tree has the place of an operator where we want its first operand's.
pub(crate) fn place(module: &Module, start: usize) -> Place {
    let before = module.rego.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Place {
        source: module.source.clone(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    }
}
