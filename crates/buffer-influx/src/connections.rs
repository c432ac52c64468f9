//! Keeps HTTP connections separate for each runtime, and makes one request on them.

use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Proxy, RequestBuilder, StatusCode};
use tokio::runtime::{self, Handle};
use tokio::time::Instant;

/// The connections of one client.
///
/// A connection dies with the runtime it was opened on, and a request on it would hang until its time-out. So each runtime
/// has a pool of its own; that matters when a buffer drains after its runtime has ended.
pub(crate) struct Connections {
    settings: Settings,
    /// The oldest first. The first pool is made with `None`, and waits for the first runtime that asks.
    pools: Mutex<Vec<(Option<runtime::Id>, reqwest::Client)>>,
}

/// What every pool is made with.
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) certificates: Certificates,
    pub(crate) proxy: ProxyChoice,
}

/// What the certificates of a server and of a proxy are checked against.
pub(crate) enum Certificates {
    /// Loading them takes milliseconds and fails on a system that has none, so plain HTTP all the way does without.
    System,
    These(Vec<Certificate>),
}

/// How the server is reached.
pub(crate) enum ProxyChoice {
    Environment,
    None,
    This(Box<Proxy>),
}

/// A process that writes from more runtimes than this opens connections anew now and then; it loses nothing.
const POOLS_REMEMBERED: usize = 8;

impl Connections {
    /// Makes the first pool at once: a system without certificates shows here and not at the first write.
    pub(crate) fn new(settings: Settings) -> Result<Self, reqwest::Error> {
        let first = settings.pool()?;
        Ok(Self {
            settings,
            pools: Mutex::new(vec![(None, first)]),
        })
    }

    /// The pool of the runtime that this is called on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn pool(&self) -> Result<reqwest::Client, Lost> {
        let here = Handle::current().id();
        let mut pools = self.pools.lock();
        if let Some((owner, pool)) = pools
            .iter_mut()
            .find(|(owner, _)| owner.is_none_or(|owner| owner == here))
        {
            *owner = Some(here);
            return Ok(pool.clone());
        }
        let pool = self.settings.pool().map_err(Lost::Unsent)?;
        if pools.len() == POOLS_REMEMBERED {
            pools.remove(0);
        }
        pools.push((Some(here), pool.clone()));
        Ok(pool)
    }

    /// Sends `request`, and once more if its connection was lost before an answer: only so does it show that the server has closed a
    /// pooled one. Both share one time limit. For requests that may be carried out twice.
    pub(crate) async fn send_past_stale(&self, request: RequestBuilder, most: usize) -> Result<Answer, Lost> {
        let (again, begin) = (request.try_clone(), Instant::now());
        match (send(request, most).await, again) {
            (Err(Lost::Midway(error)), Some(again)) if !error.is_timeout() => {
                let left = self.settings.request_timeout.saturating_sub(begin.elapsed());
                send(again.timeout(left), most).await
            }
            (answer, _) => answer,
        }
    }
}

impl Settings {
    fn pool(&self) -> Result<reqwest::Client, reqwest::Error> {
        let Self {
            connect_timeout,
            request_timeout,
            certificates,
            proxy,
        } = self;
        let builder = reqwest::Client::builder()
            .user_agent(concat!("buffer-influx/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(*connect_timeout)
            .timeout(*request_timeout);
        let builder = match certificates {
            Certificates::System => builder,
            Certificates::These(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
        };
        let builder = match proxy {
            ProxyChoice::Environment => builder,
            ProxyChoice::None => builder.no_proxy(),
            ProxyChoice::This(proxy) => builder.proxy((**proxy).clone()),
        };
        builder.build()
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) end: End,
}

/// Where the body of an answer ends.
#[derive(Debug)]
pub(crate) enum End {
    Whole,
    /// It went on, and was not read any further.
    Cut,
    /// The connection was lost. The status of a refusal counts all the same: a server that never read the request closes at once.
    Lost(reqwest::Error),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// No connection was made, so the server knows nothing of the request.
    Unsent(reqwest::Error),
    /// The request was under way.
    Midway(reqwest::Error),
}

impl Lost {
    /// The URL goes: it names the database, and it would appear in every log line.
    fn new(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            Self::Unsent(error)
        } else {
            Self::Midway(error)
        }
    }
}

/// Sends `request` and reads up to `most` bytes of the answer's body.
pub(crate) async fn send(request: RequestBuilder, most: usize) -> Result<Answer, Lost> {
    let mut response = request.send().await.map_err(Lost::new)?;
    let mut body = Vec::new();
    let end = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if chunk.len() > most - body.len() => {
                body.extend_from_slice(&chunk[..most - body.len()]);
                break End::Cut;
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break End::Whole,
            Err(error) => break End::Lost(error.without_url()),
        }
    };
    Ok(Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: String::from_utf8_lossy(&body).into_owned(),
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_keeps_its_pool_and_a_few_are_remembered() {
        let settings = Settings {
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(1),
            certificates: Certificates::These(Vec::new()),
            proxy: ProxyChoice::Environment,
        };
        let connections = Connections::new(settings).expect("valid settings");
        for _ in 0..2 * POOLS_REMEMBERED {
            let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
            let _inside = runtime.enter();
            for _ in 0..2 {
                connections.pool().expect("a pool");
                let pools = connections.pools.lock();
                assert!(pools.len() <= POOLS_REMEMBERED);
                assert_eq!(
                    pools
                        .iter()
                        .filter(|(owner, _)| *owner == Some(runtime.handle().id()))
                        .count(),
                    1
                );
            }
        }
    }
}
