//! Memory of records that were written, for those to come: in fresh memory a large record costs as much in
//! page faults as in everything else.

use std::collections::VecDeque;

use crate::sync::{Mutex, lock};

/// Bytes kept at most, in all buffers together.
const KEPT_MAX: usize = 8 << 20;

/// The smallest buffer that is kept: a smaller one costs less to get than to keep.
const BUFFER_MIN: usize = 16 << 10;

/// A buffer is used for records of at least this part of it: a small one must not hold the memory of a large
/// one, which would then get another.
const PART_MIN: usize = 4;

/// Buffers that wait.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The one that was used last is the last.
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Buffers {
    /// An empty buffer for `size` bytes.
    pub(super) fn take(&self, size: usize) -> Vec<u8> {
        if size >= BUFFER_MIN
            && let Some(buffer) = lock(&self.0).take(size)
        {
            return buffer;
        }
        Vec::with_capacity(size)
    }

    /// Keeps buffers, at the expense of those that were not used for long. Hands over what is not kept, to be
    /// dropped with nobody kept waiting.
    pub(super) fn give_back(&self, buffers: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let is_worth_it = |buffer: &Vec<u8>| buffer.capacity() >= BUFFER_MIN;
        if !buffers.iter().any(is_worth_it) {
            return buffers;
        }
        let (large, mut outdated): (Vec<_>, _) = buffers.into_iter().partition(is_worth_it);
        let mut waiting = lock(&self.0);
        large.into_iter().for_each(|buffer| waiting.keep(buffer, &mut outdated));
        outdated
    }
}

impl Waiting {
    fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        let fits =
            |buffer: &Vec<u8>| (size..=size.saturating_mul(PART_MIN)).contains(&buffer.capacity());
        let index = self.buffers.iter().rposition(fits)?;
        let buffer = self.buffers.remove(index)?;
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    fn keep(&mut self, mut buffer: Vec<u8>, outdated: &mut Vec<Vec<u8>>) {
        buffer.clear();
        self.bytes += buffer.capacity();
        self.buffers.push_back(buffer);
        while self.bytes > KEPT_MAX
            && let Some(oldest) = self.buffers.pop_front()
        {
            self.bytes -= oldest.capacity();
            outdated.push(oldest);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn kept(buffers: &Buffers) -> Vec<usize> {
        let waiting = lock(&buffers.0);
        let capacities: Vec<usize> = waiting.buffers.iter().map(Vec::capacity).collect();
        assert_eq!(waiting.bytes, capacities.iter().sum::<usize>());
        capacities
    }

    #[test]
    fn i9_what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let large = KEPT_MAX / 4;
        let outdated = buffers.give_back((0..20).map(|_| vec![1; large]).collect());
        assert_eq!((kept(&buffers), outdated.len()), (vec![large; 4], 16));
        buffers.give_back(vec![vec![1; large / 2]]);
        assert_eq!(kept(&buffers), [large, large, large, large / 2], "the oldest went");
        buffers.give_back(vec![vec![1; KEPT_MAX + 1]]);
        assert_eq!(kept(&buffers), [0; 0], "one that is larger than all may be");
    }

    /// I9: a workload gets by with as many as it has in use at once, whatever else is written in between.
    #[test]
    fn i9_small_records_do_not_make_large_buffers_more() {
        let buffers = Buffers::default();
        let large = 4 * PART_MIN * BUFFER_MIN;
        for _ in 0..100 {
            for size in [72, large, BUFFER_MIN, large / PART_MIN + 1] {
                let buffer = buffers.take(size);
                assert!(buffer.is_empty() && buffer.capacity() >= size);
                buffers.give_back(vec![buffer]);
            }
        }
        assert_eq!(kept(&buffers), [BUFFER_MIN, large]);
        assert_eq!(buffers.take(large).capacity(), large);
        assert_eq!(kept(&buffers), [BUFFER_MIN]);
    }
}
