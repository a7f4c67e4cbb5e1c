//! A compiled policy, and its evaluation within limits.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::refusal::Refusal;
use crate::syntax::{Dialect, Module, refusal};

/// How long one policy may think about one object. Public ones need a thousandth of it; a machine
/// that is short of time must not refuse because of that.
pub const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Why a policy gave no answer, which denies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The engine's own words.
    #[error("cannot be evaluated: {0}")]
    Error(String),
    /// A defect of the engine.
    #[error("makes the engine panic")]
    Panic,
    /// A loop, or a product of large lists.
    #[error("takes longer than it may ({} ms)", TIME_LIMIT.as_millis())]
    TooLong,
    /// The set of messages does not exist.
    #[error("gives no set of messages but {0}")]
    NoSet(String),
}

/// What evaluates a policy: the engine's interpreter. Its virtual machine is three times as fast and
/// answers differently from OPA after `else`, and where `:=` is given what is undefined.
///
/// None is shared between threads: the counters of what they would share
/// cost more than evaluation.
pub(crate) struct Program {
    engine: Engine,
    entry: String,
    panicked: bool,
    slow: bool,
}

impl Program {
    /// Compiles modules that have been looked through. `entry` is the path of the rule to ask.
    pub(crate) fn compile(modules: &[&Module], entry: &str, data: &Value) -> Result<Self, Refusal> {
        let name = modules.first().map_or("", |module| &module.source);
        let compiled = catch_unwind(AssertUnwindSafe(|| {
            compile(modules, entry, data).map_err(|error| refusal("syntax", name, &error))
        }));
        let engine = match compiled {
            Ok(engine) => engine?,
            Err(_) => return Err(Refusal::whole("syntax", name, "the compiler panics at it")),
        };
        Ok(Self {
            engine,
            entry: entry.to_owned(),
            panicked: false,
            slow: false,
        })
    }

    /// Puts something else in the place of `data`.
    pub(crate) fn set_data(&mut self, data: Value) -> Result<(), Failure> {
        self.engine.clear_data();
        self.engine
            .add_data(data)
            .map_err(|error| Failure::Error(error.to_string()))
    }

    /// Whether it ran out of time, the last time.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow
    }

    /// What the entry's rule is for an input.
    pub(crate) fn evaluate(&mut self, input: Value) -> Result<Value, Failure> {
        if self.panicked {
            return Err(Failure::Panic);
        }
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            self.engine.set_input(input);
            let value = self.engine.eval_rule(self.entry.clone());
            self.engine.set_input(Value::Undefined);
            value.map_err(|error| error.to_string())
        }));
        self.slow = matches!(&evaluated, Ok(Err(error)) if is_limit(error));
        match evaluated {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if is_limit(&error) => Err(Failure::TooLong),
            Ok(Err(error)) => Err(Failure::Error(last_line(&error))),
            Err(_) => {
                // What a panic leaves behind is trusted with nothing more.
                self.panicked = true;
                Err(Failure::Panic)
            }
        }
    }

    /// The messages of a set, or why there is none.
    pub(crate) fn set(&mut self, input: Value) -> Result<Vec<Value>, Failure> {
        match self.evaluate(input)? {
            Value::Set(set) => Ok(set.iter_sorted().cloned().collect()),
            Value::Undefined => Err(Failure::NoSet("nothing".to_owned())),
            other => Err(Failure::NoSet(format!("`{other}`"))),
        }
    }
}

fn compile(modules: &[&Module], entry: &str, data: &Value) -> Result<Engine, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let timer = ExecutionTimerConfig {
        limit: TIME_LIMIT,
        check_interval: NonZeroU32::new(64).unwrap_or(NonZeroU32::MIN),
    };
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(false);
    engine.set_execution_timer_config(timer);
    for module in modules {
        engine.set_rego_v0(module.dialect == Dialect::V0);
        engine
            .add_policy(module.source.clone(), module.rego.clone())
            .map_err(|error| text(&error))?;
    }
    engine
        .add_data(data.clone())
        .map_err(|error| text(&error))?;
    // Finds what only a look at all modules together can: unsafe variables, missing rules.
    engine
        .compile_with_entrypoint(&entry.into())
        .map_err(|error| text(&error))?;
    Ok(engine)
}

fn is_limit(error: &str) -> bool {
    let error = error.to_lowercase();
    error.contains("time limit") || error.contains("timed out")
}

/// The engine draws a picture of the place before it says what is wrong.
fn last_line(error: &str) -> String {
    let line = error
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    line.unwrap_or("no reason given")
        .trim_start_matches("error: ")
        .to_owned()
}
