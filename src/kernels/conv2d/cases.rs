//! What every variant of the convolution is tried with.

use super::{Epilogue, Pass, forward_with, input_grad_with, lanes, register, variants, weight_grad_with, winograd};
use crate::gpu::Gpu;
use crate::kernels::case::{Case, Check, Permutation, f64s, values};
use crate::kernels::rows::{added, destination};
use crate::shape::Conv2d;
use crate::tensor::Tensor;
use crate::{Error, Result, twin};

/// Every way the shaders are compiled.
pub fn permutations() -> Vec<Permutation> {
    [register::permutations(), lanes::permutations(), winograd::permutations()].concat()
}

/// Odd sizes, strides, paddings, dilation, groups, thin and wide channels.
pub fn cases() -> Vec<Case> {
    let square = Conv2d::square;
    let shapes = [
        square(2, 9, 7, 3, 16, 3, 1, 1),
        square(3, 17, 13, 16, 32, 3, 2, 1),
        square(1, 8, 8, 64, 20, 3, 1, 1),
        square(2, 9, 11, 5, 7, 5, 1, 2),
        square(2, 7, 7, 32, 64, 1, 2, 0),
        square(1, 33, 35, 3, 8, 7, 2, 3),
        Conv2d { dilation: 2, ..square(2, 10, 10, 12, 12, 3, 1, 2) },
        Conv2d { groups: 8, ..square(2, 9, 9, 8, 8, 3, 1, 1) },
        Conv2d { groups: 2, ..square(2, 6, 5, 16, 32, 3, 2, 1) },
        Conv2d { groups: 3, ..square(1, 5, 5, 6, 9, 3, 1, 1) },
        square(5, 5, 3, 1, 4, 3, 1, 0),
        square(1, 1, 1, 1, 1, 1, 1, 0),
        square(65, 3, 3, 10, 100, 3, 1, 1),
        square(1, 12, 9, 4, 4, 3, 3, 2),
        Conv2d { kw: 1, ..square(2, 8, 6, 8, 12, 5, 2, 2) },
        // Maps that Winograd's tiles do not divide, and every padding they know.
        square(2, 10, 7, 36, 32, 3, 1, 0),
        square(1, 6, 13, 8, 44, 3, 1, 2),
        square(3, 4, 4, 128, 64, 3, 1, 1),
    ];
    shapes.into_iter().map(|s| Case::new(format!("{s:?}"), move |gpu| run(gpu, &s))).collect()
}

fn run(gpu: &Gpu, s: &Conv2d) -> Result<Vec<Check>> {
    let random = |seed, shape: &[usize]| {
        let data = values(seed, shape.iter().product());
        Ok::<_, Error>((f64s(&data), Tensor::from_f32(gpu, &data, shape)?))
    };
    let ((x64, x), (w64, w)) = (random(1, &s.x_shape())?, random(2, &s.w_shape())?);
    let ((b64, b), (r64, r)) = (random(3, &[s.co])?, random(4, &s.y_shape())?);
    let (dy64, dy) = random(5, &s.y_shape())?;
    let k = s.kh * s.kw * s.ci / s.groups;
    let plain = twin::conv2d::forward(s, &x64, &w64, None);
    let fused =
        twin::elementwise::relu(&twin::elementwise::add(&twin::conv2d::forward(s, &x64, &w64, Some(&b64)), &r64));
    let dx64 = twin::conv2d::input_grad(s, &dy64, &w64);
    let dw64 = twin::conv2d::weight_grad(s, &x64, &dy64);
    let mut checks = Vec::new();
    let profile = gpu.profile();
    for variant in variants(Pass::Forward, s, profile) {
        let y = forward_with(gpu, s, &x, &w, Epilogue::default(), variant)?;
        checks.push(Check::sum(format!("y, {variant}"), y.to_f32(gpu)?, plain.clone(), k));
        let epilogue = Epilogue { bias: Some(&b), residual: Some(&r), relu: true };
        let y = forward_with(gpu, s, &x, &w, epilogue, variant)?;
        checks.push(Check::sum(format!("relu(y + bias + residual), {variant}"), y.to_f32(gpu)?, fused.clone(), k));
    }
    for variant in variants(Pass::InputGrad, s, profile) {
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &s.x_shape(), accumulate)?;
            input_grad_with(gpu, s, &dy, &w, &out, variant)?;
            let what = format!("dx, {variant}, accumulate {accumulate}");
            let terms = s.kh * s.kw * s.co / s.groups;
            checks.push(Check::sum(what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dx64), terms));
        }
    }
    let terms = s.n * s.oh() * s.ow();
    for variant in variants(Pass::WeightGrad, s, profile) {
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &s.w_shape(), accumulate)?;
            weight_grad_with(gpu, s, &x, &dy, &out, variant)?;
            let what = format!("dw, {variant}, accumulate {accumulate}");
            checks.push(Check::sum(what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dw64), terms));
        }
    }
    for tile in register::WEIGHT_TILES.into_iter().filter(|t| register::serves(Pass::WeightGrad, s, *t)) {
        for (splits, accumulate) in [(1, false), (1, true), (3, false), (7, true)] {
            let (out, there) = destination(gpu, &s.w_shape(), accumulate)?;
            register::weight_grad_split(gpu, s, &x, &dy, &out, tile, splits)?;
            let what = format!("dw, tile {}x{}, {splits} splits, accumulate {accumulate}", tile.rows, tile.columns);
            checks.push(Check::sum(what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dw64), terms));
        }
    }
    Ok(checks)
}
