use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;
use crate::storage::{read_full_at, write_all_at};

fn storage() -> (tempfile::TempDir, OsStorage) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let storage = OsStorage::new(directory.path(), false).expect("the directory is there");
    (directory, storage)
}

fn make_fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.expect("mkfifo is installed").success());
}

fn kind<T>(outcome: io::Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

#[test]
fn a_file_keeps_what_is_written() {
    let (_directory, storage) = storage();
    let file = storage.create("a").expect("create");
    assert_eq!(kind(storage.create("a")), Some(ErrorKind::AlreadyExists), "create is exclusive");
    write_all_at(&*file, b"hello", 3).expect("write");
    file.sync_data().expect("sync_data");
    file.sync_all().expect("sync_all");
    assert_eq!(file.size().expect("size"), 8);

    let file = storage.open("a", Access::Read).expect("open");
    let mut buffer = [9; 10];
    let count = read_full_at(&*file, &mut buffer, 0).expect("read");
    assert_eq!(&buffer[..count], b"\0\0\0hello");
    assert!(file.write_at(b"x", 0).is_err(), "opened for reading only");
    assert_eq!(&file.map(8).expect("map")[3..], b"hello");
    assert_eq!(file.map(0).expect("an empty map").len(), 0);
    assert_eq!(kind(file.map(9)), Some(ErrorKind::UnexpectedEof), "a map never goes past the end");
}

#[test]
fn names_are_listed_renamed_and_removed() {
    let (directory, storage) = storage();
    storage.create("a").expect("create");
    let b = storage.create("b").expect("create");
    b.set_size(7).expect("set_size");
    fs::create_dir(directory.path().join("sub")).expect("create_dir");
    symlink("a", directory.path().join("link")).expect("symlink");
    let mut names = storage.list().expect("list");
    names.sort();
    assert_eq!(names, ["a", "b"], "plain files only");
    assert_eq!(storage.size_of("b").expect("size_of"), 7);
    assert_eq!(kind(storage.size_of("link")), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(storage.size_of("sub")), Some(ErrorKind::InvalidInput));
    assert_eq!(kind(storage.size_of("c")), Some(ErrorKind::NotFound));

    storage.rename("b", "a").expect("rename replaces");
    storage.sync_directory().expect("sync_directory");
    assert_eq!(storage.list().expect("list"), ["a"]);
    let a = storage.open("a", Access::Read).expect("open");
    assert_eq!(a.size().expect("size"), 7);
    storage.remove("a").expect("remove");
    assert_eq!(kind(storage.remove("a")), Some(ErrorKind::NotFound));
}

#[test]
fn a_name_cannot_leave_the_directory() {
    let (_directory, storage) = storage();
    for name in ["", ".", "..", "../a", "/etc/passwd", "a/b", "a/"] {
        assert_eq!(
            kind(storage.open(name, Access::Read)),
            Some(ErrorKind::InvalidInput),
            "{name:?}"
        );
    }
}

#[test]
fn open_and_lock_refuse_what_is_no_plain_file() {
    let (directory, storage) = storage();
    storage.create("plain").expect("create");
    symlink("plain", directory.path().join("link")).expect("symlink");
    make_fifo(&directory.path().join("fifo"));
    fs::create_dir(directory.path().join("sub")).expect("create_dir");
    for name in ["link", "fifo", "sub"] {
        let wanted = Some(ErrorKind::InvalidInput);
        assert_eq!(kind(storage.open(name, Access::Read)), wanted, "{name}");
        assert_eq!(kind(storage.open(name, Access::ReadWrite)), wanted, "{name}");
        assert_eq!(kind(storage.lock(name, true)), wanted, "{name}");
        assert_eq!(kind(storage.lock(name, false)), wanted, "{name}");
    }
}

#[test]
fn the_flags_alone_refuse_a_link_and_do_not_wait_on_a_pipe() {
    let (directory, _storage) = storage();
    if OPEN_FLAGS == 0 {
        return;
    }
    fs::write(directory.path().join("file"), b"").expect("write");
    symlink("file", directory.path().join("link")).expect("symlink");
    make_fifo(&directory.path().join("fifo"));
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(OPEN_FLAGS);
    let link = options.open(directory.path().join("link"));
    assert!(link.is_err());
    options
        .open(directory.path().join("fifo"))
        .expect("opening a pipe for reading does not wait for a writer");
}

#[test]
fn a_lock_is_exclusive_until_dropped() {
    let (directory, storage) = storage();
    assert_eq!(
        kind(storage.lock("LOCK", false)),
        Some(ErrorKind::NotFound),
        "not created unless asked for"
    );
    let lock = storage.lock("LOCK", true).expect("lock");
    lock.write_note("pid 123456").expect("write_note");
    lock.write_note("pid 7").expect("write_note");
    let note = fs::read(directory.path().join("LOCK")).expect("read");
    assert_eq!(note, b"pid 7");

    let second = OsStorage::new(directory.path(), false).expect("open");
    for create in [true, false] {
        assert_eq!(kind(second.lock("LOCK", create)), Some(ErrorKind::WouldBlock));
    }
    drop(lock);
    let lock = second.lock("LOCK", false).expect("free again");
    assert_eq!(kind(lock.write_note("x")), Some(ErrorKind::ReadOnlyFilesystem));
    assert_eq!(
        kind(storage.lock("LOCK", true)),
        Some(ErrorKind::WouldBlock),
        "a lock taken for reading only is as exclusive"
    );
    drop(lock);
    assert!(directory.path().join("LOCK").exists(), "never unlinked");
}

#[test]
fn a_removed_or_replaced_lock_file_does_not_give_two_owners() {
    let (_directory, storage) = storage();
    let path = storage.path_of("LOCK").expect("a name");
    let file = open_lock(&path, true).expect("open");
    fs::remove_file(&path).expect("remove");
    assert!(hold(&path, file).expect("locked").is_none(), "removed");

    let file = open_lock(&path, true).expect("open");
    fs::remove_file(&path).expect("remove");
    let owner = storage.lock("LOCK", true).expect("a new file");
    assert!(hold(&path, file).expect("locked").is_none(), "replaced");

    drop(owner);
    let file = open_lock(&path, true).expect("open");
    assert!(hold(&path, file).expect("locked").is_some());
}

#[test]
fn a_dropped_lock_is_free_although_a_child_still_holds_the_description() {
    let (_directory, storage) = storage();
    let path = storage.path_of("LOCK").expect("a name");
    let file = open_lock(&path, true).expect("open");
    let _of_the_child = file.try_clone().expect("try_clone");
    let file = hold(&path, file).expect("locked").expect("still there");
    drop(OsLock { file, writable: true });
    storage.lock("LOCK", true).expect("freed");
}

#[test]
fn allocate_grows_and_keeps_the_bytes() {
    let (_directory, storage) = storage();
    let file = storage.create("a").expect("create");
    write_all_at(&*file, b"keep", 0).expect("write");
    file.allocate(0).expect("nothing to do");
    file.allocate(100_000).expect("allocate");
    assert_eq!(file.size().expect("size"), 100_000);
    file.allocate(10).expect("never shrinks");
    assert_eq!(file.size().expect("size"), 100_000);
    let mut buffer = [1; 8];
    read_full_at(&*file, &mut buffer, 0).expect("read");
    assert_eq!(&buffer, b"keep\0\0\0\0");
    assert!(storage.available_space().expect("space") > 0);
}

#[test]
fn allocate_falls_back_to_writing_zeros() {
    let (_directory, storage) = storage();
    let file = storage.path_of("a").and_then(fs::File::create_new).expect("create");
    let file = storage.file(file);
    write_all_at(&file, b"keep", 0).expect("write");
    file.allocate_by_writing(4, 200_001).expect("zeros");
    assert_eq!(file.size().expect("size"), 200_001);
    let held = file.file.metadata().expect("metadata").blocks() * 512;
    assert!(held >= 200_001, "the blocks are taken, not only the length");
    let failure = file.allocate_by_writing(200_001, 1 << 60);
    assert_eq!(kind(failure), Some(ErrorKind::StorageFull));
    assert_eq!(kind(file.allocate(1 << 60)), Some(ErrorKind::StorageFull));
    assert_eq!(kind(file.allocate(u64::MAX)), Some(ErrorKind::StorageFull));
    assert_eq!(file.size().expect("size"), 200_001, "given back");
}

#[test]
fn allocate_fails_on_a_file_opened_for_reading() {
    let (_directory, storage) = storage();
    storage.create("a").expect("create");
    let file = storage.open("a", Access::Read).expect("open");
    assert!(file.allocate(4096).is_err());
    assert_eq!(file.size().expect("size"), 0);
}

/// A small file system, unmounted when the test ends, however it ends.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None` when this machine or this user cannot mount one.
    fn new(kind: &str) -> Option<Mounted> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let image = directory.path().join("image");
        let (options, source) = match kind {
            "tmpfs" => ("size=1m", Path::new("tmpfs")),
            _ => {
                let file = fs::File::create_new(&image).expect("create");
                file.set_len(2 << 20).expect("set_len");
                let mut make = Command::new(format!("mkfs.{kind}"));
                succeeds(make.arg("-q").arg(&image))?;
                ("loop", image.as_path())
            }
        };
        let target = directory.path().join("mounted");
        fs::create_dir(&target).expect("create_dir");
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", options]).arg(source);
        succeeds(mount.arg(&target))?;
        Some(Mounted(directory))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("mounted")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

fn succeeds(command: &mut Command) -> Option<()> {
    let output = command.output().ok()?;
    output.status.success().then_some(())
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test must be seen to be skipped")]
fn allocate_on_a_full_file_system_says_so_and_gives_back() {
    for kind_of_system in ["tmpfs", "ext4"] {
        let Some(mounted) = Mounted::new(kind_of_system) else {
            eprintln!("SKIPPED: no {kind_of_system} can be mounted here, so no full one was tried");
            continue;
        };
        let storage = OsStorage::new(mounted.path(), false).expect("open");
        let file = storage.create("a").expect("create");
        write_all_at(&*file, &[7; 5000], 0).expect("write");
        file.sync_all().expect("sync");
        let before = storage.available_space().expect("space");
        assert_eq!(kind(file.allocate(4 << 20)), Some(ErrorKind::StorageFull));
        assert_eq!(file.size().expect("size"), 5000, "{kind_of_system}");
        let left = storage.available_space().expect("space");
        assert!(before - left <= 8192, "{kind_of_system}: {before} {left}");
        file.allocate(256 << 10).expect("the rest has room");
    }
}

#[test]
fn a_new_directory_is_made_with_its_parents() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a/b/c");
    let error = OsStorage::new(&path, false).expect_err("not there");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("a/b/c"), "{error}");
    for _ in 0..2 {
        let storage = OsStorage::new(&path, true).expect("made");
        assert_eq!(storage.location(), path.display().to_string());
        assert!(storage.list().expect("list").is_empty());
    }
    symlink(&path, directory.path().join("link")).expect("symlink");
    OsStorage::new(directory.path().join("link"), true).expect("a link to a directory will do");
}

#[test]
fn what_is_no_directory_is_refused_in_words() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    make_fifo(&directory.path().join("fifo"));
    fs::write(directory.path().join("file"), b"x").expect("write");
    symlink("nowhere", directory.path().join("dangling")).expect("symlink");
    for name in ["fifo", "file", "dangling"] {
        for create in [true, false] {
            let error = OsStorage::new(directory.path().join(name), create).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::NotADirectory, "{name}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    assert!(!directory.path().join("nowhere").exists(), "nothing is made at a link's end");
}

#[test]
fn identities_differ() {
    let (_directory, storage) = storage();
    let mut ids = [(); 100].map(|()| storage.unique_id());
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
}
