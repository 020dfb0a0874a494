//! What an opening does not read, and a delivery does: each record is held against the sequence that is due, and against
//! what was put.

use flumen::storage::sim::SimDisk;
use flumen::{Channel, Corruption, FileChannel, TakeError};

use crate::alone;
use crate::bytes::{Record, records, renumber, write_record};
use crate::evidence::{channel_of, put, rolled};
use crate::support::history::options;

/// Five events, and one record whose payload says what the caller wants, under right checksums; closed.
fn with_forged_second_record(payload: &[u8; 88]) -> SimDisk {
    let disk = channel_of(1, |channel| {
        put(channel, 5, 10);
        put(channel, 1, 70);
        channel.close().expect("works");
    });
    let second = records(&disk, 1).into_iter().find(|record| record.sequence == 5);
    let second = second.expect("it was put");
    assert_eq!((second.kind, second.size), (1, 40 + 88));
    write_record(&disk, 1, second.offset, (1, 5, 0), payload);
    disk
}

/// The payload of a put: so many events, of these lengths without headers.
fn payload(count: u32, bodies: &[u32]) -> [u8; 88] {
    let mut payload = [0; 88];
    payload[..4].copy_from_slice(&count.to_le_bytes());
    for (index, body) in bodies.iter().enumerate() {
        payload[12 + 8 * index..][..4].copy_from_slice(&body.to_le_bytes());
    }
    payload
}

/// What is taken until an error, which comes again and again; then all of it is acknowledged.
fn taken_before_damage(channel: &FileChannel) -> (usize, Corruption) {
    let mut take = channel.begin_take();
    let damage = |error| match error {
        Err(TakeError::Corrupt(damage)) => damage,
        Ok(event) => panic!("{event:?}"),
        Err(other) => panic!("{other}"),
    };
    let found = loop {
        match take.take() {
            Ok(Some(_)) => {}
            other => break damage(other),
        }
    };
    for _ in 0..3 {
        assert_eq!(damage(take.take()).to_string(), found.to_string());
    }
    let count = take.len();
    take.commit().expect("what was delivered is acknowledged");
    (count, found)
}

/// I6: a record of more events than were put is damage, not events; with more put since, those are not delivered twice.
#[test]
fn i6_a_record_of_more_events_than_were_put_is_damage() {
    let _alone = alone();
    let ten = payload(10, &[]);
    for memory_tail in [0, 1 << 20] {
        let disk = with_forged_second_record(&ten);
        let options = options().memory_tail(memory_tail);
        let channel = FileChannel::open_on(disk.storage(), options).expect("the slots count");
        let (count, damage) = taken_before_damage(&channel);
        assert_eq!((count, damage.sequences), (5, Some(5..15)), "{memory_tail}");
        put(&channel, 1, 10);
        assert_eq!(taken_before_damage(&channel).0, 0, "what is behind it does not hide it");
    }
    for memory_tail in [0, 1 << 20] {
        let disk = with_forged_second_record(&ten);
        let options = options().memory_tail(memory_tail);
        let channel = FileChannel::open_on(disk.storage(), options).expect("the slots count");
        put(&channel, 20, 10);
        let (count, _) = taken_before_damage(&channel);
        assert_eq!(count, 15, "sequences 6 to 15 are taken once: {memory_tail}");
    }
}

/// I6: an event that makes no sense is named, and those before it are delivered.
#[test]
fn i6_an_event_that_makes_no_sense_is_named() {
    let _alone = alone();
    let disk = with_forged_second_record(&payload(1, &[73]));
    let channel = FileChannel::open_on(disk.storage(), options()).expect("the slots count");
    let (count, damage) = taken_before_damage(&channel);
    assert_eq!((count, damage.sequences), (5, Some(5..6)));
}

/// I5, I6: of a segment that no opening has read since, the records are held against the sequence that is due. One with
/// right checksums that begins behind it would let the events in between be lost in silence.
#[test]
fn i5_a_record_of_later_events_is_damage_when_its_turn_comes() {
    let _alone = alone();
    let disk = rolled();
    let puts: Vec<Record> =
        records(&disk, 1).into_iter().filter(|record| record.sequence > 0).collect();
    let second = &puts[0];
    assert!(second.sequence == 1 && puts.len() > 3, "{second:?}");
    renumber(&disk, 1, second.offset, 2);
    let channel = FileChannel::open_on(disk.storage(), options()).expect("the state stands for it");
    let mut take = channel.begin_take();
    assert!(take.take().expect("readable").is_some(), "the first is in order");
    let error = take.take().expect_err("event 1 is gone").to_string();
    assert!(error.contains("sequence 1") && error.contains("sequence 2"), "{error}");
}
