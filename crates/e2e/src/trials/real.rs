//! What only a real node shows: the commands that reach into containers, what is true inside of them, and
//! that nothing of a node is left.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that lacks a key reads as null"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context as _, ensure};
use bulkhead_sandbox::protocol::ProcessState;
use bulkhead_sandbox::real_nodes::PROBE;
use serde_json::{Value, json};

use crate::bed::eventually;
use crate::lab::{Door, Lab, NODE, OWN, TENANT, processes};

/// A trial on a real node.
pub(crate) type RealCheck = fn(&Lab) -> anyhow::Result<()>;

/// In this order, one at a time: the last ones stop the node, then everything.
pub(super) const TRIALS: &[(&str, RealCheck)] = &[
    ("real::kubectl_reads_logs", logs),
    ("real::kubectl_executes", exec),
    ("real::kubectl_attaches", attach),
    ("real::kubectl_copies", copy),
    ("real::kubectl_forwards_ports", port_forward),
    ("real::kubectl_debugs", debug),
    ("real::a_tenants_container_has_no_powers", confined),
    ("real::what_reaches_for_the_node_never_starts", never_starts),
    ("real::pods_see_nothing_of_the_machine", apart),
    ("real::a_stopped_node_leaves_nothing", stopped),
    (
        "real::nothing_outlives_a_killed_supervisor",
        killed_supervisor,
    ),
];

/// The doors through which commands that reach into containers are tried.
const INTO: [Door; 2] = [Door::Admin, Door::Tenant];

fn logs(lab: &Lab) -> anyhow::Result<()> {
    let web = lab.web()?;
    for door in [Door::Admin, Door::Tenant] {
        let out = lab.kubectl(door, &["logs", &web], "")?.good()?;
        ensure!(
            out.starts_with(&format!("{web} serves on :8080\n")),
            "{door:?}: {out}"
        );
        let out = lab.kubectl(door, &["logs", "--tail=0", &web], "")?.good()?;
        ensure!(out.is_empty(), "{door:?}: {out}");
    }
    Ok(())
}

fn exec(lab: &Lab) -> anyhow::Result<()> {
    let web = lab.web()?;
    for door in INTO {
        // Both ways, to the end of the input, and the command's own exit code.
        let input = "one line\n".repeat(20_000);
        let out = lab
            .kubectl(door, &["exec", "-i", &web, "--", "cat"], &input)?
            .good()?;
        ensure!(out == input, "{door:?}: {} bytes came back", out.len());
        let failed = lab.kubectl(door, &["exec", &web, "--", "cat", "/no/such/file"], "")?;
        failed.bad(&["open /no/such/file", "exit code 1"])?;
    }
    Ok(())
}

fn attach(lab: &Lab) -> anyhow::Result<()> {
    for door in INTO {
        let name = format!("listener-{door:?}").to_lowercase();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [{
                "name": "listener", "image": PROBE, "args": ["cat"], "stdin": true, "stdinOnce": true,
            }]},
        });
        lab.kubectl(Door::Tenant, &["create", "-f", "-"], &pod.to_string())?
            .good()?;
        wait_until_ready(lab, &name)?;
        let out = lab
            .kubectl(door, &["attach", "-i", &name], "who is there\n")?
            .good()?;
        ensure!(out.contains("who is there"), "{door:?}: {out}");
    }
    Ok(())
}

fn copy(lab: &Lab) -> anyhow::Result<()> {
    let web = lab.web()?;
    let folder = lab.layout.root().join("config");
    for door in INTO {
        let (there, back) = (
            folder.join(format!("{door:?}-there")),
            folder.join(format!("{door:?}-back")),
        );
        let text = "copied\n".repeat(10_000);
        std::fs::write(&there, &text)?;
        let (there, back) = (there.display().to_string(), back.display().to_string());
        let inside = format!("{web}:/tmp/copied");
        lab.kubectl(door, &["cp", &there, &inside], "")?.good()?;
        lab.kubectl(door, &["cp", &inside, &back], "")?.good()?;
        ensure!(std::fs::read_to_string(&back)? == text, "{door:?}: changed");
    }
    Ok(())
}

