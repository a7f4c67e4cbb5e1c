//! A set of policies, and who judges by it.

use std::collections::BTreeMap;
use std::fmt;

use bulkhead_model::Json;
use regorus::Value as Rego;
use serde_json::{Value, json};

use crate::config::{Config, Process};
use crate::inventory::Inventory;
use crate::plain::Plain;
use crate::program::{Failure, Program};
use crate::refusal::Refusal;
use crate::review::{Review, object, request_of};
use crate::template::{Action, Constraint, Template};

/// Policies that have been looked through and belong together.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// OPA's and kube-mgmt's.
    pub plain: Plain,
    /// Gatekeeper's templates, by kind.
    pub templates: BTreeMap<String, Template>,
    /// Their constraints, by kind and name.
    pub constraints: BTreeMap<(String, String), Constraint>,
    /// What is synced, and which namespaces are left alone.
    pub config: Config,
}

/// What a policy has against an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The constraint as `Kind/name`, or the file of the policy.
    pub policy: String,
    /// What comes of it.
    pub action: Action,
    /// The policy's own words, or why it gave no answer.
    pub message: String,
    /// Whether the policy gave no answer, and so denies.
    pub failed: bool,
    /// Whether it gave none for want of something that is not known: of a Namespace's labels, or of
    /// other objects.
    pub unknown: bool,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = if self.failed {
            "gives no answer, which denies: "
        } else {
            ""
        };
        write!(f, "[{}] {failed}{}", self.policy, self.message)
    }
}

impl Policies {
    /// Whether any compares what it judges with other objects of the cluster.
    #[must_use]
    pub fn asks_for_inventory(&self) -> bool {
        let mut templates = self.templates.values();
        templates.any(Template::asks_for_inventory)
    }

    /// Compiles everything, for one thread. `inventory` is what policies find at `data.inventory`.
    /// Every policy is tried on sample objects first.
    ///
    /// # Errors
    /// The policies that do not compile or fail when tried.
    pub fn judge(&self, inventory: &Inventory) -> Result<Judge, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut templates = Vec::new();
        for template in self.templates.values() {
            let constraints: Vec<Constraint> = self
                .constraints
                .values()
                .filter(|constraint| constraint.kind == template.kind)
                .cloned()
                .collect();
            match template.compile(inventory) {
                Ok(program) => templates.push((template.clone(), program, constraints)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        let plain = self.plain.compile().unwrap_or_else(|refusal| {
            refusals.push(refusal);
            Vec::new()
        });
        let mut judge = Judge {
            plain,
            templates,
            config: self.config.clone(),
            unknown: None,
        };
        refusals.extend(judge.tried());
        if refusals.is_empty() {
            Ok(judge)
        } else {
            Err(refusals)
        }
    }
}

/// What judges by a set of policies: one for each thread.
pub struct Judge {
    plain: Vec<(String, Program)>,
    templates: Vec<(Template, Program, Vec<Constraint>)>,
    config: Config,
    /// Why nobody knows what stands in `data.inventory`; none if that is known.
    unknown: Option<String>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Judge of {} policies",
            self.plain.len() + self.templates.len()
        )
    }
}

