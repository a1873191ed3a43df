//! The GPU reproduces PyTorch's values and gradients, kernel by kernel and in a whole net, through the public
//! interface.

mod distillation;
mod embedding;
mod resnet20;

use std::sync::OnceLock;

use crate::golden_files::{self, Case, Group};
use limbeck::{
    Result,
    gpu::{Gpu, Options},
    kernels::{
        LossOut,
        batch_norm::{self, Norm, NormTargets},
        binary_cross_entropy::binary_cross_entropy,
        conv2d::{self, Epilogue, Pass},
        cross_entropy::cross_entropy,
        dice::dice,
        fcos::{self, Focal, Part},
        focal::focal,
        linear,
        optimizer::{self, Adam, Sgd},
        pool, reduce, resize, softmax,
    },
    shape::{Conv2d, Pool2d},
    tensor::{GradTarget, Tensor},
};

/// Relative error allowed: f32 against f64.
const TOLERANCE: f64 = 1e-4;

/// The device all tests of this file share. Buffers are handed out full of NaN, so a value nobody wrote cannot pass.
fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::new(Options { poison: true, ..Options::from_env() }).expect("the goldens need a GPU"))
}

/// A tensor of the case on the GPU, in NHWC (or OHWI) order.
fn upload(case: &Case, what: &str) -> Result<Tensor> {
    let values = case.floats(what).nhwc();
    Tensor::from_f32(gpu(), &values.data, &values.shape)
}

/// Memory for a gradient of the shape of `like`.
fn target(like: &Tensor) -> Result<GradTarget> {
    Ok(GradTarget::fresh(Tensor::empty(gpu(), like.shape())?))
}

/// The whole loss and its gradient.
fn out<'a>(grad: &'a GradTarget, row_loss: &'a Tensor) -> LossOut<'a> {
    LossOut { weight: 1.0, grad: Some(grad), row_loss }
}

#[track_caller]
fn check(case: &Case, what: &str, got: &Tensor) {
    case.check(what, got.to_f32(gpu()).expect("the values do not come back"), TOLERANCE);
}

/// Compares the sum of the rows' shares with the loss.
#[track_caller]
fn check_loss(case: &Case, row_loss: &Tensor) {
    let rows = row_loss.to_f32(gpu()).expect("the values do not come back");
    case.check("output.loss", [rows.iter().map(|v| f64::from(*v)).sum::<f64>()], TOLERANCE);
}

/// The sizes of a tensor of four axes, as PyTorch orders them.
fn sizes(case: &Case, what: &str) -> [usize; 4] {
    case.floats(what).shape.as_slice().try_into().expect("not a tensor of four axes")
}

#[test]
fn goldens_name_only_known_groups() {
    // `dense` is in dense.rs, `bottleneck` in bottleneck.rs.
    let covered = [
        "batch_norm",
        "bottleneck",
        "conv2d",
        "dense",
        "distill",
        "linear",
        "loss",
        "losses",
        "methods",
        "optim",
        "pool",
        "resnet20",
        "softmax",
    ];
    assert_eq!(golden_files::groups(), covered);
}

/// Devices without and with bounds checks. One of each serves all cases, which then share their pipelines.
fn unchecked_and_checked() -> &'static [Gpu; 2] {
    static GPUS: OnceLock<[Gpu; 2]> = OnceLock::new();
    let open = |checked| Gpu::new(Options { checked, poison: true, ..Options::default() });
    GPUS.get_or_init(|| [false, true].map(|checked| open(checked).expect("the goldens need a GPU")))
}

