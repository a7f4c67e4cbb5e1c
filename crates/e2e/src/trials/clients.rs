//! Clients of other languages and older ones through the gateway, as their users have them: each is
//! installed once into the user's cache, from the registry that its users take it from. Those that
//! have to be compiled are tried by `cargo xtask clients` only.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use super::streams::echo;
use crate::Check;
use crate::bed::Bed;
use crate::kubectl::run;
use crate::kubelet::{POD, Reachable};

/// Clients that are installed in seconds.
pub(super) const TRIALS: &[(&str, Check)] = &[("clients::python", python)];

/// Clients that are compiled first, or need what a bare machine takes minutes to install.
const COMPILED: &[(&str, Check)] = &[
    ("clients::javascript", javascript),
    ("clients::helm", helm),
    ("clients::kubectl_1_32", kubectl_1_32),
    ("clients::client_go", client_go),
];

/// The trials that take long; ignored unless `cargo xtask clients` runs them.
pub(super) fn compiled(make: impl Fn(&str, Check) -> Trial) -> Vec<Trial> {
    let wanted = std::env::var_os("BULKHEAD_E2E_CLIENTS").is_some();
    COMPILED
        .iter()
        .map(|(name, check)| make(name, *check).with_ignored_flag(!wanted))
        .collect()
}

/// The version of the Python client.
const PYTHON: &str = "kubernetes==37.0.2";
/// The version of the JavaScript client: the newest that runs on Node.js 20, which Debian has.
const JAVASCRIPT: &str = "@kubernetes/client-node@1.3.0";

/// Runs a client that is there; on a machine that only happens to lack what it needs, the rest can
/// still be tried, and in CI that fails.
fn with<T>(client: &str, installed: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match installed {
        Ok(installed) => Ok(Some(installed)),
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("NOT TRIED: {client} cannot be installed: {error:#}");
            Ok(None)
        }
        Err(error) => Err(error.context(format!("{client} cannot be installed"))),
    }
}

/// Runs a client to its end, and shows what worked: a row of the matrix.
fn row(client: &str, command: Command, last: &str) -> anyhow::Result<()> {
    let ran = run(command, "")?;
    ensure!(ran.ok, "{}{}", ran.out, ran.err);
    let things: Vec<&str> = ran
        .out
        .lines()
        .filter_map(|line| line.split_once(": ").map(|(_, thing)| thing))
        .collect();
    ensure!(things.last() == Some(&last), "{}{}", ran.out, ran.err);
    println!("client | {client} | {}", things.join(", "));
    Ok(())
}

fn python(bed: &Bed) -> anyhow::Result<()> {
    let Some(folder) = with("the Python client", install(PYTHON, python_steps))? else {
        return Ok(());
    };
    let there = Reachable::arrive(bed, "e2e-python", echo()?)?;
    let mut command = Command::new(folder.join("bin/python"));
    command.arg(script("python.py"));
    arguments(bed, &there, &mut command);
    row(PYTHON, command, "refusals")?;
    there.leave()
}

fn python_steps(folder: &Path) -> Vec<Command> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", PYTHON]);
    vec![venv, pip]
}

fn javascript(bed: &Bed) -> anyhow::Result<()> {
    let Some(folder) = with(
        "the JavaScript client",
        install(JAVASCRIPT, javascript_steps),
    )?
    else {
        return Ok(());
    };
    let there = Reachable::arrive(bed, "e2e-javascript", echo()?)?;
    let mut command = Command::new("node");
    command.arg(script("informer.mjs"));
    command.env("BULKHEAD_CLIENT", folder.join("node_modules"));
    arguments(bed, &there, &mut command);
    row(JAVASCRIPT, command, "refusals")?;
    there.leave()
}

fn javascript_steps(folder: &Path) -> Vec<Command> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
    npm.arg(folder).arg(JAVASCRIPT);
    vec![npm]
}

