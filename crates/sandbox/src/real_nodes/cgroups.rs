//! The cgroups of a node: one in each hierarchy, below that of who makes them, and their removal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long processes that were killed may take to be gone.
const EMPTYING: Duration = Duration::from_secs(10);
/// How often to look.
const POLL: Duration = Duration::from_millis(10);

/// Which of the two designs a hierarchy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    /// Where it is mounted.
    pub(super) mounted: PathBuf,
    /// What it is mounted by: its controllers or its name. Empty for version 2.
    pub(super) options: String,
    /// Our own cgroup in it.
    own: PathBuf,
}

impl Hierarchy {
    /// A cgroup below ours.
    pub(super) fn below(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }
}

/// Every hierarchy that this process sees.
///
/// # Errors
/// If `/proc` cannot be read.
pub(super) fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    Ok(parse(
        &fs::read_to_string("/proc/self/mountinfo")?,
        &fs::read_to_string("/proc/self/cgroup")?,
    ))
}

fn parse(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, file_system)) = line.split_once(" - ") else {
            continue;
        };
        let mount: Vec<&str> = mount.split(' ').collect();
        let file_system: Vec<&str> = file_system.split(' ').collect();
        let (Some(root), Some(mounted)) = (mount.get(3), mount.get(4)) else {
            continue;
        };
        let [kind, _, options] = file_system.as_slice() else {
            continue;
        };
        let version = match *kind {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => continue,
        };
        let membership = cgroup.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let same = match version {
                Version::Two => controllers.is_empty(),
                Version::One => {
                    !controllers.is_empty()
                        && controllers
                            .split(',')
                            .all(|one| options.split(',').any(|other| other == one))
                }
            };
            same.then_some((controllers, path))
        });
        let Some((controllers, path)) = membership else {
            continue;
        };
        // A hierarchy can be mounted twice; and a mount can begin below the hierarchy's root.
        let known = found
            .iter()
            .any(|other| other.version == version && other.options == controllers);
        // Seen from a cgroup namespace, a mount of the machine's begins above the namespace's root. Such
        // a hierarchy is known, but no cgroup is made in it.
        let below_mount = match Path::new(path).strip_prefix(root) {
            Ok(below) => below,
            Err(_) if root.starts_with("/..") => Path::new(""),
            Err(_) => continue,
        };
        if !known {
            found.push(Hierarchy {
                version,
                mounted: PathBuf::from(mounted),
                options: controllers.to_owned(),
                own: Path::new(mounted).join(below_mount),
            });
        }
    }
    found
}

/// Makes a cgroup.
///
/// # Errors
/// Names what cannot be made or written.
pub(super) fn make(hierarchy: &Hierarchy, cgroup: &Path) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("cannot use `{}`: {error}", path.display()),
        )
    };
    match fs::create_dir(cgroup) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(named(cgroup, error));
        }
        _ => {}
    }
    // A new cgroup of cpuset takes nobody in before it has processors and memory.
    if hierarchy.options.split(',').any(|one| one == "cpuset") {
        let parent = cgroup.parent().unwrap_or(cgroup);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let from = parent.join(file);
            let value = fs::read(&from).map_err(|error| named(&from, error))?;
            let to = cgroup.join(file);
            fs::write(&to, value).map_err(|error| named(&to, error))?;
        }
        let clone = cgroup.join("cgroup.clone_children");
        fs::write(&clone, "1").map_err(|error| named(&clone, error))?;
    }
    Ok(())
}

/// Removes a cgroup and all below it. Processes in it must be dying: it waits for their end.
///
/// # Errors
/// If some do not end.
pub(super) fn remove(cgroup: &Path) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match remove_now(cgroup) {
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && started.elapsed() < EMPTYING =>
            {
                std::thread::sleep(POLL);
            }
            done => return done,
        }
    }
}

fn remove_now(cgroup: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // The rest are files of the kernel's, which go with their folder.
        if entry.file_type()?.is_dir() {
            remove_now(&entry.path())?;
        }
    }
    match fs::remove_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 0:20 / /proc rw - proc proc rw
30 25 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
31 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
33 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
34 25 0:27 / /elsewhere rw,relatime - cgroup cgroup rw,memory
35 25 0:30 /box /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
";

    #[test]
    fn hierarchies_are_found_with_our_place_in_them() {
        let own = "5:cpu,cpuacct:/\n4:memory:/a/b\n3:name=systemd:/\n2:pids:/box/c\n0::/u\n";
        let found: Vec<String> = parse(MOUNTS, own)
            .iter()
            .map(|one| {
                format!(
                    "{:?} {} {}",
                    one.version,
                    one.options,
                    one.below("n").display()
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                "One cpu,cpuacct /sys/fs/cgroup/cpu/n",
                "One memory /sys/fs/cgroup/memory/a/b/n",
                "One name=systemd /sys/fs/cgroup/systemd/n",
                "Two  /sys/fs/cgroup/unified/u/n",
                "One pids /sys/fs/cgroup/pids/c/n",
            ]
        );
    }

    #[test]
    fn hierarchies_are_found_from_inside_a_namespace() {
        let mounts = "31 25 0:27 /../../.. /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let found = parse(mounts, "4:memory:/\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].options, "memory");
    }

    #[test]
    fn what_is_gone_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("node");
        fs::create_dir_all(top.join("kubepods/pod")).unwrap();
        remove(&top).unwrap();
        assert!(!top.exists());
        remove(&top).unwrap();
    }
}
