//! A gateway of one trial's own, beside the sandbox's: the same program and identities, with other
//! flags.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use bulkhead_attack::Kubeconfig;
use bulkhead_attack::wire::{Client, Request};
use bulkhead_sandbox::kubeconfig::{Credential, Kubeconfig as KubeconfigFile};
use bulkhead_sandbox::pki::{Authority, AuthorityName, Issued, Subject};
use bulkhead_sandbox::protocol::Health;
use bulkhead_sandbox::{https, ports};
use serde_json::Value;

use crate::bed::{Bed, PATIENCE};

/// It ends with this value.
pub(crate) struct OwnGateway<'a> {
    pub(crate) url: String,
    audit_log: PathBuf,
    health: u16,
    name: &'static str,
    child: Child,
    bed: &'a Bed,
}

impl<'a> OwnGateway<'a> {
    /// Starts it and waits until it is open.
    pub(crate) fn start(bed: &'a Bed, name: &'static str, flags: &[&str]) -> anyhow::Result<Self> {
        let [port, health] = ports::free()?;
        let pki = bed.layout.pki();
        let file = |ending: &str| bed.scratch().join(format!("{name}.{ending}"));
        let audit_log = file("audit");
        let output = std::fs::File::create(bed.layout.log(name))?;
        let child = Command::new(&bed.binary)
            .arg("gateway")
            .arg("--reader-kubeconfig")
            .arg(bed.layout.identity_kubeconfig("gateway-reader"))
            .arg("--forwarder-kubeconfig")
            .arg(bed.layout.identity_kubeconfig("gateway-forwarder"))
            .arg("--client-ca")
            .arg(AuthorityName::GatewayClients.certificate(&pki))
            .arg("--tls-cert")
            .arg(pki.join("gateway.crt"))
            .arg("--tls-key")
            .arg(pki.join("gateway.key"))
            .arg("--audit-log")
            .arg(&audit_log)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--health", &format!("127.0.0.1:{health}")])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot run `{}`", bed.binary.display()))?;
        let own = Self {
            url: format!("https://127.0.0.1:{port}"),
            audit_log,
            health,
            name,
            child,
            bed,
        };
        let ready = Health {
            url: format!("http://127.0.0.1:{health}/readyz"),
            authority: None,
        };
        let ready = https::wait_ready(&ready);
        match bed.wait(async { tokio::time::timeout(PATIENCE, ready).await }) {
            Ok(Ok(())) => Ok(own),
            Ok(Err(error)) => Err(error).context("the trial's gateway does not get ready"),
            Err(_) => bail!("the trial's gateway does not get ready"),
        }
    }

    /// A client with a certificate of its authority.
    pub(crate) fn certified(&self, person: &str) -> anyhow::Result<Client> {
        let issued = issue(self.bed, person)?;
        self.client(
            person,
            Credential::Certificate {
                certificate: &issued.certificate,
                key: &issued.key,
            },
        )
    }

    /// A client with a token.
    pub(crate) fn bearing(&self, token: &str) -> anyhow::Result<Client> {
        self.client("bearer", Credential::Token(token))
    }

    /// A client with a credential.
    pub(crate) fn client(&self, user: &str, credential: Credential<'_>) -> anyhow::Result<Client> {
        let authority = AuthorityName::Servers.certificate(&self.bed.layout.pki());
        let file = KubeconfigFile {
            cluster: "bulkhead",
            server: &self.url,
            authority: &std::fs::read_to_string(authority)?,
            user,
            credential,
            namespace: None,
        };
        let path = self
            .bed
            .scratch()
            .join(format!("{}-{user}.kubeconfig", self.name));
        std::fs::write(&path, file.to_yaml()?)?;
        Ok(Kubeconfig::read(&path)?.client()?)
    }

    /// The most memory that it has ever held.
    pub(crate) fn peak_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        Ok(peak.context("the process has no peak of memory")?.parse()?)
    }

    /// Its audit log so far. The last lines may still be on their way.
    pub(crate) fn lines(&self) -> anyhow::Result<Vec<Value>> {
        let text = std::fs::read_to_string(&self.audit_log)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
            .collect()
    }

    /// The sum of a metric's values, of those lines that have the text.
    pub(crate) fn metric(&self, name: &str, with: &str) -> anyhow::Result<u64> {
        let client = https::Client::new(&format!("http://127.0.0.1:{}", self.health), None, None)?;
        let request = client.send(http::Method::GET, "/metrics", None);
        let text = self.bed.wait(request)?;
        let text = String::from_utf8_lossy(&text.body).into_owned();
        let lines = text
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(with));
        Ok(lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum())
    }
}

impl Drop for OwnGateway<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A client certificate for a person, without a group.
pub(crate) fn issue(bed: &Bed, person: &str) -> anyhow::Result<Issued> {
    let authority = Authority::load(AuthorityName::GatewayClients, &bed.layout.pki())?;
    Ok(authority.issue(&Subject::client(person, None))?)
}

/// A GET of a collection of a namespace's.
pub(crate) fn configs(namespace: &str) -> Request {
    Request::get(format!("/api/v1/namespaces/{namespace}/configmaps"))
}
