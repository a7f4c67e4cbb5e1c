//! `bulkhead psp` and `bulkhead check --policies` as processes, on the guide's policies.

use std::path::Path;

use crate::check::{bulkhead, folder};

/// The guide's first policy, as it stands there: the second half has lost its indentation.
const PASTED: &str = "apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata:
   name: DisallowPrivilegedPods
spec:
   privileged: false
   # The rest fills in some required fields.
   seLinux:
    rule: RunAsAny
   supplementalGroups:
    rule: RunAsAny
runAsUser:
   rule: RunAsAny
fsGroup:
   rule: RunAsAny
volumes:
   - '*'
";
/// Part of the guide's appendix, as it stands there.
const APPENDIX: &str = "apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata:
  name: Tenant
spec:
 runAsUser:
   # Require the container to run without root
   privileges. rule: 'MustRunAsNonRoot'
 seLinux:
   rule: 'RunAsAny'
 supplemental Groups:
   rule: 'RunAsAny'
 fsGroup:
   rule: 'RunAsAny'
";
const POD: &str = "apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers:
    - name: web
      image: nginx
      securityContext:
        privileged: true
";

/// The first policy with the indentation that was meant.
fn mended() -> String {
    let (head, tail) = PASTED.split_once("runAsUser").unwrap();
    let tail = format!("runAsUser{tail}");
    let indented: Vec<String> = tail.lines().map(|line| format!("   {line}\n")).collect();
    format!("{head}{}", indented.concat())
}

fn import(folder: &Path) -> (i32, String, String) {
    let done = bulkhead(folder, &["psp", "import", "psp.yaml"], "");
    (done.code, done.out, done.err)
}

#[test]
fn broken_indentation_is_an_error_with_line_and_hint() {
    let pasted = folder(&[("psp.yaml", PASTED)]);
    let (code, out, err) = import(pasted.path());
    assert_eq!((code, out.as_str()), (1, ""));
    for (line, field) in [(12, "runAsUser"), (14, "fsGroup"), (16, "volumes")] {
        let wanted = format!(
            "psp.yaml:{line}: PodSecurityPolicy `DisallowPrivilegedPods`: `{field}`: unknown field `{field}`; it belongs under `spec`: indent it"
        );
        assert!(err.contains(&wanted), "{err}");
    }
    let appendix = folder(&[("psp.yaml", APPENDIX)]);
    let (code, _, err) = import(appendix.path());
    assert_eq!(code, 1);
    for wanted in [
        "psp.yaml:8: PodSecurityPolicy `Tenant`: `spec.runAsUser[\"privileges. rule\"]`: unknown field `privileges. rule`",
        "psp.yaml:11: PodSecurityPolicy `Tenant`: `spec[\"supplemental Groups\"]`: unknown field `supplemental Groups`; `supplementalGroups` is a field",
    ] {
        assert!(err.contains(wanted), "{err}");
    }
}

#[test]
fn an_imported_policy_has_a_name_that_kubernetes_takes_and_so_have_rights_to_it() {
    let role = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules:\n- apiGroups: [policy]\n  resources: [podsecuritypolicies]\n  resourceNames: [DisallowPrivilegedPods]\n  verbs: [use]\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n";
    let files = folder(&[("psp.yaml", &(mended() + role))]);
    let (code, out, err) = import(files.path());
    assert_eq!(code, 0, "{err}");
    for wanted in [
        "its name is `disallow-privileged-pods`: Kubernetes takes no name like `DisallowPrivilegedPods`",
        "psp.yaml:19: ClusterRole `r`: it names the policy `disallow-privileged-pods`, which was `DisallowPrivilegedPods`",
        "psp.yaml:28: Service `s` is left out",
    ] {
        assert!(err.contains(wanted), "{err}");
    }
    insta::assert_snapshot!(out);
}

#[test]
fn files_are_held_to_the_policies_that_are_named() {
    let files = folder(&[("policies/psp.yaml", &mended()), ("pod.yaml", POD)]);
    // The name is not valid, and a cluster would not have the policy.
    let refused = bulkhead(
        files.path(),
        &["check", "--policies", "policies", "pod.yaml"],
        "",
    );
    assert_eq!(refused.code, 2);
    assert!(
        refused
            .err
            .contains("policies/psp.yaml:4: metadata.name: Invalid value"),
        "{}",
        refused.err
    );
    let valid = mended().replace("DisallowPrivilegedPods", "no-privileged");
    let files = folder(&[("policies/psp.yaml", &valid), ("pod.yaml", POD)]);
    let arguments = [
        "check",
        "--select",
        "pod-security-policy",
        "--policies",
        "policies",
        "pod.yaml",
    ];
    let found = bulkhead(files.path(), &arguments, "");
    assert_eq!(found.code, 1, "{}", found.err);
    insta::assert_snapshot!(found.out);
    let without = [&arguments[..3], &arguments[5..]].concat();
    assert_eq!(bulkhead(files.path(), &without, "").code, 0);
}

#[test]
fn what_is_no_policy_is_refused_where_policies_are_named() {
    for (name, text, wanted) in [
        ("p/a.rego", "package a\n", "p/a.rego: no policy"),
        ("p/a.yaml", POD, "p/a.yaml:1: no policy: `Pod` of `v1`"),
        (
            "p/a.yaml",
            PASTED,
            "p/a.yaml:12: `runAsUser`: unknown field",
        ),
        ("p/a.yaml", "a: [\n", "p/a.yaml:"),
        ("p/.hidden", "", "there is no policy in `p`"),
    ] {
        let files = folder(&[(name, text), ("pod.yaml", POD)]);
        let done = bulkhead(files.path(), &["check", "--policies", "p", "pod.yaml"], "");
        assert_eq!(done.code, 2, "{name}: {}", done.out);
        assert!(done.err.contains(wanted), "{}", done.err);
    }
}
