//! A process that is killed in the middle: what it had been told is delivered, the sink has; lost is at most what was pending.
//!
//! The process is this very program, started again for the one test with a folder to write to. Fails when a flush or an
//! `insert_and_wait` answers before the sink has.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};

const TEST: &str = "what_was_told_as_delivered_is_in_the_sink_when_the_process_is_killed";
/// Tells the child that it is one, and which file is its sink's.
const CHILD: &str = "BUFFER_TEST_KILLED_SINK";
const CAPACITY: usize = 2_000;
/// Beyond what any child takes to say enough.
const WATCHDOG: Duration = Duration::from_secs(60);

#[test]
fn what_was_told_as_delivered_is_in_the_sink_when_the_process_is_killed() {
    if let Some(sink) = std::env::var_os(CHILD) {
        return child(Path::new(&sink));
    }
    let folder = std::env::temp_dir().join(format!("buffer-killed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for kill_after in [1, 10, 100, 1_000, 5_000] {
        let path = folder.join(kill_after.to_string());
        File::create(&path).unwrap();
        let said = kill_a_child(&path, kill_after);
        let text = std::fs::read_to_string(&path).unwrap();
        // A last line without an end was cut off as it was written.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let arrived: Vec<u64> = whole.lines().map(|line| line.parse().unwrap()).collect();
        let once: HashSet<u64> = arrived.iter().copied().collect();
        assert_eq!(arrived.len(), once.len(), "nothing twice");
        let missing: Vec<_> = said
            .delivered
            .iter()
            .filter(|item| !once.contains(item))
            .collect();
        assert!(missing.is_empty(), "told as delivered and not there: {missing:?}");
        // Accepted and not there was pending: never more than the buffer holds.
        let lost = said.accepted.iter().filter(|item| !once.contains(item)).count();
        assert!(lost <= CAPACITY, "{lost} items are lost");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// What a child said before it was killed.
#[derive(Default)]
struct Said {
    accepted: Vec<u64>,
    delivered: Vec<u64>,
}

/// Starts a child and kills it when it has told so many items as delivered.
fn kill_a_child(path: &Path, kill_after: usize) -> Said {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (enough, wait) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut said = Said::default();
        for line in lines.map_while(Result::ok) {
            let (word, item) = line.split_once(' ').unwrap_or_default();
            match (word, item.parse()) {
                ("accepted", Ok(item)) => said.accepted.push(item),
                ("delivered", Ok(item)) => said.delivered.push(item),
                // The pipe may end in the middle of a line.
                _ => continue,
            }
            if said.delivered.len() == kill_after {
                // Nobody listens when the watchdog was faster.
                let _ = enough.send(());
            }
        }
        said
    });
    let in_time = wait.recv_timeout(WATCHDOG);
    // Whatever happened, it ends here, and it ends this very child.
    child.kill().unwrap();
    child.wait().unwrap();
    let said = reader.join().unwrap();
    in_time.expect("the child says enough in time and does not end by itself");
    said
}

/// Appends one line for each item.
struct Lines(File);

#[async_trait]
impl Flush<u64> for Lines {
    async fn flush(&self, batch: &mut Batch<u64>) -> Result<(), FlushError> {
        let lines: String = batch.iter().map(|item| format!("{item}\n")).collect();
        (&self.0)
            .write_all(lines.as_bytes())
            .map_err(FlushError::uncertain)
    }
}

/// Inserts for ever, in three ways at the same time, and says each step.
fn child(path: &Path) {
    let file = OpenOptions::new().append(true).open(path).unwrap();
    let builder = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = builder.unwrap();
    let buffer = Buffer::builder()
        .partitions(2)
        .batch_size(100)
        .capacity(CAPACITY)
        .flush_interval(Duration::from_millis(1))
        .runtime(runtime.handle().clone())
        .build(Lines(file))
        .unwrap();
    runtime.block_on(async {
        let waiting = waits_for_each(buffer.clone());
        let flushing = flushes_each_hundred(buffer.clone());
        let inserting = tokio::spawn(inserts_alone(buffer));
        let (_, _, ended) = tokio::join!(waiting, flushing, inserting);
        ended.unwrap();
    });
}

async fn waits_for_each(buffer: Buffer<u64>) {
    for item in (0..).step_by(3) {
        buffer.insert_and_wait(item).await.unwrap();
        say("delivered", item..=item);
    }
}

async fn flushes_each_hundred(buffer: Buffer<u64>) {
    for hundred in 0.. {
        let items = (hundred * 100..(hundred + 1) * 100).map(|item| item * 3 + 1);
        buffer.insert_batch(&mut items.clone().collect()).await.unwrap();
        assert_eq!(buffer.flush().await.dropped.total(), 0);
        say("delivered", items);
    }
}

async fn inserts_alone(buffer: Buffer<u64>) {
    for item in (2..).step_by(3) {
        buffer.insert(item).await.unwrap();
        say("accepted", item..=item);
    }
}

/// Says it at once, in one piece, and ends the process when nobody listens any more.
fn say(word: &str, items: impl Iterator<Item = u64>) {
    let lines: String = items.map(|item| format!("{word} {item}\n")).collect();
    if io::stderr().lock().write_all(lines.as_bytes()).is_err() {
        std::process::exit(1);
    }
}
