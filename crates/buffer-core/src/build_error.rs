//! Why a builder refuses its settings.

use std::borrow::Cow;

use thiserror::Error;

/// Why [`BufferBuilder::build`](crate::BufferBuilder::build) refused the settings.
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Flush, FlushError, async_trait};
/// use buffer_core::{Buffer, BuildError};
///
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// // Outside a runtime:
/// let refused = Buffer::builder().build(Nowhere).expect_err("there is no runtime here");
/// assert_eq!(refused, BuildError::NoRuntime);
///
/// let refused = Buffer::builder().batch_size(0).build(Nowhere).expect_err("a batch holds an item");
/// assert!(refused.to_string().contains("`batch_size`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting that can't be zero is zero.
    #[error("`{setting}` is zero; set it to at least {least}")]
    Zero {
        /// The setting's name.
        setting: &'static str,
        /// The least that makes sense.
        least: &'static str,
    },
    /// A setting is above what makes sense.
    #[error("`{setting}` is above {most}; lower it")]
    TooLarge {
        /// The setting's name.
        setting: &'static str,
        /// The most that makes sense.
        most: &'static str,
    },
    /// Two settings contradict each other.
    #[error("`{setting}` and `{other}` do not fit together: {rule}")]
    Contradiction {
        /// The first setting's name.
        setting: &'static str,
        /// The second setting's name.
        other: &'static str,
        /// The rule that they break, and so what to change.
        rule: Cow<'static, str>,
    },
    /// A setting has no effect without another one.
    #[error("`{setting}` needs `{other}` too: {reason}")]
    Missing {
        /// The name of the setting that was given.
        setting: &'static str,
        /// The setting that it needs.
        other: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// There is no tokio runtime to run the workers on.
    #[error(
        "no tokio runtime here to run the workers on; call build inside one, or give the builder a handle with `runtime`"
    )]
    NoRuntime,
    /// The tokio runtime was shut down.
    #[error(
        "the tokio runtime is gone and can't run the workers; give the builder the handle of one that lives"
    )]
    RuntimeGone,
    /// The tokio runtime has no timer. tokio reports that only by a panic, which is caught; with `panic = "abort"` it ends the process.
    #[error("the tokio runtime has no timer; build it with `enable_time` or `enable_all`")]
    NoTimer,
}
