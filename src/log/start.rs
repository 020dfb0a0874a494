//! Where a log's replay begins: at the newest checkpoint that belongs to the newest segment in use. Nothing
//! is written.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, SLOTS, State};
use super::directory::{Directory, Listing};
use super::error::{Damage, LogError};
use super::lsn::Lsn;
use super::record::{ALIGNMENT, Flaw, Kind, Seed};
use super::scan::{Origin, ScanError, Scanner};
use super::segment::{HeaderFlaw, PAGE, SegmentHeader, segment_name};
use crate::storage::{Access, File, StorageError, read_full_at};

/// The state of a checkpoint slot.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    Absent,
    Valid(Checkpoint),
    Invalid {
        flaw: Flaw,
        /// Only the state is broken, and the header says that the channel was open: a write cut off.
        torn: bool,
    },
}

/// A slot that should hold a checkpoint and does not.
pub(crate) struct LostSlot {
    pub(crate) damage: Damage,
    /// A crash leaves that: its write was cut off.
    pub(crate) is_torn: bool,
}

/// The slots that hold no checkpoint. `end` is where the log ends, if that is certain.
pub(crate) fn lost_slots(slots: &[Slot; 2], end: Option<Lsn>) -> Vec<LostSlot> {
    let mut lost = Vec::new();
    for (index, name) in SLOTS.into_iter().enumerate() {
        let other = match &slots[1 - index] {
            Slot::Valid(checkpoint) => Some(checkpoint),
            _ => None,
        };
        let (flaw, is_torn) = match &slots[index] {
            Slot::Valid(_) => continue,
            // Both slots are in use from the first segment on.
            Slot::Absent if other.is_some_and(|other| other.tail == 0) => continue,
            Slot::Absent => (Flaw::new("a checkpoint", "no such file"), false),
            Slot::Invalid { flaw, torn } => {
                let was_closed = other.is_some_and(|other| other.clean && end == Some(other.lsn));
                (flaw.clone(), other.is_some() && (*torn || !was_closed))
            }
        };
        let damage = Damage { file: name.to_string(), offset: 0, flaw, sequences: None };
        lost.push(LostSlot { damage, is_torn });
    }
    lost
}

/// Where to begin.
pub(crate) struct Start {
    pub(crate) slots: [Slot; 2],
    /// A slot's, or one made of the tail's first record.
    pub(crate) checkpoint: Checkpoint,
    /// The segment that was being written; `None` when a new log has none yet.
    pub(crate) tail: Option<SegmentHeader>,
}

/// Finds where to begin.
pub(crate) fn find_start(directory: &Directory, listing: &Listing) -> Result<Start, LogError> {
    let slots = [read_slot(directory, SLOTS[0])?, read_slot(directory, SLOTS[1])?];
    let Some(checkpoint) = best_slot(&slots)? else {
        refuse_a_lost_beginning(&slots, listing)?;
        let header = newest_segment(directory, listing)?;
        let checkpoint = match first_state(directory, &header)? {
            Ok(checkpoint) => checkpoint,
            Err(damage) => {
                mark!(T7);
                return Err(damage.into());
            }
        };
        mark!(T6);
        return Ok(Start { slots, checkpoint, tail: Some(header) });
    };
    if let Some(header) = newest_in_use(directory, listing, &checkpoint)? {
        // Both slots name a segment before anything in it is acknowledged, so the slot is not the newest any
        // more, by whatever means. The segment explains itself.
        let checkpoint = match first_state(directory, &header)? {
            Ok(checkpoint) => checkpoint,
            Err(damage) => {
                mark!(T9b);
                return Err(damage.into());
            }
        };
        mark!(T9);
        return Ok(Start { slots, checkpoint, tail: Some(header) });
    }
    let tail = named_tail(directory, listing, &checkpoint)?;
    Ok(Start { slots, checkpoint, tail })
}

/// Both slots are there, neither is valid, and there is no segment: this was a channel. A first opening
/// that was cut off leaves the first slot at most, since the second is made when the first is synced.
fn refuse_a_lost_beginning(slots: &[Slot; 2], listing: &Listing) -> Result<(), LogError> {
    match slots {
        [Slot::Invalid { flaw, .. }, Slot::Invalid { .. }] if listing.segments.is_empty() => {
            mark!(T4a);
            let (file, flaw) = (SLOTS[0].to_string(), flaw.clone());
            Err(Damage { file, offset: 0, flaw, sequences: None }.into())
        }
        _ => Ok(()),
    }
}

