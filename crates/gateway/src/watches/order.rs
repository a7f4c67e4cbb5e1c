//! The order of events that come by many watches.
//!
//! A client goes on from the resource version of the last event that it has seen. So no event may
//! reach it after a later one: each is held for a moment, and what has come by then is let go in
//! order. What comes later still than that cannot be told any more, and the client has to list again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// How long an event is held. Measured, watches of one API server differ by 20 ms.
pub(crate) const HOLD: Duration = Duration::from_millis(200);

/// Events that are held, by resource version.
pub(crate) struct Order {
    hold: Duration,
    held: BTreeMap<u64, Held>,
    /// The resource version that the client knows.
    known: u64,
    /// How far each watch has come.
    progress: Vec<u64>,
    bookmarks: bool,
}

struct Held {
    since: Instant,
    line: Bytes,
    bookmark: bool,
}

/// An event is older than what the client knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Late;

impl Order {
    /// The order of so many watches from a resource version on.
    pub(crate) fn new(watches: usize, from: u64, bookmarks: bool) -> Self {
        Self {
            // What comes by one watch is in order.
            hold: if watches > 1 { HOLD } else { Duration::ZERO },
            held: BTreeMap::new(),
            known: from,
            progress: vec![from; watches],
            bookmarks,
        }
    }

    /// An event has come by a watch.
    ///
    /// # Errors
    /// If later ones have been let go.
    pub(crate) fn change(
        &mut self,
        watch: usize,
        version: u64,
        line: Bytes,
        now: Instant,
    ) -> Result<(), Late> {
        if version <= self.known {
            return Err(Late);
        }
        self.advance(watch, version);
        let held = Held {
            since: now,
            line,
            bookmark: false,
        };
        self.held.insert(version, held);
        Ok(())
    }

    /// A watch says that it has told everything up to a resource version. The client is told what is
    /// true of all of them.
    pub(crate) fn bookmark(&mut self, watch: usize, version: u64, line: Bytes, now: Instant) {
        self.advance(watch, version);
        let all = self.progress.iter().min().copied().unwrap_or_default();
        // One that is further than others is of no use, and one that is told already neither.
        let useful = self.bookmarks && version == all && version > self.known;
        if useful && !self.held.contains_key(&version) {
            let held = Held {
                since: now,
                line,
                bookmark: true,
            };
            self.held.insert(version, held);
        }
    }

