//! One bad line costs itself, on every target: against servers that refuse lines in each of the documented ways.

mod refusing_server;
mod scripted_server;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buffer_core::{DropReason, Outcome, Settled};
use buffer_influx::{Client, InfluxSink, Line, Point, RejectedLine, Target, V1, V2, V3, Writer};
use refusing_server::{How, Refusing};
use scripted_server::ScriptedServer;

/// What was delivered, and what was rejected with which report.
#[derive(Default)]
struct Seen {
    delivered: HashSet<String>,
    rejected: Vec<(String, RejectedLine)>,
    otherwise: usize,
}

impl Seen {
    fn add(&mut self, settled: &Settled<'_, Line>) {
        for (index, line) in settled.items.iter().enumerate() {
            let cause = settled
                .cause(index)
                .and_then(|cause| cause.downcast_ref::<RejectedLine>());
            match (settled.outcome, cause) {
                (Outcome::Delivered, _) => {
                    self.delivered.insert(line.to_string());
                }
                (Outcome::Dropped(DropReason::Rejected), Some(cause)) => {
                    self.rejected.push((line.to_string(), cause.clone()))
                }
                _ => self.otherwise += 1,
            }
        }
    }
}

/// Writes `count` points, of which those in `bad` are bad, in one batch; checks that the bad ones and no others were rejected, each by
/// name, and that what is called delivered is stored. Returns the number of requests, and the reports.
async fn write(
    target: impl Into<Target>,
    how: How,
    count: usize,
    bad: impl Fn(usize) -> bool,
) -> (usize, Vec<RejectedLine>) {
    let refusing = Arc::new(Refusing {
        stored: Mutex::default(),
        how,
    });
    let server = ScriptedServer::by({
        let refusing = Arc::clone(&refusing);
        move |request| refusing.answer(request)
    });
    let client = Client::builder(&server.url, target)
        .build()
        .expect("valid settings");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| {
            let seen = Arc::clone(&seen);
            buffer
                .partitions(1)
                .batch_size(count)
                .retries(0)
                .backoff(Duration::from_millis(1), Duration::from_millis(1))
                .flush_interval(Duration::from_secs(60))
                .flush_jitter(Duration::ZERO)
                .on_outcome(move |settled| seen.lock().expect("no panic").add(settled))
        })
        .build(InfluxSink::new(client))
        .expect("valid settings");
    let mut guilty = HashSet::new();
    for n in 0..count {
        let field = if bad(n) { "bad" } else { "v" };
        let point = Point::new("m")
            .tag("t", "a b")
            .field(field, n as i64)
            .timestamp_ns(n as i64);
        if bad(n) {
            guilty.insert(format!(r"m,t=a\ b bad={n}i {n}"));
        }
        writer.write(point).await.expect("a good point");
    }
    writer.flush().await;

    let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    let named: HashSet<String> = seen.rejected.iter().map(|(line, _)| line.clone()).collect();
    assert_eq!(seen.otherwise, 0, "{how:?}");
    assert_eq!(
        (named, seen.rejected.len()),
        (guilty.clone(), guilty.len()),
        "{how:?}"
    );
    assert!(
        seen.delivered == *refusing.stored.lock().expect("no panic"),
        "{how:?}"
    );
    assert_eq!(seen.delivered.len() + guilty.len(), count, "{how:?}");
    let reports = seen.rejected.into_iter().map(|(_, report)| report).collect();
    (server.requests_left(), reports)
}

const POINTS: usize = 5_000;
const BAD: usize = 3_333;

#[tokio::test]
async fn one_bad_point_among_5_000_costs_itself_and_is_named_on_every_target() {
    let v1 = || Target::from(V1::new("db"));
    let v2 = || Target::from(V2::new("org", "bucket", "token"));
    let v3 = || Target::from(V3::new("db", "token"));
    let whole = || Target::from(V3::new("db", "token").whole_or_nothing());
    let search = 2 * POINTS.ilog2() as usize + 3;
    for (target, how, requests_at_most) in [
        (v1(), How::Named, 1),
        (v1(), How::Counted, search),
        (v2(), How::NamedAsAWhole, 2),
        (v2(), How::CountedBy(422), search),
        (v2(), How::CountedBy(500), search),
        (v3(), How::Numbered, 1),
        (v2(), How::NumberedInText(201), 1),
        (v2(), How::NumberedInText(400), 2),
        (
            whole(),
            How::NumberedAsAWhole("parsing failed for write_lp endpoint"),
            2,
        ),
        (whole(), How::NumberedAsAWhole("line protocol parsing error"), 2),
    ] {
        let (requests, reports) = write(target, how, POINTS, |n| n == BAD).await;
        assert!(requests <= requests_at_most, "{how:?}: {requests}");
        let [report] = &reports[..] else { panic!("{how:?}") };
        assert_eq!((report.number(), report.lines()), (BAD + 1, POINTS), "{how:?}");
        assert!(report.reason().contains("it is bad"), "{how:?}: {report}");
        assert!(report.status() >= 400 || report.status() == 201, "{how:?}");
    }
    // Nothing tells where it is, so it is found alone in a part.
    for status in [400, 500] {
        let (requests, reports) = write(v1(), How::AsAWhole(status), POINTS, |n| n == BAD).await;
        assert!(requests <= search, "{status}: {requests}");
        assert_eq!(reports[0].reason(), "field type conflict", "{status}");
    }
}

