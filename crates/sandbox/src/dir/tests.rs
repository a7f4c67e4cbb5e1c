use super::*;

fn layout(parent: &tempfile::TempDir) -> Layout {
    Layout::new(&parent.path().join("deep/sandbox")).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_directory_is_made_and_wholly_removed() {
    let parent = tempfile::tempdir().unwrap();
    let layout = layout(&parent);
    assert!(!layout.is_running().unwrap());
    let claim = claim(&layout).unwrap();
    assert!(!claim.was_stale);
    assert!(layout.is_running().unwrap());
    assert_eq!(mode(layout.root()), 0o700);
    assert_eq!(mode(&layout.pki()), 0o700);
    assert_eq!(mode(&layout.root().join(STATE)), 0o600);
    assert!(layout.remove(claim).unwrap().is_empty());
    assert!(!layout.root().exists());
}

#[test]
fn a_second_claim_is_told_that_a_sandbox_runs() {
    let parent = tempfile::tempdir().unwrap();
    let layout = layout(&parent);
    let first = claim(&layout).unwrap();
    assert!(matches!(claim(&layout), Err(DirError::Running(dir)) if dir == layout.root()));
    let inherited = first.inherit().unwrap();
    drop(first);
    assert!(matches!(claim_remains(&layout), Err(DirError::Running(_))));
    drop(inherited);
    assert!(claim_remains(&layout).is_ok());
}

#[test]
fn remains_are_removed_and_said_so() {
    let parent = tempfile::tempdir().unwrap();
    let layout = layout(&parent);
    drop(claim(&layout).unwrap());
    fs::write(layout.log("etcd"), "old").unwrap();
    let second = claim(&layout).unwrap();
    assert!(second.was_stale);
    assert!(!layout.log("etcd").exists());
}

#[test]
fn foreign_contents_are_not_touched() {
    let parent = tempfile::tempdir().unwrap();
    let layout = layout(&parent);
    for (name, text) in [
        ("thesis.tex", "years of work"),
        (STATE, "not a sandbox"),
        (STATE, "{}"),
    ] {
        fs::create_dir_all(layout.root()).unwrap();
        fs::write(layout.root().join(name), text).unwrap();
        fs::set_permissions(layout.root(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = claim(&layout).unwrap_err();
        assert!(
            matches!(&error, DirError::Foreign { entry, .. } if entry == name),
            "{error}"
        );
        assert!(matches!(
            claim_remains(&layout),
            Err(DirError::Foreign { .. })
        ));
        assert_eq!(entries(layout.root()).unwrap(), [name]);
        assert_eq!(mode(layout.root()), 0o755);
        fs::remove_dir_all(layout.root()).unwrap();
    }
    fs::write(layout.root(), "").unwrap();
    assert!(matches!(claim(&layout), Err(DirError::NotADirectory(_))));
}

#[test]
fn what_a_user_put_into_a_sandbox_survives_its_removal() {
    let parent = tempfile::tempdir().unwrap();
    let layout = layout(&parent);
    let claim = claim(&layout).unwrap();
    fs::write(layout.root().join("notes.txt"), "").unwrap();
    fs::write(layout.root().join("audit-2026-01-01T00-00-00.000.log"), "").unwrap();
    assert_eq!(
        layout.remove(claim).unwrap(),
        [layout.root().join("notes.txt")]
    );
    assert_eq!(entries(layout.root()).unwrap(), ["notes.txt"]);
}
