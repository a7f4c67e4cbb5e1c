//! `ARG` and `ENV`, and their use.

use std::collections::BTreeMap;

/// What variables are known in a stage. `ENV` beats `ARG`, whichever comes first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    args: BTreeMap<String, Option<String>>,
    env: BTreeMap<String, Option<String>>,
}

/// A word with its variables replaced.
#[derive(Debug, PartialEq)]
pub(crate) enum Expanded {
    Known(String),
    /// The first variable that has no value before somebody builds.
    Unknown(String),
}

impl Variables {
    /// `ARG name[=default] …`. Without a default it takes that of the global one.
    pub(crate) fn arg(&mut self, arguments: &str, global: Option<&Self>) {
        for word in words(arguments) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), self.value(value)),
                None => {
                    let inherited = global.and_then(|global| global.args.get(&word).cloned());
                    (word, inherited.flatten())
                }
            };
            self.args.insert(name, value);
        }
    }

    /// `ENV name=value …`, or `ENV name value`.
    pub(crate) fn env(&mut self, arguments: &str) {
        let words = words(arguments);
        let old_form = words.first().is_some_and(|first| !first.contains('='));
        if old_form {
            let mut parts = arguments.trim().splitn(2, char::is_whitespace);
            let name = parts.next().unwrap_or_default().to_owned();
            let value = self.value(parts.next().unwrap_or_default().trim());
            self.env.insert(name, value);
            return;
        }
        // All of one line see the variables as they were before it.
        let pairs = words.iter().filter_map(|word| word.split_once('='));
        let new: Vec<_> = pairs
            .map(|(name, value)| (name.to_owned(), self.value(value)))
            .collect();
        self.env.extend(new);
    }

    fn value(&self, text: &str) -> Option<String> {
        match self.expand(text) {
            Expanded::Known(value) => Some(value),
            Expanded::Unknown(_) => None,
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.env.get(name).or_else(|| self.args.get(name));
        found.and_then(Option::as_deref)
    }

    /// Replaces variables and takes quotes away.
    pub(crate) fn expand(&self, word: &str) -> Expanded {
        let mut out = String::new();
        let mut quote = None;
        let mut rest = word.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\\' if quote != Some('\'') => out.extend(rest.next()),
                '\'' | '"' if quote == Some(c) => quote = None,
                '\'' | '"' if quote.is_none() => quote = Some(c),
                '$' if quote != Some('\'') => {
                    let name: String = if rest.next_if_eq(&'{').is_some() {
                        let mut depth = 1;
                        rest.by_ref()
                            .take_while(|c| {
                                depth += i32::from(*c == '{') - i32::from(*c == '}');
                                depth > 0
                            })
                            .collect()
                    } else {
                        let mut name = String::new();
                        while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
                        {
                            name.push(c);
                        }
                        name
                    };
                    match self.substitute(&name) {
                        Expanded::Known(value) => out.push_str(&value),
                        unknown => return unknown,
                    }
                }
                c => out.push(c),
            }
        }
        Expanded::Known(out)
    }

    /// The inside of `${…}`: a name, or a name with `:-`, `-`, `:+`, `+` and a word.
    fn substitute(&self, inside: &str) -> Expanded {
        let end = inside
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(inside.len());
        let (name, modifier) = inside.split_at(end);
        let value = self.get(name);
        let strict = modifier.starts_with(':');
        let usable = value.filter(|value| !strict || !value.is_empty());
        let modifier = modifier.trim_start_matches(':');
        // A variable that somebody may set when building has a value that nobody knows yet.
        let open = value.is_none() && self.args.contains_key(name) && !self.env.contains_key(name);
        match (modifier.get(..1), usable) {
            (None | Some(""), Some(value)) => Expanded::Known(value.to_owned()),
            (Some("-"), Some(value)) => Expanded::Known(value.to_owned()),
            (Some("-"), None) if !open => self.expand(modifier.get(1..).unwrap_or_default()),
            (Some("+"), Some(_)) => self.expand(modifier.get(1..).unwrap_or_default()),
            (Some("+"), None) if !open => Expanded::Known(String::new()),
            _ => Expanded::Unknown(name.to_owned()),
        }
    }
}

/// Words between blanks, quotes still on.
pub(crate) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if quote != Some('\'') => {
                word.push(c);
                word.extend(rest.next());
                continue;
            }
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            c if c.is_whitespace() && quote.is_none() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
