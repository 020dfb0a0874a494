//! Beginning segments.
//!
//! The order of syncs that all rests on, when segment *n+1* follows segment *n*:
//! 1. the records of *n* are synced; 2. *n+1* has its name, made durable; 3. its first record, the state,
//!    is written and synced; 4. its header is written and synced; 5. both checkpoint slots name it: from the
//!    first of them on it counts; 6. only now is a record in it acknowledged, and a file recycled that the
//!    state no longer lists. `docs/CRASH_SAFETY.md` goes through a crash after each.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint::{Sealed, State};
use super::directory::Directory;
use super::group_commit::LANES;
use super::lsn::Lsn;
use super::moving::Moving;
use super::record::{Kind, PendingRecord, Place};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::writer::{Keeper, Log, View, Writer, release};
use crate::storage::{Access, File, StorageError};
use crate::sync::lock;

/// A segment is at least this many times as large as the state it begins with, so that states are at most
/// an eighth of what is written, however many ranges of acknowledged sequences there are.
const STATE_SHARE: u64 = 8;

impl Log {
    /// Begins a new segment with room for a record of `needed` bytes. `view` is the state at the end of the
    /// log, and no group is in flight. False, and nothing has changed, when the disk has no room (for puts:
    /// when only the reserve is left).
    pub(crate) fn roll(
        &self,
        needed: u64,
        claim: Claim,
        view: &View<'_>,
    ) -> Result<bool, StorageError> {
        let mut writer = lock(&self.writer);
        let end = writer.end();
        if self.watermark() < end {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.directory.sync_file(&*writer.lanes[0], &writer.name)?;
            self.raise_watermark(end);
        }
        let mut keeper = lock(&self.keeper);
        let sealed = Sealed {
            number: writer.header.number,
            base: writer.header.base,
            size: writer.offset - PAGE,
            first_sequence: writer.header.first_sequence,
            events: writer.next_sequence - writer.header.first_sequence,
        };
        let request = NewSegment {
            base: end,
            first_sequence: writer.next_sequence,
            needed,
            claim,
            moved: None,
        };
        self.succeed(&mut writer, &mut keeper, sealed, &request, view)
    }

    /// Begins the segment after `sealed`, and lets go of those that the state then lists no longer.
    pub(super) fn succeed(
        &self,
        writer: &mut Writer,
        keeper: &mut Keeper,
        sealed: Sealed,
        request: &NewSegment<'_>,
        view: &View<'_>,
    ) -> Result<bool, StorageError> {
        let (done, mut live) = self.sort_out(view);
        let done_too = (view.is_done)(sealed.first_sequence..sealed.end_sequence());
        if !done_too {
            live.push(sealed);
        }
        let Some(next) = self.begin_segment(keeper, request, &live, view)? else {
            return Ok(false);
        };
        let number = next.header.number;
        let mut segments = lock(&self.segments);
        segments.tail = next.header.number;
        segments.tail_base = next.header.base;
        segments.sealed.push(sealed);
        let released = release(&mut segments, &done, done_too.then_some(sealed.number));
        drop(segments);
        self.behind.turn_to(&next);
        *writer = next;
        self.recycle(keeper, &released)?;
        if request.claim != Claim::Swap {
            let size = keeper.pool.reserve_size();
            self.replenish(keeper, size, number)?;
        }
        Ok(true)
    }

