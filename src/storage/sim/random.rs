//! Randomness that is the same for the same seed, with a stream of its own for each kind of decision, so
//! that one more draw at one place does not shift what happens at all the others.

/// One step of a mixing function (the finaliser of SplitMix64): close inputs give far outputs.
pub(super) fn mix(one: u64, other: u64) -> u64 {
    let mut z = one.rotate_left(23).wrapping_add(other).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A fingerprint of `bytes`, for the trace and for images; no protection against intent.
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let (blocks, rest) = bytes.as_chunks::<32>();
    if !blocks.is_empty() {
        // Four at a time: what they take is mostly waiting for the multiplications.
        let mut lanes = [0, 1, 2, 3];
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane = mix(*lane, u64::from_le_bytes(*word));
            }
        }
        hash = lanes.into_iter().fold(hash, mix);
    }
    for bytes in rest.chunks(8) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash
}

/// A stream of random numbers.
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random { state: mix(seed, 1) }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state, 0)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A chance for a whole run of decisions. The extremes come up often: with a middling chance for
    /// each of many decisions, "all of them but one" would never be seen.
    pub(super) fn bias(&mut self) -> u64 {
        [0, 3, 25, 50, 75, 97, 100][self.below(7) as usize]
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// The kinds of decision that the disk takes by itself while it runs.
#[derive(Clone, Copy)]
pub(super) enum Site {
    List,
    AllocateFailure,
    UniqueId,
    Chance,
}

/// For each [`Site`] its own stream.
#[derive(Clone)]
pub(super) struct Streams {
    seed: u64,
    draws: [u64; 4],
}

impl Streams {
    pub(super) fn new(seed: u64) -> Streams {
        Streams { seed, draws: [0; 4] }
    }

    /// The random numbers of the next decision at `site`.
    pub(super) fn at(&mut self, site: Site) -> Random {
        let draw = &mut self.draws[site as usize];
        *draw += 1;
        Random::new(mix(mix(self.seed, site as u64), *draw))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_site_does_not_shift_another() {
        let mut one = Streams::new(7);
        let mut other = Streams::new(7);
        for _ in 0..5 {
            one.at(Site::UniqueId).next();
        }
        assert_eq!(one.at(Site::List).next(), other.at(Site::List).next());
        assert_ne!(one.at(Site::List).next(), one.at(Site::List).next());
    }

    #[test]
    fn every_bit_and_the_length_reach_the_fingerprint() {
        let bytes: Vec<u8> = (0..21).collect();
        let whole = fingerprint(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(fingerprint(&flipped), whole, "bit {bit}");
        }
        assert_ne!(fingerprint(&bytes[..20]), whole);
        assert_ne!(fingerprint(&[0; 8]), fingerprint(&[0; 16]));
    }
}
