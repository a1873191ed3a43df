//! A stored network in use: its answers about images, and how good they are on a split.

mod answer;
mod predictor;

pub use answer::{DetectedObject, TaskOutput, TaskPrediction};
pub use predictor::{Evaluation, Prediction, Predictor, evaluate, predict};
