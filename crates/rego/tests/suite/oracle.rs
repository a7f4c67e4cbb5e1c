//! OPA and Gatekeeper, asked in one process of their own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(build)
}

fn build() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../oracles/rego");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rego-oracle");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg("./cmd/rego")
        .current_dir(source)
        .output()
        .expect("`go`, which builds what we are compared with");
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success(),
        "`oracles/rego` does not build: {errors}"
    );
    program
}

/// The answers, one for each case.
pub fn ask(cases: &[Value]) -> Vec<Value> {
    let mut child = Command::new(program())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut to = std::io::BufWriter::new(&mut to);
            for case in cases {
                writeln!(to, "{case}").unwrap();
            }
            to.flush().unwrap();
        });
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    let answers = serde_json::Deserializer::from_slice(&output.stdout);
    let answers: Vec<Value> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.len(), cases.len());
    answers
}
