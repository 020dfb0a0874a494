//! The way through all live segments, record by record, damaged or not: what verifying and salvaging share.

use std::ops::Range;

use super::evidence::{Evidence, Segment};
use super::finding::Findings;
use super::records::{Hole, Item, Records};
use crate::bytes::Bytes;
use crate::channel::parts::{Events, Queue, RangeSet, decode_ack, decode_put_head};
use crate::log::raw::{Found, PAGE, State, segment_name};
use crate::log::{Flaw, Kind, Lsn, RecordHeader};
use crate::storage::StorageError;

/// Bytes between two reports of progress.
const STEP: u64 = 1 << 20;

/// Who goes along.
pub(super) trait Visitor {
    type Error: From<StorageError>;
    /// Events that are neither there nor acknowledged; the log is not intact at `lsn`.
    fn gap(&mut self, sequences: Range<u64>, lsn: Lsn);
    /// The intact events of a record, the first of which has this sequence.
    fn events(&mut self, sequence: u64, events: Events) -> Result<(), Self::Error>;
}

/// Where a walk has come to.
pub(super) struct Walk<'a> {
    evidence: &'a Evidence,
    acked: &'a RangeSet,
    findings: &'a mut Findings,
    progress: &'a mut dyn FnMut(u64, u64),
    /// The sequence the next put should have; `None` before anything told one.
    next: Option<u64>,
    /// The first sequence that anything told.
    first: Option<u64>,
    /// All events below were acknowledged, says the newest state.
    low: u64,
    /// The sequence behind the highest any witness knows.
    high: u64,
    /// The position behind the last intact record.
    end: Lsn,
    /// Everything below was synced.
    promise: Lsn,
    /// The last thing seen was broken.
    is_behind_damage: bool,
    /// A segment that the newest state lists is missing.
    is_segment_missing: bool,
    is_tail_missing: bool,
    done: u64,
    told: u64,
    total: u64,
}

