//! Distillation on the GPU against PyTorch.

use super::*;
use limbeck::distill::{
    Adaptor, AttentionTransfer, BoxKd, ChannelLoss, Cka, Dist, Dkd, FeatureLoss, Imitation, ProbabilisticTransfer,
    Relation, Rkd, SigmoidKd, SimilarityPreserving, Vid, Whereabouts,
};
use limbeck::kernels::distill_kl::distill_kl;
use limbeck::loss::{LossLog, LossRecorder};
use limbeck::nn::{Context, Mode};
use limbeck::tape::{Tape, Var};

/// A loss on the student's tensor through the tape: its value and its gradient.
pub fn by_tape(case: &Case, apply: impl Fn(&mut LossRecorder, &Var, &Tensor) -> Result<()>) -> Result<()> {
    let (mut tape, mut log) = (Tape::new(), LossLog::new(gpu(), vec!["loss".into()], 1)?);
    let student = tape.leaf(upload(case, "input.student")?);
    apply(&mut LossRecorder { gpu: gpu(), tape: &mut tape, log: &log }, &student, &upload(case, "input.teacher")?)?;
    log.advance();
    let grads = tape.backward(gpu())?;
    case.check("output.loss", log.take(gpu())?.concat(), TOLERANCE);
    check(case, "grad.student", &grads.of(&student).expect("the student has no gradient"));
    Ok(())
}

fn distill_logits(case: &Case, standardise: Option<f32>) -> Result<()> {
    let (zs, zt, t) = (upload(case, "input.student")?, upload(case, "input.teacher")?, case.number("temperature"));
    let (dzs, rows) = (target(&zs)?, Tensor::empty(gpu(), &[zs.rows()])?);
    distill_kl(gpu(), (&zs, &zt), t as f32, standardise, out(&dzs, &rows))?;
    check_loss(case, &rows);
    check(case, "grad.student", &dzs.tensor);
    Ok(())
}

/// The whole loss: adaptor, distance, and the gradients of both through the tape.
fn distill_features(case: &Case, loss: FeatureLoss) -> Result<()> {
    let ([_, ci, ..], [co, ..]) = (sizes(case, "input.student"), sizes(case, "input.adaptor"));
    let adaptor = Adaptor::new(gpu(), "adaptor", ci, co, 0)?;
    adaptor.params().import(gpu(), |_, _| Ok(case.floats("input.adaptor").nhwc().data))?;
    let (mut tape, mut log) = (Tape::new(), LossLog::new(gpu(), vec!["features".into()], 1)?);
    let student = tape.leaf(upload(case, "input.student")?);
    let mut losses = LossRecorder { gpu: gpu(), tape: &mut tape, log: &log };
    loss.apply(&mut losses, 0, 1.0, (&student, &adaptor), &upload(case, "input.teacher")?)?;
    log.advance();
    let grads = tape.backward(gpu())?;
    case.check("output.loss", log.take(gpu())?.concat(), TOLERANCE);
    check(case, "grad.student", &grads.of(&student).expect("the student has no gradient"));
    let adaptor_grads = adaptor.params().export_grads(gpu())?;
    assert_eq!(adaptor_grads.len(), 1);
    case.check("grad.adaptor", adaptor_grads[0].data.iter().copied(), TOLERANCE);
    Ok(())
}

#[test]
fn goldens_distill() -> Result<()> {
    let group = Group::load("distill");
    for case in group.cases("kd") {
        distill_logits(&case, None)?;
    }
    for case in group.cases("logit_std") {
        distill_logits(&case, Some(case.number("eps") as f32))?;
    }
    for case in group.cases("fitnet") {
        distill_features(&case, FeatureLoss::FitNet)?;
    }
    for case in group.cases("kd4mtl") {
        assert_eq!(case.number("eps"), 1e-6, "the loss has a fixed eps");
        distill_features(&case, FeatureLoss::Normalised)?;
    }
    for case in group.cases("dkd") {
        let [temperature, alpha, beta] = ["temperature", "alpha", "beta"].map(|k| case.number(k) as f32);
        let labels = case.labels("input.y");
        let labels = Tensor::from_u32(gpu(), &labels, &[labels.len()])?;
        by_tape(&case, |losses, s, t| Dkd { temperature, alpha, beta }.apply(losses, 0, 1.0, s, (t, &labels)))?;
    }
    for case in group.cases("dist") {
        let [temperature, inter, intra] = ["temperature", "inter", "intra"].map(|k| case.number(k) as f32);
        by_tape(&case, |losses, s, t| Dist { temperature, inter, intra }.apply(losses, 0, 1.0, s, t))?;
    }
    for case in group.cases("at") {
        assert_eq!(case.integer("p"), 2);
        by_tape(&case, |losses, s, t| AttentionTransfer.apply(losses, 0, 1.0, s, t))?;
    }
    for case in group.cases("cwd") {
        let loss = ChannelLoss::Wise { temperature: case.number("temperature") as f32 };
        by_tape(&case, |losses, s, t| loss.apply(losses, 0, 1.0, s, t))?;
    }
    for case in group.cases("sp") {
        by_tape(&case, |losses, s, t| SimilarityPreserving.apply(losses, 0, 1.0, s, t))?;
    }
    for (kind, relation) in [("rkd_distance", Relation::Distance), ("rkd_angle", Relation::Angle)] {
        for case in group.cases(kind) {
            by_tape(&case, |losses, s, t| Rkd(relation).apply(losses, 0, 1.0, s, t))?;
        }
    }
    group.assert_complete();
    Ok(())
}

