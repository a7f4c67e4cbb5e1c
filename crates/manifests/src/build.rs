//! From a parser's events to the tree of one document.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::node::{Data, Entry, Node, Style};
use crate::problem::{Problem, ProblemKind};
use crate::scalar::{self, Scalar};

/// How many values anchors and aliases may copy in a document.
const COPIED: usize = 100_000;
/// How deep a document may be once its aliases stand for what they mean.
const DEPTH: usize = 255;

/// Builds one document.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Anchored>,
    copied: usize,
    too_large: bool,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Anchored {
    node: Node,
    size: usize,
    height: usize,
}

/// A collection whose end has not come yet.
#[derive(Debug)]
struct Open {
    start: usize,
    anchor: usize,
    style: Style,
    what: Collection,
}

#[derive(Debug)]
enum Collection {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Where each key stands in `entries`.
        index: BTreeMap<String, usize>,
        key: Option<Key>,
    },
}

#[derive(Debug)]
enum Key {
    Plain(String, Range<usize>),
    Merge(Range<usize>),
    /// A key that no object has; the problem is noted.
    Refused,
}

impl Builder {
    pub(crate) fn problem(
        &mut self,
        kind: ProblemKind,
        span: Range<usize>,
        message: impl Into<String>,
    ) {
        self.problems.push(Problem {
            kind,
            span,
            message: message.into(),
            related: None,
        });
    }

    /// The document, unless it is empty or broken, and its problems.
    pub(crate) fn finish(self) -> (Option<Node>, Vec<Problem>) {
        let broken = self.problems.iter().any(|problem| problem.kind.is_error());
        let root = self.root.filter(|root| !broken && root.data != Data::Null);
        (root, self.problems)
    }

    pub(crate) fn start_list(&mut self, start: usize, anchor: usize, style: Style) {
        self.start(start, anchor, style, Collection::List(Vec::new()));
    }

    pub(crate) fn start_map(&mut self, start: usize, anchor: usize, style: Style) {
        let what = Collection::Map {
            entries: Vec::new(),
            index: BTreeMap::new(),
            key: None,
        };
        self.start(start, anchor, style, what);
    }

    fn start(&mut self, start: usize, anchor: usize, style: Style, what: Collection) {
        self.open.push(Open {
            start,
            anchor,
            style,
            what,
        });
    }

    /// Ends the innermost collection. A block collection ends where its last element does.
    pub(crate) fn end(&mut self, end: usize) {
        let Some(Open {
            start,
            anchor,
            style,
            what,
        }) = self.open.pop()
        else {
            return;
        };
        let (data, last) = match what {
            Collection::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Data::List(items, style), last)
            }
            Collection::Map { entries, .. } => {
                let last = entries
                    .iter()
                    .filter(|entry| !entry.merged)
                    .map(|entry| entry.value.span.end.max(entry.key_span.end))
                    .max();
                (Data::Map(entries, style), last)
            }
        };
        let end = match style {
            Style::Flow => end,
            Style::Block | Style::Shared => last.unwrap_or(end),
        };
        let span = start..end.max(start);
        self.node(Node { span, data }, anchor);
    }

    /// Takes a scalar. `plain` says that it has no quotes.
    pub(crate) fn scalar(
        &mut self,
        text: &str,
        plain: bool,
        tag: Option<scalar::Tag<'_>>,
        span: Range<usize>,
        anchor: usize,
    ) {
        if plain
            && text == "<<"
            && self.wants_key()
            && matches!(tag, None | Some(scalar::Tag::Core("merge")))
        {
            self.key(Key::Merge(span));
            return;
        }
        let is_key = self.wants_key();
        let data = match scalar::resolve(text, plain, tag) {
            Ok(Scalar { data, elsewhere }) => {
                if let Some(elsewhere) = elsewhere {
                    let read = match &data {
                        Data::Bool(value) => format!("the boolean `{value}`"),
                        Data::Number(value) => format!("the number {value}"),
                        _ => "a string".to_owned(),
                    };
                    let what = if is_key { "key" } else { "value" };
                    self.problem(
                        ProblemKind::AmbiguousScalar,
                        span.clone(),
                        format!("the {what} `{text}` is {read} to Kubernetes, and {elsewhere} to readers of YAML 1.2"),
                    );
                }
                data
            }
            Err(message) => {
                self.problem(ProblemKind::Syntax, span.clone(), message);
                Data::Null
            }
        };
        self.node(Node { span, data }, anchor);
    }

    /// Takes an alias: a copy of what it stands for, as far as there is room for it.
    pub(crate) fn alias(&mut self, id: usize, span: Range<usize>) {
        let Some(Anchored { size, height, .. }) = self.anchors.get(&id) else {
            self.problem(
                ProblemKind::Syntax,
                span.clone(),
                "an alias inside of what it stands for",
            );
            self.node(
                Node {
                    span,
                    data: Data::Null,
                },
                0,
            );
            return;
        };
        let (size, height) = (*size, *height);
        let data = if self.may_copy(size, height, &span) {
            self.anchors
                .get(&id)
                .map_or(Data::Null, |anchored| shared(&anchored.node).data)
        } else {
            Data::Null
        };
        let node = Node { span, data };
        self.node(node, 0);
    }

    /// Whether there is room for a copy. Once there was none there is none any more, so that a
    /// bomb costs no more than its text.
    fn may_copy(&mut self, size: usize, height: usize, span: &Range<usize>) -> bool {
        self.copied += size;
        let fits = self.copied <= COPIED && self.open.len() + height <= DEPTH;
        if !fits && !self.too_large {
            self.too_large = true;
            self.problem(
                ProblemKind::TooLarge,
                span.clone(),
                format!("aliases make the document larger than {COPIED} values or deeper than {DEPTH} levels"),
            );
        }
        !self.too_large
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                what: Collection::Map { key: None, .. },
                ..
            })
        )
    }

    fn key(&mut self, new: Key) {
        if let Some(Open {
            what: Collection::Map { key, .. },
            ..
        }) = self.open.last_mut()
        {
            *key = Some(new);
        }
    }

    /// Puts a value where the next one belongs.
    fn node(&mut self, node: Node, anchor: usize) {
        if anchor != 0 && !self.too_large {
            let (size, height) = measure(&node);
            let fits = self.may_copy(size, height, &node.span);
            let node = if fits {
                node.clone()
            } else {
                Node {
                    span: node.span.clone(),
                    data: Data::Null,
                }
            };
            self.anchors.insert(anchor, Anchored { node, size, height });
        }
        if self.wants_key() {
            let key = match scalar::key(&node.data) {
                Some(key) => Key::Plain(key, node.span),
                None => {
                    let message = "a key must be a string, a number or a boolean";
                    self.problem(ProblemKind::Syntax, node.span, message);
                    Key::Refused
                }
            };
            return self.key(key);
        }
        match self.open.last_mut().map(|open| &mut open.what) {
            None => self.root = Some(node),
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map {
                entries,
                index,
                key,
            }) => match key.take() {
                None | Some(Key::Refused) => {}
                Some(Key::Merge(span)) => {
                    let problems = merge(entries, index, node, &span);
                    self.problems.extend(problems);
                }
                Some(Key::Plain(key, key_span)) => {
                    let first = index.get(&key).and_then(|at| entries.get_mut(*at));
                    let Some(first) = first else {
                        index.insert(key.clone(), entries.len());
                        entries.push(Entry {
                            key,
                            key_span,
                            value: node,
                            merged: false,
                        });
                        return;
                    };
                    // A key beside a merge key is what merge keys are for.
                    if !first.merged {
                        self.problems
                            .push(twice(&key, key_span.clone(), first.key_span.clone()));
                    }
                    *first = Entry {
                        key,
                        key_span,
                        value: node,
                        merged: false,
                    };
                }
            },
        }
    }
}

