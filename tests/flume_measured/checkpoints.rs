//! Damage to checkpoints: they shorten replay, and nothing that was acknowledged rests on them alone.

use flumen::storage::sim::{CallKind, Crash, Fault, FaultPlan, SimDisk};
use flumen::{Channel, OpenError};

use crate::files::{SLOTS, cut, edit, flip, read, remove};
use crate::queue::*;
use crate::scene::*;

/// A damage to one file.
type Damage = fn(&SimDisk, &str);

const DAMAGES: [(&str, Damage); 9] = [
    ("removed", |disk, slot| remove(disk, slot)),
    ("emptied", |disk, slot| cut(disk, slot, 0)),
    ("truncated in its header", |disk, slot| cut(disk, slot, 50)),
    ("truncated in its state", |disk, slot| cut(disk, slot, 110)),
    ("zeroed", |disk, slot| {
        edit(disk, slot, |bytes| bytes.fill(0));
    }),
    ("magic flipped", |disk, slot| flip(disk, slot, 3)),
    ("clean marker flipped", |disk, slot| flip(disk, slot, 20)),
    ("generation flipped", |disk, slot| flip(disk, slot, 40)),
    ("state flipped", |disk, slot| flip(disk, slot, 106)),
];

/// Flume: full replay of everything. Here: of one segment at most.
#[test]
fn m09_checkpoints_removed_emptied_truncated_or_flipped() {
    for (state, disk) in [("clean", clean()), ("killed", killed())] {
        for (what, damage) in DAMAGES {
            for slots in [&SLOTS[..1], &SLOTS[1..], &SLOTS[..]] {
                let how = format!("{state}, {slots:?} {what}");
                let image = disk.snapshot();
                for slot in slots {
                    damage(&image, slot);
                }
                let channel = try_open(&image.snapshot(), &unbuffered());
                let channel = channel.unwrap_or_else(|error| panic!("{how}: {error}"));
                let replayed = channel.recovery().replayed_bytes;
                assert!(replayed <= 64 << 10, "{how}: {replayed} bytes replayed");
                nothing_lost(&image, &how);
            }
        }
    }
}

/// Takes whose only witness were segments that are gone: nothing comes back when the checkpoints are lost.
#[test]
fn m09_lost_checkpoints_bring_no_ghosts() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &unbuffered());
    put_batches(&channel, &some(0..2000), 10);
    assert_eq!(consume(&channel, 1500), some(0..1500));
    channel.checkpoint().expect("the disk works");
    assert!(channel.stats().segments < 10, "segments are gone");
    let (open_transaction, _) = take(&channel, 100);
    for (how, image) in crashes(&disk) {
        for slot in SLOTS {
            remove(&image, slot);
        }
        let got = drain(&open(&image, &unbuffered()));
        assert_eq!(got, some(1500..2000), "{how}");
    }
    drop(open_transaction);
}

/// A version that a later program may write is not taken for damage: it is refused, and nothing is changed.
#[test]
fn m09_an_unknown_checkpoint_version_is_refused_by_name() {
    for slot in SLOTS {
        let disk = killed();
        edit(&disk, slot, |bytes| bytes[8] = 2);
        let before = disk.image_hash();
        match try_open(&disk, &unbuffered()) {
            Err(OpenError::Unsupported { file, reason }) => {
                assert!(file.ends_with(slot), "{file}");
                assert!(reason.contains('2'), "{reason}");
            }
            other => panic!("{:?}", other.map(|_| "opened")),
        }
        assert_eq!(disk.image_hash(), before);
        remove(&disk, slot);
        nothing_lost(&disk, slot);
    }
}

/// Flume's marker "incomplete": the machine dies while a checkpoint is being written, at each of its bytes.
#[test]
fn m10_an_incomplete_checkpoint_costs_nothing() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &unbuffered());
    put_batches(&channel, &some(0..TOTAL), BATCH as usize);
    disk.set_plan(FaultPlan::new(Fault::PowerLoss).on(&[CallKind::Write]).file("checkpoint-"));
    channel.checkpoint().expect_err("the power is gone");
    let bytes = disk.bytes_in_flight();
    assert!(bytes > 100, "{bytes} bytes are being written");
    for count in 0..=bytes {
        let image = disk.crash(&Crash::Torn(count));
        nothing_lost(&image, &format!("{count} of {bytes} bytes"));
    }
}

/// Flume: one byte of a queue entry is not noticed; an event is skipped, or the queue stuck. Here: each byte of
/// the slots, one after the other.
#[test]
fn m11_every_byte_of_a_checkpoint() {
    for disk in [clean(), killed()] {
        for slot in SLOTS {
            let used = read(&disk, slot).iter().rposition(|byte| *byte != 0);
            let used = used.expect("a slot is not empty") + 1;
            for offset in 0..used {
                let how = format!("{slot}, byte {offset}");
                let image = disk.snapshot();
                flip(&image, slot, offset);
                let is_version = (8..16).contains(&offset);
                match try_open(&image.snapshot(), &unbuffered()) {
                    Ok(channel) => assert_eq!(drain(&channel), some(0..TOTAL), "{how}"),
                    Err(OpenError::Unsupported { .. }) if is_version => {}
                    Err(error) => panic!("{how}: {error}"),
                }
            }
        }
    }
}

/// Flume's dual checkpoints cost a copy of all; here two slots are written in turn, and an old one serves as
/// well, although segments it still lists are gone.
#[test]
fn m12_the_older_slot_serves_when_the_newer_is_lost() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &unbuffered());
    let mut next = 0;
    for round in 0..40 {
        put_batches(&channel, &some(next..next + 60), 10);
        next += 60;
        assert_eq!(consume(&channel, 50).len(), 50);
        channel.checkpoint().expect("the disk works");
        let taken = (round + 1) * 50;
        for slot in SLOTS {
            let image = disk.crash(&Crash::LoseAll);
            cut(&image, slot, 0);
            let got = drain(&open(&image, &unbuffered()));
            assert_eq!(got, some(taken..next), "round {round}, {slot} lost");
        }
    }
}

/// Flume's checkpoint and queue may contradict each other. Two slots of one generation that differ are not
/// chosen between.
#[test]
fn m13_a_slot_of_another_channel_is_refused() {
    let disk = killed();
    let other = SimDisk::new(2);
    let channel = open(&other, &unbuffered());
    put(&channel, &some(0..1));
    drop(channel);
    for slot in SLOTS {
        let image = disk.snapshot();
        image.write_file(slot, &read(&other, slot));
        let damage = refusal(&image);
        assert!(damage.file.starts_with("checkpoint-"), "{damage}");
        assert!(damage.to_string().contains("channel"), "{damage}");
    }
    // Both: then the log is not of the channel they speak of.
    let image = disk.snapshot();
    for slot in SLOTS {
        image.write_file(slot, &read(&other, slot));
    }
    let damage = refusal(&image);
    assert!(damage.file.ends_with(".seg"), "{damage}");
}
