//! Backlogs, as the child processes work on them: built, rotated until a kill, opened, drained, read.
//!
//! The body of an event begins with its sequence, so that order and loss show.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flumen::{Bytes, Channel, Durability, Event, FileChannel, tools};

use super::error::BenchError;
use super::form::{BODY, Form};
use super::queue::{lazy, take};
use super::work::Outcome;
use crate::random::Random;

const BATCH: u64 = 1000;
/// How often the events go round before a channel is killed.
const TURNS: usize = 16;
/// Blocks of a sequential read.
const BLOCK: usize = 256 << 10;

/// Events that so many bytes of backlog have.
pub(crate) fn events(bytes: u64) -> u64 {
    (bytes / BODY as u64).max(1)
}

/// Bodies with their sequences in front, all in one buffer.
struct Bodies {
    buffer: Vec<u8>,
    pattern: Vec<u8>,
}

impl Bodies {
    fn new() -> Bodies {
        Bodies { buffer: Vec::new(), pattern: Random::new(3).bytes(BODY - 8) }
    }

    /// The events of these sequences.
    fn make(&mut self, sequences: std::ops::Range<u64>) -> impl Iterator<Item = Event> {
        for sequence in sequences.clone() {
            self.buffer.extend(sequence.to_le_bytes());
            self.buffer.extend(&self.pattern);
        }
        let all = Bytes::from(std::mem::take(&mut self.buffer));
        let bodies = 0..sequences.end - sequences.start;
        bodies.map(move |index| {
            let begin = index as usize * BODY;
            Event::new(all.slice(begin..begin + BODY))
        })
    }

    fn check(&self, sequence: u64, event: &Event) -> Result<(), BenchError> {
        if event.body[..8] == sequence.to_le_bytes() && event.body[8..] == self.pattern {
            return Ok(());
        }
        Err(BenchError::Failed(format!("the event of sequence {sequence} is not what was put")))
    }
}

fn put(channel: &FileChannel, bodies: &mut Bodies, events: u64) -> Result<(), BenchError> {
    let next = channel.stats().next_sequence;
    let mut put = channel.begin_put();
    put.put_all(bodies.make(next..next + events).collect())?;
    Ok(put.commit()?)
}

/// Makes a channel with so many bytes of bodies in it.
pub(crate) fn build(directory: &Path, form: Form, bytes: u64) -> Result<Outcome, BenchError> {
    let channel = FileChannel::open(directory, form.options().durability(Durability::Os))?;
    let mut bodies = Bodies::new();
    let (mut left, begin) = (events(bytes), Instant::now());
    while left > 0 {
        let batch = left.min(BATCH);
        put(&channel, &mut bodies, batch)?;
        left -= batch;
    }
    channel.sync()?;
    let seconds = begin.elapsed().as_secs_f64();
    channel.close()?;
    Ok(Outcome::new(Vec::new(), BATCH * BODY as u64).value("seconds", seconds))
}

/// Puts events and takes as many, durably, again and again, until it is killed; says `ready` when that has
/// gone on for a while. It is the same work whatever is queued, so openings after it differ by that only.
pub(crate) fn rotate(directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    let channel = FileChannel::open(directory, form.options())?;
    let mut bodies = Bodies::new();
    for turn in 0.. {
        put(&channel, &mut bodies, BATCH)?;
        take(&channel, BATCH as usize)?;
        if turn == TURNS {
            writeln!(io::stdout(), "ready")?;
        }
    }
    unreachable!("it is killed, or ends with an error")
}

/// Opens the channel and takes its first event; gives how long that took.
pub(crate) fn open(directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    let bodies = Bodies::new();
    let begin = Instant::now();
    let channel = FileChannel::open(directory, form.options())?;
    let opened = begin.elapsed();
    let mut take = channel.begin_take();
    let event = take.take()?;
    let taken = begin.elapsed();
    let first = event.ok_or_else(|| BenchError::Failed("the backlog is gone".into()))?;
    bodies.check(channel.stats().oldest_sequence, &first)?;
    take.rollback();
    let events = channel.stats().events;
    channel.close()?;
    Ok(Outcome::new(Vec::new(), BODY as u64)
        .value("open", opened.as_secs_f64())
        .value("first", taken.as_secs_f64())
        .value("events", events as f64))
}

/// S7: drains all there is, in as many parts as there are rounds. Before each part the same bytes are read
/// in sequence. With `cold`, neither finds them in the page cache. Gives bytes of bodies a second.
pub(crate) fn drain(directory: &Path, form: Form, cold: bool) -> Result<Outcome, BenchError> {
    let channel = FileChannel::open(directory, form.options().ack_durability(lazy()))?;
    let bodies = Bodies::new();
    let rounds = form.rounds() as u64;
    let stats = channel.stats();
    let mut sequence = stats.oldest_sequence;
    let (mut drained, mut read) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let end = stats.oldest_sequence + stats.events * (round + 1) / rounds;
        if cold {
            forget(directory)?;
        }
        let bytes = (end - sequence) * BODY as u64;
        let (seconds, length) = read_live(directory, bytes)?;
        read.push(length as f64 / seconds);
        if cold {
            forget(directory)?;
        }
        let begin = Instant::now();
        while sequence < end {
            let mut take = channel.begin_take();
            let events = take.take_up_to((end - sequence).min(BATCH) as usize)?;
            if events.is_empty() {
                return Err(BenchError::Failed(format!("event {sequence} is not there")));
            }
            for event in events {
                bodies.check(sequence, event)?;
                sequence += 1;
            }
            take.commit()?;
        }
        drained.push(bytes as f64 / begin.elapsed().as_secs_f64());
    }
    if channel.begin_take().take()?.is_some() {
        return Err(BenchError::Failed("more events came out than went in".into()));
    }
    channel.close()?;
    Ok(Outcome::new(Vec::new(), BATCH * BODY as u64 + BLOCK as u64)
        .values("drained", drained)
        .values("read", read))
}

