//! The semantics every channel shares, on the one without a disk. Names follow Flume's tests of its
//! memory channel where it has them.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flumen::{
    AckDurability, Channel, ChannelOptions, CommitError, CursorError, Durability, EVENT_SIZE_MAX,
    Event, FileChannel, MemoryChannel, OpenError, PutError, ReadMode, TakeError, TakeTransaction,
};

const LONG: Duration = Duration::from_secs(3600);

fn open(options: ChannelOptions) -> MemoryChannel {
    MemoryChannel::open(options).expect("the options are good")
}

fn small(events: u64) -> MemoryChannel {
    open(ChannelOptions::new().capacity_events(events).put_wait(Duration::ZERO))
}

fn put(channel: &MemoryChannel, bodies: &[&str]) {
    let mut put = channel.begin_put();
    for body in bodies {
        put.put(Event::new(*body)).expect("there is room");
    }
    put.commit().expect("memory does not fail");
}

fn take(channel: &MemoryChannel, count: usize) -> (TakeTransaction, Vec<String>) {
    let mut take = channel.begin_take();
    let mut bodies = Vec::new();
    while bodies.len() < count {
        match take.take().expect("memory does not fail") {
            Some(event) => bodies.push(String::from_utf8_lossy(&event.body).into_owned()),
            None => break,
        }
    }
    (take, bodies)
}

fn drain(channel: &MemoryChannel) -> Vec<String> {
    let (transaction, bodies) = take(channel, usize::MAX);
    transaction.commit().expect("memory does not fail");
    bodies
}

#[test]
fn put_and_take_of_one() {
    let channel = small(10);
    let event = Event::new("body").with_header("key", "");
    let mut put = channel.begin_put();
    put.put(event.clone()).expect("there is room");
    put.commit().expect("memory does not fail");
    let mut take = channel.begin_take();
    assert_eq!(take.take().expect("memory does not fail"), Some(event));
    take.commit().expect("memory does not fail");
    assert_eq!(channel.stats().events, 0);
}

#[test]
fn an_empty_body_is_an_event() {
    let channel = small(10);
    put(&channel, &["", "x", ""]);
    assert_eq!(drain(&channel), ["", "x", ""]);
}

#[test]
fn an_uncommitted_put_is_invisible() {
    let channel = small(10);
    let mut put = channel.begin_put();
    put.put(Event::new("a")).expect("there is room");
    assert_eq!(take(&channel, 1).1, [""; 0]);
    assert!(!channel.wait(Duration::ZERO));
    put.commit().expect("memory does not fail");
    assert!(channel.wait(Duration::ZERO));
    assert_eq!(drain(&channel), ["a"]);
}

#[test]
fn a_put_beyond_the_transaction_capacity_is_refused() {
    let channel = open(ChannelOptions::new().transaction_events(2));
    let mut put = channel.begin_put();
    put.put(Event::new("a")).expect("there is room");
    put.put(Event::new("b")).expect("there is room");
    let refused = put.put(Event::new("c"));
    assert!(matches!(&refused, Err(PutError::TransactionFull(event)) if &*event.body == b"c"));
    put.commit().expect("what was put before can be committed");
    let (mut transaction, bodies) = take(&channel, 2);
    assert_eq!(bodies, ["a", "b"]);
    assert!(matches!(transaction.take(), Err(TakeError::TransactionFull)));
}

#[test]
fn a_put_beyond_the_capacity_is_refused_after_the_wait() {
    let channel = small(2);
    put(&channel, &["a", "b"]);
    let mut put = channel.begin_put();
    assert!(matches!(put.put(Event::new("c")), Err(PutError::Full(_))));
}

#[test]
fn a_put_that_must_not_wait_is_refused_at_once() {
    let channel = open(ChannelOptions::new().capacity_events(1).put_wait(LONG));
    let mut put = channel.begin_put();
    put.try_put(Event::new("a")).expect("there is room");
    let refused = put.try_put(Event::new("b"));
    assert!(matches!(refused, Err(PutError::Full(_))));
    put.commit().expect("memory does not fail");
    assert_eq!(drain(&channel), ["a"]);
}

#[test]
fn a_waiting_put_goes_on_when_a_take_commits() {
    let channel = open(ChannelOptions::new().capacity_events(1).put_wait(LONG));
    put(&channel, &["a"]);
    let producer = {
        let channel = channel.clone();
        thread::spawn(move || put(&channel, &["b"]))
    };
    assert_eq!(drain(&channel), ["a"]);
    producer.join().expect("the producer does not panic");
    assert_eq!(drain(&channel), ["b"]);
}

