//! One process that the supervisor owns.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{self, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal as Number, kill_process};
use tokio::signal::unix::Signal;

use crate::protocol::{Launch, ProcessState, ProcessStatus, THIS_PROGRAM};

/// What a program may take for an order to reach 127.0.0.1 by way of another machine.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

pub(super) struct Child {
    launch: Launch,
    /// Kept until it is reaped: until then its process id cannot become another's.
    running: Option<process::Child>,
    state: ProcessState,
    changed: Instant,
    stopping: bool,
}

impl Child {
    pub(super) fn new(launch: Launch) -> Self {
        Self {
            launch,
            running: None,
            state: ProcessState::Stopped,
            changed: Instant::now(),
            stopping: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.launch.name
    }

    pub(super) fn stop_rank(&self) -> u8 {
        self.launch.stop_rank
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn status(&self) -> ProcessStatus {
        ProcessStatus {
            name: self.launch.name.clone(),
            pid: self.running.as_ref().map(process::Child::id),
            state: self.state.clone(),
            for_seconds: self.changed.elapsed().as_secs(),
            log: self.launch.log.clone(),
            health: self.launch.health.clone(),
        }
    }

    pub(super) fn start(
        &mut self,
        launcher: &[OsString],
        working_dir: &Path,
    ) -> Result<(), String> {
        let Launch {
            name,
            program,
            args,
            log,
            ..
        } = &self.launch;
        let output = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(log);
        let output =
            output.map_err(|error| format!("cannot write `{}`: {error}", log.display()))?;
        let errors = output
            .try_clone()
            .map_err(|error| format!("cannot start `{name}`: {error}"))?;
        let mut command = Command::new(THIS_PROGRAM);
        command
            .args(launcher)
            .arg(process::id().to_string())
            // What follows are no flags of ours.
            .arg("--")
            .arg(program)
            .args(args)
            .current_dir(working_dir)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        for variable in PROXIES {
            command.env_remove(variable);
        }
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start `{name}`: {error}"))?;
        tracing::info!(name, pid = child.id(), "process started");
        self.running = Some(child);
        self.stopping = false;
        self.state = ProcessState::Running;
        self.changed = Instant::now();
        Ok(())
    }

    /// Asks it to stop, kills it if it does not, and returns when it has ended.
    pub(super) async fn stop(&mut self, kill: bool, child_ended: &mut Signal) {
        self.stopping = true;
        let deadline = Instant::now() + Duration::from_millis(self.launch.grace_ms);
        let mut killed = kill;
        self.signal(if kill { Number::KILL } else { Number::TERM });
        while self.is_running() {
            if killed {
                child_ended.recv().await;
            } else {
                let left = deadline.saturating_duration_since(Instant::now());
                if tokio::time::timeout(left, child_ended.recv())
                    .await
                    .is_err()
                {
                    tracing::warn!(
                        name = self.launch.name,
                        "process killed, it did not stop in time"
                    );
                    self.signal(Number::KILL);
                    killed = true;
                }
            }
            self.reap();
        }
    }

    /// Notes its end, if it has ended.
    pub(super) fn reap(&mut self) {
        let ended = self.running.as_mut().map(process::Child::try_wait);
        if let Some(Ok(Some(status))) = ended {
            self.running = None;
            self.state = if self.stopping {
                ProcessState::Stopped
            } else {
                end(status)
            };
            self.changed = Instant::now();
            tracing::info!(name = self.launch.name, %status, "process ended");
        }
    }

    fn signal(&self, number: Number) {
        let pid = self
            .running
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
            .and_then(Pid::from_raw);
        // It can have ended meanwhile; then there is nobody to tell.
        if let Some(pid) = pid {
            let _ = kill_process(pid, number);
        }
    }
}

fn end(status: ExitStatus) -> ProcessState {
    match (status.code(), status.signal()) {
        (Some(code), _) => ProcessState::Exited(code),
        (None, signal) => ProcessState::Killed(signal.unwrap_or_default()),
    }
}
