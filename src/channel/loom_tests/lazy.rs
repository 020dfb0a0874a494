//! Lazy acks against commits, maintenance and the close: nothing is lost, and after a close nothing comes
//! back.

use super::bench::{Bench, event, image, name_of, options, put, queued, recovered, take};
use crate::channel::{AckDurability, Channel, ChannelOptions, CloseError, CommitError};
use crate::storage::sim::SimDisk;
use crate::sync::model::{explore, prepare, spawn};

fn lazy() -> ChannelOptions {
    options().ack_durability(AckDurability::Lazy(super::bench::LONG))
}

fn two_events() -> SimDisk {
    image(options, |channel| {
        put(channel, "first", 10).expect("nothing fails");
        put(channel, "second", 10).expect("nothing fails");
    })
}

#[test]
fn i5_lazy_acks_that_were_accepted_before_a_close_are_in_it() {
    let image = two_events();
    let finished = explore("engine.lazy_against_close", Some(4), 1_600, move |seen| {
        let bench = Bench::new(&image, lazy());
        let other = bench.clone();
        let thread = spawn(move || {
            let mut take = other.channel.begin_take();
            match take.take() {
                Ok(Some(event)) => assert_eq!(name_of(&event), "first"),
                _ => return "refused before its commit",
            }
            match take.commit() {
                Ok(()) => "accepted",
                Err(CommitError::Closed(_)) => "refused at its commit",
                Err(error) => panic!("{error}"),
            }
        });
        bench.channel.close().expect("nothing fails");
        let answer = thread.join().expect("no panic");
        seen.note(answer);
        let left = if answer == "accepted" { &["second"][..] } else { &["first", "second"][..] };
        let (clean, found) = recovered(&bench.crash());
        assert!(clean);
        assert_eq!(found, left, "{answer}");
    });
    finished.reached(&["refused before its commit", "refused at its commit", "accepted"]);
}

#[test]
fn i4_i5_lazy_acks_go_once_with_whoever_commits_next() {
    let image = two_events();
    let finished = explore("engine.lazy_against_commit", Some(3), 1_350, move |seen| {
        let bench = Bench::new(&image, lazy());
        let other = bench.clone();
        let taker = spawn(move || {
            assert_eq!(take(&other.channel).expect("nothing fails").as_deref(), Some("first"));
            // Not `maintain`: that leaves acks alone that somebody else's commit has on its way.
            other.channel.sync().expect("nothing fails");
            other.crash()
        });
        bench.put("third", 10).expect("nothing fails");
        let found = recovered(&bench.crash()).1;
        seen.note(match found[0].as_str() {
            "first" => "the commit went without the ack",
            _ => "the commit took the ack along",
        });
        assert_eq!(found.last().map(String::as_str), Some("third"), "I1");
        let found = recovered(&taker.join().expect("no panic")).1;
        assert_eq!(found[0], "second", "synced, and back again");
        assert_eq!(queued(&bench.channel), ["second", "third"]);
        assert_eq!(bench.channel.stats().takes_committed, 1);
        assert_eq!(recovered(&bench.crash()).1, ["second", "third"]);
    });
    finished.reached(&[
        "the commit went without the ack",
        "the commit took the ack along",
        "slept",
    ]);
}

#[test]
fn a_cursor_of_a_lazy_ack_never_overtakes_a_later_one() {
    let image = two_events();
    let finished = explore("engine.lazy_cursor", Some(5), 12_100, move |seen| {
        let bench = Bench::new(&image, lazy());
        let other = bench.clone();
        let thread = spawn(move || {
            let mut take = other.channel.begin_take();
            assert!(take.take().expect("readable").is_some());
            take.set_cursor("place", b"1").expect("a short name");
            take.commit().expect("nothing fails");
            let mut put = other.channel.begin_put();
            put.put(event("third", 10)).expect("there is room");
            put.set_cursor("place", b"2").expect("a short name");
            put.commit().expect("nothing fails");
        });
        // Takes waiting acks along, perhaps those of the other thread.
        bench.put("fourth", 10).expect("nothing fails");
        seen.note_if(bench.channel.cursor("place").as_deref() == Some(b"1"), "took the ack along");
        thread.join().expect("no panic");
        assert_eq!(bench.channel.cursor("place").as_deref(), Some(&b"2"[..]));
    });
    finished.reached(&["took the ack along", "slept"]);
}

/// The disk of a closed channel, full, without a reserve, and with no room for an ack in its last segment.
fn full() -> SimDisk {
    let sizes = (0..).map(|step| super::bench::LARGE + 17_000 + 8 * step);
    let images = sizes.map(|size| {
        let disk = image(options, move |channel| {
            put(channel, "first", 10).expect("nothing fails");
            put(channel, "second", size).expect("it fits");
        });
        for name in disk.file_names() {
            if name.starts_with("reserve-") || name.starts_with("spare-") {
                assert!(disk.remove_file(&name));
            }
        }
        disk.set_capacity(Some(0));
        disk
    });
    let is_full = |image: &SimDisk| {
        let image = image.snapshot();
        prepare(move || {
            let bench = Bench::new(&image, lazy());
            take(&bench.channel).expect("lazy");
            bench.channel.sync().is_err()
        })
    };
    images.take(800).find(is_full).expect("some size leaves no room")
}

/// Whoever takes along what was refused, and whenever there is room; and no cursor goes back.
#[test]
fn i2_i5_what_a_full_disk_refused_is_durable_when_a_sync_says_so() {
    let image = full();
    let finished = explore("engine.refused_ack_against_sync", Some(2), 2_100, move |seen| {
        let bench = Bench::new(&image, lazy());
        let mut first = bench.channel.begin_take();
        assert!(first.take().expect("readable").is_some());
        first.set_cursor("place", b"1").expect("a short name");
        first.commit().expect("lazy");
        bench.channel.maintain().expect("a checkpoint needs no room");
        let other = bench.clone();
        let thread = spawn(move || {
            other.disk.set_capacity(None);
            let mut third = other.channel.begin_put();
            third.put(event("third", 10)).expect("there is room");
            third.set_cursor("place", b"2").expect("a short name");
            third.commit().expect("there is room");
        });
        let answer = match bench.channel.sync() {
            Ok(()) => {
                let found = recovered(&bench.crash()).1;
                assert_eq!(found[0], "second", "synced, and back again");
                "there was room"
            }
            Err(CloseError::NoSpace { events: 1 }) => "there was no room",
            Err(error) => panic!("{error}"),
        };
        seen.note(answer);
        thread.join().expect("no panic");
        bench.channel.sync().expect("there is room");
        assert_eq!(recovered(&bench.crash()).1, ["second", "third"]);
        assert_eq!(bench.channel.cursor("place").as_deref(), Some(&b"2"[..]));
    });
    finished.reached(&["there was room", "there was no room", "slept"]);
}
