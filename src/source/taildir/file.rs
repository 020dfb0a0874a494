//! One file that is being followed: its handle, how far it was read, and its lines.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::position::{HEAD_MAX, Identity, Position, birth, read_at, read_head};
use super::scan::{Facts, Found};
use crate::bytes::Bytes;

/// Bytes read at a time, unless a line is longer.
const READ_SIZE: usize = 64 << 10;

pub(super) struct TailedFile {
    pub(super) identity: Identity,
    /// The last name under which it matched, and the group it matched then.
    pub(super) found: Found,
    /// Whether it still matches.
    pub(super) listed: bool,
    /// Whether it had another name when it was first seen: then it gets no more lines, or few.
    pub(super) rotated: bool,
    handle: Option<File>,
    /// Where the next line begins.
    offset: u64,
    /// Length and time of change when last looked at; nothing behind this length is read before the
    /// next look, so that `head` is known to cover what is delivered.
    length: u64,
    modified: SystemTime,
    born: u64,
    head: Vec<u8>,
    /// Bytes read ahead, from `ahead_start` on.
    ahead: Bytes,
    ahead_start: u64,
    /// Whether no complete line was left at the last look.
    exhausted: bool,
    /// Whether the offset went back, so that what the channel remembers must not be used any more.
    restarted: bool,
    changed: Instant,
}

/// A line, or a piece of one that is too long, or the unterminated last one.
pub(super) struct Line {
    pub(super) start: u64,
    pub(super) body: Bytes,
}

impl TailedFile {
    /// Opens the file at `path`; `None` when that name now belongs to another file.
    pub(super) fn open(
        identity: Identity,
        found: Found,
        path: &Path,
    ) -> io::Result<Option<TailedFile>> {
        let Some((handle, metadata)) = open(path, identity)? else {
            return Ok(None);
        };
        Ok(Some(TailedFile {
            identity,
            listed: true,
            rotated: false,
            found,
            offset: 0,
            length: 0,
            modified: SystemTime::UNIX_EPOCH,
            born: birth(&metadata),
            head: Vec::new(),
            ahead: Bytes::new(),
            ahead_start: 0,
            exhausted: false,
            restarted: false,
            changed: now(),
            handle: Some(handle),
        }))
    }

    /// Goes on where an earlier run stopped. When the file no longer holds what that run delivered,
    /// it is another file or was truncated: it is read from its start, and said so.
    pub(super) fn resume(&mut self, position: &Position) -> io::Result<()> {
        let Some(handle) = &self.handle else {
            return Ok(());
        };
        if position.fits(handle, &handle.metadata()?)? {
            self.offset = position.offset;
            self.rotated = position.path != self.found.path;
        } else {
            self.restarted = true;
            tracing::warn!(
                "{} was truncated or replaced after {} of its {} bytes had been read; \
                 what is there now is read from the start",
                self.found.path.display(),
                position.offset,
                position.length,
            );
        }
        Ok(())
    }

    /// Leaves out what is there now.
    pub(super) fn skip_to_end(&mut self) -> io::Result<()> {
        self.look(None)?;
        self.offset = self.length;
        Ok(())
    }

    /// Looks for news, `facts` being what a look at the directory has just told; without
    /// any the file stays exhausted.
    pub(super) fn look(&mut self, facts: Option<&Facts>) -> io::Result<()> {
        let seen = Some((self.length, self.modified));
        let unchanged = self.exhausted && facts.map(|now| (now.length, now.modified)) == seen;
        let (handle, metadata) = match self.handle.take() {
            None if unchanged => return Ok(()),
            None => match open(&self.found.path, self.identity)? {
                // The name was given to another file since the look at the directory: the next look
                // will find this one under its new name.
                None => return Ok(()),
                Some(opened) => opened,
            },
            Some(handle) => {
                let metadata = handle.metadata()?;
                (handle, metadata)
            }
        };
        let handle = self.handle.insert(handle);
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if self.exhausted && seen == Some((metadata.len(), modified)) {
            return Ok(());
        }
        let head = read_head(handle, HEAD_MAX.min(metadata.len() as usize))?;
        let delivered = self.head.len().min(self.offset as usize);
        if metadata.len() < self.offset || head.get(..delivered) != self.head.get(..delivered) {
            tracing::warn!(
                "{} was truncated after {} bytes had been read; it is read from its start again",
                self.found.path.display(),
                self.offset,
            );
            self.offset = 0;
            self.restarted = true;
            self.ahead = Bytes::new();
        }
        self.head = head;
        self.length = metadata.len();
        self.modified = modified;
        self.exhausted = false;
        self.changed = now();
        Ok(())
    }

