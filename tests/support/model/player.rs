//! Plays a history: each call on the channel, and what the model says it must return.

use flumen::storage::sim::SimDisk;
use flumen::{
    Channel, CloseError, CommitError, Event, FileChannel, PutError, PutTransaction, TakeError,
    TakeTransaction,
};

use super::history::{
    Ending, History, Operation, SLOTS, Settings, Size, TRANSACTION_BYTES, TRANSACTION_EVENTS,
};
use super::reference::{Change, Cursors, Item, Model};

/// What a history did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub operations: u64,
    /// Events put and committed.
    pub events: u64,
    pub openings: u64,
    pub crashes: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Openings that had to tell what became of a commit.
    pub in_doubt: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.operations += other.operations;
        self.events += other.events;
        self.openings += other.openings;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.in_doubt += other.in_doubt;
    }
}

/// What came of a history.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub counts: Counts,
    /// The events whose takes were committed, in the order in which they were delivered.
    pub delivered: Vec<u64>,
}

pub(super) struct Put {
    transaction: PutTransaction,
    items: Vec<Item>,
    cursors: Cursors,
}

pub(super) struct Take {
    transaction: TakeTransaction,
    items: Vec<(u64, Item)>,
    cursors: Cursors,
}

impl Take {
    pub(super) fn into_items(self) -> Vec<(u64, Item)> {
        self.items
    }
}

pub(super) struct Player {
    pub(super) disk: SimDisk,
    pub(super) channel: Option<FileChannel>,
    pub(super) settings: Settings,
    pub(super) model: Model,
    pub(super) puts: [Option<Put>; SLOTS],
    pub(super) takes: [Option<Take>; SLOTS],
    /// The channel has stopped or was closed.
    pub(super) has_ended: bool,
    /// A write-back that nobody asked for has failed.
    pub(super) has_lost_writes: bool,
    /// The disk's space is limited.
    pub(super) is_limited: bool,
    /// It was when the channel was opened.
    pub(super) was_limited: bool,
    /// Faults that had struck this disk when the channel was opened.
    pub(super) strikes_before: usize,
    pub(super) seed: u64,
    pub(super) outcome: Outcome,
    next_id: u64,
}

pub(super) type Played = Result<(), String>;

/// Says what is wrong unless `condition` holds.
pub(super) fn ensure(condition: bool, problem: impl FnOnce() -> String) -> Played {
    if condition { Ok(()) } else { Err(problem()) }
}

/// Plays a history, then drains what is left and sees that the channel works.
pub fn run(history: &History) -> Result<Outcome, String> {
    let mut player = Player::new(history);
    let mut what = "the first opening".to_string();
    let mut play = || -> Played {
        player.open(history.settings, false).map(|_| ())?;
        for (index, operation) in history.operations.iter().enumerate() {
            what = format!("operation {index}, {operation:?}");
            player.outcome.counts.operations += 1;
            player.play(*operation)?;
            player.compare_shown()?;
        }
        what = "the end".to_string();
        player.finish()
    };
    let result = play();
    player.outcome.counts.faults += player.disk.strikes().len() as u64;
    result.map(|()| player.outcome.clone()).map_err(|problem| format!("{what}: {problem}"))
}

fn slot(number: u8) -> usize {
    usize::from(number) % SLOTS
}

impl Player {
    fn new(history: &History) -> Player {
        Player {
            disk: SimDisk::new(history.seed),
            channel: None,
            settings: history.settings,
            model: Model::default(),
            puts: [const { None }; SLOTS],
            takes: [const { None }; SLOTS],
            has_ended: false,
            has_lost_writes: false,
            is_limited: false,
            was_limited: false,
            strikes_before: 0,
            seed: history.seed,
            outcome: Outcome::default(),
            next_id: 0,
        }
    }

    pub(super) fn channel(&self) -> &FileChannel {
        self.channel.as_ref().expect("a channel is open between operations")
    }