impl Judge {
    /// Compares with other objects from now on, or says why there is nothing to compare with: then
    /// what asks for `data.inventory` gives no answer, which denies.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub fn compare_with(&mut self, inventory: Result<&Inventory, String>) -> Result<(), Failure> {
        let inventory = match inventory {
            Ok(inventory) => inventory,
            Err(why) => {
                self.unknown = Some(why);
                return Ok(());
            }
        };
        self.unknown = None;
        for (template, program, _) in &mut self.templates {
            if template.asks_for_inventory() {
                program.set_data(object([("inventory", inventory.tree())]))?;
            }
        }
        Ok(())
    }

    /// What all policies have against a request, in the policies' order.
    pub fn review(&mut self, review: &Review<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        if !self.ask_plain(review, &mut found) {
            self.ask_templates(Process::Webhook, review, &mut found);
        }
        found
    }

    /// What all policies have against an object that exists already. OPA's are asked as if somebody
    /// made it, Gatekeeper's as Gatekeeper asks: for no request's sake.
    pub fn audit(&mut self, object: &Value, namespace: Option<&Value>) -> Vec<Violation> {
        let namespace = namespace.map(Json::from);
        let mut found = Vec::new();
        for (operation, plain) in [("CREATE", true), ("", false)] {
            let request = request_of(object, operation);
            let request = Json::from(&request);
            let review = Review {
                request: &request,
                namespace: namespace.as_ref(),
            };
            if plain {
                self.ask_plain(&review, &mut found);
            } else {
                self.ask_templates(Process::Audit, &review, &mut found);
            }
        }
        found
    }

    /// Asks OPA's policies; whether one took too long for others to be asked.
    fn ask_plain(&mut self, review: &Review<'_>, found: &mut Vec<Violation>) -> bool {
        if self.plain.is_empty() {
            return false;
        }
        let input = review.for_opa();
        for (source, program) in &mut self.plain {
            let said = asked(source, Action::Deny, program, input.clone(), plain_message);
            found.extend(said);
            if program.is_slow() {
                return true;
            }
        }
        false
    }

    fn ask_templates(&mut self, process: Process, review: &Review<'_>, found: &mut Vec<Violation>) {
        if self.config.excludes(process, review.within()) {
            return;
        }
        let operation = review.text("operation");
        let mut input = None;
        for (template, program, constraints) in &mut self.templates {
            if !template.is_about(operation) {
                continue;
            }
            let unknown = self.unknown.as_ref();
            let unknown = unknown.filter(|_| template.asks_for_inventory());
            for constraint in constraints {
                let policy = format!("{}/{}", constraint.kind, constraint.name);
                let silent = |policy: String, why: String| Violation {
                    policy,
                    action: constraint.action,
                    message: why,
                    failed: true,
                    unknown: true,
                };
                match (constraint.matches(review), unknown) {
                    (Ok(false), _) => {}
                    (Err(why), _) => found.push(silent(policy, why)),
                    (Ok(true), Some(why)) => found.push(silent(policy, why.clone())),
                    (Ok(true), None) => {
                        let review = input.get_or_insert_with(|| review.for_gatekeeper());
                        let input = object([
                            ("review", review.clone()),
                            ("parameters", constraint.parameters()),
                        ]);
                        let said = asked(
                            &policy,
                            constraint.action,
                            program,
                            input,
                            gatekeeper_message,
                        );
                        found.extend(said);
                        // Others would take as long, and whoever waits does not wait for all.
                        let denied = |v: &Violation| v.action == Action::Deny;
                        if program.is_slow() && found.iter().any(denied) {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// A policy that fails at an ordinary object would refuse everything once it is in force.
    fn tried(&mut self) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for sample in samples() {
            let request: Json<'_> = Json::from(&sample);
            let review = Review {
                request: &request,
                namespace: None,
            };
            let inputs = (review.for_opa(), review.for_gatekeeper());
            for (source, program) in &mut self.plain {
                if let Err(failure) = program.set(inputs.0.clone()) {
                    refusals.push(failed(source, &failure));
                }
            }
            for (template, program, constraints) in &mut self.templates {
                let parameters = constraints
                    .first()
                    .map_or_else(Rego::new_object, Constraint::parameters);
                let input = object([("review", inputs.1.clone()), ("parameters", parameters)]);
                if let Err(failure) = program.set(input) {
                    refusals.push(failed(&template.kind, &failure));
                }
            }
        }
        refusals.sort();
        refusals.dedup();
        refusals
    }
}

fn failed(source: &str, failure: &Failure) -> Refusal {
    Refusal::whole(
        "fails-when-tried",
        source,
        format!("{failure}, when tried on a sample object"),
    )
}

fn asked(
    policy: &str,
    action: Action,
    program: &mut Program,
    input: Rego,
    message: fn(&Rego) -> Result<(String, Rego), String>,
) -> Vec<Violation> {
    let violation = |message: String, failed: bool| Violation {
        policy: policy.to_owned(),
        action,
        message,
        failed,
        unknown: false,
    };
    let elements = match program.set(input) {
        Ok(elements) => elements,
        Err(failure) => return vec![violation(failure.to_string(), true)],
    };
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for element in &elements {
        match message(element) {
            // Gatekeeper keeps of an element its message and its details, as a set.
            Ok(said) if seen.contains(&said) => {}
            Ok(said) => {
                found.push(violation(said.0.clone(), false));
                seen.push(said);
            }
            Err(why) => found.push(violation(why, true)),
        }
    }
    found
}

/// A string, or what other users of OPA write: an object with `msg`.
fn plain_message(element: &Rego) -> Result<(String, Rego), String> {
    match element {
        Rego::String(text) => Ok((text.to_string(), Rego::Undefined)),
        Rego::Object(_) => gatekeeper_message(element),
        other => Err(format!("an element of `deny` is no message but `{other}`")),
    }
}

fn gatekeeper_message(element: &Rego) -> Result<(String, Rego), String> {
    let no = || format!("an element of `violation` has no string `msg`: `{element}`");
    let fields = element.as_object().map_err(|_| no())?;
    let message = fields
        .get(&Rego::from("msg"))
        .and_then(|msg| msg.as_string().ok());
    let details = fields.get(&Rego::from("details")).cloned();
    let message = message.ok_or_else(no)?;
    Ok((
        message.to_string(),
        details.unwrap_or_else(Rego::new_object),
    ))
}

/// Requests as they come every day.
fn samples() -> [Value; 3] {
    let request = |kind: &str, resource: &str, operation: &str, object: Value| {
        json!({
            "uid": "0", "operation": operation, "name": "sample", "namespace": "sample",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": resource},
            "userInfo": {"username": "sample", "groups": ["system:authenticated"]},
            "object": if operation == "DELETE" { Value::Null } else { object.clone() },
            "oldObject": if operation == "DELETE" { object } else { Value::Null },
            "dryRun": false,
        })
    };
    let metadata = json!({"name": "sample", "namespace": "sample", "labels": {"app": "sample"}});
    let container = json!({"name": "c", "image": "registry.example/app:1", "securityContext": {"privileged": true}});
    [
        request(
            "Pod",
            "pods",
            "CREATE",
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                "spec": {"containers": [container]},
            }),
        ),
        request(
            "ConfigMap",
            "configmaps",
            "CREATE",
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"},
            }),
        ),
        request(
            "Pod",
            "pods",
            "DELETE",
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []},
            }),
        ),
    ]
}
