//! What a point holds, and what the database gives back.

use std::collections::BTreeMap;

use buffer_influx::{FieldValue, Point};
use serde_json::{Value, json};

use crate::{server_for, writer};

#[tokio::test]
async fn special_characters_and_extreme_numbers_come_back_as_they_were() {
    let Some(server) = server_for("special_characters_and_extreme_numbers_come_back_as_they_were") else {
        return;
    };
    server.create_database("special");
    let writer = writer(&server.url(), "special", |buffer| buffer);

    let names = [
        "a b",
        "a,b",
        "a=b",
        r#"a"b"#,
        r"a\b",
        "a'b",
        " , = ",
        "naïve ☃ 𝕏",
        "{}",
        "#",
    ];
    for (moment, name) in (0..).zip(names) {
        writer
            .write(
                Point::new("tags")
                    .tag("t", name)
                    .field("n", moment)
                    .timestamp_ns(moment),
            )
            .await
            .unwrap();
        let measurement = format!("m {name}");
        writer
            .write(
                Point::new(measurement)
                    .tag(name, "t")
                    .field(name, moment)
                    .timestamp_ns(moment),
            )
            .await
            .unwrap();
    }
    let fields: [(&str, Vec<FieldValue>); 4] = [
        (
            "string",
            [
                "",
                "a b",
                "a,b=c",
                r#"say "hi""#,
                r"C:\new",
                r"ends in \",
                r#"\""#,
                "two\nlines",
                "naïve ☃ 𝕏",
            ]
            .map(FieldValue::from)
            .into(),
        ),
        (
            "float",
            [5e-324, 1e300, -0.0, f64::MAX, f64::MIN, 0.1, 1.5, -1e-7]
                .map(FieldValue::from)
                .into(),
        ),
        (
            "integer",
            [i64::MIN, i64::MAX, 0, -1, (1 << 53) + 1]
                .map(FieldValue::from)
                .into(),
        ),
        ("boolean", [true, false].map(FieldValue::from).into()),
    ];
    for (measurement, values) in &fields {
        for (moment, value) in (0..).zip(values) {
            writer
                .write(
                    Point::new(measurement)
                        .field("v", value.clone())
                        .timestamp_ns(moment),
                )
                .await
                .unwrap();
        }
    }
    let ledger = writer.close().await.ledger;
    assert_eq!(ledger.delivered, ledger.accepted, "{ledger:?}");

    let tags: BTreeMap<i64, String> = server
        .query("special", "SELECT n FROM tags GROUP BY t")
        .iter()
        .map(|series| {
            (
                series["values"][0][1].as_i64().unwrap(),
                series["tags"]["t"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert!(tags.values().eq(&names), "{tags:?}");
    for (moment, name) in (0..).zip(names) {
        let quoted = name.replace('\\', r"\\").replace('"', r#"\""#);
        let [series] = &server.query("special", &format!(r#"SELECT * FROM "m {quoted}""#))[..] else {
            panic!("{name}")
        };
        assert_eq!(series["columns"], json!(["time", name, format!("{name}_1")]));
        assert_eq!(series["values"], json!([[moment, moment, "t"]]), "{name}");
    }
    for (measurement, values) in &fields {
        let stored = server.query("special", &format!("SELECT v FROM {measurement}"));
        let rows: Vec<Value> = (0..)
            .zip(values)
            .map(|(moment, value)| json!([moment, as_json(value)]))
            .collect();
        // As texts, for as numbers zero is also minus zero.
        assert_eq!(
            stored[0]["values"].to_string(),
            Value::from(rows).to_string(),
            "{measurement}"
        );
    }
}

fn as_json(value: &FieldValue) -> Value {
    match value {
        FieldValue::Float(value) => json!(value),
        FieldValue::Integer(value) => json!(value),
        FieldValue::Boolean(value) => json!(value),
        FieldValue::String(value) => json!(value),
        other => panic!("a new kind of field: {other:?}"),
    }
}
