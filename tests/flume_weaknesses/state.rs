//! What a channel knows of its events: C1, C2, C5, C7, C9 and C17.

use flumen::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};
use flumen::{Channel, ChannelOptions, Event, OpenError, PutError, TakeError};

use crate::files::{HEADER_SIZE, Kind, flip, read, records, tail};
use crate::queue::*;

fn is_full(channel: &dyn Channel) -> bool {
    matches!(channel.begin_put().put(event(0)), Err(PutError::Full(_)))
}

#[test]
fn c01_committed_takes_do_not_come_back_after_checkpoint_rollback_and_crash() {
    let history = |channel: &flumen::FileChannel| {
        put(channel, &events(0..10));
        let (transaction, taken) = take(channel, 5);
        channel.checkpoint().expect("the disk works");
        transaction.rollback();
        assert_eq!(taken, events(0..5));
        assert_eq!(consume(channel, 5), events(0..5));
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(channel.stats().events, 5, "{how}");
        assert_eq!(drain(channel), events(5..10), "{how}");
    });
}

#[test]
fn c01_the_same_with_two_consumers_and_two_checkpoints() {
    let history = |channel: &flumen::FileChannel| {
        put_batches(channel, &events(0..12), 3);
        let (first, _) = take(channel, 4);
        let (second, _) = take(channel, 4);
        channel.checkpoint().expect("the disk works");
        first.rollback();
        second.commit().expect("the disk works");
        channel.checkpoint().expect("the disk works");
        assert_eq!(consume(channel, 2), events(0..2));
    };
    after_each_end(&options(), history, |channel, how| {
        let left: Vec<u64> = (2..4).chain(8..12).collect();
        assert_eq!(drain(channel), events(left), "{how}");
    });
}

#[test]
fn c02_uncommitted_takes_across_a_checkpoint_come_back_in_order() {
    let history = |channel: &flumen::FileChannel| {
        put_batches(channel, &events(0..40), 7);
        let (mut transaction, _) = take(channel, 13);
        channel.checkpoint().expect("the disk works");
        for _ in 13..20 {
            transaction.take().expect("readable").expect("there");
        }
        transaction
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..40), "{how}");
    });
}

#[test]
fn c02_the_gaps_of_committed_takes_among_uncommitted_ones_keep_the_order() {
    let history = |channel: &flumen::FileChannel| {
        put_batches(channel, &events(0..40), 40);
        let mut open = Vec::new();
        for round in 0..10 {
            let (transaction, _) = take(channel, 2);
            match round % 3 {
                0 => transaction.commit().expect("the disk works"),
                _ => open.push(transaction),
            }
            channel.checkpoint().expect("the disk works");
        }
        open
    };
    let is_gone = |number: &u64| [0, 1, 6, 7, 12, 13, 18, 19].contains(number);
    let left: Vec<u64> = (0..40).filter(|number| !is_gone(number)).collect();
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(left.clone()), "{how}");
    });
}

/// Ten events, each in a record of its own, the fourth damaged on the disk; nothing in memory.
fn with_a_damaged_event(options: &ChannelOptions) -> SimDisk {
    let disk = SimDisk::new(5);
    let channel = open(&disk, options);
    put_batches(&channel, &events(0..10), 1);
    channel.close().expect("the disk works");
    drop(channel);
    let name = tail(&disk);
    let puts = records(&read(&disk, &name)).into_iter();
    let puts: Vec<_> = puts.filter(|record| record.kind == Kind::Put).collect();
    flip(&disk, &name, puts[3].offset + puts[3].size - 10);
    disk
}

