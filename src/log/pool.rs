//! Files that wait to become segments: recycled ones, since overwriting blocks written before is far cheaper
//! to sync than growing a file; and the reserve, so that acknowledgements, checkpoints and the close
//! succeed on a full disk.

use std::io;
use std::sync::Arc;

use super::directory::{DRAFT, Directory, Kept};
use super::segment::{PAGE, SegmentHeader, segment_name};
use super::start::read_page;
use crate::storage::{Access, File, StorageError};

/// What a segment on the last room is where its record is smaller, unless whole segments are.
const SEGMENT_ON_LAST_ROOM: u64 = 64 << 10;
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
            let Some(kept) = self.adopt_one(Kept::Reserve, name)? else { continue };
            mark!(P4);
            self.reserves.push(kept);
        }
        for name in spares {
            let Some(kept) = self.adopt_one(Kept::Spare, name)? else { continue };
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

    /// `None` for one that is a segment as well.
    fn adopt_one(&mut self, kind: Kept, name: &str) -> Result<Option<KeptFile>, StorageError> {
        if !self.is_only(name, kind.number_in(name)) {
            mark!(P25);
            return Ok(None);
        }
        let file = self.directory.open(name, Access::Read)?;
        let size = self.directory.size(&*file, name)?;
        self.count(size);
        Ok(Some(KeptFile { name: name.to_string(), size, settled: true }))
    }

    /// Whether a file that waits, or is to, is not a segment by another name as well. After a failed sync of
    /// the directory a rename may be lost that is still shown; renamed on from there, a file has two names
    /// after a loss of power. The header of the segment that it became tells of a higher number than
    /// `number`, which its name has. Such a file is left alone, even its name: to take away the one of two
    /// names that a file system believes in would give its blocks away. So is one that cannot be read.
    fn is_only(&self, name: &str, number: u64) -> bool {
        let Ok(page) = read_page(&self.directory, name) else {
            return false;
        };
        let is_first = |header: SegmentHeader| header.number <= number;
        planted!(SecondNameUsed) || SegmentHeader::decode(&page).map_or(true, is_first)
    }

    /// Whether the reserve is complete. While it is not, puts are refused: what is left is for acks.
    pub(crate) fn is_reserve_complete(&self) -> bool {
        planted!(ReserveForPuts) || self.fitting() >= RESERVES
    }

    /// Reserve files that are as large as they are to be.
    fn fitting(&self) -> usize {
        self.reserves.iter().filter(|kept| kept.size >= self.reserve_size).count()
    }

    /// Bytes of the whole reserve, and how many of these it lacks.
    pub(crate) fn reserve(&self) -> (u64, u64) {
        let mut sizes: Vec<u64> = self.reserves.iter().map(|kept| kept.size).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.resize(RESERVES, 0);
        let lacks = sizes.iter().map(|size| self.reserve_size.saturating_sub(*size));
        (self.reserve_size * RESERVES as u64, lacks.sum())
    }

    /// A file for segment `number` of `needed` bytes, and of `desired` where there is room for that. `None`
    /// when the disk is full; then nothing is used. The reserve is used only when `for_puts` is false.
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

    /// Makes the names of waiting files durable that are not, so that no segment has to wait for that.
    pub(crate) fn settle_waiting(&mut self) -> Result<(), StorageError> {
        let mut waiting = self.spares.iter().chain(&self.reserves);
        if waiting.any(|kept| !kept.settled) { self.settle() } else { Ok(()) }
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
        let whole = desired.max(needed);
        if let Some(kept) = self.pick(Kept::Spare, whole) {
            mark!(P16);
            return self.rename(kept, number).map(Some);
        }
        // Where there is no room for a whole segment half of what is left will do. So the last room takes few
        // segments, and not one for each record. What a quota leaves the system does not tell: a little more
        // than is needed is tried as well.
        let left = self.directory.storage.available_space().unwrap_or(0) / 2;
        let smaller = (left.min(whole) / PAGE * PAGE).max(needed);
        let small = needed.max(SEGMENT_ON_LAST_ROOM).min(smaller);
        let mut sizes = vec![whole, smaller, small, needed];
        sizes.dedup();
        for size in sizes {
            if let Some(prepared) = self.allocate(&segment_name(number), size)? {
                mark!(P17);
                return Ok(Some(prepared));
            }
        }
        if let Some(kept) = self.pick(Kept::Spare, needed) {
            mark!(P16);
            return self.rename(kept, number).map(Some);
        }
        if (!for_puts || planted!(ReserveForPuts))
            && let Some(kept) = self.pick(Kept::Reserve, needed)
        {
            mark!(P18);
            return self.rename(kept, number).map(Some);
        }
        // Spares are all too small, and may together make room.
        while self.drop_spare()? {
            if let Some(prepared) = self.allocate(&segment_name(number), needed)? {
                mark!(P17);
                return Ok(Some(prepared));
            }
        }
        mark!(P24);
        Ok(None)
    }

    /// Removes a spare; false when there is none.
    fn drop_spare(&mut self) -> Result<bool, StorageError> {
        let Some(kept) = self.spares.pop() else { return Ok(false) };
        mark!(P22);
        self.uncount(kept.size);
        self.directory.remove(&kept.name)?;
        Ok(true)
    }

    /// Takes out the smallest waiting file of at least `size` bytes.
    fn pick(&mut self, kind: Kept, size: u64) -> Option<KeptFile> {
        let files = match kind {
            Kept::Spare => &mut self.spares,
            Kept::Reserve => &mut self.reserves,
        };
        let suits = (0..files.len()).filter(|index| files[*index].size >= size);
        let smallest = suits.min_by_key(|index| files[*index].size)?;
        Some(files.remove(smallest))
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
        if !self.is_only(&name, number) {
            mark!(P25);
            self.uncount(size);
            return Ok(());
        }
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
        self.forget(&kept_name);
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

    /// Stops counting on a waiting file whose name is about to be another's. No log names two files alike,
    /// but one may have been put here from elsewhere.
    fn forget(&mut self, name: &str) {
        let mut gone = 0;
        for files in [&mut self.spares, &mut self.reserves] {
            files.retain(|kept| {
                let stays = kept.name != name;
                gone += if stays { 0 } else { kept.size };
                stays
            });
        }
        self.uncount(gone);
    }

    /// How large a reserve file is to be.
    pub(crate) fn reserve_size(&self) -> u64 {
        self.reserve_size
    }

    /// Notes how large a reserve file is to be, without making any.
    pub(crate) fn plan_reserve(&mut self, size: u64) {
        self.reserve_size = size.next_multiple_of(PAGE);
    }

    /// Sees to it that the reserve is complete, with files of at least `size` bytes, as far as the disk has
    /// room. `unique` makes part of their names.
    pub(crate) fn replenish(&mut self, size: u64, unique: u64) -> Result<(), StorageError> {
        self.plan_reserve(size);
        if self.is_reserve_complete() {
            return Ok(());
        }
        let mut created = false;
        let mut turn = 0;
        while self.fitting() < RESERVES {
            let name = loop {
                let name = Kept::Reserve.new_name(unique, self.reserve_size, turn);
                turn += 1;
                if self.reserves.iter().all(|kept| kept.name != name) {
                    break name;
                }
            };
            if self.grow_misfit(&name)? || self.add_reserve(&name)? {
                created = true;
            } else if !self.drop_spare()? && !self.trim()? {
                break;
            }
        }
        if created {
            self.settle()?;
        }
        self.drop_excess()
    }

    fn add_reserve(&mut self, name: &str) -> Result<bool, StorageError> {
        let has_place = self.reserves.len() < RESERVES;
        if !has_place {
            return Ok(false);
        }
        let Some(prepared) = self.allocate(name, self.reserve_size)? else { return Ok(false) };
        let (name, size) = (name.to_string(), prepared.capacity);
        self.reserves.push(KeptFile { name, size, settled: false });
        Ok(true)
    }

    /// Makes a reserve file that is too small larger, as `name`. It is a draft meanwhile, as a new one is
    /// until its size is synced: a crash costs the file, and leaves its room.
    fn grow_misfit(&mut self, name: &str) -> Result<bool, StorageError> {
        let Some(place) = self.reserves.iter().position(|kept| kept.size < self.reserve_size)
        else {
            return Ok(false);
        };
        let more = self.reserve_size - self.reserves[place].size;
        if self.directory.storage.available_space().is_ok_and(|left| left < more) {
            return Ok(false);
        }
        if !self.reserves[place].settled {
            self.settle()?;
        }
        let draft = format!("{DRAFT}{name}");
        let old = self.reserves[place].name.clone();
        let file = self.directory.open(&old, Access::ReadWrite)?;
        self.directory.rename(&old, &draft)?;
        // It is renamed again below.
        if !planted!(UnsettledRename) {
            self.directory.sync()?;
        }
        let grown = match file.allocate(self.reserve_size) {
            Ok(()) => true,
            Err(error) if is_full(&error) => false,
            Err(error) => return Err(self.directory.error(&draft, "allocate", error)),
        };
        let kept_name = if grown { name } else { &old };
        if grown {
            mark!(P26);
            file.sync_all().map_err(|error| self.directory.error(&draft, "sync", error))?;
        }
        self.directory.rename(&draft, kept_name)?;
        let kept = &mut self.reserves[place];
        let before = kept.size;
        kept.settled = false;
        if grown {
            kept.name = name.to_string();
            kept.size = self.reserve_size;
            self.disk_bytes += self.reserve_size - before;
        }
        Ok(grown)
    }

    /// Cuts a reserve file that is larger than it need be: on a full disk another may want for what it has
    /// too much.
    fn trim(&mut self) -> Result<bool, StorageError> {
        let size = self.reserve_size;
        let Some(kept) = self.reserves.iter_mut().find(|kept| kept.size > size) else {
            return Ok(false);
        };
        mark!(P27);
        let file = self.directory.open(&kept.name, Access::ReadWrite)?;
        file.set_size(size).map_err(|error| self.directory.error(&kept.name, "cut", error))?;
        let excess = kept.size - size;
        kept.size = size;
        self.uncount(excess);
        Ok(true)
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

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};

    const SIZE: u64 = 64 << 10;

    fn pool(disk: &SimDisk) -> Pool {
        Pool::new(Directory { storage: disk.storage() }, SIZE)
    }

    /// Has a segment of the given size, that was in use, recycled.
    fn recycle(disk: &SimDisk, pool: &mut Pool, number: u64, size: u64) {
        disk.write_file(&segment_name(number), &vec![0; size as usize]);
        pool.count(size);
        pool.recycle(number).expect("works");
    }

    fn names(disk: &SimDisk, prefix: &str) -> usize {
        disk.file_names().iter().filter(|name| name.starts_with(prefix)).count()
    }

    fn bytes(disk: &SimDisk) -> u64 {
        let size = |name: &String| disk.read_file(name).map_or(0, |bytes| bytes.len() as u64);
        disk.file_names().iter().map(size).sum()
    }

    #[test]
    fn i12_what_is_kept_is_three_for_the_reserve_and_two_for_segments() {
        let disk = SimDisk::new(1);
        let mut pool = pool(&disk);
        pool.plan_reserve(SIZE);
        for number in 1..=8 {
            recycle(&disk, &mut pool, number, SIZE);
        }
        assert_eq!((names(&disk, "reserve-"), names(&disk, "spare-")), (3, 2));
        assert_eq!(pool.disk_bytes(), bytes(&disk));
        pool.replenish(SIZE, 9).expect("works");
        assert_eq!(
            (names(&disk, "reserve-"), names(&disk, "spare-")),
            (3, 2),
            "nothing is missing"
        );
        pool.replenish(2 * SIZE, 9).expect("works");
        assert_eq!((names(&disk, "reserve-"), names(&disk, "spare-")), (3, 2), "all three grow");
        assert_eq!(pool.disk_bytes(), bytes(&disk));
    }

    /// I5: otherwise a crash could leave it with two names, and both would be found and used. Here the sync
    /// fails that has to come first, so nothing else may have been done.
    #[test]
    fn i5_a_waiting_file_is_not_renamed_before_the_name_it_has_is_durable() {
        let disk = SimDisk::new(1);
        let mut pool = pool(&disk);
        recycle(&disk, &mut pool, 1, SIZE);
        let waiting = disk.file_names();
        let fault = Fault::Error(io::ErrorKind::Other);
        disk.set_plan(FaultPlan::new(fault).on(&[CallKind::SyncDirectory]));
        assert!(pool.obtain(2, SIZE, SIZE, false).is_err());
        assert_eq!(disk.file_names(), waiting);
    }

    /// Found by fuzzing two directories mixed: counted twice, it was missed when it was wanted again.
    #[test]
    fn a_file_from_elsewhere_gives_its_name_up() {
        let disk = SimDisk::new(1);
        let mut pool = pool(&disk);
        pool.plan_reserve(SIZE);
        let there = [Kept::Reserve.name(4), Kept::Spare.name(8)];
        there.iter().for_each(|name| disk.write_file(name, &vec![0; SIZE as usize]));
        pool.adopt(&there[1..], &there[..1]).expect("works");
        for number in [4, 5, 6, 8, 7] {
            recycle(&disk, &mut pool, number, SIZE);
        }
        assert_eq!(pool.disk_bytes(), bytes(&disk));
        disk.set_capacity(Some(bytes(&disk)));
        let mut number = 10;
        while pool.obtain(number, SIZE, SIZE, false).expect("nothing is missed").is_some() {
            number += 1;
        }
        assert_eq!((number, names(&disk, "reserve-"), names(&disk, "spare-")), (15, 0, 0));
    }

    #[test]
    fn i8_files_too_small_for_the_reserve_are_better_than_none_but_no_more_than_three() {
        let disk = SimDisk::new(1);
        let mut pool = pool(&disk);
        pool.plan_reserve(2 * SIZE);
        for number in 1..=8 {
            recycle(&disk, &mut pool, number, SIZE / 2);
        }
        assert_eq!((names(&disk, "reserve-"), names(&disk, "spare-")), (3, 0));
        assert!(!pool.is_reserve_complete());
        assert_eq!(pool.reserve(), (6 * SIZE, 6 * SIZE - 3 * (SIZE / 2)));
        pool.replenish(2 * SIZE, 9).expect("works");
        assert!(pool.is_reserve_complete());
        assert_eq!(pool.reserve(), (6 * SIZE, 0));
        assert_eq!((names(&disk, "reserve-"), bytes(&disk)), (3, 6 * SIZE));
        assert_eq!(pool.disk_bytes(), bytes(&disk));
    }

    #[test]
    fn i8_what_the_reserve_has_too_much_makes_room_on_a_full_disk() {
        let disk = SimDisk::new(1);
        let mut pool = pool(&disk);
        pool.plan_reserve(SIZE);
        for number in 1..=2 {
            recycle(&disk, &mut pool, number, 2 * SIZE);
        }
        disk.set_capacity(Some(4 * SIZE));
        pool.replenish(SIZE, 3).expect("works");
        assert!(pool.is_reserve_complete());
        assert_eq!(pool.disk_bytes(), bytes(&disk));
    }

    #[test]
    fn no_room_is_no_error_and_anything_else_is() {
        for (kind, is_error) in [(io::ErrorKind::StorageFull, false), (io::ErrorKind::Other, true)]
        {
            for call in [CallKind::Allocate, CallKind::Create] {
                let disk = SimDisk::new(1);
                let mut pool = pool(&disk);
                pool.plan_reserve(SIZE);
                disk.set_plan(FaultPlan::new(Fault::Error(kind)).on(&[call]).sticky());
                let obtained = pool.obtain(1, SIZE, SIZE, true);
                assert_eq!(obtained.is_err(), is_error, "{call:?} {kind:?}");
                assert!(obtained.is_err() || disk.file_names().is_empty(), "and nothing is left");
                assert_eq!(pool.replenish(SIZE, 1).is_err(), is_error);
                assert!(!pool.is_reserve_complete());
                assert_eq!(pool.reserve(), (3 * SIZE, 3 * SIZE), "all of it is missing");
            }
            let disk = SimDisk::new(1);
            let mut pool = pool(&disk);
            pool.plan_reserve(2 * SIZE);
            recycle(&disk, &mut pool, 1, SIZE);
            // Once: after no room for growth there may be some for another file.
            disk.set_plan(FaultPlan::new(Fault::Error(kind)).on(&[CallKind::Allocate]));
            assert_eq!(pool.replenish(2 * SIZE, 2).is_err(), is_error, "growing one");
        }
    }

    /// One sync of the directory for all that wait, and none when each has its name already.
    #[test]
    fn waiting_files_are_settled_once() {
        let disk = SimDisk::new(1);
        let mut pool = pool(&disk);
        pool.plan_reserve(SIZE);
        let settle = |pool: &mut Pool| {
            let calls = disk.calls();
            pool.settle_waiting().expect("works");
            disk.calls() - calls
        };
        assert_eq!(settle(&mut pool), 0, "nothing waits");
        // The fourth is a spare.
        for numbers in [1..=2, 3..=3, 4..=4] {
            numbers.for_each(|number| recycle(&disk, &mut pool, number, SIZE));
            assert_eq!([settle(&mut pool), settle(&mut pool)], [1, 0]);
            assert_eq!(disk.pending_effects(), 0);
        }
    }

    /// Else it could have two names after a loss of power.
    #[test]
    fn i7_a_file_is_not_renamed_again_before_its_name_is_durable() {
        let disk = SimDisk::new(1);
        let mut pool = pool(&disk);
        pool.plan_reserve(2 * SIZE);
        recycle(&disk, &mut pool, 1, SIZE);
        let kept = Kept::Reserve.name(1);
        assert!(disk.file_names().contains(&kept));
        let fault = Fault::Error(io::ErrorKind::Other);
        disk.set_plan(FaultPlan::new(fault).on(&[CallKind::SyncDirectory]));
        pool.replenish(2 * SIZE, 2).expect_err("its name cannot be made durable");
        assert!(disk.file_names().contains(&kept), "so it keeps it: {:?}", disk.file_names());
        // Nor between its draft and its name.
        let disk = SimDisk::new(1);
        let mut pool = self::pool(&disk);
        pool.plan_reserve(2 * SIZE);
        recycle(&disk, &mut pool, 1, SIZE);
        disk.set_plan(FaultPlan::new(fault).on(&[CallKind::SyncDirectory]).after(1));
        pool.replenish(2 * SIZE, 2).expect_err("the draft's name cannot be made durable");
        assert_eq!(names(&disk, DRAFT), 1, "{:?}", disk.file_names());
    }
}
