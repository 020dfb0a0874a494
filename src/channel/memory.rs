//! The channel without a disk: the same semantics, and nothing left when the process ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::room::Room;
use super::signal::Signal;
use super::transaction::{Backend, Cursors, Loan, LoanLimit, PutBatch, TakeBatch};
use super::{
    Channel, ChannelOptions, ChannelStats, CloseError, CommitError, OpenError, PutTransaction,
    TakeError, TakeTransaction,
};
use crate::event::Event;
use crate::sync::{Mutex, lock};

/// A channel in memory: fast, bounded, and empty after every start. Clones share it.
///
/// Of the options those about disks have no effect. Cursors live as long as the events: until the
/// process ends.
///
/// ```
/// use flumen::{Channel, ChannelOptions, Event, MemoryChannel};
///
/// let channel = MemoryChannel::open(ChannelOptions::new().capacity_events(100))?;
/// let mut put = channel.begin_put();
/// put.put(Event::new("hello"))?;
/// put.commit()?;
/// let mut take = channel.begin_take();
/// assert_eq!(&*take.take()?.expect("one event was put").body, b"hello");
/// take.commit()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryChannel {
    inner: Arc<Inner>,
}

struct Inner {
    options: ChannelOptions,
    room: Room,
    news: Signal,
    state: Mutex<State>,
}

/// Each event is in exactly one of `queue`, `returned` and, by its sequence, `lent`.
#[derive(Default)]
struct State {
    /// Never lent yet; the first has the sequence `next_take`.
    queue: VecDeque<Event>,
    next_take: u64,
    /// Lent and given back. All of them are older than the queue, so they are taken first.
    returned: BTreeMap<u64, Event>,
    /// Sequences of events that open take transactions hold.
    lent: BTreeSet<u64>,
    bytes: u64,
    cursors: BTreeMap<String, Vec<u8>>,
    closed: bool,
    events_put: u64,
    events_taken: u64,
    puts_committed: u64,
    takes_committed: u64,
}

impl MemoryChannel {
    /// An empty channel. The only failure is an option that cannot be.
    pub fn open(options: ChannelOptions) -> Result<MemoryChannel, OpenError> {
        options.validate()?;
        let room = Room::new(options.capacity_events, options.capacity_bytes, 0, 0);
        let inner = Inner { options, room, news: Signal::new(), state: Mutex::default() };
        Ok(MemoryChannel { inner: Arc::new(inner) })
    }
}

impl Channel for MemoryChannel {
    fn begin_put(&self) -> PutTransaction {
        PutTransaction::new(Arc::clone(&self.inner) as Arc<dyn Backend>)
    }

    fn begin_take(&self) -> TakeTransaction {
        TakeTransaction::new(Arc::clone(&self.inner) as Arc<dyn Backend>)
    }

    fn wait(&self, timeout: Duration) -> bool {
        let ready = || {
            let state = lock(&self.inner.state);
            match (state.closed, state.has_next()) {
                (true, _) => Some(false),
                (false, true) => Some(true),
                (false, false) => None,
            }
        };
        self.inner.news.wait_until(timeout, ready).unwrap_or(false)
    }

    fn stats(&self) -> ChannelStats {
        let state = lock(&self.inner.state);
        let returned = state.returned.first_key_value().map(|(first, _)| *first);
        let lent = state.lent.first().copied();
        ChannelStats {
            events: (state.queue.len() + state.returned.len() + state.lent.len()) as u64,
            bytes: state.bytes,
            in_flight: state.lent.len() as u64,
            oldest_sequence: returned.into_iter().chain(lent).min().unwrap_or(state.next_take),
            next_sequence: state.next_take + state.queue.len() as u64,
            capacity_events: self.inner.options.capacity_events,
            capacity_bytes: self.inner.options.capacity_bytes,
            events_put: state.events_put,
            events_taken: state.events_taken,
            puts_committed: state.puts_committed,
            takes_committed: state.takes_committed,
            ..ChannelStats::default()
        }
    }

    fn cursor(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.inner.state).cursors.get(name).cloned()
    }

    fn cursors(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        lock(&self.inner.state)
            .cursors
            .range(prefix.to_string()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn transaction_events(&self) -> usize {
        self.inner.options.transaction_events
    }

    fn close(&self) -> Result<(), CloseError> {
        let closed = std::mem::replace(&mut lock(&self.inner.state).closed, true);
        if closed {
            return Err(CloseError::Closed);
        }
        self.inner.room.close();
        self.inner.news.raise();
        Ok(())
    }
}

impl Backend for Inner {
    fn options(&self) -> &ChannelOptions {
        &self.options
    }

    fn room(&self) -> &Room {
        &self.room
    }

    fn commit_put(&self, batch: PutBatch) -> Result<(), CommitError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(CommitError::Closed(batch.events));
        }
        state.events_put += batch.events.len() as u64;
        state.puts_committed += 1;
        state.bytes += batch.size;
        state.queue.extend(batch.events);
        state.set_cursors(batch.cursors);
        drop(state);
        self.news.raise();
        Ok(())
    }

    fn take(&self, loan: &mut Loan, limit: LoanLimit) -> Result<(), TakeError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(TakeError::Closed);
        }
        while !limit.is_reached(loan)
            && let Some((sequence, event)) = state.lend()
        {
            loan.push(sequence, event);
        }
        Ok(())
    }

    fn commit_take(&self, batch: TakeBatch) -> Result<(), CommitError> {
        let (events, size) = (batch.loan.len() as u64, batch.loan.size);
        let mut state = lock(&self.state);
        if state.closed {
            state.give_back(batch.loan);
            return Err(CommitError::Closed(Vec::new()));
        }
        for sequence in &batch.loan.sequences {
            state.lent.remove(sequence);
        }
        state.events_taken += events;
        state.takes_committed += 1;
        state.bytes -= size;
        state.set_cursors(batch.cursors);
        drop(state);
        self.room.release(events, size);
        Ok(())
    }

    fn give_back(&self, loan: Loan) {
        lock(&self.state).give_back(loan);
        self.news.raise();
    }
}

impl State {
    fn has_next(&self) -> bool {
        !self.returned.is_empty() || !self.queue.is_empty()
    }

    fn lend(&mut self) -> Option<(u64, Event)> {
        let (sequence, event) = match self.returned.pop_first() {
            Some(oldest) => oldest,
            None => {
                let event = self.queue.pop_front()?;
                self.next_take += 1;
                (self.next_take - 1, event)
            }
        };
        self.lent.insert(sequence);
        Some((sequence, event))
    }

    fn give_back(&mut self, loan: Loan) {
        for (sequence, event) in loan.sequences.into_iter().zip(loan.events) {
            self.lent.remove(&sequence);
            self.returned.insert(sequence, event);
        }
    }

    fn set_cursors(&mut self, cursors: Cursors) {
        for (name, value) in cursors {
            match value {
                Some(value) => self.cursors.insert(name, value),
                None => self.cursors.remove(&name),
            };
        }
    }
}
