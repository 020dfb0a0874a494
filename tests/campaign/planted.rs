//! The hunt for planted bugs (`src/planted.rs`): each must be caught by the test named here, in a minute.

use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::build::{LIBRARY, Programs, root};
use crate::run::{Stopped, with_bug};
use crate::stages::Build;

const TIME: Duration = Duration::from_secs(60);

/// A bug, and the test that catches it: program and name.
struct Catch {
    bug: &'static str,
    build: Build,
    target: &'static str,
    test: &'static str,
}

const fn test(bug: &'static str, target: &'static str, test: &'static str) -> Catch {
    Catch { bug, build: Build::Campaign, target, test }
}

const fn chain(bug: &'static str) -> Catch {
    test(bug, "chain", "i1_to_i5_hold_over_chains_of_crashes")
}

const fn exhaustive(bug: &'static str) -> Catch {
    test(bug, "exhaustive", "i1_to_i6_every_image_of_every_small_history")
}

const fn faults(bug: &'static str) -> Catch {
    test(bug, "faults", "i7_every_fault_at_every_call")
}

const fn histories(bug: &'static str) -> Catch {
    test(bug, "model", "i1_to_i8_random_histories_are_as_the_model_says")
}

const fn shuttle(bug: &'static str) -> Catch {
    let test = "channel::file::shuttle_tests::i1_to_i10_threads_crashes_and_errors_under_shuttle";
    Catch { bug, build: Build::Shuttle, target: "", test }
}

const fn unit(bug: &'static str, test: &'static str) -> Catch {
    Catch { bug, build: Build::Shuttle, target: "", test }
}

const fn loom(bug: &'static str, test: &'static str) -> Catch {
    Catch { bug, build: Build::Loom, target: "", test }
}

const CATCHES: &[Catch] = &[
    chain("NoDataSync"),
    faults("AckBeforeSync"),
    shuttle("AckOneGroupEarly"),
    test(
        "RetryAfterFailedSync",
        "faults",
        "i7_an_error_reported_late_stops_the_channel_at_the_next_commit",
    ),
    chain("SyncOfTheOtherLaneOnly"),
    shuttle("FullDiskSwallowed"),
    shuttle("ShortWriteIgnored"),
    chain("NoSegmentNameSync"),
    faults("NameBeforeSize"),
    test("UnsettledRename", "costs", "a_roll_costs_the_same_each_time"),
    chain("OneSlotNamesSegment"),
    exhaustive("ChecksumWithoutSegment"),
    unit("ChecksumWithoutOffset", "log::record::tests::i5_a_record_is_valid_in_one_place_only"),
    exhaustive("HeaderChecksumSkipped"),
    exhaustive("PayloadChecksumSkipped"),
    unit("LsnNotCompared", "log::record::tests::i5_a_record_is_valid_in_one_place_only"),
    chain("AppendBehindTornEnd"),
    test("CutOnDamage", "damage", "i6_every_bit"),
    test("ReadErrorIsTheEnd", "decision_table", "sweep::i6_a_failed_read_is_no_verdict"),
    test("WatermarkStuck", "damage", "i6_every_bit"),
    shuttle("WatermarkEarly"),
    shuttle("SameSlotAlways"),
    exhaustive("SlotChecksumSkipped"),
    chain("GenerationReused"),
    test("SyncBehindSkipped", "regressions", "i1_a_sync_beside_the_commits_covers_what_it_says"),
    shuttle("NobodyCalled"),
    shuttle("RecycleBeforeCheckpoint"),
    shuttle("RecycleOneTooMany"),
    loom(
        "PinIgnored",
        "channel::loom_tests::collection::i4_i12_the_segment_that_a_reader_has_open_is_not_recycled",
    ),
    test("OlderSlotFirst", "kills", "i6_killed_twice_and_then_a_loss_of_power_is_no_damage"),
    test("CleanByOneSlot", "kills", "i6_killed_twice_and_then_a_loss_of_power_is_no_damage"),
    test(
        "OpeningLeavesMark",
        "regressions",
        "i5_what_follows_a_lost_record_does_not_come_back_behind_a_clean_close",
    ),
    shuttle("NothingCarriedOver"),
    shuttle("CarriedOverInPart"),
    shuttle("RangesForgotten"),
    test(
        "SealedNotChecked",
        "decision_table",
        "i6_every_row_has_its_evidence_and_every_action_its_history",
    ),
    shuttle("RollbackReversed"),
    shuttle("RollbackLosesOne"),
    shuttle("RoomKept"),
    shuttle("RoomGivenTwice"),
    loom(
        "WakeOneOnly",
        "channel::room::loom_tests::a_waiter_whose_event_is_too_large_does_not_keep_the_wake_up_to_itself",
    ),
    shuttle("FailureUnheard"),
    shuttle("FailureOfOwnGroupOnly"),
    loom(
        "CountedAndFailed",
        "log::group_commit::loom_tests::i1_i7_what_counts_is_acknowledged_though_a_failure_from_elsewhere_comes_meanwhile",
    ),
    shuttle("LazyAcksLostAtClose"),
    test("SecondNameUsed", "faults", "i7_a_rename_that_a_failed_directory_sync_has_lost"),
    test("HeaderBeforeState", "regressions", "i1_a_segment_that_begins_needs_no_slot"),
    test("NoIdleWatermark", "regressions", "i6_an_idle_channel_ends_the_residual_window"),
    histories("CheckpointBeforeLogSync"),
    histories("CursorsForgotten"),
    test("ReserveForPuts", "full_disk", "i8_draining_a_full_disk"),
    test("OverfullSegment", "full_disk", "i8_draining_a_full_disk"),
    test("LockNotTaken", "regressions", "i11_a_directory_has_one_owner"),
];

