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
        (
            "p/a.rego",
            "package a\n",
            "p/a.rego: defines no rule `deny`",
        ),
        ("p/a.sh", "", "p/a.sh: no policy"),
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

/// The guide's appendix, mended.
const STRICT: &str = "apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata:
  name: Tenant
  annotations:
    seccomp.security.alpha.kubernetes.io/allowedProfileNames: 'docker/default, runtime/default'
    seccomp.security.alpha.kubernetes.io/defaultProfileName: runtime/default
spec:
  allowPrivilegeEscalation: false
  requiredDropCapabilities: [ALL]
  volumes: [configMap, emptyDir, projected, secret, downwardAPI, persistentVolumeClaim]
  runAsUser: {rule: MustRunAsNonRoot}
  seLinux: {rule: RunAsAny}
  supplementalGroups: {rule: MustRunAs, ranges: [{min: 1, max: 65535}]}
  fsGroup: {rule: MustRunAs, ranges: [{min: 1, max: 65535}]}
";

#[test]
fn a_policy_is_translated_with_what_is_lost() {
    let files = folder(&[("psp.yaml", &(STRICT.to_owned() + "---\n" + &mended()))]);
    let done = bulkhead(files.path(), &["psp", "translate", "psp.yaml"], "");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("spaces are gone"), "{}", done.err);
    insta::assert_snapshot!(done.out);
    let json = ["psp", "translate", "--format", "json", "psp.yaml"];
    let done = bulkhead(files.path(), &json, "");
    let all: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(all[0]["level"], "restricted");
    assert_eq!(all[1]["level"], "privileged");
}

#[test]
fn what_cannot_be_translated_is_said_and_nothing_is_printed() {
    let two = format!("{STRICT}---\n{PASTED}");
    let unusable = STRICT.replace("seLinux: {rule: RunAsAny}", "seLinux: {rule: MustRunAs}");
    for (text, wanted) in [
        (two.as_str(), "`runAsUser`: unknown field"),
        (unusable.as_str(), "MustRunAs requires SELinuxOptions"),
        (POD, "there is no PodSecurityPolicy"),
    ] {
        let files = folder(&[("psp.yaml", text)]);
        let done = bulkhead(files.path(), &["psp", "translate", "psp.yaml"], "");
        assert_eq!((done.code, done.out.as_str()), (1, ""));
        assert!(done.err.contains(wanted), "{}", done.err);
    }
}

/// What EKS had made by itself, and the guide's own binding of it.
const EKS: &str = "apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata:
  name: eks.privileged
  annotations: {seccomp.security.alpha.kubernetes.io/allowedProfileNames: '*'}
spec:
  privileged: true
  allowPrivilegeEscalation: true
  allowedCapabilities: ['*']
  volumes: ['*']
  hostNetwork: true
  hostPorts: [{min: 0, max: 65535}]
  hostIPC: true
  hostPID: true
  runAsUser: {rule: RunAsAny}
  seLinux: {rule: RunAsAny}
  supplementalGroups: {rule: RunAsAny}
  fsGroup: {rule: RunAsAny}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: 'eks:podsecuritypolicy:privileged'}
rules:
- apiGroups: [policy]
  resourceNames: [eks.privileged]
  resources: [podsecuritypolicies]
  verbs: [use]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: eks:podsecuritypolicy:authenticated
  annotations: {kubernetes.io/description: Allow all authenticated users to create privileged pods.}
  labels: {kubernetes.io/cluster-service: 'true', eks.amazonaws.com/component: pod-security-policy}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: eks:podsecuritypolicy:privileged
subjects:
- kind: Group
  apiGroup: rbac.authorization.k8s.io
  name: system:authenticated
";

#[test]
fn a_policy_for_everybody_is_found_and_its_binding_mended() {
    let files = folder(&[("eks.yaml", EKS)]);
    let mend = [
        "psp",
        "audit",
        "--mend",
        "--administrators",
        "platform-admins",
        "eks.yaml",
    ];
    let done = bulkhead(files.path(), &mend, "");
    assert_eq!(done.code, 1, "{}", done.err);
    for wanted in [
        "eks.yaml:29: ClusterRoleBinding `eks:podsecuritypolicy:authenticated`: error: `system:authenticated` may use `eks.privileged`",
        "warning: nothing else lets ServiceAccounts use a policy",
        "psp-open-to-everyone",
    ] {
        assert!(done.err.contains(wanted), "{}", done.err);
    }
    insta::assert_snapshot!(done.out);
    // Mended, and with another policy for everybody, nothing is said of rights.
    let strict = STRICT
        .replace("name: Tenant", "name: tenant")
        .replace(", runtime/default'", ",runtime/default'");
    let rest = EKS.split("---\n").take(2).collect::<Vec<_>>().join("---\n");
    let rights = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: tenant}\nrules: [{apiGroups: [policy], resources: [podsecuritypolicies], resourceNames: [tenant], verbs: [use]}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: tenant}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tenant}\nsubjects: [{kind: Group, name: 'system:serviceaccounts', apiGroup: rbac.authorization.k8s.io}]\n---\n";
    let all = format!("{rest}{rights}{strict}");
    let files = folder(&[("a.yaml", &all), ("b.yaml", &done.out)]);
    let again = bulkhead(
        files.path(),
        &["psp", "audit", "--format", "json", "a.yaml", "b.yaml"],
        "",
    );
    let found: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    let rules: Vec<&str> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["rule"].as_str().unwrap())
        .collect();
    assert_eq!(
        rules,
        ["psp-seccomp-surprise", "psp-apparmor-surprise"],
        "{found:#}"
    );
    // The binding as EKS made it beside them: no warning, because pods start without it.
    let files = folder(&[(
        "a.yaml",
        &format!("{all}---\n{}", EKS.split("---\n").nth(2).unwrap()),
    )]);
    let open = bulkhead(files.path(), &["psp", "audit", "a.yaml"], "");
    assert!(open.out.contains("psp-open-to-everyone"), "{}", open.out);
    assert!(open.out.contains("then nobody is left"), "{}", open.out);
    assert!(!open.out.contains("would start"), "{}", open.out);
}

#[test]
fn files_without_policies_or_with_broken_ones_are_not_audited() {
    for (text, wanted) in [
        (POD, "there is no PodSecurityPolicy to look at"),
        (
            PASTED,
            "psp.yaml:1: PodSecurityPolicy `DisallowPrivilegedPods`: `runAsUser`: unknown field",
        ),
    ] {
        let files = folder(&[("psp.yaml", text)]);
        let done = bulkhead(files.path(), &["psp", "audit", "psp.yaml"], "");
        assert_eq!((done.code, done.out.as_str()), (1, ""));
        assert!(done.err.contains(wanted), "{}", done.err);
    }
    let files = folder(&[("psp.yaml", STRICT)]);
    let done = bulkhead(files.path(), &["psp", "audit", "psp.yaml"], "");
    assert!(
        done.out.contains("there is no binding here"),
        "{}",
        done.out
    );
    assert!(!done.out.contains("psp-unused"), "{}", done.out);
}