/// Compares a convolution's values and gradients by each variant that serves it, with and without bounds checks.
fn by_every_variant(case: &Case, s: &Conv2d) -> Result<()> {
    for gpu in unchecked_and_checked() {
        let upload = |what: &str, shape: [usize; 4]| Tensor::from_f32(gpu, &case.floats(what).nhwc().data, &shape);
        let (x, weight) = (upload("input.x", s.x_shape())?, upload("input.weight", s.w_shape())?);
        let dy = upload("cotangent.y", s.y_shape())?;
        let bias = Tensor::from_f32(gpu, &case.floats("input.bias").data, &[s.co])?;
        let values = |got: &Tensor| got.to_f32(gpu).expect("the values do not come back");
        let check = |what, got: &Tensor| case.check(what, values(got), TOLERANCE);
        for variant in conv2d::variants(Pass::Forward, s, gpu.profile()) {
            let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
            check("output.y", &conv2d::forward_with(gpu, s, &x, &weight, epilogue, variant)?);
        }
        let fresh = |shape: [usize; 4]| Tensor::empty(gpu, &shape).map(GradTarget::fresh);
        for variant in conv2d::variants(Pass::InputGrad, s, gpu.profile()) {
            let dx = fresh(s.x_shape())?;
            conv2d::input_grad_with(gpu, s, &dy, &weight, &dx, variant)?;
            check("grad.x", &dx.tensor);
        }
        for variant in conv2d::variants(Pass::WeightGrad, s, gpu.profile()) {
            let dw = fresh(s.w_shape())?;
            conv2d::weight_grad_with(gpu, s, &x, &dy, &dw, variant)?;
            check("grad.weight", &dw.tensor);
        }
    }
    Ok(())
}

#[test]
fn goldens_conv2d() -> Result<()> {
    let group = Group::load("conv2d");
    for case in group.cases("conv") {
        let ([n, ci, h, w], [co, _, kh, kw]) = (sizes(&case, "input.x"), sizes(&case, "input.weight"));
        let [stride, padding, dilation, groups] =
            ["stride", "padding", "dilation", "groups"].map(|name| case.integer(name));
        let s = Conv2d { n, h, w, ci, co, kh, kw, stride, padding, dilation, groups };
        let (x, weight, bias) =
            (upload(&case, "input.x")?, upload(&case, "input.weight")?, upload(&case, "input.bias")?);
        let dy = upload(&case, "cotangent.y")?;
        let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
        check(&case, "output.y", &conv2d::forward(gpu(), &s, &x, &weight, epilogue)?);
        let (dx, dweight, dbias) = (target(&x)?, target(&weight)?, target(&bias)?);
        conv2d::input_grad(gpu(), &s, &dy, &weight, &dx)?;
        conv2d::weight_grad(gpu(), &s, &x, &dy, &dweight)?;
        reduce::column_sum(gpu(), &dy, 1.0, &dbias)?;
        check(&case, "grad.x", &dx.tensor);
        check(&case, "grad.weight", &dweight.tensor);
        check(&case, "grad.bias", &dbias.tensor);
        by_every_variant(&case, &s)?;
    }
    group.assert_complete();
    Ok(())
}

/// Learned and running values of a batch norm; the running ones start at 0 and 1 where the case has none.
fn norm(case: &Case) -> Result<Norm> {
    let (gamma, beta) = (upload(case, "input.gamma")?, upload(case, "input.beta")?);
    let c = gamma.len();
    let start = |what: &str, default| case.find(what).map_or(vec![default; c], |t| t.data.clone());
    let running = [start("input.running_mean", 0.0), start("input.running_var", 1.0)].concat();
    let running = Tensor::from_f32(gpu(), &running, &[2, c])?;
    Ok(Norm { gamma, beta, running, eps: case.number("eps") as f32, momentum: 0.1 })
}

/// Normalises with the batch's statistics or the running ones, and compares values and gradients.
fn batch_norm(case: &Case, training: bool, residual: Option<Tensor>) -> Result<()> {
    // The only case with a residual is followed by a ReLU.
    let relu = residual.is_some();
    let (x, norm, dy) = (upload(case, "input.x")?, norm(case)?, upload(case, "cotangent.y")?);
    let stats = if training {
        batch_norm::batch_stats(gpu(), &x, &norm, None)?
    } else {
        batch_norm::running_stats(gpu(), &norm)?
    };
    let y = batch_norm::normalize(gpu(), &x, &stats, &norm, residual.as_ref(), relu)?;
    check(case, "output.y", &y);
    let (dx, dgamma, dbeta) = (target(&x)?, target(&norm.gamma)?, target(&norm.beta)?);
    let dresidual = residual.as_ref().map(target).transpose()?;
    let out = NormTargets { dx: Some(&dx), dgamma: &dgamma, dbeta: &dbeta, dresidual: dresidual.as_ref() };
    batch_norm::backward(gpu(), (&dy, &x, &y), &stats, &norm, (residual.is_some(), relu), training, out)?;
    check(case, "grad.x", &dx.tensor);
    check(case, "grad.gamma", &dgamma.tensor);
    check(case, "grad.beta", &dbeta.tensor);
    if let Some(dresidual) = dresidual {
        check(case, "grad.residual", &dresidual.tensor);
    }
    if case.find("output.new_running_mean").is_some() {
        assert_eq!(case.number("momentum") as f32, norm.momentum);
        let running = norm.running.to_f32(gpu())?;
        let (mean, var) = running.split_at(running.len() / 2);
        case.check("output.new_running_mean", mean.iter().copied(), TOLERANCE);
        case.check("output.new_running_var", var.iter().copied(), TOLERANCE);
    }
    Ok(())
}

