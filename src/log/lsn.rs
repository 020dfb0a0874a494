//! The address of a byte in the log.

use std::fmt;

/// Log sequence number: a byte position in the log as one ordered whole, over all its segments.
///
/// Header pages do not count, so the first byte of a segment's records follows the last byte of its
/// predecessor's. Lsns order records and mark checkpoints and what is known to be synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lsn(pub(crate) u64);

impl Lsn {
    /// The position `bytes` further on. Saturates: a log of 2^64 bytes is never written, but a damaged
    /// length may claim one.
    pub(crate) fn plus(self, bytes: u64) -> Lsn {
        Lsn(self.0.saturating_add(bytes))
    }

    /// Bytes from `earlier` to here; 0 when it is later.
    pub(crate) fn since(self, earlier: Lsn) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
