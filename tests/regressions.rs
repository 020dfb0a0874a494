//! Faults that reviews and reports have found, each kept as a test.

#[path = "support/files.rs"]
#[allow(unreachable_pub, reason = "a module of tests, of which this uses a part")]
mod files;
mod support;
#[path = "support/watched.rs"]
#[allow(unreachable_pub, dead_code, reason = "a module of tests, of which this uses a part")]
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use files::{Kind, read, records};
use flumen::storage::Access;
use flumen::storage::sim::{CallKind, Crash, Fate, Fault, FaultPlan, PendingEffect, SimDisk};
use flumen::{
    AckDurability, Channel, ChannelOptions, CommitError, Durability, EVENT_SIZE_MAX, Event,
    FileChannel, OpenError, PutError, ReadMode, TakeError, tools,
};
use support::history::{drain, open, options};
use watched::watched;

fn put(channel: &FileChannel, body: &str) -> Result<(), CommitError> {
    let mut put = channel.begin_put();
    put.put(Event::new(body)).expect("there is room");
    put.commit()
}

/// The name of the segment with the highest number.
fn newest(disk: &SimDisk) -> Option<String> {
    disk.file_names().into_iter().rfind(|name| name.ends_with(".seg"))
}

/// The reserve must grow with the state. Once the names for its new files were taken, and it never was
/// complete again: puts were refused for good.
#[test]
fn i8_a_state_that_grows_gets_a_larger_reserve() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    for round in 0..20 {
        let mut put = channel.begin_put();
        put.set_cursor(&format!("cursor {round}"), &[7; 4000]).expect("fits");
        put.commit().expect("there is room");
        channel.checkpoint().expect("works");
        self::put(&channel, "after").expect("puts go on");
    }
    channel.close().expect("closes");
    drop(channel);
    let channel = open(&disk).expect("opens");
    assert!(channel.recovery().clean, "slots of 80 KB are read to their end");
    put(&channel, "after all").expect("puts go on");
}

/// Lazy acks that a full disk refused were thrown away.
#[test]
fn i5_lazy_acks_survive_a_full_disk() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1 << 20));
    let lazy = options().ack_durability(AckDurability::Lazy(Duration::from_secs(3600)));
    let channel = FileChannel::open_on(disk.storage(), lazy).expect("opens");
    let body = "x".repeat(500);
    while put(&channel, &body).is_ok() {}
    let before = channel.stats().events;
    for _ in 0..20 {
        let mut take = channel.begin_take();
        take.take().expect("readable").expect("there is one");
        take.commit().expect("lazy");
    }
    channel.close().expect("closes");
    drop(channel);
    let channel = open(&disk).expect("opens");
    assert_eq!(channel.stats().events, before - 20);
}

/// A checkpoint by the helper thread or a caller took the mark of a clean close away.
#[test]
fn a_checkpoint_after_the_close_changes_nothing() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    channel.close().expect("closes");
    let _ = channel.checkpoint();
    let _ = channel.maintain();
    drop(channel);
    assert!(open(&disk).expect("opens").recovery().clean);
}

/// Any file whose name began like one of ours was used or removed.
#[test]
fn files_of_others_are_left_alone() {
    let disk = SimDisk::new(1);
    drop(open(&disk).expect("opens"));
    let names = ["spare-notes.txt", "reserve-", "draft-letter.txt", "spare-1", "notes.seg"];
    for name in names {
        disk.write_file(name, b"mine");
    }
    for _ in 0..3 {
        let channel = open(&disk).expect("opens");
        for _ in 0..10 {
            put(&channel, &"x".repeat(20_000)).expect("works");
        }
        drain(&channel).expect("readable");
    }
    for name in names {
        assert_eq!(disk.read_file(name).as_deref(), Some(&b"mine"[..]), "{name}");
    }
}

/// Both slots damaged and all segments gone opened as a new, empty channel.
#[test]
fn i6_a_channel_that_lost_everything_is_no_new_channel() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    drop(channel);
    for name in disk.file_names() {
        if name.starts_with("checkpoint") {
            disk.write_file(&name, b"");
        } else if name.ends_with(".seg") {
            disk.remove_file(&name);
        }
    }
    assert!(open(&disk).is_err());
}

