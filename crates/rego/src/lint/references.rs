//! References and imports, and variables under `not`.

use serde_json::Value;

use super::{Data, Look, imports};
use crate::tree::Node;

impl Look<'_, '_> {
    pub(super) fn imports(&mut self) {
        for (_, path, at) in imports(self.module) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match path.as_slice() {
                ["future", "keywords", ..] | ["rego", "v1"] | ["input", ..] => {}
                ["data", ..] => {}
                _ => {
                    let message =
                        "only `data`, `input`, `future.keywords` and `rego.v1` are imported";
                    self.refuse("unsupported-import", at, message);
                }
            }
        }
    }

    pub(super) fn reference(&mut self, node: Node<'_>) {
        if node.kind == "Var" && node.root() == Some("data") {
            self.data(node);
        }
    }

    /// What follows `data` is looked at in the text, because the tree is walked from above.
    fn data(&mut self, node: Node<'_>) {
        let Some(span) = node.span() else {
            return;
        };
        let rest = self.text(span.end, self.module.rego.len());
        let tail: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '_'))
            .collect();
        let path = format!("data{tail}");
        let within = |of: &str| path == of || path.starts_with(&format!("{of}."));
        // Tests put into `data` what they like.
        let test = self.module.source.ends_with("_test.rego");
        let taken = test
            || match self.data {
                Data::Gatekeeper => within("data.inventory") || self.lib(&within),
                Data::Packages if super::has(self.module, "violation") => {
                    within("data.inventory") || within("data.lib")
                }
                Data::Packages => self.names.packages.iter().any(|package| within(package)),
            };
        if !taken {
            let there = match self.data {
                Data::Gatekeeper => {
                    "`data.inventory` and the packages `lib` of its libraries".to_owned()
                }
                Data::Packages => {
                    let packages: Vec<String> = self
                        .names
                        .packages
                        .iter()
                        .map(|package| format!("`{package}`"))
                        .collect();
                    packages.join(", ")
                }
            };
            let message = format!("`{path}` is not there; what is there is {there}");
            self.refuse("foreign-data", Some(span), message);
        }
    }

    fn lib(&self, within: &dyn Fn(&str) -> bool) -> bool {
        let mut packages = self.names.packages.iter();
        packages.any(|package| package.starts_with("data.lib") && within(package))
    }

    /// OPA refuses to look for a value that is not there: `not f(input.x[_])`.
    pub(super) fn negation(&mut self, node: Node<'_>) {
        if node.kind != "NotExpr" {
            return;
        }
        let mut wild = None;
        outside_of_closures(node.fields, &mut |inner| {
            if inner.kind == "Var" && inner.root() == Some("_") {
                wild = wild.or(inner.span());
            }
        });
        if let Some(at) = wild {
            let message = "`_` under `not` has nothing to stand for; name what is to be looked at \
                           in a rule or a comprehension of its own";
            self.refuse("syntax", Some(at), message);
        }
    }
}

/// Every node that is evaluated in the same body.
pub(crate) fn outside_of_closures<'a>(value: &'a Value, look: &mut impl FnMut(Node<'a>)) {
    if let Some(node) = Node::of(value) {
        if matches!(
            node.kind,
            "ArrayCompr" | "SetCompr" | "ObjectCompr" | "Every"
        ) {
            return;
        }
        look(node);
    }
    match value {
        Value::Object(object) => {
            for value in object.values() {
                outside_of_closures(value, look);
            }
        }
        Value::Array(list) => list
            .iter()
            .for_each(|value| outside_of_closures(value, look)),
        _ => {}
    }
}
