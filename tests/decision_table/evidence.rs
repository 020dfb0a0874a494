//! The evidence for each row: what a crash leaves, where one does; else bytes altered with their checksums right.

use flumen::marks::Row;
use flumen::storage::sim::{CallKind, Crash, SimDisk};
use flumen::{Channel, Event, FileChannel};

use crate::bytes::*;
use crate::support::history::options;
use crate::{Case, Taken, Verdict, open};

pub(crate) fn put(channel: &FileChannel, count: usize, size: usize) {
    let mut put = channel.begin_put();
    for index in 0..count {
        put.put(Event::new(format!("{index}:{}", "x".repeat(size)))).expect("there is room");
    }
    put.commit().expect("works");
}

/// Runs a history on a new channel, which is then dropped.
pub(crate) fn channel_of(seed: u64, history: impl FnOnce(&FileChannel)) -> SimDisk {
    let disk = SimDisk::new(seed);
    let channel = FileChannel::open_on(disk.storage(), options()).expect("a new channel");
    history(&channel);
    drop(channel);
    disk.crash(&Crash::KeepAll)
}

/// Three commits of two events; the last is unproven.
fn unclean() -> SimDisk {
    channel_of(1, |channel| (0..3).for_each(|_| put(channel, 2, 10)))
}

fn closed() -> SimDisk {
    channel_of(1, |channel| {
        put(channel, 3, 10);
        channel.close().expect("works");
    })
}

/// Several segments, nothing taken.
pub(crate) fn rolled() -> SimDisk {
    let disk = channel_of(2, |channel| (0..20).for_each(|_| put(channel, 1, 9000)));
    assert!(segments(&disk).len() > 2);
    disk
}

/// The slots are older than the last segment, by one.
fn old_slots() -> SimDisk {
    let slots: std::cell::RefCell<Vec<Vec<u8>>> = std::cell::RefCell::default();
    let disk = SimDisk::new(3);
    let channel = FileChannel::open_on(disk.storage(), options()).expect("a new channel");
    while segments(&disk).len() < 3 {
        slots.replace(SLOTS.map(|slot| disk.read_file(slot).expect("there")).to_vec());
        put(&channel, 1, 9000);
    }
    put(&channel, 2, 10);
    drop(channel);
    let disk = disk.crash(&Crash::KeepAll);
    for (name, bytes) in SLOTS.iter().zip(slots.into_inner()) {
        disk.write_file(name, &bytes);
    }
    disk
}

fn without_slots(disk: SimDisk) -> SimDisk {
    SLOTS.iter().for_each(|slot| assert!(disk.remove_file(slot)));
    disk
}

fn with(disk: SimDisk, change: impl FnOnce(&SimDisk)) -> SimDisk {
    change(&disk);
    disk
}

/// The moments of a history, or ones on which a crash loses all that is not synced, whose opening takes `row` and ends
/// so.
fn moments(row: Row, end: Verdict, history: impl FnOnce(&FileChannel)) -> Vec<SimDisk> {
    let disk = SimDisk::new(4);
    disk.record();
    let channel = FileChannel::open_on(disk.storage(), options()).expect("a new channel");
    history(&channel);
    drop(channel);
    let moments = disk.take_recording();
    let images = moments
        .iter()
        .flat_map(|moment| [moment.crash(&Crash::LoseAll), moment.crash(&Crash::KeepAll)]);
    let hits = images.filter(|image| {
        let before = Taken::now();
        let (verdict, _) = open(&image.snapshot(), options());
        verdict == end && before.since().has(row)
    });
    let hits: Vec<SimDisk> = hits.collect();
    assert!(!hits.is_empty(), "no crash leaves {row:?}");
    hits
}

fn moment(row: Row, end: Verdict, history: impl FnOnce(&FileChannel)) -> SimDisk {
    moments(row, end, history).swap_remove(0)
}

