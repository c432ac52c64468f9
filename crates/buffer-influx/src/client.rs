//! Speaks to one server over HTTP.

pub(crate) mod body;
pub(crate) mod builder;
mod database;
pub(crate) mod error;
mod proxy;
mod query;
pub(crate) mod query_result;

use std::fmt;
use std::sync::Arc;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Url};

use crate::client::body::{Body, Gzip};
use crate::client::error::{ClientError, WriteError};
use crate::connections::{Answer, Connections, End, Lost, send};
use crate::encoder::Encoder;
use crate::line::Line;
use crate::response::answer_body::AnswerBody;
use crate::response::refusal::Refusal;
use crate::response::{self, ERROR_HEADER, VERSION_HEADER};
use crate::target::Target;
use crate::target::login::Login;

/// A client of one database or bucket on one server.
///
/// Clones share their connections. A client may be used on several runtimes, even after one of them has ended: each has connections
/// of its own. The target's login appears in no error and no `Debug` output.
///
/// # Examples
///
/// ```no_run
/// use buffer_influx::{Client, Point, V1};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let target = V1::new("metrics").basic_auth("writer", "secret");
/// let client = Client::builder("http://localhost:8086", target).build()?;
/// client.create_database().await?;
/// let line = client.encoder().encode(&Point::new("starts").field("n", 1))?;
/// client.write(&[line]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    /// Without credentials, query or fragment.
    pub(crate) url: Url,
    pub(crate) target: Target,
    /// Those at the proxies that the client may use.
    pub(crate) proxy_logins: Vec<Login>,
    pub(crate) gzip: Gzip,
    pub(crate) connections: Connections,
}

/// What a server says about itself when it is [pinged](Client::ping).
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
    /// The server's version, if it names one.
    pub version: Option<String>,
}

/// How much is read of an answer that returns no rows: enough for a message that names every line of an ordinary batch.
const SHORT_ANSWER_BYTES: usize = 4 * 1024 * 1024;

impl Client {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What the client writes to.
    pub fn target(&self) -> &Target {
        &self.shared.target
    }

    /// An encoder in the dialect of the target.
    pub fn encoder(&self) -> Encoder {
        Encoder::new(self.shared.target.dialect())
    }

    /// Checks that the server is there, and asks for its version. InfluxDB 1 and 2 answer anybody.
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
        let request = self.pool()?.get(self.endpoint(&["ping"]));
        let answer = self.send(request, SHORT_ANSWER_BYTES).await?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let header = answer.headers.get(VERSION_HEADER);
        let version = header.and_then(|version| version.to_str().ok().map(str::to_owned));
        Ok(Pong {
            version: version.or_else(|| AnswerBody::of(&answer.body).version),
        })
    }

    /// Writes `lines` in one request. They must come from the client's [encoder](Client::encoder), or from one of the same dialect.
    ///
    /// The lines carry their timestamps, so writing them again overwrites what is stored and stores nothing twice (in VictoriaMetrics,
    /// [if it is told so](crate::Dialect::VictoriaMetrics)). This does not
    /// retry, except for one resend if the connection is lost before an answer, as happens when the server has closed a pooled one.
    /// To retry, use an [`InfluxSink`](crate::InfluxSink) in a buffer.
    ///
    /// # Errors
    ///
    /// A [`WriteError`]. After [`WriteError::TimedOut`] and [`WriteError::Unconfirmed`], and after a refusal that is a partial write, lines may be stored.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O or time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the lines may or may not be stored.
    pub async fn write(&self, lines: &[Line]) -> Result<(), WriteError> {
        self.write_all(lines.iter()).await
    }

    /// Writes the lines that `lines` yields, in one request, if there are any.
    pub(crate) async fn write_all<'a>(
        &self,
        lines: impl Iterator<Item = &'a Line> + Clone,
    ) -> Result<(), WriteError> {
        let Shared { target, gzip, .. } = &*self.shared;
        let Body { bytes, gzip } = Body::new(lines, *gzip);
        if bytes.is_empty() {
            return Ok(());
        }
        let mut url = self.endpoint(target.write_path());
        url.query_pairs_mut().extend_pairs(target.write_parameters());
        let mut request = self
            .pool()?
            .post(url)
            .header(CONTENT_TYPE, "text/plain; charset=utf-8");
        if gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let mut answer = self.send(request.body(bytes), SHORT_ANSWER_BYTES).await?;
        // A page that is shown instead may repeat the URL, too.
        if answer.status.is_success() {
            self.shared.remove_secrets(&mut answer.body);
        }
        match answer.end {
            // The rest may have said that lines were dropped, or that no line is to blame.
            End::Lost(error) if !response::is_clear(&answer) => Err(Lost::Midway(error).into()),
            _ => response::judge(&answer).map_err(|refusal| WriteError::Refused(self.shared.shown(refusal))),
        }
    }

    pub(crate) fn pool(&self) -> Result<reqwest::Client, Lost> {
        self.shared.connections.pool()
    }

    /// The URL of a path below the server's, with the login if that belongs in the URL.
    pub(crate) fn endpoint(&self, path: &[&str]) -> Url {
        let mut url = self.shared.url.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(path);
        self.shared.target.login().add_to_url(&mut url);
        url
    }

    /// Sends a request that may be carried out twice, with the login.
    pub(crate) async fn send(&self, request: RequestBuilder, most: usize) -> Result<Answer, Lost> {
        let Shared {
            target, connections, ..
        } = &*self.shared;
        let login = target.login();
        let answer = connections.send_past_stale(login.add_to(request), most).await?;
        Ok(self.shared.without_secrets(answer))
    }

    /// Sends a request that must not be carried out twice, with the login.
    pub(crate) async fn send_once(&self, request: RequestBuilder, most: usize) -> Result<Answer, Lost> {
        let login = self.shared.target.login();
        let answer = send(login.add_to(request), most).await?;
        Ok(self.shared.without_secrets(answer))
    }

    /// Takes the logins out of a text that a server shows.
    pub(crate) fn remove_secrets(&self, text: &mut String) {
        self.shared.remove_secrets(text);
    }
}

impl Shared {
    /// A refusal as users see it: a secret may be escaped in the body, and is plain in the words that were read from it.
    fn shown(&self, mut refusal: Refusal) -> Refusal {
        self.remove_secrets(&mut refusal.message);
        for named in &mut refusal.named {
            self.remove_secrets(&mut named.reason);
            self.remove_secrets(&mut named.shown);
        }
        refusal
    }

    fn remove_secrets(&self, text: &mut String) {
        self.target.login().remove_from(text);
        for login in &self.proxy_logins {
            login.remove_from(text);
        }
    }

    /// VictoriaMetrics repeats the URL of a request that it refuses, and with it a login in that URL. What a query returns stays as it
    /// is.
    fn without_secrets(&self, mut answer: Answer) -> Answer {
        if !answer.status.is_success() {
            self.remove_secrets(&mut answer.body);
        }
        if let Some(error) = answer.headers.get_mut(ERROR_HEADER) {
            let mut words = String::from_utf8_lossy(error.as_bytes()).into_owned();
            self.remove_secrets(&mut words);
            if let Ok(words) = HeaderValue::from_str(&words) {
                *error = words;
            }
        }
        answer
    }
}

pub(crate) fn refused(answer: &Answer) -> ClientError {
    ClientError::Refused {
        status: answer.status.as_u16(),
        message: response::message(answer),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.shared.url.as_str())
            .field("target", &self.shared.target)
            .finish_non_exhaustive()
    }
}
