//! What the benches share: where they work, the raw limit, and the two ends of a channel.
#![allow(dead_code, reason = "no bench needs all of it")]

pub(crate) mod direct;
pub(crate) mod disk;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use flumen::{AckDurability, Bytes, Channel, ChannelOptions, Event, FileChannel};

pub(crate) const BODY: usize = 512;
/// Bytes a record needs beside its events: header and head of the payload.
pub(crate) const RECORD_OVERHEAD: usize = 48;

/// In the system's directory for temporary files, or in `FLUMEN_BENCH_DIR`; a file system in memory shows
/// nothing.
pub(crate) fn directory() -> tempfile::TempDir {
    let parent =
        std::env::var_os("FLUMEN_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).expect("the directory for benches is writable")
}

pub(crate) fn options() -> ChannelOptions {
    ChannelOptions::new().ack_durability(AckDurability::Lazy(Duration::from_millis(100)))
}

/// A channel whose segments are recycled ones, as in steady state.
pub(crate) fn channel(directory: &tempfile::TempDir, options: ChannelOptions) -> FileChannel {
    warm(FileChannel::open(directory.path().join("channel"), options).expect("opens"))
}

/// The same, once its segments are recycled ones.
pub(crate) fn warm(channel: FileChannel) -> FileChannel {
    let body = Bytes::from(vec![7; BODY]);
    for _ in 0..(160 << 20) / (1000 * (BODY + 8)) {
        put(&channel, &body, 1000);
        take(&channel, 1000);
    }
    channel
}

pub(crate) fn put(channel: &FileChannel, body: &Bytes, count: usize) {
    let mut put = channel.begin_put();
    put.put_all((0..count).map(|_| Event::new(body.clone())).collect()).expect("there is room");
    put.commit().expect("works");
}

/// Takes up to `count` events, and says how many there were.
pub(crate) fn take(channel: &FileChannel, count: usize) -> usize {
    let mut take = channel.begin_take();
    while take.len() < count && !take.take_up_to(count - take.len()).expect("readable").is_empty() {
    }
    let taken = take.len();
    take.commit().expect("works");
    taken
}

/// How long it takes until so many batches have been put by another thread and taken by this one.
pub(crate) fn pipeline(
    channel: &FileChannel,
    body: &Bytes,
    batch: usize,
    batches: u64,
) -> Duration {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..batches).for_each(|_| put(channel, body, batch)));
        let mut left = batches as usize * batch;
        while left > 0 {
            channel.wait(Duration::from_millis(100));
            left -= take(channel, left.min(batch));
        }
    });
    begin.elapsed()
}

/// Resident memory of this process, in KiB.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Writes all blocks of the first `bytes` of a file, and syncs them. In pieces, as `flumen bench` makes its
/// raw file, which says why.
pub(crate) fn fill(file: &File, bytes: u64) {
    const PIECE: usize = 64 << 10;
    for offset in (0..bytes).step_by(PIECE) {
        file.write_all_at(&[1; PIECE], offset).expect("there is room");
    }
    file.sync_all().expect("works");
}

/// The raw limit: a file whose blocks have all been written, written over from end to end.
pub(crate) struct Raw {
    _directory: tempfile::TempDir,
    file: File,
    offset: u64,
}

impl Raw {
    const SIZE: u64 = 64 << 20;

    pub(crate) fn new() -> Raw {
        let directory = directory();
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(directory.path().join("raw")).expect("writable");
        fill(&file, Raw::SIZE);
        Raw { _directory: directory, file, offset: 0 }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.offset + bytes.len() as u64 > Raw::SIZE {
            self.offset = 0;
        }
        self.file.write_all_at(bytes, self.offset).expect("works");
        self.offset += bytes.len() as u64;
    }

    pub(crate) fn sync(&self) {
        self.file.sync_data().expect("works");
    }

    pub(crate) fn commit(&mut self, bytes: &[u8]) {
        self.write(bytes);
        self.sync();
    }
}
