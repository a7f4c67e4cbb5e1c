//! End-to-end tests: a real sandbox is brought up by the real binary, everything is tried on it, and
//! it is taken down.
//!
//! `BULKHEAD_BIN` names the binary (else it is built), `BULKHEAD_E2E_EMULATE` an older Kubernetes to
//! behave like. Trials that stop processes run last and one by one.

mod audit;
mod bed;
mod client;
mod guest;
mod issuer;
mod kubectl;
mod kubelet;
mod lab;
mod own_gateway;
mod rights;
mod trials;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use crate::bed::Bed;
use crate::lab::LazyLab;

/// What a trial is: it says what went wrong by its error.
type Check = fn(&Bed) -> anyhow::Result<()>;

/// Runs the trials that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        let lazy = Arc::new(None);
        let all = [
            trials::calm(&lazy),
            trials::disruptive(&lazy),
            trials::real(&LazyLab::default(), false),
        ]
        .concat_trials();
        return libtest_mimic::run(&arguments, all).exit_code();
    }
    let real = real_nodes(&arguments);
    // Whoever names trials of real nodes alone does not wait for the other sandbox.
    let only_real = arguments
        .filter
        .as_deref()
        .is_some_and(|filter| filter.starts_with("real::"));
    if only_real {
        return exit_code(real);
    }
    let bed = match Bed::up() {
        Ok(bed) => Arc::new(Some(bed)),
        Err(error) => {
            eprintln!("cannot bring up the sandbox: {error:?}");
            return ExitCode::FAILURE;
        }
    };
    Bed::take_down_on_interrupt(&bed);
    let calm = libtest_mimic::run(&arguments, trials::calm(&bed));
    arguments.test_threads = Some(1);
    let disruptive = libtest_mimic::run(&arguments, trials::disruptive(&bed));
    let bed_failed = has_failed(&calm) || has_failed(&disruptive);
    let failed = bed_failed || !real;
    let down = match bed.as_ref() {
        Some(bed) => bed.down(bed_failed),
        None => Ok(()),
    };
    match down {
        Ok(()) if !failed => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot take the sandbox down: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the trials of real nodes, on a sandbox of their own that is gone afterwards. Whether all went
/// well.
fn real_nodes(arguments: &Arguments) -> bool {
    let excuse = if bed::emulated().is_some() {
        // A kubelet is never newer than its API server.
        Ok(Some(
            "real nodes are tried at the newest version".to_owned(),
        ))
    } else {
        lab::excuse()
    };
    let excuse = match excuse {
        Ok(excuse) => excuse,
        Err(error) => {
            eprintln!("{error:#}");
            return false;
        }
    };
    if let Some(why) = &excuse {
        eprintln!("not tried: {why}");
    }
    let lab = LazyLab::default();
    let mut one_by_one = arguments.clone();
    one_by_one.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&one_by_one, trials::real(&lab, excuse.is_some()));
    let down = lab
        .if_up()
        .map_or(Ok(()), |lab| lab.down(has_failed(&conclusion)));
    if let Err(error) = &down {
        eprintln!("cannot take the sandbox with the real node down: {error:?}");
    }
    !has_failed(&conclusion) && down.is_ok()
}

fn exit_code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn has_failed(conclusion: &Conclusion) -> bool {
    conclusion.num_failed > 0
}

trait ConcatTrials {
    fn concat_trials(self) -> Vec<Trial>;
}

impl ConcatTrials for [Vec<Trial>; 3] {
    fn concat_trials(self) -> Vec<Trial> {
        self.into_iter().flatten().collect()
    }
}

/// A trial that runs on the bed.
fn trial(
    bed: &Arc<Option<Bed>>,
    name: &str,
    check: impl FnOnce(&Bed) -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    let bed = bed.clone();
    Trial::test(name, move || match bed.as_ref() {
        Some(bed) => check(bed).map_err(|error| Failed::from(format!("{error:#}"))),
        None => Err(Failed::from("there is no sandbox")),
    })
}
