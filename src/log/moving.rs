//! Carrying the unproven end of a segment over into the next.
//!
//! After an unclean stop the records that no witness calls synced may stand in the page cache only: a sync
//! may have failed, and the kernel then calls the pages clean. Reading them back proves nothing and syncing
//! them again writes nothing. Writing them again in place would, but a loss of power during that write could
//! damage what had in truth been synced and acknowledged. So they are copied to where nothing is lost by a
//! torn write: into a segment that does not count yet.

use std::cell::RefCell;
use std::ops::Range;

use super::directory::Directory;
use super::record::{Kind, PendingRecord, Place};
use super::scan::{ScanError, Scanner};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::survey::Unproven;
use crate::storage::{Access, File, StorageError, read_full_at};

/// The records to carry over.
pub(super) struct Moving<'a> {
    pub(super) directory: &'a Directory,
    /// The segment they are in.
    pub(super) number: u64,
    pub(super) scanner: RefCell<Scanner>,
    pub(super) unproven: Unproven,
    /// Where in that segment its records end.
    pub(super) end_offset: u64,
}

impl Moving<'_> {
    /// Bytes that the copies take.
    pub(super) fn size(&self) -> u64 {
        self.unproven.size
    }

    /// Writes the copies, of those records that hold events, from `offset` on. What the others told is in the
    /// state that begins the segment.
    pub(super) fn copy(
        &self,
        directory: &Directory,
        file: &dyn File,
        header: &SegmentHeader,
        offset: u64,
    ) -> Result<(), StorageError> {
        let seed = header.seed();
        let name = segment_name(header.number);
        let mut scanner = self.scanner.borrow_mut();
        let (mut from, mut to) = (self.unproven.offset, offset);
        while from < self.end_offset {
            let found =
                scanner.record_at(from, self.end_offset).map_err(|error| self.unreadable(error))?;
            from += found.header.record_size();
            if !found.header.kind.has_events() {
                continue;
            }
            if planted!(CarriedOverInPart) && from == self.end_offset {
                break;
            }
            let mut record = PendingRecord::new(Kind::Moved, found.payload.len(), |out| {
                out.extend_from_slice(&found.payload);
            });
            let place = Place {
                lsn: header.base.plus(to - PAGE),
                watermark: header.base,
                sequence: found.header.sequence,
            };
            directory.write(file, &name, record.place(&seed, to, place), to)?;
            to += record.size();
        }
        debug_assert!(planted!(CarriedOverInPart) || to == offset + self.size());
        Ok(())
    }

    /// The survey has read these records a moment ago.
    fn unreadable(&self, error: ScanError) -> StorageError {
        let error = match error {
            ScanError::Io(error) => error,
            ScanError::Invalid(flaw) => {
                std::io::Error::new(std::io::ErrorKind::InvalidData, flaw.to_string())
            }
        };
        self.directory.error(&segment_name(self.number), "read", error)
    }
}

/// Bytes written again at once.
const BLOCK: u64 = 1 << 20;

/// Writes the bytes of a file over themselves, and syncs them.
pub(super) fn rewrite(
    directory: &Directory,
    name: &str,
    range: Range<u64>,
) -> Result<(), StorageError> {
    let file = directory.open(name, Access::ReadWrite)?;
    let mut block = vec![0; BLOCK.min(range.end - range.start) as usize];
    let mut offset = range.start;
    while offset < range.end {
        let size = (range.end - offset).min(BLOCK) as usize;
        let count = read_full_at(&*file, &mut block[..size], offset)
            .map_err(|error| directory.error(name, "read", error))?;
        directory.write(&*file, name, &block[..count], offset)?;
        offset += size as u64;
    }
    directory.sync_file(&*file, name)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::storage::sim::{Crash, FailedSync, Fault, FaultPlan, SimDisk};

    /// After a failed sync bytes may be shown that are not on the disk, and are not going there any more.
    /// Written again they are: all of the range, and nothing else.
    #[test]
    fn i1_what_is_only_shown_is_on_the_disk_when_it_was_written_again() {
        let size = 2 * BLOCK + 8192;
        for range in [0..size, 4096..BLOCK + 4096, BLOCK..2 * BLOCK, 512..512, 512..size - 512] {
            let disk = SimDisk::new(1);
            let directory = Directory { storage: disk.storage() };
            let file = directory.storage.create("a").expect("works");
            file.allocate(size).expect("works");
            file.sync_all().expect("works");
            directory.sync().expect("works");
            let bytes: Vec<u8> = (0..size).map(|at| (at / 512 % 251) as u8 + 1).collect();
            directory.write(&*file, "a", &bytes, 0).expect("works");
            disk.set_plan(FaultPlan::new(Fault::FailedSync(FailedSync::Lost)));
            file.sync_data().expect_err("fails once");
            drop(file);
            rewrite(&directory, "a", range.clone()).expect("works");
            let left = disk.crash(&Crash::LoseAll).read_file("a").expect("is there");
            let expected = |at: usize| if range.contains(&(at as u64)) { bytes[at] } else { 0 };
            let other = (0..size as usize).find(|at| left[*at] != expected(*at));
            assert_eq!(other, None, "{range:?}");
        }
    }
}
