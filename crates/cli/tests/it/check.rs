//! `bulkhead check` as a process: what it looks at, what it writes, how it exits.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const BAD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostIPC: true\n  containers: []\n";
const OPEN: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n    - name: a # here\n";
const GOOD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// What these tests are about: a new control changes none of what they show.
const FEW: &str = "host-ipc,runs-as-root,capabilities-kept,seccomp-unconfined,privilege-escalation,dockerfile-root-user";

pub fn bulkhead(folder: &Path, arguments: &[&str], input: &str) -> Done {
    let mut arguments = arguments.to_vec();
    if arguments.first() == Some(&"check") && !arguments.contains(&"--select") {
        arguments.extend(["--select", FEW]);
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .args(arguments)
        .current_dir(folder)
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A process that takes no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The paths of the files in which something is found.
fn found(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["check", "--format", "json"], arguments].concat();
    let done = bulkhead(folder, &arguments, "");
    let value: serde_json::Value = serde_json::from_str(&done.out).expect(&done.err);
    let files = value["files"].as_array().unwrap().iter();
    let files = files.filter(|file| !file["issues"].as_array().unwrap().is_empty());
    files
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_exit_code_says_clean_found_or_unusable() {
    let folder = folder(&[
        ("good.yaml", GOOD),
        ("bad.yaml", BAD),
        ("broken.yaml", "apiVersion: v1\nkind: Pod\nkind: x\n"),
        ("latin.yaml", ""),
    ]);
    fs::write(
        folder.path().join("latin.yaml"),
        b"apiVersion: v1\nkind: \xe4\n",
    )
    .unwrap();
    for (arguments, code) in [
        (vec!["good.yaml"], 0),
        (vec!["bad.yaml"], 1),
        (vec!["bad.yaml", "--ignore", "host-ipc"], 0),
        (vec!["bad.yaml", "--select", "host-pid"], 0),
        (vec!["bad.yaml", "--profile", "Privileged"], 0),
        (vec!["broken.yaml"], 2),
        (vec!["latin.yaml"], 2),
        (vec!["bad.yaml", "broken.yaml"], 2),
        (vec!["gone.yaml"], 2),
        (vec!["bad.yaml", "--select", "no-such-rule"], 2),
        (vec!["bad.yaml", "--profile", "Lax"], 2),
        (vec!["--policies", "x"], 2),
        (vec!["bad.yaml", "--diff"], 1),
        (vec!["good.yaml", "--diff"], 0),
    ] {
        let done = bulkhead(
            folder.path(),
            &[&["check"], arguments.as_slice()].concat(),
            "",
        );
        assert_eq!(done.code, code, "{arguments:?}: {} {}", done.out, done.err);
    }
    let done = bulkhead(folder.path(), &["check", "good.yaml", "-q"], "");
    assert_eq!((done.out, done.err), (String::new(), String::new()));
}

#[test]
fn directories_globs_and_ignored_files() {
    let folder = folder(&[
        (".gitignore", "ignored/\n"),
        ("ignored/a.yaml", BAD),
        ("a/b/c.yaml", BAD),
        ("a/d.yml", BAD),
        ("a/e.json", "{\"kind\": 1}"),
        ("a/values.yaml", "a: [\n"),
        ("a/f.txt", BAD),
        ("Dockerfile", "FROM x\n"),
        ("other/prod.Dockerfile", "FROM x\n"),
    ]);
    let root = folder.path();
    assert_eq!(
        found(root, &[]),
        [
            "Dockerfile",
            "a/b/c.yaml",
            "a/d.yml",
            "other/prod.Dockerfile"
        ]
    );
    assert_eq!(found(root, &["a"]), ["a/b/c.yaml", "a/d.yml"]);
    assert_eq!(found(root, &["ignored/a.yaml"]), ["ignored/a.yaml"]);
    assert_eq!(found(root, &["a/**/*.yaml"]), ["a/b/c.yaml"]);
    assert_eq!(found(root, &["a/*.y*ml", "a/d.yml"]), ["a/d.yml"]);
    // However it is called, a file is looked at once.
    let whole = root.join("a/d.yml");
    for again in [
        "a/d.yml",
        "./a/d.yml",
        "a/../a/d.yml",
        whole.to_str().unwrap(),
    ] {
        assert_eq!(found(root, &["./a", again]).len(), 2, "{again}");
        assert_eq!(found(root, &[again, "a"]).len(), 2, "{again}");
        assert_eq!(found(root, &[again, "./a/d.yml"]).len(), 1, "{again}");
    }
    assert_eq!(found(root, &[".", "a"]).len(), 4);
    // Whoever names a file wants it to be read.
    assert_eq!(found(root, &["a/values.yaml"]), ["a/values.yaml"]);
}

#[test]
fn the_configuration_is_found_upwards_and_flags_go_before_it() {
    let folder = folder(&[
        ("bulkhead.toml", "[check]\nignore = [\"host-ipc\"]\nexclude = [\"vendor/\"]\ntenant = \"tenants/a.yaml\"\n"),
        ("tenants/a.yaml", "apiVersion: bulkhead.dev/v1alpha1\nkind: Tenant\nmetadata: {name: a}\nspec: {podSecurity: {profile: Baseline}}\n"),
        ("vendor/a.yaml", BAD), ("x/vendor/b.yaml", BAD), ("x/c.yaml", BAD), ("x/d.yaml", &OPEN.replace("name: a # here", "{name: a, securityContext: {runAsUser: 0, seccompProfile: {type: RuntimeDefault}}}")),
        ("bad.toml", "[check]\nselekt = []\n"),
    ]);
    let (root, below) = (folder.path(), folder.path().join("x"));
    assert_eq!(found(&below, &[]), [""; 0]);
    assert_eq!(
        found(&below, &["--profile", "Strict", "d.yaml"]),
        ["d.yaml"]
    );
    assert_eq!(
        found(root, &["--no-config", "vendor", "x/c.yaml"]),
        ["vendor/a.yaml", "x/c.yaml"]
    );
    let done = bulkhead(root, &["check", "--config", "bad.toml"], "");
    assert_eq!(done.code, 2);
    assert!(
        done.err.contains("bad.toml") && done.err.contains("selekt"),
        "{}",
        done.err
    );
}

#[test]
fn what_cannot_be_read_is_told_beside_the_patch() {
    let folder = folder(&[
        ("broken.yaml", "apiVersion: v1\nkind: Pod\nkind: x\n"),
        (
            "odd.yaml",
            "apiVersion: v1\nkind: Pod\nspec: {containers: x}\n",
        ),
        ("open.yaml", OPEN),
    ]);
    let root = folder.path();
    fs::write(root.join("latin.yaml"), b"kind: \xe4\n").unwrap();
    let alone = bulkhead(root, &["check", "open.yaml", "--diff"], "");
    assert!(alone.out.starts_with("--- a/open.yaml\n"), "{}", alone.out);
    for format in ["text", "json", "sarif", "junit", "markdown", "github"] {
        let done = bulkhead(
            root,
            &["check", ".", "latin.yaml", "--diff", "--format", format],
            "",
        );
        assert_eq!((done.code, &done.out), (2, &alone.out), "{format}");
        for told in [
            "broken.yaml:3:1",
            "stands here twice",
            "latin.yaml",
            "is not UTF-8",
            "odd.yaml:3:8",
            "must be a list",
        ] {
            assert!(done.err.contains(told), "{format}: {told}: {}", done.err);
        }
        assert!(!done.err.contains("runs-as-root"), "{}", done.err);
    }
    let quiet = bulkhead(root, &["check", "broken.yaml", "--diff", "--quiet"], "");
    assert_eq!((quiet.code, quiet.out.as_str()), (2, ""));
    assert!(quiet.err.contains("stands here twice"), "{}", quiet.err);
}

#[test]
fn fixing_writes_files_once_and_passes_standard_input_on() {
    let folder = folder(&[("open.yaml", OPEN), ("bad.yaml", BAD)]);
    let root = folder.path();
    let done = bulkhead(root, &["check", "open.yaml", "--diff"], "");
    insta::assert_snapshot!(done.out);
    assert_eq!(done.err, "`--fix` would change 1 file\n");
    assert_eq!(fs::read_to_string(root.join("open.yaml")).unwrap(), OPEN);

    let done = bulkhead(root, &["check", "--fix"], "");
    assert_eq!(done.code, 1, "what needs a person is left");
    assert!(
        done.out.contains("host-ipc") && done.err.contains("mended 1 file"),
        "{}{}",
        done.out,
        done.err
    );
    let mended = fs::read_to_string(root.join("open.yaml")).unwrap();
    assert!(mended.contains("name: a # here\n"), "{mended}");
    assert_eq!(bulkhead(root, &["check", "open.yaml"], "").code, 0);
    bulkhead(root, &["check", "--fix"], "");
    assert_eq!(fs::read_to_string(root.join("open.yaml")).unwrap(), mended);

    let done = bulkhead(root, &["check", "--fix", "-"], OPEN);
    assert_eq!((done.code, done.out.as_str()), (0, mended.as_str()));
    assert!(done.err.contains("no findings in 1 object"), "{}", done.err);
}

#[test]
fn standard_input_has_a_name_and_pages_are_printed_on_demand() {
    let folder = folder(&[]);
    let done = bulkhead(
        folder.path(),
        &["check", "-", "--explain", "--color", "never"],
        BAD,
    );
    assert_eq!(done.code, 1);
    assert!(
        done.out.contains("--> <stdin>:5:3") && done.out.contains("\nhost-ipc: "),
        "{}",
        done.out
    );
    let done = bulkhead(folder.path(), &["check", "-", "--color", "always"], BAD);
    assert!(done.out.contains('\u{1b}'), "{}", done.out);
    let done = bulkhead(folder.path(), &["check"], "");
    assert!(done.err.contains("nothing to check"), "{}", done.err);
}

#[test]
fn what_other_files_hold_is_known_whatever_their_order() {
    let tenant = "apiVersion: bulkhead.dev/v1alpha1\nkind: Tenant\nmetadata: {name: acme}\nspec: {tier: Silo, podSecurity: {profile: Privileged}}\n";
    let pod = BAD.replace("{name: a}", "{name: a, namespace: acme-x}");
    let folder = folder(&[("a.yaml", &pod), ("z.yaml", tenant)]);
    assert_eq!(found(folder.path(), &["a.yaml"]), ["a.yaml"]);
    assert_eq!(found(folder.path(), &["."]), [""; 0]);
}

#[test]
fn rules_completions_and_manual_pages_are_made_from_the_command_line() {
    let folder = folder(&[]);
    let rules = bulkhead(folder.path(), &["rules", "--format", "json"], "").out;
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    assert!(
        rules
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| rule["name"] == "host-network")
    );
    assert!(
        bulkhead(folder.path(), &["rules"], "")
            .out
            .starts_with("RULE ")
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            bulkhead(folder.path(), &["completions", shell], "")
                .out
                .contains("as-admitted"),
            "{shell}"
        );
    }
    assert_eq!(
        bulkhead(folder.path(), &["man", "--dir", "man"], "").code,
        0
    );
    let page = fs::read_to_string(folder.path().join("man/bulkhead-check.1")).unwrap();
    assert!(page.contains("as\\-admitted"), "{page}");
}
