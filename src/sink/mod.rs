//! A channel, into the outside world.
//!
//! A sink is driven by us, so it only writes a batch; the one loop in [`runner`] takes, lets it
//! write, and commits, or rolls back and tries again later.

#[allow(clippy::disallowed_methods, reason = "writes files that are not the engine's")]
pub mod file_roll;
mod logger;
mod null;
pub mod runner;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::channel::{Channel, CommitError, CursorError, Stopped, TakeError};
use crate::event::Event;

pub use file_roll::FileRoll;
pub use logger::Logger;
pub use null::Null;

/// Writes batches of events to one place.
pub trait Sink: Send {
    /// Called once, before the first batch. A sink that keeps cursors in the channel reads them
    /// here.
    fn open(&mut self, _channel: &Arc<dyn Channel>) -> Result<(), SinkError> {
        Ok(())
    }

    /// Writes a batch, so that it is as safe in its new place as the sink promises: when this
    /// returns `Ok`, the events leave the channel. The cursors returned are set with the same
    /// commit.
    ///
    /// On an error the batch is rolled back and comes again, perhaps cut differently.
    fn write(&mut self, batch: &[Event]) -> Result<Vec<Cursor>, SinkError>;

    /// The batch written last has left the channel. When another batch comes without this call,
    /// that one has not, and is being delivered again.
    fn committed(&mut self) {}
}

/// A cursor of the channel to set: its name and its value.
pub type Cursor = (String, Vec<u8>);

/// Why a sink could not do its work.
#[derive(Debug)]
#[non_exhaustive]
pub enum SinkError {
    /// The operating system refused. Trying again may succeed.
    Io {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what was left there. Nothing was changed.
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the cure.
        problem: String,
    },
    /// The next event could not be taken.
    Take(TakeError),
    /// The sink asked for a cursor that cannot be.
    Cursor(CursorError),
    /// A commit did not succeed, and the channel goes on.
    Commit(CommitError),
    /// The channel has stopped itself. Whether the last batch has left it is unknown.
    Stopped(Stopped),
}

impl SinkError {
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> SinkError {
        SinkError::Io { operation, path: path.to_path_buf(), source }
    }

    /// Whether waiting may cure it.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            SinkError::Io { .. }
                | SinkError::Take(TakeError::Storage(_))
                | SinkError::Commit(CommitError::NoSpace(_))
        )
    }
}

impl From<CommitError> for SinkError {
    fn from(error: CommitError) -> SinkError {
        match error {
            CommitError::Stopped(stopped) => SinkError::Stopped(stopped),
            other => SinkError::Commit(other),
        }
    }
}

impl From<TakeError> for SinkError {
    fn from(error: TakeError) -> SinkError {
        match error {
            TakeError::Stopped(stopped) => SinkError::Stopped(stopped),
            other => SinkError::Take(other),
        }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkError::Io { operation, path, source } => {
                write!(f, "cannot {operation} {}: {source}", path.display())
            }
            SinkError::Foreign { path, problem } => write!(f, "{}: {problem}", path.display()),
            SinkError::Take(error) => write!(f, "{error}"),
            SinkError::Cursor(error) => write!(f, "{error}"),
            SinkError::Commit(error) => write!(f, "{error}"),
            SinkError::Stopped(stopped) => write!(f, "{stopped}"),
        }
    }
}

impl std::error::Error for SinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SinkError::Io { source, .. } => Some(source),
            SinkError::Foreign { .. } => None,
            SinkError::Take(error) => Some(error),
            SinkError::Cursor(error) => Some(error),
            SinkError::Commit(error) => Some(error),
            SinkError::Stopped(stopped) => Some(stopped),
        }
    }
}
