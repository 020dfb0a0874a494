//! Memory of records that were written, for those to come: in fresh memory a large record costs as much in
//! page faults as in everything else.

use crate::sync::{Mutex, lock};

/// Bytes kept at most, in all buffers together.
const KEPT_MAX: usize = 8 << 20;

/// Buffers that wait.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Buffers {
    /// An empty buffer, the one that was used last.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut waiting = lock(&self.0);
        let buffer = waiting.buffers.pop().unwrap_or_default();
        waiting.bytes -= buffer.capacity();
        buffer
    }

    /// Keeps buffers, as far as they fit.
    pub(super) fn give_back(&self, buffers: impl Iterator<Item = Vec<u8>>) {
        let mut waiting = lock(&self.0);
        for mut buffer in buffers {
            if buffer.capacity() > 0 && waiting.bytes + buffer.capacity() <= KEPT_MAX {
                buffer.clear();
                waiting.bytes += buffer.capacity();
                waiting.buffers.push(buffer);
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn i9_what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        buffers.give_back((0..20).map(|_| vec![1; 1 << 20]));
        buffers.give_back([vec![1; KEPT_MAX + 1]].into_iter());
        let kept: Vec<_> = (0..9).map(|_| buffers.take()).collect();
        assert!(kept.iter().all(Vec::is_empty));
        let capacities = kept.iter().map(Vec::capacity);
        assert_eq!(capacities.clone().filter(|capacity| *capacity > 0).count(), 8);
        assert_eq!(lock(&buffers.0).bytes, 0);
    }
}
