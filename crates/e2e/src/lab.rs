//! A second sandbox, with a real node, for what simulated nodes cannot show.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, bail, ensure};
use bulkhead_sandbox::real_nodes::Machine;
use bulkhead_sandbox::{Control, Layout};
use serde_json::Value;
use tempfile::TempDir;

use crate::bed::{binary, keep_logs, sandbox_down};
use crate::kubectl::Ran;

/// The only tenant.
pub(crate) const TENANT: &str = "acme";
/// Its namespace.
pub(crate) const OWN: &str = "acme-app";
/// The node, and the process that keeps it.
pub(crate) const NODE: &str = "real-1";

/// The way that a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The cluster's administrator, straight to the API server.
    Admin,
    /// The tenant's administrator, through the gateway.
    Tenant,
}

/// The sandbox.
pub(crate) struct Lab {
    pub(crate) layout: Layout,
    programs: PathBuf,
    binary: PathBuf,
    /// While this connection lives the sandbox does.
    control: Mutex<Control>,
    dir: TempDir,
}

/// A lab that is brought up when the first trial asks for it.
#[derive(Clone, Default)]
pub(crate) struct LazyLab(Arc<OnceLock<Result<Lab, String>>>);

impl LazyLab {
    /// The lab.
    pub(crate) fn get(&self) -> anyhow::Result<&Lab> {
        let lab = self
            .0
            .get_or_init(|| Lab::up().map_err(|error| format!("{error:#}")));
        lab.as_ref().map_err(|why| anyhow::anyhow!("{why}"))
    }

    /// The lab, if a trial has asked for it and got it.
    pub(crate) fn if_up(&self) -> Option<&Lab> {
        self.0.get().and_then(|lab| lab.as_ref().ok())
    }
}

/// Why real nodes are not tried here, unless this is CI, where that is an error.
///
/// # Errors
/// In CI, if the machine lacks something.
pub(crate) fn excuse() -> anyhow::Result<Option<String>> {
    match Machine::look() {
        Ok(_) => Ok(None),
        Err(lacks) if std::env::var_os("CI").is_some() => {
            Err(lacks).context("trials of real nodes must run in CI")
        }
        Err(lacks) => Ok(Some(lacks.to_string())),
    }
}

impl Lab {
    fn up() -> anyhow::Result<Self> {
        let binary = binary()?;
        let dir = TempDir::with_prefix("bulkhead-e2e-real-")?;
        let layout = Layout::new(&dir.path().join("sandbox"))?;
        // One tenant: attacks take two, and have had their turn.
        let output = Command::new(&binary)
            .args(["sandbox", "up", "--real-nodes", "1", "--tenants", TENANT])
            .arg("--dir")
            .arg(layout.root())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run `{}`", binary.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`sandbox up` failed: {said}");
        let mut control = Control::connect(&layout)?;
        control.hold()?;
        let state = layout.state()?.context("the sandbox has no state")?;
        Ok(Self {
            layout,
            programs: state.programs,
            binary,
            control: Mutex::new(control),
            dir,
        })
    }

    /// Takes everything down. If something has failed, the logs are copied to `target/e2e-logs`.
    pub(crate) fn down(&self, failed: bool) -> anyhow::Result<()> {
        if failed {
            let kept = keep_logs(&self.layout, &self.binary)?;
            eprintln!("the logs of the sandbox are in `{}`", kept.display());
        }
        sandbox_down(&self.binary, &self.layout, self.dir.path())?;
        Ok(fs::remove_dir(self.dir.path())?)
    }

    /// Works on the processes of the sandbox.
    pub(crate) fn control<T>(
        &self,
        work: impl FnOnce(&mut Control) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut control)
    }

    /// A command of kubectl's, in the tenant's namespace.
    pub(crate) fn command(&self, door: Door, arguments: &[&str]) -> Command {
        let kubeconfig = match door {
            Door::Admin => self.layout.admin_kubeconfig(),
            Door::Tenant => self.layout.tenant_kubeconfig(TENANT),
        };
        let mut command = Command::new(self.programs.join("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--namespace", OWN])
            .args(arguments)
            .env("HOME", self.layout.root().join("config"))
            .env_remove("KUBECONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs kubectl, with something on its standard input.
    pub(crate) fn kubectl(
        &self,
        door: Door,
        arguments: &[&str],
        input: &str,
    ) -> anyhow::Result<Ran> {
        let mut child = self.command(door, arguments).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who refuses at once does not read.
            stdin.write_all(input.as_bytes()).ok();
        }
        let output = child.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran {
            ok: output.status.success(),
            out: text(output.stdout),
            err: text(output.stderr),
        })
    }

    /// Reads an object as the administrator.
    pub(crate) fn read(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let arguments = [&["get", "-o", "json"], arguments].concat();
        let out = self.kubectl(Door::Admin, &arguments, "")?.good()?;
        serde_json::from_str(&out).with_context(|| format!("no JSON: {out}"))
    }

    /// The name of the tenant's running pod.
    pub(crate) fn web(&self) -> anyhow::Result<String> {
        let pods = self.read(&["pods", "-l", "app=web"])?;
        let name = pods.pointer("/items/0/metadata/name");
        let name = name.and_then(Value::as_str);
        Ok(name.context("the tenant has no pod")?.to_owned())
    }

    /// The cgroups of the node, as its keeper has written them down.
    pub(crate) fn cgroups(&self) -> anyhow::Result<Vec<PathBuf>> {
        let file = self.layout.config(&format!("{NODE}.cgroups"));
        let list = fs::read_to_string(&file)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
        let paths: Vec<PathBuf> = list.lines().map(PathBuf::from).collect();
        if paths.is_empty() {
            bail!("the node has no cgroups");
        }
        Ok(paths)
    }
}

/// The processes in a cgroup and below it.
pub(crate) fn processes(cgroup: &Path) -> anyhow::Result<Vec<u32>> {
    let list = fs::read_to_string(cgroup.join("cgroup.procs"))?;
    let mut found: Vec<u32> = list.lines().filter_map(|line| line.parse().ok()).collect();
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(processes(&entry.path())?);
        }
    }
    Ok(found)
}
