//! `bulkhead.toml`: what a repository is held to, found from the current directory upwards.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use bulkhead_check::Settings;
use bulkhead_controls::{Carriers, PodTemplate};
use bulkhead_model::Profile;
use serde::Deserialize;

use super::Arguments;

const NAME: &str = "bulkhead.toml";

/// The configuration, and where it is from.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// What its paths and globs start from.
    pub(super) root: PathBuf,
    check: Check,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    check: Check,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Check {
    profile: Option<Profile>,
    tenant: Option<PathBuf>,
    select: Vec<String>,
    ignore: Vec<String>,
    exclude: Vec<String>,
    as_admitted: bool,
    /// Kinds that hold pod templates.
    pod_templates: Vec<String>,
}

impl Config {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
        let file: File = toml::from_str(&text).map_err(|error| anyhow!("`{shown}`: {error}"))?;
        let root = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self {
            root: std::path::absolute(root).with_context(|| format!("cannot find `{shown}`"))?,
            check: file.check,
        })
    }

    /// Reads the nearest one upwards; the default if there is none.
    pub(super) fn find(from: &Path) -> Result<Self> {
        match from
            .ancestors()
            .map(|folder| folder.join(NAME))
            .find(|path| path.is_file())
        {
            Some(path) => Self::read(&path),
            None => Ok(Self {
                root: from.to_owned(),
                ..Self::default()
            }),
        }
    }

    /// Globs, in the form of `.gitignore`, of what is not looked for.
    pub(super) fn exclude(&self) -> &[String] {
        &self.check.exclude
    }

    /// Kubernetes' own kinds, and those of the configuration and of flags.
    fn carriers(&self, arguments: &Arguments) -> Result<Carriers> {
        let named = self.check.pod_templates.iter().map(|text| text.parse());
        let named: Vec<PodTemplate> = named
            .collect::<Result<_, _>>()
            .context("`pod-templates` of the configuration")?;
        let all = named
            .into_iter()
            .chain(arguments.kinds.pod_templates.iter().cloned());
        Carriers::with(all).context("the kinds with pod templates")
    }

    /// What the files are held to: flags before the configuration.
    pub(super) fn settings(&self, arguments: &Arguments) -> Result<Settings> {
        let from_config = self
            .check
            .tenant
            .as_ref()
            .filter(|_| arguments.profile.is_none());
        let from_config = from_config.map(|path| self.root.join(path));
        let mut settings = match arguments.tenant.as_ref().or(from_config.as_ref()) {
            Some(path) => {
                let shown = path.display();
                let text =
                    fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
                Settings::of_tenant(&text).with_context(|| format!("`{shown}`"))?
            }
            None => {
                let profile = arguments.profile.or(self.check.profile).unwrap_or_default();
                Settings::of_profile(profile)
                    .ok_or_else(|| anyhow!("there are no rules for the profile `{profile}`"))?
            }
        };
        settings.carriers = self.carriers(arguments)?;
        settings.as_admitted = arguments.as_admitted || self.check.as_admitted;
        let select = if arguments.select.is_empty() {
            &self.check.select
        } else {
            &arguments.select
        };
        let ignore = [self.check.ignore.as_slice(), &arguments.ignore].concat();
        Ok(settings.choose(select.clone(), ignore)?)
    }
}