pub(crate) fn read_slot(directory: &Directory, name: &str) -> Result<Slot, LogError> {
    let Some(file) = directory.open_if_there(name, Access::Read)? else {
        return Ok(Slot::Absent);
    };
    let bytes = read_slot_bytes(directory, &*file, name)?;
    match Checkpoint::decode(&bytes) {
        Ok(checkpoint) => Ok(Slot::Valid(checkpoint)),
        Err(HeaderFlaw::Invalid(flaw)) => {
            Ok(Slot::Invalid { flaw, torn: Checkpoint::is_torn(&bytes) })
        }
        Err(HeaderFlaw::Unsupported(reason)) => {
            Err(LogError::Unsupported { file: name.to_string(), reason })
        }
    }
}

/// What a slot holds: its first page, and as much more as that page says, which is not proven yet. The file
/// is larger, for states to come; nothing is allocated that it does not have.
pub(crate) fn read_slot_bytes(
    directory: &Directory,
    file: &dyn File,
    name: &str,
) -> Result<Vec<u8>, LogError> {
    let size = directory.size(file, name)?;
    let mut bytes = Vec::new();
    let ends: [fn(&[u8]) -> u64; 2] = [|_| PAGE, Checkpoint::stated_size];
    for end in ends {
        let (begin, end) = (bytes.len(), end(&bytes).min(size));
        let too_large = || {
            let kind = std::io::ErrorKind::OutOfMemory;
            LogError::Storage(directory.error(name, "hold in memory", kind.into()))
        };
        let end = usize::try_from(end).map_err(|_| too_large())?;
        if end <= begin {
            break;
        }
        bytes.try_reserve_exact(end - begin).map_err(|_| too_large())?;
        bytes.resize(end, 0);
        let count = read_full_at(file, &mut bytes[begin..], begin as u64)
            .map_err(|error| directory.error(name, "read", error))?;
        bytes.truncate(begin + count);
    }
    Ok(bytes)
}

/// The valid slot with the highest generation. Two that contradict each other are not chosen between.
fn best_slot(slots: &[Slot; 2]) -> Result<Option<Checkpoint>, LogError> {
    let (a, b) = match (&slots[0], &slots[1]) {
        (Slot::Valid(a), Slot::Valid(b)) => (a, b),
        (Slot::Valid(only), _) | (_, Slot::Valid(only)) => return Ok(Some(only.clone())),
        _ => return Ok(None),
    };
    let conflict = |expected: String, found: String| {
        mark!(T3);
        let flaw = Flaw::new(expected, found);
        Damage { file: SLOTS[1].to_string(), offset: 0, flaw, sequences: None }
    };
    if a.channel_id != b.channel_id {
        let expected = format!("channel {}, as {} says", hex(&a.channel_id), SLOTS[0]);
        return Err(conflict(expected, format!("channel {}", hex(&b.channel_id))).into());
    }
    if a.generation == b.generation && a != b {
        let expected = format!("another generation than {}", SLOTS[0]);
        return Err(conflict(expected, format!("generation {} in both", a.generation)).into());
    }
    Ok(Some(if a.generation >= b.generation { a.clone() } else { b.clone() }))
}

/// The header of the segment a checkpoint names as the tail: it must be there, whole, and the right one.
fn named_tail(
    directory: &Directory,
    listing: &Listing,
    checkpoint: &Checkpoint,
) -> Result<Option<SegmentHeader>, LogError> {
    let number = checkpoint.tail;
    if checkpoint.is_unborn() {
        mark!(T10);
        return Ok(None);
    }
    let file = match number {
        0 => format!("the checkpoint of generation {}", checkpoint.generation),
        number => segment_name(number),
    };
    let damage = |flaw: Flaw| {
        mark!(T5);
        Damage { file: file.clone(), offset: 0, flaw, sequences: None }
    };
    let page = match listing.segments.get(&number) {
        Some(name) => read_page(directory, name)?,
        None => return Err(damage(Flaw::new("the tail segment", "no such file")).into()),
    };
    let header = decode_page(&page, &file)?.map_err(&damage)?;
    check_identity(&header, number, &checkpoint.channel_id).map_err(&damage)?;
    if header.base != checkpoint.tail_base {
        let expected = format!("records from Lsn {} on", checkpoint.tail_base);
        return Err(damage(Flaw::new(expected, format!("from Lsn {}", header.base))).into());
    }
    Ok(Some(header))
}

fn check_identity(header: &SegmentHeader, number: u64, channel: &[u8; 16]) -> Result<(), Flaw> {
    if header.channel_id != *channel {
        let found = format!("a segment of channel {}", hex(&header.channel_id));
        return Err(Flaw::new(format!("a segment of channel {}", hex(channel)), found));
    }
    if header.number != number {
        return Err(Flaw::new(format!("segment {number}"), format!("segment {}", header.number)));
    }
    Ok(())
}

