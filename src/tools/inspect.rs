//! What a channel holds, told without writing a byte and beside a running owner too.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::storage_at;
use crate::channel::OpenError;
use crate::channel::parts::{Queue, open_error, owner_note};
use crate::log::raw::{
    Checkpoint, PAGE, SLOTS, Sealed, Slot, Survey, hex, read_slot, segment_name,
};
use crate::log::{Directory, End, LOCK, LogError, survey};
use crate::storage::{Storage, StorageError};

/// How often a survey is tried while an owner changes files under it, and how far apart.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_millis(2);

/// What a channel holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The channel's directory.
    pub location: String,
    /// The channel's identity, in hexadecimal.
    pub channel_id: String,
    /// How often the channel has been opened.
    pub epoch: u64,
    /// Events in the channel.
    pub events: u64,
    /// Their size in bytes, as [`Event::size`](crate::Event::size) counts it.
    pub bytes: u64,
    /// The sequence of the oldest event in the channel.
    pub oldest_sequence: u64,
    /// The sequence the next event put gets.
    pub next_sequence: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Sizes of all files of the channel, spares and reserves included.
    pub disk_bytes: u64,
    /// Whether the channel was closed in good order, and is not in use.
    pub clean: bool,
    /// Bytes of log that the next opening reads after the checkpoint.
    pub replay_bytes: u64,
    /// Whether somebody has the channel open.
    pub in_use: bool,
    /// Who says to have it open ("pid 42").
    pub owner: Option<String>,
    /// Whether all this is as of the last checkpoint, because a busy owner changed the files too quickly.
    pub as_of_checkpoint: bool,
    /// The named cursors.
    pub cursors: BTreeMap<String, Vec<u8>>,
    /// One row for each segment.
    pub table: Vec<SegmentInspection>,
}

/// A segment of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInspection {
    /// Its number.
    pub number: u64,
    /// Its file.
    pub file: String,
    /// Where its records begin in the log.
    pub lsn: u64,
    /// Bytes of its records.
    pub record_bytes: u64,
    /// The sequence of the first event put into it.
    pub first_sequence: u64,
    /// Events put into it.
    pub events: u64,
    /// Those of them that are still in the channel.
    pub events_left: u64,
    /// Whether it is the one being written.
    pub is_tail: bool,
}

/// Says what the channel in `directory` holds. Beside a running owner the answer is as of some moment during
/// the call.
///
/// Nothing is written. To see whether there is an owner the lock is tried for a moment; who opens the
/// channel in that moment waits a little.
pub fn inspect(directory: impl AsRef<Path>) -> Result<Inspection, OpenError> {
    inspect_on(storage_at(directory.as_ref())?)
}

/// As [`inspect`], on any storage.
pub fn inspect_on(storage: Arc<dyn Storage>) -> Result<Inspection, OpenError> {
    let directory = Directory { storage };
    let mut failures_alone = 0;
    let mut last = None;
    for turn in 1..=TRIES {
        let in_use = is_in_use(&directory)?;
        match look(&directory) {
            Ok(seen) if seen.is_same => return Ok(report(&directory, seen, in_use)),
            looked => last = Some(looked),
        }
        if !in_use && !is_in_use(&directory)? {
            // An owner may have gone in between; alone with the files, the second look is the one that
            // counts.
            failures_alone += 1;
            if failures_alone == 2 {
                break;
            }
        }
        pause(turn);
    }
    if failures_alone < 2
        && let Some(inspection) = last_checkpoint(&directory)?
    {
        return Ok(inspection);
    }
    match last {
        Some(Err(error)) => Err(open_error(&directory, error)),
        // Nobody changes the files, so the slots are older ones than the log.
        Some(Ok(seen)) if failures_alone == 2 => Ok(report(&directory, seen, false)),
        _ => {
            let owner = owner_note(&*directory.storage);
            Err(OpenError::InUse { path: directory.storage.location(), owner })
        }
    }
}

/// One survey.
fn look(directory: &Directory) -> Result<Seen, LogError> {
    let mut queue = Queue::default();
    let survey = survey(directory, &mut queue)?;
    let disk_bytes = disk_bytes(directory)?;
    let is_same = match newest_slot(directory)? {
        Some(checkpoint) => checkpoint.tail == survey.checkpoint.tail,
        None => true,
    };
    Ok(Seen { survey, queue, disk_bytes, is_same })
}

struct Seen {
    survey: Survey,
    queue: Queue,
    disk_bytes: u64,
    /// The newest slot names the segment that the survey ended in. If not, and there is an owner, it went on
    /// to another segment meanwhile: the old one may have been recycled while it was read, and its records
    /// seem to end early.
    is_same: bool,
}

#[allow(clippy::disallowed_methods, reason = "the wait is for another process, and bounded")]
fn pause(turn: u32) {
    std::thread::sleep(PAUSE * turn);
}

