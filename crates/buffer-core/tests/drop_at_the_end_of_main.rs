//! The last handle is dropped without a close, and the process ends: everything inserted arrives.
//!
//! Each case runs in a child process, which is this very program, because what is tested is the end of `main`: in every kind
//! of runtime, with the handle dropped in every place, and with sinks that are well, slow, fail or hang. What the child's hook saw has to add up in each. It fails when the guard's
//! drop in src/worker/rescue.rs does nothing.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use buffer_core::{Batch, Buffer, Flush, FlushError, Outcome, TryInsertError, async_trait};
use tokio::runtime::{Builder, Runtime};

const RUNTIMES: [&str; 3] = ["current-thread", "one-worker", "four-workers"];
const PLACES: [&str; 6] = [
    "in-async-code",
    "end-of-main",
    "plain-thread",
    "after-runtime",
    "in-a-static",
    "unwinding",
];
const SINKS: [&str; 5] = ["well", "slow", "first-attempts-hang", "fails", "hangs"];
const ITEMS: u32 = 1_000;
/// No child may take longer: it is far beyond the drain's limit.
const WATCHDOG: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child", runtime, place, sink, path] => {
            child(runtime, place, sink, Path::new(path));
            ExitCode::SUCCESS
        }
        // What test runners ask for.
        [.., "--list"] | ["--list", ..] => {
            println!("drop_at_the_end_of_main: test");
            ExitCode::SUCCESS
        }
        _ => parent(),
    }
}

fn parent() -> ExitCode {
    let folder = std::env::temp_dir().join(format!("buffer-drop-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    let (cases, failures) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    for (runtime, place, sink) in RUNTIMES.iter().flat_map(|r| {
        PLACES
            .iter()
            .flat_map(move |p| SINKS.iter().map(move |s| (*r, *p, *s)))
    }) {
        cases.lock().unwrap().push((runtime, place, sink));
    }
    let total = cases.lock().unwrap().len();
    println!("\nrunning {total} tests");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((runtime, place, sink)) = { cases.lock().unwrap().pop() } {
                    let path = folder.join(format!("{runtime}-{place}-{sink}.items"));
                    let problem = run_child(runtime, place, sink, &path).err();
                    println!(
                        "test {runtime}::{place}::{sink} ... {}",
                        problem.as_deref().unwrap_or("ok")
                    );
                    failures.lock().unwrap().extend(problem);
                }
            });
        }
    });
    std::fs::remove_dir_all(&folder).expect("the temporary folder is ours");
    let failed = failures.lock().unwrap().len();
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n",
        total - failed
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_child(runtime: &str, place: &str, sink: &str, path: &Path) -> Result<(), String> {
    File::create(path).expect("the temporary folder is writable");
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["child", runtime, place, sink])
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program can be started");
    let id = child.id().to_string();
    let mut stderr = child.stderr.take().expect("it is piped");
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        // What is not text only makes a poorer message.
        let _ = std::io::Read::read_to_string(&mut stderr, &mut text);
        sender.send((child.wait(), text))
    });
    let Ok((status, stderr)) = ended.recv_timeout(WATCHDOG) else {
        Command::new("kill")
            .args(["-KILL", &id])
            .status()
            .expect("kill is there");
        return Err("hangs".into());
    };
    let expected = if place == "unwinding" { 101 } else { 0 };
    let code = status.expect("the child was not waited for before").code();
    if code != Some(expected) {
        return Err(format!("ended with {code:?}: {stderr}"));
    }
    let mut arrived = numbers(path);
    arrived.sort_unstable();
    let delivered = numbers(&outcomes(path, "delivered")).iter().sum::<u32>();
    let dropped = numbers(&outcomes(path, "dropped")).iter().sum::<u32>();
    if (delivered as usize, delivered + dropped) != (arrived.len(), ITEMS) {
        let arrived = arrived.len();
        return Err(format!(
            "{arrived} arrived, {delivered} delivered, {dropped} dropped: {stderr}"
        ));
    }
    let expected = match sink {
        "fails" | "hangs" => Vec::new(),
        _ => (0..ITEMS).collect(),
    };
    if arrived != expected {
        return Err(format!("{} of {ITEMS} items arrived: {stderr}", arrived.len()));
    }
    Ok(())
}

