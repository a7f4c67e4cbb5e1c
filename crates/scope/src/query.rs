//! The query of a request target as typed values. Upstream drops a pair that it cannot read,
//! ignores keys that it does not know and takes the first of two: each of these widens what is
//! asked for, so all of them are refused here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::denial::Denial;
use crate::selector::{FieldSelector, LabelSelector};

/// Which parameters make sense depends on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Document,
    OpenApiV3,
    Get,
    Log,
    List,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    Exec,
    Attach,
    PortForward,
}

/// One parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryValue {
    /// A truth value.
    Bool(bool),
    /// A whole number that is not negative.
    Number(u64),
    /// A text of an alphabet that the parameter fixes, or one of a few words.
    Text(String),
    /// A label selector.
    Labels(LabelSelector),
    /// A field selector.
    Fields(FieldSelector),
    /// Texts in the order in which they were given.
    Texts(Vec<String>),
}

/// The parameters of a request, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(BTreeMap<&'static str, QueryValue>);

struct Parameter {
    name: &'static str,
    form: Form,
    operations: &'static [Operation],
}

enum Form {
    Bool,
    Number,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// At most so many characters of ASCII letters, digits and these.
    Text(usize, &'static str),
    Duration,
    Labels,
    Fields,
    /// Any text, and further ones under the same name.
    Words,
    /// Ports, by commas or under the same name again.
    Ports,
}

const READS: &[Operation] = &[Operation::Get, Operation::List];
const LISTS: &[Operation] = &[Operation::List, Operation::DeleteCollection];
const WRITES: &[Operation] = &[Operation::Create, Operation::Update, Operation::Patch];
const CHANGES: &[Operation] = &[
    Operation::Create,
    Operation::Update,
    Operation::Patch,
    Operation::Delete,
    Operation::DeleteCollection,
];
const DELETES: &[Operation] = &[Operation::Delete, Operation::DeleteCollection];
const LOG: &[Operation] = &[Operation::Log];
const EXEC: &[Operation] = &[Operation::Exec];
const STREAMS: &[Operation] = &[Operation::Exec, Operation::Attach];
const ALL: &[Operation] = &[
    Operation::Document,
    Operation::OpenApiV3,
    Operation::Get,
    Operation::Log,
    Operation::List,
    Operation::Create,
    Operation::Update,
    Operation::Patch,
    Operation::Delete,
    Operation::DeleteCollection,
];

const ANY: &[Operation] = &[
    Operation::Document,
    Operation::OpenApiV3,
    Operation::Get,
    Operation::Log,
    Operation::List,
    Operation::Create,
    Operation::Update,
    Operation::Patch,
    Operation::Delete,
    Operation::DeleteCollection,
    Operation::Exec,
    Operation::Attach,
    Operation::PortForward,
];

const fn parameter(name: &'static str, form: Form, operations: &'static [Operation]) -> Parameter {
    Parameter {
        name,
        form,
        operations,
    }
}

static PARAMETERS: &[Parameter] = &[
    parameter("pretty", Form::Bool, ALL),
    parameter("timeout", Form::Duration, ANY),
    parameter("hash", Form::Text(256, ""), &[Operation::OpenApiV3]),
    parameter(
        "resourceVersion",
        Form::Text(20, ""),
        &[Operation::Get, Operation::List, Operation::DeleteCollection],
    ),
    parameter(
        "includeObject",
        Form::OneOf(&["None", "Metadata", "Object"]),
        READS,
    ),
    parameter("labelSelector", Form::Labels, LISTS),
    parameter("fieldSelector", Form::Fields, LISTS),
    parameter(
        "resourceVersionMatch",
        Form::OneOf(&["Exact", "NotOlderThan"]),
        LISTS,
    ),
    parameter("timeoutSeconds", Form::Number, LISTS),
    parameter("limit", Form::Number, LISTS),
    parameter("continue", Form::Text(4096, "_-="), LISTS),
    parameter("watch", Form::Bool, &[Operation::List]),
    parameter("allowWatchBookmarks", Form::Bool, &[Operation::List]),
    parameter("sendInitialEvents", Form::Bool, &[Operation::List]),
    parameter("dryRun", Form::OneOf(&["All"]), CHANGES),
    parameter("fieldManager", Form::Text(128, "-_.:/@+() "), WRITES),
    parameter(
        "fieldValidation",
        Form::OneOf(&["Ignore", "Warn", "Strict"]),
        WRITES,
    ),
    parameter("force", Form::Bool, &[Operation::Patch]),
    parameter("gracePeriodSeconds", Form::Number, DELETES),
    parameter(
        "propagationPolicy",
        Form::OneOf(&["Orphan", "Background", "Foreground"]),
        DELETES,
    ),
    parameter("orphanDependents", Form::Bool, DELETES),
    parameter(
        "container",
        Form::Text(63, "-"),
        &[Operation::Log, Operation::Exec, Operation::Attach],
    ),
    parameter("command", Form::Words, EXEC),
    parameter("stdin", Form::Bool, STREAMS),
    parameter("stdout", Form::Bool, STREAMS),
    parameter("stderr", Form::Bool, STREAMS),
    parameter("tty", Form::Bool, STREAMS),
    parameter("ports", Form::Ports, &[Operation::PortForward]),
    parameter("follow", Form::Bool, LOG),
    parameter("previous", Form::Bool, LOG),
    parameter("timestamps", Form::Bool, LOG),
    parameter("sinceSeconds", Form::Number, LOG),
    parameter("sinceTime", Form::Text(40, "-:.+"), LOG),
    parameter("tailLines", Form::Number, LOG),
    parameter("limitBytes", Form::Number, LOG),
    parameter("stream", Form::OneOf(&["All", "Stdout", "Stderr"]), LOG),
];

/// Clients send these empty when they mean nothing by them, and upstream reads it so.
const MAY_BE_EMPTY: [&str; 5] = [
    "container",
    "labelSelector",
    "fieldSelector",
    "resourceVersion",
    "continue",
];

/// All but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Query {
    pub(crate) fn parse(raw: Option<&str>, operation: Operation) -> Result<Self, Denial> {
        let mut out = Self::default();
        let mut seen = BTreeSet::new();
        // Everybody skips empty pairs, and some clients begin with one (`?&watch=true`).
        for pair in raw
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            out.add(pair, operation, &mut seen)?;
        }
        Ok(out)
    }

    fn add(
        &mut self,
        pair: &str,
        operation: Operation,
        seen: &mut BTreeSet<&'static str>,
    ) -> Result<(), Denial> {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Denial::bad_request(format!(
                "the query holds `{}`: expected `key=value`",
                shown(pair)
            ))
        })?;
        let key = unescape(key)?;
        let known = PARAMETERS.iter().find(|p| p.name == key);
        let Some(parameter) = known.filter(|p| p.operations.contains(&operation)) else {
            let names: Vec<&str> = PARAMETERS
                .iter()
                .filter(|p| p.operations.contains(&operation))
                .map(|p| p.name)
                .collect();
            return Err(Denial::bad_request(format!(
                "the query parameter `{}` is not known here: expected one of {}",
                shown(&key),
                names.join(", ")
            )));
        };
        let name = parameter.name;
        let (words, ports) = (
            matches!(parameter.form, Form::Words),
            matches!(parameter.form, Form::Ports),
        );
        if !seen.insert(name) && !words && !ports {
            return Err(Denial::bad_request(format!(
                "the query parameter `{name}` is given twice"
            )));
        }
        // A command holds line ends, where people write scripts.
        let value = if words {
            unescape_text(value)?
        } else {
            unescape(value)?
        };
        if value.is_empty() && MAY_BE_EMPTY.contains(&name) {
            return Ok(());
        }
        let value = parameter.form.read(&value).map_err(|expected| {
            Denial::bad_request(format!(
                "the query parameter `{name}` is `{}`: {expected}",
                shown(&value)
            ))
        })?;
        match (self.0.get_mut(name), value) {
            (Some(QueryValue::Texts(before)), QueryValue::Texts(more)) => before.extend(more),
            (_, value) => drop(self.0.insert(name, value)),
        }
        Ok(())
    }

    /// Whether a list is to go on as a watch.
    #[must_use]
    pub fn watch(&self) -> bool {
        self.flag("watch")
    }

    /// A truth value; false if it is not given.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(QueryValue::Bool(true)))
    }

    /// A parameter's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&QueryValue> {
        self.0.get(name)
    }

    pub(crate) fn set(&mut self, name: &'static str, value: QueryValue) {
        self.0.insert(name, value);
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<QueryValue> {
        self.0.remove(name)
    }

    /// The query as it goes upstream, without `?`; empty if there are no parameters.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let mut add = |name: &str, text: &str| {
            let and = if out.is_empty() { "" } else { "&" };
            let _ = write!(out, "{and}{name}={}", utf8_percent_encode(text, ESCAPED));
        };
        for (name, value) in &self.0 {
            match value {
                QueryValue::Bool(b) => add(name, &b.to_string()),
                QueryValue::Number(n) => add(name, &n.to_string()),
                QueryValue::Text(text) => add(name, text),
                QueryValue::Labels(selector) => add(name, &selector.to_string()),
                QueryValue::Fields(selector) => add(name, &selector.to_string()),
                QueryValue::Texts(texts) => texts.iter().for_each(|text| add(name, text)),
            }
        }
        out
    }
}

