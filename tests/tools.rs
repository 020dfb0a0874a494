//! The offline tools on channels that are whole, damaged, torn or in use.
#![allow(clippy::disallowed_methods, reason = "tests look at plain files and at the clock")]

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use flumen::storage::sim::{Crash, SimDisk};
use flumen::tools::{
    DumpedRecord, Finding, FindingKind, RecordContent, Salvage, Verification, dump_on, inspect_on,
    salvage_on, verify_on,
};
use flumen::{
    Channel, ChannelOptions, Corruption, Durability, Event, FileChannel, OpenError, TakeError,
    tools,
};

const PAGE: u64 = 4096;
const SLOTS: [&str; 2] = ["checkpoint-a", "checkpoint-b"];

fn options() -> ChannelOptions {
    ChannelOptions::new().segment_size(64 << 10).background(false)
}

fn open(disk: &SimDisk) -> FileChannel {
    FileChannel::open_on(disk.storage(), options()).expect("opens")
}

fn segment(number: u64) -> String {
    format!("{number:020}.seg")
}

/// The body of an event tells its sequence.
fn put(channel: &FileChannel, sequences: Range<u64>, cursor: Option<&str>) {
    let mut put = channel.begin_put();
    for sequence in sequences {
        put.put(Event::new(format!("event {sequence:04}")).with_header("k", "v")).expect("room");
    }
    if let Some(value) = cursor {
        put.set_cursor("source", value.as_bytes()).expect("valid");
    }
    put.commit().expect("commits");
}

/// Takes so many events and says which.
fn take(channel: &FileChannel, count: usize) -> Vec<u64> {
    let mut take = channel.begin_take();
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(sequence_of(&take.take().expect("reads").expect("there is one")));
    }
    take.commit().expect("commits");
    taken
}

fn sequence_of(event: &Event) -> u64 {
    assert_eq!(event.headers.get("k").map(String::as_str), Some("v"));
    let text = String::from_utf8(event.body.to_vec()).expect("text");
    text.strip_prefix("event ").and_then(|digits| digits.parse().ok()).expect("a sequence")
}

/// What a channel should hold.
struct Sample {
    disk: SimDisk,
    left: BTreeSet<u64>,
    /// Segments with their first sequences, ascending; the last is the tail.
    segments: Vec<(u64, u64, u64)>,
}

/// A closed channel: three segments of a few hundred bytes, the first without a wanted event recycled
/// before, acks below and above the oldest event, a cursor in a put and in a take.
fn sample() -> Sample {
    let disk = SimDisk::new(1);
    let mut left: BTreeSet<u64> = (0..60).collect();
    let channel = open(&disk);
    put(&channel, 0..10, Some("ten"));
    for sequence in take(&channel, 10) {
        left.remove(&sequence);
    }
    drop(channel);
    let channel = open(&disk);
    put(&channel, 10..15, None);
    put(&channel, 15..20, Some("twenty"));
    channel.maintain().expect("writes a watermark");
    drop(channel);
    let channel = open(&disk);
    put(&channel, 20..30, None);
    // Two of the first events go, then, while the first is held, one above it.
    for sequence in take(&channel, 2) {
        left.remove(&sequence);
    }
    let mut held = channel.begin_take();
    held.take().expect("reads").expect("there is one");
    for sequence in take(&channel, 1) {
        left.remove(&sequence);
    }
    drop(held);
    channel.maintain().expect("writes a watermark");
    put(&channel, 30..34, None);
    drop(channel);
    let channel = open(&disk);
    put(&channel, 34..40, None);
    put(&channel, 40..60, Some("sixty"));
    let mut held = channel.begin_take();
    held.take().expect("reads").expect("there is one");
    held.take().expect("reads").expect("there is one");
    for sequence in take(&channel, 4) {
        left.remove(&sequence);
    }
    drop(held);
    channel.close().expect("closes");
    drop(channel);
    let disk = disk.crash(&Crash::KeepAll);
    let table = inspect_on(disk.storage()).expect("a channel").table;
    let row = |row: &flumen::tools::SegmentInspection| {
        (row.number, row.first_sequence, PAGE + row.record_bytes)
    };
    let segments = table.iter().map(row).collect();
    Sample { disk, left, segments }
}

