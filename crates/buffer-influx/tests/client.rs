//! What the client sends, and what it makes of the answers.

mod scripted_server;

use std::error::Error;
use std::time::Duration;

use buffer_influx::{
    Client, ClientError, Dialect, Encoder, Gzip, Line, Point, RefusalKind, Target, V1, WriteError,
};
use scripted_server::{ScriptedServer, Step, json, no_content};
use tokio::runtime::Builder;

fn client(server: &ScriptedServer) -> Client {
    client_of(server, V1::new("db"))
}

fn client_of(server: &ScriptedServer, target: impl Into<Target>) -> Client {
    Client::builder(&server.url, target)
        .build()
        .expect("valid settings")
}

fn lines(number: usize) -> Vec<Line> {
    let encoder = Encoder::new(Dialect::Influx1);
    let point = |index| {
        let point = Point::new("m").field("v", index).timestamp_ns(index);
        encoder.encode(&point).expect("a valid point")
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
    client_of(&server, V1::new("my db&"))
        .write(&lines(2))
        .await
        .expect("a write");
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
    client(&server).write(&lines(1_000)).await.expect("a write");
    let request = server.request();
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert_eq!(request.body, expected);
    let sent: usize = request
        .header("content-length")
        .expect("a length")
        .parse()
        .expect("a number");
    assert!(sent < expected.len());

    let plain = Client::builder(&server.url, V1::new("db"))
        .gzip(Gzip::Never)
        .build()
        .expect("valid settings");
    plain.write(&lines(1_000)).await.expect("a write");
    let request = server.request();
    assert_eq!(
        (request.header("content-encoding"), &request.body),
        (None, &expected)
    );
}

#[tokio::test]
async fn nothing_is_sent_for_no_lines() {
    let server = ScriptedServer::new([]);
    client(&server).write(&[]).await.expect("nothing to do");
    assert_eq!(server.requests_left(), 0);
}

#[tokio::test]
async fn the_path_of_the_url_is_kept() {
    for path in ["/some/path", "/some/path/"] {
        let server = ScriptedServer::new([]);
        let client = Client::builder(&format!("{}{path}", server.url), V1::new("db"))
            .build()
            .expect("valid settings");
        client.ping().await.expect("an answer");
        client.write(&lines(1)).await.expect("a write");
        assert_eq!(server.request().line, "GET /some/path/ping");
        assert_eq!(server.request().line, "POST /some/path/write?db=db&precision=ns");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_a_bound() {
    let body = "x".repeat(65 * 1024 * 1024);
    let server = ScriptedServer::new([json(200, "", &body), json(503, "", &body)]);
    let client = client(&server);
    let error = client.query("SHOW DATABASES").await.expect_err("too large");
    assert!(matches!(error, ClientError::AnswerTooLarge { .. }), "{error:?}");
    match client.write(&lines(1)).await {
        Err(WriteError::Refused(refusal)) => assert_eq!(refusal.message().len(), 4 * 1024 * 1024),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_carries_no_login_on() {
    let elsewhere = ScriptedServer::new([]);
    let location = format!("Location: {}/write\r\n", elsewhere.url);
    let server = ScriptedServer::new([json(307, &location, "")]);
    let error = client_of(&server, V1::new("db").basic_auth("user", "password"))
        .write(&lines(1))
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
    let nobody = Client::builder("http://127.0.0.1:1", V1::new("secret-db"))
        .build()
        .expect("valid settings");
    let error = nobody.write(&lines(1)).await.expect_err("nobody there");
    assert!(matches!(error, WriteError::Unreachable(_)), "{error:?}");
    assert!(!chain(&error).contains("secret-db"), "{}", chain(&error));
    assert!(matches!(nobody.ping().await, Err(ClientError::Unreachable(_))));

    let server = ScriptedServer::new(vec![Step::HangUp; 4]);
    let error = client_of(&server, V1::new("secret-db"))
        .write(&lines(1))
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
        Step::AnswerAndHangUp(format!(
            "HTTP/1.1 {status} Oh\r\nConnection: close\r\nContent-Length: 100\r\n\r\nClient sent"
        ))
    };
    let server = ScriptedServer::new([ends_early(400), ends_early(200)]);
    let client = client(&server);
    match client.write(&lines(1)).await {
        Err(WriteError::Refused(refusal)) => assert_eq!(refusal.kind(), RefusalKind::Misconfigured),
        other => panic!("{other:?}"),
    }
    let error = client.query("SHOW DATABASES").await.expect_err("half an answer");
    assert!(matches!(error, ClientError::Unconfirmed(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_until_the_time_out() {
    let server = ScriptedServer::new([Step::Silence]);
    let client = Client::builder(&server.url, V1::new("db"))
        .request_timeout(Duration::from_millis(50))
        .build()
        .expect("valid settings");
    let error = client.write(&lines(1)).await.expect_err("a time-out");
    assert!(matches!(error, WriteError::TimedOut(_)), "{error:?}");
}

/// It fails where one pool of connections serves all runtimes: the second write then waits on a connection that nobody
/// drives, until its time-out.
#[test]
fn a_client_waits_for_no_connection_of_a_runtime_that_stands_still() {
    let server = ScriptedServer::new([]);
    let client = Client::builder(&server.url, V1::new("db"))
        .request_timeout(Duration::from_secs(30))
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
        runtime.block_on(client.write(&lines(1))).expect("a write");
    }
    assert_eq!(server.requests_left(), 40);
}

/// It fails without the resend: the first write on the pooled connection is lost then.
#[tokio::test]
async fn a_connection_that_the_server_has_closed_costs_one_silent_resend() {
    let server = ScriptedServer::new([no_content(), Step::HangUp, no_content()]);
    let client = client(&server);
    client.write(&lines(1)).await.expect("a write");
    client
        .write(&lines(1))
        .await
        .expect("a write on a second connection");
    assert_eq!(server.requests_left(), 3);

    let server = ScriptedServer::new(vec![Step::HangUp; 3]);
    let error = client_of(&server, V1::new("db"))
        .write(&lines(1))
        .await
        .expect_err("lost");
    assert!(matches!(error, WriteError::Unconfirmed(_)), "{error:?}");
    assert_eq!(server.requests_left(), 2);
}

/// Its time passes by the runtime's clock. It has failed on a resend with the whole time once more: a buffer would have cut that off.
#[tokio::test(start_paused = true)]
async fn a_resend_has_what_is_left_of_the_time() {
    let (limit, until_it_hangs_up) = (Duration::from_secs(10), Duration::from_secs(6));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
    let server = tokio::spawn(async move {
        let first = listener.accept().await.expect("a connection");
        tokio::time::sleep(until_it_hangs_up).await;
        drop(first);
        let _silent = listener.accept().await.expect("a connection");
        std::future::pending::<()>().await;
    });
    let client = Client::builder(&url, V1::new("db"))
        .request_timeout(limit)
        .build()
        .expect("valid settings");
    let begin = tokio::time::Instant::now();
    let error = client.write(&lines(1)).await.expect_err("a time-out");
    assert!(matches!(error, WriteError::TimedOut(_)), "{error:?}");
    let took = begin.elapsed();
    assert!(took < limit + Duration::from_secs(1), "{took:?}");
    server.abort();
}

/// What a proxy shows of a request that it refuses has the header with the login for the proxy, too.
#[tokio::test]
async fn a_proxy_that_repeats_its_login_shows_it_to_nobody() {
    // `user:hidden`.
    let page = "407: Proxy-Authorization: Basic dXNlcjpoaWRkZW4=";
    let proxy = ScriptedServer::new([json(502, "", page), json(502, "", page)]);
    let client = Client::builder("http://influx.invalid:8086", V1::new("db"))
        .proxy(proxy.url.replace("http://", "http://user:hidden@"))
        .build()
        .expect("valid settings");
    let written = client.write(&lines(1)).await.expect_err("refused");
    let pinged = client.ping().await.expect_err("refused");
    assert!(
        !format!("{written} {written:?} {pinged} {pinged:?}").contains("dXNl"),
        "{written:?}"
    );
    let WriteError::Refused(refusal) = written else {
        panic!("{written:?}")
    };
    assert_eq!(refusal.message(), "407: Proxy-Authorization: Basic ***");
}

/// A token in the words of a statement that failed, which come with status 200.
#[tokio::test]
async fn a_query_that_fails_shows_no_token() {
    let token = "hidden-hidden-hidden";
    let body = format!(r#"{{"results":[{{"statement_id":0,"error":"no such token {token}"}}]}}"#);
    let server = ScriptedServer::new([json(200, "", &body)]);
    let client = Client::builder(&server.url, V1::new("db").token(token))
        .build()
        .expect("valid settings");
    let error = client.query("SHOW DATABASES").await.expect_err("it failed");
    assert!(error.to_string().contains("no such token ***"), "{error}");
}

/// An echo answers with the request, and with a success that is not that of a query.
#[tokio::test]
async fn a_query_that_is_echoed_shows_no_token() {
    let token = "hidden-hidden-hidden";
    for status in [201, 202, 206] {
        let body = format!(r#"{{"authorization":"Token {token}"}}"#);
        let server = ScriptedServer::new([json(status, "", &body)]);
        let client = Client::builder(&server.url, V1::new("db").token(token))
            .build()
            .expect("valid settings");
        let error = client
            .query("SHOW DATABASES")
            .await
            .expect_err("no query's answer");
        assert!(error.to_string().contains("Token ***"), "{error}");
    }
}

#[tokio::test]
async fn requests_go_through_the_proxy_that_is_named() {
    let proxy = ScriptedServer::new([]);
    let client = Client::builder("http://influx.invalid:8086", V1::new("db"))
        .proxy(&proxy.url)
        .build()
        .expect("valid settings");
    client.write(&lines(1)).await.expect("a write");
    assert_eq!(
        proxy.request().line,
        "POST http://influx.invalid:8086/write?db=db&precision=ns"
    );
}
