//! The file channel beneath its transactions: room, commits, loans, and what is done at intervals.

use std::sync::atomic::Ordering;

use super::acks::{Acks, CURSOR_BYTES_MAX};
use super::core::{Core, Ended, Entry};
use super::delivery::Delivery;
use crate::channel::options::{AckDurability, ChannelOptions, Durability};
use crate::channel::room::Room;
use crate::channel::transaction::{Backend, Loan, LoanLimit, PutBatch, TakeBatch};
use crate::channel::{CloseError, CommitError, Stopped, TakeError};
use crate::event::Event;
use crate::log::{GroupCommit, Kind, LogError};
use crate::storage::Lock;
use crate::sync::{AtomicBool, Mutex, lock};

pub(crate) struct Inner {
    pub(super) options: ChannelOptions,
    pub(super) commit: GroupCommit<Core>,
    pub(super) delivery: Mutex<Delivery>,
    room: Room,
    /// Acks that wait for the next commit.
    lazy: Mutex<Acks>,
    closed: AtomicBool,
    /// Excludes other owners for as long as anything can write.
    _lock: Box<dyn Lock>,
}

impl Inner {
    pub(super) fn new(
        options: ChannelOptions,
        core: Core,
        delivery: Delivery,
        owner: Box<dyn Lock>,
    ) -> Inner {
        let (events, bytes) = {
            let shown = lock(&core.shown);
            (shown.queue.events(), shown.queue.bytes())
        };
        let room = Room::new(options.capacity_events, options.capacity_bytes, events, bytes);
        Inner {
            options,
            commit: GroupCommit::new(core),
            delivery: Mutex::new(delivery),
            room,
            lazy: Mutex::default(),
            closed: AtomicBool::new(false),
            _lock: owner,
        }
    }

    pub(super) fn core(&self) -> &Core {
        self.commit.groups()
    }

    /// Why nothing can be done any more, if so.
    pub(super) fn ended(&self) -> Option<Ended> {
        if self.closed.load(Ordering::Acquire) {
            return Some(Ended::Closed);
        }
        self.commit.failure()
    }

    /// Stops the channel for good, and wakes everybody who waits for anything.
    fn stop(&self, stopped: &Stopped) {
        self.commit.fail(Ended::Stopped(stopped.clone()));
        if !planted!(FailureUnheard) {
            self.room.stop(stopped.clone());
        }
        self.core().news.raise();
    }

    /// Notes an error that ended a commit.
    fn note(&self, ended: &Ended) {
        if let Ended::Stopped(stopped) = ended {
            self.stop(stopped);
        }
    }

    /// Hands the waiting lazy acks to the next group, with those that a full disk refused before.
    fn send_lazy(&self) {
        let sent = self.send(&mut lock(&self.lazy));
        if let Err(ended) = sent {
            self.note(&ended);
        }
    }

    /// The same before a commit whose cursors are later ones. Most find no acks that wait, and take no lock
    /// for them.
    fn send_lazy_if_any(&self) {
        if self.core().acks_wait.load(Ordering::Acquire) {
            self.send_lazy();
        }
    }

    /// As [`Inner::send_lazy`] with these, the lazy ones, which stay locked until they are in the queue of
    /// commits: a close, or a commit that sets the same cursor, must not get in between.
    fn send(&self, lazy: &mut Acks) -> Result<(), Ended> {
        let (core, sync) = (self.core(), self.lazy_needs_sync());
        let mut submitted = Ok(());
        // What was refused may be too large to get through before there is room; so it goes by itself, and
        // those that make room behind it.
        let is_asked = lock(&core.refused).note_asked();
        if is_asked {
            submitted = self.commit.submit(Entry::refused(sync));
        }
        if submitted.is_ok() && lazy.transactions > 0 {
            submitted = self.commit.submit(Entry::lazy_ack(std::mem::take(lazy), sync));
        }
        let refused = lock(&core.refused);
        core.acks_wait.store(refused.is_wanting(), Ordering::Release);
        // After a failure it is in doubt what becomes of the acks. A close rejects none: it sends them all.
        submitted.map_err(|rejected| rejected.error)
    }

    /// Under lazy puts a lazy ack is not worth a sync of its own.
    fn lazy_needs_sync(&self) -> bool {
        self.options.durability == Durability::Sync
    }

