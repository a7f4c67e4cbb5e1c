//! Programs of the Rego that policies use, and inputs for them, by lot.

use fastrand::Rng;
use serde_json::{Value, json};

/// A program whose rule `data.a.deny` is to be asked.
pub fn program(rng: &mut Rng) -> String {
    let mut write = Writer {
        rng,
        names: Vec::new(),
        next: 0,
        functions: true,
    };
    let mut text =
        "package a\n\nimport future.keywords.in\nimport future.keywords.every\n\n".to_owned();
    for at in 0..2 {
        text += &write.rule("deny[m]", "m", at);
    }
    write.functions = false;
    text += &write.rule("p[m]", "m", 0);
    text += &write
        .rule("q[k] = m", "m", 0)
        .replacen("{ ", "{ k := \"a\"; ", 1);
    text += "default c = \"none\"\n";
    text += &write.rule("c = m", "m", 0);
    for at in 0..2 {
        text += &write.function(at);
    }
    text
}

/// Inputs that have what programs ask for, or something else in its place.
pub fn input(rng: &mut Rng) -> Value {
    let mut object = serde_json::Map::new();
    for key in ["a", "b", "s", "n", "l", "o"] {
        if rng.u8(..5) > 0 {
            object.insert(key.into(), value(rng, 2));
        }
    }
    for (key, usual) in [
        ("s", json!("ab-c:d")),
        ("n", json!(3)),
        ("l", json!(["a", "b", 1, true, {"a": "x"}])),
        ("o", json!({"a": "x", "b": {"a": 1}, "l": ["a"]})),
    ] {
        if rng.bool() {
            object.insert(key.into(), usual);
        }
    }
    Value::Object(object)
}

fn value(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..if depth == 0 { 9 } else { 13 }) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(false),
        3 => json!(rng.i32(-3..12)),
        4 => json!(2.5),
        5 => json!("a"),
        6 => json!("ab-c:d"),
        7 => json!(""),
        8 => json!("12"),
        9 | 10 => (0..rng.usize(..4)).map(|_| value(rng, depth - 1)).collect(),
        _ => {
            let keys = ["a", "b", "l"];
            let fields = keys
                .iter()
                .filter(|_| rng.bool())
                .map(|key| (*key).to_owned())
                .collect::<Vec<_>>();
            Value::Object(
                fields
                    .into_iter()
                    .map(|key| (key, value(rng, depth - 1)))
                    .collect(),
            )
        }
    }
}

struct Writer<'r> {
    rng: &'r mut Rng,
    /// Local variables that have a value.
    names: Vec<String>,
    next: usize,
    /// Whether rules may be called, which must not recurse.
    functions: bool,
}

