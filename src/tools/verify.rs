//! Reading every byte that counts and listing all damage.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::evidence::Evidence;
use super::finding::{Finding, FindingKind, Findings};
use super::replay::Replayed;
use super::walk::{Visitor, Walk};
use super::{keep_owners_out, storage_at};
use crate::channel::OpenError;
use crate::channel::parts::{Events, Queue, RangeSet, open_error};
use crate::log::raw::{Checkpoint, SLOTS, Slot, Survey};
use crate::log::{Damage, Directory, End, Flaw, LogError, LostSlot, Lsn, lost_slots, survey};
use crate::storage::{Storage, StorageError};

/// What verifying found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verification {
    /// The channel's directory.
    pub location: String,
    /// Events in the channel, read and proven.
    pub events: u64,
    /// Their size.
    pub bytes: u64,
    /// Segments that were read.
    pub segments: u64,
    /// Bytes of header pages and records that were read.
    pub bytes_read: u64,
    /// Whether the channel was closed in good order.
    pub clean: bool,
    /// There is no damage but of one checkpoint slot: every event is intact, and the next opening writes the
    /// slot anew. (It does so with both. But then what they witnessed is gone, and nobody can tell whether
    /// the log ended where it ends now.)
    pub is_mended_by_opening: bool,
    /// Damage and notes, in the order of the log; findings about the slots come first.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether there is no damage. Notes may be there.
    pub fn is_intact(&self) -> bool {
        self.findings.iter().all(|finding| finding.kind == FindingKind::Note)
    }
}

