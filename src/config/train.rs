//! `[train]`: how a stage is trained.

use serde::Serialize;

use crate::settings::{Choice, Flag, Number, Numbers, OneOf, Optional, Whole, table};

/// Also in single precision, in which it is used.
fn below_one(x: f64) -> bool {
    x >= 0.0 && (x as f32) < 1.0
}

table! {
    /// How one stage is trained.
    #[derive(Debug, Clone, PartialEq, Serialize)]
    pub struct TrainConfig {
        /// Passes over the training images.
        epochs: usize = 10, Whole(1..=1_000_000);
        /// Images per step.
        batch: usize = 64, Whole(2..=65_536);
        /// The rule of the step.
        optimizer: Optimizer = Optimizer::Sgd, OneOf;
        /// Learning rate after the warm-up.
        lr: f64 = 0.05, Number("a number above 0", |x| x > 0.0);
        /// SGD's momentum.
        momentum: f64 = 0.9, Number("a number of at least 0 and below 1", below_one);
        /// SGD with Nesterov's momentum.
        nesterov: bool = true, Flag;
        /// Weight decay: added to the gradient (SGD, Adam) or applied to the weights (AdamW).
        weight_decay: f64 = 5e-4, Number("a number of at least 0", |x| x >= 0.0);
        /// Adam's decay rates of the two moments.
        betas: [f64; 2] = [0.9, 0.999], Numbers("two numbers of at least 0 and below 1, such as [0.9, 0.999]", below_one);
        /// The learning rate's course after the warm-up.
        schedule: Schedule = Schedule::Cosine, OneOf;
        /// Epochs over which the learning rate rises linearly from zero; may be a fraction.
        warmup_epochs: f64 = 1.0, Number("a number of epochs of at least 0", |x| x >= 0.0);
        /// Fractions of the epochs at which `schedule = "step"` lowers the learning rate.
        milestones: Vec<f64> = vec![0.6, 0.8],
            Numbers("increasing fractions between 0 and 1, such as [0.6, 0.8]", |x| x > 0.0 && x < 1.0);
        /// The factor by which it does.
        gamma: f64 = 0.1, Number("a number above 0 and at most 1", |x| x > 0.0 && x <= 1.0);
        /// Largest norm of the gradient; unlimited where it is not set.
        #[serde(skip_serializing_if = "Option::is_none")]
        clip_norm: Option<f64> = None, Optional(Number("a number above 0", |x| x > 0.0), 5.0);
        /// Decay of the exponential moving average of the weights, which is measured and stored beside the best and the last weights
        /// (`MODEL.ema`); none is kept where it is not set. Usual: 0.999.
        #[serde(skip_serializing_if = "Option::is_none")]
        ema_decay: Option<f64> = None, Optional(Number("a number of at least 0 and below 1", below_one), 0.999);
        /// Part of a label's probability that is spread over all classes.
        label_smoothing: f64 = 0.0, Number("a number of at least 0 and below 1", below_one);
    }
}

/// Optimizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam (Kingma and Ba 2015), weight decay in the gradient.
    Adam,
    /// AdamW (Loshchilov and Hutter 2019), weight decay on the weights.
    AdamW,
}

impl Choice for Optimizer {
    const WORDS: &'static [(&'static str, Self)] = &[("sgd", Self::Sgd), ("adam", Self::Adam), ("adamw", Self::AdamW)];
}

/// Learning-rate schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine down to zero.
    Cosine,
    /// Times `gamma` at each milestone.
    Step,
    /// Unchanged.
    Constant,
}

impl Choice for Schedule {
    const WORDS: &'static [(&'static str, Self)] =
        &[("cosine", Self::Cosine), ("step", Self::Step), ("constant", Self::Constant)];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained_with_its_default() {
        let rows = TrainConfig::rows();
        assert_eq!(rows.iter().map(|row| row.key).collect::<Vec<_>>(), TrainConfig::KEYS);
        let of = |key: &str| rows.iter().find(|row| row.key == key).unwrap();
        assert_eq!(
            (of("batch").allowed.as_str(), of("batch").default.as_str()),
            ("a whole number from 2 to 65536", "64")
        );
        assert_eq!(
            (of("optimizer").allowed.as_str(), of("optimizer").default.as_str()),
            ("\"sgd\", \"adam\" or \"adamw\"", "\"sgd\"")
        );
        assert_eq!((of("betas").default.as_str(), of("milestones").default.as_str()), ("[0.9, 0.999]", "[0.6, 0.8]"));
        assert_eq!((of("clip_norm").default.as_str(), of("weight_decay").default.as_str()), ("not set", "0.0005"));
        assert!(rows.iter().all(|row| row.meaning.len() > 5 && !row.allowed.is_empty()), "{rows:?}");
        // What is shown is what a file may say.
        let text: String = rows
            .iter()
            .filter(|row| row.default != "not set")
            .map(|row| format!("{} = {}\n", row.key, row.default))
            .collect();
        let config = crate::config::Config::parse(&format!("[train]\n{text}"), "run.toml".as_ref(), &[]).unwrap();
        assert_eq!(config.train, TrainConfig::default());
    }
}
