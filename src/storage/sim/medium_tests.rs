//! What a medium does wrong without a word, what it does by itself, and that each decision has its own
//! random numbers.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;
use crate::storage::{Access, File, write_all_at};

const SECTOR: usize = SECTOR_SIZE as usize;

fn disk_with(bytes: &[u8]) -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new(1);
    disk.keep_versions();
    disk.write_file("a", bytes);
    let file = disk.storage().open("a", Access::ReadWrite).expect("it is there");
    (disk, file)
}

fn read(file: &dyn File, count: usize, offset: u64) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let count = file.read_at(&mut bytes, offset).expect("readable");
    bytes.truncate(count);
    bytes
}

fn durable(disk: &SimDisk, name: &str) -> Vec<u8> {
    disk.crash(&Crash::LoseAll).read_file(name).expect("named")
}

#[test]
fn a_stale_read_delivers_one_sector_as_it_was() {
    let (disk, file) = disk_with(&[b'0'; 3 * SECTOR]);
    for version in *b"12" {
        write_all_at(&*file, &[version; SECTOR + 100], SECTOR_SIZE).expect("write");
        file.sync_data().expect("sync");
    }
    let stale = |sector, back| {
        disk.set_plan(FaultPlan::new(Fault::StaleRead { sector, back }));
        let bytes = read(&*file, 2 * SECTOR, 600);
        let effect = disk.strikes().last().expect("it struck").has_effect;
        // The end of the second sector; the head of the third, and what lies behind the write.
        ([bytes[0], bytes[SECTOR], bytes[2 * SECTOR - 89]].map(char::from), effect)
    };
    assert_eq!(stale(0, 0), (['2', '2', '0'], false), "the newest version is the right one");
    assert_eq!(stale(0, 1), (['1', '2', '0'], true));
    assert_eq!(stale(2, 1), (['1', '2', '0'], true), "modulo the sectors that are read");
    assert_eq!(stale(0, 2), (['0', '2', '0'], true));
    assert_eq!(stale(1, 9), (['2', '0', '0'], true), "as old as is known");
    assert_eq!(read(&*file, 1, 600), b"2", "once");
    disk.set_plan(FaultPlan::new(Fault::StaleRead { sector: 1, back: 2 }));
    assert_eq!(file.map(3 * 512).expect("map")[600], b'0', "a map too");
    assert_eq!(disk.read_file("a").expect("named")[600], b'2');
}

#[test]
fn a_misdirected_read_delivers_another_sector() {
    let (disk, file) = disk_with(&[b'a'; 2 * SECTOR]);
    disk.write_file("b", &[[b'b'; SECTOR], [b'c'; SECTOR]].concat());
    let misdirected = |from| {
        disk.set_plan(FaultPlan::new(Fault::MisdirectedRead { sector: 1, from }));
        let bytes = read(&*file, SECTOR, 100);
        assert_eq!(bytes[..SECTOR - 100], [b'a'; SECTOR - 100]);
        assert!(bytes[SECTOR - 100..].iter().all(|byte| *byte == bytes[SECTOR - 1]));
        (char::from(bytes[SECTOR - 1]), disk.strikes().last().expect("it struck").has_effect)
    };
    let found = [0, 1, 2, 3, 7].map(misdirected);
    assert_eq!(found, [('a', false), ('a', false), ('b', true), ('c', true), ('c', true)]);
}

#[test]
fn a_bad_sector_heals_by_itself_or_by_a_write() {
    let (disk, file) = disk_with(&[b'o'; 4 * SECTOR]);
    assert!(disk.spoil_sector("a", 600, 2) && !disk.spoil_sector("b", 0, 1));
    let mut buffer = [0; 100];
    file.read_at(&mut buffer, 0).expect("another sector");
    for _ in 0..2 {
        let outcome = file.read_at(&mut buffer, 500);
        assert_eq!(outcome.expect_err("unreadable").kind(), ErrorKind::Other);
    }
    file.read_at(&mut buffer, 500).expect("it has healed");
    disk.spoil_sector("a", 600, u64::MAX);
    assert!(disk.snapshot().storage().open("a", Access::Read).expect("open").map(2048).is_err());
    let image = disk.crash(&Crash::LoseAll);
    let image_file = image.storage().open("a", Access::Read).expect("open");
    assert!(image_file.read_at(&mut buffer, 1000).is_err(), "a loss of power heals nothing");
    write_all_at(&*file, b"x", 1023).expect("write");
    assert_eq!(read(&*file, 1, 1023), b"x", "a write heals it");
}

