//! Writes what came out as Markdown.

use std::fmt::Write;

use crate::results::{Cell, Row, figure};

/// A table with a line for each load and a column for each contender.
pub(crate) fn table(title: &str, unit: &str, rounds: usize, rows: &[Row]) -> String {
    let mut contenders: Vec<&str> = Vec::new();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        if !contenders.contains(&cell.contender) {
            contenders.push(cell.contender);
        }
    }
    let mut table = format!(
        "{title}: {unit}, medians of {rounds} rounds, a fifth of them where nothing is judged; behind it in bold what ours cost in the same round, divided by it\n\n\
         | | {} |\n|---|{}\n",
        // What stands between angle brackets would not be shown.
        contenders.join(" | ").replace('<', "\\<"),
        "---:|".repeat(contenders.len())
    );
    for Row { load, cells } in rows {
        let of = |contender: &&str| cells.iter().position(|cell| cell.contender == *contender);
        let text = |contender| match of(contender) {
            Some(index) => text(&cells[index], index == 0),
            None => "·".to_owned(),
        };
        let texts: Vec<String> = contenders.iter().map(text).collect();
        writeln!(table, "| {load} | {} |", texts.join(" | ")).expect("a string takes everything");
    }
    table
}

fn text(cell: &Cell, is_ours: bool) -> String {
    let cost = figure(cell.cost);
    match cell.verdict() {
        _ if is_ours => cost,
        Some(verdict) => format!("{cost} **{:.2}** ({verdict})", cell.ratio),
        None => format!("{cost} **{:.2}**", cell.ratio),
    }
}