fn verify(disk: &SimDisk) -> Result<Verification, OpenError> {
    verify_on(disk.storage(), &mut |_, _| {})
}

/// Salvages and holds the outcome against the truth.
fn salvage(disk: &SimDisk, left: &BTreeSet<u64>, what: &str) -> Salvage {
    let before = disk.image_hash();
    let target = SimDisk::new(7);
    let report = salvage_on(disk.storage(), target.storage(), options(), &mut |_, _| {});
    let report = report.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(disk.image_hash(), before, "{what}: the damaged channel was written");
    let target = target.crash(&Crash::LoseAll);
    assert!(verify(&target).expect("a channel").is_intact(), "{what}");
    let channel = open(&target);
    let mut delivered = Vec::new();
    let mut take = channel.begin_take();
    while let Some(event) = take.take().expect("reads") {
        delivered.push(sequence_of(&event));
    }
    assert_eq!(delivered.len() as u64, report.events, "{what}");
    assert!(delivered.is_sorted_by(|a, b| a < b), "{what}: order {delivered:?}");
    let delivered: BTreeSet<u64> = delivered.into_iter().collect();
    let again = delivered.difference(left).count() as u64;
    assert!(again <= report.possibly_again, "{what}: {again} again, {report:?}");
    let missing: BTreeSet<u64> = left.difference(&delivered).copied().collect();
    let told: BTreeSet<u64> =
        report.lost.iter().chain(&report.unconfirmed).cloned().flatten().collect();
    let told: BTreeSet<u64> = told.into_iter().collect();
    if report.possibly_again == 0 {
        assert_eq!(told, missing, "{what}: {report:?}");
    } else {
        assert!(told.is_superset(&missing), "{what}: {missing:?} {report:?}");
        assert!(told.is_disjoint(&delivered), "{what}: {delivered:?} {report:?}");
    }
    if !report.are_cursors_in_doubt {
        assert_eq!(channel.cursor("source").as_deref(), Some(&b"sixty"[..]), "{what}");
    }
    report
}

/// The bytes of each file that count.
fn live_areas(sample: &Sample) -> Vec<(String, u64)> {
    let mut areas = Vec::new();
    for slot in SLOTS {
        let bytes = sample.disk.read_file(slot).expect("both slots are there");
        let size = u32::from_le_bytes([bytes[96], bytes[97], bytes[98], bytes[99]]);
        areas.push((slot.to_string(), 112 + u64::from(size)));
    }
    for (number, _, end) in &sample.segments {
        areas.push((segment(*number), *end));
    }
    areas
}

#[test]
fn the_sample_is_what_the_tests_need() {
    let sample = sample();
    assert_eq!(sample.segments.len(), 3, "{:?}", sample.segments);
    let inspection = inspect_on(sample.disk.storage()).expect("a channel");
    assert!(inspection.clean && !inspection.in_use);
    assert_eq!(inspection.events, sample.left.len() as u64);
    assert_eq!(Some(&inspection.oldest_sequence), sample.left.first());
    assert_eq!((inspection.next_sequence, inspection.replay_bytes), (60, 0));
    assert_eq!(inspection.cursors["source"], b"sixty");
    let sizes = |name: &String| sample.disk.read_file(name).map_or(0, |bytes| bytes.len() as u64);
    assert_eq!(inspection.disk_bytes, sample.disk.file_names().iter().map(sizes).sum::<u64>());
    let found = verify(&sample.disk).expect("a channel");
    assert_eq!(found.findings, []);
    assert_eq!((found.events, found.bytes), (inspection.events, inspection.bytes));
    let report = salvage(&sample.disk, &sample.left, "whole");
    assert!(report.is_complete() && report.findings.is_empty());
    assert!(report.possibly_again == 0 && !report.are_cursors_in_doubt);
}

