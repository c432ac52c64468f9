//! The sink: one request for each batch, with the batch's id as its idempotency key.
//!
//! Await the close before `main` ends: the connections of the pool belong to its runtime.

use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use reqwest::redirect::Policy;
use reqwest::{Client, IntoUrl, Response, StatusCode, Url, header};

/// Posts events, one in each line: an event must hold no line break.
pub struct Events {
    client: Client,
    url: Url,
}

impl Events {
    /// # Errors
    ///
    /// If the URL can't be read, or the client can't be built.
    pub fn new(url: impl IntoUrl) -> Result<Self, reqwest::Error> {
        let url = url.into_url()?;
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(3))
            // Just below `flush_timeout`, so that the error says what was waited for.
            .timeout(Duration::from_secs(9))
            // It would repeat a POST as a GET without its body, and call that a success.
            .redirect(Policy::none())
            .build()?;
        Ok(Self { client, url })
    }
}

#[async_trait]
impl Flush<String> for Events {
    async fn flush(&self, batch: &mut Batch<String>) -> Result<(), FlushError> {
        let request = self
            .client
            .post(self.url.clone())
            .header("Idempotency-Key", batch.id().to_string())
            .body(batch.join("\n"));
        let response = request.send().await.map_err(unanswered)?;
        let (status, delay) = (response.status(), retry_after(&response));
        if status.is_success() {
            return Ok(());
        }
        let words = response.text().await.unwrap_or_default();
        let error = refused(status, words);
        Err(match delay {
            Some(delay) => error.retry_after(delay),
            None => error,
        })
    }
}

/// The URL is left out of the error: it may hold a secret, and the error is logged.
fn unanswered(error: reqwest::Error) -> FlushError {
    match error.is_connect() {
        // Nothing was sent.
        true => FlushError::unavailable(error.without_url()),
        // Perhaps it was carried out.
        false => FlushError::uncertain(error.without_url()),
    }
}

fn refused(status: StatusCode, words: String) -> FlushError {
    let answer = format!("{status}: {words}");
    match status.as_u16() {
        // Overloaded.
        429 | 503 => FlushError::unavailable(answer),
        // The login or the URL is wrong, or the service has moved: somebody has to put it right.
        300..=399 | 401 | 403 | 404 | 405 | 407 | 410 => FlushError::unavailable(answer),
        // Some event is bad, or there are too many of them.
        400 | 413 | 422 => FlushError::divisible(answer),
        _ => FlushError::uncertain(answer),
    }
}

/// In seconds. A date is left to the backoff.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}
