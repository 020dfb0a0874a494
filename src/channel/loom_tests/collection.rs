//! A taker against the collection and recycling of the segment it reads: it never reads what the next user of
//! the file writes, and what it delivers is exactly what was put (I4, I5, I12).

use super::bench::{Bench, LARGE, image, name_of, options, put, queued, recovered, take};
use crate::channel::{Channel, ChannelOptions, ReadMode, TakeTransaction};
use crate::storage::sim::SimDisk;
use crate::sync::model::{Seen, explore, spawn};

/// The file of the first segment, as long as it is one.
const FIRST: &str = "00000000000000000001.seg";

/// Takes the next event, which is in the second segment, while this thread gives the first one back to the
/// pool and begins a third, in the recycled file if there is one.
fn take_against_collection(bench: &Bench, seen: &Seen) {
    let other = bench.clone();
    let taker = spawn(move || take(&other.channel).expect("nothing fails"));
    bench.channel.checkpoint().expect("nothing fails");
    let collected = bench.disk.read_file(FIRST).is_none();
    seen.note(if collected { "collected" } else { "kept for the reader" });
    bench.put("more", LARGE).expect("nothing fails");
    let found = recovered(&bench.crash()).1;
    assert_eq!(found.last().map(String::as_str), Some("more"), "I1");
    assert_eq!(taker.join().expect("no panic").as_deref(), Some("next"), "I3");
    assert_eq!(queued(&bench.channel), ["more"]);
    assert_eq!(recovered(&bench.crash()).1, ["more"]);
    bench.channel.checkpoint().expect("nothing fails");
    assert!(bench.disk.read_file(FIRST).is_none(), "I12: nothing needs it any more");
}

fn channel_with(event: &'static str) -> SimDisk {
    image(options, move |channel| put(channel, event, LARGE).expect("nothing fails"))
}

/// Nothing is kept in memory: all is read from the segments.
fn without_memory() -> ChannelOptions {
    options().memory_tail(0)
}

#[test]
fn i4_i12_the_segment_that_a_reader_has_open_is_not_recycled() {
    let image = channel_with("old");
    let finished = explore("engine.collection_under_reader", Some(3), 2_400, move |seen| {
        let bench = Bench::new(&image, without_memory());
        // The reader stands behind the first event. The ack that follows in the same segment is not in its
        // block: so it reads once more from a segment of which nobody wants anything.
        assert_eq!(take(&bench.channel).expect("nothing fails").as_deref(), Some("old"));
        bench.put("next", LARGE).expect("nothing fails");
        assert!(bench.disk.read_file(FIRST).is_some(), "the reader has it open");
        take_against_collection(&bench, seen);
    });
    finished.reached(&["collected", "kept for the reader"]);
}

/// A channel whose reader has nothing open, and goes on next in a segment that is done: the record of `old`
/// was delivered from memory, and behind it stands a watermark that is still to be read over.
fn reader_before_a_done_segment(image: &SimDisk, options: ChannelOptions) -> Bench {
    let bench = Bench::new(image, options.memory_tail(1000));
    assert_eq!(take(&bench.channel).expect("nothing fails").as_deref(), Some("fill"));
    bench.put("old", 10).expect("nothing fails");
    let taken = take_one(&bench, "old");
    bench.channel.maintain().expect("nothing fails");
    bench.put("next", LARGE).expect("nothing fails");
    taken.commit().expect("nothing fails");
    assert!(bench.disk.read_file(FIRST).is_some(), "its last event was taken only now");
    bench
}

fn take_one(bench: &Bench, expected: &str) -> TakeTransaction {
    let mut take = bench.channel.begin_take();
    let event = take.take().expect("readable").expect("there is one");
    assert_eq!(name_of(&event), expected);
    take
}

#[test]
fn i4_i12_a_segment_is_recycled_or_entered_and_never_both() {
    let modes = [
        ("engine.collection_against_entry", ReadMode::Pread),
        ("engine.collection_against_map", ReadMode::Map),
    ];
    for (model, mode) in modes {
        let image = channel_with("fill");
        let finished = explore(model, Some(3), 1_000, move |seen| {
            let bench = reader_before_a_done_segment(&image, options().read_mode(mode));
            take_against_collection(&bench, seen);
        });
        finished.reached(&["collected", "kept for the reader"]);
    }
}