#[test]
fn i6_verify_notices_every_flipped_bit_that_counts() {
    let sample = sample();
    for (file, end) in live_areas(&sample) {
        for bit in 0..end * 8 {
            assert!(sample.disk.flip_bit(&file, bit));
            let noticed = match verify(&sample.disk) {
                Ok(found) => found
                    .findings
                    .iter()
                    .any(|finding| finding.kind == FindingKind::Damage && finding.file == file),
                Err(error) => panic!("{file} bit {bit}: {error}"),
            };
            assert!(noticed, "{file}, bit {bit} of byte {}", bit / 8);
            sample.disk.flip_bit(&file, bit);
        }
    }
}

#[test]
fn a_bit_that_does_not_count_is_no_damage() {
    let sample = sample();
    let areas = live_areas(&sample);
    let mut tried = 0;
    for file in sample.disk.file_names() {
        let size = sample.disk.read_file(&file).map_or(0, |bytes| bytes.len() as u64);
        let live = areas.iter().find(|(name, _)| *name == file).map_or(0, |(_, end)| *end);
        for bit in (live * 8..size * 8).step_by(1001) {
            sample.disk.flip_bit(&file, bit);
            let found = verify(&sample.disk).expect("a channel");
            assert!(found.is_intact(), "{file}, bit {bit}: {:?}", found.findings);
            sample.disk.flip_bit(&file, bit);
            tried += 1;
        }
    }
    assert!(tried > 1000);
}

#[test]
fn i6_salvage_accounts_for_every_event_whatever_bit_flips() {
    let sample = sample();
    for (file, end) in live_areas(&sample) {
        // The header pages are mostly zeros: there every place is like the others.
        let bits = (0..end * 8).filter(|bit| bit % 211 == 0 || (bit / 8 >= PAGE && bit % 23 == 0));
        for bit in bits {
            sample.disk.flip_bit(&file, bit);
            let report = salvage(&sample.disk, &sample.left, &format!("{file} bit {bit}"));
            let damage = |finding: &flumen::tools::Finding| finding.kind == FindingKind::Damage;
            let is_slot = SLOTS.contains(&file.as_str());
            assert!(is_slot || report.findings.iter().any(damage), "{file} bit {bit}");
            sample.disk.flip_bit(&file, bit);
        }
    }
}

#[test]
fn i6_every_length_of_every_file_is_noticed_and_accounted_for() {
    let sample = sample();
    for (file, end) in live_areas(&sample) {
        let whole = sample.disk.read_file(&file).expect("it is there");
        let lengths = (0..end).filter(|length| length % 64 == 0 || length % 97 == 0);
        for length in lengths {
            sample.disk.write_file(&file, &whole[..length as usize]);
            let what = format!("{file} cut to {length}");
            assert!(!verify(&sample.disk).expect("a channel").is_intact(), "{what}");
            if length % 320 == 0 {
                salvage(&sample.disk, &sample.left, &what);
            }
        }
        sample.disk.write_file(&file, &whole);
    }
}

#[test]
fn salvage_after_a_broken_header_page_loses_nothing() {
    let sample = sample();
    for (number, _, _) in &sample.segments {
        let mut bytes = sample.disk.read_file(&segment(*number)).expect("it is there");
        bytes[..PAGE as usize].fill(0);
        let whole = sample.disk.read_file(&segment(*number)).expect("it is there");
        sample.disk.write_file(&segment(*number), &bytes);
        let report = salvage(&sample.disk, &sample.left, "header page");
        assert!(report.is_complete() && report.possibly_again == 0, "{report:?}");
        assert!(!verify(&sample.disk).expect("a channel").is_intact());
        sample.disk.write_file(&segment(*number), &whole);
    }
}

#[test]
fn salvage_without_any_header_page_or_slot_finds_the_name_in_what_is_left() {
    let sample = sample();
    for (number, _, _) in &sample.segments {
        sample.disk.flip_bit(&segment(*number), 4000 * 8);
    }
    for slot in SLOTS {
        sample.disk.flip_bit(slot, 20 * 8);
    }
    let report = salvage(&sample.disk, &sample.left, "no page, no slot");
    assert!(report.is_complete(), "{report:?}");
    assert!(!verify(&sample.disk).expect("a channel").is_intact());
}