/// All cases, in the order of the table.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(unreadable());
    cases.extend(slots());
    cases.extend(named_tails());
    cases.extend(no_slots());
    cases.extend(newer_segments());
    cases.extend(wrong_records());
    cases.extend(ends());
    cases.extend(witnesses());
    cases
}

fn unreadable() -> Vec<Case> {
    use CallKind::{List, Open, Read, Size};
    use Verdict::{Error, Unsupported};
    let version = |name: &str| with(closed(), |disk| alter(disk, name, |bytes| bytes[8] = 2));
    let last = segment(last_segment(&closed()));
    vec![
        Case::new(Row::T1, "a slot", Error, closed()).failing(Read, SLOTS[0]),
        Case::new(Row::T1, "a slot's size", Error, closed()).failing(Size, SLOTS[1]),
        Case::new(Row::T1, "a slot's file", Error, closed()).failing(Open, SLOTS[1]),
        Case::new(Row::T1, "the last segment", Error, unclean()).failing(Read, &last),
        Case::new(Row::T1, "its file", Error, unclean()).failing(Open, &last),
        Case::new(Row::T1, "the names", Error, unclean()).failing(List, ""),
        Case::new(Row::T2, "a slot's version", Unsupported, version(SLOTS[1])),
        Case::new(Row::T2, "the segment's version", Unsupported, version(&last)),
        Case::new(
            Row::T2,
            "the slot's features",
            Unsupported,
            with(closed(), |disk| alter_slot(disk, SLOTS[0], |bytes| bytes[12] = 1)),
        ),
        Case::new(
            Row::T2,
            "the segment's features",
            Unsupported,
            with(closed(), |disk| alter_header(disk, 1, |page| page[15] = 0x80)),
        ),
    ]
}

fn slots() -> Vec<Case> {
    use Verdict::{Absent, Created, Damage};
    let other = with(closed(), |disk| alter_slot(disk, SLOTS[1], |bytes| bytes[30] ^= 1));
    let same = with(closed(), |disk| {
        let first = disk.read_file(SLOTS[0]).expect("there");
        let generation = u64_at(&first, 40);
        alter_slot(disk, SLOTS[1], |bytes| {
            set_u64(bytes, 40, generation);
            bytes[48] ^= 0x40;
        });
    });
    let empty = || {
        let disk = SimDisk::new(1);
        disk.write_file("LOCK", b"");
        disk
    };
    let torn_first_slot = || with(empty(), |disk| disk.write_file(SLOTS[0], &[0; 65536]));
    let lost = with(torn_first_slot(), |disk| disk.write_file(SLOTS[1], b"noise"));
    vec![
        Case::new(Row::T3, "two channels", Damage, other),
        Case::new(Row::T3, "one generation", Damage, same),
        Case::new(Row::T4, "nothing there", Created, empty()).create(),
        Case::new(Row::T4, "a torn first slot", Absent, torn_first_slot()),
        Case::new(Row::T4, "the same", Created, torn_first_slot()).create().events(0),
        Case::new(Row::T4, "a crash", Created, moment(Row::T4, Created, |_| ())).create().events(0),
        Case::new(Row::T4a, "two slots of noise", Damage, lost).create(),
    ]
}

