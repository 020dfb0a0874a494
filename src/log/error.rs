//! What reading a log can meet.

use std::fmt;
use std::ops::Range;

use super::record::Flaw;
use crate::storage::StorageError;

/// Acknowledged bytes that are altered or missing: where, and what should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) flaw: Flaw,
    /// The sequences concerned; `u64::MAX` as the end means "from there on".
    pub(crate) sequences: Option<Range<u64>>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}: {}", self.file, self.offset, self.flaw)
    }
}

/// Why a log could not be read.
#[derive(Debug)]
pub(crate) enum LogError {
    /// There is no log, and why that is believed.
    Absent(String),
    /// A file's format is not known here.
    Unsupported {
        /// The file.
        file: String,
        /// What is not known.
        reason: String,
    },
    /// Damage.
    Damaged(Damage),
    /// The system refused.
    Storage(StorageError),
}

impl From<StorageError> for LogError {
    fn from(error: StorageError) -> LogError {
        LogError::Storage(error)
    }
}

impl From<Damage> for LogError {
    fn from(damage: Damage) -> LogError {
        LogError::Damaged(damage)
    }
}
