//! Reads a finished line as a point, so that it passes the same checks as any other.

use std::str::FromStr;

use crate::point::Point;
use crate::point::precision::Precision;
use crate::point::unread::{ParseLineError, Unread};

impl FromStr for Point {
    type Err = ParseLineError;

    /// Reads a line of the line protocol. A timestamp is read as nanoseconds, whatever its size; for another unit, use
    /// [`parse_in`](Point::parse_in).
    ///
    /// The point is written anew when it is encoded, so the result is exactly one line of the target's dialect: no second line can
    /// hide in it. In names, `\` escapes `,`, `=` and a space, and stays as it is before anything else.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::Point;
    ///
    /// let point: Point = r#"m,path=a\ b n=1i,s="x\"y" 9"#.parse()?;
    /// assert_eq!(point, Point::new("m").tag("path", "a b").field("n", 1).field("s", "x\"y").timestamp_ns(9));
    /// assert!("m v=1 9\nm v=2 9".parse::<Point>().is_err());
    /// # Ok::<(), buffer_influx::ParseLineError>(())
    /// ```
    fn from_str(line: &str) -> Result<Self, ParseLineError> {
        Self::parse_in(line, Precision::Nanoseconds)
    }
}

impl Point {
    /// Reads a line of the line protocol, as [`parse`](str::parse) does, with its timestamp in another unit. A timestamp that no
    /// server stores is refused when the point is encoded.
    ///
    /// # Errors
    ///
    /// A [`ParseLineError`], which says where and why.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::{Point, Precision};
    ///
    /// let point = Point::parse_in("m v=1i 1700000000", Precision::Seconds)?;
    /// assert_eq!(point, Point::new("m").field("v", 1).timestamp_ns(1_700_000_000_000_000_000));
    /// # Ok::<(), buffer_influx::ParseLineError>(())
    /// ```
    pub fn parse_in(line: &str, precision: Precision) -> Result<Self, ParseLineError> {
        let mut rest = Unread { line, at: 0 };
        let point = rest.point(precision)?;
        rest.skip(b" \r\n");
        match rest.left() {
            "" => Ok(point),
            _ => Err(rest.error("more than a line follows")),
        }
    }

    /// Reads all lines of `body`, with their timestamps in the unit `precision`; skips empty lines and those that begin with `#`.
    ///
    /// # Errors
    ///
    /// A [`ParseLineError`], which says where in `body` and why. One line that can't be read fails the whole body: as a text may hold
    /// line breaks, it is then not certain where the next line begins.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::{Point, Precision};
    ///
    /// let body = "# two points\nm v=1i 1700000000\nm s=\"two\nlines\"\n";
    /// let points = Point::parse_lines(body, Precision::Seconds)?;
    /// assert_eq!(points[0], Point::new("m").field("v", 1).timestamp_ns(1_700_000_000_000_000_000));
    /// assert_eq!(points[1], Point::new("m").field("s", "two\nlines"));
    /// # Ok::<(), buffer_influx::ParseLineError>(())
    /// ```
    pub fn parse_lines(body: &str, precision: Precision) -> Result<Vec<Self>, ParseLineError> {
        let mut rest = Unread { line: body, at: 0 };
        let mut points = Vec::new();
        loop {
            rest.skip(b" \r\n");
            match rest.left().as_bytes().first() {
                None => return Ok(points),
                Some(b'#') => rest.at += rest.line_left().len(),
                Some(_) => points.push(rest.point(precision)?),
            }
        }
    }
}

