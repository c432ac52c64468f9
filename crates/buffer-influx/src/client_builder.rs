//! The settings of a client, and the checks that they make sense.

use std::fmt;
use std::time::Duration;

use reqwest::Url;

use crate::body::Gzip;
use crate::client::{Client, Credentials};
use crate::connections::{Connections, Settings};
use crate::error::ClientError;

/// The settings of a [`Client`], made by [`Client::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use buffer_influx::{Client, Gzip};
///
/// let client = Client::builder("http://localhost:8086/influx")
///     .basic_auth("writer", "secret")
///     .request_timeout(Duration::from_secs(5))
///     .gzip(Gzip::Never)
///     .build()?;
/// assert_eq!(format!("{client:?}"), r#"Client { url: "http://localhost:8086/influx", .. }"#);
/// # Ok::<(), buffer_influx::ClientError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ClientBuilder {
    url: String,
    credentials: Option<Credentials>,
    connect_timeout: Duration,
    request_timeout: Duration,
    gzip: Gzip,
}

impl Client {
    /// The settings of a client of the server at `url`, such as `http://localhost:8086`.
    ///
    /// A path in it is kept: with `https://example.org/influx`, points go to `https://example.org/influx/write`.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder {
            url: url.to_owned(),
            credentials: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(9),
            gzip: Gzip::Above(1024),
        }
    }
}

impl ClientBuilder {
    /// The user and the password that every request carries. Default: none.
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials {
            user: user.into(),
            password: password.into(),
        });
        self
    }

    /// The time limit for a connection, its TLS included. Default: 3 s, in which one lost packet is sent again.
    ///
    /// A server that is down then shows as unreachable, and not as a write that may have been carried out.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The time limit for a request, from the connection to the end of the answer. Default: 9 s, just below the `flush_timeout`
    /// of a buffer, so that the error can say what was waited for.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// When the body of a write is compressed. Default: above 1 KiB, as less fits into a packet anyway.
    ///
    /// With `Gzip::Above(0)` every body is.
    pub fn gzip(mut self, gzip: Gzip) -> Self {
        self.gzip = gzip;
        self
    }

    /// Checks the settings and makes the client. It connects to nothing yet.
    ///
    /// # Errors
    ///
    /// A [`ClientError`] that names what to change.
    pub fn build(self) -> Result<Client, ClientError> {
        let Self {
            url,
            credentials,
            connect_timeout,
            request_timeout,
            gzip,
        } = self;
        let url = checked(&url).map_err(|problem| ClientError::InvalidUrl { problem })?;
        for (setting, limit) in [
            ("connect_timeout", connect_timeout),
            ("request_timeout", request_timeout),
        ] {
            if limit.is_zero() {
                return Err(ClientError::Zero { setting });
            }
        }
        let settings = Settings {
            connect_timeout,
            request_timeout,
            tls: url.scheme() == "https",
        };
        let connections = Connections::new(settings).map_err(|error| ClientError::Setup(error.into()))?;
        Ok(Client::new(url, credentials, gzip, connections))
    }
}

impl fmt::Debug for ClientBuilder {
    /// The URL stays out: before `build` has checked it, it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url: _,
            credentials: _,
            connect_timeout,
            request_timeout,
            gzip,
        } = self;
        f.debug_struct("ClientBuilder")
            .field("connect_timeout", connect_timeout)
            .field("request_timeout", request_timeout)
            .field("gzip", gzip)
            .finish_non_exhaustive()
    }
}

fn checked(url: &str) -> Result<Url, &'static str> {
    let Ok(url) = Url::parse(url) else {
        return Err("can't be read; write it as in http://localhost:8086");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err("begins with neither http:// nor https://; write it as in http://localhost:8086");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or a password, which would end up in logs; set them with `basic_auth`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; remove what follows `?` or `#`");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_can_t_be_used_is_refused_without_repeating_it() {
        for url in [
            "",
            "localhost:8086",
            "ftp://secret",
            "http://",
            "http://user:secret@localhost",
            "http://secret@localhost",
            "http://localhost?p=secret",
            "http://localhost#secret",
        ] {
            let builder = Client::builder(url);
            assert!(!format!("{builder:?}").contains("secret"), "{url}");
            let error = builder.build().expect_err(url);
            assert!(
                matches!(error, ClientError::InvalidUrl { .. }),
                "{url}: {error:?}"
            );
            assert!(
                !format!("{error} {error:?}").contains("secret"),
                "{url}: {error:?}"
            );
        }
    }

    #[test]
    fn a_time_limit_of_zero_is_refused() {
        for builder in [
            Client::builder("http://localhost").connect_timeout(Duration::ZERO),
            Client::builder("http://localhost").request_timeout(Duration::ZERO),
        ] {
            assert!(matches!(builder.build(), Err(ClientError::Zero { .. })));
        }
    }
}
