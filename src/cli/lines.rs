//! Lines of a stream as slices of large shared buffers: one copy from the kernel, none per line.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::time::Instant;

use flumen::Bytes;

use super::input::{NOTHING_YET, STOPPED, is};

/// How much is asked of the kernel at once, and the size of a shared buffer.
const BLOCK: usize = 256 << 10;

/// Why there is no next line.
#[derive(Debug)]
pub(crate) enum LineError {
    /// The line of this number, counted from 1, has more bytes than a line may have.
    TooLong {
        /// Its number.
        line: u64,
        /// Most bytes of a line.
        limit: usize,
    },
    /// The stream could not be read.
    Read(io::Error),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::TooLong { line, limit } => {
                write!(f, "line {line} is longer than an event may be, {limit} bytes")
            }
            LineError::Read(error) => write!(f, "cannot read stdin: {error}"),
        }
    }
}

/// Cuts a stream into lines, without their newlines. A last line without newline counts.
pub(crate) struct Lines<R> {
    input: R,
    /// Most bytes of a line; the memory in use is bounded by twice this and a block.
    limit: usize,
    /// What was read and not yet cut: `buffer[..filled]`. All of `buffer` is initialised.
    buffer: Vec<u8>,
    filled: usize,
    /// Whole lines, each with its newline, of which those from `cut` on are still to be given.
    block: Bytes,
    cut: usize,
    ended: bool,
    /// Lines given so far.
    count: u64,
}

impl<R: Read> Lines<R> {
    /// Reads `input`, whose lines may have `limit` bytes.
    pub(crate) fn new(input: R, limit: usize) -> Lines<R> {
        Lines {
            input,
            limit,
            buffer: Vec::new(),
            filled: 0,
            block: Bytes::new(),
            cut: 0,
            ended: false,
            count: 0,
        }
    }

    /// How many lines were given.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The next line; `None` at the end of the stream, or when no line is there at the time `until`.
    /// `wanted` is how many the caller could use before it must act on them: no more than these are waited
    /// for, however large a block may be.
    pub(crate) fn next(
        &mut self,
        wanted: usize,
        until: Option<Instant>,
    ) -> Result<Option<Bytes>, LineError> {
        if self.cut == self.block.len() && !self.read_block(wanted, until)? {
            return Ok(None);
        }
        let start = self.cut;
        let rest = &self.block[start..];
        let length = (&mut &*rest).skip_until(b'\n').expect("reading from memory cannot fail");
        let newline = usize::from(rest[length - 1] == b'\n');
        if length - newline > self.limit {
            return Err(self.too_long());
        }
        self.cut += length;
        self.count += 1;
        Ok(Some(self.block.slice(start..start + length - newline)))
    }

    /// Fills `block` with whole lines: those that came until `wanted` were there, the buffer was full, the
    /// stream ended or it was the time `until`. False when there is none.
    fn read_block(&mut self, wanted: usize, until: Option<Instant>) -> Result<bool, LineError> {
        let mut newlines = 0;
        let is_time = || until.is_some_and(|until| until <= Instant::now());
        while !self.ended
            && newlines < wanted
            && (newlines == 0 || self.filled < BLOCK)
            && !is_time()
        {
            let new = match self.read_some() {
                Err(LineError::Read(error)) if is(&error, STOPPED) => {
                    self.end_with_whole_lines();
                    break;
                }
                Err(LineError::Read(error)) if is(&error, NOTHING_YET) => continue,
                new => new?,
            };
            newlines += new.iter().filter(|byte| **byte == b'\n').count();
            if newlines == 0 && self.filled > self.limit {
                return Err(self.too_long());
            }
        }
        // At the end of its time the loop may have met no newline, or nothing at all.
        let whole = if self.ended { self.filled } else { self.whole_lines() };
        if whole > 0 {
            self.share(whole);
        }
        Ok(whole > 0)
    }

