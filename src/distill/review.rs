//! Knowledge review.

use super::method::{DistillInput, DistillLoss, EVERY, FeatureKind, Layers, Method, Setup};
use super::site::FeatureSite;
use super::spatial::{map, resize, shrink};
use crate::gpu::Gpu;
use crate::kernels::fuse::{Attention, FuseTargets, fuse, fuse_grad};
use crate::kernels::{adaptive_pool, feature_loss};
use crate::loss::{LossOut, LossRecorder};
use crate::nn::{Context, ConvNorm, Init, Initializer, Mode};
use crate::params::{Builder, ParamId, Params};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// ReviewKD (Chen et al. 2021, arXiv 2104.09044). From the deepest layer to the shallowest the student's features are brought to a
/// common width, fused with what came from below by an attention over both (ABF), brought to the teacher's size and width, and
/// compared with the teacher's: mean squared differences of the maps and of their averages over 4x4, 2x2 and 1x1 parts, where the
/// map is larger, with weights 1, 1/2, 1/4, 1/8 scaled to a sum of 1 (HCL). The loss is the sum over the layers.
pub struct Review {
    params: Params,
    /// From the shallowest to the deepest.
    levels: Vec<Level>,
}

struct Level {
    narrow: ConvNorm,
    widen: ConvNorm,
    /// All but the deepest: weights for the own map, for that from below, and the bias.
    attention: Option<[ParamId; 3]>,
}

/// The common width is that of the student's deepest layer, but not more.
const WIDEST: usize = 512;

impl Review {
    /// Between layers of so many `(student, teacher)` channels, from the shallowest to the deepest.
    ///
    /// # Errors
    /// [`Error::Invalid`] without any layer.
    pub fn new(gpu: &Gpu, name: &str, channels: &[(usize, usize)], seed: u64) -> Result<Self> {
        let Some((deepest, _)) = channels.last() else {
            return Err(Error::Invalid(format!("{name} needs a layer at least")));
        };
        let width = (*deepest).min(WIDEST);
        let (mut b, mut init) = (Builder::default(), Initializer::new(seed, Init::HeUniform));
        let mut level = |(i, (student, teacher)): (usize, &(usize, usize))| {
            let part = |what: &str| format!("{name}.{i}.{what}");
            let mut conv = |b: &mut Builder, what: &str, ci, co, kernel| {
                ConvNorm::new(b, &mut init, (&part(what), &part(&format!("{what}_norm"))), ci, co, kernel, 1)
            };
            let narrow = conv(&mut b, "narrow", *student, width, 1);
            let widen = conv(&mut b, "widen", width, *teacher, 3);
            let attention = (i + 1 < channels.len()).then(|| {
                let mut weight = |what: &str| {
                    let values = init.weights(2 * width, 2 * width, 2, false);
                    b.param(part(what), &[2, width], &values)
                };
                let (own, below) = (weight("attention.own"), weight("attention.below"));
                [own, below, b.param(part("attention.bias"), &[2], &[0.0; 2])]
            });
            Level { narrow, widen, attention }
        };
        let levels = channels.iter().enumerate().map(&mut level).collect();
        Ok(Review { levels, params: b.build(gpu)? })
    }

    /// The parameters of the fusions.
    pub fn params(&self) -> &Params {
        &self.params
    }

    fn context<'a>(&'a self, losses: &'a mut LossRecorder) -> Context<'a> {
        Context { gpu: losses.gpu, tape: losses.tape, params: &self.params, mode: Mode::Train }
    }

