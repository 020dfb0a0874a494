//! The threads of TestFileChannel, TestLogFile and TestMemoryChannelConcurrency (§3.1, §3.5, §3.11).

use std::sync::Arc;
use std::thread;

use flumen::storage::sim::SimDisk;
use flumen::{Channel, Event, FileChannel, MemoryChannel};

use crate::queue::*;

const PRODUCERS: u64 = 10;
const CONSUMERS: usize = 10;
const EACH: u64 = 200;
const TOTAL: u64 = PRODUCERS * EACH;

/// The numbers of one producer.
fn of(producer: u64) -> std::ops::Range<u64> {
    producer * EACH..(producer + 1) * EACH
}

/// Ten producers and ten consumers. Each event comes out once; what one consumer gets of one producer is in
/// order.
fn many_threads(channel: &Arc<dyn Channel>, batch: usize) -> Vec<Vec<Event>> {
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let channel = Arc::clone(channel);
            thread::spawn(move || put_batches(&*channel, &events(of(producer)), batch))
        })
        .collect();
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|_| {
            let channel = Arc::clone(channel);
            thread::spawn(move || consume_with_others(&*channel, batch, TOTAL, || {}))
        })
        .collect();
    for producer in producers {
        producer.join().expect("no producer fails");
    }
    let join =
        |consumer: thread::JoinHandle<Vec<Event>>| consumer.join().expect("no consumer fails");
    consumers.into_iter().map(join).collect()
}

fn check(parts: Vec<Vec<Event>>) {
    for part in &parts {
        for producer in 0..PRODUCERS {
            let texts = events(of(producer));
            let of_one = part.iter().filter(|event| texts.contains(event));
            assert!(of_one.is_sorted_by_key(|event| event.body.to_vec()));
        }
    }
    let mut all: Vec<Event> = parts.into_iter().flatten().collect();
    all.sort_by_key(|event| event.body.to_vec());
    assert_eq!(all, events(0..TOTAL), "each once");
}

#[test]
fn test_threaded() {
    for batch in [1, 5] {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let options = options().put_wait(LONG).capacity_events(100).background(true);
        let channel = open_in(directory.path(), &options);
        check(many_threads(&(Arc::new(channel) as Arc<dyn Channel>), batch));
        let channel = open_in(directory.path(), &options);
        assert_eq!(drain(&channel), [], "nothing comes back");
    }
}

#[test]
fn test_many_threads_on_the_memory_channel() {
    let options = options().put_wait(LONG).capacity_events(100);
    let channel = MemoryChannel::open(options).expect("the options are good");
    check(many_threads(&(Arc::new(channel) as Arc<dyn Channel>), 5));
}

/// A put that waits on a full channel began before the take that frees it, and comes after it in the log.
#[test]
fn test_race_found_in_flume_1432() {
    let disk = SimDisk::new(1);
    let options = options().capacity_events(10).put_wait(LONG);
    let channel = open(&disk, &options);
    put(&channel, &events(0..10));
    let mut waiting = channel.begin_put();
    let putter = thread::spawn(move || {
        waiting.put(event(10)).expect("room comes free");
        waiting.commit().expect("the disk works");
    });
    let (transaction, taken) = take(&channel, 1);
    assert_eq!(taken, events(0..1));
    assert!(!putter.is_finished(), "the channel is full");
    transaction.commit().expect("the disk works");
    putter.join().expect("the put goes on");
    for (how, image) in crashes(&disk) {
        let channel = open(&image, &options);
        assert_eq!(drain(&channel), events(1..11), "{how}");
    }
}

/// TestLogFile.testPutGet: ten readers of one log at once, from the disk.
#[test]
fn test_put_get_with_ten_readers() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let options = options().memory_tail(0);
    let channel = open_in(directory.path(), &options);
    put_batches(&channel, &larges(0..500, 700), 5);
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let channel: FileChannel = channel.clone();
            thread::spawn(move || {
                for _ in 0..20 {
                    let (transaction, taken) = take(&channel, 7);
                    for event in taken {
                        let number = event.headers["number"].parse().expect("a number");
                        assert_eq!(event, large(number, 700));
                    }
                    transaction.rollback();
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().expect("no reader fails");
    }
    assert_eq!(drain(&channel), larges(0..500, 700), "in their places");
}

/// Isolation: what one thread rolls back, no other loses.
#[test]
fn test_rollback_of_one_thread_leaves_the_others_alone() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put(&channel, &events(0..10));
    let (mine, taken) = take(&channel, 3);
    assert_eq!(taken, events(0..3));
    let other = {
        let channel = channel.clone();
        thread::spawn(move || consume(&channel, 4))
    };
    assert_eq!(other.join().expect("commits"), events(3..7));
    mine.rollback();
    for (how, image) in crashes(&disk) {
        let left: Vec<u64> = (0..3).chain(7..10).collect();
        assert_eq!(drain(&open(&image, &options())), events(left), "{how}");
    }
}
