//! Put and take transactions: the half of the semantics that every channel shares.
//!
//! A transaction owns its handle on the channel, so it can move to another thread. Commit and rollback
//! consume it; dropping it rolls back, which writes nothing and cannot fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::{CommitError, CursorError, PutError, Stopped, TakeError};
use super::options::{ChannelOptions, EVENT_SIZE_MAX};
use super::room::Room;
use crate::event::Event;

const CURSOR_NAME_MAX: usize = 255;
const CURSOR_VALUE_MAX: usize = 4096;
const CURSORS_MAX: usize = 10_000;

/// Cursor changes of a transaction: a value, or `None` for "forget this cursor".
pub(crate) type Cursors = BTreeMap<String, Option<Vec<u8>>>;

/// Puts ready to be committed.
#[derive(Default)]
#[cfg_attr(any(test, fuzzing), derive(Debug, PartialEq))]
pub(crate) struct PutBatch {
    pub(crate) events: Vec<Event>,
    /// Sum of [`Event::size`].
    pub(crate) size: u64,
    /// Sum of [`Event::overhead`].
    pub(crate) overhead: u64,
    pub(crate) cursors: Cursors,
}

#[cfg(any(all(test, not(loom)), fuzzing))]
impl PutBatch {
    pub(crate) fn new(events: Vec<Event>, cursors: Cursors) -> PutBatch {
        let size = events.iter().map(Event::size).sum();
        let overhead = events.iter().map(Event::overhead).sum();
        PutBatch { events, size, overhead, cursors }
    }
}

/// Events on loan to a take transaction, each with its sequence at the same place.
#[derive(Default)]
pub(crate) struct Loan {
    pub(crate) sequences: Vec<u64>,
    pub(crate) events: Vec<Event>,
    /// Sum of [`Event::size`].
    pub(crate) size: u64,
}

impl Loan {
    pub(crate) fn push(&mut self, sequence: u64, event: Event) {
        self.size += event.size();
        self.sequences.push(sequence);
        self.events.push(event);
    }

    pub(crate) fn len(&self) -> usize {
        self.sequences.len()
    }
}

/// Takes ready to be committed.
#[derive(Default)]
pub(crate) struct TakeBatch {
    pub(crate) loan: Loan,
    pub(crate) cursors: Cursors,
}

/// What a loan may come to.
#[derive(Clone, Copy)]
pub(crate) struct LoanLimit {
    pub(crate) events: usize,
    /// The last event may exceed it: it was not known how large it is.
    pub(crate) bytes: u64,
}

/// How much is lent in one go at most, with everybody else kept waiting meanwhile.
const PART_EVENTS: usize = 1024;
const PART_BYTES: u64 = 1 << 20;

impl LoanLimit {
    pub(crate) fn is_reached(&self, loan: &Loan) -> bool {
        loan.len() >= self.events || loan.size >= self.bytes
    }

    /// What the loan may come to in the next go.
    fn part(&self, loan: &Loan) -> LoanLimit {
        LoanLimit {
            events: self.events.min(loan.len() + PART_EVENTS),
            bytes: self.bytes.min(loan.size + PART_BYTES),
        }
    }
}

/// Why there is no room for events.
pub(crate) enum Refusal {
    Full,
    TransactionFull,
    TooLarge,
    Stopped(Stopped),
    Closed,
}

impl Refusal {
    fn into_error<T>(self, refused: T) -> PutError<T> {
        match self {
            Refusal::Full => PutError::Full(refused),
            Refusal::TransactionFull => PutError::TransactionFull(refused),
            Refusal::TooLarge => PutError::TooLarge(refused),
            Refusal::Stopped(stopped) => PutError::Stopped(refused, stopped),
            Refusal::Closed => PutError::Closed(refused),
        }
    }
}

/// What a channel does beneath its transactions.
pub(crate) trait Backend: Send + Sync {
    fn options(&self) -> &ChannelOptions;
    /// What events that are put hold from then on.
    fn room(&self) -> &Room;
    /// Commits; on any error the room stays reserved and the caller releases it.
    fn commit_put(&self, batch: PutBatch) -> Result<(), CommitError>;
    /// Lends events, until there are no more or the loan has reached the limit. What was lent before an error
    /// is in the loan.
    fn take(&self, loan: &mut Loan, limit: LoanLimit) -> Result<(), TakeError>;
    /// Commits takes. On an error but `Stopped` the events have been given back.
    fn commit_take(&self, batch: TakeBatch) -> Result<(), CommitError>;
    /// Puts lent events back in their places.
    fn give_back(&self, loan: Loan);
}

/// A transaction of puts. Nothing is visible to consumers, or on disk, before [`commit`](Self::commit);
/// dropping it rolls back.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct PutTransaction {
    backend: Arc<dyn Backend>,
    batch: PutBatch,
}

impl PutTransaction {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> PutTransaction {
        PutTransaction { backend, batch: PutBatch::default() }
    }