#[test]
fn space_is_free_again_only_after_the_take_commits() {
    let channel = small(1);
    put(&channel, &["a"]);
    let (transaction, _) = take(&channel, 1);
    let full = channel.begin_put().put(Event::new("b"));
    assert!(matches!(full, Err(PutError::Full(_))));
    transaction.commit().expect("memory does not fail");
    put(&channel, &["b"]);
}

#[test]
fn a_rolled_back_put_frees_its_space() {
    let channel = small(2);
    for _ in 0..3 {
        let mut put = channel.begin_put();
        put.put(Event::new("a")).expect("there is room");
        put.put(Event::new("b")).expect("there is room");
        put.rollback();
    }
    put(&channel, &["c", "d"]);
    assert_eq!(drain(&channel), ["c", "d"]);
}

#[test]
fn bytes_are_given_back_by_take_commit_and_by_put_rollback() {
    let size = Event::new("0123456789").size();
    let channel = open(ChannelOptions::new().capacity_bytes(2 * size).put_wait(Duration::ZERO));
    let mut rolled_back = channel.begin_put();
    rolled_back.put(Event::new("0123456789")).expect("there is room");
    drop(rolled_back);
    put(&channel, &["0123456789", "0123456789"]);
    let full = channel.begin_put().put(Event::new(""));
    assert!(matches!(full, Err(PutError::Full(_))));
    drop(take(&channel, 1));
    let full = channel.begin_put().put(Event::new(""));
    assert!(matches!(full, Err(PutError::Full(_))));
    drain(&channel);
    assert_eq!(channel.stats().bytes, 0);
    put(&channel, &["0123456789", "0123456789"]);
}

#[test]
fn an_event_larger_than_the_channel_is_too_large() {
    let channel = open(ChannelOptions::new().capacity_bytes(20).put_wait(LONG));
    let refused = channel.begin_put().put(Event::new("more than twenty bytes"));
    assert!(matches!(refused, Err(PutError::TooLarge(_))));
}

#[test]
fn negative_capacities_do_not_exist_and_zero_is_refused() {
    for options in [
        ChannelOptions::new().capacity_events(0),
        ChannelOptions::new().capacity_bytes(0),
        ChannelOptions::new().transaction_events(0),
    ] {
        let opened = MemoryChannel::open(options);
        assert!(matches!(opened, Err(OpenError::Option(_))));
    }
}

#[test]
fn commit_keeps_order_and_rollback_restores_it_at_the_head() {
    let channel = small(100);
    put(&channel, &["a", "b", "c"]);
    let (transaction, bodies) = take(&channel, 2);
    assert_eq!(bodies, ["a", "b"]);
    put(&channel, &["d"]);
    transaction.rollback();
    assert_eq!(drain(&channel), ["a", "b", "c", "d"]);
}

#[test]
fn interleaved_rollbacks_of_several_consumers_keep_the_order() {
    let channel = small(100);
    put(&channel, &["0", "1", "2", "3", "4", "5"]);
    let (first, _) = take(&channel, 2);
    let (second, _) = take(&channel, 2);
    let (third, _) = take(&channel, 1);
    second.rollback();
    let (again, bodies) = take(&channel, 1);
    assert_eq!(bodies, ["2"]);
    first.rollback();
    third.commit().expect("memory does not fail");
    again.rollback();
    assert_eq!(channel.stats().oldest_sequence, 0);
    assert_eq!(drain(&channel), ["0", "1", "2", "3", "5"]);
}

#[test]
fn a_rollback_of_one_thread_is_isolated_from_the_others() {
    let channel = small(100);
    let mut rolled_back = channel.begin_put();
    rolled_back.put(Event::new("never")).expect("there is room");
    let other = {
        let channel = channel.clone();
        thread::spawn(move || put(&channel, &["a"]))
    };
    other.join().expect("the producer does not panic");
    rolled_back.rollback();
    assert_eq!(drain(&channel), ["a"]);
}

#[test]
fn a_transaction_moves_to_another_thread() {
    let channel: Arc<dyn Channel> = Arc::new(small(10));
    let mut put = channel.begin_put();
    let committed = thread::spawn(move || {
        put.put(Event::new("a")).expect("there is room");
        put.commit()
    });
    committed.join().expect("the producer does not panic").expect("memory does not fail");
    assert_eq!(channel.stats().events, 1);
}

