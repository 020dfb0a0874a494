//! The raw limit: the same bytes written over blocks that were written before, and synced.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::form::Form;
use super::row::{Row, Unit};
use super::stats::Times;
use crate::random::Random;

/// A file that is written round and round.
pub(crate) struct Raw {
    file: File,
    buffer: Vec<u8>,
    offset: u64,
    length: u64,
}

impl Raw {
    /// Makes the file `name` in `directory`, all of it written and synced.
    pub(crate) fn new(directory: &Path, name: &str, form: Form) -> io::Result<Raw> {
        let path = directory.join(name);
        let mut options = File::options();
        let file = options.create(true).truncate(false).read(true).write(true).open(path)?;
        let length = form.raw_file();
        let buffer = Random::new(1).bytes(1 << 20);
        for offset in (0..length).step_by(buffer.len()) {
            file.write_all_at(&buffer, offset)?;
        }
        file.sync_all()?;
        Ok(Raw { file, buffer, offset: 0, length })
    }

    /// Gets ready for writes of up to so many bytes.
    pub(crate) fn reserve(mut self, bytes: usize) -> Raw {
        if self.buffer.len() < bytes {
            self.buffer = Random::new(1).bytes(bytes);
        }
        self
    }

    /// Writes so many bytes, and syncs them if asked to.
    pub(crate) fn write(&mut self, bytes: usize, sync: bool) -> io::Result<()> {
        if self.offset + bytes as u64 > self.length {
            self.offset = 0;
        }
        self.file.write_all_at(&self.buffer[..bytes], self.offset)?;
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
    let sizes = [(512, "512 B"), (4 << 10, "4 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];
    let mut sides = sizes.map(|_| (Vec::new(), Times::new()));
    for _ in 0..form.rounds() {
        for ((bytes, _), (rounds, times)) in sizes.iter().zip(&mut sides) {
            let from = times.len();
            raw.synced(*bytes, form.slice() / 3, times)?;
            rounds.push(1e6 / times.rate_from(from).max(1e-9));
        }
    }
    let rows = sizes.into_iter().zip(sides).map(|((bytes, name), (rounds, times))| {
        Row::new(
            format!("sync/{bytes}"),
            format!("the disk: write and sync {name}"),
            Unit::Microseconds,
            rounds,
        )
        .with_latency(times.latency(), None)
    });
    Ok(rows.collect())
}