    /// Steps 2 to 5 of the module's list.
    pub(super) fn begin_segment(
        &self,
        keeper: &mut Keeper,
        request: &NewSegment<'_>,
        live: &[Sealed],
        view: &View<'_>,
    ) -> Result<Option<Writer>, StorageError> {
        let number = keeper.numbers_used + 1;
        let state = State { sealed: live.to_vec(), upper: view.upper.clone() };
        let encoded = state.encode();
        let mut record = PendingRecord::new(Kind::State, encoded.len(), |out| {
            out.extend_from_slice(&encoded);
        });
        let moved_size = request.moved.as_ref().map_or(0, |moved| moved.size());
        let head = PAGE + record.size() + moved_size;
        let needed = (head + request.needed).next_multiple_of(PAGE);
        let desired = self.segment_size.max(STATE_SHARE * encoded.len() as u64);
        let desired = desired.next_multiple_of(PAGE);
        let lsn = request.base.plus(head - PAGE);
        let mut checkpoint = self.checkpoint_at(lsn, number, request.base, state);
        if !keeper.slots.make_room_for(&checkpoint)? {
            return Ok(None);
        }
        let Some(prepared) =
            keeper.pool.obtain(number, needed, desired, request.claim == Claim::Put)?
        else {
            return Ok(None);
        };
        keeper.numbers_used = number;
        let name = segment_name(number);
        let header = SegmentHeader {
            channel_id: self.channel_id,
            number,
            base: request.base,
            first_sequence: request.first_sequence,
            capacity: prepared.capacity,
            epoch: self.epoch,
        };
        let seed = header.seed();
        let file = prepared.file;
        let place =
            Place { lsn: request.base, watermark: request.base, sequence: view.next_sequence };
        if planted!(HeaderBeforeState) {
            self.directory.write(&*file, &name, &header.encode(), 0)?;
            self.directory.sync_file(&*file, &name)?;
        }
        self.directory.write(&*file, &name, record.place(&seed, PAGE, place), PAGE)?;
        if let Some(moved) = &request.moved {
            moved.copy(&self.directory, &*file, &header, PAGE + record.size())?;
        }
        self.directory.sync_file(&*file, &name)?;
        self.directory.write(&*file, &name, &header.encode(), 0)?;
        self.directory.sync_file(&*file, &name)?;
        self.raise_watermark(lsn);
        checkpoint.numbers_used = number;
        keeper.slots.write(&mut checkpoint)?;
        if !planted!(OneSlotNamesSegment) {
            keeper.slots.write(&mut checkpoint)?;
        }
        keeper.lsn = lsn;
        if request.claim != Claim::Swap {
            self.replenish(keeper, self.reserve_size(encoded.len()), number)?;
        }
        let lanes = open_lanes(&self.directory, &name, vec![file])?;
        Ok(Some(Writer::new(header, head, view.next_sequence, lanes)))
    }

    pub(super) fn reserve_size(&self, state_size: usize) -> u64 {
        reserve_size(state_size, self.ack_size_max)
    }
}

/// Completes the descriptions of the segment being written.
pub(super) fn open_lanes(
    directory: &Directory,
    name: &str,
    mut lanes: Vec<Arc<dyn File>>,
) -> Result<Vec<Arc<dyn File>>, StorageError> {
    while lanes.len() <= LANES {
        lanes.push(directory.open(name, Access::ReadWrite)?);
    }
    Ok(lanes)
}

/// Bytes a reserve file needs: the state may grow eightfold while the disk is full, and the largest ack still
/// fits behind it.
pub(super) fn reserve_size(state_size: usize, ack_size_max: u64) -> u64 {
    PAGE + STATE_SHARE * state_size as u64 + ack_size_max
}

/// What a new segment is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Puts, among others: the reserve is not touched.
    Put,
    /// Anything but puts; the reserve is there for it.
    Ack,
    /// To take the place of a segment whose file is wanted back. The reserve is used, and left as it is until
    /// that has come.
    Swap,
}

/// What a new segment is to be.
pub(super) struct NewSegment<'a> {
    pub(super) base: Lsn,
    pub(super) first_sequence: u64,
    /// Bytes that must fit beside what it begins with.
    pub(super) needed: u64,
    pub(super) claim: Claim,
    pub(super) moved: Option<Moving<'a>>,
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn i8_a_reserve_file_holds_a_state_that_has_grown_and_the_largest_ack() {
        assert_eq!(reserve_size(1000, 50), PAGE + 8000 + 50);
    }
}
