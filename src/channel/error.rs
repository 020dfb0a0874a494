//! One error type per operation, holding only what that operation can meet, and saying what state it leaves.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::options::InvalidOption;
use crate::event::Event;
use crate::storage::StorageError;

/// Damage: bytes that were acknowledged and are altered or missing. Never passed over in silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// Name of the file within the channel's directory.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// The sequences that are concerned, as far as they are known.
    pub sequences: Option<Range<u64>>,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at offset {}: expected {}, found {}",
            self.file, self.offset, self.expected, self.found
        )?;
        match &self.sequences {
            Some(range) if range.start == range.end => Ok(()),
            Some(range) if range.end == u64::MAX => {
                write!(f, " (events from sequence {} on are concerned)", range.start)
            }
            Some(range) => {
                write!(f, " (events {}..{} are concerned)", range.start, range.end)
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Corruption {}

/// Why the channel stopped itself: the first failed write or sync. Only reopening recovers.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// What failed first.
    pub cause: Arc<StorageError>,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the channel has stopped itself because of an I/O error and must be reopened: {}",
            self.cause
        )
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

/// Opening failed. Nothing was delivered or lost; unless the kind says otherwise nothing was changed either.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// An option has a value that cannot be.
    Option(InvalidOption),
    /// Another owner, in this process or another, has the channel open.
    InUse {
        /// The channel's directory.
        path: String,
        /// Who says to be the owner ("pid 42"), when it left a note.
        owner: Option<String>,
    },
    /// There is no channel in this place and none may be made.
    NotAChannel {
        /// The directory.
        path: String,
        /// What is there instead.
        reason: String,
    },
    /// A newer version of this program, or another one, wrote this channel.
    Unsupported {
        /// The file that says so.
        file: String,
        /// Which version or feature is not known here.
        reason: String,
    },
    /// Acknowledged bytes are altered or missing. `flumen salvage` delivers all that is intact.
    Corrupt(Corruption),
    /// The operating system refused. The repair of an unclean stop may be half done: the next opening
    /// completes it.
    Storage(StorageError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Option(invalid) => write!(f, "{invalid}"),
            OpenError::InUse { path, owner } => {
                write!(f, "the channel {path} is in use")?;
                if let Some(owner) = owner {
                    write!(f, " by {owner}")?;
                }
                write!(f, "; stop that process first, or choose another directory")
            }
            OpenError::NotAChannel { path, reason } => write!(f, "{path} is no channel: {reason}"),
            OpenError::Unsupported { file, reason } => write!(
                f,
                "{file} was written by a program that this one does not understand ({reason}); \
                 use that program or a newer one"
            ),
            OpenError::Corrupt(corruption) => write!(
                f,
                "the channel is damaged: {corruption}; none of its data was changed. \
                 `flumen verify` lists all damage, `flumen salvage` copies everything intact to a new channel"
            ),
            OpenError::Storage(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Option(invalid) => Some(invalid),
            OpenError::Corrupt(corruption) => Some(corruption),
            OpenError::Storage(error) => Some(error),
            _ => None,
        }
    }
}

impl From<InvalidOption> for OpenError {
    fn from(invalid: InvalidOption) -> OpenError {
        OpenError::Option(invalid)
    }
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> OpenError {
        OpenError::Storage(error)
    }
}

impl From<Corruption> for OpenError {
    fn from(corruption: Corruption) -> OpenError {
        OpenError::Corrupt(corruption)
    }
}

/// What was not put into the transaction, an event or several, is handed back. The transaction is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum PutError<T = Event> {
    /// The channel is at its capacity and no room came free within the time a put waits.
    Full(T),
    /// The transaction holds as many events or bytes as it may: commit it and begin another.
    TransactionFull(T),
    /// An event alone is larger than an event, a transaction or the channel may be.
    TooLarge(T),
    /// Together the events are more than a transaction, or the channel, may ever hold: put fewer at a time.
    TooMany(T),
    /// The channel has stopped itself.
    Stopped(T, Stopped),
    /// The channel was closed.
    Closed(T),
}

impl PutError {
    /// The event that was not put.
    pub fn into_event(self) -> Event {
        self.into_inner()
    }
}

impl<T> PutError<T> {
    /// What was not put.
    pub fn into_inner(self) -> T {
        match self {
            PutError::Full(refused)
            | PutError::TransactionFull(refused)
            | PutError::TooLarge(refused)
            | PutError::TooMany(refused)
            | PutError::Stopped(refused, _)
            | PutError::Closed(refused) => refused,
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>, events: impl Fn(&T) -> &[Event]) -> fmt::Result {
        match self {
            PutError::Full(_) => {
                write!(f, "the channel is full; take events from it or raise its capacity")
            }
            PutError::TransactionFull(_) => {
                write!(f, "the transaction is full; commit it and begin another")
            }
            PutError::TooLarge(refused) => write!(
                f,
                "an event of {} bytes is larger than an event, a transaction or the channel may be",
                events(refused).iter().map(Event::size).max().unwrap_or(0)
            ),
            PutError::TooMany(refused) => write!(
                f,
                "{} events of {} bytes together are more than a transaction or the channel may hold; \
                 put fewer at a time",
                events(refused).len(),
                events(refused).iter().map(Event::size).fold(0, u64::saturating_add)
            ),
            PutError::Stopped(_, stopped) => write!(f, "{stopped}"),
            PutError::Closed(_) => write!(f, "the channel is closed"),
        }
    }
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, std::slice::from_ref)
    }
}

