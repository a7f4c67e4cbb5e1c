//! Lots, the same in each run.

use serde_json::{Map, Value};

/// SplitMix64: as random as a generator of cases has to be.
pub struct Draw(pub u64);

impl Draw {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() % end as u64).unwrap()
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Up to `most` of them, some perhaps twice.
    pub fn some<T: Clone>(&mut self, of: &[T], most: usize) -> Vec<T> {
        (0..self.below(most + 1))
            .map(|_| self.one(of).clone())
            .collect()
    }

    /// Sets a field with this chance.
    pub fn set(
        &mut self,
        fields: &mut Map<String, Value>,
        key: &str,
        percent: usize,
        value: impl FnOnce(&mut Self) -> Value,
    ) {
        if self.chance(percent) {
            let value = value(self);
            fields.insert(key.to_owned(), value);
        }
    }
}
