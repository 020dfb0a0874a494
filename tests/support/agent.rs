//! What the tests of sources, sinks and the agent share.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests make and read the files that sources and sinks work on"
)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flumen::source::taildir::{FileGroup, TaildirOptions};
use flumen::source::{Source, SourceError, Taildir};
use flumen::{Channel, ChannelOptions, Event, MemoryChannel, Shutdown};

/// Waits until `condition` holds; a test that fails gives up after 20 s.
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it never came to pass");
        std::thread::yield_now();
    }
}

/// A channel in memory that is large enough not to matter.
pub(crate) fn channel() -> Arc<dyn Channel> {
    Arc::new(MemoryChannel::open(ChannelOptions::new()).expect("the options are good"))
}

/// Appends to a file, making it if need be.
pub(crate) fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("the test's directory is writable");
}

/// Renames a file.
pub(crate) fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).expect("the test's directory is writable");
}

/// Takes and commits everything.
pub(crate) fn drain(channel: &dyn Channel) -> Vec<Event> {
    let mut take = channel.begin_take();
    let mut events = Vec::new();
    while let Some(event) = take.take().expect("memory does not fail") {
        events.push(event);
    }
    take.commit().expect("memory does not fail");
    events
}

/// The bodies of everything in the channel.
pub(crate) fn bodies(channel: &dyn Channel) -> Vec<String> {
    drain(channel).iter().map(|event| String::from_utf8_lossy(&event.body).into_owned()).collect()
}

/// Options for the files of `directory` that match `pattern`, to be read until there is nothing more.
pub(crate) fn tail(directory: &Path, pattern: &str) -> TaildirOptions {
    let group = FileGroup::new(directory, pattern).expect("the pattern is good");
    let mut options = TaildirOptions::new(vec![group]);
    options.until_idle = true;
    options
}

/// Runs a source named `s` once, as a new process would.
pub(crate) fn run(options: &TaildirOptions, channel: &Arc<dyn Channel>) -> Result<(), SourceError> {
    let source = Box::new(Taildir::new("s", options.clone()));
    source.run(Arc::clone(channel), Shutdown::new())
}

/// Runs a source and returns what it has delivered.
pub(crate) fn read(options: &TaildirOptions, channel: &Arc<dyn Channel>) -> Vec<String> {
    run(options, channel).expect("the source does not fail");
    bodies(&**channel)
}

/// The regular files of a directory in order of their names, with their contents.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, String)> {
    let listing = fs::read_dir(directory).expect("the test's directory is readable");
    let mut files: Vec<(PathBuf, String)> = listing
        .map(|file| file.expect("the test's directory is readable").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let text = fs::read_to_string(&path).expect("the test wrote text");
            (path, text)
        })
        .collect();
    files.sort();
    files
}
