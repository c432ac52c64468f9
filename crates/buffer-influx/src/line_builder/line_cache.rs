//! What a thread keeps from line to line.

use std::cell::Cell;

use crate::line_builder::known_names::KnownNames;
use crate::line_builder::scratch::Scratch;

/// The room of the line that is being written, and the names that it is likely to have.
#[derive(Debug, Default)]
pub(crate) struct LineCache {
    /// The line so far, without a timestamp.
    pub(crate) scratch: Scratch,
    pub(crate) names: KnownNames,
}

thread_local! {
    static CACHE: Cell<Option<Box<LineCache>>> = const { Cell::new(None) };
}

/// The thread's cache, which is put back on drop. A second one that is taken at the same time is new.
///
/// A line holds only this pointer and nothing of what it points to, because a line is moved when it is built: a processor has to wait
/// when it reads as a whole what was just written in small parts.
#[derive(Debug)]
pub(crate) struct CacheGuard(Option<Box<LineCache>>);

impl CacheGuard {
    #[inline(always)]
    pub(crate) fn of_thread() -> Self {
        let kept = CACHE.try_with(Cell::take).ok().flatten();
        Self(Some(kept.unwrap_or_else(new_cache)))
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> &LineCache {
        self.0.as_deref().expect("only the drop takes it")
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self) -> &mut LineCache {
        self.0.as_deref_mut().expect("only the drop takes it")
    }
}

#[cold]
fn new_cache() -> Box<LineCache> {
    Box::default()
}

impl Drop for CacheGuard {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut cache) = self.0.take() {
            cache.scratch.forget_large();
            cache.names.forget_large();
            // Otherwise the thread is ending, and what it keeps ends with it.
            let _ = CACHE.try_with(|kept| kept.set(Some(cache)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line_builder::known_names::{Place, Slot};

    #[test]
    fn what_only_a_large_line_needed_is_given_back() {
        let write = |names: usize, bytes: usize| {
            let mut cache = CacheGuard::of_thread();
            let LineCache {
                scratch,
                names: known,
            } = cache.get_mut();
            known.begin(Slot::of_lines("m"));
            for name in 0..names {
                let name = format!("f{name}");
                assert!(known.write(scratch, 0, Place::NextField, &name).is_some());
            }
            scratch.pen(0, bytes);
        };
        let kept = || {
            let cache = CacheGuard::of_thread();
            let LineCache { scratch, names } = cache.get();
            (names.kept(), scratch.kept())
        };
        write(2, 10);
        assert_eq!(kept(), (2, 1_024));
        write(300, 100_000);
        assert_eq!(kept(), (256, 0));
    }

    #[test]
    fn who_takes_a_second_one_has_another() {
        let mut one = CacheGuard::of_thread();
        one.get_mut().scratch.pen(0, 10);
        let other = CacheGuard::of_thread();
        assert_eq!((one.get().scratch.kept(), other.get().scratch.kept()), (1_024, 0));
    }
}
