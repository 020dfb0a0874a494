//! How much is measured: in full, quickly, or just enough to show that all of it works.

use std::time::Duration;

use flumen::ChannelOptions;
use serde::{Deserialize, Serialize};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// Up to ten minutes, with backlogs of up to 5 GB.
    Full,
    /// About a minute, with small backlogs.
    Quick,
    /// Seconds: its numbers mean nothing. For tests.
    Tiny,
}

/// Bytes of one event's body, unless a measure says otherwise.
pub(crate) const BODY: usize = 512;

impl Form {
    /// The name, as in `--quick`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Form::Full => "full",
            Form::Quick => "quick",
            Form::Tiny => "tiny",
        }
    }

    fn of<T>(self, full: T, quick: T, tiny: T) -> T {
        match self {
            Form::Full => full,
            Form::Quick => quick,
            Form::Tiny => tiny,
        }
    }

    /// How often each measure is repeated, in turn with its limit.
    pub(crate) fn rounds(self) -> usize {
        self.of(5, 3, 2)
    }

    /// How long one side of a round lasts.
    pub(crate) fn slice(self) -> Duration {
        Duration::from_millis(self.of(1000, 250, 15))
    }

    /// How long each side of the tail latency lasts.
    pub(crate) fn tail(self) -> Duration {
        Duration::from_millis(self.of(15_000, 2_000, 60))
    }

    /// Length of the file that the raw limit writes round and round.
    pub(crate) fn raw_file(self) -> u64 {
        self.of(64 << 20, 64 << 20, 16 << 20)
    }

    /// Size of the channels' segments: the default, but for tests.
    pub(crate) fn segment(self) -> u64 {
        self.of(32 << 20, 32 << 20, 256 << 10)
    }

    /// Size of the segments while the tail latency is measured: in a short time smaller ones, so that some
    /// are begun.
    pub(crate) fn tail_segment(self) -> u64 {
        self.of(32 << 20, 2 << 20, 64 << 10)
    }

    /// Bytes that go through a channel before it is measured, so that its segments are recycled ones.
    pub(crate) fn warm_up(self) -> u64 {
        5 * self.segment()
    }

    /// Bytes that may be written without sync in one side of a round, so that writing back keeps up.
    pub(crate) fn unsynced(self) -> u64 {
        self.of(512 << 20, 128 << 20, 2 << 20)
    }

    /// The backlogs, in bytes of bodies, smallest first.
    pub(crate) fn backlogs(self) -> [u64; 3] {
        self.of(
            [1 << 10, 1_000_000_000, 5_000_000_000],
            [1 << 10, 100_000_000, 500_000_000],
            [1 << 10, 1_000_000, 3_000_000],
        )
    }

    /// How often a channel is killed at work, to count what is lost.
    pub(crate) fn kills(self) -> usize {
        self.of(10, 3, 1)
    }

    /// The least and the most time that a channel works before it is killed.
    pub(crate) fn life(self) -> [Duration; 2] {
        self.of([100, 900], [50, 300], [20, 60]).map(Duration::from_millis)
    }

    /// Bytes of disk that are needed at most at one time.
    pub(crate) fn space(self) -> u64 {
        let [_, middle, large] = self.backlogs();
        // A backlog with its records' heads, or a smaller one and its salvaged copy; beside them the two raw
        // files and a channel of each kind. What is written without sync may wait in new segments.
        let backlog = (large + large / 20).max(2 * (middle + middle / 20));
        backlog + 12 * self.segment() + 2 * self.raw_file() + 2 * self.unsynced()
    }

    /// The options all channels begin with.
    pub(crate) fn options(self) -> ChannelOptions {
        ChannelOptions::new().segment_size(self.segment()).put_wait(Duration::from_secs(60))
    }
}