impl Writer<'_> {
    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.rng.usize(..from.len())]
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("x{}", self.next)
    }

    fn rule(&mut self, head: &str, out: &str, _at: usize) -> String {
        self.names.clear();
        let mut body = self.body(4);
        let last = if self.rng.bool() {
            let arguments: Vec<String> = (0..2).map(|_| self.term(1)).collect();
            format!(
                "{out} := sprintf(\"%v and %v\", [{}])",
                arguments.join(", ")
            )
        } else {
            format!("{out} := {}", self.term(2))
        };
        body.push(last);
        format!("{head} {{ {} }}\n", body.join("; "))
    }

    fn function(&mut self, at: usize) -> String {
        self.names = vec!["y".to_owned()];
        let first = self.body(2).join("; ");
        let result = self.term(1);
        let mut text = format!("f{at}(y) = z {{ {first}; z := {result} }}");
        if self.rng.bool() {
            self.names = vec!["y".to_owned()];
            let result = self.term(1);
            text += &format!(" else = z {{ {}; z := {result} }}", self.body(1).join("; "));
        }
        text + "\n"
    }

    fn body(&mut self, most: usize) -> Vec<String> {
        let count = 1 + self.rng.usize(..most);
        (0..count).map(|_| self.statement()).collect()
    }

    fn statement(&mut self) -> String {
        match self.rng.u8(..18) {
            0 | 1 => {
                let term = self.term(2);
                let name = self.fresh();
                let text = format!("{name} := {term}");
                self.names.push(name);
                text
            }
            2 => {
                let name = self.fresh();
                let text = format!("{name} := {}[_]", self.reference());
                self.names.push(name);
                text
            }
            3 => {
                let (key, name) = (self.fresh(), self.fresh());
                let text = format!("{name} := {}[{key}]", self.reference());
                self.names.extend([key, name]);
                text
            }
            4 => {
                let name = self.fresh();
                let text = format!("some {name} in {}", self.reference());
                self.names.push(name);
                text
            }
            5 => {
                let (key, name) = (self.fresh(), self.fresh());
                let text = format!("some {key}, {name} in {}", self.reference());
                self.names.extend([key, name]);
                text
            }
            6 => {
                let of = self.reference();
                let name = self.fresh();
                let kept = self.names.clone();
                self.names.push(name.clone());
                let test = self.test(1);
                self.names = kept;
                format!("every {name} in {of} {{ {test} }}")
            }
            7..=9 => format!("not {}", self.test(1)),
            10 => format!("count({}) > 0", self.comprehension()),
            11 if self.functions => format!("q.a == {}", self.term(1)),
            12 if self.functions => {
                format!("count(p) > 0 with input as {{\"a\": {}}}", self.scalar())
            }
            _ => self.test(2),
        }
    }

    /// Something that holds or not.
    fn test(&mut self, depth: usize) -> String {
        match self.rng.u8(..14) {
            0 | 1 => self.reference(),
            2 | 3 => {
                let op = self.pick(&["==", "!=", "<", ">=", "=="]);
                format!("{} {op} {}", self.term(depth), self.term(depth))
            }
            4 => {
                let name = self.pick(&["startswith", "endswith", "contains"]);
                format!("{name}({}, {})", self.text(), self.text())
            }
            5 => {
                let pattern = self.pick(&["^a", "[0-9]+", "^(ab|c).*:d$", ""]);
                format!("regex.match(\"{pattern}\", {})", self.text())
            }
            6 => {
                let name = self.pick(&[
                    "is_string",
                    "is_number",
                    "is_array",
                    "is_object",
                    "is_boolean",
                    "is_null",
                ]);
                format!("{name}({})", self.reference())
            }
            7 => format!("{} in {}", self.term(1), self.reference()),
            8 if self.functions => {
                let name = self.pick(&["f0", "f1"]);
                format!("{name}({})", self.reference())
            }
            9 if self.functions => format!("p[{}]", self.term(1)),
            10 => format!("count({}) > {}", self.reference(), self.rng.u8(..3)),
            11 => format!("any([{}, {}])", self.reference(), self.reference()),
            12 => format!("all([{}, {}])", self.reference(), self.reference()),
            _ => format!("{} == {}", self.reference(), self.scalar()),
        }
    }

    fn scalar(&mut self) -> String {
        self.pick(&[
            "1",
            "\"a\"",
            "true",
            "false",
            "null",
            "\"ab-c:d\"",
            "3",
            "\"\"",
            "\"x\"",
        ])
        .to_owned()
    }

    fn reference(&mut self) -> String {
        if !self.names.is_empty() && self.rng.u8(..3) == 0 {
            let name = self.names[self.rng.usize(..self.names.len())].clone();
            return name + self.pick(&["", "", ".a", "[\"b\"]"]);
        }
        let name = self.pick(&[
            "input.a", "input.b", "input.s", "input.n", "input.l", "input.o",
        ]);
        name.to_owned() + self.pick(&["", "", "", ".a", ".b", "[\"l\"]", "[0]", ".b.a"])
    }

    fn text(&mut self) -> String {
        match self.rng.u8(..6) {
            0 => format!("lower({})", self.reference()),
            1 => format!("trim_prefix({}, \"a\")", self.reference()),
            2 => self.pick(&["\"a\"", "\"ab-c:d\"", "\":\""]).to_owned(),
            _ => self.reference(),
        }
    }

    fn comprehension(&mut self) -> String {
        let kept = self.names.clone();
        let name = self.fresh();
        let of = self.reference();
        self.names.push(name.clone());
        let test = self.test(1);
        let text = match self.rng.u8(..3) {
            0 => format!("[{name} | {name} := {of}[_]; {test}]"),
            1 => format!("{{{name} | {name} := {of}[_]; {test}}}"),
            _ => format!("{{k: {name} | {name} := {of}[k]; {test}}}"),
        };
        self.names = kept;
        text
    }

    fn term(&mut self, depth: usize) -> String {
        if depth == 0 {
            return if self.rng.bool() {
                self.scalar()
            } else {
                self.reference()
            };
        }
        match self.rng.u8(..22) {
            0 => self.scalar(),
            1 => format!("[{}, {}]", self.term(depth - 1), self.term(depth - 1)),
            2 => format!(
                "{{\"a\": {}, \"b\": {}}}",
                self.term(depth - 1),
                self.term(depth - 1)
            ),
            3 => format!("{{{}, {}}}", self.term(depth - 1), self.term(depth - 1)),
            4 => self.comprehension(),
            5 => format!("count({})", self.reference()),
            6 => format!(
                "object.get({}, \"{}\", {})",
                self.reference(),
                self.pick(&["a", "b"]),
                self.scalar()
            ),
            7 => {
                let name = self.pick(&[
                    "lower",
                    "upper",
                    "trim_space",
                    "to_number",
                    "json.marshal",
                    "type_name",
                    "abs",
                    "round",
                    "sort",
                    "sum",
                    "max",
                    "min",
                    "object.keys",
                    "strings.reverse",
                    "array.reverse",
                    "ceil",
                ]);
                format!("{name}({})", self.reference())
            }
            8 => format!(
                "split({}, \"{}\")",
                self.reference(),
                self.pick(&["-", ":", ""])
            ),
            9 => format!("replace({}, \"a\", \"z\")", self.reference()),
            10 => format!("concat(\",\", {})", self.reference()),
            11 => format!("array.concat({}, {})", self.reference(), self.reference()),
            12 => format!(
                "substring({}, {}, {})",
                self.reference(),
                self.rng.u8(..3),
                self.rng.i32(-1..4)
            ),
            13 => format!(
                "{} {} {}",
                self.reference(),
                self.pick(&["+", "-", "*", "/", "%"]),
                self.pick(&["1", "2", "input.n"])
            ),
            14 => {
                let (a, b) = (self.comprehension(), self.comprehension());
                let op = self.pick(&["-", "|", "&"]);
                format!("({}) {op} ({})", as_set(a), as_set(b))
            }
            15 if self.functions => {
                let name = self.pick(&["f0", "f1"]);
                format!("{name}({})", self.reference())
            }
            16 if self.functions => self.pick(&["c", "p", "q"]).to_owned(),
            17 => format!(
                "indexof({}, \"{}\")",
                self.reference(),
                self.pick(&["b", ":"])
            ),
            18 => format!(
                "trim({}, \"{}\")",
                self.reference(),
                self.pick(&["a", "ad"])
            ),
            19 => format!("object.union({}, {{\"b\": 1}})", self.reference()),
            20 => format!(
                "array.slice({}, {}, {})",
                self.reference(),
                self.rng.u8(..2),
                self.rng.u8(..4)
            ),
            _ => self.reference(),
        }
    }
}

/// Whatever it is, as a set.
fn as_set(comprehension: String) -> String {
    format!("{{e | e := {comprehension}[_]}}")
}
