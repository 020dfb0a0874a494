//! The ledger: what was told over all lives of a channel, held against what was promised.
//!
//! - An acknowledged put is delivered in the end, and never after a take of it was acknowledged.
//! - A transaction that was in doubt when the child died counts as a whole or not at all.
//! - What a producer put comes in its order: among what a life sees for the first time, and over all lives.
//! - Nothing is invented (the child itself looks at every byte).
//! - A lazy ack may be lost with its child, as a whole, until the commit of a put that began later returns.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{PRODUCERS, Process};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    /// Its commit has begun.
    InDoubt,
    /// Acknowledged, or seen.
    There,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queued,
    /// With a consumer of this life.
    Lent(usize),
    /// By a lazy commit that a death may undo.
    Taken(usize),
    /// Of a take in doubt: all of it comes back, or nothing.
    Doubt(usize),
    /// By an acknowledged take.
    Gone,
}

#[derive(Debug)]
struct Known {
    put: usize,
    place: Place,
    /// The last life that saw it; 0 for none.
    seen: u64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub lives: u64,
    /// Acknowledged commits.
    pub puts: u64,
    pub takes: u64,
    /// Events of acknowledged puts, and of acknowledged takes.
    pub events_acknowledged: u64,
    pub events_taken: u64,
    /// Transactions whose commits were in doubt when the child died.
    pub in_doubt: u64,
    /// Takes in doubt whose events came back.
    pub came_back: u64,
    /// Puts that were in doubt and were there.
    pub were_there: u64,
}

/// What a line said, as far as a test wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Opening,
    Open,
    Acknowledged,
    Refused,
    Stopped(String),
    Failed(String),
    Closed,
    Other,
}

#[derive(Default)]
pub struct Ledger {
    pub counts: Counts,
    events: [Vec<Known>; PRODUCERS],
    /// Whose, first, how many, what became of it, and how many lines had been read when it began.
    puts: Vec<(usize, u64, u64, Put, u64)>,
    takes: Vec<Vec<(usize, u64)>>,
    /// Puts of earlier lives.
    old_puts: usize,
    /// The transaction each producer, and each consumer, has open.
    putting: HashMap<usize, usize>,
    taking: HashMap<usize, usize>,
    /// Lazy takes that a death may undo, with the line that told of them.
    lazy: Vec<(u64, usize)>,
    is_lazy: bool,
    lines: u64,
    /// The power was cut: what is told from now on, nobody would have heard.
    is_cut: bool,
    /// The last event that this life, and any life, saw for the first time.
    last_of_life: [Option<u64>; PRODUCERS],
    last_of_all: [Option<u64>; PRODUCERS],
    /// Given back in this life, and not delivered again.
    returned: [BTreeSet<u64>; PRODUCERS],
    /// The last lines that were read, for those who look for the cause of a failure.
    recent: VecDeque<String>,
}

const RECENT_MAX: usize = 30;
/// Before what only the child knows: it has more to say, as the rest of a panic.
const CHILD_SAYS: &str = "the child says: ";

impl Ledger {
    /// The next child starts. What the last one left open is in doubt.
    pub fn begin_life(&mut self, is_lazy: bool) {
        self.counts.lives += 1;
        self.is_lazy = is_lazy;
        self.is_cut = false;
        self.last_of_life = [None; PRODUCERS];
        self.returned = Default::default();
        self.counts.in_doubt += (self.putting.len() + self.taking.len()) as u64;
        self.putting.clear();
        self.old_puts = self.puts.len();
        let lazy = self.lazy.drain(..).map(|(_, take)| take);
        let open: Vec<usize> = self.taking.drain().map(|(_, take)| take).chain(lazy).collect();
        for take in open {
            self.place(take, Place::Doubt(take));
        }
    }

    /// The power is being cut. What the child says from now on has left no real machine: commits that it calls
    /// acknowledged are in doubt.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    /// The number of each producer's next event. None is used twice.
    pub fn next(&self) -> [u64; PRODUCERS] {
        [0, 1, 2, 3].map(|producer| self.events[producer].len() as u64)
    }

