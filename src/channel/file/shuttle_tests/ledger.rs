//! What was promised to whom: all that the oracle knows. It shares no code with the engine.

use std::collections::BTreeSet;
use std::ops::Range;

/// Producer and number.
pub(super) type Name = (u64, u64);

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its commit was called.
    Open,
    Acknowledged,
    /// The channel stopped during the commit.
    InDoubt,
    /// Rolled back, or refused: it never happened.
    Refused,
}

#[derive(Clone, Debug)]
struct Put {
    producer: u64,
    transaction: u64,
    numbers: Range<u64>,
    fate: Fate,
    /// When its commit was called and when it returned, by the ledger's own count.
    begun: u64,
    ended: u64,
}

#[derive(Clone, Debug)]
struct Take {
    events: Vec<Name>,
    fate: Fate,
    /// One of its events was delivered again while its commit was under way: right if it is refused.
    again: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    puts: Vec<Put>,
    takes: Vec<Take>,
    lent: BTreeSet<Name>,
    /// Given back, and not delivered since.
    returned: BTreeSet<Name>,
    /// There is one consumer, which gets what it gave back before anything else.
    pub(super) is_ordered: bool,
    clock: u64,
    /// Acknowledged takes may come back after a crash.
    pub(super) is_lazy: bool,
    /// A close came through.
    pub(super) is_closed: bool,
    /// Some put was refused for want of space.
    pub(super) was_full: bool,
}

/// An event's body.
pub(super) fn body(producer: u64, number: u64, transaction: u64, size: usize) -> Vec<u8> {
    let mut text = format!("{producer} {number} {transaction} {size}:").into_bytes();
    text.resize(text.len() + size, b'x');
    text
}

/// What a body says, if nothing in it is altered.
pub(super) fn parse(body: &[u8]) -> (Name, u64) {
    let colon = body.iter().position(|byte| *byte == b':').expect("a body that was put");
    let head = std::str::from_utf8(&body[..colon]).expect("a body that was put");
    let mut numbers = head.split(' ').map(|number| number.parse::<u64>().expect("a number"));
    let mut next = || numbers.next().expect("four numbers");
    let (producer, number, transaction, size) = (next(), next(), next(), next());
    let rest = &body[colon + 1..];
    // Summed up, not looked at one by one: a million schedules have many bodies.
    let differences = rest.iter().fold(0, |all, byte| all | (byte ^ b'x'));
    assert!(rest.len() as u64 == size && differences == 0, "I4: altered");
    ((producer, number), transaction)
}

