//! What real nodes need of the machine.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cgroups::{self, Version};

/// Where programs of the system are, besides the folders of `PATH`: those of administrators are
/// missing there after `su`.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Where distributions and people put the plugins that connect pods to a network.
const PLUGIN_FOLDERS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];
/// The plugins that a node's network is made of.
const PLUGINS: [&str; 3] = ["ptp", "host-local", "loopback"];
/// Programs, and the package of Debian's that each is in.
const PROGRAMS: [(&str, &str); 4] = [
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
];
/// What limits pods: without these hierarchies the kubelet does not start.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuacct", "cpuset", "memory", "pids"];

/// A machine that real nodes can run on.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The folder with the network plugins.
    pub(super) plugins: PathBuf,
}

/// What the machine lacks for real nodes.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct Lacks {
    not_root: bool,
    /// What is not there, and its package.
    files: Vec<(String, &'static str)>,
    /// Controllers of cgroups that no hierarchy of version 1 has.
    controllers: Vec<&'static str>,
}

impl Machine {
    /// Looks whether everything is there.
    ///
    /// # Errors
    /// Names all that is not, and how to get it.
    pub fn look() -> Result<Self, Lacks> {
        let plugins = PLUGIN_FOLDERS
            .map(PathBuf::from)
            .into_iter()
            .find(|dir| PLUGINS.iter().all(|plugin| dir.join(plugin).is_file()));
        let mut files: Vec<_> = PROGRAMS
            .into_iter()
            .filter(|(program, _)| find(program).is_none())
            .map(|(program, package)| (program.to_owned(), package))
            .collect();
        if plugins.is_none() {
            let folder = format!("{} in {}", PLUGINS.join(", "), PLUGIN_FOLDERS.join(" or "));
            files.push((folder, "containernetworking-plugins"));
        }
        let hierarchies = cgroups::hierarchies().unwrap_or_default();
        let has = |controller: &&str| {
            hierarchies
                .iter()
                .filter(|hierarchy| hierarchy.version == Version::One)
                .any(|hierarchy| hierarchy.options.split(',').any(|one| one == *controller))
        };
        let lacks = Lacks {
            not_root: !rustix::process::geteuid().is_root(),
            files,
            controllers: CONTROLLERS
                .into_iter()
                .filter(|controller| !has(controller))
                .collect(),
        };
        match plugins {
            Some(plugins) if lacks.is_nothing() => Ok(Self { plugins }),
            _ => Err(lacks),
        }
    }
}

impl Lacks {
    fn is_nothing(&self) -> bool {
        !self.not_root && self.files.is_empty() && self.controllers.is_empty()
    }

    fn text(&self) -> String {
        let mut text = "real nodes cannot run here:".to_owned();
        if self.not_root {
            text += "\n  not root: namespaces, mounts and cgroups of a node take its rights, so run this with sudo";
        }
        for (file, _) in &self.files {
            let _ = write!(text, "\n  not there: {file}");
        }
        if !self.files.is_empty() {
            let mut packages: Vec<&str> = self.files.iter().map(|(_, package)| *package).collect();
            packages.dedup();
            let _ = write!(
                text,
                "\n  on Debian and Ubuntu: apt-get install --no-install-recommends {}",
                packages.join(" ")
            );
        }
        if !self.controllers.is_empty() {
            let _ = write!(
                text,
                "\n  no cgroup hierarchy of version 1 for {}: real nodes know version 1 alone so far; \
                 a machine with systemd has it after booting with `systemd.unified_cgroup_hierarchy=0`",
                self.controllers.join(", ")
            );
        }
        text
    }
}

/// A command with a program of the system.
pub(super) fn tool(program: &str) -> Command {
    let mut command = Command::new(find(program).unwrap_or_else(|| program.into()));
    command.env("PATH", path());
    command
}

/// `PATH` with the system's folders behind it.
pub(super) fn path() -> OsString {
    let given = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&given).chain(FOLDERS.map(PathBuf::from));
    // Fails only for a folder whose name holds a colon, and none of these came from one that does.
    std::env::join_paths(folders).unwrap_or(given)
}

fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path())
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let lacks = Lacks {
            not_root: true,
            files: vec![
                ("unshare".to_owned(), "util-linux"),
                ("nsenter".to_owned(), "util-linux"),
                ("runc".to_owned(), "runc"),
            ],
            controllers: vec!["memory"],
        };
        insta::assert_snapshot!(lacks.to_string(), @r"
        real nodes cannot run here:
          not root: namespaces, mounts and cgroups of a node take its rights, so run this with sudo
          not there: unshare
          not there: nsenter
          not there: runc
          on Debian and Ubuntu: apt-get install --no-install-recommends util-linux runc
          no cgroup hierarchy of version 1 for memory: real nodes know version 1 alone so far; a machine with systemd has it after booting with `systemd.unified_cgroup_hierarchy=0`
        ");
    }
}
