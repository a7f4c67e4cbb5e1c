//! What the engine evaluates differently from OPA, and a change of the text takes out of its way.
//!
//! - Under `not`, OPA evaluates operands first, and the rule does not hold where one of them is
//!   undefined. The engine takes the whole for undefined, and `not` of that for true. Operands are
//!   moved in front of the `not`.
//! - `sprintf` of a value that does not suit its verb prints a word about it in OPA, and makes the
//!   engine give up, and the rule with it. Verbs become `%v`, which suits all.
//! - `any`, `all` and `re_match`, which OPA keeps for old policies, become what they mean.
//!
//! No change moves anything to another line, so that places in messages stay what they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::lint::{has, imports, outside_of_closures, rules};
use crate::refusal::Refusal;
use crate::syntax::{Dialect, Module, Text, parse};
use crate::tree::{Node, span, walk};

/// How often changes may lay open further ones: `not` within comprehensions within `not`.
const ROUNDS: usize = 8;

/// What stands for `any` and `all`, in words that both dialects take.
const HELPERS: &str = "
bulkhead_any(xs) = b { bulkhead_list(xs); b := count([x | x := xs[_]; x == true]) > 0 }
bulkhead_all(xs) = b { bulkhead_list(xs); b := count([x | x := xs[_]; x == true]) == count(xs) }
bulkhead_list(xs) { is_array(xs) }
bulkhead_list(xs) { is_set(xs) }
";

struct Edit {
    start: usize,
    end: usize,
    text: String,
}

/// The module as the engine is to see it.
pub(crate) fn mend(module: &Module) -> Result<Module, Refusal> {
    let mut module = module.clone();
    let mut made = 0;
    let mut helpers = false;
    for _ in 0..ROUNDS {
        let mut edits = Vec::new();
        let rules = own_names(&module);
        let modifiers = modifiers(&module);
        walk(&module.tree, &mut |node| match node.kind {
            "Call" => call(&module, node, &mut edits, &mut helpers),
            "SomeIn" => some_in(&module, node, &modifiers, &mut made, &mut edits),
            "NotExpr" => negation(&module, node, (&rules, &modifiers), &mut made, &mut edits),
            _ => {}
        });
        if edits.is_empty() {
            break;
        }
        let rego = apply(&module.rego, edits);
        module = again(&module, rego)?;
    }
    if helpers {
        let rego = format!("{}{HELPERS}", module.rego);
        module = again(&module, rego)?;
    }
    Ok(module)
}

fn again(module: &Module, rego: String) -> Result<Module, Refusal> {
    parse(&Text {
        source: &module.source,
        rego: &rego,
        dialect: module.dialect,
    })
}

/// Makes the edits that do not lie within others; the rest is seen again in the next round.
fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.start, std::cmp::Reverse(edit.end)));
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for edit in edits {
        if edit.start < at {
            continue;
        }
        out.push_str(text.get(at..edit.start).unwrap_or_default());
        out.push_str(&edit.text);
        at = edit.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// The `with …` after expressions, by where the expression begins: what is moved before it is
/// evaluated with the same.
fn modifiers(module: &Module) -> BTreeMap<usize, String> {
    let mut found = BTreeMap::new();
    statements(&module.tree, &mut |statement| {
        let some = statement.get("with_mods").and_then(Value::as_array);
        let whole = statement.get("span").and_then(span);
        let literal = statement
            .get("literal")
            .and_then(Node::of)
            .and_then(Node::span);
        if let (Some(some), Some(whole), Some(literal)) = (some, whole, literal)
            && !some.is_empty()
        {
            let text = module.rego.get(literal.end..whole.end).unwrap_or_default();
            found.insert(literal.start, text.to_owned());
        }
    });
    found
}

fn statements(value: &Value, look: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(object) => {
            if object.contains_key("literal") {
                look(value);
            }
            object.values().for_each(|value| statements(value, look));
        }
        Value::Array(list) => list.iter().for_each(|value| statements(value, look)),
        _ => {}
    }
}

/// Names that stand for rules and imports, and so may be undefined.
fn own_names(module: &Module) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = imports(module).into_iter().map(|(name, ..)| name).collect();
    for rule in rules(module) {
        let head = rule.child("head").unwrap_or(rule);
        if let Some(root) = head.child("refr").and_then(Node::root) {
            names.insert(root.to_owned());
        }
    }
    names
}

fn call(module: &Module, node: Node<'_>, edits: &mut Vec<Edit>, helpers: &mut bool) {
    let Some(function) = node.child("fcn") else {
        return;
    };
    let Some(span) = function.span() else {
        return;
    };
    let name = function.root().filter(|_| function.kind == "Var");
    let mut rename = |to: &str| {
        edits.push(Edit {
            start: span.start,
            end: span.end,
            text: to.to_owned(),
        });
    };
    match name {
        Some("any") if module.dialect == Dialect::V0 && !has(module, "any") => {
            *helpers = true;
            rename("bulkhead_any");
        }
        Some("all") if module.dialect == Dialect::V0 && !has(module, "all") => {
            *helpers = true;
            rename("bulkhead_all");
        }
        Some("re_match") if module.dialect == Dialect::V0 => rename("regex.match"),
        Some("sprintf") => {
            let format = node.children("params").into_iter().next();
            let literal = format.filter(|node| matches!(node.kind, "String" | "RawString"));
            if let Some(span) = literal.and_then(Node::span) {
                let old = module.rego.get(span.start..span.end).unwrap_or_default();
                let raw = literal.is_some_and(|node| node.kind == "RawString");
                let new = verbs(old, raw);
                if new != old {
                    edits.push(Edit {
                        start: span.start,
                        end: span.end,
                        text: new,
                    });
                }
            }
        }
        _ => {}
    }
}

