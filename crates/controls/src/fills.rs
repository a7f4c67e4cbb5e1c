//! Mending: safe values for fields that nobody has set. A value that somebody wrote stays, so a
//! mend can only ever add.

use bulkhead_model::finding::push_step;
use bulkhead_model::json::Object;
use bulkhead_model::view::{Container, ContainerKind, Fields, Pod};
use bulkhead_model::{FieldPath, Json, Segment};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// Collects the safe values that a pod lacks.
#[derive(Debug)]
pub struct Fills<'a> {
    reach: Reach<'a>,
    list: Vec<Setting>,
}

/// A value for a place.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) path: FieldPath,
    pub(crate) value: Json<'static>,
    /// What may stand there already, and makes way.
    instead_of: Option<Json<'static>>,
}

impl Setting {
    /// A value for a field that is unset.
    pub(crate) fn new(path: FieldPath, value: Json<'static>) -> Self {
        Self {
            path,
            value,
            instead_of: None,
        }
    }
}

/// As a path's last step: the place after a list's last element, as in RFC 6901.
const END: &str = "-";

/// What of the pod may still be changed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach<'a> {
    /// A pod that is being made, or the template of one.
    Whole,
    /// A pod that runs: only the ephemeral containers that the old pod does not have.
    NewEphemeral { old: Option<&'a Json<'a>> },
}

impl<'a> Fills<'a> {
    pub(crate) fn new(reach: Reach<'a>) -> Self {
        Self {
            reach,
            list: Vec::new(),
        }
    }

    /// The containers that may still be changed.
    pub fn containers<'p>(
        &self,
        pod: &Pod<'p>,
    ) -> impl Iterator<Item = Container<'p>> + use<'a, 'p> {
        let reach = self.reach;
        pod.containers()
            .filter(move |container| reach.has(container))
    }

    /// Sets a field, if it is unset.
    pub fn set(&mut self, path: FieldPath, value: impl Into<Json<'static>>) {
        self.list.push(Setting::new(path, value.into()));
    }

    /// Adds an element to a list, which is made if it is unset.
    pub fn append(&mut self, path: FieldPath, value: impl Into<Json<'static>>) {
        self.set(path.then(END), value);
    }

    /// Unsets a field in which the API server itself has put this value before anybody was asked,
    /// so that it computes the field anew. Any other value is somebody's, and stays.
    pub fn compute_anew(&mut self, path: FieldPath, computed: impl Into<Json<'static>>) {
        self.list.push(Setting {
            path,
            value: Json::Null,
            instead_of: Some(computed.into()),
        });
    }

    /// Whether the whole pod may still be changed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.reach, Reach::Whole)
    }

    /// Sets a key of the security context where some container has neither a value of its own
    /// nor one of its pod: in the pod where that can still be changed, else in the container.
    pub fn set_for_all(
        &mut self,
        pod: &Pod<'_>,
        key: &'static str,
        value: impl Into<Json<'static>>,
    ) {
        let value: Json<'static> = value.into();
        let lacking: Vec<Container<'_>> = self
            .containers(pod)
            .filter(|c| c.effective(key).is_none())
            .collect();
        match self.reach {
            Reach::Whole if lacking.is_empty() => {}
            Reach::Whole => self.set(pod.path("spec.securityContext").then(key), value.clone()),
            Reach::NewEphemeral { .. } => {
                for container in lacking {
                    self.set(container.path("securityContext").then(key), value.clone());
                }
            }
        }
    }

    /// Sets a field of the pod's security context, if the pod can still be changed.
    pub fn set_for_pod(
        &mut self,
        pod: &Pod<'_>,
        key: &'static str,
        value: impl Into<Json<'static>>,
    ) {
        if matches!(self.reach, Reach::Whole) {
            self.set(pod.path("spec.securityContext").then(key), value);
        }
    }

    /// Sets a field of the pod, if the pod can still be changed.
    pub fn set_in_pod(
        &mut self,
        pod: &Pod<'_>,
        path: &'static str,
        value: impl Into<Json<'static>>,
    ) {
        if matches!(self.reach, Reach::Whole) {
            self.set(pod.path(path), value);
        }
    }

    /// The fields that were set, and their values.
    pub(crate) fn into_list(self) -> Vec<Setting> {
        self.list
    }
}

/// A value that was added to an object: the operation `add` of a JSON patch (RFC 6902), as which
/// it serialises.
#[derive(Debug, Clone, PartialEq)]
pub struct Addition {
    /// Where, as a JSON pointer.
    pub path: String,
    /// What.
    pub value: Json<'static>,
}

impl Serialize for Addition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut operation = serializer.serialize_struct("Addition", 3)?;
        operation.serialize_field("op", "add")?;
        operation.serialize_field("path", &self.path)?;
        operation.serialize_field("value", &self.value)?;
        operation.end()
    }
}

/// Puts values in, and says what was done.
pub(crate) fn apply(list: Vec<Setting>, object: &mut Json<'_>) -> Vec<Addition> {
    list.into_iter()
        .filter_map(|setting| put(object, setting))
        .collect()
}

impl Reach<'_> {
    fn has(self, container: &Container<'_>) -> bool {
        match self {
            Self::Whole => true,
            Self::NewEphemeral { old } => {
                let name = container.fields().str("name");
                let known = Fields::of(old)
                    .at("spec")
                    .list(ContainerKind::Ephemeral.field())
                    .iter()
                    .any(|old| Fields::of(Some(old)).str("name") == name);
                container.kind == ContainerKind::Ephemeral && !known
            }
        }
    }
}

/// Whether the API server reads a list as unset. It drops empty ones, so they are no choice.
pub(crate) fn unset_list(value: Option<&Json<'_>>) -> bool {
    match value {
        None | Some(Json::Null) => true,
        Some(value) => value.as_array().is_some_and(<[_]>::is_empty),
    }
}

