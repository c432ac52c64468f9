//! Writes points to InfluxDB 1, 2 and 3 and VictoriaMetrics in batches, with every accepted point accounted for.
//!
//! A [`Point`] is checked and encoded when it is handed to the [`Writer`]. A [buffer](buffer_core::Buffer) batches the lines: it
//! limits each attempt in time, tries again, holds everything in an outage and drains at the end. The [`InfluxSink`] sends them to
//! the server through a [`Client`], and says what the server's answer means.
//!
//! ```no_run
//! use buffer_influx::{Client, InfluxSink, Point, V1, Writer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("http://localhost:8086", V1::new("metrics")).build()?;
//! let writer = Writer::builder(client.encoder()).build(InfluxSink::new(client).create_missing_database())?;
//!
//! writer.write(Point::new("requests").tag("path", "/").field("ms", 12.5)).await?;
//!
//! let summary = writer.close().await;
//! println!("{} points stored, {} dropped", summary.ledger.delivered, summary.ledger.dropped.total());
//! # Ok(())
//! # }
//! ```
//!
//! # Concepts
//!
//! * A [`Target`] is where points go: [`V1`], [`V2`] or [`V3`]. It determines the path, the login, the server's words and the
//!   [`Dialect`].
//! * A [`Point`] becomes a [`Line`] when an [`Encoder`] encodes it. A point that the server would refuse, misread or lose without an
//!   error is refused then, with a [`PointError`], so one bad point harms no other.
//! * A [`LineBuilder`] makes the same line from plain values, several times as fast. A [`SeriesKey`] is a measurement with its tags,
//!   encoded once for many lines.
//! * [`Udp`] is a target without answers, with a [`UdpWriter`] of its own: its points count as sent, not as delivered.
//! * Every line has a timestamp: that of the point, or the moment of encoding. A line that is written twice, as happens when an
//!   answer is lost, overwrites itself.
//! * A write that fails is a [`WriteError`]. If the server answered, that contains a [`Refusal`], which has a [`RefusalKind`].
//! * The [`InfluxSink`] turns these into what the buffer should do; the table is in its description. If a line is dropped because the
//!   server refuses it, the cause is a [`RejectedLine`].
//! * With the feature `recorder`, `InfluxRecorder` makes points of what an application counts and measures through the facade of the
//!   crate `metrics`.

mod answer_body;
mod begun_line;
mod body;
mod byte_class;
mod caught;
mod client;
mod client_builder;
mod connections;
#[cfg(feature = "recorder")]
mod counter;
mod database;
mod dialect;
mod encode;
mod encode_fields;
mod encoder;
mod ends;
mod error;
mod field_value;
#[cfg(feature = "recorder")]
mod gauge;
#[cfg(feature = "recorder")]
mod histogram;
mod keys;
mod kind;
mod known_names;
mod line;
mod line_builder;
mod line_cache;
mod login;
mod meter;
#[cfg(feature = "recorder")]
mod metric_fields;
pub mod metrics;
mod moment;
mod name;
mod named_lines;
mod parse;
mod pen;
mod piece;
mod point;
mod point_error;
mod precision;
mod proxy;
mod query;
mod query_result;
#[cfg(feature = "recorder")]
mod recorder;
#[cfg(feature = "recorder")]
mod recorder_builder;
#[cfg(feature = "recorder")]
mod recorder_driver;
#[cfg(feature = "recorder")]
mod recorder_error;
#[cfg(feature = "recorder")]
mod recorder_handle;
#[cfg(feature = "recorder")]
mod recording;
mod refusal;
#[cfg(feature = "recorder")]
mod registry;
mod rejected_line;
mod response;
mod rules;
mod scratch;
#[cfg(feature = "recorder")]
mod series;
mod series_key;
#[cfg(feature = "recorder")]
mod series_settings;
mod short;
mod sink;
#[cfg(feature = "recorder")]
mod tables;
mod target;
mod udp;
mod udp_writer;
mod unread;
#[cfg(feature = "recorder")]
mod updates;
mod usual;
mod v1;
mod v2;
mod v3;
mod write_point_error;
mod writer;
mod writer_builder;

pub use crate::body::Gzip;
pub use crate::client::{Client, Pong};
pub use crate::client_builder::ClientBuilder;
pub use crate::dialect::Dialect;
pub use crate::encoder::Encoder;
pub use crate::error::{ClientError, WriteError};
pub use crate::field_value::{FieldValue, FieldValueRef};
pub use crate::line::Line;
pub use crate::line_builder::LineBuilder;
pub use crate::point::Point;
pub use crate::point_error::{Element, PointError};
pub use crate::precision::Precision;
pub use crate::query_result::{Message, QueryResult, QueryResults, Series};
#[cfg(feature = "recorder")]
pub use crate::recorder::InfluxRecorder;
#[cfg(feature = "recorder")]
pub use crate::recorder_builder::RecorderBuilder;
#[cfg(feature = "recorder")]
pub use crate::recorder_error::{InstallRecorderError, RecorderBuildError};
#[cfg(feature = "recorder")]
pub use crate::recorder_handle::{RecorderHandle, RecorderStats};
pub use crate::refusal::{Refusal, RefusalKind};
pub use crate::rejected_line::RejectedLine;
pub use crate::rules::{ControlCharacters, LargeUnsigned, NonFinite, TrailingBackslash};
pub use crate::series_key::SeriesKey;
#[cfg(feature = "recorder")]
pub use crate::series_settings::{Counters, Gauges};
pub use crate::sink::InfluxSink;
pub use crate::target::Target;
pub use crate::udp::Udp;
pub use crate::udp_writer::{Sent, UdpBuildError, UdpSummary, UdpWriter, UdpWriterBuilder};
pub use crate::unread::ParseLineError;
pub use crate::v1::{Consistency, V1};
pub use crate::v2::V2;
pub use crate::v3::V3;
pub use crate::write_point_error::{
    TryWritePointError, WritePointBlockingError, WritePointError, WriteSyncError,
};
pub use crate::writer::{Stats, Writer};
pub use crate::writer_builder::WriterBuilder;
