//! The one loop that takes, writes and commits.

use std::sync::Arc;
use std::time::Duration;

use super::{Cursor, Sink, SinkError};
use crate::back_off::BackOff;
use crate::channel::{Channel, TakeError, TakeTransaction};
use crate::event::Event;
use crate::shutdown::Shutdown;

/// How long to sleep on an empty channel before the stop signals are looked at again.
const WAIT: Duration = Duration::from_millis(100);
/// Bytes of events after which a batch is written although it could hold more events.
const BATCH_BYTES: u64 = 16 << 20;

/// When a sink's loop ends.
#[derive(Clone, Default)]
pub struct Signals {
    /// At once, after the batch in hand.
    pub stop: Shutdown,
    /// When the channel is empty, for nothing more will be put.
    pub finish: Shutdown,
}

/// Takes events from `channel`, `batch_size` at most at a time, and has `sink` write them, until a
/// signal or an error that waiting cannot cure. A batch the sink could not write is rolled back and
/// tried again, after 1 s, then 2 s, up to 5 s.
pub fn run(
    sink: &mut dyn Sink,
    channel: &Arc<dyn Channel>,
    batch_size: usize,
    signals: &Signals,
) -> Result<(), SinkError> {
    sink.open(channel)?;
    let mut back_off = BackOff::default();
    while !signals.stop.is_stopped() {
        // Asked before taking: when nothing will be put after this, an empty channel stays so.
        let finishing = signals.finish.is_stopped();
        match step(sink, &**channel, batch_size) {
            Ok(true) => back_off.reset(),
            Ok(false) if finishing && channel.stats().events == 0 => return Ok(()),
            Ok(false) => {
                channel.wait(WAIT);
            }
            Err(error) if error.is_transient() => {
                tracing::warn!("{error}; the batch stays in the channel and is tried again");
                back_off.wait(&signals.stop);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One batch; false when there was nothing to take.
fn step(sink: &mut dyn Sink, channel: &dyn Channel, batch_size: usize) -> Result<bool, SinkError> {
    let mut take = channel.begin_take();
    let (batch, end) = collect(&mut take, batch_size);
    if !batch.is_empty() {
        let cursors = sink.write(&batch)?;
        drop(batch);
        commit(take, cursors)?;
        sink.committed();
    } else if end.is_none() {
        return Ok(false);
    }
    // An event that cannot be taken does not hold up those before it.
    match end {
        Some(error) => Err(error.into()),
        None => Ok(true),
    }
}

fn collect(take: &mut TakeTransaction, batch_size: usize) -> (Vec<Event>, Option<TakeError>) {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < batch_size && bytes < BATCH_BYTES {
        match take.take() {
            Ok(Some(event)) => {
                bytes += event.size();
                batch.push(event);
            }
            Ok(None) => break,
            Err(TakeError::TransactionFull) if !batch.is_empty() => break,
            Err(error) => return (batch, Some(error)),
        }
    }
    (batch, None)
}

fn commit(mut take: TakeTransaction, cursors: Vec<Cursor>) -> Result<(), SinkError> {
    for (name, value) in cursors {
        take.set_cursor(&name, &value).map_err(SinkError::Cursor)?;
    }
    Ok(take.commit()?)
}
