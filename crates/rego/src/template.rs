//! Gatekeeper's ConstraintTemplates and constraints.

use std::fmt;

use regorus::Value as Rego;
use serde_json::{Value, json};

use crate::inventory::Inventory;
use crate::lint::{self, Data};
use crate::matching::Match;
use crate::mend::mend;
use crate::program::Program;
use crate::refusal::Refusal;
use crate::review::{Review, value};
use crate::schema;
use crate::syntax::{Dialect, Module, Text, parse};

/// The API group of templates.
pub const TEMPLATES: &str = "templates.gatekeeper.sh";
/// The API group of constraints.
pub const CONSTRAINTS: &str = "constraints.gatekeeper.sh";
/// The only target there is.
const TARGET: &str = "admission.k8s.gatekeeper.sh";

/// A template that has been looked through.
#[derive(Debug, Clone)]
pub struct Template {
    /// The kind of its constraints.
    pub kind: String,
    /// The object, as it was given.
    pub object: Value,
    parameters: Option<Value>,
    operations: Vec<String>,
    /// The policy first, then its libraries.
    modules: Vec<Module>,
}

/// What comes of a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The request is refused.
    Deny,
    /// The request is let through with a warning.
    Warn,
    /// The violation is only counted.
    DryRun,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::DryRun => "dryrun",
        })
    }
}

/// A constraint whose parameters suit its template.
#[derive(Debug, Clone)]
pub struct Constraint {
    /// The kind, which is its template's.
    pub kind: String,
    /// The name.
    pub name: String,
    /// What comes of its violations.
    pub action: Action,
    matches: Option<Match>,
    parameters: Rego,
}

