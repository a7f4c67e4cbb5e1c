//! The ends of log files.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How many lines of a log an error shows.
pub const TAIL_LINES: usize = 20;

/// No more than this is read: a log may be large, its lines long.
const WINDOW: u64 = 32 * 1024;

/// The last lines of a file, without the final line break; a note in their place if it cannot be
/// read or is empty.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    match read_window(path) {
        Ok(text) if text.trim().is_empty() => format!("(`{}` is empty)", path.display()),
        Ok(text) => last_lines(&text, lines),
        Err(error) => format!("(cannot read `{}`: {error})", path.display()),
    }
}

fn read_window(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line of a window that begins inside the file is most likely half a line.
    Ok(match text.split_once('\n') {
        Some((_, whole)) if start > 0 && !whole.is_empty() => whole.to_owned(),
        _ => text.into_owned(),
    })
}

fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown() {
        for (text, expect) in [
            ("a\nb\nc\n", "b\nc"),
            ("a\nb\nc", "b\nc"),
            ("a\n", "a"),
            ("a\r\nb\r\nc\r\n", "b\nc"),
        ] {
            assert_eq!(last_lines(text, 2), expect);
        }
    }

    #[test]
    fn a_large_log_gives_whole_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text: String = (0..20_000).map(|i| format!("line {i} ü\n")).collect();
        std::fs::write(file.path(), text).unwrap();
        let tail = tail(file.path(), 5000);
        let first = tail.lines().next().unwrap();
        assert!(
            first.starts_with("line ") && first.ends_with(" ü"),
            "{first}"
        );
        assert!(tail.ends_with("line 19999 ü"));
        assert!(tail.len() <= 32 * 1024);
    }

    #[test]
    fn an_empty_or_absent_log_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(tail(file.path(), 5).ends_with("is empty)"));
        assert!(tail(Path::new("/no/such/log"), 5).starts_with("(cannot read `/no/such/log`"));
    }
}
