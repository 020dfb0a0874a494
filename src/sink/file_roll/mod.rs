//! Writes events to files in a directory, a new one every so often, each event exactly once.
//!
//! The name and the length of the newest file ride on the commit that takes its events out of the
//! channel. What a crash left behind that length belongs to events that are still in the channel,
//! and is cut off. A new name is recorded *before* the file is made; so at most one file can hold
//! bytes the channel does not know of, its name is on record, and nothing else in the directory is
//! ever touched.

mod naming;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::naming::Newest;
use super::{Cursor, Sink, SinkError};
use crate::channel::Channel;
use crate::event::Event;

pub use self::naming::PathManager;

/// Memory kept between batches for putting one together.
const BUFFER_KEPT: usize = 1 << 20;

/// Where and how a [`FileRoll`] writes; defaults are Flume's.
#[derive(Clone, Debug)]
pub struct FileRollOptions {
    /// The directory; it must exist.
    pub directory: PathBuf,
    /// After how long the next batch begins a new file; `None` is never. Default: 30 s. No file is
    /// made before there is something to write.
    pub roll_interval: Option<Duration>,
    /// How files are named. Default: [`PathManager::Default`].
    pub path_manager: PathManager,
    /// What names begin with. Default: nothing.
    pub prefix: String,
    /// What names end with, after a dot. Default: nothing.
    pub extension: String,
    /// Whether each body is followed by a newline. Default: yes.
    pub append_newline: bool,
}

impl FileRollOptions {
    /// Defaults, in `directory`.
    pub fn new(directory: impl AsRef<Path>) -> FileRollOptions {
        FileRollOptions {
            directory: directory.as_ref().to_path_buf(),
            roll_interval: Some(Duration::from_secs(30)),
            path_manager: PathManager::Default,
            prefix: String::new(),
            extension: String::new(),
            append_newline: true,
        }
    }
}

/// Flume's file_roll sink, with each event exactly once in the files, whatever crashes.
pub struct FileRoll {
    cursor: String,
    options: FileRollOptions,
    channel: Option<Arc<dyn Channel>>,
    newest: Newest,
    current: Option<Current>,
    buffer: Vec<u8>,
}

/// The file being written.
struct Current {
    path: PathBuf,
    file: File,
    begun: Instant,
    /// Whether there may be bytes behind the committed length: a batch that was not committed, or a
    /// part.
    dirty: bool,
    /// Where the next batch goes: its length once the batch in hand is committed.
    written: u64,
}

impl FileRoll {
    /// A sink that records its newest file in the channel under `file_roll/<name>`: keep the name,
    /// and it goes on where it stopped.
    pub fn new(name: &str, options: FileRollOptions) -> FileRoll {
        FileRoll {
            cursor: format!("file_roll/{name}"),
            options,
            channel: None,
            newest: Newest::none(),
            current: None,
            buffer: Vec::new(),
        }
    }

