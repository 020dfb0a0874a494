//! The product: a durable, bounded, transactional queue of events.

mod error;
mod file;
#[cfg(all(test, loom))]
mod loom_tests;
mod memory;
mod options;
mod room;
mod signal;
mod transaction;

use std::collections::BTreeMap;
use std::time::Duration;

pub use error::{
    CloseError, CommitError, Corruption, CursorError, OpenError, PutError, Stopped, TakeError,
};
#[cfg(fuzzing)]
pub(crate) use file::fuzzing;
pub use file::{FileChannel, Recovery};
pub(crate) mod parts {
    //! What a channel's records and states mean, for the offline tools.

    pub(crate) use super::file::{
        Events, Queue, RangeSet, decode_ack, decode_put_head, lock_channel, open_error, owner_note,
    };
}
pub use memory::MemoryChannel;
pub use options::{
    AckDurability, ChannelOptions, Durability, EVENT_SIZE_MAX, InvalidOption, ReadMode,
    SEGMENT_SIZE_MAX, SEGMENT_SIZE_MIN, TRANSACTION_BYTES_MAX, TRANSACTION_EVENTS_MAX,
};
pub use transaction::{PutTransaction, TakeTransaction};

/// A transactional first-in-first-out queue of events.
///
/// Any number of producers and consumers may use one channel at once, through clones of a handle or an
/// `Arc<dyn Channel>`. Events come out in the order of the commits that put them in, and within a
/// transaction in the order of its puts; each is given to one consumer, and to another (or the same) again
/// only when the take that holds it is rolled back or the process ends before that take commits.
pub trait Channel: Send + Sync {
    /// Begins a transaction of puts. Costs nothing until something is put.
    fn begin_put(&self) -> PutTransaction;

    /// Begins a transaction of takes.
    fn begin_take(&self) -> TakeTransaction;

    /// Sleeps until an event can be taken, `timeout` has passed, or the channel is closed or has stopped.
    /// True when an event can be taken; another consumer may still be quicker.
    fn wait(&self, timeout: Duration) -> bool;

    /// Counts, as of now.
    fn stats(&self) -> ChannelStats;

    /// The value last committed for the cursor `name` by a put or a take.
    fn cursor(&self, name: &str) -> Option<Vec<u8>>;

    /// All cursors whose names begin with `prefix`.
    fn cursors(&self, prefix: &str) -> BTreeMap<String, Vec<u8>>;

    /// Most events one transaction may hold.
    fn transaction_events(&self) -> usize;

    /// Ends the use of the channel: waits for commits in flight, makes everything durable and notes that the
    /// stop was a clean one. Transactions still open are rolled back; later calls get `Closed`.
    fn close(&self) -> Result<(), CloseError>;
}

/// What a channel holds and has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStats {
    /// Events in the channel: committed puts less committed takes.
    pub events: u64,
    /// Their size in bytes, as [`Event::size`](crate::Event::size) counts it.
    pub bytes: u64,
    /// Events handed to take transactions that are still open.
    pub in_flight: u64,
    /// The sequence of the oldest event not yet taken for good.
    pub oldest_sequence: u64,
    /// The sequence the next event put will get.
    pub next_sequence: u64,
    /// Most events the channel may hold.
    pub capacity_events: u64,
    /// Most bytes the channel may hold.
    pub capacity_bytes: u64,
    /// Events put and committed since the opening.
    pub events_put: u64,
    /// Events taken and committed since the opening.
    pub events_taken: u64,
    /// Put transactions committed since the opening.
    pub puts_committed: u64,
    /// Take transactions committed since the opening.
    pub takes_committed: u64,
    /// Syncs of the log since the opening; fewer than commits when commits share them.
    pub syncs: u64,
    /// Segment files that hold the log; 0 in memory.
    pub segments: u64,
    /// Bytes of disk that the channel's files occupy, spares included; 0 in memory.
    pub disk_bytes: u64,
    /// Bytes of the files that let takes go on while the disk is full, when they are complete; 0 in memory.
    pub reserve_bytes: u64,
    /// How many of these are missing. While any are, puts are refused for want of space.
    pub reserve_missing: u64,
}

impl ChannelStats {
    /// What puts that were refused for want of space wait for, as a sentence.
    pub fn missing_space(&self) -> String {
        let (missing, whole) = (self.reserve_missing, self.reserve_bytes);
        match missing {
            0 => format!(
                "the reserve of {whole} bytes is complete; what is missing is a segment's room"
            ),
            _ => format!(
                "puts go on when the reserve is complete: it lacks {missing} of {whole} bytes"
            ),
        }
    }
}
