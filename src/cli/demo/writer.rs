//! The log's writer: what a web server and logrotate do, at a steady pace.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sample::Sample;
use crate::random::Random;

/// Name of the file that is written at present; older ones are `access.log.1` (the youngest) and so on.
pub(crate) const LOG_NAME: &str = "access.log";

/// Writes numbered lines, and rotates by renaming.
///
/// Like a server that writes whole buffers, it mostly stops in the middle of a line.
pub(crate) struct Writer<'a> {
    directory: PathBuf,
    sample: &'a Sample,
    random: Random,
    file: File,
    /// Lines per second.
    pace: u64,
    /// Lines after which the file is rotated.
    rotate_after: u64,
    /// Lines that were begun, and the number of the next one.
    lines: u64,
    /// The end of the last line begun, still to be written.
    held_back: Vec<u8>,
    /// Fractions of a line that the pace allows, in lines times nanoseconds.
    credit: u128,
    rotations: u64,
}

impl<'a> Writer<'a> {
    /// Begins a log in `directory`.
    pub(crate) fn new(
        directory: &Path,
        sample: &'a Sample,
        random: Random,
        pace: u64,
        rotate_after: u64,
    ) -> io::Result<Writer<'a>> {
        Ok(Writer {
            file: File::create_new(directory.join(LOG_NAME))?,
            directory: directory.to_path_buf(),
            sample,
            random,
            pace,
            rotate_after: rotate_after.max(1),
            lines: 0,
            held_back: Vec::new(),
            credit: 0,
            rotations: 0,
        })
    }

    /// Lines begun so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// How often the file was rotated.
    pub(crate) fn rotations(&self) -> u64 {
        self.rotations
    }

    /// Writes what the pace allows for `elapsed`, up to `end` lines in all.
    pub(crate) fn write_for(&mut self, elapsed: Duration, end: u64) -> io::Result<()> {
        const SECOND: u128 = 1_000_000_000;
        self.credit += elapsed.as_nanos() * u128::from(self.pace);
        let due = (self.credit / SECOND) as u64;
        self.credit %= SECOND;
        self.write_until(self.lines.saturating_add(due).min(end))
    }

    /// Writes all lines up to `end`, the last one whole.
    pub(crate) fn finish(&mut self, end: u64) -> io::Result<()> {
        self.write_until(end)?;
        self.file.write_all(&std::mem::take(&mut self.held_back))
    }

    fn write_until(&mut self, end: u64) -> io::Result<()> {
        while self.lines < end {
            let next_rotation = (self.lines / self.rotate_after + 1) * self.rotate_after;
            self.write_some(end.min(next_rotation))?;
            if self.lines == next_rotation {
                self.rotate()?;
            }
        }
        Ok(())
    }

    /// Writes the lines up to `end`, at least one, but for a random part of the last.
    fn write_some(&mut self, end: u64) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.held_back);
        let mut last = 0;
        while self.lines < end {
            last = bytes.len();
            self.sample.append(self.lines, &mut bytes);
            self.lines += 1;
        }
        let cut = last + self.random.below((bytes.len() - last) as u64 + 1) as usize;
        self.held_back = bytes.split_off(cut);
        self.file.write_all(&bytes)
    }

    /// Completes the last line and moves every file on by one number.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.write_all(&std::mem::take(&mut self.held_back))?;
        for age in (0..=self.rotations).rev() {
            let from = log_file(&self.directory, age);
            fs::rename(from, log_file(&self.directory, age + 1))?;
        }
        self.rotations += 1;
        self.file = File::create_new(log_file(&self.directory, 0))?;
        Ok(())
    }
}

/// The file that was rotated `age` times.
pub(crate) fn log_file(directory: &Path, age: u64) -> PathBuf {
    match age {
        0 => directory.join(LOG_NAME),
        _ => directory.join(format!("{LOG_NAME}.{age}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_are_there_in_order_over_the_rotations() {
        let directory = tempfile::tempdir().expect("a directory");
        let sample = Sample::new();
        let mut writer =
            Writer::new(directory.path(), &sample, Random::new(7), 1000, 40).expect("a new file");
        writer.write_for(Duration::from_micros(500), 100).expect("room");
        assert_eq!(writer.lines(), 0, "half a line is due");
        writer.write_for(Duration::from_micros(500), 100).expect("room");
        assert_eq!(writer.lines(), 1);
        writer.write_for(Duration::from_millis(30), 100).expect("room");
        assert_eq!(writer.lines(), 31);
        writer.write_for(Duration::from_secs(3600), 100).expect("room");
        assert_eq!(writer.lines(), 100);
        writer.finish(125).expect("room");
        assert_eq!(writer.rotations(), 3);

        let mut expected = Vec::new();
        (0..125).for_each(|number| sample.append(number, &mut expected));
        let mut found = Vec::new();
        for age in (0..=3).rev() {
            found.extend(fs::read(log_file(directory.path(), age)).expect("a file"));
        }
        assert!(found == expected);
        assert!(!log_file(directory.path(), 4).exists());
    }
}