/// Both slots are gone: the newest segment with a valid header counts. A newer file without one was being
/// prepared, or it is the tail with a damaged header: then it holds events.
fn newest_segment(directory: &Directory, listing: &Listing) -> Result<SegmentHeader, LogError> {
    let mut first_flaw = None;
    for (number, name) in listing.segments.iter().rev() {
        let flaw = match decode_page(&read_page(directory, name)?, name)? {
            Ok(header) if header.number == *number => {
                let newer = listing.segments.range(number + 1..);
                let is_harmless = |kind: Kind| kind == Kind::State;
                for (number, name) in newer {
                    let channel_id = &header.channel_id;
                    let found = find_record(directory, channel_id, *number, name, &is_harmless)?;
                    if let Some(damage) = found {
                        mark!(T7);
                        return Err(damage.into());
                    }
                }
                return Ok(header);
            }
            Ok(header) => {
                Flaw::new(format!("segment {number}"), format!("segment {}", header.number))
            }
            Err(flaw) => flaw,
        };
        first_flaw.get_or_insert((name.clone(), flaw));
    }
    if let Some((file, flaw)) = first_flaw {
        mark!(T7);
        return Err(Damage { file, offset: 0, flaw, sequences: None }.into());
    }
    mark!(T4);
    Err(LogError::Absent(match listing.foreign.first() {
        Some(name) => format!("it holds other files (\"{name}\") and no channel"),
        None => "it is empty".to_string(),
    }))
}

/// The newest segment behind the checkpoint's tail that was in use. Others there were being prepared: they
/// hold at most the records that are written then.
fn newest_in_use(
    directory: &Directory,
    listing: &Listing,
    checkpoint: &Checkpoint,
) -> Result<Option<SegmentHeader>, LogError> {
    for (number, name) in listing.segments.range(checkpoint.tail + 1..).rev() {
        let damage = |flaw: Flaw| {
            mark!(T9a);
            Damage { file: name.clone(), offset: 0, flaw, sequences: None }
        };
        let channel_id = &checkpoint.channel_id;
        let found = find_record(directory, channel_id, *number, name, &Kind::begins_segment)?;
        match (decode_page(&read_page(directory, name)?, name)?, found) {
            (Ok(header), _) if header.channel_id != *channel_id => {
                check_identity(&header, *number, channel_id).map_err(&damage)?;
            }
            (Ok(header), Some(_)) if header.number == *number => return Ok(Some(header)),
            (_, Some(found)) => {
                mark!(T9a);
                return Err(found.into());
            }
            (_, None) => {}
        }
        // An opening sets one number aside, and a new segment takes the next.
        if *number > checkpoint.numbers_used + 1 {
            let expected = format!("no segment above {}", checkpoint.numbers_used + 1);
            return Err(damage(Flaw::new(expected, format!("segment {number}"))).into());
        }
        mark!(T8);
    }
    Ok(None)
}

/// The first record of its own in the file of segment `number`, whose header may be of no use, that is not
/// harmless, as damage.
fn find_record(
    directory: &Directory,
    channel_id: &[u8; 16],
    number: u64,
    name: &str,
    is_harmless: &dyn Fn(Kind) -> bool,
) -> Result<Option<Damage>, StorageError> {
    let file = directory.open(name, Access::Read)?;
    let size = directory.size(&*file, name)?;
    let seed = Seed::new(channel_id, number);
    // Where its records begin in the log may be known to its header only, so any Lsn will do.
    let mut scanner = Scanner::new(Origin::File(file), seed, Lsn(0)).with_any_lsn();
    let mut from = PAGE;
    while let Some((offset, header)) =
        scanner.next_header(from, size).map_err(|error| directory.error(name, "read", error))?
    {
        if !is_harmless(header.kind) {
            let expected = "no records in use in a segment that no checkpoint names";
            let flaw = Flaw::new(expected, format!("a {} record", header.kind.name()));
            let sequences = Some(header.sequence..u64::MAX);
            return Ok(Some(Damage { file: name.to_string(), offset, flaw, sequences }));
        }
        from = offset + ALIGNMENT as u64;
    }
    Ok(None)
}

/// Numbers left out when no slot says which were used. Later segments than those that are found may have been
/// there, and their records wait in a file under another name: in a segment of the same number they would be
/// valid again.
const NUMBERS_SKIPPED: u64 = 1 << 20;

