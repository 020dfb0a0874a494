//! Histories: transactions, checkpoints, closes, with crashes, faults and full disks between and within them,
//! against a model. One thread, so at most one transaction is in doubt at a time.

use std::io::ErrorKind;
use std::time::Duration;

use flumen::storage::sim::{CallKind, Crash, FailedSync, Fault, FaultPlan, Hostile, SimDisk};
use flumen::{
    AckDurability, Channel, ChannelOptions, CloseError, CommitError, Durability, FileChannel,
    OpenError, PutError, ReadMode, TakeError, TakeTransaction,
};

use crate::bodies::{Id, event, id};
use crate::input::Input;
use crate::model::{Change, Held, Model, Outcome};

const STEPS_MAX: usize = 80;
const CALLS_MAX: u64 = 100_000;
/// From so many possible states on the channel is made to settle.
const DOUBTS_MAX: usize = 40;

/// The input: the disk's habits, then a byte or a few a step.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut history = History::new(&mut input);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        history.step(&mut input);
        assert!(history.disk.calls() < CALLS_MAX, "a hang");
    }
    history.heal();
    assert!(history.open_again(), "a sound disk's channel does not open");
    history.empty();
}

struct History {
    disk: SimDisk,
    channel: Option<FileChannel>,
    options: ChannelOptions,
    is_loose: bool,
    /// The disk has a limit.
    is_limited: bool,
    /// The disk has a limit, or had one since the opening.
    was_limited: bool,
    /// The faults that had struck at the opening.
    struck: usize,
    /// A write-back has failed that nobody had asked for: some sync will tell.
    is_ill: bool,
    model: Model,
    next: Id,
}

