//! The line of those who wait for room: first come, first served.
//!
//! Room that is settled is kept for those at the front before anybody else finds it, and whoever comes later stands behind them. So
//! nobody is overtaken, and one who is called and does not come has only the own room, not that of the others.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rand::seq::SliceRandom;

use crate::caught::{caught, drop_caught};
use crate::outcome::size::Size;
use crate::partition::Partition;
use crate::router::Route;
use crate::sync::Mutex;

/// Those who wait for room in the partitions of one buffer.
pub(crate) struct Line(Mutex<Places>);

/// Each is known by a ticket, a number in the order in which they came.
struct Places {
    next_ticket: u64,
    /// By route, so that nobody has to look past those who go elsewhere.
    waiting: BTreeMap<(Route, u64), Place>,
    /// Who has been called and has not come yet.
    called: BTreeMap<u64, Turn>,
}

struct Place {
    wanted: Size,
    waker: Option<Waker>,
}

/// Room in a partition that is kept for the one whose turn it is. If the partition is closed, it is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) partition: usize,
    pub(crate) room: Size,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Places {
            next_ticket: 0,
            waiting: BTreeMap::new(),
            called: BTreeMap::new(),
        }))
    }

    /// Stands in line for room for some of the `wanted` items on a route, or for one that weighs that much. Must be used for the
    /// partitions that [`serve`](Line::serve) gets.
    pub(crate) fn enter<'a, T>(
        &'a self,
        partitions: &'a [Partition<T>],
        route: Route,
        wanted: Size,
    ) -> InLine<'a, T> {
        let mut places = self.0.lock();
        let ticket = places.next_ticket;
        places.next_ticket += 1;
        let place = Place { wanted, waker: None };
        places.waiting.insert((route, ticket), place);
        let with_new_lines: Vec<usize> = on_route(partitions, route)
            .filter(|(_, partition)| partition.add_to_line())
            .map(|(index, _)| index)
            .collect();
        drop(places);
        let in_line = InLine {
            line: self,
            partitions,
            route,
            ticket,
        };
        // Room that was settled before anybody saw a line there. Where one was, whoever settles sees it.
        for index in with_new_lines {
            self.serve(partitions, index);
        }
        in_line
    }

    /// Calls those at the front for whom the partition at `index` has room, or all who wait for it if it is closed.
    pub(crate) fn serve<T>(&self, partitions: &[Partition<T>], index: usize) {
        let partition = &partitions[index];
        if !partition.has_line() {
            return;
        }
        let mut wakers = Vec::new();
        // Whether a heavy one is gone that stood in front of lighter ones in other partitions.
        let mut makes_way = false;
        let mut places = self.0.lock();
        while let Some((key, wanted)) = places.first_for(index)
            && let Some(room) = partition.reserve(wanted)
        {
            let (route, ticket) = key;
            makes_way |= route == Route::Anywhere && wanted.bytes > 0;
            let place = places.take_out(partitions, key);
            wakers.extend(place.and_then(|place| place.waker));
            let turn = Turn {
                partition: index,
                room,
            };
            places.called.insert(ticket, turn);
        }
        drop(places);
        // Whoever runs first finds the room that is kept for nobody, and should not be the same one each time.
        wakers.shuffle(&mut rand::rng());
        for waker in wakers {
            // User code: the others are woken whether it panics or not.
            let _ = caught(|| waker.wake());
        }
        if makes_way {
            let others = (0..partitions.len()).filter(|other| *other != index);
            others.for_each(|other| self.serve(partitions, other));
        }
    }
}

impl Places {
    /// The first who may go to a partition, and what is wanted.
    fn first_for(&self, index: usize) -> Option<((Route, u64), Size)> {
        let first = |route| self.waiting.range((route, 0)..=(route, u64::MAX)).next();
        let firsts = [Route::Anywhere, Route::To(index)].into_iter().filter_map(first);
        let first = firsts.min_by_key(|((_, ticket), _)| *ticket);
        first.map(|(key, place)| (*key, place.wanted))
    }

    fn take_out<T>(&mut self, partitions: &[Partition<T>], key: (Route, u64)) -> Option<Place> {
        let place = self.waiting.remove(&key)?;
        on_route(partitions, key.0).for_each(|(_, partition)| partition.remove_from_line());
        Some(place)
    }
}

/// The partitions to which a route leads.
fn on_route<T>(partitions: &[Partition<T>], route: Route) -> impl Iterator<Item = (usize, &Partition<T>)> {
    let partitions = partitions.iter().enumerate();
    partitions.filter(move |(index, _)| route.leads_to(*index))
}

/// Somebody in line; ends with the turn, whose room then is the caller's to use.
///
/// # Cancel safety
///
/// Safe: the place is given up, and room that was kept for it goes to those behind.
pub(crate) struct InLine<'a, T> {
    line: &'a Line,
    partitions: &'a [Partition<T>],
    route: Route,
    ticket: u64,
}

impl<T> Future for InLine<'_, T> {
    type Output = Turn;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn> {
        // A waker is user code, which is neither cloned nor dropped under the lock.
        let waker = context.waker().clone();
        let mut places = self.line.0.lock();
        if let Some(turn) = places.called.remove(&self.ticket) {
            drop(places);
            // A panic would cost the turn.
            drop_caught(waker);
            return Poll::Ready(turn);
        }
        let place = places.waiting.get_mut(&(self.route, self.ticket));
        let before = place.and_then(|place| place.waker.replace(waker));
        drop(places);
        drop(before);
        Poll::Pending
    }
}

impl<T> Drop for InLine<'_, T> {
    fn drop(&mut self) {
        let mut places = self.line.0.lock();
        let place = places.take_out(self.partitions, (self.route, self.ticket));
        let turn = places.called.remove(&self.ticket);
        drop(places);
        if place.is_none() && turn.is_none() {
            // It had its turn.
            return;
        }
        drop_caught(place);
        if let Some(Turn { partition, room }) = turn {
            self.partitions[partition].give_back(room);
        }
        // Those behind may find room for what they want.
        for (index, _) in on_route(self.partitions, self.route) {
            self.line.serve(self.partitions, index);
        }
    }
}
