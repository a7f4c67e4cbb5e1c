//! What a person sees while they wait. On a terminal the line of the step under way is rewritten;
//! elsewhere each step is a line when it is done.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

/// How often a long step says that it is still under way where a line cannot be rewritten.
const REMIND: Duration = Duration::from_secs(30);

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const DIM: Style = Style::new().dimmed();

pub(super) struct Progress {
    started: Instant,
    rewrite: bool,
    /// What the unfinished line says.
    open: Option<String>,
    reminded: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            rewrite: io::stderr().is_terminal(),
            open: None,
            reminded: now,
        }
    }

    /// A step begins or goes on.
    pub(super) fn doing(&mut self, text: &str) {
        if self.rewrite {
            self.open = Some(text.to_owned());
            let _ = write!(anstream::stderr(), "\r\x1b[2K  {DIM}{text} …{DIM:#}");
            let _ = io::stderr().flush();
        } else if self.reminded.elapsed() > REMIND {
            self.reminded = Instant::now();
            anstream::eprintln!("  {text} …");
        }
    }

    /// A step is done.
    pub(super) fn done(&mut self, text: &str) {
        self.clear();
        self.reminded = Instant::now();
        let seconds = self.started.elapsed().as_secs_f32();
        anstream::eprintln!("{GOOD}✓{GOOD:#} {text:<66} {DIM}{seconds:>5.1} s{DIM:#}");
    }

    /// Something to know.
    pub(super) fn note(&mut self, text: &str) {
        self.clear();
        anstream::eprintln!("  {text}");
    }

    fn clear(&mut self) {
        if self.open.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    /// An error is printed on a line of its own.
    fn drop(&mut self) {
        self.clear();
    }
}
