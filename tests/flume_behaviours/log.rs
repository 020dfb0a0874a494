//! TestLog and TestLogFile (§3.4, §3.5).

use flumen::storage::sim::{Crash, SimDisk};
use flumen::{Channel, CommitError, FileChannel, OpenError, TakeError};

use crate::files::{HEADER_SIZE, Kind, RECORDS_AT, edit, read, records, segments};
use crate::queue::*;

#[test]
fn test_put_get() {
    let history = |channel: &FileChannel| {
        put_batches(channel, &events(0..100), 1);
        let (transaction, taken) = take(channel, 100);
        assert_eq!(taken, events(0..100));
        transaction.rollback();
    };
    after_each_end(&options().memory_tail(0), history, |channel, how| {
        assert_eq!(drain(channel), events(0..100), "{how}");
    });
}

#[test]
fn test_roll() {
    let history = |channel: &FileChannel| {
        put_batches(channel, &larges(0..200, 5000), 1);
        assert!(channel.stats().segments > 15, "{:?}", channel.stats());
    };
    after_each_end(&options().memory_tail(0), history, |channel, how| {
        assert_eq!(drain(channel), larges(0..200, 5000), "{how}");
    });
}

/// What is larger than a segment gets one of its own size, also across a crash.
#[test]
fn test_roll_for_an_event_larger_than_a_segment() {
    let history = |channel: &FileChannel| {
        put(channel, &larges(0..1, 1000));
        put(channel, &larges(1..2, 300_000));
        put(channel, &larges(2..3, 1000));
    };
    let expected: Vec<_> = [1000, 300_000, 1000]
        .into_iter()
        .zip(0..)
        .map(|(size, number)| large(number, size))
        .collect();
    after_each_end(&options().memory_tail(0), history, |channel, how| {
        assert_eq!(drain(channel), expected, "{how}");
    });
}

#[test]
fn test_put_commit() {
    let history = |channel: &FileChannel| put(channel, &events(0..1));
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..1), "{how}");
    });
}

#[test]
fn test_put_rollback() {
    let history = |channel: &FileChannel| {
        let mut transaction = channel.begin_put();
        transaction.put(event(0)).expect("there is room");
        transaction.rollback();
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), [], "{how}");
    });
}

#[test]
fn test_put_take_commit() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..1));
        assert_eq!(consume(channel, 1), events(0..1));
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), [], "{how}");
        assert_eq!(channel.stats().events, 0, "{how}");
    });
}

#[test]
fn test_put_take_rollback_log_replay() {
    let history = |channel: &FileChannel| {
        put(channel, &events(0..1));
        take(channel, 1).0.rollback();
    };
    after_each_end(&options(), history, |channel, how| {
        assert_eq!(drain(channel), events(0..1), "{how}");
    });
}

/// A lone commit or rollback writes nothing at all.
#[test]
fn test_commit_and_rollback_of_no_put_and_no_take() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    let before = disk.calls();
    channel.begin_put().commit().expect("nothing to commit");
    channel.begin_take().commit().expect("nothing to commit");
    channel.begin_put().rollback();
    channel.begin_take().rollback();
    assert_eq!(disk.calls(), before);
    for (how, image) in crashes(&disk) {
        assert_eq!(drain(&open(&image, &options())), [], "{how}");
    }
}

#[test]
fn test_minimum_required_space_too_small_on_startup() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(32 << 10));
    match try_open(&disk, &options()) {
        Err(OpenError::Storage(error)) => {
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        }
        other => panic!("{:?}", other.map(|_| "opened")),
    }
    disk.set_capacity(None);
    let channel = open(&disk, &options());
    put(&channel, &events(0..1));
    drop(channel);
    assert_eq!(drain(&open(&disk, &options())), events(0..1));
}

/// In Flume everything is refused then; here puts are, once what is allocated is used up, and takes go on.
#[test]
fn test_minimum_required_space_too_small_for_put() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put(&channel, &larges(0..10, 1000));
    disk.set_capacity(Some(0));
    let mut end = 10;
    let refused = loop {
        assert!(end < 1000, "a full disk takes everything");
        let mut transaction = channel.begin_put();
        for event in larges(end..end + 10, 1000) {
            transaction.put(event).expect("the capacity is no limit");
        }
        match transaction.commit() {
            Ok(()) => end += 10,
            Err(error) => break error,
        }
    };
    let message = refused.to_string();
    assert!(message.contains("no room for another segment"), "{message}");
    match refused {
        CommitError::NoSpace(back) => assert_eq!(back, larges(end..end + 10, 1000)),
        other => panic!("{other:?}"),
    }
    assert_eq!(consume(&channel, 5), larges(0..5, 1000));
    disk.set_capacity(None);
    put(&channel, &larges(end..end + 10, 1000));
    for (how, image) in crashes(&disk) {
        let channel = open(&image, &options());
        assert_eq!(drain(&channel), larges(5..end + 10, 1000), "{how}");
    }
}

