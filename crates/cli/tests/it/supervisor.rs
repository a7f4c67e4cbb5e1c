//! What the supervisor promises: nothing outlives it, an order of stopping, a reason for each end.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bulkhead_sandbox::control::ControlError;
use bulkhead_sandbox::dir::{self, DirError};
use bulkhead_sandbox::protocol::{ProcessState, ProcessStatus, THIS_PROGRAM};
use bulkhead_sandbox::{Control, StartError, Starting};

use crate::stand_in::{BULKHEAD, Place, idle, kill, runs, shell, text, until};

const LONG: Duration = Duration::from_secs(30);

/// A supervisor in a new directory, still held by us.
fn start(place: &Place) -> Starting {
    let claim = dir::claim(&place.layout).unwrap();
    Starting::start(Path::new(BULKHEAD), &place.layout, &claim).unwrap()
}

fn process(place: &Place, name: &str) -> ProcessStatus {
    let processes = Control::connect(&place.layout).unwrap().status().unwrap();
    processes
        .into_iter()
        .find(|process| process.name == name)
        .unwrap()
}

#[tokio::test]
async fn nothing_outlives_a_killed_supervisor() {
    let place = Place::new();
    let mut starting = start(&place);
    for name in ["a", "b", "c"] {
        starting.launch(idle(&place.layout, name)).unwrap();
    }
    let supervisor = starting.supervisor();
    starting.settle().unwrap();
    let pids = ["a", "b", "c"].map(|name| process(&place, name).pid.unwrap());
    assert!(pids.into_iter().all(runs));

    kill("-9", supervisor);
    until("all processes are dead", || !pids.into_iter().any(runs));
    until("the directory is free", || {
        !place.layout.is_running().unwrap()
    });
    // What is left is known as ours, said so, and taken over.
    assert!(dir::claim(&place.layout).unwrap().was_stale);
}

#[tokio::test]
async fn processes_stop_by_rank_and_one_after_the_other() {
    let place = Place::new();
    let mut starting = start(&place);
    for (name, rank) in [
        ("server", 5),
        ("client", 1),
        ("store", 9),
        ("late-client", 1),
    ] {
        // Each takes its time to end: the next must not be told before.
        let script = format!(
            "trap 'echo {name} told >> order; sleep 0.2; echo {name} ended >> order; exit 0' TERM; \
             echo ready; while :; do sleep 0.02; done"
        );
        let mut launch = shell(&place.layout, name, &script);
        launch.stop_rank = rank;
        let log = launch.log.clone();
        starting.launch(launch).unwrap();
        until("the trap is set", || {
            std::fs::read_to_string(&log).is_ok_and(|log| log.contains("ready"))
        });
    }
    starting.settle().unwrap();
    // The supervisor's child processes run in its directory.
    let order = place.layout.root().join("order");
    Control::connect(&place.layout)
        .unwrap()
        .down(&place.layout, LONG)
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(order).unwrap(),
        "late-client told\nlate-client ended\nclient told\nclient ended\nserver told\nserver ended\nstore told\nstore ended\n"
    );
}

#[tokio::test]
async fn what_was_never_settled_goes_with_its_maker() {
    let place = Place::new();
    let mut starting = start(&place);
    starting.launch(idle(&place.layout, "a")).unwrap();
    let pid = process(&place, "a").pid.unwrap();
    let supervisor = starting.supervisor();
    // As if we were killed: the connection ends, nothing is said.
    drop(starting);
    until("process and supervisor are gone", || {
        !runs(pid) && !runs(supervisor)
    });
    assert!(!place.layout.is_running().unwrap());
}

#[tokio::test]
async fn what_was_settled_stays() {
    let place = Place::new();
    let mut starting = start(&place);
    starting.launch(idle(&place.layout, "a")).unwrap();
    starting.settle().unwrap();
    // Requests are answered in order: the end of the connection is seen before the second.
    assert_eq!(process(&place, "a").state, ProcessState::Running);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(process(&place, "a").state, ProcessState::Running);
    Control::connect(&place.layout)
        .unwrap()
        .down(&place.layout, LONG)
        .unwrap();
    assert!(matches!(
        Control::connect(&place.layout),
        Err(ControlError::NotRunning(_))
    ));
}

#[tokio::test]
async fn a_death_while_we_wait_shows_the_end_of_its_log() {
    let place = Place::new();
    let mut starting = start(&place);
    starting.launch(idle(&place.layout, "well")).unwrap();
    starting
        .launch(shell(
            &place.layout,
            "ill",
            "seq 50; echo 'disk on fire' >&2; exit 3",
        ))
        .unwrap();
    let error = starting
        .wait("x", "well", LONG, std::future::pending::<()>())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(&error, StartError::Died { name, .. } if name == "ill"),
        "{text}"
    );
    assert!(
        text.contains("`ill` stopped (exit 3)") && text.ends_with("\n49\n50\ndisk on fire"),
        "{text}"
    );
    assert!(
        text.contains("\n32\n") && !text.contains("\n31\n"),
        "{text}"
    );
    assert!(!error.lost_a_port());
    starting.take_down();
}

