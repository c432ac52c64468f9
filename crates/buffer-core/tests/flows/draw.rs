//! Draws cases.

use std::ops::Range;
use std::time::Duration;

use buffer_core::Overflow;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::case::{
    Answer, Burial, BurialVerdict, Case, Command, End, Items, Route, Settings, Step, Take, Verdict, Way,
    Weighing,
};

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let script = prop_oneof![
        2 => vec(answers(), 0..24),
        1 => vec(harmless_answers(), 0..24),
    ];
    let flow = (script, vec(burials(), 0..12), vec(steps(), 0..40), ends());
    (settings(), flow).prop_map(|(settings, (script, burials, steps, end))| Case {
        settings,
        script,
        burials,
        steps,
        end,
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    // One of them alone shows whether there is room.
    let partitions = prop_oneof![Just(1), 2..=4usize];
    let route = prop_oneof![
        Just(Route::ThreadHome),
        Just(Route::PerCall),
        Just(Route::ByProducer)
    ];
    let overflow = prop_oneof![
        2 => Just(Overflow::Wait),
        1 => Just(Overflow::DropOldest),
        1 => Just(Overflow::DropNewest)
    ];
    let limits = (
        option::weighted(0.2, millis(0..10_000)),
        millis(100..3_000),
        option::of(millis(0..8_000)),
    );
    let room = (1..=7usize, 0..20usize, option::of(weighings()), overflow);
    (partitions, room, 0..=3u32, route, limits, 0..8u32, any::<bool>()).prop_map(
        |(partitions, room, retries, route, limits, last_items, has_dead_letters)| {
            let (batch_size, more_capacity, weighing, overflow) = room;
            let (give_up_after, flush_timeout, drain_timeout) = limits;
            Settings {
                partitions,
                batch_size,
                more_capacity,
                weighing,
                overflow,
                has_dead_letters,
                retries,
                route,
                give_up_after,
                flush_timeout,
                drain_timeout,
                last_items,
            }
        },
    )
}

fn weighings() -> impl Strategy<Value = Weighing> {
    let weights = vec(0..20usize, 1..8);
    (weights, option::of(1..=20usize), option::of(0..60usize)).prop_map(
        |(weights, batch_bytes, more_capacity_bytes)| Weighing {
            weights,
            batch_bytes,
            more_capacity_bytes,
        },
    )
}

fn answers() -> impl Strategy<Value = Answer> {
    let after = || option::of(millis(0..4_000));
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
    let take = prop_oneof![6 => Just(Take::Not), 1 => Just(Take::AtOnce), 1 => Just(Take::AtLast)];
    let take = (take, any::<bool>());
    (latencies(), take, deliver, reject, verdict).prop_map(|(latency, take, deliver, reject, verdict)| {
        let (take, withdraws) = take;
        Answer {
            latency,
            take,
            withdraws,
            deliver,
            reject,
            verdict,
        }
    })
}

/// Answers that cost no item anything.
fn harmless_answers() -> impl Strategy<Value = Answer> {
    let ok = prop_oneof![Just(Take::Not), Just(Take::AtOnce), Just(Take::AtLast)];
    let answer = prop_oneof![
        ok.prop_map(|take| (take, Verdict::Ok)),
        option::of(millis(0..4_000)).prop_map(|delay| (Take::Not, Verdict::Unavailable(delay)))
    ];
    (0..8usize, answer).prop_map(|(deliver, (take, verdict))| Answer {
        latency: Duration::ZERO,
        take,
        withdraws: false,
        deliver,
        reject: 0,
        verdict,
    })
}

fn burials() -> impl Strategy<Value = Burial> {
    let verdict = prop_oneof![
        3 => Just(BurialVerdict::Ok),
        1 => Just(BurialVerdict::Fail),
        1 => Just(BurialVerdict::Never),
        1 => Just(BurialVerdict::Panic),
    ];
    (latencies(), any::<bool>(), verdict).prop_map(|(latency, takes, verdict)| Burial {
        latency,
        takes,
        verdict,
    })
}

fn latencies() -> impl Strategy<Value = Duration> {
    prop_oneof![3 => Just(Duration::ZERO), 1 => millis(1..2_000)]
}

fn steps() -> impl Strategy<Value = Step> {
    let insert_and_wait = (rarely(), option::weighted(0.3, millis(0..2_000)));
    prop_oneof![
        12 => (0..3usize, commands()).prop_map(|(producer, command)| Step::Produce(producer, command)),
        5 => insert_and_wait
            .prop_map(|(too_heavy, patience)| Step::InsertAndWait { too_heavy, patience }),
        2 => Just(Step::Flush),
        1 => millis(0..2_000).prop_map(Step::FlushGivenUp),
        2 => option::of(millis(0..2_000)).prop_map(Step::FlushBeside),
        2 => Just(Step::RequestFlush),
        4 => millis(0..3_000).prop_map(Step::Sleep),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    let way = prop_oneof![
        3 => Just(Way::Wait),
        1 => millis(0..2_000).prop_map(Way::WaitFor),
        1 => millis(0..2_000).prop_map(Way::GiveUp),
        3 => Just(Way::Try),
    ];
    let items = prop_oneof![Just(Items::One), (0..60u32).prop_map(Items::Many)];
    let index = prop_oneof![Just(0), 0..60u32];
    (items, rarely(), index, way).prop_map(|(items, too_heavy, index, way)| Command {
        items,
        too_heavy: too_heavy.then_some(index),
        way,
    })
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
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