impl Template {
    /// Reads a ConstraintTemplate. `source` is what messages call it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(object: &Value, source: &str) -> Result<Self, Vec<Refusal>> {
        let template = read(object, source).map_err(|refusal| vec![refusal])?;
        let all: Vec<&Module> = template.modules.iter().collect();
        let found = lint::lint(&all, Data::Gatekeeper);
        if !found.is_empty() {
            return Err(found);
        }
        if let Some(policy) = all.first() {
            lint::entry(policy, "violation", true).map_err(|refusal| vec![refusal])?;
        }
        Ok(template)
    }

    /// The CustomResourceDefinition of its constraints, as Gatekeeper makes it.
    #[must_use]
    pub fn crd(&self) -> Value {
        let plural = self.kind.to_lowercase();
        let names = self.object.pointer("/spec/crd/spec/names");
        let mut spec = json!({
            "type": "object",
            "properties": {
                "match": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "enforcementAction": {"type": "string", "default": "deny"},
            },
        });
        let parameters = self.parameters.clone().unwrap_or_else(
            || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        );
        if let Some(properties) = spec.pointer_mut("/properties") {
            insert(properties, "parameters", parameters);
        }
        let schema = json!({
            "type": "object",
            "properties": {
                "metadata": {
                    "type": "object",
                    "properties": {"name": {"type": "string", "maxLength": 63}},
                },
                "spec": spec,
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            },
        });
        let mut names_of = json!({
            "kind": self.kind,
            "listKind": format!("{}List", self.kind),
            "plural": plural,
            "singular": plural,
            "categories": ["constraint", "constraints"],
        });
        if let Some(short) = names.and_then(|names| names.get("shortNames")) {
            insert(&mut names_of, "shortNames", short.clone());
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{CONSTRAINTS}"),
                "labels": {"gatekeeper.sh/constraint": "yes"},
            },
            "spec": {
                "group": CONSTRAINTS,
                "scope": "Cluster",
                "names": names_of,
                "versions": [{
                    "name": "v1beta1",
                    "served": true,
                    "storage": true,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {
                            "name": "enforcement-action",
                            "description": "Type of enforcement action",
                            "jsonPath": ".spec.enforcementAction",
                            "type": "string",
                        },
                        {
                            "name": "total-violations",
                            "description": "Total number of violations",
                            "jsonPath": ".status.totalViolations",
                            "type": "integer",
                        },
                    ],
                    "schema": {"openAPIV3Schema": schema},
                }],
            },
        })
    }

    /// Reads a constraint of this template's kind.
    ///
    /// # Errors
    /// If it is malformed, or its parameters do not suit the schema.
    pub fn constraint(&self, object: &Value, source: &str) -> Result<Constraint, Refusal> {
        let bad = |message: String| Refusal::whole("bad-object", source, message);
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.ok_or_else(|| bad("has no `metadata.name`".to_owned()))?;
        let spec = object.get("spec").filter(|spec| !spec.is_null());
        if spec.is_some_and(|spec| !spec.is_object()) {
            return Err(bad("`spec` is not an object".to_owned()));
        }
        let field = |key: &str| spec.and_then(|spec| spec.get(key)).filter(|v| !v.is_null());
        if field("scopedEnforcementActions").is_some() {
            let message = "`spec.scopedEnforcementActions` is not supported; write a constraint for each action";
            return Err(Refusal::whole("unsupported-policy", source, message));
        }
        let action = match field("enforcementAction").map(|action| action.as_str()) {
            None | Some(Some("" | "deny")) => Action::Deny,
            Some(Some("warn")) => Action::Warn,
            Some(Some("dryrun")) => Action::DryRun,
            Some(Some("scoped")) => {
                let message = "`spec.enforcementAction: scoped` is not supported; `deny`, `warn` and `dryrun` are";
                return Err(Refusal::whole("unsupported-policy", source, message));
            }
            Some(_) => {
                return Err(bad(
                    "`spec.enforcementAction` is not `deny`, `warn` or `dryrun`".to_owned(),
                ));
            }
        };
        let matches = field("match").map(Match::parse).transpose().map_err(bad)?;
        let mut parameters = field("parameters").cloned().unwrap_or_else(|| json!({}));
        // Nobody sets defaults within what is not there.
        let given = field("parameters").is_some();
        if let Some(schema) = self.parameters.as_ref().filter(|_| given) {
            schema::set_defaults(schema, &mut parameters);
            schema::check(schema, &parameters, "spec.parameters")
                .map_err(|message| Refusal::whole("bad-parameters", source, message))?;
        }
        Ok(Constraint {
            kind: self.kind.clone(),
            name: name.to_owned(),
            action,
            matches,
            parameters: value(&parameters.into()),
        })
    }

    /// Whether it is about requests of this kind; what is looked at for no request's sake has none.
    pub(crate) fn is_about(&self, operation: &str) -> bool {
        self.operations.is_empty()
            || operation.is_empty()
            || self
                .operations
                .iter()
                .any(|each| each == "*" || each == operation)
    }

    /// Whether it compares with other objects of the cluster.
    pub(crate) fn asks_for_inventory(&self) -> bool {
        self.modules
            .iter()
            .any(|module| module.rego.contains("data.inventory"))
    }

    /// Compiles it.
    pub(crate) fn compile(&self, inventory: &Inventory) -> Result<Program, Refusal> {
        let mended: Vec<Module> = self.modules.iter().map(mend).collect::<Result<_, _>>()?;
        let package = mended.first().map_or("", |module| &module.package);
        let data = crate::review::object([("inventory", inventory.tree())]);
        let modules: Vec<&Module> = mended.iter().collect();
        Program::compile(&modules, &format!("{package}.violation"), &data)
    }
}

impl Constraint {
    /// Whether it is about this object; an error denies.
    pub(crate) fn matches(&self, review: &Review<'_>) -> Result<bool, String> {
        self.matches
            .as_ref()
            .map_or(Ok(true), |matches| matches.matches(review))
    }

    /// The groups and kinds that it may match, pair by pair; none: all. Names and `*`.
    #[must_use]
    pub fn kinds(&self) -> &[(Vec<String>, Vec<String>)] {
        self.matches.as_ref().map_or(&[], Match::kinds)
    }

    pub(crate) fn parameters(&self) -> Rego {
        self.parameters.clone()
    }
}