    fn play(&mut self, operation: Operation) -> Played {
        match operation {
            Operation::PutAndCommit(count, size) => {
                let mut put = self.begin_put();
                self.put(&mut put, count, size)?;
                self.commit_put(put)
            }
            Operation::TakeAndCommit(count) => {
                let mut take = self.begin_take();
                self.take(&mut take, count)?;
                self.commit_take(take)
            }
            Operation::Put(at, count, size) => {
                self.with_put(at, |player, put| player.put(put, count, size))
            }
            Operation::PutCursor(at, name, value) => self.with_put(at, |_, put| {
                let transaction = &mut put.transaction;
                match value {
                    Some(value) => transaction.set_cursor(&cursor(name), &[value]),
                    None => transaction.clear_cursor(&cursor(name)),
                }
                .map_err(|error| error.to_string())?;
                put.cursors.insert(name % CURSORS, value);
                Ok(())
            }),
            Operation::CommitPut(at) => match self.puts[slot(at)].take() {
                Some(put) => self.commit_put(put),
                None => Ok(()),
            },
            Operation::RollBackPut(at) | Operation::DropPut(at) => {
                if let Some(put) = self.puts[slot(at)].take() {
                    let is_said = matches!(operation, Operation::RollBackPut(_));
                    end(put.transaction, is_said, PutTransaction::rollback);
                    self.model.release(&put.items);
                }
                Ok(())
            }
            _ => self.play_take(operation),
        }
    }

    fn play_take(&mut self, operation: Operation) -> Played {
        match operation {
            Operation::Take(at, count) => {
                self.with_take(at, |player, take| player.take(take, count))
            }
            Operation::TakeCursor(at, name, value) => self.with_take(at, |_, take| {
                let transaction = &mut take.transaction;
                match value {
                    Some(value) => transaction.set_cursor(&cursor(name), &[value]),
                    None => transaction.clear_cursor(&cursor(name)),
                }
                .map_err(|error| error.to_string())?;
                take.cursors.insert(name % CURSORS, value);
                Ok(())
            }),
            Operation::CommitTake(at) => match self.takes[slot(at)].take() {
                Some(take) => self.commit_take(take),
                None => Ok(()),
            },
            Operation::RollBackTake(at) | Operation::DropTake(at) => {
                if let Some(take) = self.takes[slot(at)].take() {
                    let is_said = matches!(operation, Operation::RollBackTake(_));
                    end(take.transaction, is_said, TakeTransaction::rollback);
                    self.model.free.extend(take.items);
                }
                Ok(())
            }
            _ => self.play_other(operation),
        }
    }

    fn play_other(&mut self, operation: Operation) -> Played {
        match operation {
            Operation::Sync => self.call("sync", true, FileChannel::sync),
            Operation::Checkpoint => self.call("checkpoint", false, FileChannel::checkpoint),
            Operation::Maintain => self.call("maintain", true, FileChannel::maintain),
            Operation::Close => self.close(),
            Operation::Reopen(ending, settings) => self.reopen(ending, settings),
            Operation::Arm(trouble, calls) => {
                self.disk.add_plan(trouble.plan().after(u64::from(calls)));
                Ok(())
            }
            Operation::Disarm => {
                self.disk.clear_plans();
                Ok(())
            }
            Operation::WriteBack(seed) => {
                self.disk.write_back(u64::from(seed));
                Ok(())
            }
            Operation::FailWriteBack => {
                let names = self.disk.file_names();
                let newest = names.iter().rfind(|name| name.ends_with(".seg"));
                if let Some(name) = newest {
                    self.has_lost_writes |= self.disk.fail_write_back(name);
                }
                Ok(())
            }
            Operation::Fill(pages) => {
                // A full disk may refuse lazy acks, which then wait; the model does not know how long. And who
                // fills the disk when the channel has given space back, or could not fill its reserve, takes
                // what puts would need to go on.
                let is_whole = !self.is_limited && !self.was_limited && !self.has_trouble();
                if is_whole && !self.settings.lazy_acks {
                    self.fill(u64::from(pages));
                }
                Ok(())
            }
            Operation::Unfill => {
                self.unfill();
                Ok(())
            }
            _ => unreachable!("puts and takes were played before"),
        }
    }

