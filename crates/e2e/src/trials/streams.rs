//! Connections to pods through the gateway, with the real kubectl: what is typed, copied and
//! forwarded arrives, over WebSockets and over SPDY, and ends with whoever ends it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bulkhead_attack::wire::Request;
use serde_json::json;

use crate::Check;
use crate::audit::Mark;
use crate::bed::{Bed, PATIENCE, eventually};
use crate::client::{refused, text};
use crate::kubectl::{Ran, run};
use crate::kubelet::{POD, Reachable};

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("streams::kubectl_connects_to_pods", connects),
    ("streams::connections_end_with_either_side", ends),
];

/// How kubectl is told to use the one protocol or the other.
const PROTOCOLS: [(&str, &str); 2] = [("WebSocket", "true"), ("SPDY", "false")];

fn by(mut command: Command, sockets: &str) -> Command {
    command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", sockets);
    command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", sockets);
    command
}

/// A server that says back what it hears.
pub(super) fn echo() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = &stream;
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = reader.read(&mut buffer) {
                    let said = buffer.get(..read).unwrap_or_default();
                    if (&stream).write_all(said).is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(port)
}

fn connects(bed: &Bed) -> anyhow::Result<()> {
    let port = echo()?;
    let there = Reachable::arrive(bed, "e2e-streams", port)?;
    for (name, sockets) in PROTOCOLS {
        executes(&there, sockets).with_context(|| format!("exec over {name}"))?;
        copies(bed, &there, sockets).with_context(|| format!("cp over {name}"))?;
        attaches(&there, sockets).with_context(|| format!("attach over {name}"))?;
        forwards(bed, &there, sockets).with_context(|| format!("port-forward over {name}"))?;
    }
    refuses(bed, &there)?;
    there.leave()
}

fn executes(there: &Reachable<'_>, sockets: &str) -> anyhow::Result<()> {
    let exec = |arguments: &[&str], input: &str| {
        run(
            by(
                there.kubectl(&[&["exec", POD][..], arguments].concat()),
                sockets,
            ),
            input,
        )
    };
    let script = "printf 'a&b;\"c\"\\n'\nprintf '%s' \"$0\" >&2\nexit 7";
    let ran = exec(&["--", "sh", "-c", script, "d e+f%g"], "")?;
    ensure!(ran.out == "a&b;\"c\"\n", "{ran:?}");
    ensure!(
        ran.err.starts_with("d e+f%g") && ran.err.contains("exit status 7"),
        "{ran:?}"
    );
    // More than any buffer on the way, both ways.
    let much = "0123456789abcdef".repeat(40_000);
    // The kubelet that is played does not tell the command that its input has ended.
    let ran = exec(&["-i", "--", "head", "-c", "640000"], &much)?;
    ensure!(
        ran.ok && ran.out == much,
        "{} bytes came back: {}",
        ran.out.len(),
        ran.err
    );
    Ok(())
}

fn copies(bed: &Bed, there: &Reachable<'_>, sockets: &str) -> anyhow::Result<()> {
    let folder = bed.scratch().join("copied");
    std::fs::create_dir_all(&folder)?;
    let name = |file: &str| folder.join(file).display().to_string();
    std::fs::write(name("there"), "to and fro")?;
    let good = |command: Command| run(by(command, sockets), "")?.good();
    // The other way needs a command that is told the end of its input.
    good(there.kubectl(&["cp", &format!("{POD}:{}", name("there")), &name("back")]))?;
    let back = std::fs::read_to_string(name("back"))?;
    ensure!(back == "to and fro", "{back}");
    Ok(std::fs::remove_dir_all(folder)?)
}

fn attaches(there: &Reachable<'_>, sockets: &str) -> anyhow::Result<()> {
    attached(there, sockets).map(drop)
}

/// Somebody who is attached to the pod's process, and has seen what it writes.
fn attached(there: &Reachable<'_>, sockets: &str) -> anyhow::Result<Running> {
    let attached = Running::start(by(there.kubectl(&["attach", POD]), sockets))?;
    let said = eventually("what is attached to writes", || {
        there.write("what the process writes")?;
        std::thread::sleep(Duration::from_millis(100));
        Ok(attached
            .lines
            .try_iter()
            .find(|line| line.contains("what the process writes")))
    })?;
    ensure!(said == "what the process writes", "{said}");
    Ok(attached)
}

fn forwards(bed: &Bed, there: &Reachable<'_>, sockets: &str) -> anyhow::Result<()> {
    let mark = bed.audit_mark()?;
    let (forward, mut stream) = forwarded(there, sockets)?;
    let much = vec![b'x'; 300_000];
    let mut writer = stream.try_clone()?;
    let said = much.clone();
    let writing = std::thread::spawn(move || writer.write_all(&said));
    let mut heard = vec![0; much.len()];
    stream.read_exact(&mut heard)?;
    ensure!(heard == much, "other bytes came back");
    ensure!(
        writing.join().is_ok_and(|written| written.is_ok()),
        "not all could be sent"
    );
    // The client goes without a word, and the connection upstream with it.
    drop(forward);
    ended_upstream(bed, there, mark, "portforward")
}

