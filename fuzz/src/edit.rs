//! Edits of a directory's files, as a fuzzer's bytes say.

use crate::input::Input;
use crate::sample::{Files, Sample};

const PAGE: usize = 4096;
pub(crate) const HEADER: usize = 40;
/// Names that a file may get, beside those that there are.
const NAMES: [&str; 6] = [
    "checkpoint-a",
    "checkpoint-b",
    "00000000000000000009.seg",
    "spare-00000000000000000003",
    "reserve-00000000000000000004",
    "draft-00000000000000000009.seg",
];
/// How far a file may grow.
const GROWTH_MAX: usize = 8 << 10;
const SIZE_MAX: usize = 256 << 10;

/// How far the edits went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Bytes were altered, lost or misplaced: checksums tell.
    Accident,
    /// Bytes were written and sealed: they may say anything.
    Forgery,
}

/// Makes one edit.
pub(crate) fn edit(files: &mut Files, input: &mut Input<'_>, sample: &Sample) -> Reach {
    let names: Vec<String> = files.keys().cloned().collect();
    let operation = input.byte() % 16;
    let Some(name) = input.pick(&names) else {
        return Reach::Accident;
    };
    match operation {
        0..=8 => {
            let from = input.pick(&names).map(|name| files[name].clone()).unwrap_or_default();
            let bytes = files.get_mut(name).expect("it was listed");
            return change(operation, bytes, &from, input);
        }
        9 => drop(files.remove(name)),
        10 => {
            let bytes = files.remove(name).unwrap_or_default();
            files.insert(other_name(&names, input), bytes);
        }
        11 => {
            let bytes = files[name].clone();
            files.insert(other_name(&names, input), bytes);
        }
        12 => {
            if let Some(older) = input.pick(&sample.past).and_then(|past| past.get(name)) {
                files.insert(name.clone(), older.clone());
            }
        }
        13 => {
            // All of them: what a backup of another day holds.
            if let Some(past) = input.pick(&sample.past) {
                *files = past.clone();
            }
        }
        _ => {
            let bytes = files.get_mut(name).expect("it was listed");
            let at = place(bytes, input);
            let count = 1 + input.below(16);
            for (byte, new) in bytes.iter_mut().skip(at).zip(input.bytes(count)) {
                *byte = *new;
            }
            seal(name, bytes, operation == 14);
            return Reach::Forgery;
        }
    }
    Reach::Accident
}

fn other_name(names: &[String], input: &mut Input<'_>) -> String {
    let index = input.below(names.len() + NAMES.len());
    match names.get(index) {
        Some(name) => name.clone(),
        None => NAMES[index - names.len()].to_string(),
    }
}

/// Seals a file as what its name says it is.
fn seal(name: &str, bytes: &mut [u8], place: bool) {
    match name.starts_with("checkpoint") {
        true => flumen::fuzzing::seal(bytes, place),
        false => flumen::fuzzing::seal_segment(bytes, place),
    }
}

fn change(operation: u8, bytes: &mut Vec<u8>, from: &[u8], input: &mut Input<'_>) -> Reach {
    let at = place(bytes, input);
    match operation {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << input.below(8);
            }
        }
        1 | 2 => {
            let end = (at + 1 + input.number() % 600).min(bytes.len());
            bytes[at.min(end)..end].fill(if operation == 1 { 0 } else { 0xff });
        }
        3 => {
            let block = if input.chance(2) { 512 } else { PAGE };
            let source = place(from, input) / block * block;
            overwrite(bytes, at / block * block, from, source, block);
        }
        4 => swap(bytes, at, input),
        5 => bytes.truncate(at),
        6 => grow(bytes, input),
        7 => {
            // A whole record over another.
            let all = records(from);
            if let Some((source, size)) = input.pick(&all) {
                overwrite(bytes, at, from, *source, *size);
            }
        }
        _ => {
            // A record out of the file, so that those behind it move up.
            let all = records(bytes);
            if let Some((begin, size)) = input.pick(&all) {
                bytes.drain(*begin..begin + size);
            }
        }
    }
    Reach::Accident
}

fn overwrite(bytes: &mut [u8], at: usize, from: &[u8], source: usize, count: usize) {
    let part = from.iter().skip(source).take(count);
    for (byte, new) in bytes.iter_mut().skip(at).zip(part) {
        *byte = *new;
    }
}

fn swap(bytes: &mut [u8], at: usize, input: &mut Input<'_>) {
    let block = if input.chance(2) { 512 } else { PAGE };
    let (one, other) = (at / block * block, place(bytes, input) / block * block);
    if one != other && one.max(other) + block <= bytes.len() {
        for index in 0..block {
            bytes.swap(one + index, other + index);
        }
    }
}

fn grow(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let count = (1 + input.number() % GROWTH_MAX).min(SIZE_MAX.saturating_sub(bytes.len()));
    match input.below(3) {
        0 => bytes.resize(bytes.len() + count, 0),
        1 => bytes.resize(bytes.len() + count, 0xff),
        _ => bytes.extend_from_within(..count.min(bytes.len())),
    }
}

/// A place in a file: near a record's begin, or anywhere in what is in use and a little behind.
fn place(bytes: &[u8], input: &mut Input<'_>) -> usize {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let at = match input.below(3) {
        0 => input.number(),
        1 => input.below(112),
        _ => {
            let all = records(bytes);
            input.pick(&all).map_or(PAGE, |(at, _)| *at) + input.below(HEADER + 24)
        }
    };
    at.checked_rem((used + 64).min(bytes.len())).unwrap_or(0)
}

/// Where records stand, by their own word, and their sizes.
pub(crate) fn records(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = PAGE;
    while let Some(header) = bytes.get(at..at + HEADER).filter(|_| found.len() < 64) {
        let mut size = [0; 4];
        size.copy_from_slice(&header[12..16]);
        let size = (HEADER + u32::from_le_bytes(size) as usize).next_multiple_of(8);
        if !(1..=6).contains(&header[4]) || at + size > bytes.len() {
            break;
        }
        found.push((at, size));
        at += size;
    }
    found
}