/// Rows T5, T5a and T10.
fn named_tails() -> Vec<Case> {
    use Verdict::{Created, Damage};
    let in_header = |at: usize, number: u64| {
        with(rolled(), |disk| {
            alter_header(disk, last_segment(disk), |page| set_u64(page, at, number));
        })
    };
    let last_name = segment(last_segment(&rolled()));
    let gone = with(rolled(), |disk| assert!(disk.remove_file(&last_name)));
    let no_header = with(rolled(), |disk| spoil(disk, &last_name, 100..101));
    vec![
        Case::new(Row::T5, "no file", Damage, gone),
        Case::new(Row::T5, "no header", Damage, no_header),
        Case::new(Row::T5, "another channel's", Damage, in_header(24, 7)),
        Case::new(Row::T5, "another number", Damage, in_header(40, 1)),
        Case::new(Row::T5, "another base", Damage, in_header(48, 0)),
        Case::new(
            Row::T5,
            "none, though there were events",
            Damage,
            with(unclean(), |disk| {
                SLOTS.iter().for_each(|slot| alter_slot(disk, slot, |slot| set_u64(slot, 56, 0)));
                segments(disk)
                    .iter()
                    .for_each(|number| assert!(disk.remove_file(&segment(*number))));
            }),
        ),
        Case::new(Row::T5a, "sequences missing before it", Damage, in_header(56, 1 << 30)),
        Case::new(Row::T5a, "sequences of others", Damage, in_header(56, 0)),
        // Its number, of no bytes and no events; then a queue of nothing.
        Case::new(
            Row::T5a,
            "among those that came before it",
            Damage,
            with(unclean(), |disk| {
                let state = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                SLOTS.iter().for_each(|slot| set_state(disk, slot, &state));
            }),
        ),
        Case::new(Row::T10, "a crash", Created, moment(Row::T10, Created, |_| ()))
            .create()
            .events(0),
    ]
}

/// No slots, and at the head of the segment what a state holds, in a record that is none.
fn state_misplaced(disk: &SimDisk) {
    SLOTS.iter().for_each(|slot| assert!(disk.remove_file(slot)));
    let bytes = disk.read_file(&segment(1)).expect("there");
    let size = bytes[PAGE + 12..PAGE + 16].try_into().expect("4 bytes");
    let state = &bytes[PAGE + 40..][..u32::from_le_bytes(size) as usize];
    write_record(disk, 1, PAGE, (4, 0, 0), state);
}

/// Rows T6 and T7.
fn no_slots() -> Vec<Case> {
    use Verdict::{Damage, Unclean};
    let last_name = segment(last_segment(&rolled()));
    let noise = |disk: &SimDisk, range| spoil(disk, &last_name, range);
    let misnamed = with(without_slots(rolled()), |disk| {
        segments(disk).into_iter().for_each(|number| {
            assert!(disk.rename(&segment(number), &segment(number + 10)));
        });
    });
    vec![
        Case::new(Row::T6, "one segment", Unclean, without_slots(unclean())).events(6),
        Case::new(Row::T6, "several", Unclean, without_slots(rolled())).events(20),
        Case::new(
            Row::T6,
            "both torn",
            Unclean,
            with(rolled(), |disk| {
                SLOTS.iter().for_each(|slot| spoil(disk, slot, 50..51));
            }),
        )
        .events(20),
        Case::new(
            Row::T6,
            "a newer file that was being prepared",
            Unclean,
            with(without_slots(unclean()), |disk| disk.write_file(&segment(2), &[0; 65536])),
        )
        .events(6),
        Case::new(
            Row::T7,
            "no header",
            Damage,
            with(without_slots(unclean()), |disk| {
                spoil(disk, &segment(1), 100..101);
            }),
        ),
        Case::new(Row::T7, "other numbers", Damage, misnamed),
        Case::new(
            Row::T7,
            "no state",
            Damage,
            with(without_slots(rolled()), |disk| {
                noise(disk, PAGE + 40..PAGE + 41);
            }),
        ),
        Case::new(
            Row::T7,
            "a record that is no state",
            Damage,
            with(without_slots(unclean()), |disk| write_record(disk, 1, PAGE, (4, 0, 0), &[])),
        ),
        Case::new(Row::T7, "a state in another record", Damage, with(unclean(), state_misplaced)),
        Case::new(
            Row::T7,
            "an encoding that is no state's",
            Damage,
            with(without_slots(unclean()), |disk| write_record(disk, 1, PAGE, (3, 0, 0), &[9; 8])),
        ),
        Case::new(
            Row::T7,
            "the newest has events and no header",
            Damage,
            with(without_slots(rolled()), |disk| noise(disk, 100..101)),
        ),
    ]
}

