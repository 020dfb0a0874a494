//! The sink that discards.

use super::{Cursor, Sink, SinkError};
use crate::event::Event;

/// Flume's null sink: takes events and forgets them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Null;

impl Sink for Null {
    fn write(&mut self, _batch: &[Event]) -> Result<Vec<Cursor>, SinkError> {
        Ok(Vec::new())
    }
}
