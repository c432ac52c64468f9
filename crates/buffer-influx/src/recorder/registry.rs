//! All series of a recorder: finds them for handles, hands over what they have, and forgets idle ones.
//!
//! Invariants
//! 1. A series is forgotten only when nobody holds a handle to it, and handles are given out under the lock of the tables: no update
//!    is made to a series that is not in its table.
//! 2. What is handed over is taken off a series only when the buffer has it. If there is no room, it goes on summing.
//! 3. Hand-overs follow one another under the lock of the turn, with stamps that only grow. The tables are not locked while the
//!    buffer takes the points, as it reports to this very recorder. Whoever has locked them waits for nothing that is held meanwhile.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::Key;
use parking_lot::{Mutex, RwLock};

use crate::line::Line;
use crate::recorder::series::{NoRoom, Offer, POINTS_AT_MOST};
use crate::recorder::series_settings::SeriesSettings;
use crate::recorder::tables::{Kind, Place, Tables};
use crate::recorder::updates::{Reporter, Updates};

pub(crate) struct Registry {
    pub(crate) updates: Arc<Updates>,
    settings: SeriesSettings,
    limits: Limits,
    tables: RwLock<Tables>,
    turn: Mutex<Turn>,
    /// Whether a series once found no place. Relaxed: it keeps the log short, and publishes nothing.
    is_full: AtomicBool,
}

/// How many series there may be, and how long idle ones are kept.
pub(crate) struct Limits {
    /// The name of the recorder's own buffer, by which its metrics are recognized.
    pub(crate) own_buffer: String,
    pub(crate) series: usize,
    pub(crate) idle_timeout: Duration,
}

/// What a handle is made of.
pub(crate) enum Found<S> {
    /// The series of its key.
    Own(Arc<S>),
    /// The series that stands for all of its name that have no place.
    Shared(Arc<S>),
    /// There is no place for it, or no point of it could be written.
    Refused,
}

#[derive(Default)]
struct Turn {
    /// The last stamp, in nanoseconds since 1970.
    moment: i64,
    /// Where among the series the next hand-over begins, so that it is not always the same ones that find no room.
    begin_at: usize,
}

/// How much of what was new found room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandedOver {
    All,
    Part,
}

/// The label by which buffers report themselves.
const BUFFER_LABEL: &str = "buffer";

impl Registry {
    pub(crate) fn new(settings: SeriesSettings, limits: Limits) -> Self {
        Self {
            updates: Arc::default(),
            settings,
            limits,
            tables: RwLock::default(),
            turn: Mutex::default(),
            is_full: AtomicBool::new(false),
        }
    }

    /// The series of `key`, which begins now if it does not exist.
    pub(crate) fn find<S: Kind>(&self, key: &Key) -> Found<S> {
        if let Some(series) = self.tables.read().find(key) {
            return Found::Own(series);
        }
        // As it came: names are cleaned and default tags are added below, and may hide or make up the own buffer's name.
        let is_own = self.is_own(key);
        let key = self.settings.canonical(key);
        if let Some(series) = self.tables.read().find(&key) {
            return Found::Own(series);
        }
        if let Err(error) = self.settings.check(&key) {
            tracing::debug!(%key, %error, "a metric can't be written");
            return Found::Refused;
        }
        let found = self.begin(key, is_own);
        // After the lock, as the log's subscriber may count it as a metric.
        if !matches!(found, Found::Own(_)) && !self.is_full.swap(true, Relaxed) {
            let series = self.limits.series;
            tracing::warn!(
                series,
                "a recorder has all the series that it may have; further ones are summed up by name"
            );
        }
        found
    }