    /// Where the last whole line in the buffer ends.
    fn whole_lines(&self) -> usize {
        let last = self.buffer[..self.filled].iter().rposition(|byte| *byte == b'\n');
        last.map_or(0, |last| last + 1)
    }

    /// Ends the stream here. What has come of a line that is not whole is nobody's event.
    fn end_with_whole_lines(&mut self) {
        self.filled = self.whole_lines();
        self.ended = true;
    }

    /// Reads once into the room behind what is there, and gives the new part.
    fn read_some(&mut self) -> Result<&[u8], LineError> {
        if self.filled == self.buffer.len() {
            // Only a line larger than the buffer gets past its first size.
            let size = (self.buffer.len() * 2).clamp(BLOCK, self.limit.max(BLOCK) + BLOCK);
            self.buffer.resize(size, 0);
        }
        let start = self.filled;
        loop {
            match self.input.read(&mut self.buffer[start..]) {
                Ok(count) => {
                    self.ended = count == 0;
                    self.filled += count;
                    return Ok(&self.buffer[start..self.filled]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LineError::Read(error)),
            }
        }
    }

    /// Makes the first `whole` bytes the block to cut lines from, and keeps the rest for the next one.
    fn share(&mut self, whole: usize) {
        self.cut = 0;
        if whole < self.buffer.len() / 2 {
            // A slow stream: each line pins its block, so a block must not be much larger than its lines.
            self.block = Bytes::from(&self.buffer[..whole]);
            self.buffer.copy_within(whole..self.filled, 0);
        } else {
            let mut next = vec![0; BLOCK.max(self.filled - whole)];
            next[..self.filled - whole].copy_from_slice(&self.buffer[whole..self.filled]);
            let mut block = std::mem::replace(&mut self.buffer, next);
            block.truncate(whole);
            self.block = Bytes::from(block);
        }
        self.filled -= whole;
    }

    fn too_long(&self) -> LineError {
        LineError::TooLong { line: self.count + 1, limit: self.limit }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Gives the bytes in parts of `step`.
    struct Dribble<'a> {
        bytes: &'a [u8],
        step: usize,
    }

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.step.min(self.bytes.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.bytes[..count]);
            self.bytes = &self.bytes[count..];
            Ok(count)
        }
    }

    fn all(bytes: &[u8], step: usize, limit: usize) -> Result<Vec<Bytes>, LineError> {
        let mut lines = Lines::new(Dribble { bytes, step }, limit);
        let mut found = Vec::new();
        while let Some(line) = lines.next(3, None)? {
            found.push(line);
        }
        assert_eq!(lines.count(), found.len() as u64);
        assert!(lines.next(3, None)?.is_none());
        Ok(found)
    }

    #[test]
    fn lines_are_cut_wherever_the_reads_end() {
        let cases: [(&[u8], &[&str]); 6] = [
            (b"", &[]),
            (b"\n", &[""]),
            (b"a", &["a"]),
            (b"a\nb\n", &["a", "b"]),
            (b"\n\nab\n\nc", &["", "", "ab", "", "c"]),
            (b"one\r\ntwo\n", &["one\r", "two"]),
        ];
        for (bytes, expected) in cases {
            for step in 1..=bytes.len().max(1) {
                let found = all(bytes, step, 100).expect("no line is too long");
                let expected: Vec<Bytes> = expected.iter().map(|line| Bytes::from(*line)).collect();
                assert_eq!(found, expected, "step {step}");
            }
        }
    }

    #[test]
    fn lines_longer_than_a_block_grow_the_buffer() {
        let mut bytes = Vec::new();
        for length in [BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 0, 3, 2 * BLOCK] {
            bytes.resize(bytes.len() + length, b'x');
            bytes.push(b'\n');
        }
        for step in [4096, BLOCK, usize::MAX] {
            let found = all(&bytes, step, 5 * BLOCK).expect("no line is too long");
            let lengths: Vec<usize> = found.iter().map(|line| line.len()).collect();
            let expected = [BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 0, 3, 2 * BLOCK];
            assert_eq!(lengths, expected, "step {step}");
        }
    }

    #[test]
    fn a_line_above_the_limit_is_named_and_not_held() {
        for step in [1, 7, 1000] {
            for text in ["ok\n12345\n123456\nok\n", "ok\n12345\n123456"] {
                match all(text.as_bytes(), step, 5) {
                    Err(LineError::TooLong { line: 3, limit: 5 }) => {}
                    other => panic!("step {step}: {other:?}"),
                }
            }
        }
        let mut lines = Lines::new(io::repeat(b'x'), 3 * BLOCK);
        assert!(matches!(lines.next(1, None), Err(LineError::TooLong { line: 1, .. })));
        assert!(lines.buffer.len() <= 4 * BLOCK);
    }

    #[test]
    fn no_more_is_waited_for_than_is_wanted() {
        /// Ends the test when it is read after the lines were there.
        struct Once(bool);
        impl Read for Once {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                assert!(!std::mem::replace(&mut self.0, true), "read again");
                buffer[..4].copy_from_slice(b"a\nb\n");
                Ok(4)
            }
        }
        let mut lines = Lines::new(Once(false), 100);
        assert_eq!(lines.next(2, None).expect("a line").as_deref(), Some(&b"a"[..]));
        assert_eq!(lines.next(1, None).expect("a line").as_deref(), Some(&b"b"[..]));
    }

    /// Gives each of these in turn; an empty one stands for "nothing yet".
    pub(in crate::cli) struct Parts(pub(in crate::cli) VecDeque<&'static [u8]>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop_front() {
                Some([]) => Err(NOTHING_YET.into()),
                Some(part) => {
                    buffer[..part.len()].copy_from_slice(part);
                    Ok(part.len())
                }
                None => Ok(0),
            }
        }
    }

    #[test]
    fn a_wait_ends_with_what_has_come_and_loses_nothing() {
        let parts: [&[u8]; 5] = [b"a\nb\nc", b"", b"", b"d\n", b"e"];
        let mut lines = Lines::new(Parts(parts.into()), 100);
        let line = |line: Result<Option<Bytes>, LineError>| line.expect("no line is too long");
        assert_eq!(line(lines.next(1, None)).as_deref(), Some(&b"a"[..]));
        let past = Some(Instant::now());
        assert_eq!(line(lines.next(9, past)).as_deref(), Some(&b"b"[..]), "it is there");
        assert_eq!(line(lines.next(9, past)), None, "no more is");
        // Without an end of the wait a silence is no end of the stream.
        assert_eq!(line(lines.next(9, None)).as_deref(), Some(&b"cd"[..]));
        assert_eq!(line(lines.next(9, None)).as_deref(), Some(&b"e"[..]));
        assert_eq!(line(lines.next(9, None)), None);
    }

    #[test]
    fn an_error_of_the_system_is_no_silence() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(11))
            }
        }
        let mut lines = Lines::new(Broken, 100);
        assert!(matches!(lines.next(1, None), Err(LineError::Read(_))));
    }

    #[test]
    fn lines_of_a_full_block_share_it() {
        let bytes = b"0123456789abcdef\n".repeat(BLOCK / 17 + 1);
        let mut lines = Lines::new(&bytes[..], 100);
        let first = lines.next(usize::MAX, None).expect("a line").expect("a line");
        let second = lines.next(usize::MAX, None).expect("a line").expect("a line");
        assert_eq!(first.as_ptr().wrapping_add(17), second.as_ptr());
    }

    #[test]
    fn a_read_error_is_given_on() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::IsADirectory.into())
            }
        }
        let mut lines = Lines::new(Broken, 100);
        assert!(matches!(lines.next(1, None), Err(LineError::Read(_))));
    }
}
