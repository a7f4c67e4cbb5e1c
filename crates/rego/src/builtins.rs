//! The builtins that policies may call: those that the differential test has found to answer as
//! OPA's do. What is not here is refused, so a builtin that a later engine adds is not called
//! before somebody has compared it.

use crate::syntax::Dialect;

/// Name and number of arguments.
const KNOWN: &[(&str, usize)] = &[
    ("abs", 1),
    ("array.concat", 2),
    ("array.reverse", 1),
    ("array.slice", 3),
    ("base64.decode", 1),
    ("base64.encode", 1),
    ("base64.is_valid", 1),
    ("ceil", 1),
    ("concat", 2),
    ("contains", 2),
    ("count", 1),
    ("endswith", 2),
    ("floor", 1),
    ("format_int", 2),
    ("indexof", 2),
    ("intersection", 1),
    ("is_array", 1),
    ("is_boolean", 1),
    ("is_null", 1),
    ("is_number", 1),
    ("is_object", 1),
    ("is_set", 1),
    ("is_string", 1),
    ("json.marshal", 1),
    ("json.unmarshal", 1),
    ("lower", 1),
    ("max", 1),
    ("min", 1),
    ("net.cidr_contains", 2),
    ("numbers.range", 2),
    ("object.filter", 2),
    ("object.get", 3),
    ("object.keys", 1),
    ("object.remove", 2),
    ("object.union", 2),
    ("product", 1),
    ("regex.is_valid", 1),
    ("regex.match", 2),
    ("regex.replace", 3),
    ("regex.split", 2),
    ("replace", 3),
    ("round", 1),
    ("semver.compare", 2),
    ("semver.is_valid", 1),
    ("sort", 1),
    ("split", 2),
    ("sprintf", 2),
    ("startswith", 2),
    ("strings.any_prefix_match", 2),
    ("strings.any_suffix_match", 2),
    ("strings.replace_n", 2),
    ("strings.reverse", 1),
    ("substring", 3),
    ("sum", 1),
    ("to_number", 1),
    ("trim", 2),
    ("trim_left", 2),
    ("trim_prefix", 2),
    ("trim_right", 2),
    ("trim_space", 1),
    ("trim_suffix", 2),
    ("type_name", 1),
    ("union", 1),
    ("units.parse", 1),
    ("units.parse_bytes", 1),
    ("upper", 1),
    ("walk", 1),
];

/// What OPA keeps for policies of the older dialect, and `mend` puts into other words.
const OLDER: &[(&str, usize)] = &[("any", 1), ("all", 1), ("re_match", 2)];

/// How many arguments a builtin takes; none if there is no such.
pub(crate) fn takes(name: &str, dialect: Dialect) -> Option<usize> {
    let older = OLDER.iter().filter(|_| dialect == Dialect::V0);
    let mut all = KNOWN.iter().chain(older);
    all.find(|(known, _)| *known == name)
        .map(|(_, takes)| *takes)
}

/// What policies call in vain, and the word about it.
const REFUSED: &[(&str, &str)] = &[
    (
        "external_data",
        "external data is not supported: nothing outside is asked during admission",
    ),
    ("http.send", "a policy reaches nothing outside of its input"),
    (
        "net.lookup_ip_addr",
        "a policy reaches nothing outside of its input",
    ),
    (
        "opa.runtime",
        "a policy does not see the process that runs it",
    ),
    ("rand.intn", "a verdict must not depend on chance"),
    ("uuid.rfc4122", "a verdict must not depend on chance"),
    ("time.now_ns", "a verdict must not depend on the clock"),
    ("print", "remove it: admission has nobody to print to"),
    ("trace", "remove it: admission has nobody to print to"),
    (
        "strings.count",
        "the engine panics at an empty needle; use `count(split(s, needle)) - 1`",
    ),
    (
        "glob.match",
        "the engine's globs are not OPA's; use `regex.match`",
    ),
];

/// Why a function that nobody defines is refused, and by which rule.
pub(crate) fn refused(name: &str) -> (&'static str, String) {
    let known = REFUSED.iter().find(|(refused, _)| *refused == name);
    match known {
        Some((_, why)) => ("unsupported-function", format!("`{name}`: {why}")),
        None if name.starts_with("io.jwt.") || name.starts_with("crypto.") => (
            "unsupported-function",
            format!("`{name}`: the engine has no cryptography"),
        ),
        None => (
            "unknown-function",
            format!(
                "`{name}` is no function of this policy, and none of the builtins of `docs/rego.md`"
            ),
        ),
    }
}
