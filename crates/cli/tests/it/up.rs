//! `up` and `down` when they cannot succeed.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use bulkhead_sandbox::{Control, Program};

use crate::stand_in::{Place, executable, kill, runs, text, until};

/// A folder of programs that do nothing, `program` aside, which runs the script.
fn programs(place: &Place, program: Program, script: &str) -> PathBuf {
    let folder = place.parent.path().join("bin");
    fs::create_dir(&folder).unwrap();
    for other in Program::ALL {
        let script = if other == program {
            script
        } else {
            "exec sleep 1000"
        };
        executable(&folder.join(other.name()), script);
    }
    folder
}

#[test]
fn foreign_contents_are_refused_and_left_alone() {
    let place = Place::new();
    fs::create_dir_all(place.layout.root()).unwrap();
    let file = place.layout.root().join("thesis.tex");
    fs::write(&file, "years of work").unwrap();
    for command in [&["up"][..], &["down"], &["down", "--keep"]] {
        let output = place.sandbox(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("is no sandbox"), "{output:?}");
        assert_eq!(fs::read_dir(place.layout.root()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&file).unwrap(), "years of work");
    }
}

#[test]
fn bad_arguments_are_refused_before_anything_is_made() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, says) in [
        (
            &["--emulate", "1.12"][..],
            "cannot emulate `1.12`: expected a version from 1.",
        ),
        (&["--tenants", "acme,acme-prod"], "cannot both exist"),
        (&["--tenants", "Acme"], "`Acme` is not a tenant name"),
        (&["--nodes", "0"], "--nodes"),
        (&["--real-nodes", "10"], "--real-nodes"),
        (&["--kubernetes-bin", "/no/such/folder"], "lacks `etcd`"),
        (
            &["--gateway-port", &port],
            "is taken: choose another with --gateway-port",
        ),
    ] {
        let output = place.sandbox(&[&["up"], arguments].concat());
        assert!(!output.status.success());
        assert!(
            text(&output.stderr).contains(says),
            "{arguments:?}: {output:?}"
        );
        assert!(!place.layout.root().exists(), "{arguments:?}");
    }
}

#[test]
fn a_component_that_dies_is_shown_and_everything_stopped() {
    let place = Place::new();
    let bin = programs(
        &place,
        Program::Scheduler,
        "seq 50; echo 'no such flag'; exit 2",
    );
    let up = place.sandbox(&["up", "--kubernetes-bin", bin.to_str().unwrap()]);
    let said = text(&up.stderr);
    assert_eq!(up.status.code(), Some(1), "{said}");
    assert!(
        said.contains("`kube-scheduler` stopped (exit 2)") && said.ends_with("50\nno such flag\n"),
        "{said}"
    );
    assert!(!place.layout.is_running().unwrap());
    // The logs stay until `down`, which another `up` does not need.
    assert!(place.layout.log("kube-scheduler").exists());
    let down = place.sandbox(&["down"]);
    assert!(
        text(&down.stdout).contains("removed what was left of it"),
        "{down:?}"
    );
    assert!(!place.layout.root().exists());
}

#[test]
fn a_lost_port_is_tried_again_with_others() {
    let place = Place::new();
    let seen = place.parent.path().join("seen");
    let script = format!(
        "echo \"$@\" >> {}; echo 'listen tcp: bind: address already in use'; exit 1",
        seen.display()
    );
    let bin = programs(&place, Program::Etcd, &script);
    let up = place.sandbox(&["up", "--kubernetes-bin", bin.to_str().unwrap()]);
    let said = text(&up.stderr);
    assert!(!up.status.success());
    assert_eq!(
        said.matches("trying again with others").count(),
        2,
        "{said}"
    );
    let tries: Vec<String> = fs::read_to_string(seen)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(tries.len(), 3);
    assert!(tries[0] != tries[1] && tries[1] != tries[2], "{tries:?}");
}

#[test]
fn an_interrupted_up_leaves_nothing() {
    for signal in ["-INT", "-TERM", "-KILL"] {
        let place = Place::new();
        let bin = programs(&place, Program::Etcd, "exec sleep 1000");
        let mut command = place.command(&["up", "--kubernetes-bin", bin.to_str().unwrap()]);
        let up = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until("all are started", || {
            Control::connect(&place.layout)
                .is_ok_and(|mut c| c.status().is_ok_and(|all| all.len() == 4))
        });
        let mut pids: Vec<u32> = Control::connect(&place.layout)
            .unwrap()
            .status()
            .unwrap()
            .iter()
            .filter_map(|process| process.pid)
            .collect();
        pids.push(place.layout.state().unwrap().unwrap().supervisor);
        assert_eq!(pids.len(), 5);
        kill(signal, up.id());
        let output = up.wait_with_output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        until("all are gone", || !pids.iter().copied().any(runs));
        if signal == "-KILL" {
            // Nobody was left to remove the directory; the next `up` or `down` does.
            until("the directory is free", || {
                !place.layout.is_running().unwrap()
            });
            assert!(place.sandbox(&["down"]).status.success());
        } else {
            assert!(text(&output.stderr).contains("interrupted"), "{output:?}");
        }
        assert!(!place.layout.root().exists(), "{signal}");
    }
}

#[test]
fn commands_without_a_sandbox_say_so() {
    let place = Place::new();
    for command in [&["status"][..], &["stop", "webhook"], &["start", "webhook"]] {
        let output = place.sandbox(command);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains("no sandbox is running in"),
            "{output:?}"
        );
    }
    let down = place.sandbox(&["down"]);
    assert!(
        down.status.success() && text(&down.stdout).contains("no sandbox in"),
        "{down:?}"
    );
}
