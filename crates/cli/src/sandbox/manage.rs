//! `status`, `down`, `stop` and `start`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bulkhead_sandbox::dir::{self, DirError};
use bulkhead_sandbox::protocol::ProcessState;
use bulkhead_sandbox::start::STOPPING;
use bulkhead_sandbox::{Control, Layout, ProcessStatus, State, https, logs};
use clap::Args;

use super::Directory;
use super::progress::{BAD, DIM, GOOD};

/// How long a process may take to be ready again.
const READY: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct Down {
    #[command(flatten)]
    directory: Directory,
    /// Keep the directory: its logs, its audit log.
    #[arg(long)]
    keep: bool,
}

#[derive(Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    directory: Directory,
    /// The process, as `status` names it.
    name: String,
    /// Kill it (SIGKILL) rather than ask it to stop.
    #[arg(long)]
    kill: bool,
}

#[derive(Args)]
pub(crate) struct Start {
    #[command(flatten)]
    directory: Directory,
    /// The process, as `status` names it.
    name: String,
}

/// Exits 0 if everything runs, 1 if not.
pub(super) fn status(directory: &Directory) -> anyhow::Result<ExitCode> {
    let layout = directory.layout()?;
    let processes = Control::connect(&layout)?.status()?;
    let state = layout.state()?.unwrap_or_default();
    anstream::print!("{}", status_text(&layout, &state, &processes));
    let all_run = processes
        .iter()
        .all(|process| process.state == ProcessState::Running);
    Ok(if all_run && state.complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn status_text(layout: &Layout, state: &State, processes: &[ProcessStatus]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("sandbox in {}", layout.root().display());
    if let Some(version) = &state.emulate {
        let _ = write!(text, ", behaving like Kubernetes {version}");
    }
    text += if state.complete {
        "\n\n"
    } else {
        " (still being brought up)\n\n"
    };
    for process in processes {
        let style = if process.state == ProcessState::Running {
            GOOD
        } else {
            BAD
        };
        let pid = process.pid.map_or("-".to_owned(), |pid| pid.to_string());
        let how = format!("{style}{:<21}{style:#}", process.state.to_string());
        let _ = writeln!(
            text,
            "{:<24} {how} {pid:>8} {:>6}  {DIM}{}{DIM:#}",
            process.name,
            duration(process.for_seconds),
            process.log.display()
        );
    }
    let _ = writeln!(
        text,
        "\nadministrator  {}",
        layout.admin_kubeconfig().display()
    );
    for tenant in &state.tenants {
        let _ = writeln!(
            text,
            "{tenant:<14} {}",
            layout.tenant_kubeconfig(tenant).display()
        );
    }
    text
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

pub(super) fn down(arguments: &Down) -> anyhow::Result<ExitCode> {
    let layout = arguments.directory.layout()?;
    let was_running = match Control::connect(&layout) {
        Ok(control) => {
            control.down(&layout, STOPPING)?;
            true
        }
        Err(_) => false,
    };
    if !layout.root().exists() {
        println!("no sandbox in `{}`", layout.root().display());
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.keep {
        anyhow::ensure!(
            layout.state()?.is_some(),
            "`{}` is no sandbox",
            layout.root().display()
        );
        println!("stopped; what it wrote is in `{}`", layout.root().display());
        return Ok(ExitCode::SUCCESS);
    }
    let claim = match dir::claim_remains(&layout) {
        Err(error @ DirError::Running(_)) => {
            return Err(error).context("another command is at work there: try again");
        }
        claim => claim?,
    };
    remove(&layout, claim, arguments.directory.dir.is_none())?;
    let what = if was_running {
        "stopped and removed"
    } else {
        "removed what was left of it"
    };
    println!("{what}: `{}`", layout.root().display());
    Ok(ExitCode::SUCCESS)
}

/// Removes a sandbox's directory, and says what it leaves.
pub(super) fn remove(layout: &Layout, claim: dir::Claim, is_default: bool) -> anyhow::Result<()> {
    for path in layout.remove(claim)? {
        println!("kept, no sandbox made it: `{}`", path.display());
    }
    if is_default && let Some(parent) = layout.root().parent() {
        // The folder for all that Bulkhead keeps: gone unless there is something else in it.
        std::fs::remove_dir(parent).ok();
    }
    Ok(())
}

pub(super) fn stop(arguments: &Stop) -> anyhow::Result<ExitCode> {
    let layout = arguments.directory.layout()?;
    Control::connect(&layout)?.stop(&arguments.name, arguments.kill)?;
    let (name, flag) = (&arguments.name, arguments.directory.flag());
    println!("`{name}` is stopped; `bulkhead sandbox start{flag} {name}` starts it again");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn start(arguments: &Start) -> anyhow::Result<ExitCode> {
    let layout = arguments.directory.layout()?;
    let mut control = Control::connect(&layout)?;
    let name = arguments.name.as_str();
    control.start(name)?;
    let process = process(&mut control, name)?;
    if let Some(health) = &process.health {
        let ready = https::wait_ready(health);
        tokio::pin!(ready);
        let deadline = tokio::time::Instant::now() + READY;
        let mut watch = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                ready = &mut ready => break ready?,
                _ = watch.tick() => {
                    let now = self::process(&mut control, name)?;
                    let tail = || logs::tail(&now.log, logs::TAIL_LINES);
                    anyhow::ensure!(now.state == ProcessState::Running, "`{name}` {}:\n{}", now.state, tail());
                    let late = tokio::time::Instant::now() > deadline;
                    anyhow::ensure!(!late, "`{name}` is not ready after {} s:\n{}", READY.as_secs(), tail());
                }
            }
        }
    }
    println!("`{name}` is running");
    Ok(ExitCode::SUCCESS)
}

fn process(control: &mut Control, name: &str) -> anyhow::Result<ProcessStatus> {
    let processes = control.status()?;
    processes
        .into_iter()
        .find(|p| p.name == name)
        .with_context(|| format!("`{name}` is gone"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn status_shows_what_runs_and_what_does_not() {
        let layout = Layout::new(Path::new("/s")).unwrap();
        let state = State {
            complete: true,
            emulate: Some("1.33".into()),
            tenants: vec!["acme".into(), "globex".into()],
            ..State::default()
        };
        let process = |name: &str, pid, state, for_seconds| ProcessStatus {
            name: name.into(),
            pid,
            state,
            for_seconds,
            log: layout.log(name),
            health: None,
        };
        let processes = [
            process("etcd", Some(12), ProcessState::Running, 59),
            process(
                "kube-controller-manager",
                Some(4_000_000),
                ProcessState::Running,
                3599,
            ),
            process("webhook", None, ProcessState::Exited(1), 90_000),
            process("gateway", None, ProcessState::Stopped, 0),
        ];
        let text =
            anstream::adapter::strip_str(&status_text(&layout, &state, &processes)).to_string();
        insta::assert_snapshot!(text, @r"
        sandbox in /s, behaving like Kubernetes 1.33

        etcd                     running                     12   59 s  /s/logs/etcd.log
        kube-controller-manager  running                4000000 59 min  /s/logs/kube-controller-manager.log
        webhook                  stopped (exit 1)             -   25 h  /s/logs/webhook.log
        gateway                  stopped (on request)         -    0 s  /s/logs/gateway.log

        administrator  /s/admin.kubeconfig
        acme           /s/tenants/acme.kubeconfig
        globex         /s/tenants/globex.kubeconfig
        ");
    }
}
