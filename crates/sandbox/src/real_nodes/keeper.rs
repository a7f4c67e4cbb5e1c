//! The process that keeps one node: outside of it, but for the network.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use super::machine::tool;
use super::{API_SERVER, NETWORK, RealNode, RealNodeError, cgroups, errno, io_error};
use crate::control::Control;
use crate::protocol::THIS_PROGRAM;

/// Runs a node until it or this process is told to end, or the supervisor dies; then removes what
/// the node leaves. Must be called on the main thread, in a network namespace of its own.
///
/// # Errors
/// If the node cannot be made, or ends by itself.
pub fn keep(node: &RealNode, supervisor: u32) -> Result<(), RealNodeError> {
    // Told to end, not killed, when the supervisor dies: something has to be removed then.
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(errno("ask for a signal at the supervisor's end"))?;
    if getppid().map(Pid::as_raw_pid) != i32::try_from(supervisor).ok() {
        return Err(RealNodeError::NoParent(supervisor));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io_error("start"))?;
    runtime.block_on(async {
        let catch = |kind| signal(kind).map_err(io_error("catch signals"));
        let mut told = catch(SignalKind::terminate())?;
        let mut interrupted = catch(SignalKind::interrupt())?;
        let mut child_ended = catch(SignalKind::child())?;
        // What an earlier keeper has left, if it was killed.
        remove_cgroups(&node.cgroups()).map_err(io_error("remove old cgroups"))?;
        connect(node)?;
        let groups = make_cgroups(node)?;
        let mut child = start(node, supervisor)?;
        let ended = loop {
            tokio::select! {
                _ = told.recv() => break None,
                _ = interrupted.recv() => break None,
                _ = child_ended.recv() => {
                    let status = child.try_wait().map_err(io_error("wait for the node"))?;
                    if status.is_some() {
                        break status;
                    }
                }
            }
        };
        // Everything in the node dies with its first process, which dies with this one.
        child.kill().ok();
        child.wait().ok();
        drop(groups);
        remove_cgroups(&node.cgroups()).map_err(io_error("remove the node's cgroups"))?;
        match ended {
            None => Ok(()),
            Some(_) => Err(RealNodeError::Ended("the node's first process")),
        }
    })
}

/// A cable between the namespace that we are in and the bridge, with addresses and routes.
fn connect(node: &RealNode) -> Result<(), RealNodeError> {
    let mut control = Control::connect(&node.layout).map_err(|_| RealNodeError::NoNetwork)?;
    let processes = control.status().map_err(|_| RealNodeError::NoNetwork)?;
    let network = processes.iter().find(|one| one.name == NETWORK);
    let network = network
        .and_then(|one| one.pid)
        .ok_or(RealNodeError::NoNetwork)?
        .to_string();
    let (address, pods, cable) = (node.address().to_string(), node.pods(), node.name());
    let gateway = API_SERVER.0.to_string();
    ip(&["link", "set", "lo", "up"])?;
    ip(&[
        "link", "add", "eth0", "type", "veth", "peer", "name", &cable, "netns", &network,
    ])?;
    ip(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
    ip(&["link", "set", "eth0", "up"])?;
    ip(&["route", "add", "default", "via", &gateway])?;
    // This is the namespace's own setting, not the machine's.
    let forward = "/proc/sys/net/ipv4/ip_forward";
    fs::write(forward, "1").map_err(io_error(format!("write `{forward}`")))?;
    let namespace = format!("--net=/proc/{network}/ns/net");
    for command in [
        &["link", "set", &cable, "master", "br0", "up"][..],
        &["route", "replace", &pods, "via", &address],
    ] {
        run(tool("nsenter").arg(&namespace).arg("ip").args(command))?;
    }
    Ok(())
}

pub(super) fn ip(arguments: &[&str]) -> Result<(), RealNodeError> {
    run(tool("ip").args(arguments))
}

pub(super) fn run(command: &mut Command) -> Result<(), RealNodeError> {
    let shown = || format!("{command:?}").replace('"', "");
    let shown = shown();
    let output = command
        .output()
        .map_err(io_error(format!("run `{shown}`")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(RealNodeError::Tool {
        command: shown,
        says: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// One in each hierarchy, written down before it is made.
fn make_cgroups(node: &RealNode) -> Result<Vec<PathBuf>, RealNodeError> {
    let hierarchies = cgroups::hierarchies().map_err(io_error("read this process's cgroups"))?;
    let name = format!("bulkhead-{}-{}", process::id(), node.name());
    let paths: Vec<PathBuf> = hierarchies.iter().map(|one| one.below(&name)).collect();
    let list: String = paths
        .iter()
        .map(|path| format!("{}\n", path.display()))
        .collect();
    let file = node.cgroups();
    fs::write(&file, list).map_err(io_error(format!("write `{}`", file.display())))?;
    for (hierarchy, path) in hierarchies.iter().zip(&paths) {
        cgroups::make(hierarchy, path).map_err(io_error("make the node's cgroups"))?;
    }
    Ok(paths)
}

/// Removes the cgroups that a file names, and the file.
pub(super) fn remove_cgroups(file: &Path) -> io::Result<()> {
    let list = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        list => list?,
    };
    for path in list.lines() {
        cgroups::remove(Path::new(path))?;
    }
    fs::remove_file(file)
}

/// The cgroups that a keeper has made for its node.
pub(super) fn listed(node: &RealNode) -> Result<Vec<PathBuf>, RealNodeError> {
    let file = node.cgroups();
    let list = fs::read_to_string(&file).map_err(io_error(format!("read `{}`", file.display())))?;
    Ok(list.lines().map(PathBuf::from).collect())
}

fn start(node: &RealNode, supervisor: u32) -> Result<process::Child, RealNodeError> {
    Command::new(THIS_PROGRAM)
        .args(["sandbox", "real", "--dir"])
        .arg(node.layout.root())
        .args(["--supervisor", &supervisor.to_string(), "enter"])
        .arg(node.number.to_string())
        .arg(process::id().to_string())
        .spawn()
        .map_err(io_error("start the node"))
}
