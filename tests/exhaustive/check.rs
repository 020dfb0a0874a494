//! Recovery of one image, and how much further to look.

use flumen::storage::sim::{Crash, SimDisk};
use flumen::{Channel, Event, FileChannel};

use crate::images::{Detail, images};
use crate::operations::open;

/// How far to look behind a recovery.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    /// Recover once more, put, lose power, recover, close, recover.
    pub(crate) is_used: bool,
    /// Crash in the recovery; and in one of so many recoveries from that, once more.
    pub(crate) crashes: Option<u64>,
}

/// Images inside recoveries that were recovered: one crash deep, and two.
pub(crate) type Inside = [u64; 2];

/// Recovers a copy of the image.
pub(crate) fn check(
    image: &SimDisk,
    allowed: &[&[String]],
    depth: Depth,
    place: &dyn Fn() -> String,
) -> Inside {
    let before = (depth.is_used || depth.crashes.is_some()).then(|| image.snapshot());
    let channel = recover(image, place);
    let found = matching(&channel, allowed).unwrap_or_else(|problem| fail(&problem, place));
    drop(channel);
    let Some(before) = before else { return [0, 0] };
    if depth.is_used {
        go_on(image, found, place);
    }
    let Some(step) = depth.crashes else { return [0, 0] };
    crash_inside(&before, allowed, Some(step), place)
}

fn fail(problem: &str, place: &dyn Fn() -> String) -> ! {
    panic!("{problem}\n{}", place())
}

fn recover(image: &SimDisk, place: &dyn Fn() -> String) -> FileChannel {
    open(image).unwrap_or_else(|error| panic!("{error}\n{}", place()))
}

/// Which of the allowed queues the channel holds.
fn matching<'a>(channel: &FileChannel, allowed: &[&'a [String]]) -> Result<&'a [String], String> {
    let mut candidates = allowed.to_vec();
    let mut take = channel.begin_take();
    let mut count = 0;
    loop {
        let event = take.take().map_err(|error| error.to_string())?;
        candidates.retain(|queue| match &event {
            Some(event) => queue.get(count).is_some_and(|body| *event.body == *body.as_bytes()),
            None => queue.len() == count,
        });
        let Some(event) = event else {
            let found = format!("{count} events and no more");
            return candidates.first().copied().ok_or(found);
        };
        if candidates.is_empty() {
            let body =
                String::from_utf8_lossy(&event.body[..event.body.len().min(20)]).into_owned();
            return Err(format!("event {count} is {body:?}, which no allowed queue has there"));
        }
        count += 1;
    }
}

/// Recovery is idempotent; then the channel works, and what was found stays found.
fn go_on(image: &SimDisk, found: &[String], place: &dyn Fn() -> String) {
    let fail = |problem: String| -> ! { fail(&format!("after recovery: {problem}"), place) };
    let holds = |channel: &FileChannel, queue: &[String]| {
        matching(channel, &[queue]).unwrap_or_else(|problem| fail(problem));
    };
    let again = image.crash(&Crash::LoseAll);
    let channel = recover(&again, place);
    holds(&channel, found);
    let mut put = channel.begin_put();
    put.put(Event::new("last:")).unwrap_or_else(|error| fail(error.to_string()));
    put.commit().unwrap_or_else(|error| fail(error.to_string()));
    drop(channel);
    let mut expected = found.to_vec();
    expected.push("last:".to_string());
    let image = again.crash(&Crash::LoseAll);
    let channel = recover(&image, place);
    holds(&channel, &expected);
    channel.close().unwrap_or_else(|error| fail(error.to_string()));
    drop(channel);
    let image = image.crash(&Crash::LoseAll);
    holds(&recover(&image, place), &expected);
}

/// Crashes at every call of a recovery, in few ways each, and recovers that; with `deeper` one such image in so
/// many is crashed once more in its own recovery.
fn crash_inside(
    image: &SimDisk,
    allowed: &[&[String]],
    deeper: Option<u64>,
    place: &dyn Fn() -> String,
) -> Inside {
    let mut seen = [0, 0];
    for (call, moment) in recovery_moments(image, place).iter().enumerate() {
        for inner in images(moment, Detail::INSIDE, call > 0) {
            let inside = || format!("{}/{call}:{inner}", place());
            let disk = inner.take(moment);
            let deep = deeper.filter(|step| disk.image_hash().is_multiple_of(*step));
            let before = deep.map(|_| disk.snapshot());
            let channel = recover(&disk, &inside);
            matching(&channel, allowed).unwrap_or_else(|problem| fail(&problem, &inside));
            drop(channel);
            seen[0] += 1;
            if let Some(before) = before {
                seen[1] += crash_inside(&before, allowed, None, &inside)[0];
            }
        }
    }
    seen
}

/// Every moment of the recovery of a copy.
pub(crate) fn recovery_moments(image: &SimDisk, place: &dyn Fn() -> String) -> Vec<SimDisk> {
    let recording = image.snapshot();
    recording.record();
    drop(recover(&recording, place));
    recording.take_recording()
}