fn port_forward(lab: &Lab) -> anyhow::Result<()> {
    let web = lab.web()?;
    for door in INTO {
        let mut child = lab
            .command(door, &["port-forward", &web, ":8080"])
            .spawn()?;
        let asked = ask_through(&mut child, &web);
        child.kill().ok();
        child.wait()?;
        asked.with_context(|| format!("{door:?}"))?;
    }
    Ok(())
}

/// Asks the pod for its name, through the port that kubectl says it listens on. Twice: each is a
/// stream of its own.
fn ask_through(child: &mut std::process::Child, web: &str) -> anyhow::Result<()> {
    let stdout = child.stdout.take().context("no output")?;
    // Kept to the end: kubectl says more, and dies if nobody hears it.
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let port = line
        .strip_prefix("Forwarding from 127.0.0.1:")
        .and_then(|rest| rest.split(' ').next())
        .with_context(|| format!("no port: `{line}`"))?;
    for _ in 0..2 {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        stream.write_all(b"GET /forwarded HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.ends_with(&format!("{web}\n")), "{answer}");
    }
    Ok(())
}

/// An ephemeral container of the tenant's own profile, which sees the processes of its target.
fn debug(lab: &Lab) -> anyhow::Result<()> {
    let web = lab.web()?;
    for door in INTO {
        let name = format!("debug-{door:?}").to_lowercase();
        let image = format!("--image={PROBE}");
        let flags = [
            "debug",
            &web,
            &image,
            "--profile=restricted",
            "--target=web",
        ];
        let container = format!("--container={name}");
        let command = ["--", "cat", "/proc/1/cmdline"];
        lab.kubectl(door, &[&flags[..], &[&container], &command].concat(), "")?
            .good()?;
        eventually("the debug container has spoken", || {
            let out = lab
                .kubectl(door, &["logs", &web, "--container", &name], "")?
                .good()?;
            Ok((out.contains("/bin/probe\0serve")).then_some(()))
        })?;
    }
    // The default profile asks for a power that tenants do not have.
    let default = [
        "debug",
        &web,
        &format!("--image={PROBE}"),
        "--profile=general",
    ];
    lab.kubectl(Door::Tenant, &[&default[..], &["--", "cat"]].concat(), "")?
        .bad(&["forbidden-capability", "SYS_PTRACE"])
}

/// What `/proc/self/status` says of a process.
fn status(text: &str) -> BTreeMap<String, Vec<String>> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, values)| {
            let values = values.split_whitespace().map(str::to_owned);
            (key.to_owned(), values.collect())
        })
        .collect()
}

fn status_of(
    lab: &Lab,
    namespace: &str,
    pod: &str,
) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let command = [
        "-n",
        namespace,
        "exec",
        pod,
        "--",
        "cat",
        "/proc/self/status",
    ];
    Ok(status(&lab.kubectl(Door::Admin, &command, "")?.good()?))
}

/// A pod of which the tenant said nothing but the image runs with an id of the tenant's block, no
/// capability, seccomp and no way to more. A pod without Bulkhead, beside it, has all of that.
fn confined(lab: &Lab) -> anyhow::Result<()> {
    let tenant = lab.read(&["tenant", TENANT])?;
    let block = tenant.pointer("/status/ranges/uid").and_then(Value::as_str);
    let block = block
        .and_then(|block| block.split_once('-'))
        .with_context(|| format!("no ids: {}", tenant["status"]["ranges"]))?;
    let block: std::ops::RangeInclusive<u64> = block.0.parse()?..=block.1.parse()?;
    ensure!(*block.start() > 0, "root is in {block:?}");
    let web = status_of(lab, OWN, &lab.web()?)?;
    let ids = |key: &str| -> anyhow::Result<Vec<u64>> {
        let values = web.get(key).with_context(|| format!("no `{key}`"))?;
        Ok(values
            .iter()
            .map(|id| id.parse())
            .collect::<Result<_, _>>()?)
    };
    for key in ["Uid", "Gid", "Groups"] {
        let ids = ids(key)?;
        let own = ids.iter().all(|id| block.contains(id));
        ensure!(own && !ids.is_empty(), "{key}: {ids:?}, not in {block:?}");
    }
    let one = |status: &BTreeMap<String, Vec<String>>, key: &str| {
        status
            .get(key)
            .map_or(String::new(), |values| values.join(" "))
    };
    let none = "0000000000000000";
    for (key, expected) in [
        ("CapInh", none),
        ("CapPrm", none),
        ("CapEff", none),
        ("CapBnd", none),
        ("CapAmb", none),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        ensure!(one(&web, key) == expected, "{key}: {}", one(&web, key));
    }

    start_plain(lab, "plain", &json!({}))?;
    let plain = status_of(lab, "default", "plain")?;
    for (key, confined) in [
        ("CapEff", none),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Uid", ""),
    ] {
        let value = one(&plain, key);
        ensure!(
            value != confined,
            "a plain pod has {key} {value} as well: nothing is shown"
        );
    }
    ensure!(
        one(&plain, "Uid") == "0 0 0 0",
        "a plain pod is not root: {plain:?}"
    );
    Ok(())
}

