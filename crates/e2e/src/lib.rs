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
mod own_gateway;
mod rights;
mod trials;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use crate::bed::Bed;

/// What a trial is: it says what went wrong by its error.
type Check = fn(&Bed) -> anyhow::Result<()>;

/// Runs the trials that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        let lazy = Arc::new(None);
        let all = [trials::calm(&lazy), trials::disruptive(&lazy)].concat_trials();
        return libtest_mimic::run(&arguments, all).exit_code();
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
    let failed = has_failed(&calm) || has_failed(&disruptive);
    let down = match bed.as_ref() {
        Some(bed) => bed.down(failed),
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

fn has_failed(conclusion: &Conclusion) -> bool {
    conclusion.num_failed > 0
}

trait ConcatTrials {
    fn concat_trials(self) -> Vec<Trial>;
}

impl ConcatTrials for [Vec<Trial>; 2] {
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
