//! The child: producers and consumers on one channel, each telling the parent what it does.
//!
//! | line | told | meaning |
//! |---|---|---|
//! | `?` | before opening | |
//! | `O` | after | the channel is open |
//! | `B p n count` | before the commit | producer `p` commits its events from `n` on |
//! | `P p` | after | acknowledged |
//! | `N p` | after | refused: the disk is full |
//! | `D c p:n p:n ...` | after the takes | consumer `c` has these, in the order of delivery over all consumers |
//! | `R c` | before the rollback | |
//! | `A c` | after the commit | acknowledged |
//! | `S cause` | after an error | the channel has stopped itself |
//! | `X cause` | after an error | a read, or the opening, failed |
//! | `Z` | after closing | |
//! | `! text` | | what may never be |

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::process::exit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use flumen::{
    Channel, CloseError, CommitError, FileChannel, PutError, PutTransaction, TakeError,
    TakeTransaction,
};

use super::event::{Random, event, known};
use super::{Goal, Plan, asked};

/// How long a child may live. One that still runs hangs.
const LIFETIME: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(20);

/// Tells the parent; one call of write.
fn say(mut line: String) {
    line.push('\n');
    if std::io::stderr().write_all(line.as_bytes()).is_err() {
        exit(0); // The parent has gone.
    }
}

/// Works as the parent asks; does nothing when nobody asks.
pub fn run() {
    let Some((directory, plan)) = asked() else { return };
    thread::spawn(|| {
        thread::park_timeout(LIFETIME);
        say("! hangs".into());
        exit(1);
    });
    say("?".into());
    let channel = match FileChannel::open(&directory, plan.options()) {
        Ok(channel) => channel,
        Err(error) => {
            say(format!("X {error}"));
            exit(0);
        }
    };
    say("O".into());
    let work = Work {
        channel,
        producing: AtomicUsize::new(plan.threads[0]),
        has_ended: AtomicBool::new(false),
        acknowledged: AtomicU64::new(0),
        delivery: Mutex::new(()),
        plan,
    };
    thread::scope(|scope| {
        for index in 0..work.plan.threads[0] {
            let work = &work;
            scope.spawn(move || {
                work.produce(index);
                work.producing.fetch_sub(1, Ordering::AcqRel);
            });
        }
        for index in 0..work.plan.threads[1] {
            let work = &work;
            scope.spawn(move || {
                work.consume(index);
                work.has_ended.store(true, Ordering::Release);
            });
        }
    });
    match work.channel.close() {
        Ok(()) => say("Z".into()),
        Err(error) => say(format!("S {error}")),
    }
    // Past the test harness: nothing else is to be written.
    exit(0);
}

struct Work {
    channel: FileChannel,
    plan: Plan,
    producing: AtomicUsize,
    /// A consumer has ended, so it met an error: producers that find no room would wait for ever.
    has_ended: AtomicBool,
    acknowledged: AtomicU64,
    /// Held while events are taken and reported, so that the reports come in the order of delivery.
    delivery: Mutex<()>,
}

impl Work {
    fn random(&self, thread: usize) -> Random {
        Random::new(self.plan.seed.wrapping_mul(64).wrapping_add(thread as u64))
    }

    fn acknowledge(&self, line: String) {
        say(line);
        let count = self.acknowledged.fetch_add(1, Ordering::AcqRel) + 1;
        if self.plan.goal == Goal::Vanish(count) {
            exit(0);
        }
    }

    fn produce(&self, index: usize) {
        let mut random = self.random(index);
        let mut next = self.plan.next[index];
        let mut left = match self.plan.goal {
            Goal::Finish(count) => count,
            Goal::Storm | Goal::Vanish(_) => u64::MAX,
        };
        while left > 0 && !self.has_ended.load(Ordering::Acquire) {
            let wanted = 1 + random.below(12);
            let mut put = self.channel.begin_put();
            let filled = match random.one_in(2) {
                true => put_all(&mut put, index, next..next + wanted),
                false => put_each(&mut put, index, next..next + wanted),
            };
            if let Err(line) = filled {
                return say(line);
            }
            let count = put.len() as u64;
            if count == 0 || random.one_in(16) {
                // Rolled back, nothing is told; the numbers are used by the next.
                continue;
            }
            say(format!("B {index} {next} {count}"));
            next += count;
            match put.commit() {
                Ok(()) => self.acknowledge(format!("P {index}")),
                Err(CommitError::NoSpace(_)) => say(format!("N {index}")),
                Err(CommitError::Stopped(stopped)) => return say(format!("S {stopped}")),
                Err(error) => return say(format!("! commit: {error}")),
            }
            left -= 1;
        }
    }

