//! `kubeconfig`: a client certificate of the gateway's authority for one member.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use bulkhead_cluster::Cluster;
use bulkhead_sandbox::Layout;
use bulkhead_sandbox::dir::write_private;
use bulkhead_sandbox::kubeconfig::{Credential, Kubeconfig};
use bulkhead_sandbox::pki::{Authority, AuthorityName, Subject};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::table::{items, text};
use super::{get, revoke};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The tenant's name.
    name: String,
    /// The member: a user that `spec.members` names.
    #[arg(long, value_name = "USER")]
    user: String,
    /// A group that `spec.members` names, of which the user is then a member.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// For how many hours the certificate is good. `bulkhead tenant revoke` takes it back sooner.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=168))]
    hours: u16,
    /// The namespace in which commands without `-n` work.
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Where to write it (readable by you alone); to the standard output if left out.
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// The directory of a sandbox, which knows everything below, and its administrator's kubeconfig.
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["gateway", "gateway_ca", "ca_cert", "ca_key"])]
    sandbox: Option<PathBuf>,
    /// The gateway's URL.
    #[arg(long, value_name = "URL", required_unless_present = "sandbox")]
    gateway: Option<String>,
    /// The authority (PEM) that vouches for the gateway's certificate.
    #[arg(long, value_name = "FILE", required_unless_present = "sandbox")]
    gateway_ca: Option<PathBuf>,
    /// The authority (PEM) whose client certificates the gateway accepts.
    #[arg(long, value_name = "FILE", required_unless_present = "sandbox")]
    ca_cert: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", required_unless_present = "sandbox")]
    ca_key: Option<PathBuf>,
}

impl Arguments {
    /// The kubeconfig of the sandbox's administrator, if a sandbox is named.
    pub(super) fn administrator(&self) -> anyhow::Result<Option<PathBuf>> {
        let layout = self.sandbox.as_deref().map(Layout::new).transpose()?;
        Ok(layout.map(|layout| layout.admin_kubeconfig()))
    }
}

pub(super) async fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let tenant = get(cluster, &arguments.name).await?;
    ensure!(
        is_member(&tenant, &arguments.user, arguments.group.as_deref()),
        "{} is no member of `{}`: the gateway would let nobody in; see `spec.members`",
        match &arguments.group {
            Some(group) => format!("the group `{group}`"),
            None => format!("the user `{}`", arguments.user),
        },
        arguments.name
    );
    let (authority, gateway, gateway_ca) = sources(arguments)?;
    let ends = OffsetDateTime::now_utc() + Duration::hours(arguments.hours.into());
    let issued = authority.issue(&Subject {
        name: &arguments.user,
        group: arguments.group.as_deref(),
        hosts: &[],
        ends: Some(ends),
    })?;
    let file = Kubeconfig {
        cluster: "bulkhead",
        server: &gateway,
        authority: &gateway_ca,
        user: &arguments.user,
        credential: Credential::Certificate {
            certificate: &issued.certificate,
            key: &issued.key,
        },
        namespace: arguments.namespace.as_deref(),
    };
    let serial = revoke::read(&issued.certificate)?.serial;
    let text = format!(
        "# Certificate {serial}, good until {}. Take it back: bulkhead tenant revoke --serial {serial}\n{}",
        ends.format(&Rfc3339)?,
        file.to_yaml()?
    );
    match &arguments.output {
        Some(path) => {
            write_private(path, text.as_bytes())
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            anstream::println!(
                "wrote `{}`, good for {} hours",
                path.display(),
                arguments.hours
            );
        }
        None => anstream::print!("{text}"),
    }
    Ok(())
}

fn sources(arguments: &Arguments) -> anyhow::Result<(Authority, String, String)> {
    let read = |path: &Option<PathBuf>| -> anyhow::Result<String> {
        let path = path
            .as_ref()
            .context("expected `--sandbox`, or the gateway and its authorities")?;
        std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
    };
    if let Some(directory) = &arguments.sandbox {
        let layout = Layout::new(directory)?;
        let state = layout.state()?.context("no sandbox is in that directory")?;
        let servers = AuthorityName::Servers.certificate(&layout.pki());
        return Ok((
            Authority::load(AuthorityName::GatewayClients, &layout.pki())?,
            state.gateway,
            read(&Some(servers))?,
        ));
    }
    let gateway = arguments.gateway.clone().context("expected `--gateway`")?;
    let authority = Authority::from_pem(&read(&arguments.ca_cert)?, &read(&arguments.ca_key)?)?;
    Ok((authority, gateway, read(&arguments.gateway_ca)?))
}

/// Whether the gateway would take such a certificate for the tenant's.
fn is_member(tenant: &Value, user: &str, group: Option<&str>) -> bool {
    items(tenant, "/spec/members").iter().any(|member| {
        let name = text(member, "/name");
        match text(member, "/kind") {
            "User" => group.is_none() && name == user,
            "Group" => group == Some(name),
            _ => false,
        }
    })
}
