//! Kubeconfig files that hold all that they need, so that they can be copied elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// What a kubeconfig says.
#[derive(Debug, Clone)]
pub struct Kubeconfig<'a> {
    /// Name of the cluster and the context.
    pub cluster: &'a str,
    /// `https://127.0.0.1:PORT`.
    pub server: &'a str,
    /// The authority that vouches for the server, as PEM.
    pub authority: &'a str,
    /// Name of the user, for people.
    pub user: &'a str,
    /// What shows who it is.
    pub credential: Credential<'a>,
    /// The namespace that commands without `-n` work in.
    pub namespace: Option<&'a str>,
}

/// What shows who a user is.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A client certificate and its key, as PEM.
    Certificate {
        /// The certificate.
        certificate: &'a str,
        /// Its key.
        key: &'a str,
    },
    /// A bearer token.
    Token(&'a str),
}

impl std::fmt::Debug for Credential<'_> {
    /// Keys and tokens do not belong into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Certificate { .. } => "Certificate",
            Self::Token(_) => "Token",
        })
    }
}

impl Kubeconfig<'_> {
    /// The file's text.
    ///
    /// # Errors
    /// Never for the values that this type can hold.
    pub fn to_yaml(&self) -> Result<String, serde_norway::Error> {
        let user = match self.credential {
            Credential::Certificate { certificate, key } => json!({
                "client-certificate-data": STANDARD.encode(certificate),
                "client-key-data": STANDARD.encode(key),
            }),
            Credential::Token(token) => json!({ "token": token }),
        };
        let mut context = json!({ "cluster": self.cluster, "user": self.user });
        if let (Some(namespace), Some(context)) = (self.namespace, context.as_object_mut()) {
            context.insert("namespace".into(), namespace.into());
        }
        serde_norway::to_string(&json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": self.cluster, "cluster": {
                "server": self.server,
                "certificate-authority-data": STANDARD.encode(self.authority),
            }}],
            "users": [{ "name": self.user, "user": user }],
            "contexts": [{ "name": self.cluster, "context": context }],
            "current-context": self.cluster,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_kubeconfig_names_its_namespace() {
        let config = Kubeconfig {
            cluster: "bulkhead",
            server: "https://127.0.0.1:8443",
            authority: "CA",
            user: "acme-admin",
            credential: Credential::Certificate {
                certificate: "CERT",
                key: "KEY",
            },
            namespace: Some("acme-app"),
        };
        insta::assert_snapshot!(config.to_yaml().unwrap(), @r"
        apiVersion: v1
        clusters:
        - cluster:
            certificate-authority-data: Q0E=
            server: https://127.0.0.1:8443
          name: bulkhead
        contexts:
        - context:
            cluster: bulkhead
            namespace: acme-app
            user: acme-admin
          name: bulkhead
        current-context: bulkhead
        kind: Config
        users:
        - name: acme-admin
          user:
            client-certificate-data: Q0VSVA==
            client-key-data: S0VZ
        ");
        assert!(!format!("{config:?}").contains("KEY"));
    }

    #[test]
    fn an_identitys_kubeconfig_holds_a_token() {
        let config = Kubeconfig {
            cluster: "sandbox",
            server: "https://127.0.0.1:6443",
            authority: "CA",
            user: "webhook",
            credential: Credential::Token("a.b.c"),
            namespace: None,
        };
        insta::assert_snapshot!(config.to_yaml().unwrap(), @r"
        apiVersion: v1
        clusters:
        - cluster:
            certificate-authority-data: Q0E=
            server: https://127.0.0.1:6443
          name: sandbox
        contexts:
        - context:
            cluster: sandbox
            user: webhook
          name: sandbox
        current-context: sandbox
        kind: Config
        users:
        - name: webhook
          user:
            token: a.b.c
        ");
        assert!(!format!("{config:?}").contains("a.b.c"));
    }
}
