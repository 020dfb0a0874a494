//! Commits against each other, against the beginning of a segment, a checkpoint, a sync and the close (I1,
//! I2, I3).

use std::sync::Arc;

use super::bench::{Bench, LARGE, event, image, name_of, options, put, queued, recovered, take};
use crate::channel::FileChannel;
use crate::channel::{Channel, ChannelOptions, CloseError, CommitError, Durability, OpenError};
use crate::storage::sim::SimDisk;
use crate::sync::model::{Seen, explore, spawn};

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Lets one thread put `a`, and this one `b`; gives what would be left if the power went at each
/// acknowledgement.
fn race(bench: &Bench, size: usize) -> [SimDisk; 2] {
    let other = bench.clone();
    let thread = spawn(move || {
        other.put("a", size).expect("nothing fails");
        other.crash()
    });
    bench.put("b", size).expect("nothing fails");
    let mine = bench.crash();
    [thread.join().expect("no panic"), mine]
}

/// What was acknowledged is in the image, and all images and the channel agree on the order.
fn assert_kept(bench: &Bench, [a, b]: [SimDisk; 2], before: &[&str], seen: &Seen) {
    let all = queued(&bench.channel);
    let (earlier, later) = all.split_at(before.len());
    assert_eq!(earlier, before);
    assert_eq!(sorted(later.to_vec()), ["a", "b"]);
    seen.note(if later[0] == "a" { "a first" } else { "b first" });
    for (name, image) in [("a", a), ("b", b)] {
        let found = recovered(&image).1;
        assert!(found.iter().any(|found| found == name), "{name} was acknowledged and is lost");
        assert!(all.starts_with(&found), "{found:?} in a queue of {all:?}");
        seen.note_if(found.len() == before.len() + 1, "one image holds one of them");
    }
    assert_eq!(recovered(&bench.crash()).1, all);
}

#[test]
fn i1_i3_two_commits() {
    let image = image(options, |_| {});
    let finished = explore("engine.two_commits", None, 1_100, move |seen| {
        let bench = Bench::new(&image, options());
        let before = bench.channel.stats().syncs;
        let images = race(&bench, 10);
        assert_eq!(bench.channel.stats().syncs - before, 2, "whoever comes second leads as well");
        assert_kept(&bench, images, &[], seen);
    });
    finished.reached(&["a first", "b first", "one image holds one of them", "slept"]);
}

#[test]
fn i1_i3_three_commits_of_which_two_share_a_sync() {
    let image = image(options, |_| {});
    let finished = explore("engine.three_commits", Some(3), 4_800, move |seen| {
        let bench = Bench::new(&image, options());
        let before = bench.channel.stats().syncs;
        let threads = ["a", "b"].map(|name| {
            let other = bench.clone();
            spawn(move || {
                other.put(name, 10).expect("nothing fails");
                (name, other.crash())
            })
        });
        bench.put("c", 10).expect("nothing fails");
        let mut images = vec![("c", bench.crash())];
        images.extend(threads.map(|thread| thread.join().expect("no panic")));
        seen.note(match bench.channel.stats().syncs - before {
            2 => "one followed",
            3 => "all led",
            syncs => panic!("{syncs} syncs for three commits"),
        });
        let all = queued(&bench.channel);
        assert_eq!(sorted(all.clone()), ["a", "b", "c"]);
        for (name, image) in images {
            let found = recovered(&image).1;
            assert!(found.iter().any(|found| found == name), "{name} was acknowledged and is lost");
            assert!(all.starts_with(&found), "{found:?} in a queue of {all:?}");
        }
    });
    finished.reached(&["one followed", "all led", "slept"]);
}

#[test]
fn i1_i3_two_commits_and_a_full_segment() {
    let image = image(options, |channel| put(channel, "old", LARGE).expect("nothing fails"));
    let finished = explore("engine.commits_against_roll", Some(5), 1_500, move |seen| {
        let bench = Bench::new(&image, options());
        // Neither fits behind the old one, and both fit into the next segment.
        let images = race(&bench, 25 << 10);
        assert_eq!(bench.channel.stats().segments, 2, "one of them begins a segment");
        assert_kept(&bench, images, &["old"], seen);
    });
    finished.reached(&["a first", "b first", "slept"]);
}

#[test]
fn i1_i3_two_commits_that_begin_a_segment_each() {
    let image = image(options, |channel| put(channel, "old", LARGE).expect("nothing fails"));
    let finished = explore("engine.two_rolls", Some(4), 1_000, move |seen| {
        let bench = Bench::new(&image, options());
        let images = race(&bench, LARGE);
        assert_eq!(bench.channel.stats().segments, 3);
        assert_kept(&bench, images, &["old"], seen);
    });
    finished.reached(&["a first", "b first", "slept"]);
}

