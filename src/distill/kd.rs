//! Soft-label distillation.

use super::boxes::BoxKd;
use super::method::{CLASSES, DistillInput, DistillLoss, Domain, EVERY, FeatureKind, Key, Method, Setup};
use super::sigmoid::SigmoidKd;
use crate::Result;
use crate::data::TaskKind;
use crate::kernels::{distill_kl, feature_loss};
use crate::loss::LossRecorder;
use crate::tape::Var;
use crate::tensor::Tensor;

/// `T² · (1/n) Σ KL( softmax(z_t / T) ‖ softmax(z_s / T) )` (Hinton et al. 2015, arXiv 1503.02531). The factor T² keeps the
/// gradient's size when T changes; the mean is over samples, not over classes.
///
/// With `standardise`, each row of both logits first becomes `(z − mean) / (std + 1e-7)` (Sun et al. 2024, arXiv
/// 2403.01427; unbiased standard deviation).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kd {
    /// T.
    pub temperature: f32,
    /// Standardise the logits first.
    pub standardise: bool,
}

/// Added to the standard deviation.
const EPS: f32 = 1e-7;

impl Kd {
    /// Adds `weight` times the loss of `student` `[n, c]` against `teacher` `[n, c]` as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let z = student.value().clone();
        losses.add(term, weight, student, z.rows(), |gpu, out| {
            distill_kl::distill_kl(gpu, (&z, teacher), self.temperature, self.standardise.then_some(EPS), out)
        })
    }
}

/// Soft labels in the form that fits the task.
enum Soft {
    Classes(Kd),
    Attributes(SigmoidKd),
    Boxes(BoxKd),
}

impl Soft {
    fn temperature(&mut self) -> &mut f32 {
        match self {
            Soft::Classes(kd) => &mut kd.temperature,
            Soft::Attributes(kd) => &mut kd.temperature,
            Soft::Boxes(kd) => &mut kd.temperature,
        }
    }
}

/// Soft labels whose temperature goes from `from` to `to` over the training, in a straight line, epoch by epoch (annealed
/// distillation: Jafari et al. 2021, arXiv 2104.07163).
struct Annealed {
    soft: Soft,
    from: f32,
    to: f32,
}

impl DistillLoss for Annealed {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        let (student, teacher) = (given.logits, given.teacher_logits()?);
        match &self.soft {
            Soft::Classes(kd) => kd.apply(losses, term, weight, student, teacher),
            Soft::Attributes(kd) => kd.apply(losses, term, weight, student, teacher),
            Soft::Boxes(kd) => kd.apply(losses, term, weight, student, teacher),
        }
    }

    fn advance(&mut self, progress: f64) -> bool {
        let temperature = self.from + (self.to - self.from) * progress as f32;
        let changed = temperature != *self.soft.temperature();
        *self.soft.temperature() = temperature;
        changed
    }
}

/// What a teacher of numbers says, as a number: the mean squared distance from it, standardised as the labels are (Bucila et al.
/// 2006; Ba and Caruana 2014, arXiv 1312.6184).
struct Numbers;

impl DistillLoss for Numbers {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        let (z, teacher) = (given.logits.value().clone(), given.teacher_logits()?);
        losses.add(term, weight, given.logits, z.rows(), |gpu, out| feature_loss::mse(gpu, &z, teacher, out))
    }
}

/// What soft labels are depends on the task: probabilities of classes (of images or of pixels) or of attributes, numbers, or classes
/// and boxes at the places of a detector.
fn soft(setup: &Setup) -> Result<Box<dyn DistillLoss>> {
    let temperature = setup.number("temperature")?;
    match setup.task {
        TaskKind::Number | TaskKind::Depth => Ok(Box::new(Numbers)),
        TaskKind::Attributes => annealed(setup, Soft::Attributes(SigmoidKd { temperature })),
        TaskKind::Boxes => annealed(setup, Soft::Boxes(BoxKd { temperature, boxes: setup.number("box_weight")? })),
        TaskKind::Class | TaskKind::Mask => annealed(setup, Soft::Classes(Kd { temperature, standardise: false })),
    }
}

fn annealed(setup: &Setup, soft: Soft) -> Result<Box<dyn DistillLoss>> {
    let from = setup.number("temperature")?;
    let to = match setup.number("temperature_end")? {
        0.0 => from,
        to => to,
    };
    Ok(Box::new(Annealed { soft, from, to }))
}

const fn keys(temperature: f64) -> [Key; 2] {
    [
        Key { name: "temperature", default: temperature, domain: Domain::Moderate },
        // 0: the temperature stays.
        Key { name: "temperature_end", default: 0.0, domain: Domain::ModerateOrZero },
    ]
}

/// T = 4, mixed 0.9 to 0.1 with the labels (mdistiller, RepDistiller).
pub(super) const KD: Method = Method {
    name: "kd",
    weight: 0.9,
    look: FeatureKind::Logits,
    tasks: EVERY,
    keys: &[
        keys(4.0)[0],
        keys(4.0)[1],
        // Of tasks that ask for boxes: theirs beside that of the classes.
        Key { name: "box_weight", default: 1.0, domain: Domain::Weight },
    ],
    make: soft,
};

/// T = 2, weight 9 (Sun et al. 2024).
pub(super) const STANDARDISED: Method = Method {
    name: "standardised_kd",
    weight: 9.0,
    look: FeatureKind::Logits,
    tasks: CLASSES,
    keys: &keys(2.0),
    make: |s| annealed(s, Soft::Classes(Kd { temperature: s.number("temperature")?, standardise: true })),
};
