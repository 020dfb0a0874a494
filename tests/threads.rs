//! Many producers and consumers on a real disk: per-producer order, nothing lost, nothing doubled, with rollbacks on
//! both sides, small segments that are recycled all the time, and checkpoints in between. Bounded by a number of
//! operations; nobody sleeps but in [`Channel::wait`].

#![allow(clippy::disallowed_types, reason = "the ban is for the engine, whose locks loom replaces")]
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use flumen::{AckDurability, Channel, ChannelOptions, Durability, Event, FileChannel, ReadMode};

const PRODUCERS: u64 = 4;
const CONSUMERS: u64 = 3;
/// Put transactions of each producer that commit.
const COMMITS: u64 = 60;
/// Longest time without any event before a consumer calls it a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cheap sequence of numbers, another one for each seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn event(producer: u64, number: u64, size: u64) -> Event {
    Event::new(format!("{producer} {number} {}", "x".repeat(size as usize)))
}

/// The producer and the number in an event's body.
fn parse(body: &[u8]) -> (u64, u64) {
    let text = std::str::from_utf8(body).expect("text");
    let mut parts = text.split(' ').map(|part| part.parse::<u64>().ok());
    let mut next = || parts.next().flatten().expect("a number");
    (next(), next())
}

/// Commits, and in between rolls back, transactions of one to eight events, some of them large; returns how many
/// events it committed.
fn produce(channel: &FileChannel, producer: u64) -> u64 {
    let mut dice = Dice(producer + 1);
    let mut next = 0;
    let mut commits = 0;
    while commits < COMMITS {
        let rolls_back = dice.below(4) == 0;
        let count = 1 + dice.below(8);
        let mut put = channel.begin_put();
        let mut together = Vec::new();
        let is_at_once = dice.below(2) == 0;
        for index in 0..count {
            let size = if dice.below(10) == 0 { 9000 } else { dice.below(200) };
            let number = if rolls_back { u64::MAX } else { next + index };
            let event = event(producer, number, size);
            match is_at_once {
                true => together.push(event),
                false => put.put(event).expect("there is no limit"),
            }
        }
        put.put_all(together).expect("there is no limit");
        if rolls_back {
            put.rollback();
            continue;
        }
        put.commit().expect("commits");
        next += count;
        commits += 1;
    }
    next
}

/// What the consumers have committed: the sum of all, and of each consumer what it got, in order.
#[derive(Default)]
struct Taken {
    count: AtomicU64,
    /// Events of each take transaction that committed.
    transactions: Mutex<Vec<Vec<(u64, u64)>>>,
}

/// What a storm does beside its options.
#[derive(Clone, Copy)]
struct Plan {
    takes_roll_back: bool,
}

/// Takes until `expected` says how many there are and so many have been committed, by all consumers together.
///
/// What one consumer gets of one producer ascends, unless somebody rolls back: then an earlier event may come to the
/// next who takes.
fn consume(channel: &FileChannel, consumer: u64, plan: Plan, expected: &AtomicU64, taken: &Taken) {
    let mut dice = Dice(consumer + 100);
    let mut last = BTreeMap::new();
    while taken.count.load(Ordering::Acquire) < expected.load(Ordering::Acquire) {
        let mut take = channel.begin_take();
        let mut events = Vec::new();
        let wanted = 1 + dice.below(12) as usize;
        if dice.below(2) == 0 {
            let taken = take.take_up_to(wanted).expect("readable");
            events.extend(taken.iter().map(|event| parse(&event.body)));
        } else {
            while let Some(event) = take.take().expect("readable") {
                events.push(parse(&event.body));
                if events.len() == wanted {
                    break;
                }
            }
        }
        if events.is_empty() {
            drop(take);
            channel.wait(Duration::from_millis(20));
            continue;
        }
        for (producer, number) in &events {
            let before = last.insert(*producer, *number);
            let ascends = before.is_none_or(|before| before < *number);
            assert!(ascends || plan.takes_roll_back, "I3: {before:?} then {number}");
        }
        if plan.takes_roll_back && dice.below(3) == 0 {
            take.rollback();
            continue;
        }
        let count = events.len() as u64;
        take.commit().expect("commits");
        taken.transactions.lock().expect("no panic").push(events);
        taken.count.fetch_add(count, Ordering::AcqRel);
    }
}

