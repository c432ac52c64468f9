//! What came out of a load.

use std::fmt;

/// A load, and what its contenders cost.
pub(crate) struct Row {
    pub(crate) load: String,
    /// The first is ours.
    pub(crate) cells: Vec<Cell>,
}

/// What a contender cost: medians over the rounds.
pub(crate) struct Cell {
    pub(crate) contender: &'static str,
    pub(crate) cost: f64,
    /// What we cost in the same round, divided by what it cost.
    pub(crate) ratio: f64,
    pub(crate) at_most: Option<f64>,
}

impl Cell {
    /// What the ratio was to be, and whether it is.
    pub(crate) fn verdict(&self) -> Option<String> {
        let at_most = self.at_most?;
        let word = if self.ratio <= at_most { "holds" } else { "misses" };
        Some(format!("≤ {at_most} {word}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.load)?;
        for Cell {
            contender,
            cost,
            ratio,
            ..
        } in &self.cells
        {
            write!(f, " {contender} {} ({ratio:.2})", figure(*cost))?;
        }
        Ok(())
    }
}

/// Three digits that matter.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