#[test]
fn many_threads_lose_nothing_double_nothing_and_keep_each_producers_order() {
    const PRODUCERS: usize = 4;
    const EVENTS: usize = 500;
    let channel =
        open(ChannelOptions::new().capacity_events(50).transaction_events(7).put_wait(LONG));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let channel = channel.clone();
            thread::spawn(move || {
                for event in 0..EVENTS {
                    put(&channel, &[&format!("{producer} {event}")]);
                }
            })
        })
        .collect();
    // One consumer rolls back every third batch; a single one, so that the order can be told.
    let mut next = [0; PRODUCERS];
    let mut round = 0;
    while next.iter().sum::<usize>() < PRODUCERS * EVENTS {
        assert!(channel.wait(LONG));
        let (transaction, bodies) = take(&channel, 7);
        round += 1;
        if round % 3 == 0 {
            transaction.rollback();
            continue;
        }
        for body in bodies {
            let (producer, event) = body.split_once(' ').expect("the producer wrote a space");
            let producer: usize = producer.parse().expect("the producer wrote a number");
            assert_eq!(event, next[producer].to_string());
            next[producer] += 1;
        }
        transaction.commit().expect("memory does not fail");
    }
    for producer in producers {
        producer.join().expect("the producer does not panic");
    }
    let stats = channel.stats();
    assert_eq!((stats.events, stats.bytes, stats.in_flight), (0, 0, 0));
    assert_eq!(stats.events_taken, (PRODUCERS * EVENTS) as u64);
}

#[test]
fn a_waiting_consumer_is_woken_by_a_put_by_a_rollback_and_by_the_end() {
    let channel = small(10);
    let waiter = |channel: &MemoryChannel| {
        let channel = channel.clone();
        thread::spawn(move || channel.wait(LONG))
    };
    let woken = waiter(&channel);
    put(&channel, &["a"]);
    assert!(woken.join().expect("the waiter does not panic"));
    let (transaction, _) = take(&channel, 1);
    let woken = waiter(&channel);
    transaction.rollback();
    assert!(woken.join().expect("the waiter does not panic"));
    drain(&channel);
    let woken = waiter(&channel);
    channel.close().expect("it was not closed before");
    assert!(!woken.join().expect("the waiter does not panic"));
}

#[test]
fn cursors_ride_on_puts_and_on_takes() {
    let channel = small(10);
    let mut put = channel.begin_put();
    put.put(Event::new("a")).expect("there is room");
    put.set_cursor("in/1", b"one").expect("a good name");
    put.set_cursor("in/2", b"two").expect("a good name");
    put.set_cursor("out", b"x").expect("a good name");
    assert_eq!(channel.cursor("in/1"), None);
    put.commit().expect("memory does not fail");
    assert_eq!(channel.cursor("in/1"), Some(b"one".to_vec()));
    let names: Vec<String> = channel.cursors("in/").into_keys().collect();
    assert_eq!(names, ["in/1", "in/2"]);
    let mut take = channel.begin_take();
    take.clear_cursor("in/1").expect("a good name");
    take.set_cursor("in/2", b"2").expect("a good name");
    drop(take);
    assert_eq!(channel.cursor("in/1"), Some(b"one".to_vec()));
    let mut take = channel.begin_take();
    take.clear_cursor("in/1").expect("a good name");
    take.commit().expect("a transaction of cursors alone is one");
    assert_eq!(channel.cursor("in/1"), None);
    assert_eq!(channel.begin_put().set_cursor("", b""), Err(CursorError::Name));
}

#[test]
fn after_closing_every_call_says_so_and_hands_events_back() {
    let channel = small(10);
    put(&channel, &["a", "b"]);
    let mut open_put = channel.begin_put();
    open_put.put(Event::new("c")).expect("there is room");
    let (open_take, _) = take(&channel, 1);
    channel.close().expect("it was not closed before");
    assert!(matches!(open_put.put(Event::new("d")), Err(PutError::Closed(_))));
    assert!(matches!(open_put.commit(), Err(CommitError::Closed(events)) if events.len() == 1));
    assert!(matches!(open_take.commit(), Err(CommitError::Closed(_))));
    assert!(matches!(channel.begin_take().take(), Err(TakeError::Closed)));
    assert!(!channel.wait(LONG));
    assert!(channel.close().is_err());
    assert_eq!(channel.stats().events, 2);
}