/// A body of 64 MiB was refused, because the limit counted what goes with it.
#[test]
fn a_body_of_64_mebibytes_fits() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    let mut put = channel.begin_put();
    put.put(Event::new(vec![1; 64 << 20]).with_header("key", "value")).expect("fits");
    put.commit().expect("works");
    let mut put = channel.begin_put();
    let larger = Event::new(vec![1; EVENT_SIZE_MAX as usize]);
    assert!(matches!(put.put(larger), Err(PutError::TooLarge(_))));
    let mut take = channel.begin_take();
    assert_eq!(take.take().expect("readable").expect("there is one").body.len(), 64 << 20);
}

/// A close listed acknowledged segments no longer, and left their files.
#[test]
fn i12_a_close_gives_back_what_nothing_needs() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    for _ in 0..20 {
        put(&channel, &"x".repeat(20_000)).expect("works");
    }
    let segments =
        |disk: &SimDisk| disk.file_names().iter().filter(|name| name.ends_with(".seg")).count();
    assert!(segments(&disk) > 5);
    let mut take = channel.begin_take();
    for _ in 0..20 {
        take.take().expect("readable").expect("there is one");
    }
    take.commit().expect("works");
    channel.close().expect("closes");
    assert!(segments(&disk) <= 2, "{:?}", disk.file_names());
}

/// The helper thread of an idle channel witnesses its last commit: from then on damage to that is told from a torn
/// write. No checkpoint and no close does it here.
#[test]
fn i6_an_idle_channel_ends_the_residual_window() {
    const LOOKS: u32 = 200;
    let disk = SimDisk::new(1);
    let channel = FileChannel::open_on(disk.storage(), options().background(true)).expect("opens");
    put(&channel, "the last commit").expect("there is room");
    let is_refused = || {
        let image = disk.snapshot();
        let bytes = image.read_file(SEGMENT).expect("the first segment");
        let place = bytes.windows(15).position(|window| window == b"the last commit");
        assert!(image.flip_bit(SEGMENT, 8 * place.expect("it was written") as u64), "in the file");
        matches!(open(&image), Err(OpenError::Corrupt(_)))
    };
    // Held, so that there is nothing to take and each look waits a moment.
    let mut take = channel.begin_take();
    take.take().expect("readable").expect("one was put");
    assert!((0..LOOKS).any(|_| channel.wait(Duration::from_millis(50)) || is_refused()));
}

/// The first segment of a channel.
const SEGMENT: &str = "00000000000000000001.seg";

/// A loss of power at every call of the beginning of a segment, and both checkpoint slots unreadable: the segment
/// before or the new one says all there is, since no header stands before what it promises.
#[test]
fn i1_a_segment_that_begins_needs_no_slot() {
    let large = |number: u64| format!("{number}:{}", "x".repeat(40_000));
    let mut calls = 0;
    loop {
        let disk = SimDisk::new(1);
        let channel = open(&disk).expect("opens");
        put(&channel, &large(1)).expect("there is room");
        disk.set_plan(FaultPlan::new(Fault::PowerLoss).after(calls));
        let is_done = put(&channel, &large(2)).is_ok();
        for seed in 0..8 {
            let image = disk.crash(&Crash::Random(seed));
            for slot in ["checkpoint-a", "checkpoint-b"] {
                image.write_file(slot, b"gone");
            }
            let channel = open(&image).unwrap_or_else(|error| panic!("call {calls}: {error}"));
            let found = drain(&channel).unwrap_or_else(|error| panic!("call {calls}: {error}"));
            assert!(found == [large(1)] || found == [large(1), large(2)], "call {calls}");
            assert!(found.len() == 2 || !is_done, "I1: call {calls}");
        }
        if is_done {
            assert!(calls > 10, "the second put begins a segment");
            return;
        }
        calls += 1;
    }
}

/// A closed channel's last file cut behind its records opened, as nothing is lost, and took puts. After an
/// unclean stop the same file was too short to be believed. Fuzzing found it.
#[test]
fn i1_a_file_cut_behind_a_clean_close_gets_its_size_again() {
    for crash in [Crash::LoseAll, Crash::KeepAll] {
        let disk = SimDisk::new(1);
        let channel = open(&disk).expect("opens");
        put(&channel, "a").expect("works");
        channel.close().expect("closes");
        drop(channel);
        let name = disk.file_names().into_iter().find(|name| name.ends_with(".seg"));
        let name = name.expect("there is a segment");
        let mut bytes = disk.read_file(&name).expect("it was listed");
        let used = bytes.iter().rposition(|byte| *byte != 0).expect("it holds records") + 1;
        bytes.truncate(used.next_multiple_of(8));
        disk.write_file(&name, &bytes);

        let channel = open(&disk).expect("nothing is lost");
        put(&channel, "b").expect("works");
        drop(channel);
        let channel = open(&disk.crash(&crash)).expect("nothing is lost");
        assert_eq!(drain(&channel).expect("readable"), ["a", "b"]);
    }
}

