//! Transactions on a durable channel, through the public API.
#![allow(clippy::disallowed_methods, reason = "a test damages a file")]

use std::time::Duration;

use flumen::{
    Channel, ChannelOptions, CommitError, Durability, Event, FileChannel, MemoryChannel, PutError,
    TakeError,
};

fn put_all(channel: &dyn Channel, bodies: &[&str]) {
    let mut put = channel.begin_put();
    for body in bodies {
        put.put(Event::new(*body)).expect("there is room");
    }
    put.commit().expect("the disk works");
}

fn take_all(channel: &dyn Channel) -> Vec<String> {
    let mut take = channel.begin_take();
    let mut bodies = Vec::new();
    while let Some(event) = take.take().expect("readable") {
        bodies.push(String::from_utf8(event.body.to_vec()).expect("text"));
    }
    take.commit().expect("the disk works");
    bodies
}

fn options() -> ChannelOptions {
    ChannelOptions::new().segment_size(64 << 10).put_wait(Duration::ZERO)
}

#[test]
fn i1_i3_what_is_committed_comes_out_in_order_after_reopening() {
    let directory = tempfile::tempdir().expect("a directory");
    for round in 0..5 {
        let channel = FileChannel::open(directory.path(), options()).expect("opens");
        assert!(channel.recovery().clean, "round {round}");
        put_all(&channel, &["a", "b"]);
        put_all(&channel, &["c"]);
        if round % 2 == 1 {
            channel.close().expect("closes");
            drop(channel);
            let channel = FileChannel::open(directory.path(), options()).expect("opens");
            assert_eq!(take_all(&channel), ["a", "b", "c"]);
            channel.close().expect("closes");
        } else {
            assert_eq!(take_all(&channel), ["a", "b", "c"]);
            channel.close().expect("closes");
        }
    }
}

/// Waiting tells what a take would find, however the events lie: in memory or in the log, lent, given back, or
/// acknowledged out of order before the opening.
#[test]
fn waiting_and_taking_agree() {
    let now = Duration::ZERO;
    for memory in [0, 1 << 20] {
        let directory = tempfile::tempdir().expect("a directory");
        let open =
            || FileChannel::open(directory.path(), options().memory_tail(memory)).expect("opens");
        let channel = open();
        assert!(!channel.wait(now), "nothing was put");
        put_all(&channel, &["a", "b", "c"]);
        put_all(&channel, &["d"]);
        let (mut one, mut other) = (channel.begin_take(), channel.begin_take());
        for lent in 0..3 {
            assert!(channel.wait(now), "after {lent}");
            let take = if lent == 0 { &mut one } else { &mut other };
            assert!(take.take().expect("readable").is_some());
            assert_eq!(channel.stats().in_flight, lent + 1);
        }
        other.commit().expect("works");
        assert_eq!(channel.stats().in_flight, 1);
        assert!(channel.wait(now), "of the second put");
        let mut rest = channel.begin_take();
        assert_eq!(&*rest.take().expect("readable").expect("the last").body, b"d");
        assert!(!channel.wait(now), "all are lent or gone");
        rest.commit().expect("works");
        assert!(!channel.wait(now));
        drop(one);
        assert!(channel.wait(now), "one came back");
        assert_eq!(channel.stats().in_flight, 0);
        channel.close().expect("works");
        assert!(!channel.wait(now), "closed");
        drop(channel);
        let channel = open();
        assert!(channel.wait(now), "the first is left");
        let mut take = channel.begin_take();
        assert_eq!(&*take.take().expect("readable").expect("there").body, b"a");
        assert!(!channel.wait(now), "what is behind it was acknowledged before the opening");
        take.rollback();
        assert_eq!(take_all(&channel), ["a"]);
    }
}

#[test]
fn i1_without_a_close_nothing_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut expected = Vec::new();
    for round in 0..10 {
        let channel = FileChannel::open(directory.path(), options()).expect("opens");
        assert_eq!(channel.recovery().clean, round == 0);
        let body = format!("event {round}");
        put_all(&channel, &[&body]);
        expected.push(body);
    }
    let channel = FileChannel::open(directory.path(), options()).expect("opens");
    assert_eq!(take_all(&channel), expected);
}

