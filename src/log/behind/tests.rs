//! The sync beside the commits, and the watermark that it may raise.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::super::begin::Claim;
use super::super::stream::Outgoing;
use super::super::writer::View;
use super::super::writer::tests::{Slices, append, log};
use super::*;
use crate::storage::sim::SimDisk;

const PIECE: usize = 256 << 10;
/// Of which a piece is the share within a record.
const SEGMENT: u64 = SHARE_OF_RECORD * PIECE as u64;
/// Of which it is the share of whole groups.
const SMALL_SEGMENT: u64 = SHARE_OF_COMMITS * PIECE as u64;

/// Bytes of a record beside its payload.
const HEAD: usize = 40;

/// Syncs that one more round of the helper thread makes.
fn syncs_of_a_round(log: &Log) -> u64 {
    let (before, would_act) = (log.syncs(), log.is_far_ahead());
    log.sync_behind().expect("works");
    let syncs = log.syncs() - before;
    assert_eq!(would_act, syncs > 0, "who wakes the helper thread knows when it acts");
    syncs
}

#[test]
fn large_segments_are_synced_in_parts_no_larger_than_those_of_usual_ones() {
    let mib = 1 << 20;
    for (segment, of_groups, of_record) in
        [(8 * mib, mib, mib / 8), (32 * mib, 4 * mib, mib / 2), (128 * mib, 4 * mib, 2 * mib)]
    {
        assert_eq!([false, true].map(|is_record| part(segment, is_record)), [of_groups, of_record]);
    }
}

/// Also where a commit has synced in between.
#[test]
fn what_is_given_is_synced_once_it_is_a_share_and_once_only() {
    let disk = SimDisk::new(1);
    let log = log(&disk, SMALL_SEGMENT);
    let begin = log.watermark();
    assert_eq!(syncs_of_a_round(&log), 0, "nothing was written");
    // The first ends too close to the end of a page to be filled up, the second too far from it.
    append(&log, &[PIECE - 80 - HEAD]);
    append(&log, &[80 - 8 - HEAD]);
    assert_eq!((syncs_of_a_round(&log), log.watermark()), (0, begin), "8 bytes are missing");
    let pending = disk.pending_effects();
    let group = append(&log, &[0]);
    assert!(disk.pending_effects() > pending);
    assert_eq!((syncs_of_a_round(&log), log.watermark()), (1, group.end));
    assert_eq!((syncs_of_a_round(&log), disk.pending_effects()), (0, 0));
    let group = append(&log, &[PIECE]);
    log.raise_watermark(group.end);
    assert_eq!(syncs_of_a_round(&log), 0, "its own commit has synced it");
    append(&log, &[PIECE - 8 - HEAD]);
    assert_eq!(log.end(), group.end.plus(PIECE as u64 - 8));
    assert_eq!(syncs_of_a_round(&log), 0, "it counts from there");
}

/// I1: while a record is being written that is as long as many shares, the helper thread is called and acts,
/// for each share once. What it syncs is not the record yet: its beginning comes last.
#[test]
fn i1_a_large_record_is_synced_while_it_is_written_and_counts_when_it_is_whole() {
    let disk = SimDisk::new(1);
    let log = log(&disk, SEGMENT);
    let before = append(&log, &[10]);
    log.sync(&before).expect("works");
    log.raise_watermark(before.end);
    let calls = Cell::new(0);
    let pending = RefCell::new(Vec::new());
    let slices = Slices(vec![100, PIECE, PIECE, PIECE, 50]);
    let group = log.append([(Outgoing::InPieces(&slices), 1)].into_iter(), 0, &|| {
        calls.set(calls.get() + 1);
        assert_eq!(syncs_of_a_round(&log), 1);
        pending.borrow_mut().push(disk.pending_effects());
        assert_eq!(log.watermark(), before.end, "half a record");
        assert_eq!(syncs_of_a_round(&log), 0, "nothing was given since");
    });
    let group = group.expect("works");
    // Before the second and the third slice, and before what is left. Then less than a share is not synced.
    assert_eq!((calls.get(), pending.take()), (3, vec![0; 3]));
    assert_eq!((syncs_of_a_round(&log), log.watermark()), (0, before.end));
    append(&log, &[8 * PIECE]);
    assert_eq!((syncs_of_a_round(&log), log.watermark()), (1, log.end()));
    assert!(log.watermark() > group.end && disk.pending_effects() == 0);
}

/// Who writes little calls nobody.
#[test]
fn the_helper_thread_is_not_called_before_it_would_act() {
    let log = log(&SimDisk::new(1), SEGMENT);
    let slices = Slices(vec![10, PIECE, 14]);
    let record = [(Outgoing::InPieces(&slices), 1)].into_iter();
    let calls = Cell::new(0);
    log.append(record, 0, &|| calls.set(calls.get() + 1)).expect("works");
    assert_eq!(calls.get(), 1, "before the end, and not before the beginning, which comes last");
    let slices = Slices(vec![10, PIECE - 72, 10]);
    let log = self::log(&SimDisk::new(1), SEGMENT);
    let record = [(Outgoing::InPieces(&slices), 1)].into_iter();
    log.append(record, 0, &|| panic!("less than a share")).expect("works");
}

/// I1: in the segment that is written now, not in the one before it, which the roll has synced.
#[test]
fn i1_what_is_synced_beside_is_the_segment_being_written() {
    let disk = SimDisk::new(1);
    let log = log(&disk, SMALL_SEGMENT);
    append(&log, &[2 * PIECE]);
    let (upper, lsn, is_done) = (Vec::new(), log.end(), |_: Range<u64>| false);
    let view = View { upper, lsn, next_sequence: 0, is_done: &is_done };
    assert!(log.roll(1000, Claim::Put, &view).expect("works"), "there is room");
    assert_eq!(syncs_of_a_round(&log), 0, "it begins with what is synced");
    let pending = disk.pending_effects();
    let group = append(&log, &[PIECE]);
    assert!(disk.pending_effects() > pending);
    assert_eq!((syncs_of_a_round(&log), log.watermark()), (1, group.end));
    assert!(disk.pending_effects() <= pending, "all that was written");
}
