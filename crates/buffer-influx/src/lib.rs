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
//!   answer is lost, overwrites itself; in VictoriaMetrics, [if it is told so](Dialect::VictoriaMetrics).
//! * A write that fails is a [`WriteError`]. If the server answered, that contains a [`Refusal`], which has a [`RefusalKind`].
//! * The [`InfluxSink`] turns these into what the buffer should do; the table is in its description. If a line is dropped because the
//!   server refuses it, the cause is a [`RejectedLine`].
//! * With the feature `recorder`, `InfluxRecorder` makes points of what an application counts and measures through the facade of the
//!   crate `metrics`.

#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod caught;
mod client;
mod connections;
mod encode;
mod encoder;
mod line;
mod line_builder;
pub mod metrics;
mod point;
#[cfg(feature = "recorder")]
mod recorder;
mod rejected_line;
mod response;
mod series_key;
mod sink;
mod target;
mod udp;
mod udp_writer;
mod writer;

pub use crate::client::body::Gzip;
pub use crate::client::builder::ClientBuilder;
pub use crate::client::error::{ClientError, WriteError};
pub use crate::client::query_result::{QueryMessage, QueryResult, QueryResults, QuerySeries};
pub use crate::client::{Client, Pong};
pub use crate::encode::dialect::Dialect;
pub use crate::encode::rules::{ControlCharacters, LargeUnsigned, NonFinite, TrailingBackslash};
pub use crate::encoder::Encoder;
pub use crate::line::Line;
pub use crate::line_builder::LineBuilder;
pub use crate::point::Point;
pub use crate::point::field_value::{FieldValue, FieldValueRef};
pub use crate::point::point_error::{Element, PointError};
pub use crate::point::precision::Precision;
pub use crate::point::unread::ParseLineError;
#[cfg(feature = "recorder")]
pub use crate::recorder::InfluxRecorder;
#[cfg(feature = "recorder")]
pub use crate::recorder::builder::RecorderBuilder;
#[cfg(feature = "recorder")]
pub use crate::recorder::error::{InstallRecorderError, RecorderBuildError};
#[cfg(feature = "recorder")]
pub use crate::recorder::handle::{RecorderHandle, RecorderStats};
#[cfg(feature = "recorder")]
pub use crate::recorder::series_settings::{Counters, Gauges};
pub use crate::rejected_line::RejectedLine;
pub use crate::response::refusal::{Refusal, RefusalKind};
pub use crate::series_key::SeriesKey;
pub use crate::sink::InfluxSink;
pub use crate::target::Target;
pub use crate::target::v1::{Consistency, V1};
pub use crate::target::v2::V2;
pub use crate::target::v3::V3;
pub use crate::udp::Udp;
pub use crate::udp_writer::{Sent, UdpBuildError, UdpSummary, UdpWriter, UdpWriterBuilder};
pub use crate::writer::builder::WriterBuilder;
pub use crate::writer::write_point_error::{
    TryWritePointError, WritePointBlockingError, WritePointError, WriteSyncError,
};
pub use crate::writer::{Writer, WriterStats};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