/// What a channel says of itself is the same for both, after the same history: some events are lent, some came
/// back, some are gone, and some of those are newer than any that is there.
#[test]
fn both_channels_count_the_same() {
    let options = ChannelOptions::new().capacity_events(50).capacity_bytes(5_000);
    let directory = tempfile::tempdir().expect("a directory");
    let on_disk = FileChannel::open(directory.path().join("channel"), options.clone());
    let channels: [Box<dyn Channel>; 2] =
        [Box::new(open(options)), Box::new(on_disk.expect("opens"))];
    for channel in channels {
        assert_eq!(channel.transaction_events(), 100_000);
        for count in [1, 5, 4] {
            let mut put = channel.begin_put();
            (0..count).for_each(|_| put.put(Event::new("12345678")).expect("there is room"));
            put.commit().expect("works");
        }
        let take = |count: usize| {
            let mut take = channel.begin_take();
            (0..count).for_each(|_| assert!(take.take().expect("works").is_some()));
            take
        };
        let (back, lent, gone) = (take(2), take(3), take(1));
        gone.commit().expect("works");
        back.rollback();
        let stats = channel.stats();
        let found = [stats.events, stats.bytes, stats.in_flight];
        assert_eq!(found, [9, 9 * 16, 3]);
        assert_eq!([stats.oldest_sequence, stats.next_sequence], [0, 10]);
        assert_eq!([stats.capacity_events, stats.capacity_bytes], [50, 5_000]);
        assert_eq!([stats.events_put, stats.events_taken], [10, 1]);
        assert_eq!([stats.puts_committed, stats.takes_committed], [3, 1]);
        take(2).commit().expect("works");
        assert_eq!(channel.stats().oldest_sequence, 2, "what is lent is still there");
        lent.commit().expect("works");
        take(4).commit().expect("works");
        let stats = channel.stats();
        assert_eq!([stats.events, stats.bytes, stats.oldest_sequence], [0, 0, 10]);
    }
}

/// Each limit of a transaction is one that can be reached, and nothing past it is taken in.
#[test]
fn limits_of_a_transaction_are_met_exactly() {
    let event = |size: usize| Event::new(vec![7; size - 8]);
    let limits = ChannelOptions::new().transaction_events(3).transaction_bytes(100);
    let channel = open(limits);
    let mut put = channel.begin_put();
    assert!(put.is_empty());
    assert!(matches!(put.put(event(101)), Err(PutError::TooLarge(_))), "alone it would not fit");
    put.put(event(60)).expect("fits");
    assert!(matches!(put.put(event(41)), Err(PutError::TransactionFull(_))));
    put.put(event(40)).expect("fits to the byte");
    assert_eq!((put.len(), put.is_empty()), (2, false));
    assert!(matches!(put.put(event(8)), Err(PutError::TransactionFull(_))));
    put.commit().expect("works");
    let mut put = channel.begin_put();
    put.put(event(100)).expect("fits alone");
    put.commit().expect("works");
    let mut put = channel.begin_put();
    (0..3).for_each(|_| put.put(event(8)).expect("fits"));
    assert!(matches!(put.put(event(8)), Err(PutError::TransactionFull(_))));
    put.commit().expect("works");

    let mut take = channel.begin_take();
    assert_eq!((take.len(), take.is_empty()), (0, true));
    (0..2).for_each(|_| assert!(take.take().expect("works").is_some()));
    assert_eq!((take.len(), take.is_empty()), (2, false));
    assert!(matches!(take.take(), Err(TakeError::TransactionFull)), "100 bytes");
    take.commit().expect("works");
    let mut take = channel.begin_take();
    assert!(take.take().expect("works").is_some());
    assert!(matches!(take.take(), Err(TakeError::TransactionFull)), "100 bytes in one");
    take.commit().expect("works");
    let mut take = channel.begin_take();
    (0..3).for_each(|_| assert!(take.take().expect("works").is_some()));
    assert!(matches!(take.take(), Err(TakeError::TransactionFull)), "three events");
}

#[test]
fn limits_of_cursors_are_met_exactly() {
    let channel = open(ChannelOptions::new());
    let mut put = channel.begin_put();
    assert!(matches!(put.set_cursor("", b""), Err(CursorError::Name)));
    put.set_cursor(&"n".repeat(255), &[7; 4096]).expect("fits");
    assert!(matches!(put.set_cursor(&"n".repeat(256), b""), Err(CursorError::Name)));
    assert!(matches!(put.set_cursor("a", &[7; 4097]), Err(CursorError::Value)));
    (1..10_000).for_each(|n| put.set_cursor(&n.to_string(), b"1").expect("fits"));
    assert!(matches!(put.set_cursor("another", b""), Err(CursorError::TooMany)));
    put.set_cursor("17", b"2").expect("is there already");
    put.clear_cursor("18").expect("is there already");
    put.commit().expect("works");
    assert_eq!(channel.cursor("17").as_deref(), Some(&b"2"[..]));
    assert_eq!(channel.cursor("18"), None);
    assert_eq!(channel.cursors("").len(), 9_999);
}

