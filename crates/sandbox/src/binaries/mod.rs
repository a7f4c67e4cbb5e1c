//! Where the control plane's programs come from: a folder that the user names, the folder of
//! `KUBEBUILDER_ASSETS`, the cache, or a build of the sources that this binary carries.

mod build;
mod sources;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::version::VersionError;
use sources::Set;

/// The environment variable that other Kubernetes test tools use for the same purpose.
pub const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// One program of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers of Deployments, namespaces, ServiceAccounts, …
    ControllerManager,
    /// Binds pods to nodes.
    Scheduler,
    /// Plays the kubelet of simulated nodes.
    Kwok,
    /// For people and tests; the sandbox itself runs without it.
    Kubectl,
}

impl Program {
    /// Every program.
    pub const ALL: [Self; 6] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kwok,
        Self::Kubectl,
    ];

    /// The file's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
            Self::Kubectl => "kubectl",
        }
    }

    /// Whether there is no sandbox without it.
    fn needed(self) -> bool {
        self != Self::Kubectl
    }
}

/// A program that only real nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeProgram {
    /// The node's own agent.
    Kubelet,
    /// All that is in the images.
    Probe,
    /// Runs containers.
    Containerd,
    /// Stays with each pod.
    Shim,
    /// Imports images.
    Ctr,
}

impl NodeProgram {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Kubelet,
        Self::Probe,
        Self::Containerd,
        Self::Shim,
        Self::Ctr,
    ];

    /// The file's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Probe => "probe",
            Self::Containerd => "containerd",
            Self::Shim => "containerd-shim-runc-v2",
            Self::Ctr => "ctr",
        }
    }
}

/// A folder that holds every program of a real node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeBinaries {
    dir: PathBuf,
}

impl NodeBinaries {
    /// A program's file.
    #[must_use]
    pub fn path(&self, program: NodeProgram) -> PathBuf {
        self.dir.join(program.name())
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Which of the ways led to the programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `--kubernetes-bin`.
    Flag,
    /// [`ASSETS_VARIABLE`].
    Environment,
    /// An earlier build.
    Cache,
    /// Built just now, in this time.
    Built(Duration),
}

/// A folder that holds every program that the sandbox needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    source: Source,
}

/// Why there are no programs to run.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// The folder that the user named is not complete.
    #[error("`--kubernetes-bin {}` lacks {}", .dir.display(), list(.missing))]
    Incomplete {
        /// The folder.
        dir: PathBuf,
        /// What is not there, or is no executable file.
        missing: Vec<&'static str>,
    },
    /// No folder, no cache, and no `go` to build with.
    #[error(
        "no Kubernetes programs found, and `go` is not there to build them. One of these helps:\n\
         \x20 1. --kubernetes-bin DIR, a folder with {all}\n\
         \x20 2. {ASSETS_VARIABLE}=DIR, the same as an environment variable{}\n\
         \x20 3. Go on the PATH (https://go.dev/dl), to build them once into `{}`",
        note(.incomplete_assets), .cache.display(), all = list(&names())
    )]
    NoWay {
        /// What the folder of [`ASSETS_VARIABLE`] lacks, if it is set.
        incomplete_assets: Option<Vec<&'static str>>,
        /// Where the build would go.
        cache: PathBuf,
    },
    /// No `go` to build what real nodes run.
    #[error(
        "`--real-nodes` needs a kubelet and containerd, and `go` is not there to build them into `{}`: put Go on the PATH (https://go.dev/dl)", .cache.display()
    )]
    NoGo {
        /// Where the build would go.
        cache: PathBuf,
    },
    /// `go build` failed.
    #[error("`go build` failed (all of its output: `{}`):\n{tail}", .log.display())]
    Build {
        /// All that it said.
        log: PathBuf,
        /// The end of that.
        tail: String,
    },
    /// The sources name no version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// No cache folder: no home directory.
    #[error("cannot tell where the cache folder is: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheFolder,
    /// The cache cannot be read or written.
    #[error("cannot use `{}`", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What there is to say while programs are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The folder of [`ASSETS_VARIABLE`] was passed over.
    AssetsIncomplete {
        /// The folder.
        dir: PathBuf,
        /// What it lacks.
        missing: Vec<&'static str>,
    },
    /// Another process builds, or we do, for this long so far.
    Building(Duration),
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Search {
    /// `--kubernetes-bin`: if given, it is this or nothing.
    pub flag: Option<PathBuf>,
    /// The value of [`ASSETS_VARIABLE`].
    pub assets: Option<PathBuf>,
    /// The cache folder of all of Bulkhead; none if there is no home directory.
    pub cache: Option<PathBuf>,
    /// The Go command, `go` unless a test says otherwise.
    pub go: PathBuf,
}