    /// Commits the waiting lazy acks now, as far as there is room.
    pub(super) fn push_lazy(&self) -> Result<(), CloseError> {
        let pushed = self.in_rounds(|| {
            self.send_lazy();
            self.commit.push().map_err(|ended| self.close_error(ended))
        });
        match pushed {
            Err(CloseError::NoSpace { .. }) => Ok(()),
            other => other,
        }
    }

    /// Makes everything durable that was committed; an error where there is no room for all of it.
    pub(super) fn sync(&self) -> Result<(), CloseError> {
        self.in_rounds(|| self.sync_what_fits())
    }

    /// Does `round`, which sends what was refused once more, until nothing is refused any more, and nothing
    /// of it has got into the log since the round began: somebody else's commit may have taken it along,
    /// behind what the round has synced. An error when a second round in turn changes nothing: what came
    /// behind it in the first may have made room.
    fn in_rounds(&self, round: impl Fn() -> Result<(), CloseError>) -> Result<(), CloseError> {
        let mut is_last = false;
        loop {
            let before = lock(&self.core().refused).changes();
            round()?;
            let refused = lock(&self.core().refused);
            match refused.check() {
                _ if refused.changes() != before => is_last = false,
                Err(_) if !is_last => is_last = true,
                result => return result,
            }
        }
    }

    /// Makes everything durable that was committed, but acks for which there is no room.
    pub(super) fn sync_what_fits(&self) -> Result<(), CloseError> {
        self.send_lazy();
        self.run(Entry::sync_only())
    }

    /// As [`Inner::sync_what_fits`], unless all is durable already.
    pub(super) fn sync_if_needed(&self) -> Result<(), CloseError> {
        let visible = lock(&self.core().shown).visible;
        if self.core().log.watermark() < visible { self.sync_what_fits() } else { Ok(()) }
    }

    /// Does what commits would have to wait for: syncs what was written, once that is much, and the names of
    /// the files that wait.
    pub(super) fn sync_behind(&self) -> Result<(), CloseError> {
        if let Some(ended) = self.ended() {
            return Err(self.close_error(ended));
        }
        let log = &self.core().log;
        log.sync_behind()
            .and_then(|()| log.settle())
            .map_err(|error| self.close_error(Ended::from(error)))
    }

    /// Writes a record whose only purpose is to witness that everything before it was synced.
    pub(super) fn witness(&self) -> Result<(), CloseError> {
        lock(&self.core().shown).unwitnessed = false;
        self.run(Entry::bare(Kind::Watermark))
    }

    /// Stores the queue's state aside, and gives segments back that nothing needs.
    pub(super) fn checkpoint(&self) -> Result<(), CloseError> {
        // It may not need a commit, which would say so: after a failed write nothing more is written.
        if let Some(ended) = self.ended() {
            return Err(self.close_error(ended));
        }
        self.core().with_view(|view| {
            if self.core().log.watermark() < view.lsn && !planted!(CheckpointBeforeLogSync) {
                self.run(Entry::sync_only())?;
            }
            self.core().log.checkpoint(view).map_err(|error| self.close_error(Ended::from(error)))
        })
    }

    fn run(&self, entry: Entry) -> Result<(), CloseError> {
        self.commit.commit(entry).map(|_| ()).map_err(|rejected| self.close_error(rejected.error))
    }

    fn close_error(&self, ended: Ended) -> CloseError {
        self.note(&ended);
        match ended {
            Ended::Stopped(stopped) => CloseError::Stopped(stopped),
            Ended::Closed => CloseError::Closed,
        }
    }

