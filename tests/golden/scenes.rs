//! How the directories of version 1 came about. Each scene says what a reader is to find from what it was
//! told by the channel while it ran, not from reading the result.

use std::collections::BTreeMap;

use flumen::storage::sim::{Crash, Fate, PendingEffect, SimDisk};
use flumen::{Channel, ChannelOptions, Event, FileChannel};

use crate::text::{Golden, encode};

/// A scene: its name, what happened, and how.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) play: fn(&mut Stage),
}

/// A channel on a simulated disk, and what it promised.
pub(crate) struct Stage {
    disk: SimDisk,
    channel: Option<FileChannel>,
    queue: Vec<Event>,
    cursors: BTreeMap<String, Vec<u8>>,
    next: u64,
    verdict: &'static str,
    /// What verifying says; a channel opens with one of its slots too.
    is_intact: bool,
}

fn open(disk: &SimDisk) -> FileChannel {
    let options = ChannelOptions::new().segment_size(64 << 10).transaction_events(64);
    FileChannel::open_on(disk.storage(), options.background(false)).expect("opens")
}

pub(crate) fn event_line(event: &Event) -> String {
    let mut line = format!("event {}", encode(&event.body));
    for (key, value) in &event.headers {
        line += &format!(" {}={}", encode(key.as_bytes()), encode(value.as_bytes()));
    }
    line
}

pub(crate) fn cursor_line(name: &str, value: &[u8]) -> String {
    format!("cursor {} {}", encode(name.as_bytes()), encode(value))
}

impl Scene {
    pub(crate) fn directory(&self) -> Golden {
        let disk = SimDisk::new(1);
        let mut stage = Stage {
            channel: Some(open(&disk)),
            disk,
            queue: Vec::new(),
            cursors: BTreeMap::new(),
            next: 0,
            verdict: "unclean",
            is_intact: true,
        };
        (self.play)(&mut stage);
        let mut expected = vec![format!("verdict {}", stage.verdict)];
        if matches!(stage.verdict, "clean" | "unclean") {
            expected.push(format!("next {}", stage.next));
            expected.extend(stage.cursors.iter().map(|(name, value)| cursor_line(name, value)));
            expected.extend(stage.queue.iter().map(event_line));
        }
        expected.push(format!("verify {}", if stage.is_intact { "intact" } else { "damage" }));
        let disk = &stage.disk;
        // The note in LOCK names a process; a directory copied without it is whole.
        let names = disk.file_names().into_iter().filter(|name| name != "LOCK");
        let files = names.map(|name| {
            let bytes = disk.read_file(&name).expect("just listed");
            (name, bytes)
        });
        Golden { about: self.about.to_string(), expected, files: files.collect() }
    }
}

impl Stage {
    fn channel(&self) -> &FileChannel {
        self.channel.as_ref().expect("open")
    }

    fn put(&mut self, events: Vec<Event>) {
        let mut put = self.channel().begin_put();
        for event in &events {
            put.put(event.clone()).expect("there is room");
        }
        put.commit().expect("commits");
        self.next += events.len() as u64;
        self.queue.extend(events);
    }

    /// A commit for each.
    fn put_each(&mut self, bodies: &[&str]) {
        bodies.iter().for_each(|body| self.put(vec![Event::new(*body)]));
    }

    /// Commits of one event of 20,000 bytes: three fill a segment.
    fn put_large(&mut self, count: u64) {
        for _ in 0..count {
            let body = vec![b'a' + (self.next % 26) as u8; 20_000];
            self.put(vec![Event::new(body)]);
        }
    }

    fn take(&mut self, count: usize) {
        let mut take = self.channel().begin_take();
        for expected in self.queue.drain(..count).collect::<Vec<_>>() {
            assert_eq!(take.take().expect("readable"), Some(expected));
        }
        take.commit().expect("commits");
    }

    fn set_cursor(&mut self, name: &str, value: Option<&[u8]>) {
        let mut put = self.channel().begin_put();
        match value {
            Some(value) => {
                put.set_cursor(name, value).expect("a valid cursor");
                self.cursors.insert(name.to_string(), value.to_vec());
            }
            None => {
                put.clear_cursor(name).expect("a valid cursor");
                self.cursors.remove(name);
            }
        }
        put.commit().expect("commits");
    }

    fn checkpoint(&self) {
        self.channel().checkpoint().expect("works");
    }

    fn close(&mut self) {
        self.channel().close().expect("closes");
        self.channel = None;
        self.verdict = "clean";
    }

    /// The process dies. What it wrote stays in the page cache.
    fn kill(&mut self) {
        self.channel = None;
        self.verdict = "unclean";
    }

    /// What comes next was not promised before power failed: plays `act` and gives the moments of it.
    fn moments(&mut self, act: impl FnOnce(&mut Stage)) -> Vec<SimDisk> {
        let promised = (self.queue.clone(), self.cursors.clone(), self.next);
        self.disk.take_recording();
        self.disk.record();
        act(self);
        (self.queue, self.cursors, self.next) = promised;
        self.kill();
        self.disk.take_recording()
    }

