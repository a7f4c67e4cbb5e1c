//! `# bulkhead: allow NAME -- reason`.

use bulkhead_check::Index;
use bulkhead_report::Level;

use crate::{check, said, source, strict};

const FINDING: Level = Level::Finding;

/// A pod with two findings of `host-port` and one of `host-pid`, and nothing else.
fn pod(above: &str, pid: &str, item: &str, port: &str) -> String {
    format!(
        "{above}apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  hostPID: true{pid}
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
    {item}
    - name: a
      securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
      ports:
        - hostPort: 80 {port}
        - hostPort: 81
"
    )
}

#[test]
fn an_exception_covers_what_it_stands_at_and_no_more() {
    let plain = pod("", "", "#", "");
    assert_eq!(
        said(&check(&plain)),
        [
            (FINDING, "host-pid", 5),
            (FINDING, "host-port", 12),
            (FINDING, "host-port", 13)
        ]
    );
    for (above, pid, item, port, expect) in [
        (
            "",
            " # bulkhead: allow host-pid -- x",
            "#",
            "",
            vec![(FINDING, "host-port", 12), (FINDING, "host-port", 13)],
        ),
        (
            "",
            "",
            "# bulkhead: allow host-port -- x",
            "",
            vec![(FINDING, "host-pid", 5)],
        ),
        (
            "",
            "",
            "#",
            "# bulkhead: allow host-port -- x",
            vec![(FINDING, "host-pid", 5), (FINDING, "host-port", 13)],
        ),
        (
            "# bulkhead: allow host-port, host-pid -- x\n# and why\n",
            "",
            "#",
            "",
            vec![],
        ),
    ] {
        assert_eq!(
            said(&check(&pod(above, pid, item, port))),
            expect,
            "{above}{pid}{item}{port}"
        );
    }
}

#[test]
fn an_exception_must_be_understood_have_a_reason_and_be_needed() {
    for (comment, rules) in [
        ("# bulkhead: allow host-pid", vec!["allow-without-reason"]),
        (
            "# bulkhead: allow host-pid --",
            vec!["allow-without-reason"],
        ),
        (
            "# bulkhead: allow host-ipc -- x",
            vec!["host-pid", "allow-of-nothing"],
        ),
        (
            "# bulkhead: allow host-pid, host-ipc -- x",
            vec!["allow-of-nothing"],
        ),
        (
            "# bulkhead: allow hostPID -- x",
            vec!["host-pid", "allow-of-nothing"],
        ),
        (
            "# bulkhead: alow host-pid -- x",
            vec!["host-pid", "allow-malformed"],
        ),
        (
            "# bulkhead: allow -- x",
            vec!["host-pid", "allow-malformed"],
        ),
    ] {
        let report = check(&pod(
            "",
            &format!(" {comment}"),
            "# bulkhead: allow host-port -- x",
            "",
        ));
        let found: Vec<&str> = report.issues.iter().map(|issue| issue.rule).collect();
        assert_eq!(found, rules, "{comment}");
        assert!(report.issues.iter().all(|issue| issue.level == FINDING));
    }
}

#[test]
fn a_rule_that_does_not_count_needs_no_exception() {
    let text = pod("# bulkhead: allow host-port, host-pid -- x\n", "", "#", "");
    let settings = strict().choose(vec!["host-port".into()], vec![]).unwrap();
    let report = bulkhead_check::check(
        &source("a.yaml", &text),
        &settings,
        &bulkhead_check::Index::default(),
    );
    assert_eq!(said(&report), []);
}

#[test]
fn a_dockerfile_is_excepted_as_a_whole() {
    let check = |text| {
        bulkhead_check::check(
            &source("Dockerfile", text),
            &strict(),
            &bulkhead_check::Index::default(),
        )
    };
    assert_eq!(
        said(&check("FROM a\n")),
        [(FINDING, "dockerfile-root-user", 1)]
    );
    assert_eq!(
        said(&check(
            "FROM a\n# bulkhead: allow dockerfile-root-user -- builds only\n"
        )),
        []
    );
}

#[test]
fn what_admission_would_set_may_have_an_exception() {
    let text = "apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  # bulkhead: allow runs-as-root, seccomp-unconfined -- until the image has a user
  containers: [{name: a}]
";
    let mut settings = strict();
    for as_admitted in [false, true] {
        settings.as_admitted = as_admitted;
        let report = bulkhead_check::check(&source("a.yaml", text), &settings, &Index::default());
        let found: Vec<_> = report.issues.iter().map(|issue| issue.rule).collect();
        let rest = ["capabilities-kept", "privilege-escalation"];
        assert_eq!(found, if as_admitted { &rest[..0] } else { &rest });
    }
}

/// Each exception is held against everything in the file, so that many are a bomb.
#[test]
fn many_exceptions_end_fast() {
    let pod = "apiVersion: v1\nkind: Pod\nspec:\n  hostPID: true\n  containers: []\n";
    let above = "# bulkhead: allow host-pid -- x\n".repeat(20_000) + pod;
    let below = pod.to_owned() + &"# bulkhead: allow host-pid -- x\n".repeat(20_000);
    let strange = pod.to_owned() + &"# bulkhead: forgive\n".repeat(20_000);
    for (text, finds) in [(above, false), (below, true), (strange, true)] {
        let started = std::time::Instant::now();
        let report = check(&text);
        let took = started.elapsed();
        let found = report.issues.iter().any(|issue| issue.rule == "host-pid");
        assert_eq!(found, finds, "{:.60}", text);
        assert!(report.issues.iter().any(|i| i.rule.starts_with("allow-")));
        // A hundred times what it takes where nothing else runs.
        assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    }
}
