//! Syncing beside the commits what the system was given and nobody has synced. So a large record is on its
//! way to the device while the rest of it is still being written, and the end of a segment that was written
//! without syncs does not wait for all of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::group_commit::LANES;
use super::lsn::Lsn;
use super::writer::{Log, Writer};
use crate::storage::{File, StorageError};
use crate::sync::{Mutex, lock};

/// Commits without a sync leave this part of a segment to be synced at a time: more often costs them more
/// than the end of the segment is worth.
const SHARE_OF_COMMITS: u64 = 8;
/// And no more than this in a large one: what is to be synced should keep the device busy, and soon.
const PART_OF_COMMITS_MAX: u64 = 4 << 20;
/// Of a record that its commit will sync this part is synced ahead at a time.
const SHARE_OF_RECORD: u64 = 64;

/// How far the segment being written is written and synced. Apart from the [`Writer`], which its leader holds
/// while it writes.
pub(super) struct Behind(Mutex<Progress>);

struct Progress {
    /// A description of its own, so that an error of the write-back is told both here and to the next sync of
    /// a commit; `None` before the first segment.
    file: Option<Arc<dyn File>>,
    name: Arc<str>,
    /// After the last whole group.
    end: Lsn,
    /// The system was given everything below, but for the first piece of a record in which this lies.
    given: Lsn,
    /// What was given when a sync began that went well.
    synced: Lsn,
}

impl Behind {
    pub(super) fn of(writer: &Writer) -> Behind {
        Behind(Mutex::new(Progress::of(writer)))
    }

    /// Turns to the segment that is written from now on.
    pub(super) fn turn_to(&self, writer: &Writer) {
        *lock(&self.0) = Progress::of(writer);
    }

    /// Notes that the system was given everything below `given`.
    pub(super) fn note_given(&self, given: Lsn) {
        let mut progress = lock(&self.0);
        progress.given = progress.given.max(given);
    }

    /// Notes that the records before `end` are written.
    pub(super) fn note_end(&self, end: Lsn) {
        let mut progress = lock(&self.0);
        (progress.end, progress.given) = (end, end);
    }
}

impl Progress {
    fn of(writer: &Writer) -> Progress {
        let end = writer.end();
        let file = writer.lanes.get(LANES).map(Arc::clone);
        Progress { file, name: Arc::clone(&writer.name), end, given: end, synced: end }
    }

    fn is_far_ahead(&self, watermark: Lsn, segment_size: u64) -> bool {
        let part = part(segment_size, self.given > self.end);
        self.given.0.saturating_sub(self.synced.max(watermark).0) >= part
    }
}

/// How much is synced at a time, of a record or of whole groups.
fn part(segment_size: u64, is_record: bool) -> u64 {
    match is_record {
        true => segment_size / SHARE_OF_RECORD,
        false => (segment_size / SHARE_OF_COMMITS).min(PART_OF_COMMITS_MAX),
    }
}

impl Log {
    /// Whether so much is written and not synced that [`Log::sync_behind`] acts.
    pub(crate) fn is_far_ahead(&self) -> bool {
        lock(&self.behind.0).is_far_ahead(self.watermark(), self.segment_size)
    }

    /// Syncs what was written, once that is much, beside the commits.
    ///
    /// Another segment may have begun before the sync returns, and this one's file may even be in use again;
    /// then what was synced is below the watermark already. So is a record of which only the beginning was
    /// written: it counts when its own group is synced, and no earlier.
    pub(crate) fn sync_behind(&self) -> Result<(), StorageError> {
        let progress = lock(&self.behind.0);
        let is_far_ahead = progress.is_far_ahead(self.watermark(), self.segment_size);
        let Some(file) = progress.file.as_ref().filter(|_| is_far_ahead).map(Arc::clone) else {
            return Ok(());
        };
        let (name, end, given) = (Arc::clone(&progress.name), progress.end, progress.given);
        drop(progress);
        if !planted!(SyncBehindSkipped) {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.directory.sync_file(&*file, &name)?;
        }
        self.raise_watermark(end);
        let mut progress = lock(&self.behind.0);
        progress.synced = progress.synced.max(given);
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