/// Segments sort by number, also past powers of ten.
#[test]
fn test_get_logs() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &larges(0..1000, 6000), 5);
    drop(channel);
    let names = segments(&disk);
    assert!(names.len() >= 100, "{}", names.len());
    for (index, name) in names.iter().enumerate() {
        assert_eq!(*name, format!("{:020}.seg", index + 1));
    }
    let channel = open(&disk, &options().memory_tail(0));
    assert_eq!(drain(&channel), larges(0..1000, 6000));
}

/// Flume's .meta files are our header pages: emptied ones before data are refused.
#[test]
fn test_replay_fails_with_all_empty_log_meta_data() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &larges(0..200, 1000), 10);
    let image = disk.snapshot();
    for name in segments(&image) {
        edit(&image, &name, |bytes| bytes[..RECORDS_AT].fill(0));
    }
    let before = image.image_hash();
    match try_open(&image, &options()) {
        Err(OpenError::Corrupt(damage)) => {
            assert!(segments(&image).contains(&damage.file), "{damage}");
        }
        other => panic!("{:?}", other.map(|_| "opened")),
    }
    assert_eq!(image.image_hash(), before);
}

#[test]
fn test_replay_succeeds_with_unused_empty_log_meta_data() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &larges(0..200, 1000), 10);
    let next = format!("{:020}.seg", segments(&disk).len() + 1);
    for bytes in [0, 1, 4096, 64 << 10] {
        let image = disk.snapshot();
        image.write_file(&next, &vec![0; bytes]);
        let channel = open(&image, &options());
        assert_eq!(drain(&channel), larges(0..200, 1000), "{bytes} bytes");
    }
}

#[test]
fn test_checkpoint_on_close() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options());
    put_batches(&channel, &events(0..100), 1);
    assert!(!open(&disk.snapshot(), &options()).recovery().clean);
    let killed = open(&disk.snapshot(), &options()).recovery().replayed_bytes;
    assert!(killed > 1000, "{killed} bytes");
    channel.close().expect("the disk works");
    drop(channel);
    let channel = open(&disk.crash(&Crash::LoseAll), &options());
    assert!(channel.recovery().clean);
    assert_eq!(channel.recovery().replayed_bytes, 0);
    assert_eq!(drain(&channel), events(0..100));
}

/// TestLogFile: a writer never overwrites: what is there of another's is refused before a byte is written.
#[test]
#[allow(clippy::disallowed_methods, reason = "the test makes the files itself")]
fn test_writer_refuses_to_overwrite_file() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let path = directory.path().join("somebody's");
    std::fs::write(&path, "text").expect("the directory is writable");
    let opened = FileChannel::open(directory.path(), options());
    assert!(matches!(opened, Err(OpenError::NotAChannel { .. })));
    let opened = FileChannel::open(&path, options());
    assert!(opened.is_err(), "a file is no directory");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"text");
    let listing = std::fs::read_dir(directory.path()).expect("it is readable");
    assert_eq!(listing.count(), 1, "nothing was added");
}

/// TestLogFile: in the place of a segment there is a directory.
#[test]
#[allow(clippy::disallowed_methods, reason = "the test damages the files itself")]
fn test_writer_fails_with_directory() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let channel = open_in(directory.path(), &options());
    put(&channel, &events(0..3));
    drop(channel);
    let segment = directory.path().join(format!("{:020}.seg", 1));
    let aside = directory.path().join("aside");
    std::fs::rename(&segment, &aside).expect("the directory is writable");
    std::fs::create_dir(&segment).expect("the directory is writable");
    let opened = FileChannel::open(directory.path(), options());
    assert!(opened.is_err(), "the segment is not there");
    std::fs::remove_dir(&segment).expect("it is still empty");
    std::fs::rename(&aside, &segment).expect("the directory is writable");
    let channel = open_in(directory.path(), &options());
    assert_eq!(drain(&channel), events(0..3));
}

#[test]
fn test_put_get_corrupt_event() {
    let disk = SimDisk::new(1);
    let options = options().memory_tail(0);
    let channel = open(&disk, &options);
    put(&channel, &larges(0..1, 2500));
    channel.close().expect("the disk works");
    drop(channel);
    let name = segments(&disk).swap_remove(0);
    let all = records(&read(&disk, &name));
    let put = all.iter().find(|record| record.kind == Kind::Put);
    let at = put.expect("one was put").offset + HEADER_SIZE + 1000;
    edit(&disk, &name, |bytes| bytes[at..at + 2].fill(0xaa));
    let result = open(&disk, &options).begin_take().take();
    assert!(matches!(result, Err(TakeError::Corrupt(_))), "{result:?}");
}

/// TestLogFile.testGroupCommit: many transactions, one sync.
#[test]
fn test_group_commit() {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &options().durability(flumen::Durability::Os));
    put_batches(&channel, &events(0..20), 1);
    let before = channel.stats().syncs;
    channel.sync().expect("the disk works");
    assert_eq!(channel.stats().syncs, before + 1);
    let image = disk.crash(&Crash::LoseAll);
    assert_eq!(drain(&open(&image, &options())), events(0..20));
}
