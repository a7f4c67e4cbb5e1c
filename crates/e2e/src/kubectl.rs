//! The real kubectl.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::bed::Bed;

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The output of a command that must have succeeded.
    pub(crate) fn good(self) -> anyhow::Result<String> {
        ensure!(self.ok, "kubectl failed: {}{}", self.err, self.out);
        Ok(self.out)
    }

    /// A command that must have failed with each of these texts.
    pub(crate) fn bad(self, texts: &[&str]) -> anyhow::Result<()> {
        ensure!(!self.ok, "kubectl succeeded: {}", self.out);
        for text in texts {
            ensure!(
                self.err.contains(text),
                "expected `{text}` in: {}",
                self.err
            );
        }
        Ok(())
    }
}

impl Bed {
    /// Runs kubectl as the first tenant's admin, through the gateway.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Ran> {
        self.kubectl_with(arguments, "")
    }

    /// The same with something on standard input.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Ran> {
        let kubeconfig = self.layout.tenant_kubeconfig(&self.field.attacker.tenant);
        let mut command = self.kubectl_command(&kubeconfig);
        command.args(arguments);
        run(command, input)
    }

    /// kubectl for a kubeconfig, without what it is to do.
    pub(crate) fn kubectl_command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(self.state.programs.join("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            // Its caches go there too.
            .env("HOME", self.scratch())
            .env_remove("KUBECONFIG");
        command
    }
}

/// Runs a command to its end, with something on standard input.
pub(crate) fn run(mut command: Command, input: &str) -> anyhow::Result<Ran> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", command.get_program().display()))?;
    // Beside reading: what writes back while it is fed would wait for us, and we for it.
    let stdin = child.stdin.take();
    let input = input.to_owned();
    let feeding = std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // A command that ends before it has heard all is no failure of this.
            drop(stdin.write_all(input.as_bytes()));
        }
    });
    let output = child.wait_with_output()?;
    drop(feeding.join());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran {
        ok: output.status.success(),
        out: text(output.stdout),
        err: text(output.stderr),
    })
}
