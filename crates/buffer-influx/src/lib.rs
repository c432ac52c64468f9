//! Writes points to InfluxDB 1 in batches, with every accepted point accounted for.
//!
//! A [`Point`] is checked and encoded where it is handed to the [`Writer`]. The lines are batched by a
//! [buffer](buffer_core::Buffer), which limits each attempt in time, tries again, holds everything in an outage and drains at
//! the end; the [`InfluxSink`] sends them to the server by way of a [`Client`] and says what the server's answer means.
//!
//! ```no_run
//! use buffer_influx::{Client, InfluxSink, Point, Writer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("http://localhost:8086").build()?;
//! client.create_database("metrics").await?;
//! let writer = Writer::new(Writer::builder().build(InfluxSink::new(client, "metrics"))?);
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
//! * A [`Point`] becomes a [`Line`] when it is encoded. What the server would refuse, misread or lose without an error is a
//!   [`PointError`] then, so one bad point costs itself and no batch.
//! * Every line has a timestamp, of the point or of the moment of encoding. A line that is written twice, as happens when an
//!   answer is lost, overwrites itself.
//! * A write that fails is a [`WriteError`]. Where the server has answered it is a [`Refusal`], of a [`RefusalKind`].
//! * The [`InfluxSink`] turns these into what the buffer should do; the table is in its description.
//!
//! The dialect is that of InfluxDB 1: no unsigned integers, and a backslash stays single.

mod body;
mod client;
mod client_builder;
mod connections;
mod encode;
mod error;
mod field_value;
mod line;
mod name;
mod named_lines;
mod point;
mod point_error;
mod query_answer;
mod refusal;
mod response;
mod sink;
mod writer;

pub use crate::body::Gzip;
pub use crate::client::{Client, Pong};
pub use crate::client_builder::ClientBuilder;
pub use crate::error::{
    ClientError, TryWritePointError, WriteError, WritePointBlockingError, WritePointError,
};
pub use crate::field_value::FieldValue;
pub use crate::line::Line;
pub use crate::point::Point;
pub use crate::point_error::{Element, PointError};
pub use crate::refusal::{Refusal, RefusalKind};
pub use crate::sink::InfluxSink;
pub use crate::writer::Writer;
