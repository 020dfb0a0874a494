//! Counters of the rows of the decision table (`docs/CRASH_SAFETY.md`) that were taken, so that tests can
//! show that every row is hit, and by what. They are there with the feature `sim` only; without it `mark!` is
//! nothing.

#[cfg(not(feature = "sim"))]
macro_rules! mark {
    ($row:ident $(if $condition:expr, else $other:ident)?) => {{}};
}

#[cfg(feature = "sim")]
macro_rules! mark {
    ($row:ident) => {
        $crate::marks::hit($crate::marks::Row::$row)
    };
    ($row:ident if $condition:expr, else $other:ident) => {
        $crate::marks::hit(if $condition {
            $crate::marks::Row::$row
        } else {
            $crate::marks::Row::$other
        })
    };
}

#[cfg(feature = "sim")]
pub use counted::*;

#[cfg(feature = "sim")]
mod counted {
    // Not from `crate::sync`: these only count, nothing is ordered by them, and a model of the locks is not
    // to branch at them.
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    macro_rules! rows {
        ($($row:ident),* $(,)?) => {
            /// Rows of the tables in `docs/CRASH_SAFETY.md`: T for what an opening finds, P for what it and a
            /// running channel then do with files.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            #[allow(missing_docs, reason = "each has its line in the document")]
            pub enum Row {
                $($row),*
            }

            /// All rows, in the document's order.
            pub const ROWS: &[Row] = &[$(Row::$row),*];
        };
    }

    rows!(
        T1, T2, T3, T4, T4a, T5, T5a, T6, T7, T8, T9, T9a, T9b, T10, T11, T12, T12a, T13, T14,
        T14a, T15, T16, T17, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16,
        P17, P18, P19, P20, P21, P22, P23, P24, P25, P26, P27,
    );

    static TAKEN: [AtomicU64; ROWS.len()] = [const { AtomicU64::new(0) }; ROWS.len()];

    pub(crate) fn hit(row: Row) {
        TAKEN[row as usize].fetch_add(1, Relaxed);
    }

    impl Row {
        /// How often the row was taken, by all channels of this process.
        pub fn taken(self) -> u64 {
            TAKEN[self as usize].load(Relaxed)
        }
    }
}
