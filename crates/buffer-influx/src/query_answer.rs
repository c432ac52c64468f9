//! Says what a server's answer to a query means.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::connections::Answer;
use crate::response::{ErrorBody, message};

/// What the answer to a query means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum QueryAnswer {
    Done,
    Failed(String),
}

impl QueryAnswer {
    /// A statement that fails is reported inside of the results, with status 200.
    pub(crate) fn of(answer: &Answer) -> Self {
        if answer.status != StatusCode::OK {
            return Self::Failed(message(answer).into_owned());
        }
        let Ok(body) = serde_json::from_str::<QueryBody>(&answer.body) else {
            return Self::Failed(
                "the answer is not what InfluxDB answers to a query; check the URL".to_owned(),
            );
        };
        match body.results.into_iter().find_map(|result| result.error) {
            Some(error) => Self::Failed(error),
            None => Self::Done,
        }
    }
}

#[derive(Deserialize)]
struct QueryBody {
    results: Vec<ErrorBody>,
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::connections::End;

    #[test]
    fn a_query_fails_with_the_first_error_of_its_statements() {
        let of = |status, body: &str| {
            QueryAnswer::of(&Answer {
                status,
                headers: HeaderMap::new(),
                body: body.to_owned(),
                end: End::Whole,
            })
        };
        assert_eq!(
            of(StatusCode::OK, r#"{"results":[{"statement_id":0}]}"#),
            QueryAnswer::Done
        );
        let missing = r#"{"results":[{"statement_id":0,"error":"database not found: nodb"}]}"#;
        assert_eq!(
            of(StatusCode::OK, missing),
            QueryAnswer::Failed("database not found: nodb".to_owned())
        );
        assert_eq!(
            of(StatusCode::BAD_REQUEST, r#"{"error":"error parsing query"}"#),
            QueryAnswer::Failed("error parsing query".to_owned())
        );
        assert!(matches!(of(StatusCode::OK, "<html>"), QueryAnswer::Failed(_)));
    }
}
