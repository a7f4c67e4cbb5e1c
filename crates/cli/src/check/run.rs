//! Files in parallel, reports in order.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use bulkhead_check::{Index, Settings, Source, check, fix, rules, unreadable};
use bulkhead_manifests::parse;
use bulkhead_report::{FileReport, Format, Issue, Level, Writer};
use similar::TextDiff;

use super::files::Found;
use super::output::Output;

/// What to do.
pub(super) struct Plan {
    pub(super) files: Vec<Found>,
    pub(super) settings: Settings,
    pub(super) format: Format,
    pub(super) mode: Mode,
    pub(super) explain: bool,
    pub(super) quiet: bool,
}

/// What comes of the mends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing.
    Report,
    /// A patch on standard output.
    Diff,
    /// The files are written.
    Fix,
}

/// What one file comes to.
pub(super) struct Piece {
    pub(super) report: FileReport,
    /// The report as text, or the patch.
    pub(super) text: String,
    /// What is said beside a patch: why something could not be read.
    pub(super) aside: String,
    /// Whether it was changed, or would be.
    pub(super) changed: bool,
    /// The mended standard input.
    pub(super) passed_on: Option<String>,
}

/// How many pieces may wait for one that is slow.
const WAITING: usize = 256;

/// Looks at every file; the exit code.
///
/// # Errors
/// If the report cannot be written.
pub(super) fn run(plan: Plan) -> Result<u8> {
    let stdin = if plan.files.contains(&Found::Stdin) {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        bytes
    } else {
        Vec::new()
    };
    let mut output = Output::new(&plan);
    let worker = Worker {
        stdin: &stdin,
        index: index(&plan.files, &stdin),
        writer: Writer::new(
            match plan.mode {
                // What is said beside a patch is for people.
                Mode::Diff => Format::Text,
                Mode::Report | Mode::Fix => plan.format,
            },
            output.look(),
            rules(),
            env!("CARGO_PKG_VERSION"),
        ),
        plan: &plan,
    };
    output.begin(&worker.writer)?;
    let next = AtomicUsize::new(0);
    let result = thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        for _ in 0..threads(plan.files.len()) {
            let (sender, worker, next) = (sender.clone(), &worker, &next);
            scope.spawn(move || worker.work(next, &sender));
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut expected = 0;
        for (at, piece) in receiver {
            waiting.insert(at, piece);
            while let Some(piece) = waiting.remove(&expected) {
                expected += 1;
                output.piece(piece, &worker.writer)?;
            }
            output.progress(expected, plan.files.len());
        }
        Ok(())
    });
    match result.and_then(|()| output.end(&worker.writer)) {
        // Whoever reads the report has read enough.
        Err(error) if is_broken_pipe(&error) => Ok(output.code()),
        Err(error) => Err(error),
        Ok(()) => Ok(output.code()),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn threads(files: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    cores.min(files.div_ceil(8)).clamp(1, 16)
}

/// What the files say together. Most files need no parsing for it.
fn index(files: &[Found], stdin: &[u8]) -> Index {
    let next = AtomicUsize::new(0);
    let index = Mutex::new(Index::default());
    let look = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if file.is_dockerfile() {
                continue;
            }
            if let Ok(text) = read(file, stdin)
                && Index::may_want(&text)
            {
                let parsed = parse(&text);
                let index = index.lock();
                index.unwrap_or_else(PoisonError::into_inner).learn(&parsed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads(files.len()) {
            scope.spawn(look);
        }
    });
    index.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn read(file: &Found, stdin: &[u8]) -> Result<String, String> {
    let bytes = match file.path() {
        None => stdin.to_owned(),
        Some(path) => fs::read(path).map_err(|error| format!("cannot be read: {error}"))?,
    };
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

struct Worker<'a> {
    plan: &'a Plan,
    stdin: &'a [u8],
    index: Index,
    writer: Writer,
}

impl Worker<'_> {
    fn work(&self, next: &AtomicUsize, sender: &SyncSender<(usize, Piece)>) {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = self.plan.files.get(at) else {
                break;
            };
            // Nobody listens any more: the report could not be written.
            if sender.send((at, self.piece(file))).is_err() {
                break;
            }
        }
    }

    fn piece(&self, file: &Found) -> Piece {
        let path = file.shown();
        let text = match read(file, self.stdin) {
            Ok(text) => text,
            Err(message) => return self.report(unreadable(&path, &message), ""),
        };
        let dockerfile = file.is_dockerfile();
        let stray = matches!(file, Found::Walked(_))
            && !dockerfile
            && !(text.contains("apiVersion") && text.contains("kind"));
        if stray {
            return self.report(
                FileReport {
                    path,
                    ..FileReport::default()
                },
                "",
            );
        }
        let source = Source {
            path: &path,
            text: &text,
            dockerfile,
        };
        let settings = &self.plan.settings;
        if self.plan.mode == Mode::Report {
            return self.report(check(&source, settings, &self.index), &text);
        }
        let fixed = fix(&source, settings, &self.index);
        if self.plan.mode == Mode::Diff {
            let patch = fixed.as_deref().map(|new| patch(&path, &text, new));
            return Piece {
                changed: fixed.is_some(),
                text: patch.unwrap_or_default(),
                ..self.report(check(&source, settings, &self.index), &text)
            };
        }
        let new = fixed.as_deref().unwrap_or(&text);
        if let (Some(to), true) = (file.path(), fixed.is_some())
            && let Err(error) = fs::write(to, new)
        {
            return self.report(
                unreadable(&path, &format!("cannot be written: {error}")),
                "",
            );
        }
        let after = Source {
            text: new,
            ..source
        };
        Piece {
            changed: fixed.is_some(),
            passed_on: file.path().is_none().then(|| new.to_owned()),
            ..self.report(check(&after, settings, &self.index), new)
        }
    }

    /// What is said of a file. A patch has no place for it, and not all of it belongs beside one.
    fn report(&self, report: FileReport, source: &str) -> Piece {
        let (text, aside) = if self.plan.mode == Mode::Diff {
            let unreadable = |issue: &&Issue| issue.level == Level::Unreadable;
            let told = FileReport {
                path: report.path.clone(),
                issues: report.issues.iter().filter(unreadable).cloned().collect(),
                ..FileReport::default()
            };
            (String::new(), self.writer.file(&told, source))
        } else {
            (self.writer.file(&report, source), String::new())
        };
        Piece {
            text,
            aside,
            report,
            changed: false,
            passed_on: None,
        }
    }
}

fn patch(path: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string()
}
