//! Each rule of the simulated disk.

use std::collections::BTreeSet;

use super::*;
use crate::storage::{Access, File, write_all_at};

/// A disk on which the file "a" is durable with these bytes, and the file opened.
fn disk_with(bytes: &[u8]) -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new(1);
    disk.write_file("a", bytes);
    let file = disk.storage().open("a", Access::ReadWrite).expect("it is there");
    (disk, file)
}

fn after(disk: &SimDisk, crash: &Crash<'_>) -> Option<Vec<u8>> {
    disk.crash(crash).read_file("a")
}

#[test]
fn a_name_is_lost_until_the_directory_is_synced() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    let file = storage.create("a").expect("create");
    write_all_at(&*file, b"x", 0).expect("write");
    file.sync_all().expect("sync");
    assert_eq!(after(&disk, &Crash::LoseAll), None);
    assert_eq!(after(&disk, &Crash::KeepAll).as_deref(), Some(&b"x"[..]));
    storage.sync_directory().expect("sync");
    assert_eq!(after(&disk, &Crash::LoseAll).as_deref(), Some(&b"x"[..]));
    assert_eq!(disk.pending_effects(), 0);
}

#[test]
fn a_friendly_disk_keeps_the_name_of_a_synced_new_file() {
    let disk = SimDisk::new(1);
    disk.set_friendly(true);
    let storage = disk.storage();
    let file = storage.create("a").expect("create");
    storage.create("other").expect("create");
    file.sync_data().expect("sync");
    let names = |disk: &SimDisk| disk.crash(&Crash::LoseAll).file_names();
    assert_eq!(names(&disk), ["a"]);
    storage.rename("a", "b").expect("rename");
    file.sync_data().expect("sync");
    assert_eq!(names(&disk), ["a"], "a rename is not a creation");
    storage.sync_directory().expect("sync");
    assert_eq!(names(&disk), ["b", "other"]);
}

#[test]
fn a_directory_sync_does_not_sync_data_nor_a_file_sync_other_files() {
    let disk = SimDisk::new(1);
    let storage = disk.storage();
    let [a, b] = ["a", "b"].map(|name| storage.create(name).expect("create"));
    for file in [&a, &b] {
        write_all_at(&**file, b"x", 0).expect("write");
    }
    storage.sync_directory().expect("sync");
    b.sync_data().expect("sync");
    let image = disk.crash(&Crash::LoseAll);
    assert_eq!(image.read_file("a").expect("named"), b"");
    assert_eq!(image.read_file("b").expect("named"), b"x");
}

#[test]
fn each_sector_is_lost_or_kept_by_itself() {
    let (disk, file) = disk_with(&[b'o'; 2048]);
    write_all_at(&*file, &[b'n'; 1500], 100).expect("write");
    assert_eq!(disk.pending_effects(), 4);
    let mut seen = BTreeSet::new();
    for bits in 0..16 {
        let bytes = after(&disk, &Crash::Bits(bits)).expect("named");
        for (sector, part) in bytes.chunks(512).enumerate() {
            let is_new = part[200] == b'n' || part[50] == b'n';
            assert_eq!(is_new, bits >> sector & 1 == 1, "{bits:b} {sector}");
        }
        assert!(bytes[..100].iter().all(|byte| *byte == b'o'));
        assert!(bytes[1600..].iter().all(|byte| *byte == b'o'));
        seen.insert(bytes);
    }
    assert_eq!(seen.len(), 16);
    file.sync_data().expect("sync");
    let bytes = after(&disk, &Crash::LoseAll).expect("named");
    assert_eq!(&bytes[100..1600], &[b'n'; 1500]);
}

#[test]
fn a_later_version_of_a_sector_has_the_earlier_one_in_it() {
    let (disk, file) = disk_with(&[b'o'; 512]);
    write_all_at(&*file, b"1", 1).expect("write");
    write_all_at(&*file, b"2", 2).expect("write");
    let versions = [(0, "ooo"), (1, "o1o"), (2, "o12"), (3, "o12")];
    for (bits, wanted) in versions {
        let bytes = after(&disk, &Crash::Bits(bits)).expect("named");
        assert_eq!(&bytes[..3], wanted.as_bytes(), "{bits:b}");
    }
}

