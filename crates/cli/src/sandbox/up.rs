//! `bulkhead sandbox up`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bulkhead_attack::{Field, Outcome};
use bulkhead_cluster::{Cluster, ObjectRef};
use bulkhead_controls::{Carriers, PodTemplate};
use bulkhead_model::TenantName;
use bulkhead_sandbox::binaries::{self, NodeBinaries, Search};
use bulkhead_sandbox::control_plane::{ControlPlane, Ports, https};
use bulkhead_sandbox::dir::{self, Claim, DirError};
use bulkhead_sandbox::https::{Client, wait_ready};
use bulkhead_sandbox::protocol::THIS_PROGRAM;
use bulkhead_sandbox::real_nodes::{Machine, NETWORK, PROBE, RealNodes};
use bulkhead_sandbox::version::Version;
use bulkhead_sandbox::{Binaries, Launch, Layout, StartError, Starting, State, ports};
use clap::Args;
use serde_json::{Value, json};

use super::progress::{BAD, DIM, GOOD, Progress};
use super::{ALREADY_RUNNING, Directory, install, manage, processes, tenants};

/// How long a step may take: many times what it does, as the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(90);
/// How many simulated nodes there are unless it is said.
const SIMULATED_NODES: u16 = 2;
/// What the tenants run on simulated nodes, where no image is fetched.
const SIMULATED_IMAGE: &str = "nginxinc/nginx-unprivileged:1.29";
/// How often all is tried anew because another process took a port that was free.
const TRIES: u32 = 3;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    directory: Directory,
    /// The tenants to make, each with one namespace and one running workload.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "acme,globex"
    )]
    tenants: Vec<String>,
    /// How many simulated nodes there are: 2 if left out, or none if there are real ones.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    nodes: Option<u16>,
    /// How many real nodes there are, on which containers run: each a kubelet and containerd in
    /// namespaces of their own. Takes root, runc, and the plugins of Debian's
    /// containernetworking-plugins.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u8).range(0..=9))]
    real_nodes: u8,
    /// Behave like an older Kubernetes, such as 1.33.
    #[arg(long, value_name = "VERSION")]
    emulate: Option<String>,
    /// A folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok. If left
    /// out: KUBEBUILDER_ASSETS, what was built before, or a build with Go.
    #[arg(long, value_name = "DIR")]
    kubernetes_bin: Option<PathBuf>,
    /// The gateway's port on 127.0.0.1; a free one if left out.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    gateway_port: Option<u16>,
    #[command(flatten)]
    kinds: crate::apps::Kinds,
}

/// What the user asked for, checked.
struct Wanted {
    tenants: Vec<TenantName>,
    nodes: u16,
    real_nodes: u8,
    emulate: Option<String>,
    gateway_port: Option<u16>,
    pod_templates: Vec<PodTemplate>,
    carriers: Carriers,
}

