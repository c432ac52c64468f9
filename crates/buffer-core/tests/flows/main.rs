//! Whole flows drawn at random: settings, a sink's answers, and what producers and callers do. Every item is accounted for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use buffer_core::{
    Batch, BatchId, Buffer, DropReason, Flush, FlushError, Ledger, Outcome, Routing, Summary, TryInsertError,
    async_trait,
};
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// Enough for every answer that a script can hold.
const AMPLE: Duration = Duration::from_secs(30 * 60);
/// Nothing in a flow takes so long; what does hangs.
const HANGS: Duration = Duration::from_secs(4 * 30 * 60);
/// The producer of the items that come with the close.
const LAST: u8 = u8::MAX;

#[derive(Debug, Clone)]
struct Case {
    settings: Settings,
    script: Vec<Answer>,
    steps: Vec<Step>,
    end: End,
}

#[derive(Debug, Clone)]
struct Settings {
    partitions: usize,
    batch_size: usize,
    /// How much above the least that is allowed.
    more_capacity: usize,
    retries: u32,
    route: Route,
    give_up_after: Option<Duration>,
    flush_timeout: Duration,
    drain_timeout: Option<Duration>,
    last_items: u32,
}

#[derive(Debug, Clone)]
enum Route {
    ThreadHome,
    PerCall,
    ByProducer,
}

/// What the sink does in one attempt.
#[derive(Debug, Clone)]
struct Answer {
    latency: Duration,
    /// Marks so many from the front as delivered.
    deliver: usize,
    /// Then sets those aside whose bit is set.
    reject: u8,
    verdict: Verdict,
}

#[derive(Debug, Clone)]
enum Verdict {
    Ok,
    Transient(Option<Duration>),
    Uncertain(Option<Duration>),
    Unavailable(Option<Duration>),
    Permanent,
    Divisible,
    Never,
    Panic,
}

#[derive(Debug, Clone)]
enum Step {
    Produce(usize, Command),
    Flush,
    FlushGivenUp(Duration),
    RequestFlush,
    Sleep(Duration),
}

#[derive(Debug, Clone)]
enum Command {
    One(Way),
    Many(u32, Way),
}

/// What an insert does where there is no room.
#[derive(Debug, Clone)]
enum Way {
    Wait,
    WaitFor(Duration),
    /// Is dropped while it waits.
    GiveUp(Duration),
    Try,
}

#[derive(Debug, Clone)]
enum End {
    Close,
    CloseWithin(Duration),
    CloseTwice(Duration, Duration),
    CloseGivenUp { limit: Duration, patience: Duration },
    DropLastHandle,
}

/// An item, which shows by its token that it still exists.
#[derive(Debug, Clone)]
struct Item {
    id: u32,
    producer: u8,
    _token: Arc<()>,
}

