//! What records are read into: blocks of memory that are used again, and those that are read ahead.

use std::collections::VecDeque;
use std::sync::Arc;

use super::read_ahead::{Outcome, ReadAhead, Request};
use crate::storage::File;

/// Bytes read at first, and then twice as many each time: an opening, and who keeps up, want but few.
pub(super) const BLOCK_MIN: usize = 16 << 10;

/// Bytes read at once at most; a longer record is read whole, and what is read ahead is more.
pub(super) const BLOCK_MAX: usize = 256 << 10;

/// Bytes read ahead at once at most: more than otherwise, since to wake the thread that reads costs as much
/// as reading some of them.
pub(super) const AHEAD_MAX: usize = 1 << 20;

/// The largest block that is read ahead, or kept: a long record must not hold its memory.
pub(super) const BLOCK_KEPT_MAX: usize = AHEAD_MAX + 2 * BLOCK_MIN;

/// Blocks kept that events handed out may still use, to be read into again: new memory costs time.
pub(super) const BLOCKS_KEPT: usize = 2;

/// What a scanner reads into. It goes from segment to segment with who reads them in turn.
pub(crate) struct Blocks {
    pub(super) block: Arc<Vec<u8>>,
    /// How much the next block is to hold.
    pub(super) next: usize,
    /// Earlier blocks.
    pub(super) kept: VecDeque<Arc<Vec<u8>>>,
    /// Whether blocks may be read ahead, in a thread of its own.
    pub(super) may_read_ahead: bool,
    pub(super) ahead: Option<ReadAhead>,
    /// How many bytes to read ahead next: twice as many each time, since who is but a little behind is to
    /// need little memory.
    pub(super) next_ahead: usize,
}

impl Blocks {
    /// None yet. With `may_read_ahead` a thread is started when there is much to read.
    pub(crate) fn new(may_read_ahead: bool) -> Blocks {
        Blocks {
            block: Arc::default(),
            next: BLOCK_MIN,
            kept: VecDeque::new(),
            may_read_ahead,
            ahead: None,
            next_ahead: BLOCK_MAX,
        }
    }

    /// A block of at least `wanted` bytes, and not of many more, that is nobody else's: events handed out
    /// earlier may still use what they were read into.
    pub(super) fn free(&mut self, wanted: usize) -> &mut [u8] {
        if !is_free(&mut self.block, wanted) {
            let free = self.spare(wanted);
            self.turn_to(free);
        }
        Arc::get_mut(&mut self.block).expect("a block is unshared when new or checked")
    }

    /// A free one, of the kept or new.
    fn spare(&mut self, wanted: usize) -> Arc<Vec<u8>> {
        let free = self.kept.iter_mut().position(|block| is_free(block, wanted));
        let free = free.and_then(|index| self.kept.remove(index));
        free.unwrap_or_else(|| Arc::new(vec![0; wanted]))
    }

    fn turn_to(&mut self, block: Arc<Vec<u8>>) {
        let used = std::mem::replace(&mut self.block, block);
        self.keep(used);
    }

    fn keep(&mut self, used: Arc<Vec<u8>>) {
        if (BLOCK_MAX..=BLOCK_KEPT_MAX).contains(&used.len()) {
            self.kept.push_back(used);
        }
        if self.kept.len() > BLOCKS_KEPT {
            self.kept.pop_front();
        }
    }

    /// Asks for a block to be read ahead, which may be.
    pub(super) fn ask(&mut self, file: &Arc<dyn File>, offset: u64, size: usize) {
        if self.ahead.is_none() {
            self.ahead = ReadAhead::start().ok();
        }
        self.next_ahead = (2 * self.next_ahead).min(AHEAD_MAX);
        let (file, block) = (Arc::clone(file), self.spare(size.max(BLOCK_MAX)));
        match &self.ahead {
            Some(ahead) => ahead.ask(Request { file, offset, size, block }),
            // No thread was to be had; it goes on without.
            None => self.may_read_ahead = false,
        }
    }

    /// Turns to what was read ahead, if it begins at `offset` and has `size` bytes at least; says how many.
    pub(super) fn take_read(&mut self, offset: u64, size: usize) -> Option<usize> {
        let (request, outcome) = self.ahead.as_ref()?.take()?;
        match outcome {
            Outcome::Read(count) if request.offset == offset && count >= size => {
                self.turn_to(request.block);
                return Some(count);
            }
            // Not again: near a place that cannot be read each try may cost the device's patience.
            Outcome::Failed => self.may_read_ahead = false,
            Outcome::Read(_) | Outcome::TakenBack => {}
        }
        self.keep(request.block);
        None
    }

    /// Sees to it that nothing is being read ahead.
    pub(super) fn take_back(&mut self) {
        if let Some((request, _)) = self.ahead.as_ref().and_then(ReadAhead::take) {
            self.keep(request.block);
        }
    }
}

fn is_free(block: &mut Arc<Vec<u8>>, wanted: usize) -> bool {
    let sizes = wanted..=(2 * wanted).max(BLOCK_KEPT_MAX);
    Arc::get_mut(block).is_some_and(|block| sizes.contains(&block.len()))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// I9: a block is used again when nobody holds it, and of those that somebody holds few are kept.
    #[test]
    fn i9_blocks_are_used_again_and_few_are_kept() {
        let mut blocks = Blocks::new(false);
        let address = |blocks: &mut Blocks, wanted| blocks.free(wanted).as_ptr().addr();
        for (size, wanted) in [(BLOCK_MAX, BLOCK_MAX), (3 * BLOCK_MAX / 2, BLOCK_MAX)] {
            let first = address(&mut blocks, size);
            assert_eq!(address(&mut blocks, wanted), first);
        }
        let long = address(&mut blocks, BLOCK_KEPT_MAX + 1);
        assert!(blocks.free(BLOCK_MAX / 2).len() <= BLOCK_KEPT_MAX);
        assert!(blocks.kept.iter().all(|block| block.as_ptr().addr() != long), "a long record's");
        let mut held = Vec::new();
        for _ in 0..BLOCKS_KEPT + 3 {
            held.push(Arc::clone(&blocks.block));
            blocks.free(BLOCK_MAX);
        }
        assert_eq!(blocks.kept.len(), BLOCKS_KEPT);
        let former: Vec<usize> = held.drain(..).map(|block| block.as_ptr().addr()).collect();
        let _in_use = Arc::clone(&blocks.block);
        assert!(former.contains(&address(&mut blocks, BLOCK_MAX)));
    }

    /// I9: however many events of earlier blocks are held.
    #[test]
    fn i9_of_blocks_in_use_few_are_kept() {
        let mut blocks = Blocks::new(false);
        let mut held = Vec::new();
        for turn in 0..40 {
            blocks.free(BLOCK_MAX * (1 + turn % 5));
            held.push(Arc::clone(&blocks.block));
            assert!(blocks.kept.len() <= BLOCKS_KEPT);
            assert!(blocks.kept.iter().all(|block| block.len() <= BLOCK_KEPT_MAX));
        }
    }
}
