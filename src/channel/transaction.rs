//! Put and take transactions: the half of the semantics that every channel shares.
//!
//! A transaction owns its handle on the channel, so it can move to another thread. Commit and rollback
//! consume it; dropping it rolls back, which writes nothing and cannot fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{CommitError, CursorError, PutError, Stopped, TakeError};
use super::options::EVENT_SIZE_MAX;
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
    pub(crate) cursors: Cursors,
}

#[cfg(any(test, fuzzing))]
impl PutBatch {
    pub(crate) fn new(events: Vec<Event>, cursors: Cursors) -> PutBatch {
        PutBatch { size: events.iter().map(Event::size).sum(), events, cursors }
    }
}

/// An event on loan to a take transaction.
#[derive(Clone)]
pub(crate) struct Taken {
    pub(crate) sequence: u64,
    pub(crate) event: Event,
}

/// Takes ready to be committed.
#[derive(Default)]
pub(crate) struct TakeBatch {
    pub(crate) taken: Vec<Taken>,
    /// Sum of [`Event::size`].
    pub(crate) size: u64,
    pub(crate) cursors: Cursors,
}

/// Why there is no room for an event.
pub(crate) enum Refusal {
    Full,
    TooLarge,
    Stopped(Stopped),
    Closed,
}

/// What a channel does beneath its transactions.
pub(crate) trait Backend: Send + Sync {
    fn transaction_events(&self) -> usize;
    fn transaction_bytes(&self) -> u64;
    /// Reserves room for one event of `size` bytes, waiting as long as a put may.
    fn reserve(&self, size: u64) -> Result<(), Refusal>;
    /// As [`reserve`](Self::reserve), without waiting.
    fn try_reserve(&self, size: u64) -> Result<(), Refusal>;
    /// Gives reserved room back.
    fn release(&self, events: u64, size: u64);
    /// Commits; on any error the room stays reserved and the caller releases it.
    fn commit_put(&self, batch: PutBatch) -> Result<(), CommitError>;
    /// Lends the next event.
    fn take(&self) -> Result<Option<Taken>, TakeError>;
    /// Commits takes. On an error but `Stopped` the events have been given back.
    fn commit_take(&self, batch: TakeBatch) -> Result<(), CommitError>;
    /// Puts lent events back in their places.
    fn give_back(&self, taken: Vec<Taken>);
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
        self.put_with(event, |backend, size| backend.reserve(size))
    }

    /// As [`put`](Self::put), without waiting for room. For all but the first event of a transaction:
    /// producers that each hold room for a part of theirs, and wait for the rest, wait for each other.
    pub fn try_put(&mut self, event: Event) -> Result<(), PutError> {
        self.put_with(event, |backend, size| backend.try_reserve(size))
    }

    fn put_with(
        &mut self,
        event: Event,
        reserve: impl FnOnce(&dyn Backend, u64) -> Result<(), Refusal>,
    ) -> Result<(), PutError> {
        let size = event.size();
        if size > EVENT_SIZE_MAX || size > self.backend.transaction_bytes() {
            return Err(PutError::TooLarge(event));
        }
        if self.batch.events.len() >= self.backend.transaction_events()
            || self.batch.size + size > self.backend.transaction_bytes()
        {
            return Err(PutError::TransactionFull(event));
        }
        match reserve(&*self.backend, size) {
            Ok(()) => {
                self.batch.size += size;
                self.batch.events.push(event);
                Ok(())
            }
            Err(Refusal::Full) => Err(PutError::Full(event)),
            Err(Refusal::TooLarge) => Err(PutError::TooLarge(event)),
            Err(Refusal::Stopped(stopped)) => Err(PutError::Stopped(event, stopped)),
            Err(Refusal::Closed) => Err(PutError::Closed(event)),
        }
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
            self.backend.release(events, size);
        }
        result
    }

    /// Forgets the events. The same as dropping the transaction.
    pub fn rollback(self) {}
}

impl Drop for PutTransaction {
    fn drop(&mut self) {
        if !self.batch.events.is_empty() && !planted!(RoomKept) {
            self.backend.release(self.batch.events.len() as u64, self.batch.size);
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
        if self.batch.taken.len() >= self.backend.transaction_events()
            || self.batch.size >= self.backend.transaction_bytes()
        {
            return Err(TakeError::TransactionFull);
        }
        let Some(taken) = self.backend.take()? else {
            return Ok(None);
        };
        let event = taken.event.clone();
        self.batch.size += event.size();
        self.batch.taken.push(taken);
        Ok(Some(event))
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
        self.batch.taken.len()
    }

    /// Whether nothing was taken yet.
    pub fn is_empty(&self) -> bool {
        self.batch.taken.is_empty()
    }

    /// Commits: the events are gone from the channel and the cursors set, or neither. For the state an error
    /// leaves see [`CommitError`]; events whose commit is unknown come back after reopening or do not.
    pub fn commit(mut self) -> Result<(), CommitError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.taken.is_empty() && batch.cursors.is_empty() {
            return Ok(());
        }
        self.backend.commit_take(batch)
    }

    /// Gives the events back to their places. The same as dropping the transaction.
    pub fn rollback(self) {}
}

impl Drop for TakeTransaction {
    fn drop(&mut self) {
        if !self.batch.taken.is_empty() {
            self.backend.give_back(std::mem::take(&mut self.batch.taken));
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