#[test]
fn goldens_batch_norm() -> Result<()> {
    let group = Group::load("batch_norm");
    for case in group.cases("train") {
        batch_norm(&case, true, None)?;
    }
    for case in group.cases("train_residual_relu") {
        batch_norm(&case, true, Some(upload(&case, "input.residual")?))?;
    }
    for case in group.cases("eval") {
        batch_norm(&case, false, None)?;
    }
    group.assert_complete();
    Ok(())
}

fn pool_shape(case: &Case) -> Pool2d {
    let [n, c, h, w] = sizes(case, "input.x");
    let [kernel, stride, padding] = ["kernel", "stride", "padding"].map(|name| case.integer(name));
    Pool2d { n, h, w, c, kernel, stride, padding }
}

#[test]
fn goldens_pool() -> Result<()> {
    let group = Group::load("pool");
    for case in group.cases("max") {
        let (s, x, dy) = (pool_shape(&case), upload(&case, "input.x")?, upload(&case, "cotangent.y")?);
        let (y, dx) = (pool::max(gpu(), &s, &x)?, target(&x)?);
        pool::max_grad(gpu(), &s, &x, &y, &dy, &dx)?;
        check(&case, "output.y", &y);
        check(&case, "grad.x", &dx.tensor);
    }
    for case in group.cases("avg") {
        let (s, x, dy) = (pool_shape(&case), upload(&case, "input.x")?, upload(&case, "cotangent.y")?);
        let dx = target(&x)?;
        pool::avg_grad(gpu(), &s, &dy, &dx)?;
        check(&case, "output.y", &pool::avg(gpu(), &s, &x)?);
        check(&case, "grad.x", &dx.tensor);
    }
    for case in group.cases("up_nearest") {
        let (x, dy) = (upload(&case, "input.x")?, upload(&case, "cotangent.y")?);
        let dx = target(&x)?;
        let out = [dy.shape()[1], dy.shape()[2]];
        resize::nearest_grad(gpu(), &dy, &dx)?;
        check(&case, "output.y", &resize::nearest(gpu(), &x, out)?);
        check(&case, "grad.x", &dx.tensor);
    }
    for case in group.cases("up_bilinear") {
        let (x, dy) = (upload(&case, "input.x")?, upload(&case, "cotangent.y")?);
        let dx = target(&x)?;
        let out = [dy.shape()[1], dy.shape()[2]];
        resize::bilinear_grad(gpu(), &dy, &dx)?;
        check(&case, "output.y", &resize::bilinear(gpu(), &x, out)?);
        check(&case, "grad.x", &dx.tensor);
    }
    for case in group.cases("global_avg") {
        let (x, dy) = (upload(&case, "input.x")?, upload(&case, "cotangent.y")?);
        let dx = target(&x)?;
        pool::global_avg_grad(gpu(), &dy, &dx)?;
        check(&case, "output.y", &pool::global_avg(gpu(), &x)?);
        check(&case, "grad.x", &dx.tensor);
    }
    group.assert_complete();
    Ok(())
}

