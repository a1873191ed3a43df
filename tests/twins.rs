//! Every twin reproduces PyTorch's values and gradients: whoever trusts the twins trusts PyTorch.
#![cfg(feature = "formats")]

#[path = "common/goldens.rs"]
mod goldens;

#[path = "common/embedding_twin.rs"]
mod embedding;

use goldens::{Case, Group};
use limbeck::{
    shape::{Conv2d, Pool2d},
    twin::{
        adaptive_pool, attention, batch_norm, binary_cross_entropy, conv2d, correlation, cross_entropy, dice,
        distill_kl, dkd, elementwise, fcos, feature_loss, focal, gramian, imitation, linear, normalize, optimizer, pkt,
        pool, reduce, relation, resize, rkd, sigmoid_kl, softmax, transpose, vid,
    },
};

/// The goldens are f32 roundings of f64 results from f64 inputs, themselves rounded: about 1e-7 each.
const TOLERANCE: f64 = 1e-5;

#[track_caller]
fn check(case: &Case, what: &str, got: &[f64]) {
    case.check(what, got.iter().copied(), TOLERANCE);
}

/// A tensor of the case in NHWC (or OHWI) order.
fn input(case: &Case, what: &str) -> Vec<f64> {
    case.floats(what).nhwc().f64()
}

/// The sizes of a tensor of four axes, as PyTorch orders them.
fn sizes(case: &Case, what: &str) -> [usize; 4] {
    case.floats(what).shape.as_slice().try_into().expect("not a tensor of four axes")
}

#[test]
fn goldens_conv2d() {
    let group = Group::load("conv2d");
    for case in group.cases("conv") {
        let ([n, ci, h, w], [co, _, kh, kw]) = (sizes(&case, "input.x"), sizes(&case, "input.weight"));
        let [stride, padding, dilation, groups] =
            ["stride", "padding", "dilation", "groups"].map(|name| case.integer(name));
        let s = Conv2d { n, h, w, ci, co, kh, kw, stride, padding, dilation, groups };
        s.check().expect("a golden has an impossible shape");
        let [x, weight, bias, dy] = ["input.x", "input.weight", "input.bias", "cotangent.y"].map(|t| input(&case, t));
        check(&case, "output.y", &conv2d::forward(&s, &x, &weight, Some(&bias)));
        check(&case, "grad.x", &conv2d::input_grad(&s, &dy, &weight));
        check(&case, "grad.weight", &conv2d::weight_grad(&s, &x, &dy));
        check(&case, "grad.bias", &reduce::column_sum(&dy, co));
    }
    group.assert_complete();
}

fn batch_norm_train(group: &Group) {
    for case in group.cases("train") {
        let [n, c, h, w] = sizes(&case, "input.x");
        let eps = case.number("eps");
        let [x, gamma, beta, dy] = ["input.x", "input.gamma", "input.beta", "cotangent.y"].map(|t| input(&case, t));
        let [mut running_mean, mut running_var] = ["input.running_mean", "input.running_var"].map(|t| input(&case, t));
        let (mean, var) = batch_norm::stats(&x, c);
        let (m, momentum) = (n * h * w, case.number("momentum"));
        batch_norm::update_running(&mut running_mean, &mut running_var, &mean, &var, m, momentum);
        check(&case, "output.new_running_mean", &running_mean);
        check(&case, "output.new_running_var", &running_var);
        let y = batch_norm::forward(&x, c, &mean, &var, &gamma, &beta, eps, None, false);
        check(&case, "output.y", &y);
        let grads = batch_norm::backward(&dy, &y, &x, c, &mean, &var, &gamma, eps, false, true);
        check(&case, "grad.x", &grads.dx);
        check(&case, "grad.gamma", &grads.dgamma);
        check(&case, "grad.beta", &grads.dbeta);
    }
}

