//! A bucket of InfluxDB 2.

use crate::target::login::Login;

/// A bucket of an InfluxDB 2 server.
///
/// Points go to `/api/v2/write`, with the precision `ns`. InfluxDB 2 refuses a request as a whole if it can't read a line; the sink
/// takes out the lines that it names and writes the others again.
///
/// # Examples
///
/// ```
/// use buffer_influx::V2;
///
/// let target = V2::new("org", "bucket", "secret");
/// assert!(!format!("{target:?}").contains("secret"));
/// ```
#[derive(Debug, Clone)]
pub struct V2 {
    pub(crate) org: String,
    pub(crate) bucket: String,
    pub(crate) login: Login,
}

impl V2 {
    /// The bucket `bucket` of the organization `org`, each by its name or its id.
    pub fn new(org: impl Into<String>, bucket: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            org: org.into(),
            bucket: bucket.into(),
            login: Login::Token {
                scheme: "Token",
                token: token.into(),
            },
        }
    }

    pub(crate) fn parameters(&self) -> Vec<(&'static str, &str)> {
        vec![("org", &self.org), ("bucket", &self.bucket), ("precision", "ns")]
    }
}
