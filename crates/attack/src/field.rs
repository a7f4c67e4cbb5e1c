//! Where the attacks take place: two tenants of one sandbox, and the doors to it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::credential::{self, Account, Credential};
use crate::kubeconfig::{Kubeconfig, KubeconfigError};
use crate::wire::{Client, Request, Response, WireError};

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// Bulkhead's gateway.
    Gateway,
    /// The API server itself.
    ApiServer,
}

/// A tenant and one of its namespaces.
#[derive(Debug, Clone)]
pub struct Side {
    /// The tenant.
    pub tenant: String,
    /// The UID of its Tenant object.
    pub uid: String,
    /// The first of its namespaces.
    pub namespace: String,
    /// The namespace, as it was when the field was prepared.
    pub object: Value,
}

/// Why the field could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// A kubeconfig of the sandbox.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// A folder of the sandbox.
    #[error("cannot list `{path}`; is a sandbox running there?")]
    List {
        /// Which folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There are not two tenants.
    #[error("`{path}` holds {found} kubeconfigs, the attacks need two tenants")]
    Tenants {
        /// Which folder.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// A tenant without namespace.
    #[error("tenant `{0}` has no namespace")]
    NoNamespace(String),
    /// The administrator's request got no answer.
    #[error("cannot {what}")]
    Wire {
        /// What was to be done.
        what: String,
        /// What went wrong.
        source: WireError,
    },
    /// The administrator's request was refused.
    #[error("cannot {what}: {status} {message}")]
    Refused {
        /// What was to be done.
        what: String,
        /// The status code.
        status: u16,
        /// The API server's words.
        message: String,
    },
    /// Something did not come about in time.
    #[error("cannot {0} in time")]
    Late(String),
    /// A credential could not be made.
    #[error("cannot make the credential {credential}: {reason}")]
    Credential {
        /// Which one.
        credential: String,
        /// Why not.
        reason: String,
    },
}

/// Two tenants of one sandbox, the doors to it, and the credentials that attackers have.
pub struct Field {
    /// Who attacks.
    pub attacker: Side,
    /// Whom.
    pub victim: Side,
    /// A text that stands in the victim's objects: an answer that holds it is a leak.
    pub canary: String,
    pub(crate) admin: Client,
    pub(crate) tokens: HashMap<Credential, String>,
    api: Kubeconfig,
    gateway: Kubeconfig,
    authority_key: PathBuf,
    clients: Mutex<HashMap<(Door, Credential), Client>>,
}

impl Field {
    /// Opens a sandbox's directory: the first two of its tenants, in alphabetical order. Puts the
    /// attacker's accounts and the victim's objects there, all named `attack-…`, as
    /// [`Self::clean`] takes away.
    ///
    /// # Errors
    /// If the directory is no running sandbox's, or the API server refuses the administrator.
    pub async fn prepare(dir: &Path) -> Result<Self, FieldError> {
        let folder = dir.join("tenants");
        let mut kubeconfigs: Vec<PathBuf> = std::fs::read_dir(&folder)
            .map_err(|source| FieldError::List {
                path: folder.clone(),
                source,
            })?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "kubeconfig"))
            .collect();
        kubeconfigs.sort();
        let [attacker, victim, ..] = kubeconfigs.as_slice() else {
            return Err(FieldError::Tenants {
                path: folder,
                found: kubeconfigs.len(),
            });
        };
        let tenant = |path: &Path| {
            path.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let api = Kubeconfig::read(&dir.join("admin.kubeconfig"))?;
        let admin = api.client().map_err(KubeconfigError::from)?;
        let mut field = Self {
            attacker: side(&admin, tenant(attacker)).await?,
            victim: side(&admin, tenant(victim)).await?,
            canary: format!("canary-{}-{:p}", std::process::id(), &admin),
            admin,
            tokens: HashMap::new(),
            api,
            gateway: Kubeconfig::read(attacker)?,
            // The sandbox keeps its keys: only an authority can make a certificate that has expired.
            authority_key: dir.join("pki/gateway-clients-ca.key"),
            clients: Mutex::default(),
        };
        crate::setup::prepare(&mut field).await?;
        Ok(field)
    }

    /// Takes away everything that [`Self::prepare`] has put there.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn clean(&self) -> Result<(), FieldError> {
        crate::setup::clean(self).await
    }

    /// A client for this door with this credential.
    ///
    /// # Errors
    /// If the credential cannot be made.
    pub fn client(&self, door: Door, credential: &Credential) -> Result<Client, FieldError> {
        let key = (door, credential.clone());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.new_client(door, credential)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn new_client(&self, door: Door, credential: &Credential) -> Result<Client, FieldError> {
        let bad = |reason: String| FieldError::Credential {
            credential: format!("{credential:?}"),
            reason,
        };
        let wire = |error: WireError| bad(error.to_string());
        let server = match door {
            Door::Gateway => &self.gateway,
            Door::ApiServer => &self.api,
        };
        let anonymous = || Client::new(server.server.clone(), None).map_err(wire);
        match credential {
            Credential::None => anonymous(),
            Credential::Tenant => self.gateway.client_at(server).map_err(wire),
            Credential::Administrator => self.api.client_at(server).map_err(wire),
            Credential::Token(token) => Ok(anonymous()?.with_token(token)),
            Credential::Forged(forged) => {
                let person = format!("{}-admin", self.attacker.tenant);
                credential::forge(
                    *forged,
                    server.server.clone(),
                    &person,
                    &self.gateway.issuer(),
                    &self.authority_key,
                )
                .map_err(|error| bad(error.to_string()))
            }
            minted => {
                let token = self
                    .tokens
                    .get(minted)
                    .ok_or_else(|| bad("it was not prepared".into()))?;
                Ok(anonymous()?.with_token(token))
            }
        }
    }

    /// A request of the administrator's, at the API server.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn as_admin(&self, request: &Request) -> Result<Response, WireError> {
        self.admin.send_again(request).await
    }

    /// Puts the names of this field in place of `{attacker}`, `{victim}`, `{own}` and `{theirs}`.
    #[must_use]
    pub fn fill(&self, template: &str) -> String {
        template
            .replace("{attacker}", &self.attacker.tenant)
            .replace("{victim}", &self.victim.tenant)
            .replace("{own}", &self.attacker.namespace)
            .replace("{theirs}", &self.victim.namespace)
    }

    /// The user name of an account of the attacker's, as the API server knows it.
    #[must_use]
    pub fn user(&self, account: Account) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.attacker.namespace,
            account.name()
        )
    }
}

async fn side(admin: &Client, tenant: String) -> Result<Side, FieldError> {
    let label = bulkhead_model::labels::TENANT;
    let what = format!("list the namespaces of tenant `{tenant}`");
    let target = format!("/api/v1/namespaces?labelSelector={label}%3D{tenant}");
    let list = crate::setup::expect(admin, what, &Request::get(target)).await?;
    let object = list
        .pointer("/items/0")
        .ok_or_else(|| FieldError::NoNamespace(tenant.clone()))?;
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(Side {
        uid: text("/metadata/labels/bulkhead.dev~1tenant-uid"),
        namespace: text("/metadata/name"),
        object: object.clone(),
        tenant,
    })
}
