//! Transactions on a durable channel, through the public API.

use std::time::Duration;

use flumen::{Channel, ChannelOptions, CommitError, Event, FileChannel, PutError};

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
