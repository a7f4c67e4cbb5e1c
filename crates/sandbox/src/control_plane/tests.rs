use super::*;
use crate::binaries::Search;
use crate::dir;

/// The command lines in a directory `DIR` with programs from `BIN`.
fn commands(emulate: Option<&str>) -> String {
    let (root, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for program in Program::ALL {
        use std::os::unix::fs::PermissionsExt as _;
        let path = bin.path().join(program.name());
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let search = Search {
        flag: Some(bin.path().into()),
        assets: None,
        cache: None,
        go: "go".into(),
    };
    let binaries = search.find(&mut |_| {}).unwrap();
    let layout = Layout::new(root.path()).unwrap();
    let ports = Ports {
        etcd: 1,
        etcd_peer: 2,
        api_server: 3,
        kubelet: 4,
        webhook: 5,
        gateway: 6,
        controller: 7,
    };
    let plane = ControlPlane {
        layout: &layout,
        binaries: &binaries,
        ports,
        emulate,
        real_nodes: false,
    };
    let mut text = String::new();
    for launch in plane.launches().into_iter().chain([plane.kwok()]) {
        text += &format!("{}\n", launch.program.display());
        for arg in launch.args {
            text += &format!("  {arg}\n");
        }
    }
    text.replace(&root.path().display().to_string(), "DIR")
        .replace(&bin.path().display().to_string(), "BIN")
}

#[test]
fn command_lines() {
    insta::assert_snapshot!(commands(None));
}

#[test]
fn all_emulate_the_same_version() {
    let emulated = commands(Some("1.33"));
    assert_eq!(emulated.matches("--emulated-version=kube=1.33").count(), 3);
    assert!(!commands(None).contains("emulated"));
}

#[test]
fn files_are_private_and_complete() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let layout = Layout::new(&parent.path().join("s")).unwrap();
    let _claim = dir::claim(&layout).unwrap();
    let bin = tempfile::tempdir().unwrap();
    for program in Program::ALL {
        std::fs::copy("/bin/true", bin.path().join(program.name())).unwrap();
    }
    let search = Search {
        flag: Some(bin.path().into()),
        assets: None,
        cache: None,
        go: "go".into(),
    };
    let binaries = search.find(&mut |_| {}).unwrap();
    let ports = Ports::choose(Some(9)).unwrap();
    assert_eq!(ports.gateway, 9);
    let plane = ControlPlane {
        layout: &layout,
        binaries: &binaries,
        ports,
        emulate: None,
        real_nodes: false,
    };
    plane.write_files().unwrap();
    // Every file that a command line names is there, but for what the programs make.
    for launch in plane.launches().into_iter().chain([plane.kwok()]) {
        for arg in &launch.args {
            let Some((flag, path)) = arg
                .split_once('=')
                .filter(|(_, value)| value.starts_with('/'))
            else {
                continue;
            };
            if !["--data-dir", "--audit-log-path"].contains(&flag) {
                let mode = std::fs::metadata(path).expect(arg).permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{path}");
            }
        }
    }
}

#[test]
fn the_store_stops_last_and_the_gateway_first() {
    let mut names = STOP_ORDER;
    names.sort_by_key(|name| stop_rank(name));
    assert_eq!(names, STOP_ORDER);
    assert!(stop_rank("kube-apiserver") < stop_rank("etcd"));
    assert_eq!(stop_rank("gateway"), 0);
}
