//! The settings of a writer: its encoder, and its buffer.

use std::sync::Arc;
use std::time::Duration;

use buffer_core::{Buffer, BufferBuilder, BuildError, Flush};

use crate::encoder::Encoder;
use crate::line::Line;
use crate::writer::Writer;
use crate::writer::meter::{Meter, Metered};

/// The settings of a [`Writer`], made by [`Writer::builder`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use buffer_influx::{Client, InfluxSink, V1, Writer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://localhost:8086", V1::new("metrics")).build()?;
/// let writer = Writer::builder(client.encoder().default_tag("host", "a"))
///     .buffer(|buffer| buffer.partitions(2).flush_interval(Duration::from_millis(200)))
///     .build(InfluxSink::new(client))?;
/// # drop(writer);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct WriterBuilder {
    encoder: Encoder,
    buffer: BufferBuilder<Line>,
}

/// A sixth of what InfluxDB 1 takes in one request.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

impl Writer {
    /// The settings of a writer of `encoder`'s lines. Default: batches of 5,000 lines or of 4 MiB, flushed 1 s after their first
    /// line, or up to 20 % later by jitter.
    pub fn builder(encoder: Encoder) -> WriterBuilder {
        WriterBuilder::new(encoder)
    }
}

impl WriterBuilder {
    fn new(encoder: Encoder) -> Self {
        Self {
            encoder,
            buffer: Buffer::builder()
                .name("influx")
                .batch_size(5_000)
                .weigh(|line: &Line| line.as_bytes().len() + 1)
                .batch_bytes(BATCH_BYTES)
                .flush_interval(Duration::from_secs(1)),
        }
    }

    /// Changes the encoder, for instance its default tags.
    pub fn encoder(mut self, settings: impl FnOnce(Encoder) -> Encoder) -> Self {
        self.encoder = settings(self.encoder);
        self
    }

    /// Changes the settings of the buffer. Default: batches of 5,000 lines, as InfluxDB's manual recommends, or of 4 MiB, flushed 1 s
    /// after their first line. Jitter delays that by up to 20 %, and a flush that is in flight by as long as it takes. The rest is as
    /// in [`BufferBuilder`]. A line weighs its bytes and its line break.
    pub fn buffer(mut self, settings: impl FnOnce(BufferBuilder<Line>) -> BufferBuilder<Line>) -> Self {
        self.buffer = settings(self.buffer);
        self
    }

    /// Checks the settings and starts the buffer's workers, which write to `sink`.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that names the setting to change, or says that there is no runtime.
    pub fn build(self, sink: impl Flush<Line>) -> Result<Writer, BuildError> {
        let meter = Arc::new(Meter::default());
        let metered = Metered {
            sink,
            meter: Arc::clone(&meter),
        };
        Ok(Writer::new(self.buffer.build(metered)?, self.encoder, meter))
    }
}
