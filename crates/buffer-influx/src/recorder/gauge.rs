//! A gauge's series: its value, and the one that was handed over last.

use std::ops::ControlFlow;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use metrics::GaugeFn;

use crate::point::field_value::FieldValue;
use crate::recorder::metric_fields::GAUGE;
use crate::recorder::series::{NoRoom, Offer, Series};
use crate::recorder::series_settings::Gauges;
use crate::recorder::updates::Reporter;

/// The bits of a gauge that was never set. A value is finite, so none has these bits.
const UNSET: u64 = f64::NAN.to_bits();

pub(crate) struct GaugeSeries {
    /// The value's bits. Sequentially consistent by invariant 1 of `updates.rs`.
    value: AtomicU64,
    /// The bits that were handed over last. Relaxed: only the hand-over uses them, under its lock.
    handed_over: AtomicU64,
    /// Whether it was changed by a difference. Relaxed: read when nobody else holds the series.
    is_relative: AtomicBool,
    /// Whether it was set, if only to the value that it had. Relaxed: taken when nobody else holds the series.
    is_touched: AtomicBool,
    form: Gauges,
    reporter: Reporter,
}

impl GaugeSeries {
    pub(crate) fn new(form: Gauges, reporter: Reporter) -> Self {
        Self {
            value: AtomicU64::new(UNSET),
            handed_over: AtomicU64::new(UNSET),
            is_relative: AtomicBool::new(false),
            is_touched: AtomicBool::new(false),
            form,
            reporter,
        }
    }

    fn add(&self, difference: f64) {
        let added = self.value.fetch_update(SeqCst, SeqCst, |bits| {
            let value = if bits == UNSET { 0.0 } else { f64::from_bits(bits) };
            let sum = value + difference;
            sum.is_finite().then_some(sum.to_bits())
        });
        match added {
            Ok(_) => {
                self.is_relative.store(true, Relaxed);
                self.is_touched.store(true, Relaxed);
                self.reporter.changed();
            }
            Err(_) => self.reporter.updates.leave_out_non_finite(1),
        }
    }
}

impl GaugeFn for GaugeSeries {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        if !value.is_finite() {
            self.reporter.updates.leave_out_non_finite(1);
            return;
        }
        self.is_touched.store(true, Relaxed);
        self.value.store(value.to_bits(), SeqCst);
        self.reporter.changed();
    }
}

impl Series for GaugeSeries {
    fn offer(&self, offer: &mut Offer<'_>) -> ControlFlow<NoRoom> {
        let bits = self.value.load(SeqCst);
        let same = bits == self.handed_over.load(Relaxed);
        if bits == UNSET || same && self.form == Gauges::WhenChanged {
            return ControlFlow::Continue(());
        }
        offer.field(GAUGE, FieldValue::Float(f64::from_bits(bits)))?;
        self.handed_over.store(bits, Relaxed);
        ControlFlow::Continue(())
    }

    fn has_news(&self) -> bool {
        let bits = self.value.load(SeqCst);
        match self.form {
            Gauges::WhenChanged => bits != self.handed_over.load(Relaxed),
            Gauges::Always => bits != UNSET,
        }
    }

    fn is_forgettable(&self) -> bool {
        let bits = self.value.load(SeqCst);
        let changed = bits != self.handed_over.load(Relaxed);
        // The next difference must find the sum of those before. A gauge that was only set does not tell whether one will come, and
        // keeping all such gauges would keep each label of a request.
        let is_sum = self.is_relative.load(Relaxed) && f64::from_bits(bits) != 0.0;
        !changed && !is_sum
    }

    fn take_touched(&self) -> bool {
        self.is_touched.swap(false, Relaxed)
    }

    fn is_own(&self) -> bool {
        self.reporter.is_own
    }
}