/// What a walk came to.
pub(super) struct Outcome {
    pub(super) promise: Lsn,
    /// The sequence behind the last one the log tells of.
    pub(super) next_sequence: u64,
    /// Nothing tells what became of the events below this sequence, the first one met.
    pub(super) unknown_below: Option<u64>,
    /// The log is cut off: what stood behind its last intact record is not known.
    pub(super) is_cut_off: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        evidence: &'a Evidence,
        acked: &'a RangeSet,
        findings: &'a mut Findings,
        progress: &'a mut dyn FnMut(u64, u64),
    ) -> Walk<'a> {
        let total = evidence.bytes();
        let low = evidence.witness.as_ref().map(|witness| witness.queue.acked().low());
        let promise = evidence.promise();
        Walk {
            evidence,
            acked,
            findings,
            progress,
            next: None,
            first: None,
            low: low.unwrap_or(u64::MAX),
            high: evidence.next_sequence(),
            end: Lsn(0),
            promise,
            is_behind_damage: false,
            is_segment_missing: false,
            is_tail_missing: false,
            done: 0,
            told: 0,
            total,
        }
    }

    /// Some record tells that there are events up to `sequence`.
    pub(super) fn expect_up_to(mut self, sequence: u64) -> Walk<'a> {
        self.high = self.high.max(sequence);
        self
    }

    /// Goes through all segments.
    pub(super) fn run<V: Visitor>(mut self, visitor: &mut V) -> Result<Outcome, V::Error> {
        (self.progress)(0, self.total);
        self.find_missing();
        let mut before: Option<&Segment> = None;
        for segment in &self.evidence.segments {
            self.enter(segment, visitor);
            if segment.base.is_some() {
                self.read(segment, visitor)?;
            }
            self.done += segment.limit;
            before = Some(segment);
        }
        let is_cut_off = self.finish(before);
        let next_sequence = self.expected().max(self.high);
        self.reach(next_sequence, visitor);
        self.findings.judge(self.promise);
        (self.progress)(self.total, self.total);
        let unknown_below = match self.evidence.witness {
            Some(_) => None,
            None => self.first.filter(|first| *first > 0),
        };
        Ok(Outcome { promise: self.promise, next_sequence, unknown_below, is_cut_off })
    }

    /// Notes the segments that the newest state lists and that are not there.
    fn find_missing(&mut self) {
        let is_there = |number| {
            self.evidence.segments.binary_search_by_key(&number, |segment| segment.number).is_ok()
        };
        let flaw = |size: u64| Flaw::new(format!("a segment of {size} bytes"), "no such file");
        for sealed in self.evidence.sealed() {
            let sequences = sealed.first_sequence..sealed.end_sequence();
            if !is_there(sealed.number) && !self.acked.contains_all(sequences.clone()) {
                let name = segment_name(sealed.number);
                let kind = super::FindingKind::Damage;
                self.findings.add(kind, &name, 0, flaw(PAGE + sealed.size), Some(sequences));
                self.is_segment_missing = true;
            }
        }
        let tail = self.evidence.tail();
        if tail > 0 && !is_there(tail) {
            let from = self.evidence.sealed().last().map_or(0, |last| last.end_sequence());
            let end = if self.evidence.is_clean { self.high } else { u64::MAX };
            let flaw = Flaw::new("the tail segment", "no such file");
            let (kind, name) = (super::FindingKind::Damage, segment_name(tail));
            self.findings.add(kind, &name, 0, flaw, Some(from.min(end)..end));
            self.is_tail_missing = true;
        }
    }

    fn enter<V: Visitor>(&mut self, segment: &Segment, visitor: &mut V) {
        let expected = self.expected();
        if let Some(flaw) = &segment.flaw {
            let (name, flaw) = (&segment.name, flaw.clone());
            // No take gets at the events behind it, though all of them may be intact.
            match self.evidence.sealed_entry(segment.number) {
                Some(sealed) => {
                    let sequences = sealed.first_sequence..sealed.end_sequence();
                    self.findings.add(super::FindingKind::Damage, name, 0, flaw, Some(sequences));
                }
                None => self.findings.open(name, 0, flaw, expected),
            }
            // A segment that was being prepared has no header yet, and holds nothing that was promised.
            let is_prepared =
                self.evidence.witness.is_some() && segment.number > self.evidence.tail();
            let unknown = if is_prepared { Lsn(u64::MAX) } else { Lsn(0) };
            self.findings.last_is_doubtful(segment.base.unwrap_or(unknown));
        }
        let Some(header) = &segment.header else { return };
        self.check_place(segment);
        self.promise = self.promise.max(header.base);
        let is_told = self.is_behind_damage || self.is_segment_missing;
        if self.reach(header.first_sequence, visitor) && !is_told {
            let wanted = format!("a segment that begins with sequence {expected}");
            let flaw = Flaw::new(wanted, format!("one of sequence {}", header.first_sequence));
            self.findings.damage(&segment.name, 0, flaw);
        }
    }

    /// Compares a header with what else tells where the segment belongs.
    fn check_place(&mut self, segment: &Segment) {
        let Some(header) = &segment.header else { return };
        let place = |base: Lsn, sequence: u64| format!("Lsn {base} and sequence {sequence}");
        let found = place(header.base, header.first_sequence);
        if let Some(sealed) = self.evidence.sealed_entry(segment.number)
            && (sealed.base, sealed.first_sequence) != (header.base, header.first_sequence)
        {
            let expected = place(sealed.base, sealed.first_sequence);
            self.findings.damage(&segment.name, 0, Flaw::new(expected, found));
        }
    }

    fn read<V: Visitor>(&mut self, segment: &Segment, visitor: &mut V) -> Result<(), V::Error> {
        let evidence = self.evidence;
        let mut records = Records::open(&evidence.directory, &evidence.channel_id, segment, PAGE)?;
        while let Some(item) = records.next()? {
            match item {
                Item::Record { offset, found } => self.record(segment, offset, found, visitor)?,
                Item::Flaw(hole) => self.hole(segment, hole),
            }
            let at = self.done + records.offset();
            if at >= self.told + STEP {
                self.told = at;
                (self.progress)(at.min(self.total), self.total);
            }
        }
        Ok(())
    }

    fn record<V: Visitor>(
        &mut self,
        segment: &Segment,
        offset: u64,
        found: Found,
        visitor: &mut V,
    ) -> Result<(), V::Error> {
        let header = found.header;
        self.promise = self.promise.max(header.watermark);
        let expected = self.next.unwrap_or(header.sequence);
        self.high = self.high.max(header.sequence);
        let is_gap_told = self.is_behind_damage || self.is_segment_missing;
        // A state tells what comes behind the moved records that follow it.
        if header.kind != Kind::State {
            self.findings.close(header.sequence);
            self.is_behind_damage = false;
            let skipped = self.reach(header.sequence, visitor);
            let is_repeated = header.sequence < expected && header.kind != Kind::Moved;
            if is_repeated || (skipped && !is_gap_told) {
                let wanted = format!("a record that follows sequence {expected}");
                let flaw = Flaw::new(wanted, format!("one of sequence {}", header.sequence));
                self.findings.damage(&segment.name, offset, flaw);
            }
        }
        self.end = self.end.max(header.end());
        let is_first = offset == PAGE;
        if is_first != (header.kind == Kind::State) {
            let flaw = Flaw::new("a state record first and nowhere else", header.kind.name());
            self.findings.damage(&segment.name, offset, flaw);
        }
        let count = match content(&header, &found.payload) {
            Ok(count) => count,
            Err(flaw) => {
                self.findings.open(&segment.name, offset, flaw, header.sequence);
                self.is_behind_damage = true;
                return Ok(());
            }
        };
        if header.kind.has_events() {
            // Sequences that were passed before belong to a record that came first.
            let repeated = expected > header.sequence;
            if let (false, Ok(head)) = (repeated, decode_put_head(&found.payload)) {
                visitor.events(header.sequence, Events::new(found.payload, &head))?;
            }
            let end = header.sequence.saturating_add(count);
            self.next = Some(end.max(expected));
        }
        Ok(())
    }

    fn hole(&mut self, segment: &Segment, hole: Hole) {
        let from = match hole.header {
            Some(header) => header.sequence,
            None => self.expected(),
        };
        if let Some(header) = hole.header {
            self.promise = self.promise.max(header.watermark);
        }
        // Zeros behind the last record of the last segment are where it has not been written yet.
        let is_room = hole.last && hole.blank && !segment.is_limit_known;
        if is_room && hole.lsn >= self.promise {
            return;
        }
        self.findings.open(&segment.name, hole.range.start, hole.flaw, from);
        if !segment.is_limit_known {
            self.findings.last_is_doubtful(hole.lsn);
        }
        self.is_behind_damage = true;
    }

    /// Judges the end of the log: everything promised must have been read. True when it was not.
    fn finish(&mut self, last: Option<&Segment>) -> bool {
        if self.is_tail_missing {
            return !self.evidence.is_clean;
        }
        if self.end >= self.promise {
            return false;
        }
        if !self.is_behind_damage {
            let (file, offset) = match last {
                Some(segment) => (segment.name.clone(), segment.limit),
                None => (segment_name(self.evidence.tail()), 0),
            };
            let (expected, found) = (self.promise, self.end);
            let flaw = Flaw::new(format!("records up to Lsn {expected}"), format!("up to {found}"));
            self.findings.open(&file, offset, flaw, self.expected());
        }
        !self.evidence.is_clean
    }

    fn expected(&self) -> u64 {
        match self.next {
            Some(next) => next,
            None if self.evidence.witness.is_some() => self.low,
            None => 0,
        }
    }

    /// The next sequence is this one. True when events are missing before it.
    fn reach<V: Visitor>(&mut self, sequence: u64, visitor: &mut V) -> bool {
        let next = self.next.unwrap_or(self.low.min(sequence));
        let missing = self.acked.absent(next..sequence.max(next));
        let is_missing = !missing.is_empty();
        for range in missing {
            visitor.gap(range, self.end);
        }
        self.first.get_or_insert(sequence);
        self.next = Some(next.max(sequence));
        is_missing
    }
}

