//! Threads that build pipelines while the caller goes on recording.
//!
//! Reflection is done at the launch, because the launch needs the names; writing the driver's form of a shader and compiling
//! it takes longer by far and is needed only when the first commands are submitted. So the pipelines of a step are built side
//! by side, on as many threads as there are processors, and those threads end when nothing is left to build.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    idle: Condvar,
}

/// The threads of one device.
#[derive(Default)]
pub(super) struct Builders {
    shared: Arc<Shared>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut state = self.lock();
            let Some(job) = state.jobs.pop_front() else {
                state.threads -= 1;
                self.idle.notify_all();
                return;
            };
            drop(state);
            // A job that panics has dropped its promise, which says so to whoever waits; the thread goes on with the next.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }
}

impl Builders {
    /// Runs `job` soon, on another thread where the system has one to give.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let most = thread::available_parallelism().map_or(1, usize::from).min(8);
        let mut state = self.shared.lock();
        state.jobs.push_back(Box::new(job));
        if state.threads >= most {
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = self.shared.clone();
        if thread::Builder::new().name("limbeck-pipelines".into()).spawn(move || shared.work()).is_err() {
            self.shared.work();
        }
    }

    /// Waits until nothing is left to build.
    pub(super) fn wait(&self) {
        let mut state = self.shared.lock();
        while state.threads > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_job_is_done_once_although_some_panic() {
        let (builders, done) = (Builders::default(), Arc::new(AtomicUsize::new(0)));
        for round in 1..=3 {
            for i in 0..50 {
                let done = done.clone();
                builders.run(move || {
                    done.fetch_add(1, Ordering::Relaxed);
                    assert!(i % 10 != 0, "as meant");
                });
            }
            builders.wait();
            assert_eq!(done.load(Ordering::Relaxed), 50 * round);
        }
    }
}
