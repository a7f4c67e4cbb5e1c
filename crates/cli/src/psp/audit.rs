//! `bulkhead psp audit`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use bulkhead_cluster::{Cluster, Kind};
use bulkhead_psp::{At, AuditFinding, Inventory, KIND, RESOURCE, audit, is_policy, parse};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::files::{File, yaml};
use crate::tenant::kubeconfig_path;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Files with PodSecurityPolicies, roles and bindings; `-` for standard input. Without any, the
    /// cluster is looked at.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The administrator's kubeconfig. Without it KUBECONFIG is used, then `~/.kube/config`.
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than the current one.
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    context: Option<String>,
    /// The group that takes the place of everybody in mended bindings.
    #[arg(long, value_name = "GROUP")]
    administrators: Option<String>,
    /// Print mended bindings, for `kubectl apply`, to standard output; what is found goes to
    /// standard error.
    #[arg(long)]
    mend: bool,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each.
    #[default]
    Text,
    /// Everything, for programs.
    Json,
}

/// What is looked at, and where each of it stands.
#[derive(Default)]
struct Looked {
    inventory: Inventory,
    policies: Vec<String>,
    bindings: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let looked = if arguments.files.is_empty() {
        let runtime = crate::sandbox::runtime()?;
        runtime.block_on(of_cluster(arguments))?
    } else {
        of_files(&arguments.files)?
    };
    if looked.inventory.policies.is_empty() {
        bail!("there is no {KIND} to look at");
    }
    let found = audit(&looked.inventory, arguments.administrators.as_deref());
    let text = match arguments.format {
        Format::Text => looked.text(&found),
        Format::Json => serde_json::to_string_pretty(&looked.json(&found))? + "\n",
    };
    if arguments.mend {
        anstream::eprint!("{text}");
        anstream::print!(
            "{}",
            yaml(found.iter().filter_map(|it| it.mended.as_ref()))?
        );
    } else {
        anstream::print!("{text}");
    }
    Ok(if found.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn of_files(files: &[PathBuf]) -> anyhow::Result<Looked> {
    let mut looked = Looked::default();
    let mut errors = Vec::new();
    for path in files {
        let file = File::read(path)?;
        errors.extend(file.broken());
        for (api_version, kind, node) in file.objects() {
            let at = |message: &str| file.at(node.span.start, message);
            if let Err(wrong) = looked.take(api_version, kind, node.to_value(), &at) {
                errors.extend(wrong);
            }
        }
    }
    if !errors.is_empty() {
        bail!("nothing is audited:\n{}", errors.join("\n"));
    }
    Ok(looked)
}

/// The API groups that hold policies, in old clusters and in new ones.
const GROUPS: [&str; 3] = ["bulkhead.dev", "policy", "extensions"];
const RBAC: &str = "rbac.authorization.k8s.io/v1";

async fn of_cluster(arguments: &Arguments) -> anyhow::Result<Looked> {
    let path = kubeconfig_path(arguments.kubeconfig.clone())?;
    let cluster = Cluster::connect_as(&path, arguments.context.as_deref()).await?;
    let mut looked = Looked::default();
    let mut kinds = Vec::new();
    for group in GROUPS {
        // `policy` and `extensions` are two names for the same objects.
        if group == "extensions"
            && kinds
                .iter()
                .any(|kind: &Kind| kind.api_version.starts_with("policy/"))
        {
            continue;
        }
        kinds.extend(cluster.served(group, &[RESOURCE]).await?.into_values());
    }
    let roles = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
    kinds.extend(roles.map(|kind| Kind::new(RBAC, kind)));
    for kind in &kinds {
        for object in cluster.list(kind, None, "").await? {
            let taken = looked.take(&kind.api_version, &kind.kind, object, &str::to_owned);
            taken.map_err(|wrong| anyhow::anyhow!(wrong.join("\n")))?;
        }
    }
    Ok(looked)
}

impl Looked {
    /// Takes an object in, if it is one that counts.
    fn take(
        &mut self,
        api_version: &str,
        kind: &str,
        mut object: Value,
        at: &dyn Fn(&str) -> String,
    ) -> Result<(), Vec<String>> {
        let metadata = |key: &str| {
            let found = object.pointer(&format!("/metadata/{key}"));
            found.and_then(Value::as_str).unwrap_or_default()
        };
        let shown = match metadata("namespace") {
            "" => format!("{kind} `{}`", metadata("name")),
            namespace => format!("{kind} `{namespace}/{}`", metadata("name")),
        };
        let of_rbac = api_version.starts_with("rbac.authorization.k8s.io/");
        match kind {
            KIND if is_policy(api_version) => {
                let policy = parse(&object).map_err(|wrong| {
                    let wrong = wrong.iter();
                    wrong
                        .map(|it| at(&format!("{shown}: {it}")))
                        .collect::<Vec<_>>()
                })?;
                self.inventory.policies.push(policy);
                self.policies.push(at(&shown));
            }
            "Role" | "ClusterRole" if of_rbac => {
                with_kind(&mut object, kind);
                self.inventory.roles.push(object);
            }
            "RoleBinding" | "ClusterRoleBinding" if of_rbac => {
                self.bindings.push(at(&shown));
                with_kind(&mut object, kind);
                self.inventory.bindings.push(object);
            }
            _ => {}
        }
        Ok(())
    }

    fn place(&self, at: At) -> &str {
        let place = match at {
            At::Policy(index) => self.policies.get(index),
            At::Binding(index) => self.bindings.get(index),
        };
        place.map_or("", String::as_str)
    }

    fn text(&self, found: &[AuditFinding]) -> String {
        let mut lines: Vec<String> = found
            .iter()
            .map(|finding| {
                let level = level(finding);
                let (place, rule) = (self.place(finding.at), finding.rule);
                format!("{place}: {level}: {}: {rule}", finding.message)
            })
            .collect();
        if self.inventory.bindings.is_empty() {
            lines.push(
                "there is no binding here, so nothing is said of who may use what".to_owned(),
            );
        }
        if found.is_empty() {
            let count = self.policies.len();
            lines.push(format!("nothing is wrong; policies looked at: {count}"));
        }
        lines.join("\n") + "\n"
    }

    fn json(&self, found: &[AuditFinding]) -> Value {
        let one = |finding: &AuditFinding| {
            json!({
                "rule": finding.rule.to_string(), "level": level(finding),
                "at": self.place(finding.at), "message": finding.message, "mended": finding.mended,
            })
        };
        found.iter().map(one).collect()
    }
}

fn level(finding: &AuditFinding) -> &'static str {
    if finding.rule.is_error() {
        "error"
    } else {
        "warning"
    }
}

/// Items of lists do not say what they are.
fn with_kind(object: &mut Value, kind: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("kind".to_owned(), json!(kind));
    }
}
