//! Beginning segments.
//!
//! The order of syncs that all rests on, when segment *n+1* follows segment *n*:
//! 1. the records of *n* are synced; 2. *n+1* has its name, made durable; 3. its first record, the state,
//!    is written and synced; 4. its header is written and synced; 5. both checkpoint slots name it: from the
//!    first of them on it counts; 6. only now is a record in it acknowledged, and a file recycled that the
//!    state no longer lists. `docs/CRASH_SAFETY.md` goes through a crash after each.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint::{Sealed, State};
use super::directory::Directory;
use super::group_commit::LANES;
use super::lsn::Lsn;
use super::moving::Moving;
use super::output::{Output, Target};
use super::record::{Kind, PendingRecord, Place};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::writer::{Keeper, Log, View, Writer, release};
use crate::storage::{Access, DIRECT_BLOCK, File, StorageError};
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
        let before = std::mem::replace(writer, next);
        writer.output.take_memory_of(before.output);
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
        let Some(capacity) =
            keeper.pool.obtain(number, needed, desired, request.claim == Claim::Put)?
        else {
            return Ok(None);
        };
        keeper.numbers_used = number;
        let header = SegmentHeader {
            channel_id: self.channel_id,
            number,
            base: request.base,
            first_sequence: request.first_sequence,
            capacity,
            epoch: self.epoch,
        };
        let next = self.begin_writer(header, &mut record, request, view)?;
        debug_assert_eq!(next.offset, head);
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
        Ok(Some(next))
    }

    /// A writer of the new segment with its beginning written.
    ///
    /// Some file systems and devices let a file be opened for direct writes and refuse them then. Nothing in
    /// the segment counts yet, so it is begun again through the cache, and so are those that follow.
    fn begin_writer(
        &self,
        header: SegmentHeader,
        state: &mut PendingRecord,
        request: &NewSegment<'_>,
        view: &View<'_>,
    ) -> Result<Writer, StorageError> {
        let open = |header, is_direct| {
            let sizes = (self.segment_size, view.next_sequence);
            open_writer(&self.directory, header, sizes, is_direct)
        };
        let mut next = open(header.clone(), self.is_direct.load(Ordering::Relaxed))?;
        match self.write_beginning(&mut next, state, request, view) {
            Err(error) if next.output.is_direct() && is_refusal(error.kind()) => {
                self.is_direct.store(false, Ordering::Relaxed);
                next = open(header, false)?;
                self.write_beginning(&mut next, state, request, view)?;
            }
            outcome => outcome?,
        }
        Ok(next)
    }

    /// Steps 3 and 4 of the module's list.
    fn write_beginning(
        &self,
        next: &mut Writer,
        state: &mut PendingRecord,
        request: &NewSegment<'_>,
        view: &View<'_>,
    ) -> Result<(), StorageError> {
        let Writer { header, name, seed, lanes, output, offset, .. } = next;
        let (file, through_cache) = (&*lanes[0], &*lanes[LANES]);
        let target = Target { directory: &self.directory, file, name, ahead: None };
        // It is looked at again when the file is recycled.
        let write_header = || {
            self.directory.write(through_cache, name, &header.encode(), 0)?;
            self.directory.sync_file(through_cache, name)
        };
        if planted!(HeaderBeforeState) {
            write_header()?;
        }
        let place =
            Place { lsn: request.base, watermark: request.base, sequence: view.next_sequence };
        output.put(&target, state.place(seed, PAGE, place), true)?;
        if let Some(moved) = &request.moved {
            moved.copy(output, &target, header)?;
        }
        output.write_out(&target)?;
        *offset = output.end();
        self.directory.sync_file(file, name)?;
        write_header()
    }

    pub(super) fn reserve_size(&self, state_size: usize) -> u64 {
        reserve_size(state_size, self.ack_size_max)
    }
}

/// A writer at the beginning of the segment with this header, whose file is there.
fn open_writer(
    directory: &Directory,
    header: SegmentHeader,
    (segment_size, next_sequence): (u64, u64),
    is_direct: bool,
) -> Result<Writer, StorageError> {
    let name = segment_name(header.number);
    // The last block is written as a whole, so there must be room for all of it.
    let may_be_direct = is_direct && header.capacity.is_multiple_of(DIRECT_BLOCK as u64);
    let direct = if may_be_direct { open_direct(directory, &name)? } else { None };
    let output = Output::new(direct.is_some(), segment_size, PAGE);
    let lanes = match direct {
        Some(lanes) => lanes,
        None => open_lanes(directory, &name, Access::ReadWrite)?,
    };
    Ok(Writer::new(header, next_sequence, lanes, output))
}

/// `None` where the file system does not take direct writes.
fn open_direct(
    directory: &Directory,
    name: &str,
) -> Result<Option<Vec<Arc<dyn File>>>, StorageError> {
    match open_lanes(directory, name, Access::Direct) {
        Err(error) if is_refusal(error.kind()) => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Whether it means that there are no direct writes.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// The descriptions of the segment being written.
pub(super) fn open_lanes(
    directory: &Directory,
    name: &str,
    access: Access,
) -> Result<Vec<Arc<dyn File>>, StorageError> {
    let mut lanes: Vec<_> =
        (0..LANES).map(|_| directory.open(name, access)).collect::<Result<_, _>>()?;
    lanes.push(directory.open(name, Access::ReadWrite)?);
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
