//! The settings of a client, and the checks that they make sense.

use std::env;
use std::fmt;
use std::time::Duration;

use reqwest::{Certificate, Url};

use crate::client::body::Gzip;
use crate::client::error::ClientError;
use crate::client::proxy::Proxy;
use crate::client::{Client, Shared};
use crate::connections::{Certificates, Connections, Settings};
use crate::target::Target;

/// The settings of a [`Client`], made by [`Client::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use buffer_influx::{Client, Gzip, V2};
///
/// let client = Client::builder("http://localhost:8086/influx", V2::new("org", "bucket", "secret"))
///     .request_timeout(Duration::from_secs(5))
///     .gzip(Gzip::Never)
///     .build()?;
/// assert!(!format!("{client:?}").contains("secret"));
/// # Ok::<(), buffer_influx::ClientError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ClientBuilder {
    url: String,
    target: Target,
    proxy: Proxy,
    ca_certificates: Option<Vec<u8>>,
    connect_timeout: Duration,
    request_timeout: Duration,
    gzip: Gzip,
}

impl Client {
    /// The settings of a client of the server at `url`, such as `http://localhost:8086`, that writes to `target`.
    ///
    /// A path in it is kept: with `https://example.org/influx`, points go to `https://example.org/influx/write`.
    pub fn builder(url: &str, target: impl Into<Target>) -> ClientBuilder {
        ClientBuilder {
            url: url.to_owned(),
            target: target.into(),
            proxy: Proxy::Environment,
            ca_certificates: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(9),
            gzip: Gzip::Above(1024),
        }
    }
}

impl ClientBuilder {
    /// The HTTP proxy that requests go through, such as `http://localhost:3128`. Default: as for other programs, what the variables
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name, also in lower case, and the system's settings on macOS and
    /// Windows.
    ///
    /// The scheme is `http` or `https`; SOCKS is not supported. `build` refuses any other scheme that is set here. It does not check
    /// the environment, which must not name one either.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Proxy::Url(url.into());
        self
    }

    /// Uses no proxy, whatever the environment names.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Proxy::None;
        self
    }

    /// The certificates, in PEM, that those of the server and the proxy are checked against. Default: the system's, which these
    /// replace.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificates = Some(pem.into());
        self
    }

    /// The time limit for a connection, including TLS. Default: 3 s, enough to send one lost packet again.
    ///
    /// A server that is down then shows as unreachable, and not as a write that may have been carried out.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The time limit for a request, from the connection to the end of the answer, including the resend if the first connection was
    /// lost. Default: 9 s, just below the `flush_timeout` of a buffer, so that the error can say what was waited for.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// When the body of a write is compressed. Default: above 1 KiB, as less fits into a packet anyway.
    ///
    /// With `Gzip::Above(0)`, every body is compressed.
    pub fn gzip(mut self, gzip: Gzip) -> Self {
        self.gzip = gzip;
        self
    }

    /// Checks the settings and makes the client, which does not connect yet.
    ///
    /// # Errors
    ///
    /// A [`ClientError`] that names what to change.
    pub fn build(self) -> Result<Client, ClientError> {
        let Self {
            url,
            target,
            proxy,
            ca_certificates,
            connect_timeout,
            request_timeout,
            gzip,
        } = self;
        target
            .check()
            .map_err(|problem| ClientError::InvalidTarget { problem })?;
        let login = target.login().check();
        login.map_err(|problem| ClientError::InvalidLogin { problem })?;
        let url = checked(&url).map_err(|problem| ClientError::InvalidUrl { problem })?;
        for (setting, limit) in [
            ("connect_timeout", connect_timeout),
            ("request_timeout", request_timeout),
        ] {
            if limit.is_zero() {
                return Err(ClientError::Zero { setting });
            }
        }
        let variable = |name: &str| env::var(name).ok();
        let (proxy_speaks_tls, proxy_logins) = (proxy.speaks_tls(variable), proxy.logins(variable));
        let settings = Settings {
            connect_timeout,
            request_timeout,
            certificates: match ca_certificates {
                Some(pem) => Certificates::These(these(&pem)?),
                None if url.scheme() == "https" || proxy_speaks_tls => Certificates::System,
                None => Certificates::These(Vec::new()),
            },
            proxy: proxy.choice()?,
        };
        let connections = Connections::new(settings).map_err(|error| ClientError::Setup(error.into()))?;
        Ok(Client::new(Shared {
            url,
            target,
            proxy_logins,
            gzip,
            connections,
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    /// The URLs stay out: before `build` has checked them, they may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url: _,
            target,
            proxy: _,
            ca_certificates: _,
            connect_timeout,
            request_timeout,
            gzip,
        } = self;
        f.debug_struct("ClientBuilder")
            .field("target", target)
            .field("connect_timeout", connect_timeout)
            .field("request_timeout", request_timeout)
            .field("gzip", gzip)
            .finish_non_exhaustive()
    }
}

fn these(pem: &[u8]) -> Result<Vec<Certificate>, ClientError> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ClientError::InvalidCertificate),
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
        return Err("holds a user or a password, which would end up in logs; set them in the target");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; remove what follows `?` or `#`");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::dialect::Dialect;
    use crate::target::v1::V1;
    use crate::target::v2::V2;
    use crate::target::v3::V3;

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
            let builder = Client::builder(url, V1::new("db"));
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
    fn a_name_that_is_missing_is_refused() {
        let build = |target: Target| Client::builder("http://localhost", target).build();
        for target in [
            Target::from(V1::new("")),
            V2::new("", "bucket", "token").into(),
            V2::new("org", "", "token").into(),
            V3::new("", "token").into(),
        ] {
            let error = build(target.clone()).expect_err("no name");
            assert!(
                matches!(error, ClientError::InvalidTarget { .. }),
                "{target:?}: {error:?}"
            );
        }
        let victoria = V1::new("").dialect(Dialect::VictoriaMetrics);
        build(victoria.into()).expect("a database is a label there");
    }

    #[test]
    fn a_login_that_no_server_can_take_is_refused_without_repeating_it() {
        for target in [
            Target::from(V1::new("db").token("secret\n")),
            V1::new("db").basic_auth("secret:", "secret").into(),
            V2::new("org", "bucket", "").into(),
            V3::new("db", "").into(),
            V3::new("db", "secret secret").into(),
        ] {
            let built = Client::builder("http://localhost", target.clone()).build();
            let error = built.expect_err("a wrong login");
            assert!(
                matches!(error, ClientError::InvalidLogin { .. }),
                "{target:?}: {error:?}"
            );
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        let without = V3::new("db", "").without_login();
        Client::builder("http://localhost", without)
            .build()
            .expect("no login to check");
    }

    #[test]
    fn a_proxy_and_a_certificate_that_can_t_be_used_are_refused() {
        let local = || Client::builder("https://localhost", V1::new("db"));
        for url in ["http://user:secret@[", "htttp://user:secret@localhost:3128"] {
            let error = local().proxy(url).build().expect_err(url);
            assert!(matches!(error, ClientError::InvalidProxy), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        for pem in [
            "",
            "secret",
            "-----BEGIN CERTIFICATE-----\nsecret\n-----END CERTIFICATE-----\n",
        ] {
            let error = local().ca_certificates(pem).build().expect_err("no certificate");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn a_time_limit_of_zero_is_refused() {
        for builder in [
            Client::builder("http://localhost", V1::new("db")).connect_timeout(Duration::ZERO),
            Client::builder("http://localhost", V1::new("db")).request_timeout(Duration::ZERO),
        ] {
            assert!(matches!(builder.build(), Err(ClientError::Zero { .. })));
        }
    }
}
