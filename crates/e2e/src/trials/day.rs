//! A developer's day with kubectl, of whichever version, through the gateway: every verb that one
//! uses, on a pod that one can connect to.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::streams::echo;
use crate::Check;
use crate::bed::Bed;
use crate::kubectl::{Ran, run};
use crate::kubelet::{POD, Reachable};

pub(super) const TRIALS: &[(&str, Check)] = &[("clients::kubectl", today)];

fn today(bed: &Bed) -> anyhow::Result<()> {
    let there = Reachable::arrive(bed, "e2e-day", echo()?)?;
    spend(
        bed,
        &there,
        &bed.state.programs.join("kubectl"),
        "kubectl of the cluster's version",
    )?;
    there.leave()
}

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: day\ndata:\n  a: first\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: day\nspec:\n  replicas: 1\n  selector:\n    matchLabels: {app: day}\n  template:\n    metadata:\n      labels: {app: day}\n    spec:\n      containers:\n      - name: main\n        image: registry.example/app:1\n";

/// Does all that a developer does in a day with this kubectl, and shows what worked.
pub(super) fn spend(
    bed: &Bed,
    there: &Reachable<'_>,
    program: &Path,
    client: &str,
) -> anyhow::Result<()> {
    let day = Day {
        bed,
        there,
        program,
    };
    let mut worked = Vec::new();
    for (name, step) in STEPS {
        step(&day).with_context(|| format!("{client}: {name}"))?;
        worked.push(*name);
    }
    println!("client | {client} | {}", worked.join(", "));
    Ok(())
}

struct Day<'a> {
    bed: &'a Bed,
    there: &'a Reachable<'a>,
    program: &'a Path,
}

impl Day<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.there.kubeconfig)
            .args(["-n", &self.there.guest.namespace])
            .args(arguments)
            .env("HOME", self.bed.scratch())
            .env_remove("KUBECONFIG");
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> anyhow::Result<Ran> {
        run(self.command(arguments), input)
    }

    fn good(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        self.run(arguments, input)?
            .good()
            .with_context(|| arguments.join(" "))
    }

    /// The output, with a text that must be in it.
    fn says(&self, arguments: &[&str], text: &str) -> anyhow::Result<()> {
        let out = self.good(arguments, "")?;
        ensure!(
            out.contains(text),
            "{}: expected `{text}` in: {out}",
            arguments.join(" ")
        );
        Ok(())
    }
}

