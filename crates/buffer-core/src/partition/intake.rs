//! Lets items into a partition: as many as there is room for; if others have to go for that, it drops the oldest.

use crate::outcome::Outcome;
use crate::outcome::reason::DropReason;
use crate::outcome::size::Size;
use crate::partition::Partition;
use crate::partition::open::Sealed;
use crate::partition::parcel::Parcel;
use crate::partition::state::{Sleep, State};
use crate::partition::trigger::Trigger;
use crate::partition::waiters::Waiter;
use crate::partition::weights::in_bytes;
use crate::sync::{HomeGuard, Ordering::Relaxed};

/// Why an item was not admitted.
#[derive(Debug)]
pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

/// Why an item was not admitted without waiting for the lock.
#[derive(Debug)]
pub(crate) enum TryRefused<T> {
    /// Another thread holds the lock.
    Locked(T),
    Refused(Refused<T>),
}

/// An inserting task gives way once this many full batches wait, or fewer if the capacity is small. With one, the task would change
/// threads with each batch: the thread that is woken for the worker first finds the task that gave way.
const AHEAD: u64 = 4;

impl<T> Partition<T> {
    /// Admits an item that is neither weighed nor waited for, if no checks are needed; otherwise hands it back. Most items take
    /// this way.
    #[inline]
    pub(crate) fn admit_unchecked(&self, item: T) -> Result<(), T> {
        self.state.join_unchecked(item)
    }

    /// The same for an item that was weighed.
    pub(crate) fn admit_weighed_unchecked(&self, item: T, bytes: usize) -> Result<(), T> {
        self.state.join_weighed_unchecked(item, bytes)
    }

    /// The same for many unweighed items at once: all of them, or none. Says whether they were admitted.
    #[inline]
    pub(crate) fn admit_many_unchecked(&self, items: &mut Vec<T>) -> bool {
        self.state.join_many_unchecked(items)
    }

    /// Admits an item unless the lock is taken.
    pub(crate) fn try_admit(
        &self,
        item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), TryRefused<T>> {
        let Some(state) = self.state.try_lock() else {
            return Err(TryRefused::Locked(item));
        };
        self.admit_locked(state, item, bytes, waiter)
            .map_err(TryRefused::Refused)
    }

    /// Admits an item, and with it the waiter, if there is one.
    pub(crate) fn admit(
        &self,
        item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), Refused<T>> {
        self.admit_locked(self.state.lock_to_insert(), item, bytes, waiter)
    }

    fn admit_locked(
        &self,
        mut state: HomeGuard<'_, State<T>>,
        item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), Refused<T>> {
        if state.closed {
            return Err(Refused::Closed(item));
        }
        if self.has_line() || !state.has_room(in_bytes(bytes), &self.capacity) {
            let to_wake = state.make_way();
            self.unlock(state, to_wake);
            return Err(Refused::Full(item));
        }
        self.let_in(state, item, bytes, waiter);
        Ok(())
    }

    /// Admits an item into room that was kept for it; hands it back if the partition is closed.
    pub(crate) fn admit_in_turn(
        &self,
        room: Size,
        item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), T> {
        let mut state = self.state.lock_to_insert();
        state.give_back(room);
        if state.closed {
            return Err(item);
        }
        self.let_in(state, item, bytes, waiter);
        Ok(())
    }

    /// Stores an item for which there is room, and with it the waiter.
    fn let_in(
        &self,
        mut state: HomeGuard<'_, State<T>>,
        item: T,
        bytes: Option<usize>,
        waiter: &mut Option<Waiter>,
    ) {
        let mut to_wake = state.part_from_heavy(bytes, &self.triggers);
        let waiter = waiter.take();
        to_wake |= match state.sleep {
            Sleep::Awake => false,
            Sleep::UntilDue => waiter.as_ref().is_some_and(Waiter::is_urgent),
            Sleep::Sound => true,
        };
        to_wake |= state.join(item, bytes, waiter, &self.triggers);
        to_wake |= self.look_ahead(&mut state);
        self.unlock(state, to_wake);
    }

