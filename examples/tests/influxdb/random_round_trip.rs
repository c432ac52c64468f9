//! Twenty thousand points of everything that a point may hold, written and read back.

use std::collections::{BTreeMap, BTreeSet};

use buffer_influx::{FieldValue, QuerySeries, V1, WritePointError};
use serde_json::Value;

use crate::random_points::{self, RandomPoints, Stored};
use crate::{client, server_for, writer};

type Rows<V> = BTreeMap<(random_points::Series, i64), BTreeMap<String, V>>;

#[tokio::test]
async fn twenty_thousand_random_points_come_back_as_they_were() {
    const SEED: u64 = 20_260_214;
    const ACCEPTED: usize = 20_000;
    let Some(server) = server_for("twenty_thousand_random_points_come_back_as_they_were") else {
        return;
    };
    server.create_database("random");
    let writer = writer(&server.url(), "random", |buffer| buffer);
    let mut points = RandomPoints::new(SEED);
    let (mut expected, mut accepted, mut refused) = (Rows::<FieldValue>::new(), 0, 0);
    while accepted < ACCEPTED {
        let (
            point,
            Stored {
                series,
                moment,
                fields,
            },
        ) = points.next();
        match writer.write(point).await {
            Ok(()) => accepted += 1,
            Err(WritePointError::Invalid { .. }) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        expected.insert((series, moment), fields);
    }
    assert!(refused > ACCEPTED / 100, "{refused}");
    let ledger = writer.close().await.ledger;
    assert_eq!(
        (ledger.delivered, ledger.accepted),
        (ACCEPTED as u64, ACCEPTED as u64),
        "{ledger:?}"
    );

    let client = client(&server.url(), V1::new("random"));
    let measurements: BTreeSet<&String> = expected.keys().map(|((name, _), _)| name).collect();
    let mut stored = Rows::<Value>::new();
    for name in measurements {
        let quoted = name.replace('\\', r"\\").replace('"', r#"\""#);
        let query = format!(r#"SELECT * FROM "{quoted}" GROUP BY *"#);
        for series in client.query(&query).await.unwrap().series() {
            add_rows(&mut stored, series);
        }
    }
    for (key, fields) in &expected {
        let found = stored.get(key);
        assert!(
            found.is_some_and(|found| same(fields, found)),
            "seed {SEED}: {key:?} {fields:?} came back as {found:?}"
        );
    }
    assert_eq!(stored.len(), ACCEPTED);
}

fn same(expected: &BTreeMap<String, FieldValue>, found: &BTreeMap<String, Value>) -> bool {
    expected.len() == found.len()
        && expected
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|found| is(value, found)))
}

/// To the last bit: zero is also minus zero as a number.
fn is(value: &FieldValue, found: &Value) -> bool {
    match value {
        FieldValue::Float(value) => found.as_f64().map(f64::to_bits) == Some(value.to_bits()),
        FieldValue::Integer(value) => found.as_i64() == Some(*value),
        FieldValue::Boolean(value) => found.as_bool() == Some(*value),
        FieldValue::String(value) => found.as_str() == Some(value),
        other => panic!("{other:?}"),
    }
}

fn add_rows(rows: &mut Rows<Value>, series: &QuerySeries) {
    let tags: BTreeMap<String, String> = series
        .tags
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for row in &series.values {
        let fields = series
            .columns
            .iter()
            .zip(row)
            .skip(1)
            .filter(|(_, value)| !value.is_null());
        let fields = fields.map(|(key, value)| (key.clone(), value.clone()));
        let key = ((series.name.clone(), tags.clone()), row[0].as_i64().unwrap());
        rows.insert(key, fields.collect());
    }
}