type Step = fn(&Day<'_>) -> anyhow::Result<()>;

const STEPS: &[(&str, Step)] = &[
    ("get", get),
    ("apply both ways", apply),
    ("diff", diff),
    ("edit", edit),
    ("patch of three types", patch),
    ("create of each sort", create),
    ("scale, set, rollout, wait", rollout),
    ("describe, events", describe),
    ("exec, cp", exec),
    ("debug", debug),
    ("create token", token),
    ("auth", auth),
    ("explain, api-resources, api-versions", explain),
    ("delete", delete),
    ("refusals", refusals),
];

fn get(day: &Day<'_>) -> anyhow::Result<()> {
    day.says(&["get", "pods"], POD)?;
    day.says(
        &["get", "pods", "-A", "-o", "wide"],
        &day.there.guest.namespace,
    )?;
    day.says(&["get", "pod", POD, "-o", "yaml"], "kind: Pod")?;
    day.says(&["get", "all"], &format!("pod/{POD}"))?;
    day.says(&["get", "namespaces"], &day.there.guest.namespace)?;
    day.says(&["get", "pods", "--watch", "--request-timeout=2s"], POD)
        .or_else(|error| match error.to_string().contains("watch") {
            // The end of a watch by its deadline is an error to some versions.
            true => Ok(()),
            false => Err(error),
        })
}

fn apply(day: &Day<'_>) -> anyhow::Result<()> {
    for input in [CONFIG, DEPLOYMENT] {
        day.good(&["apply", "-f", "-"], input)?;
        let again = day.good(&["apply", "-f", "-"], input)?;
        ensure!(again.contains("unchanged"), "{again}");
    }
    let more = format!("{CONFIG}  b: \"2\"\n");
    day.good(
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &more,
    )?;
    day.good(
        &["apply", "--server-side", "--dry-run=server", "-f", "-"],
        &more,
    )?;
    day.says(
        &["get", "configmap", "day", "-o", "jsonpath={.data.b}"],
        "2",
    )?;
    // A key that is no field is refused in kubectl's own words.
    let wrong = DEPLOYMENT.replace("replicas: 1", "replica: 1");
    day.run(&["apply", "-f", "-"], &wrong)?.bad(&["replica"])
}

fn diff(day: &Day<'_>) -> anyhow::Result<()> {
    let changed = CONFIG.replace("first", "fifth");
    let ran = day.run(&["diff", "-f", "-"], &changed)?;
    ensure!(!ran.ok && ran.out.contains("+  a: fifth"), "{ran:?}");
    Ok(())
}

fn edit(day: &Day<'_>) -> anyhow::Result<()> {
    let mut command = day.command(&["edit", "configmap", "day"]);
    command.env("KUBE_EDITOR", "sed -i s/first/edited/");
    run(command, "")?.good()?;
    day.says(
        &["get", "configmap", "day", "-o", "jsonpath={.data.a}"],
        "edited",
    )
}

fn patch(day: &Day<'_>) -> anyhow::Result<()> {
    for (kind, patch, value) in [
        ("merge", r#"{"data":{"a":"m"}}"#, "m"),
        ("strategic", r#"{"data":{"a":"s"}}"#, "s"),
        (
            "json",
            r#"[{"op":"replace","path":"/data/a","value":"j"}]"#,
            "j",
        ),
    ] {
        day.good(
            &["patch", "configmap", "day", "--type", kind, "-p", patch],
            "",
        )?;
        day.says(
            &["get", "configmap", "day", "-o", "jsonpath={.data.a}"],
            value,
        )?;
    }
    Ok(())
}

fn create(day: &Day<'_>) -> anyhow::Result<()> {
    for arguments in [
        &["create", "secret", "generic", "day", "--from-literal=a=b"][..],
        &["create", "serviceaccount", "day"],
        &["create", "service", "clusterip", "day", "--tcp=80:8080"],
        &["create", "job", "day", "--image=registry.example/app:1"],
        &[
            "create",
            "role",
            "day",
            "--verb=get",
            "--resource=configmaps",
        ],
        &[
            "create",
            "rolebinding",
            "day",
            "--role=day",
            "--serviceaccount=default:day",
        ],
        &["label", "configmap", "day", "day=1"],
        &["annotate", "configmap", "day", "day=1"],
    ] {
        let mut arguments = arguments.to_vec();
        let own = format!("--serviceaccount={}:day", day.there.guest.namespace);
        if let Some(last) = arguments
            .last_mut()
            .filter(|last| last.starts_with("--serviceaccount"))
        {
            *last = &own;
        }
        day.good(&arguments, "")?;
    }
    Ok(())
}

fn rollout(day: &Day<'_>) -> anyhow::Result<()> {
    day.good(
        &["rollout", "status", "deployment/day", "--timeout=60s"],
        "",
    )?;
    day.good(&["scale", "deployment/day", "--replicas=2"], "")?;
    day.good(
        &[
            "set",
            "image",
            "deployment/day",
            "main=registry.example/app:2",
        ],
        "",
    )?;
    day.good(
        &["rollout", "status", "deployment/day", "--timeout=60s"],
        "",
    )?;
    day.says(&["rollout", "history", "deployment/day"], "REVISION")?;
    day.good(&["rollout", "undo", "deployment/day"], "")?;
    day.good(&["rollout", "restart", "deployment/day"], "")?;
    let available = [
        "wait",
        "deployment/day",
        "--for=condition=Available",
        "--timeout=60s",
    ];
    day.good(&available, "")?;
    day.says(&["top", "pods"], "").or_else(|error| {
        // There is no metrics server here, and that is what it says.
        match format!("{error:#}").contains("Metrics API not available") {
            true => Ok(()),
            false => Err(error),
        }
    })
}

fn describe(day: &Day<'_>) -> anyhow::Result<()> {
    day.says(&["describe", "deployment", "day"], "NewReplicaSet")?;
    day.says(&["describe", "pod", POD], "Containers:")?;
    day.says(
        &["describe", "namespace", &day.there.guest.namespace],
        "Labels:",
    )?;
    day.says(&["events"], "deployment/day")
        .or_else(|_| day.says(&["events"], "Deployment/day"))
}

fn exec(day: &Day<'_>) -> anyhow::Result<()> {
    day.says(&["exec", POD, "--", "sh", "-c", "echo $((6*7))"], "42")?;
    // What the pod's processes see is this machine, here.
    let (there, here) = (
        day.bed.scratch().join("day-in-pod.txt"),
        day.bed.scratch().join("day.txt"),
    );
    std::fs::write(&there, "a day's work")?;
    let inside = format!("{POD}:{}", there.display());
    day.good(&["cp", &inside, &here.display().to_string()], "")?;
    ensure!(std::fs::read(&here)? == b"a day's work");
    Ok(())
}

fn debug(day: &Day<'_>) -> anyhow::Result<()> {
    // The profile that is taken if none is named adds a capability.
    let image = "--image=registry.example/tools:1";
    let attached = [
        "debug",
        POD,
        image,
        "--attach=false",
        "--profile=restricted",
    ];
    day.good(&attached, "").map(drop)
}

fn token(day: &Day<'_>) -> anyhow::Result<()> {
    let ran = day.run(&["create", "token", "day"], "")?;
    ensure!(ran.ok && ran.out.starts_with("ey"), "{}", ran.err);
    Ok(())
}

fn auth(day: &Day<'_>) -> anyhow::Result<()> {
    day.says(
        &["auth", "whoami"],
        &format!("{}-admin", day.there.guest.name),
    )?;
    day.says(&["auth", "can-i", "create", "pods"], "yes")?;
    let list = day.good(&["auth", "can-i", "--list"], "")?;
    for refused in ["pods/proxy", "bindings", "tenants.bulkhead.dev"] {
        let mut listed = list
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        ensure!(
            listed.all(|resource| resource != refused),
            "`{refused}` is in: {list}"
        );
    }
    ensure!(list.contains("storageclasses.storage.k8s.io"), "{list}");
    Ok(())
}

fn explain(day: &Day<'_>) -> anyhow::Result<()> {
    day.says(&["explain", "deployment.spec.replicas"], "replicas")?;
    day.says(&["explain", "nodes"], "Node")?;
    let resources = day.good(&["api-resources", "-o", "wide"], "")?;
    for refused in [
        "tenants",
        "validatingadmissionpolicies",
        "persistentvolumes ",
    ] {
        ensure!(
            !resources.contains(refused),
            "`{refused}` is in: {resources}"
        );
    }
    ensure!(
        resources.contains("deployments") && resources.contains("nodes"),
        "{resources}"
    );
    let versions = day.good(&["api-versions"], "")?;
    ensure!(
        versions.contains("apps/v1") && !versions.contains("bulkhead.dev"),
        "{versions}"
    );
    day.says(&["version"], "Server Version")?;
    day.says(&["cluster-info"], "running at")
}

fn delete(day: &Day<'_>) -> anyhow::Result<()> {
    day.good(&["delete", "-f", "-", "--wait=false"], DEPLOYMENT)?;
    day.good(&["delete", "configmap", "day", "--timeout=60s"], "")?;
    let sorts = "secret/day,serviceaccount/day,service/day,job/day,role/day,rolebinding/day";
    let mut arguments = vec!["delete"];
    arguments.extend(sorts.split(','));
    day.good(&arguments, "").map(drop)
}

/// What is not a tenant's to do fails at once, and says why.
fn refusals(day: &Day<'_>) -> anyhow::Result<()> {
    day.run(&["get", "pods", "-n", day.bed.theirs()], "")?
        .bad(&["not found"])?;
    day.run(&["get", "persistentvolumes"], "")?
        .bad(&["doesn't have a resource type \"persistentvolumes\""])?;
    day.run(&["get", "pods", "--as=admin"], "")?
        .bad(&["`--as`"])?;
    let node = format!("{}-node", day.there.guest.name);
    day.says(&["get", "node", &node], &node)?;
    // It says so, and ends well nevertheless.
    let cordoned = day.run(&["cordon", &node], "")?;
    ensure!(cordoned.err.contains("are the platform's"), "{cordoned:?}");
    day.run(&["taint", "nodes", &node, "a=b:NoSchedule"], "")?
        .bad(&["are the platform's"])?;
    Ok(())
}