#[test]
fn goldens_linear() -> Result<()> {
    let group = Group::load("linear");
    for case in group.cases("linear") {
        let (x, weight, bias) =
            (upload(&case, "input.x")?, upload(&case, "input.weight")?, upload(&case, "input.bias")?);
        let dy = upload(&case, "cotangent.y")?;
        let (dx, dweight, dbias) = (target(&x)?, target(&weight)?, target(&bias)?);
        linear::input_grad(gpu(), &x, &dy, &weight, &dx)?;
        linear::weight_grad(gpu(), &x, &dy, &weight, &dweight)?;
        linear::bias_grad(gpu(), &dy, &dbias)?;
        check(&case, "output.y", &linear::forward(gpu(), &x, &weight, Some(&bias), false)?);
        check(&case, "grad.x", &dx.tensor);
        check(&case, "grad.weight", &dweight.tensor);
        check(&case, "grad.bias", &dbias.tensor);
        // The products are convolutions of single pixels.
        by_every_variant(&case, &Conv2d::square(x.rows(), 1, 1, x.columns(), dy.columns(), 1, 1, 0))?;
    }
    group.assert_complete();
    Ok(())
}

#[test]
fn goldens_softmax() -> Result<()> {
    let group = Group::load("softmax");
    for case in group.cases("softmax") {
        let (z, t) = (upload(&case, "input.z")?, case.number("temperature") as f32);
        let (dp, dlogp) = (upload(&case, "cotangent.p")?, upload(&case, "cotangent.logp")?);
        let (p, logp) = (softmax::softmax(gpu(), &z, t)?, softmax::log_softmax(gpu(), &z, t)?);
        check(&case, "output.p", &p);
        check(&case, "output.logp", &logp);
        let dz = target(&z)?;
        softmax::softmax_grad(gpu(), &p, &dp, t, &dz)?;
        softmax::log_softmax_grad(gpu(), &logp, &dlogp, t, &GradTarget { accumulate: true, ..dz.clone() })?;
        check(&case, "grad.z", &dz.tensor);
    }
    group.assert_complete();
    Ok(())
}

#[test]
fn goldens_loss() -> Result<()> {
    let group = Group::load("loss");
    for (kind, smooth) in [("ce", false), ("ce_smooth", true)] {
        for case in group.cases(kind) {
            let (z, labels) = (upload(&case, "input.z")?, case.labels("input.y"));
            let labels = Tensor::from_u32(gpu(), &labels, &[labels.len()])?;
            let smoothing = if smooth { case.number("label_smoothing") as f32 } else { 0.0 };
            let (dz, rows) = (target(&z)?, Tensor::empty(gpu(), &[z.rows()])?);
            cross_entropy(gpu(), &z, &labels, smoothing, out(&dz, &rows))?;
            check_loss(&case, &rows);
            check(&case, "grad.z", &dz.tensor);
        }
    }
    for case in group.cases("bce") {
        let (z, targets) = (upload(&case, "input.z")?, upload(&case, "input.y")?);
        let (dz, rows) = (target(&z)?, Tensor::empty(gpu(), &[z.rows()])?);
        binary_cross_entropy(gpu(), &z, &targets, None, out(&dz, &rows))?;
        check_loss(&case, &rows);
        check(&case, "grad.z", &dz.tensor);
    }
    group.assert_complete();
    Ok(())
}

/// The losses of one detector's part, on what the case says its places are to say.
fn detector(case: &Case, part: Part) -> Result<()> {
    let (z, targets) = (upload(case, "input.z")?, upload(case, "input.targets")?);
    let norms = fcos::norms(gpu(), &targets)?;
    let (dz, rows) = (target(&z)?, Tensor::empty(gpu(), &[z.rows()])?);
    fcos::loss(gpu(), part, &z, (&targets, &norms), out(&dz, &rows))?;
    check_loss(case, &rows);
    check(case, "grad.z", &dz.tensor);
    Ok(())
}

