//! Label and field selectors as values. A selector's text is never joined to another one: what
//! the gateway demands and what the client asks for meet as lists of requirements.

use std::collections::BTreeSet;
use std::fmt;

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

/// A label selector: all requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is demanded of its value.
    pub operator: Operator,
}

/// What a requirement demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// The label is there.
    Exists,
    /// The label is not there.
    Absent,
    /// The value is this one.
    Equals(String),
    /// The value is not this one.
    NotEquals(String),
    /// The value is one of these.
    In(BTreeSet<String>),
    /// The value is none of these.
    NotIn(BTreeSet<String>),
    /// The value is a number above this one.
    Greater(u64),
    /// The value is a number below this one.
    Less(u64),
}

impl LabelSelector {
    /// A selector of requirements made here.
    #[must_use]
    pub fn new(requirements: Vec<Requirement>) -> Self {
        Self(requirements)
    }

    /// Reads the text of a `labelSelector` parameter.
    ///
    /// # Errors
    /// If it is not a list of requirements of the forms that Kubernetes documents.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let tokens = tokens(text)?;
        let mut rest = tokens.as_slice();
        let mut requirements = Vec::new();
        loop {
            requirements.push(requirement(&mut rest)?);
            match rest.split_first() {
                None => return Ok(Self(requirements)),
                Some((Token::Comma, tail)) => rest = tail,
                Some((token, _)) => return Err(unexpected(Some(token), "`,` or the end")),
            }
        }
    }

    /// The requirements, in order.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// A selector that demands what both demand.
    #[must_use]
    pub fn and(mut self, other: Option<&Self>) -> Self {
        self.0
            .extend(other.into_iter().flat_map(|o| o.0.iter().cloned()));
        self
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Requirement { key, operator }) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match operator {
                Operator::Exists => f.write_str(key)?,
                Operator::Absent => write!(f, "!{key}")?,
                Operator::Equals(value) => write!(f, "{key}={value}")?,
                Operator::NotEquals(value) => write!(f, "{key}!={value}")?,
                Operator::In(values) => write!(f, "{key} in ({})", joined(values))?,
                Operator::NotIn(values) => write!(f, "{key} notin ({})", joined(values))?,
                Operator::Greater(number) => write!(f, "{key}>{number}")?,
                Operator::Less(number) => write!(f, "{key}<{number}")?,
            }
        }
        Ok(())
    }
}

fn joined(values: &BTreeSet<String>) -> String {
    values
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",")
}

/// A field selector: all terms must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldTerm>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    field: String,
    equal: bool,
    value: String,
}

impl FieldSelector {
    /// Reads the text of a `fieldSelector` parameter.
    ///
    /// # Errors
    /// If it is not a list of `field=value`, `field==value`, `field!=value`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        let mut chars = text.chars();
        loop {
            let (term, more) = field_term(&mut chars)?;
            terms.push(term);
            if !more {
                return Ok(Self(terms));
            }
        }
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}", term.field)?;
            for c in term.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Reads one term and the comma after it; says whether there was one.
fn field_term(chars: &mut std::str::Chars<'_>) -> Result<(FieldTerm, bool), SelectorError> {
    let mut field = String::new();
    let mut equal = None;
    for c in chars.by_ref() {
        match c {
            '=' => equal = Some(true),
            '!' => equal = Some(false),
            c if c.is_ascii_alphanumeric() || "._-".contains(c) => {
                field.push(c);
                continue;
            }
            _ => {}
        }
        break;
    }
    let equal = equal
        .filter(|_| !field.is_empty())
        .ok_or_else(|| SelectorError(format!("expected `field=value`, found `{field}`")))?;
    let after = chars.as_str();
    if equal {
        if after.starts_with('=') {
            chars.next();
        }
    } else if chars.next() != Some('=') {
        return Err(SelectorError(format!("expected `!=` after `{field}`")));
    }
    let mut value = String::new();
    while let Some(c) = chars.next() {
        match c {
            ',' => {
                return Ok((
                    FieldTerm {
                        field,
                        equal,
                        value,
                    },
                    true,
                ));
            }
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                _ => {
                    return Err(SelectorError(format!(
                        "bad escape in the value of `{field}`"
                    )));
                }
            },
            '=' => {
                return Err(SelectorError(format!(
                    "unescaped `=` in the value of `{field}`"
                )));
            }
            c if c.is_control() => {
                return Err(SelectorError(format!(
                    "control character in the value of `{field}`"
                )));
            }
            c => value.push(c),
        }
    }
    Ok((
        FieldTerm {
            field,
            equal,
            value,
        },
        false,
    ))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    NotEquals,
    Greater,
    Less,
}

