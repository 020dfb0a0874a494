//! Follows files as they grow and are rotated, line by line.
//!
//! The position in each file is a cursor of the channel and rides on the commit that carries its
//! lines. So a crash at any moment leaves lines and positions in agreement: no line is lost, none
//! is doubled.

mod file;
mod files;
mod options;
mod position;
mod scan;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::file::Line;
use self::files::Files;
use self::position::{Identity, Position, cursor_prefix};
use super::{CursorChange, Source, SourceError, deliver};
use crate::back_off::BackOff;
use crate::channel::Channel;
use crate::event::Event;
use crate::shutdown::Shutdown;

pub use self::options::{FileGroup, TaildirOptions};

/// Bytes of lines after which a batch is delivered although it could hold more events.
const BATCH_BYTES: u64 = 8 << 20;
/// Files after which it is, too: each sets a cursor, and a transaction may set 10,000.
const BATCH_FILES: usize = 1000;

/// Flume's taildir source.
///
/// Files are known by device, inode and first bytes, so a renamed file is not read again; one that
/// was renamed to a name that does not match is read to its end first, also when that happened
/// while the agent was down, provided it is still in its directory. A file that was truncated is
/// read from its start.
pub struct Taildir {
    name: String,
    options: TaildirOptions,
}

impl Taildir {
    /// A source that records its positions in the channel under `taildir/<name>/`: keep the name,
    /// and it goes on where it stopped.
    pub fn new(name: impl Into<String>, options: TaildirOptions) -> Taildir {
        Taildir { name: name.into(), options }
    }
}

impl Source for Taildir {
    fn run(
        self: Box<Self>,
        channel: Arc<dyn Channel>,
        shutdown: Shutdown,
    ) -> Result<(), SourceError> {
        let remembered = remembered(&*channel, &self.name)?;
        let mut back_off = BackOff::new(self.options.back_off_step, self.options.back_off_limit);
        let until_idle = self.options.until_idle;
        let mut tail = Tail {
            name: self.name,
            options: self.options,
            files: Files::new(remembered),
            batch: Batch::default(),
            halted: false,
            channel,
            shutdown: shutdown.clone(),
        };
        tail.start()?;
        loop {
            let news = tail.pass()?;
            if shutdown.is_stopped() || (until_idle && !news) {
                return Ok(());
            }
            if news {
                back_off.reset();
            } else if back_off.wait(&shutdown) {
                return Ok(());
            }
            tail.discover();
        }
    }
}

fn remembered(
    channel: &dyn Channel,
    name: &str,
) -> Result<BTreeMap<Identity, Position>, SourceError> {
    let prefix = cursor_prefix(name);
    let mut positions = BTreeMap::new();
    for (cursor, value) in channel.cursors(&prefix) {
        let identity = Identity::from_cursor(&cursor[prefix.len()..]);
        match identity.zip(Position::decode(&value)) {
            Some((identity, position)) => positions.insert(identity, position),
            None => {
                return Err(SourceError::Cursor {
                    name: cursor,
                    problem: "it is not in the form this version writes".to_string(),
                });
            }
        };
    }
    Ok(positions)
}

/// A running source.
struct Tail {
    name: String,
    options: TaildirOptions,
    files: Files,
    batch: Batch,
    /// Whether lines were read that could not be delivered any more; then nothing behind them may
    /// be.
    halted: bool,
    channel: Arc<dyn Channel>,
    shutdown: Shutdown,
}

/// Lines read and not delivered yet.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    /// For each event the place of its file in the list, and where the next line of that file
    /// begins.
    ends: Vec<(usize, u64)>,
    bytes: u64,
    /// How often an event came from another file than the one before: at least the number of files.
    changes: usize,
}

impl Tail {
    /// The first look. A directory that is not there now is a mistake in the configuration; later
    /// it may be a mount that comes back.
    fn start(&mut self) -> Result<(), SourceError> {
        let (failed, new) = self.files.discover(&self.options.groups);
        if let Some((path, error)) = failed.into_iter().next() {
            return Err(SourceError::io("list", &path, error));
        }
        self.files.say_unmatched(&self.options.groups);
        if !self.options.skip_to_end {
            return Ok(());
        }
        // Recorded at once: what comes after this moment must be read even if nothing comes before
        // the end of this run.
        let mut cursors = Vec::new();
        let old = self.files.list.len() - new;
        for file in &mut self.files.list[old..] {
            let path = file.found.path.clone();
            file.skip_to_end().map_err(|error| SourceError::io("read", &path, error))?;
            let position = file.position_at(file.offset());
            cursors.push((file.identity.cursor(&self.name), Some(position.encode())));
        }
        self.record(cursors)
    }

    fn discover(&mut self) {
        let (failed, _) = self.files.discover(&self.options.groups);
        for group in &self.options.groups {
            let path = group.directory();
            match failed.iter().find(|(failed, _)| failed == path) {
                Some((_, error)) => self.files.say_refused(path, error),
                None => self.files.say_readable(path),
            }
        }
    }

