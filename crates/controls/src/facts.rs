//! What was looked up in the cluster for the rules, before they run. A rule that asks for what
//! nobody looked up hears [`Fact::Unknown`], and has to say what it does then.

use std::collections::BTreeMap;

use serde_json::Value;

/// An object that a rule wants to see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// API group, empty for the core.
    pub group: &'static str,
    /// The plural name in URLs.
    pub resource: &'static str,
    /// None for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// The answer to a question about the cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact<T> {
    /// It was looked up.
    Known(T),
    /// It was not, or could not be.
    Unknown,
}

/// Everything that was looked up for one request.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    objects: BTreeMap<ObjectKey, Option<Value>>,
}

impl Facts {
    /// Of somebody who cannot look anything up.
    pub const NONE: &'static Self = &Self {
        objects: BTreeMap::new(),
    };

    /// Notes an object as it is in the cluster; `None` if there is none of that name.
    pub fn learn(&mut self, key: ObjectKey, object: Option<Value>) {
        self.objects.insert(key, object);
    }

    /// An object of the cluster, or that there is none of that name.
    #[must_use]
    pub fn object(&self, key: &ObjectKey) -> Fact<Option<&Value>> {
        self.objects
            .get(key)
            .map_or(Fact::Unknown, |object| Fact::Known(object.as_ref()))
    }
}