#[test]
fn goldens_losses() -> Result<()> {
    let group = Group::load("losses");
    let labels = |case: &Case| {
        let labels = case.labels("input.y");
        Tensor::from_u32(gpu(), &labels, &[labels.len()])
    };
    for case in group.cases("ce_ignore") {
        let (z, smoothing) = (upload(&case, "input.z")?, case.number("label_smoothing") as f32);
        let (dz, rows) = (target(&z)?, Tensor::empty(gpu(), &[z.rows()])?);
        cross_entropy(gpu(), &z, &labels(&case)?, smoothing, out(&dz, &rows))?;
        check_loss(&case, &rows);
        check(&case, "grad.z", &dz.tensor);
    }
    for kind in ["ce_weighted", "focal"] {
        for case in group.cases(kind) {
            let (z, weights, gamma) =
                (upload(&case, "input.z")?, upload(&case, "input.class_weights")?, case.number("gamma") as f32);
            let (dz, rows) = (target(&z)?, Tensor::empty(gpu(), &[z.rows()])?);
            focal(gpu(), &z, &labels(&case)?, &weights, gamma, out(&dz, &rows))?;
            check_loss(&case, &rows);
            check(&case, "grad.z", &dz.tensor);
        }
    }
    for case in group.cases("bce_positive") {
        let [z, targets, weights] = ["input.z", "input.y", "input.positive_weights"].map(|what| upload(&case, what));
        let (z, targets, weights) = (z?, targets?, weights?);
        let (dz, rows) = (target(&z)?, Tensor::empty(gpu(), &[z.rows()])?);
        binary_cross_entropy(gpu(), &z, &targets, Some(&weights), out(&dz, &rows))?;
        check_loss(&case, &rows);
        check(&case, "grad.z", &dz.tensor);
    }
    for case in group.cases("dice") {
        let (z, weights, smoothing) =
            (upload(&case, "input.z")?, upload(&case, "input.class_weights")?, case.number("smoothing") as f32);
        let (dz, classes) = (target(&z)?, Tensor::empty(gpu(), &[z.columns()])?);
        dice(gpu(), &z, &labels(&case)?, &weights, smoothing, out(&dz, &classes))?;
        check_loss(&case, &classes);
        check(&case, "grad.z", &dz.tensor);
    }
    for case in group.cases("sigmoid_focal") {
        let [alpha, gamma] = ["alpha", "gamma"].map(|name| case.number(name) as f32);
        detector(&case, Part::Classes(Focal { alpha, gamma }))?;
    }
    for case in group.cases("giou") {
        detector(&case, Part::Boxes)?;
    }
    group.assert_complete();
    Ok(())
}

/// Takes the case's steps with `step(p, g, number of the step from 1)`, comparing the parameters after each.
fn take_steps(case: &Case, mut step: impl FnMut(&Tensor, &Tensor, u64) -> Result<()>) -> Result<()> {
    // Parameters are changed in place.
    let p = upload(case, "input.p")?;
    for i in (0..).take_while(|i| case.find(&format!("input.grad{i}")).is_some()) {
        step(&p, &upload(case, &format!("input.grad{i}"))?, i + 1)?;
        check(case, &format!("output.p{i}"), &p);
    }
    Ok(())
}

#[test]
fn goldens_optim() -> Result<()> {
    let group = Group::load("optim");
    for (kind, nesterov) in [("sgd", false), ("nesterov", true)] {
        for case in group.cases(kind) {
            let [lr, momentum, weight_decay] = ["lr", "momentum", "weight_decay"].map(|name| case.number(name) as f32);
            let sgd = Sgd { lr, momentum, nesterov, weight_decay };
            let velocity = target(&upload(&case, "input.p")?)?.tensor;
            take_steps(&case, |p, g, t| {
                let hyper = Tensor::from_f32(gpu(), &sgd.hyper(t), &[4])?;
                optimizer::sgd(gpu(), &sgd, &hyper, p, g, &velocity, None)
            })?;
        }
    }
    for (kind, decoupled) in [("adam", false), ("adamw", true)] {
        for case in group.cases(kind) {
            let [lr, eps, weight_decay] = ["lr", "eps", "weight_decay"].map(|name| case.number(name) as f32);
            let (beta1, beta2) = case.pair("betas");
            let adam = Adam { lr, betas: (beta1 as f32, beta2 as f32), eps, weight_decay, decoupled };
            let like = upload(&case, "input.p")?;
            let (m, v) = (target(&like)?.tensor, target(&like)?.tensor);
            take_steps(&case, |p, g, t| {
                let hyper = Tensor::from_f32(gpu(), &adam.hyper(t), &[4])?;
                optimizer::adam(gpu(), &adam, &hyper, p, g, (&m, &v), None)
            })?;
        }
    }
    group.assert_complete();
    Ok(())
}
