//! What the client sends, and what it makes of the answers.

mod scripted_server;

use std::error::Error;
use std::net::TcpListener;
use std::time::Duration;

use buffer_influx::{Client, ClientError, Gzip, Line, Point, RefusalKind, WriteError};
use scripted_server::{ScriptedServer, Step, json, no_content};
use tokio::runtime::Builder;

fn client(server: &ScriptedServer) -> Client {
    Client::builder(&server.url).build().expect("valid settings")
}

fn lines(number: usize) -> Vec<Line> {
    let point = |index| {
        Point::new("m")
            .field("v", index)
            .timestamp_ns(index)
            .encode()
            .expect("a valid point")
    };
    (0..number as i64).map(point).collect()
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

#[tokio::test]
async fn a_write_sends_its_lines_with_the_database_and_the_precision() {
    let server = ScriptedServer::new([no_content()]);
    client(&server).write("my db&", &lines(2)).await.expect("a write");
    let request = server.request();
    assert_eq!(request.line, "POST /write?db=my+db%26&precision=ns");
    assert_eq!(request.body, "m v=0i 0\nm v=1i 1\n");
    assert_eq!(request.header("content-encoding"), None);
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn a_long_body_is_compressed_unless_the_client_was_told_not_to() {
    let server = ScriptedServer::new([]);
    let expected: String = lines(1_000).iter().map(|line| format!("{line}\n")).collect();
    client(&server).write("db", &lines(1_000)).await.expect("a write");
    let request = server.request();
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert_eq!(request.body, expected);
    let sent: usize = request
        .header("content-length")
        .expect("a length")
        .parse()
        .expect("a number");
    assert!(sent < expected.len());

    let plain = Client::builder(&server.url)
        .gzip(Gzip::Never)
        .build()
        .expect("valid settings");
    plain.write("db", &lines(1_000)).await.expect("a write");
    let request = server.request();
    assert_eq!(
        (request.header("content-encoding"), &request.body),
        (None, &expected)
    );
}

#[tokio::test]
async fn nothing_is_sent_for_no_lines() {
    let server = ScriptedServer::new([]);
    client(&server).write("db", &[]).await.expect("nothing to do");
    assert_eq!(server.requests_left(), 0);
}

#[tokio::test]
async fn the_path_of_the_url_is_kept() {
    for path in ["/some/path", "/some/path/"] {
        let server = ScriptedServer::new([]);
        let client = Client::builder(&format!("{}{path}", server.url))
            .build()
            .expect("valid settings");
        client.ping().await.expect("an answer");
        client.write("db", &lines(1)).await.expect("a write");
        assert_eq!(server.request().line, "GET /some/path/ping");
        assert_eq!(server.request().line, "POST /some/path/write?db=db&precision=ns");
    }
}

#[tokio::test]
async fn a_ping_tells_the_version() {
    let server = ScriptedServer::new([no_content(), json(200, "", "")]);
    let client = client(&server);
    assert_eq!(
        client.ping().await.expect("an answer").version.as_deref(),
        Some("1.6.7~rc0")
    );
    assert_eq!(client.ping().await.expect("an answer").version, None);
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
    client(&server)
        .create_database(r#"a "b" & c"#)
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
async fn a_query_returns_the_json_and_a_failed_statement_is_an_error() {
    let found =
        r#"{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[[0,1]]}]}]}"#;
    let missing = r#"{"results":[{"statement_id":0,"error":"database not found: nodb"}]}"#;
    let server = ScriptedServer::new([json(200, "", found), json(200, "", missing)]);
    let client = client(&server);
    assert_eq!(
        client
            .query(Some("db"), "SELECT v FROM m")
            .await
            .expect("an answer"),
        found
    );
    assert_eq!(server.request().line, "POST /query?db=db");
    match client.query(Some("nodb"), "SELECT v FROM m").await {
        Err(ClientError::Refused { status: 200, message }) => assert_eq!(message, "database not found: nodb"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_a_bound() {
    let body = "x".repeat(17 * 1024 * 1024);
    let server = ScriptedServer::new([json(200, "", &body), json(503, "", &body)]);
    let client = client(&server);
    let error = client.query(None, "SHOW DATABASES").await.expect_err("too large");
    assert!(matches!(error, ClientError::AnswerTooLarge { .. }), "{error:?}");
    match client.write("db", &lines(1)).await {
        Err(WriteError::Refused(refusal)) => assert_eq!(refusal.message().len(), 1024 * 1024),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_login_is_sent_in_a_header_and_shows_nowhere() {
    let server = ScriptedServer::new([json(
        401,
        "Www-Authenticate: Basic\r\n",
        r#"{"error":"authorization failed"}"#,
    )]);
    let builder = Client::builder(&server.url).basic_auth("hidden-user", "hidden-password");
    assert!(!format!("{builder:?}").contains("hidden"));
    let client = builder.build().expect("valid settings");
    assert!(!format!("{client:?}").contains("hidden"));
    let error = client.write("db", &lines(1)).await.expect_err("a refusal");
    assert!(
        matches!(&error, WriteError::Refused(refusal) if refusal.kind() == RefusalKind::Unauthorized),
        "{error:?}"
    );
    assert!(!chain(&error).contains("hidden"));
    let request = server.request();
    assert_eq!(
        request.header("authorization"),
        Some("Basic aGlkZGVuLXVzZXI6aGlkZGVuLXBhc3N3b3Jk")
    );
    assert!(!request.line.contains("hidden"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = ScriptedServer::new([]);
    let location = format!("Location: {}/write\r\n", elsewhere.url);
    let server = ScriptedServer::new([json(307, &location, "")]);
    let error = client(&server)
        .write("db", &lines(1))
        .await
        .expect_err("a refusal");
    assert!(
        matches!(&error, WriteError::Refused(refusal) if refusal.status() == 307),
        "{error:?}"
    );
    assert_eq!(elsewhere.requests_left(), 0);
}

#[tokio::test]
async fn a_refused_connection_is_told_from_a_lost_one() {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let nobody = Client::builder(&format!("http://127.0.0.1:{port}"))
        .build()
        .expect("valid settings");
    let error = nobody
        .write("secret-db", &lines(1))
        .await
        .expect_err("nobody there");
    assert!(matches!(error, WriteError::Unreachable(_)), "{error:?}");
    assert!(!chain(&error).contains("secret-db"), "{}", chain(&error));
    assert!(matches!(nobody.ping().await, Err(ClientError::Unreachable(_))));

    let server = ScriptedServer::new([Step::HangUp, Step::HangUp]);
    let error = client(&server)
        .write("secret-db", &lines(1))
        .await
        .expect_err("lost");
    assert!(matches!(error, WriteError::Unconfirmed(_)), "{error:?}");
    assert!(!chain(&error).contains("secret-db"), "{}", chain(&error));
    assert!(matches!(
        client(&server).ping().await,
        Err(ClientError::Unconfirmed(_))
    ));
}

#[tokio::test]
async fn of_an_answer_that_ends_early_the_status_counts() {
    let ends_early = |status: u16| {
        Step::Answer(format!(
            "HTTP/1.1 {status} Oh\r\nConnection: close\r\nContent-Length: 100\r\n\r\nClient sent"
        ))
    };
    let server = ScriptedServer::new([ends_early(400), ends_early(200)]);
    let client = Client::builder(&server.url)
        .request_timeout(Duration::from_millis(50))
        .build()
        .expect("valid settings");
    match client.write("db", &lines(1)).await {
        Err(WriteError::Refused(refusal)) => assert_eq!(refusal.kind(), RefusalKind::Misconfigured),
        other => panic!("{other:?}"),
    }
    let error = client
        .query(None, "SHOW DATABASES")
        .await
        .expect_err("half an answer");
    assert!(matches!(error, ClientError::Unconfirmed(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_until_the_time_out() {
    let server = ScriptedServer::new([Step::Silence]);
    let client = Client::builder(&server.url)
        .request_timeout(Duration::from_millis(50))
        .build()
        .expect("valid settings");
    let error = client.write("db", &lines(1)).await.expect_err("a time-out");
    assert!(matches!(error, WriteError::Unconfirmed(_)), "{error:?}");
}

/// It fails where one pool of connections serves all runtimes: the second write then waits on a connection that nobody
/// drives, until its time-out.
#[test]
fn a_client_waits_for_no_connection_of_a_runtime_that_stands_still() {
    let server = ScriptedServer::new([]);
    let client = Client::builder(&server.url)
        .request_timeout(Duration::from_secs(1))
        .build()
        .expect("valid settings");
    let runtimes: Vec<_> = (0..20)
        .map(|_| {
            Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
        })
        .collect();
    for runtime in runtimes.iter().chain(&runtimes) {
        runtime.block_on(client.write("db", &lines(1))).expect("a write");
    }
    assert_eq!(server.requests_left(), 40);
}
