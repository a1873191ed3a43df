//! Distillation of feature maps channel by channel.

use super::feature::Adaptor;
use super::method::{DistillInput, DistillLoss, Domain, EVERY, FeatureKind, Key, Layers, Method, Setup};
use super::site::FeatureSite;
use super::spatial::{map, match_spatial_size};
use crate::gpu::Gpu;
use crate::kernels::correlation::{Of, correlation};
use crate::kernels::{distill_kl, transpose};
use crate::loss::{LossOut, LossRecorder};
use crate::params::Params;
use crate::tape::Var;
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result};

/// What is compared of each channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ChannelLoss {
    /// CWD (Shu et al. 2021, arXiv 2011.13256): where in the image it is active. `T²/(n c)` times the sum over samples and channels of
    /// `KL( softmax(f_t / T) ‖ softmax(f_s / T) )`, the softmax over the pixels. Of features, or of the score maps of a mask, which
    /// have a channel for each class ([`FeatureSite::Logits`]).
    Wise {
        /// T.
        temperature: f32,
    },
    /// PKD (Cao et al. 2022, arXiv 2207.02039): its pattern over pixels and samples, at mean 0 and (unbiased) standard deviation 1;
    /// half the mean squared difference. That is `(m − 1)/m · (1 − correlation)` of the `m` values, mean over the channels, and so
    /// it is computed; the authors' ε of 1e-6 in the standard deviation is left out.
    Pearson,
}

impl ChannelLoss {
    /// Adds `weight` times the loss of the student's `map` against the teacher's, of as many channels, as term `term`. Of maps of
    /// different size the larger one is average-pooled.
    ///
    /// # Errors
    /// [`Error::Shape`] where the channels differ, or the sizes cannot be brought together.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        student: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let (s, t) = match_spatial_size(losses, student, teacher)?;
        let [n, h, w, c] = map(s.value().shape())?;
        if t.shape() != s.value().shape() {
            let (s, t) = (s.value().shape(), t.shape());
            return Err(Error::Shape(format!("features {s:?} and {t:?} cannot be compared channel by channel")));
        }
        let f = s.value().clone();
        match *self {
            ChannelLoss::Wise { temperature } => {
                let gpu = losses.gpu;
                let by_channel = |x: &Tensor| {
                    let y = Tensor::empty(gpu, &[n * c, h * w])?;
                    transpose::transpose(gpu, x, [h * w, c], &GradTarget::fresh(y.clone()))?;
                    Ok::<_, Error>(y)
                };
                let (z, taught) = (by_channel(&f)?, by_channel(&t)?);
                losses.add(term, weight, &s, n * c, |gpu, out| {
                    let kl = |out: LossOut| distill_kl::distill_kl(gpu, (&z, &taught), temperature, None, out);
                    out.through(gpu, z.shape(), kl, |dz, df| transpose::transpose(gpu, dz, [c, h * w], df))
                })
            }
            ChannelLoss::Pearson => {
                let m = (n * h * w) as f32;
                losses.add(term, weight, &s, c, |gpu, out| {
                    let mean = weight * (m - 1.0) / (m * c as f32);
                    correlation(gpu, (&f, &t), Of::Columns, 0, out.with_weight(mean))
                })
            }
        }
    }
}

/// A [`ChannelLoss`] between two layers, behind an adaptor where their channels differ.
struct Tapped {
    loss: ChannelLoss,
    adaptor: Option<Adaptor>,
    student: FeatureSite,
    teacher: FeatureSite,
}

impl DistillLoss for Tapped {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        let (student, teacher) = (given.student(self.student)?, given.taught(self.teacher)?);
        let Some(adaptor) = &self.adaptor else { return self.loss.apply(losses, term, weight, student, teacher) };
        let (student, teacher) = match_spatial_size(losses, student, teacher)?;
        let adapted = adaptor.forward(losses, &student)?;
        self.loss.apply(losses, term, weight, &adapted, &teacher)
    }

    fn params(&self) -> Vec<&Params> {
        self.adaptor.iter().map(Adaptor::params).collect()
    }
}

fn make(setup: &Setup, loss: ChannelLoss) -> Result<Box<dyn DistillLoss>> {
    let ((student, from), (teacher, to)) = setup.layer()?;
    let new = |gpu: &Gpu| Adaptor::new(gpu, setup.name, from, to, setup.seed);
    let adaptor = if from == to { None } else { Some(new(setup.gpu)?) };
    Ok(Box::new(Tapped { loss, adaptor, student, teacher }))
}

/// T = 1, weight 5 (mmrazor, which looks at a mask's logits: `layers = ["logits"]`; the last stage unless told otherwise, which every
/// kind of task has).
pub(super) const CWD: Method = Method {
    name: "cwd",
    weight: 5.0,
    look: FeatureKind::Map(Layers::Last),
    tasks: EVERY,
    keys: &[Key { name: "temperature", default: 1.0, domain: Domain::Moderate }],
    make: |s| make(s, ChannelLoss::Wise { temperature: s.number("temperature")? }),
};

/// Weight 6 on every level (mmrazor's detectors).
pub(super) const PKD: Method = Method {
    name: "pkd",
    weight: 6.0,
    look: FeatureKind::Layer(Layers::All),
    tasks: EVERY,
    keys: &[],
    make: |s| make(s, ChannelLoss::Pearson),
};
