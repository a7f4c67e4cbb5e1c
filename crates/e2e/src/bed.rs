//! The sandbox that everything is tried on.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bulkhead_attack::Field;
use bulkhead_sandbox::{Control, Layout, State};
use tempfile::TempDir;

/// How long something may take to come about: many times what it does, as the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A sandbox, and what is needed to try things on it.
pub(crate) struct Bed {
    pub(crate) layout: Layout,
    pub(crate) state: State,
    pub(crate) field: Arc<Field>,
    runtime: tokio::runtime::Runtime,
    pub(crate) binary: PathBuf,
    /// While this connection lives the sandbox does; it ends with this process, however that ends.
    control: Mutex<Control>,
    /// Processes of the tests' own, for as long as they run.
    children: Mutex<Vec<Option<Child>>>,
    dir: TempDir,
}

impl Bed {
    /// Brings a sandbox up.
    pub(crate) fn up() -> anyhow::Result<Self> {
        let binary = binary()?;
        let dir = TempDir::with_prefix("bulkhead-e2e-")?;
        let layout = Layout::new(&dir.path().join("sandbox"))?;
        let mut up = Command::new(&binary);
        up.args(["sandbox", "up", "--dir"])
            .arg(layout.root())
            .stdin(Stdio::null());
        for kind in crate::trials::NAMED {
            up.args(["--pod-template", kind]);
        }
        if let Some(version) = emulated() {
            up.args(["--emulate", &version]);
        }
        let status = up
            .status()
            .with_context(|| format!("cannot run `{}`", binary.display()))?;
        let bed = Self::attach(&layout, dir, binary);
        match (bed, status.success()) {
            (Ok(bed), true) => Ok(bed),
            // An attack that got through leaves the sandbox up; its trial says so again.
            (Ok(bed), false) if bed.state.complete => Ok(bed),
            (Ok(_), false) => bail!("`sandbox up` failed: {status}"),
            (Err(error), _) => Err(error.context(format!("`sandbox up` ended with {status}"))),
        }
    }

    fn attach(layout: &Layout, dir: TempDir, binary: PathBuf) -> anyhow::Result<Self> {
        let mut control = Control::connect(layout)?;
        control.hold()?;
        // The kube crate leaves the choice of a cryptography provider to whoever links it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let field = runtime.block_on(Field::prepare(layout.root()))?;
        let state = layout.state()?.context("the sandbox has no state")?;
        Ok(Self {
            layout: layout.clone(),
            state,
            field: Arc::new(field),
            runtime,
            binary,
            control: Mutex::new(control),
            children: Mutex::default(),
            dir,
        })
    }

    /// Takes everything down when the user presses Ctrl-C or the process is asked to end.
    pub(crate) fn take_down_on_interrupt(bed: &Arc<Option<Self>>) {
        let Some(runtime) = bed
            .as_ref()
            .as_ref()
            .map(|bed| bed.runtime.handle().clone())
        else {
            return;
        };
        let bed = bed.clone();
        runtime.spawn(async move {
            let Ok(mut end) =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            else {
                return;
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = end.recv() => {}
            }
            if let Some(bed) = bed.as_ref() {
                bed.down(false).ok();
            }
            std::process::exit(130);
        });
    }

    /// Takes everything down. If something has failed, the logs are copied to `target/e2e-logs`.
    pub(crate) fn down(&self, failed: bool) -> anyhow::Result<()> {
        if failed {
            let kept = keep_logs(&self.layout, &self.binary)?;
            eprintln!("the logs of the sandbox are in `{}`", kept.display());
        }
        let count = self.children().len();
        for index in 0..count {
            self.end_child(index)?;
        }
        sandbox_down(&self.binary, &self.layout, self.dir.path())?;
        // Explicitly: the task that waits for an interrupt keeps the bed alive to the end.
        Ok(std::fs::remove_dir(self.dir.path())?)
    }

