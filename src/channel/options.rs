//! Every limit of a channel, with its unit, its default and the reason for it.

use std::fmt;
use std::time::Duration;

/// When the `commit` of a put transaction returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After a sync: no crash of process, kernel or power loses the events. The default. Commits of several
    /// threads share syncs: the first may wait for those that were with it in the last one, for a third of a
    /// sync, on while they come, for one and a half or 10 ms at most; seldom where they do not come.
    Sync,
    /// After the write; a sync follows within the interval. A crash of the process loses nothing, a power
    /// cut at most what was committed within the interval.
    Interval(Duration),
    /// After the write; the operating system writes back when it likes. A crash of the process loses
    /// nothing, a power cut whatever was not written back yet.
    Os,
}

/// When the `commit` of a take transaction returns. Either way a crash never loses an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckDurability {
    /// After a sync: a taken event never comes back. The default.
    Sync,
    /// At once; the log learns of it with the next commit or within the window. A crash may deliver again
    /// what was taken within the window, or since a full disk has had no room for acks. (A commit that sets
    /// 8 KiB of cursors or more waits until it is written, and synced as a put: there may be no room for so
    /// much, which it then says.)
    Lazy(Duration),
}

/// How events that are no longer in memory are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// Positional reads in large blocks. The default: an I/O error is an error value.
    Pread,
    /// Sealed segments are mapped and records copied out of the map. An I/O error of the device under a map
    /// kills the process (SIGBUS), so this is for those who measured that it pays.
    Map,
}

/// How to open a [`FileChannel`](crate::FileChannel) or a [`MemoryChannel`](crate::MemoryChannel).
/// A limit may differ at every opening.
///
/// ```
/// use flumen::{ChannelOptions, Durability};
/// let options = ChannelOptions::new().capacity_events(1_000_000).durability(Durability::Os);
/// ```
#[derive(Clone, Debug)]
pub struct ChannelOptions {
    pub(crate) create: bool,
    pub(crate) capacity_events: u64,
    pub(crate) capacity_bytes: u64,
    pub(crate) transaction_events: usize,
    pub(crate) transaction_bytes: u64,
    pub(crate) put_wait: Duration,
    pub(crate) durability: Durability,
    pub(crate) ack_durability: AckDurability,
    pub(crate) segment_size: u64,
    pub(crate) read_mode: ReadMode,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) memory_tail: u64,
    pub(crate) background: bool,
}

/// Smallest segment: a header page and room for one or two hundred small records.
pub const SEGMENT_SIZE_MIN: u64 = 16 << 10;
/// Largest segment; a record larger than the segment size gets a segment of its own size in any case.
pub const SEGMENT_SIZE_MAX: u64 = 1 << 30;
/// Largest event, as [`Event::size`](crate::Event::size) counts it: a body of 64 MiB, and 1 MiB for its
/// headers.
pub const EVENT_SIZE_MAX: u64 = 65 << 20;
/// Most events in one transaction.
pub const TRANSACTION_EVENTS_MAX: usize = 1_000_000;
/// Most bytes in one transaction: its record's length must fit 32 bits with room to spare.
pub const TRANSACTION_BYTES_MAX: u64 = 1 << 30;

impl Default for ChannelOptions {
    fn default() -> ChannelOptions {
        ChannelOptions::new()
    }
}

impl ChannelOptions {
    /// The defaults: durable puts and takes, no capacity limit but the disk's.
    pub fn new() -> ChannelOptions {
        ChannelOptions {
            create: true,
            capacity_events: u64::MAX,
            capacity_bytes: u64::MAX,
            transaction_events: 100_000,
            transaction_bytes: 128 << 20,
            put_wait: Duration::from_secs(3),
            durability: Durability::Sync,
            ack_durability: AckDurability::Sync,
            segment_size: 32 << 20,
            read_mode: ReadMode::Pread,
            checkpoint_interval: Duration::from_secs(30),
            memory_tail: 4 << 20,
            background: true,
        }
    }

    /// Whether to make a new channel where there is none. Default: true.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Most events that may wait in the channel, taken but uncommitted ones included. When it is below the
    /// present depth, nothing is lost: puts wait until there is room. Default: no limit.
    #[must_use]
    pub fn capacity_events(mut self, events: u64) -> Self {
        self.capacity_events = events;
        self
    }