/// Starts a pod in a namespace that is no tenant's.
fn start_plain(lab: &Lab, name: &str, spec: &Value) -> anyhow::Result<()> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "probe", "image": PROBE}]},
    });
    merge(&mut pod["spec"], spec);
    let create = ["-n", "default", "create", "-f", "-"];
    lab.kubectl(Door::Admin, &create, &pod.to_string())?
        .good()?;
    let wait = [
        "-n",
        "default",
        "wait",
        "--for=condition=Ready",
        "--timeout=60s",
        "pod",
        name,
    ];
    lab.kubectl(Door::Admin, &wait, "")?.good().map(drop)
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            for (into, from) in into.iter_mut().zip(from) {
                merge(into, from);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn wait_until_ready(lab: &Lab, pod: &str) -> anyhow::Result<()> {
    let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "pod", pod];
    lab.kubectl(Door::Admin, &wait, "")?.good().map(drop)
}

/// Pods that reach for the node start on this node if an administrator makes them, and never if a
/// tenant does, not even by way of a Deployment.
fn never_starts(lab: &Lab) -> anyhow::Result<()> {
    let reaching = [
        ("host-pid", json!({"hostPID": true}), "host-pid"),
        ("host-network", json!({"hostNetwork": true}), "host-network"),
        (
            "host-path",
            json!({"volumes": [{"name": "node", "hostPath": {"path": "/"}}],
                "containers": [{"volumeMounts": [{"name": "node", "mountPath": "/node"}]}]}),
            "host-path-volume",
        ),
        (
            "privileged",
            json!({"containers": [{"securityContext": {"privileged": true}}]}),
            "privileged-container",
        ),
    ];
    for (name, spec, control) in &reaching {
        start_plain(lab, name, spec)?;
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "probe", "image": PROBE}]},
        });
        merge(&mut pod["spec"], spec);
        lab.kubectl(Door::Tenant, &["create", "-f", "-"], &pod.to_string())?
            .bad(&[control])?;
        let mut deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": pod["spec"]},
            },
        });
        lab.kubectl(
            Door::Tenant,
            &["create", "-f", "-"],
            &deployment.to_string(),
        )?
        .bad(&[control])?;
        // Nor if an administrator makes the Deployment.
        deployment["metadata"]["namespace"] = json!(OWN);
        lab.kubectl(Door::Admin, &["create", "-f", "-"], &deployment.to_string())?
            .bad(&[control])?;
    }
    let inside = [
        "-n",
        "default",
        "exec",
        "host-pid",
        "--",
        "cat",
        "/proc/1/cmdline",
    ];
    let first = lab.kubectl(Door::Admin, &inside, "")?.good()?;
    ensure!(
        first.contains("sandbox\0real"),
        "not the node's processes: {first}"
    );
    let pods = lab.read(&["pods"])?;
    let names: Vec<&str> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .collect();
    for (name, ..) in reaching {
        ensure!(
            !names.iter().any(|pod| pod.starts_with(name)),
            "{name}: {names:?}"
        );
    }
    Ok(())
}

