//! Variational information distillation.

use super::feature::Adaptor;
use super::method::{DistillInput, DistillLoss, Domain, EVERY, FeatureKind, Key, Layers, Method, Setup};
use super::site::FeatureSite;
use super::spatial::match_spatial_size;
use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::vid;
use crate::loss::LossRecorder;
use crate::params::{Builder, ParamId, Params};
use crate::tape::Var;
use crate::tensor::Tensor;

/// VID (Ahn et al. 2019, arXiv 1904.05835): the negative log-likelihood of the teacher's features under a normal distribution, mean over
/// all elements of `½ [(μ(f_s) − f_t)² / σ² + log σ²]`, with a variance for each channel, `σ² = log(1 + e^ρ) + 1e-5`, that is learnt.
/// `μ` is a 1x1 convolution (the authors' program has three of them with ReLUs between).
#[derive(Debug)]
pub struct Vid {
    adaptor: Adaptor,
    spread: Params,
    rho: ParamId,
}

impl Vid {
    /// From `student` to `teacher` channels; every variance begins as `variance`.
    pub fn new(gpu: &Gpu, name: &str, (student, teacher): (usize, usize), variance: f32, seed: u64) -> Result<Self> {
        let mut builder = Builder::default();
        // The inverse of log(1 + e^ρ), in a form that large values do not overflow.
        let variance = f64::from(variance) - f64::from(vid::EPS);
        let rho = (variance + (-(-variance).exp_m1()).ln()) as f32;
        let rho = builder.param(format!("{name}.rho"), &[teacher], &vec![rho; teacher]);
        Ok(Vid { adaptor: Adaptor::new(gpu, name, student, teacher, seed)?, spread: builder.build(gpu)?, rho })
    }

    /// The adaptor's parameters.
    pub fn adaptor(&self) -> &Params {
        self.adaptor.params()
    }

    /// The variances' parameters.
    pub fn spread(&self) -> &Params {
        &self.spread
    }

    /// Adds `weight` times the loss of the student's `map` against the teacher's as term `term`.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        map: &Var,
        teacher: &Tensor,
    ) -> Result<()> {
        let (map, teacher) = match_spatial_size(losses, map, teacher)?;
        let mean = self.adaptor.forward(losses, &map)?;
        let m = mean.value().clone();
        let rho = self.spread.get(self.rho).clone();
        // ρ's gradient belongs to the parameter, not to a value on the tape: the tape hands out its place.
        let drho = losses.tape.param(&rho)?;
        losses.add(term, weight, &mean, m.rows(), |gpu, out| {
            vid::vid(gpu, (&m, &teacher, &rho.value), out, drho.as_ref())
        })
    }
}

struct Tapped(Vid, FeatureSite, FeatureSite);

impl DistillLoss for Tapped {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        self.0.apply(losses, term, weight, given.student(self.1)?, given.taught(self.2)?)
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.0.adaptor(), self.0.spread()]
    }
}

fn make(setup: &Setup) -> Result<Box<dyn DistillLoss>> {
    let ((student, from), (teacher, to)) = setup.layer()?;
    let vid = Vid::new(setup.gpu, setup.name, (from, to), setup.number("variance")?, setup.seed)?;
    Ok(Box::new(Tapped(vid, student, teacher)))
}

/// Weight 1 on every stage, variances from 5 on (RepDistiller).
pub(super) const VID: Method = Method {
    name: "vid",
    weight: 1.0,
    look: FeatureKind::Layer(Layers::All),
    tasks: EVERY,
    keys: &[Key { name: "variance", default: 5.0, domain: Domain::Moderate }],
    make,
};