    pub(super) fn begin_put(&self) -> Put {
        let transaction = self.channel().begin_put();
        Put { transaction, items: Vec::new(), cursors: Cursors::new() }
    }

    pub(super) fn begin_take(&self) -> Take {
        let transaction = self.channel().begin_take();
        Take { transaction, items: Vec::new(), cursors: Cursors::new() }
    }

    fn with_put(&mut self, at: u8, act: impl FnOnce(&mut Player, &mut Put) -> Played) -> Played {
        let mut put = self.puts[slot(at)].take().unwrap_or_else(|| self.begin_put());
        let played = act(self, &mut put);
        self.puts[slot(at)] = Some(put);
        played
    }

    fn with_take(&mut self, at: u8, act: impl FnOnce(&mut Player, &mut Take) -> Played) -> Played {
        let mut take = self.takes[slot(at)].take().unwrap_or_else(|| self.begin_take());
        let played = act(self, &mut take);
        self.takes[slot(at)] = Some(take);
        played
    }

    /// Puts events one by one or, about as often, all of them together.
    pub(super) fn put(&mut self, put: &mut Put, count: u8, size: Size) -> Played {
        let part = if self.next_id.is_multiple_of(2) { count.max(1) } else { 1 };
        for _ in 0..count / part {
            let ids = self.next_id..self.next_id + u64::from(part);
            self.next_id = ids.end;
            let items: Vec<Item> = ids.map(|id| Item { id, length: size.bytes() }).collect();
            let expected = self.expect_put(put, &items);
            let (name, handed_back) = offer(&mut put.transaction, &items);
            ensure(name == expected, || format!("put {items:?}: {name}, expected {expected}"))?;
            match handed_back {
                None => {
                    self.model.used_events += items.len() as u64;
                    self.model.used_bytes += items.iter().map(|item| item.size()).sum::<u64>();
                    put.items.extend(items);
                }
                Some(events) => {
                    let is_same = events.iter().eq(&events_of(&items));
                    ensure(is_same, || "not handed back".into())?;
                }
            }
        }
        Ok(())
    }