/// Each event of each producer, once.
fn check(taken: Taken, produced: &[u64]) {
    let mut seen: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let transactions = taken.transactions.into_inner().expect("no panic");
    for (producer, number) in transactions.into_iter().flatten() {
        seen.entry(producer).or_default().push(number);
    }
    for (producer, count) in produced.iter().enumerate() {
        let mut numbers = seen.remove(&(producer as u64)).unwrap_or_default();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..*count), "producer {producer}: lost or doubled");
    }
}

fn options() -> ChannelOptions {
    ChannelOptions::new().segment_size(64 << 10).checkpoint_interval(Duration::from_millis(5))
}

/// All of it at once, then a last look after closing and opening.
fn storm(options: ChannelOptions, plan: Plan) {
    let directory = tempfile::tempdir().expect("a directory");
    let channel = FileChannel::open(directory.path(), options.clone()).expect("opens");
    let expected = AtomicU64::new(u64::MAX);
    let taken = Taken::default();
    let produced: Vec<u64> = thread::scope(|scope| {
        for consumer in 0..CONSUMERS {
            let (channel, expected, taken) = (&channel, &expected, &taken);
            scope.spawn(move || consume(channel, consumer, plan, expected, taken));
        }
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let channel = &channel;
                scope.spawn(move || produce(channel, producer))
            })
            .collect();
        while producers.iter().any(|producer| !producer.is_finished()) {
            channel.checkpoint().expect("works");
            thread::yield_now();
        }
        let produced: Vec<u64> =
            producers.into_iter().map(|producer| producer.join().expect("no panic")).collect();
        expected.store(produced.iter().sum(), Ordering::Release);
        produced
    });
    check(taken, &produced);
    let stats = channel.stats();
    assert_eq!(stats.in_flight, 0);
    channel.close().expect("closes");
    drop(channel);
    let channel = FileChannel::open(directory.path(), options).expect("opens");
    assert!(channel.recovery().clean);
    assert_eq!(channel.stats().events, 0, "I5: all was taken, and the channel closed");
    assert_eq!(channel.stats().next_sequence, produced.iter().sum::<u64>());
    assert!(!channel.wait(Duration::ZERO));
}

/// Every combination of the options that change a way through the code.
fn storms(durability: Durability) {
    let (done, wait) = std::sync::mpsc::channel();
    let storms = thread::spawn(move || {
        for ack in [AckDurability::Sync, AckDurability::Lazy(Duration::from_millis(3))] {
            for tail in [0, 4 << 20] {
                for mode in [ReadMode::Pread, ReadMode::Map] {
                    for takes_roll_back in [true, false] {
                        let options = options().durability(durability).ack_durability(ack);
                        storm(options.memory_tail(tail).read_mode(mode), Plan { takes_roll_back });
                        let _ = done.send(());
                    }
                }
            }
        }
    });
    for turn in 0..16 {
        match wait.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("storm {turn} hangs"),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    storms.join().expect("no storm fails");
}

#[test]
fn i1_i3_i5_many_threads_with_synced_puts() {
    storms(Durability::Sync);
}

#[test]
fn i1_i3_i5_many_threads_with_puts_left_to_the_system() {
    storms(Durability::Os);
}

/// One consumer that never rolls back gets each producer's events in order, while others put, with the reader at times
/// in memory and at times on the disk.
#[test]
fn i3_one_consumer_sees_every_producer_in_order() {
    for tail in [0, 2 << 10, 4 << 20] {
        let directory = tempfile::tempdir().expect("a directory");
        let options = options().memory_tail(tail).durability(Durability::Os);
        let channel = FileChannel::open(directory.path(), options).expect("opens");
        let produced: Vec<u64> = thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|producer| {
                    let channel = &channel;
                    scope.spawn(move || produce(channel, producer))
                })
                .collect();
            let mut next = vec![0; PRODUCERS as usize];
            loop {
                let is_last = producers.iter().all(|producer| producer.is_finished());
                let mut take = channel.begin_take();
                while let Some(event) = take.take().expect("readable") {
                    let (producer, number) = parse(&event.body);
                    assert_eq!(number, next[producer as usize], "I3, producer {producer}");
                    next[producer as usize] += 1;
                }
                let is_empty = take.is_empty();
                take.commit().expect("commits");
                if is_last && is_empty {
                    break;
                }
            }
            let counts: Vec<u64> =
                producers.into_iter().map(|producer| producer.join().expect("no panic")).collect();
            assert_eq!(next, counts);
            counts
        });
        assert_eq!(channel.stats().events_put, produced.iter().sum::<u64>());
    }
}