    /// The next complete line, without its end ("\n" or "\r\n"); `None` when there is none up to
    /// the length last looked at. What comes after the last newline stays where it is: its rest is
    /// still to be written.
    pub(super) fn next_line(&mut self, line_max: usize) -> io::Result<Option<Line>> {
        loop {
            let from = self.offset.saturating_sub(self.ahead_start) as usize;
            let rest = self.ahead.get(from..).unwrap_or(&[]);
            let window = &rest[..rest.len().min(line_max + 1)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                let body = window[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
                return Ok(Some(self.cut(from, body, end + 1)));
            }
            if window.len() > line_max {
                tracing::warn!(
                    "{}: the line at offset {} is longer than maxLineLength \
                     ({line_max} bytes) and is cut",
                    self.found.path.display(),
                    self.offset,
                );
                return Ok(Some(self.cut(from, line_max, line_max)));
            }
            if self.offset + rest.len() as u64 >= self.length {
                self.exhausted = true;
                self.ahead = Bytes::new();
                return Ok(None);
            }
            self.load((rest.len() * 2).max(READ_SIZE).min(line_max + 1))?;
        }
    }

    /// The unterminated last line, when there is one; in pieces when it is too long.
    pub(super) fn rest(&mut self, line_max: usize) -> io::Result<Option<Line>> {
        self.load(line_max)?;
        match self.ahead.len() {
            0 => Ok(None),
            length => Ok(Some(self.cut(0, length, length))),
        }
    }

    fn cut(&mut self, from: usize, body: usize, whole: usize) -> Line {
        let line = Line { start: self.offset, body: self.ahead.slice(from..from + body) };
        self.offset += whole as u64;
        if from + whole == self.ahead.len() {
            self.ahead = Bytes::new();
        }
        line
    }

    /// Reads ahead at most `want` bytes from the offset on.
    fn load(&mut self, want: usize) -> io::Result<()> {
        let want = (self.length.saturating_sub(self.offset)).min(want as u64) as usize;
        let mut buffer = vec![0; want];
        let count = match &self.handle {
            Some(handle) => read_at(handle, &mut buffer, self.offset)?,
            None => 0,
        };
        if count < want {
            // Cut by someone since it was looked at; the next look says so.
            self.length = self.offset + count as u64;
            buffer.truncate(count);
        }
        self.ahead = Bytes::from(buffer);
        self.ahead_start = self.offset;
        Ok(())
    }

    /// What to record once everything before `offset` is durable in the channel.
    pub(super) fn position_at(&self, offset: u64) -> Position {
        let head = (self.head.len() as u64).min(offset) as usize;
        Position {
            offset,
            length: self.length.max(offset),
            born: self.born,
            head,
            checksum: crc32fast::hash(&self.head[..head]),
            path: self.found.path.clone(),
        }
    }

    /// Finds the file again under `path`, a name that does not match. False when another file,
    /// which got its inode number later, is there.
    pub(super) fn reopen(&mut self, path: &Path) -> io::Result<bool> {
        let Some((handle, metadata)) = open(path, self.identity)? else {
            return Ok(false);
        };
        if !self.position_at(self.offset).fits(&handle, &metadata)? {
            return Ok(false);
        }
        self.handle = Some(handle);
        self.exhausted = false;
        Ok(true)
    }

    /// Lets go of the file; the next look opens it again when it has changed.
    pub(super) fn close(&mut self) {
        self.handle = None;
        self.ahead = Bytes::new();
    }

    pub(super) fn is_open(&self) -> bool {
        self.handle.is_some()
    }

    /// Whether the file is read from its start again, and that was not asked before.
    pub(super) fn take_restarted(&mut self) -> bool {
        std::mem::take(&mut self.restarted)
    }

    /// Whether what is there is not what was read before.
    pub(super) fn is_restarted(&self) -> bool {
        self.restarted
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that are there and were not delivered, as far as the last look saw.
    pub(super) fn unread(&self) -> u64 {
        self.length.saturating_sub(self.offset)
    }

    /// Whether it is known that there is nothing but perhaps an unterminated line.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether an unterminated last line is left.
    pub(super) fn holds_rest(&self) -> bool {
        self.exhausted && self.is_open() && self.unread() > 0
    }

    /// Whether the file has had no news for `timeout`.
    pub(super) fn is_idle(&self, timeout: Duration) -> bool {
        self.exhausted && self.changed.elapsed() >= timeout
    }

    /// Whether a file made at another time has this file's identity now.
    pub(super) fn is_replaced_by(&self, facts: &Facts) -> bool {
        self.handle.is_none() && self.born != 0 && facts.born != 0 && self.born != facts.born
    }
}

fn open(path: &Path, identity: Identity) -> io::Result<Option<(File, Metadata)>> {
    let handle = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let metadata = handle.metadata()?;
    Ok((Identity::of(&metadata) == identity).then_some((handle, metadata)))
}

fn now() -> Instant {
    Instant::now()
}
