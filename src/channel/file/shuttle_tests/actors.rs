//! The threads of a schedule.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ledger::{Fate, Ledger, body, parse};
use super::{Dice, FOR_EVER};
use crate::{Channel, CommitError, Event, FileChannel, PutError, TakeError};

/// Errors after which a consumer gives up, and closes the channel lest producers wait for it for ever.
const PATIENCE: u32 = 12;

/// Commits, and in between rolls back, a few transactions; ends early when the channel does.
pub(super) fn produce(
    channel: &FileChannel,
    producer: u64,
    ledger: &Mutex<Ledger>,
    mut dice: Dice,
    waits: &AtomicU64,
) {
    let mut next = 0;
    for transaction in 0..1 + dice.below(3) {
        let mut put = channel.begin_put();
        let first = next;
        let large = dice.one_in(5);
        let count = if large { 1 } else { 1 + dice.below(3) };
        for index in 0..count {
            let size = if large { 4 << 10 } else { dice.below(40) } as usize;
            let event = Event::new(body(producer, next, transaction, size));
            // Only the first may wait: who holds room and waits for more may wait for its like.
            let result = match put.try_put(event) {
                Err(PutError::Full(event)) if index == 0 => {
                    waits.fetch_add(1, Ordering::Relaxed);
                    put.put(event)
                }
                result => result,
            };
            match result {
                Ok(()) => next += 1,
                Err(PutError::Full(_)) => break,
                Err(_) => return,
            }
        }
        let index = lock(ledger).begin_put(producer, transaction, first..next);
        if dice.one_in(6) {
            lock(ledger).end_put(index, Fate::Refused);
            drop(put);
            continue;
        }
        let result = put.commit();
        let mut ledger = lock(ledger);
        match result {
            Ok(()) => ledger.end_put(index, Fate::Acknowledged),
            Err(CommitError::Stopped(_)) => return ledger.end_put(index, Fate::InDoubt),
            Err(CommitError::Closed(_)) => return ledger.end_put(index, Fate::Refused),
            Err(CommitError::NoSpace(events)) => {
                assert_eq!(events.len() as u64, next - first, "the events are handed back");
                ledger.was_full = true;
                ledger.end_put(index, Fate::Refused);
            }
        }
    }
}

/// Takes until the channel ends.
pub(super) fn consume(channel: &FileChannel, ledger: &Mutex<Ledger>, mut dice: Dice) {
    let mut errors = 0;
    while channel.wait(FOR_EVER) {
        if errors > PATIENCE {
            // Whether it closes or has stopped: what matters is that nobody waits for this thread.
            let _ = channel.close();
            return;
        }
        let mut take = channel.begin_take();
        let mut events = Vec::new();
        for _ in 0..1 + dice.below(4) {
            match take.take() {
                Ok(Some(event)) => {
                    let (name, transaction) = parse(&event.body);
                    lock(ledger).delivered(name, transaction);
                    events.push(name);
                }
                Ok(None) => break,
                Err(TakeError::Storage(_)) => {
                    errors += 1;
                    break;
                }
                Err(TakeError::Stopped(_) | TakeError::Closed) => break,
                Err(other) => panic!("I6: {other}"),
            }
        }
        if events.is_empty() || dice.one_in(4) {
            lock(ledger).give_back(&events);
            drop(take);
            continue;
        }
        let index = lock(ledger).begin_take(events);
        let result = take.commit();
        let mut ledger = lock(ledger);
        match result {
            Ok(()) => ledger.end_take(index, Fate::Acknowledged),
            Err(CommitError::Stopped(_)) => return ledger.end_take(index, Fate::InDoubt),
            Err(CommitError::Closed(_)) => return ledger.end_take(index, Fate::Refused),
            Err(CommitError::NoSpace(_)) => {
                errors += 1;
                ledger.end_take(index, Fate::Refused);
            }
        }
    }
}

/// Does what the helper thread does at intervals, and sometimes closes; says whether that came through.
pub(super) fn keep(channel: &FileChannel, mut dice: Dice) -> bool {
    for _ in 0..dice.below(4) {
        // A channel that has stopped or was closed says so, as it should; the ledger has the rest.
        let _ = match dice.below(16) {
            0..=5 => channel.checkpoint(),
            6..=9 => channel.maintain(),
            10..=12 => channel.sync(),
            13 | 14 => {
                let stats = channel.stats();
                assert!(stats.events <= stats.capacity_events, "beyond the capacity: {stats:?}");
                Ok(())
            }
            _ => return channel.close().is_ok(),
        };
    }
    false
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().expect("a failed schedule ends the test")
}