impl History {
    fn new(input: &mut Input<'_>) -> History {
        let habits = input.byte();
        let disk = SimDisk::new(u64::from(habits));
        disk.set_friendly(habits & 1 == 0);
        disk.set_chance(habits & 8 == 8);
        if habits & 6 == 6 {
            disk.write_back_between_calls(u64::from(habits), 20);
        }
        History {
            disk,
            channel: None,
            options: ChannelOptions::new(),
            is_loose: false,
            is_limited: false,
            was_limited: false,
            struck: 0,
            is_ill: false,
            model: Model::new(),
            next: 0,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let operation = input.byte();
        if self.channel.is_none() {
            if operation >= 192 {
                self.fault(input);
            }
            let options = self.choose(operation, input);
            return self.reopen(options);
        }
        match operation % 16 {
            0..=3 => self.put(input),
            4..=6 => self.take(input),
            7 => self.checkpoint(operation),
            8 => self.maintain(),
            9 => self.close(),
            10 => self.channel = None,
            11 => self.crash(input),
            12 | 13 => self.fault(input),
            14 => self.habit(input),
            _ => self.capacity(input),
        }
    }

    /// Options for the next opening.
    fn choose(&mut self, choice: u8, input: &mut Input<'_>) -> ChannelOptions {
        self.is_loose = choice & 7 == 7;
        self.model.is_lazy = choice >> 3 & 3 == 3;
        let more = input.byte();
        let mut options = ChannelOptions::new()
            .segment_size(if more & 1 == 0 { 64 << 10 } else { 96 << 10 })
            .memory_tail(if more & 2 == 0 { 0 } else { 4 << 20 })
            .read_mode(if more & 4 == 0 { ReadMode::Pread } else { ReadMode::Map });
        if more & 24 == 24 {
            options = options.capacity_events(6);
        }
        if self.is_loose {
            options = options.durability(Durability::Os);
        }
        if self.model.is_lazy {
            options = options.ack_durability(AckDurability::Lazy(Duration::from_secs(3600)));
        }
        options
    }

    fn open_again(&mut self) -> bool {
        if self.is_ill {
            self.channel = None;
            self.disk = self.disk.crash(&Crash::KeepAll);
        }
        (self.is_loose, self.model.is_lazy) = (false, false);
        self.reopen(ChannelOptions::new());
        self.channel.is_some()
    }

    fn reopen(&mut self, options: ChannelOptions) {
        self.channel = None;
        if self.disk.is_off() {
            self.disk = self.disk.crash(&Crash::Random(self.disk.calls()));
        }
        self.options = options.transaction_events(64).put_wait(Duration::ZERO).background(false);
        self.struck = self.disk.strikes().len();
        let opened = FileChannel::open_on(self.disk.storage(), self.options.clone());
        let channel = match opened {
            Ok(channel) => channel,
            Err(OpenError::Storage(error)) => {
                let is_full = self.is_limited && error.kind() == ErrorKind::StorageFull;
                assert!(is_full || self.has_struck(), "a sound disk: {error}");
                return;
            }
            Err(error) => panic!("an opening after a crash: {error}"),
        };
        self.channel = Some(channel);
        self.was_limited = self.is_limited;
        match self.look() {
            Some(found) => self.model.found(found),
            // A read failed on order: the next opening tells.
            None => self.channel = None,
        }
    }

    fn has_struck(&self) -> bool {
        self.is_ill || self.disk.strikes().len() > self.struck
    }

    fn channel(&self) -> &FileChannel {
        self.channel.as_ref().expect("looked at before")
    }

    /// All events and the cursor; nothing is taken.
    fn look(&self) -> Option<Held> {
        let channel = self.channel();
        let mut queue = Vec::new();
        let mut lent: Vec<TakeTransaction> = Vec::new();
        loop {
            let mut take = channel.begin_take();
            while take.len() < 64 {
                match take.take() {
                    Ok(Some(event)) => queue.push(id(&event).expect("I4: altered, or never put")),
                    Ok(None) => {
                        assert_eq!(channel.stats().events, queue.len() as u64, "the count");
                        return Some(Held { queue, cursor: channel.cursor("c") });
                    }
                    Err(error) => {
                        self.may_fail(&error);
                        return None;
                    }
                }
            }
            lent.push(take);
        }
    }

    fn may_fail(&self, error: &TakeError) {
        let is_right = matches!(error, TakeError::Storage(_) | TakeError::Stopped(_));
        assert!(is_right && self.has_struck(), "a sound disk: {error}");
    }

    fn put(&mut self, input: &mut Input<'_>) {
        let (count, flags) = (1 + input.below(4), input.byte());
        let mut put = self.channel().begin_put();
        let mut ids = Vec::new();
        let size = usize::from(flags >> 1 & 7);
        // Those of one size are put together.
        let part = if size == 6 { count } else { 1 };
        for _ in 0..count / part {
            let together = self.next..self.next + part as Id;
            match put.put_all(together.clone().map(|id| event(id, size)).collect()) {
                Ok(()) => ids.extend(together.clone()),
                Err(PutError::Full(_)) => break,
                Err(PutError::Stopped(..)) if self.has_struck() => break,
                Err(error) => panic!("{error}"),
            }
            self.next = together.end;
        }
        let cursor = (flags & 48 == 48).then(|| self.next.to_string().into_bytes());
        if let Some(value) = &cursor {
            put.set_cursor("c", value).expect("it fits");
        }
        if flags & 1 == 1 {
            return put.rollback();
        }
        let change = Change { put: ids, taken: Vec::new(), cursor };
        let outcome = put.commit();
        let kind = if self.is_loose { Outcome::Loose } else { Outcome::Durable };
        self.ended(outcome, &change, kind);
    }

    /// The first few are given back, so that the others are taken out of order.
    fn take(&mut self, input: &mut Input<'_>) {
        let (skip, count, flags) = (input.below(3), 1 + input.below(6), input.byte());
        let mut skipped = self.channel().begin_take();
        let mut take = self.channel().begin_take();
        let mut taken = Vec::new();
        for index in 0..skip + count {
            let from = if index < skip { &mut skipped } else { &mut take };
            match from.take() {
                Ok(Some(event)) => {
                    let id = id(&event).expect("I4: altered, or never put");
                    assert_eq!(Some(&id), self.model.now.queue.get(index), "I3");
                    if index >= skip {
                        taken.push(id);
                    }
                }
                Ok(None) => {
                    assert_eq!(self.model.now.queue.len(), index, "I4: events are withheld");
                    break;
                }
                Err(error) => {
                    self.may_fail(&error);
                    break;
                }
            }
        }
        if flags & 3 == 3 {
            return;
        }
        let cursor = (flags & 48 == 48).then(|| format!("t{}", self.next).into_bytes());
        if let Some(value) = &cursor {
            take.set_cursor("c", value).expect("it fits");
        }
        let change = Change { put: Vec::new(), taken, cursor };
        let outcome = take.commit();
        let kind = if self.model.is_lazy { Outcome::Loose } else { Outcome::Durable };
        self.ended(outcome, &change, kind);
    }

    fn ended(&mut self, outcome: Result<(), CommitError>, change: &Change, kind: Outcome) {
        match outcome {
            Ok(()) => {
                // Nothing to write is nothing to sync.
                let kind = if change.is_empty() { Outcome::Loose } else { kind };
                self.model.apply(change, kind);
                if self.model.doubts() > DOUBTS_MAX {
                    self.set_capacity(None);
                    self.maintain();
                }
            }
            Err(CommitError::NoSpace(events)) => {
                assert!(self.was_limited || self.has_struck(), "a disk without a limit is full");
                assert_eq!(events.len(), change.put.len(), "the events are handed back");
            }
            Err(CommitError::Stopped(_)) => {
                assert!(self.has_struck(), "a sound disk");
                self.model.apply(change, Outcome::InDoubt);
                self.channel = None;
            }
            Err(error) => panic!("nobody has closed it: {error}"),
        }
    }

    fn checkpoint(&mut self, operation: u8) {
        let is_sync = operation & 16 != 0;
        let outcome = match is_sync {
            false => self.channel().checkpoint(),
            true => self.channel().sync(),
        };
        // After a checkpoint lazy acks may still wait in memory.
        let is_settled = outcome.is_ok() && (is_sync || !self.model.is_lazy);
        self.finished(outcome, is_settled);
    }

    fn maintain(&mut self) {
        let outcome = self.channel().maintain();
        // A full disk may refuse lazy acks, which go on waiting.
        let is_settled = outcome.is_ok() && !(self.model.is_lazy && self.is_limited);
        self.finished(outcome, is_settled);
    }

    fn close(&mut self) {
        let outcome = self.channel().close();
        let is_settled = outcome.is_ok();
        self.finished(outcome, is_settled);
        self.channel = None;
    }

    fn finished(&mut self, outcome: Result<(), CloseError>, is_settled: bool) {
        match outcome {
            Ok(()) => {}
            Err(CloseError::NoSpace { .. }) => {
                assert!(self.model.is_lazy && self.is_limited, "no room")
            }
            Err(CloseError::Stopped(_)) => {
                assert!(self.has_struck(), "a sound disk");
                self.channel = None;
            }
            Err(error) => panic!("nobody has closed it: {error}"),
        }
        if is_settled {
            self.model.settle();
        }
    }

    fn crash(&mut self, input: &mut Input<'_>) {
        self.channel = None;
        let (kind, seed) = (input.byte(), input.number() as u64);
        self.disk = match kind % 8 {
            0 => self.disk.crash(&Crash::LoseAll),
            1 => self.disk.crash(&Crash::KeepAll),
            2 => self.disk.crash(&Crash::Bits(seed)),
            3 => self.disk.crash(&Crash::Torn(seed)),
            4 | 5 => self.disk.crash(&Crash::Random(seed)),
            6 => self.disk.crash(&Crash::Hostile(seed, Hostile::USUAL)),
            _ => self.disk.snapshot(),
        };
        self.set_capacity(None);
        // A new machine has forgotten what the old one failed to write.
        self.is_ill &= kind % 8 == 7;
        for (bit, name) in [(64, "checkpoint-a"), (128, "checkpoint-b")] {
            // One slot, not both: with both goes the witness of the last segment.
            if kind & 192 == bit {
                self.disk.remove_file(name);
            }
        }
        self.struck = self.disk.strikes().len();
    }

    fn fault(&mut self, input: &mut Input<'_>) {
        let (kind, skip, flags) = (input.byte(), input.byte(), input.byte());
        let fault = match kind % 12 {
            0 | 1 => Fault::PowerLoss,
            2 => Fault::Error(ErrorKind::Other),
            3 => Fault::Error(ErrorKind::StorageFull),
            4 => Fault::Error(ErrorKind::Interrupted),
            5 => Fault::ErrorAfter(ErrorKind::Other),
            6 => Fault::Short(1 + usize::from(flags >> 4) * 40),
            7 | 8 => Fault::FailedSync(FailedSync::Lost),
            9 => Fault::FailedSync(FailedSync::Reverted),
            10 => Fault::FailedSync(FailedSync::NoSpace),
            _ => Fault::ErrorAfter(ErrorKind::StorageFull),
        };
        let mut plan = FaultPlan::new(fault).after(u64::from(skip) % 40);
        plan = match flags & 7 {
            0 => plan.on(&[CallKind::Write]),
            1 => plan.on(&[CallKind::SyncData, CallKind::SyncAll]),
            2 => plan.on(&[CallKind::Read, CallKind::Map]),
            3 => plan.on(&[CallKind::Allocate, CallKind::Create, CallKind::SetSize]),
            4 => plan.on(&[CallKind::Rename, CallKind::Remove, CallKind::SyncDirectory]),
            _ => plan,
        };
        if flags & 8 == 8 && fault != Fault::Error(ErrorKind::Interrupted) {
            plan = plan.times(3);
        }
        self.disk.add_plan(plan);
    }

    fn habit(&mut self, input: &mut Input<'_>) {
        match input.below(4) {
            0 => self.disk.write_back(input.number() as u64),
            1 => self.disk.write_back_between_calls(input.number() as u64, 30),
            2 => self.heal(),
            _ => {
                let names = self.disk.file_names();
                if let Some(name) = input.pick(&names) {
                    self.is_ill |= self.disk.fail_write_back(name);
                }
            }
        }
    }

    fn capacity(&mut self, input: &mut Input<'_>) {
        let room = input.byte();
        if room >= 200 {
            return self.heal();
        }
        // Something between nothing left and room for a few segments.
        let used: u64 = self.disk.file_names().iter().map(|name| self.size(name)).sum();
        self.set_capacity(Some(used + u64::from(room) * 4096));
    }

    fn set_capacity(&mut self, bytes: Option<u64>) {
        self.disk.set_capacity(bytes);
        self.is_limited = bytes.is_some();
        self.was_limited |= self.is_limited;
    }

    fn size(&self, name: &str) -> u64 {
        self.disk.read_file(name).map_or(0, |bytes| bytes.len() as u64)
    }

    /// No more faults, and room.
    fn heal(&mut self) {
        self.disk.clear_plans();
        self.set_capacity(None);
    }

    /// Everything is there, in order, and once taken it is gone.
    fn empty(&mut self) {
        let held = self.look().expect("nothing fails any more");
        assert_eq!(held, self.model.now);
        for turn in 0..2 {
            let channel = self.channel();
            let mut take = channel.begin_take();
            while take.len() < 64 && take.take().expect("a sound disk").is_some() {}
            assert!(turn == 0 || take.is_empty() || held.queue.len() > 64, "I5");
            take.commit().expect("a sound disk");
        }
        self.channel().close().expect("a sound disk");
    }
}
