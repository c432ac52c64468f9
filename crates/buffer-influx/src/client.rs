//! Speaks to an InfluxDB 1 server over HTTP.

use std::fmt;
use std::sync::Arc;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{RequestBuilder, Url};

use crate::body::{Body, Gzip};
use crate::connections::{Connections, End, send};
use crate::error::{ClientError, WriteError};
use crate::line::Line;
use crate::query_answer::QueryAnswer;
use crate::response;

/// A client of one InfluxDB 1 server, or of one that speaks its protocol.
///
/// Clones share their connections. It may be used on several runtimes, also after one of them has ended: each has
/// connections of its own. The user and the password are sent in the `Authorization` header and appear in no URL, error or
/// `Debug` output.
///
/// # Examples
///
/// ```no_run
/// use buffer_influx::{Client, Point};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://localhost:8086").basic_auth("writer", "secret").build()?;
/// client.create_database("metrics").await?;
/// client.write("metrics", &[Point::new("starts").field("n", 1).encode()?]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    /// Without credentials, query or fragment.
    url: Url,
    credentials: Option<Credentials>,
    gzip: Gzip,
    connections: Connections,
}

/// It has no `Debug`, so that no log shows it.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// What a server says of itself when it is [pinged](Client::ping).
///
/// # Examples
///
/// ```
/// use buffer_influx::{Client, ClientError};
///
/// async fn version(client: &Client) -> Result<String, ClientError> {
///     let pong = client.ping().await?;
///     Ok(pong.version.unwrap_or_else(|| "unknown".into()))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// The server's version, if it tells.
    pub version: Option<String>,
}

/// What is read of an answer to a write: a message that names every line of an ordinary batch.
const WRITE_ANSWER_BYTES: usize = 1024 * 1024;
/// What is read of the answer to a query.
const QUERY_ANSWER_BYTES: usize = 16 * 1024 * 1024;

impl Client {
    pub(crate) fn new(
        url: Url,
        credentials: Option<Credentials>,
        gzip: Gzip,
        connections: Connections,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                url,
                credentials,
                gzip,
                connections,
            }),
        }
    }

    /// Asks the server whether it is there. A server with authentication answers to everybody.
    ///
    /// # Errors
    ///
    /// A [`ClientError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O or time.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn ping(&self) -> Result<Pong, ClientError> {
        let request = self.shared.connections.pool()?.get(self.endpoint("ping"));
        let answer = send(self.authorized(request), WRITE_ANSWER_BYTES).await?;
        if !answer.status.is_success() {
            return Err(ClientError::Refused {
                status: answer.status.as_u16(),
                message: response::message(&answer).into_owned(),
            });
        }
        let version = answer
            .headers
            .get("x-influxdb-version")
            .and_then(|version| version.to_str().ok());
        Ok(Pong {
            version: version.map(str::to_owned),
        })
    }

    /// Writes `lines` to the database `database`, in one request.
    ///
    /// The lines carry their timestamps, so that writing them again overwrites what is stored and stores nothing twice. It
    /// does not retry: that is for an [`InfluxSink`](crate::InfluxSink) in a buffer.
    ///
    /// # Errors
    ///
    /// A [`WriteError`]. After [`WriteError::Unconfirmed`], and after a refusal that is a partial write, lines may be stored.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O or time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the lines may or may not be stored.
    pub async fn write(&self, database: &str, lines: &[Line]) -> Result<(), WriteError> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut url = self.endpoint("write");
        url.query_pairs_mut()
            .append_pair("db", database)
            .append_pair("precision", "ns");
        let Body { bytes, gzip } = Body::new(lines, self.shared.gzip);
        let mut request = self
            .shared
            .connections
            .pool()?
            .post(url)
            .header(CONTENT_TYPE, "text/plain; charset=utf-8");
        if gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let answer = send(self.authorized(request).body(bytes), WRITE_ANSWER_BYTES).await?;
        response::judge(&answer).map_err(WriteError::Refused)
    }

    /// Creates the database `name`; if it exists, nothing happens.
    ///
    /// # Errors
    ///
    /// A [`ClientError`]; where the server asks for a login, the user must be an administrator.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O or time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the database may or may not be there.
    pub async fn create_database(&self, name: &str) -> Result<(), ClientError> {
        self.query(None, &format!("CREATE DATABASE {}", quoted(name)))
            .await
            .map(drop)
    }

    /// Sends a query in InfluxQL, and returns the server's JSON as it came.
    ///
    /// `database` is the one that the query's measurements are looked for in.
    ///
    /// # Errors
    ///
    /// A [`ClientError`], also when the server answers with success and a statement failed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O or time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; a query that changes something may or may not have been carried out.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: buffer_influx::Client) -> Result<(), buffer_influx::ClientError> {
    /// let json = client.query(Some("metrics"), "SELECT count(n) FROM starts").await?;
    /// assert!(json.contains(r#""series""#));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn query(&self, database: Option<&str>, query: &str) -> Result<String, ClientError> {
        let mut url = self.endpoint("query");
        if let Some(database) = database {
            url.query_pairs_mut().append_pair("db", database);
        }
        let request = self
            .shared
            .connections
            .pool()?
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form("q", query));
        let answer = send(self.authorized(request), QUERY_ANSWER_BYTES).await?;
        match answer.end {
            End::Whole => {}
            End::Cut => {
                return Err(ClientError::AnswerTooLarge {
                    most: QUERY_ANSWER_BYTES,
                });
            }
            End::Lost(error) => return Err(ClientError::Unconfirmed(error.into())),
        }
        match QueryAnswer::of(&answer) {
            QueryAnswer::Done => Ok(answer.body),
            QueryAnswer::Failed(message) => Err(ClientError::Refused {
                status: answer.status.as_u16(),
                message,
            }),
        }
    }

    fn endpoint(&self, name: &str) -> Url {
        let mut url = self.shared.url.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .push(name);
        url
    }

    /// In the body a query stays out of the logs of proxies and servers.
    fn form(&self, key: &str, value: &str) -> String {
        let mut url = self.shared.url.clone();
        url.query_pairs_mut().append_pair(key, value);
        url.query().unwrap_or_default().to_owned()
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.shared.credentials {
            Some(Credentials { user, password }) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.shared.url.as_str())
            .finish_non_exhaustive()
    }
}

/// An identifier in InfluxQL.
fn quoted(name: &str) -> String {
    let mut quoted = String::from("\"");
    for character in name.chars() {
        match character {
            '\n' => quoted.push_str(r"\n"),
            '"' | '\\' => quoted.extend(['\\', character]),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_can_t_leave_its_quotes() {
        assert_eq!(quoted("metrics"), r#""metrics""#);
        assert_eq!(quoted("a\" DROP \\\n"), r#""a\" DROP \\\n""#);
    }
}
