//! Programs: a step recorded once and replayed afterwards.
//!
//! While a closure runs under [`Gpu::capture`], its dispatches and copies are executed as always and kept beside that as
//! plain data. A program owns what a replay needs: pipelines, bind groups, its own uniform buffer with every parameter, and
//! the memory that its dispatches write. A replay therefore creates nothing and rewrites nothing; it only encodes.
//!
//! That first execution uses buffers of the pool. Only when it is over is it known how long each temporary lives: then the
//! pool's are freed, and the program gets memory of its own in which temporaries share ([`super::layout`]).
//!
//! What changes from step to step (the batch, the learning rate) lies in buffers that kernels read, and is written between
//! replays with [`Gpu::write`].

use std::sync::Arc;

use super::capture::{Capture, Operand, Own, Step};
use super::device::Gpu;
use super::layout::{Apart, lay_out};
use super::lock::lock;
use super::pool::{Buffer, RecordingId};
use super::record::{Command, bind_group};
use super::view::{Region, SLOT, View};
use crate::{Error, Result};

/// A recorded step; see [`Gpu::capture`]. Dropping it frees its memory.
pub struct Program {
    gpu: Gpu,
    /// One list for each submission.
    submissions: Vec<Vec<Command>>,
    /// All that the commands use.
    _held: Vec<Arc<Buffer>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({} dispatches, {} submissions)", self.dispatches(), self.submissions.len())
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

/// Ends a recording, also when its closure fails or panics.
struct Attempt<'a> {
    gpu: &'a Gpu,
    id: RecordingId,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // One lock for both, so that another thread's recording begins after this one's end.
        let mut recording = lock(&self.gpu.inner.recording);
        recording.capture.take_if(|capture| capture.id == self.id);
        self.gpu.inner.pool.end_recording(self.id);
    }
}

impl Gpu {
    /// Runs `step` and records it: gives a [`Program`] that does the same again, and what `step` returned.
    ///
    /// Tensors that existed before are the program's inputs and outputs, wherever it reads or writes them; they may be
    /// written between replays ([`Gpu::write`]). What `step` uploads is a constant of the program. A tensor that `step`
    /// makes and somebody still has afterwards holds the newest replay's values. Parameters of dispatches are as recorded.
    ///
    /// Waits once for the GPU and frees what waits in the pool ([`Gpu::trim`]), so that the program's memory does not come on
    /// top of what this first execution used.
    ///
    /// # Errors
    /// Whatever `step` fails with: nothing is recorded then, and the device goes on as before. [`Error::Invalid`] where
    /// `step` reads a value back, writes to a buffer, replays or captures, none of which a replay could repeat.
    pub fn capture<T>(&self, step: impl FnOnce() -> Result<T>) -> Result<(Program, T)> {
        let attempt = {
            let mut recording = lock(&self.inner.recording);
            if recording.capture.is_some() {
                return Err(Error::Invalid("a step is being recorded already; record one after the other".into()));
            }
            self.submit(&mut recording)?;
            let id = self.inner.pool.begin_recording();
            recording.capture = Some(Capture::new(id));
            Attempt { gpu: self, id }
        };
        let value = step()?;
        self.flush()?;
        let taken = lock(&self.inner.recording).capture.take();
        drop(attempt);
        let Capture { steps, held, own, apart, .. } =
            taken.ok_or_else(|| Error::Invalid("the recording is gone".into()))?;
        self.trim()?;
        self.wait()?;
        let memory = self.provide(&own, &apart)?;
        let submissions = self.assemble(steps, &memory)?;
        let held = held.into_values().chain(memory.into_iter().map(|view| view.buffer)).collect();
        Ok((Program { gpu: self.clone(), submissions, _held: held }, value))
    }

    /// Memory for what the step asked for: what somebody kept stays where it is, the rest shares.
    fn provide(&self, own: &[Own], apart: &Apart) -> Result<Vec<View>> {
        let mut memory: Vec<Option<View>> =
            own.iter().map(|own| own.buffer.upgrade().map(|buffer| View::whole(&buffer))).collect();
        let shared: Vec<usize> = (0..own.len()).filter(|&i| memory[i].is_none()).collect();
        let mut among = vec![None; own.len()];
        shared.iter().enumerate().for_each(|(at, &i)| among[i] = Some(at));
        let apart: Apart = apart.iter().filter_map(|&(a, b)| Some((among[a]?, among[b]?))).collect();
        let needs: Vec<_> = shared.iter().map(|&i| own[i].need()).collect();
        let layout = lay_out(&needs, &apart);
        let slots: Vec<Arc<Buffer>> =
            layout.slots.iter().map(|bytes| self.obtain_for_program(*bytes)).collect::<Result<_>>()?;
        for ((i, (slot, offset)), need) in shared.into_iter().zip(layout.places).zip(&needs) {
            memory[i] = Some(View { buffer: slots[slot].clone(), offset, size: need.bytes });
        }
        Ok(memory.into_iter().flatten().collect())
    }

    /// Bind groups and parameters of a program, cut where a submission would run too long.
    fn assemble(&self, steps: Vec<Step>, memory: &[View]) -> Result<Vec<Vec<Command>>> {
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
        let region = |operand: Operand| match operand {
            Operand::Lasting(region) => region,
            Operand::Own { number, offset, size } => {
                let whole = &memory[number];
                Region::of(&View { buffer: whole.buffer.clone(), offset: whole.offset + offset, size })
            }
        };
        let (mut submissions, mut commands) = (Vec::new(), Vec::new());
        let (mut total, mut at) = (0, 0);
        for step in steps {
            let command = match step {
                Step::Copy { from, to } => Command::Copy { from: region(from), to: region(to) },
                Step::Dispatch { kernel, storage, words, groups, cost } => {
                    if total > 0 && total + cost > self.inner.profile.submit_budget() {
                        submissions.push(std::mem::take(&mut commands));
                        total = 0;
                    }
                    total += cost;
                    let storage: Vec<Region> = storage.into_iter().map(region).collect();
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
/// # use limbeck::gpu::{Gpu, ReplayedStep};
/// # use limbeck::kernels::elementwise::axpy;
/// # use limbeck::tensor::{GradTarget, Tensor};
/// let gpu = Gpu::open()?;
/// let (x, y) = (Tensor::from_f32(&gpu, &[1.0; 4], &[4])?, Tensor::from_f32(&gpu, &[0.0; 4], &[4])?);
/// let mut step = ReplayedStep::default();
/// for i in 0..5 {
///     x.write_f32(&gpu, &[i as f32; 4])?; // what changes is written before
///     step.run(&gpu, || axpy(&gpu, 1.0, &x, &GradTarget { tensor: y.clone(), accumulate: true }))?;
/// }
/// assert_eq!(y.to_f32(&gpu)?, [10.0; 4]);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct ReplayedStep {
    program: Option<Program>,
}

impl ReplayedStep {
    /// Does `step` once more and submits it, without waiting. It must do the same each time it is called.
    pub fn run(&mut self, gpu: &Gpu, step: impl FnOnce() -> Result<()>) -> Result<()> {
        match &self.program {
            Some(program) => program.replay(),
            None => {
                self.program = Some(gpu.capture(step)?.0);
                Ok(())
            }
        }
    }

    /// The recorded program, from the first run on.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }
}