    /// I8: what a put of these events together must say.
    fn expect_put(&self, put: &Put, items: &[Item]) -> &'static str {
        let total = |items: &[Item]| items.iter().map(|item| item.size()).sum::<u64>();
        let (events, bytes) = self.settings.limits().unwrap_or((u64::MAX, u64::MAX));
        let (size, count) = (total(items), items.len() as u64);
        let is_too_large = |most: u64| items.iter().any(|item| item.size() > most);
        // Together they are looked at before the channel is asked.
        let at_once = if items.len() > 1 { bytes } else { u64::MAX };
        if is_too_large(TRANSACTION_BYTES.min(at_once)) {
            "too large"
        } else if items.len() > TRANSACTION_EVENTS || size > TRANSACTION_BYTES {
            "too many"
        } else if put.items.len() + items.len() > TRANSACTION_EVENTS
            || total(&put.items) + size > TRANSACTION_BYTES
        {
            "transaction full"
        } else if self.has_ended {
            "ended"
        } else if is_too_large(bytes) {
            "too large"
        } else if size > bytes || count > events {
            "too many"
        } else if self.model.used_events + count > events || self.model.used_bytes + size > bytes {
            "full"
        } else {
            "taken"
        }
    }

    pub(super) fn commit_put(&mut self, put: Put) -> Played {
        let Put { transaction, items, cursors } = put;
        let is_empty = items.is_empty() && cursors.is_empty();
        let change = Change::Put { items: items.clone(), cursors };
        let handed_back = |events: Vec<Event>| {
            let is_right = events.iter().eq(&events_of(&items));
            ensure(is_right, || "a refused commit did not hand its events back".into())
        };
        match transaction.commit() {
            Ok(()) if is_empty => {}
            Ok(()) => {
                ensure(!self.has_ended, || "I7: acknowledged after the end".into())?;
                let is_synced = self.settings.puts == flumen::Durability::Sync;
                self.model.send_lazy();
                self.model.write(change, is_synced);
                self.outcome.counts.events += items.len() as u64;
            }
            Err(CommitError::NoSpace(events)) => {
                ensure(self.may_lack_room(), || "no space on a disk that has room".into())?;
                handed_back(events)?;
                self.model.send_lazy();
                self.model.release(&items);
            }
            Err(CommitError::Stopped(error)) => self.stopped(Some(change), &error.to_string())?,
            Err(CommitError::Closed(events)) => {
                ensure(self.has_ended, || "closed, and nobody did".into())?;
                handed_back(events)?;
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// Takes events one by one or, about as often, as many as there are at once.
    pub(super) fn take(&mut self, take: &mut Take, count: u8) -> Played {
        let part = if self.next_id.is_multiple_of(2) { usize::from(count) } else { 1 };
        let most = take.items.len() + usize::from(count);
        while take.items.len() < most {
            let held: u64 = take.items.iter().map(|(_, item)| item.size()).sum();
            let is_full = take.items.len() == TRANSACTION_EVENTS || held >= TRANSACTION_BYTES;
            let wanted = part.min(most - take.items.len());
            let taken = match part {
                1 => take.transaction.take().map(Vec::from_iter),
                _ => take.transaction.take_up_to(wanted).map(<[Event]>::to_vec),
            };
            match taken {
                Ok(events) if events.is_empty() => {
                    let next = self.model.free.first_key_value();
                    ensure(next.is_none() && !is_full, || format!("I4: {next:?} is missing"))?;
                    break;
                }
                Ok(events) => {
                    ensure(!self.has_ended, || "delivered after the end".into())?;
                    ensure(events.len() <= wanted, || "more than were asked for".into())?;
                    let before = take.items.iter().map(|(_, item)| item.size()).sum::<u64>();
                    let but_last = &events[..events.len() - 1];
                    let is_within =
                        before + but_last.iter().map(Event::size).sum::<u64>() < TRANSACTION_BYTES;
                    ensure(is_within, || "more bytes than a transaction may hold".into())?;
                    for event in events {
                        let expected = self.model.free.pop_first();
                        let found = Item::of(&event);
                        ensure(found.is_some() && found == expected.map(|(_, item)| item), || {
                            format!("I3, I4: delivered {found:?}, expected {expected:?}")
                        })?;
                        take.items.extend(expected);
                    }
                }
                Err(TakeError::TransactionFull) => {
                    ensure(is_full, || "a take transaction is full too early".into())?;
                    break;
                }
                Err(TakeError::Storage(error)) => {
                    ensure(self.has_trouble(), || format!("no call has failed: {error}"))?;
                    break;
                }
                Err(TakeError::Stopped(_) | TakeError::Closed) => {
                    ensure(self.has_ended, || "a take says the channel has ended".into())?;
                    break;
                }
                Err(error) => return Err(format!("I6: no damage was done: {error}")),
            }
        }
        Ok(())
    }

    pub(super) fn commit_take(&mut self, take: Take) -> Played {
        let Take { transaction, items, cursors } = take;
        let is_empty = items.is_empty() && cursors.is_empty();
        let sequences: Vec<u64> = items.iter().map(|(sequence, _)| *sequence).collect();
        let outcome = transaction.commit();
        match outcome {
            Ok(()) if is_empty => {}
            Ok(()) => {
                ensure(!self.has_ended, || "I7: acknowledged after the end".into())?;
                self.model.release(items.iter().map(|(_, item)| item));
                match self.settings.lazy_acks {
                    true => self.model.acknowledge_lazily(sequences, cursors),
                    false => self.model.write(Change::Ack { sequences, cursors }, true),
                }
                self.outcome.delivered.extend(items.iter().map(|(_, item)| item.id));
            }
            Err(CommitError::NoSpace(_)) => return Err("I8: no room for an ack".into()),
            Err(CommitError::Stopped(error)) => {
                let change = Change::Ack { sequences, cursors };
                self.stopped(Some(change), &error.to_string())?;
            }
            Err(CommitError::Closed(_)) => {
                ensure(self.has_ended, || "closed, and nobody did".into())?;
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// `change` got `Stopped`. Of the first to get it the outcome is unknown; later ones write nothing.
    fn stopped(&mut self, change: Option<Change>, error: &str) -> Played {
        if !self.has_ended {
            ensure(self.may_stop(), || format!("I7: stopped without a reason: {error}"))?;
            self.model.doubt(change);
            self.has_ended = true;
        }
        Ok(())
    }

    /// A call that makes what was written durable, lazy acks too when it `sends` them.
    pub(super) fn call(
        &mut self,
        name: &str,
        sends: bool,
        call: impl FnOnce(&FileChannel) -> Result<(), CloseError>,
    ) -> Played {
        match call(self.channel()) {
            Ok(()) => {
                ensure(!self.has_ended, || format!("I7: {name} worked after the end"))?;
                if sends {
                    self.model.send_lazy();
                }
                self.model.sync();
                Ok(())
            }
            Err(CloseError::Stopped(error)) => self.stopped(None, &error.to_string()),
            Err(CloseError::Closed) => ensure(self.has_ended, || format!("{name}: closed")),
            Err(error) => Err(format!("{name}: {error}")),
        }
    }

    pub(super) fn close(&mut self) -> Played {
        self.call("close", true, FileChannel::close)?;
        self.has_ended = true;
        Ok(())
    }

    fn reopen(&mut self, ending: Ending, settings: Settings) -> Played {
        let mut is_clean = false;
        if ending == Ending::Close && !self.has_ended {
            self.call("close", true, FileChannel::close)?;
            is_clean = !self.has_ended;
        }
        let is_power_lost = self.end(ending);
        let is_first_try = self.open(settings, is_power_lost)?;
        let is_disturbed = is_power_lost || !is_first_try;
        ensure(self.channel().recovery().clean || !is_clean || is_disturbed, || {
            "a clean close was not seen as one".into()
        })
    }
}

/// Ends a transaction without a commit, by saying so or by a drop.
fn end<T>(transaction: T, is_said: bool, rollback: impl FnOnce(T)) {
    if is_said {
        rollback(transaction);
    } else {
        drop(transaction);
    }
}

/// How many cursors there are.
const CURSORS: u8 = 4;

pub(super) fn cursor(name: u8) -> String {
    format!("cursor {}", name % CURSORS)
}

fn events_of(items: &[Item]) -> Vec<Event> {
    items.iter().map(|item| item.event()).collect()
}

/// Puts one event, or several together; what came of it, and what was handed back.
fn offer(transaction: &mut PutTransaction, items: &[Item]) -> (&'static str, Option<Vec<Event>>) {
    fn name<T>(error: &PutError<T>) -> &'static str {
        match error {
            PutError::TooLarge(_) => "too large",
            PutError::TooMany(_) => "too many",
            PutError::TransactionFull(_) => "transaction full",
            PutError::Full(_) => "full",
            PutError::Stopped(..) | PutError::Closed(_) => "ended",
            _ => "unknown",
        }
    }
    let refused = match items {
        [item] => {
            transaction.put(item.event()).map_err(|error| (name(&error), vec![error.into_event()]))
        }
        _ => transaction
            .put_all(events_of(items))
            .map_err(|error| (name(&error), error.into_inner())),
    };
    match refused {
        Ok(()) => ("taken", None),
        Err((name, events)) => (name, Some(events)),
    }
}