    /// Adds `weight` times the loss between the student's and the teacher's `features`, from the shallowest to the deepest, as term
    /// `term`. Maps `[n, h, w, c]` of any size; pooled features `[n, c]` are maps of one pixel.
    ///
    /// # Errors
    /// [`Error::Shape`] where there are not as many layers as were announced.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        features: &[(&Var, &Tensor)],
    ) -> Result<()> {
        if features.len() != self.levels.len() {
            let (got, expected) = (features.len(), self.levels.len());
            return Err(Error::Shape(format!("a review of {expected} layers was given {got}")));
        }
        let mut below: Option<Var> = None;
        for (level, (student, teacher)) in self.levels.iter().zip(features).rev() {
            let ([n, h, w, c], [m, th, tw, tc]) = (map(student.value().shape())?, map(teacher.shape())?);
            let (student, teacher) = (student.reshape(&[n, h, w, c])?, teacher.reshape(&[m, th, tw, tc])?);
            let mut own = level.narrow.forward(&mut self.context(losses), &student, None, false)?;
            if let (Some(below), Some(attention)) = (&below, level.attention) {
                let below = resize(losses, below, [h, w])?;
                own = self.fuse(losses, &own, &below, attention)?;
            }
            own = resize(losses, &own, [th, tw])?;
            let wide = level.widen.forward(&mut self.context(losses), &own, None, false)?;
            compare(losses, term, weight, &wide, &teacher, below.is_none())?;
            below = Some(own);
        }
        Ok(())
    }

    fn fuse(&self, losses: &mut LossRecorder, own: &Var, below: &Var, attention: [ParamId; 3]) -> Result<Var> {
        let [wx, wy, bias] = attention.map(|id| self.params.get(id).clone());
        let values = Attention { wx: &wx.value, wy: &wy.value, bias: &bias.value };
        let (z, gates) = fuse(losses.gpu, own.value(), below.value(), values)?;
        let (slots, x, y) = ([own.slot(), below.slot()], own.value().clone(), below.value().clone());
        Ok(losses.tape.push(z, move |gpu, dz, grads| {
            let (Some(dx), Some(dy)) = (grads.target(gpu, &slots[0])?, grads.target(gpu, &slots[1])?) else {
                return Ok(());
            };
            let [dwx, dwy, dbias] = [grads.param(&wx)?, grads.param(&wy)?, grads.param(&bias)?];
            let out = FuseTargets { dx: &dx, dy: &dy, dwx: &dwx, dwy: &dwy, dbias: &dbias };
            let values = Attention { wx: &wx.value, wy: &wy.value, bias: &bias.value };
            fuse_grad(gpu, (&x, &y), values, &gates, dz, out)
        }))
    }
}

/// The hierarchical loss between maps of one shape.
fn compare(losses: &mut LossRecorder, term: usize, weight: f32, s: &Var, t: &Tensor, first: bool) -> Result<()> {
    let [_, h, w, _] = map(t.shape())?;
    let parts: Vec<usize> = [4, 2, 1].into_iter().filter(|l| *l < h.min(w)).collect();
    let mut share = 1.0 / (2.0 - 0.5f32.powi(parts.len() as i32));
    let add = |losses: &mut LossRecorder, s: &Var, t: &Tensor, share: f32, first: bool| {
        let value = s.value().clone();
        let fused = |gpu: &Gpu, out: LossOut| feature_loss::mse(gpu, &value, t, out.with_weight(weight * share));
        match first {
            true => losses.add(term, weight, s, value.rows(), fused),
            false => losses.add_part(term, weight, s, value.rows(), fused),
        }
    };
    add(losses, s, t, share, first)?;
    for l in parts {
        share /= 2.0;
        let (s, t) = (shrink(losses, s, [l, l])?, adaptive_pool::adaptive_pool(losses.gpu, t, [l, l])?);
        add(losses, &s, &t, share, false)?;
    }
    Ok(())
}

struct Tapped(Review, Vec<(FeatureSite, FeatureSite)>);

impl DistillLoss for Tapped {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        let pair =
            |(student, teacher): &(FeatureSite, FeatureSite)| Ok((given.student(*student)?, given.taught(*teacher)?));
        let features = self.1.iter().map(pair).collect::<Result<Vec<_>>>()?;
        self.0.apply(losses, term, weight, &features)
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.0.params()]
    }
}

fn make(setup: &Setup) -> Result<Box<dyn DistillLoss>> {
    let mut pairs: Vec<_> = setup.student.iter().zip(setup.teacher).collect();
    pairs.sort_by_key(|((student, _), _)| *student);
    let channels: Vec<_> = pairs.iter().map(|((_, student), (_, teacher))| (*student, *teacher)).collect();
    let taps = pairs.iter().map(|((student, _), (teacher, _))| (*student, *teacher)).collect();
    Ok(Box::new(Tapped(Review::new(setup.gpu, setup.name, &channels, setup.seed)?, taps)))
}

/// Weight 1 on all stages and the pooled features (mdistiller, which reaches it over the first 20 of 240 epochs).
pub(super) const REVIEW: Method =
    Method { name: "reviewkd", weight: 1.0, look: FeatureKind::Together(Layers::Whole), tasks: EVERY, keys: &[], make };
