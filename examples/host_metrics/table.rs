//! The ledger as a table, with a line for each reason for a drop.

use std::fmt;

use buffer_core::Ledger;
use comfy_table::{CellAlignment, Table, presets};

use crate::buffers::Closed;

/// Prints what became of everything.
pub struct LedgerTable<'a>(pub &'a Closed);

const COLUMNS: [&str; 7] = [
    "",
    "accepted",
    "delivered",
    "dropped",
    "returned",
    "pending",
    "retried",
];

impl fmt::Display for LedgerTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.total();
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_header(COLUMNS)
            .add_row(row("points", self.0.points))
            .add_row(row("counters", self.0.counters))
            .add_row(row("total", total));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        write!(f, "{table}")?;
        for (reason, items) in total.dropped.iter() {
            write!(f, "\ndropped for {reason}: {items}")?;
        }
        Ok(())
    }
}

fn row(name: &str, ledger: Ledger) -> [String; COLUMNS.len()] {
    let Ledger {
        accepted,
        delivered,
        dropped,
        returned,
        pending,
        retried,
        ..
    } = ledger;
    let [accepted, delivered, dropped, returned, pending, retried] =
        [accepted, delivered, dropped.total(), returned, pending, retried].map(|items| items.to_string());
    [
        name.to_owned(),
        accepted,
        delivered,
        dropped,
        returned,
        pending,
        retried,
    ]
}