#[test]
fn length_and_data_survive_apart() {
    let (disk, file) = disk_with(b"old");
    write_all_at(&*file, b"new", 3).expect("write");
    let is_length = |effect: &PendingEffect| matches!(effect.kind, EffectKind::Length { .. });
    let length_only = after(&disk, &Crash::Subset(&|_, effect| is_length(effect)));
    assert_eq!(length_only.expect("named"), b"old\0\0\0");
    let data_only = after(&disk, &Crash::Subset(&|_, effect| !is_length(effect)));
    assert_eq!(data_only.expect("named"), b"old");
    let image = disk.crash(&Crash::Subset(&|_, effect| !is_length(effect)));
    let grown = image.storage().open("a", Access::ReadWrite).expect("open");
    grown.set_size(6).expect("grow");
    let found = image.read_file("a").expect("named");
    assert_eq!(found, b"old\0\0\0", "what the length hid is gone");
    let between = |_: usize, effect: &PendingEffect| match effect.kind {
        EffectKind::Length { .. } => Fate::Length(5),
        _ => Fate::Kept,
    };
    assert_eq!(after(&disk, &Crash::Choose(&between)).expect("named"), b"oldne");
    file.sync_data().expect("sync");
    assert_eq!(after(&disk, &Crash::LoseAll).expect("named"), b"oldnew");
}

#[test]
fn a_cut_is_pending_and_does_not_come_back_once_a_later_length_survives() {
    let (disk, file) = disk_with(b"123456");
    file.set_size(2).expect("cut");
    file.set_size(6).expect("grow");
    let versions: [(u64, &[u8]); 4] =
        [(0, b"123456"), (1, b"12"), (2, b"12\0\0\0\0"), (3, b"12\0\0\0\0")];
    for (bits, wanted) in versions {
        assert_eq!(after(&disk, &Crash::Bits(bits)).expect("named"), wanted, "{bits:b}");
    }
}

#[test]
fn names_survive_in_any_subset() {
    let disk = SimDisk::new(1);
    disk.write_file("old", b"old");
    disk.write_file("gone", b"gone");
    let storage = disk.storage();
    storage.create("new").expect("create");
    storage.rename("new", "old").expect("rename");
    storage.remove("gone").expect("remove");
    assert_eq!(disk.file_names(), ["old"]);
    let mut images = BTreeSet::new();
    for bits in 0..8 {
        let image = disk.crash(&Crash::Bits(bits));
        assert_eq!(image.file_names().contains(&"gone".to_owned()), bits & 4 == 0);
        let is_replaced = image.read_file("old").expect("never gone") == b"";
        assert_eq!(is_replaced, bits & 2 != 0, "{bits:b}");
        images.insert(image.file_names());
    }
    assert_eq!(images.len(), 4);
    let split = |fate| {
        disk.crash(&Crash::Choose(&move |number, _| {
            if number == 1 { fate } else { Fate::Kept }
        }))
    };
    assert_eq!(split(Fate::BothNames).file_names(), ["new", "old"]);
    assert_eq!(split(Fate::NeitherName).read_file("old").expect("the former"), b"old");
}

#[test]
fn prefixes_drops_and_single_effects() {
    let (disk, file) = disk_with(&[b'o'; 3 * 512]);
    for sector in 0..3 {
        write_all_at(&*file, b"n", sector * 512).expect("write");
    }
    let kept = |crash| {
        let bytes = after(&disk, &crash).expect("named");
        [0, 512, 1024].map(|at| bytes[at] == b'n')
    };
    assert_eq!(kept(Crash::Prefix(2)), [true, true, false]);
    assert_eq!(kept(Crash::Drop(1)), [true, false, true]);
    assert_eq!(kept(Crash::OnlyKeep(1)), [false, true, false]);
    assert_eq!(kept(Crash::KeepAll), [true; 3]);
    assert_eq!(kept(Crash::LoseAll), [false; 3]);
    let pending = disk.pending();
    assert_eq!(pending[1].to_string(), "a: 1 bytes at 512");
    assert!(pending[2].in_flight && !pending[1].in_flight);
}

