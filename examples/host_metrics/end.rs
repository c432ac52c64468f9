//! The end of the run: the time is up, Ctrl-C, or SIGTERM.

use std::io;
use std::time::Duration;

use tokio::time::sleep;

/// When the run is to end. Signals are caught from its creation on, so that none is lost before anybody waits for it.
pub struct End {
    duration: Option<Duration>,
    signals: Signals,
}

impl End {
    /// The end after `duration`, if there is one, or on a signal.
    pub fn after(duration: Option<Duration>) -> io::Result<Self> {
        Ok(Self {
            duration,
            signals: Signals::catch()?,
        })
    }

    /// Waits for it.
    pub async fn reached(mut self) {
        let time_is_up = async {
            match self.duration {
                Some(duration) => sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time_is_up => {}
            () = self.signals.any() => {}
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: tokio::signal::windows::ctrl_c()?,
        })
    }

    async fn any(&mut self) {
        self.interrupt.recv().await;
    }
}
