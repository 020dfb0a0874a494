//! A directory as text, so that a review can see a change in it: files with their size and the bytes that are
//! not zero, and what a reader is to find.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Bytes of one line at most, but for a run of one byte.
const LINE: usize = 32;
/// From so many on, equal bytes are a run.
const RUN: usize = 8;

/// A directory as it was written once, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Golden {
    /// What happened to it.
    pub(crate) about: String,
    /// What a reader is to find, a line each: see `crate::found`.
    pub(crate) expected: Vec<String>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// Bytes as parts "0a0b0c" and "78*20000", with `+` between them.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut was_run = false;
    for run in bytes.chunk_by(|a, b| a == b) {
        let is_run = run.len() >= RUN;
        if !text.is_empty() && (is_run || was_run) {
            text.push('+');
        }
        match is_run {
            true => write!(text, "{:02x}*{}", run[0], run.len()),
            false => run.iter().try_for_each(|byte| write!(text, "{byte:02x}")),
        }
        .expect("a string takes all");
        was_run = is_run;
    }
    text
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    let byte = |digits: &str| u8::from_str_radix(digits, 16).expect("two hexadecimal digits");
    let mut bytes = Vec::new();
    for part in text.split('+').filter(|part| !part.is_empty()) {
        match part.split_once('*') {
            Some((one, count)) => {
                let count: usize = count.parse().expect("a count");
                bytes.extend(std::iter::repeat_n(byte(one), count));
            }
            None => bytes.extend((0..part.len() / 2).map(|at| byte(&part[2 * at..2 * at + 2]))),
        }
    }
    bytes
}

/// The parts of a file that are worth a line: offset and length. Zeros are none of them.
fn lines_of(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut lines: Vec<(usize, usize)> = Vec::new();
    let mut offset = 0;
    for run in bytes.chunk_by(|a, b| a == b) {
        let is_long = run.len() >= RUN;
        match lines.last_mut() {
            _ if is_long && run[0] == 0 => {}
            Some((from, size))
                if *from + *size == offset && (is_long || *size + run.len() <= LINE) =>
            {
                *size += run.len();
            }
            _ => lines.push((offset, run.len())),
        }
        offset += run.len();
    }
    lines
}

impl Golden {
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("about {}\n", self.about);
        for line in &self.expected {
            writeln!(text, "expected {line}").expect("a string takes all");
        }
        for (name, bytes) in &self.files {
            writeln!(text, "file {name} {}", bytes.len()).expect("a string takes all");
            for (offset, size) in lines_of(bytes) {
                let part = encode(&bytes[offset..offset + size]);
                writeln!(text, "{offset:06x} {part}").expect("a string takes all");
            }
        }
        text
    }

    pub(crate) fn from_text(text: &str) -> Golden {
        let mut golden =
            Golden { about: String::new(), expected: Vec::new(), files: BTreeMap::new() };
        let mut file: Option<String> = None;
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').expect("two words");
            match word {
                "about" => golden.about = rest.to_string(),
                "expected" => golden.expected.push(rest.to_string()),
                "file" => {
                    let (name, size) = rest.split_once(' ').expect("a name and a size");
                    let size = size.parse().expect("a size");
                    golden.files.insert(name.to_string(), vec![0; size]);
                    file = Some(name.to_string());
                }
                offset => {
                    let offset = usize::from_str_radix(offset, 16).expect("an offset");
                    let part = decode(rest);
                    let name = file.as_ref().expect("bytes stand below their file");
                    let bytes = golden.files.get_mut(name).expect("just made");
                    bytes[offset..offset + part.len()].copy_from_slice(&part);
                }
            }
        }
        golden
    }
}
