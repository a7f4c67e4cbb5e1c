//! Ways through the parser's syntax tree, which it gives as JSON: `{"Call": {"span": …}}`.

use serde_json::Value;

/// A node: what it is called and what it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) kind: &'a str,
    pub(crate) fields: &'a Value,
}

/// Where a node stands, in bytes of the text and as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

pub(crate) fn span(value: &Value) -> Option<Span> {
    let number = |key: &str| value.get(key)?.as_u64();
    Some(Span {
        start: usize::try_from(number("start")?).ok()?,
        end: usize::try_from(number("end")?).ok()?,
        line: u32::try_from(number("line")?).ok()?,
        column: u32::try_from(number("col")?).ok()?,
    })
}

impl<'a> Node<'a> {
    /// The node that a value is: an object of one key with a capital.
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        let object = value.as_object()?;
        let mut entries = object.iter();
        let (kind, fields) = entries.next()?;
        let is_node = kind.starts_with(|c: char| c.is_ascii_uppercase());
        (is_node && entries.next().is_none()).then_some(Self { kind, fields })
    }

    pub(crate) fn child(self, key: &str) -> Option<Node<'a>> {
        Node::of(self.fields.get(key)?)
    }

    pub(crate) fn children(self, key: &str) -> Vec<Node<'a>> {
        let list = self.fields.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Node::of).collect()
    }

    pub(crate) fn span(self) -> Option<Span> {
        span(self.fields.get("span")?)
    }

    /// What it is, for a scalar or a variable.
    pub(crate) fn value(self) -> Option<&'a Value> {
        self.fields.get("value")
    }

    /// The dotted path of a reference, `input.review.object`, up to where it is not constant.
    pub(crate) fn path(self) -> Option<Vec<&'a str>> {
        match self.kind {
            "Var" => Some(vec![self.value()?.as_str()?]),
            "RefDot" => {
                let mut path = self.child("refr")?.path()?;
                path.push(self.fields.get("field")?.get(1)?.as_str()?);
                Some(path)
            }
            "RefBrack" => {
                let mut path = self.child("refr")?.path()?;
                let index = self.child("index").filter(|index| index.kind == "String");
                path.push(index?.value()?.as_str()?);
                Some(path)
            }
            _ => None,
        }
    }

    /// The variable at the root of a reference.
    pub(crate) fn root(self) -> Option<&'a str> {
        match self.kind {
            "Var" => self.value()?.as_str(),
            "RefDot" | "RefBrack" => self.child("refr")?.root(),
            _ => None,
        }
    }
}

/// Calls `look` with every node under a value, parents first. The parser bounds the depth.
pub(crate) fn walk<'a>(value: &'a Value, look: &mut impl FnMut(Node<'a>)) {
    if let Some(node) = Node::of(value) {
        look(node);
    }
    match value {
        Value::Object(object) => object.values().for_each(|value| walk(value, look)),
        Value::Array(list) => list.iter().for_each(|value| walk(value, look)),
        _ => {}
    }
}