fn cases() -> impl Strategy<Value = Case> {
    let script = prop_oneof![
        2 => vec(answers(), 0..24),
        1 => vec(harmless_answers(), 0..24),
    ];
    (settings(), script, vec(steps(), 0..40), ends()).prop_map(|(settings, script, steps, end)| Case {
        settings,
        script,
        steps,
        end,
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    // One of them alone shows whether there is room for those who wait.
    let partitions = prop_oneof![Just(1), 2..=4usize];
    let route = prop_oneof![
        Just(Route::ThreadHome),
        Just(Route::PerCall),
        Just(Route::ByProducer)
    ];
    let limits = (
        proptest::option::weighted(0.2, millis(0..10_000)),
        millis(100..3_000),
        proptest::option::of(millis(0..8_000)),
    );
    (
        partitions,
        1..=7usize,
        0..20usize,
        0..=3u32,
        route,
        limits,
        0..8u32,
    )
        .prop_map(
            |(partitions, batch_size, more_capacity, retries, route, limits, last_items)| Settings {
                partitions,
                batch_size,
                more_capacity,
                retries,
                route,
                give_up_after: limits.0,
                flush_timeout: limits.1,
                drain_timeout: limits.2,
                last_items,
            },
        )
}

fn answers() -> impl Strategy<Value = Answer> {
    let after = || proptest::option::of(millis(0..4_000));
    let verdict = prop_oneof![
        4 => Just(Verdict::Ok),
        2 => after().prop_map(Verdict::Transient),
        1 => after().prop_map(Verdict::Uncertain),
        2 => after().prop_map(Verdict::Unavailable),
        1 => Just(Verdict::Permanent),
        2 => Just(Verdict::Divisible),
        1 => Just(Verdict::Never),
        1 => Just(Verdict::Panic),
    ];
    let deliver = prop_oneof![3 => Just(0), 2 => 1..8usize];
    let reject = prop_oneof![3 => Just(0), 1 => any::<u8>()];
    (latencies(), deliver, reject, verdict).prop_map(|(latency, deliver, reject, verdict)| Answer {
        latency,
        deliver,
        reject,
        verdict,
    })
}

/// Answers that cost no item anything.
fn harmless_answers() -> impl Strategy<Value = Answer> {
    let verdict = prop_oneof![
        Just(Verdict::Ok),
        proptest::option::of(millis(0..4_000)).prop_map(Verdict::Unavailable)
    ];
    (0..8usize, verdict).prop_map(|(deliver, verdict)| Answer {
        latency: Duration::ZERO,
        deliver,
        reject: 0,
        verdict,
    })
}

fn latencies() -> impl Strategy<Value = Duration> {
    prop_oneof![3 => Just(Duration::ZERO), 1 => millis(1..2_000)]
}

fn steps() -> impl Strategy<Value = Step> {
    let way = || {
        prop_oneof![
            3 => Just(Way::Wait),
            1 => millis(0..2_000).prop_map(Way::WaitFor),
            1 => millis(0..2_000).prop_map(Way::GiveUp),
            3 => Just(Way::Try),
        ]
    };
    let many = (0..60u32, way()).prop_map(|(count, way)| Command::Many(count, way));
    let command = prop_oneof![way().prop_map(Command::One), many];
    prop_oneof![
        6 => (0..3usize, command).prop_map(|(producer, command)| Step::Produce(producer, command)),
        1 => Just(Step::Flush),
        1 => millis(0..2_000).prop_map(Step::FlushGivenUp),
        1 => Just(Step::RequestFlush),
        2 => millis(0..3_000).prop_map(Step::Sleep),
    ]
}

fn millis(range: Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Close),
        (millis(0..5_000)).prop_map(End::CloseWithin),
        (millis(0..5_000), millis(0..5_000)).prop_map(|(one, other)| End::CloseTwice(one, other)),
        (millis(0..5_000), millis(0..5_000))
            .prop_map(|(limit, patience)| End::CloseGivenUp { limit, patience }),
        Just(End::DropLastHandle),
    ]
}

impl Case {
    /// No answer of the sink costs an item anything.
    fn is_harmless(&self) -> bool {
        let harmless = |answer: &Answer| {
            answer.latency < self.settings.flush_timeout
                && answer.reject == 0
                && matches!(answer.verdict, Verdict::Ok | Verdict::Unavailable(_))
        };
        self.settings.give_up_after.is_none() && self.script.iter().all(harmless)
    }

    fn drain_timeout(&self) -> Duration {
        self.settings.drain_timeout.unwrap_or(AMPLE)
    }

    /// Whether the end leaves time for every answer of the script.
    fn has_time(&self) -> bool {
        matches!(self.end, End::Close | End::DropLastHandle) && self.settings.drain_timeout.is_none()
    }

    fn capacity(&self) -> usize {
        let Settings {
            partitions,
            batch_size,
            more_capacity,
            ..
        } = self.settings;
        partitions * batch_size + more_capacity
    }

