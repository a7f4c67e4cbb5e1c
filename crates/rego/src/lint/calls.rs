//! Calls: what is called, with how much, and written how.

use serde_json::Value;

use super::{Look, imports};
use crate::builtins;
use crate::tree::Node;

/// A function that relates instead of returning: its second argument is what comes out.
const WALK: &str = "walk";

impl Look<'_, '_> {
    pub(super) fn call(&mut self, node: Node<'_>) {
        if node.kind != "Call" {
            return;
        }
        let Some(function) = node.child("fcn") else {
            return;
        };
        let at = node.span();
        if let (Some(whole), Some(name)) = (at, function.span()) {
            let between = self.text(name.end, whole.end);
            let gap = between.len() - between.trim_start().len();
            if gap > 0 && between.trim_start().starts_with('(') {
                let message = "a call's parenthesis follows its name at once; OPA reads this as \
                               two expressions: put a `;` between them, or remove the space";
                self.refuse("call-over-lines", at, message);
            }
        }
        let Some(path) = function.path() else {
            let message = "what is called is computed; name it";
            self.refuse("unknown-function", at, message);
            return;
        };
        let parameters = node.fields.get("params").and_then(Value::as_array);
        let given = parameters.map_or(0, Vec::len);
        let name = path.join(".");
        if let Some(arities) = self.defined(&path) {
            if !arities.contains(&given) {
                let message = format!("`{name}` does not take {given} arguments");
                self.refuse("unknown-function", at, message);
            }
            return;
        }
        match builtins::takes(&name, self.module.dialect) {
            None => {
                let (rule, message) = builtins::refused(&name);
                self.refuse(rule, at, message);
            }
            Some(takes) if takes == given || (name == WALK && given == 2) => {}
            Some(takes) => {
                let message = format!(
                    "`{name}` takes {takes} arguments, not {given}; what it gives is assigned with `:=`"
                );
                self.refuse("unsupported-function", at, message);
            }
        }
        match name.as_str() {
            "sprintf" => self.format(node),
            name if name.starts_with("regex.") || name == "re_match" => self.pattern(node, name),
            _ => {}
        }
    }

    /// The numbers of arguments of a function that the policy defines itself.
    fn defined(&self, path: &[&str]) -> Option<std::collections::BTreeSet<usize>> {
        let (first, rest) = path.split_first()?;
        let own = format!("{}.{}", self.module.package, path.join("."));
        let full = if *first == "data" {
            path.join(".")
        } else {
            let import = imports(self.module)
                .into_iter()
                .find(|(name, path, _)| name == first && path.first().is_some_and(|p| p == "data"));
            match import {
                Some((_, target, _)) => {
                    let rest = rest.iter().map(|part| (*part).to_owned());
                    target.into_iter().chain(rest).collect::<Vec<_>>().join(".")
                }
                None => own,
            }
        };
        self.names.functions.get(&full).cloned()
    }

    /// OPA prints what is missing and what is too much; the engine gives up, and the rule with it.
    fn format(&mut self, node: Node<'_>) {
        let children = node.children("params");
        let [format, arguments] = children.as_slice() else {
            return;
        };
        let text = format.value().and_then(Value::as_str);
        let (Some(text), true) = (text, arguments.kind == "Array") else {
            let message = "`sprintf` wants its format and its list of arguments written out, so \
                           that they can be counted";
            self.refuse("format-arguments", node.span(), message);
            return;
        };
        let given = arguments.children("items").len();
        match verbs(text) {
            Err(verb) => {
                let message = format!("the verb `%{verb}` is not `%v`, `%s`, `%d`, `%t` or `%q`");
                self.refuse("format-arguments", node.span(), message);
            }
            Ok(verbs) if verbs != given => {
                let message = format!("{verbs} verbs and {given} arguments; a `%` itself is `%%`");
                self.refuse("format-arguments", node.span(), message);
            }
            Ok(_) => {}
        }
    }

    /// A pattern that does not compile would make the rule that asks it never hold.
    fn pattern(&mut self, node: Node<'_>, name: &str) {
        let children = node.children("params");
        let at = if name == "regex.replace" { 1 } else { 0 };
        let Some(pattern) = children.get(at) else {
            return;
        };
        if name == "regex.is_valid" || !matches!(pattern.kind, "String" | "RawString") {
            return;
        }
        let Some(text) = pattern.value().and_then(Value::as_str) else {
            return;
        };
        if let Err(error) = compiles(text) {
            let error = error.lines().last().unwrap_or_default().to_owned();
            self.refuse("bad-pattern", pattern.span(), format!("`{text}`: {error}"));
        }
    }
}

/// The engine's own compiler of patterns, with a limit of a tenth of what it takes.
fn compiles(pattern: &str) -> Result<(), String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// How many arguments a format wants.
fn verbs(format: &str) -> Result<usize, char> {
    let mut count = 0;
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            continue;
        }
        match chars.next() {
            Some('%') => {}
            Some('v' | 's' | 'd' | 't' | 'q') => count += 1,
            other => return Err(other.unwrap_or(' ')),
        }
    }
    Ok(count)
}
