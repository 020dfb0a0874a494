//! What the engine itself does for a commit, without the disk: a storage that throws records away instead of
//! writing them. Beside it the two passes over the bytes that no log can do without, a copy and a CRC-32.
//!
//! `cargo bench --bench codec`.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(missing_docs, reason = "the macros make functions without")]

mod support;

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flumen::storage::{Access, File, Lock, Map, OsStorage, Storage};
use flumen::{Bytes, Durability, FileChannel};
use support::{RECORD_OVERHEAD, put, take};

const BATCH: usize = 100;

/// Everything goes to `OsStorage`, but for what is written behind the head of a segment.
struct NoRecords(OsStorage);

struct NoRecordsFile(Arc<dyn File>);

/// Bytes at the head of a file that are written: the header page of a segment, all of a small slot.
const HEAD: u64 = 4096;

impl Storage for NoRecords {
    fn location(&self) -> String {
        self.0.location()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(NoRecordsFile(self.0.create(name)?)))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(NoRecordsFile(self.0.open(name, access)?)))
    }

    fn size_of(&self, name: &str) -> io::Result<u64> {
        self.0.size_of(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Box<dyn Lock>> {
        self.0.lock(name, create)
    }

    fn available_space(&self) -> io::Result<u64> {
        self.0.available_space()
    }

    fn unique_id(&self) -> [u8; 16] {
        self.0.unique_id()
    }
}

impl File for NoRecordsFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if offset < HEAD { self.0.write_at(bytes, offset) } else { Ok(black_box(bytes).len()) }
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.0.allocate(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, size: u64) -> io::Result<Box<dyn Map>> {
        self.0.map(size)
    }
}

fn codec(criterion: &mut Criterion) {
    let mut group =
        criterion.benchmark_group("a commit of 100 events and its take, without a disk");
    for body in [64, 512, 4096] {
        group.throughput(Throughput::Elements(BATCH as u64));
        let bytes = vec![7; RECORD_OVERHEAD + BATCH * (body + 8)];
        let mut copy = Vec::with_capacity(bytes.len());
        group.bench_function(BenchmarkId::new("raw copy and CRC-32", body), |bencher| {
            bencher.iter(|| {
                copy.clear();
                copy.extend_from_slice(black_box(&bytes));
                crc32fast::hash(black_box(&copy))
            });
        });
        let place = support::directory();
        let storage = OsStorage::new(place.path().join("channel"), true).expect("writable");
        // Nothing can be read back, so all must be taken from memory.
        let options = support::options().durability(Durability::Os).memory_tail(64 << 20);
        let channel = FileChannel::open_on(Arc::new(NoRecords(storage)), options).expect("opens");
        let event = Bytes::from(vec![7; body]);
        group.bench_function(BenchmarkId::new("flumen put and take", body), |bencher| {
            bencher.iter(|| {
                put(&channel, &event, BATCH);
                assert_eq!(take(&channel, BATCH), BATCH);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default();
    targets = codec
}
criterion_main!(benches);
