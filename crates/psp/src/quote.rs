//! Values as Go prints them, because the original's messages hold them.

use std::fmt::{self, Write as _};

use crate::policy::IdRange;

/// A string as Go's `%q` prints it.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\u{7}' => f.write_str("\\a")?,
                '\u{8}' => f.write_str("\\b")?,
                '\u{c}' => f.write_str("\\f")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\u{b}' => f.write_str("\\v")?,
                control if control.is_ascii_control() => {
                    write!(f, "\\x{:02x}", u32::from(control))?;
                }
                plain if plain.is_ascii() || printable(plain) => f.write_char(plain)?,
                other => match u32::from(other) {
                    code if code <= 0xffff => write!(f, "\\u{code:04x}")?,
                    code => write!(f, "\\U{code:08x}")?,
                },
            }
        }
        f.write_char('"')
    }
}

/// Rust escapes a mark that stands first in a string, and else what does not print.
fn printable(character: char) -> bool {
    let shown = format!("a{character}");
    shown.escape_debug().nth(1) != Some('\\')
}

/// A list as Go's `%#v` prints it, `[]core.Capability{"A"}`; `None` is a list that is unset.
pub(crate) fn listed<'a>(kind: &str, list: Option<impl IntoIterator<Item = &'a str>>) -> String {
    let Some(list) = list else {
        return format!("[]{kind}(nil)");
    };
    let items: Vec<String> = list
        .into_iter()
        .map(|one| Quoted(one).to_string())
        .collect();
    format!("[]{kind}{{{}}}", items.join(", "))
}

/// Ranges as Go's `%v` prints them: `[{1 65535}]`.
pub(crate) fn ranges(ranges: &[IdRange]) -> String {
    let items: Vec<String> = ranges
        .iter()
        .map(|range| format!("{{{} {}}}", range.min, range.max))
        .collect();
    format!("[{}]", items.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_quotes_them() {
        for (text, quoted) in [
            ("plain", r#""plain""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{1}\u{7f}\n\t\u{b}", r#""\x01\x7f\n\t\v""#),
            ("é中\u{301}", "\"é中\u{301}\""),
            ("\u{200b}\u{e000}\u{10ffff}", r#""\u200b\ue000\U0010ffff""#),
        ] {
            assert_eq!(Quoted(text).to_string(), quoted);
        }
        assert_eq!(
            listed("core.Capability", Some(["A", "B"])),
            r#"[]core.Capability{"A", "B"}"#
        );
        assert_eq!(listed("string", None::<[&str; 0]>), "[]string(nil)");
    }
}
