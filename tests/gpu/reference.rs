//! Every reference reproduces PyTorch's values and gradients: whoever trusts the references trusts PyTorch.

mod distillation;
mod embedding;

use crate::golden_files::{self, Case, Group};
use limbeck::{
    reference::{
        adaptive_pool, batch_norm, binary_cross_entropy, conv2d, cross_entropy, dice, elementwise, fcos, feature_loss,
        focal, linear, normalize, optimizer, pool, reduce, resize, softmax,
    },
    shape::{Conv2d, Pool2d},
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
        // The reference knows the elements that have a target only.
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
    let t = golden_files::Tensor { shape: vec![1, 2, 1, 3], data: vec![0, 1, 2, 10, 11, 12] };
    assert_eq!(t.nhwc(), golden_files::Tensor { shape: vec![1, 1, 3, 2], data: vec![0, 10, 1, 11, 2, 12] });
    let matrix = golden_files::Tensor { shape: vec![2, 2], data: vec![0, 1, 2, 3] };
    assert_eq!(matrix.nhwc(), matrix);
    assert_eq!(golden_files::relative_error([3.0, 3.0], [3.0, 4.0]), 0.2);
    assert_eq!(golden_files::relative_error([f64::NAN], [1.0]), f64::INFINITY);
    assert_eq!(golden_files::relative_error([1.0, 2.0], [1.0]), f64::INFINITY);
    assert_eq!(golden_files::relative_error([0.5], [0.0]), 0.5);
}