/// Sets one field if it is unset, making the objects on the way. Where something on the way is no
/// object nothing happens: what has that shape is refused anyway.
fn put(object: &mut Json<'_>, setting: Setting) -> Option<Addition> {
    let Setting {
        path,
        value,
        instead_of,
    } = setting;
    let (mut at, mut pointer) = (object, String::with_capacity(64));
    let mut steps = path.segments().iter();
    while let Some(step) = steps.next() {
        let last = steps.as_slice().is_empty();
        match step {
            Segment::Key(key) if last && key == END && at.is_array() => {
                let Json::Array(list) = at else { return None };
                list.push(value.clone());
                pointer.push_str("/-");
                return Some(Addition {
                    path: pointer,
                    value,
                });
            }
            Segment::Index(index) => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                at = at.element_mut(*index)?;
            }
            Segment::Key(key) => {
                pointer.push('/');
                push_step(&mut pointer, key);
                let map = at.as_object_mut()?;
                let found = map.get(key.as_ref());
                let missing = match &instead_of {
                    None => {
                        matches!(found, None | Some(Json::Null))
                            || (last && value.is_array() && unset_list(found))
                    }
                    Some(computed) => last && found == Some(computed),
                };
                if missing {
                    let value = nest(steps.as_slice(), value)?;
                    map.insert(key.clone(), value.clone());
                    return Some(Addition {
                        path: pointer,
                        value,
                    });
                }
                at = map.get_mut(key.as_ref())?;
            }
        }
    }
    None
}

/// A value inside new objects, one for each step. The only list that is made is one that begins
/// with the value.
fn nest(steps: &[Segment], value: Json<'static>) -> Option<Json<'static>> {
    steps
        .iter()
        .rev()
        .try_fold(value, |inner, step| match step {
            Segment::Key(key) if key == END => Some(Json::Array(vec![inner])),
            Segment::Key(key) => {
                let mut object = Object::default();
                object.insert(key.clone(), inner);
                Some(Json::Object(object))
            }
            Segment::Index(_) => None,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(object: Value, value: Value, expect: Option<(Value, Value)>) {
        let mut filled = Json::from(object.clone());
        let mut fills = Fills::new(Reach::Whole);
        fills.set(FieldPath::of("a.b"), value);
        let operation = apply(fills.into_list(), &mut filled)
            .pop()
            .map(|addition| serde_json::to_value(addition).unwrap());
        let (expect, expected_operation) = match expect {
            Some((added, value)) => {
                let mut expect = object.clone();
                let path = added.as_str().unwrap();
                match path {
                    "/a" => expect["a"] = value.clone(),
                    _ => expect["a"]["b"] = value.clone(),
                }
                (
                    expect,
                    Some(json!({"op": "add", "path": path, "value": value})),
                )
            }
            None => (object, None),
        };
        assert_eq!(
            (Value::from(filled), operation),
            (expect, expected_operation)
        );
    }

    #[test]
    fn only_what_is_unset_is_filled() {
        let at = |path: &str, value: Value| Some((json!(path), value));
        check(json!({}), json!(true), at("/a", json!({"b": true})));
        check(
            json!({"a": null}),
            json!(true),
            at("/a", json!({"b": true})),
        );
        check(json!({"a": {}}), json!(true), at("/a/b", json!(true)));
        check(
            json!({"a": {"b": null}}),
            json!(true),
            at("/a/b", json!(true)),
        );
        check(
            json!({"a": {"b": []}}),
            json!(["x"]),
            at("/a/b", json!(["x"])),
        );
        for set in [json!(false), json!(""), json!({}), json!([]), json!(0)] {
            check(json!({"a": {"b": set}}), json!(true), None);
        }
        for no_object in [json!(1), json!("x"), json!([])] {
            check(json!({"a": no_object}), json!(true), None);
        }
    }

    #[test]
    fn an_element_is_added_to_what_is_there() {
        let new = json!({"key": "x"});
        for (object, path, expect) in [
            (json!({}), "/a", json!({"a": {"b": [new]}})),
            (
                json!({"a": {"b": null}}),
                "/a/b",
                json!({"a": {"b": [new]}}),
            ),
            (
                json!({"a": {"b": []}}),
                "/a/b/-",
                json!({"a": {"b": [new]}}),
            ),
            (
                json!({"a": {"b": [1]}}),
                "/a/b/-",
                json!({"a": {"b": [1, new]}}),
            ),
        ] {
            let mut filled = Json::from(object.clone());
            let mut fills = Fills::new(Reach::Whole);
            fills.append(FieldPath::of("a.b"), new.clone());
            let additions = apply(fills.into_list(), &mut filled);
            assert_eq!(additions[0].path, path);
            assert_eq!(Value::from(filled), expect);
            let patch: json_patch::Patch =
                serde_json::from_value(serde_json::to_value(&additions).unwrap()).unwrap();
            let mut patched = object;
            json_patch::patch(&mut patched, &patch).unwrap();
            assert_eq!(patched, expect);
        }
    }

    #[test]
    fn only_what_the_api_server_computed_makes_way() {
        for (before, after) in [
            (json!({"a": {"b": 0}}), json!({"a": {"b": null}})),
            (json!({"a": {"b": 7}}), json!({"a": {"b": 7}})),
            (json!({"a": {}}), json!({"a": {}})),
            (json!({}), json!({})),
        ] {
            let mut filled = Json::from(before);
            let mut fills = Fills::new(Reach::Whole);
            fills.compute_anew(FieldPath::of("a.b"), json!(0));
            apply(fills.into_list(), &mut filled);
            assert_eq!(Value::from(filled), after);
        }
    }
}
