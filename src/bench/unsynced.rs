//! S4: commits without a sync.

use std::path::Path;

use flumen::{Channel, Durability};

use super::commits::Sides;
use super::error::BenchError;
use super::form::Form;
use super::queue::{Queue, lazy};
use super::raw::Raw;
use super::row::{Row, Unit};
use super::work::Outcome;

const EVENTS: usize = 100;

/// S4: batches of 100, bodies of three sizes, beside writing the same bytes without a sync.
pub(crate) fn unsynced(directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    let mut raw = Raw::new(directory, "raw", form)?;
    let mut rows = Vec::new();
    let mut held = raw.held();
    for (body, name) in [(64, "64 B"), (512, "512 B"), (4096, "4 KiB")] {
        let options = form.options().durability(Durability::Os).ack_durability(lazy());
        let queue = Queue::open(directory, "unsynced", options)?.with_body(body).warmed(form)?;
        let mut sides = Sides::default();
        for _ in 0..form.rounds() {
            let most = form.unsynced() / 10;
            let bytes = EVENTS * body;
            sides.round(
                form.slice() / 2,
                |time, times| Ok(raw.slice(bytes, false, time, most, times)?),
                // Past the cache nothing is written without waiting for the device.
                |_, _| Ok(()),
                |time, times| queue.slice(EVENTS, time, most, times),
            )?;
        }
        queue.drain()?;
        queue.channel.close()?;
        held = held.max(raw.held() + sides.held());
        let row =
            sides.row(&format!("S4/{body}"), &format!("no sync, 100 x {name}"), EVENTS as f64);
        rows.push(match body {
            64 => row.at_least(10e6),
            512 => row.at_least(3e6),
            _ => in_bytes(row, body as f64).at_least(1.5e9),
        });
    }
    Ok(Outcome::new(rows, held))
}

/// A row of events a second as bytes a second.
fn in_bytes(row: Row, body: f64) -> Row {
    let bytes_of = |rounds: &[f64]| rounds.iter().map(|rate| rate * body).collect();
    let limit = row.limit.as_ref().map(|limit| bytes_of(&limit.rounds)).unwrap_or_default();
    let raw_latency = row.limit.and_then(|limit| limit.latency);
    let bytes = Row::new(row.id, row.what, Unit::BytesPerSecond, bytes_of(&row.rounds));
    let bytes = bytes.beside("raw", limit);
    match row.latency {
        Some(latency) => bytes.with_latency(latency, raw_latency),
        None => bytes,
    }
}
