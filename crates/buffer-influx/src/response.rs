//! Says what a server's answer to a write means.

pub(crate) mod answer_body;
mod kind;
pub(crate) mod named_lines;
pub(crate) mod refusal;

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde::de::IgnoredAny;

use crate::connections::{Answer, End};
use crate::response::answer_body::AnswerBody;
use crate::response::kind::{Evidence, kind, split_dropped};
use crate::response::refusal::{Refusal, RefusalKind};

/// In which InfluxDB says its version.
pub(crate) const VERSION_HEADER: &str = "x-influxdb-version";

/// In which InfluxDB repeats its words.
pub(crate) const ERROR_HEADER: &str = "x-influxdb-error";

/// A year: nobody waits for longer, and later moments can't be expressed on every system.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Refusal {
    /// What an answer to a write means that did not come through a [`Client`](crate::Client); none if the lines are taken.
    ///
    /// `retry_after` is the header of that name. A `status` that is no HTTP status counts as 500.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::{Refusal, RefusalKind};
    ///
    /// assert!(Refusal::from_answer(204, None, "").is_none());
    /// let body = r#"{"error":"partial write: points beyond retention policy dropped=2"}"#;
    /// let refusal = Refusal::from_answer(400, None, body).ok_or("taken")?;
    /// assert_eq!(refusal.kind(), RefusalKind::PartialWrite);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn from_answer(status: u16, retry_after: Option<&str>, body: &str) -> Option<Self> {
        let mut headers = HeaderMap::new();
        if let Some(Ok(after)) = retry_after.map(HeaderValue::from_str) {
            headers.insert(RETRY_AFTER, after);
        }
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers,
            body: body.to_owned(),
            end: End::Whole,
        };
        judge(&answer).err()
    }
}

/// Judges an answer to a write, the body before the status: InfluxDB answers a missing retention policy with 500, and a
/// partial write with 400, 422 or 500.
pub(crate) fn judge(answer: &Answer) -> Result<(), Refusal> {
    // No server of this protocol says anything about a write that it has carried out.
    if answer.status.is_success() && answer.body.trim().is_empty() {
        return Ok(());
    }
    let AnswerBody {
        message,
        has_code,
        named,
        version: _,
    } = AnswerBody::of(&answer.body);
    let words = influx_words(answer, message);
    let in_form = words.is_some();
    let message = words.unwrap_or_else(|| other_words(answer));
    let evidence = Evidence {
        status: answer.status,
        message: &message,
        in_form,
        is_signed: answer.headers.contains_key(VERSION_HEADER),
        has_code,
        names_lines: !named.is_empty(),
    };
    let Some(kind) = kind(&evidence) else {
        tracing::warn!(%message, "the lines are taken, with a reservation of the server's");
        return Ok(());
    };
    let dropped = split_dropped(&message).1;
    // The words of another server are not shown: an echo holds the whole request, with the login in its header.
    let is_foreign = answer.status.is_success() && kind == RefusalKind::Misconfigured;
    let message = match is_foreign {
        true => "the answer is not what InfluxDB answers to a write; check the URL".to_owned(),
        false => message,
    };
    Err(Refusal {
        kind,
        status: answer.status.as_u16(),
        message,
        retry_after: retry_after(answer),
        named,
        dropped,
    })
}

/// Whether an answer says what it means though the connection was lost before the end of its body: in the header, or in a body that is
/// whole all the same, or because no line is to blame whatever follows.
pub(crate) fn is_clear(answer: &Answer) -> bool {
    let is_whole = || {
        answer.headers.contains_key(ERROR_HEADER) || serde_json::from_str::<IgnoredAny>(&answer.body).is_ok()
    };
    let is_blameless = |refusal: &Refusal| {
        !matches!(
            refusal.kind,
            RefusalKind::PartialWrite | RefusalKind::Unreadable | RefusalKind::Rejected | RefusalKind::Failed
        )
    };
    !answer.status.is_success() && (is_whole() || judge(answer).is_err_and(|refusal| is_blameless(&refusal)))
}