/// Rows T8 and T9.
fn newer_segments() -> Vec<Case> {
    use Verdict::{Clean, Damage, Unclean};
    let roll = |channel: &FileChannel| (0..10).for_each(|_| put(channel, 1, 9000));
    let whole = moments(Row::T8, Unclean, roll).pop().expect("some");
    let header = whole.read_file(&segment(last_segment(&whole))).expect("there");
    assert_eq!(&header[..8], b"FLUMENSG");
    let last = last_segment(&old_slots());
    let zeros = |number: u64| with(closed(), |disk| disk.write_file(&segment(number), &[0; 65536]));
    let spoiled = |range| with(old_slots(), |disk| spoil(disk, &segment(last), range));
    vec![
        Case::new(Row::T8, "a crash while one begins", Unclean, moment(Row::T8, Unclean, roll)),
        // The last ones have a valid header: only that no slot names them tells what they are.
        Case::new(Row::T8, "a crash when it is whole", Unclean, whole),
        Case::new(Row::T8, "a file of zeros", Clean, zeros(2)).events(3),
        Case::new(Row::T9, "slots of before", Unclean, old_slots()),
        Case::new(Row::T9a, "no header", Damage, spoiled(100..101)),
        Case::new(
            Row::T9a,
            "another channel's",
            Damage,
            with(old_slots(), |disk| {
                alter_header(disk, last, |page| page[24] ^= 1);
            }),
        ),
        Case::new(
            Row::T9a,
            "the number of the one before",
            Damage,
            with(old_slots(), |disk| {
                alter_header(disk, last, |page| set_u64(page, 40, last - 1));
            }),
        ),
        Case::new(Row::T9a, "a number not set aside", Damage, zeros(50)),
        Case::new(Row::T9b, "no state", Damage, spoiled(PAGE + 40..PAGE + 41)),
    ]
}

/// Rows T11, T12 and T12a.
fn wrong_records() -> Vec<Case> {
    use Verdict::Damage;
    let cut = |disk: SimDisk, number: u64, size: usize| {
        with(disk, |disk| alter(disk, &segment(number), |bytes| bytes.truncate(size)))
    };
    let appended = |header: (u8, u64), payload: &[u8]| {
        with(unclean(), |disk| {
            let header = (header.0, header.1, 0);
            write_record(disk, 1, end_of(disk, 1), header, payload);
        })
    };
    let lsn_of_slots = {
        let slots = SLOTS.map(|slot| closed().read_file(slot).expect("there"));
        slots.iter().map(|slot| u64_at(slot, 72)).max().expect("two") as usize + PAGE - 8
    };
    let state = |state: &'static [u8]| {
        with(unclean(), |disk| SLOTS.iter().for_each(|slot| set_state(disk, slot, state)))
    };
    vec![
        Case::new(Row::T11, "a page less", Damage, cut(unclean(), 1, 61440)),
        Case::new(Row::T11, "less than the slot's Lsn", Damage, cut(closed(), 1, lsn_of_slots)),
        Case::new(Row::T12, "another sequence", Damage, appended((4, 7), &[])),
        Case::new(Row::T12, "an ack of nothing put", Damage, appended((2, 6), &ack(9))),
        Case::new(Row::T12, "an ack that is none", Damage, appended((2, 6), b"noise")),
        Case::new(Row::T12, "a put that is none", Damage, appended((1, 6), &[1, 0, 0, 0, 9, 9])),
        Case::new(Row::T12, "a moved record too far on", Damage, appended((6, 9), &[0; 8])),
        // Of no segments; then a queue that acknowledged more than was put, or nothing at all.
        Case::new(Row::T12a, "a slot's", Damage, state(&[0, 1, 0, 0, 0, 9, 0, 0])),
        Case::new(Row::T12a, "an empty one", Damage, state(&[0])),
        Case::new(
            Row::T12a,
            "a segment's",
            Damage,
            with(without_slots(unclean()), |disk| {
                write_record(disk, 1, PAGE, (3, 0, 0), &[0, 1, 0, 0, 0, 9, 0, 0]);
            }),
        ),
    ]
}

