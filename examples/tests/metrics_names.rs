//! Holds the tables of docs/metrics.md to the lists in the code.

use std::fs;
use std::path::Path;

use buffer_core::metrics::{Kind, Metric};

/// A metric as its row in the document.
fn row(metric: &Metric) -> String {
    let Metric {
        name,
        kind,
        unit,
        labels,
        description,
    } = metric;
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    let labels = labels.join(", ");
    format!("| `{name}` | {kind} | {unit} | {labels} | {description} |")
}

/// The rows of the tables that list metrics.
fn rows(document: &str) -> Vec<&str> {
    let of_metrics = |line: &&str| {
        let mut cells = line.split('|').map(str::trim).skip(2);
        matches!(cells.next(), Some("counter" | "gauge" | "histogram"))
    };
    document.lines().filter(of_metrics).collect()
}

#[test]
fn the_document_lists_every_metric_as_it_is_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let document = fs::read_to_string(path).unwrap();
    let lists = [
        buffer_core::metrics::ALL,
        buffer_influx::metrics::ALL,
        buffer_stat::metrics::ALL,
    ];
    let mut expected: Vec<String> = lists.into_iter().flatten().map(row).collect();
    let mut listed: Vec<String> = rows(&document).into_iter().map(str::to_owned).collect();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
}

#[test]
fn a_row_of_a_table_of_metrics_is_found_and_no_other() {
    let document = "| `a` | counter | items | `buffer` | A. |\n| `b` | c | d |\n| name | type |\n";
    assert_eq!(rows(document).len(), 1);
}
