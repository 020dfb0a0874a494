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
        assert_eq!(channel.recovery().clean, true, "round {round}");
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
    drop(put);
    assert_eq!(take_all(&channel), ["a", "b"]);
    put_all(&channel, &["c"]);
    channel.close().expect("closes");
    let mut put = channel.begin_put();
    assert!(matches!(put.put(Event::new("d")), Err(PutError::Closed(_))));
    put.set_cursor("x", b"y").expect("fits");
    assert!(matches!(put.commit(), Err(CommitError::Closed(_))));
}