/// Rows T13, T15, T16 and T17.
fn ends() -> Vec<Case> {
    use Verdict::{Clean, Damage, Unclean};
    let behind = |disk: &SimDisk| spoil(disk, &segment(1), end_of(disk, 1)..end_of(disk, 1) + 9);
    let one_mark = with(closed(), |disk| alter_slot(disk, SLOTS[0], |bytes| bytes[20] = 0));
    vec![
        Case::new(Row::T13, "closed", Clean, closed()).events(3),
        Case::new(Row::T13, "closed, and noise behind", Clean, with(closed(), behind)).events(3),
        Case::new(Row::T15, "dropped", Unclean, unclean()).events(6),
        Case::new(Row::T15, "one mark alone", Unclean, one_mark).events(3),
        Case::new(Row::T16, "noise behind", Unclean, with(unclean(), behind)).events(6),
        Case::new(
            Row::T16,
            "a torn last record",
            Unclean,
            with(unclean(), |disk| {
                let last = records(disk, 1).pop().expect("some");
                spoil(disk, &segment(1), last.offset + 50..last.offset + 51);
            }),
        )
        .events(4),
        Case::new(
            Row::T17,
            "a segment is missing",
            Damage,
            with(rolled(), |disk| {
                assert!(disk.remove_file(&segment(segments(disk)[0])));
            }),
        ),
        Case::new(
            Row::T17,
            "a short segment",
            Damage,
            with(rolled(), |disk| {
                alter(disk, &segment(segments(disk)[0]), |bytes| bytes.truncate(5000));
            }),
        ),
    ]
}

/// An ack of the event of this sequence.
fn ack(sequence: u64) -> Vec<u8> {
    let mut payload = 8u64.to_le_bytes().to_vec();
    payload.extend_from_slice(&1u32.to_le_bytes());
    payload.extend_from_slice(&0u32.to_le_bytes());
    payload.extend_from_slice(&sequence.to_le_bytes());
    payload.extend_from_slice(&1u64.to_le_bytes());
    payload
}

/// Row T14.
fn witnesses() -> Vec<Case> {
    use Verdict::Damage;
    let puts = records(&unclean(), 1);
    assert_eq!(puts.iter().map(|record| record.kind).collect::<Vec<_>>(), [3, 1, 1, 1]);
    let payload_of_second = puts[2].offset + 45;
    let header_of_second = puts[2].offset + 30;
    let watermark = |disk: fn() -> SimDisk, change: fn(u64) -> u64| {
        with(disk(), |disk| {
            SLOTS.iter().for_each(|slot| {
                alter_slot(disk, slot, |bytes| {
                    let known = u64_at(bytes, 80);
                    set_u64(bytes, 80, change(known));
                });
            });
        })
    };
    let spoiled = |at: usize| with(unclean(), |disk| spoil(disk, &segment(1), at..at + 1));
    vec![
        Case::new(Row::T14, "a payload below a witness", Damage, spoiled(payload_of_second)),
        Case::new(Row::T14, "a header below a witness", Damage, spoiled(header_of_second)),
        Case::new(Row::T14, "the slot's promise", Damage, watermark(unclean, |known| known + 4096)),
        // Found by fuzzing: with such a watermark, records were written that the next opening refused.
        Case::new(Row::T14, "and closed", Damage, watermark(closed, |known| known + 4096)),
        Case::new(
            Row::T14a,
            "inside a record, says the slot",
            Damage,
            with(watermark(unclean, |known| known - 8), |disk| {
                // Records of this log that say less than the slot.
                let records = records(disk, 1);
                records[1..].iter().for_each(|record| {
                    let file = disk.read_file(&segment(1)).expect("there");
                    let payload = u64_at(&file, record.offset + 8) >> 32;
                    let from = record.offset + 40;
                    let payload = file[from..from + payload as usize].to_vec();
                    let header = (record.kind, record.sequence, 0);
                    write_record(disk, 1, record.offset, header, &payload);
                });
            }),
        ),
    ]
}