/// Where both slots are older than the log, which opens, `inspect` said that somebody has the channel open.
/// Fuzzing found it.
#[test]
fn inspect_reads_a_log_that_is_newer_than_its_slots() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    let slots = ["checkpoint-a", "checkpoint-b"];
    let older = slots.map(|name| disk.read_file(name).expect("it is there"));
    drop(channel);
    // An opening after an unclean stop begins a segment.
    let channel = open(&disk).expect("opens");
    put(&channel, "b").expect("works");
    drop(channel);
    for (name, bytes) in slots.iter().zip(older) {
        disk.write_file(name, &bytes);
    }
    let inspection = tools::inspect_on(disk.storage()).expect("nobody has it open");
    assert_eq!((inspection.events, inspection.in_use), (2, false));
    assert!(!inspection.as_of_checkpoint);
    assert_eq!(drain(&open(&disk).expect("opens")).expect("readable"), ["a", "b"]);
}

#[test]
fn i11_a_directory_has_one_owner() {
    let directory = tempfile::tempdir().expect("the file system works");
    let path = directory.path().join("queue");
    let first = FileChannel::open(&path, ChannelOptions::new()).expect("opens");
    let second = FileChannel::open(&path, ChannelOptions::new());
    let Err(flumen::OpenError::InUse { owner, .. }) = second else { panic!("two owners") };
    assert_eq!(owner, Some(format!("pid {}", std::process::id())), "I11: it says whose it is");
    first.close().expect("closes");
    drop(first);
    drop(FileChannel::open(&path, ChannelOptions::new()).expect("is free again"));
}

/// What commits leave to the system is synced beside them once it is much. The checkpoint that follows relies
/// on that, and a loss of power after it finds everything.
#[test]
fn i1_a_sync_beside_the_commits_covers_what_it_says() {
    let disk = SimDisk::new(1);
    let options = options().durability(Durability::Os);
    let channel = FileChannel::open_on(disk.storage(), options).expect("opens");
    let bodies = ["a", "b", "c"].map(|letter| letter.repeat(4_000));
    bodies.iter().for_each(|body| put(&channel, body).expect("works"));
    let syncs = channel.stats().syncs;
    channel.maintain().expect("works");
    assert_eq!(channel.stats().syncs, syncs + 2, "one beside, one for the witness");
    let found = drain(&open(&disk.crash(&Crash::LoseAll)).expect("opens")).expect("readable");
    assert_eq!(found, bodies);
}

/// A segment stands for all before it, so what commits left unsynced is synced first.
#[test]
fn i1_a_segment_begins_behind_what_is_synced() {
    let disk = SimDisk::new(1);
    let options = options().durability(Durability::Os);
    let channel = FileChannel::open_on(disk.storage(), options).expect("opens");
    let bodies = ["a", "b", "c"].map(|letter| letter.repeat(25 << 10));
    bodies.iter().for_each(|body| put(&channel, body).expect("works"));
    assert_eq!(channel.stats().segments, 2);
    let found = drain(&open(&disk.crash(&Crash::LoseAll)).expect("opens")).expect("readable");
    assert_eq!(found, bodies[..2]);
}

/// The helper thread does it, and commits go on meanwhile.
#[test]
fn i1_commits_go_on_while_what_they_left_unsynced_is_synced() {
    let (storage, watch) = watched(SimDisk::new(1).storage());
    let options = ChannelOptions::new().segment_size(64 << 10).durability(Durability::Os);
    let channel = FileChannel::open_on(storage, options).expect("opens");
    watch.hold_syncs(".seg");
    put(&channel, &"a".repeat(10_000)).expect("works");
    assert!(watch.has_held(1), "the helper thread syncs");
    put(&channel, "b").expect("goes on");
    watch.release_syncs();
    channel.close().expect("works");
}

