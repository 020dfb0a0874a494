//! What is done while faults strike: each scene is a channel made in peace, and a script.

use flumen::storage::sim::{Crash, SimDisk};
use flumen::{Channel, ChannelOptions, CommitError, Event, FileChannel, ReadMode};

use crate::oracle::Oracle;
use crate::support::history::{drain, options};

/// Segments are of 64 KiB: two of these fill one.
pub(crate) const LARGE: usize = 25 << 10;

pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) base: SimDisk,
    pub(crate) options: ChannelOptions,
    pub(crate) queue: Vec<String>,
    pub(crate) script: fn(&mut Oracle),
}

impl Scene {
    fn new(
        name: &'static str,
        options: ChannelOptions,
        make: fn(&FileChannel),
        close: bool,
        script: fn(&mut Oracle),
    ) -> Scene {
        let disk = SimDisk::new(3);
        let channel = FileChannel::open_on(disk.storage(), options.clone()).expect("opens");
        make(&channel);
        let queue = drain(&channel).expect("readable");
        if close {
            channel.close().expect("closes");
        }
        drop(channel);
        // Everything was acknowledged, so nothing is lost; a process that starts now finds no description
        // that knows of anything.
        let base = disk.crash(&Crash::LoseAll);
        Scene { name, base, options, queue, script }
    }

    pub(crate) fn all() -> Vec<Scene> {
        let unread = options().memory_tail(0);
        let mapped = unread.clone().read_mode(ReadMode::Map);
        vec![
            Scene { base: SimDisk::new(3), ..Scene::new("run", options(), |_| {}, true, run) },
            Scene::new("clean", options(), several_segments, true, reopen),
            Scene::new("unclean", options(), several_segments, false, reopen),
            Scene::new("takers", unread, several_segments, true, take_all),
            Scene::new("mapped", mapped, several_segments, true, take_all),
            full(Scene::new("full", options(), fill, false, on_a_full_disk)),
            full(Scene::new("in-place", options(), large_end, false, on_a_full_disk)),
        ]
    }
}

/// The disk has not a byte more than the files of the scene take.
fn full(scene: Scene) -> Scene {
    let storage = scene.base.storage();
    let size = 64 << 20;
    scene.base.set_capacity(Some(size));
    let left = storage.available_space().expect("known");
    scene.base.set_capacity(Some(size - left));
    assert_eq!(storage.available_space().expect("known"), 0);
    scene
}

fn put(channel: &FileChannel, bodies: &[String]) -> Result<(), CommitError> {
    let mut put = channel.begin_put();
    for body in bodies {
        put.put(Event::new(body.as_str())).expect("there is room");
    }
    put.commit()
}

fn several_segments(channel: &FileChannel) {
    for index in 0..7 {
        let small = [format!("{index}a:"), format!("{index}b:")];
        put(channel, &small).expect("commits");
        put(channel, &[format!("{index}:{}", "x".repeat(LARGE))]).expect("commits");
    }
    let mut take = channel.begin_take();
    for _ in 0..7 {
        take.take().expect("readable").expect("there is one");
    }
    take.commit().expect("commits");
    channel.checkpoint().expect("works");
    put(channel, &["last a:".into()]).expect("commits");
    put(channel, &["last b:".into(), "last c:".into()]).expect("commits");
}

fn fill(channel: &FileChannel) {
    for index in 0..6 {
        let body = format!("{index}:{}", "x".repeat(LARGE));
        put(channel, &[body]).expect("commits");
    }
}

/// The last commit is larger than any waiting file.
fn large_end(channel: &FileChannel) {
    put(channel, &["0:".into(), "1:".into()]).expect("commits");
    let part = |index| format!("{index}:{}", "x".repeat(2 * LARGE));
    put(channel, &[part(2), part(3), part(4)]).expect("commits");
}

/// One thing that is done with a channel; false when that has stopped.
type Step<'a> = dyn Fn(&mut Oracle, &FileChannel) -> bool + 'a;

/// Runs the steps until one says that the channel has stopped; then it is dead, and opened again.
fn go_on(oracle: &mut Oracle, channel: FileChannel, steps: &[&Step<'_>]) {
    let mut channel = channel;
    for step in steps {
        if step(oracle, &channel) {
            continue;
        }
        oracle.is_dead(&channel);
        drop(channel);
        match oracle.open() {
            Some(opened) => channel = opened,
            None => return,
        }
    }
}

fn run(oracle: &mut Oracle) {
    let Some(channel) = oracle.open() else { return };
    let small = |oracle: &mut Oracle, channel: &FileChannel| oracle.put(channel, 2, 0);
    let large = |oracle: &mut Oracle, channel: &FileChannel| oracle.put(channel, 1, LARGE);
    let take = |oracle: &mut Oracle, channel: &FileChannel| oracle.take(channel, 0, 2);
    let later = |oracle: &mut Oracle, channel: &FileChannel| oracle.take(channel, 1, 2);
    let maintain =
        |oracle: &mut Oracle, channel: &FileChannel| oracle.call(channel, FileChannel::maintain);
    let checkpoint =
        |oracle: &mut Oracle, channel: &FileChannel| oracle.call(channel, FileChannel::checkpoint);
    let close =
        |oracle: &mut Oracle, channel: &FileChannel| oracle.call(channel, FileChannel::close);
    go_on(
        oracle,
        channel,
        &[
            &small,
            &large,
            &take,
            &small,
            &large,
            &later,
            &maintain,
            &small,
            &large,
            &take,
            &checkpoint,
            &small,
            &large,
            &take,
            &close,
        ],
    );
}

fn reopen(oracle: &mut Oracle) {
    for close in [false, true] {
        let Some(channel) = oracle.open() else { return };
        let take = |oracle: &mut Oracle, channel: &FileChannel| oracle.take(channel, 0, 3);
        let put = |oracle: &mut Oracle, channel: &FileChannel| oracle.put(channel, 2, 100);
        let end = move |oracle: &mut Oracle, channel: &FileChannel| {
            !close || oracle.call(channel, FileChannel::close)
        };
        go_on(oracle, channel, &[&take, &put, &end]);
    }
}

fn take_all(oracle: &mut Oracle) {
    let Some(channel) = oracle.open() else { return };
    let later = |oracle: &mut Oracle, channel: &FileChannel| oracle.take(channel, 1, 3);
    let all = |oracle: &mut Oracle, channel: &FileChannel| oracle.take_all(channel, 4);
    let put = |oracle: &mut Oracle, channel: &FileChannel| oracle.put(channel, 1, 100);
    go_on(oracle, channel, &[&later, &all, &put, &all]);
}

fn on_a_full_disk(oracle: &mut Oracle) {
    let Some(channel) = oracle.open() else { return };
    let put = |oracle: &mut Oracle, channel: &FileChannel| oracle.put(channel, 1, LARGE);
    let take = |oracle: &mut Oracle, channel: &FileChannel| oracle.take(channel, 0, 1);
    let checkpoint =
        |oracle: &mut Oracle, channel: &FileChannel| oracle.call(channel, FileChannel::checkpoint);
    let all = |oracle: &mut Oracle, channel: &FileChannel| oracle.take_all(channel, 1);
    let close =
        |oracle: &mut Oracle, channel: &FileChannel| oracle.call(channel, FileChannel::close);
    go_on(oracle, channel, &[&put, &take, &checkpoint, &take, &put, &all, &put, &close]);
}