/// Even a pod that sees all of the node sees nothing of the machine: not the sandbox's keys, not its
/// disks, not its network.
fn apart(lab: &Lab) -> anyhow::Result<()> {
    let spec = json!({
        "hostNetwork": true, "hostPID": true,
        "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
        "containers": [{
            "args": ["serve", "9000"],
            "securityContext": {"privileged": true},
            "volumeMounts": [{"name": "node", "mountPath": "/node"}],
        }],
    });
    start_plain(lab, "everything", &spec)?;
    let run = |command: &[&str]| {
        let exec = ["-n", "default", "exec", "everything", "--"];
        lab.kubectl(Door::Admin, &[&exec[..], command].concat(), "")
    };
    let root = run(&["ls", "/node"])?.good()?;
    ensure!(root.contains("opt\n"), "not the node's root: {root}");
    let keys = format!("/node{}", lab.layout.root().display());
    run(&["test", "-e", &keys])?.bad(&[])?;
    let devices = run(&["ls", "/node/dev"])?.good()?;
    let here: Vec<String> = std::fs::read_dir("/sys/block")?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<anyhow::Result<_>>()?;
    for disk in here {
        ensure!(
            !devices.lines().any(|name| name == disk),
            "{disk} is there: {devices}"
        );
    }
    let links = run(&["ls", "/sys/class/net"])?.good()?;
    let mut links: Vec<&str> = links
        .lines()
        .filter(|link| !link.starts_with("veth"))
        .collect();
    links.sort_unstable();
    ensure!(links == ["eth0", "lo"], "the node's network: {links:?}");
    let routes = run(&["cat", "/proc/net/route"])?.good()?;
    // In this file's order of bytes: 10.201.0.1, where nothing leads on from.
    ensure!(routes.contains("0100C90A"), "the node's routes: {routes}");
    Ok(())
}

fn stopped(lab: &Lab) -> anyhow::Result<()> {
    let cgroups = lab.cgroups()?;
    let alive = everything_in(&cgroups)?;
    ensure!(alive.len() > 3, "no node: {alive:?}");
    lab.control(|control| Ok(control.stop(NODE, false)?))?;
    for cgroup in &cgroups {
        ensure!(!cgroup.exists(), "`{}` is left", cgroup.display());
    }
    // They are in no cgroup any more, so they are ending.
    eventually("the node's processes are gone", || {
        Ok((!alive.iter().any(|pid| runs(*pid))).then_some(()))
    })?;

    // It comes back by itself, as what it was: its pods run again.
    lab.control(|control| Ok(control.start(NODE)?))?;
    let web = lab.web()?;
    eventually("the pod runs again", || {
        let out = lab
            .kubectl(Door::Admin, &["exec", &web, "--", "echo", "back"], "")?
            .good()?;
        Ok((out == "back\n").then_some(()))
    })
}

fn killed_supervisor(lab: &Lab) -> anyhow::Result<()> {
    let cgroups = lab.cgroups()?;
    let mut alive = everything_in(&cgroups)?;
    let statuses = lab.control(|control| Ok(control.status()?))?;
    alive.extend(
        statuses
            .iter()
            .filter(|one| one.state == ProcessState::Running)
            .filter_map(|one| one.pid),
    );
    let supervisor = lab.layout.state()?.context("no state")?.supervisor;
    alive.retain(|pid| runs(*pid));
    ensure!(
        alive.len() > 10 && runs(supervisor),
        "too few live: {alive:?}"
    );
    let killed = std::process::Command::new("kill")
        .args(["-9", &supervisor.to_string()])
        .status()?;
    ensure!(killed.success(), "cannot kill: {killed}");
    eventually("all of the node is gone", || {
        let left = cgroups.iter().any(|cgroup| cgroup.exists());
        let living = alive.iter().any(|pid| runs(*pid));
        let keepers = statuses.iter().filter_map(|one| one.pid).any(runs);
        Ok((!left && !living && !keepers).then_some(()))
    })
}

fn everything_in(cgroups: &[impl AsRef<Path>]) -> anyhow::Result<Vec<u32>> {
    let first = cgroups.first().context("the node has no cgroups")?;
    processes(first.as_ref())
}

/// Whether a process is there and no zombie, which waits for nothing but its burial.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.contains("State:\tZ"))
}