fn batch_norm_train_residual_relu(group: &Group) {
    for case in group.cases("train_residual_relu") {
        let [_, c, ..] = sizes(&case, "input.x");
        let eps = case.number("eps");
        let [x, gamma, beta, residual, dy] =
            ["input.x", "input.gamma", "input.beta", "input.residual", "cotangent.y"].map(|t| input(&case, t));
        let (mean, var) = batch_norm::stats(&x, c);
        let y = batch_norm::forward(&x, c, &mean, &var, &gamma, &beta, eps, Some(&residual), true);
        check(&case, "output.y", &y);
        let grads = batch_norm::backward(&dy, &y, &x, c, &mean, &var, &gamma, eps, true, true);
        check(&case, "grad.x", &grads.dx);
        check(&case, "grad.gamma", &grads.dgamma);
        check(&case, "grad.beta", &grads.dbeta);
        check(&case, "grad.residual", &grads.dresidual);
    }
}

fn batch_norm_eval(group: &Group) {
    for case in group.cases("eval") {
        let [_, c, ..] = sizes(&case, "input.x");
        let eps = case.number("eps");
        let [x, gamma, beta, dy] = ["input.x", "input.gamma", "input.beta", "cotangent.y"].map(|t| input(&case, t));
        let [mean, var] = ["input.running_mean", "input.running_var"].map(|t| input(&case, t));
        let y = batch_norm::forward(&x, c, &mean, &var, &gamma, &beta, eps, None, false);
        check(&case, "output.y", &y);
        let grads = batch_norm::backward(&dy, &y, &x, c, &mean, &var, &gamma, eps, false, false);
        check(&case, "grad.x", &grads.dx);
        check(&case, "grad.gamma", &grads.dgamma);
        check(&case, "grad.beta", &grads.dbeta);
    }
}

#[test]
fn goldens_batch_norm() {
    let group = Group::load("batch_norm");
    batch_norm_train(&group);
    batch_norm_train_residual_relu(&group);
    batch_norm_eval(&group);
    group.assert_complete();
}

fn pool_shape(case: &Case) -> Pool2d {
    let [n, c, h, w] = sizes(case, "input.x");
    let [kernel, stride, padding] = ["kernel", "stride", "padding"].map(|name| case.integer(name));
    Pool2d { n, h, w, c, kernel, stride, padding }
}

#[test]
fn goldens_pool() {
    let group = Group::load("pool");
    for case in group.cases("max") {
        let (s, x, dy) = (pool_shape(&case), input(&case, "input.x"), input(&case, "cotangent.y"));
        check(&case, "output.y", &pool::max(&s, &x));
        check(&case, "grad.x", &pool::max_grad(&s, &x, &dy));
    }
    for case in group.cases("avg") {
        let (s, x, dy) = (pool_shape(&case), input(&case, "input.x"), input(&case, "cotangent.y"));
        check(&case, "output.y", &pool::avg(&s, &x));
        check(&case, "grad.x", &pool::avg_grad(&s, &dy));
    }
    for case in group.cases("up_nearest") {
        let [n, c, h, w] = sizes(&case, "input.x");
        let [_, _, oh, ow] = sizes(&case, "output.y");
        check(&case, "output.y", &resize::nearest(&input(&case, "input.x"), [n, h, w, c], [oh, ow]));
        check(&case, "grad.x", &resize::nearest_grad(&input(&case, "cotangent.y"), [n, h, w, c], [oh, ow]));
    }
    for case in group.cases("up_bilinear") {
        let [n, c, h, w] = sizes(&case, "input.x");
        let [_, _, oh, ow] = sizes(&case, "output.y");
        check(&case, "output.y", &resize::bilinear(&input(&case, "input.x"), [n, h, w, c], [oh, ow]));
        check(&case, "grad.x", &resize::bilinear_grad(&input(&case, "cotangent.y"), [n, h, w, c], [oh, ow]));
    }
    for case in group.cases("global_avg") {
        let [n, c, h, w] = sizes(&case, "input.x");
        check(&case, "output.y", &pool::global_avg(&input(&case, "input.x"), n, h * w, c));
        check(&case, "grad.x", &pool::global_avg_grad(&input(&case, "cotangent.y"), n, h * w, c));
    }
    group.assert_complete();
}

