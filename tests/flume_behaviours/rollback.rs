//! TestFileChannelRollback and TestIntegration (§3.3).

use std::sync::Arc;
use std::thread;

use flumen::{Channel, FileChannel};

use crate::queue::*;

#[test]
fn test_rollback_after_no_put_take() {
    let history = |channel: &FileChannel| {
        channel.begin_put().rollback();
        channel.begin_take().rollback();
        let mut transaction = channel.begin_take();
        assert!(transaction.take().expect("nothing fails").is_none());
        transaction.rollback();
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), [], "{how}");
    });
}

#[test]
fn test_rollback_simulated_crash() {
    let history = |channel: &FileChannel| {
        put_batches(channel, &events(0..50), 5);
        let mut transaction = channel.begin_put();
        transaction.put(event(50)).expect("there is room");
        transaction.rollback();
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..50), "{how}");
    });
}

#[test]
fn test_rollback_simulated_crash_with_sink() {
    let history = |channel: &FileChannel| {
        put_batches(channel, &events(0..100), 10);
        for number in 0..99 {
            assert_eq!(consume(channel, 1), events(number..number + 1));
        }
        let mut transaction = channel.begin_put();
        transaction.put(event(100)).expect("there is room");
        transaction.rollback();
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(99..100), "{how}");
    });
}

/// A source and a sink on a small channel that is dropped without a close, again and again, until all is
/// through.
#[test]
fn test_integration() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let options = options().capacity_events(50).put_wait(LONG).background(true);
    let (total, lives) = (1000, 10);
    let mut delivered = Vec::new();
    for life in 0..lives {
        let channel = Arc::new(open_in(directory.path(), &options));
        let part = life * total / lives..(life + 1) * total / lives;
        let source = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || put_batches(&*channel, &events(part), 10))
        };
        // The last 30 of each life are left to the next one.
        let goal = ((life + 1) * total / lives - 30) as usize;
        while delivered.len() < goal {
            assert!(channel.wait(LONG), "{:?}", channel.stats());
            delivered.extend(consume(&*channel, 7.min(goal - delivered.len())));
        }
        source.join().expect("the source does not fail");
    }
    delivered.extend(drain(&open_in(directory.path(), &options)));
    assert_eq!(delivered, events(0..total));
}