/// Reads every byte that counts of the channel in `directory` and says what is wrong: checksums, numbering,
/// the sums of the state, each event's encoding. `progress` is told bytes done and bytes in all. Nothing is
/// written; while it runs, nobody can open the channel. Events that the damage concerns are named, and
/// [`salvage`](super::salvage) copies all others to a new channel.
pub fn verify(
    directory: impl AsRef<Path>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, OpenError> {
    verify_on(storage_at(directory.as_ref())?, progress)
}

/// As [`verify`], on any storage.
pub fn verify_on(
    storage: Arc<dyn Storage>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, OpenError> {
    let _lock = keep_owners_out(&storage)?;
    let directory = Directory { storage };
    let mut findings = Findings::default();
    let mut queue = Queue::default();
    let surveyed = survey(&directory, &mut queue);
    let mut evidence = match Evidence::gather(directory.clone(), &mut findings) {
        Ok(evidence) => evidence,
        // Not even the channel's name is left: that is damage enough.
        Err(OpenError::Corrupt(corruption)) => {
            let flaw = Flaw::new(corruption.expected, corruption.found);
            findings.damage(&corruption.file, corruption.offset, flaw);
            return Ok(report(&directory, None, (0, 0), findings));
        }
        Err(error) => return Err(error),
    };
    let surveyed = damage_of(&directory, surveyed)?;
    let acked = match &surveyed {
        Ok(survey) => {
            follow(&mut evidence, survey, &queue, &mut findings)?;
            queue.acked().clone()
        }
        Err(_) => {
            let acked = Replayed::read(&evidence)?.acked;
            keep_live(&mut evidence, &mut findings)?;
            acked
        }
    };
    let end = surveyed.as_ref().ok().and_then(|survey| survey.tail.as_ref()).map(|tail| tail.end());
    let damaged_slots = check_slots(&evidence, end, &mut findings);
    let mut sums = Sums { acked: &acked, events: 0, bytes: 0, gaps: Vec::new() };
    Walk::new(&evidence, &acked, &mut findings, progress).run(&mut sums)?;
    let Sums { events, bytes, gaps, .. } = sums;
    if surveyed.is_ok() {
        // Where the log ends is certain: nothing is concerned beyond.
        findings.close(queue.next_sequence());
    }
    match &surveyed {
        Ok(_) => check_sums(&evidence, &queue, (events, bytes), &gaps, &mut findings),
        // Whatever keeps a channel from opening is damage, even if nothing else finds it.
        Err(damage) if !findings.has_damage() => findings.push_damage(damage.clone()),
        Err(_) => {}
    }
    let is_mended_by_opening =
        surveyed.is_ok() && damaged_slots == 1 && findings.damage_count() == 1;
    let clean = surveyed.is_ok_and(|survey| survey.end == End::Clean);
    let found = report(&directory, Some(&evidence), (events, bytes), findings);
    Ok(Verification { clean, is_mended_by_opening, ..found })
}

fn report(
    directory: &Directory,
    evidence: Option<&Evidence>,
    (events, bytes): (u64, u64),
    findings: Findings,
) -> Verification {
    Verification {
        location: directory.storage.location(),
        events,
        bytes,
        segments: evidence.map_or(0, |evidence| evidence.segments.len() as u64),
        bytes_read: evidence.map_or(0, Evidence::bytes),
        clean: false,
        is_mended_by_opening: false,
        findings: findings.into_list(),
    }
}

/// The survey, or the damage that it met; any other error is one here, too.
fn damage_of(
    directory: &Directory,
    surveyed: Result<Survey, LogError>,
) -> Result<Result<Survey, Damage>, OpenError> {
    match surveyed {
        Ok(survey) => Ok(Ok(survey)),
        Err(LogError::Damaged(damage)) => Ok(Err(damage)),
        // That another program wrote the file was ruled out when the evidence was gathered.
        Err(LogError::Unsupported { file, reason }) => {
            let flaw = Flaw::new("a known format", reason);
            Ok(Err(Damage { file, offset: 0, flaw, sequences: None }))
        }
        Err(error) => Err(open_error(directory, error)),
    }
}

/// Takes over from a survey that found no damage where the log ends and which segments are wanted.
fn follow(
    evidence: &mut Evidence,
    survey: &Survey,
    queue: &Queue,
    findings: &mut Findings,
) -> Result<(), OpenError> {
    let tail = survey.tail.as_ref();
    let is_wanted = |number: u64| {
        let sealed = survey.checkpoint.state.sealed.iter().find(|sealed| sealed.number == number);
        let wanted = |sequences| !queue.acked().contains_all(sequences);
        tail.is_some_and(|tail| tail.header.number == number)
            || sealed.is_some_and(|sealed| wanted(sealed.first_sequence..sealed.end_sequence()))
    };
    keep(evidence, findings, is_wanted)?;
    let Some(tail) = tail else { return Ok(()) };
    for segment in &mut evidence.segments {
        if segment.number == tail.header.number {
            segment.limit = tail.end_offset;
            segment.is_limit_known = true;
        }
    }
    if survey.end == End::Torn {
        let flaw = Flaw::new("zeros or nothing", "other bytes, none of them ever acknowledged");
        findings.note(&tail.name(), tail.end_offset, flaw);
    }
    Ok(())
}

/// Without a survey: the newest state says which segments are wanted.
pub(super) fn keep_live(evidence: &mut Evidence, findings: &mut Findings) -> Result<(), OpenError> {
    let live: Vec<u64> = evidence.segments.iter().map(|segment| segment.number).collect();
    let live: Vec<u64> = live.into_iter().filter(|number| evidence.is_live(*number)).collect();
    keep(evidence, findings, |number| live.binary_search(&number).is_ok())
}

fn keep(
    evidence: &mut Evidence,
    findings: &mut Findings,
    is_wanted: impl Fn(u64) -> bool,
) -> Result<(), OpenError> {
    for segment in evidence.segments.iter().filter(|segment| !is_wanted(segment.number)) {
        let flaw = Flaw::new("only files that are needed", "a segment that nothing needs");
        findings.note(&segment.name, 0, flaw);
    }
    for name in &evidence.listing.drafts {
        findings.note(name, 0, Flaw::new("only files that are needed", "an unfinished file"));
    }
    for name in &evidence.listing.foreign {
        findings.note(name, 0, Flaw::new("only files of a channel", "a file that is none"));
    }
    evidence.keep(|segment| is_wanted(segment.number))
}

/// Judges the slots, and gives how many are damaged. `end` is where the log ends, if that is certain.
pub(super) fn check_slots(evidence: &Evidence, end: Option<Lsn>, findings: &mut Findings) -> usize {
    let lost = lost_slots(&evidence.slots, end);
    let damaged = lost.iter().filter(|slot| !slot.is_torn).count();
    for LostSlot { damage: Damage { file, flaw, .. }, is_torn } in lost {
        match is_torn {
            true => findings.note(&file, 0, flaw),
            false => findings.damage(&file, 0, flaw),
        }
    }
    for (slot, name) in evidence.slots.iter().zip(SLOTS) {
        if let Slot::Valid(checkpoint) = slot {
            check_slot(checkpoint, name, findings);
        }
    }
    damaged
}

/// A slot that its checksums prove must also make sense.
fn check_slot(checkpoint: &Checkpoint, name: &str, findings: &mut Findings) {
    if checkpoint.tail > 0 && Queue::decode(&checkpoint.state.upper).is_none() {
        findings.damage(name, 0, Flaw::new("a well-formed state", "another encoding"));
    }
}

/// The events that were read must be those that the state counts.
fn check_sums(
    evidence: &Evidence,
    queue: &Queue,
    read: (u64, u64),
    gaps: &[Range<u64>],
    findings: &mut Findings,
) {
    if findings.has_damage() {
        return;
    }
    let file = evidence.witness.as_ref().map_or(SLOTS[0], |witness| &witness.file);
    if let Some(gap) = gaps.first() {
        let flaw = Flaw::new("every event that is not acknowledged", "none of these");
        findings.add(FindingKind::Damage, file, 0, flaw, Some(gap.clone()));
    } else if read != (queue.events(), queue.bytes()) {
        let text = |(events, bytes)| format!("{events} events of {bytes} bytes");
        let flaw = Flaw::new(text((queue.events(), queue.bytes())), text(read));
        findings.damage(file, 0, flaw);
    }
}

/// Counts the events that are not acknowledged.
struct Sums<'a> {
    acked: &'a RangeSet,
    events: u64,
    bytes: u64,
    gaps: Vec<Range<u64>>,
}

impl Visitor for Sums<'_> {
    type Error = StorageError;

    fn gap(&mut self, sequences: Range<u64>, _lsn: Lsn) {
        self.gaps.push(sequences);
    }

    fn events(&mut self, sequence: u64, mut events: Events) -> Result<(), StorageError> {
        let mut sequence = sequence;
        // What does not decode was found before the events came here.
        while let Ok(Some(event)) = events.next() {
            if !self.acked.contains_all(sequence..sequence + 1) {
                self.events += 1;
                self.bytes += event.size();
            }
            sequence += 1;
        }
        Ok(())
    }
}