fn tokens(text: &str) -> Result<Vec<Token>, SelectorError> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            ' ' | '\t' => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Greater,
            '<' => Token::Less,
            '!' if chars.next_if_eq(&'=').is_some() => Token::NotEquals,
            '!' => Token::Not,
            '=' => {
                let _ = chars.next_if_eq(&'=');
                Token::Equals
            }
            c if is_word(c) => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| is_word(*c)) {
                    word.push(c);
                }
                Token::Word(word)
            }
            c => return Err(SelectorError(format!("unexpected {c:?}"))),
        };
        out.push(token);
    }
    Ok(out)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./".contains(c)
}

fn requirement(rest: &mut &[Token]) -> Result<Requirement, SelectorError> {
    if let [Token::Not, tail @ ..] = rest {
        *rest = tail;
        return Ok(Requirement {
            key: key(rest)?,
            operator: Operator::Absent,
        });
    }
    let key = key(rest)?;
    let operator = match rest {
        [] | [Token::Comma, ..] => {
            return Ok(Requirement {
                key,
                operator: Operator::Exists,
            });
        }
        [token, tail @ ..] => {
            *rest = tail;
            token
        }
    };
    let operator = match operator {
        Token::Equals => Operator::Equals(value(rest)?),
        Token::NotEquals => Operator::NotEquals(value(rest)?),
        Token::Greater => Operator::Greater(number(rest)?),
        Token::Less => Operator::Less(number(rest)?),
        Token::Word(word) if word == "in" => Operator::In(set(rest)?),
        Token::Word(word) if word == "notin" => Operator::NotIn(set(rest)?),
        other => return Err(unexpected(Some(other), "an operator")),
    };
    Ok(Requirement { key, operator })
}

fn key(rest: &mut &[Token]) -> Result<String, SelectorError> {
    match rest {
        // Kubernetes reads these two as operators wherever they stand.
        [Token::Word(word), tail @ ..] if is_key(word) && word != "in" && word != "notin" => {
            *rest = tail;
            Ok(word.clone())
        }
        _ => Err(unexpected(rest.first(), "a label key")),
    }
}

/// A value, which may be empty.
fn value(rest: &mut &[Token]) -> Result<String, SelectorError> {
    match rest {
        [Token::Word(word), tail @ ..] if is_label_word(word) => {
            *rest = tail;
            Ok(word.clone())
        }
        [] | [Token::Comma | Token::Close, ..] => Ok(String::new()),
        _ => Err(unexpected(rest.first(), "a label value")),
    }
}

fn number(rest: &mut &[Token]) -> Result<u64, SelectorError> {
    let text = value(rest)?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|n| digits && i64::try_from(*n).is_ok())
        .ok_or_else(|| SelectorError(format!("expected a whole number, found `{text}`")))
}

fn set(rest: &mut &[Token]) -> Result<BTreeSet<String>, SelectorError> {
    let [Token::Open, tail @ ..] = rest else {
        return Err(unexpected(rest.first(), "`(`"));
    };
    *rest = tail;
    let mut values = BTreeSet::new();
    loop {
        values.insert(value(rest)?);
        match rest {
            [Token::Comma, tail @ ..] => *rest = tail,
            [Token::Close, tail @ ..] => {
                *rest = tail;
                return Ok(values);
            }
            _ => return Err(unexpected(rest.first(), "`,` or `)`")),
        }
    }
}