impl Form {
    fn read(&self, value: &str) -> Result<QueryValue, String> {
        match self {
            // Python writes them with a capital. Upstream reads any word that it does not know as
            // true, so no other is taken.
            Self::Bool => match value {
                "true" | "1" | "True" => Ok(QueryValue::Bool(true)),
                "false" | "0" | "False" => Ok(QueryValue::Bool(false)),
                _ => Err("expected `true` or `false`".into()),
            },
            Self::Number => number(value)
                .map(QueryValue::Number)
                .ok_or_else(|| "expected a whole number that is not negative".into()),
            Self::OneOf(words) => words
                .contains(&value)
                .then(|| QueryValue::Text(value.to_owned()))
                .ok_or_else(|| format!("expected {}", words.join(" or "))),
            Self::Text(max, extra) => (!value.is_empty()
                && value.len() <= *max
                && value
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || extra.contains(c)))
            .then(|| QueryValue::Text(value.to_owned()))
            .ok_or_else(|| {
                let extra = if extra.is_empty() {
                    String::new()
                } else {
                    format!(" and `{extra}`")
                };
                format!("expected 1 to {max} characters of letters, digits{extra}")
            }),
            Self::Duration => duration(value)
                .map(QueryValue::Text)
                .ok_or_else(|| "expected a duration of one unit, such as `32s` or `500ms`".into()),
            Self::Labels => LabelSelector::parse(value)
                .map(QueryValue::Labels)
                .map_err(|error| error.to_string()),
            Self::Fields => FieldSelector::parse(value)
                .map(QueryValue::Fields)
                .map_err(|error| error.to_string()),
            Self::Words => Ok(QueryValue::Texts(vec![value.to_owned()])),
            Self::Ports => value
                .split(',')
                .map(|port| {
                    number(port)
                        .and_then(|port| u16::try_from(port).ok())
                        .filter(|port| *port > 0)
                        .map(|port| port.to_string())
                })
                .collect::<Option<Vec<String>>>()
                .map(QueryValue::Texts)
                .ok_or_else(|| "expected ports from 1 to 65535".into()),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|n| digits && i64::try_from(*n).is_ok())
}

