//! The example `recorder` without a server, which says what to do; and the fields that docs/metrics.md lists.

mod run;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_influx::{Counters, Dialect, Encoder, FieldValue, InfluxRecorder, Line, Point};
use metrics::{counter, gauge, histogram};

fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stderr,
        stdout,
    } = run::example("recorder").args(arguments).output().unwrap();
    let text = String::from_utf8(stderr).unwrap() + &String::from_utf8(stdout).unwrap();
    (status.code(), text)
}

#[test]
fn a_wrong_command_line_is_told_in_one_sentence() {
    for (arguments, words) in [
        (vec![], "influxd run"),
        (vec!["--what"], "see --help"),
        (vec!["--url=http://127.0.0.1:1", "--seconds=soon"], "see --help"),
    ] {
        let (code, text) = told(&arguments);
        assert_eq!((code, text.lines().count()), (Some(2), 1), "{text}");
        assert!(text.contains(words), "{text}");
    }
    let (code, text) = told(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("Usage:"), "{text}");
}

/// The fields that the document lists, with the first word of their type.
fn listed(document: &str) -> BTreeMap<&str, &str> {
    let table = document
        .split("| kind | fields | type | meaning |")
        .nth(1)
        .unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let fields = cells.flat_map(|cells| {
        let kind = cells[3].split(',').next().unwrap();
        cells[2]
            .split('`')
            .skip(1)
            .step_by(2)
            .map(move |field| (field, kind))
    });
    fields.collect()
}

/// A sink that keeps the lines.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Line>>>);

#[async_trait]
impl Flush<Line> for Kept {
    async fn flush(&self, batch: &mut Batch<Line>) -> Result<(), FlushError> {
        self.0.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
}

#[tokio::test]
async fn the_document_lists_every_field_of_an_application_s_metrics_and_no_other() {
    let kept = Kept::default();
    for counters in [Counters::Deltas, Counters::Totals] {
        let settings = InfluxRecorder::builder(Encoder::new(Dialect::Influx1)).counters(counters);
        let (recorder, handle) = settings.build(kept.clone()).unwrap();
        metrics::with_local_recorder(&recorder, || {
            counter!("a").increment(1);
            gauge!("a").set(1);
            histogram!("a").record(1);
        });
        let _ = handle.close().await;
    }
    let lines = kept.0.lock().unwrap();
    let points: Vec<Point> = lines.iter().map(|line| line.as_str().parse().unwrap()).collect();
    let fields = points.iter().flat_map(Point::fields);
    let kind = |value: &FieldValue| match value {
        FieldValue::Integer(_) => "integer",
        FieldValue::Float(_) => "float",
        other => panic!("{other:?}"),
    };
    let written: BTreeMap<&str, &str> = fields.map(|(field, value)| (field, kind(value))).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    assert_eq!(listed(&fs::read_to_string(path).unwrap()), written);
}
