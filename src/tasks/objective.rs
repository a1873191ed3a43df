//! A task of a stage, and how its labels are learnt.

use crate::data::Task;
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::loss::{self, LossSetup};
use crate::tasks::{ClassWeights, NamedLosses, TaskConfig, rules};
use crate::{Error, Result};

/// A task of a stage, and how its labels are learnt.
#[derive(Debug, Clone)]
pub(crate) struct TaskObjective<'a> {
    pub task: &'a Task,
    /// Its weight among the tasks.
    pub weight: f32,
    /// Its settings.
    pub config: TaskConfig,
    /// How often each class is a training label.
    pub frequencies: &'a [u64],
    pub label_smoothing: f32,
}

impl TaskObjective<'_> {
    /// The losses on its labels, by the names of their terms.
    pub(crate) fn losses(&self, gpu: &Gpu, levels: &[Level]) -> Result<NamedLosses> {
        rules(self.task.kind).losses(gpu, self, levels)
    }

    /// The losses that its settings name, or the usual one of its kind.
    pub(super) fn chosen(&self, gpu: &Gpu, usual: &'static str) -> Result<NamedLosses> {
        let (name, kind) = (&self.task.name, self.task.kind);
        let text = self.config.loss.as_deref().unwrap_or(usual);
        let wrong = || Error::Invalid(format!("task {name:?} of kind {} has no loss {text:?}", kind.name()));
        let methods = loss::methods(text).filter(|all| all.iter().all(|m| m.kinds.contains(&kind)));
        let methods = methods.ok_or_else(wrong)?;
        let class_weights = self.class_weights()?;
        let all = methods.into_iter().map(|method| {
            let mut settings = self.config.settings.clone();
            for key in method.keys {
                settings.entry(key.name.to_string()).or_insert(key.default);
            }
            let setup = LossSetup {
                gpu,
                settings: &settings,
                class_weights: class_weights.as_deref(),
                classes: self.task.classes.len(),
                label_smoothing: self.label_smoothing,
            };
            Ok((method.term, (method.make)(&setup)?))
        });
        all.collect()
    }

    /// How much each class counts.
    fn class_weights(&self) -> Result<Option<Vec<f32>>> {
        let classes = self.task.classes.len();
        Ok(match &self.config.class_weights {
            None => None,
            Some(ClassWeights::List(list)) => Some(self.listed(list)?),
            Some(ClassWeights::Rule(_)) => {
                let all: u64 = self.frequencies.iter().sum();
                // A class that never occurs is in no label, so its weight does not matter.
                let one = |count: &u64| if *count == 0 { 0.0 } else { all as f32 / (classes as f32 * *count as f32) };
                Some(self.frequencies.iter().map(one).collect())
            }
        })
    }

    /// How much the positive answers count, of each attribute.
    pub(super) fn pos_weight(&self) -> Result<Option<Vec<f32>>> {
        Ok(match &self.config.pos_weight {
            None => None,
            Some(ClassWeights::List(list)) => Some(self.listed(list)?),
            Some(ClassWeights::Rule(_)) => {
                let (yes, no) = self.frequencies.split_at(self.task.classes.len());
                // One that never holds, or always does, has nothing to be balanced.
                let one = |(yes, no): (&u64, &u64)| if *yes == 0 || *no == 0 { 1.0 } else { *no as f32 / *yes as f32 };
                Some(yes.iter().zip(no).map(one).collect())
            }
        })
    }

    /// The weights of a list that has one for each name of the task.
    fn listed(&self, list: &[f64]) -> Result<Vec<f32>> {
        self.config.check(self.task)?;
        Ok(list.iter().map(|w| *w as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TaskKind;
    use crate::loss::{LossLog, LossRecorder};
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    /// The value of every loss that `text` names, and the gradient of their sum by `z`.
    fn apply(gpu: &Gpu, task: &Task, text: &str, z: &[f32], shape: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let config = TaskConfig { loss: Some(text.into()), ..TaskConfig::default() };
        let objective = TaskObjective { task, weight: 1.0, config, frequencies: &[], label_smoothing: 0.0 };
        let losses = objective.losses(gpu, &[]).unwrap();
        let log = LossLog::new(gpu, losses.iter().map(|(name, _)| name.to_string()).collect(), 1).unwrap();
        let rows = z.len() / shape[shape.len() - 1];
        let labels = match task.kind.is_numeric() {
            // The last one is not known.
            true => {
                let mut targets: Vec<f32> = (0..rows).map(|i| 0.3 * i as f32 - 1.0).collect();
                targets[rows - 1] = crate::kernels::regression::MISSING;
                Tensor::from_f32(gpu, &targets, shape).unwrap()
            }
            false => {
                let mut classes: Vec<u32> = (0..rows as u32).map(|i| i % 3).collect();
                classes[rows - 1] = u32::MAX;
                Tensor::from_u32(gpu, &classes, &shape[..shape.len() - 1]).unwrap()
            }
        };
        let mut tape = Tape::new();
        let (z, grad) = (Tensor::from_f32(gpu, z, shape).unwrap(), Tensor::empty(gpu, shape).unwrap());
        let var = tape.leaf_at(z, &grad).unwrap();
        let mut recorder = LossRecorder { gpu, tape: &mut tape, log: &log };
        for (term, (_, loss)) in losses.iter().enumerate() {
            loss.apply(&mut recorder, term, 1.0, &var, &labels, &mut None).unwrap();
        }
        tape.backward(gpu).unwrap();
        (log.peek(gpu).unwrap(), grad.to_f32(gpu).unwrap())
    }

    /// Every row of the table, for each kind of task it is for: finite, above 0, and the gradient is the slope of the value.
    #[test]
    fn every_loss_of_the_table_has_the_slope_of_its_value() {
        let gpu = Gpu::open().unwrap();
        for method in loss::METHODS {
            for kind in method.kinds {
                let classes = if kind.is_numeric() { Vec::new() } else { vec!["a", "b", "c"] };
                let task = Task::new("t", *kind, &classes);
                let columns = classes.len().max(1);
                let shape = match kind {
                    TaskKind::Mask | TaskKind::Depth => vec![2, 3, 2, columns],
                    _ => vec![12, columns],
                };
                // Off the corners of |e| and of Huber's function.
                let z: Vec<f32> =
                    (0..12 * columns).map(|i| ((i * 37 % 23) as f32 / 11.5 - 1.0) * 0.9 + 0.013).collect();
                let along: Vec<f32> = (0..z.len()).map(|i| ((i * 13 % 7) as f32 - 3.0) / 3.0).collect();
                let at = |h: f32| -> Vec<f32> { z.iter().zip(&along).map(|(z, d)| z + h * d).collect() };
                let value = |h: f32| f64::from(apply(&gpu, &task, method.name, &at(h), &shape).0.iter().sum::<f32>());
                let (values, grad) = apply(&gpu, &task, method.name, &z, &shape);
                let what = format!("{} of {}", method.name, kind.name());
                assert!(values.len() == 1 && values[0].is_finite() && values[0] > 0.0, "{what}: {values:?}");
                let slope: f64 = grad.iter().zip(&along).map(|(g, d)| f64::from(g * d)).sum();
                let seen = (value(4e-3) - value(-4e-3)) / 8e-3;
                assert!(
                    slope.abs() > 1e-3 && (slope - seen).abs() < 0.02 * slope.abs().max(0.05),
                    "{what}: {slope} {seen}"
                );
                assert!(grad[z.len() - columns..].iter().all(|g| *g == 0.0), "{what}: a gradient without a label");
            }
        }
    }
}
