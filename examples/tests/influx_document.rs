//! Holds docs/influx.md against the sources: every test that it names is there, and every file that it links.

use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All sources of a folder, in one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

/// The names in `document` that are no test among `sources`; settings and methods have fewer words than tests.
fn missing<'a>(document: &'a str, sources: &str) -> Vec<&'a str> {
    let names = document.split('`').skip(1).step_by(2);
    names
        .filter(|name| {
            name.trim_matches('_').matches('_').count() > 3 && !name.contains([' ', '(', '/', '"'])
        })
        .filter(|name| !sources.contains(&format!("fn {name}(")))
        .collect()
}

#[test]
fn every_test_and_file_that_the_document_names_is_there() {
    let docs = workspace().join("docs");
    let document = fs::read_to_string(docs.join("influx.md")).unwrap();
    let all =
        sources(&workspace().join("crates/buffer-influx")) + &sources(&workspace().join("examples/tests"));
    assert_eq!(missing(&document, &all), Vec::<&str>::new());
    let links = document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let gone: Vec<&str> = links.filter(|link| !docs.join(link).exists()).collect();
    assert_eq!(gone, Vec::<&str>::new());
    assert!(
        document.matches("| `").count() > 20,
        "this test has lost sight of the rows"
    );
}

#[test]
fn a_name_that_is_no_test_is_found() {
    let source = "fn a_test_of_this_name() {}";
    assert_eq!(
        missing(
            "`a_test_of_this_name`, `flush_timeout`, `a_test_of_another_name`",
            source
        ),
        ["a_test_of_another_name"]
    );
}
