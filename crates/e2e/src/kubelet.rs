//! A node to whose pods one can connect. The sandbox's own simulated nodes refuse that: what is typed
//! there would run on the machine of whoever plays with it. Here that is what is wanted: a second
//! kwok plays the kubelet of one node, runs what is sent to `exec` as a process of this machine,
//! carries each port to one of the test's, and shows a file to whoever attaches.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use bulkhead_attack::good_pod;
use bulkhead_attack::wire::Request;
use serde_json::json;

use crate::bed::{Bed, eventually};
use crate::client::text;
use crate::guest::Guest;

/// A tenant with a node, and a pod there, to whom one can connect.
pub(crate) struct Reachable<'a> {
    pub(crate) guest: Guest<'a>,
    pub(crate) kubeconfig: PathBuf,
    node: String,
    kubelet: usize,
    bed: &'a Bed,
}

/// The name of the pod.
pub(crate) const POD: &str = "reachable";

impl<'a> Reachable<'a> {
    /// Makes the tenant `name` with a node of its own and a pod there. Every port of its pods leads
    /// to `port` of this machine.
    pub(crate) fn arrive(bed: &'a Bed, name: &str, port: u16) -> anyhow::Result<Self> {
        let node = format!("{name}-node");
        let kubelet = start(bed, &node, port)?;
        let labels = json!({"e2e/kubelet": node, "e2e/pool": name, "kubernetes.io/hostname": node});
        bed.do_as_admin(&Request::post(
            "/api/v1/nodes",
            &json!({"metadata": {"name": node, "labels": labels}}),
        ))?;
        let extra = json!({"nodes": {"placement": "Dedicated", "selector": {"matchLabels": {"e2e/pool": name}}}});
        let guest = Guest::arrive(bed, name, &extra)?;
        let pods = format!("/api/v1/namespaces/{}/pods", guest.namespace);
        bed.do_as_admin(&Request::post(
            pods.as_str(),
            &json!({"metadata": {"name": POD}, "spec": good_pod()}),
        ))?;
        eventually("the pod runs", || {
            let pod = bed.do_as_admin(&Request::get(format!("{pods}/{POD}")))?;
            Ok((text(&pod, "/status/phase") == "Running").then_some(()))
        })?;
        let kubeconfig = bed.scratch().join(format!("{name}.kubeconfig"));
        Ok(Self {
            guest,
            kubeconfig,
            node,
            kubelet,
            bed,
        })
    }

    /// The arguments of kubectl that say who, where.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.bed.kubectl_command(&self.kubeconfig);
        command.args(["-n", &self.guest.namespace]).args(arguments);
        command
    }

    /// Has the pod's process write a line.
    pub(crate) fn write(&self, line: &str) -> anyhow::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(shown(self.bed, &self.node))?;
        writeln!(file, "2026-01-01T00:00:00.000000000Z stdout F {line}")?;
        Ok(())
    }

    /// Ends the kubelet, in the middle of whatever it does.
    pub(crate) fn break_off(&self) -> anyhow::Result<()> {
        self.bed.end_child(self.kubelet)
    }

    /// Deletes the tenant, the node, and ends the kubelet.
    pub(crate) fn leave(self) -> anyhow::Result<()> {
        let pod = format!("/api/v1/namespaces/{}/pods/{POD}", self.guest.namespace);
        self.bed
            .do_as_admin(&Request::delete(format!("{pod}?gracePeriodSeconds=0")))?;
        self.guest.leave()?;
        self.bed
            .do_as_admin(&Request::delete(format!("/api/v1/nodes/{}", self.node)))?;
        self.bed.end_child(self.kubelet)
    }
}

/// The file that whoever attaches is shown the new lines of.
fn shown(bed: &Bed, node: &str) -> PathBuf {
    bed.scratch().join(format!("{node}.log"))
}

fn start(bed: &Bed, node: &str, port: u16) -> anyhow::Result<usize> {
    let layout = &bed.layout;
    let shown = shown(bed, node);
    std::fs::write(&shown, "")?;
    let meta = json!({"name": "e2e"});
    let api = "kwok.x-k8s.io/v1alpha1";
    let stages = std::fs::read_to_string(layout.config("kwok.yaml"))?;
    // JSON is YAML.
    let mut config = stages;
    for more in [
        json!({"apiVersion": api, "kind": "ClusterExec", "metadata": meta, "spec": {"execs": [{"local": {}}]}}),
        json!({"apiVersion": api, "kind": "ClusterAttach", "metadata": meta, "spec": {"attaches": [{"logsFile": shown}]}}),
        json!({"apiVersion": api, "kind": "ClusterPortForward", "metadata": meta, "spec": {"forwards": [{"target": {"address": "127.0.0.1", "port": port}}]}}),
    ] {
        config = format!("{}\n---\n{more}\n", config.trim_end());
    }
    let file = bed.scratch().join(format!("{node}.kwok.yaml"));
    std::fs::write(&file, config)?;
    let [listen] = bulkhead_sandbox::ports::free()?;
    let log = std::fs::File::create(layout.log(node))?;
    let flag = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
    let pki = layout.pki();
    let program = bed.state.programs.join("kwok");
    let child = Command::new(&program)
        .args([
            flag("kubeconfig", &layout.identity_kubeconfig("kwok").display()),
            flag("config", &file.display()),
            flag("manage-all-nodes", &false),
            flag(
                "manage-nodes-with-label-selector",
                &format_args!("e2e/kubelet={node}"),
            ),
            flag("node-lease-duration-seconds", &40),
            flag("cidr", &"10.245.0.0/16"),
            flag("node-ip", &"127.0.0.1"),
            flag("node-port", &listen),
            flag("server-address", &format_args!("127.0.0.1:{listen}")),
            flag("tls-cert-file", &pki.join("kubelet.crt").display()),
            flag("tls-private-key-file", &pki.join("kubelet.key").display()),
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    Ok(bed.keep_child(child))
}
