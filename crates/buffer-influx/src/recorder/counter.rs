//! A counter's series: what was counted, and how much of it was handed over.

use std::ops::ControlFlow;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use metrics::CounterFn;

use crate::point::field_value::FieldValue;
use crate::recorder::metric_fields::{DELTA, TOTAL};
use crate::recorder::series::{NoRoom, Offer, Series};
use crate::recorder::series_settings::Counters;
use crate::recorder::updates::Reporter;

pub(crate) struct CounterSeries {
    /// Wraps around, as the facade's counters do. Sequentially consistent by invariant 1 of `updates.rs`.
    total: AtomicU64,
    /// The total that was handed over last: what is new is the difference, so a point that finds no room costs nothing.
    /// Relaxed: only the hand-over uses it, under its lock.
    handed_over: AtomicU64,
    /// Whether it follows a counter of somebody else's. Relaxed: read when nobody else holds the series.
    is_absolute: AtomicBool,
    form: Counters,
    reporter: Reporter,
}

impl CounterSeries {
    pub(crate) fn new(form: Counters, reporter: Reporter) -> Self {
        Self {
            total: AtomicU64::new(0),
            handed_over: AtomicU64::new(0),
            is_absolute: AtomicBool::new(false),
            form,
            reporter,
        }
    }

    /// What was not handed over yet, and the total with it.
    fn news(&self) -> (u64, u64) {
        let total = self.total.load(SeqCst);
        (total.wrapping_sub(self.handed_over.load(Relaxed)), total)
    }
}

impl CounterFn for CounterSeries {
    fn increment(&self, value: u64) {
        self.total.fetch_add(value, SeqCst);
        self.reporter.changed();
    }

    fn absolute(&self, value: u64) {
        self.is_absolute.store(true, Relaxed);
        self.total.fetch_max(value, SeqCst);
        self.reporter.changed();
    }
}

impl Series for CounterSeries {
    fn offer(&self, offer: &mut Offer<'_>) -> ControlFlow<NoRoom> {
        let (mut new, total) = self.news();
        if self.form == Counters::Totals && new > 0 {
            offer.field(TOTAL, FieldValue::Unsigned(total))?;
            self.handed_over.store(total, Relaxed);
            return ControlFlow::Continue(());
        }
        // In parts that every server's integers hold.
        while new > 0 {
            let part = new.min(i64::MAX as u64);
            offer.field(DELTA, FieldValue::Integer(part as i64))?;
            new -= part;
            self.handed_over.store(total.wrapping_sub(new), Relaxed);
        }
        ControlFlow::Continue(())
    }

    fn has_news(&self) -> bool {
        self.news().0 > 0
    }

    fn is_forgettable(&self) -> bool {
        let (new, total) = self.news();
        // What comes next is told by its difference to the total. A counter that was only incremented does not tell that an absolute
        // value will come.
        let needs_total = self.form == Counters::Totals || self.is_absolute.load(Relaxed);
        new == 0 && !(needs_total && total > 0)
    }

    fn is_own(&self) -> bool {
        self.reporter.is_own
    }
}
