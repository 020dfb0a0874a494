//! What the demo's log consists of: the sample log, again and again, each line behind its number.
//!
//! The number makes each line unique, and the text of a line follows from its number. So the delivered
//! files can be judged line by line, without holding what was written.

/// Made by a real web server: see `tests/data/README.md`.
const SAMPLE: &[u8] = include_bytes!("../../../tests/data/access.log");
/// Digits of a number, so that lines sort as text too.
const DIGITS: usize = 10;

/// The lines of the sample log.
pub(crate) struct Sample {
    lines: Vec<&'static [u8]>,
}

impl Sample {
    /// Cuts the sample into its lines.
    pub(crate) fn new() -> Sample {
        let lines = SAMPLE.split_inclusive(|byte| *byte == b'\n').collect();
        Sample { lines }
    }

    /// The text behind the number of a line, with its newline.
    fn text(&self, number: u64) -> &'static [u8] {
        self.lines[(number % self.lines.len() as u64) as usize]
    }

    /// Appends the line of this number, with its newline.
    pub(crate) fn append(&self, number: u64, to: &mut Vec<u8>) {
        to.extend_from_slice(format!("{number:0DIGITS$} ").as_bytes());
        to.extend_from_slice(self.text(number));
    }

    /// The number of a line, when it is, byte for byte, the line of that number.
    pub(crate) fn number(&self, line: &[u8]) -> Option<u64> {
        let (digits, text) = line.split_at_checked(DIGITS)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (text.strip_prefix(b" ")? == self.text(number)).then_some(number)
    }
}

/// Largest number of lines that the numbers suffice for.
pub(crate) const LINES_MAX: u64 = 10u64.pow(DIGITS as u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_number_only_when_it_is_whole() {
        let sample = Sample::new();
        assert!(sample.lines.len() > 1000);
        for number in [0, 1, 4098, 4099, LINES_MAX - 1] {
            let mut line = Vec::new();
            sample.append(number, &mut line);
            assert_eq!(sample.number(&line), Some(number));
            assert_eq!(sample.number(&line[..line.len() - 1]), None);
            assert_eq!(sample.number(&line[1..]), None);
            line[20] ^= 1;
            assert_eq!(sample.number(&line), None);
        }
        assert_eq!(sample.number(b""), None);
        assert_eq!(sample.number(b"+000000001 x"), None);
    }
}
