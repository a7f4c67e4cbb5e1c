//! Judging what no cluster has seen: files.
//!
//! Here nothing is mended first: who reads a file wants to know what it leaves unsaid, and what
//! would be said for it. And nobody looks anything up in a cluster: what a rule wants to know and the files
//! do not say leaves its control unchecked, never passed.

use bulkhead_model::{AdmissionRequest, FieldPath, Finding, Json, TenantRules};

use crate::carriers::{Carrier, Carriers};
use crate::context::Context;
use crate::control::Mend;
use crate::facts::{Facts, ObjectKey};
use crate::fills::{Fills, Reach, Setting, apply};
use crate::judge::{Unjudged, context, findings, in_shape};
use crate::pod::runs_on_linux;
use crate::registry::REGISTRY;

/// What there is to say about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// What is wrong as it stands.
    pub findings: Vec<Inspected>,
    /// What would be wrong unless the cluster holds the right objects: the controls that could not
    /// be checked, and where.
    pub unchecked: Vec<Finding>,
    /// The safe values of fields that nobody has set.
    pub fills: Vec<Fill>,
}

/// A safe value of a field that nobody has set.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill {
    /// The control that wants it.
    pub control: &'static str,
    /// The field.
    pub path: FieldPath,
    /// The value.
    pub value: Json<'static>,
}

/// A finding, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What is wrong.
    pub finding: Finding,
    /// Whether [`Inspection::fills`] mend it. Admission does the same to a Pod that is made.
    pub mendable: bool,
}

/// From a pod to its claim, to the volume, to the class.
const ROUNDS: usize = 8;

impl Carriers {
    /// Judges an object as it stands. `look_up` finds objects in the other files.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn inspect<'a>(
        &self,
        request: &AdmissionRequest<'_>,
        rules: &TenantRules,
        look_up: &dyn Fn(&ObjectKey) -> Option<&'a Json<'static>>,
    ) -> Result<Inspection, Unjudged> {
        let (carrier, object) = in_shape(self, request)?;
        let mut facts = Facts::NONE.clone();
        let mut missing = Vec::new();
        for _ in 0..ROUNDS {
            missing = self.needed(request, rules, &facts);
            let before = missing.len();
            missing.retain(|key| match look_up(key) {
                Some(object) => {
                    facts.learn(key.clone(), Some(object.clone()));
                    false
                }
                None => true,
            });
            if missing.len() == before {
                break;
            }
        }
        let now = context(request, rules, &facts);
        let found = findings(carrier, object, &now);
        let unchecked = if missing.is_empty() {
            Vec::new()
        } else {
            let alone = facts.looked_up();
            let denied = findings(carrier, object, &context(request, rules, &alone));
            denied
                .into_iter()
                .filter(|finding| !found.contains(finding))
                .collect()
        };
        let (fills, mended) = fills(carrier, object, &now);
        let left = if fills.is_empty() {
            found.clone()
        } else {
            findings(carrier, &mended, &now)
        };
        let judged = |finding: Finding| Inspected {
            mendable: !left
                .iter()
                .any(|other| (other.control, &other.path) == (finding.control, &finding.path)),
            finding,
        };
        Ok(Inspection {
            findings: found.into_iter().map(judged).collect(),
            unchecked,
            fills,
        })
    }
}

/// The object with these values in the fields that nobody has set.
#[must_use]
pub fn filled<'a, 'f>(object: &Json<'a>, fills: impl Iterator<Item = &'f Fill>) -> Json<'a> {
    let mut object = object.clone();
    let list = fills.map(|fill| Setting::new(fill.path.clone(), fill.value.clone()));
    apply(list.collect(), &mut object);
    object
}

/// The values that the object lacks, and the object with them.
fn fills<'a>(carrier: &Carrier, object: &Json<'a>, context: &Context<'_>) -> (Vec<Fill>, Json<'a>) {
    let mut mended = object.clone();
    let mut list = Vec::new();
    for control in REGISTRY
        .iter()
        .filter(|control| control.profiles.hold(context.rules))
    {
        let Mend::Fill(mend) = control.mend else {
            continue;
        };
        let mut fills = Fills::new(Reach::Whole);
        for pod in carrier.pods(object).filter(runs_on_linux) {
            mend(&pod, context, &mut fills);
        }
        for setting in fills.into_list() {
            if !apply(vec![setting.clone()], &mut mended).is_empty() {
                list.push(Fill {
                    control: control.name,
                    path: setting.path,
                    value: setting.value,
                });
            }
        }
    }
    (list, mended)
}