/// Mean, adaptor and variances of VID.
fn vid(case: &Case) -> Result<()> {
    let ([_, ci, ..], [co, ..]) = (sizes(case, "input.student"), sizes(case, "input.adaptor"));
    let vid = Vid::new(gpu(), "vid", (ci, co), 5.0, 0)?;
    vid.adaptor().import(gpu(), |_, _| Ok(case.floats("input.adaptor").nhwc().data))?;
    vid.spread().import(gpu(), |_, _| Ok(case.floats("input.rho").data.clone()))?;
    by_tape(case, |losses, s, t| vid.apply(losses, 0, 1.0, s, t))?;
    for (name, params) in [("grad.adaptor", vid.adaptor()), ("grad.rho", vid.spread())] {
        case.check(name, params.export_grads(gpu())?[0].data.iter().copied(), TOLERANCE);
    }
    Ok(())
}

/// Adaptor, mask and distance of the imitation of features where objects are.
fn fgfi(case: &Case) -> Result<()> {
    let ([_, ci, ..], [co, ..]) = (sizes(case, "input.student"), sizes(case, "input.adaptor"));
    let adaptor = Adaptor::new(gpu(), "adaptor", ci, co, 0)?;
    adaptor.params().import(gpu(), |_, _| Ok(case.floats("input.adaptor").nhwc().data))?;
    let [stride, h, w] = ["stride", "height", "width"].map(|name| case.integer(name));
    let level = |size, stride: usize| fcos::Level { size, stride: stride as f32 };
    let levels = vec![level([h, w], stride), level([h.div_ceil(2), w.div_ceil(2)], 2 * stride)];
    let objects = case.floats("input.objects");
    let objects = Tensor::from_f32(gpu(), &objects.data, &objects.shape)?;
    let taught = upload(case, "input.taught")?;
    let imitation = Imitation::new(adaptor, stride as f32, levels);
    let seen = Whereabouts { objects: &objects, taught: &taught };
    by_tape(case, |losses, s, t| imitation.apply(losses, 0, 1.0, (s, t), seen))?;
    let grads = imitation.adaptor().params().export_grads(gpu())?;
    case.check("grad.adaptor", grads[0].data.iter().copied(), TOLERANCE);
    Ok(())
}

/// Score maps that are enlarged first, as a decoder's are.
fn score_maps(case: &Case) -> Result<()> {
    let loss = ChannelLoss::Wise { temperature: case.number("temperature") as f32 };
    // Enlarging takes no parameters.
    let none = Adaptor::new(gpu(), "none", 1, 1, 0)?;
    by_tape(case, |losses, z, t| {
        let mut ctx = Context { gpu: gpu(), tape: losses.tape, params: none.params(), mode: Mode::Train };
        let s = ctx.resize(z, [t.shape()[1], t.shape()[2]])?;
        loss.apply(losses, 0, 1.0, &s, t)
    })
}

#[test]
fn goldens_methods() -> Result<()> {
    let group = Group::load("methods");
    for case in group.cases("sigmoid_kd") {
        let temperature = case.number("temperature") as f32;
        by_tape(&case, |losses, s, t| SigmoidKd { temperature }.apply(losses, 0, 1.0, s, t))?;
    }
    for case in group.cases("pkt") {
        by_tape(&case, |losses, s, t| ProbabilisticTransfer.apply(losses, 0, 1.0, s, t))?;
    }
    for case in group.cases("cka") {
        by_tape(&case, |losses, s, t| Cka.apply(losses, 0, 1.0, s, t))?;
    }
    for case in group.cases("pkd") {
        by_tape(&case, |losses, s, t| ChannelLoss::Pearson.apply(losses, 0, 1.0, s, t))?;
    }
    for case in group.cases("vid") {
        vid(&case)?;
    }
    for case in group.cases("at_sizes") {
        by_tape(&case, |losses, s, t| AttentionTransfer.apply(losses, 0, 1.0, s, t))?;
    }
    for case in group.cases("fitnet_sizes") {
        distill_features(&case, FeatureLoss::FitNet)?;
    }
    for case in group.cases("crd") {
        embedding::crd(&case)?;
    }
    for case in group.cases("review") {
        embedding::review(&case)?;
    }
    for case in group.cases("cwd_logits") {
        score_maps(&case)?;
    }
    for case in group.cases("fgfi") {
        fgfi(&case)?;
    }
    for case in group.cases("box_kd") {
        let [temperature, boxes] = ["temperature", "box_weight"].map(|name| case.number(name) as f32);
        by_tape(&case, |losses, s, t| BoxKd { temperature, boxes }.apply(losses, 0, 1.0, s, t))?;
    }
    group.assert_complete();
    Ok(())
}
