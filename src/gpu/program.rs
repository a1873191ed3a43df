//! Programs: a step recorded once and replayed afterwards.
//!
//! While a closure runs under [`Gpu::capture`], its dispatches and copies are executed as always and kept beside that as
//! plain data. A program owns what a replay needs: pipelines, bind groups, its own uniform buffer with every parameter, and
//! the memory that its dispatches write. A replay therefore creates nothing and rewrites nothing; it only encodes.
//!
//! What changes from step to step (the batch, the learning rate) lies in buffers that kernels read, and is written between
//! replays with [`Gpu::write`].

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use super::device::{Gpu, lock};
use super::pipeline::Kernel;
use super::pool::{ArenaId, Buffer};
use super::record::{Command, Region, SLOT, View, bind_group};
use crate::{Error, Result};

/// One command as it was recorded.
enum Step {
    Dispatch { kernel: Arc<Kernel>, storage: Vec<Region>, words: Vec<u8>, groups: [u32; 3], cost: u64 },
    Copy { from: Region, to: Region },
}

/// A program in the making.
pub(super) struct Capture {
    thread: ThreadId,
    arena: ArenaId,
    steps: Vec<Step>,
    held: HashMap<u64, Arc<Buffer>>,
}

impl Capture {
    /// Whether it records this thread: others may use the device meanwhile, and none of that belongs to the program.
    pub(super) fn is_mine(&self) -> bool {
        self.thread == thread::current().id()
    }

    /// Keeps what was there before, and uploads, for as long as the program lives; its own memory is in its arena.
    fn hold(&mut self, view: &View) {
        if view.buffer.arena() != Some(self.arena) {
            self.held.entry(view.buffer.id()).or_insert_with(|| view.buffer.clone());
        }
    }

    pub(super) fn copy(&mut self, from: &View, to: &View) {
        self.hold(from);
        self.hold(to);
        self.steps.push(Step::Copy { from: Region::of(from), to: Region::of(to) });
    }

    pub(super) fn dispatch(
        &mut self,
        kernel: &Arc<Kernel>,
        views: Vec<View>,
        words: &[u8],
        groups: [u32; 3],
        cost: u64,
    ) {
        views.iter().for_each(|v| self.hold(v));
        let storage = views.iter().map(Region::of).collect();
        self.steps.push(Step::Dispatch { kernel: kernel.clone(), storage, words: words.to_vec(), groups, cost });
    }
}

/// A recorded step; see [`Gpu::capture`]. Dropping it returns its memory to the pool.
pub struct Program {
    gpu: Gpu,
    arena: ArenaId,
    /// One list for each submission.
    submissions: Vec<Vec<Command>>,
    _held: Vec<Arc<Buffer>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({} dispatches, {} submissions)", self.dispatches(), self.submissions.len())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.gpu.inner.pool.release_arena(self.arena);
    }
}

impl Program {
    /// Dispatches of one replay.
    pub fn dispatches(&self) -> usize {
        self.submissions.iter().flatten().filter(|c| matches!(c, Command::Dispatch { .. })).count()
    }

    /// Runs the recorded commands again, on what their buffers hold now, without waiting for them.
    ///
    /// # Errors
    /// [`Error::Invalid`] inside another capture; whatever the device complains of.
    pub fn replay(&self) -> Result<()> {
        self.gpu.not_in_capture("a replay", "replay after it")?;
        let mut recording = lock(&self.gpu.inner.recording);
        if !recording.commands.is_empty() {
            self.gpu.submit(&mut recording)?;
        }
        // The lock is held so that nothing of another thread comes between two submissions of one step.
        recording.writes = 0;
        self.submissions.iter().try_for_each(|commands| self.gpu.execute(commands))
    }
}

/// Forgets an unfinished capture when its closure fails or panics.
struct Attempt<'a> {
    gpu: &'a Gpu,
    arena: ArenaId,
    finished: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.finished {
            lock(&self.gpu.inner.recording).capture = None;
            self.gpu.inner.pool.release_arena(self.arena);
        }
    }
}

