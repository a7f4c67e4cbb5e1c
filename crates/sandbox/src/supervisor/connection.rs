//! One connection to the supervisor.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::Message;
use crate::protocol::{Reply, Request};

/// Answers requests until the other side is gone.
pub(super) async fn serve(stream: UnixStream, owner: mpsc::Sender<Message>) {
    let mut held = false;
    // A broken connection is an ended one.
    let _ = answer(stream, &owner, &mut held).await;
    if held {
        let _ = owner.send(Message::Orphaned).await;
    }
}

async fn answer(
    stream: UnixStream,
    owner: &mpsc::Sender<Message>,
    held: &mut bool,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str::<Request>(&line) {
            Err(error) => Reply::Refused(format!("cannot read the request: {error}")),
            Ok(request) => {
                match request {
                    Request::Hold => *held = true,
                    Request::Settle => *held = false,
                    _ => {}
                }
                let (sender, reply) = oneshot::channel();
                let sent = owner.send(Message::Ask(request, sender)).await;
                match (sent, reply.await) {
                    (Ok(()), Ok(reply)) => reply,
                    // The supervisor ends: so does the connection, which says it.
                    _ => return Ok(()),
                }
            }
        };
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        write.write_all(&line).await?;
    }
    Ok(())
}
