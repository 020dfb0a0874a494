//! Disks that lie while a channel runs, closes and opens: one read that delivers a flipped bit, an older or
//! another sector; one write that never reaches the disk, or reaches another place. Never is a wrong event
//! delivered.

use flumen::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};
use flumen::{
    Channel, CloseError, CommitError, Event, FileChannel, OpenError, PutError, TakeError,
};

use crate::Counts;
use crate::sample::{Held, Outcome, unread};
use crate::support::effort::{Effort, figure};
use crate::support::history::brief;

/// The damage was reported, or the channel stopped: nothing more can be said.
struct Detected;

/// A history on a disk that lies once.
struct Liar {
    disk: SimDisk,
    states: Vec<Held>,
    /// The state that a checkpoint, a close or an opening has last put on record: what comes later may be
    /// missing without a witness, when the lie concerns the end of the log.
    witnessed: usize,
    /// As it was when the lie was told.
    witnessed_at_lie: Option<usize>,
    next: u64,
}

impl Liar {
    fn new(fault: Fault, kinds: &[CallKind], turn: u64) -> Liar {
        let disk = SimDisk::new(21);
        disk.keep_versions();
        disk.set_plan(FaultPlan::new(fault).on(kinds).after(turn));
        let states = vec![Held { queue: Vec::new(), cursor: Vec::new() }];
        Liar { disk, states, witnessed: 0, witnessed_at_lie: None, next: 100 }
    }

    fn now(&self) -> &Held {
        self.states.last().expect("there is the first")
    }

    /// Runs an operation and notes whether the lie was told in it.
    fn step(
        &mut self,
        act: impl FnOnce(&mut Liar) -> Result<(), Detected>,
    ) -> Result<(), Detected> {
        let (witnessed, had) = (self.witnessed, self.disk.strikes().len());
        let outcome = act(self);
        if self.disk.strikes().len() > had {
            self.witnessed_at_lie = Some(witnessed);
        }
        outcome
    }

    /// Opens and takes everything, without a commit. What is found is a state of the history, and no older
    /// one than the lie excuses.
    fn open(&mut self) -> Result<FileChannel, Detected> {
        let channel = match FileChannel::open_on(self.disk.storage(), unread()) {
            Ok(channel) => channel,
            Err(OpenError::Corrupt(damage)) => {
                assert!(!damage.file.is_empty(), "damage without a place");
                return Err(Detected);
            }
            // What is copied is read again, and is no more what it was: nothing else fails here.
            Err(OpenError::Unsupported { .. } | OpenError::Storage(_)) => return Err(Detected),
            Err(error) => panic!("{error}"),
        };
        let found = self.take_all(&channel)?;
        let is_struck = !self.disk.strikes().is_empty();
        let oldest = match is_struck {
            true => self.witnessed_at_lie.unwrap_or(self.witnessed).min(self.witnessed),
            false => self.states.len() - 1,
        };
        let Some(index) = self.states[oldest..].iter().rposition(|state| *state == found) else {
            panic!("SILENT: found {:?}, held {:?}", brief(&found.queue), brief(&self.now().queue));
        };
        self.states.truncate(oldest + index + 1);
        self.witnessed = self.states.len() - 1;
        Ok(channel)
    }

    fn take_all(&self, channel: &FileChannel) -> Result<Held, Detected> {
        let cursor = channel.cursor("source").unwrap_or_default();
        let mut queue = Vec::new();
        let mut take = channel.begin_take();
        loop {
            match take.take() {
                Ok(Some(event)) => queue.push(String::from_utf8_lossy(&event.body).into_owned()),
                Ok(None) => return Ok(Held { queue, cursor }),
                Err(error) => {
                    let mut states = self.states.iter();
                    assert!(states.any(|state| state.queue.starts_with(&queue)), "altered events");
                    return Err(detected(error));
                }
            }
        }
    }

    fn put(&mut self, channel: &FileChannel, count: usize, size: usize) -> Result<(), Detected> {
        self.step(|liar| {
            let mut held = liar.now().clone();
            let mut put = channel.begin_put();
            for _ in 0..count {
                let body = format!("{}:{}", liar.next, "x".repeat(size));
                liar.next += 1;
                match put.put(Event::new(body.as_str())) {
                    Ok(()) => held.queue.push(body),
                    Err(PutError::Stopped(..)) => return Err(Detected),
                    Err(error) => panic!("{error}"),
                }
            }
            held.cursor = liar.next.to_string().into_bytes();
            put.set_cursor("source", &held.cursor).expect("fits");
            committed(put.commit())?;
            liar.states.push(held);
            Ok(())
        })
    }

    fn take(&mut self, channel: &FileChannel, skip: usize, count: usize) -> Result<(), Detected> {
        self.step(|liar| {
            let mut held = liar.now().clone();
            let mut skipped = channel.begin_take();
            let mut take = channel.begin_take();
            let end = (skip + count).min(held.queue.len());
            for index in 0..end {
                let from = if index < skip { &mut skipped } else { &mut take };
                let event = from.take().map_err(detected)?.expect("acknowledged, so it is there");
                assert_eq!(&*event.body, held.queue[index].as_bytes(), "a wrong event");
            }
            committed(take.commit())?;
            held.queue.drain(skip.min(end)..end);
            liar.states.push(held);
            Ok(())
        })
    }

