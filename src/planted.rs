//! Planted bugs: each is one way to lose, to invent or to hang, so that we see which test catches it.
//!
//! `planted!(Bug)` is constantly `false`, unless this crate is built with `--cfg planted`, which a build
//! without debug assertions refuses. Even then a bug is there only when `FLUMEN_PLANTED` names it.
//! `tests/campaign` goes through all of them; which test is to catch which is told there.

#[cfg(not(planted))]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::never()
    };
}

/// No literal, which lints would reason from. Inlined, so that not even an unoptimised release holds it.
#[cfg(not(planted))]
#[inline(always)]
pub(crate) const fn never() -> bool {
    false
}

#[cfg(planted)]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is(stringify!($bug))
    };
}

#[cfg(all(planted, not(debug_assertions)))]
compile_error!("planted bugs are for tests: `--cfg planted` needs a build with debug assertions");

/// All bugs, and what each of them does.
#[cfg(planted)]
pub(crate) const BUGS: [(&str, &str); 53] = [
    ("NoDataSync", "a group counts without a sync"),
    ("AckBeforeSync", "committers are woken when their group is written"),
    ("AckOneGroupEarly", "a group's sync acknowledges the group written after it"),
    ("RetryAfterFailedSync", "a failed sync is tried again"),
    ("SyncOfTheOtherLaneOnly", "every second group goes without its sync"),
    ("FullDiskSwallowed", "a write that found no space counts as done"),
    ("ShortWriteIgnored", "the rest of a short write is not written"),
    ("NoSegmentNameSync", "no directory sync before a segment counts"),
    ("NameBeforeSize", "a new file has its name before its size is synced"),
    ("UnsettledRename", "a file is renamed again before its last name is durable"),
    ("HeaderBeforeState", "a segment's header is written before its state is synced"),
    ("OneSlotNamesSegment", "a segment counts when one slot names it"),
    ("ChecksumWithoutSegment", "checksums do not know channel and segment"),
    ("ChecksumWithoutOffset", "checksums do not know the offset"),
    ("HeaderChecksumSkipped", "a record header is believed unchecked"),
    ("PayloadChecksumSkipped", "a payload is believed unchecked"),
    ("LsnNotCompared", "a record of another position is accepted"),
    ("AppendBehindTornEnd", "an opening goes on behind an unclean end"),
    ("CutOnDamage", "damage below a watermark is taken for a torn end"),
    ("ReadErrorIsTheEnd", "a failed read ends the log"),
    ("WatermarkStuck", "records state no watermark"),
    ("WatermarkEarly", "the watermark is raised by the write"),
    ("NoIdleWatermark", "nothing witnesses the last group"),
    ("SameSlotAlways", "checkpoints overwrite the newest slot"),
    ("CheckpointBeforeLogSync", "a checkpoint states what is not synced"),
    ("SlotChecksumSkipped", "a torn slot is believed"),
    ("GenerationReused", "two checkpoints have one generation"),
    ("SyncBehindSkipped", "the sync beside unsynced commits is left out, and counts"),
    ("NobodyCalled", "who leaves the lead calls nobody to take it"),
    ("RecycleBeforeCheckpoint", "a segment is recycled before the checkpoint that lets go of it"),
    ("RecycleOneTooMany", "a segment whose last event is wanted is recycled"),
    ("PinIgnored", "the segment being read is recycled"),
    ("OlderSlotFirst", "an opening writes one slot, the older"),
    ("CleanByOneSlot", "one slot's mark makes a close clean, and an opening takes one back"),
    ("OpeningLeavesMark", "an opening does not take the clean mark back"),
    ("NothingCarriedOver", "unproven records are served from the cache"),
    ("CarriedOverInPart", "the last unproven record is not carried over"),
    ("RangesForgotten", "a state forgets acks out of order"),
    ("CursorsForgotten", "replay forgets cursors of acks"),
    ("SealedNotChecked", "missing segments are not noticed by an opening"),
    ("ReserveForPuts", "puts use the reserve"),
    ("RollbackReversed", "rolled-back takes come in reverse"),
    ("RollbackLosesOne", "a rollback loses its last event"),
    ("RoomKept", "a rolled-back put keeps its room"),
    ("RoomGivenTwice", "a commit of takes gives its room back twice"),
    ("WakeOneOnly", "freed room wakes one waiter"),
    ("FailureUnheard", "a failure does not wake those who wait for room"),
    ("FailureOfOwnGroupOnly", "a failed group does not fail the one written after it"),
    ("CountedAndFailed", "a failure from elsewhere fails a commit that is just being applied"),
    ("LazyAcksLostAtClose", "a close leaves lazy acks behind"),
    ("OverfullSegment", "a record may end behind its segment's end"),
    ("SecondNameUsed", "a waiting file that is a segment by another name is used"),
    ("LockNotTaken", "two owners may have a channel open"),
];

/// Whether `bug` is planted.
#[cfg(planted)]
pub(crate) fn is(bug: &str) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let planted = PLANTED.get_or_init(|| {
        let name = std::env::var("FLUMEN_PLANTED").ok()?;
        let known = BUGS.iter().any(|(bug, _)| *bug == name);
        assert!(known, "FLUMEN_PLANTED names \"{name}\", which is no planted bug");
        Some(name)
    });
    planted.as_deref() == Some(bug)
}