/// Waits until every connection of a sort that has begun upstream since has ended there.
fn ended_upstream(bed: &Bed, there: &Reachable<'_>, mark: Mark, sort: &str) -> anyhow::Result<()> {
    let user = format!("bulkhead:tenant:{}:admin", there.guest.name);
    eventually("the connections end upstream", || {
        let events = bed.asked_as_since(mark, &user)?;
        let count = |stage: &str| {
            let of_sort = events.iter().filter(|event| {
                text(event, "/objectRef/subresource") == sort && text(event, "/stage") == stage
            });
            of_sort.count()
        };
        let (begun, ended) = (count("ResponseStarted"), count("ResponseComplete"));
        ensure!(
            begun > 0 && begun == ended,
            "{sort}: {begun} begun, {ended} ended"
        );
        Ok(Some(()))
    })
}

/// A port of the pod's, open here, and a connection through it.
fn forwarded(there: &Reachable<'_>, sockets: &str) -> anyhow::Result<(Running, TcpStream)> {
    let command = there.kubectl(&["port-forward", POD, ":8080"]);
    let mut forward = Running::start(by(command, sockets))?;
    let line = forward.line("Forwarding from 127.0.0.1:")?;
    let port: u16 = line
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|port| port.parse().ok())
        .with_context(|| format!("no port in `{line}`"))?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"hello")?;
    stream
        .read_exact(&mut [0; 5])
        .context("nothing comes back")?;
    Ok((forward, stream))
}

fn refuses(bed: &Bed, there: &Reachable<'_>) -> anyhow::Result<()> {
    // Another tenant's pod is not there, and nothing runs in it.
    let mark = bed.scratch().join("ran");
    let touch = format!("touch {}", mark.display());
    bed.kubectl(&[
        "exec",
        POD,
        "-n",
        &there.guest.namespace,
        "--",
        "sh",
        "-c",
        &touch,
    ])?
    .bad(&["not found"])?;
    ensure!(!mark.exists(), "the command ran");
    let pod = format!("/api/v1/namespaces/{}/pods/{POD}", there.guest.namespace);
    // A connection that is no connection, and an answer that is none.
    let plain = there
        .guest
        .send(&Request::get(format!("{pod}/exec?command=true")))?;
    refused(&plain, 400, &["need the `Upgrade` header"])?;
    let list = Request::get(format!("/api/v1/namespaces/{}/pods", there.guest.namespace))
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade");
    refused(&there.guest.send(&list)?, 501, &["changes no protocols"])?;
    // Who may only read, connects to nothing.
    let members = json!({"spec": {"members": [{"kind": "User", "name": format!("{}-admin", there.guest.name), "role": "Viewer"}]}});
    bed.do_as_admin(&Request::patch(
        there.guest.path(),
        "application/merge-patch+json",
        &members,
    ))?;
    eventually("a viewer executes nothing", || {
        let ran: Ran = run(there.kubectl(&["exec", POD, "--", "true"]), "")?;
        Ok(ran.bad(&["forbidden", "resource \"pods/exec\""]).ok())
    })
}

fn ends(bed: &Bed) -> anyhow::Result<()> {
    let port = echo()?;
    let there = Reachable::arrive(bed, "e2e-endings", port)?;
    // The right goes: so does the connection, though both ends would go on.
    let mark = bed.audit_mark()?;
    let (forward, mut stream) = forwarded(&there, "true")?;
    let mut listener = attached(&there, "true")?;
    let members = |name: &str| json!({"spec": {"members": [{"kind": "User", "name": name, "role": "Admin"}]}});
    let admin = format!("{}-admin", there.guest.name);
    let change = |spec| {
        let merge = "application/merge-patch+json";
        bed.do_as_admin(&Request::patch(there.guest.path(), merge, &spec))
    };
    change(members("somebody-else"))?;
    ended_upstream(bed, &there, mark, "portforward")?;
    ended_upstream(bed, &there, mark, "attach")?;
    listener.ends()?;
    drop(forward);
    ensure!(
        !matches!(stream.read(&mut [0; 9]), Ok(1..)),
        "something still comes through"
    );
    change(members(&admin))?;
    eventually("the member is in again", || {
        let ran = run(there.kubectl(&["exec", POD, "--", "true"]), "")?;
        Ok(ran.ok.then_some(()))
    })?;
    // The node goes: the client is told.
    let mut listener = attached(&there, "true")?;
    there.break_off()?;
    listener.ends()?;
    there.leave()
}

/// A command that goes on.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (sender, lines) = mpsc::channel();
        let follow = |reader: Box<dyn std::io::Read + Send>| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
                for line in lines.map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        };
        follow(Box::new(out.context("no output")?));
        follow(Box::new(err.context("no errors")?));
        Ok(Self { child, lines })
    }

    /// The next line that holds a text.
    fn line(&mut self, text: &str) -> anyhow::Result<String> {
        let mut heard = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return Ok(line);
            }
            heard.push(line);
        }
        bail!("expected `{text}`, heard: {heard:?}")
    }

    fn ends(&mut self) -> anyhow::Result<()> {
        eventually("the command ends", || {
            std::thread::sleep(Duration::from_millis(20));
            Ok(self.child.try_wait()?.map(drop))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
