//! What a thread writes its lines with, and keeps from line to line.

use std::cell::Cell;
use std::fmt;

use crate::known_names::KnownNames;
use crate::scratch::Scratch;

/// The room of the line that is being written, and the names that it is likely to have.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// The line so far, but for a timestamp.
    pub(crate) scratch: Scratch,
    pub(crate) names: KnownNames,
}

thread_local! {
    static WORKSPACE: Cell<Option<Box<Workspace>>> = const { Cell::new(None) };
}

/// The thread's workspace, put back with the drop. Who takes a second one at the same time has a new one.
///
/// A line holds this one pointer, and nothing of what it points to, as a line is moved to where it is built: what was just written in
/// small parts and is read as a whole keeps a processor waiting.
pub(crate) struct WorkspaceGuard(Option<Box<Workspace>>);

impl WorkspaceGuard {
    #[inline(always)]
    pub(crate) fn of_thread() -> Self {
        let kept = WORKSPACE.try_with(Cell::take).ok().flatten();
        Self(Some(kept.unwrap_or_else(new_workspace)))
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> &Workspace {
        self.0.as_deref().expect("only the drop takes it")
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self) -> &mut Workspace {
        self.0.as_deref_mut().expect("only the drop takes it")
    }
}

#[cold]
fn new_workspace() -> Box<Workspace> {
    Box::default()
}

impl Drop for WorkspaceGuard {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut workspace) = self.0.take() {
            workspace.scratch.forget_large();
            workspace.names.forget_large();
            // The thread ends otherwise, and what it keeps with it.
            let _ = WORKSPACE.try_with(|kept| kept.set(Some(workspace)));
        }
    }
}

impl fmt::Debug for WorkspaceGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
