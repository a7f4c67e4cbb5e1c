//! Where the lines go: a file or standard output, written by a thread of its own. A disk that is
//! slow or full stops nobody; what is lost is counted, and the log itself says how much is missing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use anyhow::Context as _;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::sync::oneshot;

use crate::metrics::Metrics;

/// Where audit lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output. The process's own log goes to standard error.
    Stdout,
    /// A file, to whose end is written. Made readable for its owner alone.
    File(PathBuf),
}

/// The queue to the thread that writes.
#[derive(Clone)]
pub(crate) struct Log {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

enum Message {
    Line(Vec<u8>),
    Flush(oneshot::Sender<()>),
}

impl Log {
    /// Opens the target. `queue` lines may wait to be written.
    ///
    /// # Errors
    /// If the file cannot be opened, or no thread started.
    pub(crate) fn open(
        target: &Target,
        queue: usize,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        match target {
            Target::Stdout => Self::to(io::stdout(), queue, metrics),
            Target::File(path) => {
                let file: io::Result<File> = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(0o600)
                    .open(path);
                let named = || format!("cannot open the audit log `{}`", path.display());
                Self::to(file.with_context(named)?, queue, metrics)
            }
        }
    }

    pub(super) fn to(
        sink: impl Write + Send + 'static,
        queue: usize,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            sink,
            lost: lost.clone(),
            metrics: metrics.clone(),
        };
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&receiver))
            .context("cannot start the audit log's thread")?;
        Ok(Self {
            queue: sender,
            lost,
            metrics: metrics.clone(),
        })
    }

    /// Has a line written, without waiting.
    pub(crate) fn write(&self, line: &impl Serialize) {
        let Ok(mut bytes) = serde_json::to_vec(line) else {
            return self.lose();
        };
        bytes.push(b'\n');
        match self.queue.try_send(Message::Line(bytes)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.lose(),
        }
    }

    /// Waits until everything up to now has been written.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let queue = self.queue.clone();
        // The queue may be full, and waiting for it is no business of the runtime's threads.
        let sent = tokio::task::spawn_blocking(move || queue.send(Message::Flush(done)).is_ok());
        if matches!(sent.await, Ok(true)) {
            let _ = flushed.await;
        }
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.metrics.audit_lost(1);
    }
}

/// The time as lines have it.
pub(super) fn now() -> String {
    let form =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    OffsetDateTime::now_utc().format(form).unwrap_or_default()
}

struct Writer<S> {
    sink: S,
    lost: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

impl<S: Write> Writer<S> {
    fn run(mut self, queue: &Receiver<Message>) {
        let mut failing = false;
        while let Ok(message) = queue.recv() {
            let line = match message {
                Message::Line(line) => line,
                Message::Flush(done) => {
                    let _ = done.send(());
                    continue;
                }
            };
            let missing = self.lost.swap(0, Ordering::Relaxed);
            let written = self.missing(missing).and_then(|()| {
                self.sink.write_all(&line)?;
                self.sink.flush()
            });
            if let Err(error) = &written {
                self.lost.fetch_add(missing + 1, Ordering::Relaxed);
                self.metrics.audit_lost(1);
                if !failing {
                    tracing::error!(%error, "cannot write the audit log: lines are lost");
                }
            }
            failing = written.is_err();
        }
    }

    fn missing(&mut self, lines: u64) -> io::Result<()> {
        if lines == 0 {
            return Ok(());
        }
        let time = now();
        writeln!(
            self.sink,
            r#"{{"time":"{time}","stage":"lost","lines":{lines}}}"#
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use serde_json::json;

    use super::*;

    /// A disk that takes a line for each leave that it is given, and none while it is full.
    struct Disk {
        leave: Mutex<Receiver<bool>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.starts_with(br#"{"n""#) && !self.leave.lock().unwrap().recv().unwrap_or(true) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_lost_is_counted_and_said() {
        let metrics = Arc::new(Metrics::new());
        let (leave, given) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let disk = Disk {
            leave: Mutex::new(given),
            written: written.clone(),
        };
        let log = Log::to(disk, 2, &metrics).unwrap();
        // The first is full, the next is slow while the queue of two runs over.
        leave.send(false).unwrap();
        log.write(&json!({"n": 0}));
        log.flush().await;
        for n in 1..=50 {
            log.write(&json!({"n": n}));
        }
        drop(leave);
        log.flush().await;
        log.write(&json!({"n": 99}));
        log.flush().await;
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let (mut said, mut lines) = (0, 0);
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            match line.get("lines") {
                Some(count) => said += count.as_u64().unwrap(),
                None => lines += 1,
            }
        }
        assert_eq!(lines + said, 52, "{text}");
        assert!((46..=49).contains(&said), "{text}");
        assert!(
            metrics
                .text()
                .contains(&format!("bulkhead_gateway_audit_lines_lost_total {said}\n")),
            "{}",
            metrics.text()
        );
    }
}
