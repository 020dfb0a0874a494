//! The durable channel: a queue and the log that explains it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Channel, ChannelOptions, ChannelStats, CloseError, OpenError, PutTransaction, TakeTransaction,
};
use crate::storage::Storage;

/// A durable channel in a directory. Clones share it.
#[derive(Clone)]
pub struct FileChannel {}

impl FileChannel {
    /// Opens the channel in `directory`.
    pub fn open(
        _directory: impl AsRef<Path>,
        _options: ChannelOptions,
    ) -> Result<FileChannel, OpenError> {
        unimplemented!()
    }

    /// Opens on any storage.
    pub fn open_on(
        _storage: Arc<dyn Storage>,
        _options: ChannelOptions,
    ) -> Result<FileChannel, OpenError> {
        unimplemented!()
    }
}

impl Channel for FileChannel {
    fn begin_put(&self) -> PutTransaction {
        unimplemented!()
    }

    fn begin_take(&self) -> TakeTransaction {
        unimplemented!()
    }

    fn wait(&self, _timeout: Duration) -> bool {
        unimplemented!()
    }

    fn stats(&self) -> ChannelStats {
        unimplemented!()
    }

    fn cursor(&self, _name: &str) -> Option<Vec<u8>> {
        unimplemented!()
    }

    fn cursors(&self, _prefix: &str) -> BTreeMap<String, Vec<u8>> {
        unimplemented!()
    }

    fn transaction_events(&self) -> usize {
        unimplemented!()
    }

    fn close(&self) -> Result<(), CloseError> {
        unimplemented!()
    }
}