#[test]
fn the_write_in_flight_tears_at_every_byte() {
    let (disk, file) = disk_with(b"1234");
    write_all_at(&*file, b"ab", 0).expect("write");
    disk.set_plan(FaultPlan::new(Fault::PowerLoss).on(&[CallKind::Write]));
    let bytes: Vec<u8> = (0..1000).map(|byte| (byte % 250) as u8 + 1).collect();
    assert!(file.write_at(&bytes, 3).is_err());
    assert_eq!(disk.bytes_in_flight(), 1000);
    for count in 0..=1000 {
        let mut wanted = b"ab34".to_vec();
        wanted.truncate(3 + usize::from(count == 0));
        wanted.extend(&bytes[..count]);
        assert_eq!(after(&disk, &Crash::Torn(count as u64)).expect("named"), wanted);
    }
}

#[test]
fn torn_points_are_those_of_different_images() {
    let (disk, file) = disk_with(&[7; 1500]);
    file.sync_data().expect("works");
    let bytes: Vec<u8> = (0..1000).map(|byte| if byte % 3 == 0 { 8 } else { 7 }).collect();
    write_all_at(&*file, &bytes, 100).expect("write");
    let points = disk.torn_points();
    let wanted: Vec<u64> = (0..=1000).filter(|count| *count == 0 || count % 3 == 1).collect();
    assert_eq!(points, wanted);
    let images: Vec<Vec<u8>> =
        points.iter().map(|at| after(&disk, &Crash::Torn(*at)).expect("named")).collect();
    assert!(images.windows(2).all(|pair| pair[0] != pair[1]));
    write_all_at(&*file, b"new", 1499).expect("write");
    assert_eq!(disk.torn_points(), [0, 1, 2, 3], "each byte is a length as well");
}

#[test]
fn power_loss_at_the_nth_call_ends_everything() {
    let run = |plan: Option<u64>| {
        let disk = SimDisk::new(3);
        if let Some(n) = plan {
            disk.set_plan(FaultPlan::new(Fault::PowerLoss).after(n));
        }
        let storage = disk.storage();
        let outcome = (|| {
            let file = storage.create("a")?;
            write_all_at(&*file, b"x", 0)?;
            file.sync_data()?;
            storage.sync_directory()
        })();
        assert_eq!(outcome.is_err(), plan.is_some());
        assert_eq!(disk.is_off(), plan.is_some());
        assert_eq!(storage.list().is_err(), plan.is_some(), "off means off");
        disk
    };
    assert_eq!(run(None).calls(), 5);
    let counts: Vec<usize> = (0..4).map(|n| run(Some(n)).pending_effects()).collect();
    assert_eq!(counts, [1, 3, 3, 1], "a sync cut short has done nothing");
    assert_eq!(after(&run(Some(3)), &Crash::KeepAll).expect("named"), b"x");
}

#[test]
fn random_crashes_reach_every_outcome_and_repeat() {
    let (disk, file) = disk_with(&[b'o'; 1024]);
    write_all_at(&*file, &[b'n'; 600], 1000).expect("write");
    disk.storage().rename("a", "b").expect("rename");
    let mut images = BTreeSet::new();
    let mut sizes = BTreeSet::new();
    for seed in 0..400 {
        let image = disk.crash(&Crash::Random(seed));
        assert_eq!(image.image_hash(), disk.crash(&Crash::Random(seed)).image_hash());
        let bytes = image.read_file("a").or_else(|| image.read_file("b")).expect("named");
        assert!(bytes[..1000].iter().all(|byte| *byte == b'o'));
        assert!(bytes[1000..].iter().all(|byte| b"on\0".contains(byte)));
        sizes.insert(bytes.len());
        images.insert(image.image_hash());
    }
    assert!(images.len() > 40, "{}", images.len());
    assert!(sizes.len() > 20 && sizes.contains(&1024) && sizes.contains(&1600));
}

#[test]
fn hostile_crashes_do_what_they_may_and_nothing_else() {
    let (disk, file) = disk_with(&[b'o'; 512]);
    write_all_at(&*file, &[b'n'; 100], 200).expect("write");
    let outcomes = |hostile| {
        let mut found = [false; 3];
        for seed in 0..500 {
            let bytes = after(&disk, &Crash::Hostile(seed, hostile)).expect("named");
            let [outside, inside] =
                [[&bytes[..200], &bytes[300..]].concat(), bytes[200..300].to_vec()];
            let new = inside.iter().take_while(|byte| **byte == b'n').count();
            let is_torn = new % 100 != 0 && inside[new..].iter().all(|byte| *byte == b'o');
            let is_noise = inside.iter().any(|byte| !b"on".contains(byte));
            let is_whole_noise = outside.iter().any(|byte| *byte != b'o');
            found[0] |= is_torn;
            found[1] |= is_noise && !is_whole_noise;
            found[2] |= is_whole_noise;
        }
        found
    };
    assert_eq!(outcomes(Hostile::ALL), [true; 3]);
    assert_eq!(outcomes(Hostile::USUAL), [true, true, false]);
    let mut hostile = Hostile::USUAL;
    hostile.garbage = false;
    assert_eq!(outcomes(hostile), [true, false, false]);
    hostile.torn_sectors = false;
    assert_eq!(outcomes(hostile), [false; 3]);
}

