//! What each target fixes of a request: path, login, words; and that no login shows.

mod scripted_server;

use std::error::Error;

use buffer_influx::{
    Client, ClientError, Consistency, Dialect, Point, RefusalKind, Target, V1, V2, V3, WriteError,
};
use scripted_server::{Request, ScriptedServer, json};

fn client(server: &ScriptedServer, target: impl Into<Target>) -> Client {
    Client::builder(&format!("{}/base", server.url), target)
        .build()
        .expect("valid settings")
}

/// The request of a write.
async fn written(target: impl Into<Target>) -> Request {
    let server = ScriptedServer::new([]);
    let client = client(&server, target);
    let point = Point::new("m")
        .tag("t", r"a\,b")
        .field("v", 1_u64)
        .timestamp_ns(7_000_000);
    let line = client.encoder().encode(&point).expect("a valid point");
    client.write(&[line]).await.expect("a write");
    server.request()
}

#[tokio::test]
async fn version_1_has_its_path_its_words_and_its_dialect() {
    let request = written(V1::new("a b")).await;
    assert_eq!(request.line, "POST /base/write?db=a+b&precision=ns");
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.body, "m,t=a\\\\,b v=1i 7000000\n");

    let target = V1::new("db")
        .retention_policy("one week")
        .consistency(Consistency::Quorum);
    assert_eq!(
        written(target).await.line,
        "POST /base/write?db=db&precision=ns&rp=one+week&consistency=quorum"
    );
    let target = V1::new("db").dialect(Dialect::VictoriaMetrics);
    assert_eq!(written(target).await.body, "m,t=a\\\\\\,b v=1u 7000000\n");
}

#[tokio::test]
async fn version_1_takes_three_kinds_of_logins() {
    let request = written(V1::new("db").basic_auth("user", "password")).await;
    assert_eq!(
        request.header("authorization"),
        Some("Basic dXNlcjpwYXNzd29yZA==")
    );
    let request = written(V1::new("db").token("user:password")).await;
    assert_eq!(request.header("authorization"), Some("Token user:password"));
    let request = written(V1::new("db").query_auth("us er", "pass&word")).await;
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        request.line,
        "POST /base/write?u=us+er&p=pass%26word&db=db&precision=ns"
    );
}

#[tokio::test]
async fn version_2_has_its_path_its_words_and_its_dialect() {
    let request = written(V2::new("my org", "bucket", "secret")).await;
    assert_eq!(
        request.line,
        "POST /base/api/v2/write?org=my+org&bucket=bucket&precision=ns"
    );
    assert_eq!(request.header("authorization"), Some("Token secret"));
    assert_eq!(request.body, "m,t=a\\\\,b v=1u 7000000\n");
}