    fn build(&self, sink: Recorder, token: &Arc<()>) -> Buffer<Item> {
        let Settings {
            partitions,
            batch_size,
            more_capacity: _,
            retries,
            route,
            give_up_after,
            flush_timeout,
            drain_timeout: _,
            last_items,
        } = self.settings.clone();
        let routing = match route {
            Route::ThreadHome => Routing::ThreadHome,
            Route::PerCall => Routing::PerCall,
            Route::ByProducer => Routing::by_key(|item: &Item| &item.producer),
        };
        let token = Arc::clone(token);
        let mut builder = Buffer::builder()
            .partitions(partitions)
            .batch_size(batch_size)
            .capacity(self.capacity())
            .retries(retries)
            .backoff(Duration::from_millis(50), Duration::from_secs(2))
            .routing(routing)
            .flush_timeout(flush_timeout)
            .drain_timeout(self.drain_timeout())
            .last_items(move || {
                let item = |number| Item {
                    id: u32::MAX - last_items + number,
                    producer: LAST,
                    _token: Arc::clone(&token),
                };
                (0..last_items).map(item).collect()
            });
        let record = Arc::clone(&sink.0);
        builder = builder.on_outcome(move |settled| {
            let mut record = record.lock();
            for item in settled.items {
                let before = record.outcomes.insert(item.id, settled.outcome);
                record.settled_twice = record.settled_twice.or(before.map(|_| item.id));
            }
        });
        if let Some(limit) = give_up_after {
            builder = builder.give_up_after(limit);
        }
        builder.build(sink).unwrap()
    }
}

/// A sink that answers by a script, then `Ok`, and keeps its own books. It keeps no item, only names.
#[derive(Debug, Clone)]
struct Recorder(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    script: VecDeque<Answer>,
    /// In the order of the deliveries: partition, producer, item.
    delivered: Vec<(usize, u8, u32)>,
    rejected: Vec<u32>,
    permanent: Vec<u32>,
    /// The attempts that spent a retry, and those that were cut off, for each item.
    spent: BTreeMap<u32, u32>,
    running: BTreeSet<usize>,
    content: BTreeMap<BatchId, Vec<u32>>,
    largest: usize,
    overlapped: bool,
    /// What the hook heard.
    outcomes: BTreeMap<u32, Outcome>,
    settled_twice: Option<u32>,
    changed_under_its_id: bool,
    closed: usize,
}

/// An attempt under way; dropped without an answer, it was cut off.
struct Attempt {
    record: Arc<Mutex<Record>>,
    partition: usize,
    spends: Vec<u32>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut record = self.record.lock();
        record.running.remove(&self.partition);
        for item in &self.spends {
            *record.spent.entry(*item).or_default() += 1;
        }
    }
}

impl Recorder {
    /// Resolves when the sink was closed, a while after it.
    async fn closed(&self) {
        while self.0.lock().closed == 0 {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_secs(1)).await;
    }

    fn begin(&self, batch: &Batch<Item>) -> (Attempt, Answer) {
        let names: Vec<u32> = batch.iter().map(|item| item.id).collect();
        let mut record = self.0.lock();
        record.overlapped |= !record.running.insert(batch.partition());
        record.largest = record.largest.max(batch.len());
        let content = record.content.entry(batch.id()).or_insert_with(|| names.clone());
        let changed = *content != names;
        record.changed_under_its_id |= changed;
        let answer = record.script.pop_front().unwrap_or(Answer {
            latency: Duration::ZERO,
            deliver: 0,
            reject: 0,
            verdict: Verdict::Ok,
        });
        let attempt = Attempt {
            record: Arc::clone(&self.0),
            partition: batch.partition(),
            spends: names,
        };
        (attempt, answer)
    }
}

