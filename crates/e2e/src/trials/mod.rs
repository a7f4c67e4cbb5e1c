//! Every trial.

mod attacks;
mod bad_input;
mod bench;
mod clients;
mod day;
mod denials;
mod discovery;
mod doors;
mod dry_runs;
mod fairness;
mod faults;
mod floods;
mod gateway_limits;
mod gateway_people;
mod grants;
mod guests;
mod ids;
mod kinds;
mod leaders;
mod ledger;
mod life;
mod lists;
mod networks;
mod nodes;
mod outages;
mod pod_policies;
mod pod_policy_objects;
mod policies;
mod policy_objects;
mod quota;
mod quota_growth;
mod races;
mod readings;
mod real;
mod rego;
mod restart;
mod scope;
mod shared;
mod strays;
mod streams;
mod tenant_specs;
mod translated;
mod watches;
mod work;
mod work_kube;

pub(crate) use kinds::NAMED;

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};

use crate::bed::Bed;
use crate::lab::LazyLab;
use crate::{Check, trial};

/// Trials that leave everything running, in any order.
pub(crate) fn calm(bed: &Arc<Option<Bed>>) -> Vec<Trial> {
    let tables = [
        work::TRIALS,
        work_kube::TRIALS,
        denials::TRIALS,
        tenant_specs::TRIALS,
        bad_input::TRIALS,
        discovery::TRIALS,
        grants::TRIALS,
        guests::TRIALS,
        nodes::TRIALS,
        networks::TRIALS,
        ids::TRIALS,
        kinds::TRIALS,
        doors::TRIALS,
        ledger::TRIALS,
        lists::TRIALS,
        quota::TRIALS,
        quota_growth::TRIALS,
        clients::TRIALS,
        day::TRIALS,
        readings::TRIALS,
        scope::TRIALS,
        shared::TRIALS,
        strays::TRIALS,
        streams::TRIALS,
        watches::TRIALS,
        policies::TRIALS,
        translated::TRIALS,
        gateway_limits::TRIALS,
        floods::TRIALS,
        gateway_people::TRIALS,
    ];
    let mut all = attacks::trials(bed);
    all.extend(
        tables
            .into_iter()
            .flatten()
            .map(|(name, check)| make(bed, name, *check)),
    );
    all.extend(clients::compiled(|name, check| make(bed, name, check)));
    all
}

/// Trials that stop processes or take configurations away. One at a time.
pub(crate) fn disruptive(bed: &Arc<Option<Bed>>) -> Vec<Trial> {
    let tables = [
        outages::TRIALS,
        restart::TRIALS,
        leaders::TRIALS,
        life::TRIALS,
        faults::TRIALS,
        fairness::TRIALS,
        quota::DISRUPTIVE,
        pod_policies::DISRUPTIVE,
        rego::DISRUPTIVE,
        races::TRIALS,
        bench::trials(),
    ];
    tables
        .into_iter()
        .flatten()
        .map(|(name, check)| make(bed, name, *check))
        .collect()
}

/// Trials of a real node. Each in its turn.
pub(crate) fn real(lab: &LazyLab, ignored: bool) -> Vec<Trial> {
    let trial = |(name, check): &(&str, real::RealCheck)| {
        let (lab, check) = (lab.clone(), *check);
        Trial::test(*name, move || {
            let outcome = lab.get().and_then(check);
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        })
        .with_ignored_flag(ignored)
    };
    real::TRIALS.iter().map(trial).collect()
}

fn make(bed: &Arc<Option<Bed>>, name: &str, check: Check) -> Trial {
    trial(bed, name, check)
}

/// A label selector, escaped, for the namespaces of a tenant.
fn of_tenant(tenant: &str) -> String {
    format!("bulkhead.dev%2Ftenant%3D{tenant}")
}