#[tokio::test]
async fn version_3_has_its_path_its_words_and_its_dialect() {
    let request = written(V3::new("db", "secret")).await;
    assert_eq!(
        request.line,
        "POST /base/api/v3/write_lp?db=db&precision=nanosecond"
    );
    assert_eq!(request.header("authorization"), Some("Bearer secret"));
    assert_eq!(request.body, "m,t=a\\\\\\,b v=1u 7000000\n");
    let request = written(V3::new("db", "secret").whole_or_nothing().no_sync()).await;
    assert_eq!(
        request.line,
        "POST /base/api/v3/write_lp?db=db&precision=nanosecond&accept_partial=false&no_sync=true"
    );
    let request = written(V3::new("db", "secret").without_login()).await;
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn a_database_of_version_3_is_created_if_it_is_missing_and_a_bucket_is_not() {
    let server = ScriptedServer::new([
        json(200, "", ""),
        json(409, "", r#"{"error":"already exists"}"#),
        json(400, "", r#"{"error":"invalid name"}"#),
    ]);
    let client = client(&server, V3::new("my\"db", "secret"));
    client.create_database().await.expect("created");
    client.create_database().await.expect("it exists");
    let error = client.create_database().await.expect_err("refused");
    assert!(
        matches!(&error, ClientError::Refused { status: 400, message } if message == "invalid name"),
        "{error:?}"
    );
    let request = server.request();
    assert_eq!(request.line, "POST /base/api/v3/configure/database");
    assert_eq!(request.body, r#"{"db":"my\"db"}"#);

    let bucket = Client::builder("http://localhost", V2::new("org", "bucket", "secret"))
        .build()
        .expect("valid settings");
    assert!(matches!(
        bucket.create_database().await,
        Err(ClientError::Unsupported { .. })
    ));
}

/// An error with all its causes, as a log shows it.
fn chain(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error} {error:?}");
        cause = error.source();
    }
    text
}

/// Every way in which a secret goes in, and every way in which text comes out.
#[tokio::test]
async fn no_login_shows_in_any_text() {
    let targets: [Target; 5] = [
        V1::new("db").basic_auth("hidden", "hidden").into(),
        V1::new("db").query_auth("hidden", "hidden").into(),
        V1::new("db").token("hidden").into(),
        V2::new("org", "bucket", "hidden").into(),
        V3::new("db", "hidden").into(),
    ];
    for target in targets {
        assert!(!format!("{target:?}").contains("hidden"));
        let answers = [
            json(401, "", r#"{"error":"authorization failed"}"#),
            json(401, "", r#"{"error":"authorization failed"}"#),
            json(401, "", r#"{"error":"authorization failed"}"#),
        ];
        let server = ScriptedServer::new(answers);
        let builder = Client::builder(&server.url, target.clone());
        assert!(!format!("{builder:?}").contains("hidden"));
        let client = builder.build().expect("valid settings");
        assert!(!format!("{client:?}").contains("hidden"));
        let sink = buffer_influx::InfluxSink::new(client.clone());
        assert!(!format!("{sink:?}").contains("hidden"));
        let line = client
            .encoder()
            .encode(&Point::new("m").field("v", 1))
            .expect("a valid point");

        let error = client
            .write(std::slice::from_ref(&line))
            .await
            .expect_err("a refusal");
        assert!(
            matches!(&error, WriteError::Refused(refusal) if refusal.kind() == RefusalKind::Unauthorized),
            "{error:?}"
        );
        let mut texts = vec![chain(&error), chain(&error.into_flush_error())];
        texts.push(chain(&client.ping().await.expect_err("a refusal")));
        texts.push(chain(
            &client.query("SHOW DATABASES").await.expect_err("a refusal"),
        ));

        let nobody = Client::builder("http://127.0.0.1:1", target.clone())
            .build()
            .expect("valid settings");
        texts.push(chain(
            &nobody
                .write(std::slice::from_ref(&line))
                .await
                .expect_err("nobody there"),
        ));
        texts.push(chain(
            &nobody.query("SHOW DATABASES").await.expect_err("nobody there"),
        ));
        let wrong = Client::builder("http://user:hidden@localhost", target).build();
        texts.push(chain(&wrong.expect_err("a password in the URL")));
        for text in texts {
            assert!(!text.contains("hidden"), "{text}");
        }
    }
}

/// As VictoriaMetrics does with a request that it refuses.
#[tokio::test]
async fn a_password_in_the_url_does_not_come_back_from_a_server_that_repeats_it() {
    let server =
        ScriptedServer::by(|request| json(400, "", &format!("requestURI: {}; too long line", request.line)));
    let client = client(&server, V1::new("db").query_auth("user", "hid den&"));
    let line = client
        .encoder()
        .encode(&Point::new("m").field("v", 1))
        .expect("a valid point");
    let error = client.write(&[line]).await.expect_err("a refusal");
    let texts = [
        chain(&error),
        chain(&client.query("q").await.expect_err("a refusal")),
    ];
    for text in texts {
        assert!(text.contains("p=***") && !text.contains("hid"), "{text}");
    }
}

/// A page for a login repeats the URL, and an echo the whole request.
#[tokio::test]
async fn a_login_does_not_come_back_from_another_server() {
    let targets: [Target; 5] = [
        V1::new("db").basic_auth("user", "hidden").into(),
        V1::new("db").query_auth("user", "hidden").into(),
        V1::new("db").token("hidden").into(),
        V2::new("org", "bucket", "hidden").into(),
        V3::new("db", "hidden").into(),
    ];
    let statuses = [200, 404, 500];
    for (target, status) in targets
        .iter()
        .flat_map(|target| statuses.map(|status| (target.clone(), status)))
    {
        let server = ScriptedServer::by(move |request| {
            let login = request.header("authorization").unwrap_or_default();
            json(status, "", &format!("<a href=\"{}\">{login}</a>", request.line))
        });
        let client = client(&server, target);
        let line = client
            .encoder()
            .encode(&Point::new("m").field("v", "partial write"))
            .expect("a valid point");
        let error = client.write(&[line]).await.expect_err("a page");
        let WriteError::Refused(refusal) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(refusal.kind(), RefusalKind::Misconfigured);
        let text = chain(&error);
        assert!(text.contains("check the URL"), "{text}");
        for secret in ["hidden", "dXNlcjpoaWRkZW4="] {
            assert!(!text.contains(secret), "{text}");
        }
        // Nothing is wrong with the points, so the page is of no use.
        assert!(status != 200 || !text.contains("<a href"), "{text}");
    }
}

#[tokio::test]
async fn a_password_in_the_url_does_not_come_back_in_a_header() {
    let server = ScriptedServer::by(|request| {
        let header = format!("X-Influxdb-Error: no {}\r\n", request.line);
        json(400, &header, "")
    });
    let client = client(&server, V1::new("db").query_auth("user", "hidden"));
    let line = client
        .encoder()
        .encode(&Point::new("m").field("v", 1))
        .expect("a valid point");
    let text = chain(&client.write(&[line]).await.expect_err("a refusal"));
    assert!(text.contains("p=***") && !text.contains("hidden"), "{text}");
}

/// It has failed on a client that takes what follows any `p=` for the password.
#[tokio::test]
async fn a_line_that_holds_what_is_the_password_in_the_url_is_found_by_its_name() {
    let server = ScriptedServer::by(|request| {
        let line = request.body.trim_end();
        let body = format!(r#"{{"error":"partial write: unable to parse '{line}': no dropped=0"}}"#);
        json(400, "", &body)
    });
    let client = client(&server, V1::new("db").query_auth("user", "x"));
    let point = Point::new("m").tag("p", "x").tag("grp", "xy").field("v", 1);
    let line = client.encoder().encode(&point).expect("a valid point");
    let error = client
        .write(std::slice::from_ref(&line))
        .await
        .expect_err("a refusal");
    let WriteError::Refused(refusal) = error else {
        panic!("{error:?}")
    };
    assert_eq!(refusal.named_lines(&[line]), [(0, "no")]);
}
