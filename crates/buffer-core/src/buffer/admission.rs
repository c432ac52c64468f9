//! The way of items to their partitions: weighed, routed, admitted, and what becomes of them if there is no room.

use tokio::time::Instant;

use crate::line::Turn;
use crate::outcome::attempt::RefusalReason;
use crate::outcome::not_delivered::NotDelivered;
use crate::outcome::reason::DropReason;
use crate::outcome::size::Size;
use crate::partition::Partition;
use crate::partition::intake::{Refused, TryRefused};
use crate::partition::open::Sealed;
use crate::partition::overflow::Overflow;
use crate::partition::parcel::Parcel;
use crate::partition::slot::Letters;
use crate::partition::waiters::Waiter;
use crate::partition::weights::in_bytes;
use crate::router::Route;
use crate::routing::Routing;
use crate::shared::Shared;

/// An item is heavier than a batch or a partition may be.
pub(crate) struct Oversized;

impl<T> Shared<T> {
    /// Admits an item that needs no checks: it may go home, and only its place there has to change. Hands it back if there is more
    /// to do. Most items take this way.
    #[inline]
    pub(crate) fn admit_unchecked(&self, item: T) -> Result<(), T> {
        if self.is_plain {
            self.partitions[self.router.home()].admit_unchecked(item)
        } else {
            self.admit_weighed_unchecked(item)
        }
    }

    fn admit_weighed_unchecked(&self, item: T) -> Result<(), T> {
        match (&self.weigh, &self.routing) {
            (Some(weigh), Routing::ThreadHome) => {
                let bytes = weigh(&item);
                self.partitions[self.router.home()].admit_weighed_unchecked(item, bytes)
            }
            _ => Err(item),
        }
    }

    /// The same for many items at once: all of them, or none. Says whether they were admitted.
    #[inline]
    pub(crate) fn admit_many_unchecked(&self, items: &mut Vec<T>) -> bool {
        self.is_plain && self.partitions[self.router.home()].admit_many_unchecked(items)
    }

    /// Whether an inserting task is to give way before it goes on: it would begin another batch before the worker has come to take
    /// some full ones. A worker that a task has woken may wait behind that very task, where no other thread can take it over.
    pub(crate) fn is_ahead(&self, route: Route) -> bool {
        self.overflow == Overflow::Wait && self.partitions[self.one_of(route)].is_ahead()
    }

    /// Weighs an item, if this buffer weighs.
    pub(crate) fn weigh(&self, item: &T) -> Result<Option<usize>, Oversized> {
        let Some(weigh) = &self.weigh else { return Ok(None) };
        let bytes = Some(weigh(item));
        if in_bytes(bytes) > self.heaviest {
            return Err(Oversized);
        }
        Ok(bytes)
    }

    /// Admits an item where its route says.
    pub(crate) fn admit(
        &self,
        route: Route,
        item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), Refused<T>> {
        match route {
            Route::Anywhere => self.admit_anywhere(item, bytes, waiter),
            Route::To(index) => self.partitions[index].admit(item, bytes, waiter),
        }
    }

    /// Admits an item at home, or where there is room.
    fn admit_anywhere(
        &self,
        item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), Refused<T>> {
        match self.partitions[self.router.home()].try_admit(item, bytes, waiter) {
            Ok(()) => Ok(()),
            Err(TryRefused::Refused(Refused::Closed(item))) => Err(Refused::Closed(item)),
            Err(TryRefused::Refused(Refused::Full(item))) => self.admit_elsewhere(item, bytes, waiter, false),
            Err(TryRefused::Locked(item)) => self.admit_elsewhere(item, bytes, waiter, true),
        }
    }

