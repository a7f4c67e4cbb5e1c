//! `data.inventory`: objects of the cluster that policies compare what they judge with.

use regorus::Value as Rego;
use serde_json::Value;

use crate::review::value;

/// Objects as Gatekeeper's policies find them: `cluster[apiVersion][kind][name]`, and
/// `namespace[namespace][apiVersion][kind][name]`. Copies share what is the same in both.
#[derive(Debug, Clone)]
pub struct Inventory(Rego);

impl Default for Inventory {
    fn default() -> Self {
        let empty = Rego::new_object;
        Self(crate::review::object([
            ("cluster", empty()),
            ("namespace", empty()),
        ]))
    }
}

impl Inventory {
    /// These objects.
    #[must_use]
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut inventory = Self::default();
        objects.into_iter().for_each(|object| inventory.put(object));
        inventory
    }

    /// Takes an object, in the place of the one of its name.
    pub fn put(&mut self, object: &Value) {
        set(&mut self.0, &path(object), Some(value(&object.into())));
    }

    /// Forgets an object.
    pub fn remove(&mut self, object: &Value) {
        set(&mut self.0, &path(object), None);
    }

    pub(crate) fn tree(&self) -> Rego {
        self.0.clone()
    }
}

fn path(object: &Value) -> Vec<&str> {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let namespace = text("/metadata/namespace");
    let mut path = if namespace.is_empty() {
        vec!["cluster"]
    } else {
        vec!["namespace", namespace]
    };
    path.extend([text("/apiVersion"), text("/kind"), text("/metadata/name")]);
    path
}

/// Puts something at a path, or takes it and what is empty then away. The two roots stay.
fn set(at: &mut Rego, path: &[&str], leaf: Option<Rego>) {
    let (Ok(fields), [first, rest @ ..]) = (at.as_object_mut(), path) else {
        return;
    };
    let key = Rego::from(*first);
    if rest.is_empty() {
        match leaf {
            Some(leaf) => drop(fields.insert(key, leaf)),
            None => drop(fields.remove(&key)),
        }
        return;
    }
    // Taken out, so that nothing of it is copied that nobody else holds.
    let mut below = fields.remove(&key).unwrap_or_else(Rego::new_object);
    set(&mut below, rest, leaf);
    let root = matches!(*first, "cluster" | "namespace");
    let empty = below.as_object().is_ok_and(|below| below.is_empty());
    if root || !empty {
        fields.insert(key, below);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_come_and_go_and_copies_stay_as_they_were() {
        let object = |namespace: Option<&str>, name: &str| {
            json!({
                "apiVersion": "v1", "kind": "Thing",
                "metadata": {"name": name, "namespace": namespace},
            })
        };
        let mut inventory = Inventory::of(&[object(None, "a"), object(Some("n"), "b")]);
        let before = inventory.clone();
        inventory.remove(&object(Some("n"), "b"));
        inventory.put(&object(None, "c"));
        let text = |inventory: &Inventory| inventory.tree().to_json_str().unwrap();
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let after = read(text(&inventory));
        assert_eq!(after["namespace"], json!({}));
        assert_eq!(after["cluster"]["v1"]["Thing"]["c"], object(None, "c"));
        let before = read(text(&before));
        assert_eq!(
            before["namespace"]["n"]["v1"]["Thing"]["b"],
            object(Some("n"), "b")
        );
        assert_eq!(before["cluster"]["v1"]["Thing"]["c"], Value::Null);
    }
}
