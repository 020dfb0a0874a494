//! The raw limit: the same bytes written over blocks that were written before, and synced. Beside it the same
//! past the system's cache: no target is for that, since not every file system takes such writes.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::form::Form;
use super::row::{Row, Unit};
use super::stats::{Side, Times};
use crate::random::Random;

/// Bytes of a block past the system's cache: what most file systems and devices take.
const DIRECT_BLOCK: usize = 4096;

/// Bytes of a write when a file is made; files are multiples of it. Where a file system keeps what was
/// written at once in one large page of the cache (ext4 since Linux 6.16), a sync looks at every block of a
/// page in which something changed. In a file that was made by writes of 1 MiB, 512 bytes are synced a
/// seventh slower, in one made by writes of 4 KiB 512 KB half as fast: no limits. This size is best for both.
pub(crate) const FILL: usize = 64 << 10;
/// Bytes that can be written at once without [`Raw::reserve`].
const MOST: usize = 1 << 20;

/// A file that is written round and round.
pub(crate) struct Raw {
    file: File,
    /// Writes begin and end at multiples of this, in the file and in memory: of 1, or, past the system's
    /// cache, of a block.
    unit: usize,
    buffer: Vec<u8>,
    /// Where in the buffer writes begin.
    start: usize,
    offset: u64,
    length: u64,
}

impl Raw {
    /// Makes the file `name` in `directory`, all of it written and synced.
    pub(crate) fn new(directory: &Path, name: &str, form: Form) -> io::Result<Raw> {
        Raw::make(&directory.join(name), form, &mut File::options(), 1)
    }

    /// The same past the system's cache; none where the file system refuses that, when the file is opened or
    /// with the first write. In a file of its own, since such a write lets go of what the cache has of its
    /// place.
    pub(crate) fn direct(directory: &Path, form: Form) -> io::Result<Option<Raw>> {
        let mut options = File::options();
        options.custom_flags(OFlags::DIRECT.bits().cast_signed());
        match Raw::make(&directory.join("raw-direct"), form, &mut options, DIRECT_BLOCK) {
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                Ok(None)
            }
            made => made.map(Some),
        }
    }

    fn make(path: &Path, form: Form, options: &mut OpenOptions, unit: usize) -> io::Result<Raw> {
        let file = options.create(true).truncate(false).read(true).write(true).open(path)?;
        let (buffer, length) = (Vec::new(), form.raw_file());
        let mut raw = Raw { file, unit, buffer, start: 0, offset: 0, length }.reserve(MOST);
        for _ in 0..length / FILL as u64 {
            raw.write(FILL, false)?;
        }
        raw.file.sync_all()?;
        Ok(raw)
    }

    /// Gets ready for writes of up to so many bytes.
    pub(crate) fn reserve(mut self, bytes: usize) -> Raw {
        // Memory begins within a unit, and so does what is to be written, which ends within another.
        let needed = bytes + 3 * (self.unit - 1);
        if self.buffer.len() < needed {
            self.buffer = Random::new(1).bytes(needed);
            self.start = self.buffer.as_ptr().align_offset(self.unit);
        }
        self
    }

    /// Writes so many bytes, or the units they are in, and syncs them if asked to. The next ones follow them:
    /// a unit that was not full is written again.
    pub(crate) fn write(&mut self, bytes: usize, sync: bool) -> io::Result<()> {
        if self.offset + bytes as u64 > self.length {
            self.offset = 0;
        }
        let begun = (self.offset % self.unit as u64) as usize;
        let count = (begun + bytes).next_multiple_of(self.unit);
        let units = &self.buffer[self.start..self.start + count];
        self.file.write_all_at(units, self.offset - begun as u64)?;
        self.offset += bytes as u64;
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    /// Writes for `time`, or until `most` bytes are written.
    pub(crate) fn slice(
        &mut self,
        bytes: usize,
        sync: bool,
        time: Duration,
        most: u64,
        times: &mut Times,
    ) -> io::Result<()> {
        let begin = Instant::now();
        let mut written = 0;
        while begin.elapsed() < time && written < most {
            let before = Instant::now();
            self.write(bytes, sync)?;
            times.add(before.elapsed());
            written += bytes as u64;
        }
        Ok(())
    }

    /// As [`Raw::slice`], with a sync each.
    pub(crate) fn synced(
        &mut self,
        bytes: usize,
        time: Duration,
        times: &mut Times,
    ) -> io::Result<()> {
        self.slice(bytes, true, time, u64::MAX, times)
    }

    /// Bytes of memory for what is written.
    pub(crate) fn held(&self) -> u64 {
        self.buffer.len() as u64
    }
}

/// What one write with its sync costs, by size.
pub(crate) fn sync_latency(directory: &Path, form: Form) -> io::Result<Vec<Row>> {
    let mut raw = Raw::new(directory, "raw", form)?;
    let mut direct = Raw::direct(directory, form)?;
    let sizes = [(512, "512 B"), (4 << 10, "4 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];
    let mut sides = sizes.map(|_| <[Side; 2]>::default());
    for _ in 0..form.rounds() {
        for ((bytes, _), [cached, past]) in sizes.iter().zip(&mut sides) {
            raw.synced(*bytes, form.slice() / 3, &mut cached.times)?;
            cached.end_round();
            // Past the cache less than a block takes what the block does.
            if let Some(direct) = direct.as_mut().filter(|_| *bytes >= DIRECT_BLOCK) {
                direct.synced(*bytes, form.slice() / 3, &mut past.times)?;
                past.end_round();
            }
        }
    }
    let mut rows = Vec::new();
    for ((bytes, name), [cached, past]) in sizes.into_iter().zip(sides) {
        let micros = |side: &Side| side.rates.iter().map(|rate| 1e6 / rate.max(1e-9)).collect();
        let (cached_micros, past_micros): (Vec<f64>, Vec<f64>) = (micros(&cached), micros(&past));
        let id = format!("sync/{bytes}");
        let what = format!("the disk: write and sync {name}");
        let row = Row::new(&id, what, Unit::Microseconds, cached_micros.clone());
        rows.push(row.with_latency(cached.times.latency(), None));
        if !past_micros.is_empty() {
            let what = "the same past the cache";
            let row = Row::new(format!("{id}/direct"), what, Unit::Microseconds, past_micros);
            let row = row.beside("raw", cached_micros);
            rows.push(row.with_latency(past.times.latency(), None));
        }
    }
    Ok(rows)
}
