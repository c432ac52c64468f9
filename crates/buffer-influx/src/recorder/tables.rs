//! The tables of series, one for each kind, and how many there may be.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::Key;
use tokio::time::Instant;

use crate::recorder::counter::CounterSeries;
use crate::recorder::gauge::GaugeSeries;
use crate::recorder::histogram::HistogramSeries;
use crate::recorder::series::Series;
use crate::recorder::series_settings::SeriesSettings;
use crate::recorder::updates::Reporter;

#[derive(Default)]
pub(crate) struct Tables {
    counters: Table<CounterSeries>,
    gauges: Table<GaugeSeries>,
    histograms: Table<HistogramSeries>,
    /// How many of them take a place of the application's.
    placed: usize,
}

pub(crate) type Table<S> = HashMap<Key, Entry<S>>;

pub(crate) struct Entry<S> {
    series: Arc<S>,
    place: Place,
    /// Since when it could have been forgotten.
    idle_since: Instant,
}

/// Whose place a series takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of those that the limit of series is about.
    Application,
    /// A place outside the limit: the series reports the recorder itself, or stands for many.
    Beside,
}

/// A kind of series: where it is kept, and how it begins.
pub(crate) trait Kind: Series + Sized + 'static {
    /// Whether it makes sense to sum several series into one.
    const ADDS_UP: bool;

    fn new(settings: &SeriesSettings, reporter: Reporter) -> Self;
    fn table(tables: &Tables) -> &Table<Self>;
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;
}

impl Tables {
    pub(crate) fn len(&self) -> usize {
        self.counters.len() + self.gauges.len() + self.histograms.len()
    }

    /// How many places of this kind are taken.
    pub(crate) fn taken(&self, place: Place) -> usize {
        match place {
            Place::Application => self.placed,
            Place::Beside => self.len() - self.placed,
        }
    }

    pub(crate) fn find<S: Kind>(&self, key: &Key) -> Option<Arc<S>> {
        S::table(self).get(key).map(|entry| Arc::clone(&entry.series))
    }

    /// The key must not be there yet.
    pub(crate) fn insert<S: Kind>(&mut self, key: Key, series: Arc<S>, place: Place) {
        self.placed += usize::from(place == Place::Application);
        let entry = Entry {
            series,
            place,
            idle_since: Instant::now(),
        };
        S::table_mut(self).insert(key, entry);
    }

    /// All series, for a hand-over that does not hold the lock of the tables.
    pub(crate) fn all(&self) -> Vec<(Key, Arc<dyn Series>)> {
        let mut all: Vec<(Key, Arc<dyn Series>)> = Vec::with_capacity(self.len());
        append(&self.counters, &mut all);
        append(&self.gauges, &mut all);
        append(&self.histograms, &mut all);
        all
    }

    /// Whether a series of the application has something to write; those of the recorder itself don't count.
    pub(crate) fn have_news(&self) -> bool {
        have_news(&self.counters) || have_news(&self.gauges) || have_news(&self.histograms)
    }

    /// Whether there is a series that will be forgotten if it stays as it is.
    pub(crate) fn have_idle(&self) -> bool {
        have_idle(&self.counters) || have_idle(&self.gauges) || have_idle(&self.histograms)
    }

    /// Forgets the series that have no handle and have neither changed nor, as gauges, been set for `idle_timeout`.
    pub(crate) fn forget_idle(&mut self, idle_timeout: Duration) {
        let now = Instant::now();
        self.placed -= forget_idle(&mut self.counters, now, idle_timeout)
            + forget_idle(&mut self.gauges, now, idle_timeout)
            + forget_idle(&mut self.histograms, now, idle_timeout);
    }
}

fn append<S: Series + 'static>(table: &Table<S>, all: &mut Vec<(Key, Arc<dyn Series>)>) {
    all.extend(
        table
            .iter()
            .map(|(key, entry)| (key.clone(), Arc::clone(&entry.series) as Arc<dyn Series>)),
    );
}

fn have_news<S: Series>(table: &Table<S>) -> bool {
    let mut series = table.values().map(|entry| &entry.series);
    series.any(|series| !series.is_own() && series.has_news())
}

fn have_idle<S: Series>(table: &Table<S>) -> bool {
    let mut series = table.values().map(|entry| &entry.series);
    series.any(|series| Arc::strong_count(series) == 1 && series.is_forgettable())
}

/// Says how many of the application's places this frees.
fn forget_idle<S: Series>(table: &mut Table<S>, now: Instant, idle_timeout: Duration) -> usize {
    let mut freed = 0;
    table.retain(|_, entry| {
        // If nobody else holds the series, this sees all updates made before the other handles were dropped; and as the tables are
        // locked, no new handle can come.
        let is_idle = Arc::get_mut(&mut entry.series)
            .is_some_and(|series| !series.take_touched() && series.is_forgettable());
        if !is_idle {
            entry.idle_since = now;
        }
        let is_kept = !is_idle || now.duration_since(entry.idle_since) < idle_timeout;
        freed += usize::from(!is_kept && entry.place == Place::Application);
        is_kept
    });
    // Gives back the room of a burst.
    if table.len() < table.capacity() / 4 {
        table.shrink_to(2 * table.len());
    }
    freed
}

impl Kind for CounterSeries {
    const ADDS_UP: bool = true;

    fn new(settings: &SeriesSettings, reporter: Reporter) -> Self {
        Self::new(settings.counters, reporter)
    }

    fn table(tables: &Tables) -> &Table<Self> {
        &tables.counters
    }

    fn table_mut(tables: &mut Tables) -> &mut Table<Self> {
        &mut tables.counters
    }
}

impl Kind for GaugeSeries {
    const ADDS_UP: bool = false;

    fn new(settings: &SeriesSettings, reporter: Reporter) -> Self {
        Self::new(settings.gauges, reporter)
    }

    fn table(tables: &Tables) -> &Table<Self> {
        &tables.gauges
    }

    fn table_mut(tables: &mut Tables) -> &mut Table<Self> {
        &mut tables.gauges
    }
}

impl Kind for HistogramSeries {
    const ADDS_UP: bool = true;

    fn new(_: &SeriesSettings, reporter: Reporter) -> Self {
        Self::new(reporter)
    }

    fn table(tables: &Tables) -> &Table<Self> {
        &tables.histograms
    }

    fn table_mut(tables: &mut Tables) -> &mut Table<Self> {
        &mut tables.histograms
    }
}