/// An opening takes the mark of a close back. Else writing would go on behind a lost record, and a record of
/// the same length there would bring back what came after it.
#[test]
fn i5_what_follows_a_lost_record_does_not_come_back_behind_a_clean_close() {
    let disk = SimDisk::new(1);
    let open = |disk: &SimDisk| {
        let options = options().durability(Durability::Os);
        FileChannel::open_on(disk.storage(), options).expect("opens")
    };
    let channel = open(&disk);
    put(&channel, "before").expect("works");
    channel.close().expect("closes");
    drop(channel);

    let channel = open(&disk);
    assert!(channel.recovery().clean);
    put(&channel, &"a".repeat(3_000)).expect("works");
    let first = disk.pending_effects();
    put(&channel, &"b".repeat(3_000)).expect("works");
    assert!(first > 0 && disk.pending_effects() > first, "neither is synced");
    let fate =
        |index: usize, _: &PendingEffect| if index < first { Fate::Lost } else { Fate::Kept };
    let disk = disk.crash(&Crash::Choose(&fate));

    let channel = open(&disk);
    assert!(!channel.recovery().clean);
    put(&channel, &"c".repeat(3_000)).expect("works");
    drop(channel);
    let found = drain(&open(&disk)).expect("readable");
    assert_eq!(found, ["before".to_string(), "c".repeat(3_000)]);
}

/// Without leave to make a channel, a place that is not there is no channel, and stays so; one that is there opens.
#[test]
fn a_place_that_is_not_there_is_no_channel() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("channel");
    let only_open = || FileChannel::open(&path, ChannelOptions::new().create(false));
    match only_open().map(|_| "a channel") {
        Err(OpenError::NotAChannel { reason, .. }) => {
            assert_eq!(reason, "there is no such directory")
        }
        other => panic!("{other:?}"),
    }
    assert!(!path.exists());
    drop(FileChannel::open(&path, ChannelOptions::new()).expect("makes one"));
    assert!(only_open().is_ok());
    let beneath_a_file = path.join("LOCK").join("channel");
    for (create, operation) in [(true, "create directory"), (false, "open directory")] {
        let options = ChannelOptions::new().create(create);
        match FileChannel::open(&beneath_a_file, options).map(|_| "a channel") {
            Err(OpenError::Storage(error)) => assert_eq!(error.operation, operation),
            other => panic!("{other:?}"),
        }
    }
}

/// Bytes of all files but slots and lock, as the disk has them.
fn bytes_of_files(disk: &SimDisk) -> u64 {
    let names = disk.file_names();
    let counted = names.iter().filter(|name| !name.starts_with("checkpoint") && *name != "LOCK");
    counted.map(|name| disk.read_file(name).map_or(0, |bytes| bytes.len() as u64)).sum()
}

/// I12, as far as the channel knows: what it says that it takes is what its files take, through rolls, recycling,
/// growth of the reserve, a crash, another segment size, and a file of somebody else's.
#[test]
fn i12_a_channel_knows_how_much_disk_it_takes() {
    let disk = SimDisk::new(1);
    let check = |channel: &FileChannel| {
        assert_eq!(channel.stats().disk_bytes, bytes_of_files(&disk), "{:?}", disk.file_names());
    };
    let large = "x".repeat(25 << 10);
    let channel = open(&disk).expect("opens");
    check(&channel);
    for round in 0..12 {
        put(&channel, &large).expect("works");
        if round % 3 > 0 {
            let mut take = channel.begin_take();
            take.take().expect("readable").expect("there is one");
            take.commit().expect("works");
        }
        channel.checkpoint().expect("works");
        check(&channel);
    }
    let mut grow = channel.begin_put();
    (0..9).for_each(|n| grow.set_cursor(&n.to_string(), &[7; 4000]).expect("fits"));
    grow.commit().expect("works");
    channel.checkpoint().expect("works");
    check(&channel);
    // The second witnesses that the first was synced; so the first stays where it is, and its segment is cut.
    (0..2).for_each(|_| put(&channel, "wanted").expect("works"));
    drop(channel);
    let channel = open(&disk).expect("opens after no close");
    assert!(!channel.recovery().clean);
    check(&channel);
    while let Ok(Some(_)) = {
        let mut take = channel.begin_take();
        let taken = take.take();
        take.commit().expect("works");
        taken
    } {}
    channel.checkpoint().expect("works");
    check(&channel);
    channel.close().expect("closes");
    check(&channel);
    drop(channel);
    let other = options().segment_size(128 << 10);
    let channel = FileChannel::open_on(disk.storage(), other).expect("opens");
    check(&channel);
    put(&channel, &"x".repeat(100 << 10)).expect("works");
    check(&channel);
}