#[test]
fn a_snapshot_is_independent_and_has_no_owners() {
    let (disk, file) = disk_with(b"old");
    let storage = disk.storage();
    let _lock = storage.lock("LOCK", true).expect("lock");
    write_all_at(&*file, b"new", 0).expect("write");
    let copy = disk.snapshot();
    assert_eq!(copy.pending_effects(), disk.pending_effects());
    write_all_at(&*file, b"later", 0).expect("write");
    disk.storage().remove("LOCK").expect("remove");
    assert_eq!(copy.read_file("a").expect("named"), b"new");
    assert_eq!(after(&copy, &Crash::LoseAll).expect("named"), b"old");
    copy.storage().lock("LOCK", false).expect("nobody holds it");
    let copy = copy.crash(&Crash::KeepAll);
    copy.storage().lock("LOCK", false).expect("nobody holds it");
}

#[test]
fn a_recording_has_the_disk_after_each_call() {
    let (disk, file) = disk_with(b"old");
    disk.record();
    write_all_at(&*file, b"new", 0).expect("write");
    file.sync_data().expect("sync");
    disk.write_back(1);
    let images = disk.take_recording();
    let calls: Vec<u64> = images.iter().map(SimDisk::calls).collect();
    assert_eq!(calls, [2, 3, 3]);
    let found = |image| after(image, &Crash::LoseAll).expect("named");
    assert_eq!([found(&images[0]), found(&images[1])], [b"old", b"new"]);
    assert!(images[0].pending()[0].in_flight);
}

#[test]
fn same_calls_same_trace() {
    let run = |seed, bytes: &[u8]| {
        let disk = SimDisk::new(seed);
        for number in 0..8 {
            disk.write_file(&number.to_string(), b"");
        }
        let file = disk.storage().create("a").expect("create");
        write_all_at(&*file, bytes, 0).expect("write");
        let names = disk.storage().list().expect("list");
        (names, disk.storage().unique_id(), disk.trace_hash())
    };
    assert_eq!(run(1, b"x"), run(1, b"x"));
    assert_ne!(run(1, b"x").0, run(2, b"x").0, "the order is shuffled");
    assert_ne!(run(1, b"x").1, run(2, b"x").1);
    assert_ne!(run(1, b"x").2, run(1, b"y").2);
}

#[test]
fn an_unlinked_file_lives_while_it_is_open() {
    let (disk, file) = disk_with(b"abc");
    let storage = disk.storage();
    storage.remove("a").expect("remove");
    assert_eq!(file.size().expect("still open"), 3);
    assert_eq!(after(&disk, &Crash::LoseAll).expect("not yet removed"), b"abc");
    storage.sync_directory().expect("sync");
    assert_eq!(after(&disk, &Crash::LoseAll), None);
    write_all_at(&*file, b"x", 0).expect("write");
    drop(file);
    assert_eq!(disk.pending_effects(), 0, "nobody can see it any more");
}

#[test]
fn the_disk_is_edited_from_outside_durably() {
    let (disk, _file) = disk_with(b"abc");
    disk.storage().create("pending").expect("create");
    assert!(disk.flip_bit("a", 9));
    assert!(!disk.flip_bit("a", 24) && !disk.flip_bit("b", 0));
    assert!(disk.rename("a", "b") && !disk.rename("a", "b"));
    disk.write_file("c", b"c");
    assert!(disk.remove_file("c") && !disk.remove_file("c"));
    let image = disk.crash(&Crash::LoseAll);
    assert_eq!(image.file_names(), ["b", "pending"]);
    assert_eq!(image.read_file("b").expect("named"), b"a`c");
    assert_eq!(disk.calls(), 2, "the opening and the creation only");
}
