//! The example `host_metrics` without a server: the file that it writes, its ledger, and how it ends.

mod run;

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::tempdir;

/// The one file in `folder`.
fn data(folder: &Path) -> String {
    let files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [file] = &files[..] else {
        panic!("one file and not {files:?}")
    };
    fs::read_to_string(file).unwrap()
}

fn run(arguments: &[&str]) -> Output {
    run::host_metrics().args(arguments).output().unwrap()
}

/// The text of a run that failed with `code`, said one sentence and nothing else.
fn one_sentence(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(told.starts_with("host_metrics: "), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
    told
}

#[test]
fn every_delivered_point_is_a_line_of_the_file() {
    let folder = tempdir().unwrap();
    let output = run(&["--seconds", "2", "--folder", folder.path().to_str().unwrap()]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains(folder.path().to_str().unwrap()), "{stdout}");

    let data = data(folder.path());
    assert!(data.ends_with('\n'));
    assert_eq!(data.lines().count() as u64, run::all_delivered(&stdout));
    let measurements: HashSet<&str> = data.lines().filter_map(|line| line.split(',').next()).collect();
    // Which disks and interfaces there are, and how much goes through them, differs by machine; a container may have none.
    for measurement in ["cpu", "load", "memory", "process"] {
        assert!(
            measurements.contains(measurement),
            "{measurement} is not among {measurements:?}"
        );
    }
}

#[test]
fn no_two_lines_have_the_same_series_and_stamp() {
    let folder = tempdir().unwrap();
    assert!(
        run(&["--seconds", "1", "--folder", folder.path().to_str().unwrap()])
            .status
            .success()
    );
    let data = data(folder.path());
    let mut seen = HashSet::new();
    for line in data.lines() {
        let [stamp, _fields, series] = line.rsplitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert!(seen.insert((series, stamp)), "{line}");
    }
}

#[test]
fn a_second_run_leaves_the_file_of_the_first_alone() {
    let folder = tempdir().unwrap();
    for runs in 1..=2 {
        assert!(
            run(&["--seconds", "1", "--folder", folder.path().to_str().unwrap()])
                .status
                .success()
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), runs);
    }
}

#[test]
fn help_names_every_option() {
    let output = run(&["--help"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for option in ["--seconds", "--folder", "--url", "--db", "--help"] {
        assert!(stdout.contains(option), "{option}");
    }
}

#[test]
fn a_wrong_command_line_is_told_in_one_sentence() {
    assert!(one_sentence(2, &["--sekunds", "5"]).contains("--help"));
    assert!(one_sentence(2, &["extra"]).contains("--help"));
    assert!(one_sentence(2, &["--seconds"]).contains("--seconds"));
    for seconds in ["0", "-1", "1.5", "soon", "99999999999999999999"] {
        assert!(one_sentence(2, &["--seconds", seconds]).contains(seconds));
    }
    assert!(one_sentence(2, &["--url", "http://127.0.0.1:8086"]).contains("--db"));
    assert!(one_sentence(2, &["--db", "metrics"]).contains("--url"));
    assert!(
        one_sentence(
            2,
            &["--url", "http://127.0.0.1:8086", "--db", "m", "--folder", "f"]
        )
        .contains("--folder")
    );
    assert!(one_sentence(2, &["--url", "127.0.0.1:8086", "--db", "metrics"]).contains("--url"));
}

#[test]
fn a_folder_that_can_t_be_written_in_is_told_in_one_sentence() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // Nobody can create a folder below a file, not even root.
    let below = file.join("folder");
    assert!(one_sentence(1, &["--folder", below.to_str().unwrap()]).contains("--folder"));
}

#[test]
fn a_server_that_does_not_answer_is_told_in_one_sentence() {
    // The lowest port: nothing listens there, and no connection gets it by chance.
    let told = one_sentence(1, &["--url", "http://127.0.0.1:1", "--db", "metrics"]);
    assert!(told.contains("http://127.0.0.1:1"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_signal_in_the_middle_ends_the_run_with_a_complete_ledger() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempdir().unwrap();
        let mut command = run::host_metrics();
        let mut example = command
            .arg("--folder")
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(example.stdout.take().unwrap());
        let mut text = String::new();
        stdout.read_line(&mut text).unwrap();
        assert!(text.starts_with("writing to "), "{text}");

        wait_until(|| !data(folder.path()).is_empty());
        let pid = example.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        stdout.read_to_string(&mut text).unwrap();
        assert!(example.wait().unwrap().success(), "{signal}: {text}");
        assert_eq!(
            data(folder.path()).lines().count() as u64,
            run::all_delivered(&text),
            "{signal}"
        );
    }
}

/// Keeps looking: the example is another process, and its file is the only sign of life.
#[cfg(unix)]
fn wait_until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "nothing happened for 30 s");
        thread::sleep(Duration::from_millis(10));
    }
}