#[test]
fn a_dropped_write_is_seen_until_the_cache_forgets_it() {
    let (disk, file) = disk_with(b"old");
    disk.set_plan(FaultPlan::new(Fault::DroppedWrite));
    write_all_at(&*file, b"new, and longer", 0).expect("reported as done");
    file.sync_data().expect("the lie goes on");
    assert_eq!(read(&*file, 3, 0), b"new");
    assert_eq!(durable(&disk, "a"), b"old\0\0\0\0\0\0\0\0\0\0\0\0", "the length is another write");
    let strikes = disk.strikes();
    assert_eq!((strikes.len(), strikes[0].kind), (1, CallKind::Write));
    disk.drop_caches();
    assert_eq!(read(&*file, 3, 0), b"old");
}

#[test]
fn a_misdirected_write_overwrites_another_place() {
    let (disk, file) = disk_with(&[b'a'; 2 * SECTOR]);
    disk.write_file("b", &[b'b'; 2 * SECTOR]);
    disk.set_plan(FaultPlan::new(Fault::MisdirectedWrite(3)));
    write_all_at(&*file, &[b'n'; 2 * SECTOR], 0).expect("reported as done");
    file.sync_data().expect("the lie goes on");
    assert_eq!(disk.read_file("b").expect("named"), [b'b'; 2 * SECTOR], "cached");
    disk.drop_caches();
    assert_eq!(disk.read_file("a").expect("named"), [b'a'; 2 * SECTOR]);
    let found = disk.read_file("b").expect("named");
    assert_eq!(found, [[b'b'; SECTOR], [b'n'; SECTOR]].concat(), "as far as the file goes");
    assert_eq!(durable(&disk, "b"), found);
}

#[test]
fn a_cache_that_is_dropped_shows_what_a_failed_sync_lost() {
    let (disk, file) = disk_with(b"old");
    write_all_at(&*file, b"lost", 0).expect("write");
    disk.set_plan(FaultPlan::new(Fault::FailedSync(FailedSync::Lost)));
    assert!(file.sync_data().is_err());
    write_all_at(&*file, &[b'p'; 3], 600).expect("write");
    assert_eq!(read(&*file, 4, 0), b"lost");
    disk.drop_caches();
    assert_eq!(read(&*file, 4, 0), b"old\0");
    assert_eq!(read(&*file, 4, 600), b"ppp", "what is pending is not forgotten");
    assert_eq!(file.size().expect("open"), 603);
}

#[test]
fn a_length_that_survives_may_show_old_blocks() {
    let (disk, file) = disk_with(b"old");
    let storage = disk.storage();
    write_all_at(&*file, &[b'n'; 3], 2000).expect("write");
    let noisy = Crash::Choose(&|_, effect| match effect.kind {
        EffectKind::Length { .. } => Fate::NoisyLength(7),
        _ => Fate::Kept,
    });
    let bytes = disk.crash(&noisy).read_file("a").expect("named");
    assert_eq!((&bytes[..3], &bytes[2000..]), (&b"old"[..], &b"nnn"[..]));
    assert!(bytes[3..1536].iter().filter(|byte| **byte != 0).count() > 1500, "noise");
    assert!(bytes[1536..2000].iter().all(|byte| *byte == 0), "written, as a part of its sector");
    assert!(storage.list().is_ok());
    let mut hostile = Hostile::USUAL;
    let count = |hostile| {
        let is_noisy = |seed| {
            let bytes = disk.crash(&Crash::Hostile(seed, hostile)).read_file("a").expect("named");
            bytes.len() > 3 && bytes[3..bytes.len().min(1536)].iter().any(|byte| *byte != 0)
        };
        (0..300).filter(|seed| is_noisy(*seed)).count()
    };
    assert!(count(hostile) > 5, "{}", count(hostile));
    hostile.stale_blocks = false;
    assert_eq!(count(hostile), 0);
}

