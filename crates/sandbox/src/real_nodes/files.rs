//! What real nodes are given: certificates, configurations, images; and how their processes are run.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{API_SERVER, NETWORK, RealNode, RealNodeError, image, io_error};
use crate::binaries::{NodeBinaries, NodeProgram};
use crate::control_plane::{FilesError, Identities, Ports, stop_rank};
use crate::dir::{DirError, Layout, write_private};
use crate::kubeconfig::{Credential, Kubeconfig};
use crate::pki::Subject;
use crate::protocol::Launch;

/// Real nodes that are to run in a directory.
#[derive(Debug, Clone, Copy)]
pub struct RealNodes<'a> {
    /// The directory.
    pub layout: &'a Layout,
    /// Kubelet and probe.
    pub binaries: &'a NodeBinaries,
    /// Where the network plugins are.
    pub machine: &'a super::Machine,
    /// How many.
    pub count: u8,
}

impl RealNodes<'_> {
    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = RealNode> + '_ {
        (1..=self.count).map(|number| RealNode::new(self.layout, number))
    }

    /// Writes all that the nodes begin with.
    ///
    /// # Errors
    /// If a certificate cannot be made or a file cannot be written.
    pub fn write_files(&self, made: &Identities) -> Result<(), FilesError> {
        let probe = self.binaries.path(NodeProgram::Probe);
        let probe = fs::read(&probe).map_err(at(&probe))?;
        for node in self.each() {
            let folder = node.folder();
            for part in ["etc/kubernetes", "etc/containerd", "etc/cni/net.d", "opt"] {
                let path = folder.join(part);
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&path)
                    .map_err(at(&path))?;
            }
            let write = |file: &str, text: &str| {
                let path = folder.join(file);
                write_private(&path, text.as_bytes()).map_err(at(&path))
            };
            let name = node.name();
            let address = node.address().to_string();
            let server = made
                .cluster
                .issue(&Subject::server(&name, &[&name, &address]))?;
            write("etc/kubernetes/kubelet.crt", &server.certificate)?;
            write("etc/kubernetes/kubelet.key", &server.key)?;
            write("etc/kubernetes/ca.crt", made.cluster.certificate())?;
            let user = format!("system:node:{name}");
            let client = made
                .cluster
                .issue(&Subject::client(&user, Some("system:nodes")))?;
            let kubeconfig = Kubeconfig {
                cluster: "bulkhead-sandbox",
                server: &format!("https://{}:{}", API_SERVER.0, API_SERVER.1),
                authority: made.cluster.certificate(),
                user: &user,
                credential: Credential::Certificate {
                    certificate: &client.certificate,
                    key: &client.key,
                },
                namespace: None,
            };
            write("etc/kubernetes/kubeconfig", &kubeconfig.to_yaml()?)?;
            write("etc/kubernetes/kubelet.json", &kubelet_config())?;
            write("etc/containerd/config.toml", &containerd_config())?;
            write("etc/cni/net.d/10-bulkhead.conflist", &network_config(&node))?;
            let path = folder.join("opt/images.tar");
            let file = File::create(&path).map_err(at(&path))?;
            let mut file = BufWriter::new(file);
            image::write(&probe, &mut file).map_err(at(&path))?;
            file.flush().map_err(at(&path))?;
            link(self.binaries.dir(), &folder.join("programs"))?;
            link(&self.machine.plugins, &folder.join("plugins"))?;
        }
        Ok(())
    }

    /// The process that carries connections between nodes and API server. It must run before the API
    /// server is asked for anything.
    #[must_use]
    pub fn network(&self, supervisor: u32, ports: Ports) -> Launch {
        let port = ports.api_server.to_string();
        self.launch(NETWORK, NETWORK, supervisor, &["carry", &port])
    }

    /// The processes that keep the nodes.
    #[must_use]
    pub fn launches(&self, supervisor: u32) -> Vec<Launch> {
        self.each()
            .map(|node| {
                let number = node.number.to_string();
                self.launch(&node.name(), "real-node", supervisor, &["keep", &number])
            })
            .collect()
    }

    /// Waits until the API server can reach nodes.
    pub async fn network_stands(&self) {
        while !self.layout.root().join(super::EGRESS).exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// A process of ours that begins in a network namespace of its own.
    fn launch(&self, name: &str, rank: &str, supervisor: u32, part: &[&str]) -> Launch {
        let mut args: Vec<String> = ["--net", "--"].map(str::to_owned).into();
        // This program, whatever has become of its file.
        args.push(format!("/proc/{supervisor}/exe"));
        args.extend(["sandbox", "real", "--dir"].map(str::to_owned));
        args.push(self.layout.root().display().to_string());
        args.push("--supervisor".to_owned());
        args.push(supervisor.to_string());
        args.extend(part.iter().map(|one| (*one).to_owned()));
        Launch {
            name: name.to_owned(),
            program: "unshare".into(),
            args,
            log: self.layout.log(name),
            stop_rank: stop_rank(rank),
            // To remove cgroups is slow on a busy machine.
            grace_ms: 15_000,
            health: None,
        }
    }
}

impl RealNode {
    /// The file that a link in its folder leads to.
    pub(super) fn linked(&self, name: &str) -> Result<PathBuf, RealNodeError> {
        let link = self.folder().join(name);
        fs::read_link(&link).map_err(io_error(format!("read `{}`", link.display())))
    }
}

fn kubelet_config() -> String {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": "/etc/kubernetes/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/etc/kubernetes/kubelet.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        // What is full here is the machine, which is not the node's to mend.
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
    })
    .to_string()
}

fn containerd_config() -> String {
    format!(
        r#"version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{}"
[plugins."io.containerd.cri.v1.runtime"]
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/opt/cni/bin"]
conf_dir = "/etc/cni/net.d"
"#,
        image::PAUSE
    )
}

/// Pods are routed to, not bridged: traffic between two on one node passes the node as well.
fn network_config(node: &RealNode) -> String {
    json!({
        "cniVersion": "0.4.0",
        "name": "bulkhead",
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": node.pods()}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
    .to_string()
}

fn link(target: &Path, link: &Path) -> Result<(), FilesError> {
    std::os::unix::fs::symlink(target, link).map_err(|error| at(link)(error).into())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DirError + use<> {
    let path = path.to_owned();
    move |source| DirError::Io { path, source }
}