#[test]
fn goldens_linear() {
    let group = Group::load("linear");
    for case in group.cases("linear") {
        let (m, k) = (case.floats("input.x").shape[0], case.floats("input.x").shape[1]);
        let n = case.floats("input.weight").shape[0];
        let [x, weight, bias, dy] = ["input.x", "input.weight", "input.bias", "cotangent.y"].map(|t| input(&case, t));
        check(&case, "output.y", &linear::forward(&x, &weight, Some(&bias), m, k, n));
        check(&case, "grad.x", &linear::input_grad(&dy, &weight, m, k, n));
        check(&case, "grad.weight", &linear::weight_grad(&x, &dy, m, k, n));
        check(&case, "grad.bias", &reduce::column_sum(&dy, n));
    }
    group.assert_complete();
}

#[test]
fn goldens_softmax() {
    let group = Group::load("softmax");
    for case in group.cases("softmax") {
        let (c, t) = (case.floats("input.z").shape[1], case.number("temperature"));
        let [z, dp, dlogp] = ["input.z", "cotangent.p", "cotangent.logp"].map(|t| input(&case, t));
        let (p, logp) = (softmax::softmax(&z, c, t), softmax::log_softmax(&z, c, t));
        check(&case, "output.p", &p);
        check(&case, "output.logp", &logp);
        let (a, b) = (softmax::softmax_grad(&p, &dp, c, t), softmax::log_softmax_grad(&logp, &dlogp, c, t));
        check(&case, "grad.z", &elementwise::add(&a, &b));
    }
    group.assert_complete();
}

#[test]
fn goldens_loss() {
    let group = Group::load("loss");
    for (kind, smooth) in [("ce", false), ("ce_smooth", true)] {
        for case in group.cases(kind) {
            let (c, z, labels) = (case.floats("input.z").shape[1], input(&case, "input.z"), case.labels("input.y"));
            let smoothing = if smooth { case.number("label_smoothing") } else { 0.0 };
            check(&case, "output.loss", &[cross_entropy::forward(&z, &labels, c, smoothing)]);
            check(&case, "grad.z", &cross_entropy::grad(&z, &labels, c, smoothing));
        }
    }
    for case in group.cases("bce") {
        let (z, targets) = (input(&case, "input.z"), input(&case, "input.y"));
        check(&case, "output.loss", &[binary_cross_entropy::forward(&z, &targets)]);
        check(&case, "grad.z", &binary_cross_entropy::grad(&z, &targets));
    }
    group.assert_complete();
}

/// What the places of a detector are to say.
fn wanted(case: &Case) -> Vec<fcos::Wanted> {
    let one = |t: &[f64]| match t[0] {
        class if class >= 0.0 => {
            fcos::Wanted::Object { class: class as usize, distances: [t[1], t[2], t[3], t[4]], centre: t[5] }
        }
        -1.0 => fcos::Wanted::Nothing,
        _ => fcos::Wanted::Ignored,
    };
    input(case, "input.targets").chunks(6).map(one).collect()
}

