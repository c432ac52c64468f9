//! The example `influx_writer` without a server: it says what to do.

mod run;

use std::process::Output;

fn told(
    Output {
        status,
        stderr,
        stdout,
    }: Output,
) -> (Option<i32>, String) {
    let text = String::from_utf8(stderr).unwrap() + &String::from_utf8(stdout).unwrap();
    (status.code(), text)
}

#[test]
fn without_a_url_it_says_how_to_start_a_server() {
    let (code, text) = told(run::example("influx_writer").output().unwrap());
    assert_eq!(code, Some(2));
    for words in ["influxd run", "docker run", "--url http://127.0.0.1:8086"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_wrong_command_line_is_told_in_one_sentence() {
    let url = "--url=http://127.0.0.1:1";
    for (arguments, words) in [
        (vec!["--what"], "see --help"),
        (vec![url, "--api=4"], "--api is the server's version"),
        (vec![url, "--api=2"], "give --org"),
        (vec![url, "--api=3"], "INFLUX_TOKEN"),
    ] {
        let output = run::example("influx_writer")
            .env_remove("INFLUX_TOKEN")
            .args(&arguments)
            .output();
        let (code, text) = told(output.unwrap());
        assert_eq!((code, text.lines().count()), (Some(2), 1), "{text}");
        assert!(text.contains(words), "{text}");
    }
    let (code, text) = told(run::example("influx_writer").arg("--help").output().unwrap());
    assert_eq!(code, Some(0));
    assert!(text.contains("Usage:"), "{text}");
}

#[test]
fn a_server_that_is_not_there_is_told_in_one_sentence() {
    let output = run::example("influx_writer")
        .arg("--url=http://127.0.0.1:1")
        .output();
    let (code, text) = told(output.unwrap());
    assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("check that it runs"), "{text}");
}
