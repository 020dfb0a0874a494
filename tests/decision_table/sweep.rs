//! No way to a verdict is without its row, and a failed read is no verdict at all: whatever is done to the evidence of
//! all cases, an opening ends in exactly one row, the one that its result comes from.

use std::io::ErrorKind;

use flumen::marks::Row;
use flumen::storage::sim::{CallKind, Fault, FaultPlan, SimDisk};

use crate::support::effort::{Effort, figure, seed};
use crate::support::history::options;
use crate::{Taken, Verdict, alone, evidence, open};

/// Opens, and holds the result against the rows that were taken.
fn judge(disk: &SimDisk, what: &str) {
    let before = Taken::now();
    let (verdict, channel) = open(disk, options());
    let taken = before.since();
    drop(channel);
    match taken.verdict() {
        Ok((Row::T4, Verdict::Absent)) => assert_eq!(verdict, Verdict::Created, "{what}: {taken}"),
        // The disk works: what fails is the carrying over, which reads what nobody has damaged meanwhile.
        Ok((row, by)) => assert_eq!(verdict, by, "{what}: by {row:?}: {taken}"),
        Err(rows) => panic!("{what}: {verdict:?} by {rows:?}: {taken}"),
    }
}

/// Numbers for one purpose.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

/// One change from outside: a byte, a length, a file gone, or one in the place of another.
fn change(disk: &SimDisk, numbers: &mut Numbers) -> String {
    let names: Vec<String> =
        disk.file_names().into_iter().filter(|name| !name.starts_with("reserve")).collect();
    if names.is_empty() {
        return "nothing is left".to_string();
    }
    let name = names[numbers.below(names.len())].clone();
    let mut bytes = disk.read_file(&name).expect("listed");
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match numbers.below(8) {
        0 => {
            disk.remove_file(&name);
            format!("{name} is gone")
        }
        1 => {
            let other = names[numbers.below(names.len())].clone();
            disk.write_file(&other, &bytes);
            format!("{name} in the place of {other}")
        }
        2 => {
            let size = numbers.below(bytes.len());
            bytes.truncate(size);
            disk.write_file(&name, &bytes);
            format!("{name} cut to {size}")
        }
        _ if used == 0 => format!("nothing in {name}"),
        _ => {
            let at = numbers.below(used + 8).min(bytes.len() - 1);
            bytes[at] ^= 1 << numbers.below(8);
            disk.write_file(&name, &bytes);
            format!("{name}: byte {at}")
        }
    }
}

#[test]
fn i6_whatever_is_done_to_a_directory_one_row_gives_the_verdict() {
    let _alone = alone();
    let cases = evidence::cases();
    let count = Effort::get().pick(3_000, 100_000, 5_000_000);
    let mut numbers = Numbers(seed());
    for turn in 0..count {
        let case = &cases[turn % cases.len()];
        let disk = case.disk.snapshot();
        let mut what = format!("seed {}, change {turn} of {}:", seed(), case.name);
        for _ in 0..=numbers.below(2) {
            what = format!("{what} {};", change(&disk, &mut numbers));
        }
        judge(&disk, &what);
    }
    figure("row.changes", count as u64, 3_000);
}

/// T1: a call that fails while a channel is looked at is an error, never an end and never damage.
#[test]
fn i6_a_failed_read_is_no_verdict() {
    let _alone = alone();
    let mut struck = 0;
    for case in evidence::cases() {
        for kind in [CallKind::List, CallKind::Open, CallKind::Size, CallKind::Read] {
            for call in 0.. {
                let disk = case.disk.snapshot();
                disk.set_plan(
                    FaultPlan::new(Fault::Error(ErrorKind::Other)).on(&[kind]).after(call),
                );
                let (verdict, channel) = open(&disk, options().create(case.create));
                if disk.has_plan_left() {
                    break;
                }
                struck += 1;
                let what = format!("{:?}, {}: {kind:?} {call}", case.row, case.name);
                // A file that nothing needs, and that cannot be read, is left alone (P25).
                let file = &disk.strikes()[0].file;
                let may_wait = ["spare-", "reserve-"].iter().any(|kind| file.starts_with(kind));
                if (may_wait || file.ends_with(".seg")) && channel.is_some() {
                    let same = verdict == case.verdict || case.fault.is_some();
                    assert!(same, "{what}: {verdict:?}");
                    continue;
                }
                assert!(channel.is_none() && verdict == Verdict::Error, "{what}: {verdict:?}");
            }
        }
    }
    figure("row.failed_reads", struck, 1_000);
}
