//! Where points go: fixes path, login, words and dialect of every request.

pub(crate) mod login;
pub(crate) mod v1;
pub(crate) mod v2;
pub(crate) mod v3;

use crate::encode::dialect::Dialect;
use crate::target::login::Login;
use crate::target::v1::V1;
use crate::target::v2::V2;
use crate::target::v3::V3;

/// What a client writes to, made from a [`V1`], a [`V2`] or a [`V3`].
///
/// It determines what the servers differ in: the path, the login, the word for nanoseconds, and the [`Dialect`] of the lines.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Target, V1, V2, V3};
///
/// fn target(version: u8, name: &str, token: &str) -> Option<Target> {
///     match version {
///         1 => Some(V1::new(name).into()),
///         2 => Some(V2::new("my-org", name, token).into()),
///         3 => Some(V3::new(name, token).into()),
///         _ => None,
///     }
/// }
/// assert_eq!(target(3, "metrics", "secret").map(|target| target.dialect()), Some(Dialect::Influx3));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Target {
    /// InfluxDB 1, or a server that takes its requests.
    V1(V1),
    /// InfluxDB 2.
    V2(V2),
    /// InfluxDB 3.
    V3(V3),
}

macro_rules! target_from {
    ($($version:ident),+) => {$(
        impl From<$version> for Target {
            fn from(target: $version) -> Self {
                Self::$version(target)
            }
        }
    )+};
}

target_from!(V1, V2, V3);

impl Target {
    /// The dialect of the server's line protocol.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::V1(target) => target.dialect,
            Self::V2(_) => Dialect::Influx2,
            Self::V3(_) => Dialect::Influx3,
        }
    }

    /// The database or the bucket.
    pub fn database(&self) -> &str {
        match self {
            Self::V1(V1 { database, .. }) | Self::V3(V3 { database, .. }) => database,
            Self::V2(V2 { bucket, .. }) => bucket,
        }
    }

    /// A missing name that no server can do without shows when the client is built, not at every request.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        const DATABASE: &str = "has no database; name the one that points go to";
        match self {
            // VictoriaMetrics makes a label of it, and can do without.
            Self::V1(target) if target.database.is_empty() && target.dialect != Dialect::VictoriaMetrics => {
                Err(DATABASE)
            }
            Self::V2(target) if target.org.is_empty() => {
                Err("has no organization; name the one that the bucket belongs to, or its id")
            }
            Self::V2(target) if target.bucket.is_empty() => {
                Err("has no bucket; name the one that points go to, or its id")
            }
            Self::V3(target) if target.database.is_empty() => Err(DATABASE),
            Self::V1(_) | Self::V2(_) | Self::V3(_) => Ok(()),
        }
    }

    /// The segments of the path that points are written to.
    pub(crate) fn write_path(&self) -> &'static [&'static str] {
        match self {
            Self::V1(_) => &["write"],
            Self::V2(_) => &["api", "v2", "write"],
            Self::V3(_) => &["api", "v3", "write_lp"],
        }
    }

    pub(crate) fn write_parameters(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::V1(target) => target.parameters(),
            Self::V2(target) => target.parameters(),
            Self::V3(target) => target.parameters(),
        }
    }

    pub(crate) fn login(&self) -> &Login {
        match self {
            Self::V1(V1 { login, .. }) | Self::V2(V2 { login, .. }) | Self::V3(V3 { login, .. }) => login,
        }
    }
}
