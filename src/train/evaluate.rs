//! A network's metrics over a split, each kind of task by its own.

use std::sync::Arc;

use super::feed::Feed;
use super::labels::Target;
use crate::data::loader::{Batch, Loader};
use crate::data::{Labels, MISSING, Object, Split, TaskKind};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::kernels::{confusion, elementwise};
use crate::metrics::{
    CalibrationTally, Confusion, DetectionTally, MultilabelTally, RegressionTally, TaskResult, Truth,
};
use crate::nn::Frozen;
use crate::nn::boxes::{Keep, detect};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What has been seen of one task.
enum Tally {
    /// Samples, or pixels; of samples also what the head said of each, and the labels.
    Classes(Matrix, Sure),
    Attributes(MultilabelTally),
    Numbers(RegressionTally),
    Boxes(DetectionTally),
}

/// A confusion matrix that is counted on the GPU in 32 bits, and here in 64: the pixels of a large split are more than 2³².
struct Matrix {
    counts: Tensor,
    /// Samples or pixels that `counts` may hold.
    counted: u64,
    total: Vec<u64>,
}

impl Matrix {
    fn new(gpu: &Gpu, classes: usize) -> Result<Self> {
        let counts = Tensor::empty(gpu, &[classes, classes])?;
        // The bits of 0.0 are those of 0.
        elementwise::fill(gpu, &counts, 0.0)?;
        Ok(Matrix { counts, counted: 0, total: vec![0; classes * classes] })
    }

    /// Counts the first `valid` rows of `said`.
    fn add(&mut self, gpu: &Gpu, said: &Tensor, truth: &Tensor, valid: usize) -> Result<()> {
        if self.counted + valid as u64 > u64::from(u32::MAX) {
            self.drain(gpu)?;
        }
        self.counted += valid as u64;
        confusion::confusion(gpu, said, truth, valid, &self.counts)
    }

    fn drain(&mut self, gpu: &Gpu) -> Result<()> {
        let counts = self.counts.to_u32(gpu)?;
        self.total.iter_mut().zip(counts).for_each(|(total, count)| *total += u64::from(count));
        self.counted = 0;
        elementwise::fill(gpu, &self.counts, 0.0)
    }
}

/// How sure a classifier is. Its answers stay on the GPU until there are many, so that no batch waits for them.
struct Sure {
    tally: CalibrationTally,
    waiting: Vec<(Tensor, Vec<u32>)>,
}

impl Sure {
    /// Numbers that wait at most: 64 MiB.
    const MOST: usize = 1 << 24;
    /// Bins of the expected calibration error (Guo et al. 2017).
    const BINS: usize = 15;

    fn new() -> Self {
        Sure { tally: CalibrationTally::new(Self::BINS), waiting: Vec::new() }
    }

    /// Takes the logits `[n, classes]` of as many samples as there are labels, or more.
    fn add(&mut self, gpu: &Gpu, said: &Tensor, labels: &[u32]) -> Result<()> {
        self.waiting.push((said.clone(), labels.to_vec()));
        let waiting: usize = self.waiting.iter().map(|(said, _)| said.len()).sum();
        if waiting > Self::MOST { self.count(gpu) } else { Ok(()) }
    }

    fn count(&mut self, gpu: &Gpu) -> Result<()> {
        for (said, labels) in self.waiting.drain(..) {
            let classes = said.len() / said.rows().max(1);
            for (z, label) in said.to_f32(gpu)?.chunks(classes.max(1)).zip(labels) {
                if label != MISSING {
                    self.tally.add(&softmax(z), label as usize)?;
                }
            }
        }
        Ok(())
    }
}

fn softmax(z: &[f32]) -> Vec<f32> {
    let most = z.iter().copied().fold(f32::MIN, f32::max);
    let parts: Vec<f64> = z.iter().map(|z| f64::from(z - most).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|p| (p / sum) as f32).collect()
}

impl Tally {
    fn new(gpu: &Gpu, target: &Target) -> Result<Self> {
        let classes = target.task.classes.len();
        Ok(match target.task.kind {
            TaskKind::Class | TaskKind::Mask => Tally::Classes(Matrix::new(gpu, classes)?, Sure::new()),
            TaskKind::Attributes => Tally::Attributes(MultilabelTally::new(classes)),
            TaskKind::Number | TaskKind::Depth => Tally::Numbers(RegressionTally::default()),
            TaskKind::Boxes => Tally::Boxes(DetectionTally::new(classes)),
        })
    }