#[test]
fn goldens_losses() {
    let group = Group::load("losses");
    for case in group.cases("ce_ignore") {
        let (c, z, labels) = (case.floats("input.z").shape[1], input(&case, "input.z"), case.labels("input.y"));
        let smoothing = case.number("label_smoothing");
        check(&case, "output.loss", &[cross_entropy::forward(&z, &labels, c, smoothing)]);
        check(&case, "grad.z", &cross_entropy::grad(&z, &labels, c, smoothing));
    }
    for kind in ["ce_weighted", "focal"] {
        for case in group.cases(kind) {
            let (z, labels, gamma) = (input(&case, "input.z"), case.labels("input.y"), case.number("gamma"));
            let weights = input(&case, "input.class_weights");
            check(&case, "output.loss", &[focal::forward(&z, &labels, &weights, gamma)]);
            check(&case, "grad.z", &focal::grad(&z, &labels, &weights, gamma));
        }
    }
    for case in group.cases("bce_positive") {
        let [z, targets, weights] = ["input.z", "input.y", "input.positive_weights"].map(|what| input(&case, what));
        // The twin knows the elements that have a target only.
        let present: Vec<usize> = (0..z.len()).filter(|i| targets[*i] >= 0.0).collect();
        let pick = |all: &[f64]| present.iter().map(|i| all[i % all.len()]).collect::<Vec<f64>>();
        let (z_in, targets_in, weights_in) = (pick(&z), pick(&targets), pick(&weights));
        let loss = binary_cross_entropy::forward_weighted(&z_in, &targets_in, &weights_in);
        check(&case, "output.loss", &[loss]);
        let mut dz = vec![0.0; z.len()];
        let grad = binary_cross_entropy::grad_weighted(&z_in, &targets_in, &weights_in);
        present.iter().zip(grad).for_each(|(i, g)| dz[*i] = g);
        check(&case, "grad.z", &dz);
    }
    for case in group.cases("dice") {
        let (z, labels, smoothing) = (input(&case, "input.z"), case.labels("input.y"), case.number("smoothing"));
        let weights = input(&case, "input.class_weights");
        check(&case, "output.loss", &[dice::forward(&z, &labels, &weights, smoothing)]);
        check(&case, "grad.z", &dice::grad(&z, &labels, &weights, smoothing));
    }
    for (kind, focal) in [("sigmoid_focal", true), ("giou", false)] {
        for case in group.cases(kind) {
            let (z, wanted, c) = (input(&case, "input.z"), wanted(&case), case.integer("classes"));
            let (loss, dz) = if focal {
                fcos::focal(&z, &wanted, c, case.number("alpha"), case.number("gamma"))
            } else {
                fcos::giou(&z, &wanted, c)
            };
            check(&case, "output.loss", &[loss]);
            check(&case, "grad.z", &dz);
        }
    }
    group.assert_complete();
}

fn distill_logits(group: &Group) {
    for (kind, standard) in [("kd", false), ("logit_std", true)] {
        for case in group.cases(kind) {
            let (c, t) = (case.floats("input.student").shape[1], case.number("temperature"));
            let standardise = standard.then(|| case.number("eps"));
            let (student, teacher) = (input(&case, "input.student"), input(&case, "input.teacher"));
            check(&case, "output.loss", &[distill_kl::forward(&student, &teacher, c, t, standardise)]);
            check(&case, "grad.student", &distill_kl::grad(&student, &teacher, c, t, standardise));
        }
    }
}

fn distill_features(group: &Group) {
    for (kind, normalise) in [("fitnet", false), ("kd4mtl", true)] {
        for case in group.cases(kind) {
            let ([n, ci, h, w], [co, ..]) = (sizes(&case, "input.student"), sizes(&case, "input.adaptor"));
            let s = Conv2d::square(n, h, w, ci, co, 1, 1, 0);
            let [student, teacher, adaptor] =
                ["input.student", "input.teacher", "input.adaptor"].map(|t| input(&case, t));
            let adapted = conv2d::forward(&s, &student, &adaptor, None);
            let (loss, d) = if normalise {
                let eps = case.number("eps");
                let loss = feature_loss::normalised(&adapted, &teacher, co, eps);
                (loss, feature_loss::normalised_grad(&adapted, &teacher, co, eps))
            } else {
                (feature_loss::mse(&adapted, &teacher), feature_loss::mse_grad(&adapted, &teacher))
            };
            check(&case, "output.loss", &[loss]);
            check(&case, "grad.student", &conv2d::input_grad(&s, &d, &adaptor));
            check(&case, "grad.adaptor", &conv2d::weight_grad(&s, &student, &d));
        }
    }
}

/// Student and teacher as one row a sample, and the batch.
fn by_rows(case: &Case) -> (Vec<f64>, Vec<f64>, usize) {
    (input(case, "input.student"), input(case, "input.teacher"), case.floats("input.student").shape[0])
}

