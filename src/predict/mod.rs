//! A stored network in use: its answers about images, and how good they are on a split.
//!
//! ```no_run
//! use limbeck::gpu::Gpu;
//! use limbeck::predict::{PredictOptions, Predictor};
//! use std::path::Path;
//!
//! let gpu = Gpu::open()?;
//! let student = Predictor::of_run(&gpu, Path::new("runs/photos"), "distilled")?;
//! let student = student.with_options(PredictOptions::default().threshold(0.5)?);
//! // One image after the other: what is told of one is forgotten before the next is read.
//! for (image, answers) in student.classify_files(&gpu, ["a.png", "b.jpg"]) {
//!     match answers {
//!         Ok(answers) => answers.iter().for_each(|a| println!("{}: {} {}", image.display(), a.task, a.answer)),
//!         Err(error) => eprintln!("{error}"),
//!     }
//! }
//! # Ok::<(), limbeck::Error>(())
//! ```

mod answer;
mod answered;
mod evaluate;
mod images;
mod options;
mod predictor;
mod stored;

pub use answer::TaskPrediction;
pub use answered::{AnsweredImage, AnsweredTask, EachImage, LabelledObject, TaskLabel};
pub use evaluate::{Evaluation, evaluate, evaluate_images};
pub use images::ImageList;
pub use options::PredictOptions;
pub use predictor::{Prediction, Predictor, predict};
pub use stored::seeds;

pub use crate::tasks::{DetectedObject, TaskOutput};
