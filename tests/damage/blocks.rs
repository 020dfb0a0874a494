//! Misdirection: blocks and records where others belong.

use flumen::storage::sim::SimDisk;

use crate::sample::{Sample, records};
use crate::support::effort::Effort;
use crate::{Counts, halves, samples, step};

/// Where a block begins.
type Place<'a> = (&'a str, usize);

fn block<'a>(sample: &'a Sample, (name, at): Place<'_>, size: usize) -> &'a [u8] {
    let bytes = &sample.files[name];
    &bytes[at..(at + size).min(bytes.len())]
}

/// Blocks that hold anything, and all blocks.
fn blocks(sample: &Sample, size: usize) -> (Vec<Place<'_>>, Vec<Place<'_>>) {
    let places = sample.files.iter().flat_map(|(name, bytes)| {
        (0..bytes.len() / size).map(move |index| (name.as_str(), index * size))
    });
    let all: Vec<_> = places.collect();
    let is_used = |place: &&Place<'_>| block(sample, **place, size).iter().any(|byte| *byte != 0);
    (all.iter().filter(is_used).copied().collect(), all)
}

fn write(image: &SimDisk, (name, at): Place<'_>, block: &[u8]) {
    let mut bytes = image.read_file(name).expect("it is there");
    bytes[at..at + block.len()].copy_from_slice(block);
    image.write_file(name, &bytes);
}

/// Exchanges two blocks, and copies each over the other.
fn move_blocks(
    sample: &Sample,
    one: Place<'_>,
    other: Place<'_>,
    size: usize,
    counts: &mut Counts,
) {
    let blocks = [one, other].map(|place| block(sample, place, size));
    if blocks[0] == blocks[1] {
        return;
    }
    for (to_one, to_other) in [(true, true), (true, false), (false, true)] {
        let image = sample.disk.snapshot();
        if to_one {
            write(&image, one, blocks[1]);
        }
        if to_other {
            write(&image, other, blocks[0]);
        }
        let what = format!("blocks {one:?} and {other:?} of {size}: {to_one}, {to_other}");
        counts.add(sample.judge(&image, &what));
    }
}

fn all_pairs(size: usize, half: usize, stride: usize, counts: &mut Counts) {
    for sample in &samples() {
        let (used, all) = blocks(sample, size);
        let mut turn = 0;
        for one in &used {
            for other in &all {
                // A pair of blocks in use comes up twice.
                let is_second = used.contains(other) && other <= one;
                turn += 1;
                if !is_second && turn % 2 == half && turn / 2 % stride == 0 {
                    move_blocks(sample, *one, *other, size, counts);
                }
            }
        }
    }
}

#[test]
fn i6_every_pair_of_sectors() {
    let stride = Effort::get().pick(101, 1, 1);
    let counts = halves(|half, counts| all_pairs(512, half, stride, counts));
    counts.report("sectors", Effort::get().pick(300, 45_000, 45_000));
}

#[test]
fn i6_every_pair_of_pages() {
    let stride = Effort::get().pick(5, 1, 1);
    let counts = halves(|half, counts| all_pairs(4096, half, stride, counts));
    counts.report("pages", Effort::get().pick(300, 2_000, 2_000));
}

/// Each record replaced by each other of its length: of its own segment, of another, of a sister channel with
/// the same history, closed or not; and as it was written first, before it was moved.
#[test]
fn i6_every_record_by_every_other_of_its_length() {
    let samples = samples();
    let sisters = [Sample::new("sister", 12, true), Sample::new("sister", 12, false)];
    let sources: Vec<&Sample> = samples.iter().chain(&sisters).collect();
    let mut others: Vec<Vec<u8>> = Vec::new();
    for source in sources {
        for (name, bytes) in source.files.iter().filter(|(name, _)| name.ends_with(".seg")) {
            let of_segment = records(bytes).into_iter();
            others.extend(of_segment.map(|record| {
                assert!(record.at + record.size <= bytes.len(), "{name}");
                bytes[record.at..record.at + record.size].to_vec()
            }));
        }
    }
    others.sort();
    others.dedup();
    let counts = halves(|half, counts| {
        let sample = &samples[half];
        let segments = sample.files.iter().filter(|(name, _)| name.ends_with(".seg"));
        for (name, bytes) in segments {
            for record in records(bytes) {
                let same = others.iter().filter(|other| other.len() == record.size);
                for (index, other) in same.enumerate().step_by(step().min(7)) {
                    let replace = |bytes: &mut Vec<u8>| {
                        bytes[record.at..record.at + record.size].copy_from_slice(other);
                    };
                    let Some(image) = sample.damaged(name, replace) else { continue };
                    let what = format!("record at {} of {name} by number {index}", record.at);
                    counts.add(sample.judge(&image, &what));
                }
            }
        }
    });
    counts.report("records", Effort::get().pick(20, 150, 150));
}