/// Through `G = F Fᵀ`: `(dG + dGᵀ) F`.
fn through_products(f: &[f64], dg: &[f64], n: usize) -> Vec<f64> {
    let (both, d) = (relation::symmetric(dg, n), f.len() / n);
    (0..n)
        .flat_map(|i| (0..d).map(move |c| (i, c)))
        .map(|(i, c)| (0..n).map(|j| both[i * n + j] * f[j * d + c]).sum())
        .collect()
}

/// The losses on logits that a composition of twins makes.
fn distill_decoupled(group: &Group) {
    for case in group.cases("dkd") {
        let (s, t, _) = by_rows(&case);
        let (c, labels) = (case.floats("input.student").shape[1], case.labels("input.y"));
        let [temperature, alpha, beta] = ["temperature", "alpha", "beta"].map(|k| case.number(k));
        check(&case, "output.loss", &[dkd::forward(&s, &t, &labels, c, temperature, alpha, beta)]);
        check(&case, "grad.student", &dkd::grad(&s, &t, &labels, c, temperature, alpha, beta));
    }
    for case in group.cases("dist") {
        let (s, t, n) = by_rows(&case);
        let c = case.floats("input.student").shape[1];
        let [temperature, inter, intra] = ["temperature", "inter", "intra"].map(|k| case.number(k));
        let (p, q) = (softmax::softmax(&s, c, temperature), softmax::softmax(&t, c, temperature));
        let (pt, qt) = (correlation::transpose(&p, c), correlation::transpose(&q, c));
        let scale = temperature * temperature;
        let (a, b) = (scale * inter / n as f64, scale * intra / c as f64);
        let sum = |v: Vec<f64>| v.iter().sum::<f64>();
        let loss = a * sum(correlation::forward(&p, &q, c, 1e-8)) + b * sum(correlation::forward(&pt, &qt, n, 1e-8));
        check(&case, "output.loss", &[loss]);
        let columns = correlation::transpose(&correlation::grad(&pt, &qt, n, 1e-8), n);
        let dp: Vec<f64> = correlation::grad(&p, &q, c, 1e-8).iter().zip(columns).map(|(x, y)| a * x + b * y).collect();
        check(&case, "grad.student", &softmax::softmax_grad(&p, &dp, c, temperature));
    }
}

/// Attention transfer between maps of one size.
fn attention_transfer(s: &[f64], t: &[f64], n: usize, (cs, ct): (usize, usize)) -> (f64, Vec<f64>) {
    let (a, b) = (attention::forward(s, cs), attention::forward(t, ct));
    let pixels = a.len() / n;
    let scale = 1.0 / pixels as f64;
    let da: Vec<f64> = feature_loss::normalised_grad(&a, &b, pixels, 1e-12).iter().map(|v| v * scale).collect();
    (scale * feature_loss::normalised(&a, &b, pixels, 1e-12), attention::grad(s, &da, cs))
}

fn distill_relations(group: &Group) {
    for case in group.cases("at") {
        let (s, t, n) = by_rows(&case);
        let channels = (sizes(&case, "input.student")[1], sizes(&case, "input.teacher")[1]);
        let (loss, grad) = attention_transfer(&s, &t, n, channels);
        check(&case, "output.loss", &[loss]);
        check(&case, "grad.student", &grad);
    }
    for case in group.cases("cwd") {
        let [_, c, h, w] = sizes(&case, "input.student");
        let by_channel = |what: &str| transpose::matrices(&input(&case, what), [h * w, c]);
        let (s, t, temperature) =
            (by_channel("input.student"), by_channel("input.teacher"), case.number("temperature"));
        check(&case, "output.loss", &[distill_kl::forward(&s, &t, h * w, temperature, None)]);
        let grad = distill_kl::grad(&s, &t, h * w, temperature, None);
        check(&case, "grad.student", &transpose::matrices(&grad, [c, h * w]));
    }
    for case in group.cases("sp") {
        let (s, t, n) = by_rows(&case);
        let (g, h) = (gramian::products(&s, n), gramian::products(&t, n));
        check(&case, "output.loss", &[feature_loss::normalised(&g, &h, n, 1e-12) / n as f64]);
        let dg = feature_loss::normalised_grad(&g, &h, n, 1e-12);
        let dg: Vec<f64> = dg.iter().map(|v| v / n as f64).collect();
        check(&case, "grad.student", &through_products(&s, &dg, n));
    }
    for case in group.cases("rkd_distance") {
        let (s, t, n) = by_rows(&case);
        check(&case, "output.loss", &[rkd::distance(&s, &t, n)]);
        check(&case, "grad.student", &rkd::distance_grad(&s, &t, n));
    }
    for case in group.cases("rkd_angle") {
        let (s, t, n) = by_rows(&case);
        check(&case, "output.loss", &[rkd::angle(&s, &t, n)]);
        check(&case, "grad.student", &rkd::angle_grad(&s, &t, n));
    }
}