impl Ledger {
    /// An event that was acknowledged before.
    pub(super) fn queued(&mut self, producer: u64, number: u64, transaction: u64) {
        let index = self.begin_put(producer, transaction, number..number + 1);
        self.end_put(index, Fate::Acknowledged);
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn begin_put(
        &mut self,
        producer: u64,
        transaction: u64,
        numbers: Range<u64>,
    ) -> usize {
        let begun = self.tick();
        let ended = u64::MAX;
        self.puts.push(Put { producer, transaction, numbers, fate: Fate::Open, begun, ended });
        self.puts.len() - 1
    }

    pub(super) fn end_put(&mut self, index: usize, fate: Fate) {
        let now = self.tick();
        let put = &mut self.puts[index];
        put.fate = fate;
        put.ended = now;
    }

    /// An event came to a consumer.
    pub(super) fn delivered(&mut self, name: Name, transaction: u64) {
        let put = self.put_of(name);
        assert_eq!(put.transaction, transaction, "I4: another transaction's event");
        let is_right = matches!(put.fate, Fate::Open | Fate::Acknowledged);
        assert!(is_right, "{name:?} was delivered, and its commit is {:?}", put.fate);
        assert!(self.lent.insert(name), "I4: {name:?} is on loan twice");
        self.returned.remove(&name);
        let first = self.returned.range((name.0, 0)..name).next();
        assert!(first.is_none() || !self.is_ordered, "I3: {name:?} came before {first:?}");
        for take in self.takes.iter_mut().filter(|take| take.events.contains(&name)) {
            match take.fate {
                Fate::Open => take.again = true,
                Fate::Refused => {}
                fate => panic!("I5: {name:?} was delivered again, and its take is {fate:?}"),
            }
        }
    }

    fn put_of(&self, (producer, number): Name) -> &Put {
        self.puts
            .iter()
            .find(|put| put.producer == producer && put.numbers.contains(&number))
            .unwrap_or_else(|| panic!("I4: {producer}.{number} was never committed"))
    }

    /// Events go back by a rollback, which comes next.
    pub(super) fn give_back(&mut self, events: &[Name]) {
        for name in events {
            self.lent.remove(name);
            self.returned.insert(*name);
        }
    }

    pub(super) fn begin_take(&mut self, events: Vec<Name>) -> usize {
        for name in &events {
            self.lent.remove(name);
        }
        self.takes.push(Take { events, fate: Fate::Open, again: false });
        self.takes.len() - 1
    }

    pub(super) fn end_take(&mut self, index: usize, fate: Fate) {
        let take = &mut self.takes[index];
        take.fate = fate;
        if fate == Fate::Refused && !take.again {
            self.returned.extend(take.events.iter().copied());
        }
        assert!(fate == Fate::Refused || !take.again, "I5: {:?} came again", take.events);
    }

    /// Commits whose outcome nobody knows.
    pub(super) fn doubts(&self) -> usize {
        let puts = self.puts.iter().filter(|put| put.fate == Fate::InDoubt).count();
        puts + self.takes.iter().filter(|take| take.fate == Fate::InDoubt).count()
    }

    pub(super) fn acknowledged(&self) -> u64 {
        let puts = self.puts.iter().filter(|put| put.fate == Fate::Acknowledged).count();
        let takes = self.takes.iter().filter(|take| take.fate == Fate::Acknowledged).count();
        (puts + takes) as u64
    }

    /// Another number for another course of events.
    pub(super) fn fingerprint(&self) -> u64 {
        let fates = self.puts.iter().map(|put| (put.fate as u64, put.begun, put.ended));
        fates.fold(self.takes.len() as u64, |hash, (fate, begun, ended)| {
            let next = hash.rotate_left(7) ^ (fate << 40) ^ (begun << 20) ^ ended;
            next.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }

    /// Whether its take was acknowledged, and whether that may have been forgotten.
    fn taken(&self, name: Name) -> Option<bool> {
        let take = self.takes.iter().find(|take| {
            take.events.contains(&name) && matches!(take.fate, Fate::Acknowledged | Fate::InDoubt)
        })?;
        let is_certain = take.fate == Fate::Acknowledged && (!self.is_lazy || self.is_closed);
        Some(is_certain)
    }

    /// Holds what was found after a crash against all promises.
    pub(super) fn verify(&self, found: &[(Name, u64)]) -> Result<(), String> {
        let names: BTreeSet<Name> = found.iter().map(|(name, _)| *name).collect();
        if names.len() != found.len() {
            return Err("I4: an event is there twice".into());
        }
        for (name, transaction) in found {
            let put = self.put_of(*name);
            if put.fate == Fate::Refused || put.transaction != *transaction {
                return Err(format!("I4: {name:?} was never committed"));
            }
        }
        self.verify_puts(&names)?;
        for take in self.takes.iter().filter(|take| take.fate == Fate::InDoubt && !self.is_lazy) {
            let there = take.events.iter().filter(|name| names.contains(name)).count();
            if there != 0 && there != take.events.len() {
                return Err(format!("I2: {take:?} is there in part"));
            }
        }
        self.verify_order(found)
    }

    fn verify_puts(&self, names: &BTreeSet<Name>) -> Result<(), String> {
        for put in self.puts.iter().filter(|put| put.fate != Fate::Refused) {
            let mut there = 0;
            for number in put.numbers.clone() {
                let name = (put.producer, number);
                let is_there = names.contains(&name);
                let taken = self.taken(name);
                // A follower may hear of a later group's failure when its own group counts already: then its
                // events may have been taken.
                there += u64::from(is_there || taken.is_some());
                match taken {
                    Some(true) if is_there => return Err(format!("I5: {name:?} came back")),
                    None if !is_there && put.fate == Fate::Acknowledged => {
                        return Err(format!("I1: {name:?} is lost"));
                    }
                    _ => {}
                }
            }
            let whole = put.numbers.end - put.numbers.start;
            if put.fate == Fate::InDoubt && there != 0 && there != whole {
                return Err(format!("I2: {put:?} is there in part"));
            }
        }
        Ok(())
    }

    /// What one producer put is in its order, and so is what one put after the other's acknowledgement.
    fn verify_order(&self, found: &[(Name, u64)]) -> Result<(), String> {
        for (index, (later, _)) in found.iter().enumerate() {
            for (earlier, _) in &found[..index] {
                let [first, second] = [self.put_of(*earlier), self.put_of(*later)];
                let is_reversed = earlier.0 == later.0 && earlier.1 > later.1;
                if is_reversed || second.ended < first.begun {
                    return Err(format!("I3: {earlier:?} stands before {later:?}"));
                }
            }
        }
        Ok(())
    }
}