/// The programs that the hunt runs.
pub(crate) fn programs() -> impl Iterator<Item = (Build, &'static str)> {
    CATCHES
        .iter()
        .map(|catch| (catch.build, if catch.target.is_empty() { LIBRARY } else { catch.target }))
}

/// Plants each bug and runs the test that is to catch it. Gives the figures as a program would print them.
pub(crate) fn hunt(programs: &Programs, log: &Path) -> Result<String, String> {
    let bugs = bugs()?;
    let unhunted: Vec<&String> =
        bugs.iter().filter(|bug| !CATCHES.iter().any(|catch| catch.bug == **bug)).collect();
    if !unhunted.is_empty() {
        return Err(format!("no test is named for {unhunted:?}"));
    }
    let waiting = Mutex::new(CATCHES.iter());
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no hunter panics").next();
                    let Some(catch) = next else { return };
                    let begin = Instant::now();
                    let end = chase(programs, catch).unwrap_or_else(End::Escaped);
                    let hunted = (catch, begin.elapsed().as_secs_f64(), end);
                    found.lock().expect("no hunter panics").push(hunted);
                }
            });
        }
    });
    let found = found.into_inner().expect("no hunter panics");
    let mut text = String::new();
    for (catch, seconds, end) in &found {
        writeln!(text, "{:26} {seconds:5.1} s {end:?} {}", catch.bug, catch.test).expect("memory");
    }
    std::fs::write(log, &text).map_err(|error| format!("{}: {error}", log.display()))?;
    let with = |wanted: fn(&End) -> bool| -> Vec<String> {
        let found = found.iter().filter(|(_, _, end)| wanted(end));
        found.map(|(catch, _, end)| format!("{} {end:?}", catch.bug)).collect()
    };
    let escaped = with(|end| matches!(end, End::Escaped(_)));
    if !escaped.is_empty() {
        return Err(escaped.join("; "));
    }
    let skipped = with(|end| matches!(end, End::Skipped));
    let skipped: String = skipped.iter().map(|bug| format!("SKIPPED: {bug}\n")).collect();
    let caught = with(|end| matches!(end, End::Caught)).len();
    let slowest = found.iter().map(|(_, seconds, _)| seconds.ceil() as u64).max();
    let slowest = slowest.unwrap_or_default();
    Ok(format!(
        "{skipped}figure planted.caught {caught} 30\nfigure planted.slowest_seconds {slowest} 0\n"
    ))
}

/// How a hunt ended.
#[derive(Debug)]
enum End {
    Caught,
    /// The test lacks something on this machine.
    Skipped,
    #[allow(dead_code, reason = "its text is read where it is printed, by `Debug`")]
    Escaped(String),
}

/// The test must pass without the bug, as it does elsewhere in the campaign, and fail with it.
fn chase(programs: &Programs, catch: &Catch) -> Result<End, String> {
    let place = (catch.build, catch.target, catch.test);
    match with_bug(programs, place, catch.bug, TIME)? {
        (Stopped::Failed, text) if text.contains("... FAILED") || text.contains("failed") => {
            Ok(End::Caught)
        }
        (Stopped::Failed, _) => Err("its test did not run".into()),
        (Stopped::Passed, text) if text.contains("SKIPPED: ") => Ok(End::Skipped),
        (Stopped::Passed, text) if !text.contains("1 passed") => {
            Err("its test is not there".into())
        }
        (Stopped::Passed, _) => Err("not caught".into()),
        (Stopped::TimedOut, _) => Err("hangs for a minute".into()),
    }
}

/// The names in `src/planted.rs`, each of which must be planted somewhere.
fn bugs() -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(root().join("src/planted.rs")).map_err(|e| e.to_string())?;
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next());
    Ok(names.map(str::to_string).collect())
}
