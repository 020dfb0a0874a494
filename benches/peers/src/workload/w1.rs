//! W1: one producer, one event per durable commit.

use crate::peer::{Ack, Need};
use crate::workload::{Cell, steady};

pub(crate) fn cells() -> Vec<Cell> {
    vec![Cell {
        workload: "W1",
        title: "W1: one producer, 1 event of 512 B per durable commit",
        reference: "raw",
        sync_puts: true,
        acks: Ack::Lazy,
        size: 512,
        batch: 1,
        producers: 1,
        needs: &[Need::Sync],
        run: steady::produce,
    }]
}