#[test]
fn i1_i4_i5_a_put_and_a_take() {
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.put_and_take", Some(4), 3_800, move |seen| {
        let bench = Bench::new(&image, options());
        let other = bench.clone();
        let taker = spawn(move || {
            let taken = take(&other.channel).expect("nothing fails");
            (taken, other.crash())
        });
        bench.put("new", 10).expect("nothing fails");
        let found = recovered(&bench.crash()).1;
        assert_eq!(found.last().map(String::as_str), Some("new"), "I1");
        seen.note(if found.len() == 2 { "put first" } else { "take first" });
        let (taken, image) = taker.join().expect("no panic");
        assert_eq!(taken.as_deref(), Some("old"), "I3");
        assert!(!recovered(&image).1.contains(&"old".to_string()), "I5: taken, and back again");
        assert_eq!(queued(&bench.channel), ["new"]);
        assert_eq!(recovered(&bench.crash()).1, ["new"]);
    });
    finished.reached(&["put first", "take first", "slept"]);
}

#[test]
fn i1_a_checkpoint_against_a_commit() {
    let image = image(options, |channel| {
        put(channel, "old", LARGE).expect("nothing fails");
        put(channel, "next", LARGE).expect("nothing fails");
    });
    let finished = explore("engine.checkpoint_against_commit", Some(4), 310, move |seen| {
        let bench = Bench::new(&image, options());
        assert_eq!(take(&bench.channel).expect("nothing fails").as_deref(), Some("old"));
        let other = bench.clone();
        let thread = spawn(move || {
            other.channel.checkpoint().expect("nothing fails");
            other.crash()
        });
        // Behind `next` there is no room for it.
        bench.put("new", LARGE).expect("nothing fails");
        assert_eq!(recovered(&bench.crash()).1, ["next", "new"]);
        let (_, found) = recovered(&thread.join().expect("no panic"));
        assert_eq!(found[0], "next");
        seen.note(if found.len() == 2 { "commit first" } else { "checkpoint first" });
        assert_eq!(recovered(&bench.crash()).1, ["next", "new"]);
        assert_eq!(queued(&bench.channel), ["next", "new"]);
    });
    finished.reached(&["commit first", "checkpoint first"]);
}

#[test]
fn i1_maintenance_against_a_commit() {
    let image = image(options, |_| {});
    let finished = explore("engine.maintain_against_commit", Some(5), 2_100, move |seen| {
        let bench = Bench::new(&image, options());
        let other = bench.clone();
        let thread = spawn(move || other.channel.maintain().expect("nothing fails"));
        bench.put("new", 10).expect("nothing fails");
        assert_eq!(recovered(&bench.crash()).1, ["new"]);
        thread.join().expect("no panic");
        // A record that only witnesses, if one was written, is no commit of anybody.
        assert_eq!(bench.channel.stats().puts_committed, 1);
        assert_eq!(recovered(&bench.crash()).1, ["new"]);
        seen.note("done");
    });
    finished.reached(&["done"]);
}

#[test]
fn i1_a_sync_covers_what_was_committed_before_it() {
    let lazy: fn() -> ChannelOptions = || options().durability(Durability::Os);
    let image = image(lazy, |_| {});
    let finished = explore("engine.sync_against_commits", Some(4), 4_200, move |seen| {
        let bench = Bench::new(&image, lazy());
        let other = bench.clone();
        let thread = spawn(move || {
            other.put("a", 10).expect("nothing fails");
            other.put("b", 10).expect("nothing fails");
        });
        let acknowledged = bench.channel.stats().next_sequence;
        bench.channel.sync().expect("nothing fails");
        let found = recovered(&bench.crash()).1;
        assert!(found.len() as u64 >= acknowledged, "{found:?} of {acknowledged} that were synced");
        assert!(["a", "b"].starts_with(&found.iter().map(String::as_str).collect::<Vec<_>>()));
        seen.note(["covered none", "covered one", "covered both"][found.len()]);
        thread.join().expect("no panic");
        assert_eq!(queued(&bench.channel), ["a", "b"]);
    });
    finished.reached(&["covered none", "covered one", "covered both"]);
}

/// The end of a segment and a sync beside the commits, of the same file: what the state of the next segment
/// stands for is synced, whoever has synced it.
#[test]
fn i1_i2_a_sync_beside_commits_against_the_next_segment() {
    let lazy: fn() -> ChannelOptions = || options().durability(Durability::Os);
    let image = image(lazy, |_| {});
    let finished = explore("engine.sync_behind_against_roll", Some(3), 1_000, move |seen| {
        let bench = Bench::new(&image, lazy());
        bench.put("a", 10 << 10).expect("nothing fails");
        let other = bench.clone();
        let thread = spawn(move || {
            other.channel.sync_behind().expect("nothing fails");
            recovered(&other.crash()).1
        });
        bench.put("b", LARGE).expect("nothing fails");
        // It does not fit behind the others.
        bench.put("c", LARGE).expect("nothing fails");
        assert!(recovered(&bench.crash()).1.starts_with(&["a".to_string(), "b".to_string()]));
        let found = thread.join().expect("no panic");
        assert_eq!(found.first().map(String::as_str), Some("a"), "I1: it was there to be synced");
        assert!(["a", "b", "c"].starts_with(&found.iter().map(String::as_str).collect::<Vec<_>>()));
        seen.note(["synced none", "synced one", "synced two", "synced all"][found.len()]);
        assert_eq!(queued(&bench.channel), ["a", "b", "c"]);
        bench.channel.checkpoint().expect("nothing fails");
        assert_eq!(recovered(&bench.crash()).1, ["a", "b", "c"]);
    });
    finished.reached(&["synced one", "synced two", "synced all"]);
}