#[test]
fn goldens_distill() {
    let group = Group::load("distill");
    distill_logits(&group);
    distill_features(&group);
    distill_decoupled(&group);
    distill_relations(&group);
    group.assert_complete();
}

/// A map pooled to `[h, w]`, where it is larger.
fn pooled(case: &Case, what: &str, [h, w]: [usize; 2]) -> (Vec<f64>, [usize; 4]) {
    let [n, c, oh, ow] = sizes(case, what);
    let size = [n, oh, ow, c];
    (adaptive_pool::forward(&input(case, what), size, [h, w]), size)
}

fn different_sizes(group: &Group) {
    let common = |case: &Case| {
        let ([_, _, h, w], [_, _, th, tw]) = (sizes(case, "input.student"), sizes(case, "input.teacher"));
        [h.min(th), w.min(tw)]
    };
    for case in group.cases("at_sizes") {
        let out = common(&case);
        let ((s, size), (t, taught)) = (pooled(&case, "input.student", out), pooled(&case, "input.teacher", out));
        let (loss, ds) = attention_transfer(&s, &t, size[0], (size[3], taught[3]));
        check(&case, "output.loss", &[loss]);
        check(&case, "grad.student", &adaptive_pool::grad(&ds, size, out));
    }
    for case in group.cases("fitnet_sizes") {
        let out = common(&case);
        let ((s, size), (t, taught)) = (pooled(&case, "input.student", out), pooled(&case, "input.teacher", out));
        let (shape, adaptor) =
            (Conv2d::square(size[0], out[0], out[1], size[3], taught[3], 1, 1, 0), input(&case, "input.adaptor"));
        let adapted = conv2d::forward(&shape, &s, &adaptor, None);
        let d = feature_loss::mse_grad(&adapted, &t);
        check(&case, "output.loss", &[feature_loss::mse(&adapted, &t)]);
        check(&case, "grad.adaptor", &conv2d::weight_grad(&shape, &s, &d));
        check(&case, "grad.student", &adaptive_pool::grad(&conv2d::input_grad(&shape, &d, &adaptor), size, out));
    }
}

/// Imitation of features where objects are.
fn fgfi(case: &Case) {
    let ([n, ci, h, w], [co, ..]) = (sizes(case, "input.student"), sizes(case, "input.adaptor"));
    let (classes, stride) = (case.integer("classes"), case.integer("stride") as f64);
    let levels = [
        fcos::Level { size: [h, w], stride },
        fcos::Level { size: [h.div_ceil(2), w.div_ceil(2)], stride: 2.0 * stride },
    ];
    let grid = imitation::Grid { size: [h, w], step: [stride; 2] };
    let foreground = fcos::foreground(&input(case, "input.taught"), classes);
    let objects = case.floats("input.objects").f64();
    let (boxes, places) = (objects.len() / (6 * n), foreground.len() / n);
    let mut mask = Vec::new();
    for i in 0..n {
        let rows: Vec<&[f64]> = objects[i * boxes * 6..(i + 1) * boxes * 6].chunks(6).collect();
        let thing =
            |o: &&[f64]| fcos::Thing { edges: [o[0], o[1], o[2], o[3]], class: o[4] as usize, ignored: o[5] == 2.0 };
        let things: Vec<_> = rows.iter().filter(|o| o[5] == 1.0 || o[5] == 2.0).map(thing).collect();
        let looked = rows.iter().all(|o| o[5] != 3.0).then_some(&things[..]);
        mask.extend(imitation::mask(looked, &foreground[i * places..(i + 1) * places], &levels, &grid));
    }
    let shape = Conv2d::square(n, h, w, ci, co, 1, 1, 0);
    let [s, t, adaptor] = ["input.student", "input.teacher", "input.adaptor"].map(|what| input(case, what));
    let adapted = conv2d::forward(&shape, &s, &adaptor, None);
    let d = imitation::grad(&adapted, &t, &mask, co);
    check(case, "output.loss", &[imitation::forward(&adapted, &t, &mask, co)]);
    check(case, "grad.student", &conv2d::input_grad(&shape, &d, &adaptor));
    check(case, "grad.adaptor", &conv2d::weight_grad(&shape, &s, &d));
}

