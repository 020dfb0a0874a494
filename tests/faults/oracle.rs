//! What may be in the queue, whatever fails: it goes on asserting after each error. Shares no code with the
//! engine.

use flumen::storage::sim::SimDisk;
use flumen::{
    Channel, ChannelOptions, CloseError, CommitError, Event, FileChannel, OpenError, PutError,
    TakeError,
};

use crate::support::history::{brief, drain};

/// How often an opening is tried again. A failed write-back may be reported late, to the next opening.
const OPENINGS: usize = 4;

/// What happened during one operation: the disk's call counter before and after it, and what might be in the
/// queue.
#[derive(Clone)]
pub(crate) struct Span {
    pub(crate) calls: (u64, u64),
    pub(crate) before: Vec<Vec<String>>,
    pub(crate) after: Vec<Vec<String>>,
}

/// One channel, what was acknowledged, and what is in doubt.
pub(crate) struct Oracle {
    pub(crate) disk: SimDisk,
    pub(crate) options: ChannelOptions,
    /// What may be in the queue. More than one when the outcome of a commit is unknown.
    pub(crate) allowed: Vec<Vec<String>>,
    pub(crate) spans: Vec<Span>,
    /// A sync has lied: what it was for may be missing, and that may be noticed as damage.
    pub(crate) is_lied_to: bool,
    next: u64,
}

impl Oracle {
    pub(crate) fn new(disk: SimDisk, options: ChannelOptions, queue: Vec<String>) -> Oracle {
        let next = 1000 + queue.len() as u64;
        let allowed = vec![queue];
        Oracle { disk, options, allowed, spans: Vec::new(), is_lied_to: false, next }
    }

    fn span<T>(&mut self, act: impl FnOnce(&mut Oracle) -> T) -> T {
        let (begin, before) = (self.disk.calls(), self.allowed.clone());
        let outcome = act(self);
        let calls = (begin, self.disk.calls());
        self.spans.push(Span { calls, before, after: self.allowed.clone() });
        outcome
    }

    /// What may be found when the disk's call counter stood at `calls`.
    pub(crate) fn allowed_at(&self, calls: u64) -> Vec<Vec<String>> {
        let mut allowed = Vec::new();
        for span in self.spans.iter().filter(|span| span.calls.0 < calls && calls < span.calls.1) {
            allowed.extend(span.before.iter().chain(&span.after).cloned());
        }
        if allowed.is_empty() {
            let last = self.spans.iter().rev().find(|span| span.calls.1 <= calls);
            let first = self.spans.first();
            let known = last.map(|span| &span.after).or(first.map(|span| &span.before));
            allowed = known.unwrap_or(&self.allowed).clone();
        }
        allowed.sort();
        allowed.dedup();
        allowed
    }

    fn queue(&self) -> &Vec<String> {
        let [queue] = &self.allowed[..] else { panic!("the queue is known while a channel works") };
        queue
    }

    /// Opens and compares. What was found is a fact from now on.
    pub(crate) fn open(&mut self) -> Option<FileChannel> {
        self.span(|oracle| {
            let options = || oracle.options.clone();
            for _ in 0..OPENINGS {
                let channel = match FileChannel::open_on(oracle.disk.storage(), options()) {
                    Ok(channel) => channel,
                    Err(OpenError::Storage(_)) => continue,
                    Err(error) => panic!("an I/O error was taken for something else: {error}"),
                };
                if let Ok(found) = drain(&channel) {
                    assert!(
                        oracle.allowed.contains(&found),
                        "opened again: found {:?}, allowed {:?}",
                        brief(&found),
                        oracle.allowed.iter().map(|queue| brief(queue)).collect::<Vec<_>>()
                    );
                    oracle.allowed = vec![found];
                    return Some(channel);
                }
            }
            None
        })
    }

    /// Commits so many events of so many bytes. False when the channel has stopped.
    pub(crate) fn put(&mut self, channel: &FileChannel, count: usize, size: usize) -> bool {
        self.span(|oracle| {
            let mut put = channel.begin_put();
            let mut bodies = Vec::new();
            for _ in 0..count {
                let body = format!("{}:{}", oracle.next, "x".repeat(size));
                oracle.next += 1;
                match put.put(Event::new(body.as_str())) {
                    Ok(()) => bodies.push(body),
                    Err(PutError::Stopped(..)) => return false,
                    Err(error) => panic!("{error}"),
                }
            }
            let queue = oracle.queue().clone();
            let longer = [queue.clone(), bodies.clone()].concat();
            match put.commit() {
                Ok(()) => oracle.allowed = vec![longer],
                Err(CommitError::NoSpace(events)) => {
                    let bodies = bodies.iter().map(String::as_bytes);
                    assert!(bodies.eq(events.iter().map(|event| &*event.body)), "handed back");
                }
                Err(CommitError::Stopped(_)) => {
                    oracle.allowed = vec![queue, longer];
                    return false;
                }
                Err(error) => panic!("{error}"),
            }
            true
        })
    }

