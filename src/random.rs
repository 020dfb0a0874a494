//! Numbers that look random (splitmix64), the same from the same seed: bodies that a disk cannot compress,
//! and moments of death.

use std::hash::{BuildHasher, RandomState};

/// A generator.
pub(crate) struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A seed that is another one each time, small enough to be typed.
    pub(crate) fn any_seed() -> u64 {
        RandomState::new().hash_one(0) % 1_000_000_000
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to one less than `end`; 0 when that is 0. (The bias of the remainder does not matter
    /// for picking moments.)
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        words.take(count.div_ceil(8)).flatten().take(count).collect()
    }
}