    fn consume(&self, index: usize) {
        let mut random = self.random(index + 16);
        loop {
            self.channel.wait(WAIT);
            let mut take = self.channel.begin_take();
            let end = self.take_some(index, 1 + random.below(20), &mut take).err();
            if take.is_empty() && end.is_none() {
                if matches!(self.plan.goal, Goal::Finish(_))
                    && self.producing.load(Ordering::Acquire) == 0
                    && self.channel.stats().events == 0
                {
                    return;
                }
                continue;
            }
            match end {
                None => {}
                Some(TakeError::Stopped(stopped)) => return say(format!("S {stopped}")),
                Some(TakeError::Storage(error)) => {
                    if !take.is_empty() {
                        self.roll_back(index, take);
                    }
                    return say(format!("X {error}"));
                }
                Some(error) => return say(format!("! take: {error}")),
            }
            if random.one_in(8) {
                self.roll_back(index, take);
                continue;
            }
            match take.commit() {
                Ok(()) => self.acknowledge(format!("A {index}")),
                Err(CommitError::Stopped(stopped)) => return say(format!("S {stopped}")),
                Err(error) => return say(format!("! take commit: {error}")),
            }
            let kept = match random.below(40) {
                0 => self.channel.checkpoint(),
                1 => self.channel.sync(),
                _ => Ok(()),
            };
            match kept {
                Ok(()) => {}
                Err(CloseError::Stopped(stopped)) => return say(format!("S {stopped}")),
                Err(error) => return say(format!("! checkpoint: {error}")),
            }
        }
    }

    /// No delivery comes between the word and the deed, so the parent knows what is to be delivered next.
    fn roll_back(&self, index: usize, take: TakeTransaction) {
        let _order = self.delivery.lock().expect("no consumer panics");
        say(format!("R {index}"));
        take.rollback();
    }

    /// Takes up to `wanted` events and says which.
    fn take_some(
        &self,
        index: usize,
        wanted: u64,
        take: &mut TakeTransaction,
    ) -> Result<(), TakeError> {
        let _order = self.delivery.lock().expect("no consumer panics");
        let mut line = format!("D {index}");
        let mut result = Ok(());
        // An odd number is taken at once.
        let part = if wanted % 2 == 1 { wanted as usize } else { 1 };
        while (take.len() as u64) < wanted {
            let events = match take.take_up_to(part.min(wanted as usize - take.len())) {
                Ok([]) => break,
                Ok(events) => events,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            for event in events {
                match known(event) {
                    Some((producer, number)) => {
                        write!(line, " {producer}:{number}").expect("memory");
                    }
                    None => say(format!("! altered: {event:?}")),
                }
            }
        }
        if !take.is_empty() {
            say(line);
        }
        result
    }
}

/// Puts these events together, or none for want of room. An error is what to say last.
fn put_all(put: &mut PutTransaction, producer: usize, numbers: Range<u64>) -> Result<(), String> {
    match put.put_all(numbers.map(|number| event(producer, number)).collect()) {
        Ok(()) | Err(PutError::Full(_) | PutError::TooMany(_)) => Ok(()),
        Err(PutError::Stopped(_, stopped)) => Err(format!("S {stopped}")),
        Err(error) => Err(format!("! put: {error}")),
    }
}

/// Puts of these events as many as there is room for.
fn put_each(put: &mut PutTransaction, producer: usize, numbers: Range<u64>) -> Result<(), String> {
    for number in numbers {
        let event = event(producer, number);
        match if put.is_empty() { put.put(event) } else { put.try_put(event) } {
            Ok(()) => {}
            Err(PutError::Full(_)) => break,
            Err(PutError::Stopped(_, stopped)) => return Err(format!("S {stopped}")),
            Err(error) => return Err(format!("! put: {error}")),
        }
    }
    Ok(())
}