    /// Adds an event, waiting for room when the channel is full. On an error the event is in the error and
    /// the transaction as it was.
    pub fn put(&mut self, event: Event) -> Result<(), PutError> {
        let wait = self.backend.options().put_wait;
        self.put_with(event, wait)
    }

    /// As [`put`](Self::put), without waiting for room. For all but the first event of a transaction:
    /// producers that each hold room for a part of theirs, and wait for the rest, wait for each other.
    pub fn try_put(&mut self, event: Event) -> Result<(), PutError> {
        self.put_with(event, Duration::ZERO)
    }

    /// Adds all of these events in their order, or none; costs less for each than [`put`](Self::put).
    ///
    /// As the first put of a transaction it waits for room, until there is enough for all of them; holding
    /// events already, it does not wait, since who holds a part and waits for the rest may wait for ever.
    /// Room goes to whoever it is enough for, so many events may wait for long where others put few at a
    /// time. On an error the events are in the error and the transaction as it was.
    pub fn put_all(&mut self, events: Vec<Event>) -> Result<(), PutError<Vec<Event>>> {
        let (count, mut size, mut overhead, mut largest) = (events.len(), 0u64, 0, 0);
        for event in &events {
            let own = event.size();
            size = size.saturating_add(own);
            overhead += event.overhead();
            largest = own.max(largest);
        }
        if count == 0 {
            return Ok(());
        }
        let options = self.backend.options();
        let most = options.transaction_bytes.min(options.capacity_bytes);
        if largest > most.min(EVENT_SIZE_MAX) {
            return Err(PutError::TooLarge(events));
        }
        let wait = if self.is_empty() { options.put_wait } else { Duration::ZERO };
        match self.reserve(count, size, wait) {
            Ok(()) => {
                self.batch.overhead += overhead;
                self.keep(events);
                Ok(())
            }
            Err(Refusal::TooLarge) => Err(PutError::TooMany(events)),
            Err(refusal) => Err(refusal.into_error(events)),
        }
    }

    fn keep(&mut self, mut events: Vec<Event>) {
        if !self.batch.events.is_empty() {
            self.batch.events.extend(events);
            return;
        }
        // They may stay for long, in what holds them.
        if events.capacity() / 2 > events.len() {
            events.shrink_to_fit();
        }
        self.batch.events = events;
    }

    fn put_with(&mut self, event: Event, wait: Duration) -> Result<(), PutError> {
        let size = event.size();
        if size > EVENT_SIZE_MAX {
            return Err(PutError::TooLarge(event));
        }
        match self.reserve(1, size, wait) {
            Ok(()) => {
                self.batch.overhead += event.overhead();
                self.batch.events.push(event);
                Ok(())
            }
            Err(refusal) => Err(refusal.into_error(event)),
        }
    }

    /// Reserves room in the transaction and in the channel, for events that then have to be added.
    fn reserve(&mut self, events: usize, size: u64, wait: Duration) -> Result<(), Refusal> {
        let options = self.backend.options();
        let (most, most_bytes) = (options.transaction_events, options.transaction_bytes);
        if events > most || size > most_bytes {
            return Err(Refusal::TooLarge);
        }
        if events > most - self.batch.events.len() || size > most_bytes - self.batch.size {
            return Err(Refusal::TransactionFull);
        }
        self.backend.room().reserve(events as u64, size, wait)?;
        self.batch.size += size;
        Ok(())
    }

    /// Sets the cursor `name`, durable in the same record as the events. A second value replaces the first.
    pub fn set_cursor(&mut self, name: &str, value: &[u8]) -> Result<(), CursorError> {
        set_cursor(&mut self.batch.cursors, name, Some(value))
    }

    /// Forgets the cursor `name` with the commit of this transaction.
    pub fn clear_cursor(&mut self, name: &str) -> Result<(), CursorError> {
        set_cursor(&mut self.batch.cursors, name, None)
    }

    /// Events put so far.
    pub fn len(&self) -> usize {
        self.batch.events.len()
    }

    /// Whether nothing was put yet.
    pub fn is_empty(&self) -> bool {
        self.batch.events.is_empty()
    }

    /// Commits: all events and cursors, or none. Returns when they are as durable as the channel's options
    /// ask. Committing nothing writes nothing. For the state an error leaves see [`CommitError`].
    pub fn commit(mut self) -> Result<(), CommitError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.events.is_empty() && batch.cursors.is_empty() {
            return Ok(());
        }
        let (events, size) = (batch.events.len() as u64, batch.size);
        let result = self.backend.commit_put(batch);
        // After `Stopped` the put is in doubt: it may have counted, and a consumer that saw it may have given
        // its room back already. A stopped channel has no more use for room.
        if !matches!(result, Ok(()) | Err(CommitError::Stopped(_))) {
            self.backend.room().release(events, size);
        }
        result
    }

    /// Forgets the events. The same as dropping the transaction.
    pub fn rollback(self) {}
}