#[test]
fn i12_many_segments_come_and_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let channel = FileChannel::open(directory.path(), options()).expect("opens");
    let body = "x".repeat(1000);
    for round in 0..50 {
        for _ in 0..10 {
            put_all(&channel, &[body.as_str(); 10]);
        }
        assert_eq!(take_all(&channel).len(), 100, "round {round}");
    }
    let stats = channel.stats();
    assert_eq!(stats.events, 0);
    assert!(stats.segments <= 4, "{stats:?}");
}

#[test]
fn a_backlog_is_read_back_from_disk_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let channel = FileChannel::open(directory.path(), options().memory_tail(0)).expect("opens");
    for index in 0..2000 {
        let body = format!("{index:0500}");
        put_all(&channel, &[&body]);
    }
    for index in 0..2000 {
        let mut take = channel.begin_take();
        let event = take.take().expect("readable").expect("there");
        assert_eq!(&*event.body, format!("{index:0500}").as_bytes());
        take.commit().expect("works");
    }
}

#[test]
fn i3_a_rolled_back_take_returns_to_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let channel = FileChannel::open(directory.path(), options()).expect("opens");
    put_all(&channel, &["a", "b", "c", "d"]);
    let mut first = channel.begin_take();
    let mut second = channel.begin_take();
    first.take().expect("readable");
    second.take().expect("readable");
    first.take().expect("readable");
    first.rollback();
    drop(second);
    assert_eq!(take_all(&channel), ["a", "b", "c", "d"]);
}

#[test]
fn a_full_channel_hands_the_event_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let channel = FileChannel::open(directory.path(), options().capacity_events(2)).expect("opens");
    put_all(&channel, &["a", "b"]);
    let mut put = channel.begin_put();
    match put.put(Event::new("c")) {
        Err(PutError::Full(event)) => assert_eq!(&*event.body, b"c"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(put.try_put(Event::new("c")), Err(PutError::Full(_))));
    drop(put);
    assert_eq!(take_all(&channel), ["a", "b"]);
    // What a put reserves and gives up is free again.
    for event in ["x", "y"] {
        let mut given_up = channel.begin_put();
        given_up.put(Event::new(event)).expect("there is room");
        given_up.try_put(Event::new(event)).expect("there is room");
        assert!(matches!(given_up.try_put(Event::new("z")), Err(PutError::Full(_))));
        given_up.rollback();
    }
    put_all(&channel, &["c"]);
    channel.close().expect("closes");
    let mut put = channel.begin_put();
    assert!(matches!(put.put(Event::new("d")), Err(PutError::Closed(_))));
    put.set_cursor("x", b"y").expect("fits");
    assert!(matches!(put.commit(), Err(CommitError::Closed(_))));
}

fn bodies(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| std::str::from_utf8(&event.body).expect("text")).collect()
}

fn events(bodies: &[&str]) -> Vec<Event> {
    bodies.iter().map(|body| Event::new(*body)).collect()
}

/// The same on a channel with a disk, which reads back what it hands out, and on one without.
fn for_both(options: ChannelOptions, test: impl Fn(&dyn Channel)) {
    let directory = tempfile::tempdir().expect("a directory");
    test(&FileChannel::open(directory.path(), options.clone().memory_tail(0)).expect("opens"));
    test(&MemoryChannel::open(options).expect("opens"));
}