/// A segment has eight times the size of the state that it begins with, so that states are a small part of what is
/// written.
#[test]
fn i9_a_segment_is_much_larger_than_the_state_that_it_begins_with() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    let mut cursors = channel.begin_put();
    (0..9).for_each(|n| cursors.set_cursor(&n.to_string(), &[7; 4000]).expect("fits"));
    cursors.commit().expect("works");
    while channel.stats().segments < 2 {
        put(&channel, &"x".repeat(20 << 10)).expect("works");
    }
    let names = disk.file_names();
    let newest = names.iter().filter(|name| name.ends_with(".seg")).max().expect("a segment");
    let size = disk.read_file(newest).expect("there").len();
    assert!((8 * 36_000..9 * 36_000).contains(&size), "{size}");
}

/// A closed channel's last segment that somebody has cut gets its size back. Where that cannot be, the error says
/// whether it is room that is missing.
#[test]
fn i10_a_segment_cut_behind_a_close_gets_its_size_back() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    channel.close().expect("closes");
    drop(channel);
    let name = "00000000000000000001.seg";
    let file = disk.storage().open(name, Access::ReadWrite).expect("is there");
    file.set_size(8192).expect("works");
    for (kind, operation) in [
        (std::io::ErrorKind::Other, "restore the size of"),
        (std::io::ErrorKind::StorageFull, "allocate a segment in"),
    ] {
        let disk = disk.snapshot();
        disk.set_plan(FaultPlan::new(Fault::Error(kind)).on(&[CallKind::Allocate]).sticky());
        match open(&disk).map(|_| "a channel") {
            Err(OpenError::Storage(error)) => assert_eq!(error.operation, operation),
            other => panic!("{other:?}"),
        }
    }
    assert!(open(&disk).expect("opens").recovery().clean);
    assert_eq!(disk.read_file(name).map(|bytes| bytes.len()), Some(64 << 10));
}

/// The newest segment, its header lost, under the name of a spare, and no slot, or one of an earlier day only:
/// nothing says that there was more. Then that stays so: the next segment took the number and the file, and its
/// old records came back behind the new ones.
#[test]
fn i5_what_nothing_speaks_of_any_more_does_not_come_back() {
    for slot_kept in [false, true] {
        let disk = SimDisk::new(1);
        disk.set_chance(slot_kept);
        let channel = open(&disk).expect("opens");
        // To the end of the segment, so that the next opening cuts nothing off.
        put(&channel, &"a".repeat(40 << 10)).expect("works");
        put(&channel, &"b".repeat(19 << 10)).expect("works");
        put(&channel, "moved").expect("works");
        drop(channel);
        let older = newest(&disk).expect("is there");
        let slot = disk.read_file("checkpoint-a").expect("is there");
        put(&open(&disk).expect("opens"), "c").expect("works");
        assert!(disk.read_file(&older).is_some_and(|bytes| bytes.len() == 64 << 10));
        let newest = newest(&disk).expect("is there");
        let mut bytes = disk.read_file(&newest).expect("is there");
        bytes[..4096].fill(0xff);
        disk.write_file("spare-00000000000000000001", &bytes);
        for lost in [&newest, "checkpoint-a", "checkpoint-b"] {
            disk.remove_file(lost);
        }
        if slot_kept {
            disk.write_file("checkpoint-a", &slot);
        }
        nothing_comes_back(&disk);
    }
}

fn nothing_comes_back(disk: &SimDisk) {
    for _ in 0..3 {
        let channel = open(disk).expect("opens");
        let found = drain(&channel).expect("readable");
        assert_eq!(
            found.iter().map(|body| body.len()).collect::<Vec<_>>(),
            [40 << 10, 19 << 10, 5]
        );
    }
}

/// A closed channel of three events, each in a segment of its own.
fn three_segments() -> SimDisk {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    for letter in ["a", "b", "c"] {
        put(&channel, &letter.repeat(40 << 10)).expect("works");
    }
    channel.close().expect("closes");
    disk
}

/// Where in the first segment the records of puts begin.
fn offsets_of_puts(disk: &SimDisk) -> Vec<u64> {
    let found = records(&read(disk, SEGMENT)).into_iter();
    found.filter(|record| record.kind == Kind::Put).map(|record| record.offset as u64).collect()
}

/// 40 puts of 1,000 events, in two segments, of which all below `taken` were acknowledged before a kill.
fn killed_after(taken: usize) -> SimDisk {
    killed_with(&[[0, taken]])
}