    /// Looks ahead, so that the next items need no checks; or, if somebody stands in line before them, makes way for those. Says
    /// whether the worker has to come for that.
    fn look_ahead(&self, state: &mut State<T>) -> bool {
        if self.has_line() {
            return state.make_way();
        }
        state.look_ahead(&self.capacity, &self.triggers);
        false
    }

    /// Gives the lock back, and then wakes the worker if it has to come.
    fn unlock(&self, mut state: HomeGuard<'_, State<T>>, to_wake: bool) {
        if to_wake {
            state.sleep = Sleep::Awake;
        }
        drop(state);
        if to_wake {
            self.wake.notify_one();
        }
    }

    /// Admits as many of the next `count` items of a parcel as there is room for; the others stay. Full means that there was
    /// room for none.
    pub(crate) fn admit_many(&self, parcel: &mut Parcel<'_, T>, count: usize) -> Result<(), Refused<()>> {
        let state = self.state.lock_to_insert();
        if state.closed {
            return Err(Refused::Closed(()));
        }
        if self.has_line() {
            return Err(Refused::Full(()));
        }
        let before = parcel.len();
        self.let_many_in(state, parcel, count);
        if parcel.len() == before && count > 0 {
            return Err(Refused::Full(()));
        }
        Ok(())
    }

    /// Admits the next items of a parcel into room that was kept for some of them, and as many of the next `count` as there is room for
    /// if nobody else stands in line.
    pub(crate) fn admit_many_in_turn(
        &self,
        room: Size,
        parcel: &mut Parcel<'_, T>,
        count: usize,
    ) -> Result<(), Refused<()>> {
        let mut state = self.state.lock_to_insert();
        state.give_back(room);
        if state.closed {
            return Err(Refused::Closed(()));
        }
        let kept = usize::try_from(room.items).unwrap_or(usize::MAX);
        self.let_many_in(state, parcel, if self.has_line() { kept } else { count });
        Ok(())
    }

    /// Stores as many of the next `count` items of a parcel as there is room for.
    fn let_many_in(&self, mut state: HomeGuard<'_, State<T>>, parcel: &mut Parcel<'_, T>, count: usize) {
        let (before, queued) = (parcel.len(), state.queue.len());
        let mut to_wake = state.sleep == Sleep::Sound;
        if parcel.is_weighed() {
            while before - parcel.len() < count {
                let bytes = parcel.next_bytes();
                if !state.has_room(in_bytes(bytes), &self.capacity) {
                    to_wake |= state.make_way();
                    break;
                }
                state.part_from_heavy(bytes, &self.triggers);
                let Some(item) = parcel.next() else { break };
                state.join(item, bytes, None, &self.triggers);
            }
        } else {
            let room = usize::try_from(state.room(&self.capacity)).unwrap_or(usize::MAX);
            state.join_many(parcel.take(count.min(room)), &self.triggers);
        }
        to_wake |= self.look_ahead(&mut state) || state.queue.len() > queued;
        self.unlock(state, to_wake);
    }

    /// Keeps room for some of the `wanted` items, or for one that weighs that much, whoever comes first; says how much. None means
    /// that there is none. If the partition is closed there is nothing to wait for, and it is no room.
    pub(crate) fn reserve(&self, wanted: Size) -> Option<Size> {
        let mut state = self.state.lock();
        if state.closed {
            return Some(Size::default());
        }
        let room = state.reserve(wanted, &self.capacity);
        let to_wake = room.is_none() && state.make_way();
        self.unlock(state, to_wake);
        room
    }

    /// Keeps that room no longer.
    pub(crate) fn give_back(&self, room: Size) {
        self.state.lock().give_back(room);
    }

    /// Whether anybody stands in line for room here: then whoever comes later finds none.
    #[inline]
    pub(crate) fn has_line(&self) -> bool {
        // Relaxed: whoever enters the line takes the lock after that. Of those who take it later all see it; what an earlier one
        // leaves is seen by the one in line.
        self.in_line.load(Relaxed) > 0
    }