/// Checks what a record says, down to each event, and counts the sequences it uses up.
pub(super) fn content(header: &RecordHeader, payload: &Bytes) -> Result<u64, Flaw> {
    let well_formed = || format!("a well-formed {} record", header.kind.name());
    let malformed = |problem: &str| Flaw::new(well_formed(), problem);
    match header.kind {
        Kind::Put | Kind::Moved => {
            let head = decode_put_head(payload).map_err(|error| malformed(error.0))?;
            let mut events = Events::new(payload.clone(), &head);
            while events.next().map_err(|error| malformed(error.0))?.is_some() {}
            Ok(head.count)
        }
        Kind::Ack => {
            let ack = decode_ack(payload).map_err(|error| malformed(error.0))?;
            let end = ack.ranges.last().map_or(0, |range| range.end);
            if end > header.sequence {
                return Err(malformed("an ack of events that were never put"));
            }
            Ok(0)
        }
        Kind::State => {
            let queue = State::decode(payload).and_then(|state| Queue::decode(&state.upper));
            match queue.map(|queue| queue.next_sequence()) {
                Some(next) if next == header.sequence => Ok(0),
                Some(next) => Err(malformed(&format!("the state at sequence {next}"))),
                None => Err(malformed("another encoding")),
            }
        }
        Kind::Watermark if payload.iter().all(|byte| *byte == 0) => Ok(0),
        Kind::Watermark => Err(malformed("a payload of anything but zeros")),
        Kind::Close if payload.is_empty() => Ok(0),
        Kind::Close => Err(malformed("a payload")),
    }
}
