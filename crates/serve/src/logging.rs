//! Logs, on stderr: stdout is for what a person asked for.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: an object a line.
    Json,
}

/// The name of no format.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no log format: expected `text` or `json`")]
pub struct UnknownLogFormat(String);

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(input: &str) -> Result<Self, UnknownLogFormat> {
        match input {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(UnknownLogFormat(other.to_owned())),
        }
    }
}

/// Sends the process's log to stderr, filtered by `RUST_LOG` (default `info`), panics
/// included. The first call wins; later ones do nothing.
pub fn init_tracing(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let set = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if set.is_ok() {
        // A panic would otherwise be the one thing in the log that a machine cannot read.
        std::panic::set_hook(Box::new(|panic| {
            let at = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            let reason = panic.payload_as_str().unwrap_or_default();
            tracing::error!(%at, %reason, "panic");
        }));
    }
}