impl Drop for PutTransaction {
    fn drop(&mut self) {
        if !self.batch.events.is_empty() && !planted!(RoomKept) {
            self.backend.room().release(self.batch.events.len() as u64, self.batch.size);
        }
    }
}

/// A transaction of takes. The events it has handed out belong to it until [`commit`](Self::commit), which
/// removes them from the channel for good; dropping it gives them back to their places.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct TakeTransaction {
    backend: Arc<dyn Backend>,
    batch: TakeBatch,
}

impl TakeTransaction {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> TakeTransaction {
        TakeTransaction { backend, batch: TakeBatch::default() }
    }

    /// Takes the next event; `None` when there is none at the moment. Never waits for one: see
    /// [`Channel::wait`](super::Channel::wait).
    pub fn take(&mut self) -> Result<Option<Event>, TakeError> {
        Ok(self.take_up_to(1)?.first().cloned())
    }

    /// Takes the next events, at most `count`, and shows them: none when there are none at the moment.
    /// Fewer than `count` says nothing about what follows: the next call gives what can be taken by then,
    /// or says why nothing can. Never waits for events. Costs less for each than [`take`](Self::take).
    pub fn take_up_to(&mut self, count: usize) -> Result<&[Event], TakeError> {
        let before = self.batch.loan.len();
        let options = self.backend.options();
        let limit =
            LoanLimit { events: options.transaction_events, bytes: options.transaction_bytes };
        if count > 0 && limit.is_reached(&self.batch.loan) {
            return Err(TakeError::TransactionFull);
        }
        let limit = LoanLimit { events: limit.events.min(before.saturating_add(count)), ..limit };
        let loan = &mut self.batch.loan;
        while !limit.is_reached(loan) {
            let part = limit.part(loan);
            match self.backend.take(loan, part) {
                Ok(()) if part.is_reached(loan) => {}
                Ok(()) => break,
                Err(error) if loan.len() == before => return Err(error),
                // Whoever comes again meets it again.
                Err(_) => break,
            }
        }
        Ok(&loan.events[before..])
    }

    /// Sets the cursor `name`, durable in the same record as the takes.
    pub fn set_cursor(&mut self, name: &str, value: &[u8]) -> Result<(), CursorError> {
        set_cursor(&mut self.batch.cursors, name, Some(value))
    }

    /// Forgets the cursor `name` with the commit of this transaction.
    pub fn clear_cursor(&mut self, name: &str) -> Result<(), CursorError> {
        set_cursor(&mut self.batch.cursors, name, None)
    }

    /// Events taken so far.
    pub fn len(&self) -> usize {
        self.batch.loan.len()
    }

    /// Whether nothing was taken yet.
    pub fn is_empty(&self) -> bool {
        self.batch.loan.sequences.is_empty()
    }

    /// Commits: the events are gone from the channel and the cursors set, or neither. For the state an error
    /// leaves see [`CommitError`]; events whose commit is unknown come back after reopening or do not.
    pub fn commit(mut self) -> Result<(), CommitError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.loan.sequences.is_empty() && batch.cursors.is_empty() {
            return Ok(());
        }
        self.backend.commit_take(batch)
    }

    /// Gives the events back to their places. The same as dropping the transaction.
    pub fn rollback(self) {}
}

impl Drop for TakeTransaction {
    fn drop(&mut self) {
        if !self.batch.loan.sequences.is_empty() {
            self.backend.give_back(std::mem::take(&mut self.batch.loan));
        }
    }
}

/// Whether there may be such a cursor: what is read back is held against it as what is set.
pub(crate) fn check_cursor(name: &str, value: Option<&[u8]>) -> Result<(), CursorError> {
    if name.is_empty() || name.len() > CURSOR_NAME_MAX {
        return Err(CursorError::Name);
    }
    if value.is_some_and(|value| value.len() > CURSOR_VALUE_MAX) {
        return Err(CursorError::Value);
    }
    Ok(())
}

fn set_cursor(cursors: &mut Cursors, name: &str, value: Option<&[u8]>) -> Result<(), CursorError> {
    check_cursor(name, value)?;
    if cursors.len() >= CURSORS_MAX && !cursors.contains_key(name) {
        return Err(CursorError::TooMany);
    }
    cursors.insert(name.to_string(), value.map(<[u8]>::to_vec));
    Ok(())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::channel::{Channel, ChannelOptions, MemoryChannel};

    /// I9: what is kept in memory is counted by the events there are, not by those there was room for.
    #[test]
    fn i9_no_more_memory_is_kept_than_events_need() {
        let channel = MemoryChannel::open(ChannelOptions::new()).expect("opens");
        let mut put = channel.begin_put();
        for (capacity, count) in [(100_000, 1), (10, 3)] {
            let mut events = Vec::with_capacity(capacity);
            events.resize(count, Event::new("a"));
            put.put_all(events).expect("there is room");
            assert!(put.batch.events.capacity() <= 2 * put.len().max(4), "{capacity}, {count}");
        }
        assert_eq!(put.len(), 4);
    }
}
