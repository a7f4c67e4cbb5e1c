//! Dockerfiles: which user the image of each stage runs as.
//!
//! A Dockerfile becomes a document like any other, so that findings in it have places:
//! `{stages: [{from, name?, base?, user?}]}`. `from` is the image, or the stage, of which `base` is
//! the index; `user` is what `USER` says once its variables are replaced, or `{variable}` where one
//! has no value before somebody builds the image.

mod instruction;
mod variables;

use std::ops::Range;

use crate::node::{Data, Entry, Node, Style};
use crate::problem::{Problem, ProblemKind};
use crate::{Comment, Parsed};
use instruction::{Instruction, instructions};
use variables::{Expanded, Variables, words};

/// Every instruction of Docker's reference, and `MAINTAINER`, which is deprecated.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Whether a file of this name is a Dockerfile.
#[must_use]
pub fn is_dockerfile(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let (stem, extension) = name.split_once('.').unwrap_or((&name, ""));
    let built = ["dockerfile", "containerfile"];
    let beside = [
        "dockerignore",
        "md",
        "txt",
        "rst",
        "go",
        "py",
        "js",
        "ts",
        "rs",
        "java",
        "json",
        "yaml",
        "yml",
    ];
    let last = name.rsplit('.').next().unwrap_or_default();
    built.contains(&last) && !extension.is_empty()
        || built.contains(&stem) && !beside.contains(&last)
}

/// Reads a Dockerfile.
#[must_use]
pub fn parse_dockerfile(text: &str) -> Parsed {
    let (instructions, comments) = instructions(text);
    let mut reader = Reader::default();
    for instruction in &instructions {
        reader.take(instruction);
    }
    if reader.stages.is_empty() && reader.problems.is_empty() {
        reader.problem(0..0, "a Dockerfile needs a `FROM`");
    }
    let broken = !reader.problems.is_empty();
    let stages = reader.stages.into_iter().map(Stage::into_node).collect();
    let stages = Node {
        span: 0..text.len(),
        data: Data::List(stages, Style::Shared),
    };
    let entry = Entry {
        key: "stages".into(),
        key_span: 0..0,
        value: stages,
        merged: false,
    };
    let root = Node {
        span: 0..text.len(),
        data: Data::Map(vec![entry], Style::Shared),
    };
    Parsed {
        documents: if broken { Vec::new() } else { vec![root] },
        problems: reader.problems,
        comments: comments
            .into_iter()
            .map(|span| Comment {
                text: text
                    .get(span.start + 1..span.end)
                    .unwrap_or_default()
                    .to_owned(),
                span,
            })
            .collect(),
    }
}

#[derive(Default)]
struct Reader {
    /// `ARG` before the first `FROM`.
    global: Variables,
    stages: Vec<Stage>,
    problems: Vec<Problem>,
}

struct Stage {
    span: Range<usize>,
    from: Node,
    from_key: Range<usize>,
    name: Option<String>,
    base: Option<usize>,
    user: Option<Entry>,
    variables: Variables,
}

impl Reader {
    fn problem(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem {
            kind: ProblemKind::Syntax,
            span,
            message: message.into(),
            related: None,
        });
    }

    fn take(&mut self, instruction: &Instruction) {
        let keyword = instruction.keyword.as_str();
        if !INSTRUCTIONS.contains(&keyword) {
            return self.problem(
                instruction.keyword_span.clone(),
                format!("there is no instruction `{keyword}`"),
            );
        }
        match (keyword, self.stages.last_mut()) {
            ("FROM", _) => self.from(instruction),
            ("ARG", None) => self.global.arg(&instruction.arguments, None),
            ("ARG", Some(stage)) => stage
                .variables
                .arg(&instruction.arguments, Some(&self.global)),
            ("ENV", Some(stage)) => stage.variables.env(&instruction.arguments),
            ("USER", Some(stage)) => stage.user(instruction),
            (_, Some(_)) => {}
            (_, None) => {
                let message = format!("`{keyword}` stands before the first `FROM`");
                self.problem(instruction.keyword_span.clone(), message);
            }
        }
    }

    fn from(&mut self, instruction: &Instruction) {
        let words = words(&instruction.arguments);
        let mut words = words.iter().filter(|word| !word.starts_with("--"));
        let Some(image) = words.next() else {
            return self.problem(instruction.keyword_span.clone(), "`FROM` needs an image");
        };
        let image = match self.global.expand(image) {
            Expanded::Known(image) => image,
            Expanded::Unknown(_) => image.clone(),
        };
        let named = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("as"));
        let name = words
            .next()
            .filter(|_| named)
            .map(|name| name.to_ascii_lowercase());
        // A stage is found by its name, which folds case; of two with one name the later counts.
        let wanted = image.to_ascii_lowercase();
        let base = self
            .stages
            .iter()
            .rposition(|stage| stage.name.as_ref() == Some(&wanted));
        let variables = base
            .and_then(|base| self.stages.get(base))
            .map(|stage| stage.variables.clone())
            .unwrap_or_default();
        self.stages.push(Stage {
            span: instruction.span.clone(),
            from: Node {
                span: instruction.arguments_span.clone(),
                data: Data::String(image),
            },
            from_key: instruction.keyword_span.clone(),
            name,
            base,
            user: None,
            variables,
        });
    }
}

impl Stage {
    /// The last `USER` counts.
    fn user(&mut self, instruction: &Instruction) {
        let span = instruction.arguments_span.clone();
        let words = words(&instruction.arguments);
        let written = words.first().map_or("", String::as_str);
        let data = match self.variables.expand(written) {
            Expanded::Known(user) => Data::String(user),
            Expanded::Unknown(name) => {
                let value = Node {
                    span: span.clone(),
                    data: Data::String(name),
                };
                let entry = Entry {
                    key: "variable".into(),
                    key_span: span.clone(),
                    value,
                    merged: false,
                };
                Data::Map(vec![entry], Style::Shared)
            }
        };
        self.user = Some(Entry {
            key: "user".into(),
            key_span: instruction.span.clone(),
            value: Node { span, data },
            merged: false,
        });
    }

    fn into_node(self) -> Node {
        let whole = self.from_key.start..self.from.span.end;
        let entry = |key: &str, data: Data| Entry {
            key: key.to_owned(),
            key_span: whole.clone(),
            value: Node {
                span: whole.clone(),
                data,
            },
            merged: false,
        };
        let mut entries = vec![Entry {
            key: "from".into(),
            key_span: self.from_key.clone(),
            value: self.from.clone(),
            merged: false,
        }];
        entries.extend(
            self.name
                .clone()
                .map(|name| entry("name", Data::String(name))),
        );
        entries.extend(
            self.base
                .map(|base| entry("base", Data::Number(base.into()))),
        );
        entries.extend(self.user);
        Node {
            span: self.span,
            data: Data::Map(entries, Style::Shared),
        }
    }
}
