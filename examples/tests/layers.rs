//! Holds the layers of docs/architecture.md against the sources: an import may only point down.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers of one crate, from the top; a layer is a row of modules that do not import each other.
struct Layers {
    krate: String,
    rows: Vec<Vec<String>>,
}

impl Layers {
    fn row_of(&self, module: &str) -> Option<usize> {
        self.rows
            .iter()
            .position(|row| row.iter().any(|name| name == module))
    }

    /// What is wrong with the imports of one module.
    fn violations(&self, module: &str, source: &str) -> Vec<String> {
        let Some(own_row) = self.row_of(module) else {
            return vec![format!(
                "{}: `{module}` has no place in the layers of docs/architecture.md",
                self.krate
            )];
        };
        imports(source)
            .filter(|imported| self.row_of(imported).is_none_or(|row| row <= own_row))
            .map(|imported| {
                format!(
                    "{}: `{module}` imports `{imported}`, which is not below it",
                    self.krate
                )
            })
            .collect()
    }
}

/// What stands in front of unit tests.
const UNIT_TESTS: [&str; 2] = [
    "\n#[cfg(test)]\nmod ",
    "\n#[cfg(all(test, not(buffer_loom)))]\nmod ",
];

/// The modules that a source names by `crate::`, without those in comments and unit tests.
fn imports(source: &str) -> impl Iterator<Item = String> + '_ {
    let code = UNIT_TESTS
        .iter()
        .fold(source, |code, tests| code.split(tests).next().unwrap_or_default());
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| {
            line.split("crate::").skip(1).map(|rest| {
                rest.chars()
                    .take_while(|character| character.is_alphanumeric() || *character == '_')
                    .collect()
            })
        })
}

/// Every block of the document that begins with `crate: NAME`.
fn parse(document: &str) -> Vec<Layers> {
    let mut all = Vec::new();
    for block in document.split("```").skip(1).step_by(2) {
        let mut lines = block.lines().skip(1);
        let Some(krate) = lines.next().and_then(|line| line.strip_prefix("crate: ")) else {
            continue;
        };
        let rows = lines
            .map(|line| line.split('|').map(|module| module.trim().to_owned()).collect())
            .collect();
        all.push(Layers {
            krate: krate.to_owned(),
            rows,
        });
    }
    all
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_import_points_down_the_layers_of_the_architecture() {
    let document = fs::read_to_string(workspace().join("docs/architecture.md")).unwrap();
    let all = parse(&document);
    let crates: Vec<&str> = all.iter().map(|layers| layers.krate.as_str()).collect();
    assert_eq!(crates, ["buffer-core", "buffer-influx", "buffer-stat"]);
    let mut violations = Vec::new();
    for layers in &all {
        let folder = workspace().join("crates").join(&layers.krate).join("src");
        let mut seen = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(
                path.is_file(),
                "{} is a folder: teach this test to read it",
                path.display()
            );
            let module = path.file_stem().unwrap().to_str().unwrap();
            violations.extend(layers.violations(module, &fs::read_to_string(&path).unwrap()));
            seen += 1;
        }
        assert_eq!(
            seen,
            layers.rows.concat().len(),
            "{}: the layers name modules that are not there, or not all that are",
            layers.krate
        );
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn an_import_that_points_up_or_sideways_is_found() {
    let [layers] = &parse("```text\ncrate: some\nlib\nworker\nqueue | sink\n```")[..] else {
        unreachable!("one block")
    };
    assert_eq!(
        layers.violations("worker", "use crate::queue::Queue;\n// crate::lib\n"),
        Vec::<String>::new()
    );
    for tests in UNIT_TESTS {
        let source = format!("use crate::queue::Queue;{tests}tests {{\nuse crate::lib::build;\n");
        assert_eq!(layers.violations("worker", &source), Vec::<String>::new());
    }
    for source in [
        "use crate::worker::Worker;",
        "use crate::sink::Sink;",
        "use crate::Worker;",
        "use crate::{worker};",
    ] {
        assert_eq!(layers.violations("queue", source).len(), 1, "{source}");
    }
    assert_eq!(layers.violations("stray", "").len(), 1);
}
