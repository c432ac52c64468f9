//! The example `recorder` without a server: it says what to do.

mod run;

use std::process::Output;

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
