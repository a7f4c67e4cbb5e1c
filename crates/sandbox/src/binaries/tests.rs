use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use super::*;

/// A folder with these files, executable.
fn folder(programs: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for program in programs {
        script(&dir.path().join(program), "");
    }
    dir
}

fn script(path: &Path, body: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A `go` that makes what `go build -o OUT/` would make, and counts its runs.
fn fake_go(dir: &Path, also: &str) -> PathBuf {
    let go = dir.join("go");
    let body = format!(
        r#"
        test -f go.mod && test -f cmd/etcd/main.go && test "$GOWORK" = off || exit 9
        echo run >> {count}
        while [ "$1" != -o ]; do shift; done
        {also}
        for p in {programs}; do printf '#!/bin/sh\n' > "$2$p"; chmod 755 "$2$p"; done"#,
        count = dir.join("runs").display(),
        programs = names().join(" "),
    );
    script(&go, &body);
    go
}

fn search(cache: &Path, go: PathBuf) -> Search {
    Search {
        flag: None,
        assets: None,
        cache: Some(cache.to_owned()),
        go,
    }
}

fn silent(_: Progress) {}

#[test]
fn the_flag_is_taken_or_refused_but_never_passed_over() {
    let (full, part) = (folder(&names()), folder(&["etcd", "kube-apiserver"]));
    let mut search = search(part.path(), "no-such-go".into());
    search.assets = Some(full.path().to_owned());
    search.flag = Some(full.path().to_owned());
    assert_eq!(search.find(&mut silent).unwrap().source(), &Source::Flag);

    search.flag = Some(part.path().to_owned());
    let message = search.find(&mut silent).unwrap_err().to_string();
    assert!(
        message.ends_with("lacks `kube-controller-manager`, `kube-scheduler` and `kwok`"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_not_executable_is_missing() {
    let dir = folder(&names());
    std::fs::set_permissions(
        dir.path().join("etcd"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    assert_eq!(missing(dir.path()), ["etcd"]);
}

#[test]
fn incomplete_assets_are_named_and_passed_over() {
    let (cache, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let envtest = folder(&["etcd", "kube-apiserver", "kubectl"]);
    let mut search = search(cache.path(), fake_go(tools.path(), ""));
    search.assets = Some(envtest.path().to_owned());
    let mut said = Vec::new();
    let found = search.find(&mut |progress| said.push(progress)).unwrap();
    assert!(matches!(found.source(), Source::Built(_)));
    let missing = vec!["kube-controller-manager", "kube-scheduler", "kwok"];
    assert_eq!(
        said.first(),
        Some(&Progress::AssetsIncomplete {
            dir: envtest.path().into(),
            missing
        })
    );

    let full = folder(&names());
    search.assets = Some(full.path().to_owned());
    let found = search.find(&mut silent).unwrap();
    assert_eq!(
        (found.source(), found.dir()),
        (&Source::Environment, full.path())
    );
}

#[test]
fn what_was_built_is_found_in_the_cache() {
    let (cache, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let search = search(cache.path(), fake_go(tools.path(), ""));
    let built = search.find(&mut silent).unwrap();
    assert!(
        built
            .path(Program::Etcd)
            .starts_with(cache.path().join("control-plane"))
    );
    let cached = search.find(&mut silent).unwrap();
    assert_eq!(
        (cached.source(), cached.dir()),
        (&Source::Cache, built.dir())
    );
    let left: Vec<_> = std::fs::read_dir(cache.path().join("control-plane"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("build-") || name.ends_with(".log"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_at_once_build_once() {
    let (cache, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let search = search(cache.path(), fake_go(tools.path(), "sleep 0.5"));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| search.find(&mut silent).unwrap()));
        let sources = both.map(|thread| thread.join().unwrap().source().clone());
        assert_eq!(
            sources.iter().filter(|s| **s == Source::Cache).count(),
            1,
            "{sources:?}"
        );
    });
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(
        std::fs::read_to_string(tools.path().join("runs")).unwrap(),
        "run\n"
    );
}

#[test]
fn a_failed_build_shows_the_end_of_its_output_and_leaves_no_result() {
    let (cache, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let go = fake_go(tools.path(), "seq 100; echo 'no space left' >&2; exit 1");
    let message = search(cache.path(), go)
        .find(&mut silent)
        .unwrap_err()
        .to_string();
    assert!(message.ends_with("99\n100\nno space left"), "{message}");
    assert!(!message.contains("\n80\n"), "{message}");
    assert!(
        !cache
            .path()
            .join("control-plane")
            .join(Set::ControlPlane.key().unwrap())
            .exists()
    );
}

#[test]
fn without_any_way_the_error_names_three() {
    let cache = tempfile::tempdir().unwrap();
    let mut search = search(cache.path(), "/no/such/go".into());
    let envtest = folder(&[
        "etcd",
        "kube-apiserver",
        "kube-scheduler",
        "kube-controller-manager",
    ]);
    search.assets = Some(envtest.path().to_owned());
    let message = search.find(&mut silent).unwrap_err().to_string();
    let message = message.replace(&cache.path().display().to_string(), "CACHE");
    insta::assert_snapshot!(message, @r"
        no Kubernetes programs found, and `go` is not there to build them. One of these helps:
          1. --kubernetes-bin DIR, a folder with `etcd`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler` and `kwok`
          2. KUBEBUILDER_ASSETS=DIR, the same as an environment variable (it is set, but its folder lacks `kwok`)
          3. Go on the PATH (https://go.dev/dl), to build them once into `CACHE/control-plane`
        ");
}

#[test]
fn a_folder_that_is_named_needs_no_cache() {
    let full = folder(&names());
    let mut search = search(full.path(), "no-such-go".into());
    search.cache = None;
    let error = search.find(&mut silent).unwrap_err();
    assert!(matches!(error, BinariesError::NoCacheFolder));
    search.flag = Some(full.path().to_owned());
    assert!(search.find(&mut silent).is_ok());
}
