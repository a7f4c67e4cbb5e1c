//! The directory of a sandbox: what lies where, whether a folder may be used, and its removal.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use crate::real_nodes::EGRESS;
use crate::state::{self, State};

/// What lies where. Everything that a sandbox writes is below its root, but for the cache of the
/// control plane's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

/// A directory that is ours alone while this value, or a process that inherited the lock, lives.
#[derive(Debug)]
pub struct Claim {
    lock: File,
    /// Whether the remains of an earlier sandbox were removed.
    pub was_stale: bool,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// A sandbox runs there, or is being brought up or taken down.
    #[error("a sandbox is already running in `{}`", .0.display())]
    Running(PathBuf),
    /// There is something in it that no sandbox made.
    #[error(
        "`{}` holds `{entry}` and is no sandbox: choose an empty or new directory with --dir", .dir.display()
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One thing that is in it.
        entry: String,
    },
    /// The path leads to something else.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// No default directory: no home.
    #[error(
        "cannot tell where the state folder is (neither XDG_STATE_HOME nor HOME is set): use --dir"
    )]
    NoStateFolder,
    /// Reading or writing failed.
    #[error("cannot use `{}`", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

const STATE: &str = "sandbox.json";
const STATE_NEW: &str = "sandbox.json.new";
const LOCK: &str = "lock";
const SOCKET: &str = "control.sock";
const ADMIN: &str = "admin.kubeconfig";
const AUDIT: &str = "audit.log";
const FOLDERS: [&str; 6] = ["logs", "pki", "config", "tenants", "identities", "etcd"];

impl Layout {
    /// The sandbox in this directory, which need not exist.
    ///
    /// # Errors
    /// If the working directory, which a relative path starts from, is gone.
    pub fn new(root: &Path) -> Result<Self, DirError> {
        Ok(Self {
            root: std::path::absolute(root).map_err(io_error(root))?,
        })
    }

    /// The sandbox in the user's state folder.
    ///
    /// # Errors
    /// If there is no home directory.
    pub fn in_state_folder() -> Result<Self, DirError> {
        use etcetera::BaseStrategy as _;
        let folders = etcetera::base_strategy::Xdg::new().map_err(|_| DirError::NoStateFolder)?;
        let state = folders.state_dir().ok_or(DirError::NoStateFolder)?;
        Self::new(&state.join("bulkhead").join("sandbox"))
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The kubeconfig of the cluster's administrator, straight to the API server.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join(ADMIN)
    }

    /// The kubeconfig of a tenant's administrator, through the gateway.
    #[must_use]
    pub fn tenant_kubeconfig(&self, tenant: &str) -> PathBuf {
        self.root
            .join("tenants")
            .join(format!("{tenant}.kubeconfig"))
    }

    /// The kubeconfig of a process of Bulkhead's, or of any other identity of the cluster.
    #[must_use]
    pub fn identity_kubeconfig(&self, identity: &str) -> PathBuf {
        self.root
            .join("identities")
            .join(format!("{identity}.kubeconfig"))
    }

    /// What a process writes to its standard output and error.
    #[must_use]
    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join("logs").join(format!("{process}.log"))
    }

    /// The API server's audit log.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.root.join(AUDIT)
    }

    /// Keys and certificates.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// A configuration file of the control plane.
    #[must_use]
    pub fn config(&self, file: &str) -> PathBuf {
        self.root.join("config").join(file)
    }

    /// etcd's data.
    #[must_use]
    pub fn etcd_data(&self) -> PathBuf {
        self.root.join("etcd")
    }

    /// The supervisor's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join(SOCKET)
    }

    /// What is known of the sandbox, if there is one.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn state(&self) -> Result<Option<State>, DirError> {
        let path = self.root.join(STATE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<state::File>(&bytes)
                .map(|file| Some(file.state))
                .map_err(|error| {
                    io_error(&path)(io::Error::new(io::ErrorKind::InvalidData, error))
                }),
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(io_error(&path)(error)),
        }
    }

    /// Writes down what is known of the sandbox, in one step.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_state(&self, state: &State) -> Result<(), DirError> {
        let (path, new) = (self.root.join(STATE), self.root.join(STATE_NEW));
        let text = serde_json::to_string_pretty(&state::File::of(state))
            .map_err(|error| io_error(&path)(error.into()))?;
        write_private(&new, format!("{text}\n").as_bytes()).map_err(io_error(&new))?;
        fs::rename(&new, &path).map_err(io_error(&path))
    }

    /// Whether a sandbox runs here (or is just being made or removed).
    ///
    /// # Errors
    /// If the lock cannot be tried.
    pub fn is_running(&self) -> Result<bool, DirError> {
        let path = self.root.join(LOCK);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if absent(&error) => return Ok(false),
            Err(error) => return Err(io_error(&path)(error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(io_error(&path)(error)),
        }
    }

    /// Removes what a sandbox made, and the directory if nothing else is in it. Returns what else
    /// is in it.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn remove(&self, claim: Claim) -> Result<Vec<PathBuf>, DirError> {
        self.remove_contents()?;
        // The lock last, and while it is held: who waits for it sees that it is no longer there.
        remove_file(&self.root.join(LOCK))?;
        drop(claim);
        let left = entries(&self.root)?;
        if left.is_empty() {
            match fs::remove_dir(&self.root) {
                Err(error) if !absent(&error) => return Err(io_error(&self.root)(error)),
                _ => {}
            }
        }
        Ok(left
            .into_iter()
            .map(|entry| self.root.join(entry))
            .collect())
    }

    /// Empties the store, for another try.
    ///
    /// # Errors
    /// If its folder cannot be removed or made.
    pub fn empty_store(&self) -> Result<(), DirError> {
        let path = self.etcd_data();
        fs::remove_dir_all(&path).map_err(io_error(&path))?;
        make_folder(&path)
    }

    fn remove_contents(&self) -> Result<(), DirError> {
        // What real nodes have left outside of the directory, before it is forgotten.
        let config = self.root.join("config");
        crate::real_nodes::sweep(&config).map_err(io_error(&config))?;
        for folder in FOLDERS {
            let path = self.root.join(folder);
            match fs::remove_dir_all(&path) {
                Err(error) if !absent(&error) => return Err(io_error(&path)(error)),
                _ => {}
            }
        }
        // The state last: without it the rest would count as foreign.
        let audit = |entry: &String| entry.starts_with("audit") && entry.ends_with(".log");
        let rotated = entries(&self.root)?.into_iter().filter(audit);
        for file in rotated.chain([SOCKET, EGRESS, ADMIN, STATE_NEW, STATE].map(str::to_owned)) {
            remove_file(&self.root.join(file))?;
        }
        Ok(())
    }
}

