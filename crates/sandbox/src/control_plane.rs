//! How the programs of the control plane are run, and the files that they are given.

use std::fmt::Display;
use std::path::Path;

use serde_json::json;

use crate::binaries::{Binaries, Program};
use crate::dir::{DirError, Layout, write_private};
use crate::kubeconfig::{Credential, Kubeconfig};
use crate::nodes;
use crate::pki::{self, Authority, AuthorityName, Issued, PkiError, Subject};
use crate::protocol::{Health, Launch};
use crate::real_nodes::{API_SERVER, EGRESS};

/// Who is stopped before whom: who serves tenants first, the API server before the etcd without
/// which it hangs.
pub const STOP_ORDER: [&str; 10] = [
    "gateway",
    "webhook",
    "controller",
    "real-node",
    "kwok",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "real-network",
    "etcd",
];

/// The user that kwok is, with the rights of [`nodes::rights_of_kwok`].
pub const KWOK_USER: &str = "bulkhead-sandbox:kwok";

/// What a server of the sandbox is reached under.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// What is written to the audit log: that a request was made, by whom, and what came of it.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// The ports of a sandbox, all on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// etcd's clients.
    pub etcd: u16,
    /// etcd's peers, of which there are none.
    pub etcd_peer: u16,
    /// The API server.
    pub api_server: u16,
    /// The kubelet of all simulated nodes.
    pub kubelet: u16,
    /// Bulkhead's webhook.
    pub webhook: u16,
    /// Bulkhead's gateway.
    pub gateway: u16,
    /// The controller's health.
    pub controller: u16,
}

/// The authorities of a sandbox, and the administrator's certificate.
pub struct Identities {
    /// Vouches for the API server and its clients.
    pub cluster: Authority,
    /// Vouches for Bulkhead's servers.
    pub servers: Authority,
    /// Vouches for the gateway's clients.
    pub gateway_clients: Authority,
    /// The cluster's administrator.
    pub admin: Issued,
}

/// Why the files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A certificate or key.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A kubeconfig.
    #[error("cannot write a kubeconfig")]
    Kubeconfig(#[from] serde_norway::Error),
}

/// A control plane that is to run in a directory.
#[derive(Debug, Clone, Copy)]
pub struct ControlPlane<'a> {
    /// The directory.
    pub layout: &'a Layout,
    /// The programs.
    pub binaries: &'a Binaries,
    /// Where they listen.
    pub ports: Ports,
    /// The Kubernetes version to behave like (`1.33`), if not their own.
    pub emulate: Option<&'a str>,
    /// Whether there are real nodes: then they, and all else that the API server calls, are reached
    /// through their network's process.
    pub real_nodes: bool,
}

impl Ports {
    /// Chooses free ports; the gateway's is given if the user wants it to be a certain one.
    ///
    /// # Errors
    /// If there are not so many free ports.
    pub fn choose(gateway: Option<u16>) -> std::io::Result<Self> {
        let [
            etcd,
            etcd_peer,
            api_server,
            kubelet,
            webhook,
            own,
            controller,
        ] = crate::ports::free()?;
        let gateway = gateway.unwrap_or(own);
        Ok(Self {
            etcd,
            etcd_peer,
            api_server,
            kubelet,
            webhook,
            gateway,
            controller,
        })
    }
}

