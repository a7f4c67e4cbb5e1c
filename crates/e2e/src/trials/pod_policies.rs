//! PodSecurityPolicies beside the controls: the guide's two, pasted, imported and enforced.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Request, Response};
use serde_json::{Value, json};

use crate::Check;
use crate::audit::Mark;
use crate::bed::{Bed, eventually};
use crate::client::{refused, text};
use crate::guest::Guest;

/// They hold for the pods of all tenants, so nothing else is tried meanwhile.
pub(super) const DISRUPTIVE: &[(&str, Check)] = &[(
    "pod_policies::the_guides_two_are_imported_and_enforced",
    guides,
)];

/// The guide's first policy and that of its appendix, with the indentation that is meant.
const GUIDE: &str = "
apiVersion: policy/v1beta1
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
---
apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata:
  name: Tenant
  annotations:
    seccomp.security.alpha.kubernetes.io/allowedProfileNames: 'docker/default, runtime/default'
    seccomp.security.alpha.kubernetes.io/defaultProfileName: 'runtime/default'
spec:
  privileged: false
  # Required to prevent escalations to root.
  allowPrivilegeEscalation: false
  # This is redundant with non-root + disallow privilege escalation,
  # but we can provide it for defense in depth.
  requiredDropCapabilities:
  - ALL
  # Allow core volume types.
  volumes:
  - 'configMap'
  - 'emptyDir'
  - 'projected'
  - 'secret'
  - 'downwardAPI'
  # Assume that persistentVolumes set up by the cluster admin are safe to use.
  - 'persistentVolumeClaim'
  hostNetwork: false
  hostIPC: false
  hostPID: false
  runAsUser:
    # Require the container to run without root privileges.
    rule: 'MustRunAsNonRoot'
  seLinux:
    # This policy assumes the nodes are using AppArmor rather than SELinux.
    rule: 'RunAsAny'
  supplementalGroups:
    rule: 'MustRunAs'
    ranges:
    # Forbid adding the root group.
    - min: 1
      max: 65535
  fsGroup:
    rule: 'MustRunAs'
    ranges:
    # Forbid adding the root group.
    - min: 1
      max: 65535
";
const POLICIES: &str = "/apis/bulkhead.dev/v1alpha1/podsecuritypolicies";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const FIRST: &str = "disallow-privileged-pods";
const APPENDIX: &str = "tenant";

fn guides(bed: &Bed) -> anyhow::Result<()> {
    // What no control holds to anything, so that the policies alone speak.
    let free = json!({"tier": "Silo", "podSecurity": {"profile": "Privileged"}});
    let guest = Guest::arrive(bed, "e2e-psp", &free)?;
    let result = enforced(bed, &guest);
    for name in [FIRST, APPENDIX] {
        for path in [
            format!("{POLICIES}/{name}"),
            format!("{ROLES}/e2e-use-{name}"),
        ] {
            let gone = bed.admin(&Request::delete(path))?;
            ensure!(
                gone.is_success() || gone.status == 404,
                "{}",
                gone.message()
            );
        }
    }
    result?;
    eventually("without policies nothing is enforced", || {
        Ok(make(&guest, "free", &privileged())?
            .is_success()
            .then_some(()))
    })?;
    guest.leave()
}

/// What `bulkhead psp import` prints, and what it says.
fn import(bed: &Bed, policies: &str) -> anyhow::Result<(String, String)> {
    let mut child = Command::new(&bed.binary)
        .args(["psp", "import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    stdin.write_all(policies.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "not imported: {said}");
    Ok((String::from_utf8(output.stdout)?, said))
}

fn plain() -> Value {
    json!({"containers": [{"name": "web", "image": "registry.example/app:1"}]})
}

fn privileged() -> Value {
    with_context(&json!({"privileged": true}))
}

fn with_context(context: &Value) -> Value {
    json!({"containers": [
        {"name": "web", "image": "registry.example/app:1", "securityContext": context},
    ]})
}

/// What stands at a JSON pointer; `null` if nothing does.
fn at(value: &Value, pointer: &str) -> Value {
    value.pointer(pointer).cloned().unwrap_or_default()
}

fn make(guest: &Guest<'_>, name: &str, spec: &Value) -> anyhow::Result<Response> {
    let path = format!("/api/v1/namespaces/{}/pods", guest.namespace);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    guest.send(&Request::post(path, &pod))
}

/// Lets the guest's ServiceAccount `use` a policy, in the guest's namespace.
fn grant(bed: &Bed, guest: &Guest<'_>, policy: &str) -> anyhow::Result<()> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": format!("e2e-use-{policy}")},
        "rules": [{
            "apiGroups": ["bulkhead.dev"], "resources": ["podsecuritypolicies"],
            "verbs": ["use"], "resourceNames": [policy],
        }],
    });
    bed.do_as_admin(&Request::post(ROLES, &role))?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": format!("use-{policy}")},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": format!("e2e-use-{policy}"),
        },
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": guest.namespace}],
    });
    bed.do_as_admin(&Request::post(bindings(guest), &binding))
        .map(drop)
}

fn bindings(guest: &Guest<'_>) -> String {
    let namespace = &guest.namespace;
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings")
}

