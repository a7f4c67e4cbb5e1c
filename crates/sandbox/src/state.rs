//! What is written down about a sandbox, in its directory.

use serde::{Deserialize, Serialize};

/// The sandbox as its maker describes it. The file marks a directory as a sandbox's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Process id of the supervisor; 0 before there is one.
    #[serde(default)]
    pub supervisor: u32,
    /// Whether everything was up once. False: it is being made, or its making failed.
    #[serde(default)]
    pub complete: bool,
    /// The Kubernetes version that the API server behaves like, if not its own.
    #[serde(default)]
    pub emulate: Option<String>,
    /// Address of the API server.
    #[serde(default)]
    pub api_server: String,
    /// Address of the gateway.
    #[serde(default)]
    pub gateway: String,
    /// Address of the webhook.
    #[serde(default)]
    pub webhook: String,
    /// Address of the controller's health endpoint.
    #[serde(default)]
    pub controller: String,
    /// The tenants that it was made with.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// The folder of the control plane's programs, `kubectl` among them if it was there.
    #[serde(default)]
    pub programs: std::path::PathBuf,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    /// Tells the file from any other.
    kind: Kind,
    #[serde(flatten)]
    pub(crate) state: State,
}

impl File {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            kind: Kind::BulkheadSandbox,
            state: state.clone(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[default]
    BulkheadSandbox,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_file_is_a_state() {
        for bad in ["{}", r#"{"kind":"Other"}"#, "[]", ""] {
            assert!(serde_json::from_str::<File>(bad).is_err(), "{bad}");
        }
        assert_eq!(
            serde_json::from_str::<File>(r#"{"kind":"BulkheadSandbox"}"#).unwrap(),
            File::default()
        );
    }
}