impl fmt::Display for PutError<Vec<Event>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, Vec::as_slice)
    }
}

impl std::error::Error for PutError {}

impl std::error::Error for PutError<Vec<Event>> {}

/// A cursor was not set. The transaction is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CursorError {
    /// The name is empty or longer than 255 bytes.
    Name,
    /// The value is longer than 4,096 bytes.
    Value,
    /// The transaction sets more than 10,000 cursors.
    TooMany,
}

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CursorError::Name => write!(f, "a cursor's name must have 1 to 255 bytes"),
            CursorError::Value => write!(f, "a cursor's value must have at most 4,096 bytes"),
            CursorError::TooMany => write!(f, "a transaction may set at most 10,000 cursors"),
        }
    }
}

impl std::error::Error for CursorError {}

/// A commit did not succeed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommitError {
    /// The disk has no room for another segment. Nothing was written; the events (of a put) are handed
    /// back; takes go on, and once they have freed room, puts do too.
    NoSpace(Vec<Event>),
    /// A write or sync failed, and the channel has stopped. The outcome of this transaction is *unknown*:
    /// it is in the log whole or not at all, and reopening tells which.
    Stopped(Stopped),
    /// The channel was closed before; the transaction was rolled back. A put's events are handed back.
    Closed(Vec<Event>),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitError::NoSpace(_) => write!(
                f,
                "the disk has no room for another segment; nothing of this transaction was written. \
                 Free space or take events, then try again: what comes free first fills the reserve \
                 that lets takes go on while the disk is full"
            ),
            CommitError::Stopped(stopped) => {
                write!(f, "the commit's outcome is unknown: {stopped}")
            }
            CommitError::Closed(_) => write!(f, "the channel is closed; nothing was written"),
        }
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CommitError::Stopped(stopped) => Some(stopped),
            _ => None,
        }
    }
}

/// No event could be taken. The transaction is as it was: it can be committed or rolled back.
#[derive(Debug)]
#[non_exhaustive]
pub enum TakeError {
    /// The transaction holds as many events or bytes as it may.
    TransactionFull,
    /// The next event is damaged or missing. Every take meets this again: events before it can be
    /// committed, those behind it are reached by `flumen salvage`.
    Corrupt(Corruption),
    /// The next event could not be read; trying again may succeed.
    Storage(StorageError),
    /// The channel has stopped itself.
    Stopped(Stopped),
    /// The channel was closed.
    Closed,
}

impl fmt::Display for TakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakeError::TransactionFull => {
                write!(f, "the transaction is full; commit it and begin another")
            }
            TakeError::Corrupt(corruption) => write!(
                f,
                "the next event is damaged: {corruption}; close the channel, then \
                 `flumen salvage` copies everything intact to a new one"
            ),
            TakeError::Storage(error) => write!(f, "the next event cannot be read: {error}"),
            TakeError::Stopped(stopped) => write!(f, "{stopped}"),
            TakeError::Closed => write!(f, "the channel is closed"),
        }
    }
}

impl std::error::Error for TakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TakeError::Corrupt(corruption) => Some(corruption),
            TakeError::Storage(error) => Some(error),
            TakeError::Stopped(stopped) => Some(stopped),
            _ => None,
        }
    }
}

/// A sync, checkpoint or close did not succeed. No event is lost whose put was acknowledged.
#[derive(Debug)]
#[non_exhaustive]
pub enum CloseError {
    /// A write or sync failed, now or before, and the channel has stopped.
    Stopped(Stopped),
    /// The channel was closed before.
    Closed,
    /// The disk has no room to note what lazy commits took and set: after a close, or a stop before there is
    /// room, the events will be delivered again, and the cursors be as they were. Else all has been done that
    /// was asked for.
    NoSpace {
        /// How many events; 0 where it is cursors only.
        events: u64,
    },
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseError::Stopped(stopped) => write!(f, "{stopped}"),
            CloseError::Closed => write!(f, "the channel is closed"),
            CloseError::NoSpace { events } => write!(
                f,
                "the disk has no room for what lazy commits took and set: unless it has before the \
                 channel is closed, {events} events will be delivered again, and their cursors not be kept"
            ),
        }
    }
}

impl std::error::Error for CloseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CloseError::Stopped(stopped) => Some(stopped),
            CloseError::Closed | CloseError::NoSpace { .. } => None,
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
