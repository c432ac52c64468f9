//! Holds the documentation against the sources: that examples and words on cancel safety are where they must be, and the links of
//! docs/guarantees.md.

use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 3] = ["buffer-core", "buffer-influx", "buffer-stat"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A public item of a source, with its doc comment.
#[derive(Debug, PartialEq)]
struct Item {
    /// Its line, up to the name.
    head: String,
    doc: String,
}

/// What stands in front of unit tests.
const UNIT_TESTS: [&str; 2] = [
    "\n#[cfg(test)]\nmod ",
    "\n#[cfg(all(test, not(buffer_loom)))]\nmod ",
];

/// Every public type, trait and async function, including those of public traits, but not those of unit tests.
fn public_items(source: &str) -> Vec<Item> {
    let code = UNIT_TESTS
        .iter()
        .fold(source, |code, tests| code.split(tests).next().unwrap_or_default());
    let (mut items, mut doc, mut in_trait) = (Vec::new(), String::new(), false);
    for line in code.lines() {
        let text = line.trim_start();
        if let Some(comment) = text.strip_prefix("///") {
            doc.push_str(comment);
            doc.push('\n');
            continue;
        }
        if text.starts_with("#[") {
            continue;
        }
        in_trait = (in_trait || line.starts_with("pub trait ")) && line != "}";
        let promised = ["pub struct ", "pub enum ", "pub trait ", "pub async fn "];
        let of_trait = in_trait && text.starts_with("async fn ");
        if of_trait || promised.iter().any(|promised| text.starts_with(promised)) {
            let name_ends = |character| "<({;:".contains(character);
            let head = text.split(name_ends).next().unwrap_or_default().trim_end();
            items.push(Item {
                head: head.to_owned(),
                doc: std::mem::take(&mut doc),
            });
        }
        doc.clear();
    }
    items
}

impl Item {
    /// What its documentation must have but lacks.
    fn lacks(&self) -> Option<&'static str> {
        if self.head.contains("async fn ") {
            let said = self.doc.contains("# Cancel safety");
            return (!said).then_some("does not say what a drop loses, under `# Cancel safety`");
        }
        // What opens a block looks like what closes it; the first one opens.
        let block = self.doc.lines().find_map(|line| line.trim().strip_prefix("```"));
        let compiles = block.is_some_and(|kind| kind.is_empty() || kind == "no_run");
        (!compiles).then_some("has no example that compiles")
    }
}

/// All files of a folder that end in `.rs`, and those of its folders.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    files
        .chain(folders.iter().flat_map(|folder| sources(folder)))
        .collect()
}

