//! The line of those who wait for room: first come, first served.
//!
//! Room that is settled is kept for those at the front before anybody else finds it, and whoever comes later stands behind them. So
//! nobody is overtaken, and one who is called and does not come has only the own room, not that of the others.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::caught::{caught, drop_caught};
use crate::outcome::size::Size;
use crate::partition::Partition;
use crate::router::Route;
use crate::sync::Mutex;

/// Those who wait for room in the partitions of one buffer.
pub(crate) struct Line(Mutex<Places>);

/// All are known by their tickets, which are numbers in the order in which they came.
struct Places {
    next_ticket: u64,
    waiting: BTreeMap<u64, Place>,
    /// Who has been called and has not come yet.
    called: BTreeMap<u64, Turn>,
}

struct Place {
    route: Route,
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
        let place = Place {
            route,
            wanted,
            waker: None,
        };
        places.waiting.insert(ticket, place);
        on_route(partitions, route).for_each(|(_, partition)| partition.add_to_line());
        drop(places);
        let in_line = InLine {
            line: self,
            partitions,
            route,
            ticket,
        };
        // Room that was settled before anybody saw this one in line.
        in_line.serve_route();
        in_line
    }

    /// Calls those at the front for whom the partition at `index` has room, or all who wait for it if it is closed.
    pub(crate) fn serve<T>(&self, partitions: &[Partition<T>], index: usize) {
        let partition = &partitions[index];
        if !partition.has_line() {
            return;
        }
        let mut wakers = Vec::new();
        let mut places = self.0.lock();
        let mut from = 0;
        while let Some((ticket, wanted)) = places.first_for(index, from)
            && let Some(room) = partition.reserve(wanted)
        {
            let place = places.take_out(partitions, ticket);
            wakers.extend(place.and_then(|place| place.waker));
            let turn = Turn {
                partition: index,
                room,
            };
            places.called.insert(ticket, turn);
            from = ticket;
        }
        drop(places);
        for waker in wakers {
            // User code: the others are woken whether it panics or not.
            let _ = caught(|| waker.wake());
        }
    }
}

impl Places {
    /// The ticket of the first who may go to a partition, from a ticket on, and what is wanted.
    fn first_for(&self, index: usize, from: u64) -> Option<(u64, Size)> {
        let mut places = self.waiting.range(from..);
        let first = places.find(|(_, place)| place.route.leads_to(index));
        first.map(|(ticket, place)| (*ticket, place.wanted))
    }

    fn take_out<T>(&mut self, partitions: &[Partition<T>], ticket: u64) -> Option<Place> {
        let place = self.waiting.remove(&ticket)?;
        on_route(partitions, place.route).for_each(|(_, partition)| partition.remove_from_line());
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

impl<T> InLine<'_, T> {
    fn serve_route(&self) {
        for (index, _) in on_route(self.partitions, self.route) {
            self.line.serve(self.partitions, index);
        }
    }
}

impl<T> Future for InLine<'_, T> {
    type Output = Turn;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn> {
        // A waker is user code, which is neither cloned nor dropped under the lock.
        let waker = context.waker().clone();
        let mut places = self.line.0.lock();
        if let Some(turn) = places.called.remove(&self.ticket) {
            return Poll::Ready(turn);
        }
        let place = places.waiting.get_mut(&self.ticket);
        let before = place.and_then(|place| place.waker.replace(waker));
        drop(places);
        drop(before);
        Poll::Pending
    }
}

impl<T> Drop for InLine<'_, T> {
    fn drop(&mut self) {
        let mut places = self.line.0.lock();
        let place = places.take_out(self.partitions, self.ticket);
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
        self.serve_route();
    }
}
