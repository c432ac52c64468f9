//! What becomes of the lines of a batch, by the server's answer.

mod scripted_server;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buffer_core::{Batch, Buffer, DropReason, Flush, FlushError, Ledger, async_trait};
use buffer_influx::{Client, Dialect, Encoder, InfluxSink, Line, Point, RejectedLine, V1, Writer};
use scripted_server::{ScriptedServer, Step, json, no_content};

/// The lines `m v=0i 0`, `m v=1i 1` and so on, written in one batch.
const LINES: i64 = 5;

/// For a server that says nothing; elsewhere a machine that is busy must not pass for one.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(60);

fn buffer(url: &str, request_timeout: Duration) -> Buffer<Line> {
    let client = Client::builder(url, V1::new("db"))
        .request_timeout(request_timeout)
        .build()
        .expect("valid settings");
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| {
            buffer
                .partitions(1)
                .retries(2)
                .backoff(Duration::from_millis(1), Duration::from_millis(1))
                .flush_timeout(2 * LONG)
                .drain_timeout(Duration::from_millis(200))
        })
        .build(InfluxSink::new(client))
        .expect("valid settings");
    writer.buffer().clone()
}

async fn fill(buffer: &Buffer<Line>) {
    let encoder = Encoder::new(Dialect::Influx1);
    for index in 0..LINES {
        let point = Point::new("m").field("v", index).timestamp_ns(index);
        let line = encoder.encode(&point).expect("a valid point");
        buffer.insert(line).await.expect("an open buffer");
    }
}

/// The ledger after one batch was settled, and the number of requests that took.
async fn settled(script: impl IntoIterator<Item = Step>) -> (Ledger, usize) {
    let script: Vec<Step> = script.into_iter().collect();
    let is_silent = script.iter().any(|step| matches!(step, Step::Silence));
    let server = ScriptedServer::new(script);
    let buffer = buffer(&server.url, if is_silent { SHORT } else { LONG });
    fill(&buffer).await;
    buffer.flush().await;
    (buffer.ledger(), server.requests_left())
}

#[tokio::test]
async fn a_write_that_is_carried_out_delivers_the_batch_in_one_request() {
    let (ledger, requests) = settled([no_content()]).await;
    assert_eq!((ledger.delivered, ledger.dropped.total(), requests), (5, 0, 1));
}

#[tokio::test]
async fn a_partial_write_drops_the_named_lines_and_delivers_the_others() {
    let body = r#"{"error":"partial write: unable to parse 'm v=1i 1': missing fields\nunable to parse 'm v=3i 3': invalid field format dropped=0"}"#;
    let (ledger, requests) = settled([json(400, "", body)]).await;
    assert_eq!(
        (
            ledger.delivered,
            ledger.dropped.count(DropReason::Rejected),
            requests
        ),
        (3, 2, 1)
    );
}

