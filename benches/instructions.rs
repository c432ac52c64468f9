//! Does one thing some thousand times, for an instruction counter, and ends: `.ci/instructions` has the bounds.
//!
//! No peer is in it, so that it is built quickly. It is called with what to do: `inserts` or `increments`, with Prometheus' recorder if
//! `recorder` follows; `lines` or `series`, with something to escape in every name and text if `escaped` follows.

#[path = "instructions/increments.rs"]
mod increments;
#[path = "instructions/inserts.rs"]
mod inserts;
#[path = "instructions/lines.rs"]
mod lines;
#[path = "encode/ours.rs"]
mod ours;
#[path = "encode/readings.rs"]
mod readings;
#[path = "encode/special.rs"]
mod special;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::runtime::{Builder, Runtime};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [what, rest @ ..] = &arguments[..] else {
        panic!("it is called with what to do");
    };
    if rest == ["recorder"] {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::set_global_recorder(recorder).expect("no other is installed");
    }
    let readings = match rest {
        ["escaped"] => special::special(),
        _ => readings::plain(),
    };
    match *what {
        "inserts" => inserts::run(&runtime()),
        "increments" => increments::run(&runtime()),
        "lines" => lines::run(&readings),
        "series" => lines::run_with_series(&readings),
        other => panic!("nobody counts {other}"),
    }
}

/// No worker runs beside whoever inserts, so that every run executes the same instructions.
fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built")
}
