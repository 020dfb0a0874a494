//! The outside world, into a channel.
//!
//! A source is driven by the world, so it runs itself. It acknowledges what it has read (moves a
//! position on, answers a client) only when [`deliver`] has said that the events are durable; or
//! better, it lets its position ride on the same commit as a cursor of the channel, and then
//! nothing can be lost or doubled.

#[allow(clippy::disallowed_methods, reason = "reads files that are not the engine's, and waits")]
pub mod taildir;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::back_off::BackOff;
use crate::channel::{Channel, CommitError, PutError, PutTransaction, Stopped};
use crate::event::Event;
use crate::shutdown::Shutdown;

pub use taildir::Taildir;

/// Puts events into a channel until it is told to stop.
pub trait Source: Send {
    /// Runs until `shutdown` says stop, the source has nothing more (when it was made to end then),
    /// or an error that trying again cannot cure. What could not be made durable is not
    /// acknowledged upstream.
    fn run(
        self: Box<Self>,
        channel: Arc<dyn Channel>,
        shutdown: Shutdown,
    ) -> Result<(), SourceError>;
}

/// A cursor of the channel to set, or with `None` to forget.
pub type CursorChange = (String, Option<Vec<u8>>);

/// Why a source has ended before it was told to.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// The channel has stopped itself. Whether the last events are in it is unknown; the position
    /// is in the same record, so a restart finds out.
    Stopped(Stopped),
    /// The channel was closed while the source was running.
    Closed,
    /// An event can never fit into the channel.
    TooLarge {
        /// Its size in bytes, as [`Event::size`] counts it.
        size: u64,
    },
    /// What the source recorded in the channel earlier cannot be used.
    Cursor {
        /// The cursor's name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system refused.
    Io {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl SourceError {
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> SourceError {
        SourceError::Io { operation, path: path.to_path_buf(), source }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::Stopped(stopped) => write!(f, "{stopped}"),
            SourceError::Closed => write!(f, "the channel was closed while the source was running"),
            SourceError::TooLarge { size } => write!(
                f,
                "an event of {size} bytes is larger than the channel may ever hold; \
                 raise its capacity in bytes, or lower the source's limit (taildir: maxLineLength)"
            ),
            SourceError::Cursor { name, problem } => write!(
                f,
                "the position {name} in the channel cannot be used: {problem}; \
                 use the program that wrote it or a newer one"
            ),
            SourceError::Io { operation, path, source } => {
                write!(f, "cannot {operation} {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SourceError::Stopped(stopped) => Some(stopped),
            SourceError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Puts `events` into `channel`, in order, and returns how many are durable: all of them, unless
/// `shutdown` said stop while the channel had no room.
///
/// They go in as few transactions as the channel's limits allow. `cursors(n)` is asked for what to
/// record with the commit that brings the number of durable events to `n`; so wherever a stop or
/// crash falls, the cursors and the events in the channel agree. A full channel or disk is waited
/// for.
pub fn deliver(
    channel: &dyn Channel,
    events: Vec<Event>,
    cursors: &dyn Fn(usize) -> Vec<CursorChange>,
    shutdown: &Shutdown,
) -> Result<usize, SourceError> {
    let total = events.len();
    let mut waiting = VecDeque::from(events);
    let mut back_off = BackOff::default();
    let mut said = false;
    loop {
        let mut put = channel.begin_put();
        fill(&mut put, &mut waiting)?;
        let full = put.is_empty() && !waiting.is_empty();
        for (name, value) in cursors(total - waiting.len()) {
            set_cursor(&mut put, &name, value.as_deref())?;
        }
        let refused = full || !commit(channel, put, &mut waiting)?;
        if waiting.is_empty() && !refused {
            return Ok(total);
        }
        if full && !std::mem::replace(&mut said, true) {
            tracing::warn!("the channel is full; waiting until events are taken from it");
        }
        if !refused {
            back_off.reset();
        } else if back_off.wait(shutdown) {
            return Ok(total - waiting.len());
        }
    }
}

/// Moves events into the transaction until it is full, the channel is, or none are left.
fn fill(put: &mut PutTransaction, waiting: &mut VecDeque<Event>) -> Result<(), SourceError> {
    while let Some(event) = waiting.pop_front() {
        // Room is waited for with empty hands only. Two sources that each hold a part of the room
        // and wait for the rest would wait for each other, and the consumers for both: what is in
        // the transaction is committed instead.
        let result = match put.is_empty() {
            true => put.put(event),
            false => put.try_put(event),
        };
        match result {
            Ok(()) => {}
            Err(PutError::TransactionFull(event) | PutError::Full(event)) => {
                waiting.push_front(event);
                return Ok(());
            }
            Err(PutError::TooLarge(event) | PutError::TooMany(event)) => {
                return Err(SourceError::TooLarge { size: event.size() });
            }
            Err(PutError::Stopped(_, stopped)) => return Err(SourceError::Stopped(stopped)),
            Err(PutError::Closed(_)) => return Err(SourceError::Closed),
        }
    }
    Ok(())
}

/// Commits; false, with the events back at the front of `waiting`, when the disk has no room.
fn commit(
    channel: &dyn Channel,
    put: PutTransaction,
    waiting: &mut VecDeque<Event>,
) -> Result<bool, SourceError> {
    match put.commit() {
        Ok(()) => Ok(true),
        Err(CommitError::NoSpace(events)) => {
            tracing::warn!(
                "the channel's disk is full; trying again until there is room; {}",
                channel.stats().missing_space()
            );
            for event in events.into_iter().rev() {
                waiting.push_front(event);
            }
            Ok(false)
        }
        Err(CommitError::Stopped(stopped)) => Err(SourceError::Stopped(stopped)),
        Err(CommitError::Closed(_)) => Err(SourceError::Closed),
    }
}

fn set_cursor(
    put: &mut PutTransaction,
    name: &str,
    value: Option<&[u8]>,
) -> Result<(), SourceError> {
    let result = match value {
        Some(value) => put.set_cursor(name, value),
        None => put.clear_cursor(name),
    };
    result
        .map_err(|error| SourceError::Cursor { name: name.to_string(), problem: error.to_string() })
}