fn unexpected(token: Option<&Token>, expected: &str) -> SelectorError {
    let found = match token {
        None => "the end".to_owned(),
        Some(Token::Word(word)) => format!("`{word}`"),
        Some(Token::Comma) => "`,`".to_owned(),
        Some(Token::Open) => "`(`".to_owned(),
        Some(Token::Close) => "`)`".to_owned(),
        Some(Token::Not) => "`!`".to_owned(),
        Some(Token::Equals) => "`=`".to_owned(),
        Some(Token::NotEquals) => "`!=`".to_owned(),
        Some(Token::Greater) => "`>`".to_owned(),
        Some(Token::Less) => "`<`".to_owned(),
    };
    SelectorError(format!("expected {expected}, found {found}"))
}

/// A label's value or the name part of its key.
fn is_label_word(s: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_alphanumeric();
    s.len() <= 63
        && s.bytes().all(|b| alnum(b) || b"-_.".contains(&b))
        && s.bytes().next().is_some_and(alnum)
        && s.bytes().last().is_some_and(alnum)
}

fn is_key(s: &str) -> bool {
    let (domain, name) = s.split_once('/').map_or((None, s), |(d, n)| (Some(d), n));
    is_label_word(name) && domain.is_none_or(crate::path::is_subdomain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn label_selectors_are_read_and_printed_canonically() {
        for (text, printed) in [
            ("app=web", "app=web"),
            ("app==web", "app=web"),
            ("app = web , tier!=db", "app=web,tier!=db"),
            ("app", "app"),
            ("!app", "!app"),
            ("! app", "!app"),
            ("app in (b, a,b)", "app in (a,b)"),
            ("app notin (a)", "app notin (a)"),
            ("app in ()", "app in ()"),
            ("app=", "app="),
            ("n>1,n<3", "n>1,n<3"),
            ("bulkhead.dev/tenant=acme", "bulkhead.dev/tenant=acme"),
        ] {
            assert_eq!(
                LabelSelector::parse(text).unwrap().to_string(),
                printed,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_label_selector_is_refused() {
        for text in [
            "",
            ",",
            "a,",
            ",a",
            "a=b;x",
            "a=b c=d",
            "a in b",
            "a in (b",
            "a in (b))",
            "a=b)",
            "(a=b)",
            "a||b",
            "a=b\n",
            "a=ä",
            "a=b=c",
            "/a",
            "a/b/c",
            "in",
            "notin=x",
            "a>x",
            "a>-1",
            "a>",
            "A B",
            "!",
            "!a=b",
            "-a",
        ] {
            assert!(LabelSelector::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn field_selectors_are_read_and_printed_canonically() {
        for (text, printed) in [
            ("metadata.name=x", "metadata.name=x"),
            (
                "metadata.name==x,status.phase!=Running",
                "metadata.name=x,status.phase!=Running",
            ),
            (r"a=b\,c\=d\\", r"a=b\,c\=d\\"),
            ("spec.nodeName=", "spec.nodeName="),
        ] {
            assert_eq!(
                FieldSelector::parse(text).unwrap().to_string(),
                printed,
                "{text}"
            );
        }
        for text in [
            "", "a", "a=b,", ",a=b", "a!b", "=b", r"a=\x", r"a=b\", "a=b=c", "a=\u{0}", "a b=c",
        ] {
            assert!(FieldSelector::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn two_selectors_both_hold() {
        let ours = LabelSelector::parse("t=acme").unwrap();
        let theirs = LabelSelector::parse("t=globex").unwrap();
        assert_eq!(
            ours.clone().and(Some(&theirs)).to_string(),
            "t=acme,t=globex"
        );
        assert_eq!(ours.and(None).to_string(), "t=acme");
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer_and_what_is_printed_reads_the_same(
            text in "[ab/.!=<>(), \\\\;in0-9]{0,24}|.{0,16}"
        ) {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
            }
            if let Ok(selector) = FieldSelector::parse(&text) {
                prop_assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
            }
        }
    }
}
