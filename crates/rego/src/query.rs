//! One rule of a set of modules, asked by itself: what tests of policies do.

use std::fmt;

use bulkhead_model::Json;
use serde_json::Value;

use crate::program::{Failure, Program};
use crate::review::value;

/// A compiled rule.
pub struct Query {
    pub(crate) program: Program,
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query")
    }
}

impl Query {
    /// What the rule is for an input; none if it is undefined. Sets are lists in their order.
    ///
    /// # Errors
    /// If it gives no answer.
    pub fn ask(&mut self, input: &Json<'_>) -> Result<Option<Value>, Failure> {
        let answer = self.program.evaluate(value(input))?;
        if answer == regorus::Value::Undefined {
            return Ok(None);
        }
        let text = answer
            .to_json_str()
            .map_err(|error| Failure::Error(error.to_string()))?;
        let answer = serde_json::from_str(&text);
        answer
            .map(Some)
            .map_err(|error| Failure::Error(error.to_string()))
    }
}
