//! Scripts in place of programs, and what the tests look at.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bulkhead_sandbox::{Launch, Layout};

/// The program under test.
pub const BULKHEAD: &str = env!("CARGO_BIN_EXE_bulkhead");

/// A folder, and in it the directory of a sandbox. Its path is longer than a socket's address.
pub struct Place {
    pub parent: tempfile::TempDir,
    pub layout: Layout,
}

impl Place {
    pub fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let layout = Layout::new(&parent.path().join("long".repeat(30)).join("sandbox")).unwrap();
        assert!(layout.root().as_os_str().len() > 108);
        Self { parent, layout }
    }

    /// Runs `bulkhead sandbox …` on this sandbox.
    pub fn sandbox(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BULKHEAD);
        command
            .arg("sandbox")
            .args(arguments)
            .arg("--dir")
            .arg(self.layout.root());
        command
    }
}

/// A process that runs a shell script.
pub fn shell(layout: &Layout, name: &str, script: &str) -> Launch {
    Launch {
        name: name.into(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        log: layout.log(name),
        stop_rank: 0,
        grace_ms: 10_000,
        health: None,
    }
}

/// A process that does nothing until it is told to stop.
pub fn idle(layout: &Layout, name: &str) -> Launch {
    Launch {
        program: "/bin/sleep".into(),
        args: vec!["1000".into()],
        ..shell(layout, name, "")
    }
}

pub fn executable(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether a process runs; one that is dead and not yet reaped does not.
pub fn runs(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
}

pub fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Waits until something is so.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "still not: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