    /// Waits for a future.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Lets a future run beside the trial.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    /// Stops a process of the sandbox, by SIGKILL.
    pub(crate) fn kill(&self, process: &str) -> anyhow::Result<()> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control
            .stop(process, true)
            .with_context(|| format!("cannot stop `{process}`"))
    }

    /// Sees to it that a process of a test's own ends with the bed at the latest. Returns its number
    /// for [`Self::end_child`].
    pub(crate) fn keep_child(&self, child: Child) -> usize {
        let mut children = self.children();
        children.push(Some(child));
        children.len() - 1
    }

    /// Ends a process of a test's own.
    pub(crate) fn end_child(&self, index: usize) -> anyhow::Result<()> {
        let child = self.children().get_mut(index).and_then(Option::take);
        if let Some(mut child) = child {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn children(&self) -> MutexGuard<'_, Vec<Option<Child>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process id of a process of the sandbox that runs.
    pub(crate) fn pid(&self, process: &str) -> anyhow::Result<u32> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let statuses = control.status()?;
        let status = statuses.into_iter().find(|s| s.name == process);
        status
            .and_then(|s| s.pid)
            .with_context(|| format!("`{process}` does not run"))
    }

    /// Starts a process of the sandbox again, and waits until it is ready.
    pub(crate) fn start(&self, process: &str) -> anyhow::Result<()> {
        self.start_without_waiting(process)?;
        self.start_is_over(process)
    }

    /// Waits until a process that was started is ready.
    pub(crate) fn start_is_over(&self, process: &str) -> anyhow::Result<()> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let statuses = control.status()?;
        let status = statuses
            .into_iter()
            .find(|s| s.name == process)
            .context("the process is gone")?;
        match &status.health {
            Some(health) => {
                let ready = bulkhead_sandbox::https::wait_ready(health);
                self.wait(async { tokio::time::timeout(PATIENCE, ready).await })
                    .with_context(|| format!("`{process}` does not get ready"))?
                    .with_context(|| format!("`{process}` does not get ready"))
            }
            None => Ok(()),
        }
    }

    /// Starts a process of the sandbox again.
    pub(crate) fn start_without_waiting(&self, process: &str) -> anyhow::Result<()> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control
            .start(process)
            .with_context(|| format!("cannot start `{process}`"))
    }

    /// A folder for files of the tests.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.layout.root().join("config")
    }
}

/// Looks again and again until something is there.
pub(crate) fn eventually<T>(
    what: &str,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = std::time::Instant::now();
    loop {
        match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) if start.elapsed() < PATIENCE => {}
            Err(_) if start.elapsed() < PATIENCE => {}
            Ok(None) => bail!("{what}: not within {} s", PATIENCE.as_secs()),
            Err(error) => {
                return Err(error.context(format!("{what}: not within {} s", PATIENCE.as_secs())));
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The older version that everything behaves like, if it does.
pub(crate) fn emulated() -> Option<String> {
    std::env::var("BULKHEAD_E2E_EMULATE")
        .ok()
        .filter(|version| !version.is_empty())
}

/// The binary under test: as it is named, or built just now with the profile of this test.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("BULKHEAD_BIN") {
        return Ok(named.into());
    }
    // target/PROFILE/deps/e2e-HASH
    let test = std::env::current_exe()?;
    let profile = test
        .parent()
        .and_then(Path::parent)
        .context("this test is in no target folder")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    build
        .args(["build", "--quiet", "--package", "bulkhead-cli"])
        .stdin(Stdio::null());
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.file_name().is_some_and(|name| name == "release") {
        build.arg("--release");
    }
    let status = build.status().context("cannot run cargo")?;
    ensure!(status.success(), "cannot build the binary: {status}");
    Ok(profile.join("bulkhead"))
}

/// Takes a sandbox down, which must leave its folder empty.
pub(crate) fn sandbox_down(binary: &Path, layout: &Layout, dir: &Path) -> anyhow::Result<()> {
    let status = Command::new(binary)
        .args(["sandbox", "down", "--dir"])
        .arg(layout.root())
        .stdin(Stdio::null())
        .status()?;
    ensure!(status.success(), "`sandbox down` failed: {status}");
    let left: Vec<_> = std::fs::read_dir(dir)?.collect();
    ensure!(
        left.is_empty(),
        "`sandbox down` left something behind: {left:?}"
    );
    Ok(())
}

pub(crate) fn keep_logs(layout: &Layout, binary: &Path) -> anyhow::Result<PathBuf> {
    let target = binary
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("."));
    let kept = target.join("e2e-logs");
    std::fs::create_dir_all(&kept)?;
    for entry in std::fs::read_dir(layout.root().join("logs"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), kept.join(entry.file_name()))?;
    }
    std::fs::copy(layout.audit_log(), kept.join("audit.log")).ok();
    Ok(kept)
}
