//! The way out: events in the order of their sequences, each on loan to one take transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::{Events, decode_put_head};
use super::core::Shown;
use super::ranges::RangeSet;
use super::tail::{Lookup, TailRecord};
use crate::channel::Corruption;
use crate::channel::transaction::{Loan, LoanLimit};
use crate::event::Event;
use crate::log::raw::Found;
use crate::log::{Damage, Flaw, LogError, LogReader, Lsn};
use crate::sync::{Mutex, lock};

/// Where consumers are in the log. All consumers share it, behind one lock.
pub(crate) struct Delivery {
    reader: LogReader,
    /// The record after the one being delivered begins at or after this.
    position: Lsn,
    /// The sequence the next record read must begin with, but for acknowledged ones before it.
    sequence: u64,
    /// What was acknowledged before the opening. Nothing at or above [`Delivery::sequence`] has been since.
    acked: RangeSet,
    current: Option<Current>,
    /// Given back by rollbacks. All of them were delivered before, so they come before anything else.
    returned: BTreeMap<u64, Event>,
    lent: u64,
}

/// The record being delivered.
struct Current {
    /// Where in its segment it begins, for error texts.
    offset: u64,
    next_sequence: u64,
    events: Source,
}

enum Source {
    Memory { record: Arc<TailRecord>, index: usize },
    Log(Events),
}

impl Delivery {
    pub(crate) fn new(reader: LogReader, from: (Lsn, u64), acked: RangeSet) -> Delivery {
        Delivery {
            reader,
            position: from.0,
            sequence: from.1,
            acked,
            current: None,
            returned: BTreeMap::new(),
            lent: 0,
        }
    }

    /// Lends events, until there are no more or the loan has reached the limit. After an error everything but
    /// what was lent before it is as it was.
    pub(crate) fn lend(
        &mut self,
        loan: &mut Loan,
        limit: LoanLimit,
        shown: &Mutex<Shown>,
    ) -> Result<(), LogError> {
        while !limit.is_reached(loan)
            && let Some((sequence, event)) = self.next(shown)?
        {
            self.lent += 1;
            loan.push(sequence, event);
        }
        Ok(())
    }

    /// The next event, which is then the caller's to lend. After an error everything is as before, but that
    /// what is acknowledged may have been passed over.
    fn next(&mut self, shown: &Mutex<Shown>) -> Result<Option<(u64, Event)>, LogError> {
        let reversed = if planted!(RollbackReversed) { self.returned.pop_last() } else { None };
        if let Some(returned) = reversed.or_else(|| self.returned.pop_first()) {
            return Ok(Some(returned));
        }
        loop {
            while let Some((sequence, event)) = self.next_of_current()? {
                if sequence >= self.acked.end() || !self.acked.contains_all(sequence..sequence + 1)
                {
                    return Ok(Some((sequence, event)));
                }
            }
            if !self.advance(shown)? {
                return Ok(None);
            }
        }
    }

    /// Whether [`Delivery::lend`] would lend an event, as far as can be told without reading.
    pub(crate) fn has_next(&self, shown: &Mutex<Shown>) -> bool {
        let next = self.current.as_ref().map_or(self.sequence, |current| current.next_sequence);
        !self.returned.is_empty()
            || self.acked.next_absent(next) < lock(shown).queue.next_sequence()
    }

    /// Puts lent events back.
    pub(crate) fn give_back(&mut self, mut loan: Loan) {
        self.lent -= loan.len() as u64;
        if planted!(RollbackLosesOne) {
            loan.sequences.pop();
        }
        self.returned.extend(loan.sequences.into_iter().zip(loan.events));
    }

    /// Forgets that `count` events are lent: they are gone for good, or in doubt until the next opening.
    pub(crate) fn settle(&mut self, count: u64) {
        self.lent -= count;
    }

    /// Lets go of the segment being read, so that it can be recycled; false when there is none. What is being
    /// delivered from it is in memory.
    pub(crate) fn let_go(&mut self) -> bool {
        self.reader.release()
    }

    /// Events on loan.
    pub(crate) fn lent(&self) -> u64 {
        self.lent
    }

    fn next_of_current(&mut self) -> Result<Option<(u64, Event)>, LogError> {
        let Some(current) = &mut self.current else {
            return Ok(None);
        };
        let event = match &mut current.events {
            Source::Memory { record, index } => {
                *index += 1;
                record.events.get(*index - 1).cloned()
            }
            Source::Log(events) => events.next().map_err(|malformed| {
                let sequences = current.next_sequence..current.next_sequence + 1;
                let flaw = Flaw::new("a well-formed event", malformed.0);
                self.reader.damage(current.offset, flaw, sequences)
            })?,
        };
        let sequence = current.next_sequence;
        match event {
            Some(event) => {
                current.next_sequence += 1;
                Ok(Some((sequence, event)))
            }
            None => {
                self.current = None;
                Ok(None)
            }
        }
    }