/// The records of a segment: offset, kind, sequence, size.
fn records(disk: &SimDisk, wanted: u64) -> Vec<(u64, &'static str, u64)> {
    let mut records = Vec::new();
    dump_on(disk.storage(), &mut |record| {
        if let DumpedRecord::Record { segment, offset, kind, sequence, .. } = record
            && segment == wanted
        {
            records.push((offset, kind, sequence));
        }
        ControlFlow::Continue(())
    })
    .expect("a channel");
    records
}

#[test]
fn salvage_names_exactly_the_events_of_a_broken_record() {
    let sample = sample();
    let (mut broken, mut losses) = (0, 0);
    for (number, _, _) in &sample.segments {
        for (offset, kind, sequence) in records(&sample.disk, *number) {
            // In the payload, then in the header.
            for bit in [(offset + 50) * 8, (offset + 13) * 8] {
                if kind == "watermark" || kind == "close" {
                    continue;
                }
                sample.disk.flip_bit(&segment(*number), bit);
                let report = salvage(&sample.disk, &sample.left, kind);
                let has_events = kind == "put" || kind == "moved";
                assert!(has_events || report.lost.is_empty(), "{kind}");
                losses += usize::from(report.lost.first().is_some_and(|lost| lost.end > sequence));
                assert_eq!(report.unconfirmed, []);
                assert_eq!(report.lost_from, None);
                broken += 1;
                sample.disk.flip_bit(&segment(*number), bit);
            }
        }
    }
    assert!(broken > 10 && losses > 5, "{losses} of {broken}");
}

#[test]
fn salvage_without_a_segment_names_its_events() {
    let sample = sample();
    for (index, (number, first, _)) in sample.segments.iter().enumerate() {
        let whole = sample.disk.read_file(&segment(*number)).expect("it is there");
        sample.disk.remove_file(&segment(*number));
        let end = sample.segments.get(index + 1).map_or(60, |(_, first, _)| *first);
        let report = salvage(&sample.disk, &sample.left, "no segment");
        let lost: BTreeSet<u64> = report.lost.iter().cloned().flatten().collect();
        let wanted: BTreeSet<u64> = sample.left.range(*first..end).copied().collect();
        assert_eq!(lost, wanted, "segment {number}: {report:?}");
        assert_eq!((report.possibly_again, report.lost_from), (0, None));
        let found = verify(&sample.disk).expect("a channel");
        let names = |finding: &flumen::tools::Finding| finding.file == segment(*number);
        assert!(!found.is_intact() && found.findings.iter().any(names), "{found:?}");
        sample.disk.write_file(&segment(*number), &whole);
    }
}

#[test]
fn salvage_without_slots_asks_the_newest_state() {
    let sample = sample();
    for slot in SLOTS {
        sample.disk.remove_file(slot);
    }
    let report = salvage(&sample.disk, &sample.left, "no slots");
    assert!(report.is_complete() && report.possibly_again == 0, "{report:?}");
    // And without that one either, an older one and the acks behind it.
    let (number, _, _) = sample.segments[2];
    sample.disk.flip_bit(&segment(number), (PAGE + 45) * 8);
    let report = salvage(&sample.disk, &sample.left, "no slots, no newest state");
    assert!(report.is_complete(), "{report:?}");
}

#[test]
fn salvage_without_the_record_of_a_take_says_what_may_come_again() {
    let sample = sample();
    SLOTS.iter().for_each(|slot| assert!(sample.disk.remove_file(slot)));
    let tail = sample.segments[2].0;
    let mut acks = 0;
    for (offset, kind, _) in records(&sample.disk, tail) {
        for bit in [(offset + 45) * 8, (offset + 13) * 8] {
            if kind == "ack" {
                sample.disk.flip_bit(&segment(tail), bit);
                let report = salvage(&sample.disk, &sample.left, "ack");
                assert!(report.is_complete() && report.are_cursors_in_doubt);
                assert_eq!(report.events, sample.left.len() as u64 + 4);
                assert!(report.possibly_again >= 4, "{report:?}");
                sample.disk.flip_bit(&segment(tail), bit);
                acks += 1;
            }
        }
    }
    assert_eq!(acks, 2);
}

