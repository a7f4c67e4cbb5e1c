//! Heads of rules.

use serde_json::Value;

use super::{Look, rules};
use crate::refusal::Refusal;
use crate::syntax::Module;
use crate::tree::Node;

impl Look<'_, '_> {
    pub(super) fn heads(&mut self) {
        for rule in rules(self.module) {
            let bodies = rule.fields.get("bodies").and_then(Value::as_array);
            let chained = bodies
                .into_iter()
                .flatten()
                .skip(1)
                .any(|body| body.get("is_else").and_then(Value::as_bool) == Some(false));
            if chained {
                let message = "a rule with several bodies and one head; write the head before each";
                self.refuse("syntax", rule.span(), message);
            }
        }
    }
}

/// Refuses a policy whose rule `entry` is no set, or does not exist. `messages` wants each of its
/// elements to be an object with `msg`, as Gatekeeper does.
pub(crate) fn entry(module: &Module, entry: &str, messages: bool) -> Result<(), Refusal> {
    let refuse = |node: Option<Node<'_>>, message: String| Refusal {
        rule: "not-a-set",
        place: super::place(
            module,
            node.and_then(Node::span).map_or(0, |span| span.start),
        ),
        message,
    };
    let mut some = false;
    for rule in rules(module) {
        let head = rule.child("head");
        let name = match head {
            Some(head) => head.child("refr"),
            None => rule.child("refr"),
        };
        if name.and_then(Node::root) != Some(entry) {
            continue;
        }
        some = true;
        let is_name = name.is_some_and(|name| name.kind == "Var");
        let key = head
            .filter(|head| head.kind == "Set" && is_name)
            .and_then(|head| head.child("key"));
        let Some(key) = key else {
            let message =
                format!("`{entry}` is to be a set of messages: `{entry}[message] {{ … }}`");
            return Err(refuse(Some(rule), message));
        };
        if !messages {
            continue;
        }
        let lacks = match key.kind {
            "Object" => !has_msg(key),
            "Var" | "RefDot" | "RefBrack" | "Call" => false,
            _ => true,
        };
        if lacks {
            let message = format!(
                "an element of `{entry}` is an object with the field `msg`; without it Gatekeeper says nothing and lets the object in"
            );
            return Err(refuse(Some(key), message));
        }
    }
    if some {
        return Ok(());
    }
    let message = format!("defines no rule `{entry}`, which is what is asked");
    Err(refuse(None, message))
}

fn has_msg(object: Node<'_>) -> bool {
    let fields = object.fields.get("fields").and_then(Value::as_array);
    fields.into_iter().flatten().any(|field| {
        let key = field.get(1).and_then(Node::of);
        key.and_then(Node::value).and_then(Value::as_str) == Some("msg")
    })
}

/// Whether a module has a rule of this name.
pub(crate) fn has(module: &Module, name: &str) -> bool {
    rules(module).into_iter().any(|rule| {
        let head = rule.child("head").unwrap_or(rule);
        head.child("refr").and_then(Node::root) == Some(name)
    })
}
