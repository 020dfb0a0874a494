//! Transactions that are dropped while others wait, and producers and consumers that wait for each other, on
//! both channels: room comes back exactly once, events come again in their place, and whoever waits is woken
//! (I3, I4).

use std::sync::Arc;

use super::bench::{Bench, LONG, event, image, name_of, options, put, queued};
use crate::channel::{Channel, ChannelOptions, MemoryChannel, PutError};
use crate::sync::model::{Seen, explore, spawn};

/// A model on a channel that holds `events` at the beginning, and room for `capacity` of them.
struct Model {
    name: [&'static str; 2],
    /// For the channel in memory, and for the one on a disk.
    bound: [Option<usize>; 2],
    floor: [u64; 2],
    capacity: u64,
    events: &'static [&'static str],
    outcomes: &'static [&'static str],
    body: fn(Arc<dyn Channel>, &Seen),
}

impl Model {
    fn run(&self) {
        let (capacity, events, body) = (self.capacity, self.events, self.body);
        let bounded = move |options: ChannelOptions| options.capacity_events(capacity);
        explore(self.name[0], self.bound[0], self.floor[0], move |seen| {
            let channel = MemoryChannel::open(bounded(options())).expect("valid options");
            for name in events {
                put(&channel, name, 10).expect("there is room");
            }
            body(Arc::new(channel), seen);
        })
        .reached(self.outcomes);
        let image = image(options, move |channel| {
            for name in events {
                put(channel, name, 10).expect("there is room");
            }
        });
        explore(self.name[1], self.bound[1], self.floor[1], move |seen| {
            let bench = Bench::new(&image, bounded(options()));
            body(Arc::new(bench.channel), seen);
        })
        .reached(self.outcomes);
    }
}

/// Waits for an event, takes it and commits; others may be quicker at any time.
fn wait_and_take(channel: &dyn Channel) -> String {
    loop {
        assert!(channel.wait(LONG), "the channel is open");
        let mut take = channel.begin_take();
        let Some(event) = take.take().expect("readable") else { continue };
        take.commit().expect("nothing fails");
        return name_of(&event);
    }
}

/// The room is what the capacity says: all of it can be had at once, and no more.
fn assert_room(channel: &dyn Channel, capacity: u64) {
    let free = capacity - channel.stats().events;
    let mut put = channel.begin_put();
    for _ in 0..free {
        put.try_put(event("room", 10)).expect("room was lost");
    }
    assert!(matches!(put.try_put(event("more", 10)), Err(PutError::Full(_))), "too much room");
}

#[test]
fn i4_what_a_dropped_take_held_reaches_the_one_who_waits() {
    let model = Model {
        name: ["memory.dropped_take", "engine.dropped_take"],
        bound: [None, Some(5)],
        floor: [70, 140],
        capacity: 2,
        events: &["only"],
        outcomes: &["dropped after the take", "too late to take", "slept"],
        body: |channel, seen| {
            let other = Arc::clone(&channel);
            let dropper = spawn(move || {
                let mut take = other.begin_take();
                take.take().expect("readable").is_some()
            });
            assert_eq!(wait_and_take(&*channel), "only");
            let had_it = dropper.join().expect("no panic");
            seen.note(if had_it { "dropped after the take" } else { "too late to take" });
            let stats = channel.stats();
            assert_eq!((stats.events, stats.in_flight, stats.events_taken), (0, 0, 1));
            assert_room(&*channel, 2);
        },
    };
    model.run();
}

#[test]
fn i3_i4_two_consumers_of_whom_one_gives_back() {
    let model = Model {
        name: ["memory.two_consumers", "engine.two_consumers"],
        bound: [None, Some(5)],
        floor: [25, 195],
        capacity: 3,
        events: &["first", "second", "third"],
        outcomes: &["in order", "given back in between", "given back afterwards"],
        body: |channel, seen| {
            let other = Arc::clone(&channel);
            let thread = spawn(move || {
                let mut take = other.begin_take();
                let event = take.take().expect("readable").expect("there are three");
                drop(take);
                name_of(&event)
            });
            let mut take = channel.begin_take();
            let mut names = Vec::new();
            for _ in 0..2 {
                let event = take.take().expect("readable").expect("one is held at most");
                names.push(name_of(&event));
            }
            take.commit().expect("nothing fails");
            let held = thread.join().expect("no panic");
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            // What was given back comes before all that was never given out.
            let left = match (names.as_slice(), held.as_str()) {
                (["first", "second"], _) | (["second", "first"], "first") => "third",
                (["first", "third"], "second") => "second",
                (["second", "third"], "first") => "first",
                found => panic!("{found:?}"),
            };
            seen.note(match names[..] {
                ["first", "second"] => "in order",
                ["second", "first"] => "given back in between",
                _ => "given back afterwards",
            });
            assert_eq!(queued(&*channel), [left]);
            assert_room(&*channel, 3);
        },
    };
    model.run();
}

#[test]
fn a_dropped_put_gives_its_room_back_once() {
    let model = Model {
        name: ["memory.dropped_put", "engine.dropped_put"],
        bound: [None, None],
        floor: [2, 2],
        capacity: 1,
        events: &[],
        outcomes: &["slept", "done"],
        body: |channel, seen| {
            let mut held = channel.begin_put();
            held.put(event("forgotten", 10)).expect("there is room");
            let other = Arc::clone(&channel);
            let producer = spawn(move || put(&*other, "kept", 10).expect("nothing fails"));
            drop(held);
            producer.join().expect("no panic");
            assert_room(&*channel, 1);
            assert_eq!(queued(&*channel), ["kept"]);
            seen.note("done");
        },
    };
    model.run();
}

#[test]
fn i3_a_producer_and_a_consumer_wait_for_each_other() {
    let model = Model {
        name: ["memory.hand_over", "engine.hand_over"],
        bound: [None, Some(2)],
        floor: [2_000, 160],
        capacity: 1,
        events: &[],
        outcomes: &["slept", "done"],
        body: |channel, seen| {
            let other = Arc::clone(&channel);
            let producer = spawn(move || {
                put(&*other, "a", 10).expect("nothing fails");
                put(&*other, "b", 10).expect("nothing fails");
            });
            assert_eq!(wait_and_take(&*channel), "a");
            assert_eq!(wait_and_take(&*channel), "b");
            producer.join().expect("no panic");
            assert_room(&*channel, 1);
            seen.note("done");
        },
    };
    model.run();
}

#[test]
fn a_close_wakes_producers_and_consumers() {
    let model = Model {
        name: ["memory.close_waiters", "engine.close_waiters"],
        bound: [None, Some(4)],
        floor: [170, 1_400],
        capacity: 1,
        events: &["only"],
        outcomes: &["slept", "done"],
        body: |channel, seen| {
            let mut take = channel.begin_take();
            assert!(take.take().expect("readable").is_some(), "nothing is left to wait for");
            let other = Arc::clone(&channel);
            let producer = spawn(move || {
                let mut put = other.begin_put();
                matches!(put.put(event("more", 10)), Err(PutError::Closed(_)))
            });
            let other = Arc::clone(&channel);
            let consumer = spawn(move || other.wait(LONG));
            channel.close().expect("nothing fails");
            assert!(producer.join().expect("no panic"));
            assert!(!consumer.join().expect("no panic"));
            seen.note("done");
        },
    };
    model.run();
}
