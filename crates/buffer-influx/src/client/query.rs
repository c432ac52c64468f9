//! Asks a server's database with InfluxQL.

use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode};

use crate::client::Client;
use crate::client::error::ClientError;
use crate::client::query_result::{QueryResult, QueryResults};
use crate::connections::{Answer, End};
use crate::response::{self, VERSION_HEADER};

/// How much of the answer to a query is read.
const QUERY_ANSWER_BYTES: usize = 64 * 1024 * 1024;

impl Client {
    /// Asks a query in InfluxQL that changes nothing, in the target's database.
    ///
    /// Times come as nanoseconds since 1970. The query goes to `/query` of every server: InfluxDB 2 asks the bucket that is mapped to
    /// a database of the bucket's name, and InfluxDB 3 takes InfluxQL there too. The query is part of the URL, so a proxy's log may
    /// show it; to avoid that, use [`post_query`](Client::post_query).
    ///
    /// # Errors
    ///
    /// A [`ClientError`], also if the server answers with success but a statement failed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O or time.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: buffer_influx::Client) -> Result<(), buffer_influx::ClientError> {
    /// for series in client.query("SELECT n FROM starts GROUP BY host").await?.series() {
    ///     println!("{:?} {:?}: {:?}", series.tags, series.columns, series.values);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn query(&self, query: &str) -> Result<QueryResults, ClientError> {
        let mut url = self.endpoint(&["query"]);
        url.query_pairs_mut()
            .append_pair("db", self.target().database())
            .append_pair("epoch", "ns")
            .append_pair("q", query);
        let request = self.pool()?.get(url);
        self.results(self.send(request, QUERY_ANSWER_BYTES).await?)
    }

    /// Sends a query in InfluxQL that may change something, in the target's database; otherwise like [`query`](Client::query).
    ///
    /// The query is in the body, where a proxy's log does not show it.
    ///
    /// # Errors
    ///
    /// As for [`query`](Client::query). After [`ClientError::Unconfirmed`] the query may have been carried out.
    ///
    /// # Panics
    ///
    /// As for [`query`](Client::query).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the query may or may not have been carried out.
    pub async fn post_query(&self, query: &str) -> Result<QueryResults, ClientError> {
        let mut url = self.endpoint(&["query"]);
        url.query_pairs_mut()
            .append_pair("db", self.target().database())
            .append_pair("epoch", "ns");
        let request = self.pool()?.post(url);
        self.send_form(request, query).await
    }

    /// Sends a query that is about the server as a whole.
    pub(crate) async fn post_query_without_database(&self, query: &str) -> Result<QueryResults, ClientError> {
        let request = self.pool()?.post(self.endpoint(&["query"]));
        self.send_form(request, query).await
    }

    /// Not sent again on another connection: it may have been carried out.
    async fn send_form(&self, request: RequestBuilder, query: &str) -> Result<QueryResults, ClientError> {
        let mut form = self.endpoint(&[]);
        form.query_pairs_mut().clear().append_pair("q", query);
        let request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned());
        self.results(self.send_once(request, QUERY_ANSWER_BYTES).await?)
    }

    /// A statement that fails is reported inside the results, with status 200.
    fn results(&self, answer: Answer) -> Result<QueryResults, ClientError> {
        let status = answer.status.as_u16();
        let refused = |message| ClientError::Refused { status, message };
        match answer.end {
            End::Whole => {}
            End::Cut => {
                return Err(ClientError::AnswerTooLarge {
                    most: QUERY_ANSWER_BYTES,
                });
            }
            End::Lost(error) => return Err(ClientError::Unconfirmed(error.into())),
        }
        if answer.status != StatusCode::OK {
            // Other successes repeat what they get, and were not cleaned.
            let mut message = response::message(&answer);
            self.remove_secrets(&mut message);
            return Err(refused(message));
        }
        let is_signed = answer.headers.contains_key(VERSION_HEADER);
        let Some(results) = QueryResults::of(&answer.body, is_signed) else {
            return Err(refused(
                "the answer is not what InfluxDB answers to a query; check the URL".to_owned(),
            ));
        };
        let errors = results.results.iter().filter_map(QueryResult::error);
        match results.error.as_deref().into_iter().chain(errors).next() {
            Some(error) => {
                let mut error = error.to_owned();
                self.remove_secrets(&mut error);
                Err(refused(error))
            }
            None => Ok(results),
        }
    }
}
