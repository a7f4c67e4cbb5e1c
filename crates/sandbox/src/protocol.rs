//! What is said over the supervisor's socket: JSON, one request and one reply to a line.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Stands for the program that is running, whatever has become of its file: a child resolves it
/// before it is anything else.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// A process to run, and to run again when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Launch {
    /// What it is called in every command and message.
    pub name: String,
    /// The program's file, or [`THIS_PROGRAM`].
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where its output goes.
    pub log: PathBuf,
    /// When all are stopped: those of a lower rank first.
    pub stop_rank: u8,
    /// How long it may take to stop before it is killed.
    pub grace_ms: u64,
    /// Where it says that it is ready to serve.
    #[serde(default)]
    pub health: Option<Health>,
}

/// An address that answers 200 when a process is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Health {
    /// `https://127.0.0.1:PORT/readyz`, or `http://`.
    pub url: String,
    /// File of the authority that vouches for the server; none for `http://`.
    #[serde(default)]
    pub authority: Option<PathBuf>,
}

/// What the supervisor is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Take everything down if this connection ends before [`Request::Settle`] is said.
    Hold,
    /// Everything is up: the sandbox outlives this connection.
    Settle,
    /// Run a new process.
    Launch(Launch),
    /// Tell of every process.
    Status,
    /// Stop one process.
    Stop {
        /// Its name.
        name: String,
        /// By SIGKILL at once.
        #[serde(default)]
        kill: bool,
    },
    /// Run a stopped process again.
    Start {
        /// Its name.
        name: String,
    },
    /// Stop all processes and the supervisor. The reply is the end of the connection.
    Down,
}

/// What the supervisor answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It is done.
    Done,
    /// Every process, in the order in which they were first run.
    Processes(Vec<ProcessStatus>),
    /// It was not done, and why.
    Refused(String),
}

/// One process, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessStatus {
    /// Its name.
    pub name: String,
    /// Its id while it runs.
    pub pid: Option<u32>,
    /// Whether it runs, and how it ended.
    pub state: ProcessState,
    /// Seconds since it started or ended.
    pub for_seconds: u64,
    /// Where its output is.
    pub log: PathBuf,
    /// Where it says that it is ready.
    pub health: Option<Health>,
}

/// Whether a process runs, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It was stopped by [`Request::Stop`].
    Stopped,
    /// It exited by itself with this code.
    Exited(i32),
    /// Someone or something else killed it by this signal.
    Killed(i32),
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Stopped => f.write_str("stopped (on request)"),
            Self::Exited(code) => write!(f, "stopped (exit {code})"),
            Self::Killed(signal) => write!(f, "stopped (signal {signal})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &Request, line: &str) {
        assert_eq!(serde_json::to_string(request).unwrap(), line);
        assert_eq!(&serde_json::from_str::<Request>(line).unwrap(), request);
    }

    #[test]
    fn requests_are_one_line_of_json() {
        check(&Request::Status, r#"{"do":"status"}"#);
        check(
            &Request::Stop {
                name: "webhook".into(),
                kill: true,
            },
            r#"{"do":"stop","name":"webhook","kill":true}"#,
        );
        let launch = Launch {
            name: "a".into(),
            program: "/bin/a".into(),
            args: vec!["two\nlines".into()],
            log: "/l".into(),
            stop_rank: 1,
            grace_ms: 5,
            health: None,
        };
        let line = serde_json::to_string(&Request::Launch(launch.clone())).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(
            serde_json::from_str::<Request>(&line).unwrap(),
            Request::Launch(launch)
        );
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bad in [
            r#"{"do":"stop"}"#,
            r#"{"do":"reboot"}"#,
            "{}",
            "[]",
            r#"{"do":"launch","name":"a"}"#,
        ] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn states_say_how_it_ended() {
        assert_eq!(ProcessState::Exited(1).to_string(), "stopped (exit 1)");
        assert_eq!(ProcessState::Killed(9).to_string(), "stopped (signal 9)");
    }
}
