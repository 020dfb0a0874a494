//! Each fault of the simulated disk, and its limits.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;
use crate::storage::{Access, File, read_full_at, write_all_at};

/// A disk on which the file "a" is durable with these bytes, and the file opened.
fn disk_with(bytes: &[u8]) -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new(1);
    disk.write_file("a", bytes);
    let file = disk.storage().open("a", Access::ReadWrite).expect("it is there");
    (disk, file)
}

fn kind<T>(outcome: io::Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

fn durable(disk: &SimDisk) -> Vec<u8> {
    let image = disk.crash(&Crash::LoseAll);
    image.read_file("a").expect("named")
}

fn fail_sync(disk: &SimDisk, file: &dyn File, how: FailedSync) -> Option<ErrorKind> {
    write_all_at(file, b"new!", 0).expect("write");
    disk.set_plan(FaultPlan::new(Fault::FailedSync(how)));
    let outcome = kind(file.sync_data());
    assert!(!disk.has_plan_left());
    assert_eq!(disk.pending_effects(), 0, "{how:?}");
    assert_eq!(durable(disk), b"old", "{how:?}");
    outcome
}

#[test]
fn a_failed_sync_loses_data_that_stays_visible() {
    for (how, error) in
        [(FailedSync::Lost, ErrorKind::Other), (FailedSync::NoSpace, ErrorKind::StorageFull)]
    {
        let (disk, file) = disk_with(b"old");
        let other = disk.storage().open("a", Access::Read).expect("open");
        assert_eq!(fail_sync(&disk, &*file, how), Some(error));
        assert_eq!(kind(other.sync_data()), Some(ErrorKind::Other), "each description, once");
        other.sync_data().expect("told");
        assert_eq!(disk.read_file("a").expect("named"), b"new!");
        file.sync_data().expect("the next one succeeds");
        assert_eq!(durable(&disk), b"old", "and has not made up for it");
    }
}

#[test]
fn a_failed_sync_may_revert_what_is_read() {
    let (disk, file) = disk_with(b"old");
    let error = fail_sync(&disk, &*file, FailedSync::Reverted);
    assert_eq!(error, Some(ErrorKind::Other));
    assert_eq!(disk.read_file("a").expect("named"), b"old");
    file.sync_data().expect("the next one succeeds");
}

#[test]
fn a_late_error_reaches_the_other_descriptions_once_each() {
    let (disk, file) = disk_with(b"old");
    let storage = disk.storage();
    let other = storage.open("a", Access::Read).expect("open");
    assert_eq!(fail_sync(&disk, &*file, FailedSync::Late), None);
    assert_eq!(disk.read_file("a").expect("named"), b"new!");
    let later = storage.open("a", Access::Read).expect("open");
    file.sync_data().expect("this one is never told");
    assert_eq!(kind(other.sync_data()), Some(ErrorKind::Other));
    assert_eq!(kind(later.sync_all()), Some(ErrorKind::Other), "nobody knew");
    let latest = storage.open("a", Access::Read).expect("open");
    for file in [&file, &other, &later, &latest] {
        file.sync_data().expect("told already, or too late to be told");
    }
}

#[test]
fn a_failed_write_back_is_told_to_everybody() {
    let (disk, file) = disk_with(b"old");
    let other = disk.storage().open("a", Access::Read).expect("open");
    write_all_at(&*file, b"new!", 0).expect("write");
    assert!(disk.fail_write_back("a") && !disk.fail_write_back("b"));
    assert_eq!(disk.read_file("a").expect("named"), b"new!");
    write_all_at(&*file, b"x", 600).expect("write");
    for file in [&file, &other] {
        assert_eq!(kind(file.sync_data()), Some(ErrorKind::Other));
        assert_eq!(durable(&disk), b"old", "a failed sync promises nothing");
    }
    file.sync_data().expect("told");
    assert_eq!(durable(&disk)[600], b'x');
    assert_eq!(&durable(&disk)[..4], b"old\0");
}

#[test]
fn a_failed_directory_sync_loses_names() {
    for how in [FailedSync::Lost, FailedSync::Reverted, FailedSync::NoSpace] {
        let (disk, _file) = disk_with(b"old");
        let storage = disk.storage();
        storage.rename("a", "b").expect("rename");
        disk.set_plan(FaultPlan::new(Fault::FailedSync(how)));
        assert!(storage.sync_directory().is_err());
        let is_reverted = how == FailedSync::Reverted;
        assert_eq!(disk.file_names(), [if is_reverted { "a" } else { "b" }]);
        storage.sync_directory().expect("the next one succeeds");
        assert_eq!(durable(&disk), b"old", "under the old name");
    }
}

#[test]
fn a_later_write_to_a_sector_brings_back_what_a_failed_sync_lost_there() {
    let (disk, file) = disk_with(b"old");
    fail_sync(&disk, &*file, FailedSync::Lost);
    write_all_at(&*file, b"?", 3).expect("write");
    file.sync_data().expect("sync");
    assert_eq!(durable(&disk), b"new", "the sector, though not the lost length");
}

#[test]
fn an_error_strikes_the_nth_call_of_its_kind_once_or_for_good() {
    for (error, is_sticky) in [
        (ErrorKind::Other, false),
        (ErrorKind::StorageFull, true),
        (ErrorKind::ReadOnlyFilesystem, true),
    ] {
        let (disk, file) = disk_with(b"");
        let plan = FaultPlan::new(Fault::Error(error)).on(&[CallKind::Write]).after(1);
        disk.set_plan(if is_sticky { plan.sticky() } else { plan });
        let outcomes = [0, 1, 2].map(|at| kind(file.write_at(b"x", at)));
        let last = is_sticky.then_some(error);
        assert_eq!(outcomes, [None, Some(error), last]);
        file.sync_data().expect("only writes are meant");
        let written = if is_sticky { &b"x"[..] } else { b"x\0x" };
        assert_eq!(durable(&disk), written, "a failed write did nothing");
    }
}

#[test]
fn every_kind_of_call_can_fail_before_or_after_its_work() {
    type Fails<'a> = &'a dyn Fn(&dyn Storage, &dyn File) -> bool;
    let calls: [(CallKind, Fails<'_>); 18] = [
        (CallKind::List, &|storage, _| storage.list().is_err()),
        (CallKind::Create, &|storage, _| storage.create("b").is_err()),
        (CallKind::Open, &|storage, _| storage.open("a", Access::Read).is_err()),
        (CallKind::Size, &|storage, _| storage.size_of("a").is_err()),
        (CallKind::Rename, &|storage, _| storage.rename("a", "b").is_err()),
        (CallKind::Remove, &|storage, _| storage.remove("a").is_err()),
        (CallKind::SyncDirectory, &|storage, _| storage.sync_directory().is_err()),
        (CallKind::Lock, &|storage, _| storage.lock("LOCK", true).is_err()),
        (CallKind::AvailableSpace, &|storage, _| storage.available_space().is_err()),
        (CallKind::Size, &|_, file| file.size().is_err()),
        (CallKind::Read, &|_, file| file.read_at(&mut [0], 0).is_err()),
        (CallKind::Write, &|_, file| file.write_at(b"x", 9).is_err()),
        (CallKind::SetSize, &|_, file| file.set_size(1).is_err()),
        (CallKind::Allocate, &|_, file| file.allocate(9999).is_err()),
        (CallKind::SyncData, &|_, file| file.sync_data().is_err()),
        (CallKind::SyncAll, &|_, file| file.sync_all().is_err()),
        (CallKind::Map, &|_, file| file.map(1).is_err()),
        (CallKind::WriteNote, &|storage, _| {
            storage.lock("LOCK", true).is_ok_and(|lock| lock.write_note("x").is_err())
        }),
    ];
    for (call, make) in calls {
        for fault in
            [Fault::Error(ErrorKind::Other), Fault::ErrorAfter(ErrorKind::Other), Fault::PowerLoss]
        {
            let (disk, file) = disk_with(b"abc");
            disk.set_plan(FaultPlan::new(fault).on(&[call]));
            assert!(make(&*disk.storage(), &*file), "{call:?} {fault:?}");
            assert!(!disk.has_plan_left(), "{call:?} {fault:?}");
            if fault != Fault::PowerLoss {
                let lock = disk.storage().lock("LOCK", true);
                lock.expect("a lock that was reported as failed is not held");
            }
        }
    }
}

#[test]
fn an_error_after_the_work_leaves_the_work() {
    let (disk, file) = disk_with(b"old");
    let plan = FaultPlan::new(Fault::ErrorAfter(ErrorKind::Other));
    disk.set_plan(plan.clone());
    assert!(disk.storage().rename("a", "b").is_err());
    assert_eq!(disk.file_names(), ["b"]);
    disk.set_plan(plan);
    assert!(file.write_at(b"new", 0).is_err());
    assert_eq!(disk.read_file("b").expect("named"), b"new");
}

#[test]
fn loops_above_finish_short_and_interrupted_calls() {
    let (disk, file) = disk_with(b"");
    disk.set_plan(FaultPlan::new(Fault::Short(3)).sticky());
    disk.add_plan(FaultPlan::new(Fault::Error(ErrorKind::Interrupted)).after(1));
    assert_eq!(file.write_at(b"12345", 0).expect("write"), 3);
    write_all_at(&*file, b"123456789", 1).expect("write");
    let mut buffer = [0; 20];
    assert_eq!(file.read_at(&mut buffer, 0).expect("read"), 3);
    assert_eq!(read_full_at(&*file, &mut buffer, 0).expect("read"), 10);
    assert_eq!(&buffer[..10], b"1123456789");

    disk.set_plan(FaultPlan::new(Fault::Error(ErrorKind::Interrupted)));
    assert_eq!(read_full_at(&*file, &mut buffer, 0).expect("read"), 10);
    disk.set_plan(FaultPlan::new(Fault::Error(ErrorKind::Interrupted)));
    write_all_at(&*file, b"x", 0).expect("write");
    assert!(!disk.has_plan_left());

    disk.set_plan(FaultPlan::new(Fault::Short(0)).sticky());
    let stuck = write_all_at(&*file, b"x", 0);
    assert_eq!(kind(stuck), Some(ErrorKind::WriteZero), "no endless loop");
}

#[test]
fn a_read_may_flip_a_bit() {
    let (disk, file) = disk_with(b"ab");
    disk.set_plan(FaultPlan::new(Fault::FlipBit(8)).sticky());
    let mut buffer = [0; 2];
    file.read_at(&mut buffer, 0).expect("read");
    assert_eq!(&buffer, b"ac");
    assert_eq!(&**file.map(2).expect("map"), b"ac");
    assert_eq!(disk.read_file("a").expect("named"), b"ab");
}

#[test]
fn write_back_makes_a_consistent_part_durable() {
    let mut images = BTreeSet::new();
    for seed in 0..300 {
        let (disk, file) = disk_with(&[b'o'; 1024]);
        let storage = disk.storage();
        write_all_at(&*file, b"1", 0).expect("write");
        file.set_size(0).expect("cut");
        write_all_at(&*file, b"2", 700).expect("write");
        write_all_at(&*file, b"3", 0).expect("write");
        write_all_at(&*file, b"4", 0).expect("write");
        storage.create("new").expect("create");
        storage.rename("new", "b").expect("rename");
        storage.remove("b").expect("remove");
        let seen = disk.read_file("a");
        disk.write_back(seed);
        assert_eq!(disk.read_file("a"), seen, "programs see no difference");
        images.insert(disk.crash(&Crash::LoseAll).image_hash());
        file.sync_data().expect("sync");
        storage.sync_directory().expect("sync");
        let image = disk.crash(&Crash::LoseAll);
        assert_eq!(image.read_file("a"), seen, "seed {seed}");
        assert_eq!(image.file_names(), ["a"], "seed {seed}");
    }
    assert!(images.len() > 10, "{}", images.len());
}

#[test]
fn a_full_disk_says_so() {
    let (disk, file) = disk_with(b"old");
    let storage = disk.storage();
    disk.set_capacity(Some(4 * 4096));
    assert_eq!(storage.available_space().expect("space"), 3 * 4096);
    assert_eq!(kind(file.set_size(5 * 4096)), Some(ErrorKind::StorageFull));
    file.allocate(2 * 4096).expect("it fits");
    assert_eq!(storage.available_space().expect("space"), 2 * 4096);
    write_all_at(&*file, &[1; 2 * 4096], 0).expect("reserved");
    assert_eq!(storage.available_space().expect("space"), 2 * 4096);
    let count = file.write_at(&[2; 5 * 4096], 4096).expect("a part of it");
    assert_eq!(count, 3 * 4096, "short");
    assert_eq!(kind(file.write_at(b"x", 4 * 4096)), Some(ErrorKind::StorageFull));
    write_all_at(&*file, &[3; 4 * 4096], 0).expect("overwriting needs no space");
    storage.remove("a").expect("remove");
    assert_eq!(storage.available_space().expect("space"), 0, "still open");
    drop(file);
    assert_eq!(storage.available_space().expect("space"), 4 * 4096);
}

#[test]
fn a_failed_allocation_may_keep_what_it_got() {
    let mut sizes = BTreeSet::new();
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        disk.set_capacity(Some(4 * 4096));
        let file = disk.storage().create("a").expect("create");
        assert_eq!(kind(file.allocate(5 * 4096)), Some(ErrorKind::StorageFull));
        sizes.insert(file.size().expect("size"));
        let left = disk.storage().available_space().expect("space");
        assert_eq!(left, 4 * 4096 - file.size().expect("size"));
        file.set_size(0).expect("cut");
        assert_eq!(disk.storage().available_space().expect("space"), 4 * 4096);
    }
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [0, 4 * 4096]);
}

