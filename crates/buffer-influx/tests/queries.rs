//! What the client asks a server besides writing: whether it is there, for a database, for what is stored.

mod scripted_server;

use buffer_influx::{Client, ClientError, Target, V1};
use scripted_server::{ScriptedServer, Step, json, no_content};

fn client(server: &ScriptedServer) -> Client {
    client_of(server, V1::new("db"))
}

fn client_of(server: &ScriptedServer, target: impl Into<Target>) -> Client {
    Client::builder(&server.url, target)
        .build()
        .expect("valid settings")
}

#[tokio::test]
async fn a_ping_tells_the_version() {
    let server = ScriptedServer::new([
        no_content(),
        json(200, "", ""),
        json(200, "", r#"{"version":"3.2.1","revision":"x"}"#),
    ]);
    let client = client(&server);
    assert_eq!(
        client.ping().await.expect("an answer").version.as_deref(),
        Some("1.6.7~rc0")
    );
    assert_eq!(client.ping().await.expect("an answer").version, None);
    assert_eq!(
        client.ping().await.expect("an answer").version.as_deref(),
        Some("3.2.1")
    );
}

#[tokio::test]
async fn a_ping_that_something_else_answers_is_refused() {
    let server = ScriptedServer::new([json(502, "", "<html>bad gateway</html>")]);
    match client(&server).ping().await {
        Err(ClientError::Refused { status, message }) => {
            assert_eq!((status, message.as_str()), (502, "<html>bad gateway</html>"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_database_is_created_with_its_name_quoted() {
    let server = ScriptedServer::new([json(200, "", r#"{"results":[{"statement_id":0}]}"#)]);
    client_of(&server, V1::new(r#"a "b" & c"#))
        .create_database()
        .await
        .expect("created");
    let request = server.request();
    assert_eq!(request.line, "POST /query");
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(request.body, "q=CREATE+DATABASE+%22a+%5C%22b%5C%22+%26+c%22");
}

#[tokio::test]
async fn a_query_returns_its_series_and_a_failed_statement_is_an_error() {
    let found = r#"{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"t":"a"},"columns":["time","v"],"values":[[0,1],[9007199254740993,2.5]],"partial":true}]},{"statement_id":1,"messages":[{"level":"warning","text":"old"}]}]}"#;
    let missing = r#"{"results":[{"statement_id":0},{"statement_id":1,"error":"database not found: nodb"}]}"#;
    let syntax = r#"{"error":"error parsing query: no"}"#;
    let server = ScriptedServer::new([
        json(200, "", found),
        json(200, "", found),
        json(200, "", missing),
        json(400, "", syntax),
        json(200, "", syntax),
        json(200, "", "<html>"),
        json(200, "", r#"{"status":"ok"}"#),
        json(200, "", "[]"),
        // No statement, by Telegraf, and by InfluxDB.
        json(200, "", r#"{"results":[]}"#),
        json(200, "X-Influxdb-Version: 1.6.7\r\n", "{}"),
    ]);
    let client = client(&server);
    for post in [false, true] {
        let results = match post {
            false => client.query("SELECT v FROM m").await,
            true => client.post_query("SELECT v FROM m").await,
        };
        let results = results.expect("an answer");
        let series: Vec<_> = results.series().collect();
        assert_eq!(
            (
                series[0].name.as_str(),
                series[0].tags["t"].as_str(),
                series[0].partial
            ),
            ("m", "a", true)
        );
        assert_eq!(
            series[0].column("time").collect::<Vec<_>>(),
            [0, 9_007_199_254_740_993_i64]
        );
        let values: Vec<f64> = series[0]
            .column("v")
            .filter_map(serde_json::Value::as_f64)
            .collect();
        assert_eq!(values, [1.0, 2.5]);
        assert_eq!(series[0].column("none").count(), 0);
        assert_eq!(results.results[1].messages[0].text, "old");
    }
    let get = server.request();
    assert_eq!(
        (get.line.as_str(), get.body.as_str()),
        ("GET /query?db=db&epoch=ns&q=SELECT+v+FROM+m", "")
    );
    let post = server.request();
    assert_eq!(
        (post.line.as_str(), post.body.as_str()),
        ("POST /query?db=db&epoch=ns", "q=SELECT+v+FROM+m")
    );
    let foreign = "the answer is not what InfluxDB answers to a query; check the URL";
    for (status, message) in [
        (200, "database not found: nodb"),
        (400, "error parsing query: no"),
        (200, "error parsing query: no"),
        (200, foreign),
        (200, foreign),
        (200, foreign),
    ] {
        match client.query("SELECT v FROM m").await {
            Err(ClientError::Refused {
                status: found,
                message: words,
            }) => assert_eq!((found, words.as_str()), (status, message)),
            other => panic!("{other:?}"),
        }
    }
    for _ in 0..2 {
        let results = client.query(";").await.expect("no statement");
        assert_eq!(results.series().count(), 0);
    }
}

/// It may have been carried out.
#[tokio::test]
async fn a_query_that_may_change_something_is_not_sent_again() {
    let server = ScriptedServer::new([Step::HangUp]);
    let error = client(&server)
        .post_query("DROP MEASUREMENT m")
        .await
        .expect_err("lost");
    assert!(matches!(error, ClientError::Unconfirmed(_)), "{error:?}");
    assert_eq!(server.requests_left(), 1);
}
