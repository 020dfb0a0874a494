//! TestFileChannelRestart (§3.2). Flume's four checkpoint files are our two slots; its backup is that there are
//! two.

use flumen::storage::sim::{CallKind, Crash, Fault, FaultPlan, SimDisk};
use flumen::{Channel, FileChannel, OpenError};

use crate::files::{SLOTS, cut, edit, flip, read, remove, segments};
use crate::queue::*;

/// 100 events in batches of 10.
fn filled() -> (SimDisk, FileChannel) {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &events(0..100), 10);
    channel.checkpoint().expect("the disk works");
    (disk, channel)
}

fn all_there(image: &SimDisk, how: &str) {
    let opened = try_open(image, &options());
    let channel = opened.unwrap_or_else(|error| panic!("{how}: {error}"));
    assert_eq!(drain(&channel), events(0..100), "{how}");
    drop(channel);
    assert_eq!(drain(&open(image, &options())), [], "{how}, the next time");
}

/// After each crash and after a close, with a damage to some of the slots.
fn with_damaged_slots(what: &str, damage: impl Fn(&SimDisk, &str)) {
    let (disk, channel) = filled();
    let mut images = crashes(&disk);
    channel.close().expect("the disk works");
    images.push(("closed".to_string(), disk.snapshot()));
    for (end, image) in images {
        for slots in [&SLOTS[..1], &SLOTS[1..], &SLOTS[..]] {
            let image = image.snapshot();
            for slot in slots {
                damage(&image, slot);
            }
            all_there(&image, &format!("{end}, {slots:?} {what}"));
        }
    }
}

#[test]
fn test_restart_log_replay() {
    let history = |channel: &FileChannel| put_batches(channel, &events(0..100), 10);
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..100), "{how}");
    });
}

#[test]
fn test_normal_replay() {
    with_damaged_slots("removed", remove);
}

#[test]
fn test_restart_when_meta_data_exists_but_checkpoint_does_not() {
    with_damaged_slots("without its first sector", |disk, slot| {
        edit(disk, slot, |bytes| bytes[..512].fill(0));
    });
}

/// A version not known is not damage: it is refused by name, and costs nothing.
#[test]
fn test_bad_checkpoint_version() {
    let (disk, _channel) = filled();
    for slot in SLOTS {
        let image = disk.snapshot();
        edit(&image, slot, |bytes| bytes[8] ^= 3);
        match try_open(&image, &options()) {
            Err(OpenError::Unsupported { file, .. }) => assert!(file.ends_with(slot)),
            other => panic!("{slot}: {:?}", other.map(|_| "opened")),
        }
        remove(&image, slot);
        all_there(&image, slot);
        // A number that no version will have is noise, such as a torn write leaves: the other slot counts.
        let image = disk.snapshot();
        edit(&image, slot, |bytes| bytes[11] ^= 3);
        all_there(&image, slot);
    }
}

/// Flume's order ids are our generations.
#[test]
fn test_differing_order_id_checkpoint_and_meta_version() {
    with_damaged_slots("with another generation", |disk, slot| {
        edit(disk, slot, |bytes| bytes[40] ^= 0x40);
    });
}

#[test]
fn test_incomplete_checkpoint() {
    let (disk, channel) = filled();
    put(&channel, &events(100..101));
    assert_eq!(consume(&channel, 1), events(0..1));
    let plan = FaultPlan::new(Fault::PowerLoss).on(&[CallKind::Write]);
    disk.set_plan(plan.file("checkpoint-"));
    channel.checkpoint().expect_err("the power is gone");
    for count in 0..=disk.bytes_in_flight() {
        let image = disk.crash(&Crash::Torn(count));
        let got = drain(&open(&image, &options()));
        assert_eq!(got, events(1..101), "{count} bytes of it are written");
    }
}

