//! What the registry asks of a series of any kind.

use std::ops::ControlFlow;

use metrics::Key;

use crate::line::Line;
use crate::point::Point;
use crate::point::field_value::FieldValue;
use crate::recorder::series_settings::SeriesSettings;
use crate::recorder::updates::Updates;

/// A counter, a gauge or a histogram with its labels. Handles update it; only the registry, under the lock of its hand-over,
/// offers and forgets.
pub(crate) trait Series: Send + Sync {
    /// Offers what is new as points; what finds no room stays.
    fn offer(&self, offer: &mut Offer<'_>) -> ControlFlow<NoRoom>;

    /// Whether there is something to offer.
    fn has_news(&self) -> bool;

    /// Whether a new series in its place would report the same from now on, if its updates stay of the kinds that they were. The
    /// answer is final if nobody else holds it.
    fn is_forgettable(&self) -> bool;

    /// Whether it was updated, if only to the value that it had, since this was asked last. A counter or a histogram shows that itself.
    fn take_touched(&self) -> bool {
        false
    }

    /// Whether it reports the recorder's own buffer.
    fn is_own(&self) -> bool;
}

/// There is no room for more.
pub(crate) struct NoRoom;

/// What a series gets to offer its points.
pub(crate) struct Offer<'a> {
    pub(crate) key: &'a Key,
    pub(crate) settings: &'a SeriesSettings,
    pub(crate) updates: &'a Updates,
    /// The stamp of its next point, in nanoseconds since 1970.
    pub(crate) moment: i64,
    /// Takes a line, or says that there is no room.
    pub(crate) insert: &'a mut dyn FnMut(Line) -> Result<(), NoRoom>,
}

/// No series has more points than these in one hand-over: the point left over of a histogram and its new one, or the three of a
/// counter that has gone from zero to `u64::MAX`.
pub(crate) const POINTS_AT_MOST: i64 = 3;

impl Offer<'_> {
    /// Encodes a point of the series with the fields that `fields` sets.
    ///
    /// None if the encoder refuses it: then it is counted, and does not block what comes after.
    pub(crate) fn line(&mut self, fields: impl FnOnce(Point) -> Point) -> Option<Line> {
        let point = fields(self.settings.point(self.key)).timestamp_ns(self.moment);
        // Each point has a stamp of its own, or the second would overwrite the first.
        let tick = self.settings.encoder.dialect().tick();
        self.moment = self.moment.saturating_add(tick);
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

    /// Hands over a point with one field, if there is room.
    pub(crate) fn field(&mut self, key: &str, value: impl Into<FieldValue>) -> ControlFlow<NoRoom> {
        match self.line(|point| point.field(key, value)) {
            Some(line) => self.insert(line),
            None => ControlFlow::Continue(()),
        }
    }
}