    /// Opens the newest file, as long as what was committed of it.
    fn resume(&mut self) -> Result<(), SinkError> {
        let path = self.options.directory.join(&self.newest.name);
        let length = self.newest.length;
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // With length 0 the crash came between recording the name and making the file.
                if length > 0 {
                    tracing::warn!(
                        "{} with {length} bytes is gone; the next batch begins a new file. \
                         If it was moved while a batch was being written, that batch is in both",
                        path.display()
                    );
                }
                return Ok(());
            }
            other => other.map_err(|error| SinkError::io("look at", &path, error))?,
        };
        if !metadata.is_file() || metadata.len() < length {
            return Err(SinkError::Foreign {
                problem: format!(
                    "{length} bytes were written to this file and made durable, and now it {}. \
                     Restore it, or move it away: then the sink begins a new file",
                    match metadata.is_file() {
                        true => format!("has {}", metadata.len()),
                        false => "is no regular file".to_string(),
                    }
                ),
                path,
            });
        }
        let opened = OpenOptions::new().write(true).open(&path);
        let file = opened.map_err(|error| SinkError::io("open", &path, error))?;
        if metadata.len() > length {
            tracing::info!(
                "{}: cutting off {} bytes of a batch that is still in the channel",
                path.display(),
                metadata.len() - length
            );
        }
        let mut current = Current::new(path, file);
        current.dirty = true;
        current.cut(length)?;
        self.current = Some(current);
        Ok(())
    }

    /// The file to write the next batch to, cut to what was committed.
    fn current(&mut self) -> Result<&mut Current, SinkError> {
        let committed = self.newest.length;
        if let Some(current) = &mut self.current {
            current.cut(committed)?;
            let interval = self.options.roll_interval.unwrap_or(Duration::MAX);
            if committed > 0 && current.begun.elapsed() >= interval {
                self.current = None;
            }
        }
        let current = match self.current.take() {
            Some(current) => current,
            None => self.begin()?,
        };
        Ok(self.current.insert(current))
    }

    /// Makes the next file.
    fn begin(&mut self) -> Result<Current, SinkError> {
        loop {
            let options = &self.options;
            let next = self.newest.next(options.path_manager, &options.prefix, &options.extension);
            let path = options.directory.join(&next.name);
            match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(SinkError::io("look at", &path, error)),
                Ok(_) => {
                    // Somebody else's, so it is not put on record.
                    self.newest.index = next.index;
                    continue;
                }
            }
            self.record(&next)?;
            self.newest = next;
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    self.sync_directory()?;
                    return Ok(Current::new(path, file));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(SinkError::io("create", &path, error)),
            }
        }
    }

    /// Without this the name of a new file could be lost in a power cut, and its events with it.
    fn sync_directory(&self) -> Result<(), SinkError> {
        let path = &self.options.directory;
        let synced = File::open(path).and_then(|directory| directory.sync_all());
        synced.map_err(|error| SinkError::io("sync directory", path, error))
    }

    /// Puts the name of a file about to be made on record, in a commit of its own.
    fn record(&self, newest: &Newest) -> Result<(), SinkError> {
        let Some(channel) = &self.channel else {
            return Ok(());
        };
        let mut take = channel.begin_take();
        take.set_cursor(&self.cursor, &newest.encode()).map_err(SinkError::Cursor)?;
        Ok(take.commit()?)
    }
}

impl Sink for FileRoll {
    fn open(&mut self, channel: &Arc<dyn Channel>) -> Result<(), SinkError> {
        let directory = &self.options.directory;
        if !directory.is_dir() {
            return Err(SinkError::Foreign {
                path: directory.clone(),
                problem: "there is no such directory; create it, or correct sink.directory".into(),
            });
        }
        self.channel = Some(Arc::clone(channel));
        let Some(value) = channel.cursor(&self.cursor) else {
            return Ok(());
        };
        self.newest = Newest::decode(&value).ok_or_else(|| SinkError::Foreign {
            path: directory.clone(),
            problem: format!(
                "the record {} in the channel is not in the form this version writes; \
                 use the program that wrote it or a newer one",
                self.cursor
            ),
        })?;
        self.resume()
    }

    fn write(&mut self, batch: &[Event]) -> Result<Vec<Cursor>, SinkError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        for event in batch {
            buffer.extend_from_slice(&event.body);
            if self.options.append_newline {
                buffer.push(b'\n');
            }
        }
        let current = self.current()?;
        current.append(&buffer)?;
        let written = current.written;
        buffer.shrink_to(BUFFER_KEPT);
        self.buffer = buffer;
        let newest = Newest { length: written, ..self.newest.clone() };
        Ok(vec![(self.cursor.clone(), newest.encode())])
    }

    fn committed(&mut self) {
        if let Some(current) = &mut self.current {
            current.dirty = false;
            self.newest.length = current.written;
        }
    }
}

impl Current {
    fn new(path: PathBuf, file: File) -> Current {
        Current { path, file, begun: Instant::now(), dirty: false, written: 0 }
    }

    /// Removes what is behind the committed length, for good: it may have been synced, and once the
    /// next file is on record nobody would cut this one again.
    fn cut(&mut self, committed: u64) -> Result<(), SinkError> {
        if self.dirty {
            let cut = self.file.set_len(committed);
            let cut = cut.and_then(|()| self.file.sync_data());
            cut.map_err(|error| SinkError::io("cut", &self.path, error))?;
            self.dirty = false;
        }
        self.written = committed;
        Ok(())
    }

    /// Writes and syncs. After an error all of it is cut off and written again, which makes the
    /// pages that a failed sync may have dropped dirty once more.
    fn append(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.dirty = true;
        let written = self.file.write_all_at(bytes, self.written);
        written.map_err(|error| SinkError::io("write", &self.path, error))?;
        let synced = self.file.sync_data();
        synced.map_err(|error| SinkError::io("sync", &self.path, error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}