/// Flume writes transactions in flight beside the checkpoint; here there is nothing beside it to corrupt. The
/// history is the same, and so is what must come back.
#[test]
fn test_corrupt_inflight_puts_and_takes() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &events(0..100), 10);
    let (taken, _) = take(&channel, 100);
    let mut puts = channel.begin_put();
    for event in events(100..200) {
        puts.put(event).expect("there is room");
    }
    channel.checkpoint().expect("the disk works");
    puts.commit().expect("the disk works");
    for (how, image) in crashes(&disk) {
        for slots in [&SLOTS[..0], &SLOTS[..1], &SLOTS[1..], &SLOTS[..]] {
            let image = image.snapshot();
            for slot in slots {
                flip(&image, slot, 104);
            }
            let got = drain(&open(&image, &options()));
            assert_eq!(got, events(0..200), "{how}, {slots:?} damaged");
        }
    }
    drop(taken);
}

#[test]
fn test_truncated_checkpoint_meta() {
    with_damaged_slots("emptied", |disk, slot| cut(disk, slot, 0));
    with_damaged_slots("cut in its header", |disk, slot| cut(disk, slot, 60));
}

#[test]
fn test_corrupt_checkpoint_meta() {
    with_damaged_slots("with eight other bytes", |disk, slot| {
        edit(disk, slot, |bytes| {
            bytes[24..32].iter_mut().for_each(|byte| *byte ^= 0x55);
        });
    });
}

/// Files that are not the channel's are left alone; an empty one with the name of the next segment is what a
/// crash leaves; one with a name far ahead is refused, and is itself all that is wrong.
#[test]
fn test_with_extra_logs() {
    let (disk, channel) = filled();
    drop(channel);
    let strangers = ["log-1000", "log-1000.meta.tmp", "notes.txt", "1.seg.gz"];
    for name in strangers {
        disk.write_file(name, b"not ours");
    }
    let next = format!("{:020}.seg", segments(&disk).len() + 1);
    disk.write_file(&next, b"");
    all_there(&disk.snapshot(), "with strangers");
    let image = disk.snapshot();
    drop(open(&image, &options()));
    for name in strangers {
        assert_eq!(read(&image, name), b"not ours", "{name} is left alone");
    }
    remove(&disk, &next);
    let far = format!("{:020}.seg", 1000);
    disk.write_file(&far, b"");
    match try_open(&disk, &options()) {
        Err(OpenError::Corrupt(damage)) => {
            assert!(damage.to_string().contains("1000"), "{damage}");
        }
        other => panic!("{:?}", other.map(|_| "opened")),
    }
    remove(&disk, &far);
    all_there(&disk, "the far one is removed");
}

#[test]
fn test_backup_used_ensure_no_full_replay() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &larges(0..1000, 1000), 10);
    channel.checkpoint().expect("the disk works");
    let old = SLOTS.map(|slot| read(&disk, slot));
    put_batches(&channel, &larges(1000..1010, 1000), 1);
    assert_eq!(consume(&channel, 10), larges(0..10, 1000));
    let size = channel.stats().bytes;
    for lost in 0..2 {
        let image = disk.snapshot();
        image.write_file(SLOTS[1 - lost], &old[1 - lost]);
        remove(&image, SLOTS[lost]);
        let channel = open(&image, &options());
        let replayed = channel.recovery().replayed_bytes;
        assert!(replayed < size / 10, "{replayed} of {size} bytes");
        assert_eq!(drain(&channel), larges(10..1010, 1000));
    }
}

/// A segment that only the older checkpoint still needs is not needed: what was taken since is in the log.
#[test]
fn test_data_files_required_by_backup_not_deleted() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &larges(0..400, 1000), 10);
    channel.checkpoint().expect("the disk works");
    let all = segments(&disk).len();
    for step in 1..=4 {
        assert_eq!(consume(&channel, 90).len(), 90);
        channel.checkpoint().expect("the disk works");
        for slot in SLOTS {
            for (how, image) in crashes(&disk) {
                flip(&image, slot, 30);
                let got = drain(&open(&image, &options()));
                let expected = larges(step * 90..400, 1000);
                assert_eq!(got, expected, "{step}, {how}, {slot} is damaged");
            }
        }
    }
    assert!(segments(&disk).len() < all, "segments are given back");
}
