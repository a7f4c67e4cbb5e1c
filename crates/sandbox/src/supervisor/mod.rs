//! The process that owns all others of a sandbox.
//!
//! Everything happens on one thread, the main thread: the kernel kills children when the *thread*
//! that started them ends (see [`crate::launcher`]), and one that ends only with the process is
//! the right one.

mod child;
mod connection;

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::control::short_path;
use crate::dir::Layout;
use crate::protocol::{Launch, Reply, Request};
use child::Child;

/// How long to live without ever having been held: whoever started us is dead.
const UNHELD: Duration = Duration::from_secs(30);

/// Why a supervisor cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Nobody prepared the directory and handed us its lock.
    #[error("this command is for `bulkhead sandbox up`, which prepares a directory for it first")]
    NotByHand,
    /// The directory's lock cannot be read.
    #[error(transparent)]
    Dir(#[from] crate::dir::DirError),
    /// The kernel refused something.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// What a connection sends to the thread that owns the processes.
enum Message {
    Ask(Request, oneshot::Sender<Reply>),
    /// The connection that held us ended unsettled.
    Orphaned,
}

/// Runs a sandbox's supervisor until it is told to stop. Must be called on the main thread, with the
/// sandbox's lock as standard input. `launcher` are the arguments that lead this program to
/// [`crate::launcher::exec`]; the parent's id, the program and its arguments are added.
///
/// # Errors
/// If it cannot begin. Later trouble is answered to who asked, and logged.
pub fn run(layout: &Layout, launcher: Vec<OsString>) -> Result<(), SupervisorError> {
    if !layout.is_running()? {
        return Err(SupervisorError::NotByHand);
    }
    // Our own session: neither a closed terminal nor Ctrl-C reaches us. Fails only if we lead a
    // group already, which is as good.
    rustix::process::setsid().ok();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| SupervisorError::Io {
            what: "start",
            source,
        })?;
    runtime.block_on(serve(layout, launcher))
}

async fn serve(layout: &Layout, launcher: Vec<OsString>) -> Result<(), SupervisorError> {
    let catch = |kind| {
        signal(kind).map_err(|source| SupervisorError::Io {
            what: "catch signals",
            source,
        })
    };
    let (mut terminated, mut interrupted) = (
        catch(SignalKind::terminate())?,
        catch(SignalKind::interrupt())?,
    );
    let mut processes = Processes {
        launcher,
        working_dir: layout.root().to_owned(),
        children: Vec::new(),
        child_ended: catch(SignalKind::child())?,
    };
    let listen_error = |source| SupervisorError::Io {
        what: "listen on the control socket",
        source,
    };
    let (_dir, path) = short_path(layout).map_err(listen_error)?;
    // The lock is ours: a socket that is there is a dead supervisor's.
    std::fs::remove_file(&path).ok();
    let listener = UnixListener::bind(path).map_err(listen_error)?;
    let (sender, mut messages) = mpsc::channel(16);
    let mut ever_asked = false;
    let unheld = tokio::time::sleep_until(Instant::now() + UNHELD);
    tokio::pin!(unheld);
    tracing::info!("supervisor started");

    loop {
        tokio::select! {
            connection = listener.accept() => match connection {
                Ok((stream, _)) => drop(tokio::spawn(connection::serve(stream, sender.clone()))),
                Err(error) => tracing::warn!(%error, "cannot accept a connection"),
            },
            message = messages.recv() => {
                ever_asked = true;
                match message {
                    Some(Message::Ask(Request::Down, _)) | None => break,
                    Some(Message::Ask(request, reply)) => {
                        let answer = processes.handle(request).await;
                        // Who no longer waits for the answer does not need it.
                        let _ = reply.send(answer);
                    }
                    Some(Message::Orphaned) => {
                        tracing::warn!("the command that was bringing the sandbox up is gone");
                        break;
                    }
                }
            }
            _ = processes.child_ended.recv() => processes.reap(),
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
            () = &mut unheld, if !ever_asked => {
                tracing::warn!("nobody asked for anything");
                break;
            }
        }
    }
    processes.stop_all().await;
    tracing::info!("supervisor ends");
    Ok(())
}

struct Processes {
    launcher: Vec<OsString>,
    working_dir: std::path::PathBuf,
    children: Vec<Child>,
    child_ended: Signal,
}

impl Processes {
    async fn handle(&mut self, request: Request) -> Reply {
        let result = match request {
            Request::Launch(launch) => self.launch(launch),
            Request::Status => {
                self.reap();
                return Reply::Processes(self.children.iter().map(Child::status).collect());
            }
            Request::Stop { name, kill } => self.stop(&name, kill).await,
            Request::Start { name } => self.start(&name),
            Request::Hold | Request::Settle | Request::Down => Ok(()),
        };
        match result {
            Ok(()) => Reply::Done,
            Err(why) => Reply::Refused(why),
        }
    }

    fn launch(&mut self, launch: Launch) -> Result<(), String> {
        if self
            .children
            .iter()
            .any(|child| child.name() == launch.name)
        {
            return Err(format!("there is a process `{}` already", launch.name));
        }
        let mut child = Child::new(launch);
        child.start(&self.launcher, &self.working_dir)?;
        self.children.push(child);
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        self.reap();
        let child = find(&mut self.children, name)?;
        if child.is_running() {
            return Err(format!("`{name}` is running"));
        }
        child.start(&self.launcher, &self.working_dir)
    }

    async fn stop(&mut self, name: &str, kill: bool) -> Result<(), String> {
        self.reap();
        let child = find(&mut self.children, name)?;
        if !child.is_running() {
            return Err(format!("`{name}` is not running"));
        }
        child.stop(kill, &mut self.child_ended).await;
        self.reap();
        Ok(())
    }

    /// By rank, and within a rank the latest first.
    async fn stop_all(&mut self) {
        self.children.reverse();
        self.children.sort_by_key(Child::stop_rank);
        for child in &mut self.children {
            child.reap();
            child.stop(false, &mut self.child_ended).await;
        }
    }

    fn reap(&mut self) {
        self.children.iter_mut().for_each(Child::reap);
    }
}

fn find<'a>(children: &'a mut [Child], name: &str) -> Result<&'a mut Child, String> {
    let names: Vec<String> = children
        .iter()
        .map(|child| format!("`{}`", child.name()))
        .collect();
    children
        .iter_mut()
        .find(|child| child.name() == name)
        .ok_or_else(|| {
            format!(
                "there is no process `{name}`: expected one of {}",
                names.join(", ")
            )
        })
}
