//! What is being compiled, for whoever shows it: some drivers take half a minute for one kernel.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock::lock;

/// The kernels that devices opened with it (in [`Options`](super::Options)) compile, to be looked at from another thread. Clones look
/// at the same devices.
#[derive(Debug, Clone, Default)]
pub struct Compiling(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    asked: usize,
    done: usize,
    /// Names, and when each was begun; at most as many as threads compile.
    running: Vec<(String, Instant)>,
}

/// How far compiling was at some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompileProgress {
    /// Kernels asked for so far.
    pub asked: usize,
    /// Those of them that are compiled, or could not be.
    pub done: usize,
    /// The kernel that has been compiling for longest, and for how long.
    pub longest: Option<(String, Duration)>,
}

impl Compiling {
    /// How far compiling is.
    pub fn now(&self) -> CompileProgress {
        let state = lock(&self.0);
        let longest = state.running.iter().min_by_key(|(_, begun)| *begun);
        CompileProgress {
            asked: state.asked,
            done: state.done,
            longest: longest.map(|(name, begun)| (name.clone(), begun.elapsed())),
        }
    }

    /// The kernel `name` will be compiled.
    pub(super) fn ask(&self, name: &str) -> Asked {
        lock(&self.0).asked += 1;
        Asked { of: self.clone(), name: name.to_string() }
    }
}

/// A kernel that waits to be compiled, or is being compiled; dropped, it is done.
pub(super) struct Asked {
    of: Compiling,
    name: String,
}

impl Asked {
    /// Compiling begins.
    pub fn begin(&self) {
        lock(&self.of.0).running.push((self.name.clone(), Instant::now()));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = lock(&self.of.0);
        state.done += 1;
        if let Some(at) = state.running.iter().position(|(name, _)| *name == self.name) {
            state.running.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Gpu, Options};

    #[test]
    fn the_longest_is_named() {
        let compiling = Compiling::default();
        assert_eq!(compiling.now(), CompileProgress::default());
        let [first, second, third] = ["a", "b", "b"].map(|name| compiling.ask(name));
        assert_eq!(compiling.now(), CompileProgress { asked: 3, done: 0, longest: None });
        second.begin();
        first.begin();
        let now = compiling.now();
        assert_eq!(now.longest.unwrap().0, "b");
        drop(second);
        let now = compiling.now();
        assert_eq!((now.asked, now.done, now.longest.unwrap().0.as_str()), (3, 1, "a"));
        drop([first, third]);
        assert_eq!(compiling.now(), CompileProgress { asked: 3, done: 3, longest: None });
    }

    #[test]
    fn a_device_says_what_it_compiles() {
        let compiling = Compiling::default();
        let gpu = Gpu::new(Options { compiling: compiling.clone(), ..Options::default() }).unwrap();
        let before = compiling.now().asked;
        let x = crate::tensor::Tensor::from_f32(&gpu, &[-1.0, 2.0], &[2]).unwrap();
        assert_eq!(crate::kernels::elementwise::relu(&gpu, &x).unwrap().to_f32(&gpu).unwrap(), [0.0, 2.0]);
        drop((x, gpu));
        let now = compiling.now();
        assert!(now.asked > before && now.done == now.asked && now.longest.is_none(), "{now:?}");
    }
}
