//! What people bring along besides the controls: policies that files are held to as well. Each
//! sort of policy is told from the others by its file and kind, and judges by itself.

use std::collections::BTreeMap;
use std::fmt;

use bulkhead_controls::carriers::Carrier;
use bulkhead_manifests::{Content, Node, Parsed, parse};
use bulkhead_model::{FieldPath, Json};
use bulkhead_psp::{Denied, KIND, Pod, PodSecurityPolicy, Verdict, complaints};
use bulkhead_rego::{Loader, Refusal, place_in_file, policy_id};
use bulkhead_report::Lines;
use serde_json::Value;

use crate::rego::Rego;

/// Every policy that files are held to besides the controls.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    pod_security: bulkhead_psp::Policies,
    pub(crate) rego: Rego,
}

/// Why a policy cannot be used. Files are not checked with half of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The file.
    pub path: String,
    /// The line, from 1; none for the whole file.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

impl Policies {
    /// Reads policies from files: paths and texts.
    ///
    /// # Errors
    /// Everything that is no policy, or none that can be used.
    pub fn read<'f>(
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
    ) -> Result<Self, Vec<PolicyError>> {
        let mut reading = Reading::default();
        for (path, text) in files {
            match path.rsplit_once('.').map(|(_, extension)| extension) {
                Some("yaml" | "yml" | "json") => reading.manifest(path, text),
                // Tests are for `policy test`.
                Some("rego") if path.ends_with("_test.rego") => {}
                Some("rego") => {
                    reading.loader.rego(path, text);
                    reading.places.insert(path.to_owned(), path.to_owned());
                }
                _ => reading.wrong.push(PolicyError {
                    path: path.to_owned(),
                    line: None,
                    message: format!("no policy: `--policies` takes {TAKEN}"),
                }),
            }
        }
        reading.finish()
    }

    /// What is wrong with the pods of an object by PodSecurityPolicies: where, and what. Who may
    /// `use` which is not in files, so that each counts.
    pub(crate) fn pods(&self, carrier: &Carrier, node: &Node) -> Vec<(FieldPath, String)> {
        if self.pod_security.is_empty() {
            return Vec::new();
        }
        let object = node.to_json();
        let places = carrier.places(&object).into_iter();
        places
            .flat_map(|(at, value)| self.pod(&at, value))
            .collect()
    }

    fn pod(&self, at: &FieldPath, value: &Json<'_>) -> Vec<(FieldPath, String)> {
        let pod = match Pod::read(value) {
            Ok(pod) => pod,
            Err(malformed) => return vec![(at.clone(), malformed.to_string())],
        };
        let by = match self.pod_security.admit(&pod, &|_| Some(true)) {
            Verdict::Denied(Denied::Refused { by, .. }) => by,
            Verdict::Denied(denied @ Denied::NoPolicies) => {
                return vec![(at.clone(), denied.to_string())];
            }
            // Everything may be used, so nothing is asked.
            Verdict::Admitted(_) | Verdict::Ask(_) => return Vec::new(),
        };
        if let [(name, errors)] = by.as_slice() {
            let one = |error: &bulkhead_psp::FieldError| {
                let words = format!("is refused by the policy `{name}`: {}", error.message);
                (error.place().below(at.clone()), words)
            };
            return errors.iter().map(one).collect();
        }
        let each = by.iter().map(|(name, errors)| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            format!("by `{name}`: {}", errors.join("; "))
        });
        let words = each.collect::<Vec<_>>().join(". ");
        vec![(
            at.clone().then("spec"),
            format!("is refused by every policy: {words}"),
        )]
    }
}

/// What can be read, for people who tried something else.
const TAKEN: &str = "PodSecurityPolicies (of `policy/v1beta1`, `extensions/v1beta1` or `bulkhead.dev`) and policies in Rego (`.rego`, kube-mgmt's ConfigMaps, Gatekeeper's templates and constraints)";

/// Whose Suites say what is no policy: samples that they try.
const SUITES: &str = "test.gatekeeper.sh/";