/// What is to be run, found.
struct Programs {
    control_plane: Binaries,
    /// If there are to be real nodes.
    node: Option<(Machine, NodeBinaries)>,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::new();
    let emulate = match &arguments.emulate {
        Some(version) => Some(
            Version::of_sandbox()?
                .emulate(version)
                .context("--emulate")?,
        ),
        None => None,
    };
    let wanted = Wanted {
        tenants: tenants::parse(&arguments.tenants)?,
        nodes: arguments.nodes.unwrap_or(match arguments.real_nodes {
            0 => SIMULATED_NODES,
            _ => 0,
        }),
        real_nodes: arguments.real_nodes,
        emulate,
        gateway_port: arguments.gateway_port,
        pod_templates: arguments.kinds.pod_templates.clone(),
        carriers: arguments.kinds.carriers()?,
    };
    let layout = arguments.directory.layout()?;
    let claim = match dir::claim(&layout) {
        Ok(claim) => claim,
        Err(error @ DirError::Running(_)) => {
            let flag = arguments.directory.flag();
            anstream::eprintln!(
                "{error}\n  what runs:     bulkhead sandbox status{flag}\n  take it down:  bulkhead sandbox down{flag}"
            );
            return Ok(ExitCode::from(ALREADY_RUNNING));
        }
        Err(error) => return Err(error.into()),
    };
    if claim.was_stale {
        progress.note("removed what was left of an earlier sandbox, whose supervisor is dead");
    }
    let prepared = check_port(&wanted).and_then(|()| find_programs(arguments, &mut progress));
    let programs = match prepared {
        Ok(programs) => programs,
        Err(error) => {
            manage::remove(&layout, claim, arguments.directory.dir.is_none())?;
            return Err(error);
        }
    };
    let result = attempts(&layout, &claim, &programs, &wanted, &mut progress).await;
    match result {
        Ok(attacks) => {
            summary(&layout, &wanted, &arguments.directory, attacks.as_deref());
            let held = attacks.iter().flatten().all(Outcome::is_stopped);
            Ok(if held {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Err(error) if matches!(error.downcast_ref(), Some(StartError::Interrupted)) => {
            manage::remove(&layout, claim, arguments.directory.dir.is_none())?;
            Err(error.context("everything that was started is stopped and removed"))
        }
        Err(error) => {
            let flag = arguments.directory.flag();
            progress.note(&format!(
                "everything that was started is stopped; the logs are in `{}`, `bulkhead sandbox down{flag}` removes them",
                layout.root().join("logs").display()
            ));
            Err(error)
        }
    }
}

fn check_port(wanted: &Wanted) -> anyhow::Result<()> {
    if let Some(port) = wanted.gateway_port.filter(|port| !ports::is_free(*port)) {
        anyhow::bail!(
            "port {port} of 127.0.0.1 is taken: choose another with --gateway-port, or leave it out for a free one"
        );
    }
    Ok(())
}

fn find_programs(arguments: &Arguments, progress: &mut Progress) -> anyhow::Result<Programs> {
    // First, what no build can give.
    let machine = match arguments.real_nodes {
        0 => None,
        _ => Some(Machine::look().context("--real-nodes")?),
    };
    let search = Search::from_environment(arguments.kubernetes_bin.clone());
    let control_plane = search.find(&mut |event| match event {
        binaries::Progress::AssetsIncomplete { dir, missing } => progress.note(&format!(
            "{}={} is not used: it lacks {}",
            binaries::ASSETS_VARIABLE,
            dir.display(),
            missing.join(", ")
        )),
        binaries::Progress::Building(elapsed) => progress.doing(&format!(
            "building the control plane with go, once: about four minutes on two cores; {} s so far",
            elapsed.as_secs()
        )),
    })?;
    let mut find_node = || {
        search.find_node(&mut |event| {
            if let binaries::Progress::Building(elapsed) = event {
                progress.doing(&format!(
                    "building kubelet and containerd with go, once: about two minutes on two cores; {} s so far",
                    elapsed.as_secs()
                ));
            }
        })
    };
    let node = match machine {
        Some(machine) => Some((machine, find_node()?)),
        None => None,
    };
    Ok(Programs {
        control_plane,
        node,
    })
}

/// What came of the attacks; none if there are no two tenants.
type Attacks = Option<Vec<Outcome>>;

async fn attempts(
    layout: &Layout,
    claim: &Claim,
    programs: &Programs,
    wanted: &Wanted,
    progress: &mut Progress,
) -> anyhow::Result<Attacks> {
    for attempt in 1.. {
        let ports = Ports::choose(wanted.gateway_port).context("cannot choose ports")?;
        let emulate = wanted.emulate.as_deref();
        let plane = ControlPlane {
            layout,
            binaries: &programs.control_plane,
            ports,
            emulate,
            real_nodes: wanted.real_nodes > 0,
        };
        let nodes = programs.node.as_ref().map(|(machine, binaries)| RealNodes {
            layout,
            binaries,
            machine,
            count: wanted.real_nodes,
        });
        let mut starting = Starting::start(Path::new(THIS_PROGRAM), layout, claim)?;
        let result = bring_up(&mut starting, &plane, nodes, wanted, progress).await;
        let error = match result {
            Ok(attacks) => {
                starting.settle()?;
                return Ok(attacks);
            }
            Err(error) => error,
        };
        starting.take_down();
        let lost = error.downcast_ref().is_some_and(StartError::lost_a_port);
        if !lost || attempt == TRIES {
            return Err(error);
        }
        layout.empty_store()?;
        progress.note("another process took a port before we could: trying again with others");
    }
    unreachable!("the last attempt returns")
}

async fn bring_up(
    starting: &mut Starting,
    plane: &ControlPlane<'_>,
    real_nodes: Option<RealNodes<'_>>,
    wanted: &Wanted,
    progress: &mut Progress,
) -> anyhow::Result<Attacks> {
    let mut state = State {
        supervisor: starting.supervisor(),
        emulate: wanted.emulate.clone(),
        api_server: plane.api_server_url(),
        gateway: https(plane.ports.gateway),
        webhook: https(plane.ports.webhook),
        controller: format!("http://127.0.0.1:{}", plane.ports.controller),
        tenants: wanted.tenants.iter().map(ToString::to_string).collect(),
        programs: plane.binaries.dir().to_owned(),
        ..State::default()
    };
    plane.layout.write_state(&state)?;

    progress.doing("starting etcd, API server, controller manager, scheduler");
    let made = plane.write_files()?;
    if let Some(nodes) = &real_nodes {
        nodes.write_files(&made)?;
        starting.launch(nodes.network(starting.supervisor(), plane.ports))?;
        let stands = nodes.network_stands();
        starting
            .wait("the nodes' network", NETWORK, DEADLINE, stands)
            .await?;
    }
    let launches = plane.launches();
    let api_health = launches
        .iter()
        .find(|l| l.name == "kube-apiserver")
        .and_then(|l| l.health.clone());
    for launch in launches {
        starting.launch(launch)?;
    }
    let api_health = api_health.context("the API server has no health address")?;
    let ready = wait_ready(&api_health);
    starting
        .wait("the API server's start", "kube-apiserver", DEADLINE, ready)
        .await??;
    let version = wanted
        .emulate
        .as_ref()
        .map_or(String::new(), |v| format!(" behaving like {v}"));
    progress.done(&format!(
        "control plane: Kubernetes {}{version}, programs {}",
        Version::of_sandbox()?,
        plane.binaries.source()
    ));

    progress.doing("installing Bulkhead: CRDs, rights, guards, webhook configurations");
    let cluster = Cluster::connect(&plane.layout.admin_kubeconfig()).await?;
    let admin = Client::new(
        &plane.api_server_url(),
        Some(made.cluster.certificate()),
        Some(&made.admin),
    )?;
    let installing = async {
        let ca = made.servers.certificate();
        install::objects(&cluster, plane, ca, wanted.nodes, &wanted.carriers).await?;
        install::identities(plane, &made, &admin).await
    };
    starting
        .wait("the installation", "kube-apiserver", DEADLINE, installing)
        .await??;
    progress.done("installed: Tenants, rights, guards, webhook configurations");

    progress.doing("starting webhook, controller, gateway");
    let mut launches = vec![
        processes::webhook(plane, &wanted.pod_templates),
        processes::controller(plane),
        processes::gateway(plane, &wanted.pod_templates),
    ];
    if wanted.nodes > 0 {
        launches.push(plane.kwok());
    }
    start_all(starting, launches).await?;
    progress.done("webhook, controller, gateway: three processes, four identities");

    progress.doing("waiting until every guard holds");
    let holding = install::guards_hold(&cluster, &admin);
    starting
        .wait("the guards' start", "kube-apiserver", DEADLINE, holding)
        .await??;
    progress.done("guards hold inside the API server");

    if let Some(nodes) = &real_nodes {
        progress.doing("starting real nodes");
        start_real_nodes(starting, nodes, &cluster).await?;
        progress.done(&format!("real nodes: {} ready", nodes.count));
    }

    for tenant in &wanted.tenants {
        progress.doing(&format!("making the tenant {tenant}"));
        let person = tenants::admit(plane, &made, tenant)?;
        let creating = tenants::create(&cluster, tenant);
        starting
            .wait(
                &format!("making the tenant `{tenant}`"),
                "controller",
                DEADLINE,
                creating,
            )
            .await??;
        let (image, blame) = match &real_nodes {
            Some(_) => (PROBE, "real-1"),
            None => (SIMULATED_IMAGE, "gateway"),
        };
        let settling = tenants::settle_in(&person, tenant, image);
        starting
            .wait(
                &format!("the workload of `{tenant}`"),
                blame,
                DEADLINE,
                settling,
            )
            .await??;
        progress.done(&format!(
            "tenant {tenant}: namespace {tenant}-app, deployment web is running"
        ));
    }

    progress.doing("attacking one tenant as the other");
    let outcomes = attack(starting, plane, wanted).await?;
    if let Some(outcomes) = &outcomes {
        progress.done(&format!("attacked in {} ways", outcomes.len()));
    }
    // What settles the sandbox is said last: until then it is not complete.
    state.complete = true;
    plane.layout.write_state(&state)?;
    Ok(outcomes)
}

/// Starts processes together, and waits until each is ready.
async fn start_all(starting: &mut Starting, launches: Vec<Launch>) -> anyhow::Result<()> {
    for launch in &launches {
        starting.launch(launch.clone())?;
    }
    for launch in &launches {
        if let Some(health) = &launch.health {
            let what = format!("the start of `{}`", launch.name);
            starting
                .wait(&what, &launch.name, DEADLINE, wait_ready(health))
                .await??;
        }
    }
    Ok(())
}

/// Starts real nodes together, and waits until pods can land on each.
async fn start_real_nodes(
    starting: &mut Starting,
    nodes: &RealNodes<'_>,
    cluster: &Cluster,
) -> anyhow::Result<()> {
    for launch in nodes.launches(starting.supervisor()) {
        starting.launch(launch)?;
    }
    for node in nodes.each() {
        let name = node.name();
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        let reference = ObjectRef::of(&object)?;
        let getting_ready = async {
            loop {
                let live = cluster.get(&reference).await?.unwrap_or_default();
                if is_ready(&live) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let what = format!("the start of the node `{name}`");
        starting
            .wait(&what, &name, DEADLINE, getting_ready)
            .await??;
    }
    Ok(())
}

fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let field = |condition: &Value, name: &str, value: &str| {
        condition.get(name).and_then(Value::as_str) == Some(value)
    };
    conditions
        .into_iter()
        .flatten()
        .any(|one| field(one, "type", "Ready") && field(one, "status", "True"))
}

/// Attacks one tenant as another. None if there are not two.
async fn attack(
    starting: &mut Starting,
    plane: &ControlPlane<'_>,
    wanted: &Wanted,
) -> anyhow::Result<Attacks> {
    if wanted.tenants.len() < 2 {
        return Ok(None);
    }
    let attacking = async {
        let field = Arc::new(Field::prepare(plane.layout.root()).await?);
        let outcomes = bulkhead_attack::run(&field, |_| true).await;
        field.clean().await?;
        anyhow::Ok(outcomes)
    };
    Ok(Some(
        starting
            .wait("the attack", "gateway", DEADLINE, attacking)
            .await??,
    ))
}

/// What a person wants to know now. On stdout: it is what the command was for.
fn summary(layout: &Layout, wanted: &Wanted, directory: &Directory, attacks: Option<&[Outcome]>) {
    match attacks {
        Some(outcomes) => {
            let held = outcomes.iter().all(Outcome::is_stopped);
            let style = if held { GOOD } else { BAD };
            let table = bulkhead_attack::table(outcomes);
            let (rows, last) = table.trim_end().rsplit_once('\n').unwrap_or(("", &table));
            anstream::println!("\n{rows}\n{style}{last}{style:#}");
        }
        None => anstream::println!("\nnot attacked: that takes two tenants"),
    }
    if let Some(programs) = kubectl_elsewhere(layout) {
        anstream::println!("\nThis Kubernetes' kubectl:");
        anstream::println!("  export PATH=$PATH:{}", programs.display());
    }
    anstream::println!("\nWork as a tenant, through the gateway:");
    for tenant in &wanted.tenants {
        anstream::println!(
            "  export KUBECONFIG={}",
            layout.tenant_kubeconfig(tenant.as_str()).display()
        );
    }
    anstream::println!("Work as the cluster's administrator, past the gateway:");
    anstream::println!(
        "  export KUBECONFIG={}",
        layout.admin_kubeconfig().display()
    );
    let flag = directory.flag();
    anstream::println!(
        "{DIM}See what runs: bulkhead sandbox status{flag}. Take it down: bulkhead sandbox down{flag}.{DIM:#}"
    );
}

/// The folder with the sandbox's kubectl, unless the user has one.
fn kubectl_elsewhere(layout: &Layout) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join("kubectl").is_file()) {
        return None;
    }
    let programs = layout.state().ok()??.programs;
    programs.join("kubectl").is_file().then_some(programs)
}
