//! Files that wait to become segments: recycled ones, since overwriting blocks written before is far cheaper
//! to sync than growing a file; and the reserve, so that acknowledgements, checkpoints and the close
//! succeed on a full disk.

use std::io;
use std::sync::Arc;

use super::directory::{DRAFT, Directory, Kept};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::start::read_page;
use crate::storage::{Access, File, StorageError};

/// Recycled files kept for future segments.
const SPARES: usize = 2;
/// Files in reserve. Two take turns: a full one is free again as soon as the state at the head of the other
/// stands for all it holds. The third is for the first opening after a crash on a full disk, which carries
/// events over into one that stays until they are taken.
const RESERVES: usize = 3;

struct KeptFile {
    name: String,
    size: u64,
    /// The name is durable. Renaming a file again before that could, on a file system that keeps no order
    /// among names, leave it with two: the old one and the newest. Both would be found after a crash, taken
    /// for two files, and used for two segments.
    settled: bool,
}

/// The waiting files.
pub(crate) struct Pool {
    directory: Directory,
    spares: Vec<KeptFile>,
    reserves: Vec<KeptFile>,
    segment_size: u64,
    reserve_size: u64,
    /// Bytes of all files of the log, waiting or not.
    disk_bytes: u64,
}

/// A file that becomes a segment.
pub(crate) struct Prepared {
    pub(crate) file: Arc<dyn File>,
    pub(crate) capacity: u64,
}