#[async_trait]
impl Flush<Item> for Recorder {
    async fn flush(&self, batch: &mut Batch<Item>) -> Result<(), FlushError> {
        let (mut attempt, answer) = self.begin(batch);
        sleep(answer.latency).await;
        let deliver = answer.deliver.min(batch.len());
        batch.deliver(0..deliver);
        let rejected = |index: usize| index < 8 && answer.reject & (1 << index) != 0;
        for index in (0..batch.len()).filter(|index| rejected(*index)) {
            batch.reject(index, "scripted");
        }
        {
            let mut record = self.0.lock();
            for (index, item) in batch.iter().enumerate() {
                match answer.verdict {
                    _ if rejected(index) => record.rejected.push(item.id),
                    Verdict::Ok => record.delivered.push((batch.partition(), item.producer, item.id)),
                    _ if index < deliver => {
                        record.delivered.push((batch.partition(), item.producer, item.id))
                    }
                    Verdict::Permanent => record.permanent.push(item.id),
                    Verdict::Divisible if batch.len() == 1 => record.rejected.push(item.id),
                    _ => {}
                }
            }
        }
        let after = |error: FlushError, delay: Option<Duration>| match delay {
            Some(delay) => error.retry_after(delay),
            None => error,
        };
        let error = match answer.verdict {
            Verdict::Never => std::future::pending().await,
            // Without the hook, which would print.
            Verdict::Panic => std::panic::resume_unwind(Box::new("scripted")),
            Verdict::Transient(delay) => return Err(after(FlushError::transient("scripted"), delay)),
            Verdict::Uncertain(delay) => return Err(after(FlushError::uncertain("scripted"), delay)),
            Verdict::Ok => None,
            Verdict::Unavailable(delay) => Some(after(FlushError::unavailable("scripted"), delay)),
            Verdict::Permanent => Some(FlushError::permanent("scripted")),
            Verdict::Divisible => Some(FlushError::divisible("scripted")),
        };
        attempt.spends.clear();
        error.map_or(Ok(()), Err)
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.0.lock().closed += 1;
        Ok(())
    }
}

/// What the producers were told.
#[derive(Debug, Default)]
struct Told {
    next: u32,
    accepted: BTreeSet<u32>,
    refused: BTreeSet<u32>,
    /// Items of calls that have not answered yet.
    open: u64,
}

/// A task that inserts, one command after the other.
struct Producer {
    number: u8,
    buffer: Buffer<Item>,
    told: Arc<Mutex<Told>>,
    token: Arc<()>,
}

impl Producer {
    async fn run(self, mut commands: mpsc::UnboundedReceiver<Command>) {
        while let Some(command) = commands.recv().await {
            self.carry_out(command).await;
        }
    }

    async fn carry_out(&self, command: Command) {
        match command {
            Command::One(way) => self.one(way).await,
            Command::Many(count, way) => self.many(count, way).await,
        }
    }

    /// Inserts an item, and notes the answer in the same step in which it comes.
    async fn one(&self, way: Way) {
        let (item, buffer) = (self.item(), &self.buffer);
        let id = item.id;
        self.told.lock().open += 1;
        let inserted = match way {
            Way::Wait => buffer.insert(item).await.map_err(|error| Some(error.into_item())),
            Way::WaitFor(limit) => {
                let inserted = buffer.insert_timeout(item, limit).await;
                inserted.map_err(|error| Some(error.into_item()))
            }
            Way::GiveUp(limit) => match timeout(limit, buffer.insert(item)).await {
                Ok(inserted) => inserted.map_err(|error| Some(error.into_item())),
                Err(_) => Err(None),
            },
            Way::Try => buffer.try_insert(item).map_err(|error| Some(error.into_item())),
        };
        let mut told = self.told.lock();
        told.open -= 1;
        match inserted {
            Ok(()) => told.accepted.insert(id),
            Err(handed_back) => {
                assert!(handed_back.is_none_or(|item| item.id == id), "not {id} came back");
                told.refused.insert(id)
            }
        };
    }

    /// Inserts many items, and notes what is left over.
    async fn many(&self, count: u32, way: Way) {
        let mut items: Vec<Item> = (0..count).map(|_| self.item()).collect();
        let ids: Vec<u32> = items.iter().map(|item| item.id).collect();
        self.told.lock().open += u64::from(count);
        let all = match way {
            Way::Wait => self.buffer.insert_batch(&mut items).await.is_ok(),
            Way::WaitFor(limit) | Way::GiveUp(limit) => {
                let inserted = timeout(limit, self.buffer.insert_batch(&mut items)).await;
                inserted.is_ok_and(|inserted| inserted.is_ok())
            }
            Way::Try => self.buffer.try_insert_batch(&mut items).is_ok(),
        };
        assert!(!all || items.is_empty(), "ok, with {items:?} left");
        let left: Vec<u32> = items.iter().map(|item| item.id).collect();
        assert!(left.is_sorted(), "the rest has lost its order: {left:?}");
        let (refused, accepted): (Vec<u32>, Vec<u32>) =
            ids.into_iter().partition(|id| left.binary_search(id).is_ok());
        let mut told = self.told.lock();
        told.open -= u64::from(count);
        told.accepted.extend(accepted);
        told.refused.extend(refused);
    }