#[test]
fn c05_a_damaged_event_costs_no_room_and_is_never_skipped() {
    let options = options().capacity_events(10).memory_tail(0);
    let disk = with_a_damaged_event(&options);
    let channel = open(&disk, &options);
    for round in 0..3 {
        let (mut transaction, taken) = take(&channel, 3);
        assert_eq!(taken, events(0..3), "round {round}");
        for _ in 0..2 {
            match transaction.take() {
                Err(TakeError::Corrupt(damage)) => assert_eq!(damage.file, tail(&disk)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(transaction.len(), 3, "the transaction is as it was");
        transaction.rollback();
        assert!(is_full(&channel), "round {round}");
    }
    assert_eq!(consume(&channel, 3), events(0..3));
    let stats = channel.stats();
    assert_eq!((stats.events, stats.in_flight), (7, 0));
    put_batches(&channel, &events(10..13), 1);
    assert!(is_full(&channel), "three were taken, so three fit");
}

#[test]
fn c05_an_event_that_cannot_be_read_for_a_while_costs_no_room() {
    let options = options().capacity_events(10).memory_tail(0);
    let disk = SimDisk::new(5);
    let channel = open(&disk, &options);
    put_batches(&channel, &events(0..10), 1);
    disk.set_plan(
        FaultPlan::new(Fault::Error(std::io::ErrorKind::Other)).on(&[CallKind::Read]).sticky(),
    );
    let mut transaction = channel.begin_take();
    for _ in 0..5 {
        assert!(matches!(transaction.take(), Err(TakeError::Storage(_))));
    }
    disk.clear_plans();
    assert_eq!(transaction.take().expect("readable again"), Some(event(0)));
    transaction.commit().expect("the disk works");
    put(&channel, &events(10..11));
    assert!(is_full(&channel));
    assert_eq!(drain(&channel), events(1..11));
    put(&channel, &events(0..10));
    assert!(is_full(&channel), "a drained channel takes its capacity");
}

#[test]
fn c07_a_capacity_lowered_below_the_depth_opens_and_puts_wait() {
    let wide = options().capacity_events(400);
    let history = |channel: &flumen::FileChannel| put_batches(channel, &events(0..400), 50);
    let disk = SimDisk::new(7);
    history(&open(&disk, &wide));
    for capacity in [400, 399, 10, 1] {
        let channel = open(&disk, &wide.clone().capacity_events(capacity));
        assert_eq!(channel.stats().events, 400, "capacity {capacity}");
        assert!(is_full(&channel), "capacity {capacity}");
    }
    let channel = open(&disk, &wide.clone().capacity_events(10));
    assert_eq!(consume(&channel, 390), events(0..390));
    assert!(is_full(&channel), "as many as fit are still there");
    assert_eq!(consume(&channel, 1), events(390..391));
    put(&channel, &events(400..401));
    assert!(is_full(&channel));
    drop(channel);
    let channel = open(&disk, &wide.capacity_bytes(1000));
    assert_eq!(drain(&channel), events(391..401));
}

/// Changes the queue's records one bit at a time: every field of every record that a later one witnesses.
#[test]
fn c09_every_bit_of_headers_sequences_ranges_and_kinds_is_covered() {
    let disk = SimDisk::new(9);
    let channel = open(&disk, &options());
    put(&channel, &[event(0), event(1)]);
    let mut transaction = channel.begin_put();
    transaction.put(event(2)).expect("there is room");
    transaction.set_cursor("file", b"17").expect("it is short");
    transaction.commit().expect("the disk works");
    consume(&channel, 1);
    put(&channel, &events(3..5));
    let image = disk.snapshot();
    let name = tail(&image);
    let records = records(&read(&image, &name));
    let last = records.last().expect("there are records").offset;
    assert!(records.iter().any(|record| record.kind == Kind::Ack));
    let first = records[1].offset;
    // All bits of the headers, where each field is; of the payloads one bit in each byte.
    let is_tried = |bit: &usize| {
        let record = records.iter().rev().find(|r| r.offset <= bit / 8);
        let record = record.expect("the bit is in a record");
        bit / 8 < record.offset + HEADER_SIZE || bit % 8 == bit / 8 % 8
    };
    for bit in (first * 8..last * 8).filter(is_tried) {
        let image = disk.snapshot();
        assert!(image.flip_bit(&name, bit as u64));
        let before = image.image_hash();
        match try_open(&image, &options()) {
            Err(OpenError::Corrupt(damage)) => {
                assert_eq!(damage.file, name, "bit {bit}");
                let record = records.iter().rev().find(|r| r.offset <= bit / 8);
                let record = record.expect("the bit is in a record");
                assert_eq!(damage.offset, record.offset as u64, "bit {bit}");
                assert!(damage.sequences.is_some(), "bit {bit}");
            }
            other => panic!("bit {bit}: {:?}", other.map(|_| "opened")),
        }
        assert_eq!(image.image_hash(), before, "a refusal changes nothing");
    }
}

#[test]
fn c09_a_header_altered_on_the_disk_is_never_delivered() {
    let options = options().memory_tail(0);
    let disk = SimDisk::new(9);
    let channel = open(&disk, &options);
    let marked = Event::new("body").with_header("key", "a value to be altered");
    put(&channel, &[marked]);
    channel.close().expect("the disk works");
    drop(channel);
    let name = tail(&disk);
    let bytes = read(&disk, &name);
    let text = b"a value to be altered";
    let at = bytes.windows(text.len()).position(|window| window == text);
    flip(&disk, &name, at.expect("headers are stored as they are"));
    let channel = open(&disk, &options);
    let result = channel.begin_take().take();
    assert!(matches!(result, Err(TakeError::Corrupt(_))), "{result:?}");
}

#[test]
fn c17_leftovers_of_a_full_channel_are_all_there_after_a_crash() {
    let options = options().capacity_events(10);
    let history = |channel: &flumen::FileChannel| {
        put_batches(channel, &events(0..10), 5);
        let (taken, _) = take(channel, 4);
        channel.checkpoint().expect("the disk works");
        let (more, _) = take(channel, 3);
        assert!(is_full(channel), "what is taken but uncommitted has room");
        (taken, more)
    };
    after_each_end(&options, history, |channel, how| {
        assert!(is_full(channel), "{how}");
        assert_eq!(drain(channel), events(0..10), "{how}");
    });
    let lower = options.clone().capacity_events(3);
    let disk = SimDisk::new(17);
    let channel = open(&disk, &options);
    let open_transactions = history(&channel);
    for (how, image) in crashes(&disk) {
        assert_eq!(drain(&open(&image, &lower)), events(0..10), "{how}");
    }
    drop(open_transactions);
}