/// The same, where these were acknowledged, from a first one to before a last.
fn killed_with(taken: &[[usize; 2]]) -> SimDisk {
    let disk = SimDisk::new(1);
    let channel = FileChannel::open_on(disk.storage(), roomy()).expect("opens");
    for part in 0..40 {
        let mut put = channel.begin_put();
        let body = |index| Event::new(format!("{:0>500}", part * 1000 + index));
        put.put_all((0..1000).map(body).collect()).expect("there is room");
        put.commit().expect("works");
    }
    let mut held = channel.begin_take();
    let mut taking = channel.begin_take();
    for index in 0..taken.last().map_or(0, |[_, end]| *end) {
        let is_taken = taken.iter().any(|[start, end]| (start..end).contains(&&index));
        let take = if is_taken { &mut taking } else { &mut held };
        take.take().expect("works").expect("was put");
    }
    taking.commit().expect("works");
    drop(held);
    drop(channel);
    disk
}

fn roomy() -> ChannelOptions {
    let options = ChannelOptions::new().segment_size(16 << 20).memory_tail(0).background(false);
    options.ack_durability(AckDurability::Sync)
}

/// What is taken first from a killed channel, or why nothing is.
fn first(disk: &SimDisk, mode: ReadMode) -> Result<String, TakeError> {
    let channel = FileChannel::open_on(disk.storage(), roomy().read_mode(mode)).expect("opens");
    let mut take = channel.begin_take();
    let event = take.take()?.expect("something is queued");
    Ok(String::from_utf8_lossy(&event.body[490..]).into_owned())
}

/// I6: damage names what it concerns, and that is nothing of what lies before it and was passed over.
#[test]
fn i6_damage_behind_what_was_passed_over_concerns_what_is_queued() {
    let disk = killed_after(23_900);
    let puts = offsets_of_puts(&disk);
    assert!(disk.flip_bit(SEGMENT, 8 * (puts[23] + 1000)), "in the file");
    for mode in [ReadMode::Pread, ReadMode::Map] {
        let Err(TakeError::Corrupt(corruption)) = first(&disk, mode) else { panic!("damage") };
        assert_eq!(corruption.sequences, Some(23_000..24_000), "{corruption}");
    }
}

/// I6: neither damage nor a place that cannot be read is in the way of what is queued, where it is in what was
/// acknowledged: after a kill, by which headers are read on the way, and after a close, even where the segment's
/// first page is read with more than itself.
#[test]
fn i6_what_was_acknowledged_need_not_be_readable() {
    for (closes, place, spoils) in [
        (false, 300_000, true),
        (false, 300_000, false),
        (false, 1000, true),
        (false, 1000, false),
        (true, 1000, true),
        (true, 1000, false),
    ] {
        let disk = killed_after(23_900);
        if closes {
            let channel = FileChannel::open_on(disk.storage(), roomy()).expect("opens");
            // So that it is known where reading has come to.
            channel.begin_take().take().expect("works").expect("something is queued");
            channel.close().expect("closes");
        }
        let offset = offsets_of_puts(&disk)[0] + place;
        match spoils {
            true => assert!(disk.spoil_sector(SEGMENT, offset, u64::MAX)),
            false => assert!(disk.flip_bit(SEGMENT, 8 * offset)),
        }
        let found = first(&disk, ReadMode::Pread)
            .unwrap_or_else(|error| panic!("{closes}, {place}, {spoils}: {error}"));
        assert_eq!(found, "0000023900", "{place}, {spoils}");
    }
}

/// I4: what was acknowledged out of order is passed over, and nothing beside it.
#[test]
fn i4_between_what_was_acknowledged_nothing_is_passed_over() {
    let acked = [[5, 1500], [1501, 7000], [8000, 9999], [10_001, 39_998]];
    let disk = killed_with(&acked);
    for mode in [ReadMode::Pread, ReadMode::Map] {
        let disk = disk.snapshot();
        let channel = FileChannel::open_on(disk.storage(), roomy().read_mode(mode)).expect("opens");
        let mut take = channel.begin_take();
        let mut left =
            (0..40_000).filter(|n| !acked.iter().any(|[start, end]| (start..end).contains(&n)));
        while let Some(event) = take.take().expect("works") {
            assert_eq!(
                event.body.to_vec(),
                format!("{:0>500}", left.next().expect("no more")).as_bytes()
            );
        }
        assert_eq!(left.next(), None);
    }
}