/// I8: and what was refused is handed back, in its order.
#[test]
fn i8_events_that_are_put_together_are_put_all_or_none() {
    let options = options().capacity_events(6).transaction_events(5);
    for_both(options, |channel| {
        let mut put = channel.begin_put();
        put.put_all(events(&["a", "b"])).expect("there is room");
        match put.put_all(events(&["c", "d", "e", "f"])) {
            Err(PutError::TransactionFull(refused)) => {
                assert_eq!(bodies(&refused), ["c", "d", "e", "f"]);
            }
            other => panic!("{other:?}"),
        }
        match put.put_all(events(&["c"; 6])) {
            Err(PutError::TooMany(refused)) => assert_eq!(refused.len(), 6),
            other => panic!("{other:?}"),
        }
        put.put(Event::new("c")).expect("there is room");
        put.commit().expect("works");
        let mut put = channel.begin_put();
        let refused = put.put_all(events(&["d", "e", "f", "g"])).expect_err("room for three");
        assert_eq!(refused.to_string(), PutError::Full(Event::new("")).to_string());
        assert_eq!(bodies(&refused.into_inner()), ["d", "e", "f", "g"]);
        assert!(put.is_empty());
        put.put_all(events(&["d", "e", "f"])).expect("nothing of what was refused holds room");
        put.rollback();
        let mut put = channel.begin_put();
        put.put_all(events(&["d"])).expect("a rollback gives all of it back");
        put.commit().expect("works");
        assert_eq!(take_all(channel), ["a", "b", "c", "d"]);
        channel.close().expect("closes");
        let closed = channel.begin_put().put_all(events(&["f"]));
        assert!(matches!(closed, Err(PutError::Closed(_))));
    });
}

/// Nothing needs no room, not even where there is less than none; and who holds some already does not wait for
/// more.
#[test]
fn i8_only_who_holds_nothing_waits_for_room() {
    let directory = tempfile::tempdir().expect("a directory");
    let long = options().put_wait(Duration::from_secs(3600));
    let channel = FileChannel::open(directory.path(), long.clone()).expect("opens");
    put_all(&channel, &["a", "b", "c"]);
    channel.close().expect("closes");
    drop(channel);
    let lowered = long.clone().capacity_events(2);
    let channel = FileChannel::open(directory.path(), lowered).expect("opens");
    channel.begin_put().put_all(Vec::new()).expect("nothing is put");
    channel.close().expect("closes");
    for_both(long.capacity_events(2), |channel| {
        let mut put = channel.begin_put();
        put.put(Event::new("a")).expect("there is room");
        let refused = put.put_all(events(&["b", "c"]));
        assert!(matches!(refused, Err(PutError::Full(_))), "it would wait for itself");
    });
}

/// Which is told from an event that may never be.
#[test]
fn i8_too_large_and_too_many_are_told_apart() {
    for_both(options().capacity_bytes(100).transaction_bytes(1000), |channel| {
        let mut put = channel.begin_put();
        for (sizes, text) in [
            ([1, 2000], "an event of 2008 bytes is"),
            ([1, 93], "an event of 101 bytes is"),
            ([450, 550], "an event of 558 bytes is"),
            ([46, 46], "2 events of 108 bytes together are"),
        ] {
            let events = sizes.map(|size| Event::new(vec![7; size])).to_vec();
            let error = put.put_all(events).expect_err("there never is room");
            assert!(error.to_string().starts_with(text), "{error}");
            let is_large = matches!(error, PutError::TooLarge(_));
            assert!(is_large || matches!(error, PutError::TooMany(_)), "{error:?}");
            assert_eq!(is_large, text.starts_with("an event"));
        }
        let exactly = [42, 42].map(|size| Event::new(vec![7; size]));
        put.put_all(exactly.to_vec()).expect("there is room");
    });
}

/// Each producer has all of its room or none, so somebody can always go on.
#[test]
fn producers_that_put_all_at_once_do_not_wait_for_each_other() {
    const ROUNDS: usize = 200;
    let directory = tempfile::tempdir().expect("a directory");
    let long = Duration::from_secs(60);
    let options = options().durability(Durability::Os).capacity_events(3).put_wait(long);
    let channel = FileChannel::open(directory.path(), options).expect("opens");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let mut put = channel.begin_put();
                    put.put_all(events(&["a", "b"])).expect("room comes free");
                    put.commit().expect("works");
                }
            });
        }
        let mut left = 3 * ROUNDS * 2;
        while left > 0 {
            assert!(channel.wait(long));
            let mut take = channel.begin_take();
            left -= take.take_up_to(2).expect("readable").len();
            take.commit().expect("works");
        }
    });
}

