//! Writes a point as a line, by the rules of an encoder.

pub(crate) mod byte_class;
pub(crate) mod dialect;
mod fields;
mod keys;
mod name;
pub(crate) mod rules;

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::iter::Peekable;

use crate::encode::fields::push_fields;
use crate::encode::keys::{check_name, check_same};
use crate::encode::name::{cleaned, push_name};
use crate::encode::rules::Rules;
use crate::line::Line;
use crate::point::Point;
use crate::point::moment::stored;
use crate::point::point_error::{Element, PointError};

thread_local! {
    /// Where a line grows, so that the line itself is allocated once and at its exact size.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

/// How much a thread keeps at most after a large point.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Makes a line of `point`; the default tags are sorted.
pub(crate) fn encode(
    point: &Point,
    default_tags: &[(String, String)],
    rules: &Rules,
) -> Result<Line, PointError> {
    let encode_by = |scratch: &mut String| {
        scratch.clear();
        let line = push_point(scratch, point, default_tags, rules).map(|()| Line::new(scratch.as_str()));
        scratch.clear();
        scratch.shrink_to(SCRATCH_BYTES);
        line
    };
    SCRATCH
        .try_with(|scratch| encode_by(&mut scratch.borrow_mut()))
        .unwrap_or_else(|_thread_ends| encode_by(&mut String::new()))
}

/// Appends `point` to `line`, which is empty.
fn push_point(
    line: &mut String,
    point: &Point,
    default_tags: &[(String, String)],
    rules: &Rules,
) -> Result<(), PointError> {
    push_series(line, point, default_tags, rules)?;
    push_fields(line, point, rules)?;
    push_timestamp(line, point.moment(), rules)?;
    if line.len() > rules.longest_line {
        return Err(PointError::LineTooLong {
            bytes: line.len(),
            most: rules.longest_line,
        });
    }
    Ok(())
}

/// Appends the measurement and the tags.
pub(crate) fn push_series(
    line: &mut String,
    point: &Point,
    default_tags: &[(String, String)],
    rules: &Rules,
) -> Result<(), PointError> {
    push_measurement(line, point.measurement(), rules)?;
    if default_tags.is_empty() {
        return push_tags(line, || point.tags(), rules);
    }
    push_tags(line, || merged(point, default_tags), rules)
}

fn push_measurement(line: &mut String, measurement: &str, rules: &Rules) -> Result<(), PointError> {
    let measurement = cleaned(measurement, rules);
    if measurement.is_empty() {
        return Err(PointError::EmptyMeasurement);
    }
    if measurement.starts_with('#') {
        return Err(PointError::CommentMeasurement {
            text: measurement.into_owned(),
        });
    }
    check_name(Element::Measurement, &measurement, rules)?;
    push_name(line, Element::Measurement, &measurement, rules).map(drop)
}

fn push_tags<'a, T: Iterator<Item = (&'a str, &'a str)>>(
    line: &mut String,
    tags: impl Fn() -> T,
    rules: &Rules,
) -> Result<(), PointError> {
    let mut ambiguous = false;
    for (key, value) in tags() {
        let (written_key, value) = (cleaned(key, rules), cleaned(value, rules));
        if written_key.is_empty() || value.is_empty() {
            continue;
        }
        if written_key == "time" {
            return Err(PointError::ReservedTime {
                element: Element::TagKey,
            });
        }
        if rules.dialect.renames_series(&written_key) {
            return Err(PointError::NameTag);
        }
        check_name(Element::TagKey, &written_key, rules)?;
        check_name(Element::TagValue, &value, rules)?;
        line.push(',');
        ambiguous |= push_name(line, Element::TagKey, &written_key, rules)?;
        ambiguous |= matches!(written_key, Cow::Owned(_));
        line.push('=');
        push_name(line, Element::TagValue, &value, rules)?;
    }
    if ambiguous {
        let written = tags().filter(|(_, value)| !cleaned(value, rules).is_empty());
        check_same(Element::TagKey, written.map(|(key, _)| key), rules)?;
    }
    Ok(())
}

fn merged<'a>(
    point: &'a Point,
    default_tags: &'a [(String, String)],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let defaults = default_tags
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    Merged {
        own: point.tags().peekable(),
        defaults: defaults.peekable(),
    }
}

/// The tags of a point and the default ones, in the order of their keys; those of the point win.
struct Merged<'a, P: Iterator<Item = (&'a str, &'a str)>, D: Iterator<Item = (&'a str, &'a str)>> {
    own: Peekable<P>,
    defaults: Peekable<D>,
}

impl<'a, P: Iterator<Item = (&'a str, &'a str)>, D: Iterator<Item = (&'a str, &'a str)>> Iterator
    for Merged<'a, P, D>
{
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (Some((own, _)), Some((default, _))) = (self.own.peek(), self.defaults.peek()) else {
            return self.own.next().or_else(|| self.defaults.next());
        };
        match own.cmp(default) {
            Ordering::Less => self.own.next(),
            Ordering::Equal => {
                self.defaults.next();
                self.own.next()
            }
            Ordering::Greater => self.defaults.next(),
        }
    }
}

fn push_timestamp(line: &mut String, nanoseconds: i128, rules: &Rules) -> Result<(), PointError> {
    let stored = stored(nanoseconds).ok_or(PointError::TimestampOutOfRange { nanoseconds })?;
    if stored < rules.earliest {
        return Err(PointError::TimestampTooEarly {
            nanoseconds: stored,
            earliest: rules.earliest,
        });
    }
    line.push(' ');
    line.push_str(itoa::Buffer::new().format(stored));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::dialect::Dialect;

    #[test]
    fn what_only_a_large_point_needed_is_given_back() {
        let rules = Rules::new(Dialect::VictoriaMetrics);
        let encode_text = |bytes| {
            let point = Point::new("m").field("v", "x".repeat(bytes));
            encode(&point.timestamp_ns(1_000_000), &[], &rules)
        };
        let kept = || SCRATCH.with_borrow(String::capacity);
        assert!(encode_text(100_000).is_ok());
        assert!(kept() <= SCRATCH_BYTES);
        assert!(encode_text(1_000_000).is_err());
        assert!(kept() <= SCRATCH_BYTES);
    }
}
