//! Damage to records: body, kind, length; and the end of the log cut or zeroed.

use flumen::storage::sim::{Crash, SimDisk};
use flumen::{Channel, Corruption, Durability};

use crate::files::{HEADER_SIZE, cut, edit, flip, read};
use crate::queue::*;
use crate::scene::*;

/// Where in a record the body of its fifth event is.
fn in_a_body(put: &Put) -> usize {
    put.record.offset + put.record.size / 2
}

/// The report names the place.
fn names(damage: &Corruption, put: &Put) {
    assert_eq!(damage.file, put.file, "{damage}");
    assert_eq!(damage.offset, put.record.offset as u64, "{damage}");
    assert!(concerns(damage, put.first), "{damage}");
    assert_ne!(damage.expected, damage.found, "{damage}");
    let text = damage.to_string();
    assert!(text.contains(&put.file), "{text}");
}

/// Flume: delivers what comes before, then closes itself and hangs, again at every start.
#[test]
fn m01_body_byte_clean() {
    for pick in [early, late, last] {
        let disk = clean();
        let put = pick(&disk);
        flip(&disk, &put.file, in_a_body(&put));
        for round in 0..2 {
            let channel = open(&disk, &unbuffered());
            let (taken, damage) = until_damage(&channel);
            let expected = if round == 0 { 0..put.first } else { 0..0 };
            assert_eq!(taken, some(expected), "what comes before is delivered once");
            names(&damage, &put);
            assert_eq!(channel.stats().events, TOTAL - put.first + round);
            put_batches(&channel, &some(0..1), 1);
            channel.close().expect("the channel can be closed");
        }
    }
}

/// Flume: refuses to start; all 20 000 unreachable. Ours refuses only what replay must read, and says where; a
/// damaged body in a complete segment stops nothing but itself.
#[test]
fn m02_body_byte_killed() {
    for pick in [late, |disk: &SimDisk| puts(disk).swap_remove(18)] {
        let disk = killed();
        let put = pick(&disk);
        flip(&disk, &put.file, in_a_body(&put));
        names(&refusal(&disk), &put);
    }
    let disk = killed();
    let put = early(&disk);
    flip(&disk, &put.file, in_a_body(&put));
    let channel = open(&disk, &unbuffered());
    let (taken, damage) = until_damage(&channel);
    assert_eq!(taken, some(0..put.first));
    names(&damage, &put);
}

/// Damage to the very last record, which no later one witnesses, cannot be told from a write that was cut off;
/// an idle channel witnesses it within a second.
#[test]
fn m02_body_byte_of_the_last_record_killed() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &unbuffered());
    put_batches(&channel, &some(0..TOTAL), BATCH as usize);
    channel.maintain().expect("the disk works");
    let image = disk.snapshot();
    let put = last(&image);
    flip(&image, &put.file, in_a_body(&put));
    let channel = open(&image, &unbuffered());
    let (taken, damage) = until_damage(&channel);
    assert_eq!(taken, some(0..put.first));
    names(&damage, &put);
}

/// Flume: starts and loses the rest of the file, silently.
#[test]
fn m03_kind_byte_killed() {
    for kind in [0, 2, 3, 4, 5, 6, 0x7f, 0xff] {
        let disk = killed();
        let put = late(&disk);
        edit(&disk, &put.file, |bytes| bytes[put.record.offset + 4] = kind);
        names(&refusal(&disk), &put);
    }
}

/// Flume: stuck at that event.
#[test]
fn m04_kind_byte_clean() {
    for pick in [early, late] {
        let disk = clean();
        let put = pick(&disk);
        edit(&disk, &put.file, |bytes| bytes[put.record.offset + 4] = 2);
        let channel = open(&disk, &unbuffered());
        let (taken, damage) = until_damage(&channel);
        assert_eq!(taken, some(0..put.first));
        names(&damage, &put);
    }
}

/// Flume: by the size of the error starts with the rest of the file lost, refuses, or allocates what it says.
#[test]
fn m05_record_length() {
    let lengths: [fn(u32) -> u32; 6] = [
        |size| size + 4096,
        |size| size + 2,
        |size| size - 8,
        |_| 0,
        |_| u32::MAX,
        |_| i32::MIN as u32,
    ];
    for length in lengths {
        let damage = |disk: &SimDisk, put: &Put| {
            edit(disk, &put.file, |bytes| {
                let size = (put.record.size - HEADER_SIZE) as u32;
                let at = put.record.offset + 12;
                bytes[at..at + 4].copy_from_slice(&length(size).to_le_bytes());
            });
        };
        let disk = killed();
        let put = late(&disk);
        damage(&disk, &put);
        names(&refusal(&disk), &put);
        let disk = clean();
        damage(&disk, &early(&disk));
        let (taken, found) = until_damage(&open(&disk, &unbuffered()));
        names(&found, &early(&clean()));
        assert_eq!(taken, some(0..early(&clean()).first));
    }
}

