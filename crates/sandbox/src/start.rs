//! A sandbox while it is being brought up: its supervisor runs, and takes everything down if whoever
//! brings it up goes away.

use std::fs::OpenOptions;
use std::future::Future;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::control::{Control, ControlError};
use crate::dir::{Claim, Layout};
use crate::logs;
use crate::ports;
use crate::protocol::{Launch, ProcessState};

/// Name of the supervisor among the logs.
const SUPERVISOR: &str = "supervisor";
/// How long a supervisor may take to listen.
const LISTENING: Duration = Duration::from_secs(10);
/// How long all processes together may take to stop.
pub const STOPPING: Duration = Duration::from_secs(40);
/// How often to look whether a process has died.
const WATCH: Duration = Duration::from_millis(50);

/// A started supervisor that is not yet left to itself.
#[derive(Debug)]
pub struct Starting {
    layout: Layout,
    supervisor: Child,
    control: Control,
    interrupted: Signal,
    terminated: Signal,
}

/// Why a sandbox did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A process ended.
    #[error("`{name}` {state}. The end of `{}`:\n{tail}", .log.display())]
    Died {
        /// Its name.
        name: String,
        /// How.
        state: ProcessState,
        /// All that it said.
        log: PathBuf,
        /// The end of that.
        tail: String,
    },
    /// Something took too long.
    #[error("{what} takes longer than {} s. The end of `{}`:\n{tail}", .deadline.as_secs(), .log.display())]
    TooLong {
        /// What.
        what: String,
        /// How long was waited.
        deadline: Duration,
        /// The log of the process that most likely knows why.
        log: PathBuf,
        /// The end of that.
        tail: String,
    },
    /// The supervisor did not do what it was asked, or is gone.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The supervisor cannot be started.
    #[error("cannot start the supervisor")]
    Supervisor(#[source] io::Error),
    /// The supervisor does not listen.
    #[error("the supervisor does not answer. The end of `{}`:\n{tail}", .log.display())]
    Unheard {
        /// All that it said.
        log: PathBuf,
        /// The end of that.
        tail: String,
    },
    /// The user wants no more.
    #[error("interrupted")]
    Interrupted,
}

impl StartError {
    /// Whether a process found the port taken that was free when we chose it: then another try
    /// with other ports can succeed.
    #[must_use]
    pub fn lost_a_port(&self) -> bool {
        matches!(self, Self::Died { tail, .. } if ports::lost_in(tail))
    }
}

impl Starting {
    /// Starts a program as the supervisor of a claimed directory: `PROGRAM sandbox supervise
    /// --dir DIR` must lead to [`crate::supervisor::run`]. From here on SIGINT and SIGTERM do not
    /// end this process, but [`Starting::wait`].
    ///
    /// # Errors
    /// If it cannot be started, or ends before it listens.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(program: &Path, layout: &Layout, claim: &Claim) -> Result<Self, StartError> {
        let catch = |kind| signal(kind).map_err(StartError::Supervisor);
        let (interrupted, terminated) = (
            catch(SignalKind::interrupt())?,
            catch(SignalKind::terminate())?,
        );
        let log = layout.log(SUPERVISOR);
        let output = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&log);
        let output = output.map_err(StartError::Supervisor)?;
        let errors = output.try_clone().map_err(StartError::Supervisor)?;
        let lock = claim.inherit().map_err(StartError::Supervisor)?;
        let mut supervisor = Command::new(program)
            .arg0("bulkhead")
            .args(["sandbox", "supervise", "--dir"])
            .arg(layout.root())
            .current_dir(layout.root())
            .stdin(lock)
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(errors))
            .spawn()
            .map_err(StartError::Supervisor)?;
        let started = Instant::now();
        let mut control = loop {
            if let Ok(control) = Control::connect(layout) {
                break control;
            }
            let ended = supervisor.try_wait().map_err(StartError::Supervisor)?;
            if ended.is_some() || started.elapsed() > LISTENING {
                supervisor.kill().ok();
                supervisor.wait().ok();
                let tail = logs::tail(&log, logs::TAIL_LINES);
                return Err(StartError::Unheard { log, tail });
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        control.hold()?;
        Ok(Self {
            layout: layout.clone(),
            supervisor,
            control,
            interrupted,
            terminated,
        })
    }

    /// The supervisor's process id.
    #[must_use]
    pub fn supervisor(&self) -> u32 {
        self.supervisor.id()
    }

    /// Runs a process.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn launch(&mut self, launch: Launch) -> Result<(), StartError> {
        Ok(self.control.launch(launch)?)
    }

    /// Waits for something, and gives up if a process dies, it takes longer than `deadline`, or the
    /// user presses Ctrl-C. `blame` is the process whose log is shown if it takes too long.
    ///
    /// # Errors
    /// If it gave up.
    pub async fn wait<T>(
        &mut self,
        what: &str,
        blame: &str,
        deadline: Duration,
        done: impl Future<Output = T>,
    ) -> Result<T, StartError> {
        let too_long = tokio::time::sleep(deadline);
        tokio::pin!(done, too_long);
        let mut watch = tokio::time::interval(WATCH);
        loop {
            tokio::select! {
                value = &mut done => return Ok(value),
                _ = watch.tick() => self.check_alive()?,
                _ = self.interrupted.recv() => return Err(StartError::Interrupted),
                _ = self.terminated.recv() => return Err(StartError::Interrupted),
                () = &mut too_long => {
                    let log = self.layout.log(blame);
                    let tail = logs::tail(&log, logs::TAIL_LINES);
                    return Err(StartError::TooLong { what: what.to_owned(), deadline, log, tail });
                }
            }
        }
    }

    fn check_alive(&mut self) -> Result<(), StartError> {
        let dead = self
            .control
            .status()?
            .into_iter()
            .find(|p| p.state != ProcessState::Running);
        match dead {
            None => Ok(()),
            Some(process) => Err(StartError::Died {
                tail: logs::tail(&process.log, logs::TAIL_LINES),
                name: process.name,
                state: process.state,
                log: process.log,
            }),
        }
    }

    /// Leaves the sandbox to its supervisor.
    ///
    /// # Errors
    /// If a process has died meanwhile.
    pub fn settle(mut self) -> Result<(), StartError> {
        self.check_alive()?;
        Ok(self.control.settle()?)
    }

    /// Stops everything, and returns when that has ended.
    pub fn take_down(mut self) {
        // It is not settled: that its connection ends tells the supervisor.
        drop(self.control);
        let started = Instant::now();
        while matches!(self.supervisor.try_wait(), Ok(None)) {
            if started.elapsed() > STOPPING {
                // The kernel kills the rest with it.
                self.supervisor.kill().ok();
                self.supervisor.wait().ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
