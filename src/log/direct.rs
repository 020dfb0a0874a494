//! Writing the whole blocks of a large record past the system's cache.
//!
//! What the record shares a block with, before it and behind it, goes through the cache as ever, and its last
//! block is filled up with zeros, which are no record. So a direct write holds new bytes only, nothing that
//! counts is written twice, and the two ways never meet in one block before a sync.

use std::io::ErrorKind;
use std::sync::Arc;

use super::stream::Pieces;
use crate::storage::{Access, DIRECT_BLOCK, File, StorageError};

const BLOCK: u64 = DIRECT_BLOCK as u64;

/// How the segment being written is written past the cache.
#[derive(Default)]
pub(super) enum Direct {
    /// It was not tried in this segment yet.
    #[default]
    Untried,
    /// Through this description.
    Open(Arc<dyn File>),
    /// The file system or the device refuses.
    Refused,
}

/// Memory at an address that is a multiple of a block, used again and again.
#[derive(Default)]
pub(super) struct Aligned(Vec<u8>);

impl Aligned {
    fn of(&mut self, bytes: &[u8]) -> &[u8] {
        if self.0.len() < bytes.len() + DIRECT_BLOCK {
            self.0 = vec![0; bytes.len() + DIRECT_BLOCK];
        }
        let start = self.0.as_ptr().align_offset(DIRECT_BLOCK);
        let place = &mut self.0[start..start + bytes.len()];
        place.copy_from_slice(bytes);
        place
    }
}

impl Pieces<'_> {
    /// Writes a record at `offset` of a segment that has room for whole blocks.
    pub(super) fn write_direct(
        &self,
        bytes: &[u8],
        offset: u64,
        direct: &mut Direct,
        memory: &mut Aligned,
    ) -> Result<(), StorageError> {
        let end = offset + bytes.len() as u64;
        let (first, last) = (offset.next_multiple_of(BLOCK), end / BLOCK * BLOCK);
        if first >= last {
            return self.write(bytes, offset);
        }
        let (head, rest) = bytes.split_at((first - offset) as usize);
        let (middle, tail) = rest.split_at((last - first) as usize);
        // What has the header comes last: a crash before leaves no record. Else the blocks come first, since
        // writing them lets go of what the cache holds of them, and of what is in one piece with it.
        if head.is_empty() {
            self.write_filled_up(tail, last)?;
        }
        if !self.write_past_cache(middle, first, direct, memory)? {
            return self.write(bytes, offset);
        }
        if !head.is_empty() {
            self.write_filled_up(tail, last)?;
        }
        self.write(head, offset)
    }

    /// Writes all of the last block: for a part of it the system would have to read the rest first.
    fn write_filled_up(&self, tail: &[u8], offset: u64) -> Result<(), StorageError> {
        let mut block = [0; DIRECT_BLOCK];
        block[..tail.len()].copy_from_slice(tail);
        if tail.is_empty() { Ok(()) } else { self.write(&block, offset) }
    }

    /// False, and nothing is written, where that is refused.
    fn write_past_cache(
        &self,
        blocks: &[u8],
        offset: u64,
        direct: &mut Direct,
        memory: &mut Aligned,
    ) -> Result<bool, StorageError> {
        if matches!(direct, Direct::Untried) {
            *direct = match self.directory.storage.open(self.name, Access::Direct) {
                Ok(file) => Direct::Open(file),
                Err(error) if is_refusal(error.kind()) => Direct::Refused,
                Err(error) => return Err(self.directory.error(self.name, "open", error)),
            };
        }
        let Direct::Open(file) = &*direct else {
            return Ok(false);
        };
        match self.directory.write(&**file, self.name, memory.of(blocks), offset) {
            // Some refuse only when the first write comes. It has written nothing.
            Err(error) if is_refusal(error.kind()) => {
                *direct = Direct::Refused;
                Ok(false)
            }
            outcome => outcome.map(|()| true),
        }
    }
}

