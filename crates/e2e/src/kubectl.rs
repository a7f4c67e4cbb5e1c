//! The real kubectl.

use std::io::Write as _;
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
        let program = self.state.programs.join("kubectl");
        let mut child = Command::new(&program)
            .arg("--kubeconfig")
            .arg(self.layout.tenant_kubeconfig(&self.field.attacker.tenant))
            .args(arguments)
            // Its caches go there too.
            .env("HOME", self.scratch())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run `{}`", program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran {
            ok: output.status.success(),
            out: text(output.stdout),
            err: text(output.stderr),
        })
    }
}