fn enforced(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<()> {
    let (objects, said) = import(bed, GUIDE)?;
    for mended in [
        "its name is `disallow-privileged-pods`",
        "its name is `tenant`",
        "spaces are gone",
    ] {
        ensure!(said.contains(mended), "expected `{mended}` in: {said}");
    }
    let admin = bed.layout.admin_kubeconfig();
    let admin = admin.to_str().context("a path that is no text")?;
    bed.kubectl_with(&["--kubeconfig", admin, "apply", "-f", "-"], &objects)?
        .good()?;
    invalid(bed)?;
    let unusable = [
        "PodSecurityPolicy: unable to admit pod: []",
        "no policy that may be used",
    ];
    eventually("nobody may use a policy", || {
        let response = make(guest, "early", &plain())?;
        if response.is_success() {
            let path = format!(
                "/api/v1/namespaces/{}/pods/early?gracePeriodSeconds=0",
                guest.namespace
            );
            bed.do_as_admin(&Request::delete(path))?;
            return Ok(None);
        }
        refused(&response, 403, &unusable).map(Some)
    })?;
    grant(bed, guest, FIRST)?;
    let mark = bed.audit_mark()?;
    let made = eventually("the first policy may be used", || {
        let response = make(guest, "plain", &plain())?;
        Ok(response.is_success().then_some(response))
    })?;
    let made: Value = serde_json::from_str(&made.text())?;
    ensure!(
        at(&made, "/metadata/annotations/kubernetes.io~1psp") == FIRST,
        "{made}"
    );
    audited(bed, mark)?;
    let words = "PodSecurityPolicy: unable to admit pod: [spec.containers[0].securityContext.privileged: Invalid value: true: Privileged containers are not allowed]";
    refused(&make(guest, "bad", &privileged())?, 403, &[words])?;
    debugged(bed, guest)?;
    appendix(bed, guest)
}

/// Which policy let a pod in stands in the audit log, for both passes, as the original wrote it, but
/// that the webhooks' names stand where the plugin's stood.
fn audited(bed: &Bed, mark: Mark) -> anyhow::Result<()> {
    eventually("the audit annotations", || {
        let entries = bed.all_since(mark)?;
        let noted = |key: &str| {
            let key = format!("/annotations/{key}");
            entries.iter().any(|entry| text(entry, &key) == FIRST)
        };
        let passes = [
            "mend.bulkhead.dev~1admit-policy",
            "judge.bulkhead.dev~1validate-policy",
        ];
        Ok(passes.into_iter().all(noted).then_some(()))
    })
}

/// A container that comes later is held to the policies as well.
fn debugged(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<()> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/plain/ephemeralcontainers",
        guest.namespace
    );
    let patch = |context: Value| {
        json!({"spec": {"ephemeralContainers": [
            {"name": "debug", "image": "registry.example/app:1", "securityContext": context},
        ]}})
    };
    let kind = "application/strategic-merge-patch+json";
    let bad = Request::patch(path.as_str(), kind, &patch(json!({"privileged": true})));
    let words = "spec.ephemeralContainers[0].securityContext.privileged: Invalid value: true";
    refused(&guest.send(&bad)?, 403, &["unable to validate pod", words])?;
    let good = Request::patch(path.as_str(), kind, &patch(json!({})));
    let response = guest.send(&good)?;
    ensure!(response.is_success(), "{}", response.message());
    let _ = bed;
    Ok(())
}

/// The strict policy sets what the pod leaves open, and refuses what it must not have.
fn appendix(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<()> {
    bed.do_as_admin(&Request::delete(format!("{}/use-{FIRST}", bindings(guest))))?;
    grant(bed, guest, APPENDIX)?;
    let strict = eventually("the appendix's policy may be used", || {
        let response = make(guest, "strict", &plain())?;
        if !response.is_success() {
            return Ok(None);
        }
        let pod: Value = serde_json::from_str(&response.text())?;
        if at(&pod, "/metadata/annotations/kubernetes.io~1psp") == APPENDIX {
            return Ok(Some(pod));
        }
        let path = format!(
            "/api/v1/namespaces/{}/pods/strict?gracePeriodSeconds=0",
            guest.namespace
        );
        bed.do_as_admin(&Request::delete(path))?;
        Ok(None)
    })?;
    let pod = at(&strict, "/spec/securityContext");
    ensure!(
        at(&pod, "/fsGroup") == 1 && at(&pod, "/supplementalGroups") == json!([1]),
        "{strict}"
    );
    ensure!(
        at(&pod, "/seccompProfile/type") == "RuntimeDefault",
        "{strict}"
    );
    let container = at(&strict, "/spec/containers/0/securityContext");
    ensure!(
        at(&container, "/capabilities/drop") == json!(["ALL"])
            && at(&container, "/allowPrivilegeEscalation") == false
            && at(&container, "/runAsNonRoot") == true,
        "{strict}"
    );
    let root = json!({
        "hostNetwork": true,
        "containers": with_context(&json!({"runAsUser": 0})).get("containers"),
    });
    let refusal = make(guest, "root", &root)?;
    let words = "running with the root UID is forbidden";
    refused(
        &refusal,
        403,
        &[words, "Host network is not allowed to be used"],
    )
}

fn invalid(bed: &Bed) -> anyhow::Result<()> {
    let any = json!({"rule": "RunAsAny"});
    let policy = json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "PodSecurityPolicy",
        "metadata": {"name": "e2e-wrong"},
        "spec": {
            "runAsUser": {"rule": "Nobody"}, "seLinux": any, "fsGroup": any,
            "supplementalGroups": any, "allowedHostPaths": [{"pathPrefix": "/a/../b"}],
        },
    });
    let refusal = bed.admin(&Request::post(POLICIES, &policy))?;
    refused(
        &refusal,
        422,
        &[
            r#"spec.runAsUser.rule: Unsupported value: "Nobody": supported values: "MustRunAs", "MustRunAsNonRoot", "RunAsAny""#,
            r#"spec.allowedHostPaths[0]: Invalid value: "/a/../b": must not contain '..'"#,
        ],
    )?;
    ensure!(
        text(
            &bed.do_as_admin(&Request::get(format!("{POLICIES}/{FIRST}")))?,
            "/metadata/name"
        ) == FIRST
    );
    Ok(())
}
