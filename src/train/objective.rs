//! What a stage minimises: labels for every task, and teachers where it distils.

use super::config::{DistillConfig, Feature};
use crate::balance::Fixed;
use crate::distill::{Adaptor, FeatureLoss, Kd};
use crate::gpu::Gpu;
use crate::loss::{CrossEntropy, Losses};
use crate::nn::{Frozen, Network, Outputs, TrunkSpec};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A frozen teacher of one task.
#[derive(Debug, Clone)]
pub(super) struct Teacher {
    pub network: Frozen,
    /// Its trunk's shape.
    pub trunk: TrunkSpec,
    /// Channels of each stage's map.
    pub channels: Vec<usize>,
    /// Hash of everything it computes with, on this adapter: must not change while it teaches.
    pub fingerprint: u64,
    /// Hash of its file: must be the same when a distillation is resumed, on whatever adapter.
    pub file_hash: u64,
}

/// The terms of a stage's loss.
pub(super) struct Objective<'a> {
    cross_entropy: CrossEntropy,
    weights: Vec<f32>,
    distill: Option<Distill<'a>>,
    names: Vec<String>,
    factors: Vec<f32>,
}

struct Distill<'a> {
    teachers: Vec<&'a Teacher>,
    kd: Kd,
    feature: Option<(FeatureLoss, usize)>,
    adaptors: Vec<Adaptor>,
    task_weight: f32,
    kd_weight: f32,
    feature_weight: f32,
}

impl<'a> Objective<'a> {
    /// Labels alone.
    pub(super) fn labels(tasks: &[&str], balance: &Fixed, label_smoothing: f64) -> Self {
        Objective {
            cross_entropy: CrossEntropy { label_smoothing: label_smoothing as f32 },
            weights: balance.weights().to_vec(),
            distill: None,
            names: tasks.iter().map(|t| format!("{t}/ce")).collect(),
            factors: balance.weights().to_vec(),
        }
    }

    /// Labels and one teacher per task. The adaptors a feature loss needs are drawn from `seed`.
    pub(super) fn distilled(
        gpu: &Gpu,
        tasks: &[&str],
        balance: &Fixed,
        label_smoothing: f64,
        config: &DistillConfig,
        teachers: Vec<&'a Teacher>,
        student: &Network,
        seed: u64,
    ) -> Result<Self> {
        if teachers.len() != tasks.len() {
            return Err(Error::Invalid(format!("{} teachers for {} tasks", teachers.len(), tasks.len())));
        }
        let feature = match config.feature {
            Feature::None => None,
            // The hint layer of Romero et al. is in the middle; KD4MTL takes the end of the shared trunk.
            Feature::FitNet => Some((FeatureLoss::FitNet, "fitnet", 1)),
            Feature::Normalised => Some((FeatureLoss::Normalised, "normalised", student.stage_channels().len() - 1)),
        };
        let mut adaptors = Vec::new();
        for (i, (task, teacher)) in tasks.iter().zip(&teachers).enumerate() {
            if let Some((_, _, tap)) = feature {
                // Both trunks have as many stages: the run has checked it.
                let no_map = || Error::Shape(format!("the teacher of {task} has no stage {}", tap + 1));
                let (from, to) = (student.stage_channels()[tap], *teacher.channels.get(tap).ok_or_else(no_map)?);
                let seed = crate::data::seed::derive_n(seed, i as u64);
                adaptors.push(Adaptor::new(gpu, &format!("adaptors.{task}"), from, to, seed)?);
            }
        }
        let (task_weight, kd_weight) = (config.task_weight as f32, config.kd_weight as f32);
        let feature_weight = config.effective_feature_weight() as f32;
        let (mut names, mut factors) = (Vec::new(), Vec::new());
        for (task, weight) in tasks.iter().zip(balance.weights()) {
            let terms = [("ce", task_weight), ("kd", kd_weight)];
            let terms = terms.into_iter().chain(feature.map(|(_, name, _)| (name, feature_weight)));
            for (term, factor) in terms {
                names.push(format!("{task}/{term}"));
                factors.push(weight * factor);
            }
        }
        Ok(Objective {
            cross_entropy: CrossEntropy { label_smoothing: label_smoothing as f32 },
            weights: balance.weights().to_vec(),
            names,
            factors,
            distill: Some(Distill {
                teachers,
                kd: Kd { temperature: config.temperature as f32, standardise: config.logit_standardisation },
                feature: feature.map(|(loss, _, tap)| (loss, tap)),
                adaptors,
                task_weight,
                kd_weight,
                feature_weight,
            }),
        })
    }

    /// The terms' names: `task/ce`, `task/kd`, ….
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Each term's weight in the total.
    pub(super) fn factors(&self) -> &[f32] {
        &self.factors
    }

    /// What is trained beside the network.
    pub(super) fn adaptors(&self) -> &[Adaptor] {
        self.distill.as_ref().map_or(&[], |d| &d.adaptors)
    }

    /// The hashes of the teachers' files.
    pub(super) fn fingerprints(&self) -> Vec<String> {
        let teachers = self.distill.iter().flat_map(|d| &d.teachers);
        teachers.map(|t| format!("{:016x}", t.file_hash)).collect()
    }

    /// Adds every term of a batch: `outputs` of the student for `x`, `labels[head]`. The teachers see the same `x`.
    pub(super) fn apply(
        &self,
        losses: &mut Losses,
        x: &Tensor,
        outputs: &Outputs<Var>,
        labels: &[Tensor],
    ) -> Result<()> {
        let mut term = 0;
        for (head, (logits, weight)) in outputs.logits.iter().zip(&self.weights).enumerate() {
            let Some(distill) = &self.distill else {
                self.cross_entropy.apply(losses, term, *weight, logits, &labels[head])?;
                term += 1;
                continue;
            };
            self.cross_entropy.apply(losses, term, weight * distill.task_weight, logits, &labels[head])?;
            let taught = distill.teachers[head].network.infer(losses.gpu, x)?;
            distill.kd.apply(losses, term + 1, weight * distill.kd_weight, logits, &taught.logits[0])?;
            term += 2;
            if let Some((loss, tap)) = distill.feature {
                let map = (&outputs.features.maps[tap], &distill.adaptors[head]);
                loss.apply(losses, term, weight * distill.feature_weight, map, &taught.features.maps[tap])?;
                term += 1;
            }
        }
        Ok(())
    }
}