/// An option outside its limits is refused by its name; one at its limit is not.
#[test]
fn options_are_held_to_their_limits() {
    let new = ChannelOptions::new;
    let hour = Duration::from_secs(3600);
    let wrong = [
        ("capacity_events", new().capacity_events(0)),
        ("capacity_bytes", new().capacity_bytes(0)),
        ("transaction_events", new().transaction_events(0)),
        ("transaction_bytes", new().transaction_bytes(0)),
        ("transaction_bytes", new().transaction_bytes(u64::MAX)),
        ("segment_size", new().segment_size((16 << 10) - 1)),
        ("segment_size", new().segment_size((1 << 30) + 1)),
        ("durability", new().durability(Durability::Interval(Duration::ZERO))),
        ("memory_tail", new().memory_tail((1 << 30) + 1)),
        ("checkpoint_interval", new().checkpoint_interval(Duration::ZERO)),
    ];
    for (name, options) in wrong {
        match MemoryChannel::open(options).map(|_| "a channel") {
            Err(OpenError::Option(invalid)) => assert_eq!(invalid.option, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let right = [
        new().capacity_events(1).capacity_bytes(1).transaction_events(1).transaction_bytes(1),
        new().segment_size(16 << 10).memory_tail(0),
        new().segment_size(1 << 30).memory_tail(1 << 30),
        new().durability(Durability::Interval(hour)).checkpoint_interval(hour),
        new().durability(Durability::Os),
    ];
    for options in right {
        assert!(MemoryChannel::open(options).is_ok());
    }
}

/// As large as the whole channel is not too large: it waits until all else is gone.
#[test]
fn an_event_as_large_as_the_channel_waits_for_room() {
    let options = ChannelOptions::new().capacity_bytes(20);
    let channel = open(options.put_wait(Duration::ZERO));
    let large = || Event::new("123456789012");
    assert_eq!(large().size(), 20);
    put(&channel, &[""]);
    assert!(matches!(channel.begin_put().put(large()), Err(PutError::Full(_))));
    take(&channel, 1).0.commit().expect("works");
    channel.begin_put().put(large()).expect("there is room");
}

/// Each option is set by its own method, and by no other.
#[test]
fn every_option_is_one_of_its_own() {
    let new = ChannelOptions::new;
    let hour = Duration::from_secs(3600);
    let set = [
        ("create", new().create(false)),
        ("capacity_events", new().capacity_events(7)),
        ("capacity_bytes", new().capacity_bytes(7)),
        ("transaction_events", new().transaction_events(7)),
        ("transaction_bytes", new().transaction_bytes(7)),
        ("put_wait", new().put_wait(hour)),
        ("durability", new().durability(Durability::Os)),
        ("ack_durability", new().ack_durability(AckDurability::Lazy(hour))),
        ("segment_size", new().segment_size(7)),
        ("read_mode", new().read_mode(ReadMode::Map)),
        ("checkpoint_interval", new().checkpoint_interval(hour)),
        ("memory_tail", new().memory_tail(7)),
        ("background", new().background(false)),
    ];
    let fields = |options: &ChannelOptions| -> Vec<String> {
        format!("{options:#?}").lines().map(|line| line.trim().to_string()).collect()
    };
    let defaults = fields(&new());
    assert_eq!(fields(&ChannelOptions::default()), defaults);
    for (name, options) in set {
        let fields = fields(&options);
        let is_new = |field: &&String| field.contains(": ") && !defaults.contains(field);
        let changed: Vec<_> = fields.iter().filter(is_new).collect();
        let is_its_own = |field: &&&String| field.starts_with(&format!("{name}: "));
        assert!(changed.iter().any(|field| is_its_own(&field)) || fields.len() != defaults.len());
        assert!(changed.len() <= 1, "{name} changes {changed:?}");
    }
}

#[test]
fn the_largest_event_fits_and_a_byte_more_does_not() {
    let channel = open(ChannelOptions::new().transaction_bytes(3 * EVENT_SIZE_MAX));
    let overhead = Event::new("").size();
    let event = |size: u64| Event::new(vec![7; (size - overhead) as usize]);
    assert_eq!(event(EVENT_SIZE_MAX).size(), EVENT_SIZE_MAX);
    let mut put = channel.begin_put();
    put.put(event(EVENT_SIZE_MAX)).expect("fits");
    assert!(matches!(put.put(event(EVENT_SIZE_MAX + 1)), Err(PutError::TooLarge(_))));
    let together = vec![event(EVENT_SIZE_MAX + 1)];
    assert!(matches!(put.put_all(together), Err(PutError::TooLarge(_))));
    put.put_all(vec![event(EVENT_SIZE_MAX)]).expect("fits");
}