    /// Events that are certainly in the channel now, or with a consumer.
    pub fn waiting(&self) -> u64 {
        let is_waiting = |known: &&Known| {
            self.puts[known.put].3 == Put::There
                && matches!(known.place, Place::Queued | Place::Lent(_))
        };
        self.events.iter().flatten().filter(is_waiting).count() as u64
    }

    fn place(&mut self, take: usize, place: Place) {
        for (producer, number) in &self.takes[take] {
            self.events[*producer][*number as usize].place = place;
        }
    }

    /// Takes in a line of `process`, as [`Self::read`] does. An error says what was said before, and what else
    /// the child had to say.
    pub fn hear(&mut self, line: &str, process: &mut Process) -> Result<Told, String> {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(line.to_string());
        self.read(line).map_err(|why| {
            if !why.starts_with(CHILD_SAYS) {
                process.kill();
            }
            let is_text = |line: &String| !line.starts_with(['B', 'P', 'D', 'A', 'R']);
            let rest: Vec<String> = std::iter::from_fn(|| process.line()).filter(is_text).collect();
            let recent: Vec<&str> = self.recent.iter().map(String::as_str).collect();
            format!("{why}\nbefore that:\n{}\nand then:\n{}", recent.join("\n"), rest.join("\n"))
        })
    }

    /// Takes in a line. An error is a broken promise.
    fn read(&mut self, line: &str) -> Result<Told, String> {
        self.lines += 1;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut numbers = rest.split(' ').map(|word| word.parse::<u64>());
        let mut number = || match numbers.next() {
            Some(Ok(number)) => Ok(number),
            _ => Err(format!("not understood: {line}")),
        };
        Ok(match word {
            "?" => Told::Opening,
            "O" => Told::Open,
            "B" => {
                self.begin_put(number()? as usize, number()?, number()?)?;
                Told::Other
            }
            "P" | "N" => self.end_put(number()? as usize, word == "P")?,
            "D" => {
                self.deliver(rest)?;
                Told::Other
            }
            "R" => {
                let take = self.open_take(number()?)?;
                self.place(take, Place::Queued);
                for (producer, number) in &self.takes[take] {
                    self.returned[*producer].insert(*number);
                }
                Told::Other
            }
            "A" => {
                let take = self.open_take(number()?)?;
                self.counts.takes += 1;
                self.counts.events_taken += self.takes[take].len() as u64;
                if self.is_lazy || self.is_cut {
                    self.place(take, Place::Taken(take));
                    self.lazy.push((self.lines, take));
                } else {
                    self.place(take, Place::Gone);
                }
                Told::Acknowledged
            }
            "S" => Told::Stopped(rest.to_string()),
            "X" => Told::Failed(rest.to_string()),
            "Z" => Told::Closed,
            _ => return Err(format!("{CHILD_SAYS}{line}")),
        })
    }

    fn open_take(&mut self, consumer: u64) -> Result<usize, String> {
        self.taking.remove(&(consumer as usize)).ok_or_else(|| format!("{consumer} has no take"))
    }

    fn begin_put(&mut self, producer: usize, first: u64, count: u64) -> Result<(), String> {
        let put = self.puts.len();
        let events = &mut self.events[producer];
        if events.len() as u64 != first || self.putting.insert(producer, put).is_some() {
            return Err(format!("producer {producer} does not go on where it was: {first}"));
        }
        events.extend((0..count).map(|_| Known { put, place: Place::Queued, seen: 0 }));
        self.puts.push((producer, first, count, Put::InDoubt, self.lines));
        Ok(())
    }

