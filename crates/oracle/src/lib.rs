//! The originals that our semantics are compared with, each in a process of its own: a program below
//! `oracles/` that reads questions and writes answers, as JSON. For tests.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// A program that asks an original.
#[derive(Debug)]
pub struct Oracle {
    module: &'static str,
    package: &'static str,
    into: &'static str,
    program: OnceLock<PathBuf>,
}

impl Oracle {
    /// The program of a package (`./cmd/rego`) of a Go module (`oracles/rego`), which is built into a
    /// folder (the test's `CARGO_TARGET_TMPDIR`) when it is asked for the first time.
    #[must_use]
    pub const fn new(module: &'static str, package: &'static str, into: &'static str) -> Self {
        Self {
            module,
            package,
            into,
            program: OnceLock::new(),
        }
    }

    /// The original's answers, one for each question, in their order.
    ///
    /// # Panics
    /// If the program does not build, fails, or gives another number of answers.
    pub fn ask(&self, questions: &[Value]) -> Vec<Value> {
        let mut child = Command::new(self.program.get_or_init(|| self.build()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut to = std::io::BufWriter::new(&mut to);
                for question in questions {
                    writeln!(to, "{question}").unwrap();
                }
                to.flush().unwrap();
            });
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success(), "`{}` failed", self.module);
        let answers = serde_json::Deserializer::from_slice(&output.stdout);
        let answers: Vec<Value> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.len(), questions.len());
        answers
    }

    fn build(&self) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(self.module);
        // All packages' tests share the folder.
        let program = Path::new(self.into).join(self.module.replace('/', "-"));
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(self.package)
            .current_dir(source)
            .output()
            .expect("`go`, which builds what we are compared with");
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success(),
            "`{}` does not build: {errors}",
            self.module
        );
        program
    }
}
