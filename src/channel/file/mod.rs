//! The durable channel: a queue and the log that explains it.

mod acks;
mod buffers;
mod codec;
mod core;
mod delivery;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod inner;
mod maintenance;
mod queue;
mod ranges;
mod recovery;
#[cfg(all(test, shuttle))]
mod shuttle_tests;
mod tail;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::codec::{Events, decode_ack, decode_put_head};
use self::inner::Inner;
use self::maintenance::Maintenance;
pub(crate) use self::queue::Queue;
pub(crate) use self::ranges::RangeSet;
pub use self::recovery::Recovery;
pub(crate) use self::recovery::{lock_channel, open_error, owner_note};
use super::transaction::Backend;
use super::{
    Channel, ChannelOptions, ChannelStats, CloseError, Durability, OpenError, PutTransaction,
    TakeTransaction,
};
use crate::storage::{OsStorage, Storage, StorageError};
use crate::sync::lock;

/// A durable channel in a directory. Clones share it.
///
/// The directory has one owner at a time, in all processes. Dropping the last clone releases it without a
/// clean close: nothing is lost by that, but the next opening replays what came after the last checkpoint.
///
/// ```
/// use flumen::{Channel, ChannelOptions, Event, FileChannel};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("queue");
/// let channel = FileChannel::open(&directory, ChannelOptions::new())?;
/// let mut put = channel.begin_put();
/// put.put(Event::new("hello"))?;
/// put.commit()?; // on disk now
/// let mut take = channel.begin_take();
/// while let Some(event) = take.take()? {
///     assert_eq!(&*event.body, b"hello");
/// }
/// take.commit()?; // gone for good now
/// channel.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FileChannel {
    handle: Arc<Handle>,
}

/// Ends the helper thread when the last clone of the channel goes.
struct Handle {
    /// Held for its drop; first, so that it ends before what it works on.
    _maintenance: Option<Maintenance>,
    inner: Arc<Inner>,
    recovery: Recovery,
}

impl FileChannel {
    /// Opens the channel in `directory`, or makes one there: see [`ChannelOptions::create`]. Recovers from
    /// whatever ended the last use. After an unclean stop that costs reading what was written since the last
    /// checkpoint, at most a segment; it does not depend on how much is queued.
    pub fn open(
        directory: impl AsRef<Path>,
        options: ChannelOptions,
    ) -> Result<FileChannel, OpenError> {
        options.validate()?;
        let directory = directory.as_ref();
        let storage = OsStorage::new(directory, options.create).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound && !options.create {
                let path = directory.display().to_string();
                return OpenError::NotAChannel {
                    path,
                    reason: "there is no such directory".into(),
                };
            }
            OpenError::Storage(error)
        })?;
        FileChannel::open_on(Arc::new(storage), options)
    }

    /// As [`FileChannel::open`], on any storage: for tests with a simulated disk, and for embedders that
    /// bring their own.
    pub fn open_on(
        storage: Arc<dyn Storage>,
        options: ChannelOptions,
    ) -> Result<FileChannel, OpenError> {
        options.validate()?;
        let (inner, recovery) = recovery::open(storage, options)?;
        let inner = Arc::new(inner);
        let maintenance = match inner.options.background {
            true => Some(Maintenance::start(&inner).map_err(|source| {
                OpenError::Storage(StorageError {
                    operation: "start a thread for",
                    path: recovery.location.clone(),
                    source: Arc::new(source),
                })
            })?),
            false => None,
        };
        Ok(FileChannel { handle: Arc::new(Handle { _maintenance: maintenance, inner, recovery }) })
    }

    /// What opening the channel found.
    pub fn recovery(&self) -> &Recovery {
        &self.handle.recovery
    }

    /// Makes everything committed so far durable, whatever the channel's options say; waits for it.
    /// [`CloseError::NoSpace`] where a full disk has no room for some lazy acks: all else is durable, these
    /// go on waiting for room, and the channel goes on.
    pub fn sync(&self) -> Result<(), CloseError> {
        self.inner().sync()
    }

    /// Stores the queue's state aside, which makes the next opening quicker, and frees the disk space of
    /// segments whose events are all taken. Never needed for safety; happens at intervals by itself.
    pub fn checkpoint(&self) -> Result<(), CloseError> {
        self.inner().checkpoint()
    }

    /// Does at once everything the helper thread does at intervals: commits lazy acks as far as there is
    /// room, syncs, states in the log what is synced, takes a checkpoint. For channels opened without that
    /// thread.
    pub fn maintain(&self) -> Result<(), CloseError> {
        let inner = self.inner();
        inner.push_lazy()?;
        inner.sync_behind()?;
        if let Durability::Interval(_) = inner.options.durability {
            inner.sync_what_fits()?;
        }
        if lock(&inner.core().shown).unwitnessed {
            inner.witness()?;
        }
        inner.checkpoint()
    }

    /// What the helper thread does when it is woken before its time.
    #[cfg(all(test, loom))]
    pub(super) fn sync_behind(&self) -> Result<(), CloseError> {
        self.inner().sync_behind()
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }
}

impl Channel for FileChannel {
    fn begin_put(&self) -> PutTransaction {
        PutTransaction::new(Arc::clone(self.inner()) as Arc<dyn Backend>)
    }

    fn begin_take(&self) -> TakeTransaction {
        TakeTransaction::new(Arc::clone(self.inner()) as Arc<dyn Backend>)
    }

    fn wait(&self, timeout: Duration) -> bool {
        let inner = self.inner();
        let ready = || match inner.ended() {
            Some(_) => Some(false),
            None => lock(&inner.delivery).has_next(&inner.core().shown).then_some(true),
        };
        inner.core().news.wait_until(timeout, ready).unwrap_or(false)
    }

    fn stats(&self) -> ChannelStats {
        let inner = self.inner();
        let core = inner.core();
        let in_flight = lock(&inner.delivery).lent();
        let (segments, disk_bytes) = core.log.space();
        let (reserve_bytes, reserve_missing) = core.log.reserve();
        let shown = lock(&core.shown);
        ChannelStats {
            events: shown.queue.events(),
            bytes: shown.queue.bytes(),
            in_flight,
            oldest_sequence: shown.queue.acked().low(),
            next_sequence: shown.queue.next_sequence(),
            capacity_events: inner.options.capacity_events,
            capacity_bytes: inner.options.capacity_bytes,
            events_put: shown.counts.events_put,
            events_taken: shown.counts.events_taken,
            puts_committed: shown.counts.puts_committed,
            takes_committed: shown.counts.takes_committed,
            syncs: core.log.syncs(),
            segments,
            disk_bytes,
            reserve_bytes,
            reserve_missing,
        }
    }

    fn cursor(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.inner().core().shown).queue.cursors().get(name).cloned()
    }

    fn cursors(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let shown = lock(&self.inner().core().shown);
        let from = shown.queue.cursors().range(prefix.to_string()..);
        from.take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn transaction_events(&self) -> usize {
        self.inner().options.transaction_events
    }

    fn close(&self) -> Result<(), CloseError> {
        self.inner().close()
    }
}
