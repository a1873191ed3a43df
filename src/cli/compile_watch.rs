//! Says what is being compiled where a driver takes long, so that the program does not look hung.

use indicatif::ProgressBar;
use limbeck::gpu::{CompileProgress, Compiling, Gpu, Options};
use limbeck::{Error, Result};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::complain;
use super::eta::duration;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(250);
/// A kernel that takes longer is told of on a bar, which costs no line.
const ON_A_BAR: f64 = 2.0;
/// A kernel that takes longer is told of in a line.
const IN_A_LINE: f64 = 5.0;
/// Seconds until the next line, at least.
const BETWEEN_LINES: f64 = 30.0;

/// Where it is said.
#[derive(Debug, Clone)]
pub enum Place {
    /// Nowhere.
    Nowhere,
    /// In lines on stderr.
    Lines,
    /// In the message of a bar.
    Bar(ProgressBar),
}

/// A thread that looks at what is compiled until this is dropped.
pub struct CompileWatch {
    compiling: Compiling,
    /// Dropped, it ends the thread.
    open: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CompileWatch {
    /// Watches the devices that are opened with [`CompileWatch::options`].
    ///
    /// # Errors
    /// [`Error::Io`] where the system has no thread to give.
    pub fn new(place: Place) -> Result<Self> {
        let (compiling, (open, closed)) = (Compiling::default(), channel::<()>());
        let watched = compiling.clone();
        let look = move || {
            let mut teller = Teller::default();
            let mut seconds = 0.0;
            while closed.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                seconds += PAUSE.as_secs_f64();
                match (&place, watched.now()) {
                    (Place::Nowhere, _) => return,
                    (Place::Lines, now) => drop(teller.line(&now, seconds).map(|line| complain(&line))),
                    (Place::Bar(bar), now) => drop(words(&now, ON_A_BAR).map(|text| bar.set_message(text))),
                }
            }
        };
        let spawned = std::thread::Builder::new().name("limbeck-watch".into()).spawn(look);
        let thread = spawned.map_err(|e| Error::io("a thread", "start", e))?;
        Ok(CompileWatch { compiling, open: Some(open), thread: Some(thread) })
    }

    /// The environment's options ([`Options::from_env`]), watched.
    pub fn options(&self) -> Options {
        Options { compiling: self.compiling.clone(), ..Options::from_env() }
    }

    /// The default device, watched.
    ///
    /// # Errors
    /// Those of [`Gpu::new`].
    pub fn open(&self) -> Result<Gpu> {
        Gpu::new(self.options())
    }
}

impl Drop for CompileWatch {
    fn drop(&mut self) {
        drop(self.open.take());
        // It ends at once, and what it says last stands before what is said next.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// `compiling GPU kernels: 12 of 40 done, conv2d/forward for 14 s`, where one takes longer than `least` seconds.
fn words(now: &CompileProgress, least: f64) -> Option<String> {
    let (name, time) = now.longest.as_ref().filter(|(_, time)| time.as_secs_f64() >= least)?;
    let time = duration(time.as_secs_f64());
    Some(format!("compiling GPU kernels: {} of {} done, {name} for {time}", now.done, now.asked))
}

/// Tells in lines, but not too often.
#[derive(Default)]
struct Teller {
    last: Option<f64>,
}

impl Teller {
    fn line(&mut self, now: &CompileProgress, seconds: f64) -> Option<String> {
        let text = words(now, IN_A_LINE)?;
        if self.last.is_some_and(|last| seconds - last < BETWEEN_LINES) {
            return None;
        }
        self.last = Some(seconds);
        Some(format!("  {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(done: usize, longest: Option<(&str, u64)>) -> CompileProgress {
        let longest = longest.map(|(name, seconds)| (name.to_string(), Duration::from_secs(seconds)));
        CompileProgress { asked: 40, done, longest }
    }

    #[test]
    fn lines_come_late_and_seldom() {
        let mut teller = Teller::default();
        assert_eq!(teller.line(&at(3, None), 1.0), None);
        assert_eq!(teller.line(&at(3, Some(("conv2d/forward", 4))), 5.0), None);
        let line = teller.line(&at(3, Some(("conv2d/forward", 5))), 6.0);
        assert_eq!(line.as_deref(), Some("  compiling GPU kernels: 3 of 40 done, conv2d/forward for 5 s"));
        assert_eq!(teller.line(&at(9, Some(("linear/forward", 7))), 20.0), None);
        assert!(teller.line(&at(9, Some(("linear/forward", 23))), 36.0).unwrap().contains("9 of 40"));
        assert_eq!(words(&at(3, Some(("a", 2))), ON_A_BAR).unwrap(), "compiling GPU kernels: 3 of 40 done, a for 2 s");
    }

    #[test]
    fn a_watch_ends_with_its_owner() {
        let bar = ProgressBar::hidden();
        for place in [Place::Nowhere, Place::Lines, Place::Bar(bar.clone())] {
            drop(CompileWatch::new(place).unwrap());
        }
        assert_eq!(bar.message(), "");
    }
}
