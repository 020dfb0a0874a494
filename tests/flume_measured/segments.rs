//! Damage to whole files: segments removed, emptied, exchanged; capacities changed.

use flumen::storage::sim::SimDisk;
use flumen::{Channel, OpenError, PutError};

use crate::files::{cut, edit, flip, read, remove, segments, tail};
use crate::queue::*;
use crate::scene::*;

fn first(disk: &SimDisk) -> String {
    segments(disk).swap_remove(0)
}

/// Flume: refuses to start ("bad version"), or ignores the file. Our header page says what its .meta says.
#[test]
fn m14_segment_header_removed_or_damaged() {
    for (state, disk) in [("clean", clean()), ("killed", killed())] {
        let name = tail(&disk);
        for (what, range) in [("zeroed", 0..4096), ("magic", 0..8), ("numbers", 40..88)] {
            let image = disk.snapshot();
            edit(&image, &name, |bytes| bytes[range].fill(0));
            let damage = refusal(&image);
            assert_eq!(damage.file, name, "{state}, {what}: {damage}");
        }
        let name = first(&disk);
        flip(&disk, &name, 50);
        let channel = open(&disk, &unbuffered());
        let (taken, damage) = until_damage(&channel);
        assert_eq!(taken, [], "{state}");
        assert_eq!(damage.file, name, "{state}: {damage}");
    }
}

/// Flume: one byte of the stored position, and it starts empty, all 20 000 lost. Each byte of the header here.
#[test]
fn m15_every_byte_of_a_segment_header() {
    for disk in [clean(), killed()] {
        let name = tail(&disk);
        for offset in 0..4096 {
            let image = disk.snapshot();
            flip(&image, &name, offset);
            match try_open(&image, &unbuffered()) {
                Err(OpenError::Corrupt(damage)) => assert_eq!(damage.file, name),
                Err(OpenError::Unsupported { file, .. }) => {
                    assert!((8..16).contains(&offset) && file.ends_with(&name), "{file}");
                }
                other => panic!("byte {offset}: {:?}", other.map(|_| "opened")),
            }
        }
    }
}

/// Flume: starts, reuses the file's number, and delivers new events in the place of the lost ones.
#[test]
fn m16_segment_removed() {
    for disk in [clean(), killed()] {
        for name in segments(&disk) {
            let image = disk.snapshot();
            remove(&image, &name);
            let damage = refusal(&image);
            assert_eq!(damage.file, name, "{damage}");
            if name == first(&disk) {
                assert!(concerns(&damage, 0), "{damage}");
            }
        }
        let image = disk.snapshot();
        for name in segments(&disk) {
            remove(&image, &name);
        }
        refusal(&image);
    }
}

/// Flume: starts, shows all 20 000, and fails at the first take.
#[test]
fn m17_segment_truncated() {
    for disk in [clean(), killed()] {
        for name in segments(&disk) {
            let whole = read(&disk, &name).len();
            for size in [0, 1, 4095, 4096, 4097, 5000, 20_000, 50_000] {
                let image = disk.snapshot();
                cut(&image, &name, size);
                let damage = refusal(&image);
                assert_eq!(damage.file, name, "{damage}");
            }
            let image = disk.snapshot();
            edit(&image, &name, |bytes| bytes.resize(whole + 5000, 0));
            nothing_lost(&image, &format!("{name} is longer"));
        }
    }
}

/// As m16 and m17, with the checkpoints gone as well: what is missing is noticed by what is left.
#[test]
fn m16_segment_removed_and_checkpoints_too() {
    let disk = killed();
    for slot in crate::files::SLOTS {
        remove(&disk, slot);
    }
    let name = first(&disk);
    remove(&disk, &name);
    let damage = refusal(&disk);
    assert_eq!(damage.file, name, "{damage}");
    assert!(concerns(&damage, 0), "{damage}");
}

/// Flume: with directories exchanged, fine. A segment under another's name here is noticed.
#[test]
fn m18_segments_exchanged() {
    for disk in [clean(), killed()] {
        let (a, b) = (first(&disk), tail(&disk));
        let (first, last) = (read(&disk, &a), read(&disk, &b));
        disk.write_file(&a, &last);
        disk.write_file(&b, &first);
        let damage = refusal(&disk);
        assert!([a, b].contains(&damage.file), "{damage}");
    }
}

/// A segment of another channel, with the same numbers and sequences.
#[test]
fn m18_segment_of_another_channel() {
    let other = SimDisk::new(99);
    let channel = open(&other, &unbuffered());
    put_batches(&channel, &some(0..TOTAL), BATCH as usize);
    drop(channel);
    for name in segments(&clean()) {
        let disk = clean();
        disk.write_file(&name, &read(&other, &name));
        match try_open(&disk, &unbuffered()) {
            Err(OpenError::Corrupt(damage)) => assert_eq!(damage.file, name, "{damage}"),
            Err(other) => panic!("{other}"),
            Ok(channel) => {
                let (taken, damage) = until_damage(&channel);
                assert!(taken.len() < TOTAL as usize);
                assert_eq!(damage.file, name, "{damage}");
            }
        }
    }
}

/// Flume: raised, a full replay; lowered, a refusal to start.
#[test]
fn m19_capacity_raised_and_lowered() {
    for disk in [clean(), killed()] {
        for capacity in [TOTAL * 2, TOTAL, TOTAL - 1, 1] {
            let options = unbuffered().capacity_events(capacity);
            let image = disk.snapshot();
            let channel = open(&image, &options);
            let has_room = channel.begin_put().put(some(0..1).remove(0));
            match has_room {
                Ok(()) => assert!(capacity > TOTAL),
                Err(PutError::Full(_)) => assert!(capacity <= TOTAL),
                Err(other) => panic!("{other}"),
            }
            assert_eq!(drain(&channel), some(0..TOTAL), "capacity {capacity}");
            put(&channel, &some(0..1));
        }
    }
}

/// Flume with two directories, one emptied: starts with half of the events and no word. Everything here but the
/// segments is gone: still all there is. Everything but the checkpoints: refused.
#[test]
fn m20_half_of_the_files_gone() {
    let disk = killed();
    let image = disk.snapshot();
    for name in disk.file_names() {
        if !name.ends_with(".seg") {
            remove(&image, &name);
        }
    }
    nothing_lost(&image, "only segments are left");
    let image = disk.snapshot();
    for name in disk.file_names() {
        if !name.starts_with("checkpoint-") && name != "LOCK" {
            remove(&image, &name);
        }
    }
    let damage = refusal(&image);
    assert!(damage.file.ends_with(".seg"), "{damage}");
}