    /// Goes on to the next put record; false when there is none yet.
    fn advance(&mut self, shown: &Mutex<Shown>) -> Result<bool, LogError> {
        let (visible, next_sequence) = {
            let mut shown = lock(shown);
            match shown.tail.advance(self.position) {
                Lookup::Nothing => return Ok(false),
                Lookup::Record(record) if self.is_due(record.first_sequence) => {
                    shown.queue.mark(record.lsn, record.first_sequence);
                    drop(shown);
                    self.enter_memory(record);
                    return Ok(true);
                }
                // What is in memory is as it was put; so what came before it in the log was not, and is
                // named when the log is read.
                Lookup::Record(_) | Lookup::Older => (shown.visible, shown.queue.next_sequence()),
            }
        };
        self.pass_over(visible, next_sequence)?;
        loop {
            let Some(found) = self.read(visible, next_sequence)? else { return Ok(false) };
            let header = found.header;
            if !header.kind.has_events() {
                self.position = header.end();
                continue;
            }
            let malformed = |flaw: Flaw| {
                let sequences = self.sequence..header.sequence.max(self.sequence);
                self.reader.damage(found.offset, flaw, sequences)
            };
            if !self.is_due(header.sequence) {
                let expected = format!("the record of sequence {}", self.sequence);
                let instead = format!("the one of sequence {}", header.sequence);
                return Err(malformed(Flaw::new(expected, instead)).into());
            }
            let head = decode_put_head(&found.payload)
                .map_err(|error| malformed(Flaw::new("a well-formed put", error.0)))?;
            // What is visible was put, unless the record, or the state that the opening began with, is
            // forged: an ack of an event that never was could not be applied.
            if next_sequence.checked_sub(header.sequence).is_none_or(|rest| rest < head.count) {
                let expected = format!("events below sequence {next_sequence}");
                let instead = format!("{} from sequence {}", head.count, header.sequence);
                let sequences = header.sequence..header.sequence.saturating_add(head.count);
                let flaw = Flaw::new(expected, instead);
                return Err(self.reader.damage(found.offset, flaw, sequences).into());
            }
            self.position = header.end();
            self.sequence = header.sequence + head.count;
            let events = Source::Log(Events::new(found.payload, &head));
            self.current =
                Some(Current { offset: found.offset, next_sequence: header.sequence, events });
            lock(shown).queue.mark(header.lsn, header.sequence);
            return Ok(true);
        }
    }

    /// Whether a record that begins with `sequence` may come next: a segment that is passed over held
    /// acknowledged events only; anything else is a loss.
    fn is_due(&self, sequence: u64) -> bool {
        sequence >= self.sequence && self.acked.contains_all(self.sequence..sequence)
    }

    /// Passes over records whose events are all acknowledged: an opening knows where reading had come to at
    /// the last checkpoint, and more was acknowledged since.
    fn pass_over(&mut self, visible: Lsn, next_sequence: u64) -> Result<(), LogError> {
        let wanted = self.acked.next_absent(self.sequence);
        if wanted > self.sequence {
            let place = self.reader.pass_over(self.position, visible, wanted);
            let place = place.map_err(|error| self.name_concerned(error, next_sequence))?;
            // Held against what is acknowledged, as the sequence of each record that is read.
            if let Some((position, sequence)) = place.filter(|place| self.is_due(place.1)) {
                (self.position, self.sequence) = (position, sequence);
            }
        }
        Ok(())
    }

    /// The next record of any kind.
    fn read(&mut self, visible: Lsn, next_sequence: u64) -> Result<Option<Found>, LogError> {
        let read = self.reader.next(self.position, visible);
        read.map_err(|error| self.name_concerned(error, next_sequence))
    }

    /// What came before is not concerned by damage met now, nor is what was not put yet.
    fn name_concerned(&self, error: LogError, next_sequence: u64) -> LogError {
        match error {
            LogError::Damaged(mut damage) => {
                if let Some(sequences) = &mut damage.sequences {
                    sequences.end = sequences.end.min(next_sequence);
                    sequences.start = sequences.start.max(self.sequence).min(sequences.end);
                }
                LogError::Damaged(damage)
            }
            other => other,
        }
    }

    fn enter_memory(&mut self, record: Arc<TailRecord>) {
        self.reader.release();
        self.position = record.end;
        self.sequence = record.first_sequence + record.events.len() as u64;
        let next_sequence = record.first_sequence;
        self.current =
            Some(Current { offset: 0, next_sequence, events: Source::Memory { record, index: 0 } });
    }
}

impl From<Damage> for Corruption {
    fn from(damage: Damage) -> Corruption {
        Corruption {
            file: damage.file,
            offset: damage.offset,
            expected: damage.flaw.expected,
            found: damage.flaw.found,
            sequences: damage.sequences,
        }
    }
}