fn read(object: &Value, source: &str) -> Result<Template, Refusal> {
    let bad = |message: &str| Refusal::whole("bad-object", source, message);
    let unsupported = |message: &str| Refusal::whole("unsupported-policy", source, message);
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let kind = text("/spec/crd/spec/names/kind")
        .filter(|kind| !kind.is_empty())
        .ok_or_else(|| bad("has no `spec.crd.spec.names.kind`"))?;
    if text("/metadata/name") != Some(kind.to_lowercase().as_str()) {
        return Err(bad(
            "`metadata.name` is not `spec.crd.spec.names.kind` in lower case",
        ));
    }
    if !kind.starts_with(|c: char| c.is_ascii_uppercase())
        || !kind.chars().all(|c| c.is_ascii_alphanumeric())
    {
        return Err(bad("`spec.crd.spec.names.kind` is not a kind's name"));
    }
    let targets = object.pointer("/spec/targets").and_then(Value::as_array);
    let [target] = targets.map(Vec::as_slice).unwrap_or_default() else {
        return Err(bad("`spec.targets` is not a list of one target"));
    };
    if target.get("target").and_then(Value::as_str) != Some(TARGET) {
        return Err(bad(&format!("`spec.targets[0].target` is not `{TARGET}`")));
    }
    let code = target.get("code").and_then(Value::as_array);
    let (code, dialect) = match code.map(Vec::as_slice) {
        None | Some([]) => (target, Dialect::V0),
        Some(engines) => {
            let engine = |engine: &Value, name: &str| {
                engine.get("engine").and_then(Value::as_str) == Some(name)
            };
            if engines
                .iter()
                .any(|code| engine(code, "K8sNativeValidation"))
            {
                return Err(unsupported(
                    "Gatekeeper's CEL engine (`K8sNativeValidation`) is not supported; write a ValidatingAdmissionPolicy, or the template in Rego",
                ));
            }
            let code = engines
                .iter()
                .find(|code| engine(code, "Rego"))
                .and_then(|code| code.get("source"))
                .ok_or_else(|| bad("`spec.targets[0].code` has no engine `Rego` with a source"))?;
            let dialect = match code.get("version").and_then(Value::as_str) {
                Some("v1") => Dialect::V1,
                None | Some("" | "v0") => Dialect::V0,
                Some(_) => return Err(bad("the `version` of the source is not `v0` or `v1`")),
            };
            (code, dialect)
        }
    };
    let rego = code
        .get("rego")
        .and_then(Value::as_str)
        .ok_or_else(|| bad("the target has no `rego`"))?;
    let mut modules = vec![parse(&Text {
        source,
        rego,
        dialect,
    })?];
    for (at, lib) in code
        .get("libs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let source = format!("{source} libs[{at}]");
        let rego = lib
            .as_str()
            .ok_or_else(|| bad("a library is not a string"))?;
        let module = parse(&Text {
            source: &source,
            rego,
            dialect,
        })?;
        if !module.package.starts_with("data.lib.") && module.package != "data.lib" {
            return Err(Refusal::whole(
                "foreign-data",
                &source,
                "a library's package begins with `lib`",
            ));
        }
        modules.push(module);
    }
    let parameters = object.pointer("/spec/crd/spec/validation/openAPIV3Schema");
    let parameters = parameters.filter(|schema| !schema.is_null()).cloned();
    if let Some(schema) = &parameters {
        let path = "spec.crd.spec.validation.openAPIV3Schema";
        schema::well_formed(schema, path, 0).map_err(|message| bad(&message))?;
    }
    let operations = target.get("operations").and_then(Value::as_array);
    let operations = operations.into_iter().flatten();
    Ok(Template {
        kind: kind.to_owned(),
        object: object.clone(),
        parameters,
        operations: operations
            .filter_map(|op| op.as_str().map(str::to_owned))
            .collect(),
        modules,
    })
}

fn insert(into: &mut Value, key: &str, value: Value) {
    if let Some(fields) = into.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}
