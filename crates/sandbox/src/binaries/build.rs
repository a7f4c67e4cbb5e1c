//! Builds the control plane with `go`, into the cache.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::sources::{Build, Set};
use super::{BinariesError, Progress, Source, missing_of, sources};
use crate::logs;
use crate::version::Version;

/// How often to look whether the build is over.
const POLL: Duration = Duration::from_millis(200);

/// Builds into `dir`, unless someone else has done so by the time it is our turn.
pub(super) fn build(
    set: Set,
    go: &Path,
    dir: &Path,
    incomplete_assets: Option<Vec<&'static str>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Source, BinariesError> {
    let started = Instant::now();
    let parent = dir.parent().unwrap_or(dir);
    fs::create_dir_all(parent).map_err(io_error(parent))?;
    // Held while we build: whoever comes second waits, and finds the work done. It goes with us
    // however we end.
    let lock = beside(dir, ".lock");
    let _lock = wait_for(&lock, &mut |waited| progress(Progress::Building(waited)))?;
    if missing_of(&set.programs(), dir).is_empty() {
        return Ok(Source::Cache);
    }

    let prefix = format!("build-{}-", dir.file_name().unwrap_or_default().display());
    remove_interrupted(parent, &prefix);
    let work = tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(parent)
        .map_err(io_error(parent))?;
    let (source_dir, out) = (work.path().join("src"), work.path().join("bin"));
    fs::create_dir(&out).map_err(io_error(&out))?;
    sources::write(set, &source_dir).map_err(io_error(&source_dir))?;
    // Beside the result, not in it: it is still there to be read when the build has failed.
    let log = beside(dir, ".log");
    let output = File::create(&log).map_err(io_error(&log))?;
    for build in set.builds() {
        let module = source_dir.join(build.module);
        let status = go_build(go, build, &module, &out, &output, &mut || {
            progress(Progress::Building(started.elapsed()));
        });
        match status {
            Ok(status) if status.success() => {}
            Ok(_) => return Err(failed(log)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let _ = fs::remove_file(&log);
                return Err(BinariesError::NoWay {
                    incomplete_assets,
                    cache: parent.to_owned(),
                });
            }
            Err(source) => {
                return Err(BinariesError::Io {
                    path: go.to_owned(),
                    source,
                });
            }
        }
    }
    if !missing_of(&set.programs(), &out).is_empty() {
        return Err(failed(log));
    }
    // What an interrupted `rm` left there: not complete, or we would not be here.
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(dir)(error)),
        _ => {}
    }
    fs::rename(&out, dir).map_err(io_error(dir))?;
    let _ = fs::remove_file(&log);
    Ok(Source::Built(started.elapsed()))
}

/// Runs `go build` to its end.
fn go_build(
    go: &Path,
    build: &Build,
    module: &Path,
    out: &Path,
    output: &File,
    waiting: &mut dyn FnMut(),
) -> io::Result<ExitStatus> {
    let mut command = Command::new(go);
    let flags = sources::linker_flags(Version::of_sandbox().map_err(io::Error::other)?);
    command
        .args(["build", "-trimpath", "-tags", build.tags])
        .args(["-ldflags", &flags, "-o"])
        // A trailing slash: several programs go into a folder.
        .arg(out.join(""))
        .args(build.packages)
        .current_dir(module)
        // Neither another workspace's go.work nor the user's flags may change what is built.
        .envs([("GOWORK", "off"), ("GOFLAGS", "-mod=readonly")])
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?);
    if !build.with_c {
        command.env("CGO_ENABLED", "0");
    }
    let mut child = command.spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        waiting();
        std::thread::sleep(POLL);
    }
}

fn failed(log: PathBuf) -> BinariesError {
    let tail = logs::tail(&log, logs::TAIL_LINES);
    BinariesError::Build { log, tail }
}

fn wait_for(path: &Path, waiting: &mut dyn FnMut(Duration)) -> Result<File, BinariesError> {
    let started = Instant::now();
    let file = File::create(path).map_err(io_error(path))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                waiting(started.elapsed());
                std::thread::sleep(POLL);
            }
            Err(TryLockError::Error(error)) => return Err(io_error(path)(error)),
        }
    }
}

/// `with_extension` would take the end of a version for one.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    dir.with_file_name(name)
}

/// A build that was killed left its folder, gigabytes perhaps. Nobody else builds the same now.
fn remove_interrupted(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> BinariesError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| BinariesError::Io { path, source }
}
