//! Holds lines that were delivered against those that were written.
//!
//! Shares nothing with the path that delivers: no channel, no source, no sink, no reader of theirs. Reads
//! one line at a time and keeps one bit per line written, so a log of 100 million lines takes 12 MB.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::sample::Sample;

/// Longer than any line of the sample. What is longer in a delivered file is judged in parts of this size.
const LINE_MAX: u64 = 64 << 10;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Lines in the files.
    pub(crate) lines: u64,
    /// Bytes in the files.
    pub(crate) bytes: u64,
    /// Lines that were written and are not there.
    pub(crate) lost: u64,
    /// Lines that are there once more than once, counted each time but the first.
    pub(crate) duplicated: u64,
    /// Lines behind one that was written later.
    pub(crate) out_of_order: u64,
    /// Lines that were never written like this: cut, mixed up or foreign.
    pub(crate) altered: u64,
}

impl Tally {
    /// Whether the files hold each line once, whole and in order.
    pub(crate) fn is_exact(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.out_of_order == 0 && self.altered == 0
    }
}

/// Compares the lines of `files`, read one after another, with the `lines` lines that were written.
/// `step` is called now and then with the number of lines read.
pub(crate) fn compare(
    files: &[PathBuf],
    sample: &Sample,
    lines: u64,
    mut step: impl FnMut(u64),
) -> io::Result<Tally> {
    let mut judge = Judge::new(lines);
    let mut line = Vec::new();
    for file in files {
        let mut reader = BufReader::with_capacity(256 << 10, File::open(file)?);
        loop {
            line.clear();
            if (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            judge.line(sample.number(&line), line.len() as u64);
            if judge.tally.lines.is_multiple_of(10_000) {
                step(judge.tally.lines);
            }
        }
    }
    Ok(judge.verdict())
}

/// The plain files of `directory` in the order they were begun: names with greater numbers are later.
pub(crate) fn delivered_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        if file.file_type()?.is_file() {
            files.push(file.path());
        }
    }
    files.sort_by_cached_key(|path| numbers(&path.to_string_lossy()));
    Ok(files)
}

/// The numbers within a name, which order names such as `1718000000000-2` and `1718000000000-10`.
fn numbers(name: &str) -> Vec<u64> {
    let parts = name.split(|c: char| !c.is_ascii_digit());
    parts.filter_map(|digits| digits.parse().ok()).collect()
}

struct Judge {
    tally: Tally,
    /// One bit per line written: whether it was seen.
    seen: Vec<u64>,
    /// One more than the greatest number seen.
    end: u64,
    written: u64,
    distinct: u64,
}

impl Judge {
    fn new(written: u64) -> Judge {
        Judge {
            tally: Tally::default(),
            seen: vec![0; written.div_ceil(64) as usize],
            end: 0,
            written,
            distinct: 0,
        }
    }

    /// Judges a line of `length` bytes that is that of `number`, or of none.
    fn line(&mut self, number: Option<u64>, length: u64) {
        self.tally.lines += 1;
        self.tally.bytes += length;
        let Some(number) = number.filter(|number| *number < self.written) else {
            self.tally.altered += 1;
            return;
        };
        let bits = &mut self.seen[(number / 64) as usize];
        let bit = 1 << (number % 64);
        if *bits & bit != 0 {
            self.tally.duplicated += 1;
            return;
        }
        *bits |= bit;
        self.distinct += 1;
        if number < self.end {
            self.tally.out_of_order += 1;
        }
        self.end = self.end.max(number + 1);
    }

    fn verdict(mut self) -> Tally {
        self.tally.lost = self.written - self.distinct;
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(written: u64, files: &[&[u8]]) -> Tally {
        let directory = tempfile::tempdir().expect("a directory");
        for (index, bytes) in files.iter().enumerate() {
            fs::write(directory.path().join(format!("1-{index}")), bytes).expect("room");
        }
        let files = delivered_files(directory.path()).expect("the directory is there");
        compare(&files, &Sample::new(), written, |_| {}).expect("the files are there")
    }

    fn lines(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let (sample, mut bytes) = (Sample::new(), Vec::new());
        let numbers = numbers.into_iter();
        numbers.for_each(|number| sample.append(number, &mut bytes));
        bytes
    }

    #[test]
    fn exact_delivery_is_exact_over_any_number_of_files() {
        let files: Vec<Vec<u8>> = (0..12).map(|file| lines(file * 10..file * 10 + 10)).collect();
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let tally = judge(120, &files);
        assert!(tally.is_exact(), "{tally:?}");
        assert_eq!(tally.lines, 120);
        assert_eq!(judge(0, &[]), Tally::default());
    }

    #[test]
    fn each_kind_of_fault_is_counted_exactly() {
        let expect = |files: &[&[u8]], lost, duplicated, out_of_order, altered| {
            let tally = judge(5, files);
            let found = (tally.lost, tally.duplicated, tally.out_of_order, tally.altered);
            assert_eq!(found, (lost, duplicated, out_of_order, altered), "{files:?}");
            assert!(!tally.is_exact());
        };
        expect(&[&lines([0, 1, 3, 4])], 1, 0, 0, 0);
        expect(&[&lines([0, 1, 2, 3])], 1, 0, 0, 0);
        expect(&[&lines([0, 1, 1, 2, 3, 4])], 0, 1, 0, 0);
        expect(&[&lines([0, 1, 2, 3, 4, 0, 1])], 0, 2, 0, 0);
        expect(&[&lines([1, 0, 2, 3, 4])], 0, 0, 1, 0);
        expect(&[&lines([0, 4, 1, 2, 3])], 0, 0, 3, 0);
        expect(&[&lines([0, 1, 2, 3, 4, 5])], 0, 0, 0, 1);
        expect(&[], 5, 0, 0, 0);
        let whole = lines(0..5);
        expect(&[&whole[..whole.len() - 1]], 1, 0, 0, 1);
        expect(&[&whole[..60], &whole[..60]], 5, 0, 0, 2);
        expect(&[&whole, &vec![b'x'; 3 * LINE_MAX as usize]], 0, 0, 0, 3);
    }
}
