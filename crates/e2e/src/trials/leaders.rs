//! Two controllers: one leads, the other stands by, and a leader that was asleep writes nothing.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::text;
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "leaders::of_two_controllers_one_writes_and_a_sleeper_wakes_up_deposed",
        two,
    ),
    (
        "leaders::a_restart_looks_at_everything_and_writes_nothing",
        quiet,
    ),
];

/// Who the controllers are to the API server.
pub(super) const CONTROLLER: &str = "system:serviceaccount:bulkhead-system:controller";
const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/bulkhead-system/leases/bulkhead-controller";

/// A controller beside the sandbox's own, killed with this value.
pub(super) struct Second(Child);

impl Second {
    pub(super) fn start(bed: &Bed, identity: &str) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let log = File::options()
            .create(true)
            .append(true)
            .open(bed.layout.log(&format!("controller-{identity}")))?;
        let child = Command::new(&bed.binary)
            .arg("controller")
            .arg("--kubeconfig")
            .arg(bed.layout.identity_kubeconfig("controller"))
            .args([
                "--health",
                &format!("127.0.0.1:{port}"),
                "--identity",
                identity,
            ])
            .args([
                "--lease-duration",
                "5",
                "--renew-deadline",
                "4",
                "--retry-period",
                "1",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start a second controller")?;
        Ok(Self(child))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn kill(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) fn signal(pid: u32, signal: &str) -> anyhow::Result<()> {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()?;
    ensure!(status.success(), "cannot send {signal} to {pid}");
    Ok(())
}

fn leader(bed: &Bed) -> anyhow::Result<String> {
    let lease = bed.do_as_admin(&Request::get(LEASE))?;
    Ok(text(&lease, "/spec/holderIdentity").to_owned())
}

fn led_by(bed: &Bed, prefix: &str) -> anyhow::Result<()> {
    eventually(&format!("`{prefix}` leads"), || {
        Ok(leader(bed)?.starts_with(prefix).then_some(()))
    })
}

fn cordon(guest: &Guest<'_>, bed: &Bed, cordoned: bool) -> anyhow::Result<()> {
    let patch = json!({"spec": {"cordoned": cordoned}});
    bed.do_as_admin(&Request::patch(
        guest.path(),
        "application/merge-patch+json",
        &patch,
    ))?;
    let namespace = format!("/api/v1/namespaces/{}", guest.namespace);
    eventually("the namespace hears of it", || {
        let object = bed.do_as_admin(&Request::get(namespace.as_str()))?;
        let mark = object.pointer("/metadata/annotations/bulkhead.dev~1cordoned");
        Ok((mark.is_some() == cordoned).then_some(()))
    })
}

fn two(bed: &Bed) -> anyhow::Result<()> {
    led_by(bed, "controller_")?;
    let guest = Guest::arrive(bed, "e2e-leaders", &json!({}))?;
    let first = bed.pid("controller")?;
    let mut second = Second::start(bed, "second")?;
    let log = bed.layout.log("controller-second");
    eventually("the second stands by", || {
        Ok(std::fs::read_to_string(&log)?
            .contains("standing by")
            .then_some(()))
    })?;
    signal(first, "-STOP")?;
    let result = led_by(bed, "second_").and_then(|()| cordon(&guest, bed, true));
    // The sleeper missed all that, and has a queue, connections and a lease that is another's.
    std::thread::sleep(Duration::from_secs(1));
    let mark = bed.audit_mark()?;
    signal(first, "-CONT")?;
    result?;
    let log = bed.layout.log("controller");
    eventually("the first notices", || {
        Ok(std::fs::read_to_string(&log)?
            .contains("leading no more")
            .then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(2));
    let writes = bed.writes_since(mark, CONTROLLER)?;
    ensure!(
        writes.is_empty(),
        "two wrote, or one needlessly: {writes:?}"
    );
    ensure!(leader(bed)?.starts_with("second_"), "{}", leader(bed)?);
    // Asked to end, the second lets go, and the first need not wait for the lease to run out.
    signal(second.0.id(), "-TERM")?;
    let ended = second.0.wait()?;
    ensure!(ended.success(), "the second controller ended with {ended}");
    let lease: Value = bed.do_as_admin(&Request::get(LEASE))?;
    ensure!(
        !text(&lease, "/spec/holderIdentity").starts_with("second_"),
        "{lease}"
    );
    led_by(bed, "controller_")?;
    cordon(&guest, bed, false)?;
    guest.leave()
}

/// What is as it should be costs no write, and no read but lists and the forwarder's shards, which
/// can be had by name only.
fn quiet(bed: &Bed) -> anyhow::Result<()> {
    const SETTLED: &str = "all observed: nothing is left to do";
    let guest = Guest::arrive(bed, "e2e-quiet", &json!({}))?;
    let version = || -> anyhow::Result<String> {
        let tenant = bed.do_as_admin(&Request::get(guest.path()))?;
        Ok(text(&tenant, "/metadata/resourceVersion").to_owned())
    };
    eventually("all is said of the guest", || {
        let before = version()?;
        std::thread::sleep(Duration::from_secs(2));
        Ok((version()? == before).then_some(()))
    })?;
    bed.kill("controller")?;
    let log = bed.layout.log("controller");
    let settled =
        || -> anyhow::Result<usize> { Ok(std::fs::read_to_string(&log)?.matches(SETTLED).count()) };
    let before = settled()?;
    let mark = bed.audit_mark()?;
    bed.start("controller")?;
    eventually("the controller has looked at everything", || {
        Ok((settled()? > before).then_some(()))
    })?;
    // What is nobody's concern is left alone too.
    let path = format!("/api/v1/namespaces/{}", guest.namespace);
    let note = json!({"metadata": {"annotations": {"example.com/note": "mine"}}});
    bed.do_as_admin(&Request::patch(path, "application/merge-patch+json", &note))?;
    std::thread::sleep(Duration::from_secs(5));
    let writes = bed.writes_since(mark, CONTROLLER)?;
    ensure!(
        writes.is_empty(),
        "written though nothing had changed: {writes:?}"
    );
    let reads = bed.gets_since(mark, CONTROLLER)?;
    let single: Vec<_> = reads
        .iter()
        // What the ledger decides is read where it stands, and the nodes that it is about.
        .filter(|resource| {
            let live = ["clusterroles", "leases", "ledgerentries", "nodes", ""];
            !live.contains(&resource.as_str())
        })
        .collect();
    ensure!(single.is_empty(), "asked for one by one: {single:?}");
    // The trial sees writes where there are any.
    cordon(&guest, bed, true)?;
    ensure!(
        !bed.writes_since(mark, CONTROLLER)?.is_empty(),
        "cordoning wrote nothing"
    );
    guest.leave()
}