#[tokio::test]
async fn a_refusal_without_a_name_is_divided_down_to_the_guilty_line() {
    for (status, body) in [
        (400, r#"{"error":"field type conflict"}"#),
        (400, r#"{"error":"unable to parse 'what was never sent': no"}"#),
        (413, r#"{"error":"Request Entity Too Large"}"#),
        (422, r#"{"code":"unprocessable entity","message":"no"}"#),
    ] {
        let no = || json(status, "", body);
        // All five, 0 1, 2 3 4, 2, 3 4, 3, 4: the guilty line is the fourth.
        let script = [no(), no_content(), no(), no_content(), no(), no(), no_content()];
        let (ledger, requests) = settled(script).await;
        assert_eq!(
            (
                ledger.delivered,
                ledger.dropped.count(DropReason::Rejected),
                requests
            ),
            (4, 1, 7),
            "{status} {body}"
        );
    }
}

#[tokio::test]
async fn a_partial_write_that_names_no_line_is_divided_down_to_the_guilty_line() {
    for reason in [
        r#"field type conflict: input field \"v\" on measurement \"m\" is type integer, already exists as type float dropped=1"#,
        "points beyond retention policy dropped=1",
    ] {
        let body = format!(r#"{{"error":"partial write: {reason}"}}"#);
        let no = || json(400, "", &body);
        // As above, though the others of each part are stored already.
        let script = [no(), no_content(), no(), no_content(), no(), no(), no_content()];
        let (ledger, requests) = settled(script).await;
        let rejected = ledger.dropped.count(DropReason::Rejected);
        assert_eq!((ledger.delivered, rejected, requests), (4, 1, 7), "{reason}");
    }
}

#[tokio::test]
async fn a_partial_write_that_names_some_of_its_lines_drops_these_and_divides_the_rest() {
    let body = r#"{"error":"partial write: unable to parse 'm v=1i 1': missing fields dropped=1"}"#;
    let (ledger, requests) = settled([json(400, "", body)]).await;
    let rejected = ledger.dropped.count(DropReason::Rejected);
    assert_eq!((ledger.delivered, rejected, requests), (4, 1, 2));
}

/// What was found out before an answer is lost is kept: the lines that are stored are not written again.
#[tokio::test]
async fn a_search_that_is_cut_off_goes_on_with_what_is_left() {
    let no = || {
        json(
            400,
            "",
            r#"{"error":"partial write: points beyond retention policy dropped=1"}"#,
        )
    };
    // All five, 0 1, 2 3 4 without an answer; then 2, 3 4, 3, 4: the guilty line is the fourth.
    let script = [
        no(),
        no_content(),
        Step::Silence,
        no_content(),
        no(),
        no(),
        no_content(),
    ];
    let server = ScriptedServer::new(script);
    let buffer = buffer(&server.url, SHORT);
    fill(&buffer).await;
    buffer.flush().await;
    let ledger = buffer.ledger();
    let rejected = ledger.dropped.count(DropReason::Rejected);
    assert_eq!((ledger.delivered, rejected, ledger.retried), (4, 1, 3));
    let bodies: Vec<String> = (0..7).map(|_| server.request().body).collect();
    assert_eq!(bodies[3], "m v=2i 2\n");
    assert_eq!(bodies[6], "m v=4i 4\n");
    assert_eq!(server.requests_left(), 0);
}

/// The ledger after a batch of 64 lines, two of which the server does not take and does not name, and which gives `cut` after every few
/// answers.
async fn settled_though_cut_off(bad: [i64; 2], answers: usize, cut: Step) -> Ledger {
    let answered = AtomicUsize::new(0);
    let server = ScriptedServer::by(move |request| {
        if answered.fetch_add(1, Relaxed) % (answers + 1) == answers {
            return cut.clone();
        }
        match request
            .body
            .lines()
            .filter(|line| line.starts_with("bad"))
            .count()
        {
            0 => no_content(),
            bad => json(
                400,
                "",
                &format!(r#"{{"error":"partial write: points beyond retention policy dropped={bad}"}}"#),
            ),
        }
    });
    let client = Client::builder(&server.url, V1::new("db"))
        .build()
        .expect("valid settings");
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| {
            buffer
                .partitions(1)
                .batch_size(64)
                .retries(3)
                .backoff(Duration::from_millis(1), Duration::from_millis(1))
                .flush_timeout(SHORT)
        })
        .build(InfluxSink::new(client))
        .expect("valid settings");
    for index in 0..64 {
        let name = if bad.contains(&index) { "bad" } else { "m" };
        let point = Point::new(name).field("v", index).timestamp_ns(index);
        writer.write(point).await.expect("an open buffer");
    }
    writer.flush_within(LONG).await;
    writer.buffer().ledger()
}

/// No line would be settled before the seventh answer, wherever the search begins.
#[tokio::test]
async fn a_search_for_which_one_attempt_is_too_short_goes_on_in_the_next() {
    for bad in [[0, 1], [44, 45], [0, 40]] {
        let ledger = settled_though_cut_off(bad, 3, Step::Silence).await;
        let rejected = ledger.dropped.count(DropReason::Rejected);
        assert_eq!((ledger.delivered, rejected), (62, 2), "{bad:?}: {ledger}");
    }
}

/// It spends no retry, so nothing else would end it.
#[tokio::test]
async fn a_search_that_a_rate_limit_cuts_off_comes_to_an_end() {
    let limit = json(429, "Retry-After: 0\r\n", "{}");
    for cut in [limit, Step::HangUp] {
        let ledger = settled_though_cut_off([0, 44], 4, cut).await;
        let rejected = ledger.dropped.count(DropReason::Rejected);
        assert_eq!((ledger.delivered, rejected), (62, 2), "{ledger}");
    }
}

/// Keeps the lines and the server's words.
#[derive(Clone, Default)]
struct Graveyard(Arc<Mutex<Vec<(String, RejectedLine)>>>);

#[async_trait]
impl Flush<Line> for Graveyard {
    async fn flush(&self, batch: &mut Batch<Line>) -> Result<(), FlushError> {
        let mut buried = self.0.lock().expect("no panic");
        for (index, line) in batch.iter().enumerate() {
            let cause = batch
                .drop_cause(index)
                .and_then(|cause| cause.downcast_ref::<RejectedLine>());
            buried.push((line.to_string(), cause.expect("a report").clone()));
        }
        Ok(())
    }
}

/// The ledger after one batch was refused with `body`, and what its dead-letter sink got.
async fn buried(body: &str) -> (Ledger, Vec<(String, RejectedLine)>) {
    let server = ScriptedServer::new([json(400, "", body)]);
    let client = Client::builder(&server.url, V1::new("db"))
        .build()
        .expect("valid settings");
    let graveyard = Graveyard::default();
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| buffer.partitions(1).dead_letters(graveyard.clone()))
        .build(InfluxSink::new(client))
        .expect("valid settings");
    fill(writer.buffer()).await;
    let ledger = writer.close().await.ledger;
    let buried = std::mem::take(&mut *graveyard.0.lock().expect("no panic"));
    (ledger, buried)
}

#[tokio::test]
async fn the_dead_letter_sink_gets_the_lines_with_the_server_s_own_words() {
    let body = r#"{"error":"partial write: unable to parse 'm v=1i 1': missing fields\nunable to parse 'm v=3i 3': invalid field format dropped=0"}"#;
    let (ledger, buried) = buried(body).await;
    assert_eq!((ledger.delivered, ledger.dead_lettered), (3, 2));
    let told: Vec<String> = buried
        .iter()
        .map(|(line, cause)| format!("{line}: {cause}"))
        .collect();
    assert_eq!(
        told,
        [
            "m v=1i 1: line 2 of 5 was refused with status 400: missing fields",
            "m v=3i 3: line 4 of 5 was refused with status 400: invalid field format",
        ]
    );
}

/// It has failed on a copy for each line: thousands of them, of a message that may be long.
#[tokio::test]
async fn lines_that_are_refused_together_share_the_server_s_words() {
    let body = r#"{"error":"partial write: points beyond retention policy dropped=5"}"#;
    let (ledger, buried) = buried(body).await;
    assert_eq!(ledger.dead_lettered, 5);
    let first = buried[0].1.reason();
    assert!(
        buried
            .iter()
            .all(|(_, cause)| std::ptr::eq(cause.reason(), first))
    );
}

#[tokio::test]
async fn when_all_lines_are_unreadable_all_are_dropped_by_name() {
    let named: Vec<String> = (0..LINES)
        .map(|index| format!("unable to parse 'm v={index}i {index}': no"))
        .collect();
    let body = format!(r#"{{"error":"{}"}}"#, named.join("\\n"));
    let (ledger, requests) = settled([json(400, "", &body)]).await;
    assert_eq!((ledger.dropped.count(DropReason::Rejected), requests), (5, 1));
}

#[tokio::test]
async fn lines_that_were_not_stored_because_of_unreadable_ones_are_written_again_without_them() {
    let server = ScriptedServer::new([json(400, "", r#"{"error":"unable to parse 'm v=0i 0': no"}"#)]);
    let buffer = buffer(&server.url, LONG);
    fill(&buffer).await;
    buffer.flush().await;
    let ledger = buffer.ledger();
    assert_eq!(
        (ledger.delivered, ledger.dropped.count(DropReason::Rejected)),
        (4, 1)
    );
    server.request();
    assert_eq!(server.request().body, "m v=1i 1\nm v=2i 2\nm v=3i 3\nm v=4i 4\n");
}

#[tokio::test]
async fn a_failed_server_is_tried_again_up_to_the_retries() {
    let failure = json(500, "", r#"{"error":"[shard 7] index out of range"}"#);
    for failure in [failure, json(501, "", r#"{"error":"not implemented"}"#)] {
        let (ledger, requests) = settled([failure.clone(), failure.clone()]).await;
        assert_eq!((ledger.delivered, requests), (5, 3), "{failure:?}");
        let (ledger, requests) = settled(vec![failure.clone(); 3]).await;
        let exhausted = ledger.dropped.count(DropReason::RetriesExhausted);
        assert_eq!((exhausted, requests), (5, 3), "{failure:?}");
    }
}

/// What is missing of it may have said that lines were dropped.
#[tokio::test]
async fn a_success_whose_body_is_lost_is_written_again() {
    for status in [200, 201, 204] {
        let cut = format!("HTTP/1.1 {status} Something\r\nContent-Length: 100\r\n\r\n");
        let (ledger, requests) = settled([Step::AnswerAndHangUp(cut)]).await;
        // A 204 has no body, whatever its header says.
        let expected = if status == 204 { 1 } else { 2 };
        assert_eq!((ledger.delivered, requests), (5, expected), "{status}");
    }
}

/// What is missing of it may have said that no line is to blame.
#[tokio::test]
async fn a_refusal_whose_words_are_lost_costs_no_line() {
    for words in [
        r#"{"error":""#,
        r#"{"error":"data"#,
        r#"{"error":"invalid char"#,
        r#"{"error":"partial write: write /data/d"#,
        r#"{"code":"invalid","message":"failed to parse line protocol: error parsing line 1 (1-based): "#,
    ] {
        let cut = format!("HTTP/1.1 400 Something\r\nContent-Length: 500\r\n\r\n{words}");
        let (ledger, requests) = settled(vec![Step::AnswerAndHangUp(cut); 3]).await;
        assert_eq!((ledger.delivered, requests), (5, 4), "{words}");
    }
    // The header has them all.
    let body = r#"{"error":"partial write: unable to parse 'm v=1i 1': no dropped=0"}"#;
    let header = "X-Influxdb-Error: partial write: unable to parse 'm v=1i 1': no dropped=0\r\n";
    for (header, body) in [(header, "{"), ("", body)] {
        let cut = format!("HTTP/1.1 400 Something\r\n{header}Content-Length: 500\r\n\r\n{body}");
        let (ledger, requests) = settled([Step::AnswerAndHangUp(cut)]).await;
        assert_eq!((ledger.delivered, requests), (4, 1), "{header}");
    }
}

/// More of each answer than there are retries, and the batch is still delivered.
#[tokio::test]
async fn an_outage_or_a_wrong_set_up_holds_the_batch_for_as_long_as_it_lasts() {
    for step in [
        json(503, "", "request throttled, queue full\n"),
        json(429, "Retry-After: 0\r\n", "{}"),
        json(502, "", "<html>"),
        json(500, "", "<html>"),
        json(408, "", "<html>"),
        json(521, "", "<html>"),
        json(402, "", ""),
        json(501, "", ""),
        json(
            401,
            "Www-Authenticate: Basic\r\n",
            r#"{"error":"authorization failed"}"#,
        ),
        json(
            403,
            "",
            r#"{"error":"\"w\" user is not authorized to write to database \"db\""}"#,
        ),
        json(404, "", r#"{"error":"database not found: \"db\""}"#),
        json(404, "", "404 page not found"),
        json(
            400,
            "",
            r#"{"error":"invalid character in database name: must be ASCII, containing only letters, numbers, underscores, or hyphens","data":null}"#,
        ),
        json(
            422,
            "",
            r#"{"error":"Adding a new database would exceed limit of 5 databases","data":null}"#,
        ),
        json(
            400,
            "",
            r#"{"code":"invalid","message":"Please provide either orgID or org"}"#,
        ),
        json(
            400,
            "",
            r#"{"error": "Authorization header was malformed, the request was not in the form of 'Authorization: <auth-scheme> <token>'"}"#,
        ),
        json(500, "", r#"{"error":"retention policy not found: nope"}"#),
        // A gateway's way to say that all is well.
        json(200, "", r#"{"code":"0","message":"ok"}"#),
        json(400, "", "Client sent an HTTP request to an HTTPS server."),
        json(301, "Location: https://example.org/\r\n", ""),
        json(
            406,
            "",
            r#"{"error":"Content-Type header is not supported","status":406}"#,
        ),
        json(405, "", r#"{"error":"Method Not Allowed"}"#),
        json(400, "", r#"{"message":"Bad Request"}"#),
        json(
            400,
            "",
            r#"{"statusCode":400,"error":"Bad Request","message":"the body is not JSON"}"#,
        ),
        json(
            400,
            "",
            r#"{"error":"Bad Request","status":400,"timestamp":"2026-01-01T00:00:00Z","path":"/write"}"#,
        ),
        json(200, "", "<html>It works!</html>"),
        json(200, "", r#"{"status":"ok"}"#),
        json(
            500,
            "",
            r#"{"error":"engine: cache-max-memory-size exceeded: (2250/2000)"}"#,
        ),
        // Something in between has cut the body, or unpacked it.
        json(400, "", r#"{"error":"unexpected EOF"}"#),
        json(400, "", r#"{"error":"gzip: invalid header"}"#),
        json(400, "", r#"{"error":"flate: corrupt input before offset 48"}"#),
        json(400, "", r#"{"error":"invalid byte in chunk length"}"#),
        json(
            500,
            "",
            r#"{"code":"internal error","message":"unable to read data: unexpected EOF"}"#,
        ),
        json(
            400,
            "",
            r#"{"code":"invalid","message":"writing requires points"}"#,
        ),
        // An identity server's.
        json(
            400,
            "",
            r#"{"error":"invalid_request","error_description":"no such client"}"#,
        ),
        Step::AnswerAndHangUp("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}".to_owned()),
        Step::Silence,
    ] {
        let (ledger, requests) = settled(vec![step.clone(); 5]).await;
        assert_eq!((ledger.delivered, requests), (5, 6), "{step:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_or_speaks_no_http_holds_the_batch_for_as_long_as_it_does() {
    for step in [
        // A proxy in front of a server that is down.
        Step::HangUp,
        // A server behind TLS that is asked without.
        Step::AnswerAndHangUp("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}F".to_owned()),
        Step::AnswerAndHangUp("SSH-2.0-OpenSSH_9\r\n".to_owned()),
    ] {
        // Each attempt takes two requests, as the connection might have been an old one.
        let (ledger, requests) = settled(vec![step.clone(); 10]).await;
        assert_eq!((ledger.delivered, requests), (5, 11), "{step:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_drops_nothing() {
    let buffer = buffer("http://127.0.0.1:1", LONG);
    fill(&buffer).await;
    let summary = buffer.close().await;
    assert_eq!((summary.ledger.dropped.total(), summary.ledger.returned), (0, 5));
    assert_eq!(summary.undelivered.first().map(Line::as_str), Some("m v=0i 0"));
}