    /// Most bytes (as [`Event::size`](crate::Event::size) counts them) that may wait in the channel.
    /// Default: no limit; when the disk is full, puts are refused and takes go on.
    #[must_use]
    pub fn capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// Most events in one transaction. Default: 100,000, which bounds the memory of a transaction of small
    /// events as `transaction_bytes` does that of large ones.
    #[must_use]
    pub fn transaction_events(mut self, events: usize) -> Self {
        self.transaction_events = events;
        self
    }

    /// Most bytes in one transaction. Default: 128 MiB, twice the largest event.
    #[must_use]
    pub fn transaction_bytes(mut self, bytes: u64) -> Self {
        self.transaction_bytes = bytes;
        self
    }

    /// How long a put waits for room before it is refused. Default: 3 s, as Flume's `keep-alive`.
    #[must_use]
    pub fn put_wait(mut self, wait: Duration) -> Self {
        self.put_wait = wait;
        self
    }

    /// When a put's commit returns. Default: [`Durability::Sync`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// When a take's commit returns. Default: [`AckDurability::Sync`].
    #[must_use]
    pub fn ack_durability(mut self, durability: AckDurability) -> Self {
        self.ack_durability = durability;
        self
    }

    /// Size of a segment file in bytes, from 16 KiB to 1 GiB. Space is freed a segment at a time, and
    /// opening after a crash replays at most one segment. Default: 32 MiB: larger ones commit no faster
    /// (`cargo bench --bench segment_size`) and take longer to open.
    #[must_use]
    pub fn segment_size(mut self, bytes: u64) -> Self {
        self.segment_size = bytes;
        self
    }

    /// How events are read back. Default: [`ReadMode::Pread`].
    #[must_use]
    pub fn read_mode(mut self, mode: ReadMode) -> Self {
        self.read_mode = mode;
        self
    }

    /// How often the queue's state is stored aside, which shortens the next opening and frees segments.
    /// Each new segment does so too, whatever the interval. Default: 30 s, as Flume's.
    #[must_use]
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.checkpoint_interval = interval;
        self
    }

    /// Bytes of memory in which recently committed events are kept, so that a consumer that keeps up does not
    /// read the disk. About: small events and headers take several times what they are long, and that is
    /// counted; what is not is a larger buffer that an event's body is a slice of. Default: 4 MiB.
    #[must_use]
    pub fn memory_tail(mut self, bytes: u64) -> Self {
        self.memory_tail = bytes;
        self
    }

    /// Whether a helper thread takes checkpoints, syncs at intervals and writes idle watermarks, and another
    /// reads ahead while a backlog is drained. Default: true. Without them, call
    /// [`FileChannel::maintain`](crate::FileChannel::maintain): for tests and for embedders that own all
    /// threads.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidOption> {
        let checks: [(bool, &'static str, String); 8] = [
            (self.capacity_events >= 1, "capacity_events", "must be at least 1 event".into()),
            (self.capacity_bytes >= 1, "capacity_bytes", "must be at least 1 byte".into()),
            (
                (1..=TRANSACTION_EVENTS_MAX).contains(&self.transaction_events),
                "transaction_events",
                format!("{} is not within 1..={TRANSACTION_EVENTS_MAX}", self.transaction_events),
            ),
            (
                (1..=TRANSACTION_BYTES_MAX).contains(&self.transaction_bytes),
                "transaction_bytes",
                format!("{} is not within 1..={TRANSACTION_BYTES_MAX}", self.transaction_bytes),
            ),
            (
                (SEGMENT_SIZE_MIN..=SEGMENT_SIZE_MAX).contains(&self.segment_size),
                "segment_size",
                format!(
                    "{} is not within {SEGMENT_SIZE_MIN} (16 KiB) ..= {SEGMENT_SIZE_MAX} (1 GiB)",
                    self.segment_size
                ),
            ),
            (
                !matches!(self.durability, Durability::Interval(interval) if interval.is_zero()),
                "durability",
                "an interval of 0 is Durability::Sync: say so".into(),
            ),
            (
                self.memory_tail <= 1 << 30,
                "memory_tail",
                format!("{} is above 1 GiB", self.memory_tail),
            ),
            (
                !self.checkpoint_interval.is_zero(),
                "checkpoint_interval",
                "must be longer than 0".into(),
            ),
        ];
        match checks.into_iter().find(|(ok, _, _)| !ok) {
            None => Ok(()),
            Some((_, option, problem)) => Err(InvalidOption { option, problem }),
        }
    }
}

/// An option with a value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOption {
    /// The option's name.
    pub option: &'static str,
    /// What is wrong with its value, and what would be right.
    pub problem: String,
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option {}: {}", self.option, self.problem)
    }
}

impl std::error::Error for InvalidOption {}
