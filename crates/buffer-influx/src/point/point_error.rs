//! Why a point can't be written, and which part of it is to blame.

use std::fmt;

use thiserror::Error;

/// A part of a point that has a name.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Element, Encoder, Point, PointError};
///
/// let point = Point::new("m").tag("time", "noon").field("v", 1);
/// let refused = Encoder::new(Dialect::Influx1).encode(&point);
/// let Err(PointError::ReservedTime { element }) = refused else {
///     panic!("`time` is reserved");
/// };
/// assert_eq!(element, Element::TagKey);
/// assert_eq!(element.to_string(), "tag key");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Element {
    /// The measurement.
    Measurement,
    /// The key of a tag.
    TagKey,
    /// The value of a tag.
    TagValue,
    /// The key of a field.
    FieldKey,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measurement => "measurement",
            Self::TagKey => "tag key",
            Self::TagValue => "tag value",
            Self::FieldKey => "field key",
        })
    }
}

/// Why a point can't be written.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, Point, PointError};
///
/// let encoder = Encoder::new(Dialect::Influx1);
/// assert_eq!(encoder.encode(&Point::new("m")), Err(PointError::NoFields));
/// let refused = encoder.encode(&Point::new("m").field("v", f64::NAN)).expect_err("not a number");
/// assert!(refused.to_string().contains("leave the field out"));
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PointError {
    /// The measurement is empty.
    #[error("the measurement is empty; name it")]
    EmptyMeasurement,
    /// The key of a field is empty.
    #[error("a field has an empty key; name it")]
    EmptyFieldKey,
    /// The point has no fields.
    #[error("the point has no fields; set at least one")]
    NoFields,
    /// The measurement begins with `#`: the server would take the line for a comment and answer that all is well.
    #[error("the measurement {text:?} begins with `#`, which makes its line a comment; rename it")]
    CommentMeasurement {
        /// The measurement.
        text: String,
    },
    /// A tag or a field has the key `time`, which the server refuses, or loses without an error.
    #[error("the {element} `time` is reserved; rename it, or set the point's moment with `timestamp`")]
    ReservedTime {
        /// A tag key or a field key.
        element: Element,
    },
    /// A tag has the key `__name__`, by which VictoriaMetrics would rename the series.
    #[error("the tag `__name__` is the name of the series on this server; rename it")]
    NameTag,
    /// A name ends in a backslash, which would escape what follows it.
    #[error("the {element} {text:?} ends in a backslash, which the line protocol can't express; trim it")]
    TrailingBackslash {
        /// The part of the point.
        element: Element,
        /// Its text.
        text: String,
    },
    /// A name has a backslash where the server takes it for the beginning of an escape: before a space, and in measurements
    /// and field keys also before a comma, an equals sign or a quote.
    #[error("the {element} {text:?} has a backslash before {before:?}, which the server misreads; remove it")]
    MisreadBackslash {
        /// The part of the point.
        element: Element,
        /// Its text.
        text: String,
        /// What follows the backslash.
        before: char,
    },
    /// A name has a control character other than a line break or a tab.
    #[error("the {element} {text:?} holds the control character {character:?}; remove it")]
    ControlCharacter {
        /// The part of the point.
        element: Element,
        /// Its text.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A float is not a number or infinite.
    #[error(
        "the field {field:?} is {value}, which InfluxDB can't store; leave the field out, or have it left out with `non_finite`"
    )]
    NotFinite {
        /// The key of the field.
        field: String,
        /// Its value.
        value: f64,
    },
    /// An unsigned integer exceeds what the server's signed ones hold.
    #[error("the field {field:?} is {value}, above the server's integers; store it as a float or a text")]
    UnsignedTooLarge {
        /// The key of the field.
        field: String,
        /// Its value.
        value: u64,
    },
    /// A field key has a quote, which the server takes for the start of a text, losing the point.
    #[error(
        "the field key {field:?} has a quote, which this server takes for the start of a text; rename it"
    )]
    QuoteInFieldKey {
        /// The key of the field.
        field: String,
    },
    /// A text has a line break, at which the server loses the point.
    #[error(
        "the text of the field {field:?} has a line break, at which this server ends the point; replace it"
    )]
    LineBreakInText {
        /// The key of the field.
        field: String,
    },
    /// A text is longer than the server takes.
    #[error("the text of the field {field:?} has {bytes} bytes, above the server's {most}; shorten it")]
    TextTooLong {
        /// The key of the field.
        field: String,
        /// Its bytes.
        bytes: usize,
        /// The most that the server takes.
        most: usize,
    },
    /// A name or a tag value is longer than the server takes.
    #[error("a {element} has {bytes} bytes, above the server's {most}; shorten it")]
    NameTooLong {
        /// The part of the point.
        element: Element,
        /// Its bytes.
        bytes: usize,
        /// The most that the server takes.
        most: usize,
    },
    /// The line is longer than the server or a datagram takes.
    #[error("the point's line has {bytes} bytes, above {most}; split its fields over several points")]
    LineTooLong {
        /// Its bytes.
        bytes: usize,
        /// The most bytes that it may have.
        most: usize,
    },
    /// Two keys are written alike, such as one with a line break and one with the two characters `\n`: the server would keep only
    /// one.
    #[error("two {element}s are both written as {written:?}; rename one")]
    SameKeys {
        /// Tag keys or field keys.
        element: Element,
        /// How both are written.
        written: String,
    },
    /// The measurement, the tags and a field key are too long together.
    #[error(
        "the measurement, the tags and a field key take {bytes} bytes together, above {}; shorten them",
        Self::LONGEST_SERIES_KEY
    )]
    SeriesKeyTooLong {
        /// Their bytes, with escapes and separators.
        bytes: usize,
    },
    /// The timestamp is outside of what InfluxDB stores: the years 1677 to 2262.
    #[error("the timestamp of {nanoseconds} ns is outside of the years 1677 to 2262; check its unit")]
    TimestampOutOfRange {
        /// Nanoseconds since 1970.
        nanoseconds: i128,
    },
    /// The timestamp is before what VictoriaMetrics reads as it is meant: over HTTP it takes zero for its own time, and in a datagram
    /// it guesses the unit.
    #[error(
        "the timestamp of {nanoseconds} ns is below {earliest}, so this server would misread it; check its unit"
    )]
    TimestampTooEarly {
        /// Nanoseconds since 1970.
        nanoseconds: i64,
        /// The first that it reads as it is meant.
        earliest: i64,
    },
}

impl PointError {
    pub(crate) const LONGEST_SERIES_KEY: usize = 65_535;
}