    /// Reads what is there; true when that was anything.
    fn pass(&mut self) -> Result<bool, SourceError> {
        let mut news = false;
        for index in 0..self.files.list.len() {
            if self.shutdown.is_stopped() {
                break;
            }
            news |= self.read(index)?;
        }
        news |= self.retire()?;
        self.files.close_surplus();
        let forgotten = self.files.take_forgotten();
        let clear = |identity: Identity| (identity.cursor(&self.name), None);
        self.record(forgotten.into_iter().map(clear).collect())?;
        Ok(news)
    }

    /// Reads one file to its end, or as far as it is its turn. A file that cannot be read does not
    /// keep the others from being read.
    fn read(&mut self, index: usize) -> Result<bool, SourceError> {
        let file = &mut self.files.list[index];
        let facts = match file.listed {
            true => self.files.facts.get(&file.identity),
            false => None,
        };
        let mut result = file.look(facts);
        if file.take_restarted() {
            // A crash before the first line of the new content is delivered must not find the old
            // position, which the new content might fit by chance.
            let cursor = self.cursor(index, 0);
            self.record(vec![cursor])?;
        }
        let file = &self.files.list[index];
        if result.is_ok() && file.is_exhausted() {
            return Ok(false);
        }
        let turn = match file.rotated {
            true => u64::MAX,
            false => (self.options.batch_size as u64).saturating_mul(self.options.max_batch_count),
        };
        let mut count = 0;
        while result.is_ok() && count < turn && !self.halted && !self.shutdown.is_stopped() {
            match self.files.list[index].next_line(self.options.line_max) {
                Ok(Some(line)) => {
                    count += 1;
                    self.push(index, line)?;
                }
                Ok(None) => break,
                Err(error) => result = Err(error),
            }
        }
        let path = self.files.list[index].found.path.clone();
        match result {
            Ok(()) => self.files.say_readable(&path),
            Err(error) => self.files.say_refused(&path, &error),
        }
        Ok(count > 0)
    }

    /// Closes files that have had no news for long, and forgets those among them that no longer
    /// match. Their last line counts even without a newline: nobody will complete it.
    fn retire(&mut self) -> Result<bool, SourceError> {
        let timeout = self.options.idle_timeout;
        let mut news = false;
        for index in 0..self.files.list.len() {
            if !self.files.list[index].is_idle(timeout) {
                continue;
            }
            while !self.halted && self.files.list[index].holds_rest() {
                match self.files.list[index].rest(self.options.line_max) {
                    Ok(Some(line)) => {
                        news = true;
                        self.push(index, line)?;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let path = self.files.list[index].found.path.clone();
                        self.files.say_refused(&path, &error);
                        break;
                    }
                }
            }
        }
        if !self.send()? {
            return Ok(news);
        }
        let forgotten = &mut self.files.forgotten;
        self.files.list.retain_mut(|file| {
            if !file.is_idle(timeout) || file.unread() > 0 {
                return true;
            }
            file.close();
            if !file.listed {
                forgotten.push(file.identity);
            }
            file.listed
        });
        Ok(news)
    }

    fn push(&mut self, index: usize, line: Line) -> Result<(), SourceError> {
        let file = &self.files.list[index];
        let mut event = Event::new(line.body);
        event.headers.clone_from(&self.options.groups[file.found.group].headers);
        if let Some(header) = &self.options.file_header {
            let path = file.found.path.to_string_lossy();
            event.headers.insert(header.clone(), path.into_owned());
        }
        if self.options.byte_offset_header {
            let key = "byteoffset".to_string();
            event.headers.insert(key, line.start.to_string());
        }
        self.batch.bytes += event.size();
        self.batch.events.push(event);
        let last = self.batch.ends.last().map(|(last, _)| *last);
        self.batch.changes += usize::from(last != Some(index));
        self.batch.ends.push((index, file.offset()));
        if self.batch.events.len() >= self.options.batch_size
            || self.batch.bytes >= BATCH_BYTES
            || self.batch.changes >= BATCH_FILES
        {
            self.send()?;
        }
        Ok(())
    }

    /// Delivers the batch; false when the source was told to stop before all of it was durable.
    /// Then it must read nothing more: the positions in the channel are where the next run goes on.
    fn send(&mut self) -> Result<bool, SourceError> {
        let Batch { events, ends, .. } = std::mem::take(&mut self.batch);
        let total = events.len();
        if total == 0 || self.halted {
            return Ok(!self.halted);
        }
        let cursors = |delivered: usize| {
            let reached: BTreeMap<usize, u64> = ends[..delivered].iter().copied().collect();
            reached.into_iter().map(|(index, end)| self.cursor(index, end)).collect()
        };
        let delivered = deliver(&*self.channel, events, &cursors, &self.shutdown)?;
        self.halted = delivered < total;
        Ok(!self.halted)
    }

    fn cursor(&self, index: usize, end: u64) -> CursorChange {
        let file = &self.files.list[index];
        let position = file.position_at(end);
        (file.identity.cursor(&self.name), Some(position.encode()))
    }

    fn record(&self, cursors: Vec<CursorChange>) -> Result<(), SourceError> {
        // A transaction may set 10,000 cursors; each of these stands for itself.
        for some in cursors.chunks(1000) {
            deliver(&*self.channel, Vec::new(), &|_| some.to_vec(), &self.shutdown)?;
        }
        Ok(())
    }
}
