//! What is reported: of classes accuracy, precision, recall, F1, mIoU and calibration, of boxes average precision, of attributes
//! F1 and mAP, of numbers RMSE, MAE and R²; the mean and standard deviation over seeds; and the multi-task delta against
//! single-task baselines. Everything in f64 on the CPU, from counts over a whole split.

mod calibration;
mod confusion;
mod delta;
mod detection;
mod multilabel;
mod regression;
mod result;
mod scores;

pub use calibration::CalibrationTally;
pub use confusion::{ClassMetrics, Confusion, TaskMetrics};
pub use delta::{DELTA_M_DEFINITION, MeanStd, Measure, delta_m};
pub use detection::{CocoClass, CocoScores, Detection, DetectionTally, Interpolation, Truth};
pub use multilabel::{AttributeMetrics, MultilabelMetrics, MultilabelTally};
pub use regression::{RegressionMetrics, RegressionTally};
pub use result::{ClassResult, TaskResult};
pub use scores::{METRICS, Metric, Scores, metric};
