//! `bulkhead explain`: what a control stops, and how to mend what it refuses.

use std::process::ExitCode;

use bulkhead_controls::{Language, REGISTRY, by_name, explain};
use clap::{Args, ValueEnum};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The control, as a refusal names it; every control in one list if left out.
    control: Option<String>,
    /// The language of the page.
    #[arg(long, value_enum, default_value_t)]
    lang: Lang,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Lang {
    /// English.
    #[default]
    En,
    /// 中文.
    Zh,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::En => Self::English,
            Lang::Zh => Self::Chinese,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Some(name) = &arguments.control else {
        let width = REGISTRY
            .iter()
            .map(|control| control.name.len())
            .max()
            .unwrap_or(0);
        for control in REGISTRY {
            anstream::println!(
                "{:<width$}  {:<8}  {}",
                control.name,
                control.severity,
                control.why
            );
        }
        return Ok(ExitCode::SUCCESS);
    };
    let control = by_name(name).ok_or_else(|| {
        anyhow::anyhow!("there is no control `{name}`: `bulkhead explain` lists them all")
    })?;
    anstream::print!("{}", explain(control, arguments.lang.into()));
    Ok(ExitCode::SUCCESS)
}