fn is_in_use(directory: &Directory) -> Result<bool, StorageError> {
    match directory.storage.lock(LOCK, false) {
        Ok(_) => Ok(false),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => Ok(true),
            ErrorKind::NotFound => Ok(false),
            _ => Err(directory.error(LOCK, "lock", error)),
        },
    }
}

/// Sizes of all files that are the channel's. One that an owner has just removed counts nothing.
fn disk_bytes(directory: &Directory) -> Result<u64, StorageError> {
    let listing = directory.list()?;
    let kept = listing
        .spares
        .iter()
        .chain(&listing.reserves)
        .chain(&listing.drafts)
        .chain(listing.segments.values());
    let names = kept.map(String::as_str).chain(SLOTS).chain([LOCK]);
    let mut sum = 0;
    for name in names {
        sum += directory.size_if_there(name)?.unwrap_or(0);
    }
    Ok(sum)
}

fn report(directory: &Directory, seen: Seen, in_use: bool) -> Inspection {
    let Seen { survey, queue, disk_bytes, .. } = seen;
    let mut table: Vec<_> =
        survey.checkpoint.state.sealed.iter().map(|sealed| row(sealed, &queue)).collect();
    if let Some(tail) = &survey.tail {
        let first_sequence = tail.header.first_sequence;
        let sealed = Sealed {
            number: tail.header.number,
            base: tail.header.base,
            size: tail.end_offset - PAGE,
            first_sequence,
            events: queue.next_sequence().saturating_sub(first_sequence),
        };
        table.push(SegmentInspection { is_tail: true, ..row(&sealed, &queue) });
    }
    Inspection {
        location: directory.storage.location(),
        channel_id: hex(&survey.checkpoint.channel_id),
        epoch: survey.checkpoint.epoch,
        events: queue.events(),
        bytes: queue.bytes(),
        oldest_sequence: queue.acked().low(),
        next_sequence: queue.next_sequence(),
        segments: table.len() as u64,
        disk_bytes,
        clean: survey.end == End::Clean && !in_use,
        replay_bytes: survey.replayed_bytes,
        in_use,
        owner: if in_use { owner_note(&*directory.storage) } else { None },
        as_of_checkpoint: false,
        cursors: queue.cursors().clone(),
        table,
    }
}

fn row(sealed: &Sealed, queue: &Queue) -> SegmentInspection {
    let sequences = sealed.first_sequence..sealed.end_sequence();
    let left = queue.acked().absent(sequences);
    let length = |range: Range<u64>| range.end - range.start;
    SegmentInspection {
        number: sealed.number,
        file: segment_name(sealed.number),
        lsn: sealed.base.0,
        record_bytes: sealed.size,
        first_sequence: sealed.first_sequence,
        events: sealed.events,
        events_left: left.into_iter().map(length).sum(),
        is_tail: false,
    }
}

/// The valid slot with the highest generation.
fn newest_slot(directory: &Directory) -> Result<Option<Checkpoint>, LogError> {
    let mut best: Option<Checkpoint> = None;
    for name in SLOTS {
        if let Slot::Valid(checkpoint) = read_slot(directory, name)?
            && best.as_ref().is_none_or(|best| best.generation < checkpoint.generation)
        {
            best = Some(checkpoint);
        }
    }
    Ok(best)
}

/// What the newest slot says: an owner that rolls without a pause can change the files quicker than they
/// are read, and a slot is always there.
fn last_checkpoint(directory: &Directory) -> Result<Option<Inspection>, OpenError> {
    let slot = newest_slot(directory).map_err(|error| open_error(directory, error))?;
    let Some(checkpoint) = slot else { return Ok(None) };
    let Some(queue) = Queue::decode(&checkpoint.state.upper) else { return Ok(None) };
    let disk_bytes = disk_bytes(directory)?;
    let tail = Sealed {
        number: checkpoint.tail,
        base: checkpoint.tail_base,
        size: checkpoint.lsn.since(checkpoint.tail_base),
        first_sequence: queue.next_sequence(),
        events: 0,
    };
    let mut table: Vec<_> =
        checkpoint.state.sealed.iter().map(|sealed| row(sealed, &queue)).collect();
    table.push(SegmentInspection { is_tail: true, ..row(&tail, &queue) });
    Ok(Some(Inspection {
        location: directory.storage.location(),
        channel_id: hex(&checkpoint.channel_id),
        epoch: checkpoint.epoch,
        events: queue.events(),
        bytes: queue.bytes(),
        oldest_sequence: queue.acked().low(),
        next_sequence: queue.next_sequence(),
        segments: table.len() as u64,
        disk_bytes,
        clean: false,
        replay_bytes: 0,
        in_use: true,
        owner: owner_note(&*directory.storage),
        as_of_checkpoint: true,
        cursors: queue.cursors().clone(),
        table,
    }))
}