    pub(super) fn close(&self) -> Result<(), CloseError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(CloseError::Closed);
        }
        self.room.close();
        self.core().news.raise();
        if !planted!(LazyAcksLostAtClose) {
            self.send_lazy();
        }
        let is_refused = lock(&self.core().refused).check().is_err();
        if is_refused {
            self.push_lazy()?;
        }
        self.commit.close(Entry::bare(Kind::Close)).map_err(|ended| self.close_error(ended))?;
        let core = self.core();
        core.with_view(|view| core.log.close(view))
            .map_err(|error| self.close_error(Ended::from(error)))?;
        lock(&core.refused).check()
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
        self.send_lazy_if_any();
        let Some(mut batch) = self.try_put(batch)? else { return Ok(()) };
        // The segment that the reader has open is never recycled, though nothing in it may be wanted any
        // more; on a small disk it can be all the room there is.
        if lock(&self.delivery).let_go() {
            let Some(again) = self.try_put(batch)? else { return Ok(()) };
            batch = again;
        }
        Err(CommitError::NoSpace(batch.events))
    }

    fn take(&self, loan: &mut Loan, limit: LoanLimit) -> Result<(), TakeError> {
        match self.ended() {
            Some(Ended::Stopped(stopped)) => return Err(TakeError::Stopped(stopped)),
            Some(Ended::Closed) => return Err(TakeError::Closed),
            None => {}
        }
        let lent = lock(&self.delivery).lend(loan, limit, &self.core().shown);
        lent.map_err(|error| match error {
            LogError::Damaged(damage) => TakeError::Corrupt(damage.into()),
            LogError::Storage(error) => TakeError::Storage(error),
            LogError::Absent(_) | LogError::Unsupported { .. } => {
                unreachable!("reading an open log meets damage or I/O errors only")
            }
        })
    }

    fn commit_take(&self, batch: TakeBatch) -> Result<(), CommitError> {
        let (events, size) = (batch.loan.len() as u64, batch.loan.size);
        let acks = Acks::of(&batch);
        let is_lazy = matches!(self.options.ack_durability, AckDurability::Lazy(_));
        if is_lazy && acks.cursor_bytes() < CURSOR_BYTES_MAX {
            return self.commit_lazily(acks, batch);
        }
        self.send_lazy_if_any();
        let sync = !is_lazy || self.lazy_needs_sync();
        match self.commit.commit(Entry::ack(acks, sync)) {
            Ok(None) => {}
            Ok(Some(_)) => {
                self.give_back(batch.loan);
                return Err(CommitError::NoSpace(Vec::new()));
            }
            Err(rejected) => return Err(self.take_failed(rejected.error, batch.loan)),
        }
        lock(&self.delivery).settle(events);
        self.room.release(events, size);
        if planted!(RoomGivenTwice) {
            self.room.release(events, size);
        }
        Ok(())
    }

    fn give_back(&self, loan: Loan) {
        lock(&self.delivery).give_back(loan);
        self.core().news.raise();
    }
}

impl Inner {
    /// Commits a put, which comes back when the disk has no room for it.
    fn try_put(&self, batch: PutBatch) -> Result<Option<PutBatch>, CommitError> {
        let sync = self.options.durability == Durability::Sync;
        let core = self.core();
        let entry = Entry::put(&core.buffers, |size| core.log.form_of(size), batch, sync);
        match self.commit.commit(entry) {
            Ok(refused) => Ok(refused.and_then(Entry::into_put)),
            Err(rejected) => {
                let batch = rejected.entry.and_then(Entry::into_put).unwrap_or_default();
                Err(self.commit_error(rejected.error, batch.events))
            }
        }
    }

    fn commit_lazily(&self, acks: Acks, batch: TakeBatch) -> Result<(), CommitError> {
        let (events, size) = (acks.events, acks.size);
        let (is_many, sent) = {
            // Looked at under the lock: a close first says so and then takes what is here.
            let mut lazy = lock(&self.lazy);
            if let Some(ended) = self.ended() {
                drop(lazy);
                return Err(self.take_failed(ended, batch.loan));
            }
            let is_many = !lazy.has_room_for(&acks);
            let sent = if is_many { self.send(&mut lazy) } else { Ok(()) };
            lazy.merge(acks);
            self.core().acks_wait.store(true, Ordering::Release);
            (is_many, sent)
        };
        lock(&self.delivery).settle(events);
        self.room.release(events, size);
        if let Err(ended) = sent {
            self.note(&ended);
        }
        if is_many {
            self.commit.push().map_err(|ended| self.commit_error(ended, Vec::new()))?;
        }
        Ok(())
    }

    /// What becomes of a take whose ack was not taken.
    fn take_failed(&self, ended: Ended, loan: Loan) -> CommitError {
        match &ended {
            // In doubt: reopening tells. Handing the events out again would be wrong.
            Ended::Stopped(_) => lock(&self.delivery).settle(loan.len() as u64),
            Ended::Closed => self.give_back(loan),
        }
        self.commit_error(ended, Vec::new())
    }

    /// The error of a commit that was not taken. A closed channel gives back `events`; after a failure it
    /// is in doubt what becomes of them.
    fn commit_error(&self, ended: Ended, events: Vec<Event>) -> CommitError {
        self.note(&ended);
        match ended {
            Ended::Stopped(stopped) => CommitError::Stopped(stopped),
            Ended::Closed => CommitError::Closed(events),
        }
    }
}