#[test]
fn every_public_type_has_an_example_and_every_async_function_says_what_a_drop_loses() {
    let mut lacking = Vec::new();
    for name in CRATES {
        let mut seen = 0;
        let folder = workspace().join("crates").join(name).join("src");
        for path in sources(&folder) {
            let items = public_items(&fs::read_to_string(&path).unwrap());
            seen += items.len();
            let file = path.strip_prefix(&folder).unwrap().display();
            for item in items {
                let lacks = item
                    .lacks()
                    .map(|lacks| format!("{name}/{file}: `{}` {lacks}", item.head));
                lacking.extend(lacks);
            }
        }
        assert!(seen > 3, "{name}: this test has lost sight of the sources");
    }
    lacking.sort();
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

#[test]
fn what_lacks_an_example_or_a_word_on_cancel_safety_is_found() {
    let found = |source: &str| -> Vec<bool> {
        let items = public_items(source);
        items.iter().map(|item| item.lacks().is_some()).collect()
    };
    assert_eq!(found("/// A.\n#[derive(Debug)]\npub struct A<T>(T);\n"), [true]);
    assert_eq!(
        found("/// A.\n/// ```text\n/// a\n/// ```\npub enum A {}\n"),
        [true]
    );
    assert_eq!(
        found("/// A.\n///\n/// ```\n/// a();\n/// ```\n#[must_use]\npub trait A {}\n"),
        [false]
    );
    assert_eq!(
        found("/// ```\n/// ```\n\npub struct A;\n"),
        [true],
        "not its own"
    );
    assert_eq!(found("    /// A.\n    pub async fn a(&self) {\n"), [true]);
    assert_eq!(
        found("/// # Cancel safety\n///\n/// Safe.\npub async fn a() {\n"),
        [false]
    );
    assert_eq!(
        found("pub trait A {\n    async fn a();\n}\nasync fn b() {\n"),
        [true, true]
    );
    for tests in UNIT_TESTS {
        let source = format!("pub(crate) struct A;\nfn a() {{}}{tests}tests {{\npub struct B;\n");
        assert_eq!(found(&source), []);
    }
}

/// What is wrong with the tests that a line of the guarantees names, given what the last line linked.
fn broken_links(line: &str, last: &mut Vec<PathBuf>, docs: &Path) -> Vec<String> {
    let links: Vec<PathBuf> = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|link| docs.join(link))
        .collect();
    let mut broken: Vec<String> = links
        .iter()
        .filter(|path| !path.exists())
        .map(|path| format!("{} is not there", path.display()))
        .collect();
    if !links.is_empty() {
        *last = links;
    }
    let texts: Vec<String> = last
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    // Settings and methods have fewer words than tests.
    let names = line.split('`').skip(1).step_by(2);
    let tests = names.filter(|name| name.matches('_').count() > 2);
    let declared = |name: &str| texts.iter().any(|text| text.contains(&format!("fn {name}(")));
    broken.extend(
        tests
            .filter(|name| !declared(name))
            .map(|name| format!("`{name}` is not where the row says")),
    );
    broken
}

/// The rows of the tables, and each paragraph between them in one piece.
fn rows_and_paragraphs(text: &str) -> Vec<String> {
    let blocks = text.split("\n\n").map(str::trim);
    let split = blocks.flat_map(|block| match block.starts_with('|') {
        true => block.lines().map(str::to_owned).collect(),
        false => vec![block.replace('\n', " ")],
    });
    split.collect()
}

#[test]
fn every_row_of_the_guarantees_links_a_test_that_exists() {
    let docs = workspace().join("docs");
    let text = fs::read_to_string(docs.join("guarantees.md")).unwrap();
    let (mut wrong, mut last, mut rows) = (Vec::new(), Vec::new(), 0);
    for line in rows_and_paragraphs(&text) {
        wrong.extend(broken_links(&line, &mut last, &docs));
        let is_row = line.starts_with("| ") && !line.ends_with("| test |");
        rows += usize::from(is_row);
        let says_where = ["](", "same file", "the same"]
            .iter()
            .any(|says| line.contains(says));
        if is_row && !says_where {
            wrong.push(format!("no test: {line}"));
        }
    }
    assert!(rows > 20, "this test has lost sight of the rows");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_row_that_names_a_test_or_a_file_that_is_not_there_is_found() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (own, mut last) = (
        "a_row_that_names_a_test_or_a_file_that_is_not_there_is_found",
        Vec::new(),
    );
    let mut broken = |line: &str| broken_links(line, &mut last, &here).len();
    assert_eq!(broken(&format!("| `{own}`, [here](documentation.rs) |")), 0);
    assert_eq!(broken(&format!("| `{own}`, same file, `flush_timeout` |")), 0);
    assert_eq!(broken("| `no_test_of_this_name`, same file |"), 1);
    assert_eq!(broken("| [there](nowhere.rs) |"), 1);
}

/// Only rustdoc hides lines that begin with `# `, and nobody reads these documents there.
#[test]
fn no_example_of_a_document_has_hidden_lines() {
    let mut hidden = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("```rust").skip(1) {
            let code = block.split("```").next().unwrap_or_default();
            let lines = code.lines().filter(|line| line.starts_with("# "));
            hidden.extend(lines.map(|line| format!("{}: {line}", path.display())));
        }
    }
    assert!(hidden.is_empty(), "{}", hidden.join("\n"));
}

/// The documents for readers of the repository.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(workspace().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let crates = CRATES.map(|name| workspace().join("crates").join(name).join("README.md"));
    docs.chain(crates)
        .chain([workspace().join("README.md")])
        .collect()
}