    /// When the next event may go; none if none is held.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.held.values().map(|held| held.since + self.hold).min()
    }

    /// What may go now, in order.
    pub(crate) fn release(&mut self, now: Instant) -> Vec<Bytes> {
        let due = |held: &Held| held.since + self.hold <= now;
        let last = self.held.iter().rev().find(|(_, held)| due(held));
        let Some(last) = last.map(|(version, _)| *version) else {
            return Vec::new();
        };
        let rest = self.held.split_off(&last.saturating_add(1));
        let gone = std::mem::replace(&mut self.held, rest);
        self.known = last;
        // A bookmark right before an event says nothing that the event does not.
        let newest = gone.keys().next_back().copied();
        gone.into_iter()
            .filter(|(version, held)| !held.bookmark || Some(*version) == newest)
            .map(|(_, held)| held.line)
            .collect()
    }

    fn advance(&mut self, watch: usize, version: u64) {
        if let Some(progress) = self.progress.get_mut(watch) {
            *progress = (*progress).max(version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bed {
        order: Order,
        start: Instant,
    }

    impl Bed {
        fn new(watches: usize) -> Self {
            Self {
                order: Order::new(watches, 100, true),
                start: Instant::now(),
            }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn change(&mut self, watch: usize, version: u64, millis: u64) -> Result<(), Late> {
            let (line, now) = (Bytes::from(version.to_string()), self.at(millis));
            self.order.change(watch, version, line, now)
        }

        fn bookmark(&mut self, watch: usize, version: u64, millis: u64) {
            let (line, now) = (Bytes::from(format!("b{version}")), self.at(millis));
            self.order.bookmark(watch, version, line, now);
        }

        fn release(&mut self, millis: u64) -> Vec<String> {
            let now = self.at(millis);
            let lines = self.order.release(now);
            lines
                .iter()
                .map(|line| String::from_utf8(line.to_vec()).unwrap())
                .collect()
        }
    }

    #[test]
    fn events_go_in_order_once_they_have_been_held() {
        let mut bed = Bed::new(2);
        bed.change(0, 105, 0).unwrap();
        bed.change(1, 103, 150).unwrap();
        bed.change(0, 107, 160).unwrap();
        assert_eq!(bed.order.due(), Some(bed.at(200)));
        assert_eq!(bed.release(199), [""; 0]);
        // The earlier one need not wait longer than the later.
        assert_eq!(bed.release(200), ["103", "105"]);
        assert_eq!(bed.order.due(), Some(bed.at(360)));
        bed.change(1, 106, 210).unwrap();
        assert_eq!(bed.release(500), ["106", "107"]);
        assert_eq!(bed.order.due(), None);
    }

    #[test]
    fn what_comes_too_late_is_told_apart() {
        let mut bed = Bed::new(2);
        assert_eq!(bed.change(0, 100, 0), Err(Late), "the client knows it");
        bed.change(0, 105, 0).unwrap();
        assert_eq!(bed.release(200), ["105"]);
        assert_eq!(bed.change(1, 104, 201), Err(Late));
    }

    #[test]
    fn one_watch_waits_for_none() {
        let mut bed = Bed::new(1);
        bed.change(0, 105, 0).unwrap();
        assert_eq!(bed.release(0), ["105"]);
    }

    #[test]
    fn a_bookmark_is_that_of_the_watch_which_lags() {
        let mut bed = Bed::new(3);
        bed.bookmark(0, 120, 0);
        bed.bookmark(1, 110, 0);
        assert_eq!(bed.release(300), [""; 0], "one watch has said nothing");
        bed.bookmark(2, 130, 300);
        assert_eq!(bed.release(600), [""; 0], "no line says 110 again");
        bed.bookmark(1, 115, 600);
        assert_eq!(bed.release(800), ["b115"]);
        bed.change(1, 140, 900).unwrap();
        bed.bookmark(2, 150, 900);
        bed.bookmark(0, 135, 900);
        assert_eq!(bed.release(1200), ["140"], "the event says more");
        assert_eq!(bed.change(1, 140, 1300), Err(Late));
    }

    #[test]
    fn nobody_is_told_bookmarks_unasked() {
        let mut order = Order::new(1, 1, false);
        order.bookmark(0, 9, Bytes::new(), Instant::now());
        assert_eq!(order.due(), None);
    }

    /// Whatever the order in which events come, and however late: what a client is told is in order
    /// and without a gap, or it is told to list again.
    #[test]
    fn a_client_is_told_everything_or_to_begin_anew() {
        let mut state = 7_u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        let mut late = 0;
        for _ in 0..2000 {
            let mut bed = Bed::new(4);
            // Events happen every 10 ms and come up to 250 ms later, each watch's in order.
            let mut arrivals: Vec<(u64, u64, usize)> = Vec::new();
            let mut last = [0_u64; 4];
            for n in 1..=30 {
                let watch = usize::try_from(random(4)).unwrap();
                let delay = if random(40) == 0 {
                    random(250)
                } else {
                    random(30)
                };
                let at = (n * 10 + delay).max(last[watch]);
                last[watch] = at;
                arrivals.push((at, 100 + n, watch));
            }
            arrivals.sort_unstable();
            let (mut told, mut failed) = (Vec::new(), false);
            for (at, version, watch) in arrivals {
                told.extend(bed.release(at));
                if bed.change(watch, version, at).is_err() {
                    failed = true;
                    break;
                }
            }
            if !failed {
                told.extend(bed.release(10_000));
            }
            let expected: Vec<String> = (101..=130).map(|n: u64| n.to_string()).collect();
            if failed {
                late += 1;
                // In order; what is missing was still to come when the client was told to begin anew.
                assert!(told.is_sorted());
            } else {
                assert_eq!(told, expected);
            }
        }
        assert!((1..1500).contains(&late), "{late}");
    }
}