#[tokio::test]
async fn a_wait_that_is_too_long_blames_a_log() {
    let place = Place::new();
    let mut starting = start(&place);
    starting
        .launch(shell(
            &place.layout,
            "slow",
            "echo 'waiting for Godot'; exec sleep 1000",
        ))
        .unwrap();
    until("it has spoken", || {
        std::fs::metadata(place.layout.log("slow")).unwrap().len() > 0
    });
    let wait = starting.wait(
        "his coming",
        "slow",
        Duration::from_millis(200),
        std::future::pending::<()>(),
    );
    let text = wait.await.unwrap_err().to_string();
    assert!(
        text.starts_with("his coming takes longer than") && text.ends_with("waiting for Godot"),
        "{text}"
    );
    starting.take_down();
}

#[tokio::test]
async fn a_process_that_does_not_stop_is_killed() {
    let place = Place::new();
    let mut starting = start(&place);
    let mut deaf = shell(
        &place.layout,
        "deaf",
        "trap '' TERM; echo ready; while :; do sleep 0.05; done",
    );
    deaf.grace_ms = 300;
    starting.launch(deaf).unwrap();
    until("the trap is set", || {
        std::fs::metadata(place.layout.log("deaf")).unwrap().len() > 0
    });
    let pid = process(&place, "deaf").pid.unwrap();
    let started = Instant::now();
    Control::connect(&place.layout)
        .unwrap()
        .stop("deaf", false)
        .unwrap();
    assert!(!runs(pid) && started.elapsed() >= Duration::from_millis(300));
    starting.take_down();
}

#[tokio::test]
async fn one_process_is_stopped_and_started_again() {
    let place = Place::new();
    let mut starting = start(&place);
    starting.launch(idle(&place.layout, "a")).unwrap();
    starting.launch(idle(&place.layout, "b")).unwrap();
    let mut control = Control::connect(&place.layout).unwrap();
    let refused = |result: Result<(), ControlError>| match result.unwrap_err() {
        ControlError::Refused(why) => why,
        other => panic!("{other}"),
    };
    for kill in [false, true] {
        let before = process(&place, "a").pid.unwrap();
        control.stop("a", kill).unwrap();
        assert!(!runs(before));
        assert_eq!(process(&place, "a").state, ProcessState::Stopped);
        assert_eq!(refused(control.stop("a", kill)), "`a` is not running");
        control.start("a").unwrap();
        assert_ne!(process(&place, "a").pid, Some(before));
    }
    assert_eq!(refused(control.start("a")), "`a` is running");
    assert_eq!(
        refused(control.stop("c", false)),
        "there is no process `c`: expected one of `a`, `b`"
    );
    assert_eq!(
        refused(control.launch(idle(&place.layout, "a"))),
        "there is a process `a` already"
    );

    kill("-9", process(&place, "b").pid.unwrap());
    until("its death is noted", || {
        process(&place, "b").state == ProcessState::Killed(9)
    });
    starting.take_down();
}

#[tokio::test]
async fn children_get_no_input_no_proxy_and_their_own_name() {
    let place = Place::new();
    let claim = dir::claim(&place.layout).unwrap();
    // The variable is the supervisor's: it starts under a shell that sets it.
    let wrapper = place.parent.path().join("wrapper");
    crate::stand_in::executable(
        &wrapper,
        &format!("HTTPS_PROXY=http://evil KEPT=yes exec {BULKHEAD} \"$@\""),
    );
    let mut starting = Starting::start(&wrapper, &place.layout, &claim).unwrap();
    starting
        .launch(shell(
            &place.layout,
            "env",
            "env; readlink /proc/self/fd/0; exec sleep 1000",
        ))
        .unwrap();
    let mut own = idle(&place.layout, "own");
    own.program = THIS_PROGRAM.into();
    own.args = vec!["--version".into()];
    starting.launch(own).unwrap();
    let log = |name: &str| std::fs::read_to_string(place.layout.log(name)).unwrap();
    until("both have spoken", || {
        log("env").contains("/dev/null\n") && !log("own").is_empty()
    });
    assert!(
        log("env").contains("KEPT=yes\n") && !log("env").contains("evil"),
        "{}",
        log("env")
    );
    assert!(log("own").starts_with("bulkhead "), "{}", log("own"));
    starting.take_down();
}

#[test]
fn the_hidden_commands_are_not_for_people() {
    let place = Place::new();
    let supervise = place.sandbox(&["supervise"]);
    assert!(
        text(&supervise.stderr).contains("is for `bulkhead sandbox up`"),
        "{supervise:?}"
    );
    assert!(!place.layout.root().exists());

    let exec = Command::new(BULKHEAD)
        .args(["sandbox", "exec", "1", "/bin/echo", "ran"])
        .output()
        .unwrap();
    assert!(!exec.status.success() && exec.stdout.is_empty(), "{exec:?}");
    assert!(
        text(&exec.stderr).contains("process 1 is not, or no longer, the parent"),
        "{exec:?}"
    );
}

#[tokio::test]
async fn a_second_sandbox_in_the_same_directory_is_refused() {
    let place = Place::new();
    let starting = start(&place);
    assert!(matches!(
        dir::claim(&place.layout),
        Err(DirError::Running(_))
    ));
    let up = place.sandbox(&["up"]);
    assert_eq!(up.status.code(), Some(2));
    let said = text(&up.stderr);
    assert!(
        said.contains("already running") && said.contains("sandbox down --dir"),
        "{said}"
    );
    starting.take_down();
}