/// The segment files, oldest first.
fn segments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let files: io::Result<Vec<PathBuf>> =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect();
    let mut files = files?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "seg"));
    files.sort();
    Ok(files)
}

/// Whether the page cache can be told to forget a file.
pub(crate) const CAN_FORGET: bool = cfg!(target_os = "linux");

/// Lets the page cache forget the channel's files.
fn forget(directory: &Path) -> io::Result<()> {
    for segment in segments(directory)? {
        let file = File::open(segment)?;
        file.sync_data()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// Reads so many bytes of the oldest segments, in blocks, each with its offset in its segment; gives how many
/// there were.
fn read_blocks(
    directory: &Path,
    bytes: u64,
    mut act: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<u64> {
    // Not where the allocator begins: some processors copy at a sixth of their speed to an address that is
    // less than 32 bytes ahead of the source's, modulo 4096, and what is copied here begins with a page.
    let mut memory = vec![0; 64 + BLOCK];
    let block = &mut memory[64..];
    let mut read = 0;
    for segment in segments(directory)? {
        let file = File::open(segment)?;
        let mut offset = 0;
        while read < bytes {
            let length = file.read_at(block, offset)?;
            if length == 0 {
                break;
            }
            act(&block[..length], offset)?;
            offset += length as u64;
            read += length as u64;
        }
    }
    Ok(read)
}

/// Reads so many bytes of the oldest segments; gives the seconds, and the bytes that were there.
fn read_live(directory: &Path, bytes: u64) -> io::Result<(f64, u64)> {
    let begin = Instant::now();
    let read = read_blocks(directory, bytes, |_, _| Ok(()))?;
    Ok((begin.elapsed().as_secs_f64(), read))
}

/// Copies all segments, and syncs the copies when all are written.
pub(crate) fn copy(directory: &Path, to: &Path) -> Result<Outcome, BenchError> {
    std::fs::create_dir(to)?;
    let begin = Instant::now();
    let mut copies: Vec<File> = Vec::new();
    let bytes = read_blocks(directory, u64::MAX, |block, offset| {
        if offset == 0 {
            copies.push(File::create_new(to.join(copies.len().to_string()))?);
        }
        copies.last().expect("begun with its first block").write_all_at(block, offset)
    })?;
    copies.iter().try_for_each(File::sync_all)?;
    let outcome = Outcome::new(Vec::new(), BLOCK as u64);
    Ok(outcome.value("seconds", begin.elapsed().as_secs_f64()).value("bytes", bytes as f64))
}

/// Reads all segments in sequence.
pub(crate) fn read(directory: &Path) -> Result<Outcome, BenchError> {
    let (seconds, bytes) = read_live(directory, u64::MAX)?;
    let outcome = Outcome::new(Vec::new(), BLOCK as u64);
    Ok(outcome.value("seconds", seconds).value("bytes", bytes as f64))
}

/// S10: opens the channel without its checkpoint slots.
pub(crate) fn replay(directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    for slot in ["checkpoint-a", "checkpoint-b"] {
        match std::fs::remove_file(directory.join(slot)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let outcome = open(directory, form)?;
    let seconds = outcome.get("first");
    Ok(outcome.value("seconds", seconds))
}

/// S10: verifies the channel.
pub(crate) fn verify(directory: &Path) -> Result<Outcome, BenchError> {
    let begin = Instant::now();
    let found = tools::verify(directory, &mut |_, _| {})?;
    let seconds = begin.elapsed().as_secs_f64();
    if !found.is_intact() {
        let text = format!("verify found damage where there is none: {:?}", found.findings);
        return Err(BenchError::Failed(text));
    }
    let outcome = Outcome::new(Vec::new(), 0).value("seconds", seconds);
    Ok(outcome.value("bytes", found.bytes_read as f64))
}

/// S10: salvages the channel into a new one.
pub(crate) fn salvage(directory: &Path, form: Form, to: &Path) -> Result<Outcome, BenchError> {
    let begin = Instant::now();
    let saved = tools::salvage(directory, to, form.options(), &mut |_, _| {})?;
    let seconds = begin.elapsed().as_secs_f64();
    if !saved.is_complete() {
        return Err(BenchError::Failed("salvage lost events of an intact channel".into()));
    }
    let outcome = Outcome::new(Vec::new(), 0).value("seconds", seconds);
    Ok(outcome.value("bytes", saved.bytes as f64))
}