#[derive(Default)]
struct Reading<'f> {
    pod_security: Vec<PodSecurityPolicy>,
    loader: Loader,
    /// The place of each policy in Rego, by its name.
    places: BTreeMap<String, String>,
    /// Files of YAML, for places of Rego in them.
    manifests: Vec<(&'f str, &'f str, Vec<Value>)>,
    /// What is no policy, and is a sample where there are Suites.
    strangers: Vec<PolicyError>,
    suites: bool,
    wrong: Vec<PolicyError>,
}

impl<'f> Reading<'f> {
    fn finish(mut self) -> Result<Policies, Vec<PolicyError>> {
        if !self.suites {
            self.wrong.append(&mut self.strangers);
        }
        let (rego, refusals) = self.loader.finish();
        let rego = if refusals.is_empty() {
            Rego::new(rego, self.places)
        } else {
            Err(refusals)
        };
        let rego = rego.unwrap_or_else(|refusals| {
            let told = refusals
                .iter()
                .map(|refusal| told(refusal, &self.manifests));
            self.wrong.extend(told);
            Rego::default()
        });
        if !self.wrong.is_empty() {
            return Err(self.wrong);
        }
        Ok(Policies {
            pod_security: bulkhead_psp::Policies::new(&self.pod_security),
            rego,
        })
    }

    fn manifest(&mut self, path: &'f str, text: &'f str) {
        let lines = Lines::of(text);
        let line = |offset: usize| Some(lines.region(offset..offset).line);
        let Parsed {
            documents,
            problems,
            ..
        } = parse(text);
        let mut say = |line, message: String| {
            self.wrong.push(PolicyError {
                path: path.to_owned(),
                line,
                message,
            });
        };
        for problem in problems.iter().filter(|problem| problem.kind.is_error()) {
            say(line(problem.span.start), problem.message.clone());
        }
        let mut objects = Vec::new();
        for content in documents.iter().flat_map(Content::of) {
            match content {
                Content::Object {
                    api_version,
                    kind: KIND,
                    node,
                } if bulkhead_psp::is_policy(api_version) => {
                    match bulkhead_psp::parse(&node.to_value()) {
                        Ok(policy) => {
                            for complaint in complaints(&policy) {
                                let at = node.locate(&complaint.place()).span.start;
                                say(line(at), complaint.to_string());
                            }
                            self.pod_security.push(policy);
                        }
                        Err(wrong) => {
                            for misread in wrong {
                                let at = node.locate(&misread.path).span.start;
                                say(line(at), misread.to_string());
                            }
                        }
                    }
                }
                Content::Object { api_version, .. } if api_version.starts_with(SUITES) => {
                    self.suites = true;
                }
                Content::Object {
                    api_version,
                    kind,
                    node,
                } => {
                    let object = node.to_value();
                    if self.loader.object(path, &object) {
                        let at = line(node.span.start).unwrap_or(1);
                        self.places
                            .insert(policy_id(&object), format!("{path}:{at}"));
                        objects.push(object);
                    } else {
                        self.strangers.push(PolicyError {
                            path: path.to_owned(),
                            line: line(node.span.start),
                            message: format!(
                                "no policy: `{kind}` of `{api_version}`; `--policies` takes {TAKEN}"
                            ),
                        });
                    }
                }
                Content::Other(other) => say(None, format!("no policy: {}", other.describe())),
            }
        }
        self.manifests.push((path, text, objects));
    }
}

/// A refusal, at its line of the file.
fn told(refusal: &Refusal, manifests: &[(&str, &str, Vec<Value>)]) -> PolicyError {
    // Of a library, a ConfigMap's key or a kind, the source says more than the file.
    let source = &refusal.place.source;
    let file = manifests.iter().find(|(path, ..)| source.starts_with(path));
    let place = file.map_or_else(
        || refusal.place.clone(),
        |(path, text, objects)| place_in_file(&refusal.place, path, text, objects),
    );
    PolicyError {
        path: place.source,
        line: usize::try_from(place.line).ok().filter(|line| *line > 0),
        message: format!("{} ({})", refusal.message, refusal.rule),
    }
}