fn helm(bed: &Bed) -> anyhow::Result<()> {
    let Some(folder) = with("helm", go("helm", &["helm.sh/helm/v3/cmd/helm"]))? else {
        return Ok(());
    };
    let there = Reachable::arrive(bed, "e2e-helm", echo()?)?;
    let chart = script("helm/chart").display().to_string();
    let helm = |arguments: &[&str]| {
        let mut command = Command::new(folder.join("helm"));
        command
            .arg("--kubeconfig")
            .arg(&there.kubeconfig)
            .args(["-n", &there.guest.namespace])
            .args(arguments)
            .env("HOME", bed.scratch())
            .env_remove("KUBECONFIG");
        run(command, "").and_then(crate::kubectl::Ran::good)
    };
    let version = helm(&["version", "--short"])?;
    helm(&["install", "web", &chart, "--wait", "--timeout", "60s"])?;
    let upgrade = [
        "upgrade",
        "web",
        &chart,
        "--set",
        "replicas=2",
        "--wait",
        "--timeout",
        "60s",
    ];
    helm(&upgrade)?;
    let history = helm(&["history", "web"])?;
    ensure!(history.lines().count() == 3, "{history}");
    helm(&["rollback", "web", "1", "--wait", "--timeout", "60s"])?;
    let listed = helm(&["list", "--all-namespaces"])?;
    ensure!(
        listed.contains("web") && listed.contains("deployed"),
        "{listed}"
    );
    helm(&["get", "manifest", "web"])?;
    helm(&["status", "web"])?;
    helm(&["uninstall", "web", "--wait"])?;
    println!(
        "client | helm {} | install, upgrade, history, rollback, list -A, get, status, uninstall",
        version.trim()
    );
    there.leave()
}

fn kubectl_1_32(bed: &Bed) -> anyhow::Result<()> {
    let Some(folder) = with("kubectl 1.32", go("go", &["./kubectl", "./reflector"]))? else {
        return Ok(());
    };
    let there = Reachable::arrive(bed, "e2e-old-kubectl", echo()?)?;
    super::day::spend(bed, &there, &folder.join("kubectl"), "kubectl 1.32")?;
    there.leave()
}

fn client_go(bed: &Bed) -> anyhow::Result<()> {
    let Some(folder) = with("client-go", go("go", &["./kubectl", "./reflector"]))? else {
        return Ok(());
    };
    let there = Reachable::arrive(bed, "e2e-client-go", echo()?)?;
    let mut command = Command::new(folder.join("reflector"));
    command
        .arg(&there.kubeconfig)
        .args([&there.guest.namespace, bed.theirs()])
        .env_remove("KUBECONFIG");
    row("client-go 0.32", command, "informer")?;
    there.leave()
}

/// The files of the clients.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

/// What each client is told.
fn arguments(bed: &Bed, there: &Reachable<'_>, command: &mut Command) {
    command
        .arg(&there.kubeconfig)
        .args([&there.guest.namespace, POD, bed.theirs()])
        .env_remove("KUBECONFIG");
}

/// Where clients are kept.
fn cache() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither HOME nor XDG_CACHE_HOME is set")?;
    Ok(home.join("bulkhead/clients"))
}

/// The folder of a client, once all its steps have been taken.
fn install(client: &str, steps: fn(&Path) -> Vec<Command>) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(client.replace('/', "-"));
    let whole = folder.join("whole");
    if whole.exists() {
        return Ok(folder);
    }
    // What was begun and not finished begins anew.
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    for command in steps(&folder) {
        let what = format!("{command:?}");
        let ran = run(command, "")?;
        ensure!(ran.ok, "{what}: {}{}", ran.out, ran.err);
    }
    std::fs::write(whole, "")?;
    Ok(folder)
}

/// The folder with the programs of a module of ours. Go itself knows what is up to date.
fn go(module: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(module);
    std::fs::create_dir_all(&folder)?;
    let mut command = Command::new("go");
    command
        .current_dir(script(module))
        .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(format!("{}/", folder.display()))
        .args(packages)
        .envs([("GOWORK", "off"), ("GOFLAGS", "-mod=readonly")]);
    let ran = run(command, "")?;
    ensure!(ran.ok, "go build: {}{}", ran.out, ran.err);
    Ok(folder)
}