impl Pool {
    pub(crate) fn new(directory: Directory, segment_size: u64) -> Pool {
        Pool {
            directory,
            spares: Vec::new(),
            reserves: Vec::new(),
            segment_size,
            reserve_size: 0,
            disk_bytes: 0,
        }
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// Counts a file that is in use.
    pub(crate) fn count(&mut self, bytes: u64) {
        self.disk_bytes += bytes;
    }

    /// Stops counting bytes that were cut off a file.
    pub(crate) fn uncount(&mut self, bytes: u64) {
        self.disk_bytes = self.disk_bytes.saturating_sub(bytes);
    }

    /// Takes in the waiting files an earlier opening left. Their names are durable.
    pub(crate) fn adopt(
        &mut self,
        spares: &[String],
        reserves: &[String],
    ) -> Result<(), StorageError> {
        for name in reserves {
            mark!(P4);
            let kept = self.adopt_one(name)?;
            self.reserves.push(kept);
        }
        for name in spares {
            let kept = self.adopt_one(name)?;
            if kept.size == self.segment_size {
                mark!(P5);
                self.spares.push(kept);
            } else {
                // Of an earlier opening with another segment size: it would only take the place of one that
                // fits.
                mark!(P6);
                self.uncount(kept.size);
                self.directory.remove(name)?;
            }
        }
        Ok(())
    }

    fn adopt_one(&mut self, name: &str) -> Result<KeptFile, StorageError> {
        let file = self.directory.open(name, Access::Read)?;
        let size = self.directory.size(&*file, name)?;
        self.count(size);
        Ok(KeptFile { name: name.to_string(), size, settled: true })
    }

    /// Whether the reserve is complete. While it is not, puts are refused: what is left is for acks.
    pub(crate) fn is_reserve_complete(&self) -> bool {
        planted!(ReserveForPuts) || self.fitting() >= RESERVES
    }

    /// Reserve files that are as large as they are to be.
    fn fitting(&self) -> usize {
        self.reserves.iter().filter(|kept| kept.size >= self.reserve_size).count()
    }

    /// A file for segment `number` of `needed` bytes, and of `desired` where there is room for that. `None`
    /// when the disk is full; then nothing has changed. The reserve is used only when `for_puts` is false.
    /// The new name is durable.
    pub(crate) fn obtain(
        &mut self,
        number: u64,
        needed: u64,
        desired: u64,
        for_puts: bool,
    ) -> Result<Option<Prepared>, StorageError> {
        let prepared = self.find(number, needed, desired, for_puts)?;
        if prepared.is_some() {
            self.settle()?;
        }
        Ok(prepared)
    }

    /// Makes all names durable.
    fn settle(&mut self) -> Result<(), StorageError> {
        if !planted!(NoSegmentNameSync) {
            self.directory.sync()?;
        }
        for kept in self.spares.iter_mut().chain(&mut self.reserves) {
            kept.settled = true;
        }
        Ok(())
    }

    fn find(
        &mut self,
        number: u64,
        needed: u64,
        desired: u64,
        for_puts: bool,
    ) -> Result<Option<Prepared>, StorageError> {
        let spare = |kept: &KeptFile| kept.size >= desired.max(needed);
        if let Some(kept) = self.pick(Kept::Spare, &spare) {
            mark!(P16);
            return self.rename(kept, number).map(Some);
        }
        // Where there is no room for a whole segment half of what is left will do. So the last room takes few
        // segments, and not one for each record.
        let whole = desired.max(needed);
        let left = self.directory.storage.available_space().unwrap_or(0) / 2;
        let smaller = (left.min(whole) / PAGE * PAGE).max(needed);
        let sizes = [Some(whole), Some(smaller).filter(|size| *size < whole)];
        for size in sizes.into_iter().flatten() {
            if let Some(prepared) = self.allocate(&segment_name(number), size)? {
                mark!(P17);
                return Ok(Some(prepared));
            }
        }
        if (!for_puts || planted!(ReserveForPuts))
            && let Some(kept) = self.pick(Kept::Reserve, &|kept| kept.size >= needed)
        {
            mark!(P18);
            return self.rename(kept, number).map(Some);
        }
        mark!(P24);
        Ok(None)
    }

    /// Takes out the first waiting file that suits and is nothing but that.
    fn pick(&mut self, kind: Kept, suits: &dyn Fn(&KeptFile) -> bool) -> Option<KeptFile> {
        loop {
            let files = match kind {
                Kept::Spare => &mut self.spares,
                Kept::Reserve => &mut self.reserves,
            };
            let kept = files.remove(files.iter().position(suits)?);
            if self.is_free(kind, &kept) || planted!(SecondNameUsed) {
                return Some(kept);
            }
            mark!(P25);
            self.uncount(kept.size);
        }
    }

    /// Whether a waiting file is not a segment as well. After a failed sync of the directory a rename may be
    /// lost that is still shown; renamed on from there, a file has two names after a loss of power. The
    /// header of the segment that it became tells of a higher number than its old name. Such a file is left
    /// alone, even its name: to take away the one of two names that a file system believes in would give its
    /// blocks away. So is one that cannot be read.
    fn is_free(&self, kind: Kept, kept: &KeptFile) -> bool {
        let Ok(page) = read_page(&self.directory, &kept.name) else {
            return false;
        };
        SegmentHeader::decode(&page)
            .map_or(true, |header| header.number <= kind.number_in(&kept.name))
    }

    fn rename(&mut self, kept: KeptFile, number: u64) -> Result<Prepared, StorageError> {
        if !kept.settled && !planted!(UnsettledRename) {
            mark!(P15);
            self.settle()?;
        }
        let name = segment_name(number);
        self.directory.rename(&kept.name, &name)?;
        let file = self.directory.open(&name, Access::ReadWrite)?;
        Ok(Prepared { file, capacity: kept.size })
    }

    /// Creates a file with all its blocks; `None` when the disk has no room, and then no file is left.
    ///
    /// It gets its name only when its size is synced. Otherwise a sync that fails could leave a file that
    /// shows its full size in the cache and has none on the disk, and the next opening would use it.
    fn allocate(&mut self, name: &str, size: u64) -> Result<Option<Prepared>, StorageError> {
        let draft = format!("{DRAFT}{name}");
        let file = match self.directory.storage.create(&draft) {
            Ok(file) => file,
            Err(error) if is_full(&error) => return Ok(None),
            Err(error) => return Err(self.directory.error(&draft, "create", error)),
        };
        match file.allocate(size) {
            Ok(()) => {
                if !planted!(NameBeforeSize) {
                    file.sync_all().map_err(|error| self.directory.error(&draft, "sync", error))?;
                }
                self.directory.rename(&draft, name)?;
                self.disk_bytes += size;
                Ok(Some(Prepared { file, capacity: size }))
            }
            Err(error) => {
                drop(file);
                self.directory.remove(&draft)?;
                match is_full(&error) {
                    true => Ok(None),
                    false => Err(self.directory.error(&draft, "allocate", error)),
                }
            }
        }
    }

    /// Takes in the file of a segment that nothing needs any more: kept under another name if it is of use,
    /// removed otherwise. Neither need be durable at once: after a crash the file is found again as a segment
    /// that the state does not list, and comes here again.
    pub(crate) fn recycle(&mut self, number: u64) -> Result<(), StorageError> {
        let name = segment_name(number);
        let Some(file) = self.directory.open_if_there(&name, Access::Read)? else {
            return Ok(());
        };
        let size = self.directory.size(&*file, &name)?;
        drop(file);
        // A file too small for the reserve as it is to be now, after an opening with larger limits, is better
        // than none: an opening after a crash on a full disk needs it. A larger one takes its place.
        let for_reserve = match size >= self.reserve_size {
            true => size <= self.reserve_size * 2 && self.fitting() < RESERVES,
            false => self.reserves.len() < RESERVES,
        };
        let kept = if for_reserve {
            Kept::Reserve
        } else if self.spares.len() < SPARES && size == self.segment_size {
            Kept::Spare
        } else {
            mark!(P21);
            self.uncount(size);
            return self.directory.remove(&name);
        };
        let kept_name = kept.name(number);
        self.directory.rename(&name, &kept_name)?;
        let file = KeptFile { name: kept_name, size, settled: false };
        match kept {
            Kept::Reserve => {
                mark!(P19);
                self.reserves.push(file);
            }
            Kept::Spare => {
                mark!(P20);
                self.spares.push(file);
            }
        }
        Ok(())
    }

    /// How large a reserve file is to be.
    pub(crate) fn reserve_size(&self) -> u64 {
        self.reserve_size
    }

    /// Notes how large a reserve file is to be, without making any.
    pub(crate) fn plan_reserve(&mut self, size: u64) {
        self.reserve_size = size.max(2 * PAGE).next_multiple_of(PAGE);
    }

    /// Sees to it that two files of at least `size` bytes are in reserve, as far as the disk has room.
    /// `unique` makes part of their names.
    pub(crate) fn replenish(&mut self, size: u64, unique: u64) -> Result<(), StorageError> {
        self.plan_reserve(size);
        if self.is_reserve_complete() {
            return Ok(());
        }
        let mut created = false;
        for turn in 0..(2 * RESERVES + SPARES) as u64 {
            if self.fitting() >= RESERVES {
                break;
            }
            let name = Kept::Reserve.new_name(unique, self.reserve_size, turn);
            if self.reserves.iter().any(|kept| kept.name == name) {
                continue;
            }
            let Some(prepared) = self.allocate(&name, self.reserve_size)? else {
                // On a full disk a spare is of no use before the reserve is there: no put may use it.
                let spare = self.pick(Kept::Spare, &|_| true);
                let Some(kept) = spare.or_else(|| self.pop_misfit()) else { break };
                mark!(P22);
                self.uncount(kept.size);
                self.directory.remove(&kept.name)?;
                continue;
            };
            self.reserves.push(KeptFile { name, size: prepared.capacity, settled: false });
            created = true;
        }
        if created {
            self.settle()?;
        }
        self.drop_excess()
    }

    /// Takes out a reserve file that is too small, when without such files there is room for one that fits.
    /// An opening on a full disk leaves them: it cuts the old end short, and that comes here. Kept for good,
    /// they would refuse puts for good.
    fn pop_misfit(&mut self) -> Option<KeptFile> {
        let is_misfit = |kept: &KeptFile| kept.size < self.reserve_size;
        let misfits = self.reserves.iter().filter(|kept| is_misfit(kept));
        let held: u64 = misfits.map(|kept| kept.size).sum();
        // Unknown room is none: a small file is better than no file.
        let free = self.directory.storage.available_space().unwrap_or(0);
        let place = self.reserves.iter().position(is_misfit)?;
        (free + held >= self.reserve_size).then(|| self.reserves.remove(place))
    }

    /// Removes reserve files that larger ones have replaced.
    fn drop_excess(&mut self) -> Result<(), StorageError> {
        while self.reserves.len() > RESERVES {
            let smallest = (0..self.reserves.len()).min_by_key(|index| self.reserves[*index].size);
            let Some(index) = smallest else { break };
            mark!(P23);
            let kept = self.reserves.remove(index);
            self.uncount(kept.size);
            self.directory.remove(&kept.name)?;
        }
        Ok(())
    }
}

/// Whether an error says that the disk, or what this process may use of the system, is used up: nothing is
/// wrong with what has been written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    /// Too many open files, in the system and in the process; the standard library has no kind for them.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
