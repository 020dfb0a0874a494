//! W2: one producer, many events per durable commit.

use crate::peer::{Ack, Need};
use crate::workload::{Cell, steady};

pub(crate) fn cells() -> Vec<Cell> {
    let cell = |batch, title| Cell {
        workload: "W2",
        title,
        reference: "raw",
        sync_puts: true,
        acks: Ack::Lazy,
        size: 512,
        batch,
        producers: 1,
        needs: &[Need::Sync, Need::Batches],
        run: steady::produce,
    };
    vec![
        cell(100, "W2: one producer, 100 events of 512 B per durable commit"),
        cell(1000, "W2: one producer, 1,000 events of 512 B per durable commit"),
        cell(10_000, "W2: one producer, 10,000 events of 512 B per durable commit"),
    ]
}
