//! Manifests in YAML as JSON values, with the line of every place.

use std::collections::BTreeMap;

use bulkhead_model::FieldPath;
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Value};

pub struct Manifest {
    pub value: Value,
    lines: BTreeMap<String, usize>,
}

impl Manifest {
    /// A text of one document.
    pub fn parse(text: &str) -> Self {
        let mut all = Self::parse_all(text);
        assert_eq!(all.len(), 1, "one document: {text}");
        all.remove(0)
    }

    /// Every document of a text that is not empty.
    pub fn parse_all(text: &str) -> Vec<Self> {
        let documents = MarkedYaml::load_from_str(text).expect("YAML");
        let manifests = documents.iter().map(|document| {
            let mut lines = BTreeMap::from([(String::new(), 1)]);
            let value = convert(document, "", &mut lines);
            Self { value, lines }
        });
        manifests
            .filter(|manifest| !manifest.value.is_null())
            .collect()
    }

    /// The line of a place, or of the nearest thing around it that is there.
    pub fn line(&self, path: &FieldPath) -> usize {
        let pointer = path.pointer();
        let mut pointer = pointer.as_str();
        loop {
            if let Some(line) = self.lines.get(pointer) {
                return *line;
            }
            pointer = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
}

fn convert(node: &MarkedYaml<'_>, at: &str, lines: &mut BTreeMap<String, usize>) -> Value {
    match &node.data {
        YamlData::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => (*value).into(),
            Scalar::Integer(value) => (*value).into(),
            Scalar::FloatingPoint(value) => value.into_inner().into(),
            Scalar::String(value) => value.to_string().into(),
        },
        YamlData::Sequence(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let at = format!("{at}/{index}");
                lines.insert(at.clone(), item.span.start.line());
                convert(item, &at, lines)
            })
            .collect(),
        YamlData::Mapping(entries) => {
            let entry = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                let name = key.data.as_str().expect("keys are strings").to_owned();
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                lines.insert(at.clone(), key.span.start.line());
                (name, convert(value, &at, lines))
            };
            Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
        }
        other => panic!("no plain YAML at `{at}`: {other:?}"),
    }
}

#[test]
fn every_place_has_its_line() {
    let manifest = Manifest::parse("a:\n  - b: 1\n    c/d: {e: true}\n  - x\n");
    for (path, line) in [
        (FieldPath::of("a"), 1),
        (FieldPath::of("a").index(0), 2),
        (FieldPath::of("a").index(0).key("c/d").then("e"), 3),
        (
            FieldPath::of("a").index(0).key("c/d").then("unset.deeper"),
            3,
        ),
        (FieldPath::of("a").index(1), 4),
        (FieldPath::of("unset"), 1),
    ] {
        assert_eq!(manifest.line(&path), line, "{path}");
    }
}