    /// Power fails in the first write to a file whose name ends so.
    fn crash_in_write(&mut self, moments: &[SimDisk], end: &str, crash: &Crash<'_>) {
        let is_it = |moment: &&SimDisk| {
            let pending = moment.pending();
            pending.iter().any(|effect| effect.in_flight && effect.file.ends_with(end))
        };
        let moment = moments.iter().find(is_it).expect("there is such a write");
        self.disk = moment.crash(crash);
    }

    fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.disk.read_file(name).expect("there");
        edit(&mut bytes);
        self.disk.write_file(name, &bytes);
    }
}

const FIRST: &str = "00000000000000000001.seg";

fn shapes(stage: &mut Stage) {
    let header = |event: Event| event.with_header("key", "value").with_header("wert", "ü");
    stage.put(vec![Event::new("plain"), header(Event::new("with headers")), Event::new("")]);
    stage.put(vec![Event::new((0..=255).collect::<Vec<u8>>()), header(Event::new(""))]);
    stage.put(vec![Event::new("x".repeat(9_000)).with_header("", "no key")]);
}

fn cursors(stage: &mut Stage) {
    stage.put_each(&["one"]);
    for (name, value) in [("file/a", "1"), ("file/b", ""), ("gone", "x"), ("ü", "\0\u{7f}")] {
        stage.set_cursor(name, Some(value.as_bytes()));
    }
    stage.checkpoint();
    stage.set_cursor("gone", None);
    stage.set_cursor("file/a", Some(b"2"));
    let mut take = stage.channel().begin_take();
    assert!(take.take().expect("readable").is_some());
    take.set_cursor("sink", b"17").expect("a valid cursor");
    take.commit().expect("commits");
    stage.queue.remove(0);
    stage.cursors.insert("sink".to_string(), b"17".to_vec());
}

/// Acknowledged in the middle, and the first taken and given back.
fn ranges(stage: &mut Stage) {
    stage.put_each(&["0", "1", "2", "3", "4", "5", "6", "7"]);
    let mut takes = [(); 3].map(|()| stage.channel().begin_take());
    for which in [0, 0, 1, 1, 2, 1] {
        assert!(takes[which].take().expect("readable").is_some());
    }
    let [first, second, third] = takes;
    second.commit().expect("commits");
    drop((first, third));
    stage.queue = ["0", "1", "4", "6", "7"].map(Event::new).to_vec();
}

fn unproven(stage: &mut Stage) {
    stage.put_each(&["proven", "proven too", "the last group"]);
    stage.take(1);
    stage.put_each(&["unproven"]);
    stage.kill();
}

fn torn(stage: &mut Stage) {
    stage.put_each(&["there", "there too"]);
    let moments = stage.moments(|stage| stage.put(vec![Event::new("t".repeat(3_000))]));
    stage.crash_in_write(&moments, FIRST, &Crash::Torn(1_000));
}

/// Every second sector of a write is lost, the others are there.
fn holes(stage: &mut Stage) {
    stage.put_each(&["there"]);
    let large = || Event::new("h".repeat(3_000));
    let moments = stage.moments(|stage| stage.put(vec![large(), large()]));
    let fate =
        |index: usize, effect: &PendingEffect| match effect.in_flight && index.is_multiple_of(2) {
            true => Fate::Lost,
            false => Fate::Kept,
        };
    stage.crash_in_write(&moments, FIRST, &Crash::Choose(&fate));
}

fn recycled(stage: &mut Stage) {
    stage.put_large(10);
    stage.take(8);
    stage.checkpoint();
    stage.put_large(3);
    stage.put_each(&["small, before old records"]);
    stage.kill();
}

fn spares(stage: &mut Stage) {
    stage.put_large(11);
    stage.take(11);
    stage.checkpoint();
    stage.close();
}

fn moved(stage: &mut Stage) {
    unproven(stage);
    stage.channel = Some(open(&stage.disk));
    stage.put_each(&["after the opening"]);
    stage.kill();
}

/// Whole and synced, and power failed before a slot named it.
fn unnamed(stage: &mut Stage) {
    stage.put_large(3);
    let moments = stage.moments(|stage| stage.put_large(1));
    stage.crash_in_write(&moments, "checkpoint-a", &Crash::LoseAll);
}

fn half_closed(stage: &mut Stage) {
    stage.put_each(&["one", "two"]);
    let moments = stage.moments(Stage::close);
    stage.crash_in_write(&moments, "checkpoint-b", &Crash::LoseAll);
}