/// The numbers in a file of lines; none if there is no such file.
fn numbers(path: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

/// Where the child's hook notes outcomes.
fn outcomes(path: &Path, outcome: &str) -> PathBuf {
    path.with_extension(outcome)
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Writes the items to a file, in the manner that its name says.
struct Lines {
    manner: String,
    path: PathBuf,
    /// One for each partition: its first attempt was made.
    tried: [AtomicBool; 2],
}

#[async_trait]
impl Flush<u32> for Lines {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        match self.manner.as_str() {
            "slow" => tokio::time::sleep(Duration::from_millis(5)).await,
            "hangs" => std::future::pending().await,
            "fails" => return Err(FlushError::transient("scripted")),
            // As on a pooled connection of a runtime that is gone. Relaxed: attempts of a partition never overlap.
            "first-attempts-hang" if !self.tried[batch.partition()].swap(true, Ordering::Relaxed) => {
                std::future::pending().await
            }
            _ => {}
        }
        let lines: String = batch.iter().map(|item| format!("{item}\n")).collect();
        append(&self.path, &lines).map_err(FlushError::uncertain)
    }
}

static KEPT: OnceLock<Buffer<u32>> = OnceLock::new();

fn child(runtime: &str, place: &str, sink: &str, path: &Path) {
    let runtime = build_runtime(runtime);
    let sink = Lines {
        manner: sink.into(),
        path: path.into(),
        tried: Default::default(),
    };
    let drain_timeout = Duration::from_secs(if sink.manner == "hangs" { 1 } else { 20 });
    let buffer = Buffer::builder()
        .partitions(2)
        .batch_size(64)
        .drain_timeout(drain_timeout)
        .backoff(Duration::from_millis(1), Duration::from_millis(1))
        .on_outcome({
            let path = path.to_owned();
            move |settled| {
                let outcome = match settled.outcome {
                    Outcome::Delivered => "delivered",
                    _ => "dropped",
                };
                append(&outcomes(&path, outcome), &format!("{}\n", settled.count))
                    .expect("it can be written");
            }
        })
        .runtime(runtime.handle().clone())
        .build(sink)
        .expect("the settings make sense");
    match place {
        "in-async-code" => runtime.block_on(async move {
            insert_all(&buffer).await;
            drop(buffer);
            tokio::task::yield_now().await;
        }),
        "end-of-main" => runtime.block_on(async move { insert_all(&buffer).await }),
        "plain-thread" => runtime.block_on(async move {
            insert_all(&buffer).await;
            thread::spawn(move || drop(buffer))
                .join()
                .expect("a drop does not panic");
        }),
        "after-runtime" => {
            runtime.block_on(insert_all(&buffer));
            drop(runtime);
            assert_eq!(buffer.try_insert(0), Err(TryInsertError::Closed(0)));
        }
        "in-a-static" => runtime.block_on(async move {
            insert_all(&buffer).await;
            KEPT.set(buffer).expect("it is set once");
        }),
        "unwinding" => runtime.block_on(async move {
            insert_all(&buffer).await;
            panic!("the child's own");
        }),
        _ => unreachable!("no such place"),
    }
}

async fn insert_all(buffer: &Buffer<u32>) {
    for item in 0..ITEMS {
        buffer.insert(item).await.expect("the buffer is open");
    }
}

fn build_runtime(kind: &str) -> Runtime {
    let mut builder = match kind {
        "current-thread" => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let workers = if kind == "four-workers" { 4 } else { 1 };
    builder
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("a runtime can be built")
}
