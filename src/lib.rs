//! limbeck (an old word for a still) distils: several teachers, each good at one task, become one small student that does
//! all the tasks. Every number it computes on the GPU comes from WGSL kernels written by hand for it, run on Vulkan, Metal
//! or DX12.
//!
//! Three doors lead in. The `limbeck` program takes one TOML file from data to a trained student (`limbeck run FILE.toml`).
//! `experiment` does the same inside another program, and `predict` puts a stored student to use. [`train`] trains a student against teachers in a
//! dozen lines of code; the modules below it are the building blocks, for those who want the training loop in their own hands; the programs in `examples/` show each way.
//!
//! One step of distillation, a batch of eight 12x12 images:
//!
//! ```
//! use limbeck::distill::Kd;
//! use limbeck::gpu::Gpu;
//! use limbeck::loss::{CrossEntropy, LossLog, LossRecorder};
//! use limbeck::nn::{HeadSpec, Init, Mode, Network, NetworkSpec, TrunkSpec};
//! use limbeck::optim::{Optimizer, Rule, Sgd};
//! use limbeck::tape::{Tape, Var};
//! use limbeck::tensor::Tensor;
//!
//! let gpu = Gpu::open()?;
//! let network = |name: &str, seed| -> limbeck::Result<Network> {
//!     let (trunk, heads) = (TrunkSpec::new(name.parse()?), vec![HeadSpec::linear("digit", 10)]);
//!     Network::new(&gpu, NetworkSpec { trunk, channels: 1, heads, init: Init::HeNormal }, seed)
//! };
//! let (teacher, student) = (network("resnet20", 0)?.freeze(&gpu)?, network("resnet8", 1)?);
//! let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
//! let mut optimizer = Optimizer::new(&gpu, student.params(), Rule::Sgd(sgd), None)?;
//! let mut log = LossLog::new(&gpu, vec!["digit/ce".into(), "digit/kd".into()], 16)?;
//!
//! let x = Tensor::from_f32(&gpu, &[0.5; 8 * 12 * 12], &[8, 12, 12, 1])?;
//! let labels = Tensor::from_u32(&gpu, &[0, 1, 2, 3, 4, 5, 6, 7], &[8])?;
//! let mut tape = Tape::new();
//! let outputs = student.forward(&gpu, &mut tape, Mode::Train, &Var::constant(x.clone()))?;
//! let mut losses = LossRecorder { gpu: &gpu, tape: &mut tape, log: &log };
//! CrossEntropy::default().apply(&mut losses, 0, 1.0, &outputs.logits[0], &labels)?;
//! let kd = Kd { temperature: 4.0, standardise: false };
//! kd.apply(&mut losses, 1, 0.9, &outputs.logits[0], &teacher.infer(&gpu, &x)?.logits[0])?;
//! tape.backward(&gpu)?;
//! optimizer.step(&gpu, student.params(), 0.1)?;
//! log.advance();
//! let values = log.take(&gpu)?; // waits for the GPU: one row a step, one value a term
//! assert!(values[0].iter().all(|loss| loss.is_finite()));
//! # Ok::<(), limbeck::Error>(())
//! ```
//!
//! # Features
//!
//! | feature | brings | and the crates |
//! |---|---|---|
//! | none | the core: everything below but the rows that follow; in-memory data and the embedded digits | wgpu, naga |
//! | `formats` | `data::formats`: IDX, image folders, tables, annotations of COCO, VOC, YOLO and labelme, masks; safetensors | flate2, image, csv, roxmltree, yaml-rust2, safetensors |
//! | `train` | `config`, `checkpoint`, `experiment`, `predict`, `data::sources`, and of [`train`] what stages need: the run's file, checkpoints, a stored network in use | serde, toml |
//! | `plot` | `plot`: what pictures as SVG share, and the roofline | plotters |
//! | `report` | `report`: curves and confusion matrices as SVG, tables, answers drawn on images | noto-sans-mono-bitmap |
//! | `selftest` | [`mod@reference`], and of each kernel what it is tried with and timed on: `kernels::TABLE` | |
//! | `bench` | `bench`: the benchmark, its comparison and its roofline | |
//! | `cli` (default) | the `limbeck` program | clap, indicatif, ctrlc |
//!
//! `train` and `plot` contain `formats`, `report` contains both of them, `bench` contains `plot` and `selftest`, `cli` contains all. Who only
//! runs or trains a student in memory takes `default-features = false`.
//!
//! # ARCHITECTURE
//!
//! **The rooms**, from the street to the cellar. Each knows those below it; none knows one above it, and there are no circles.
//!
//! | room | what happens there | whom it knows |
//! |---|---|---|
//! | `main`, `cli` | commands, progress, exit codes | all below |
//! | `bench` | ceilings, kernels, whole steps; results compared | `plot`, and from [`distill`] down |
//! | `report` | curves, tables, answers drawn on images | `plot`, `predict`, `experiment`, `train`, [`metrics`] |
//! | `predict` | a stored network in use, and measured | `experiment`, `train` |
//! | `experiment` | stages of a run's file, comparisons, summaries | `train`, `config` |
//! | [`train`] | a learner, its terms and steps; with the feature a stage's epochs, state, journal, teachers' answers on disk | [`tasks`], [`distill`], [`balance`] and below; `checkpoint`, `config` |
//! | `checkpoint` | weights and their cards in safetensors | [`tasks`], [`nn`], [`data`] |
//! | `config` | the run's file: tables, keys, defaults, checks | `data::sources`, [`distill`], [`balance`], [`nn`] |
//! | [`distill`] | losses against teachers, one file each, and their table | [`loss`], [`nn`], kinds of tasks in [`data`] |
//! | [`tasks`] | of each kind of task its labels' upload, head, losses, decoding and metric, one file each | [`loss`], [`nn`], [`metrics`], [`data`] |
//! | [`balance`] | the weights of the tasks, one file a method, and their table | nobody |
//! | [`loss`] | losses on labels, one file each, and their table; the log of their values | [`tape`], [`kernels`], kinds of tasks in [`data`] |
//! | [`metrics`] | confusion, accuracy … F1, mIoU, AP, RMSE, the multi-task delta | [`geometry`] |
//! | [`data`] | splits, labels of every kind, composition, seeds, augmentation as parameters, the loader; formats, and `sources`, one file and one row each | [`geometry`], `settings` |
//! | `settings` | a TOML file with the place of every value: typed access, and errors that point | nobody |
//! | [`optim`] | optimizers over the arena, schedules | [`params`], [`kernels`] |
//! | [`nn`] | layers, residual networks, heads; their frozen form | [`tape`], [`params`], [`kernels`] |
//! | [`tape`], [`params`] | order and accumulation of gradients; one arena of parameters | [`kernels`], [`tensor`] |
//! | [`kernels`] | one launcher a shader, its variants and its cases; the only place that dispatches, but for the probes of `bench` and the self-test of a device | [`tensor`], [`shape`], [`mod@reference`] (in the cases) |
//! | [`tensor`], [`shape`], [`geometry`] | a shape and a pooled buffer; boxes in images | [`gpu`] |
//! | `plot` | canvas, axes, the roofline | `files` |
//! | [`gpu`] | adapter, device, WGSL preprocessing and reflection, pipelines, pool, recording and replay | wgpu, which nobody else names; `files` |
//! | [`files`], `hash`, [`Error`] | a file that is the old or the new one; FNV-1a; what went wrong | nobody |
//!
//! **One name, three rooms.** `shaders/x.wgsl` (the kernel), `src/kernels/x.rs` (its launcher) and `src/reference/x.rs` (the same
//! in plain `f64`: the readable definition and the oracle of the tests) belong together. A row in [`kernels::TABLE`] brings
//! them to the value and gradient tests and to the validation of every shader permutation.
//!
//! **One training step, as data flows:**
//!
//! 1. *Upload.* [`data::loader::Loader`] has prepared the next batch on its thread: bytes `[n, h, w, c]`, labels, and one
//!    draw a sample. The bytes become a [`tensor::Tensor`] as they are.
//! 2. *Augment.* [`kernels::augment`] moves (shift, mirror, crop, scale, turn, mosaic) and normalizes on the GPU, as each sample
//!    drew; labels of pixels and boxes move along. There is one result, so teachers and student see the same picture.
//! 3. *Frozen teachers.* [`nn::Frozen`] has its batch norm folded into the convolutions, no tape and no training mode. They run
//!    one after the other, before the student, each keeping only what a loss will look at: no more than one teacher's
//!    activations exist at a time, and none beside the student's.
//! 4. *The student's forward pass.* Each fused operation (convolution; batch norm + residual + ReLU; pooling; linear) runs
//!    its kernel and goes onto the [`tape::Tape`] with a closure that knows its gradient.
//! 5. *Fused losses.* One kernel a term writes each row's loss and adds to the gradient of the logits or the map it judges.
//!    Losses are no nodes: they write where the reverse walk starts. Their weights are those of [`balance`] and of the terms.
//! 6. *The reverse walk.* [`tape::Tape::backward`] drops each node as it goes, so its buffers return to the pool and serve
//!    the gradients that follow. The first contribution is written, later ones are added in the kernel's epilogue. Parameter
//!    gradients end in one arena, [`params::Params`].
//! 7. *The optimizer* is one dispatch over that arena, whatever the network's depth.
//! 8. *The log.* The terms' values stay in a ring on the GPU; [`loss::LossLog::take`] reads many steps at once.
//!
//! Nothing of this waits for the GPU: dispatches are recorded and submitted together, and only reading a value waits.
//!
//! **Balanced steps** have two halves. In the first the trunk runs once; the heads and losses of each task (or of each term) then
//! have a tape of their own, which ends at the trunk's output, so that the tasks' gradients lie side by side there
//! ([`kernels::gramian`]), or, where a method is to compare them at the parameters, after a walk through the trunk each. Their
//! products with each other, K x K numbers, and the losses go to the processor; a method of [`balance`] answers with K weights;
//! the second half adds the gradients up with them and goes on. No gradient leaves the GPU.
//!
//! **Recorded once, replayed afterwards.** After the first step every shape is known. [`gpu::Gpu::capture`] runs a step and
//! keeps its dispatches as plain data, with bind groups, parameters and memory of their own; [`gpu::Program::replay`] encodes
//! them again, in one compute pass a submission, and creates nothing. What changes from step to step lies in buffers that
//! kernels read, and is written before: the batch ([`tensor::Tensor::write_f32`] and its like), the learning rate
//! ([`optim::Optimizer::prepare`]), the log's row ([`loss::LossLog::prepare`]). These writes never wait, so the next batch
//! goes up while the last step still runs. [`gpu::ReplayedStep`] does both, for loops of one's own:
//!
//! ```no_run
//! # use limbeck::{gpu::Gpu, gpu::ReplayedStep, loss::LossLog, nn::Network, optim::Optimizer, tensor::Tensor};
//! # fn forward_losses_backward(_: &Gpu, _: &Network, _: &Tensor, _: &LossLog) -> limbeck::Result<()> { Ok(()) }
//! # fn train(gpu: Gpu, network: Network, mut optimizer: Optimizer, mut log: LossLog, x: Tensor) -> limbeck::Result<()> {
//! # let batches: Vec<Vec<f32>> = Vec::new();
//! let mut step = ReplayedStep::default();
//! for batch in batches {
//!     x.write_f32(&gpu, &batch)?;
//!     optimizer.prepare(&gpu, 0.1)?;
//!     log.prepare(&gpu)?;
//!     step.run(&gpu, || {
//!         forward_losses_backward(&gpu, &network, &x, &log)?;
//!         optimizer.apply(&gpu, network.params())
//!     })?;
//!     log.advance();
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Promises.** Layout is NHWC, convolution weights OHWI, linear weights `[out, in]`; sums are `f32` in a fixed order, there
//! are no float atomics. One seed tree ([`data::seed`]) decides every draw: the same seed gives the same bits on the same
//! adapter, and a resumed run equals an uninterrupted one. Errors are values of one [`Error`] that says what to do.

pub mod balance;
#[cfg(feature = "bench")]
pub mod bench;
#[cfg(feature = "train")]
pub mod checkpoint;
#[cfg(feature = "train")]
pub mod config;
pub mod data;
pub mod distill;
mod error;
#[cfg(feature = "train")]
pub mod experiment;
pub mod files;
pub mod geometry;
pub mod gpu;
mod hash;
pub mod kernels;
pub mod loss;
pub mod metrics;
pub mod nn;
pub mod optim;
pub mod params;
#[cfg(feature = "plot")]
pub mod plot;
#[cfg(feature = "train")]
pub mod predict;
#[cfg(feature = "selftest")]
pub mod reference;
#[cfg(feature = "report")]
pub mod report;
mod setting;
#[cfg(feature = "train")]
mod settings;
pub mod shape;
pub mod tape;
pub mod tasks;
pub mod tensor;
pub mod train;

pub use error::{Error, Result};