/// Whether it means that there are no direct writes.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::writer::tests::{append, encoded_size, log_of, payloads};
    use super::*;
    use crate::storage::sim::{CallKind, Crash, Fault, FaultPlan, SimDisk};

    const SEGMENT: u64 = 16 << 20;
    const LARGE: usize = 128 << 10;

    /// However it lies in its blocks, and whatever comes before and behind it.
    #[test]
    fn i1_i2_a_record_past_the_cache_is_there_whole_when_it_is_synced() {
        let disk = SimDisk::new(1);
        let log = log_of(&disk, SEGMENT, true);
        let mut all = Vec::new();
        for size in [10, LARGE, 4000, LARGE + 8, LARGE, 5, 2 * LARGE - 40, LARGE + 4096, 100] {
            for sizes in [&[size][..], &[size, 20], &[30, size]] {
                let group = append(&log, sizes);
                log.sync(&group).expect("works");
                all.push((group, sizes.to_vec()));
            }
            let image = disk.crash(&Crash::LoseAll);
            for (group, sizes) in &all {
                let found = payloads(&image, &log, group);
                assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), *sizes);
                assert!(found.iter().flatten().all(|byte| *byte == 7));
            }
        }
    }

    /// The blocks, what lies before them and what lies behind; and once the opening.
    #[test]
    fn it_takes_three_calls_at_most() {
        let disk = SimDisk::new(1);
        let log = log_of(&disk, SEGMENT, true);
        let calls = |size: usize| {
            let before = disk.calls();
            append(&log, &[size]);
            disk.calls() - before
        };
        assert_eq!(calls(encoded_size(LARGE) - 8), 1, "it is not large");
        assert_eq!(calls(encoded_size(LARGE)), 4);
        assert_eq!(calls(encoded_size(LARGE)), 3);
        let end = log.end().0 as usize % DIRECT_BLOCK;
        assert_eq!(calls(encoded_size(LARGE + DIRECT_BLOCK - end)), 2, "it ends with a block");
        assert_eq!(calls(encoded_size(LARGE + 8)), 2, "it begins with one");
    }

    /// Whichever write of it fails: there is no record, and nothing is written after (I7).
    #[test]
    fn i2_its_header_comes_last() {
        for failing in 0..3 {
            let disk = SimDisk::new(1);
            let log = log_of(&disk, SEGMENT, true);
            append(&log, &[LARGE]);
            let before = disk.read_file("00000000000000000001.seg").expect("is there");
            let plan = FaultPlan::new(Fault::Error(ErrorKind::Other)).on(&[CallKind::Write]);
            disk.set_plan(plan.after(failing));
            let (calls, begin) = (disk.calls(), log.end());
            assert!(super::super::writer::tests::try_append(&log, &[LARGE]).is_err());
            assert_eq!((disk.calls() - calls, log.end()), (failing + 1, begin));
            let after = disk.read_file("00000000000000000001.seg").expect("is there");
            let header = begin.0 as usize + 4096..begin.0 as usize + 4096 + 40;
            assert!(after[header.clone()] == before[header], "write {failing}");
        }
    }

    /// When the file is opened, or when the first write comes: it is tried once in a segment, and done
    /// without.
    #[test]
    fn where_it_is_refused_all_goes_through_the_cache() {
        for kind in [ErrorKind::InvalidInput, ErrorKind::Unsupported] {
            for call in [CallKind::Open, CallKind::Write] {
                let disk = SimDisk::new(1);
                let log = log_of(&disk, SEGMENT, true);
                disk.set_plan(FaultPlan::new(Fault::Error(kind)).on(&[call]));
                let groups = [LARGE, LARGE + 50].map(|size| append(&log, &[size]));
                assert_eq!(disk.strikes().len(), 1);
                for (group, size) in groups.iter().zip([LARGE, LARGE + 50]) {
                    assert_eq!(payloads(&disk, &log, group), [vec![7; size]]);
                }
                let calls = disk.calls();
                append(&log, &[LARGE]);
                assert_eq!(disk.calls() - calls, 1, "as a small one");
            }
        }
    }
}