/// Channel-wise distillation of score maps that are enlarged first.
fn score_maps(case: &Case) {
    let ([n, c, h, w], [_, _, oh, ow]) = (sizes(case, "input.student"), sizes(case, "input.teacher"));
    let temperature = case.number("temperature");
    let by_channel = |x: &[f64]| transpose::matrices(x, [oh * ow, c]);
    let s = by_channel(&resize::bilinear(&input(case, "input.student"), [n, h, w, c], [oh, ow]));
    let t = by_channel(&input(case, "input.teacher"));
    check(case, "output.loss", &[distill_kl::forward(&s, &t, oh * ow, temperature, None)]);
    let grad = transpose::matrices(&distill_kl::grad(&s, &t, oh * ow, temperature, None), [c, oh * ow]);
    check(case, "grad.student", &resize::bilinear_grad(&grad, [n, h, w, c], [oh, ow]));
}

#[test]
fn goldens_methods() {
    let group = Group::load("methods");
    for case in group.cases("sigmoid_kd") {
        let (s, t, _) = by_rows(&case);
        let (c, temperature) = (case.floats("input.student").shape[1], case.number("temperature"));
        check(&case, "output.loss", &[sigmoid_kl::forward(&s, &t, c, temperature)]);
        check(&case, "grad.student", &sigmoid_kl::grad(&s, &t, c, temperature));
    }
    for case in group.cases("pkt") {
        let (s, t, n) = by_rows(&case);
        let (u, v) = (normalize::forward(&s, s.len() / n, 1e-7), normalize::forward(&t, t.len() / n, 1e-7));
        let (g, h) = (gramian::products(&u, n), gramian::products(&v, n));
        check(&case, "output.loss", &[pkt::forward(&g, &h, n, 1e-7)]);
        let du = through_products(&u, &pkt::grad(&g, &h, n, 1e-7), n);
        check(&case, "grad.student", &normalize::grad(&s, &du, s.len() / n, 1e-7));
    }
    for case in group.cases("cka") {
        let (s, t, n) = by_rows(&case);
        let (u, v) = (relation::centre(&s, s.len() / n), relation::centre(&t, t.len() / n));
        let (g, h) = (gramian::products(&u, n), gramian::products(&v, n));
        check(&case, "output.loss", &correlation::forward(&g, &h, n * n, 1e-8));
        let du = through_products(&u, &correlation::grad(&g, &h, n * n, 1e-8), n);
        check(&case, "grad.student", &relation::centre(&du, s.len() / n));
    }
    for case in group.cases("pkd") {
        let (s, t) = (input(&case, "input.student"), input(&case, "input.teacher"));
        let c = case.floats("input.student").shape[1];
        let (a, b) = (correlation::transpose(&s, c), correlation::transpose(&t, c));
        let m = s.len() / c;
        let scale = (m - 1) as f64 / (m * c) as f64;
        check(&case, "output.loss", &[scale * correlation::forward(&a, &b, m, 1e-8).iter().sum::<f64>()]);
        let grad: Vec<f64> = correlation::grad(&a, &b, m, 1e-8).iter().map(|g| scale * g).collect();
        check(&case, "grad.student", &correlation::transpose(&grad, m));
    }
    for case in group.cases("vid") {
        let ([n, ci, h, w], [co, ..]) = (sizes(&case, "input.student"), sizes(&case, "input.adaptor"));
        let shape = Conv2d::square(n, h, w, ci, co, 1, 1, 0);
        let [s, t, adaptor, rho] =
            ["input.student", "input.teacher", "input.adaptor", "input.rho"].map(|what| input(&case, what));
        let m = conv2d::forward(&shape, &s, &adaptor, None);
        let (dm, drho) = vid::grad(&m, &t, &rho, 1e-5);
        check(&case, "output.loss", &[vid::forward(&m, &t, &rho, 1e-5)]);
        check(&case, "grad.rho", &drho);
        check(&case, "grad.student", &conv2d::input_grad(&shape, &dm, &adaptor));
        check(&case, "grad.adaptor", &conv2d::weight_grad(&shape, &s, &dm));
    }
    different_sizes(&group);
    for case in group.cases("crd") {
        embedding::crd(&case);
    }
    for case in group.cases("review") {
        embedding::review(&case);
    }
    for case in group.cases("cwd_logits") {
        score_maps(&case);
    }
    for case in group.cases("fgfi") {
        fgfi(&case);
    }
    group.assert_complete();
}

