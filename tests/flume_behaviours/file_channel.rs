//! TestFileChannel (§3.1), but for its threads.

use flumen::storage::sim::SimDisk;
use flumen::{
    Channel, ChannelOptions, CloseError, CommitError, Event, FileChannel, OpenError, PutError,
    TakeError,
};

use crate::files::{Kind, flip, read, records, tail};
use crate::queue::*;

/// Flume replaces nonsense by defaults; we say which option is wrong, and touch nothing.
#[test]
fn test_negative_capacities() {
    let disk = SimDisk::new(1);
    let wrong: [(&str, ChannelOptions); 4] = [
        ("capacity_events", options().capacity_events(0)),
        ("capacity_bytes", options().capacity_bytes(0)),
        ("transaction_events", options().transaction_events(0)),
        ("checkpoint_interval", options().checkpoint_interval(std::time::Duration::ZERO)),
    ];
    for (name, options) in wrong {
        match try_open(&disk, &options) {
            Err(OpenError::Option(invalid)) => assert_eq!(invalid.option, name),
            other => panic!("{name}: {:?}", other.map(|_| "opened")),
        }
    }
    assert_eq!(disk.file_names(), [] as [String; 0]);
}

#[test]
fn test_fail_after_take_before_commit() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..5));
        let (first, taken) = take(channel, 2);
        assert_eq!(taken, events(0..2));
        let (second, taken) = take(channel, 3);
        assert_eq!(taken, events(2..5));
        channel.checkpoint().expect("the disk works");
        (first, second)
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..5), "{how}");
    });
}

#[test]
fn test_fail_after_put_checkpoint_commit() {
    let history = |channel: &FileChannel| {
        let mut first = channel.begin_put();
        let mut second = channel.begin_put();
        for number in 0..3 {
            first.put(event(number)).expect("there is room");
            second.put(event(3 + number)).expect("there is room");
        }
        channel.checkpoint().expect("the disk works");
        second.commit().expect("the disk works");
        first.commit().expect("the disk works");
    };
    after_each_end(&options(), history, |channel, how| {
        let expected = events((3..6).chain(0..3));
        assert_eq!(drain(channel), expected, "{how}: in the order of commits");
    });
}

#[test]
fn test_reconfigure() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options().capacity_events(10));
    put_batches(&channel, &events(0..10), 3);
    let refused = channel.begin_put().put(event(10));
    let message = refused.expect_err("the channel is full").to_string();
    assert_eq!(message, "the channel is full; take events from it or raise its capacity");
    drop(channel);
    let other = options().capacity_events(20).segment_size(1 << 20);
    let channel = open(&disk, &other.transaction_events(50));
    put(&channel, &events(10..20));
    assert_eq!(drain(&channel), events(0..20));
}

#[test]
fn test_put() {
    let history = |channel: &FileChannel| {
        let mut transaction = channel.begin_take();
        assert!(transaction.take().expect("nothing fails").is_none());
        transaction.commit().expect("nothing to commit");
        put_batches(channel, &events(0..5), 1);
        put_batches(channel, &events(5..10), 5);
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..10), "{how}");
        assert_eq!(drain(channel), [], "{how}");
    });
}

/// There is no null here; what is empty stays empty, and is there.
#[test]
fn test_put_converts_null_value_to_empty_str_in_header() {
    let empty = Event::new("").with_header("", "").with_header("key", "");
    let history = |channel: &FileChannel| put(channel, std::slice::from_ref(&empty));
    after_each_end(&options().memory_tail(0), history, |channel, how| {
        assert_eq!(drain(channel), std::slice::from_ref(&empty), "{how}");
    });
}

#[test]
fn test_commit_after_no_put_take() {
    let history = |channel: &FileChannel| {
        channel.begin_put().commit().expect("nothing to commit");
        channel.begin_take().commit().expect("nothing to commit");
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), [], "{how}");
        assert_eq!(channel.stats().next_sequence, 0, "{how}");
    });
}

#[test]
fn test_capacity() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options().capacity_events(5));
    put(&channel, &events(0..5));
    let (transaction, _) = take(&channel, 1);
    transaction.rollback();
    match channel.begin_put().put(event(5)) {
        Err(PutError::Full(back)) => assert_eq!(back, event(5)),
        other => panic!("{other:?}"),
    }
    assert_eq!(drain(&channel), events(0..5));
}

#[test]
fn test_locking() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let first = open_in(directory.path(), &options());
    let second = FileChannel::open(directory.path(), options());
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    let clone = first.clone();
    drop(first);
    let second = FileChannel::open(directory.path(), options());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "a clone is left");
    let transaction = clone.begin_take();
    drop(clone);
    let second = FileChannel::open(directory.path(), options());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "a transaction is left");
    drop(transaction);
    open_in(directory.path(), &options());
}

