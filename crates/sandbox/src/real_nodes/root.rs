//! The root of a node: in memory, with the machine's programs for reading, and its own everything else.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change,
    mount_remount, unmount,
};

use super::cgroups::{Hierarchy, Version, hierarchies};
use super::{RealNode, RealNodeError, errno, io_error};

/// Folders of the machine that the node reads: programs and what they are linked with.
const PROGRAMS: [&str; 6] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc/alternatives",
];
/// Files of the machine that the node copies: how libraries are found.
const COPIED: [&str; 1] = ["/etc/ld.so.cache"];
/// Devices of the machine that are in the node. No disk is among them.
const DEVICES: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "kmsg"];

/// Makes the root and moves there.
pub(super) fn make(node: &RealNode) -> Result<(), RealNodeError> {
    // Before anything is moved: they are told by what this process sees.
    let hierarchies = hierarchies().map_err(io_error("read this process's cgroups"))?;
    let root = node.layout.config(&format!("{}.root", node.name()));
    make_folder(&root)?;
    mount_new("tmpfs", &root, "tmpfs", "mode=0755")?;
    for path in PROGRAMS {
        show(Path::new(path), &inside(&root, path))?;
    }
    for path in COPIED {
        let to = inside(&root, path);
        make_parent(&to)?;
        // Not every system has one.
        fs::copy(path, to).ok();
    }
    copy(&node.folder(), &root)?;
    show(&node.linked("programs")?, &root.join("opt/bin"))?;
    show(&node.linked("plugins")?, &root.join("opt/cni/bin"))?;
    for (path, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
        // There is nobody to ask for names.
        ("etc/resolv.conf", ""),
    ] {
        let path = root.join(path);
        fs::write(&path, text).map_err(io_error(format!("write `{}`", path.display())))?;
    }
    for folder in [
        "root",
        "tmp",
        "run",
        "var/lib/containerd",
        "var/lib/kubelet",
        "var/log",
    ] {
        make_folder(&root.join(folder))?;
    }
    symlink("/run", root.join("var/run")).map_err(io_error("link `/var/run`"))?;
    devices(&root)?;
    for (folder, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        let path = root.join(folder);
        make_folder(&path)?;
        mount_new(kind, &path, kind, "")?;
    }
    cgroups(&root.join("sys/fs/cgroup"), &hierarchies)?;
    enter(&root)
}

/// `/usr` below the new root.
fn inside(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Makes a file or folder of the machine appear in the node, for reading.
fn show(path: &Path, to: &Path) -> Result<(), RealNodeError> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        // A machine whose `/lib64` does not exist needs none.
        return Ok(());
    };
    make_parent(to)?;
    if meta.is_symlink() {
        let target = fs::read_link(path).map_err(io_error(format!("read `{}`", path.display())))?;
        return symlink(target, to).map_err(io_error(format!("link `{}`", to.display())));
    }
    if meta.is_dir() {
        make_folder(to)?;
    } else {
        File::create(to).map_err(io_error(format!("make `{}`", to.display())))?;
    }
    bind(path, to)?;
    mount_remount(to, MountFlags::BIND | MountFlags::RDONLY, "")
        .map_err(errno(format!("protect `{}`", to.display())))
}

/// Copies the files and folders of a folder; links in it are for us, not for the node.
fn copy(from: &Path, to: &Path) -> Result<(), RealNodeError> {
    let read = || io_error(format!("read `{}`", from.display()));
    for entry in fs::read_dir(from).map_err(read())? {
        let entry = entry.map_err(read())?;
        let kind = entry.file_type().map_err(read())?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            make_folder(&to)?;
            copy(&path, &to)?;
        } else if kind.is_file() {
            fs::copy(&path, &to).map_err(io_error(format!("copy `{}`", path.display())))?;
        }
    }
    Ok(())
}

fn devices(root: &Path) -> Result<(), RealNodeError> {
    let dev = root.join("dev");
    make_folder(&dev)?;
    for device in DEVICES {
        let to = dev.join(device);
        File::create(&to).map_err(io_error(format!("make `{}`", to.display())))?;
        bind(&Path::new("/dev").join(device), &to)?;
    }
    for (folder, kind, data) in [
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"),
        ("shm", "tmpfs", "mode=1777"),
        ("mqueue", "mqueue", ""),
    ] {
        let path = dev.join(folder);
        make_folder(&path)?;
        mount_new(kind, &path, kind, data)?;
    }
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).map_err(io_error(format!("link `{name}`")))?;
    }
    Ok(())
}

/// The same hierarchies as the machine's, each beginning at the node's own cgroup.
fn cgroups(folder: &Path, hierarchies: &[Hierarchy]) -> Result<(), RealNodeError> {
    mount_new("tmpfs", folder, "tmpfs", "mode=0755")?;
    for hierarchy in hierarchies {
        let Some(name) = hierarchy.mounted.file_name() else {
            continue;
        };
        let path = folder.join(name);
        make_folder(&path)?;
        let kind = match hierarchy.version {
            Version::One => "cgroup",
            Version::Two => "cgroup2",
        };
        mount_new(kind, &path, kind, &hierarchy.options)?;
    }
    Ok(())
}

/// Makes this the root, and lets go of the old one.
fn enter(root: &Path) -> Result<(), RealNodeError> {
    let old = root.join("old");
    make_folder(&old)?;
    rustix::process::pivot_root(root, &old).map_err(errno("change the root"))?;
    rustix::process::chdir("/").map_err(errno("enter the new root"))?;
    unmount("/old", UnmountFlags::DETACH).map_err(errno("let go of the old root"))?;
    rustix::fs::unlinkat(CWD, "/old", rustix::fs::AtFlags::REMOVEDIR)
        .map_err(errno("remove `/old`"))?;
    // Containers' mounts follow those of the node, as kubelets expect.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    mount_change("/", shared).map_err(errno("share the mounts"))
}

fn mount_new(source: &str, to: &Path, kind: &str, data: &str) -> Result<(), RealNodeError> {
    let data = std::ffi::CString::new(data).unwrap_or_default();
    mount(source, to, kind, MountFlags::empty(), data.as_c_str())
        .map_err(errno(format!("mount `{kind}` at `{}`", to.display())))
}

fn bind(from: &Path, to: &Path) -> Result<(), RealNodeError> {
    mount_bind(from, to).map_err(errno(format!("show `{}`", from.display())))
}

fn make_parent(path: &Path) -> Result<(), RealNodeError> {
    path.parent().map_or(Ok(()), make_folder)
}

fn make_folder(path: &Path) -> Result<(), RealNodeError> {
    fs::create_dir_all(path).map_err(io_error(format!("make `{}`", path.display())))
}