#[test]
fn a_reservation_is_lost_apart_from_the_length() {
    let (disk, file) = disk_with(b"");
    disk.set_capacity(Some(4 * 4096));
    file.allocate(4 * 4096).expect("it fits");
    let is_reservation =
        |effect: &PendingEffect| matches!(effect.kind, EffectKind::Reservation { .. });
    let image = disk.crash(&Crash::Subset(&|_, effect| !is_reservation(effect)));
    let space = |disk: &SimDisk| disk.storage().available_space().expect("space");
    assert_eq!(image.read_file("a").expect("named").len(), 4 * 4096);
    assert_eq!(space(&image), 4 * 4096, "a hole");
    file.sync_data().expect("sync");
    assert_eq!(space(&disk.crash(&Crash::LoseAll)), 0);
}

#[test]
fn a_lock_is_exclusive_and_dies_with_its_owner() {
    let disk = SimDisk::new(1);
    let [one, other] = [disk.storage(), disk.storage()];
    assert_eq!(kind(one.lock("LOCK", false)), Some(ErrorKind::NotFound));
    let lock = one.lock("LOCK", true).expect("lock");
    lock.write_note("pid 123").expect("write_note");
    lock.write_note("pid 4").expect("write_note");
    assert_eq!(disk.read_file("LOCK").expect("named"), b"pid 4");
    assert_eq!(kind(other.lock("LOCK", true)), Some(ErrorKind::WouldBlock));
    other.lock("SECOND", true).expect("another file");
    disk.crash(&Crash::KeepAll).storage().lock("LOCK", false).expect("free");
    drop(lock);
    let lock = other.lock("LOCK", false).expect("free again");
    assert_eq!(kind(lock.write_note("x")), Some(ErrorKind::ReadOnlyFilesystem));
}

#[test]
fn calls_that_make_no_sense_are_refused() {
    let (disk, file) = disk_with(b"abc");
    let storage = disk.storage();
    let reader = storage.open("a", Access::Read).expect("open");
    assert!(reader.write_at(b"x", 0).is_err());
    assert!(reader.set_size(0).is_err());
    assert!(reader.allocate(9).is_err());
    assert_eq!(disk.pending_effects(), 0);
    assert_eq!(kind(storage.create("a")), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(storage.create("a/b")), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(storage.open("b", Access::Read)), Some(ErrorKind::NotFound));
    assert_eq!(kind(storage.remove("b")), Some(ErrorKind::NotFound));
    assert_eq!(kind(file.map(4)), Some(ErrorKind::UnexpectedEof));
    assert!(file.write_at(b"x", u64::MAX).is_err());
    assert_eq!(file.read_at(&mut [0], 3).expect("the end"), 0);
}