/// The server's words: from the JSON body, otherwise from the header in which InfluxDB repeats them, otherwise the body as it is.
pub(crate) fn message(answer: &Answer) -> String {
    let message = AnswerBody::of(&answer.body).message;
    influx_words(answer, message).unwrap_or_else(|| other_words(answer))
}

/// The words in InfluxDB's own form: `message`, if the body has it, or what the header repeats of it. The longer of the two, as either
/// may have been cut; otherwise the body's, as the header has spaces for its line breaks.
fn influx_words(answer: &Answer, message: Option<String>) -> Option<String> {
    let header = answer.headers.get(ERROR_HEADER);
    let repeated = header.map(|words| String::from_utf8_lossy(words.as_bytes()).into_owned());
    repeated.into_iter().chain(message).max_by_key(String::len)
}

fn other_words(answer: &Answer) -> String {
    match answer.body.trim() {
        "" => answer
            .status
            .canonical_reason()
            .unwrap_or("no reason given")
            .to_owned(),
        body => body.to_owned(),
    }
}

/// In seconds or as a date. A date that has passed asks for nothing.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let after = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !after.is_empty() && after.bytes().all(|byte| byte.is_ascii_digit()) {
        // Any number of digits is fine.
        return Some(Duration::from_secs(after.parse().unwrap_or(u64::MAX)).min(LONGEST_WAIT));
    }
    let date = httpdate::parse_http_date(after).ok()?;
    Some(
        date.duration_since(SystemTime::now())
            .unwrap_or_default()
            .min(LONGEST_WAIT),
    )
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Answer {
            status: StatusCode::from_u16(status).expect("a valid status"),
            headers: headers.collect::<HeaderMap>(),
            body: body.to_owned(),
            end: End::Whole,
        }
    }

    fn kind(status: u16, body: &str) -> Option<RefusalKind> {
        judge(&answer(status, &[], body))
            .err()
            .map(|refusal| refusal.kind())
    }

    #[test]
    fn the_answers_of_real_servers_are_understood() {
        use RefusalKind::*;
        let rows = [
            (204, "", None),
            (
                400,
                r#"{"error":"unable to parse 'bad': missing fields"}"#,
                Some(Unreadable),
            ),
            (
                400,
                r#"{"error":"partial write: unable to parse 'bad': missing fields dropped=0"}"#,
                Some(PartialWrite),
            ),
            (
                400,
                r#"{"error":"partial write: field type conflict: input field \"v\" on measurement \"tc\" is type integer, already exists as type float dropped=2"}"#,
                Some(PartialWrite),
            ),
            (
                400,
                r#"{"error":"partial write: points beyond retention policy dropped=2"}"#,
                Some(PartialWrite),
            ),
            (400, r#"{"error":"field type conflict"}"#, Some(Rejected)),
            (
                404,
                r#"{"error":"database not found: \"nodb\""}"#,
                Some(DatabaseNotFound),
            ),
            (400, r#"{"error":"database is required"}"#, Some(Misconfigured)),
            (
                500,
                r#"{"error":"retention policy not found: nope"}"#,
                Some(Misconfigured),
            ),
            (
                400,
                r#"{"error":"invalid consistency level"}"#,
                Some(Misconfigured),
            ),
            (401, r#"{"error":"authorization failed"}"#, Some(Unauthorized)),
            (
                403,
                r#"{"error":"\"w\" user is not authorized to write to database \"t2\""}"#,
                Some(Unauthorized),
            ),
            (413, r#"{"error":"Request Entity Too Large"}"#, Some(TooLarge)),
            (500, "max request size (1048576 bytes) exceeded", Some(TooLarge)),
            (503, "request throttled, queue full", Some(Busy)),
            (
                500,
                r#"{"error":"engine: cache-max-memory-size exceeded: (2250/2000)"}"#,
                Some(Busy),
            ),
            (500, r#"{"error":"timeout"}"#, Some(Busy)),
            (
                500,
                r#"{"code":"internal error","message":"unexpected error writing points to database: timeout"}"#,
                Some(Busy),
            ),
            (
                500,
                r#"{"error":"[shard 7] write /data/wal/7/_00001.wal: no space left on device"}"#,
                Some(Busy),
            ),
            (500, r#"{"error":"[shard 7] engine is closed"}"#, Some(Busy)),
            (500, r#"{"error":"[shard 7] timeout of no kind"}"#, Some(Failed)),
            (
                400,
                r#"{"error":"partial write: shard 1 is pending deletion dropped=100"}"#,
                Some(Busy),
            ),
            (500, r#"{"error":"shard is being deleted"}"#, Some(Busy)),
            (
                500,
                r#"{"error":"[shard 38] open /data/d/autogen/38/fields.idx: too many open files"}"#,
                Some(Busy),
            ),
            (
                500,
                r#"{"error":"[shard 38] mmap: cannot allocate memory"}"#,
                Some(Busy),
            ),
            (
                400,
                "Client sent an HTTP request to an HTTPS server.",
                Some(Misconfigured),
            ),
            (404, "404 page not found", Some(Misconfigured)),
            (500, r#"{"error":"write: hinted handoff queue not empty"}"#, None),
            (
                400,
                r#"{"error":"invalid character in database name: must be ASCII, containing only letters, numbers, underscores, or hyphens","data":null}"#,
                Some(Misconfigured),
            ),
            (
                400,
                r#"{"error":"invalid character in database or rp name: must be ASCII, containing only letters, numbers, underscores, or hyphens","data":null}"#,
                Some(Misconfigured),
            ),
            (
                400,
                r#"{"error":"db name did not start with a number or letter","data":null}"#,
                Some(Misconfigured),
            ),
            (
                400,
                r#"{"error":"db name too long: max 64","data":null}"#,
                Some(Misconfigured),
            ),
            (
                422,
                r#"{"error":"Adding a new database would exceed limit of 5 databases","data":null}"#,
                Some(Misconfigured),
            ),
            (
                400,
                r#"{"code":"invalid","message":"Please provide either orgID or org"}"#,
                Some(Misconfigured),
            ),
            (
                400,
                r#"{"error": "Authorization header was malformed, the request was not in the form of 'Authorization: <auth-scheme> <token>', supported auth-schemes are Bearer, Token and Basic"}"#,
                Some(Unauthorized),
            ),
            (
                400,
                "cannot process influx line protocol data: too long line: more than 262144 bytes",
                Some(Rejected),
            ),
            (
                400,
                "remoteAddr: \"127.0.0.1:51544\"; requestURI: /write; cannot read influx line protocol data: too long line: more than 262144 bytes",
                Some(Rejected),
            ),
            (
                400,
                r#"{"error":"partial write: write /data/d/_series/03/0000: no space left on device dropped=400"}"#,
                Some(Busy),
            ),
            (
                400,
                r#"{"error":"partial write: field type conflict: input field \"no space left on device\" on measurement \"m\" is type float, already exists as type integer dropped=1"}"#,
                Some(PartialWrite),
            ),
            (
                500,
                "write buffer error: error from wal: object store error: No space left on device (os error 28)",
                Some(Busy),
            ),
            (
                400,
                "remoteAddr: \"127.0.0.1:51544\"; requestURI: /write; cannot process influx line protocol data: no fields",
                Some(Rejected),
            ),
            (
                503,
                "remoteAddr: \"127.0.0.1:51544\"; requestURI: /write; cannot process influx line protocol data: cannot store metrics: the storage is in read-only mode; check -storage.minFreeDiskSpaceBytes command-line flag value",
                Some(Busy),
            ),
            (
                503,
                "remoteAddr: \"127.0.0.1:51544\"; requestURI: /write; cannot process influx line protocol data: cannot process insert request for 60.000 seconds because 16 concurrent insert requests are executed",
                Some(Busy),
            ),
            (
                429,
                "cannot process influx line protocol data: remote storage systems cannot keep up with the data ingestion rate",
                Some(Busy),
            ),
            (
                500,
                r#"{"code":"internal error","message":"unexpected error writing points to database: field type conflict"}"#,
                Some(Rejected),
            ),
            (500, r#"{"error":"engine: field type conflict"}"#, Some(Rejected)),
            (200, " \n", None),
            (
                201,
                r#"{"code":"invalid","line":2,"message":"failed to parse line protocol: no"}"#,
                Some(PartialWrite),
            ),
            (200, "<html>It works!</html>", Some(Misconfigured)),
            (200, r#"{"error":"no such page"}"#, Some(Misconfigured)),
            (200, r#"{"message":"welcome"}"#, Some(Misconfigured)),
            (200, r#"{"code":"0","message":"ok"}"#, Some(Misconfigured)),
            (
                500,
                r#"{"code":"internal error","message":"failure writing points to database: partial write: points beyond retention policy dropped=5 for database: X for retention policy: autogen"}"#,
                Some(PartialWrite),
            ),
            (
                400,
                r#"{"error":"partial write: max-values-per-tag limit exceeded dropped=5 for retention policy: autogen"}"#,
                Some(PartialWrite),
            ),
            (
                406,
                r#"{"error":"Content-Type header [text/plain; charset=utf-8] is not supported","status":406}"#,
                Some(Misconfigured),
            ),
            (
                415,
                r#"{"error":"bad_content_type","reason":"Content-Type must be application/json"}"#,
                Some(Misconfigured),
            ),
            (400, r#"{"message":"Bad Request"}"#, Some(Misconfigured)),
            (
                400,
                r#"{"code":"invalid","line":2,"message":"failed to parse line protocol: errors encountered on line(s):\nerror parsing line 2 (1-based): invalid column type for column 'too many open files', expected i64"}"#,
                Some(Unreadable),
            ),
            (
                400,
                r#"{"code":"invalid","line":2,"message":"failed to parse line protocol: error parsing line 2 (1-based): invalid column type for column 'partial write', expected i64"}"#,
                Some(Unreadable),
            ),
            (
                422,
                r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: points beyo"#,
                Some(PartialWrite),
            ),
            (
                400,
                r#"{"code":"invalid","message":"unable to parse 'm v=\"a\n"#,
                Some(Unreadable),
            ),
            (
                400,
                r#"{"code":"invalid","line":2,"message":"failed to parse line protocol: errors encountered on line(s):\nerror parsing line 2 (1-based): Invalid measurement was provided"}"#,
                Some(Unreadable),
            ),
            (
                201,
                r#"{"code":"invalid","line":2,"message":"failed to parse line protocol: error parsing line 2 (1-based): no"}"#,
                Some(PartialWrite),
            ),
            (
                400,
                r#"{"error":"cannot write to soft-deleted database 'db'"}"#,
                Some(Misconfigured),
            ),
            (
                500,
                "write buffer error: cannot write to a read-only server",
                Some(Misconfigured),
            ),
            (503, "write buffer error: the buffer is full", Some(Busy)),
            (500, "write buffer error: error from wal: no", Some(Failed)),
            (500, "<html>500 Internal Server Error</html>", Some(Misconfigured)),
            (
                500,
                "write buffer error: cannot write to a compactor-only server",
                Some(Misconfigured),
            ),
            (
                400,
                r#"{"code":"invalid","message":"write buffer error: error from wal: object store error"}"#,
                Some(Failed),
            ),
            (
                400,
                r#"{"code":"invalid","message":"write buffer error: catalog update error: Adding a new database would exceed limit of 5 databases"}"#,
                Some(Misconfigured),
            ),
            (
                400,
                r#"{"code":"invalid","message":"write buffer error: catalog update error: Update to schema would exceed number of columns per table limit of 500 columns"}"#,
                Some(Rejected),
            ),
            (
                400,
                r#"{"code":"invalid","message":"write buffer error: line protocol parse failed: no"}"#,
                Some(Rejected),
            ),
            (
                400,
                r#"{"code":"invalid","message":"write buffer error: parsing for line protocol failed"}"#,
                Some(Rejected),
            ),
            (
                400,
                r#"remoteAddr: "127.0.0.1:51544"; cannot process influx line protocol data: incorrect influx line "m v\nm s=\"database not found\" 1": no fields"#,
                Some(Rejected),
            ),
            (
                400,
                "cannot parse influx line protocol: no fields",
                Some(Rejected),
            ),
        ];
        for (status, body, expected) in rows {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn every_status_without_telling_words_has_its_kind() {
        use RefusalKind::*;
        for status in (300..600).filter(|status| StatusCode::from_u16(*status).is_ok()) {
            let (in_form, in_another) = match status {
                401 | 403 => (Unauthorized, Unauthorized),
                413 => (TooLarge, TooLarge),
                408 | 425 | 429 | 502 | 503 | 504 | 507 | 509 | 529 => (Busy, Busy),
                500..=599 => (Failed, Misconfigured),
                400 | 422 => (Rejected, Misconfigured),
                _ => (Misconfigured, Misconfigured),
            };
            assert_eq!(kind(status, r#"{"error":"no"}"#), Some(in_form), "{status}");
            for body in ["<html>", "", "{}", "no", r#"{"message":"no"}"#] {
                assert_eq!(kind(status, body), Some(in_another), "{status} {body}");
            }
        }
    }

    #[test]
    fn every_kind_of_refusal_says_what_to_do() {
        use RefusalKind::*;
        let rows = [
            (
                PartialWrite,
                (
                    400,
                    r#"{"error":"partial write: points beyond retention policy dropped=2"}"#,
                ),
                "400: partial write: points beyond retention policy dropped=2; the lines that it does not complain of are stored",
            ),
            (
                Unreadable,
                (400, r#"{"error":"unable to parse 'bad': missing fields"}"#),
                "400: unable to parse 'bad': missing fields; leave these lines out and write the others again",
            ),
            (
                DatabaseNotFound,
                (404, r#"{"error":"database not found: \"nodb\""}"#),
                "404: database not found: \"nodb\"; create the database, for instance with `create_database`, or correct its name",
            ),
            (
                Misconfigured,
                (404, "404 page not found"),
                "404: 404 page not found; check the URL, the target's names and the server's set-up; the lines are not to blame",
            ),
            (
                Unauthorized,
                (401, r#"{"error":"authorization failed"}"#),
                "401: authorization failed; check the user, the password and the user's grants",
            ),
            (
                TooLarge,
                (413, r#"{"error":"Request Entity Too Large"}"#),
                "413: Request Entity Too Large; write fewer lines at once, or raise the server's `max-body-size` or `max-http-request-size`",
            ),
            (
                Busy,
                (503, "queue full"),
                "503: queue full; write the lines again later",
            ),
            (
                Failed,
                (500, r#"{"error":"[shard 7] timeout of no kind"}"#),
                "500: [shard 7] timeout of no kind; see the server's log, and write the lines again later",
            ),
            (
                Rejected,
                (400, r#"{"error":"field type conflict"}"#),
                "400: field type conflict; look for the field with two types, or halve the lines until the guilty ones are found",
            ),
        ];
        for (kind, (status, body), text) in rows {
            let refusal = judge(&answer(status, &[], body)).expect_err("a refusal");
            assert_eq!(refusal.kind(), kind);
            assert_eq!(refusal.to_string(), format!("the server answered {text}"));
        }
    }

    /// Its own panics come as plain text.
    #[test]
    fn a_failure_in_any_words_is_the_server_s_own_if_the_answer_has_its_version() {
        let of_signed = |status| {
            let signed = [("x-influxdb-version", "1.6.7")];
            let refusal = judge(&answer(status, &signed, "Internal Server Error"));
            refusal.expect_err("a refusal").kind()
        };
        assert_eq!(of_signed(500), RefusalKind::Failed);
        assert_eq!(of_signed(404), RefusalKind::Misconfigured);
    }

    #[test]
    fn a_server_without_room_or_time_is_busy_whatever_it_calls_that() {
        for words in [
            "engine: cache-max-memory-size exceeded: (2250/2000)",
            "write /data/wal/_00001.wal: no space left on device",
            "error from wal: No space left on device (os error 28)",
            "write C:\\\\data\\\\_00001.wal: There is not enough space on the disk.",
            "write /data/wal/_00001.wal: disk quota exceeded",
            "open /data/wal/_00002.wal: read-only file system",
            "engine is closed",
            "store is closed",
            "shard is disabled",
        ] {
            for body in [
                format!(r#"{{"error":"[shard 7] {words}"}}"#),
                format!(r#"{{"error":"partial write: {words} dropped=4"}}"#),
            ] {
                for status in [400, 500] {
                    assert_eq!(kind(status, &body), Some(RefusalKind::Busy), "{status} {body}");
                }
            }
        }
    }

    #[test]
    fn words_in_the_page_of_another_server_mean_nothing() {
        for words in [
            "hinted handoff queue not empty",
            "partial write: no dropped=1",
            "unable to parse 'm",
            "database not found",
            "request too large",
            "points batch is too large",
            "max request size (",
            "field type conflict",
            "too long line",
            "cannot process influx line protocol",
            "no space left on device",
        ] {
            let page = format!("<html>POST /write m text=\"{words}\"</html>");
            for status in [400, 404, 405, 422, 500] {
                assert_eq!(kind(status, &page), Some(RefusalKind::Misconfigured), "{page}");
            }
            assert_eq!(kind(401, &page), Some(RefusalKind::Unauthorized), "{page}");
        }
    }

    #[test]
    fn words_inside_of_a_repeated_line_mean_nothing() {
        let body = r#"{"error":"unable to parse 'm v=\"partial write: database not found dropped=1': unbalanced quotes"}"#;
        assert_eq!(kind(400, body), Some(RefusalKind::Unreadable));
        let body = r#"{"error":"field \"db name \" has two types"}"#;
        assert_eq!(kind(400, body), Some(RefusalKind::Rejected));
    }

    #[test]
    fn a_partial_write_is_one_whatever_its_status() {
        for status in [400, 422, 500] {
            let body = r#"{"error":"partial write: points beyond retention policy dropped=1"}"#;
            assert_eq!(kind(status, body), Some(RefusalKind::PartialWrite));
        }
    }

    #[test]
    fn a_body_that_was_cut_still_tells_what_happened() {
        let headers = [("x-influxdb-error", "partial write: unable to parse 'bad': miss")];
        for (headers, message) in [(&headers[..], headers[0].1), (&[], "partial write: un")] {
            let refusal =
                judge(&answer(400, headers, r#"{"error":"partial write: un"#)).expect_err("a refusal");
            assert_eq!(
                (refusal.kind(), refusal.message()),
                (RefusalKind::PartialWrite, message)
            );
        }
    }

    /// A header has spaces for the line breaks of the words.
    #[test]
    fn of_words_that_stand_in_the_header_as_well_the_body_s_count() {
        let header = (
            "x-influxdb-error",
            "partial write: unable to parse 'm s=\"a b\" 1': no dropped=0",
        );
        let body = r#"{"error":"partial write: unable to parse 'm s=\"a\nb\" 1': no dropped=0"}"#;
        let refusal = judge(&answer(400, &[header], body)).expect_err("a refusal");
        assert_eq!(
            refusal.message(),
            "partial write: unable to parse 'm s=\"a\nb\" 1': no dropped=0"
        );
    }

    #[test]
    fn a_retry_after_is_read_in_seconds() {
        let after = |value| {
            judge(&answer(503, &[("retry-after", value)], "busy"))
                .expect_err("busy")
                .retry_after()
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("99999999999999999999"), Some(LONGEST_WAIT));
        assert_eq!(after(""), None);
        assert_eq!(after("-1"), None);
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn a_retry_after_is_read_as_a_date() {
        let after = |date: SystemTime| {
            let mut answer = answer(503, &[], "busy");
            let date = httpdate::fmt_http_date(date);
            answer
                .headers
                .insert("retry-after", date.parse().expect("a header"));
            judge(&answer).expect_err("busy").retry_after().expect("a delay")
        };
        let hour = Duration::from_secs(3_600);
        let delay = after(SystemTime::now() + hour);
        assert!(delay <= hour && delay > hour / 2, "{delay:?}");
        assert_eq!(after(SystemTime::now() - hour), Duration::ZERO);
    }

    #[test]
    fn a_long_message_is_cut_in_the_text_and_kept_in_the_refusal() {
        let refusal = judge(&answer(503, &[], &"x".repeat(5_000))).expect_err("busy");
        assert!(refusal.to_string().len() < 600);
        assert_eq!(refusal.message().len(), 5_000);
    }
}
