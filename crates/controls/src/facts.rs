//! What was looked up in the cluster for the rules, before they run.
//!
//! Whoever calls the rules says which keys they want ([`crate::needed`]), looks these up, and hands
//! over the [`Facts`]. A rule has to say what it does with each answer: that an object is there,
//! that there is none, that it could not be read (deny, unless the page argues otherwise), and that
//! nobody looks here because somebody behind us will (nothing to say, then).

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_model::Json;

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

impl ObjectKey {
    /// A namespace.
    #[must_use]
    pub fn namespace(name: &str) -> Self {
        Self {
            group: "",
            resource: "namespaces",
            namespace: None,
            name: name.to_owned(),
        }
    }

    /// A PersistentVolumeClaim.
    #[must_use]
    pub fn claim(namespace: &str, name: &str) -> Self {
        Self {
            group: "",
            resource: "persistentvolumeclaims",
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// A PersistentVolume.
    #[must_use]
    pub fn volume(name: &str) -> Self {
        Self {
            group: "",
            resource: "persistentvolumes",
            namespace: None,
            name: name.to_owned(),
        }
    }
}

/// The answer to a question about the cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact<T> {
    /// It was looked up.
    Known(T),
    /// It should have been looked up, and was not or could not be. Deny.
    Unknown,
    /// Nobody looks anything up here: the webhook judges the same request afterwards, with facts.
    /// No reason to refuse, and no leave to assume anything either.
    Later,
}

/// Everything that was looked up for one request.
///
/// [`Facts::default`] is of somebody who looks things up and has not yet: what it lacks is
/// [`Fact::Unknown`]. [`Facts::NONE`] is of somebody who looks nothing up because the webhook will.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// None for an object that could not be read.
    objects: BTreeMap<ObjectKey, Option<Option<Json<'static>>>>,
    /// Whether somebody behind us looks up what is missing.
    later: bool,
}

impl Facts {
    /// Of somebody who cannot look anything up and need not: the gateway, whose requests the webhook
    /// judges again; the mutating phase, before that of validation.
    pub const NONE: &'static Self = &Self {
        objects: BTreeMap::new(),
        later: true,
    };

    /// Whether somebody behind us judges the same with more knowledge.
    pub(crate) fn is_judged_later(&self) -> bool {
        self.later
    }

    /// Notes an object as it is in the cluster; `None` if there is none of that name.
    pub fn learn(&mut self, key: ObjectKey, object: Option<Json<'static>>) {
        self.objects.insert(key, Some(object));
    }

    /// Notes that an object could not be read.
    pub fn fail(&mut self, key: ObjectKey) {
        self.objects.insert(key, None);
    }

    /// The same objects, of somebody behind whom nobody looks anything up.
    pub(crate) fn looked_up(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            later: false,
        }
    }

    /// An object of the cluster, or that there is none of that name.
    #[must_use]
    pub fn object(&self, key: &ObjectKey) -> Fact<Option<&Json<'static>>> {
        match self.objects.get(key) {
            Some(Some(object)) => Fact::Known(object.as_ref()),
            Some(None) => Fact::Unknown,
            None if self.later => Fact::Later,
            None => Fact::Unknown,
        }
    }
}

/// Collects the keys that rules want and nobody has asked for yet.
#[derive(Debug)]
pub struct Wanted<'a> {
    facts: &'a Facts,
    keys: BTreeSet<ObjectKey>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn beside(facts: &'a Facts) -> Self {
        Self {
            facts,
            keys: BTreeSet::new(),
        }
    }

    /// Wants this object, unless it was looked up already.
    pub fn add(&mut self, key: ObjectKey) {
        if !self.facts.objects.contains_key(&key) {
            self.keys.insert(key);
        }
    }

    pub(crate) fn into_vec(self) -> Vec<ObjectKey> {
        self.keys.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_unread_and_left_to_others_are_three_things() {
        let mut facts = Facts::default();
        facts.learn(ObjectKey::volume("there"), Some(json!({}).into()));
        facts.learn(ObjectKey::volume("gone"), None);
        facts.fail(ObjectKey::volume("unread"));
        assert_eq!(
            facts.object(&ObjectKey::volume("there")),
            Fact::Known(Some(&json!({}).into()))
        );
        assert_eq!(facts.object(&ObjectKey::volume("gone")), Fact::Known(None));
        assert_eq!(facts.object(&ObjectKey::volume("unread")), Fact::Unknown);
        assert_eq!(
            facts.object(&ObjectKey::volume("never-asked-for")),
            Fact::Unknown
        );
        assert_eq!(Facts::NONE.object(&ObjectKey::volume("there")), Fact::Later);
    }

    #[test]
    fn what_was_asked_for_is_not_asked_for_again() {
        let mut facts = Facts::default();
        facts.learn(ObjectKey::volume("gone"), None);
        facts.fail(ObjectKey::volume("unread"));
        let mut wanted = Wanted::beside(&facts);
        for name in ["gone", "unread", "new", "new"] {
            wanted.add(ObjectKey::volume(name));
        }
        assert_eq!(wanted.into_vec(), [ObjectKey::volume("new")]);
    }
}