    fn item(&self) -> Item {
        let mut told = self.told.lock();
        let id = told.next;
        told.next += 1;
        Item {
            id,
            producer: self.number,
            _token: Arc::clone(&self.token),
        }
    }
}

/// One case while it runs.
struct Flow {
    case: Case,
    sink: Recorder,
    told: Arc<Mutex<Told>>,
    token: Arc<()>,
}

impl Flow {
    async fn run(self) {
        let buffer = self.case.build(self.sink.clone(), &self.token);
        let mut producers = Vec::new();
        for number in 0..3 {
            let (commands, received) = mpsc::unbounded_channel();
            let producer = Producer {
                number,
                buffer: buffer.clone(),
                told: Arc::clone(&self.told),
                token: Arc::clone(&self.token),
            };
            producers.push((commands, tokio::spawn(producer.run(received))));
        }
        for step in self.case.steps.clone() {
            let what = format!("{step:?}");
            let done = async {
                match step {
                    Step::Produce(producer, command) => producers[producer].0.send(command).unwrap(),
                    Step::Flush => flush(&buffer).await,
                    Step::FlushGivenUp(limit) => drop(timeout(limit, flush(&buffer)).await),
                    Step::RequestFlush => buffer.request_flush(),
                    Step::Sleep(time) => sleep(time).await,
                }
            };
            timeout(HANGS, done).await.expect(&what);
            self.rest(&buffer).await;
            self.check_on_the_way(&buffer);
        }
        let (commands, producing): (Vec<_>, Vec<_>) = producers.into_iter().unzip();
        let end = self.case.end.clone();
        let what = format!("{end:?}");
        if matches!(end, End::DropLastHandle) {
            drop((commands, buffer));
            timeout(HANGS, finished(producing)).await.expect(&what);
            timeout(HANGS, self.sink.closed()).await.expect(&what);
            self.check_the_books();
            return;
        }
        let summaries = timeout(HANGS, self.close(&buffer, end)).await.expect(&what);
        drop(commands);
        timeout(HANGS, finished(producing))
            .await
            .expect("producers of a closed buffer return");
        self.check_the_end(&buffer, summaries);
        let (id, token) = (u32::MAX, Arc::clone(&self.token));
        let item = Item {
            id,
            producer: 0,
            _token: token,
        };
        assert!(matches!(buffer.try_insert(item), Err(TryInsertError::Closed(item)) if item.id == id));
    }

    /// Lets the tasks do what they can without time. Nobody waits then while there is room.
    async fn rest(&self, buffer: &Buffer<Item>) {
        for _ in 0..3 {
            yield_now().await;
        }
        let capacity = self.case.capacity() as u64;
        let waits_for_nothing = || {
            let open = self.told.lock().open;
            self.case.settings.partitions == 1 && open > 0 && buffer.ledger().pending < capacity
        };
        for _ in 0..100 {
            if !waits_for_nothing() {
                return;
            }
            yield_now().await;
        }
        panic!("an insert waits though there is room: {:?}", buffer.ledger());
    }

    async fn close(&self, buffer: &Buffer<Item>, end: End) -> Vec<Summary<Item>> {
        let within = |limit| buffer.close_within(limit);
        match end {
            End::Close | End::DropLastHandle => vec![buffer.close().await],
            End::CloseWithin(limit) => vec![within(limit).await],
            End::CloseTwice(one, other) => {
                let (one, other) = tokio::join!(within(one), within(other));
                vec![one, other]
            }
            End::CloseGivenUp { limit, patience } => {
                let given_up = timeout(patience, within(limit)).await.ok();
                // Whoever is left to look sees the end, too.
                self.sink.closed().await;
                given_up.into_iter().chain([buffer.close().await]).collect()
            }
        }
    }

