//! Distillation's references against PyTorch.

use super::*;
use limbeck::reference::{
    attention, correlation, distill_kl, dkd, gramian, imitation, pkt, relation, rkd, sigmoid_kl, transpose, vid,
};

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
    for (kind, normalize) in [("fitnet", false), ("kd4mtl", true)] {
        for case in group.cases(kind) {
            let ([n, ci, h, w], [co, ..]) = (sizes(&case, "input.student"), sizes(&case, "input.adaptor"));
            let s = Conv2d::square(n, h, w, ci, co, 1, 1, 0);
            let [student, teacher, adaptor] =
                ["input.student", "input.teacher", "input.adaptor"].map(|t| input(&case, t));
            let adapted = conv2d::forward(&s, &student, &adaptor, None);
            let (loss, d) = if normalize {
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

/// The losses on logits that a composition of references makes.
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

/// A detector's classes and boxes after a teacher's.
fn box_kd(case: &Case) {
    let (z, taught, classes) = (input(case, "input.student"), input(case, "input.teacher"), case.integer("classes"));
    let [temperature, weight] = ["temperature", "box_weight"].map(|name| case.number(name));
    let (soft, d_soft) = fcos::soft(&z, &taught, classes, temperature);
    let (boxes, d_boxes) = fcos::giou(&z, &fcos::teach(&taught, classes, 0.3), classes);
    check(case, "output.loss", &[soft + weight * boxes]);
    let both: Vec<f64> = d_soft.iter().zip(d_boxes).map(|(a, b)| a + weight * b).collect();
    check(case, "grad.student", &both);
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
    for case in group.cases("box_kd") {
        box_kd(&case);
    }
    group.assert_complete();
}