#[test]
fn salvage_of_wild_damage_never_lies() {
    let sample = sample();
    let areas = live_areas(&sample);
    let mut seed: u64 = 1;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) % below
    };
    let mut done = 0;
    for turn in 0..1500 {
        let disk = sample.disk.snapshot();
        let mut what = Vec::new();
        for _ in 0..=random(6) {
            let (file, end) = &areas[random(areas.len() as u64) as usize];
            match random(8) {
                0 => {
                    disk.remove_file(file);
                    what.push(format!("{file} removed"));
                }
                1 => {
                    let bytes = disk.read_file(file).unwrap_or_default();
                    let length = random(*end).min(bytes.len() as u64);
                    disk.write_file(file, &bytes[..length as usize]);
                    what.push(format!("{file} cut to {length}"));
                }
                _ => {
                    // Where records are, mostly.
                    let from = if *end > PAGE && random(4) > 0 { PAGE } else { 0 };
                    let bit = from * 8 + random((end - from) * 8);
                    disk.flip_bit(file, bit);
                    what.push(format!("{file} bit {bit}"));
                }
            }
        }
        let target = SimDisk::new(7);
        let report = salvage_on(disk.storage(), target.storage(), options(), &mut |_, _| {});
        let Ok(report) = report else { continue };
        done += 1;
        let channel = open(&target);
        let mut taken = channel.begin_take();
        let mut delivered = Vec::new();
        while let Some(event) = taken.take().expect("reads") {
            delivered.push(sequence_of(&event));
        }
        let what = format!("turn {turn}: {what:?}\n{delivered:?}\n{report:?}");
        assert!(delivered.is_sorted_by(|a, b| a < b), "{what}");
        let delivered: BTreeSet<u64> = delivered.into_iter().collect();
        let again = delivered.difference(&sample.left).count() as u64;
        assert!(again <= report.possibly_again, "{again} again, {what}");
        let told: BTreeSet<u64> =
            report.lost.iter().chain(&report.unconfirmed).cloned().flatten().collect();
        let open_end = report.lost_from.unwrap_or(u64::MAX);
        let is_told = |sequence: &u64| {
            told.contains(sequence)
                || *sequence >= open_end
                || *sequence < report.lost_before.unwrap_or(0)
        };
        assert!(sample.left.difference(&delivered).all(is_told), "{what}");
        assert!(told.is_disjoint(&delivered), "{what}");
    }
    assert!(done > 1000, "{done}");
}

#[test]
fn all_damage_is_listed_not_only_the_first() {
    let sample = sample();
    let mut wanted = Vec::new();
    for (number, _, _) in &sample.segments {
        for (offset, kind, _) in records(&sample.disk, *number) {
            if kind == "put" || kind == "moved" {
                sample.disk.flip_bit(&segment(*number), (offset + 50) * 8);
                wanted.push((segment(*number), offset));
            }
        }
    }
    assert!(wanted.len() >= 5);
    let found = verify(&sample.disk).expect("a channel").findings;
    for (file, offset) in wanted {
        let here = found.iter().find(|finding| finding.file == file && finding.offset == offset);
        let here = here.unwrap_or_else(|| panic!("{file} {offset}: {found:?}"));
        assert!(here.sequences.is_some() && here.kind == FindingKind::Damage);
    }
}