#[test]
fn i1_i4_a_close_against_a_commit_in_flight() {
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.close_against_commit", Some(4), 460, move |seen| {
        let bench = Bench::new(&image, options());
        let other = bench.clone();
        let thread = spawn(move || {
            let mut put = other.channel.begin_put();
            if put.put(event("new", 10)).is_err() {
                return "refused before its commit";
            }
            match put.commit() {
                Ok(()) => "committed",
                Err(CommitError::Closed(events)) => {
                    assert_eq!(events.iter().map(name_of).collect::<Vec<_>>(), ["new"]);
                    "refused at its commit"
                }
                Err(error) => panic!("{error}"),
            }
        });
        bench.channel.close().expect("nothing fails");
        let image = bench.crash();
        let answer = thread.join().expect("no panic");
        seen.note(answer);
        // The close ends with everything on disk; nothing is acknowledged, or written, after it.
        let expected = if answer == "committed" { &["old", "new"][..] } else { &["old"][..] };
        assert_eq!(recovered(&image), (true, expected.iter().map(|name| (*name).into()).collect()));
        assert_eq!(recovered(&bench.crash()).1, expected);
    });
    finished.reached(&["refused before its commit", "refused at its commit", "committed", "slept"]);
}

#[test]
fn i4_i5_a_close_against_a_take() {
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.close_against_take", Some(4), 4_900, move |seen| {
        let bench = Bench::new(&image, options());
        let other = bench.clone();
        let thread = spawn(move || {
            let mut take = other.channel.begin_take();
            match take.take() {
                Ok(Some(event)) => assert_eq!(name_of(&event), "old"),
                _ => return "refused before its commit",
            }
            match take.commit() {
                Ok(()) => "committed",
                Err(CommitError::Closed(events)) if events.is_empty() => "refused at its commit",
                Err(error) => panic!("{error}"),
            }
        });
        bench.channel.close().expect("nothing fails");
        let answer = thread.join().expect("no panic");
        seen.note(answer);
        let (clean, found) = recovered(&bench.crash());
        assert!(clean);
        assert_eq!(found.is_empty(), answer == "committed", "{answer}: {found:?}");
    });
    finished.reached(&["refused before its commit", "refused at its commit", "committed", "slept"]);
}

#[test]
fn two_closes_and_a_checkpoint_in_between() {
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.close_twice", Some(5), 160, move |seen| {
        let bench = Bench::new(&image, options());
        let other = bench.clone();
        let thread = spawn(move || {
            let checkpoint = other.channel.checkpoint();
            assert!(matches!(checkpoint, Ok(()) | Err(CloseError::Closed)));
            other.channel.close()
        });
        let mine = bench.channel.close();
        let theirs = thread.join().expect("no panic");
        for close in [&mine, &theirs] {
            assert!(matches!(close, Ok(()) | Err(CloseError::Closed)));
        }
        assert!(mine.is_ok() != theirs.is_ok(), "one of two closes");
        seen.note(if mine.is_ok() { "mine" } else { "theirs" });
        assert_eq!(recovered(&bench.crash()), (true, vec!["old".to_string()]));
    });
    finished.reached(&["mine", "theirs"]);
}

#[test]
fn i11_two_openings_have_one_owner() {
    let image = image(options, |channel| put(channel, "old", 10).expect("nothing fails"));
    let finished = explore("engine.two_openings", Some(6), 30, move |seen| {
        let disk = image.snapshot();
        let storage = Arc::new(super::steps::Steps::new(disk.storage()));
        let theirs = Arc::clone(&storage);
        let thread = spawn(move || open(theirs));
        let mine = open(storage);
        let theirs = thread.join().expect("no panic");
        assert!(mine.is_some() != theirs.is_some(), "one owner at a time");
        seen.note(if mine.is_some() { "mine" } else { "theirs" });
        let channel = mine.or(theirs).expect("one of them");
        assert_eq!(queued(&channel), ["old"]);
    });
    finished.reached(&["mine", "theirs"]);
}

fn open(storage: Arc<super::steps::Steps>) -> Option<FileChannel> {
    match FileChannel::open_on(storage, options()) {
        Ok(channel) => Some(channel),
        Err(OpenError::InUse { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}
