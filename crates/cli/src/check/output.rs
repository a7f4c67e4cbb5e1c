//! Where the report goes, and what is said beside it.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use bulkhead_controls::{Language, by_name, explain};
use bulkhead_report::{Format, Look, Summary, Writer};

use super::UNUSABLE;
use super::files::Found;
use super::run::{Mode, Piece, Plan};

/// Columns where nobody says how many there are.
const WIDTH: usize = 120;
/// Runs that are shorter than this show no progress.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Output<'a> {
    plan: &'a Plan,
    /// The report; standard output unless that is for mended input.
    to: BufWriter<Box<dyn io::Write>>,
    look: Look,
    summary: Summary,
    changed: usize,
    wrote: bool,
    started: Instant,
    shown: Option<Instant>,
}

impl<'a> Output<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let passes_on = plan.mode == Mode::Fix && plan.files.contains(&Found::Stdin);
        let to: Box<dyn io::Write> = if passes_on {
            Box::new(io::stderr())
        } else {
            Box::new(io::stdout())
        };
        // Patches have no colours: what has stands beside them.
        let colour = if passes_on || plan.mode == Mode::Diff {
            anstream::AutoStream::choice(&io::stderr())
        } else {
            anstream::AutoStream::choice(&io::stdout())
        };
        let columns = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self {
            plan,
            to: BufWriter::new(to),
            look: Look {
                colour: colour != anstream::ColorChoice::Never,
                width: columns.or_else(terminal).unwrap_or(WIDTH).max(40),
            },
            summary: Summary::default(),
            changed: 0,
            wrote: false,
            started: Instant::now(),
            shown: None,
        }
    }

    pub(super) fn look(&self) -> Look {
        self.look
    }

    pub(super) fn begin(&mut self, writer: &Writer) -> Result<()> {
        if self.plan.mode != Mode::Diff {
            self.to.write_all(writer.begin().as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn piece(&mut self, piece: Piece, writer: &Writer) -> Result<()> {
        self.summary.add(&piece.report);
        self.changed += usize::from(piece.changed);
        if let Some(text) = piece.passed_on {
            io::stdout().write_all(text.as_bytes())?;
        }
        if !piece.aside.is_empty() {
            self.clear();
            let _ = write!(io::stderr(), "{}", piece.aside);
        }
        if piece.text.is_empty() {
            return Ok(());
        }
        self.clear();
        if self.wrote && self.plan.mode != Mode::Diff {
            self.to.write_all(writer.between().as_bytes())?;
        }
        self.wrote = true;
        self.to.write_all(piece.text.as_bytes())?;
        Ok(())
    }

    pub(super) fn end(&mut self, writer: &Writer) -> Result<()> {
        self.clear();
        if self.plan.mode == Mode::Diff {
            self.to.flush()?;
            if !self.plan.quiet {
                self.aside(&format!("`--fix` would change {}", files(self.changed)));
            }
            return Ok(());
        }
        let clean = self.code() == 0 && self.summary.warnings + self.summary.not_checked == 0;
        let human = matches!(self.plan.format, Format::Text | Format::Github);
        if !(human && clean && self.plan.quiet) {
            self.to.write_all(writer.end(&self.summary).as_bytes())?;
        }
        if self.plan.explain && self.plan.format == Format::Text {
            for control in self.summary.rules.iter().filter_map(|rule| by_name(rule)) {
                write!(self.to, "\n{}", explain(control, Language::English))?;
            }
        }
        self.to.flush()?;
        if self.plan.mode == Mode::Fix && self.changed > 0 && !self.plan.quiet {
            self.aside(&format!("mended {}", files(self.changed)));
        }
        if self.summary.objects == 0 && self.summary.unreadable == 0 && !self.plan.quiet {
            self.aside("there was nothing to check: no objects of Kubernetes, no Dockerfiles");
        }
        Ok(())
    }

    /// 0 if nothing was found, 1 if something was, 2 if something could not be read.
    pub(super) fn code(&self) -> u8 {
        let would_change = self.plan.mode == Mode::Diff && self.changed > 0;
        if self.summary.unreadable > 0 {
            UNUSABLE
        } else {
            u8::from(self.summary.found() > 0 || would_change)
        }
    }

    /// Now and then on a terminal, how far it is.
    pub(super) fn progress(&mut self, done: usize, all: usize) {
        let due = |since: Instant| since.elapsed() > PATIENCE / 10;
        let waited = self.started.elapsed() > PATIENCE && self.shown.is_none_or(due);
        if waited && !self.plan.quiet && io::stderr().is_terminal() {
            self.shown = Some(Instant::now());
            // What cannot be shown is not missed.
            let _ = write!(io::stderr(), "\r{done} of {all} files\u{1b}[K");
        }
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }

    fn aside(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

fn files(count: usize) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} file{s}")
}