/// The address of a port.
#[must_use]
pub fn https(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

impl ControlPlane<'_> {
    /// The address of the API server.
    #[must_use]
    pub fn api_server_url(&self) -> String {
        https(self.ports.api_server)
    }

    /// Makes all keys and certificates, the kubeconfigs of those that show who they are by a
    /// certificate, and the configuration files.
    ///
    /// # Errors
    /// If one cannot be made or written.
    pub fn write_files(&self) -> Result<Identities, FilesError> {
        let pki = self.layout.pki();
        let cluster = Authority::create(AuthorityName::Cluster, &pki)?;
        let servers = Authority::create(AuthorityName::Servers, &pki)?;
        let gateway_clients = Authority::create(AuthorityName::GatewayClients, &pki)?;
        pki::create_token_key(&pki)?;
        let mut api_hosts = [
            &HOSTS[..],
            &["kubernetes", "kubernetes.default.svc", "10.96.0.1"],
        ]
        .concat();
        let for_nodes = API_SERVER.0.to_string();
        if self.real_nodes {
            api_hosts.push(&for_nodes);
            write(&self.layout.config("egress.json"), &egress())?;
        }
        cluster.issue_to(
            &Subject::server("kube-apiserver", &api_hosts),
            &pki,
            "kube-apiserver",
        )?;
        cluster.issue_to(
            &Subject::client("kube-apiserver-kubelet-client", None),
            &pki,
            "kubelet-client",
        )?;
        cluster.issue_to(&Subject::server("kubelet", &HOSTS), &pki, "kubelet")?;
        for name in ["webhook", "gateway"] {
            servers.issue_to(&Subject::server(name, &HOSTS), &pki, name)?;
        }

        let admin = cluster.issue(&Subject::client(
            "bulkhead-sandbox-admin",
            Some("system:masters"),
        ))?;
        self.write_kubeconfig(&cluster, "admin", &admin, &self.layout.admin_kubeconfig())?;
        for (file, user) in [
            ("kube-controller-manager", "system:kube-controller-manager"),
            ("kube-scheduler", "system:kube-scheduler"),
            ("kwok", KWOK_USER),
        ] {
            let issued = cluster.issue(&Subject::client(user, None))?;
            self.write_kubeconfig(
                &cluster,
                file,
                &issued,
                &self.layout.identity_kubeconfig(file),
            )?;
        }

        let simulated_log = self.layout.config("simulated-container.log");
        write(&self.layout.config("audit-policy.yaml"), AUDIT_POLICY)?;
        write(
            &self.layout.config("kwok.yaml"),
            &nodes::kwok_config(&simulated_log),
        )?;
        write(&simulated_log, nodes::CONTAINER_LOG)?;
        Ok(Identities {
            cluster,
            servers,
            gateway_clients,
            admin,
        })
    }

    fn write_kubeconfig(
        &self,
        cluster: &Authority,
        user: &str,
        issued: &Issued,
        path: &Path,
    ) -> Result<(), FilesError> {
        let config = Kubeconfig {
            cluster: "bulkhead-sandbox",
            server: &self.api_server_url(),
            authority: cluster.certificate(),
            user,
            credential: Credential::Certificate {
                certificate: &issued.certificate,
                key: &issued.key,
            },
            namespace: None,
        };
        write(path, &config.to_yaml()?)
    }

    /// etcd, the API server, the controller manager and the scheduler: they find each other, so all
    /// can start at once.
    #[must_use]
    pub fn launches(&self) -> Vec<Launch> {
        vec![
            self.etcd(),
            self.api_server(),
            self.controller_manager(),
            self.scheduler(),
        ]
    }

    fn etcd(&self) -> Launch {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        let mut args = Args::default();
        args.pair("data-dir", self.layout.etcd_data().display());
        // What a power cut would lose is gone with the sandbox anyway.
        args.alone("unsafe-no-fsync");
        args.pair("listen-client-urls", &client);
        args.pair("advertise-client-urls", &client);
        args.pair("listen-peer-urls", &peer);
        args.pair("initial-advertise-peer-urls", &peer);
        args.pair("initial-cluster", format_args!("default={peer}"));
        args.pair("log-level", "warn");
        let health = Health {
            url: format!("{client}/health"),
            authority: None,
        };
        self.launch(Program::Etcd, args, Some(health))
    }

    fn api_server(&self) -> Launch {
        let pki = self.layout.pki();
        let key = |file: &str| pki.join(file).display().to_string();
        let cluster = AuthorityName::Cluster.certificate(&pki);
        let mut args = Args::default();
        args.pair(
            "etcd-servers",
            format_args!("http://127.0.0.1:{}", self.ports.etcd),
        );
        args.pair("bind-address", "127.0.0.1");
        args.pair("secure-port", self.ports.api_server);
        args.pair("tls-cert-file", key("kube-apiserver.crt"));
        args.pair("tls-private-key-file", key("kube-apiserver.key"));
        args.pair("client-ca-file", cluster.display());
        args.pair("service-account-issuer", "https://kubernetes.default.svc");
        args.pair("service-account-key-file", key("service-accounts.pub"));
        args.pair(
            "service-account-signing-key-file",
            key("service-accounts.key"),
        );
        args.pair("service-cluster-ip-range", "10.96.0.0/16");
        args.pair("authorization-mode", "Node,RBAC");
        args.pair("enable-admission-plugins", "NodeRestriction");
        // Whether a privileged pod gets in is for Bulkhead to say, not for this switch.
        args.alone("allow-privileged");
        // No endpoints for the Service `kubernetes`: nothing could reach them.
        args.pair("endpoint-reconciler-type", "none");
        args.pair("kubelet-client-certificate", key("kubelet-client.crt"));
        args.pair("kubelet-client-key", key("kubelet-client.key"));
        args.pair("kubelet-certificate-authority", cluster.display());
        args.pair("kubelet-preferred-address-types", "InternalIP");
        args.pair(
            "audit-policy-file",
            self.layout.config("audit-policy.yaml").display(),
        );
        args.pair("audit-log-path", self.layout.audit_log().display());
        args.alone("profiling=false");
        if self.real_nodes {
            args.pair(
                "egress-selector-config-file",
                self.layout.config("egress.json").display(),
            );
        }
        self.emulation(&mut args);
        let health = Health {
            url: format!("{}/readyz", self.api_server_url()),
            authority: Some(cluster),
        };
        self.launch(Program::ApiServer, args, Some(health))
    }

    fn controller_manager(&self) -> Launch {
        let pki = self.layout.pki();
        let mut args = self.client_args(Program::ControllerManager);
        // Each controller under its own ServiceAccount: as in a real cluster, and as the guards
        // tell them apart.
        args.alone("use-service-account-credentials");
        args.pair(
            "service-account-private-key-file",
            pki.join("service-accounts.key").display(),
        );
        args.pair(
            "root-ca-file",
            AuthorityName::Cluster.certificate(&pki).display(),
        );
        args.pair("concurrent-namespace-syncs", 20);
        self.launch(Program::ControllerManager, args, None)
    }

    fn scheduler(&self) -> Launch {
        let args = self.client_args(Program::Scheduler);
        self.launch(Program::Scheduler, args, None)
    }

    /// kwok, which plays the kubelet of every simulated node.
    #[must_use]
    pub fn kwok(&self) -> Launch {
        let pki = self.layout.pki();
        let address = format!("127.0.0.1:{}", self.ports.kubelet);
        let mut args = Args::default();
        args.pair(
            "kubeconfig",
            self.layout.identity_kubeconfig("kwok").display(),
        );
        args.pair("config", self.layout.config("kwok.yaml").display());
        args.alone("manage-all-nodes=false");
        args.pair("manage-nodes-with-label-selector", nodes::SELECTOR);
        args.pair("node-lease-duration-seconds", 40);
        args.pair("cidr", "10.244.0.0/16");
        args.pair("node-ip", "127.0.0.1");
        args.pair("node-port", self.ports.kubelet);
        args.pair("server-address", &address);
        args.pair("tls-cert-file", pki.join("kubelet.crt").display());
        args.pair("tls-private-key-file", pki.join("kubelet.key").display());
        let health = Health {
            url: format!("http://{address}/healthz"),
            authority: None,
        };
        self.launch(Program::Kwok, args, Some(health))
    }

    /// What the API server's clients have in common.
    fn client_args(&self, program: Program) -> Args {
        let kubeconfig = self.layout.identity_kubeconfig(program.name());
        let mut args = Args::default();
        args.pair("kubeconfig", kubeconfig.display());
        args.alone("leader-elect=false");
        args.pair("secure-port", 0);
        // The defaults are for clusters that have other clients than a test that waits.
        args.pair("kube-api-qps", 300);
        args.pair("kube-api-burst", 600);
        self.emulation(&mut args);
        args
    }

    /// Everyone behaves like the same version: a scheduler waits for ever for an API that an older
    /// API server does not have.
    fn emulation(&self, args: &mut Args) {
        if let Some(version) = self.emulate {
            args.pair("emulated-version", format_args!("kube={version}"));
        }
    }

    fn launch(&self, program: Program, args: Args, health: Option<Health>) -> Launch {
        let name = program.name();
        Launch {
            name: name.to_owned(),
            program: self.binaries.path(program),
            args: args.0,
            log: self.layout.log(name),
            stop_rank: stop_rank(name),
            grace_ms: 3000,
            health,
        }
    }
}

/// The place of a process in [`STOP_ORDER`].
#[must_use]
pub fn stop_rank(name: &str) -> u8 {
    let position = STOP_ORDER.iter().position(|other| *other == name);
    position
        .and_then(|rank| u8::try_from(rank).ok())
        .unwrap_or_default()
}

/// Where the API server turns to for nodes, pods and webhooks.
fn egress() -> String {
    json!({
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{
            "name": "cluster",
            "connection": {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": EGRESS}}},
        }],
    })
    .to_string()
}

#[derive(Default)]
struct Args(Vec<String>);

impl Args {
    fn pair(&mut self, flag: &str, value: impl Display) {
        self.0.push(format!("--{flag}={value}"));
    }

    fn alone(&mut self, flag: &str) {
        self.0.push(format!("--{flag}"));
    }
}

fn write(path: &Path, text: &str) -> Result<(), FilesError> {
    write_private(path, text.as_bytes()).map_err(|source| {
        DirError::Io {
            path: path.to_owned(),
            source,
        }
        .into()
    })
}

#[cfg(test)]
mod tests;