/// I6: who reads ahead delivers what comes before damage, and names the same place.
#[test]
fn i6_damage_is_met_in_its_place_whoever_reads() {
    let disk = SimDisk::new(1);
    let large = || ChannelOptions::new().segment_size(16 << 20).memory_tail(0);
    let channel = FileChannel::open_on(disk.storage(), large().background(false)).expect("opens");
    for turn in 0..400 {
        put(&channel, &format!("{turn:0>40000}")).expect("works");
    }
    channel.close().expect("closes");
    let puts = offsets_of_puts(&disk);
    for place in [3_u64, 20, 133, 399] {
        let found = [false, true].map(|background| {
            let disk = disk.snapshot();
            assert!(disk.flip_bit(SEGMENT, 8 * puts[place as usize]), "in the file");
            let channel = FileChannel::open_on(disk.storage(), large().background(background));
            let channel = channel.expect("damage is met when it is read");
            let mut taken = Vec::new();
            let error = loop {
                let mut take = channel.begin_take();
                match take.take() {
                    Ok(Some(event)) => taken.push(event.body.to_vec()),
                    Ok(None) => panic!("the damage at {place} was not met"),
                    Err(error) => break error,
                }
                take.commit().expect("works");
            };
            let TakeError::Corrupt(corruption) = error else { panic!("{error:?}") };
            (taken, corruption.to_string())
        });
        assert!(found[0] == found[1], "{} and {}", found[0].1, found[1].1);
        assert!(found[0].0.len() as u64 <= place);
        assert!(found[0].0.len() as u64 + 1 >= place, "{}", found[0].0.len());
    }
}

/// Complete segments are mapped when that is asked for, and else read.
#[test]
fn segments_are_mapped_when_asked_for() {
    let disk = three_segments();
    for (mode, is_mapped) in [(ReadMode::Map, true), (ReadMode::Pread, false)] {
        let options = options().read_mode(mode);
        let disk = disk.snapshot();
        let channel = FileChannel::open_on(disk.storage(), options.clone()).expect("opens");
        assert_eq!(drain(&channel).expect("readable").len(), 3);
        drop(channel);
        let channel = FileChannel::open_on(disk.storage(), options).expect("opens");
        let fault = Fault::Error(std::io::ErrorKind::Other);
        disk.set_plan(FaultPlan::new(fault).on(&[CallKind::Map]));
        let taken = channel.begin_take().take().map(|event| event.is_some());
        assert_eq!(taken.is_err(), is_mapped, "{taken:?}");
    }
}

/// I7: a failure is told to whoever begins to put, not only at the commit.
#[test]
fn i7_after_a_failed_commit_no_event_is_taken_in() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    let fault = FaultPlan::new(Fault::Error(std::io::ErrorKind::Other));
    disk.set_plan(fault.on(&[CallKind::SyncData]));
    assert!(matches!(put(&channel, "a"), Err(CommitError::Stopped(_))));
    let late = channel.begin_put().put(Event::new("b"));
    assert!(matches!(late, Err(PutError::Stopped(..))), "{late:?}");
}

/// Where all of a segment is acknowledged, its file may be anything: an opening asks for those with events.
#[test]
fn i6_a_segment_is_missed_when_events_in_it_are_wanted() {
    for (taken, opens) in [(0, false), (1, true)] {
        let disk = three_segments();
        let channel = open(&disk).expect("opens");
        for _ in 0..taken {
            let mut take = channel.begin_take();
            assert!(take.take().expect("readable").is_some());
            take.commit().expect("works");
        }
        drop(channel);
        assert!(disk.remove_file("00000000000000000001.seg"));
        assert_eq!(open(&disk).is_ok(), opens, "{taken} taken");
    }
}

/// A segment in another's place is damage of that file, and the error says which one it is.
#[test]
fn i6_a_segment_in_another_ones_place_is_named() {
    let disk = three_segments();
    let names = [1, 2].map(|number| format!("{number:020}.seg"));
    let [first, second] = names.each_ref().map(|name| disk.read_file(name).expect("is there"));
    disk.write_file(&names[0], &second);
    disk.write_file(&names[1], &first);
    let channel = open(&disk).expect("opens");
    match channel.begin_take().take() {
        Err(TakeError::Corrupt(damage)) => {
            assert_eq!((&damage.file, damage.offset), (&names[0], 0));
            assert_eq!(damage.expected, "segment 1 at Lsn 0");
        }
        other => panic!("{other:?}"),
    };
}