#[test]
fn i3_what_is_taken_together_is_given_back_together() {
    for_both(options().transaction_events(4).transaction_bytes(1000), |channel| {
        put_all(channel, &["a", "b", "c"]);
        put_all(channel, &["d", "e"]);
        let mut first = channel.begin_take();
        assert_eq!(bodies(first.take_up_to(2).expect("readable")), ["a", "b"]);
        let mut second = channel.begin_take();
        assert_eq!(bodies(second.take_up_to(0).expect("nothing is wanted")), [""; 0]);
        assert_eq!(bodies(second.take_up_to(1).expect("readable")), ["c"]);
        assert_eq!(channel.stats().in_flight, 3);
        first.rollback();
        assert_eq!(bodies(second.take_up_to(9).expect("readable")), ["a", "b", "d"]);
        assert!(matches!(second.take_up_to(1), Err(TakeError::TransactionFull)));
        assert_eq!(bodies(second.take_up_to(0).expect("nothing is wanted")), [""; 0]);
        second.commit().expect("works");
        let mut rest = channel.begin_take();
        assert_eq!(bodies(rest.take_up_to(usize::MAX).expect("readable")), ["e"]);
        assert_eq!(bodies(rest.take_up_to(9).expect("there are none")), [""; 0]);
        rest.commit().expect("works");
        put_all(channel, &["x".repeat(700).as_str()]);
        put_all(channel, &["y".repeat(400).as_str(), "z"]);
        let mut large = channel.begin_take();
        assert_eq!(large.take_up_to(3).expect("readable").len(), 2, "the second exceeds the bytes");
    });
}

/// Many are lent in parts, so that nobody else is kept waiting for all of them; whoever takes sees all at once.
#[test]
fn i3_as_many_are_taken_as_there_are() {
    for_both(ChannelOptions::new(), |channel| {
        let mut put = channel.begin_put();
        let number =
            |index: usize| Event::new(format!("{index:0width$}", width = 500 + index % 700));
        put.put_all((0..5000).map(number).collect()).expect("there is room");
        put.commit().expect("works");
        let mut take = channel.begin_take();
        assert_eq!(take.take_up_to(10).expect("readable").len(), 10);
        let taken = take.take_up_to(6000).expect("readable");
        assert_eq!(taken.len(), 4990);
        assert!(taken.iter().enumerate().all(|(index, event)| *event == number(index + 10)));
        assert_eq!((take.len(), channel.stats().in_flight), (5000, 5000));
        take.commit().expect("works");
        assert_eq!(channel.stats().events, 0);
    });
}

/// I6: damage does not hold up what comes before it, and is not passed over.
#[test]
fn i6_what_comes_before_damage_is_taken() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options().memory_tail(0).background(false);
    let channel = FileChannel::open(directory.path(), options).expect("opens");
    put_all(&channel, &["first", "second"]);
    put_all(&channel, &["third", "damaged"]);
    put_all(&channel, &["fifth"]);
    let segment = std::fs::read_dir(directory.path())
        .expect("a directory")
        .map(|entry| entry.expect("readable").path())
        .find(|path| std::fs::read(path).is_ok_and(|bytes| position(&bytes).is_some()))
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("readable");
    let at = position(&bytes).expect("it was found before");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("writable");
    let mut take = channel.begin_take();
    assert_eq!(bodies(take.take_up_to(9).expect("before the damage")), ["first", "second"]);
    for _ in 0..2 {
        assert!(matches!(take.take_up_to(9), Err(TakeError::Corrupt(_))));
        assert!(matches!(take.take(), Err(TakeError::Corrupt(_))));
    }
    assert_eq!((take.len(), channel.stats().in_flight), (2, 2));
    take.commit().expect("works");
    assert!(matches!(channel.begin_take().take_up_to(9), Err(TakeError::Corrupt(_))));
}

fn position(bytes: &[u8]) -> Option<usize> {
    bytes.windows(7).position(|part| part == b"damaged")
}