impl Search {
    /// Looks where the environment says.
    #[must_use]
    pub fn from_environment(flag: Option<PathBuf>) -> Self {
        use etcetera::BaseStrategy as _;
        let folders = etcetera::base_strategy::Xdg::new().ok();
        let assets = std::env::var_os(ASSETS_VARIABLE).filter(|value| !value.is_empty());
        Self {
            flag,
            assets: assets.map(PathBuf::from),
            cache: folders.map(|folders| folders.cache_dir().join("bulkhead")),
            go: PathBuf::from("go"),
        }
    }

    /// Finds the programs, or builds them, which takes minutes the first time. Two that build at
    /// once wait for each other.
    ///
    /// # Errors
    /// If the folder of the flag is not complete, or nothing is found and the build fails.
    pub fn find(&self, progress: &mut dyn FnMut(Progress)) -> Result<Binaries, BinariesError> {
        if let Some(dir) = &self.flag {
            let missing = missing(dir);
            if !missing.is_empty() {
                return Err(BinariesError::Incomplete {
                    dir: dir.clone(),
                    missing,
                });
            }
            return Ok(Binaries {
                dir: absolute(dir)?,
                source: Source::Flag,
            });
        }
        let mut incomplete_assets = None;
        if let Some(dir) = &self.assets {
            let missing = missing(dir);
            if missing.is_empty() {
                return Ok(Binaries {
                    dir: absolute(dir)?,
                    source: Source::Environment,
                });
            }
            progress(Progress::AssetsIncomplete {
                dir: dir.clone(),
                missing: missing.clone(),
            });
            incomplete_assets = Some(missing);
        }
        let cache = self.cache.as_ref().ok_or(BinariesError::NoCacheFolder)?;
        let dir = cache.join("control-plane").join(Set::ControlPlane.key()?);
        if missing(&dir).is_empty() {
            return Ok(Binaries {
                dir,
                source: Source::Cache,
            });
        }
        let source = build::build(
            Set::ControlPlane,
            &self.go,
            &dir,
            incomplete_assets,
            progress,
        )?;
        Ok(Binaries { dir, source })
    }

    /// Finds what real nodes run, or builds it. It comes from the cache or a build alone: a folder
    /// of Kubernetes' programs holds no probe.
    ///
    /// # Errors
    /// If it is not there and the build fails.
    pub fn find_node(
        &self,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<NodeBinaries, BinariesError> {
        let cache = self.cache.as_ref().ok_or(BinariesError::NoCacheFolder)?;
        let dir = cache.join("real-nodes").join(Set::Node.key()?);
        if !missing_of(&Set::Node.programs(), &dir).is_empty() {
            build::build(Set::Node, &self.go, &dir, None, progress).map_err(
                |error| match error {
                    BinariesError::NoWay { cache, .. } => BinariesError::NoGo { cache },
                    other => other,
                },
            )?;
        }
        Ok(NodeBinaries { dir })
    }
}

impl Binaries {
    /// A program's file.
    #[must_use]
    pub fn path(&self, program: Program) -> PathBuf {
        self.dir.join(program.name())
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where they came from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from --kubernetes-bin"),
            Self::Environment => write!(f, "from {ASSETS_VARIABLE}"),
            Self::Cache => f.write_str("from the cache"),
            Self::Built(took) => write!(f, "built in {} s", took.as_secs()),
        }
    }
}

fn absolute(dir: &Path) -> Result<PathBuf, BinariesError> {
    std::path::absolute(dir).map_err(|source| BinariesError::Io {
        path: dir.to_owned(),
        source,
    })
}

/// The needed programs that are not executable files in a folder.
fn missing(dir: &Path) -> Vec<&'static str> {
    missing_of(&names(), dir)
}

fn missing_of(programs: &[&'static str], dir: &Path) -> Vec<&'static str> {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = |program: &str| {
        std::fs::metadata(dir.join(program))
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let programs = programs.iter().copied();
    programs.filter(|name| !executable(name)).collect()
}

fn names() -> Vec<&'static str> {
    Program::ALL
        .into_iter()
        .filter(|p| p.needed())
        .map(Program::name)
        .collect()
}

/// `a`, `b` and `c`.
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [init @ .., last] => {
            let init: Vec<_> = init.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", init.join(", "))
        }
    }
}

fn note(incomplete_assets: &Option<Vec<&'static str>>) -> String {
    match incomplete_assets {
        Some(missing) => format!(" (it is set, but its folder lacks {})", list(missing)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
