//! What a series of any kind is asked for by the registry.

use std::ops::ControlFlow;

use metrics::Key;

use crate::field_value::FieldValue;
use crate::line::Line;
use crate::point::Point;
use crate::series_settings::SeriesSettings;
use crate::updates::Updates;

/// A counter, a gauge or a histogram with its labels. Handles update it; only the registry, under the lock of its hand-over,
/// offers and forgets.
pub(crate) trait Series: Send + Sync {
    /// Offers what is new as points; what there is no room for stays.
    fn offer(&self, offer: &mut Offer<'_>) -> ControlFlow<NoRoom>;

    /// Whether there is something to offer.
    fn has_news(&self) -> bool;

    /// Whether a new series in its place would report the same from now on, if its updates go on being of the kinds that they were. It
    /// says so for good when nobody else holds it.
    fn is_forgettable(&self) -> bool;

    /// Whether it reports the recorder's own buffer.
    fn is_own(&self) -> bool;
}

/// There is no room for more.
pub(crate) struct NoRoom;

/// What one series is asked with.
pub(crate) struct Offer<'a> {
    pub(crate) key: &'a Key,
    pub(crate) settings: &'a SeriesSettings,
    pub(crate) updates: &'a Updates,
    /// The stamp of its next point, in nanoseconds since 1970.
    pub(crate) moment: i64,
    /// Takes a line, or says that there is no room.
    pub(crate) insert: &'a mut dyn FnMut(Line) -> Result<(), NoRoom>,
}

/// More points than these a series does not have in one hand-over: the one that was left over of a histogram and the new one,
/// or the three of a counter that has gone from zero to `u64::MAX`.
pub(crate) const POINTS_AT_MOST: i64 = 3;

impl Offer<'_> {
    /// Encodes a point of the series with the fields that `fields` sets.
    ///
    /// None where the encoder refuses it: it is counted, and does not stand in the way of what comes after.
    pub(crate) fn line(&mut self, fields: impl FnOnce(Point) -> Point) -> Option<Line> {
        let point = fields(self.settings.point(self.key)).timestamp_ns(self.moment);
        // Each point has a stamp of its own, or the second would overwrite the first.
        self.moment += 1;
        let line = self.settings.encoder.encode(&point);
        if line.is_err() {
            self.updates.leave_out_refused(1);
        }
        line.ok()
    }

    /// Hands a line over, if there is room.
    pub(crate) fn insert(&mut self, line: Line) -> ControlFlow<NoRoom> {
        match (self.insert)(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(no_room) => ControlFlow::Break(no_room),
        }
    }

    /// Hands a point over that has one field, if there is room.
    pub(crate) fn field(&mut self, key: &str, value: impl Into<FieldValue>) -> ControlFlow<NoRoom> {
        match self.line(|point| point.field(key, value)) {
            Some(line) => self.insert(line),
            None => ControlFlow::Continue(()),
        }
    }
}