/// Takes a directory for a new sandbox: makes it if need be, locks it, removes the remains of an
/// earlier sandbox whose supervisor is dead, and makes the folders.
///
/// # Errors
/// If a sandbox runs there or the directory holds something that no sandbox made; nothing was
/// touched then. If reading or writing fails.
pub fn claim(layout: &Layout) -> Result<Claim, DirError> {
    refuse_foreign(layout)?;
    let root = layout.root();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(io_error(root))?;
    let mut claim = lock(layout)?;
    // Again, now that nobody else can make or remove a sandbox here.
    refuse_foreign(layout)?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o700)).map_err(io_error(root))?;
    claim.was_stale = root.join(STATE).exists();
    if claim.was_stale {
        layout.remove_contents()?;
    }
    layout.write_state(&State::default())?;
    for folder in FOLDERS {
        make_folder(&root.join(folder))?;
    }
    Ok(claim)
}

/// Takes the directory of a sandbox whose supervisor is gone, to remove it.
///
/// # Errors
/// If the supervisor is not gone, the directory is no sandbox's, or reading fails.
pub fn claim_remains(layout: &Layout) -> Result<Claim, DirError> {
    refuse_foreign(layout)?;
    lock(layout)
}

impl Claim {
    /// The lock, to be handed to the supervisor: it is held as long as any process has it open.
    ///
    /// # Errors
    /// If the process has too many files open.
    pub fn inherit(&self) -> io::Result<File> {
        self.lock.try_clone()
    }
}

/// Writes a file that only the user can read.
///
/// # Errors
/// If the file cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

fn make_folder(path: &Path) -> Result<(), DirError> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(io_error(path))
}

fn lock(layout: &Layout) -> Result<Claim, DirError> {
    let path = layout.root().join(LOCK);
    loop {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DirError::Running(layout.root().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(io_error(&path)(error)),
        }
        // A sandbox that was just removed took its lock's name with it: then this is nobody's lock.
        let ours = file.metadata().map_err(io_error(&path))?.ino();
        if fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
            return Ok(Claim {
                lock: file,
                was_stale: false,
            });
        }
    }
}

fn refuse_foreign(layout: &Layout) -> Result<(), DirError> {
    let root = layout.root();
    match fs::metadata(root) {
        Ok(meta) if !meta.is_dir() => return Err(DirError::NotADirectory(root.to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(root)(error)),
    }
    let entries = entries(root)?;
    let ours = entries
        .iter()
        .any(|entry| entry == STATE || entry == STATE_NEW)
        && layout.state().is_ok();
    match entries.into_iter().find(|entry| entry != LOCK) {
        Some(entry) if !ours => Err(DirError::Foreign {
            dir: root.to_owned(),
            entry,
        }),
        _ => Ok(()),
    }
}

/// The names in a directory, sorted.
fn entries(dir: &Path) -> Result<Vec<String>, DirError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error(dir))? {
        names.push(
            entry
                .map_err(io_error(dir))?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

fn remove_file(path: &Path) -> Result<(), DirError> {
    match fs::remove_file(path) {
        Err(error) if !absent(&error) => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DirError + use<> {
    let path = path.to_owned();
    move |source| DirError::Io { path, source }
}

#[cfg(test)]
mod tests;