    /// Says whether there was no line before.
    pub(crate) fn add_to_line(&self) -> bool {
        self.in_line.fetch_add(1, Relaxed) == 0
    }

    pub(crate) fn remove_from_line(&self) {
        self.in_line.fetch_sub(1, Relaxed);
    }

    /// Admits one batch of the next `count` items of a parcel, and seals it at once; the others stay. Full means that something is
    /// pending here.
    pub(crate) fn admit_when_idle(
        &self,
        parcel: &mut Parcel<'_, T>,
        count: usize,
    ) -> Result<(), Refused<()>> {
        let mut state = self.state.lock_to_insert();
        if state.closed {
            return Err(Refused::Closed(()));
        }
        if self.has_line() || !state.is_idle() {
            return Err(Refused::Full(()));
        }
        // A whole batch finds room: the capacity holds one at least.
        let before = parcel.len();
        if parcel.is_weighed() {
            while before - parcel.len() < count {
                let bytes = parcel.next_bytes();
                if state.part_from_heavy(bytes, &self.triggers) {
                    break;
                }
                let Some(item) = parcel.next() else { break };
                if state.join(item, bytes, None, &self.triggers) {
                    break;
                }
            }
        } else {
            // Nothing is pending, so the open batch is empty and takes this many.
            let fitting = count.min(state.open.limit(&self.triggers));
            state.join_many(parcel.take(fitting), &self.triggers);
        }
        state.seal(Trigger::Request);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Makes room for an item by dropping, and counting, the oldest batches that the worker does not have in hand; none if there is
    /// room by now.
    pub(crate) fn evict(&self, bytes: Option<usize>) -> Vec<(DropReason, Sealed<T>)> {
        let mut state = self.state.lock();
        let mut evicted = Vec::new();
        // Nothing has to go for an insert that will find it closed.
        while !state.closed && !state.has_room(in_bytes(bytes), &self.capacity) {
            // By invariant 5 of `partition.rs` there is one, while the worker is there.
            let Some(sealed) = state.take_oldest() else { break };
            let items = sealed.items.len();
            let reason = match &self.slot {
                Some(slot) if slot.reserve_all(items) => DropReason::Overflow,
                Some(_) => DropReason::DeadLetterFull,
                None => DropReason::Overflow,
            };
            let size = Size {
                items: items as u64,
                bytes: sealed.weights.sum(),
            };
            state.settle(Outcome::Dropped(reason), size);
            evicted.push((reason, sealed));
        }
        evicted
    }

    /// Counts items for which there is no room as accepted and dropped at once. Says how many of them, from the first on, have a
    /// place on the way to the dead-letter sink, or all if there is no such sink. If the buffer is closed, counts nothing; says none.
    pub(crate) fn drop_newcomers(&self, items: usize) -> Option<usize> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let placed = self.slot.as_ref().map_or(items, |slot| slot.reserve(items));
        state.accepted += items as u64;
        for (reason, items) in [
            (DropReason::Overflow, placed),
            (DropReason::DeadLetterFull, items - placed),
        ] {
            state.tally.settle(Outcome::Dropped(reason), items as u64);
        }
        Some(placed)
    }

    /// Whether a new batch would begin here while the worker has not come to take some full ones. It is false if the lock or all room
    /// is taken, as the item then goes elsewhere, and if the partition is closed.
    pub(crate) fn is_ahead(&self) -> bool {
        // Early enough that some room is left, however small the capacity is.
        let half = self.capacity.items / self.triggers.batch_size as u64 / 2;
        let ahead = AHEAD.min(half).max(1) as usize;
        self.state.try_lock().is_some_and(|state| {
            state.open.items().is_empty()
                && state.room(&self.capacity) > 0
                && state.sealed().nth(ahead - 1).is_some()
                && !state.closed
        })
    }
}
