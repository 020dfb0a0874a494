//! Whole files: other lengths, other contents, removed; and time travel of single files.

use flumen::storage::sim::SimDisk;

use crate::sample::{Outcome, Sample, open_and_take};
use crate::support::effort::Effort;
use crate::{halves, samples, step, stride};

/// Whether a file is a segment without a queued event, or a waiting file: the channel is the same without it.
pub(crate) fn is_unneeded(sample: &Sample, name: &str) -> bool {
    let image = sample.disk.snapshot();
    image.remove_file(name);
    sample.judge(&image, &format!("{name} removed")) == Outcome::Same
}

#[test]
fn i6_every_length() {
    let samples = samples();
    let counts = halves(|half, counts| {
        for sample in &samples {
            for (name, bytes) in &sample.files {
                let live = if Sample::is_live(name) { sample.used(name) } else { 0 };
                let dead = (live + 1..bytes.len()).step_by(stride());
                let lengths = (0..=live).step_by(step()).chain(dead);
                for length in lengths.filter(|length| length % 2 == half) {
                    let cut = |bytes: &mut Vec<u8>| bytes.truncate(length);
                    if let Some(image) = sample.damaged(name, cut) {
                        counts.add(sample.judge(&image, &format!("{name} cut to {length}")));
                    }
                }
            }
        }
    });
    counts.report("lengths", Effort::get().pick(500, 40_000, 500_000));
}

/// Bytes without an order, always the same.
fn noise(count: usize) -> impl Iterator<Item = u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(count)
}

#[test]
fn i6_every_file_grown_or_filled() {
    let samples = samples();
    let counts = halves(|half, counts| {
        let sample = &samples[half];
        for name in sample.files.keys() {
            let used = sample.used(name);
            let mut try_one = |change: &dyn Fn(&mut Vec<u8>), what: String| {
                if let Some(image) = sample.damaged(name, change) {
                    counts.add(sample.judge(&image, &what));
                }
            };
            for count in [1, 8, 40, 511, 512, 4096, 5000, 70_000] {
                for fill in [0, 0xff, 0x5a] {
                    try_one(
                        &|bytes| bytes.resize(bytes.len() + count, fill),
                        format!("{name} grown by {count} of {fill}"),
                    );
                }
                try_one(&|bytes| bytes.extend(noise(count)), format!("{name} grown by noise"));
                for from in [0, 4096, used.saturating_sub(count)] {
                    let own = |bytes: &mut Vec<u8>| {
                        let end = (from + count).min(bytes.len());
                        bytes.extend_from_within(from.min(end)..end);
                    };
                    try_one(&own, format!("{name} grown by {count} of its own from {from}"));
                    // The same where its records end.
                    let behind = |bytes: &mut Vec<u8>| {
                        let count = count.min(used - from.min(used)).min(bytes.len() - used);
                        bytes.copy_within(from.min(used)..from.min(used) + count, used);
                    };
                    try_one(&behind, format!("{name} with {count} of its own behind its end"));
                }
            }
            for fill in [0, 0xff, 0x5a] {
                try_one(
                    &|bytes| bytes[used..].fill(fill),
                    format!("{name}: {fill} behind the end"),
                );
                try_one(&|bytes| bytes.fill(fill), format!("{name} filled with {fill}"));
            }
            let random = |bytes: &mut Vec<u8>| {
                let tail = bytes.len() - used;
                bytes.truncate(used);
                bytes.extend(noise(tail));
            };
            try_one(&random, format!("{name}: noise behind the end"));
        }
    });
    counts.report("growth", 1_000);
}

#[test]
fn i6_every_file_and_every_pair_removed_or_exchanged() {
    let samples = samples();
    let counts = halves(|half, counts| {
        let sample = &samples[half];
        for one in sample.files.keys() {
            for other in sample.files.keys() {
                let image = sample.disk.snapshot();
                image.remove_file(one);
                image.remove_file(other);
                counts.add(sample.judge(&image, &format!("{one} and {other} removed")));
                let image = sample.disk.snapshot();
                image.write_file(one, &sample.files[other]);
                counts.add(sample.judge(&image, &format!("{one} is a copy of {other}")));
                image.write_file(one, &sample.files[other]);
                image.write_file(other, &sample.files[one]);
                let image = image.snapshot();
                if one < other {
                    counts.add(sample.judge(&image, &format!("{one} and {other} exchanged")));
                }
            }
        }
    });
    counts.report("files", 100);
}

/// Each file as it was after each operation before; the same of a sister channel with the same history.
#[test]
fn i6_every_file_replaced_by_its_older_self_or_another_channels() {
    let samples = samples();
    let sisters = [Sample::new("sister", 12, true), Sample::new("sister", 12, false)];
    let counts = halves(|half, counts| {
        let sample = &samples[half];
        let mut replace = |from: &SimDisk, name: &str, what: String| {
            let Some(bytes) = from.read_file(name) else { return };
            if let Some(image) = sample.damaged(name, |old| *old = bytes) {
                counts.add(sample.judge(&image, &what));
            }
        };
        for name in sample.files.keys() {
            for (index, past) in sample.past.iter().enumerate() {
                replace(past, name, format!("{name} of operation {index}"));
            }
            for sister in &sisters {
                replace(&sister.disk, name, format!("{name} of another channel"));
                for past in &sister.past {
                    replace(past, name, format!("{name} of another channel, older"));
                }
            }
        }
        // A file that is gone, back again.
        for (index, past) in sample.past.iter().enumerate() {
            for name in past.file_names() {
                if !sample.files.contains_key(&name) {
                    let image = sample.disk.snapshot();
                    image.write_file(&name, &past.read_file(&name).expect("listed"));
                    counts.add(sample.judge(&image, &format!("{name} of {index} is back")));
                }
            }
        }
    });
    counts.report("time", 100);
}

/// An older directory as a whole is the channel of then: nobody can tell, and it works.
#[test]
fn an_older_directory_as_a_whole_works() {
    for sample in samples() {
        for past in &sample.past {
            let found = open_and_take(&past.snapshot(), &[], "older directory");
            let found = found.expect("it was whole");
            assert!(sample.states.contains(&found), "a state as it was: {found:?}");
        }
    }
}