fn verbs(format: &str, raw: bool) -> String {
    let quoted = if raw { "\"%v\"" } else { "\\\"%v\\\"" };
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('d' | 't') => out.push_str("%v"),
            Some('q') => out.push_str(quoted),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

fn negation(
    module: &Module,
    node: Node<'_>,
    (rules, modifiers): (&BTreeSet<String>, &BTreeMap<usize, String>),
    made: &mut usize,
    edits: &mut Vec<Edit>,
) {
    let (Some(whole), Some(inner)) = (node.span(), node.child("expr")) else {
        return;
    };
    let mut operands = Vec::new();
    match inner.kind {
        "Call" => operands.extend(inner.children("params")),
        "AssignExpr" => equality(inner, &mut operands),
        "BoolExpr" if inner.fields.get("op").and_then(Value::as_str) == Some("Eq") => {
            equality(inner, &mut operands);
        }
        "BoolExpr" => operands.extend(
            ["lhs", "rhs"]
                .into_iter()
                .filter_map(|key| inner.child(key)),
        ),
        "Membership" => {
            let keys = ["key", "value", "collection"];
            operands.extend(keys.into_iter().filter_map(|key| inner.child(key)));
        }
        "RefDot" | "RefBrack" => indexes(inner, &mut operands),
        "Var" => {}
        _ => operands.push(inner),
    }
    let wanted: Vec<_> = operands
        .into_iter()
        .filter(|operand| may_be_undefined(*operand, rules))
        .filter_map(Node::span)
        .collect();
    if wanted.is_empty() {
        return;
    }
    let text = |start, end| module.rego.get(start..end).unwrap_or_default();
    let (mut before, mut at, mut after) = (String::new(), whole.start, String::new());
    for span in wanted {
        *made += 1;
        let name = format!("bulkhead_{made}");
        let with = modifiers.get(&whole.start).map_or("", String::as_str);
        before.push_str(&format!("{name} := {}{with}; ", text(span.start, span.end)));
        after.push_str(text(at, span.start));
        after.push_str(&name);
        at = span.end;
    }
    after.push_str(text(at, whole.end));
    // A body of one expression needs no braces, one of two does.
    if is_bare(module, whole.start) {
        before.insert_str(0, "{ ");
        after.push_str(" }");
    }
    edits.push(Edit {
        start: whole.start,
        end: whole.end,
        text: before + &after,
    });
}

/// `some x in xs` fails in the engine where `xs` is no collection, and just does not hold in OPA.
fn some_in(
    module: &Module,
    node: Node<'_>,
    modifiers: &BTreeMap<usize, String>,
    made: &mut usize,
    edits: &mut Vec<Edit>,
) {
    let (Some(whole), Some(value), Some(of)) =
        (node.span(), node.child("value"), node.child("collection"))
    else {
        return;
    };
    // Where the input is replaced, there is more to keep apart than an index can.
    if node
        .span()
        .is_some_and(|span| modifiers.contains_key(&span.start))
    {
        return;
    }
    let plain = |node: Node<'_>| node.kind == "Var" && node.root() != Some("_");
    // With a key, the engine would meet the key's name twice.
    if !plain(value) || node.child("key").is_some() {
        return;
    }
    let (Some(value), Some(span)) = (value.root(), of.span()) else {
        return;
    };
    *made += 1;
    let (at, tail) = (
        whole.start,
        module.rego.get(span.start..span.end).unwrap_or_default(),
    );
    let of = format!("bulkhead_{made}");
    let text = format!("{of} := {tail}; {value} := {of}[_]");
    let bare = is_bare(module, at);
    edits.push(Edit {
        start: at,
        end: whole.end.max(span.end),
        text: if bare { format!("{{ {text} }}") } else { text },
    });
}

/// Whether a body is one expression without braces.
fn is_bare(module: &Module, start: usize) -> bool {
    let before = module.rego.get(..start).unwrap_or_default();
    before.trim_end().ends_with(" if")
}

/// `==` and `=` ask whether a reference is there, and so only what is within it comes first.
fn equality<'a>(node: Node<'a>, operands: &mut Vec<Node<'a>>) {
    for side in ["lhs", "rhs"].into_iter().filter_map(|key| node.child(key)) {
        match side.kind {
            "RefDot" | "RefBrack" => indexes(side, operands),
            "Var" => {}
            _ => operands.push(side),
        }
    }
}

fn indexes<'a>(node: Node<'a>, operands: &mut Vec<Node<'a>>) {
    if let Some(of) = node.child("refr") {
        indexes(of, operands);
    }
    if let Some(index) = node.child("index") {
        operands.push(index);
    }
}

/// Whether an operand has anything in it that may be undefined. Closures never are.
fn may_be_undefined(node: Node<'_>, rules: &BTreeSet<String>) -> bool {
    let mut found = false;
    let value = serde_json::json!({ node.kind: node.fields });
    outside_of_closures(&value, &mut |inner| match inner.kind {
        "RefDot" | "RefBrack" | "Call" | "ArithExpr" | "BinExpr" => found = true,
        "Var" => found |= inner.root().is_some_and(|name| rules.contains(name)),
        _ => {}
    });
    found
}
