//! Two replicas of the webhook behind what a Service is in a cluster: connections go to one that
//! lives. Both are killed at random.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::between;
use crate::bed::{Bed, eventually};

const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/bulkhead-judge";

/// How many replicas there are.
const REPLICAS: usize = 2;

/// The replicas, and the doors to them. The API server is told to use these for some namespaces until
/// this goes.
pub(super) struct Replicas<'a> {
    bed: &'a Bed,
    ports: [u16; REPLICAS],
    living: Mutex<Vec<Option<Child>>>,
    kills: AtomicU32,
    /// Connections through a door end when this changes.
    turn: tokio::sync::watch::Sender<u64>,
    doors: Vec<tokio::task::JoinHandle<()>>,
    answered: Arc<Vec<AtomicU32>>,
    before: Value,
}

impl<'a> Replicas<'a> {
    /// Starts them, and sends them whatever is to be judged in these namespaces, by a door each.
    pub(super) fn start(bed: &'a Bed, namespaces: &[String]) -> anyhow::Result<Self> {
        let ports = bulkhead_sandbox::ports::free::<REPLICAS>()?;
        let before = bed.do_as_admin(&Request::get(CONFIGURATION))?;
        let (turn, _) = tokio::sync::watch::channel(0);
        let mut replicas = Self {
            bed,
            ports,
            living: Mutex::new((0..REPLICAS).map(|_| None).collect()),
            kills: AtomicU32::new(0),
            turn,
            doors: Vec::new(),
            answered: Arc::new((0..REPLICAS).map(|_| AtomicU32::new(0)).collect()),
            before,
        };
        for index in 0..REPLICAS {
            replicas.launch(index)?;
        }
        let mut doors = Vec::new();
        for _ in namespaces {
            doors.push(replicas.open()?);
        }
        replicas.route(namespaces, &doors)?;
        for namespace in namespaces {
            let pods = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
            let pod = json!({"metadata": {"name": "probe"}, "spec": bulkhead_attack::good_pod()});
            eventually("pods are let in by the replicas", || {
                let before = replicas.connections();
                let answer = bed.admin(&Request::post(pods.as_str(), &pod))?;
                Ok((answer.is_success() && before > 0).then_some(()))
            })?;
        }
        Ok(replicas)
    }

    fn launch(&self, index: usize) -> anyhow::Result<()> {
        let Some(port) = self.ports.get(index) else {
            return Ok(());
        };
        let layout = &self.bed.layout;
        let log = File::options()
            .create(true)
            .append(true)
            .open(layout.log(&format!("webhook-race-{index}")))?;
        let child = Command::new(&self.bed.binary)
            .arg("webhook")
            .arg("--kubeconfig")
            .arg(layout.identity_kubeconfig("webhook"))
            .arg("--tls-cert")
            .arg(layout.pki().join("webhook.crt"))
            .arg("--tls-key")
            .arg(layout.pki().join("webhook.key"))
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start a replica")?;
        if let Some(place) = self.lock().get_mut(index) {
            *place = Some(child);
        }
        Ok(())
    }

    /// Kills replicas at random, and starts them again, until it is over.
    pub(super) async fn kill_at_random(&self, over: &AtomicBool) -> anyhow::Result<()> {
        // The first dies early, so that short races have a death too.
        let mut pause = between(2000, 4000);
        while !over.load(Ordering::Relaxed) {
            tokio::time::sleep(pause).await;
            let index = fastrand::usize(0..REPLICAS);
            self.kill(index);
            tokio::time::sleep(between(100, 1500)).await;
            self.launch(index)?;
            pause = between(3000, 9000);
            // Once it is up, the doors are shared out again.
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.turn.send_modify(|turn| *turn += 1);
        }
        Ok(())
    }

