//! Distillation of feature maps through a 1x1 adaptor.

use super::method::{DistillInput, DistillLoss, EVERY, FeatureKind, Layers, Method, Setup};
use super::site::FeatureSite;
use super::spatial::match_spatial_size;
use crate::gpu::Gpu;
use crate::kernels::feature_loss;
use crate::loss::LossRecorder;
use crate::nn::{Context, Init, Initializer, Mode};
use crate::params::{Builder, ParamId, Params};
use crate::shape::Conv2d;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What is compared after the adaptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureLoss {
    /// FitNet (Romero et al. 2015, arXiv 1412.6550): mean squared difference.
    FitNet,
    /// KD4MTL (Li & Bilen 2020, arXiv 2007.06889): mean over positions of `‖n(A f_s) − n(f_t)‖²`, `n` the L2 norm over
    /// channels.
    Normalised,
}

/// Keeps the norm of an all-zero vector away from zero.
const EPS: f32 = 1e-6;

/// A 1x1 convolution from the student's channels to a teacher's. It has parameters of its own, which are trained with the
/// student and never exported with it.
#[derive(Debug)]
pub struct Adaptor {
    params: Params,
    weight: ParamId,
    student: usize,
    teacher: usize,
}

impl Adaptor {
    /// A new adaptor, Xavier-normal as in KD4MTL.
    pub fn new(gpu: &Gpu, name: &str, student: usize, teacher: usize, seed: u64) -> Result<Self> {
        let mut builder = Builder::default();
        let values = Initializer::new(seed, Init::XavierNormal).weights(student * teacher, student, teacher, false);
        let weight = builder.param(format!("{name}.weight"), &[teacher, 1, 1, student], &values);
        Ok(Adaptor { params: builder.build(gpu)?, weight, student, teacher })
    }

    /// Its parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    pub(super) fn forward(&self, losses: &mut LossRecorder, map: &Var) -> Result<Var> {
        let &[n, h, w, c] = map.value().shape() else {
            return Err(Error::Shape(format!("an adaptor takes a feature map, not {:?}", map.value().shape())));
        };
        if c != self.student {
            return Err(Error::Shape(format!("an adaptor of {} channels applied to {c}", self.student)));
        }
        let shape = Conv2d::square(n, h, w, c, self.teacher, 1, 1, 0);
        let mut ctx = Context { gpu: losses.gpu, tape: losses.tape, params: &self.params, mode: Mode::Train };
        ctx.conv2d(shape, map, self.params.get(self.weight))
    }
}

impl FeatureLoss {
    /// Adds `weight` times the loss of the student's `map` `[n, h, w, c]` behind `adaptor` against the teacher's map. Of maps of
    /// different size the larger one is average-pooled; pooled features `[n, c]` are maps of one pixel.
    ///
    /// # Errors
    /// [`Error::Shape`] where neither map is the smaller one in both directions.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        (map, adaptor): (&Var, &Adaptor),
        teacher: &Tensor,
    ) -> Result<()> {
        if weight == 0.0 {
            return Ok(());
        }
        let (map, teacher) = match_spatial_size(losses, map, teacher)?;
        let adapted = adaptor.forward(losses, &map)?;
        let s = adapted.value().clone();
        losses.add(term, weight, &adapted, s.rows(), |gpu, out| match self {
            FeatureLoss::FitNet => feature_loss::mse(gpu, &s, &teacher, out),
            FeatureLoss::Normalised => feature_loss::normalised(gpu, &s, &teacher, EPS, out),
        })
    }
}

/// A [`FeatureLoss`] between two layers, behind an adaptor.
struct Hint {
    loss: FeatureLoss,
    adaptor: Adaptor,
    student: FeatureSite,
    teacher: FeatureSite,
}

impl DistillLoss for Hint {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        let map = given.student(self.student)?;
        self.loss.apply(losses, term, weight, (map, &self.adaptor), given.taught(self.teacher)?)
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.adaptor.params()]
    }
}

fn make(setup: &Setup, loss: FeatureLoss) -> Result<Box<dyn DistillLoss>> {
    let ((student, from), (teacher, to)) = setup.layer()?;
    let adaptor = Adaptor::new(setup.gpu, setup.name, from, to, setup.seed)?;
    Ok(Box::new(Hint { loss, adaptor, student, teacher }))
}

/// Weight 100 on the stage in the middle (RepDistiller).
pub(super) const FITNET: Method = Method {
    name: "fitnet",
    weight: 100.0,
    look: FeatureKind::Layer(Layers::Middle),
    tasks: EVERY,
    keys: &[],
    make: |s| make(s, FeatureLoss::FitNet),
};

/// Weight 1 on the end of the shared trunk (KD4MTL, whose single-task decoders are looked at as well: `layers = ["layer3", "decoder"]`).
pub(super) const NORMALISED: Method = Method {
    name: "normalised",
    weight: 1.0,
    look: FeatureKind::Layer(Layers::Last),
    tasks: EVERY,
    keys: &[],
    make: |s| make(s, FeatureLoss::Normalised),
};
