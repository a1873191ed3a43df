//! Imitation of a detector's features where objects are.

use super::feature::Adaptor;
use super::method::{DistillInput, DistillLoss, FeatureKind, Layers, Method, Setup};
use super::site::FeatureSite;
use super::spatial::{map, match_spatial_size};
use crate::data::TaskKind;
use crate::kernels::fcos::{Level, Pyramid};
use crate::kernels::imitation::{self, Grid};
use crate::loss::LossRecorder;
use crate::params::Params;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// FGFI (Wang et al. 2019, "Distilling object detectors with fine-grained feature imitation", arXiv 1906.03609): with a mask `m` of the
/// places where objects are and an adaptor `A`, `1/(2 N) Σ m Σ_c (A f_s − f_t)²`, `N = max(Σ m, 1)`, over the places and channels
/// of all images of the batch.
///
/// Wang et al. take the places whose anchors overlap an object best. This detector has no anchors: as in FGD (Yang et al. 2022, arXiv
/// 2111.11837) `m` is 1 at the places that a labelled box touches, at every level, and 0 elsewhere. Where nobody has said what is
/// there, in an image without boxes as a label and within what is not judged, `m` is the teacher's foreground, the probability of its
/// most probable class, as in [`BoxKd`](super::BoxKd): such images teach, too. The adaptor is a 1x1 convolution (theirs: 3x3).
#[derive(Debug)]
pub struct Imitation {
    adaptor: Adaptor,
    /// Pixels from one place of the student's map to the next.
    stride: f32,
    /// The levels of the teacher's detector.
    levels: Vec<Level>,
}

/// What says where objects are.
#[derive(Debug, Clone, Copy)]
pub struct Whereabouts<'a> {
    /// `[n, boxes, 6]`, as [`fcos::assign`](crate::kernels::fcos::assign) takes them.
    pub objects: &'a Tensor,
    /// What the teacher says, `[n, places, classes + 5]`.
    pub taught: &'a Tensor,
}

impl Imitation {
    /// With `adaptor`, of a student's map whose places are `stride` pixels apart, and a teacher whose detector has these levels.
    pub fn new(adaptor: Adaptor, stride: f32, levels: Vec<Level>) -> Self {
        Imitation { adaptor, stride, levels }
    }

    /// The adaptor.
    pub fn adaptor(&self) -> &Adaptor {
        &self.adaptor
    }

    /// Adds `weight` times the loss of the student's `features` `[n, h, w, c]` against the teacher's, `[n, h', w', c']`, as term `term`.
    /// Of maps of different size the larger one is average-pooled.
    ///
    /// # Errors
    /// [`Error::Shape`] where the maps cannot be brought together, or objects or answers are not those of as many images.
    pub fn apply(
        &self,
        losses: &mut LossRecorder,
        term: usize,
        weight: f32,
        (features, teacher): (&Var, &Tensor),
        seen: Whereabouts,
    ) -> Result<()> {
        let [n, h, w, _] = map(features.value().shape())?;
        let (features, teacher) = match_spatial_size(losses, features, teacher)?;
        let [_, rows, columns, _] = map(features.value().shape())?;
        // Pooled places are that much farther apart.
        let apart = |before: usize, after: usize| self.stride * before as f32 / after as f32;
        let grid = Grid { size: [rows, columns], step: [apart(h, rows), apart(w, columns)] };
        let pyramid = Pyramid { levels: self.levels.clone(), images: n };
        let mask = imitation::mask(losses.gpu, &grid, seen.objects, &pyramid, seen.taught)?;
        let total = imitation::total(losses.gpu, &mask)?;
        let adapted = self.adaptor.forward(losses, &features)?;
        let s = adapted.value().clone();
        losses.add(term, weight, &adapted, s.rows(), |gpu, out| {
            imitation::imitation(gpu, (&s, &teacher), (&mask, &total), out)
        })
    }
}

struct Tapped(Imitation, FeatureSite, FeatureSite);

impl DistillLoss for Tapped {
    fn apply(&self, losses: &mut LossRecorder, term: usize, weight: f32, given: &DistillInput) -> Result<()> {
        let seen = Whereabouts { objects: given.labels, taught: given.teacher_logits()? };
        self.0.apply(losses, term, weight, (given.student(self.1)?, given.taught(self.2)?), seen)
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.0.adaptor.params()]
    }
}

fn make(setup: &Setup) -> Result<Box<dyn DistillLoss>> {
    let ((student, from), (teacher, to)) = setup.layer()?;
    let stride = match student {
        FeatureSite::Stage(i) | FeatureSite::Level(i) => setup.strides.get(i),
        FeatureSite::Pooled | FeatureSite::Decoder | FeatureSite::Logits => None,
    };
    let none = || Error::Invalid(format!("{} needs a map whose places are known, not {student}", setup.name));
    let stride = *stride.ok_or_else(none)? as f32;
    let adaptor = Adaptor::new(setup.gpu, setup.name, from, to, setup.seed)?;
    Ok(Box::new(Tapped(Imitation::new(adaptor, stride, setup.levels.to_vec()), student, teacher)))
}

/// Weight 0.01 at every level of the detector (the default of the authors' code, which they say is the paper's for a VGG-11; they advise
/// to tune it).
pub(super) const FGFI: Method = Method {
    name: "fgfi",
    weight: 0.01,
    look: FeatureKind::Map(Layers::Levels),
    tasks: &[TaskKind::Boxes],
    keys: &[],
    make,
};