    /// Begins a series, or finds the one that stands for it if there is no place.
    fn begin<S: Kind>(&self, key: Key, is_own: bool) -> Found<S> {
        let begin = |tables: &mut Tables, key, place| {
            let reporter = Reporter {
                updates: Arc::clone(&self.updates),
                is_own,
            };
            let series = Arc::new(S::new(&self.settings, reporter));
            tables.insert(key, Arc::clone(&series), place);
            series
        };
        // The recorder's own metrics and the shared series are few, and have as many places of their own.
        let place = if is_own { Place::Beside } else { Place::Application };
        let is_free = |tables: &Tables, place| tables.taken(place) < self.limits.series;
        // By invariant 1: what is found or begun under this lock has its handle before it can be forgotten.
        let mut tables = self.tables.write();
        // Another thread may have begun it meanwhile.
        if let Some(series) = tables.find(&key) {
            return Found::Own(series);
        }
        if is_free(&tables, place) {
            return Found::Own(begin(&mut tables, key, place));
        }
        if is_own || !S::ADDS_UP {
            return Found::Refused;
        }
        let shared = self.settings.shared(&key);
        match tables.find(&shared) {
            Some(series) => Found::Shared(series),
            None if is_free(&tables, Place::Beside) => {
                Found::Shared(begin(&mut tables, shared, Place::Beside))
            }
            None => Found::Refused,
        }
    }

    fn is_own(&self, key: &Key) -> bool {
        key.labels()
            .any(|label| label.key() == BUFFER_LABEL && label.value() == self.limits.own_buffer)
    }

    /// How many series there are.
    pub(crate) fn series(&self) -> usize {
        self.tables.read().len()
    }

    /// Whether the application has something to write.
    pub(crate) fn has_news(&self) -> bool {
        self.tables.read().have_news()
    }

    /// Whether there is something to do at the end of an interval.
    pub(crate) fn is_awake(&self) -> bool {
        let forgets = self.limits.idle_timeout < Duration::MAX;
        let tables = self.tables.read();
        tables.have_news() || forgets && tables.have_idle() || self.updates.are_unlogged()
    }

    /// Ends an interval in which nothing has changed.
    pub(crate) fn end_without_news(&self) {
        self.updates.log();
        self.forget_idle();
    }

    /// Forgets idle series.
    fn forget_idle(&self) {
        self.tables.write().forget_idle(self.limits.idle_timeout);
    }

    /// Ends the interval: hands everything that is new to `insert`, and forgets idle series.
    pub(crate) fn hand_over(&self, insert: &mut dyn FnMut(Line) -> Result<(), NoRoom>) -> HandedOver {
        self.updates.log();
        // By invariant 3 it is held to the end, and the tables are not.
        let mut turn = self.turn.lock();
        let moment = turn.stamp(self.settings.encoder.dialect().tick());
        self.forget_idle();
        let mut all = self.tables.read().all();
        if !all.is_empty() {
            let begin_at = turn.begin_at % all.len();
            all.rotate_left(begin_at);
        }
        for (index, (key, series)) in all.iter().enumerate() {
            let mut offer = Offer {
                key,
                settings: &self.settings,
                updates: &self.updates,
                moment,
                insert,
            };
            // By invariant 2 the series keeps what found no room.
            if let ControlFlow::Break(NoRoom) = series.offer(&mut offer) {
                turn.begin_at = turn.begin_at.wrapping_add(index);
                return HandedOver::Part;
            }
        }
        HandedOver::All
    }

    /// The last interval's points.
    pub(crate) fn last_lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.hand_over(&mut |line| {
            lines.push(line);
            Ok(())
        });
        self.updates.close();
        lines
    }
}

impl Turn {
    /// A stamp that is later than that of every point before, whatever the system's clock does: points with the same stamp overwrite
    /// each other.
    ///
    /// A server tells moments from each other that are a `tick` apart.
    fn stamp(&mut self, tick: i64) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        self.moment = (now - now % tick).max(self.moment.saturating_add(POINTS_AT_MOST * tick));
        self.moment
    }
}

#[cfg(test)]
mod tests {
    use metrics::GaugeFn as _;

    use super::*;
    use crate::encode::dialect::Dialect;
    use crate::encoder::Encoder;
    use crate::recorder::gauge::GaugeSeries;
    use crate::recorder::series::Series;
    use crate::recorder::series_settings::{Counters, Gauges};

