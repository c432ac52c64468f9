//! How an item gets in from a task: at once, or when there is room.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::buffer::Buffer;
use crate::buffer::insert_error::InsertError;
use crate::buffer::wait::give_way;
use crate::outcome::attempt::RefusalReason;
use crate::outcome::size::Size;
use crate::partition::intake::Refused;
use crate::partition::waiters::Waiter;
use crate::partition::weights::in_bytes;
use crate::router::Route;

/// Where an item that has to wait or to give way is to be inserted.
struct Place {
    route: Route,
    bytes: Option<usize>,
    is_ahead: bool,
}

impl<T: Send + 'static> Buffer<T> {
    /// Inserts the item out of `waiting`, where it stays while there is no room, and the waiter with it.
    pub(crate) async fn insert_from(
        &self,
        waiting: &mut Option<T>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), InsertError<T>> {
        match self.insert_at_once(waiting, waiter)? {
            None => Ok(()),
            Some(place) => self.insert_when_room(place, waiting, waiter).await,
        }
    }

    /// Inserts the item out of `waiting` unless it has to wait or to give way; then it stays, and the answer is what it waits for.
    fn insert_at_once(
        &self,
        waiting: &mut Option<T>,
        waiter: &mut Option<Waiter>,
    ) -> Result<Option<Place>, InsertError<T>> {
        let shared = self.shared();
        let Some(item) = waiting.take() else {
            return Ok(None);
        };
        let Ok(bytes) = shared.weigh(&item) else {
            shared.meter.refused(RefusalReason::Oversized, 1);
            return Err(InsertError::Oversized(item));
        };
        let route = shared.router.route(&shared.routing, &item);
        let is_ahead = shared.is_ahead(route);
        let place = Place {
            route,
            bytes,
            is_ahead,
        };
        if is_ahead {
            *waiting = Some(item);
            return Ok(Some(place));
        }
        match shared.admit_or_drop(route, item, bytes, waiter) {
            Ok(()) => Ok(None),
            Err(Refused::Closed(item)) => Err(self.closed(item)),
            Err(Refused::Full(item)) => {
                *waiting = Some(item);
                Ok(Some(place))
            }
        }
    }

    /// Inserts the item out of `waiting`, where it stays while there is no room.
    async fn insert_when_room(
        &self,
        place: Place,
        waiting: &mut Option<T>,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), InsertError<T>> {
        let shared = self.shared();
        let Place {
            route,
            bytes,
            is_ahead,
        } = place;
        if is_ahead {
            give_way().await;
            let Some(item) = waiting.take() else { return Ok(()) };
            match shared.admit(route, item, bytes, waiter) {
                Ok(()) => return Ok(()),
                Err(Refused::Closed(item)) => return Err(self.closed(item)),
                Err(Refused::Full(item)) => *waiting = Some(item),
            }
        }
        let wanted = Size {
            items: 1,
            bytes: in_bytes(bytes),
        };
        let admitted = shared.admit_in_turn(route, wanted, |partition, room| {
            let item = waiting.take().expect("it stays until its turn");
            partition.admit_in_turn(room, item, bytes, waiter)
        });
        let admitted = admitted.await;
        admitted.map(|_| ()).map_err(|item| self.closed(item))
    }

    fn closed(&self, item: T) -> InsertError<T> {
        self.shared().meter.refused(RefusalReason::Closed, 1);
        InsertError::Closed(item)
    }
}

/// The future of [`Buffer::insert`]. It is written by hand, as the compiler's state machine stores more on its way to the lock. The
/// lock's atomic step is most of an insert, and on some processors it waits for these stores.
pub(crate) struct Inserting<'a, T> {
    buffer: &'a Buffer<T>,
    /// Until it is polled.
    item: Option<T>,
    wait: Option<WaitForRoom<'a, T>>,
}

/// Boxed, as most items never wait, and every task that inserts would have to hold it.
type WaitForRoom<'a, T> = Pin<Box<dyn Future<Output = Result<(), InsertError<T>>> + Send + 'a>>;

// Nothing is pinned in it.
impl<T> Unpin for Inserting<'_, T> {}

impl<'a, T: Send + 'static> Inserting<'a, T> {
    pub(crate) fn new(buffer: &'a Buffer<T>, item: T) -> Self {
        Self {
            buffer,
            item: Some(item),
            wait: None,
        }
    }

    /// Inserts the item after all checks; none if it has to wait.
    #[inline(never)]
    fn insert_checked(&mut self, item: T) -> Option<Result<(), InsertError<T>>> {
        let (buffer, mut waiting) = (self.buffer, Some(item));
        let place = match buffer.insert_at_once(&mut waiting, &mut None) {
            Ok(None) => return Some(Ok(())),
            Ok(Some(place)) => place,
            Err(refused) => return Some(Err(refused)),
        };
        let wait = async move { buffer.insert_when_room(place, &mut waiting, &mut None).await };
        self.wait = Some(Box::pin(wait));
        None
    }

    #[inline(never)]
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<Result<(), InsertError<T>>> {
        let wait = self.wait.as_mut().expect("it is not polled after its end");
        wait.as_mut().poll(context)
    }
}

impl<T: Send + 'static> Future for Inserting<'_, T> {
    type Output = Result<(), InsertError<T>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(item) = self.item.take() {
            let Err(item) = self.buffer.shared().admit_unchecked(item) else {
                return Poll::Ready(Ok(()));
            };
            if let Some(inserted) = self.insert_checked(item) {
                return Poll::Ready(inserted);
            }
        }
        self.poll_wait(context)
    }
}