/// A few calls, most of which leave something pending.
fn scribble(disk: &SimDisk) -> BTreeSet<String> {
    let storage = disk.storage();
    let file = storage.create("a").expect("create");
    for round in 0..20 {
        write_all_at(&*file, &[round; 700], u64::from(round) * 300).expect("write");
        drop(storage.create(&round.to_string()).expect("create"));
    }
    storage.list().expect("list").into_iter().take(5).collect()
}

#[test]
fn write_back_between_calls_is_recorded_and_has_its_own_random_numbers() {
    let run = |seed, percent| {
        let disk = SimDisk::new(9);
        disk.record();
        disk.write_back_between_calls(seed, percent);
        let names = scribble(&disk);
        let recording = disk.take_recording();
        let calls = disk.calls() as usize;
        (names, disk.storage().unique_id(), recording.len() - calls, disk)
    };
    let (names, id, extra, calm) = run(1, 0);
    assert_eq!(extra, 0);
    let mut hashes = BTreeSet::new();
    for seed in 0..5 {
        let (same_names, same_id, extra, disk) = run(seed, 40);
        assert_eq!((&same_names, same_id), (&names, id), "nothing else is shifted");
        assert!((5..35).contains(&extra), "{extra} write-backs are snapshots too");
        assert!(disk.pending_effects() < calm.pending_effects());
        assert_eq!(disk.image_hash(), calm.image_hash(), "programs see no difference");
        assert_eq!(run(seed, 40).3.trace_hash(), disk.trace_hash());
        hashes.insert(disk.trace_hash());
    }
    assert_eq!(hashes.len(), 5);
}

#[test]
fn one_more_decision_shifts_no_other() {
    let fates = |is_named: bool| {
        let (disk, file) = disk_with(&[b'o'; 8 * SECTOR]);
        write_all_at(&*file, &[b'n'; 8 * SECTOR], 0).expect("write");
        if is_named {
            disk.storage().create("b").expect("create");
        }
        let image = |seed| {
            let bytes = disk.crash(&Crash::Random(seed)).read_file("a").expect("named");
            bytes.chunks(SECTOR).map(|sector| sector[0]).collect::<Vec<_>>()
        };
        (0..50).map(image).collect::<Vec<_>>()
    };
    assert_eq!(fates(false), fates(true), "one more name does not shift the data");
    let hostile = |stale_blocks| {
        let (disk, file) = disk_with(&[b'o'; SECTOR]);
        write_all_at(&*file, &[b'n'; 2 * SECTOR], 0).expect("write");
        let hostile = Hostile { stale_blocks, ..Hostile::USUAL };
        let image = |seed| {
            let image = disk.crash(&Crash::Hostile(seed, hostile));
            image.read_file("a").expect("named")[..SECTOR].to_vec()
        };
        (0..50).map(image).collect::<Vec<_>>()
    };
    assert!(hostile(false) == hostile(true), "nor does one more way to be hostile");
}

#[test]
fn each_kind_of_error_strikes_and_is_noted() {
    use ErrorKind::{Interrupted, Other, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    for error in [Other, StorageFull, QuotaExceeded, ReadOnlyFilesystem, Interrupted] {
        let (disk, file) = disk_with(b"abc");
        disk.set_plan(FaultPlan::new(Fault::Error(error)).after(1).times(2));
        let outcomes = [
            file.size().err().map(|error| error.kind()),
            file.write_at(b"x", 0).err().map(|error| error.kind()),
            file.sync_all().err().map(|error| error.kind()),
            disk.storage().remove("a").err().map(|error| error.kind()),
        ];
        assert_eq!(outcomes, [None, Some(error), Some(error), None]);
        let strikes = disk.strikes();
        let kinds: Vec<_> = strikes.iter().map(|strike| (strike.call, strike.kind)).collect();
        assert_eq!(kinds, [(3, CallKind::Write), (4, CallKind::SyncAll)]);
        assert_eq!(strikes[0].file, "a");
    }
}