    /// It has failed on stamps of a clock that may go back.
    #[test]
    fn stamps_grow_though_the_clock_steps_back() {
        let last = i64::MAX / 4 * 3;
        let mut turn = Turn {
            moment: last,
            begin_at: 0,
        };
        assert_eq!(turn.stamp(1), last + POINTS_AT_MOST);
        assert_eq!(turn.stamp(1), last + 2 * POINTS_AT_MOST);
    }

    #[test]
    fn stamps_are_as_far_apart_as_the_server_can_tell() {
        let tick = Dialect::VictoriaMetrics.tick();
        let mut turn = Turn::default();
        let first = turn.stamp(tick);
        assert_eq!(first % tick, 0);
        turn.moment = first + tick * 1_000_000;
        assert_eq!(turn.stamp(tick), first + tick * (1_000_000 + POINTS_AT_MOST));
    }

    fn registry(encoder: Encoder, own_buffer: &str) -> Registry {
        let settings = SeriesSettings {
            encoder,
            prefix: String::new(),
            counters: Counters::Deltas,
            gauges: Gauges::WhenChanged,
            quantiles: Vec::new(),
        };
        let limits = Limits {
            own_buffer: own_buffer.to_owned(),
            series: 10,
            idle_timeout: Duration::ZERO,
        };
        Registry::new(settings, limits)
    }

    fn is_own(registry: &Registry, key: Key) -> bool {
        match registry.find::<GaugeSeries>(&key) {
            Found::Own(series) => series.is_own(),
            Found::Shared(_) | Found::Refused => panic!("there is room"),
        }
    }

    #[test]
    fn own_metrics_are_known_by_the_name_that_the_buffer_was_given() {
        let labels = |buffer| vec![metrics::Label::new(BUFFER_LABEL, buffer)];
        let tabbed = registry(Encoder::new(Dialect::Influx1), "edge\t");
        assert!(is_own(&tabbed, Key::from_parts("pending", labels("edge\t"))));
        assert!(!is_own(&tabbed, Key::from_parts("pending", labels("other"))));
        let tagged = Encoder::new(Dialect::Influx1).default_tag(BUFFER_LABEL, "edge");
        let tagged = registry(tagged, "edge");
        assert!(!is_own(&tagged, Key::from_name("requests")));
    }

    /// It has failed on a series that was idle for as long as its value was the same.
    #[test]
    fn a_gauge_that_is_set_to_the_value_it_has_is_not_idle() {
        let registry = registry(Encoder::new(Dialect::Influx1), "own");
        let set = || match registry.find::<GaugeSeries>(&Key::from_static_name("g")) {
            Found::Own(series) => series.set(1.0),
            Found::Shared(_) | Found::Refused => panic!("there is room"),
        };
        set();
        for _ in 0..3 {
            assert_eq!(registry.hand_over(&mut |_| Ok(())), HandedOver::All);
            assert_eq!(registry.series(), 1);
            set();
        }
        registry.end_without_news();
        assert_eq!(registry.series(), 1);
        registry.end_without_news();
        assert_eq!(registry.series(), 0);
    }

    #[test]
    fn a_recorder_that_forgets_nothing_rests() {
        let mut registry = registry(Encoder::new(Dialect::Influx1), "own");
        registry.limits.idle_timeout = Duration::MAX;
        if let Found::Own(series) = registry.find::<GaugeSeries>(&Key::from_static_name("g")) {
            series.set(1.0);
        }
        assert!(registry.is_awake());
        assert_eq!(registry.hand_over(&mut |_| Ok(())), HandedOver::All);
        assert!(!registry.is_awake());
    }

    #[test]
    fn the_end_of_time_ends_no_hand_over() {
        let registry = registry(Encoder::new(Dialect::Influx1), "own");
        registry.turn.lock().moment = i64::MAX;
        if let Found::Own(series) = registry.find::<GaugeSeries>(&Key::from_static_name("g")) {
            series.set(1.0);
        }
        assert_eq!(registry.hand_over(&mut |_| Ok(())), HandedOver::All);
    }
}