    fn check_on_the_way(&self, buffer: &Buffer<Item>) {
        let ledger = buffer.ledger();
        assert_adds_up(&ledger);
        assert!(ledger.pending <= self.case.capacity() as u64, "{ledger:?}");
        let told = self.told.lock();
        let accepted = told.accepted.len() as u64;
        assert!(
            (accepted..=accepted + told.open).contains(&ledger.accepted),
            "{ledger:?}, told {accepted}"
        );
        let record = self.sink.0.lock();
        // What the sink did is counted when its worker has run.
        assert!(ledger.delivered <= record.delivered.len() as u64, "{ledger:?}");
    }

    fn check_the_end(&self, buffer: &Buffer<Item>, summaries: Vec<Summary<Item>>) {
        let ledger = buffer.ledger();
        assert_adds_up(&ledger);
        assert_eq!(ledger.pending, 0, "{ledger:?}");
        self.check_the_books();
        let outcomes = &self.sink.0.lock().outcomes;
        let count = |outcome| outcomes.values().filter(|other| **other == outcome).count() as u64;
        assert_eq!(ledger.accepted, outcomes.len() as u64, "{ledger:?}");
        assert_eq!(ledger.delivered, count(Outcome::Delivered), "{ledger:?}");
        assert_eq!(ledger.returned, count(Outcome::Returned), "{ledger:?}");
        for reason in DropReason::ALL {
            assert_eq!(
                ledger.dropped.count(reason),
                count(Outcome::Dropped(reason)),
                "{ledger:?}"
            );
        }
        let mut undelivered = Vec::new();
        for summary in summaries {
            assert_eq!(summary.ledger, ledger);
            undelivered.extend(summary.undelivered);
        }
        assert_eq!(ledger.returned, undelivered.len() as u64, "{ledger:?}");
        for item in &undelivered {
            assert_eq!(outcomes[&item.id], Outcome::Returned, "{item:?}");
        }
        if self.case.settings.partitions == 1 || matches!(self.case.settings.route, Route::ByProducer) {
            assert_in_order(undelivered.iter().map(|item| (0, item.producer, item.id)));
        }
    }

    /// Checks that what the producers were told, what the sink did and what the hook heard is the same.
    fn check_the_books(&self) {
        let told = self.told.lock();
        assert_eq!(told.open, 0, "an insert has not answered");
        assert!(told.accepted.is_disjoint(&told.refused));
        assert_eq!(told.accepted.len() + told.refused.len(), told.next as usize);
        let Record {
            script: _,
            delivered,
            rejected,
            permanent,
            spent,
            running: _,
            content: _,
            largest,
            overlapped,
            changed_under_its_id,
            outcomes,
            settled_twice,
            closed,
        } = &*self.sink.0.lock();
        let Case {
            settings,
            script,
            steps: _,
            end,
        } = &self.case;
        assert_eq!(*closed, 1);
        assert!(!overlapped, "two attempts of one partition at once");
        assert!(!changed_under_its_id, "an id named two contents");
        assert!(*largest <= settings.batch_size);
        assert_in_order(delivered.iter().copied());
        let divides = |answer: &Answer| matches!(answer.verdict, Verdict::Divisible);
        let most_spent = spent.values().max().copied().unwrap_or_default();
        assert!(
            most_spent <= settings.retries + 1 || script.iter().any(divides),
            "spent {most_spent}"
        );

        assert_eq!(*settled_twice, None);
        let mut accepted = told.accepted.clone();
        accepted.extend(u32::MAX - settings.last_items..u32::MAX);
        assert!(
            accepted.iter().eq(outcomes.keys()),
            "accepted {accepted:?}, heard of {outcomes:?}"
        );
        let heard = |outcome| {
            outcomes
                .iter()
                .filter(move |(_, other)| **other == outcome)
                .map(|(id, _)| *id)
        };
        let did = |items: &[u32], outcome| {
            let items: BTreeSet<u32> = items.iter().copied().collect();
            assert!(
                items.into_iter().eq(heard(outcome)),
                "{outcome:?} of {outcomes:?}"
            );
        };
        let delivered: Vec<u32> = delivered.iter().map(|(_, _, id)| *id).collect();
        assert_eq!(
            delivered.len() as u64,
            heard(Outcome::Delivered).count() as u64,
            "delivered twice"
        );
        did(&delivered, Outcome::Delivered);
        did(rejected, Outcome::Dropped(DropReason::Rejected));
        did(permanent, Outcome::Dropped(DropReason::Permanent));
        for (id, outcome) in outcomes {
            let Outcome::Dropped(reason) = outcome else {
                continue;
            };
            let right = match reason {
                DropReason::RetriesExhausted => spent.get(id) > Some(&settings.retries),
                DropReason::GivenUp => settings.give_up_after.is_some(),
                DropReason::Undivided => script.iter().any(divides),
                DropReason::DrainTimeout => matches!(end, End::CloseGivenUp { .. } | End::DropLastHandle),
                // Compared with what the sink did.
                DropReason::Rejected | DropReason::Permanent => true,
                _ => false,
            };
            assert!(right, "{id} was dropped: {reason}");
        }
        let unharmed = self.case.is_harmless() && self.case.has_time();
        assert!(
            !unharmed || delivered.len() == accepted.len(),
            "lost some of {accepted:?}"
        );
    }
}

