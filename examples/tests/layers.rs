//! Holds the layers of docs/architecture.md against the sources: an import may only point down.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers of one crate, from the top; a layer is a row of modules that do not import each other. A module in a folder is called
/// `folder/module`.
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
            .map(|path| self.module_of(&path))
            .filter(|imported| self.row_of(imported).is_none_or(|row| row <= own_row))
            .map(|imported| {
                format!(
                    "{}: `{module}` imports `{imported}`, which is not below it",
                    self.krate
                )
            })
            .collect()
    }

    /// The module that a path begins with.
    fn module_of(&self, path: &[String; 2]) -> String {
        let nested = path.join("/");
        match self.row_of(&nested) {
            Some(_) => nested,
            None => path[0].clone(),
        }
    }

    /// The folders whose rows do not follow each other: what stands between may be above one part and below another.
    fn torn_folders(&self) -> Vec<&str> {
        let mut folders: Vec<&str> = self.rows.iter().flatten().map(|name| folder(name)).collect();
        folders.dedup();
        let (mut once, mut torn) = (HashSet::new(), folders);
        torn.retain(|folder| !once.insert(*folder));
        torn
    }
}

/// The folder that a module lies in; its own name if it lies in none, as the front of a folder is called like it.
fn folder(module: &str) -> &str {
    module.split('/').next().unwrap_or_default()
}

/// What stands in front of unit tests.
const UNIT_TESTS: [&str; 2] = [
    "\n#[cfg(test)]\nmod ",
    "\n#[cfg(all(test, not(buffer_loom)))]\nmod ",
];

/// The paths that a source names by `crate::`, without those in comments and unit tests; of each the first two names.
fn imports(source: &str) -> impl Iterator<Item = [String; 2]> + '_ {
    let code = UNIT_TESTS
        .iter()
        .fold(source, |code, tests| code.split(tests).next().unwrap_or_default());
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| {
            line.split("crate::").skip(1).map(|rest| {
                let mut names = rest.split("::").map(|name| {
                    name.chars()
                        .take_while(|character| character.is_alphanumeric() || *character == '_')
                        .collect()
                });
                [names.next().unwrap_or_default(), names.next().unwrap_or_default()]
            })
        })
}

/// Every block of the document that begins with `crate: NAME`. A row that begins with `folder/` is of modules in that folder.
fn parse(document: &str) -> Vec<Layers> {
    let mut all = Vec::new();
    for block in document.split("```").skip(1).step_by(2) {
        let mut lines = block.lines().skip(1);
        let Some(krate) = lines.next().and_then(|line| line.strip_prefix("crate: ")) else {
            continue;
        };
        let row = |line: &str| {
            let (folder, modules) = line
                .find('/')
                .map_or(("", line), |slash| line.split_at(slash + 1));
            modules
                .split('|')
                .map(|module| format!("{folder}{}", module.trim()))
                .collect()
        };
        let rows = lines.map(row).collect();
        all.push(Layers {
            krate: krate.to_owned(),
            rows,
        });
    }
    all
}

/// The sources in `folder` and below, each with the name of its module.
fn sources(folder: &Path, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap());
        if path.is_dir() {
            found.extend(sources(&path, &format!("{name}/")));
        } else {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found
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
        let sources = sources(&workspace().join("crates").join(&layers.krate).join("src"), "");
        for (module, source) in &sources {
            violations.extend(layers.violations(module, source));
        }
        assert_eq!(
            sources.len(),
            layers.rows.concat().len(),
            "{}: the layers name modules that are not there, or not all that are",
            layers.krate
        );
        assert_eq!(layers.torn_folders(), [""; 0], "{}", layers.krate);
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

#[test]
fn a_folder_that_does_not_point_down_as_a_whole_is_found() {
    let [layers] = &parse("```text\ncrate: some\nqueue/ front | back\nqueue\nsink\nqueue/ item\n```")[..]
    else {
        unreachable!("one block")
    };
    assert_eq!(layers.torn_folders(), ["queue"]);
    for (module, source, violations) in [
        (
            "queue/front",
            "use crate::queue::Queue;\nuse crate::queue::item::Item;",
            0,
        ),
        ("queue", "use crate::queue::item::Item;", 0),
        ("queue", "use crate::queue::back::Back;", 1),
        ("queue/front", "use crate::queue::back::Back;", 1),
        ("queue/item", "use crate::queue::Queue;", 1),
    ] {
        assert_eq!(layers.violations(module, source).len(), violations, "{source}");
    }
}
