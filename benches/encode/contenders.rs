//! The others, and ours by way of a point: a reading from its raw values to finished text, in the form that each library hands out.

use buffer_influx::{Encoder, Line, Point};
use influxdb::{Query as _, Timestamp, WriteQuery};
use influxdb_line_protocol::LineProtocolBuilder;
use influxdb2::models::{DataPoint, WriteDataPoint as _};
use questdb::ingress::{Buffer, ColumnName, TableName, TimestampNanos};

use crate::readings::Reading;

/// By way of a point.
pub(crate) fn point(encoder: &Encoder, reading: &Reading) -> Line {
    let mut point = Point::new(reading.measurement);
    for (key, value) in &reading.tags {
        point = point.tag(key, value);
    }
    for (key, value) in reading.floats {
        point = point.field(key, value);
    }
    let point = point
        .field(reading.integer.0, reading.integer.1)
        .field(reading.boolean.0, reading.boolean.1)
        .field(reading.text.0, &reading.text.1)
        .timestamp_ns(reading.nanoseconds);
    encoder.encode(&point).expect("a valid point")
}

/// The door for names as texts, which checks them.
pub(crate) fn questdb(buffer: &mut Buffer, reading: &Reading) {
    let mut row = || -> questdb::Result<()> {
        buffer.table(reading.measurement)?;
        for (key, value) in &reading.tags {
            buffer.symbol(*key, value)?;
        }
        for (key, value) in reading.floats {
            buffer.column_f64(key, value)?;
        }
        buffer.column_i64(reading.integer.0, reading.integer.1)?;
        buffer.column_bool(reading.boolean.0, reading.boolean.1)?;
        buffer.column_str(reading.text.0, &reading.text.1)?;
        buffer.at(TimestampNanos::new(reading.nanoseconds))
    };
    row().expect("a valid row");
}

/// The door for names that are known to be good: the other refuses commas.
pub(crate) fn questdb_unchecked(buffer: &mut Buffer, reading: &Reading) {
    let mut row = || -> questdb::Result<()> {
        buffer.table(TableName::new_unchecked(reading.measurement))?;
        for (key, value) in &reading.tags {
            buffer.symbol(ColumnName::new_unchecked(key), value)?;
        }
        for (key, value) in reading.floats {
            buffer.column_f64(ColumnName::new_unchecked(key), value)?;
        }
        buffer.column_i64(ColumnName::new_unchecked(reading.integer.0), reading.integer.1)?;
        buffer.column_bool(ColumnName::new_unchecked(reading.boolean.0), reading.boolean.1)?;
        buffer.column_str(ColumnName::new_unchecked(reading.text.0), &reading.text.1)?;
        buffer.at(TimestampNanos::new(reading.nanoseconds))
    };
    row().expect("a valid row");
}

pub(crate) fn influxdb2(body: &mut Vec<u8>, reading: &Reading) {
    let mut point = DataPoint::builder(reading.measurement);
    for (key, value) in &reading.tags {
        point = point.tag(*key, value.as_str());
    }
    for (key, value) in reading.floats {
        point = point.field(key, value);
    }
    let point = point
        .field(reading.integer.0, reading.integer.1)
        .field(reading.boolean.0, reading.boolean.1)
        .field(reading.text.0, reading.text.1.as_str())
        .timestamp(reading.nanoseconds)
        .build()
        .expect("a valid point");
    point
        .write_data_point_to(body)
        .expect("a Vec takes any number of bytes");
}

pub(crate) fn influxdb_line_protocol(reading: &Reading) -> Vec<u8> {
    let mut line = LineProtocolBuilder::new().measurement(reading.measurement);
    for (key, value) in &reading.tags {
        line = line.tag(key, value);
    }
    let [first, rest @ ..] = &reading.floats;
    let mut line = line.field(first.0, first.1);
    for (key, value) in rest {
        line = line.field(key, *value);
    }
    line.field(reading.integer.0, reading.integer.1)
        .field(reading.boolean.0, reading.boolean.1)
        .field(reading.text.0, reading.text.1.as_str())
        .timestamp(reading.nanoseconds)
        .close_line()
        .build()
}

pub(crate) fn influxdb(reading: &Reading) -> String {
    let moment = Timestamp::Nanoseconds(reading.nanoseconds as u128);
    let mut query = WriteQuery::new(moment, reading.measurement);
    for (key, value) in &reading.tags {
        query = query.add_tag(*key, value.as_str());
    }
    for (key, value) in reading.floats {
        query = query.add_field(key, value);
    }
    query
        .add_field(reading.integer.0, reading.integer.1)
        .add_field(reading.boolean.0, reading.boolean.1)
        .add_field(reading.text.0, reading.text.1.as_str())
        .build()
        .expect("a valid query")
        .get()
}