/// The checkpoint that the first record of a segment stands for, or what is there in its place.
fn first_state(
    directory: &Directory,
    header: &SegmentHeader,
) -> Result<Result<Checkpoint, Damage>, LogError> {
    let name = segment_name(header.number);
    let mut scanner = open_scanner(directory, header)?;
    let damage = |flaw: Flaw| Damage { file: name.clone(), offset: PAGE, flaw, sequences: None };
    let file = directory.open(&name, Access::Read)?;
    let limit = directory.size(&*file, &name)?.max(PAGE);
    let found = match scanner.record_at(PAGE, limit) {
        Ok(found) if found.header.kind == Kind::State => found,
        Ok(found) => {
            let flaw =
                Flaw::new("a state record", format!("a {} record", found.header.kind.name()));
            return Ok(Err(damage(flaw)));
        }
        Err(ScanError::Invalid(flaw)) => return Ok(Err(damage(flaw))),
        Err(ScanError::Io(error)) => return Err(directory.error(&name, "read", error).into()),
    };
    let Some(state) = State::decode(&found.payload) else {
        return Ok(Err(damage(Flaw::new("a well-formed state", "another encoding"))));
    };
    Ok(Ok(Checkpoint {
        channel_id: header.channel_id,
        // Neither slot is valid, so the count begins anew without contradicting one.
        generation: 0,
        epoch: header.epoch,
        clean: false,
        tail: header.number,
        tail_base: header.base,
        numbers_used: header.number + NUMBERS_SKIPPED,
        lsn: found.header.end(),
        watermark: found.header.end(),
        state,
    }))
}

pub(crate) fn read_page(directory: &Directory, name: &str) -> Result<Vec<u8>, LogError> {
    let file = directory.open(name, Access::Read)?;
    let mut page = vec![0; PAGE as usize];
    let count =
        read_full_at(&*file, &mut page, 0).map_err(|error| directory.error(name, "read", error))?;
    page.truncate(count);
    Ok(page)
}

/// The header in a page, or why there is none; an unknown version is an error of its own.
fn decode_page(page: &[u8], name: &str) -> Result<Result<SegmentHeader, Flaw>, LogError> {
    match SegmentHeader::decode(page) {
        Ok(header) => Ok(Ok(header)),
        Err(HeaderFlaw::Invalid(flaw)) => Ok(Err(flaw)),
        Err(HeaderFlaw::Unsupported(reason)) => {
            Err(LogError::Unsupported { file: name.to_string(), reason })
        }
    }
}

/// A scanner of the segment with this header.
pub(crate) fn open_scanner(
    directory: &Directory,
    header: &SegmentHeader,
) -> Result<Scanner, LogError> {
    let name = segment_name(header.number);
    let file = directory.open(&name, Access::Read)?;
    Ok(Scanner::new(Origin::File(Arc::clone(&file)), header.seed(), header.base))
}

pub(crate) fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn valid(tail: u64, clean: bool) -> Slot {
        Slot::Valid(Checkpoint {
            channel_id: [7; 16],
            generation: 1,
            epoch: 1,
            clean,
            tail,
            tail_base: Lsn(0),
            numbers_used: tail,
            lsn: Lsn(80),
            watermark: Lsn(80),
            state: State::default(),
        })
    }

    fn invalid(torn: bool) -> Slot {
        Slot::Invalid { flaw: Flaw::new("a checkpoint", "noise"), torn }
    }

    /// I6: damage is what no crash leaves.
    #[test]
    fn i6_lost_slots_are_told_from_those_that_a_crash_leaves() {
        let (end, behind) = (Some(Lsn(80)), Some(Lsn(88)));
        // The slot, the other one, where the log ends; whether it is lost, and to a crash then.
        let cases = [
            (valid(1, false), valid(1, false), end, None),
            (Slot::Absent, valid(0, false), end, None),
            (Slot::Absent, valid(1, false), end, Some(false)),
            (invalid(false), valid(1, false), end, Some(true)),
            (invalid(false), valid(1, true), behind, Some(true)),
            (invalid(false), valid(1, true), None, Some(true)),
            (invalid(false), valid(1, true), end, Some(false)),
            (invalid(true), valid(1, true), end, Some(true)),
        ];
        for (slot, other, end, expected) in cases {
            for (index, name) in SLOTS.into_iter().enumerate() {
                let mut slots = [slot.clone(), other.clone()];
                slots.swap(0, index);
                let lost: Vec<_> = lost_slots(&slots, end)
                    .into_iter()
                    .map(|lost| (lost.damage.file, lost.is_torn))
                    .collect();
                let expected: Vec<_> =
                    expected.map(|torn| (name.to_string(), torn)).into_iter().collect();
                assert_eq!(lost, expected, "{slots:?}, {end:?}");
            }
        }
        for slot in [Slot::Absent, invalid(true), invalid(false)] {
            let lost = lost_slots(&[slot.clone(), slot], end);
            assert_eq!(lost.iter().map(|lost| lost.is_torn).collect::<Vec<_>>(), [false; 2]);
        }
    }
}