    /// Adds the first rows of a batch, as many as count; `said` is the head's output.
    fn add(
        &mut self,
        gpu: &Gpu,
        target: &Target,
        batch: &Batch,
        labels: &Labels,
        said: &Tensor,
        (size, levels): ([usize; 2], &[Level]),
    ) -> Result<()> {
        let (rows, valid) = (batch.indices.len(), batch.valid);
        match (self, labels) {
            (Tally::Classes(matrix, sure), _) => {
                if let Labels::Class(labels) = labels {
                    sure.add(gpu, said, &labels[..valid])?;
                }
                let uploaded = target.upload(gpu, labels, rows, size)?;
                let truth = target.moved(gpu, &uploaded, [rows, size[0], size[1]], None)?;
                matrix.add(gpu, said, &truth, valid * (said.rows() / rows.max(1)))
            }
            (Tally::Attributes(tally), Labels::Attributes { count, answers }) => {
                let said = said.to_f32(gpu)?;
                for (z, answers) in said.chunks(*count).zip(answers.chunks(*count)).take(valid) {
                    let scores: Vec<f32> = z.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
                    let answers: Vec<Option<bool>> = answers.iter().map(|a| (*a >= 0.0).then_some(*a > 0.5)).collect();
                    tally.add(&scores, &answers)?;
                }
                Ok(())
            }
            (Tally::Numbers(tally), Labels::Number(truth) | Labels::Depth(truth)) => {
                let (mean, std) = target.moments;
                let each = truth.len() / rows.max(1);
                for (z, y) in said.to_f32(gpu)?.iter().zip(truth).take(valid * each).filter(|(_, y)| !y.is_nan()) {
                    tally.add(f64::from(z * std + mean), f64::from(*y))?;
                }
                Ok(())
            }
            (Tally::Boxes(tally), Labels::Boxes(truth)) => {
                let images = detect(gpu, said, levels, size, &Keep::default())?;
                for (found, truth) in images.into_iter().zip(truth).take(valid) {
                    // Where nobody has looked, nothing can be held against it.
                    if let Some(objects) = truth {
                        tally.add(objects.iter().map(truth_of).collect(), found)?;
                    }
                }
                Ok(())
            }
            (_, labels) => {
                let (task, kind) = (&target.task.name, labels.kind().name());
                Err(Error::Invalid(format!("task {task:?} has labels of kind {kind}")))
            }
        }
    }

    fn result(self, gpu: &Gpu, target: &Target) -> Result<TaskResult> {
        let names = &target.task.classes;
        Ok(match self {
            Tally::Classes(mut matrix, mut sure) => {
                sure.count(gpu)?;
                matrix.drain(gpu)?;
                let confusion = Confusion::from_counts(matrix.total, names.len())?;
                match target.task.kind {
                    TaskKind::Mask => TaskResult::of_pixels(confusion, names),
                    _ => TaskResult::of_probabilities(confusion, &sure.tally, names),
                }
            }
            Tally::Attributes(tally) => TaskResult::of_attributes(&tally, names),
            Tally::Numbers(tally) => TaskResult::of_numbers(tally.metrics()),
            Tally::Boxes(tally) => TaskResult::of_boxes(&tally, names),
        })
    }
}

fn truth_of(object: &Object) -> Truth {
    Truth { rect: object.rect, class: object.class as usize, area: object.area.into(), ignored: object.ignored }
}

impl Feed {
    /// What `network` achieves over `split` at each of `tasks` (indices into the data's tasks; the network has one head for each,
    /// in that order).
    pub(super) fn evaluate(
        &self,
        gpu: &Gpu,
        network: &Frozen,
        split: &Arc<Split>,
        tasks: &[usize],
        batch: usize,
    ) -> Result<Vec<TaskResult>> {
        let targets: Vec<&Target> = tasks.iter().map(|t| &self.targets[*t]).collect();
        let mut tallies = targets.iter().map(|t| Tally::new(gpu, t)).collect::<Result<Vec<_>>>()?;
        let [h, w, _] = self.image();
        let levels = network.detector_levels([h, w]);
        for batch in Loader::eval(split.clone(), batch) {
            let outputs = network.infer(gpu, &self.plain_input(gpu, &batch)?)?;
            let heads = tasks.iter().zip(&targets).zip(&outputs.logits).zip(&mut tallies);
            for (((task, target), said), tally) in heads {
                tally.add(gpu, target, &batch, &batch.labels[*task], said, ([h, w], &levels))?;
            }
            gpu.flush()?;
        }
        tallies.into_iter().zip(targets).map(|(tally, target)| tally.result(gpu, target)).collect()
    }
}