    fn end_put(&mut self, producer: usize, is_good: bool) -> Result<Told, String> {
        let put = self.putting.remove(&producer).ok_or("a commit that did not begin")?;
        let (_, first, count, state, began) = &mut self.puts[put];
        if !is_good {
            if *state == Put::There {
                return Err(format!("{producer}:{first} was delivered, and then refused"));
            }
            *state = Put::Refused;
            return Ok(Told::Refused);
        }
        if self.is_cut {
            return Ok(Told::Other);
        }
        *state = Put::There;
        self.counts.puts += 1;
        self.counts.events_acknowledged += *count;
        // Lazy acks that were told before it began are in the log before it.
        let began = *began;
        let firm = self.lazy.partition_point(|(line, _)| *line < began);
        let firm: Vec<usize> = self.lazy.drain(..firm).map(|(_, take)| take).collect();
        firm.into_iter().for_each(|take| self.place(take, Place::Gone));
        Ok(Told::Acknowledged)
    }

    fn deliver(&mut self, rest: &str) -> Result<(), String> {
        let (consumer, names) = rest.split_once(' ').ok_or("a delivery of nothing")?;
        let take = self.takes.len();
        self.takes.push(Vec::new());
        let consumer = consumer.parse().map_err(|_| "a consumer has a number")?;
        for name in names.split(' ') {
            let (producer, number) = name.split_once(':').ok_or("an event has two numbers")?;
            let producer: usize = producer.parse().map_err(|_| "a producer has a number")?;
            let number: u64 = number.parse().map_err(|_| "an event has a number")?;
            self.deliver_one(producer, number, take).map_err(|why| format!("{name} {why}"))?;
            self.takes[take].push((producer, number));
        }
        match self.taking.insert(consumer, take) {
            None => Ok(()),
            Some(_) => Err(format!("consumer {consumer} has two takes open")),
        }
    }

    fn deliver_one(&mut self, producer: usize, number: u64, take: usize) -> Result<(), String> {
        let events = self.events.get_mut(producer).ok_or("is of nobody")?;
        let known = events.get_mut(number as usize).ok_or("was never put")?;
        match known.place {
            Place::Queued | Place::Doubt(_) => {}
            Place::Lent(_) => return Err("was given to two consumers".into()),
            Place::Taken(_) => return Err("was taken in this life already".into()),
            Place::Gone => return Err("was delivered after a take of it was acknowledged".into()),
        }
        if self.returned[producer].first().is_some_and(|first| *first < number) {
            return Err(format!("came before {:?}, given back", self.returned[producer]));
        }
        self.returned[producer].remove(&number);
        let (was, first_of_life) = (known.place, known.seen != self.counts.lives);
        if first_of_life {
            let last = self.last_of_life[producer].replace(number);
            if last.is_some_and(|last| last > number) {
                return Err(format!("came after {last:?} of the same producer"));
            }
        }
        if known.seen == 0 {
            let last = self.last_of_all[producer].replace(number);
            if last.is_some_and(|last| last > number) {
                return Err(format!("came for the first time after {last:?} in an earlier life"));
            }
        }
        known.seen = self.counts.lives;
        known.place = Place::Lent(take);
        let put = &mut self.puts[known.put].3;
        match put {
            Put::Refused => return Err("had been refused".into()),
            Put::InDoubt if self.is_cut => {}
            Put::InDoubt => {
                *put = Put::There;
                self.counts.were_there += u64::from(known.put < self.old_puts);
            }
            Put::There => {}
        }
        if let Place::Doubt(of) = was {
            self.counts.came_back += 1;
            for (producer, number) in self.takes[of].clone() {
                let other = &mut self.events[producer][number as usize];
                if other.place == Place::Doubt(of) {
                    other.place = Place::Queued;
                }
            }
        }
        Ok(())
    }

    /// The last child has emptied the channel and closed it: whatever was promised has come.
    pub fn finish(&self) -> Result<(), String> {
        for (producer, events) in self.events.iter().enumerate() {
            for (number, known) in events.iter().enumerate() {
                let is_there = self.puts[known.put].3 == Put::There;
                if is_there && matches!(known.place, Place::Queued | Place::Lent(_)) {
                    let (_, first, count, ..) = self.puts[known.put];
                    return Err(format!(
                        "{producer}:{number} is lost (of {count} from {first} on): {known:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}
