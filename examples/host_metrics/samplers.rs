//! The sampler threads: each measures one source every 100 ms until it is stopped.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::buffers::Buffers;
use crate::failure::Failure;
use crate::recorder::{Recorder, Stopped};
use crate::sources::{Cores, Interfaces, Memory, Mounts, Processes};

/// What one sampler thread measures.
pub trait Source: Send + 'static {
    /// The thread's name, and its points' tag `thread`.
    const THREAD: &'static str;

    /// Measures once.
    fn sample(&mut self, recorder: &mut Recorder) -> Result<(), Stopped>;
}

/// The running sampler threads.
#[derive(Default)]
pub struct Samplers {
    /// Dropping these tells the threads to stop.
    running: Vec<Sender<()>>,
    threads: Vec<(&'static str, JoinHandle<Result<(), Failure>>)>,
}

const ROUND: Duration = Duration::from_millis(100);

impl Samplers {
    /// Starts one thread for each source.
    pub fn start(buffers: &Buffers, host: &Arc<str>) -> Result<Self, Failure> {
        let mut samplers = Self::default();
        samplers.spawn(Cores::new()?, buffers, host)?;
        samplers.spawn(Memory::new()?, buffers, host)?;
        samplers.spawn(Mounts::new()?, buffers, host)?;
        samplers.spawn(Interfaces::new()?, buffers, host)?;
        samplers.spawn(Processes::new()?, buffers, host)?;
        Ok(samplers)
    }

    fn spawn<S: Source>(&mut self, source: S, buffers: &Buffers, host: &Arc<str>) -> Result<(), Failure> {
        let recorder = Recorder::new(buffers.clone(), Arc::clone(host), S::THREAD);
        let (running, stop) = mpsc::channel();
        let thread = thread::Builder::new().name(S::THREAD.to_owned());
        let thread = thread
            .spawn(move || run(source, recorder, &stop))
            .map_err(Failure::System)?;
        self.running.push(running);
        self.threads.push((S::THREAD, thread));
        Ok(())
    }

    /// Stops the threads and waits for them; says which one failed, if one did.
    pub fn stop(self) -> Result<(), Failure> {
        let Self { running, threads } = self;
        // All are told before any is waited for.
        drop(running);
        let mut result = Ok(());
        for (thread, handle) in threads {
            let ended = handle.join().unwrap_or(Err(Failure::Panic { thread }));
            result = result.and(ended);
        }
        result
    }
}

fn run<S: Source>(mut source: S, mut recorder: Recorder, stop: &Receiver<()>) -> Result<(), Failure> {
    let mut next = Instant::now();
    loop {
        recorder.begin_round();
        match source.sample(&mut recorder) {
            Ok(()) => {}
            Err(Stopped::Closed) => return Ok(()),
            Err(Stopped::BadPoint(source)) => {
                return Err(Failure::BadPoint {
                    thread: S::THREAD,
                    source,
                });
            }
        }
        // A round that took too long is not made up for.
        next = (next + ROUND).max(Instant::now());
        let wait = next.saturating_duration_since(Instant::now());
        if let Err(RecvTimeoutError::Disconnected) = stop.recv_timeout(wait) {
            return Ok(());
        }
    }
}
