//! W4: one producer, 100 events per commit, no sync: what the program itself costs.

use crate::peer::{Ack, Need};
use crate::workload::{Cell, steady};

pub(crate) fn cells() -> Vec<Cell> {
    let cell = |size, title| Cell {
        workload: "W4",
        title,
        reference: "raw",
        sync_puts: false,
        acks: Ack::Lazy,
        size,
        batch: 100,
        producers: 1,
        needs: &[Need::Unsynced, Need::Batches],
        run: steady::produce,
    };
    vec![
        cell(64, "W4: one producer, 100 events of 64 B per commit, no sync"),
        cell(512, "W4: one producer, 100 events of 512 B per commit, no sync"),
        cell(4096, "W4: one producer, 100 events of 4 KiB per commit, no sync"),
    ]
}