/// The last transaction was written and never acknowledged: what a power cut leaves of it.
fn unacknowledged() -> (SimDisk, Put) {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &unbuffered().durability(Durability::Os));
    put_batches(&channel, &some(0..TOTAL - BATCH), BATCH as usize);
    channel.sync().expect("the disk works");
    put(&channel, &some(TOTAL - BATCH..TOTAL));
    let image = disk.crash(&Crash::KeepAll);
    let put = last(&image);
    (image, put)
}

fn only_the_last_is_dropped(disk: &SimDisk, how: &str) {
    let channel = open(disk, &unbuffered());
    assert_eq!(drain(&channel), some(0..TOTAL - BATCH), "{how}");
    drop(channel);
    assert_eq!(drain(&open(disk, &unbuffered())), [], "{how}");
}

/// Flume: refuses to start, although these events were never committed. Our segments have their whole length
/// before anything in them counts, so a crash leaves no shorter file, and a shorter file may have lost more than
/// it shows: that is said. With its length restored it opens, and only what was never acknowledged is gone.
#[test]
fn m06_tail_cut_in_mid_record_killed() {
    let (disk, put) = unacknowledged();
    let (begin, size) = (put.record.offset, put.record.size);
    let whole = read(&disk, &put.file).len();
    for count in [1, 4, 39, 40, 41, 512, size / 2, size - 8] {
        let how = format!("cut after {count} bytes");
        let image = disk.snapshot();
        cut(&image, &put.file, begin + count);
        let damage = refusal(&image);
        assert_eq!(damage.file, put.file, "{how}: {damage}");
        assert_eq!(damage.offset, (begin + count) as u64, "{how}: {damage}");
        assert!(concerns(&damage, put.first), "{how}: {damage}");
        edit(&image, &put.file, |bytes| bytes.resize(whole, 0));
        only_the_last_is_dropped(&image, &how);
    }
}

/// Flume: refuses to start.
#[test]
fn m06_torn_or_zeroed_tail_killed() {
    let (disk, put) = unacknowledged();
    let (begin, end) = (put.record.offset, put.record.offset + put.record.size);
    for filler in [0, 0x80, 0xff] {
        for count in [0, 1, 40, 41, 512, put.record.size / 2, put.record.size - 8] {
            let image = disk.snapshot();
            edit(&image, &put.file, |bytes| bytes[begin + count..end].fill(filler));
            only_the_last_is_dropped(&image, &format!("{count} bytes, then {filler:#x}"));
        }
        let image = disk.snapshot();
        edit(&image, &put.file, |bytes| bytes[begin..begin + 512].fill(filler));
        only_the_last_is_dropped(&image, &format!("a sector of {filler:#x}"));
    }
}

/// Flume: drops the uncommitted transaction, and would drop a committed one as well. So would we, where the log
/// just ends there; a file that has become shorter is refused.
#[test]
fn m07_tail_cut_at_a_boundary_killed() {
    let (disk, put) = unacknowledged();
    let image = disk.snapshot();
    edit(&image, &put.file, |bytes| bytes[put.record.offset..].fill(0));
    only_the_last_is_dropped(&image, "ends at the boundary");
    cut(&disk, &put.file, put.record.offset);
    assert_eq!(refusal(&disk).file, put.file);
}

/// Cut below what a later record witnesses: acknowledged events are missing, and that is said.
#[test]
fn m07_tail_cut_below_what_was_witnessed_killed() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &unbuffered());
    put_batches(&channel, &some(0..TOTAL), BATCH as usize);
    channel.maintain().expect("the disk works");
    for put in [late(&disk), last(&disk)] {
        for count in [0, 1, 40, 512] {
            let image = disk.snapshot();
            cut(&image, &put.file, put.record.offset + count);
            let damage = refusal(&image);
            assert_eq!(damage.file, put.file, "{damage}");
            assert!(concerns(&damage, TOTAL) || concerns(&damage, put.first), "{damage}");
        }
    }
}

/// Flume: starts showing everything, delivers most, and is then stuck.
#[test]
fn m08_tail_cut_clean() {
    let disk = clean();
    let put = last(&disk);
    for count in [0, 1, 40, 512, put.record.size - 8] {
        let image = disk.snapshot();
        cut(&image, &put.file, put.record.offset + count);
        let damage = refusal(&image);
        assert_eq!(damage.file, put.file, "{damage}");
        assert!(damage.sequences.is_some(), "{damage}");
    }
}