impl Gpu {
    /// Runs `step` and records it: gives a [`Program`] that does the same again, and what `step` returned.
    ///
    /// Tensors that existed before are the program's inputs and outputs, wherever it reads or writes them; they may be
    /// written between replays ([`Gpu::write`]). What `step` uploads is a constant of the program. A tensor that `step`
    /// makes and returns holds the newest replay's values. Parameters of dispatches are as recorded.
    ///
    /// # Errors
    /// Whatever `step` fails with: nothing is recorded then, and the device goes on as before. [`Error::Invalid`] where
    /// `step` reads a value back, writes to a buffer, replays or captures, none of which a replay could repeat.
    pub fn capture<T>(&self, step: impl FnOnce() -> Result<T>) -> Result<(Program, T)> {
        let arena = {
            let mut recording = lock(&self.inner.recording);
            if recording.capture.is_some() {
                return Err(Error::Invalid("a step is being recorded already; record one after the other".into()));
            }
            self.submit(&mut recording)?;
            let arena = self.inner.pool.open_arena();
            let thread = thread::current().id();
            recording.capture = Some(Capture { thread, arena, steps: Vec::new(), held: HashMap::new() });
            arena
        };
        let mut attempt = Attempt { gpu: self, arena, finished: false };
        let value = step()?;
        self.flush()?;
        let taken = lock(&self.inner.recording).capture.take();
        let capture = taken.ok_or_else(|| Error::Invalid("the recording is gone".into()))?;
        let submissions = self.assemble(capture.steps)?;
        attempt.finished = true;
        self.inner.pool.seal_arena(arena);
        let program = Program { gpu: self.clone(), arena, submissions, _held: capture.held.into_values().collect() };
        Ok((program, value))
    }

    /// Bind groups and parameters of a program, cut where a submission would run too long.
    fn assemble(&self, steps: Vec<Step>) -> Result<Vec<Vec<Command>>> {
        let (mut words, mut dispatches) = (Vec::new(), 0);
        for step in &steps {
            if let Step::Dispatch { words: own, .. } = step {
                dispatches += 1;
                words.extend_from_slice(own);
                words.resize(words.len().next_multiple_of(SLOT as usize), 0);
            }
        }
        let params = self.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters of a program"),
            size: (words.len() as u64).max(SLOT),
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.inner.queue.write_buffer(&params, 0, &words);
        let (mut submissions, mut commands) = (Vec::new(), Vec::new());
        let (mut total, mut at) = (0, 0);
        for step in steps {
            let command = match step {
                Step::Copy { from, to } => Command::Copy { from, to },
                Step::Dispatch { kernel, storage, words, groups, cost } => {
                    if total > 0 && total + cost > self.inner.profile.submit_budget() {
                        submissions.push(std::mem::take(&mut commands));
                        total = 0;
                    }
                    total += cost;
                    let group = bind_group(&self.inner.device, &params, &kernel, &storage);
                    let slot = kernel.interface.params.is_some().then_some(at);
                    at += words.len().next_multiple_of(SLOT as usize) as u32;
                    Command::Dispatch { kernel, group, slot, groups }
                }
            };
            commands.push(command);
        }
        lock(&self.inner.recording).groups_created += dispatches;
        if !commands.is_empty() {
            submissions.push(commands);
        }
        self.check("recording a step")?;
        Ok(submissions)
    }

    /// Refuses, while this thread records a program, what a replay could not repeat.
    pub(super) fn not_in_capture(&self, what: &str, instead: &str) -> Result<()> {
        match lock(&self.inner.recording).capturing() {
            Some(_) => Err(Error::Invalid(format!("{what} inside a recorded step would not be repeated; {instead}"))),
            None => Ok(()),
        }
    }
}

/// Work that is the same again and again: recorded the first time, replayed from then on.
///
/// ```
/// # use limbeck::gpu::{Gpu, Repeat};
/// # use limbeck::kernels::elementwise::axpy;
/// # use limbeck::tensor::{Target, Tensor};
/// let gpu = Gpu::open()?;
/// let (x, y) = (Tensor::from_f32(&gpu, &[1.0; 4], &[4])?, Tensor::from_f32(&gpu, &[0.0; 4], &[4])?);
/// let mut step = Repeat::default();
/// for i in 0..5 {
///     x.write_f32(&gpu, &[i as f32; 4])?; // what changes is written before
///     step.run(&gpu, || axpy(&gpu, 1.0, &x, &Target { tensor: y.clone(), accumulate: true }))?;
/// }
/// assert_eq!(y.to_f32(&gpu)?, [10.0; 4]);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Repeat {
    program: Option<Program>,
}

impl Repeat {
    /// Does `step` once more and submits it, without waiting. It must do the same each time it is called.
    pub fn run(&mut self, gpu: &Gpu, step: impl FnOnce() -> Result<()>) -> Result<()> {
        match &self.program {
            Some(program) => program.replay(),
            None => {
                self.program = Some(gpu.capture(step)?.0);
                // From here on the step needs nothing of the pool; what setting up has left there may go.
                gpu.trim()
            }
        }
    }

    /// The recorded program, from the first run on.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }
}
