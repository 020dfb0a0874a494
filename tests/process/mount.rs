//! Small file systems of their own, on images in a temporary directory. They need root and tools; where those
//! are missing the tests say so loudly and show nothing, unless `FLUMEN_REQUIRE` says that they are there.
#![allow(clippy::disallowed_methods, reason = "a test makes plain files")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use tempfile::TempDir;

/// What the names of all places of mounts begin with: what a killed run left is known by it.
const PREFIX: &str = "flumen-mount-";
/// Locked by the process that has the mount. Its end, of whatever kind, gives the lock back.
const OWNER: &str = "owner";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Ext4WithoutJournal,
    Xfs,
    /// In memory: needs no loop device.
    Tmpfs,
}

impl Kind {
    fn make(self) -> &'static [&'static str] {
        match self {
            Kind::Ext4 => &["mkfs.ext4", "-q", "-F"],
            Kind::Ext4WithoutJournal => &["mkfs.ext4", "-q", "-F", "-O", "^has_journal"],
            Kind::Xfs => &["mkfs.xfs", "-q", "-f"],
            Kind::Tmpfs => &["true"],
        }
    }
}

/// An image, mounted or not. Dropping it unmounts it, which frees its loop device too, and removes it.
pub struct Mount {
    kind: Kind,
    size: u64,
    image: PathBuf,
    path: PathBuf,
    is_mounted: bool,
    _owner: File,
    _place: TempDir,
}

impl Mount {
    /// Makes a file system of so many MiB and mounts it; otherwise says why that cannot be done here.
    pub fn make(kind: Kind, size: u64) -> Result<Mount, String> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let place = tempfile::Builder::new().prefix(PREFIX).tempdir();
        let place = place.map_err(|error| error.to_string())?;
        let (image, path) = (place.path().join("image"), place.path().join("mount"));
        let owner = own(place.path()).map_err(|error| error.to_string())?;
        let file = File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(size << 20).map_err(|error| error.to_string())?;
        fs::create_dir(&path).map_err(|error| error.to_string())?;
        let (program, words) = kind.make().split_first().expect("a program");
        run(Command::new(program).args(words).arg(&image))?;
        let mut mount =
            Mount { kind, size, image, path, is_mounted: false, _owner: owner, _place: place };
        mount.mount("")?;
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn mount(&mut self, options: &str) -> Result<(), String> {
        let mut command = Command::new("mount");
        match self.kind {
            Kind::Tmpfs => {
                command.args(["-t", "tmpfs", "-o", &format!("size={}m", self.size), "tmpfs"])
            }
            _ if options.is_empty() => command.args(["-o", "loop"]).arg(&self.image),
            _ => command.args(["-o", &format!("loop,{options}")]).arg(&self.image),
        };
        run(command.arg(&self.path))?;
        self.is_mounted = true;
        Ok(())
    }

    pub fn unmount(&mut self) -> Result<(), String> {
        run(Command::new("umount").arg(&self.path))?;
        self.is_mounted = false;
        Ok(())
    }

    /// Cuts the power: from now on nothing of what is in memory reaches the image. With `keeps_journal` what
    /// the journal holds in memory is written first, and file contents are not.
    pub fn cut(&self, keeps_journal: bool) -> Result<(), String> {
        let call = if keeps_journal { "shutdown -f" } else { "shutdown" };
        run(Command::new("xfs_io").args(["-x", "-c", call]).arg(&self.path))
    }

    /// What the boot after a power cut does: the journal is replayed by mounting; without one the file system
    /// is checked first.
    pub fn restart(&mut self, options: &str) -> Result<(), String> {
        self.unmount()?;
        if self.kind == Kind::Ext4WithoutJournal {
            // 1: errors corrected, as is to be expected.
            let mut check = Command::new("e2fsck");
            let output = check.args(["-f", "-y"]).arg(&self.image).output();
            let output = output.map_err(|error| format!("e2fsck: {error}"))?;
            if !matches!(output.status.code(), Some(0 | 1)) {
                return Err(format!("e2fsck: {}", String::from_utf8_lossy(&output.stdout)));
            }
        }
        self.mount(options)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.is_mounted && self.unmount().is_err() {
            // Something of the failed test still uses it: it goes when that does.
            drop(run(Command::new("umount").arg("-l").arg(&self.path)));
        }
    }
}

/// Marks a place as having an owner. The mark has its name when it is locked, so that nobody finds it free.
fn own(place: &Path) -> std::io::Result<File> {
    let owner = File::create(place.join("owner.new"))?;
    owner.try_lock()?;
    fs::rename(place.join("owner.new"), place.join(OWNER))?;
    Ok(owner)
}

/// Cleans up what runs left that were killed: whose mark nobody has locked.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let place = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(owner) = File::open(place.join(OWNER)) else { continue };
        if owner.try_lock().is_err() {
            continue;
        }
        // Fails where none is mounted. A mount that stays busy keeps its directory: only an empty place goes.
        drop(run(Command::new("umount").arg(place.join("mount"))));
        if fs::remove_dir(place.join("mount")).is_ok() {
            drop(fs::remove_dir_all(&place));
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Why nothing of this kind can be done here; `None` where it can. Tried with the very calls.
pub fn obstacle(kind: Kind, size: u64, cuts: bool) -> Option<String> {
    let tried = Mount::make(kind, size).and_then(|mount| match cuts {
        true => mount.cut(false),
        false => Ok(()),
    });
    tried
        .err()
        .map(|why| format!("{kind:?}: {why} (needs root, loop devices, e2fsprogs, xfsprogs)"))
}
