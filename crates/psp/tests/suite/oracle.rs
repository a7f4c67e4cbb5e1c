//! The original, in a process of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The program that asks the original, built once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../oracles/psp");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("psp");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(source)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success(),
            "`oracles/psp` does not build: {errors}"
        );
        program
    })
}

/// The original's answers, in the order of the questions.
pub fn ask(questions: &[Value]) -> Vec<Value> {
    let mut child = Command::new(program())
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
    assert!(output.status.success());
    let answers = serde_json::Deserializer::from_slice(&output.stdout);
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.len(), questions.len());
    answers
}