#[tokio::test]
async fn hundreds_of_bad_points_cost_themselves_and_are_named() {
    let v3 = || V3::new("db", "token");
    for (target, how) in [
        (V1::new("db").into(), How::Named),
        (V1::new("db").into(), How::Counted),
        (V2::new("org", "bucket", "token").into(), How::NamedAsAWhole),
        (Target::from(v3()), How::Numbered),
        (V2::new("org", "bucket", "token").into(), How::NumberedInText(201)),
        (V2::new("org", "bucket", "token").into(), How::NumberedInText(400)),
        (
            v3().whole_or_nothing().into(),
            How::NumberedAsAWhole("line protocol parsing error"),
        ),
    ] {
        write(target, how, 1_000, |n| n % 4 == 3).await;
    }
}

#[tokio::test]
async fn a_batch_of_nothing_but_bad_points_is_named_in_a_few_requests() {
    for how in [How::Named, How::Counted, How::NamedAsAWhole] {
        let (requests, _) = write(V1::new("db"), how, 1_000, |_| true).await;
        assert_eq!(requests, 1, "{how:?}");
    }
    let (requests, _) = write(V3::new("db", "token"), How::Numbered, 1_000, |_| true).await;
    assert_eq!(requests, 10);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_split_until_it_fits() {
    let v2 = Target::from(V2::new("org", "bucket", "token"));
    let v3 = Target::from(V3::new("db", "token"));
    for (target, how) in [(v2, How::Bytes(20_000)), (v3, How::BytesInText(20_000))] {
        let (requests, _) = write(target, how, 5_000, |_| false).await;
        assert!(requests > 5, "{how:?}: {requests}");
    }
}

/// Fails when the splits are left to the buffer, which gives up after eight for each time that the batch can be halved.
#[tokio::test]
async fn a_batch_that_is_too_large_is_split_into_as_many_parts_as_it_takes() {
    let target = Target::from(V2::new("org", "bucket", "token"));
    let (requests, _) = write(target, How::Bytes(100), 1_000, |_| false).await;
    assert!(requests > 2 * 8 * 10, "{requests}");
}

/// None of these shapes says which line it was, or not of which the server can have meant.
#[tokio::test]
async fn whatever_else_version_3_says_of_a_partial_write_the_bad_point_is_found() {
    for data in [
        "null",
        "7",
        "true",
        "{}",
        "[]",
        "[null]",
        r#""it is bad""#,
        r#"["it is bad"]"#,
        r#"[{"line_number":1}]"#,
        r#"[{"error_message":null}]"#,
        r#"[{"error_message":"it is bad"}]"#,
        r#"[{"error_message":"it is bad","line_number":0}]"#,
        r#"[{"error_message":"it is bad","line_number":-1}]"#,
        r#"[{"error_message":"it is bad","line_number":1.5}]"#,
        r#"[{"error_message":"it is bad","line_number":"4"}]"#,
        r#"[{"error_message":"it is bad","line_number":1000000}]"#,
        r#"[{"error_message":"it is bad","line_number":1,"original_line":"never sent"}]"#,
    ] {
        let (requests, reports) = write(V3::new("db", "token"), How::Odd(data), 100, |n| n == 42).await;
        assert!(requests <= 2 * 7 + 3, "{data}: {requests}");
        assert_eq!(reports[0].number(), 43, "{data}");
    }
}

/// A hundred lines are as many as a server names at most.
#[tokio::test]
async fn lines_that_version_3_names_in_a_way_that_can_t_be_read_are_not_called_delivered() {
    for entry in [
        "null",
        r#""it is bad""#,
        r#"{"error_message":null}"#,
        r#"{"line_number":1,"error_message":null}"#,
    ] {
        for bad in [2, 100] {
            let how = How::NumberedInPart(entry);
            let (_, reports) = write(V3::new("db", "token"), how, 200, |n| n < bad).await;
            assert_eq!(reports.len(), bad, "{entry}");
        }
    }
}