    fn end(&mut self, outcome: Result<(), CloseError>) -> Result<(), Detected> {
        match outcome {
            Ok(()) => self.witnessed = self.states.len() - 1,
            Err(CloseError::Stopped(_)) => return Err(Detected),
            Err(error) => panic!("{error}"),
        }
        Ok(())
    }

    fn reopen(&mut self, channel: FileChannel, close: bool) -> Result<FileChannel, Detected> {
        if close {
            self.step(|liar| liar.end(channel.close()))?;
        }
        drop(channel);
        let mut opened = None;
        self.step(|liar| {
            opened = Some(liar.open()?);
            Ok(())
        })?;
        opened.ok_or(Detected)
    }

    fn history(&mut self) -> Result<(), Detected> {
        let mut opened = None;
        self.step(|liar| {
            opened = Some(liar.open()?);
            Ok(())
        })?;
        let channel = opened.ok_or(Detected)?;
        for _ in 0..3 {
            self.put(&channel, 2, 30)?;
        }
        self.take(&channel, 0, 2)?;
        self.take(&channel, 1, 2)?;
        let channel = self.reopen(channel, false)?;
        self.put(&channel, 1, 25 << 10)?;
        self.put(&channel, 1, 300)?;
        self.put(&channel, 1, 25 << 10)?;
        self.step(|liar| liar.end(channel.maintain()))?;
        self.put(&channel, 1, 25 << 10)?;
        let channel = self.reopen(channel, true)?;
        self.take(&channel, 0, 3)?;
        self.put(&channel, 2, 30)?;
        let channel = self.reopen(channel, false)?;
        self.take(&channel, 1, 1)?;
        self.put(&channel, 2, 30)?;
        self.put(&channel, 1, 700)
    }
}

fn detected(error: TakeError) -> Detected {
    match error {
        TakeError::Corrupt(damage) => assert!(!damage.file.is_empty(), "damage without a place"),
        TakeError::Stopped(_) => {}
        error => panic!("{error}"),
    }
    Detected
}

fn committed(outcome: Result<(), CommitError>) -> Result<(), Detected> {
    match outcome {
        Ok(()) => Ok(()),
        Err(CommitError::Stopped(_)) => Err(Detected),
        Err(error) => panic!("{error}"),
    }
}

/// Tells the lie at every call that it can be told at; then looks again with an honest disk and an empty
/// cache.
fn sweep(name: &str, kinds: &[CallKind], variants: u64, lie: impl Fn(u64, u64) -> Fault) {
    let mut counts = Counts::default();
    let (mut struck, mut effective) = (0, 0);
    for variant in 0..variants {
        for turn in (0..).step_by(Effort::get().pick(7, 1, 1)) {
            let fault = lie(turn, variant);
            let mut liar = Liar::new(fault, kinds, turn);
            let run = std::panic::AssertUnwindSafe(|| one(&mut liar));
            let Ok(outcome) = std::panic::catch_unwind(run) else {
                panic!("{name}: {fault:?} at {turn}, variant {variant}: see above");
            };
            let strikes = liar.disk.strikes();
            let Some(strike) = strikes.first() else { break };
            struck += 1;
            effective += u64::from(strike.has_effect);
            counts.add(outcome);
        }
    }
    let floor = Effort::get().pick(1, 30 * variants, 30 * variants);
    figure(&format!("lies.{name}.struck"), struck, floor);
    figure(&format!("lies.{name}.effective"), effective, 1);
    counts.report(&format!("lies.{name}"), floor);
}

fn one(liar: &mut Liar) -> Outcome {
    let was_detected = liar.history().is_err();
    let before = liar.states.len();
    liar.disk.clear_plans();
    liar.disk.drop_caches();
    let outcome = liar.open();
    match outcome {
        _ if was_detected => Outcome::Refused,
        Err(Detected) => Outcome::Refused,
        Ok(_) if liar.states.len() == before => Outcome::Same,
        Ok(_) => Outcome::Residual,
    }
}

const READS: [CallKind; 2] = [CallKind::Read, CallKind::Map];

#[test]
fn i6_a_read_that_flips_a_bit() {
    sweep("flipped", &READS, Effort::get().pick(8, 200, 20_000), |turn, variant| {
        Fault::FlipBit(turn * 7919 + variant * 104_729)
    });
}

#[test]
fn i6_a_read_that_delivers_an_older_sector() {
    sweep("stale", &READS, Effort::get().pick(12, 132, 1000), |_, variant| Fault::StaleRead {
        sector: variant,
        back: 1 + variant % 3,
    });
}

#[test]
fn i6_a_read_that_delivers_another_sector() {
    sweep("misdirected_read", &READS, Effort::get().pick(12, 132, 2000), |turn, variant| {
        Fault::MisdirectedRead { sector: variant, from: turn * 131 + variant * 17 }
    });
}

#[test]
fn i6_a_write_that_never_reaches_the_disk() {
    sweep("dropped", &[CallKind::Write], 1, |_, _| Fault::DroppedWrite);
}

#[test]
fn i6_a_write_that_reaches_another_place() {
    sweep(
        "misdirected_write",
        &[CallKind::Write],
        Effort::get().pick(5, 100, 4000),
        |turn, variant| Fault::MisdirectedWrite(turn * 31 + variant * 13),
    );
}
