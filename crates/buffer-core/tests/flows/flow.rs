//! One case while it runs.

use std::time::Duration;

use buffer_core::{Buffer, Overflow, Routing, Summary, TryInsertError};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

use crate::case::{Command, End, Route, Settings, Step, Weighing};
use crate::cemetery::Cemetery;
use crate::end::{check_the_books, check_the_close};
use crate::look::{Pending, look};
use crate::producer::{PRODUCERS, Producer, insert_and_wait};
use crate::report::flush;
use crate::sink::Recorder;
use crate::told::{Books, Item};

/// Nothing in a flow takes so long; what does hangs.
pub(crate) const HANGS: Duration = Duration::from_secs(4 * 30 * 60);

pub(crate) struct Flow {
    books: Books,
    sink: Recorder,
    commands: Vec<mpsc::UnboundedSender<Command>>,
    /// Producers, and what goes on beside the steps.
    tasks: Vec<JoinHandle<()>>,
}

impl Flow {
    pub(crate) fn new(books: Books, sink: Recorder) -> Self {
        Self {
            books,
            sink,
            commands: Vec::new(),
            tasks: Vec::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        let buffer = self.build();
        for number in 0..PRODUCERS {
            let (commands, received) = mpsc::unbounded_channel();
            let producer = Producer {
                number,
                buffer: buffer.clone(),
                books: self.books.clone(),
            };
            self.commands.push(commands);
            self.tasks.push(tokio::spawn(producer.run(received)));
        }
        for step in self.books.case.steps.clone() {
            let what = format!("{step:?}");
            timeout(HANGS, self.take(step, &buffer)).await.expect(&what);
            self.rest(&buffer).await;
            look(&self.books, &buffer);
        }
        let end = self.books.case.end.clone();
        let what = format!("{end:?}");
        if matches!(end, End::DropLastHandle) {
            drop((self.commands, buffer));
            timeout(HANGS, finished(self.tasks)).await.expect(&what);
            timeout(HANGS, self.sink.closed()).await.expect(&what);
            check_the_books(&self.books);
            return;
        }
        let closing = timeout(HANGS, self.close(&buffer, end));
        let summaries = tokio::select! {
            biased;
            summaries = closing => summaries.expect(&what),
            never = self.look_on(&buffer) => match never {},
        };
        drop(self.commands);
        timeout(HANGS, finished(self.tasks))
            .await
            .expect("producers of a closed buffer return");
        check_the_close(&self.books, &buffer, summaries);
        let stranger = self.books.stranger();
        let id = stranger.id;
        assert!(matches!(buffer.try_insert(stranger), Err(TryInsertError::Closed(item)) if item.id == id));
    }

    async fn take(&mut self, step: Step, buffer: &Buffer<Item>) {
        let (buffer, books) = (buffer.clone(), self.books.clone());
        match step {
            Step::Produce(producer, command) => {
                self.commands[producer].send(command).expect("a producer listens")
            }
            Step::InsertAndWait { too_heavy, patience } => {
                let waiting = insert_and_wait(buffer, books, too_heavy, patience);
                self.tasks.push(tokio::spawn(waiting));
            }
            Step::Flush => flush(buffer, books, None).await,
            Step::FlushGivenUp(limit) => drop(timeout(limit, flush(buffer, books, None)).await),
            Step::FlushBeside(limit) => self.tasks.push(tokio::spawn(flush(buffer, books, limit))),
            Step::RequestFlush => buffer.request_flush(),
            Step::Sleep(time) => sleep(time).await,
        }
    }

    /// Lets the tasks do what they can without time. Nobody waits then while there is room, whoever it is; and where there is
    /// a way to make room, or no way in any more, nobody at all.
    async fn rest(&self, buffer: &Buffer<Item>) {
        for _ in 0..3 {
            yield_now().await;
        }
        for _ in 0..100 {
            if !self.somebody_waits_for_nothing(buffer) {
                return;
            }
            yield_now().await;
        }
        panic!("an insert waits for nothing: {buffer:?}");
    }

    fn somebody_waits_for_nothing(&self, buffer: &Buffer<Item>) -> bool {
        let size = buffer.size();
        let pending = Pending::now(&self.books, buffer);
        let (waiting, _) = self.books.waiting(buffer);
        if waiting == 0 || buffer.is_closed() || self.books.case.settings.overflow != Overflow::Wait {
            return waiting > 0;
        }
        // Whichever of them it is that waits.
        let heaviest = pending.maybe.values().max().copied().unwrap_or_default() as u64;
        let (items, bytes) = self.books.case.share();
        let fits = size.items < items && size.bytes.saturating_add(heaviest) <= bytes;
        self.books.case.settings.partitions == 1 && fits
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

    /// Looks again and again, each time after a longer while.
    async fn look_on(&self, buffer: &Buffer<Item>) -> std::convert::Infallible {
        let mut pause = Duration::from_millis(1);
        loop {
            sleep(pause).await;
            self.rest(buffer).await;
            look(&self.books, buffer);
            pause = pause * 3 / 2;
        }
    }

    fn build(&self) -> Buffer<Item> {
        let case = &self.books.case;
        let Settings {
            partitions,
            batch_size,
            more_capacity: _,
            weighing,
            overflow,
            has_dead_letters,
            retries,
            route,
            give_up_after,
            flush_timeout,
            drain_timeout: _,
            last_items: _,
        } = case.settings.clone();
        let routing = match route {
            Route::ThreadHome => Routing::ThreadHome,
            Route::PerCall => Routing::PerCall,
            Route::ByProducer => Routing::by_key(|item: &Item| &item.producer),
        };
        let (last, hook) = (self.books.clone(), self.books.clone());
        let mut builder = Buffer::builder()
            .partitions(partitions)
            .batch_size(batch_size)
            .capacity(case.capacity())
            .overflow(overflow)
            .retries(retries)
            .backoff(Duration::from_millis(50), Duration::from_secs(2))
            .routing(routing)
            .flush_timeout(flush_timeout)
            .drain_timeout(case.drain_timeout())
            .last_items(move || last.last_items())
            .on_outcome(move |settled| hook.record.lock().hear(&hook.case, settled));
        if let Some(Weighing { batch_bytes, .. }) = weighing {
            builder = builder.weigh(|item: &Item| item.weight);
            if let Some(bytes) = batch_bytes {
                builder = builder.batch_bytes(bytes);
            }
            if let Some(bytes) = case.capacity_bytes() {
                builder = builder.capacity_bytes(bytes);
            }
        }
        if has_dead_letters {
            builder = builder.dead_letters(Cemetery(self.books.clone()));
        }
        if let Some(limit) = give_up_after {
            builder = builder.give_up_after(limit);
        }
        builder
            .build(self.sink.clone())
            .expect("the settings go together")
    }
}

async fn finished(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        if let Err(failed) = task.await {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
}