/// A segment of acks in a reserve file, since the disk was full.
fn reserve(stage: &mut Stage) {
    stage.disk.set_capacity(Some(450 << 10));
    for size in [9_000, 100] {
        loop {
            let event = Event::new(vec![b'a' + (stage.next % 26) as u8; size]);
            let mut put = stage.channel().begin_put();
            put.put(event.clone()).expect("there is room in the channel");
            if put.commit().is_err() {
                break;
            }
            stage.queue.push(event);
            stage.next += 1;
        }
    }
    let waiting = |stage: &Stage| {
        let names = stage.disk.file_names();
        names.iter().filter(|name| name.starts_with("reserve-")).count()
    };
    let before = waiting(stage);
    // The first event stays, so that nothing is given back to the disk.
    let mut first = stage.channel().begin_take();
    assert!(first.take().expect("readable").is_some());
    let kept = stage.queue.remove(0);
    while waiting(stage) == before {
        assert!(!stage.queue.is_empty(), "the acks found room elsewhere");
        stage.take(1);
    }
    drop(first);
    stage.queue.insert(0, kept);
    stage.kill();
}

fn draft(stage: &mut Stage) {
    killed(stage);
    stage.disk.write_file("draft-00000000000000000009.seg", b"half a file");
}

fn killed(stage: &mut Stage) {
    stage.put_each(&["one", "two", "three"]);
    stage.take(1);
    stage.kill();
}

fn slot_lost(stage: &mut Stage) {
    stage.put_large(4);
    stage.close();
    (stage.verdict, stage.is_intact) = ("unclean", false);
    stage.edit("checkpoint-a", |bytes| bytes[..512].fill(0xa5));
}

fn slots_lost(stage: &mut Stage) {
    stage.put_large(4);
    stage.take(1);
    stage.kill();
    stage.is_intact = false;
    stage.disk.remove_file("checkpoint-a");
    stage.disk.remove_file("checkpoint-b");
}

/// Slots from before the last segment began.
fn old_slots(stage: &mut Stage) {
    stage.put_large(3);
    let slots = ["checkpoint-a", "checkpoint-b"];
    let old = slots.map(|name| stage.disk.read_file(name).expect("there"));
    stage.put_large(2);
    stage.kill();
    for (name, bytes) in slots.iter().zip(old) {
        stage.disk.write_file(name, &bytes);
    }
}

/// A bit of a record that a later one calls synced.
fn damaged(stage: &mut Stage) {
    stage.put_each(&["one", "two", "three"]);
    stage.kill();
    (stage.verdict, stage.is_intact) = ("damage", false);
    stage.edit(FIRST, |bytes| {
        let at = bytes.windows(3).position(|part| part == b"two").expect("it is there");
        bytes[at] ^= 1;
    });
}

fn later_version(stage: &mut Stage) {
    stage.put_each(&["one"]);
    stage.close();
    (stage.verdict, stage.is_intact) = ("unsupported", false);
    stage.edit("checkpoint-a", |bytes| bytes[8] = 2);
}

const fn scene(name: &'static str, about: &'static str, play: fn(&mut Stage)) -> Scene {
    Scene { name, about, play }
}

/// All scenes.
pub(crate) const SCENES: [Scene; 25] = [
    scene("new", "made, and its process killed", Stage::kill),
    scene("closed_empty", "made and closed", Stage::close),
    scene("shapes", "events of all shapes, killed", |stage| {
        shapes(stage);
        stage.kill();
    }),
    scene("closed", "events of all shapes, one taken, closed", |stage| {
        shapes(stage);
        stage.take(1);
        stage.close();
    }),
    scene("reopened", "closed, opened, put to, closed", |stage| {
        stage.put_each(&["one", "two"]);
        stage.close();
        stage.channel = Some(open(&stage.disk));
        stage.put_each(&["three"]);
        stage.close();
    }),
    scene("killed", "three put, one taken, killed", killed),
    scene("cursors", "cursors set, changed, cleared, some before a checkpoint; killed", |stage| {
        cursors(stage);
        stage.kill();
    }),
    scene("ranges", "taken in the middle, the first given back; closed", |stage| {
        ranges(stage);
        stage.close();
    }),
    scene("ranges_replayed", "the same, killed", |stage| {
        ranges(stage);
        stage.kill();
    }),
    scene("segments", "several segments, some events taken, closed", |stage| {
        stage.put_large(11);
        stage.take(4);
        stage.close();
    }),
    scene("unproven", "killed with a last group that nothing calls synced", unproven),
    scene("torn", "power failed in a commit: the first part of it is there", torn),
    scene("holes", "power failed in a commit: every second sector of it is there", holes),
    scene("recycled", "records of an earlier segment stand behind the end; killed", recycled),
    scene("spares", "files wait to be segments; closed", spares),
    scene("moved", "killed, opened (which carried a rest over), put to, killed", moved),
    scene("unnamed", "power failed when a new segment was whole and no slot named it", unnamed),
    scene("half_closed", "power failed when one slot was marked closed", half_closed),
    scene("reserve", "a full disk, and acks in a reserve file; killed", reserve),
    scene("draft", "killed while a file was being allocated", draft),
    scene("slot_lost", "closed, then one slot overwritten by noise", slot_lost),
    scene("slots_lost", "killed, then both slots removed", slots_lost),
    scene("old_slots", "both slots replaced by ones from before the last segment", old_slots),
    scene("damaged", "a bit flipped in a record that a later one calls synced", damaged),
    scene("later_version", "closed, then a slot says version 2", later_version),
];
