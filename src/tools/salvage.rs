//! Copying everything intact of a damaged channel into a new one.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::evidence::Evidence;
use super::finding::{Finding, Findings};
use super::replay::Replayed;
use super::target::Target;
use super::verify::keep_live;
use super::walk::Walk;
use super::{keep_owners_out, storage_at};
use crate::channel::{ChannelOptions, CloseError, CommitError, CursorError, OpenError, PutError};
use crate::log::Directory;
use crate::storage::{OsStorage, Storage, StorageError};

/// What was saved, and exactly what was not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Salvage {
    /// Events that are in the new channel.
    pub events: u64,
    /// Their size.
    pub bytes: u64,
    /// Transactions they were put with: as in the old channel, unless an old one is larger than may be.
    pub transactions: u64,
    /// Sequences (of the old channel) of events that are lost: they were synced, nothing says that they were
    /// taken, and they cannot be read. Ascending.
    pub lost: Vec<Range<u64>>,
    /// As `lost`, but no witness says that they were synced: most likely their put never returned.
    pub unconfirmed: Vec<Range<u64>>,
    /// The end of the log is lost, or nothing tells where it was, and it is not known how many events stood
    /// there: from this sequence on.
    pub lost_from: Option<u64>,
    /// Every state is lost, and nothing tells whether events below this sequence were still in the channel.
    pub lost_before: Option<u64>,
    /// Events in the new channel that may have been taken before: the record that would say so is lost. 0
    /// when no such record can be missing.
    pub possibly_again: u64,
    /// Cursors copied.
    pub cursors: u64,
    /// A record that set a cursor may be lost, so that the copied value is an older one.
    pub are_cursors_in_doubt: bool,
    /// All damage.
    pub findings: Vec<Finding>,
}

impl Salvage {
    /// Whether every event is in the new channel.
    pub fn is_complete(&self) -> bool {
        let are_ends_known = self.lost_from.is_none() && self.lost_before.is_none();
        self.lost.is_empty() && self.unconfirmed.is_empty() && are_ends_known
    }
}

/// Salvaging could not be done or not be ended. The damaged channel is as it was; a new channel that was
/// begun is not complete and is to be removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum SalvageError {
    /// The damaged channel cannot be read at all.
    Open(OpenError),
    /// The place for the new channel cannot be: it holds files, or it lies within the damaged channel.
    Place {
        /// The directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The new channel cannot be made.
    Create(OpenError),
    /// An event cannot be put into the new channel.
    Put(PutError),
    /// A cursor cannot be set.
    Cursor(CursorError),
    /// Events cannot be written.
    Commit(CommitError),
    /// The new channel cannot be made durable.
    Close(CloseError),
}

impl fmt::Display for SalvageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SalvageError::Open(error) => write!(f, "{error}"),
            SalvageError::Place { path, reason } => {
                write!(
                    f,
                    "{path} cannot take the new channel: {reason}; choose a new or an empty directory"
                )
            }
            SalvageError::Create(error) => write!(f, "the new channel cannot be made: {error}"),
            SalvageError::Put(error) => write!(f, "{INCOMPLETE}: {error}"),
            SalvageError::Cursor(error) => write!(f, "{INCOMPLETE}: {error}"),
            SalvageError::Commit(error) => write!(f, "{INCOMPLETE}: {error}"),
            SalvageError::Close(error) => write!(f, "{INCOMPLETE}: {error}"),
        }
    }
}

const INCOMPLETE: &str = "the new channel is not complete and is to be removed";

impl std::error::Error for SalvageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SalvageError::Open(error) | SalvageError::Create(error) => Some(error),
            SalvageError::Place { .. } => None,
            SalvageError::Put(error) => Some(error),
            SalvageError::Cursor(error) => Some(error),
            SalvageError::Commit(error) => Some(error),
            SalvageError::Close(error) => Some(error),
        }
    }
}

impl From<OpenError> for SalvageError {
    fn from(error: OpenError) -> SalvageError {
        SalvageError::Open(error)
    }
}

impl From<StorageError> for SalvageError {
    fn from(error: StorageError) -> SalvageError {
        SalvageError::Open(OpenError::Storage(error))
    }
}

/// Copies every intact event that was not taken, in order, from the channel in `directory` into a new one in
/// `to`, which must not be there or be empty. `options` are the new channel's; its capacity does not count
/// here. With the default segment size a large copy has larger segments: an eighth of what the old ones hold,
/// up to 128 MiB. The damaged channel is not written to. `progress` is told bytes done and bytes in all.
///
/// An event counts as taken when any intact witness says so. Where the record of a take is lost, its events
/// come again, as after a crash, and [`Salvage::possibly_again`] says how many it can be at most.
pub fn salvage(
    directory: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: ChannelOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Salvage, SalvageError> {
    let (directory, to) = (directory.as_ref(), to.as_ref());
    let from = storage_at(directory)?;
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if absolute(to).starts_with(absolute(directory)) {
        let path = to.display().to_string();
        let reason = "it is the damaged channel, or lies within it".to_string();
        return Err(SalvageError::Place { path, reason });
    }
    // Before anything is made: the place to salvage from must be a channel, and not be in use.
    drop(keep_owners_out(&from)?);
    Evidence::gather(Directory { storage: Arc::clone(&from) }, &mut Findings::default())?;
    let storage = OsStorage::new(to, true).map_err(|error| SalvageError::Create(error.into()))?;
    salvage_on(from, Arc::new(storage), options, progress)
}

/// As [`salvage`], on any storage.
pub fn salvage_on(
    from: Arc<dyn Storage>,
    to: Arc<dyn Storage>,
    options: ChannelOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Salvage, SalvageError> {
    let _lock = keep_owners_out(&from)?;
    let mut findings = Findings::default();
    let mut evidence = Evidence::gather(Directory { storage: from }, &mut findings)?;
    check_empty(&to)?;
    let replayed = Replayed::read(&evidence)?;
    keep_live(&mut evidence, &mut findings)?;
    super::verify::check_slots(&evidence, None, &mut findings);
    let Replayed { acked, cursors, doubt_below, next_sequence, .. } = &replayed;
    let mut target = Target::create(to, options, evidence.bytes(), acked, *doubt_below)?;
    let walk = Walk::new(&evidence, acked, &mut findings, progress).expect_up_to(*next_sequence);
    let outcome = walk.run(&mut target)?;
    target.finish(cursors)?;
    let promise = outcome.promise.max(replayed.promise);
    let split = |promised: bool| {
        let of_kind = target.gaps.iter().filter(|(_, lsn)| (*lsn < promise) == promised);
        join(of_kind.map(|(range, _)| range.clone()))
    };
    Ok(Salvage {
        events: target.events,
        bytes: target.bytes,
        transactions: target.transactions,
        lost: split(true),
        unconfirmed: split(false),
        lost_from: (outcome.is_cut_off || replayed.is_end_unknown).then_some(outcome.next_sequence),
        lost_before: outcome.unknown_below,
        possibly_again: target.possibly_again,
        cursors: cursors.len() as u64,
        are_cursors_in_doubt: replayed.are_cursors_in_doubt,
        findings: findings.into_list(),
    })
}

fn check_empty(to: &Arc<dyn Storage>) -> Result<(), SalvageError> {
    let directory = Directory { storage: Arc::clone(to) };
    let names = to.list().map_err(|error| directory.error("", "list", error))?;
    match names.first() {
        None => Ok(()),
        Some(name) => {
            let reason = format!("it holds files (such as \"{name}\")");
            Err(SalvageError::Place { path: to.location(), reason })
        }
    }
}

/// Ranges that touch become one.
fn join(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}
