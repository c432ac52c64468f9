//! The names of the fields in which an application's metrics are written.
//!
//! No two kinds share one, so that a counter and a gauge of one name never meet in a field of two types.

/// A counter: what was counted since the last point.
pub(crate) const DELTA: &str = "delta";
/// A counter: what was counted since the program began.
pub(crate) const TOTAL: &str = "total";
/// A gauge: its value.
pub(crate) const GAUGE: &str = "gauge";
/// A histogram: how many values there were in the interval.
pub(crate) const COUNT: &str = "count";
/// A histogram: their sum.
pub(crate) const SUM: &str = "sum";
/// A histogram: the least of them.
pub(crate) const MIN: &str = "min";
/// A histogram: the greatest of them.
pub(crate) const MAX: &str = "max";

/// A histogram: a quantile. `p` and the percentage with all its digits, so that no two quantiles share a name; an underscore stands
/// for the decimal point, so that queries need no quotes: `p50`, `p99_9`.
pub(crate) fn quantile(value: f64) -> String {
    // The shortest decimal that reads as this number and no other; a zero has no sign.
    let decimal = format!("{}", value.abs());
    let (whole, digits) = decimal.split_once('.').unwrap_or((&decimal, ""));
    let digits = format!("{whole}{digits:0<2}");
    let (percent, rest) = digits.split_at(whole.len() + 2);
    let percent = match percent.trim_start_matches('0') {
        "" => "0",
        percent => percent,
    };
    match rest {
        "" => format!("p{percent}"),
        rest => format!("p{percent}_{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_quantile_has_all_its_digits() {
        for (value, name) in [
            (0.0, "p0"),
            (-0.0, "p0"),
            (0.5, "p50"),
            (0.25, "p25"),
            (0.05, "p5"),
            (0.99, "p99"),
            (0.999, "p99_9"),
            (0.9999, "p99_99"),
            (0.001, "p0_1"),
            (1.0, "p100"),
        ] {
            assert_eq!(quantile(value), name);
        }
    }
}