/// The damage that an owner meets, at the opening or in a take.
fn met(disk: &SimDisk) -> Option<Corruption> {
    let channel = match FileChannel::open_on(disk.storage(), options()) {
        Ok(channel) => channel,
        Err(OpenError::Corrupt(damage)) => return Some(damage),
        Err(error) => panic!("{error}"),
    };
    let mut take = channel.begin_take();
    loop {
        match take.take() {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(TakeError::Corrupt(damage)) => return Some(damage),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Who is told of damage by a take and asks `verify` is to find the same events named.
#[test]
fn an_owner_and_verify_name_the_same_events() {
    let clean = sample();
    let unclean = sample();
    // Closed once more, but for the mark in one slot.
    unclean.disk.flip_bit(SLOTS[0], 20 * 8);
    let mut count = 0;
    for sample in [&clean, &unclean] {
        for (number, _, _) in &sample.segments {
            let mut places: Vec<u64> = vec![0];
            places.extend(records(&sample.disk, *number).iter().map(|(offset, ..)| *offset));
            // In a record's header, and in its payload; of the segment's header page, both times in it.
            for (offset, byte) in places.into_iter().flat_map(|at| [(at, at + 24), (at, at + 45)]) {
                let disk = sample.disk.snapshot();
                disk.flip_bit(&segment(*number), byte * 8);
                let Some(damage) = met(&disk) else { continue };
                let found = verify(&disk).expect("a channel").findings;
                let is_it = |f: &&Finding| (&f.file, f.offset) == (&damage.file, damage.offset);
                let finding = found.iter().find(is_it);
                let finding = finding.unwrap_or_else(|| panic!("{damage}: {found:?}"));
                let named = damage.sequences.clone().filter(|range| !range.is_empty());
                assert_eq!(named, finding.sequences, "byte {byte}, {offset}: {damage}; {finding}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn after_an_unclean_stop_a_cut_off_write_is_a_note() {
    let disk = SimDisk::new(3);
    let channel = open(&disk);
    put(&channel, 0..5, None);
    channel.maintain().expect("writes a watermark");
    put(&channel, 5..10, None);
    drop(channel);
    let disk = disk.crash(&Crash::KeepAll);
    let found = verify(&disk).expect("a channel");
    assert_eq!((found.findings.len(), found.events, found.clean), (0, 10, false));
    let (offset, _, _) = *records(&disk, 1).last().expect("a record");
    disk.flip_bit(&segment(1), (offset + 60) * 8);
    let found = verify(&disk).expect("a channel");
    assert!(found.is_intact() && found.findings.len() == 1, "{found:?}");
    assert_eq!((found.events, found.findings[0].offset), (5, offset));
    let left: BTreeSet<u64> = (0..5).collect();
    let target = SimDisk::new(7);
    let report = salvage_on(disk.storage(), target.storage(), options(), &mut |_, _| {});
    let report = report.expect("salvages");
    assert_eq!((report.events, &report.lost, report.lost_from), (left.len() as u64, &vec![], None));
    // A torn slot is a note, too; both torn are damage.
    disk.flip_bit(SLOTS[0], 30 * 8);
    assert!(verify(&disk).expect("a channel").is_intact());
    disk.flip_bit(SLOTS[1], 30 * 8);
    assert!(!verify(&disk).expect("a channel").is_intact());
}

#[test]
fn whatever_a_crash_leaves_is_intact() {
    let disk = SimDisk::new(11);
    disk.record();
    let channel = open(&disk);
    for turn in 0..6 {
        put(&channel, turn * 100..turn * 100 + 100, Some("x"));
        take(&channel, 70);
        channel.maintain().expect("works");
    }
    drop(channel);
    let channel = open(&disk);
    put(&channel, 600..900, None);
    take(&channel, 400);
    channel.close().expect("closes");
    drop(channel);
    let channel = open(&disk);
    put(&channel, 900..1000, None);
    drop(channel);
    let moments = disk.take_recording();
    assert!(moments.len() > 100);
    for (index, moment) in moments.iter().enumerate() {
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(index as u64)] {
            let found = moment.crash(&crash);
            match verify(&found) {
                Ok(found) => assert!(found.is_intact(), "call {index}: {:?}", found.findings),
                Err(OpenError::NotAChannel { .. }) => assert!(index < 30, "call {index}"),
                Err(error) => panic!("call {index}: {error}"),
            }
        }
    }
}

#[test]
fn dump_tells_every_record() {
    let sample = sample();
    let (mut puts, mut acks, mut segments, mut flaws) = (0, 0, 0, 0);
    let mut visit = |record| {
        match record {
            DumpedRecord::Segment { .. } => segments += 1,
            DumpedRecord::Record { content: RecordContent::Put { events, .. }, .. } => {
                puts += events
            }
            DumpedRecord::Record { content: RecordContent::Ack { ranges, .. }, .. } => {
                acks += ranges.len();
            }
            DumpedRecord::Flaw { .. } | DumpedRecord::Remains { .. } => flaws += 1,
            _ => {}
        }
        ControlFlow::Continue(())
    };
    dump_on(sample.disk.storage(), &mut visit).expect("a channel");
    assert_eq!((puts, segments, flaws), (50, 3, 0));
    assert!(acks >= 3);
    sample.disk.flip_bit(&segment(sample.segments[0].0), (PAGE + 60) * 8);
    let mut flaws = 0;
    dump_on(sample.disk.storage(), &mut |record| {
        flaws += usize::from(matches!(record, DumpedRecord::Flaw { .. }));
        if flaws > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .expect("a channel");
    assert_eq!(flaws, 1);
}

#[test]
fn what_is_no_channel_or_in_use_is_refused() {
    let empty = SimDisk::new(1);
    assert!(matches!(verify(&empty), Err(OpenError::NotAChannel { .. })));
    assert!(matches!(inspect_on(empty.storage()), Err(OpenError::NotAChannel { .. })));
    let mut stop = |_| ControlFlow::Break(());
    assert!(matches!(dump_on(empty.storage(), &mut stop), Err(OpenError::NotAChannel { .. })));
    let disk = SimDisk::new(2);
    let channel = open(&disk);
    put(&channel, 0..3, None);
    assert!(matches!(verify(&disk), Err(OpenError::InUse { .. })));
    let inspection = inspect_on(disk.storage()).expect("a channel");
    assert!(inspection.in_use && inspection.events == 3 && !inspection.clean);
    assert!(inspection.owner.is_some());
    let target = SimDisk::new(3);
    let refused = salvage_on(disk.storage(), target.storage(), options(), &mut |_, _| {});
    assert!(refused.is_err() && target.file_names().is_empty());
    drop(channel);
    target.write_file("anything", b"x");
    let refused = salvage_on(disk.storage(), target.storage(), options(), &mut |_, _| {});
    assert!(matches!(refused, Err(flumen::tools::SalvageError::Place { .. })));
    assert_eq!(target.file_names(), ["anything"]);
}

/// The copy's own segments go with their events; later ones are as large as always.
#[test]
fn i12_a_large_copy_has_large_segments_until_they_are_drained() {
    const MIB: u64 = 1 << 20;
    let place = tempfile::tempdir().expect("a directory");
    let [from, to] = ["from", "to"].map(|name| place.path().join(name));
    let unsynced = || ChannelOptions::new().durability(Durability::Os);
    let body = |number: u64| [&number.to_le_bytes()[..], &[7; 64 << 10]].concat();
    let put = |channel: &FileChannel, numbers: Range<u64>| {
        let mut put = channel.begin_put();
        numbers.for_each(|number| put.put(Event::new(body(number))).expect("room"));
        put.commit().expect("commits");
    };
    let channel = FileChannel::open(&from, unsynced()).expect("opens");
    (0..280).for_each(|turn| put(&channel, turn * 16..turn * 16 + 16));
    channel.close().expect("closes");
    drop(channel);
    let saved = tools::salvage(&from, &to, ChannelOptions::new(), &mut |_, _| {}).expect("works");
    assert!(saved.is_complete() && saved.events == 280 * 16);
    let sizes = || {
        let files =
            std::fs::read_dir(&to).expect("a directory").map(|file| file.expect("an entry"));
        let segments = files.filter(|file| file.path().extension().is_some_and(|end| end == "seg"));
        segments.map(|file| file.metadata().expect("is there").len()).collect::<Vec<_>>()
    };
    let copied = sizes();
    assert!(copied.len() > 7 && copied.iter().all(|size| *size == 35 * MIB), "{copied:?}");
    let channel = FileChannel::open(&to, unsynced()).expect("opens");
    put(&channel, 280 * 16..280 * 16 + 1);
    assert_eq!(sizes(), copied, "the last one is written on");
    (281..330).for_each(|turn| put(&channel, turn * 16 - 15..turn * 16 + 1));
    let mut taken = 0;
    while taken < 329 * 16 + 1 {
        let mut take = channel.begin_take();
        for event in take.take_up_to(100).expect("reads") {
            assert_eq!(event.body[..], body(taken));
            taken += 1;
        }
        take.commit().expect("commits");
    }
    channel.checkpoint().expect("works");
    assert_eq!(sizes(), [32 * MIB]);
}

/// Names, contents, sizes and times of change of all files.
fn fingerprint(directory: &std::path::Path) -> Vec<(String, Vec<u8>, std::time::SystemTime)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let changed = entry.metadata().and_then(|metadata| metadata.modified()).expect("a time");
        let bytes = std::fs::read(entry.path()).expect("readable");
        files.push((entry.file_name().to_string_lossy().into_owned(), bytes, changed));
    }
    files.sort();
    let changed = std::fs::metadata(directory).and_then(|metadata| metadata.modified());
    files.push((".".into(), Vec::new(), changed.expect("a time")));
    files
}

#[test]
fn the_tools_write_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let directory = place.path().join("queue");
    let channel = FileChannel::open(&directory, options()).expect("opens");
    put(&channel, 0..200, Some("x"));
    take(&channel, 20);
    channel.close().expect("closes");
    drop(channel);
    let before = fingerprint(&directory);
    tools::inspect(&directory).expect("a channel");
    assert!(tools::verify(&directory, &mut |_, _| {}).expect("a channel").is_intact());
    tools::dump(&directory, &mut |_| ControlFlow::Continue(())).expect("a channel");
    let to = place.path().join("new");
    let mut last = (0, 0);
    let report = tools::salvage(&directory, &to, options(), &mut |done, all| last = (done, all));
    assert_eq!(report.expect("salvages").events, 180);
    assert!(last.0 == last.1 && last.0 > 0);
    assert_eq!(fingerprint(&directory), before);
    let within = directory.join("new");
    let refused = tools::salvage(&directory, &within, options(), &mut |_, _| {});
    assert!(matches!(refused, Err(tools::SalvageError::Place { .. })));
    let nowhere = place.path().join("nowhere");
    let refused = tools::salvage(&nowhere, place.path().join("x"), options(), &mut |_, _| {});
    assert!(refused.is_err() && !place.path().join("x").exists());
    assert_eq!(fingerprint(&directory), before);
}

struct StopOnDrop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn inspect_beside_an_owner_that_rolls_and_recycles_never_fails() {
    use flumen::Durability;
    use std::sync::atomic::{AtomicBool, Ordering};
    let place = tempfile::tempdir().expect("a directory");
    let directory = place.path().join("queue");
    let options = options().durability(Durability::Os);
    let channel = FileChannel::open(&directory, options).expect("opens");
    let stop = AtomicBool::new(false);
    let (mut looks, mut old, mut last) = (0, 0, 0);
    std::thread::scope(|scope| {
        let owner = scope.spawn(|| {
            let mut rolls = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut put = channel.begin_put();
                put.put(Event::new(vec![7; 40_000])).expect("room");
                put.commit().expect("commits");
                let mut take = channel.begin_take();
                take.take().expect("reads").expect("there is one");
                take.commit().expect("commits");
                rolls += 1;
            }
            rolls
        });
        // A failed assertion must not leave the owner running.
        let _stop = StopOnDrop(&stop);
        let started = std::time::Instant::now();
        while started.elapsed().as_secs() < 3 {
            let seen = tools::inspect(&directory);
            let seen = match seen {
                Ok(seen) => seen,
                Err(error) => panic!("look {looks}: {error}"),
            };
            assert!(seen.in_use && seen.events <= 1, "{seen:?}");
            assert!(seen.next_sequence >= last || seen.as_of_checkpoint, "time goes on");
            last = last.max(seen.next_sequence);
            old += usize::from(seen.as_of_checkpoint);
            looks += 1;
        }
        stop.store(true, Ordering::Relaxed);
        let rolls = owner.join().expect("the owner is well");
        assert!(rolls > 100 && looks > 100, "{rolls} rolls, {looks} looks, {old} of them old");
    });
    channel.close().expect("it was not disturbed");
}