    fn kill(&self, index: usize) {
        let taken = self.lock().get_mut(index).and_then(Option::take);
        if let Some(mut child) = taken {
            child.kill().ok();
            child.wait().ok();
            self.kills.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often one was killed.
    pub(super) fn kills(&self) -> u32 {
        self.kills.load(Ordering::Relaxed)
    }

    /// How many connections each has had.
    pub(super) fn shares(&self) -> Vec<u32> {
        self.answered
            .iter()
            .map(|it| it.load(Ordering::Relaxed))
            .collect()
    }

    fn connections(&self) -> u32 {
        self.shares().iter().sum()
    }

    /// Opens a door: a port at which connections are passed on.
    fn open(&mut self) -> anyhow::Result<u16> {
        let (ports, turn, answered) = (self.ports, self.turn.subscribe(), self.answered.clone());
        let listener = self.bed.wait(TcpListener::bind("127.0.0.1:0"))?;
        let port = listener.local_addr()?.port();
        self.doors.push(self.bed.spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                tokio::spawn(pass(inner, ports, turn.clone(), answered.clone()));
            }
        }));
        Ok(port)
    }

    /// A rule of its own for each namespace and door; the rest stays as it was.
    fn route(&self, namespaces: &[String], doors: &[u16]) -> anyhow::Result<()> {
        const NAME: &str = "kubernetes.io/metadata.name";
        let mut configuration = self.before.clone();
        let webhooks = configuration
            .pointer_mut("/webhooks")
            .and_then(Value::as_array_mut)
            .context("no webhooks")?;
        let judge = webhooks
            .iter_mut()
            .find(|webhook| webhook.pointer("/name") == Some(&json!("judge.bulkhead.dev")))
            .context("no judge")?;
        let mut more = Vec::new();
        for (namespace, door) in namespaces.iter().zip(doors) {
            let mut webhook = judge.clone();
            let set = |webhook: &mut Value, pointer: &str, value: Value| {
                webhook.pointer_mut(pointer).map(|place| *place = value)
            };
            set(
                &mut webhook,
                "/name",
                json!(format!("{namespace}.judge.bulkhead.dev")),
            );
            let url = format!("https://127.0.0.1:{door}/validate");
            set(&mut webhook, "/clientConfig/url", json!(url)).context("no URL")?;
            select(
                &mut webhook,
                &json!({"key": NAME, "operator": "In", "values": [namespace]}),
            )?;
            more.push(webhook);
        }
        select(
            judge,
            &json!({"key": NAME, "operator": "NotIn", "values": namespaces}),
        )?;
        webhooks.extend(more);
        self.bed
            .do_as_admin(&Request::put(CONFIGURATION, &configuration))
            .map(drop)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Child>>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Replicas<'_> {
    fn drop(&mut self) {
        let webhooks = json!({"webhooks": self.before.get("webhooks")});
        let merge = "application/merge-patch+json";
        self.bed
            .admin(&Request::patch(CONFIGURATION, merge, &webhooks))
            .ok();
        for door in &self.doors {
            door.abort();
        }
        for index in 0..REPLICAS {
            self.kill(index);
        }
    }
}

fn select(webhook: &mut Value, expression: &Value) -> anyhow::Result<()> {
    let expressions = webhook.pointer_mut("/namespaceSelector/matchExpressions");
    let expressions = expressions.and_then(Value::as_array_mut);
    expressions.context("no selector")?.push(expression.clone());
    Ok(())
}

/// Passes a connection on to a replica that lives, until either end closes it or the doors are shared
/// out again.
async fn pass(
    mut inner: TcpStream,
    ports: [u16; REPLICAS],
    mut turn: tokio::sync::watch::Receiver<u64>,
    answered: Arc<Vec<AtomicU32>>,
) {
    turn.mark_unchanged();
    let first = fastrand::usize(0..REPLICAS);
    for step in 0..REPLICAS {
        let index = (first + step) % REPLICAS;
        let Some(port) = ports.get(index) else {
            continue;
        };
        let Ok(mut outer) = TcpStream::connect(("127.0.0.1", *port)).await else {
            continue;
        };
        if let Some(count) = answered.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
            _ = turn.changed() => {}
        }
        return;
    }
}