/// Go's durations, as client libraries print them: `32s`, `1m30s`, `500ms`, `1h0m0s`.
fn duration(text: &str) -> Option<String> {
    let mut rest = text;
    let mut last = 4;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest
            .split_at_checked(digits)
            .filter(|(c, _)| (1..=9).contains(&c.len()))?;
        count.parse::<u32>().ok()?;
        let (rank, unit) = [(1, "ms"), (4, "h"), (3, "m"), (2, "s")]
            .into_iter()
            .find(|(_, unit)| tail.starts_with(unit))?;
        // Units fall, the first may be any.
        if rest.len() < text.len() && rank >= last {
            return None;
        }
        last = rank;
        rest = tail.strip_prefix(unit)?;
    }
    (!text.is_empty()).then(|| text.to_owned())
}

fn unescape(text: &str) -> Result<String, Denial> {
    unescape_text(text).and_then(|plain| match plain.chars().any(char::is_control) {
        false => Ok(plain),
        true => Err(Denial::bad_request(format!(
            "the query holds an escaped control character in `{}`",
            shown(text)
        ))),
    })
}

/// The same with control characters, which are part of a text. No NUL: the kernel's commands end
/// there.
fn unescape_text(text: &str) -> Result<String, Denial> {
    let bad =
        |why: &str| Denial::bad_request(format!("the query holds {why} in `{}`", shown(text)));
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(bad("a bad escape"));
                };
                out.push(u8::try_from(high * 16 + low).map_err(|_| bad("a bad escape"))?);
            }
            b'+' => out.push(b' '),
            // Upstream drops a pair with a bare `;` silently, and with it a selector.
            b';' => return Err(bad("a bare `;`")),
            0x21..=0x7e => out.push(b),
            _ => return Err(bad("a character that must be escaped")),
        }
    }
    String::from_utf8(out)
        .ok()
        .filter(|s| !s.contains('\0'))
        .ok_or_else(|| bad("an escaped control character or no UTF-8"))
}