    /// Admits an item when home is locked or full, and moves home to the partition that answered.
    #[cold]
    fn admit_elsewhere(
        &self,
        mut item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
        mut any_locked: bool,
    ) -> Result<(), Refused<T>> {
        for index in self.router.order().skip(1) {
            match self.partitions[index].try_admit(item, bytes, waiter) {
                Err(TryRefused::Refused(Refused::Full(back))) => item = back,
                Err(TryRefused::Locked(back)) => (item, any_locked) = (back, true),
                Err(TryRefused::Refused(Refused::Closed(item))) => return Err(Refused::Closed(item)),
                Ok(()) => {
                    self.router.move_home(index);
                    return Ok(());
                }
            }
        }
        if !any_locked {
            return Err(Refused::Full(item));
        }
        // Some may have had room and were only locked just then.
        for index in self.router.order() {
            match self.partitions[index].admit(item, bytes, waiter) {
                Err(Refused::Full(back)) => item = back,
                admitted_or_closed => {
                    self.router.move_home(index);
                    return admitted_or_closed;
                }
            }
        }
        Err(Refused::Full(item))
    }

    /// Admits an item; if there is no room, drops what the overflow policy says. Full means that it says to wait.
    pub(crate) fn admit_or_drop(
        &self,
        route: Route,
        mut item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), Refused<T>> {
        loop {
            item = match self.admit(route, item, bytes, waiter) {
                Err(Refused::Full(back)) => back,
                admitted_or_closed => return admitted_or_closed,
            };
            match self.overflow {
                Overflow::Wait => return Err(Refused::Full(item)),
                // Others may take the room that this makes; then it is made again.
                Overflow::DropOldest => self.evict(route, bytes),
                Overflow::DropNewest => {
                    let mut newcomer = vec![item];
                    self.drop_newcomers(route, &mut newcomer, in_bytes(bytes), waiter.take());
                    return newcomer.pop().map_or(Ok(()), |item| Err(Refused::Closed(item)));
                }
            }
        }
    }

    /// Admits as many of the next `count` items as there is room for in one partition; the others stay. Says which
    /// partition it was, where the thread is at home now if they might go anywhere.
    pub(crate) fn admit_many(
        &self,
        route: Route,
        parcel: &mut Parcel<'_, T>,
        count: usize,
    ) -> Result<usize, Refused<()>> {
        let admitted = self.admit_by(route, |partition| partition.admit_many(parcel, count));
        if let (Route::Anywhere, Ok(index)) = (route, &admitted) {
            self.router.move_home(*index);
        }
        admitted
    }

    /// The same; if there is room for none, drops what the overflow policy says. Full means that it says to wait.
    pub(crate) fn admit_many_or_drop(
        &self,
        route: Route,
        parcel: &mut Parcel<'_, T>,
        count: usize,
    ) -> Result<usize, Refused<()>> {
        loop {
            match self.admit_many(route, parcel, count) {
                Err(Refused::Full(())) => {}
                admitted_or_closed => return admitted_or_closed,
            }
            match self.overflow {
                Overflow::Wait => return Err(Refused::Full(())),
                Overflow::DropOldest => self.evict(route, parcel.next_bytes()),
                Overflow::DropNewest => {
                    // If items are weighed, a lighter one behind it may find room.
                    let count = if parcel.is_weighed() { 1 } else { count };
                    let bytes = in_bytes(parcel.next_bytes());
                    let mut newcomers = parcel.split(count);
                    self.drop_newcomers(route, &mut newcomers, bytes, None);
                    let is_closed = !newcomers.is_empty();
                    parcel.put_back(newcomers);
                    return match is_closed {
                        false => Ok(self.one_of(route)),
                        true => Err(Refused::Closed(())),
                    };
                }
            }
        }
    }

    /// Admits one batch of the next `count` items in a partition on their route that has nothing pending; the others stay.
    pub(crate) fn admit_when_idle(
        &self,
        route: Route,
        parcel: &mut Parcel<'_, T>,
        count: usize,
    ) -> Result<usize, Refused<()>> {
        self.admit_by(route, |partition| partition.admit_when_idle(parcel, count))
    }

    /// Tries the partitions on a route until one admits; says which it was.
    fn admit_by(
        &self,
        route: Route,
        mut admit: impl FnMut(&Partition<T>) -> Result<(), Refused<()>>,
    ) -> Result<usize, Refused<()>> {
        if let Route::To(index) = route {
            return admit(&self.partitions[index]).map(|()| index);
        }
        for index in self.router.order() {
            match admit(&self.partitions[index]) {
                Ok(()) => return Ok(index),
                Err(Refused::Closed(())) => return Err(Refused::Closed(())),
                Err(Refused::Full(())) => {}
            }
        }
        Err(Refused::Full(()))
    }

