//! Contrastive representation distillation.

use std::cell::RefCell;

use super::method::{DistillInput, DistillLoss, Domain, FeatureKind, Key, Layers, Method, Setup};
use super::site::FeatureSite;
use super::spatial::pooled;
use crate::Result;
use crate::data::TaskKind;
use crate::gpu::Gpu;
use crate::kernels::bank::{self, Ring};
use crate::kernels::contrast::{Contrast, contrast};
use crate::kernels::{linear, normalize};
use crate::loss::{LossOut, LossRecorder};
use crate::nn::{Context, Init, Initializer, Linear, Mode};
use crate::params::{BufferId, Builder, Params};
use crate::tape::Var;
use crate::tensor::{GradTarget, Tensor};

/// CRD (Tian et al. 2020, arXiv 1910.10699): student and teacher are each embedded by a linear layer, at length 1; an embedding must
/// tell that of the same sample on the other side from those of samples of other classes. Student and teacher are judged in turn,
/// each against what the other side is; the loss is their sum.
///
/// The negatives are the embeddings of the last samples seen, in a bank of a fixed number of entries, random at first. The authors'
/// program keeps one entry for each sample of the training set, from which it draws; ours does not grow with the data. There the
/// positive is an entry of the bank too, as old as the negatives; here it is the batch's own. So the bank must not be many batches
/// long: where embeddings still move fast, their age alone would tell positives from negatives. The authors' normaliser, a mean over
/// the first batch, is replaced by what it is an estimate of, the mean over random embeddings.
pub struct Crd {
    params: Params,
    embed: [Linear; 2],
    banks: [BufferId; 2],
    classes: BufferId,
    cursor: BufferId,
    tau: f32,
    /// The step's embeddings and labels, until they are put into the bank.
    seen: RefCell<Option<([Tensor; 2], Tensor)>>,
}

/// PyTorch's `normalize`.
const EPS: f32 = 1e-12;

impl Crd {
    /// From `student` and `teacher` channels to `depth` dimensions, with a bank of `entries`.
    pub fn new(
        gpu: &Gpu,
        name: &str,
        (student, teacher): (usize, usize),
        (depth, entries, tau): (usize, usize, f32),
        seed: u64,
    ) -> Result<Self> {
        let (mut b, mut init) = (Builder::default(), Initializer::new(seed, Init::XavierNormal));
        let mut side = |b: &mut Builder, who: &str, channels| {
            let embed = Linear::new(b, &mut init, &format!("{name}.{who}"), channels, depth, false);
            // A variance of 1/depth: of length 1 in the mean.
            let random = init.weights(entries * depth, depth, depth, false);
            (embed, b.buffer(format!("{name}.{who}.bank"), &[entries, depth], &random))
        };
        let (student, teacher) = (side(&mut b, "student", student), side(&mut b, "teacher", teacher));
        let classes = b.buffer(format!("{name}.classes"), &[entries], &vec![-1.0; entries]);
        let cursor = b.buffer(format!("{name}.cursor"), &[1], &[0.0]);
        Ok(Crd {
            params: b.build(gpu)?,
            embed: [student.0, teacher.0],
            banks: [student.1, teacher.1],
            classes,
            cursor,
            tau,
            seen: RefCell::new(None),
        })
    }

    /// The embeddings' parameters and the bank.
    pub fn params(&self) -> &Params {
        &self.params
    }

    fn embed(&self, losses: &mut LossRecorder, side: usize, x: &Var) -> Result<Var> {
        let mut ctx = Context { gpu: losses.gpu, tape: losses.tape, params: &self.params, mode: Mode::Train };
        let z = self.embed[side].forward(&mut ctx, x)?;
        let y = normalize::normalize(losses.gpu, z.value(), EPS)?;
        let (slot, z) = (z.slot(), z.value().clone());
        Ok(losses.tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
            Some(dz) => normalize::normalize_grad(gpu, &z, dy, EPS, &dz),
            None => Ok(()),
        }))
    }

    /// Adds `weight` times the loss of `student` `[n, ..]` against `teacher` `[n, ..]` as term `term`; maps are averaged over their
    /// pixels. `labels` `[n]`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        (teacher, labels): (&Tensor, &Tensor),
    ) -> Result<()> {
        let (s, t) = pooled(losses, student, teacher)?;
        let both = [self.embed(losses, 0, &s)?, self.embed(losses, 1, &Var::constant(t))?];
        let classes = self.params.buffer(self.classes);
        for (own, other) in [(0, 1), (1, 0)] {
            let (anchors, positives) = (both[own].value(), both[other].value());
            let bank = self.params.buffer(self.banks[other]);
            let scores = linear::forward(losses.gpu, anchors, bank, None, false)?;
            let what = Contrast { anchors, positives, scores: &scores, labels, classes, tau: self.tau };
            let fused = |gpu: &Gpu, out: LossOut| {
                let Some(target) = out.grad else { return contrast(gpu, what, out, None) };
                let dscores = Tensor::empty(gpu, scores.shape())?;
                contrast(gpu, what, out, Some(&dscores))?;
                let rest = GradTarget { tensor: target.tensor.clone(), accumulate: true };
                // As a layer whose weight is the bank: dx = dy W.
                linear::input_grad(gpu, anchors, &dscores, bank, &rest)
            };
            let n = anchors.rows();
            match own {
                0 => losses.add(term, weight, &both[own], n, fused)?,
                _ => losses.add_part(term, weight, &both[own], n, fused)?,
            }
        }
        let embeddings = both.map(|side| side.value().clone());
        *self.seen.borrow_mut() = Some((embeddings, labels.clone()));
        Ok(())
    }

    /// Puts the embeddings of the last [`Crd::apply`] into the bank.
    pub fn update_memory(&self, gpu: &Gpu) -> Result<()> {
        let Some((embeddings, labels)) = self.seen.borrow_mut().take() else { return Ok(()) };
        let ring = Ring { classes: self.params.buffer(self.classes), cursor: self.params.buffer(self.cursor) };
        for (x, bank) in embeddings.iter().zip(self.banks) {
            bank::put(gpu, x, self.params.buffer(bank), ring)?;
        }
        bank::close(gpu, &labels, ring)
    }
}

struct Tapped(Crd, FeatureSite, FeatureSite);

impl DistillLoss for Tapped {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        let teacher = (given.taught(self.2)?, given.labels);
        self.0.apply(losses, term, weight, given.student(self.1)?, teacher)
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.0.params()]
    }

    fn update_memory(&self, gpu: &Gpu) -> Result<()> {
        self.0.update_memory(gpu)
    }
}

fn make(setup: &Setup) -> Result<Box<dyn DistillLoss>> {
    let ((student, from), (teacher, to)) = setup.layer()?;
    let sizes = (setup.number("dimension")? as usize, setup.number("bank")? as usize, setup.number("tau")?);
    Ok(Box::new(Tapped(Crd::new(setup.gpu, setup.name, (from, to), sizes, setup.seed)?, student, teacher)))
}

/// Weight 0.8 on the pooled features, 128 dimensions, temperature 0.07 (RepDistiller, which draws 16384 negatives of 50000).
pub(super) const CRD: Method = Method {
    name: "crd",
    weight: 0.8,
    look: FeatureKind::Layer(Layers::Pooled),
    tasks: &[TaskKind::Class],
    keys: &[
        Key { name: "tau", default: 0.07, domain: Domain::Moderate },
        Key { name: "bank", default: 256.0, domain: Domain::Count },
        Key { name: "dimension", default: 128.0, domain: Domain::Count },
    ],
    make,
};