/// Client text inside a message: short, printable.
fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().count() > 64 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(query: &str, operation: Operation) -> String {
        Query::parse(Some(query), operation).unwrap().encode()
    }

    #[test]
    fn queries_are_read_and_printed_canonically() {
        use Operation::{
            Create, Delete, Document, Exec, Get, List, Log, OpenApiV3, Patch, PortForward,
        };
        for (operation, query, printed) in [
            (List, "", ""),
            (List, "watch=1", "watch=true"),
            (List, "watch=True", "watch=true"),
            (List, "watch=False", "watch=false"),
            (List, "watch=0&limit=500", "limit=500&watch=false"),
            (
                List,
                "labelSelector=app%3Dweb,tier+in+(a,b)",
                "labelSelector=app%3Dweb%2Ctier%20in%20%28a%2Cb%29",
            ),
            (List, "labelSelector=&limit=5", "limit=5"),
            (
                List,
                "fieldSelector=metadata.name%3Dx&watch=true",
                "fieldSelector=metadata.name%3Dx&watch=true",
            ),
            (
                List,
                "limit=500&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
                "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ&limit=500",
            ),
            (List, "%77atch=true", "watch=true"),
            (Get, "timeout=32s", "timeout=32s"),
            (Document, "timeout=1m30s", "timeout=1m30s"),
            (OpenApiV3, "hash=0AF3", "hash=0AF3"),
            (
                Create,
                "fieldManager=kubectl-create&fieldValidation=Strict&dryRun=All",
                "dryRun=All&fieldManager=kubectl-create&fieldValidation=Strict",
            ),
            (
                Patch,
                "fieldManager=kubectl&force=true",
                "fieldManager=kubectl&force=true",
            ),
            (
                Delete,
                "gracePeriodSeconds=0&propagationPolicy=Background",
                "gracePeriodSeconds=0&propagationPolicy=Background",
            ),
            (
                Log,
                "follow=true&container=web&tailLines=10",
                "container=web&follow=true&tailLines=10",
            ),
            // The JavaScript client names the only container so.
            (Exec, "command=sh&container=", "command=sh"),
            (
                Exec,
                "stdin=false&command=sh&tty=1&command=-c&command=a+%26%0A%22b%22&command=",
                "command=sh&command=-c&command=a%20%26%0A%22b%22&command=&stdin=false&tty=true",
            ),
            (
                PortForward,
                "ports=80,81&ports=443",
                "ports=80&ports=81&ports=443",
            ),
            (
                Log,
                "sinceTime=2026-01-01T00:00:00%2B02:00",
                "sinceTime=2026-01-01T00%3A00%3A00%2B02%3A00",
            ),
        ] {
            assert_eq!(encoded(query, operation), printed, "{query}");
        }
    }

    #[test]
    fn what_upstream_would_drop_or_read_otherwise_is_refused() {
        use Operation::{Attach, Create, Document, Exec, Get, List, Log, PortForward};
        for (operation, query, says) in [
            (List, "labelSelector=a=b;x", "`;`"),
            (List, "labelSelector=a%3Db&labelSelector=", "given twice"),
            (List, "labelSelector=&labelSelector=a", "given twice"),
            (List, "limit=1&limit=2", "given twice"),
            (List, "watch=true&%77atch=false", "given twice"),
            (List, "labelSelector=a%3Db%zz", "bad escape"),
            (List, "labelSelector=a%3", "bad escape"),
            (List, "labelSelector=%ff", "no UTF-8"),
            (List, "labelSelector=a%00", "control character"),
            (List, "labelSelector=ä", "must be escaped"),
            (List, "LabelSelector=a", "not known here"),
            (List, "namespace=globex", "not known here"),
            (List, "metadata.namespace=globex", "not known here"),
            (List, "watch", "expected `key=value`"),
            (List, "=x", "not known here"),
            (List, "watch=", "expected `true` or `false`"),
            (List, "watch=no", "expected `true` or `false`"),
            (List, "watch=FALSE", "expected `true` or `false`"),
            (List, "limit=-1", "whole number"),
            (List, "limit=%2B1", "whole number"),
            (List, "limit=18446744073709551615", "whole number"),
            (List, "resourceVersion=a/b", "letters, digits"),
            (List, "continue=a.b", "letters, digits"),
            (List, "labelSelector=a%3Db)", "expected"),
            (List, "dryRun=All", "not known here"),
            (Get, "watch=true", "not known here"),
            (Get, "labelSelector=a", "not known here"),
            (Get, "command=sh", "not known here"),
            (Create, "dryRun=None", "expected All"),
            (Create, "dryRun=All&dryRun=All", "given twice"),
            (Document, "verbose=true", "not known here"),
            (Document, "timeout=s", "duration"),
            (Document, "timeout=1s1m", "duration"),
            (Document, "timeout=", "duration"),
            (Log, "insecureSkipTLSVerifyBackend=true", "not known here"),
            (Log, "container=a/b", "letters, digits"),
            (Log, "command=sh", "not known here"),
            (Exec, "command=a%00", "control character"),
            (Exec, "command=a;b", "`;`"),
            (Exec, "stdin=true&stdin=true", "given twice"),
            (Exec, "container=a%0ab", "control character"),
            (Exec, "follow=true", "not known here"),
            (Attach, "command=sh", "not known here"),
            (PortForward, "ports=0", "ports from 1 to 65535"),
            (PortForward, "ports=80,,81", "ports from"),
            (PortForward, "ports=65536", "ports from"),
            (PortForward, "ports=http", "ports from"),
            (PortForward, "stdin=true", "not known here"),
        ] {
            let denial = Query::parse(Some(query), operation).unwrap_err();
            assert_eq!(denial.status, 400, "{query}");
            assert!(denial.message.contains(says), "{query}: {}", denial.message);
        }
    }

    #[test]
    fn each_parameter_is_named_once() {
        let names: std::collections::BTreeSet<&str> = PARAMETERS.iter().map(|p| p.name).collect();
        assert_eq!(names.len(), PARAMETERS.len());
    }
}
