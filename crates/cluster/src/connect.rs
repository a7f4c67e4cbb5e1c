//! From a kubeconfig to a client.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::{ClusterError, KubeconfigError};

/// A client for a context of a kubeconfig, the current one if none is named.
///
/// The environment has no say: neither proxies nor debugging overrides are read from it. A
/// `tokenFile` is read again when it changes, so that tokens can rotate.
pub(crate) async fn client(
    kubeconfig: &Path,
    context: Option<&str>,
) -> Result<Client, ClusterError> {
    let config = config(kubeconfig, context).await?;
    Client::try_from(config).map_err(|error| ClusterError::Kubeconfig {
        path: kubeconfig.to_owned(),
        source: KubeconfigError::Client(Box::new(error)),
    })
}

/// The configuration of a context of a kubeconfig, if it is a safe one.
pub(crate) async fn config(
    kubeconfig: &Path,
    context: Option<&str>,
) -> Result<Config, ClusterError> {
    install_crypto_provider();
    read(kubeconfig, context)
        .await
        .map_err(|source| ClusterError::Kubeconfig {
            path: kubeconfig.to_owned(),
            source,
        })
}

/// Makes rustls use ring, unless the process has chosen already.
fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Lost races are harmless: somebody else's choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

async fn read(path: &Path, context: Option<&str>) -> Result<Config, KubeconfigError> {
    let unreadable = |error| KubeconfigError::Read(Box::new(error));
    let kubeconfig = Kubeconfig::read_from(path).map_err(unreadable)?;
    let proxied = kubeconfig.clusters.iter().any(|named| {
        named
            .cluster
            .as_ref()
            .is_some_and(|cluster| cluster.proxy_url.is_some())
    });
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(unreadable)?;
    if proxied {
        return Err(KubeconfigError::Refused("`proxy-url` is not supported"));
    }
    if config.cluster_url.scheme_str() != Some("https") {
        return Err(KubeconfigError::Refused(
            "`server` must be an https URL: the credential would travel in clear",
        ));
    }
    if config.accept_invalid_certs {
        return Err(KubeconfigError::Refused(
            "`insecure-skip-tls-verify` is refused: the credential would go to anybody; set `certificate-authority` instead",
        ));
    }
    let user = &config.auth_info;
    if user.impersonate.is_some()
        || user.impersonate_uid.is_some()
        || user.impersonate_groups.is_some()
        || user.impersonate_user_extra.is_some()
    {
        return Err(KubeconfigError::Refused(
            "impersonation (`as`, `as-groups`, ..) in the kubeconfig is refused: it would be added to every request",
        ));
    }
    config.proxy_url = None;
    // A retry that nobody asked for could repeat a write whose answer was lost.
    config.default_retry = false;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(server: &str, cluster_extra: &str, user: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        let text = format!(
            r#"{{"apiVersion":"v1","kind":"Config","current-context":"x",
              "clusters":[{{"name":"c","cluster":{{"server":"{server}"{cluster_extra}}}}}],
              "users":[{{"name":"u","user":{{"token":"t"{user}}}}}],
              "contexts":[{{"name":"x","context":{{"cluster":"c","user":"u"}}}}]}}"#
        );
        std::fs::write(&path, text).unwrap();
        client(&path, None).await.err().map(|error| error.chain())
    }

    #[tokio::test]
    async fn unsafe_kubeconfigs_are_refused() {
        let https = "https://127.0.0.1:1";
        assert_eq!(refusal(https, "", "").await, None);
        for (server, cluster, user, expected) in [
            ("http://127.0.0.1:1", "", "", "must be an https URL"),
            (
                https,
                r#","insecure-skip-tls-verify":true"#,
                "",
                "insecure-skip-tls-verify",
            ),
            (https, r#","proxy-url":"http://proxy:1""#, "", "proxy-url"),
            (https, "", r#","as":"system:admin""#, "impersonation"),
            (
                https,
                "",
                r#","as-groups":["system:masters"]"#,
                "impersonation",
            ),
        ] {
            let text = refusal(server, cluster, user).await.unwrap();
            assert!(text.contains(expected), "{text}");
            assert!(text.starts_with("cannot use kubeconfig `"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_context_is_chosen_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        let text = r#"{"apiVersion":"v1","kind":"Config","current-context":"x",
            "clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}},
                        {"name":"d","cluster":{"server":"https://127.0.0.1:2"}}],
            "users":[{"name":"u","user":{"token":"t"}}],
            "contexts":[{"name":"x","context":{"cluster":"c","user":"u"}},
                        {"name":"y","context":{"cluster":"d","user":"u"}}]}"#;
        std::fs::write(&path, text).unwrap();
        assert!(
            client(&path, None).await.is_err(),
            "the current one is plain http"
        );
        assert!(client(&path, Some("y")).await.is_ok());
        assert!(client(&path, Some("z")).await.is_err(), "there is none");
    }

    #[tokio::test]
    async fn a_missing_kubeconfig_is_named() {
        let text = client(Path::new("/nonexistent/kubeconfig"), None)
            .await
            .err()
            .unwrap()
            .chain();
        assert!(
            text.starts_with("cannot use kubeconfig `/nonexistent/kubeconfig`"),
            "{text}"
        );
    }
}
