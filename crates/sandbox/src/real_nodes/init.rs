//! The first process of a node.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getppid, set_parent_process_death_signal, wait};

use super::machine::tool;
use super::{RealNode, RealNodeError, errno, io_error, keeper, root};

/// How long containerd may take to listen.
const LISTENING: Duration = Duration::from_secs(30);
/// Where it does.
const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Enters the node's cgroups and becomes, by way of `unshare`, the first process of new namespaces.
/// Returns only if that fails. `keeper` is the process that the node must not outlive.
#[must_use]
pub fn enter(node: &RealNode, keeper: u32, supervisor: u32) -> RealNodeError {
    match prepare(node, keeper) {
        Err(error) => error,
        Ok(()) => {
            let error = tool("unshare")
                .args(["--fork", "--kill-child=SIGKILL", "--pid", "--mount"])
                .args(["--propagation", "private", "--uts", "--ipc", "--cgroup"])
                .arg("--")
                .arg(format!("/proc/{supervisor}/exe"))
                .args(["sandbox", "real", "--dir"])
                .arg(node.layout.root())
                .args(["--supervisor", &supervisor.to_string(), "run"])
                .arg(node.number.to_string())
                .exec();
            io_error("run `unshare`")(error)
        }
    }
}

fn prepare(node: &RealNode, keeper: u32) -> Result<(), RealNodeError> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(errno("ask for a signal at the keeper's end"))?;
    if getppid().map(Pid::as_raw_pid) != i32::try_from(keeper).ok() {
        return Err(RealNodeError::NoParent(keeper));
    }
    for cgroup in keeper::listed(node)? {
        let file = cgroup.join("cgroup.procs");
        // Zero is the process that writes it.
        fs::write(&file, "0").map_err(io_error(format!("enter `{}`", cgroup.display())))?;
    }
    Ok(())
}

/// Is the first process of a node's namespaces: makes its root, starts what runs there, and ends when
/// one of these ends.
///
/// # Errors
/// Always, in the end: why there is no node.
pub fn run(node: &RealNode) -> Result<std::convert::Infallible, RealNodeError> {
    if std::process::id() != 1 {
        return Err(RealNodeError::NoParent(1));
    }
    rustix::system::sethostname(node.name().as_bytes()).map_err(errno("set the node's name"))?;
    root::make(node)?;
    let containerd = start(&mut Command::new("/opt/bin/containerd"))?;
    let begun = Instant::now();
    while !Path::new(CONTAINERD).exists() {
        if begun.elapsed() > LISTENING {
            return Err(RealNodeError::Tool {
                command: "containerd".to_owned(),
                says: format!("it does not listen after {} s", LISTENING.as_secs()),
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    keeper::run(Command::new("/opt/bin/ctr").args([
        "--namespace=k8s.io",
        "images",
        "import",
        "--no-unpack",
        "/opt/images.tar",
    ]))?;
    let address = node.address().to_string();
    let kubelet = start(Command::new("/opt/bin/kubelet").args([
        "--config=/etc/kubernetes/kubelet.json",
        "--kubeconfig=/etc/kubernetes/kubeconfig",
        &format!("--hostname-override={}", node.name()),
        &format!("--node-ip={address}"),
    ]))?;
    bury(&[(containerd, "containerd"), (kubelet, "kubelet")])
}

fn start(command: &mut Command) -> Result<u32, RealNodeError> {
    let child = command
        .env("PATH", "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .spawn()
        .map_err(io_error(format!(
            "run `{}`",
            command.get_program().display()
        )));
    child.map(|child: Child| child.id())
}

/// Buries the dead of the node, as its first process has to, until one is missed.
fn bury(missed: &[(u32, &'static str)]) -> Result<std::convert::Infallible, RealNodeError> {
    loop {
        let dead = wait(WaitOptions::empty()).map_err(errno("wait for processes"))?;
        let pid = dead.map(|(pid, _)| pid.as_raw_pid());
        for (id, name) in missed {
            if i32::try_from(*id).ok() == pid {
                return Err(RealNodeError::Ended(name));
            }
        }
    }
}
