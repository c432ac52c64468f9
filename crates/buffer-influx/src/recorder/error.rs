//! Why a recorder could not be built, or not be installed.

use buffer_core::BuildError;
use thiserror::Error;

use crate::point::point_error::PointError;

/// Why a recorder could not be built.
///
/// # Examples
///
/// ```
/// use buffer_core::testing::ScriptedSink;
/// use buffer_influx::{Dialect, Encoder, InfluxRecorder, RecorderBuildError};
///
/// let builder = InfluxRecorder::builder(Encoder::new(Dialect::Influx1)).quantiles(&[95.0]);
/// let error = builder.build(ScriptedSink::new([])).unwrap_err();
/// assert!(matches!(error, RecorderBuildError::Quantile { quantile: 95.0 }));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecorderBuildError {
    /// A quantile is not between 0 and 1.
    #[error("the quantile {quantile} is not between 0 and 1; the 95th percentile is 0.95")]
    Quantile {
        /// What was set.
        quantile: f64,
    },
    /// No point can be written with this prefix and these default tags.
    #[error("no point can be written with this prefix and the encoder's default tags")]
    Names(#[source] PointError),
    /// A setting of the recorder or of its buffer is refused.
    #[error("a setting of the recorder or of its buffer is refused")]
    Buffer(#[from] BuildError),
}

/// Why a recorder could not be installed.
///
/// # Examples
///
/// ```
/// use buffer_core::testing::ScriptedSink;
/// use buffer_influx::{Dialect, Encoder, InfluxRecorder, InstallRecorderError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), InstallRecorderError> {
/// let builder = || InfluxRecorder::builder(Encoder::new(Dialect::Influx1));
/// let handle = builder().install(ScriptedSink::new([]))?;
/// let again = builder().install(ScriptedSink::new([]));
/// assert!(matches!(again, Err(InstallRecorderError::AlreadyInstalled)));
/// # handle.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InstallRecorderError {
    /// It could not be built.
    #[error("the recorder could not be built")]
    Build(#[from] RecorderBuildError),
    /// The process has a recorder already.
    #[error("the process has a recorder already; install one, and once")]
    AlreadyInstalled,
}
