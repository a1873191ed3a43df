//! What has been seen of one task over a split, each kind of task by its own measures.

use crate::data::letterbox::Letterbox;
use crate::data::loader::Batch;
use crate::data::{IGNORED, Labels, MISSING, MaskRuns, Object, OriginalLabels, Originals, TaskKind};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::kernels::{confusion, elementwise};
use crate::metrics::{
    CalibrationTally, Confusion, DetectionTally, MultilabelTally, RegressionTally, TaskResult, Truth,
};
use crate::nn::boxes::{NmsConfig, detect};
use crate::tensor::Tensor;
use crate::train::labels::TaskTarget;
use crate::{Error, Result};

/// A batch of a split under evaluation, as one task sees it.
pub(crate) struct Seen<'a> {
    pub target: &'a TaskTarget,
    pub batch: &'a Batch,
    pub labels: &'a Labels,
    /// The labels as losses take them.
    pub uploaded: &'a Tensor,
    /// What the head says.
    pub said: &'a Tensor,
    /// Height and width of the canvas.
    pub size: [usize; 2],
    /// Of the network's detectors.
    pub levels: &'a [Level],
    /// Where the images lie on the canvas, and the labels of their own pixels, if these are what counts.
    pub originals: Option<(&'a Originals, Option<&'a OriginalLabels>)>,
}

impl Seen<'_> {
    /// Of each sample that counts: where its image lies, and its number in the split.
    fn places(&self) -> impl Iterator<Item = (Option<&Letterbox>, usize)> {
        let places = self.originals.map(|(originals, _)| &originals.places);
        let samples = self.batch.indices.iter().take(self.batch.valid).map(|i| *i as usize);
        samples.map(move |i| (places.map(|places| &places[i]), i))
    }
}

/// What has been seen of one task.
pub(crate) enum Tally {
    /// Samples, or pixels; of samples also what the head said of each, and the labels.
    Classes(Matrix, Sure),
    Attributes(MultilabelTally),
    Numbers(RegressionTally),
    Boxes(DetectionTally),
}

/// A confusion matrix that is counted on the GPU in 32 bits, and here in 64: the pixels of a large split are more than 2³².
pub(crate) struct Matrix {
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

    /// Counts an image's pixels, of which `said` are the classes.
    fn count(&mut self, said: &[u32], truth: &MaskRuns) {
        let classes = self.total.len().isqrt();
        let mut left = said;
        for (class, length) in truth.iter() {
            let (run, rest) = left.split_at(length.min(left.len()));
            left = rest;
            if class != IGNORED {
                run.iter().for_each(|c| self.total[usize::from(class) * classes + *c as usize] += 1);
            }
        }
    }

    fn drain(&mut self, gpu: &Gpu) -> Result<()> {
        let counts = self.counts.to_u32(gpu)?;
        self.total.iter_mut().zip(counts).for_each(|(total, count)| *total += u64::from(count));
        self.counted = 0;
        elementwise::fill(gpu, &self.counts, 0.0)
    }
}

/// How sure a classifier is. Its answers stay on the GPU until there are many, so that no batch waits for them.
pub(crate) struct Sure {
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
    pub(crate) fn new(gpu: &Gpu, target: &TaskTarget) -> Result<Self> {
        let classes = target.task.classes.len();
        Ok(match target.task.kind {
            TaskKind::Class | TaskKind::Mask => Tally::Classes(Matrix::new(gpu, classes)?, Sure::new()),
            TaskKind::Attributes => Tally::Attributes(MultilabelTally::new(classes)),
            TaskKind::Number | TaskKind::Depth => Tally::Numbers(RegressionTally::default()),
            TaskKind::Boxes => Tally::Boxes(DetectionTally::new(classes)),
        })
    }

    /// Adds the first rows of a batch, as many as count.
    pub(crate) fn add(&mut self, gpu: &Gpu, seen: &Seen) -> Result<()> {
        let Seen { target, batch, labels, said, size, levels, .. } = *seen;
        let (rows, valid) = (batch.indices.len(), batch.valid);
        match (self, labels) {
            (Tally::Classes(matrix, sure), Labels::Class(labels)) => {
                sure.add(gpu, said, &labels[..valid])?;
                matrix.add(gpu, said, seen.uploaded, valid)
            }
            (Tally::Classes(matrix, _), Labels::Mask(_)) => match seen.originals {
                Some((_, Some(OriginalLabels::Mask(truth)))) => {
                    let classes = confusion::argmax(gpu, said)?.to_u32(gpu)?;
                    for ((place, sample), canvas) in seen.places().zip(classes.chunks_exact(size[0] * size[1])) {
                        if let (Some(place), Some(truth)) = (place, &truth[sample]) {
                            matrix.count(&place.mask_back(canvas), truth);
                        }
                    }
                    Ok(())
                }
                _ => matrix.add(gpu, said, seen.uploaded, valid * (said.rows() / rows.max(1))),
            },
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
                let images = detect(gpu, said, levels, size, &NmsConfig::default())?;
                for (((place, sample), found), on_canvas) in seen.places().zip(images).zip(truth) {
                    let (truth, found) = match (seen.originals, place) {
                        (Some((_, Some(OriginalLabels::Boxes(own)))), Some(place)) => {
                            (&own[sample], place.boxes_back(found))
                        }
                        _ => (on_canvas, found),
                    };
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

    pub(crate) fn result(self, gpu: &Gpu, target: &TaskTarget) -> Result<TaskResult> {
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
