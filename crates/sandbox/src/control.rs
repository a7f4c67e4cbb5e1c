//! Speaks to a sandbox's supervisor.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::dir::Layout;
use crate::protocol::{Launch, ProcessStatus, Reply, Request};

/// How often to look whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<UnixStream>,
}

/// Why the supervisor did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No supervisor listens in that directory.
    #[error("no sandbox is running in `{}`", .0.display())]
    NotRunning(PathBuf),
    /// The connection broke.
    #[error("lost the sandbox's supervisor")]
    Lost(#[source] io::Error),
    /// It answered something else than was asked.
    #[error("the sandbox's supervisor answered unreadably: `{0}`")]
    Unreadable(String),
    /// It did not do it.
    #[error("{0}")]
    Refused(String),
    /// It did not end.
    #[error("the sandbox's supervisor (process {pid}) did not stop in {} s: kill it with `kill -9 {pid}`, nothing outlives it", .waited.as_secs())]
    Stuck {
        /// Its process id, as written down.
        pid: u32,
        /// How long was waited.
        waited: Duration,
    },
}

/// The path to a sandbox's socket by way of an open directory: an address of a Unix socket has
/// room for 107 bytes, and a sandbox's directory may have a longer name. The file must stay open.
pub(crate) fn short_path(layout: &Layout) -> io::Result<(File, PathBuf)> {
    let socket = layout.socket();
    let name = socket.file_name().unwrap_or_default();
    let dir = File::open(layout.root())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    Ok((dir, path))
}

impl Control {
    /// Connects to the supervisor of a sandbox.
    ///
    /// # Errors
    /// If none runs there.
    pub fn connect(layout: &Layout) -> Result<Self, ControlError> {
        let stream = short_path(layout).and_then(|(_dir, path)| UnixStream::connect(path));
        match stream {
            Ok(stream) => Ok(Self {
                stream: BufReader::new(stream),
            }),
            Err(_) => Err(ControlError::NotRunning(layout.root().to_owned())),
        }
    }

    /// Makes the supervisor take everything down if this connection ends before
    /// [`Control::settle`].
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn hold(&mut self) -> Result<(), ControlError> {
        self.done(&Request::Hold)
    }

    /// Lets the sandbox outlive this connection.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn settle(&mut self) -> Result<(), ControlError> {
        self.done(&Request::Settle)
    }

    /// Runs a new process.
    ///
    /// # Errors
    /// If there is one of that name, the program cannot be run, or the connection is lost.
    pub fn launch(&mut self, launch: Launch) -> Result<(), ControlError> {
        self.done(&Request::Launch(launch))
    }

    /// Every process, in the order in which they were first run.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn status(&mut self) -> Result<Vec<ProcessStatus>, ControlError> {
        match self.ask(&Request::Status)? {
            Reply::Processes(processes) => Ok(processes),
            other => Err(ControlError::Unreadable(format!("{other:?}"))),
        }
    }

    /// Stops a process, by SIGKILL if `kill`, and returns when it has ended.
    ///
    /// # Errors
    /// If there is none of that name, it does not run, or the connection is lost.
    pub fn stop(&mut self, name: &str, kill: bool) -> Result<(), ControlError> {
        self.done(&Request::Stop {
            name: name.to_owned(),
            kill,
        })
    }

    /// Runs a stopped process again.
    ///
    /// # Errors
    /// If there is none of that name, it runs, or the connection is lost.
    pub fn start(&mut self, name: &str) -> Result<(), ControlError> {
        self.done(&Request::Start {
            name: name.to_owned(),
        })
    }

    /// Stops everything, the supervisor too, and returns when that has ended.
    ///
    /// # Errors
    /// If it has not ended after `deadline`.
    pub fn down(mut self, layout: &Layout, deadline: Duration) -> Result<(), ControlError> {
        let started = Instant::now();
        // That the connection ends is the answer, and an ended supervisor is what is wanted.
        self.send(&Request::Down).ok();
        drop(self);
        while layout.is_running().unwrap_or(true) {
            if started.elapsed() > deadline {
                let pid = layout
                    .state()
                    .ok()
                    .flatten()
                    .map_or(0, |state| state.supervisor);
                return Err(ControlError::Stuck {
                    pid,
                    waited: deadline,
                });
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn done(&mut self, request: &Request) -> Result<(), ControlError> {
        match self.ask(request)? {
            Reply::Done => Ok(()),
            Reply::Refused(why) => Err(ControlError::Refused(why)),
            other @ Reply::Processes(_) => Err(ControlError::Unreadable(format!("{other:?}"))),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, ControlError> {
        self.send(request).map_err(ControlError::Lost)?;
        let mut line = String::new();
        if self
            .stream
            .read_line(&mut line)
            .map_err(ControlError::Lost)?
            == 0
        {
            return Err(ControlError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_str(&line)
            .map_err(|_| ControlError::Unreadable(line.trim_end().to_owned()))
    }

    fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)
    }
}