    /// Takes so many events, behind `skip` that are given back, and commits. False when the channel has
    /// stopped.
    pub(crate) fn take(&mut self, channel: &FileChannel, skip: usize, count: usize) -> bool {
        self.span(|oracle| {
            let queue = oracle.queue().clone();
            let mut skipped = channel.begin_take();
            let mut take = channel.begin_take();
            let mut at = 0;
            while at < (skip + count).min(queue.len()) {
                let from = if at < skip { &mut skipped } else { &mut take };
                match from.take() {
                    Ok(Some(event)) => assert_eq!(&*event.body, queue[at].as_bytes(), "I3"),
                    Err(TakeError::Storage(_)) => break,
                    Err(TakeError::Stopped(_)) => return false,
                    Ok(None) => panic!("an acknowledged event is missing: {:?}", brief(&queue)),
                    Err(error) => panic!("an I/O error was taken for something else: {error}"),
                }
                at += 1;
            }
            let shorter = [&queue[..skip.min(at)], &queue[at..]].concat();
            match take.commit() {
                Ok(()) => oracle.allowed = vec![shorter],
                Err(CommitError::NoSpace(_)) => {}
                Err(CommitError::Stopped(_)) => {
                    oracle.allowed = vec![queue, shorter];
                    return false;
                }
                Err(error) => panic!("{error}"),
            }
            true
        })
    }

    /// Takes all there is, one transaction each for so many.
    pub(crate) fn take_all(&mut self, channel: &FileChannel, each: usize) -> bool {
        for _ in 0..=self.queue().len() / each {
            if !self.take(channel, 0, each) {
                return false;
            }
        }
        true
    }

    /// A call that changes nothing of what is in the queue. False when the channel has stopped.
    pub(crate) fn call(
        &mut self,
        channel: &FileChannel,
        call: impl FnOnce(&FileChannel) -> Result<(), CloseError>,
    ) -> bool {
        self.span(|_| match call(channel) {
            Ok(()) => true,
            Err(CloseError::Stopped(_)) => false,
            Err(error) => panic!("{error}"),
        })
    }

    /// A channel that has stopped, or whose close has failed, acknowledges nothing more, whatever the disk
    /// says by now.
    pub(crate) fn is_dead(&mut self, channel: &FileChannel) {
        self.span(|_| {
            let mut put = channel.begin_put();
            let outcome = put.put(Event::new("too late:"));
            assert!(
                matches!(outcome, Err(PutError::Stopped(..) | PutError::Closed(_))),
                "a put after the stop"
            );
            let outcome = put.commit();
            assert!(!matches!(outcome, Err(CommitError::NoSpace(_))), "a commit after the stop");
            let outcome = channel.begin_take().take();
            assert!(
                matches!(outcome, Err(TakeError::Stopped(_) | TakeError::Closed)),
                "a take after the stop"
            );
            for outcome in [channel.sync(), channel.checkpoint(), channel.maintain()] {
                assert!(
                    matches!(outcome, Err(CloseError::Stopped(_) | CloseError::Closed)),
                    "a sync after the stop"
                );
            }
            let outcome = channel.close();
            assert!(
                matches!(outcome, Err(CloseError::Stopped(_) | CloseError::Closed)),
                "a close after the stop"
            );
        });
    }
}

/// The same channel again, after the faults are over. Says whether damage was reported, which only a sync
/// that lied excuses.
pub(crate) fn check(
    image: &SimDisk,
    options: &ChannelOptions,
    allowed: &[Vec<String>],
    is_lied_to: bool,
) -> Result<bool, String> {
    let open = |image: &SimDisk| FileChannel::open_on(image.storage(), options.clone());
    let mut opened = open(image);
    for _ in 1..OPENINGS {
        opened = opened.or_else(|_| open(image));
    }
    let channel = match opened {
        Ok(channel) => channel,
        Err(OpenError::Corrupt(_)) if is_lied_to => return Ok(true),
        Err(error) => return Err(error.to_string()),
    };
    let found = match drain(&channel) {
        Err(error) if is_lied_to && error.contains("damaged") => return Ok(true),
        found => found?,
    };
    if !allowed.contains(&found) {
        let allowed: Vec<_> = allowed.iter().map(|queue| brief(queue)).collect();
        return Err(format!("found {:?}, allowed {allowed:?}", brief(&found)));
    }
    drop(channel);
    // What was read back may have come from a cache that a failed sync left behind: from now on it must be on
    // the disk.
    let image = image.crash(&flumen::storage::sim::Crash::LoseAll);
    let again = open(&image).map_err(|error| error.to_string());
    let again = again.and_then(|channel| drain(&channel));
    match again {
        Ok(again) if again == found => Ok(false),
        _ if is_lied_to => Ok(true),
        Ok(again) => {
            Err(format!("found {:?}, then after a crash {:?}", brief(&found), brief(&again)))
        }
        Err(error) => Err(format!("after a crash: {error}")),
    }
}
