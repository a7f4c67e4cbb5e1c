//! What people read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::run::{Outcome, Verdict};
use crate::technique::Family;

/// How many failures the short table spells out.
const SHOWN: usize = 12;

/// A short table: a row for each family with the theorems that it tries to break, those with
/// failures first, and below it what went wrong.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut rows: BTreeMap<Family, Row> = BTreeMap::new();
    for outcome in outcomes {
        let row = rows.entry(outcome.family).or_default();
        row.theorems.insert(outcome.theorem.to_string());
        row.tried += 1;
        row.failed += usize::from(!outcome.is_stopped());
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(family, row)| (Reverse(row.failed), *family));
    let mut out = format!(
        "{:<22} {:>5} {:>7}  {:<10}  THEOREMS\n",
        "ATTACK", "TRIED", "STOPPED", ""
    );
    for (family, row) in rows {
        let mark = if row.failed == 0 {
            "ok".to_owned()
        } else {
            format!("{} FAILED", row.failed)
        };
        let theorems: Vec<String> = row.theorems.into_iter().collect();
        let _ = writeln!(
            out,
            "{family:<22} {:>5} {:>7}  {mark:<10}  {}",
            row.tried,
            row.tried - row.failed,
            theorems.join(" ")
        );
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|o| !o.is_stopped()).collect();
    let _ = writeln!(
        out,
        "{} attacks, {} stopped, {} failed",
        outcomes.len(),
        outcomes.len() - failed.len(),
        failed.len()
    );
    for outcome in failed.iter().take(SHOWN) {
        out.push_str(&line(outcome));
    }
    if failed.len() > SHOWN {
        let _ = writeln!(out, "and {} more", failed.len() - SHOWN);
    }
    out
}

#[derive(Default)]
struct Row {
    theorems: BTreeSet<String>,
    tried: usize,
    failed: usize,
}

/// Every technique, one a line, failures first.
#[must_use]
pub fn list(outcomes: &[Outcome]) -> String {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by_key(|outcome| outcome.is_stopped());
    sorted.into_iter().map(line).collect()
}

fn line(outcome: &Outcome) -> String {
    let (mark, reason) = match &outcome.verdict {
        Verdict::Stopped { by } => ("ok    ", by),
        Verdict::Failed { why } => ("FAILED", why),
    };
    format!(
        "{mark} {:<3} {}: {} {reason}\n",
        outcome.theorem.to_string(),
        outcome.name,
        outcome.does
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(name: &str, family: Family, verdict: Verdict) -> Outcome {
        Outcome {
            name: name.into(),
            does: format!("Does {name}."),
            theorem: crate::technique::Theorem::T1,
            family,
            verdict,
            duration: Duration::from_millis(5),
        }
    }

    #[test]
    fn the_worst_stands_first() {
        let stopped = || Verdict::Stopped {
            by: "Gateway 404 `not found`".into(),
        };
        let outcomes = [
            outcome("a", Family::CrossTenant, stopped()),
            outcome("b", Family::Status, stopped()),
            outcome(
                "c",
                Family::Status,
                Verdict::Failed {
                    why: "it succeeded: 200".into(),
                },
            ),
        ];
        assert_eq!(
            table(&outcomes),
            "ATTACK                 TRIED STOPPED              THEOREMS\n\
             status and bindings        2       1  1 FAILED    T1\n\
             cross-tenant access        1       1  ok          T1\n\
             3 attacks, 2 stopped, 1 failed\n\
             FAILED T1  c: Does c. it succeeded: 200\n"
        );
        assert!(list(&outcomes).starts_with("FAILED T1  c: Does c."));
        assert_eq!(list(&outcomes).lines().count(), 3);
    }
}
