//! Policies as OPA and kube-mgmt take them: modules with rules `deny`, asked about the whole
//! AdmissionReview.

use bulkhead_model::Json;
use regorus::Value as Rego;
use serde_json::Value;

use crate::lint::{self, Data};
use crate::mend::mend;
use crate::program::Program;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::review::value;
use crate::syntax::{Dialect, Module, Text, parse};
use crate::tree::Node;

/// The label by which kube-mgmt knows a ConfigMap that holds policies.
pub const POLICY_LABEL: &str = "openpolicyagent.org/policy";

/// The package of a policy that names none, as kube-mgmt's are.
const PACKAGE: &str = "package kubernetes.admission ";

/// The rule that is asked.
const ENTRY: &str = "deny";

/// Modules that share one space of names.
#[derive(Debug, Clone, Default)]
pub struct Plain {
    modules: Vec<Module>,
}

impl Plain {
    /// Takes a module, of the older dialect if it does not parse as the newer.
    ///
    /// # Errors
    /// If it parses as neither.
    pub fn add(&mut self, source: &str, rego: &str) -> Result<(), Refusal> {
        let named = rego
            .lines()
            .any(|line| line.trim_start().starts_with("package "));
        let rego = if named {
            rego.to_owned()
        } else {
            format!("{PACKAGE}{rego}")
        };
        let text = |dialect| Text {
            source,
            rego: &rego,
            dialect,
        };
        // What parses as both means the same as both but for its imports.
        let module = parse(&text(Dialect::V1)).or_else(|newer| {
            parse(&text(Dialect::V0)).map_err(|older| {
                let v1 = rego.contains("rego.v1")
                    || rego.contains(" if ")
                    || rego.contains(" contains ");
                if v1 { newer } else { older }
            })
        })?;
        self.modules.push(module);
        Ok(())
    }

    /// Takes the modules of a ConfigMap.
    ///
    /// # Errors
    /// If one does not parse, or there is none.
    pub fn add_config_map(&mut self, object: &Value, source: &str) -> Result<(), Refusal> {
        let data = object.get("data").and_then(Value::as_object);
        let mut some = false;
        for (key, text) in data.into_iter().flatten() {
            let text = text.as_str().unwrap_or_default();
            self.add(&format!("{source} data.{key}"), text)?;
            some = true;
        }
        if some {
            return Ok(());
        }
        Err(Refusal::whole(
            "bad-object",
            source,
            "has the label of a policy and no data",
        ))
    }

    /// Whether there is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Looks through all modules together.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn lint(&self) -> Result<(), Vec<Refusal>> {
        let modules: Vec<&Module> = self.modules.iter().collect();
        let mut found = lint::lint(&modules, Data::Packages);
        for module in modules.iter().filter(|module| !is_test(module)) {
            if lint::has(module, ENTRY)
                && let Err(refusal) = lint::entry(module, ENTRY, false)
            {
                found.push(refusal);
            }
        }
        // A folder may hold the text of templates, and tests of them, beside the templates.
        let other = modules
            .iter()
            .any(|module| is_test(module) || lint::has(module, "violation"));
        if !modules.is_empty() && !other && self.entries().is_empty() {
            let source = modules.first().map_or("", |module| &module.source);
            found.push(Refusal::whole(
                "not-a-set",
                source,
                "defines no rule `deny`, which is what is asked",
            ));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Compiles one rule, `data.package.name`, to be asked by itself. `data` is what the modules
    /// find beside their own packages.
    ///
    /// # Errors
    /// What is wrong with the modules, be it in what this rule does not need.
    pub fn query(&self, rule: &str, data: &Json<'_>) -> Result<Query, Vec<Refusal>> {
        let modules: Vec<&Module> = self.modules.iter().collect();
        let found = lint::lint(&modules, Data::Packages);
        if !found.is_empty() {
            return Err(found);
        }
        let mended: Result<Vec<Module>, Refusal> = self.modules.iter().map(mend).collect();
        let program = mended.and_then(|mended| {
            let modules: Vec<&Module> = mended.iter().collect();
            Program::compile(&modules, rule, &value(data))
        });
        program
            .map(|program| Query { program })
            .map_err(|refusal| vec![refusal])
    }

    /// The packages that have a rule `deny`, with the file of the first.
    fn entries(&self) -> Vec<(&str, &str)> {
        let mut entries: Vec<(&str, &str)> = Vec::new();
        for module in self
            .modules
            .iter()
            .filter(|module| lint::has(module, ENTRY))
        {
            if !entries
                .iter()
                .any(|(package, _)| *package == module.package)
            {
                entries.push((&module.package, &module.source));
            }
        }
        entries
    }

    /// The tests, as OPA knows them: rules `test_…`, each as `data.package.test_…` and its file.
    #[must_use]
    pub fn tests(&self) -> Vec<(String, &str)> {
        let mut tests = Vec::new();
        for module in &self.modules {
            for rule in lint::rules(module) {
                let head = rule.child("head").and_then(|head| head.child("refr"));
                if let Some(name) = head
                    .and_then(Node::root)
                    .filter(|name| name.starts_with("test_"))
                {
                    let test = (format!("{}.{name}", module.package), module.source.as_str());
                    if !tests.contains(&test) {
                        tests.push(test);
                    }
                }
            }
        }
        tests
    }

    /// Compiles one program for each package that has a rule `deny`, with what it is called.
    pub(crate) fn compile(&self) -> Result<Vec<(String, Program)>, Refusal> {
        let mended: Vec<Module> = self.modules.iter().map(mend).collect::<Result<_, _>>()?;
        let modules: Vec<&Module> = mended.iter().collect();
        let data = Rego::new_object();
        let each = self.entries().into_iter().map(|(package, source)| {
            let program = Program::compile(&modules, &format!("{package}.{ENTRY}"), &data)?;
            Ok((source.to_owned(), program))
        });
        each.collect()
    }
}

fn is_test(module: &Module) -> bool {
    module.source.ends_with("_test.rego")
}