    /// The partition that has to make room on a route.
    fn one_of(&self, route: Route) -> usize {
        match route {
            Route::Anywhere => self.router.home(),
            Route::To(index) => index,
        }
    }

    fn evict(&self, route: Route, bytes: Option<usize>) {
        let index = self.one_of(route);
        for (reason, sealed) in self.partitions[index].evict(bytes) {
            let Sealed {
                items,
                weights,
                mut waiters,
                opened,
                trigger: _,
            } = sealed;
            let letters = Letters {
                items,
                bytes: weights.sum(),
                opened,
            };
            self.overflowed(index, reason, letters);
            // Last, as a waker is user code.
            waiters
                .take(&Err(NotDelivered::Dropped { reason, cause: None }))
                .send();
        }
    }

    /// Drops items for which there is no room; if the buffer is closed, they stay where they are.
    fn drop_newcomers(&self, route: Route, newcomers: &mut Vec<T>, bytes: u64, waiter: Option<Waiter>) {
        let index = self.one_of(route);
        let Some(placed) = self.partitions[index].drop_newcomers(newcomers.len()) else {
            return;
        };
        let letters = |items, bytes| Letters {
            items,
            bytes,
            opened: Instant::now(),
        };
        let beyond = newcomers.split_off(placed);
        let reason = match beyond.is_empty() {
            true => DropReason::Overflow,
            false => DropReason::DeadLetterFull,
        };
        self.overflowed(
            index,
            DropReason::Overflow,
            letters(std::mem::take(newcomers), bytes),
        );
        self.overflowed(index, DropReason::DeadLetterFull, letters(beyond, 0));
        if let Some(waiter) = waiter {
            waiter.send(Err(NotDelivered::Dropped { reason, cause: None }));
        }
    }

    /// Waits in line until there is room on a route for some of the `wanted` items, or for one that weighs that much, and admits them
    /// there. Says which partition it was.
    ///
    /// # Cancel safety
    ///
    /// Safe: the place in line is given up, and nothing is admitted.
    pub(crate) async fn admit_in_turn<E>(
        &self,
        route: Route,
        wanted: Size,
        admit: impl FnOnce(&Partition<T>, Size) -> Result<(), E>,
    ) -> Result<usize, E> {
        let since = Instant::now();
        let Turn { partition, room } = self.line.enter(&self.partitions, route, wanted).await;
        let admitted = admit(&self.partitions[partition], room);
        self.meter.waited(since.elapsed());
        if let Route::Anywhere = route {
            self.router.move_home(partition);
        }
        admitted.map(|()| partition)
    }

    /// Says which parts of `items` share a route, in order. By key, the items of one partition are brought together, and each key's
    /// items keep their order.
    pub(crate) fn route_many(&self, items: &mut [T]) -> Vec<(Route, usize)> {
        let Some(first) = items.first() else {
            return Vec::new();
        };
        let (Routing::ByKey(hash), 2..) = (&self.routing, items.len()) else {
            return vec![(self.router.route(&self.routing, first), items.len())];
        };
        let mut counts = vec![0; self.partitions.len()];
        // With two items or more, each is asked for its partition exactly once, so the counts fit the sorted items.
        items.sort_by_cached_key(|item| {
            let index = self.router.partition_of(hash, item);
            counts[index] += 1;
            index
        });
        let parts = counts.into_iter().enumerate();
        parts
            .filter(|(_, count)| *count > 0)
            .map(|(index, count)| (Route::To(index), count))
            .collect()
    }

    /// Weighs all of `items` in order, if this buffer weighs; or names the first that is too heavy, for which all are refused.
    pub(crate) fn weigh_many(&self, items: &[T]) -> Result<Vec<usize>, usize> {
        let mut weights = Vec::new();
        for (index, item) in items.iter().enumerate() {
            weights.extend(self.weigh(item).map_err(|Oversized| {
                self.meter.refused(RefusalReason::Oversized, items.len());
                index
            })?);
        }
        Ok(weights)
    }
}