/// An opening that fails may have written under the next number. So the one after it takes another.
#[test]
fn i5_an_opening_that_fails_has_used_up_a_number() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    drop(channel);
    assert_eq!(newest(&disk).as_deref(), Some("00000000000000000001.seg"));
    let fault = Fault::Error(std::io::ErrorKind::Other);
    disk.set_plan(FaultPlan::new(fault).on(&[CallKind::SyncDirectory]));
    assert!(open(&disk).is_err());
    let channel = open(&disk).expect("opens");
    assert_eq!(newest(&disk).as_deref(), Some("00000000000000000003.seg"));
    assert_eq!(drain(&channel).expect("readable"), ["a"]);
}

/// Segments after the last that is found may have been there, and records of theirs wait in files under other
/// names.
#[test]
fn i5_numbers_that_may_have_been_used_are_left_out_when_both_slots_are_lost() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    drop(channel);
    assert!(["checkpoint-a", "checkpoint-b"].iter().all(|slot| disk.remove_file(slot)));
    let channel = open(&disk).expect("opens");
    let found = newest(&disk);
    while newest(&disk) == found {
        put(&channel, &"x".repeat(10_000)).expect("there is room");
    }
    // More than a million on, as docs/CRASH_SAFETY.md says.
    assert!(newest(&disk).is_some_and(|name| *name > *"00000000000001048576.seg"));
}

/// A directory put back to an earlier day may have files of a later one in it. So what goes on from there does not
/// count on to the numbers that were used then, however the channel ended, and whatever slots are left.
#[test]
fn i5_two_histories_that_part_share_no_number() {
    let slots = ["checkpoint-a", "checkpoint-b"];
    let cases = [false, true].into_iter().flat_map(|closed| {
        [&slots[..0], &slots[..1], &slots[1..], &slots].map(|lost| (closed, lost))
    });
    for (closed, lost) in cases {
        let disk = SimDisk::new(1);
        disk.set_chance(true);
        let channel = open(&disk).expect("opens");
        put(&channel, "a").expect("works");
        if closed {
            channel.close().expect("works");
        }
        drop(channel);
        assert!(lost.iter().all(|slot| disk.remove_file(slot)));
        assert_eq!(newest(&disk).as_deref(), Some("00000000000000000001.seg"));
        let files = files(&disk);
        let mut seen = BTreeSet::new();
        for history in 0..5 {
            disk.file_names().iter().for_each(|name| assert!(disk.remove_file(name)));
            files.iter().for_each(|(name, bytes)| disk.write_file(name, bytes));
            let channel = open(&disk).expect("opens");
            for _ in 0..10 {
                put(&channel, &"x".repeat(10_000)).expect("there is room");
            }
            let new = disk.file_names().into_iter().filter(|name| name.ends_with(".seg"));
            let new: Vec<_> = new.filter(|name| !files.contains_key(name)).collect();
            assert!(!new.is_empty());
            let is_shared = !new.into_iter().all(|name| seen.insert(name));
            assert!(!is_shared, "{history}, closed: {closed}, lost: {lost:?}");
        }
    }
}

fn files(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let names = disk.file_names().into_iter();
    names.filter_map(|name| disk.read_file(&name).map(|bytes| (name, bytes))).collect()
}

/// What is replayed is the records since the last checkpoint, and is counted.
#[test]
fn i10_an_opening_says_how_much_it_replayed() {
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    put(&channel, "a").expect("works");
    channel.checkpoint().expect("works");
    (0..3).for_each(|_| put(&channel, &"x".repeat(1000)).expect("works"));
    drop(channel);
    // 40 of the record, 8 of its head, 8 of the event.
    let channel = open(&disk).expect("opens");
    assert_eq!(channel.recovery().replayed_bytes, 3 * (40 + 8 + 8 + 1000));
}

/// Who opens what ought to be there, and is not, leaves nothing behind.
#[test]
fn an_empty_directory_stays_empty_without_create() {
    let disk = SimDisk::new(1);
    let absent = FileChannel::open_on(disk.storage(), ChannelOptions::new().create(false));
    let Err(OpenError::NotAChannel { reason, .. }) = absent else {
        panic!("made or refused otherwise")
    };
    assert_eq!(reason, "the directory is empty");
    assert_eq!(disk.file_names(), Vec::<String>::new());
}
