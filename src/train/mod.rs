//! Training: a learner and its steps; of a run's stages the epochs, what they report, and what they leave on disk.
//!
//! In code a student is trained by [`Inputs`] (a data set on its way to the GPU), [`LossTerms`] (labels, and what teachers say), and a
//! [`Learner`], which a [`StepRecorder`] lets take its steps:
//!
//! ```
//! use limbeck::data::{augment::Augment, compose::{Pairing, Samples}, digits, seed};
//! use limbeck::distill::{self, MethodConfig};
//! use limbeck::gpu::Gpu;
//! use limbeck::nn::{Init, Network, TrunkSpec};
//! use limbeck::optim::{Rule, Sgd};
//! use limbeck::train::{Inputs, Learner, LossTerms, StepRecorder, Teacher};
//!
//! let gpu = Gpu::open()?;
//! let samples = Samples { train: 40, val: 10, test: 10 };
//! let inputs = Inputs::new(digits::load(&Pairing { canvas: [12, 12], samples, seed: 0 }, 0)?, Augment::NONE);
//! let network = |width: f32, tasks: &[&str], seed: u64| {
//!     let trunk = TrunkSpec { width, ..TrunkSpec::new("resnet8".parse()?) };
//!     Network::new(&gpu, inputs.network_spec(trunk, tasks, Init::HeNormal)?, seed)
//! };
//! // To be trained first, in the same way on labels alone: LossTerms::labels.
//! let teachers = [network(0.5, &["first"], 1)?, network(0.5, &["second"], 2)?];
//! let teachers: Vec<Teacher> = teachers.iter().map(|t| Teacher::new(&gpu, t, &inputs)).collect::<Result<_, _>>()?;
//!
//! let student = network(0.25, &["first", "second"], 3)?;
//! let kd = distill::method("kd").unwrap();
//! let terms = LossTerms::distilled(&gpu, &inputs, &student, &teachers, &[(kd, MethodConfig::of(kd))], 0)?;
//! let rule = Rule::Sgd(Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 });
//! let mut learners = [Learner::new(&gpu, student, terms, rule, None)?];
//! let mut steps = StepRecorder::default();
//! for epoch in 0..2 {
//!     learners[0].begin_epoch(&gpu, epoch, 2)?;
//!     for batch in inputs.epoch(20, seed::derive_n(0, epoch as u64)) {
//!         steps.step(&gpu, &inputs, &batch, &mut learners, 0.1)?;
//!     }
//! }
//! let [student] = &mut learners;
//! assert_eq!(student.steps(), 4);
//! let losses = student.mean_losses(&gpu)?;
//! assert_eq!(losses.iter().map(|(term, _)| term.as_str()).collect::<Vec<_>>(), ["first/ce", "first/kd", "second/ce", "second/kd"]);
//! assert!(losses.iter().all(|(_, mean)| *mean > 0.0));
//! let results = inputs.test(&gpu, student.network(), 10)?;
//! assert_eq!(results.len(), 2);
//! # Ok::<(), limbeck::Error>(())
//! ```

mod average;
mod balanced_step;
mod balancing;
#[cfg(feature = "train")]
pub(crate) mod cache;
mod evaluate;
#[cfg(feature = "train")]
pub mod event;
#[cfg(feature = "train")]
pub(crate) mod folder_lock;
#[cfg(feature = "train")]
mod gradient_stats;
mod heads;
pub(crate) mod inputs;
#[cfg(feature = "train")]
pub(crate) mod journal;
mod layers;
pub(crate) mod learner;
#[cfg(feature = "train")]
pub(crate) mod result;
#[cfg(feature = "train")]
pub(crate) mod session;
#[cfg(feature = "train")]
pub(crate) mod stage;
#[cfg(feature = "train")]
pub(crate) mod stage_key;
#[cfg(feature = "train")]
mod state;
pub(crate) mod step;
#[cfg(all(feature = "train", feature = "selftest"))]
mod stored;
pub(crate) mod teacher_set;
pub(crate) mod terms;

pub use inputs::Inputs;
pub use learner::Learner;
pub use step::StepRecorder;
pub use teacher_set::Teacher;
pub use terms::LossTerms;

#[cfg(feature = "train")]
pub use event::{EpochRecord, Event};
#[cfg(feature = "train")]
pub use gradient_stats::GradientStats;
#[cfg(feature = "train")]
pub use result::StageResult;
#[cfg(all(feature = "train", feature = "selftest"))]
#[doc(hidden)]
pub use stored::read_stored;