#[test]
fn test_take_transaction_crossing_checkpoint() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..10));
        let (transaction, _) = take(channel, 1);
        channel.checkpoint().expect("the disk works");
        transaction.commit().expect("the disk works");
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(1..10), "{how}");
    });
}

fn put_across_checkpoints(after: bool) {
    let history = |channel: &FileChannel| {
        let mut transaction = channel.begin_put();
        transaction.put(event(0)).expect("there is room");
        channel.checkpoint().expect("the disk works");
        transaction.commit().expect("the disk works");
        if after {
            channel.checkpoint().expect("the disk works");
        }
    };
    let options = options().capacity_events(2);
    after_each_end(&options, history, |channel, how| {
        assert_eq!(drain(channel), events(0..1), "{how}");
    });
}

#[test]
fn test_put_force_checkpoint_commit_replay() {
    put_across_checkpoints(false);
}

#[test]
fn test_put_checkpoint_commit_checkpoint_replay() {
    put_across_checkpoints(true);
}

/// Segments are not given back while what was taken from them may return.
#[test]
fn test_reference_counts() {
    let history = |channel: &FileChannel| {
        put_batches(channel, &larges(0..150, 2000), 10);
        assert!(channel.stats().segments > 3);
        let (transaction, _) = take(channel, 100);
        channel.checkpoint().expect("the disk works");
        put(channel, &larges(150..160, 2000));
        transaction.rollback();
        let (transaction, taken) = take(channel, 160);
        assert_eq!(taken, larges(0..160, 2000));
        transaction
    };
    after_each_end(&options().memory_tail(0), history, |channel, how| {
        assert_eq!(drain(channel), larges(0..160, 2000), "{how}");
    });
}

#[test]
fn test_rollback_incomplete_transaction() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    let mut transaction = channel.begin_put();
    for event in events(0..100) {
        transaction.put(event).expect("there is room");
    }
    transaction.rollback();
    assert_eq!(channel.stats().events, 0);
    put(&channel, &events(0..100));
    let (transaction, _) = take(&channel, 100);
    assert_eq!(channel.stats().in_flight, 100);
    transaction.rollback();
    let stats = channel.stats();
    assert_eq!((stats.events, stats.in_flight), (100, 0));
    assert_eq!(drain(&channel), events(0..100));
}

/// A channel of 100 events, closed, with the fiftieth damaged.
fn damaged(options: &ChannelOptions) -> SimDisk {
    let disk = SimDisk::new(1);
    let channel = open(&disk, options);
    put_batches(&channel, &events(0..100), 1);
    channel.close().expect("the disk works");
    drop(channel);
    let name = tail(&disk);
    let all = records(&read(&disk, &name));
    let put = all.iter().filter(|r| r.kind == Kind::Put).nth(50);
    flip(&disk, &name, put.expect("a hundred puts").offset + 60);
    disk
}

/// In Flume the channel dies; with sync off the event is skipped. Here it says what is damaged, never skips it,
/// and everything else goes on, whatever the durability.
#[test]
fn test_channel_dies_on_corrupt_event_fsync() {
    for durability in [flumen::Durability::Sync, flumen::Durability::Os] {
        let options = options().memory_tail(0).durability(durability);
        let disk = damaged(&options);
        let channel = open(&disk, &options);
        assert_eq!(consume(&channel, 50), events(0..50), "{durability:?}");
        for _ in 0..2 {
            match channel.begin_take().take() {
                Err(TakeError::Corrupt(damage)) => {
                    assert_eq!(damage.file, tail(&disk), "{durability:?}");
                }
                other => panic!("{durability:?}: {other:?}"),
            }
        }
        put(&channel, &events(100..101));
        channel.close().expect("damage does not stop the channel");
        drop(channel);
        let channel = open(&disk, &options);
        assert_eq!(channel.stats().events, 51, "{durability:?}");
        assert!(channel.begin_take().take().is_err(), "{durability:?}");
    }
}

/// Our channel is open from the opening to the close, and then says so at every call.
#[test]
fn test_file_channel_counter_is_open() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let channel = open_in(directory.path(), &options());
    put(&channel, &events(0..2));
    let (open_take, _) = take(&channel, 1);
    let mut open_put = channel.begin_put();
    open_put.put(event(2)).expect("there is room");
    channel.close().expect("the disk works");
    assert!(matches!(channel.close(), Err(CloseError::Closed)));
    assert!(matches!(channel.begin_put().put(event(3)), Err(PutError::Closed(_))));
    assert!(matches!(channel.begin_take().take(), Err(TakeError::Closed)));
    match open_put.commit() {
        Err(CommitError::Closed(back)) => assert_eq!(back, events(2..3)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(open_take.commit(), Err(CommitError::Closed(_))));
    assert!(!channel.wait(LONG), "nobody waits for a closed channel");
    drop(channel);
    let channel = open_in(directory.path(), &options());
    assert_eq!(drain(&channel), events(0..2));
}
