//! A stored network in use: its answers about images, and how good they are on a split.

mod answer;
mod predictor;

pub use answer::TaskPrediction;
pub use predictor::{Evaluation, Prediction, Predictor, evaluate, predict};

pub use crate::tasks::{DetectedObject, TaskOutput};