/// Flushes, and checks that what was pending is settled by it.
async fn flush(buffer: &Buffer<Item>) {
    let before = buffer.ledger();
    let report = buffer.flush().await;
    let settled = report.delivered + report.dropped.total() + report.returned;
    assert_eq!(settled, before.pending, "{report:?} of {before:?}");
    let after = buffer.ledger();
    assert!(
        after.accepted - after.pending >= before.accepted,
        "{after:?} after {before:?}"
    );
}

async fn finished(producing: Vec<tokio::task::JoinHandle<()>>) {
    for producer in producing {
        producer.await.unwrap();
    }
}

fn assert_adds_up(ledger: &Ledger) {
    let settled = ledger.delivered + ledger.dropped.total() + ledger.returned;
    assert_eq!(ledger.accepted, settled + ledger.pending, "{ledger:?}");
}

/// What one producer inserted leaves each partition in the order of the inserts.
fn assert_in_order(items: impl Iterator<Item = (usize, u8, u32)>) {
    let mut last = BTreeMap::new();
    for (partition, producer, id) in items {
        let before = last.insert((partition, producer), id);
        assert!(
            before < Some(id),
            "partition {partition}, producer {producer}: {id} came after {before:?}"
        );
    }
}

/// Runs a case to its end, also when a check fails on the way: a runtime that dies with work left would wait for a rescue.
fn run(case: Case) {
    let sink = Recorder(Arc::new(Mutex::new(Record {
        script: case.script.clone().into(),
        ..Record::default()
    })));
    let token = Arc::new(());
    let flow = Flow {
        case,
        sink: sink.clone(),
        told: Arc::default(),
        token: Arc::clone(&token),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (ended, closed) = runtime.block_on(async {
        let ended = tokio::spawn(flow.run()).await;
        (ended, timeout(HANGS, sink.closed()).await)
    });
    if closed.is_err() {
        std::mem::forget(runtime);
    }
    if let Err(failed) = ended {
        std::panic::resume_unwind(failed.into_panic());
    }
    assert_eq!(Arc::strong_count(&token), 1, "an item still exists");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Fails when rejected items are not counted; when the rest of a partly delivered batch is lost; when the second half of
    /// a split batch goes first; when what is left of a refused batch counts as refused alone; when `flush` does not seal what
    /// is open; when a batch is tried once more than `retries` says; when `unavailable` spends retries; when the marks of an
    /// attempt that the deadline cut off are forgotten; when a rest keeps its parent's id; when room is freed at the cut; when
    /// a close does not wake those who wait; when what is handed back or returned is out of order; when what
    /// somebody waits for is dropped; and in most runs when a woken insert does not wake the next.
    #[test]
    fn every_item_of_any_flow_is_accounted_for(case in cases()) {
        run(case);
    }
}
