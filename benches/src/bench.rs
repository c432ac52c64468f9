//! Runs the contenders of a benchmark in turns, and judges what came out.

use std::path::PathBuf;
use std::{env, fs};

use crate::picture::draw;
use crate::results::{Cell, Row};
use crate::table::table;

/// One benchmark: rows of loads, and for each of them what its contenders cost.
pub struct Bench {
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    rounds: usize,
    loads: Option<String>,
    rows: Vec<Row>,
}

/// One way to do what is measured.
pub struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> f64 + 'a>,
    at_most: Option<f64>,
}

/// How often each contender runs that is judged, if `BENCH_ROUNDS` says nothing.
const ROUNDS: usize = 15;

/// Who is shown only runs once in so many rounds.
const SHOWN: usize = 5;

impl<'a> Contender<'a> {
    /// A contender; `run` does it once and says what it cost, in the unit of the benchmark.
    pub fn new(name: &'static str, run: impl FnMut() -> f64 + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
            at_most: None,
        }
    }

    /// What we cost is to be at most so many times what this one costs.
    #[must_use]
    pub fn at_most(mut self, ratio: f64) -> Self {
        self.at_most = Some(ratio);
        self
    }

    /// The same, where `judged`: on some loads figures are shown only.
    #[must_use]
    pub fn at_most_where(self, judged: bool, ratio: f64) -> Self {
        if judged { self.at_most(ratio) } else { self }
    }
}

impl Bench {
    /// A benchmark that writes `name.md` and `name.svg`.
    pub fn new(name: &'static str, title: &'static str, unit: &'static str) -> Self {
        let rounds = env::var("BENCH_ROUNDS").ok();
        Self {
            name,
            title,
            unit,
            rounds: rounds.map_or(ROUNDS, |rounds| {
                let rounds: usize = rounds.parse().expect("BENCH_ROUNDS is a number");
                assert!(
                    rounds > 0 && rounds.is_multiple_of(SHOWN),
                    "BENCH_ROUNDS is a multiple of {SHOWN}: some contenders run only in every {SHOWN}th"
                );
                rounds
            }),
            loads: env::var("BENCH_LOADS").ok(),
            rows: Vec::new(),
        }
    }

    /// Whether this load is asked for; what prepares a load at length asks first.
    pub fn has(&self, load: &str) -> bool {
        self.loads.as_ref().is_none_or(|wanted| load.contains(wanted))
    }

    /// Runs the contenders under one load, once in every round; who is shown only, in every fifth. The first of them is ours.
    pub fn load(&mut self, load: &str, contenders: &mut [Contender<'_>]) {
        if !self.has(load) {
            return;
        }
        let is_judged = contenders.iter().any(|contender| contender.at_most.is_some());
        let mut costs: Vec<Vec<(usize, f64)>> = vec![Vec::new(); contenders.len()];
        // The first round warms up.
        for round in 0..=self.rounds {
            for turn in 0..contenders.len() {
                // Another one begins each round, so that nobody always comes behind the same one.
                let index = (round + turn) % contenders.len();
                let contender = &mut contenders[index];
                let in_all = contender.at_most.is_some() || (index == 0 && is_judged);
                if !in_all && round % SHOWN != 0 {
                    continue;
                }
                let cost = (contender.run)();
                if round > 0 {
                    costs[index].push((round, cost));
                }
            }
        }
        let ours = |round| {
            let at = costs[0].iter().find(|(other, _)| *other == round);
            at.expect("ours runs whenever another does").1
        };
        let cells = contenders.iter().zip(&costs).map(|(contender, own)| Cell {
            contender: contender.name,
            cost: median(own.iter().map(|(_, cost)| *cost)),
            ratio: median(own.iter().map(|(round, cost)| ours(*round) / cost)),
            at_most: contender.at_most,
        });
        let row = Row {
            load: load.to_owned(),
            cells: cells.collect(),
        };
        eprintln!("{row}");
        self.rows.push(row);
    }

    /// Prints the table, and writes it and the picture into `target/benches`.
    pub fn finish(self) {
        let table = table(self.title, self.unit, self.rounds, &self.rows);
        println!("{table}");
        let folder = folder();
        fs::create_dir_all(&folder).expect("target can be written to");
        let file = |ending| folder.join(format!("{}.{ending}", self.name));
        fs::write(file("md"), table).expect("target can be written to");
        draw(&file("svg"), self.title, self.unit, &self.rows);
        eprintln!("written: {} and .svg", file("md").display());
    }
}

/// `target/benches`, wherever the target folder is: the benchmark itself lies in `target/release/deps`.
fn folder() -> PathBuf {
    let program = env::current_exe().expect("a running program has a path");
    let target = program.ancestors().nth(3);
    target
        .expect("cargo puts benchmarks three folders deep")
        .join("benches")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        (values[middle - 1] + values[middle]) / 2.0
    } else {
        values[middle]
    }
}