/// Reads the point of a line that was only begun; its series is known, or stands at its beginning.
pub(crate) fn parse_begun(known: Option<(&Point, usize)>, text: &str) -> Result<Point, ParseLineError> {
    let mut rest = Unread { line: text, at: 0 };
    let point = match known {
        Some((series, bytes)) => {
            rest.at = bytes;
            series.clone()
        }
        None => rest.series()?,
    };
    if rest.take(b' ') {
        return rest.fields(point);
    }
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Point, String> {
        line.parse::<Point>().map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let point = Point::new("m")
            .field("a", 1.5)
            .field("b", -3)
            .field("c", u64::MAX)
            .field("d", true)
            .field("e", "x, y=z\n\\")
            .field("f", 1e300);
        assert_eq!(
            parsed("m a=1.5,b=-3i,c=18446744073709551615u,d=T,e=\"x, y=z\n\\\\\",f=1e300"),
            Ok(point)
        );
    }

    #[test]
    fn names_lose_the_escapes_of_separators_and_keep_other_backslashes() {
        assert_eq!(
            parsed(r"a\,b\ c,d\=e=C:\f\\g h\ i=1i -5"),
            Ok(Point::new("a,b c")
                .tag("d=e", r"C:\f\\g")
                .field("h i", 1)
                .timestamp_ns(-5))
        );
    }

    #[test]
    fn tabs_before_the_name_and_the_fields_are_no_part_of_them() {
        let point = Point::new("m").field("v", 1.0).timestamp_ns(7);
        assert_eq!(parsed("\tm \t v=1 7"), Ok(point));
    }

    #[test]
    fn more_than_one_line_and_less_than_one_are_refused() {
        for line in [
            "",
            "m",
            "m v",
            "m v=",
            "m v=1 2 3",
            "m v=1 1.5",
            "m v=1 +5",
            "m v=1\nm v=2",
            "m v=1 1\nm v=2",
            "m\nx v=1",
            "m,t=a\nb v=1",
            "m,t v=1",
            "m,t= v=1",
            "m,=t v=1",
            "m v=\"x",
            "m v=inf",
            "m v=NaN",
            "m v=+1",
            "m v=1e999",
            "m v=1i2",
            "m v=\"x\"y",
            "m v=tRUE",
            "m v=9223372036854775808i",
            "m v=-1u",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_error_names_the_byte_of_the_body_at_which_reading_stopped() {
        let body = "m v=1\nm,t v=1";
        let error = Point::parse_lines(body, Precision::Nanoseconds).unwrap_err();
        assert_eq!(&body[..error.at()], "m v=1\nm,t");
        assert_eq!(error.problem(), "a tag's key has no `=` behind it");
    }

    #[test]
    fn a_stamp_is_read_in_its_unit_and_refused_when_no_server_stores_it() {
        use crate::{Dialect, Encoder, PointError};
        for (precision, scale) in [
            (Precision::Seconds, 1_000_000_000),
            (Precision::Milliseconds, 1_000_000),
            (Precision::Microseconds, 1_000),
            (Precision::Nanoseconds, 1),
        ] {
            let expected = Point::new("m").field("v", 1.0);
            assert_eq!(Point::parse_in("m v=1", precision), Ok(expected.clone()));
            let expected = expected.timestamp_ns(-1_700_000_000 * scale);
            assert_eq!(Point::parse_in("m v=1 -1700000000\n", precision), Ok(expected));
        }
        let late = Point::parse_in("m v=1 1700000000000", Precision::Seconds).expect("a number");
        assert!(matches!(
            Encoder::new(Dialect::Influx1).encode(&late),
            Err(PointError::TimestampOutOfRange { .. })
        ));
        assert!(Point::parse_in("m v=1 9223372036854775808", Precision::Nanoseconds).is_err());
    }

    #[test]
    fn a_body_is_read_line_by_line() {
        let m = |n: i64| Point::new("m").field("v", n).timestamp_in(Precision::Seconds, n);
        let read = |body| Point::parse_lines(body, Precision::Seconds).map_err(|error| error.to_string());
        for body in [
            "m v=1i 1\nm v=2i 2",
            "\n\nm v=1i 1 \r\n \r\nm v=2i 2\n\n",
            "#m v=0i 0\nm v=1i 1\n # \nm v=2i 2\n#",
        ] {
            assert_eq!(read(body), Ok(vec![m(1), m(2)]), "{body}");
        }
        let text = Point::new("a#b").field("s", "x\n#y\nm v=1");
        assert_eq!(read("a#b s=\"x\n#y\nm v=1\"\nm v=1i 1"), Ok(vec![text, m(1)]));
        for empty in ["", "\n", "# nothing", " \r\n"] {
            assert_eq!(read(empty), Ok(vec![]), "{empty}");
        }
        assert_eq!(
            read("m v=1i 1\nm v=x"),
            Err("the line can't be read at byte 13: a field has no value that can be read".to_owned())
        );
        assert!(read("m v=1i 1 m v=2i 2").is_err());
    }

    #[test]
    fn an_error_says_where_and_why() {
        assert_eq!(
            parsed("m,t=a v=x 1"),
            Err("the line can't be read at byte 8: a field has no value that can be read".to_owned())
        );
    }
}
