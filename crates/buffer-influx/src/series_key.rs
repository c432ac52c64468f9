//! A series that is encoded once, for many lines.

use std::fmt;
use std::sync::Arc;

use crate::encode::push_series;
use crate::encode::rules::Rules;
use crate::line_builder::LineBuilder;
use crate::line_builder::known_names::Slot;
use crate::line_builder::piece::{Block, blocks_of};
use crate::point::Point;
use crate::point::point_error::PointError;

/// A measurement with its tags, checked and encoded, for a program that writes to the same series again and again.
///
/// [`Encoder::series`](crate::Encoder::series) makes one; its lines follow the rules of that encoder and have its default tags.
/// Clones share the text.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder};
///
/// let encoder = Encoder::new(Dialect::Influx1).default_tag("host", "a");
/// let requests = encoder.series("requests", [("path", "/")])?;
/// for (moment, ms) in [(1, 12.5), (2, 8.0)] {
///     let line = requests.line().field("ms", ms).timestamp_ns(moment).finish()?;
///     assert_eq!(line.as_str(), format!("requests,host=a,path=/ ms={ms:?} {moment}"));
/// }
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Clone)]
pub struct SeriesKey {
    shared: Arc<Shared>,
}

struct Shared {
    text: Box<str>,
    /// The text once more, as it is written.
    blocks: Box<[Block]>,
    slot: Slot,
    /// The same before it was encoded, default tags included.
    point: Point,
    rules: Rules,
}

impl SeriesKey {
    /// The series of `point`, which has its default tags.
    pub(crate) fn new(point: Point, rules: Rules) -> Result<Self, PointError> {
        let mut text = String::new();
        push_series(&mut text, &point, &[], &rules)?;
        let text = text.into_boxed_str();
        Ok(Self {
            shared: Arc::new(Shared {
                blocks: blocks_of(&text),
                slot: Slot::of_series_lines(point.measurement()),
                text,
                point,
                rules,
            }),
        })
    }

    /// Begins a line of this series.
    #[inline]
    pub fn line(&self) -> LineBuilder<'_> {
        let Shared {
            text,
            blocks,
            slot,
            point,
            rules,
        } = &*self.shared;
        LineBuilder::of_series(blocks, text.len(), *slot, point, rules)
    }

    /// What the lines of this series begin with.
    pub fn as_str(&self) -> &str {
        &self.shared.text
    }
}

impl fmt::Debug for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeriesKey({:?})", self.as_str())
    }
}