/// Takes the case's steps with `step(p, g, number of the step from 1)`, comparing the parameters after each.
fn take_steps(case: &Case, mut step: impl FnMut(&mut [f64], &[f64], u32)) {
    let mut p = input(case, "input.p");
    let mut taken = 0;
    while let Some(g) = case.find(&format!("input.grad{taken}")) {
        step(&mut p, &g.f64(), taken + 1);
        check(case, &format!("output.p{taken}"), &p);
        taken += 1;
    }
    assert!(taken > 0, "{} takes no step", case.name);
}

#[test]
fn goldens_optim() {
    let group = Group::load("optim");
    for (kind, nesterov) in [("sgd", false), ("nesterov", true)] {
        for case in group.cases(kind) {
            let [lr, momentum, weight_decay] = ["lr", "momentum", "weight_decay"].map(|name| case.number(name));
            let sgd = optimizer::Sgd { lr, momentum, nesterov, weight_decay };
            let mut velocity = vec![0.0; case.floats("input.p").data.len()];
            take_steps(&case, |p, g, t| sgd.step(p, g, &mut velocity, t == 1));
        }
    }
    for (kind, decoupled) in [("adam", false), ("adamw", true)] {
        for case in group.cases(kind) {
            let [lr, eps, weight_decay] = ["lr", "eps", "weight_decay"].map(|name| case.number(name));
            let adam = optimizer::Adam { lr, betas: case.pair("betas"), eps, weight_decay, decoupled };
            let len = case.floats("input.p").data.len();
            let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
            take_steps(&case, |p, g, t| adam.step(p, g, &mut m, &mut v, t));
        }
    }
    group.assert_complete();
}

#[test]
fn reader_permutes_and_measures() {
    let t = goldens::Tensor { shape: vec![1, 2, 1, 3], data: vec![0, 1, 2, 10, 11, 12] };
    assert_eq!(t.nhwc(), goldens::Tensor { shape: vec![1, 1, 3, 2], data: vec![0, 10, 1, 11, 2, 12] });
    let matrix = goldens::Tensor { shape: vec![2, 2], data: vec![0, 1, 2, 3] };
    assert_eq!(matrix.nhwc(), matrix);
    assert_eq!(goldens::relative_error([3.0, 3.0], [3.0, 4.0]), 0.2);
    assert_eq!(goldens::relative_error([f64::NAN], [1.0]), f64::INFINITY);
    assert_eq!(goldens::relative_error([1.0, 2.0], [1.0]), f64::INFINITY);
    assert_eq!(goldens::relative_error([0.5], [0.0]), 0.5);
}
