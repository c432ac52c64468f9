//! What a flow is drawn from: the settings, the scripts of the two sinks, the steps and the end.

use std::time::Duration;

use buffer_core::Overflow;

/// Enough for every answer that a script can hold.
const AMPLE: Duration = Duration::from_secs(30 * 60);

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) settings: Settings,
    pub(crate) script: Vec<Answer>,
    pub(crate) burials: Vec<Burial>,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) partitions: usize,
    pub(crate) batch_size: usize,
    /// How much above the least that is allowed.
    pub(crate) more_capacity: usize,
    pub(crate) weighing: Option<Weighing>,
    pub(crate) overflow: Overflow,
    pub(crate) has_dead_letters: bool,
    pub(crate) retries: u32,
    pub(crate) route: Route,
    pub(crate) give_up_after: Option<Duration>,
    pub(crate) flush_timeout: Duration,
    pub(crate) drain_timeout: Option<Duration>,
    pub(crate) last_items: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Weighing {
    /// What the items weigh, one after the other, over and over.
    pub(crate) weights: Vec<usize>,
    pub(crate) batch_bytes: Option<usize>,
    /// How much above the least that is allowed; without it there is no limit.
    pub(crate) more_capacity_bytes: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) enum Route {
    ThreadHome,
    PerCall,
    ByProducer,
}

/// What the sink does in one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) latency: Duration,
    pub(crate) take: Take,
    /// Whether what it takes it takes back for good.
    pub(crate) withdraws: bool,
    /// Marks so many from the front as delivered.
    pub(crate) deliver: usize,
    /// Then sets those aside whose bit is set.
    pub(crate) reject: u8,
    pub(crate) verdict: Verdict,
}

/// When the sink takes the items out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Not,
    AtOnce,
    /// After it has marked them.
    AtLast,
}

#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Ok,
    Transient(Option<Duration>),
    Uncertain(Option<Duration>),
    Unavailable(Option<Duration>),
    Permanent,
    Divisible,
    Never,
    Panic,
}

/// What the dead-letter sink does in one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Burial {
    pub(crate) latency: Duration,
    pub(crate) takes: bool,
    pub(crate) verdict: BurialVerdict,
}

#[derive(Debug, Clone)]
pub(crate) enum BurialVerdict {
    Ok,
    Fail,
    Never,
    Panic,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Produce(usize, Command),
    /// Beside the steps that follow; dropped when patience ends.
    InsertAndWait {
        too_heavy: bool,
        patience: Option<Duration>,
    },
    Flush,
    FlushGivenUp(Duration),
    /// Beside the steps that follow.
    FlushBeside(Option<Duration>),
    RequestFlush,
    Sleep(Duration),
}

#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) items: Items,
    /// Which of them is heavier than an item may be, if one is.
    pub(crate) too_heavy: Option<u32>,
    pub(crate) way: Way,
}

#[derive(Debug, Clone)]
pub(crate) enum Items {
    One,
    Many(u32),
}

/// What an insert does where there is no room.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    Wait,
    WaitFor(Duration),
    /// Is dropped while it waits.
    GiveUp(Duration),
    Try,
}

#[derive(Debug, Clone)]
pub(crate) enum End {
    Close,
    CloseWithin(Duration),
    CloseTwice(Duration, Duration),
    CloseGivenUp { limit: Duration, patience: Duration },
    DropLastHandle,
}

impl Case {
    /// No answer of the sink costs an item anything, and nothing is dropped for want of room.
    pub(crate) fn is_harmless(&self) -> bool {
        let harmless = |answer: &Answer| {
            answer.latency < self.settings.flush_timeout
                && answer.reject == 0
                && (answer.take == Take::Not || !answer.withdraws)
                && match answer.verdict {
                    Verdict::Ok => true,
                    Verdict::Unavailable(_) => answer.take == Take::Not,
                    _ => false,
                }
        };
        self.settings.overflow == Overflow::Wait
            && self.settings.give_up_after.is_none()
            && self.script.iter().all(harmless)
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.settings.drain_timeout.unwrap_or(AMPLE)
    }

    /// Whether the end leaves time for every answer of the scripts.
    pub(crate) fn has_time(&self) -> bool {
        matches!(self.end, End::Close | End::DropLastHandle) && self.settings.drain_timeout.is_none()
    }

    /// Whether a producer's items keep their order from the first to the last.
    pub(crate) fn keeps_order(&self) -> bool {
        self.settings.partitions == 1 || matches!(self.settings.route, Route::ByProducer)
    }

    pub(crate) fn capacity(&self) -> usize {
        let Settings {
            partitions,
            batch_size,
            more_capacity,
            ..
        } = self.settings;
        partitions * batch_size * self.batches_at_least() + more_capacity
    }

    pub(crate) fn capacity_bytes(&self) -> Option<usize> {
        let weighing = self.settings.weighing.as_ref()?;
        let least = weighing.batch_bytes.unwrap_or(1) * self.batches_at_least();
        Some(self.settings.partitions * least + weighing.more_capacity_bytes?)
    }

    /// How many items a partition holds, and what they weigh at most.
    pub(crate) fn share(&self) -> (u64, u64) {
        let partitions = self.settings.partitions;
        let bytes = self.capacity_bytes();
        let bytes = bytes.map_or(u64::MAX, |bytes| (bytes / partitions) as u64);
        ((self.capacity() / partitions) as u64, bytes)
    }

    /// How many batches a partition must hold.
    fn batches_at_least(&self) -> usize {
        if self.settings.overflow == Overflow::DropOldest {
            2
        } else {
            1
        }
    }

    /// What a batch weighs at most, and so an item.
    pub(crate) fn heaviest(&self) -> u64 {
        let weighing = self.settings.weighing.as_ref();
        let (_, share) = self.share();
        match weighing.and_then(|weighing| weighing.batch_bytes) {
            Some(bytes) => bytes as u64,
            None if share == u64::MAX => u64::MAX,
            None => share / self.batches_at_least() as u64,
        }
    }

    /// The weight of the item with this number, which is not too heavy.
    pub(crate) fn weight(&self, number: u32) -> usize {
        let weight = self.any_weight(number);
        match usize::try_from(self.heaviest()) {
            Ok(heaviest) if heaviest < usize::MAX => weight % (heaviest + 1),
            Ok(_) | Err(_) => weight,
        }
    }

    /// The same where nothing is too heavy.
    pub(crate) fn any_weight(&self, number: u32) -> usize {
        let weighing = self.settings.weighing.as_ref();
        weighing.map_or(0, |weighing| {
            weighing.weights[number as usize % weighing.weights.len()]
        })
    }

    /// What no item may weigh, if there is a limit.
    pub(crate) fn too_heavy(&self) -> Option<usize> {
        let heaviest = self.heaviest();
        (heaviest < u64::MAX).then(|| heaviest as usize + 1)
    }
}