fn twice(key: &str, second: Range<usize>, first: Range<usize>) -> Problem {
    Problem {
        kind: ProblemKind::DuplicateKey,
        span: second,
        message: format!("the key `{key}` stands here twice"),
        related: Some((first, "here first".to_owned())),
    }
}

/// `<<`: the keys of one map or of several. Of several, the first that has a key gives its value.
fn merge(
    entries: &mut Vec<Entry>,
    index: &mut BTreeMap<String, usize>,
    from: Node,
    span: &Range<usize>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let sources = match from.data {
        Data::List(items, _) => items,
        data => vec![Node {
            span: from.span,
            data,
        }],
    };
    let mut new: Vec<Entry> = Vec::new();
    for source in sources {
        let Data::Map(found, _) = source.data else {
            problems.push(Problem {
                kind: ProblemKind::Syntax,
                span: source.span,
                message: "a merge key takes a map, or a list of maps".to_owned(),
                related: None,
            });
            continue;
        };
        for entry in found {
            if !new.iter().any(|known| known.key == entry.key) {
                new.push(Entry {
                    merged: true,
                    ..entry
                });
            }
        }
    }
    for entry in new {
        match index.get(&entry.key).and_then(|at| entries.get_mut(*at)) {
            Some(own) if own.merged => *own = entry,
            // The specification lets the map's own key win wherever it stands; Kubernetes' reader
            // lets whatever comes later win.
            Some(own) if own.value.to_value() != entry.value.to_value() => {
                problems.push(twice(&entry.key, span.clone(), own.key_span.clone()));
            }
            Some(_) => {}
            None => {
                index.insert(entry.key.clone(), entries.len());
                entries.push(entry);
            }
        }
    }
    problems
}

/// A copy that says of every collection in it that it is no place to write to.
fn shared(node: &Node) -> Node {
    let data = match &node.data {
        Data::List(items, _) => Data::List(items.iter().map(shared).collect(), Style::Shared),
        Data::Map(entries, _) => {
            let entries = entries.iter().map(|entry| Entry {
                key: entry.key.clone(),
                key_span: entry.key_span.clone(),
                value: shared(&entry.value),
                merged: entry.merged,
            });
            Data::Map(entries.collect(), Style::Shared)
        }
        other => other.clone(),
    };
    Node {
        span: node.span.clone(),
        data,
    }
}

/// How many values there are in a value, and how deep it is.
fn measure(node: &Node) -> (usize, usize) {
    let below = |nodes: &mut dyn Iterator<Item = &Node>| {
        nodes
            .map(measure)
            .fold((1, 0), |(size, height), (s, h)| (size + s, height.max(h)))
    };
    let (size, height) = match &node.data {
        Data::List(items, _) => below(&mut items.iter()),
        Data::Map(entries, _) => below(&mut entries.iter().map(|entry| &entry.value)),
        _ => (1, 0),
    };
    (size, height + 1)
}
