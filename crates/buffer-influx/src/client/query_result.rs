//! The results of a query, as the server's JSON has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer to a query: a result for each of its statements.
///
/// # Examples
///
/// ```
/// use buffer_influx::QueryResults;
///
/// let json = r#"{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[[9,1.5]]}]}]}"#;
/// let results: QueryResults = serde_json::from_str(json)?;
/// let series = results.series().next().ok_or("no series")?;
/// assert_eq!(series.column("v").collect::<Vec<_>>(), [1.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueryResults {
    /// One for each statement.
    #[serde(default)]
    pub results: Vec<QueryResult>,
    /// Why the query as a whole failed; the client turns this into an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// The result of one statement.
///
/// # Examples
///
/// ```
/// use buffer_influx::QueryResults;
///
/// fn warnings(results: &QueryResults) -> Vec<&str> {
///     let messages = results.results.iter().flat_map(|result| &result.messages);
///     messages.map(|message| message.text.as_str()).collect()
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueryResult {
    /// The statement's place in the query, from 0.
    #[serde(default)]
    pub statement_id: u64,
    /// The series that were found; empty if there are none, or if the statement is of a kind that finds none.
    #[serde(default)]
    pub series: Vec<QuerySeries>,
    /// What else the server has to say, such as a warning.
    #[serde(default)]
    pub messages: Vec<QueryMessage>,
    /// Whether the server has left out more that would follow.
    #[serde(default)]
    pub partial: bool,
    /// Why the statement failed; the client turns this into an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// The rows of one series.
///
/// # Examples
///
/// ```
/// use buffer_influx::QuerySeries;
///
/// /// The greatest value of a column.
/// fn greatest(series: &QuerySeries, column: &str) -> Option<f64> {
///     series.column(column).filter_map(|value| value.as_f64()).reduce(f64::max)
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuerySeries {
    /// The measurement.
    #[serde(default)]
    pub name: String,
    /// The tags that the query groups by.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The names of the columns.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The rows, each with a value for each column.
    #[serde(default)]
    pub values: Vec<Vec<Value>>,
    /// Whether the server has left out more rows that would follow.
    #[serde(default)]
    pub partial: bool,
}

/// What else the server has to say.
///
/// # Examples
///
/// ```
/// use buffer_influx::QueryMessage;
///
/// let message: QueryMessage = serde_json::from_str(r#"{"level":"warning","text":"deprecated"}"#)?;
/// assert_eq!(message.level, "warning");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueryMessage {
    /// Its level, such as `warning`.
    #[serde(default)]
    pub level: String,
    /// The server's words.
    #[serde(default)]
    pub text: String,
}

/// What a body must have to be the answer to a query.
#[derive(Deserialize)]
struct Parts {
    results: Option<Vec<QueryResult>>,
    error: Option<String>,
}

impl QueryResults {
    /// Reads a body. Another server's JSON is none, unless the server is known by its signature: InfluxDB answers `{}` to no statement.
    pub(crate) fn of(body: &str, is_signed: bool) -> Option<Self> {
        let Parts { results, error } = serde_json::from_str(body).ok()?;
        let is_answer = is_signed || results.is_some() || error.is_some();
        is_answer.then(|| Self {
            results: results.unwrap_or_default(),
            error,
        })
    }

    /// The series of all statements.
    pub fn series(&self) -> impl Iterator<Item = &QuerySeries> {
        self.results.iter().flat_map(|result| &result.series)
    }
}

impl QueryResult {
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

impl QuerySeries {
    /// The values of the column `name`, row by row; nothing if there is no such column.
    pub fn column(&self, name: &str) -> impl Iterator<Item = &Value> {
        let index = self.columns.iter().position(|column| column == name);
        self.values.iter().filter_map(move |row| row.get(index?))
    }
}
