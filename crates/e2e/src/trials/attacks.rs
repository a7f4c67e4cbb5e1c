//! One trial for each technique of the registry.

use std::sync::Arc;

use anyhow::bail;
use bulkhead_attack::{Verdict, run_one, techniques};
use libtest_mimic::Trial;

use crate::bed::Bed;
use crate::trial;

pub(crate) fn trials(bed: &Arc<Option<Bed>>) -> Vec<Trial> {
    let make = |technique: bulkhead_attack::Technique| {
        let name = format!("attack::{}", technique.name);
        trial(bed, &name, move |bed| {
            match bed.wait(run_one(&bed.field, &technique)).verdict {
                Verdict::Stopped { .. } => Ok(()),
                Verdict::Failed { why } => bail!("{} {why}", technique.does),
            }
        })
    };
    techniques().into_iter().map(make).collect()
}
