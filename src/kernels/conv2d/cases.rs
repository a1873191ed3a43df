//! What every variant of the convolution is tried with.

use super::{
    Epilogue, Pass, Variant, depthwise, flipped, forward_stats_with, forward_with, input_grad_with, matrix, padded,
    register, subgroup, tiled, variants, weight_grad_with, winograd,
};
use crate::gpu::Gpu;
use crate::kernels::batch_norm::Partials;
use crate::kernels::case::{Case, Check, Permutation, f64s, values};
use crate::kernels::case::{added, destination};
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, reference};

/// Every way the shaders are compiled.
pub fn permutations() -> Vec<Permutation> {
    [
        register::permutations(),
        subgroup::permutations(),
        padded::permutations(),
        flipped::permutations(),
        winograd::permutations(),
        tiled::permutations(),
        matrix::permutations(),
        depthwise::permutations(),
    ]
    .concat()
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
        // Rows that are runs of 32, 16 and 8 pixels, also after the padding.
        square(1, 5, 64, 8, 16, 3, 1, 1),
        square(2, 3, 48, 12, 20, 3, 1, 1),
        square(3, 7, 10, 16, 16, 3, 1, 0),
        // Several tiles of 128x64, none of them full, in rows, columns and terms.
        square(3, 10, 9, 36, 140, 3, 1, 1),
        square(2, 19, 13, 20, 72, 3, 3, 1),
        Conv2d { dilation: 2, ..square(1, 13, 12, 20, 24, 3, 4, 2) },
        Conv2d { groups: 12, dilation: 2, ..square(2, 11, 9, 12, 12, 3, 2, 2) },
        Conv2d { groups: 7, ..square(3, 8, 9, 7, 7, 5, 3, 2) },
        // Dilated stages: maps that keep their size, one smaller than the taps reach, and rows that are runs of 32 pixels.
        Conv2d { dilation: 2, ..square(2, 9, 7, 16, 12, 3, 1, 2) },
        Conv2d { dilation: 4, ..square(1, 13, 11, 12, 20, 3, 1, 4) },
        Conv2d { dilation: 4, ..square(3, 3, 5, 8, 36, 3, 1, 4) },
        Conv2d { dilation: 2, ..square(1, 5, 32, 8, 16, 3, 1, 2) },
        Conv2d { dilation: 4, ..square(2, 7, 9, 3, 8, 3, 1, 4) },
    ];
    let batches = [square(150, 1, 1, 20, 36, 1, 1, 0), square(2, 15, 9, 6, 9, 3, 1, 1)];
    let batches = batches.into_iter().map(|s| Case::new(format!("3 of {s:?}"), move |gpu| run_batch(gpu, &s)));
    // More pixels than an invocation may see: software adapters lose the rest without a word.
    let long = Case::new("sums over 71,680 pixels", move |gpu| run_long(gpu, &square(70, 32, 32, 3, 8, 3, 1, 1)));
    shapes
        .into_iter()
        .map(|s| Case::new(format!("{s:?}"), move |gpu| run(gpu, &s)))
        .chain(batches)
        .chain([long])
        .collect()
}

/// The weight gradient by every variant.
fn run_long(gpu: &Gpu, s: &Conv2d) -> Result<Vec<Check>> {
    let (x, dy) = (values(1, s.x_shape().iter().product()), values(2, s.y_shape().iter().product()));
    let want = reference::conv2d::weight_grad(s, &f64s(&x), &f64s(&dy));
    let (x, dy) = (Tensor::from_f32(gpu, &x, &s.x_shape())?, Tensor::from_f32(gpu, &dy, &s.y_shape())?);
    let mut checks = Vec::new();
    for variant in variants(Pass::WeightGrad, s, gpu.profile()) {
        let dw = GradTarget::fresh(Tensor::empty(gpu, &s.w_shape())?);
        weight_grad_with(gpu, s, &x, &dy, &dw, variant)?;
        let (name, terms) = (format!("dw, {variant}"), s.n * s.oh() * s.ow());
        checks.push(sum(variant, name, dw.tensor.to_f32(gpu)?, want.clone(), terms));
    }
    Ok(checks)
}

/// Three convolutions of one shape in one dispatch, over a grid that folds, with workgroups to spare.
fn run_batch(gpu: &Gpu, s: &Conv2d) -> Result<Vec<Check>> {
    let random = |seed, shape: [usize; 4]| {
        let shape = [&[3], &shape[..]].concat();
        let data = values(seed, shape.iter().product());
        Ok::<_, Error>((f64s(&data), Tensor::from_f32(gpu, &data, &shape)?))
    };
    let ((x64, x), (w64, w), (dy64, dy)) = (random(1, s.x_shape())?, random(2, s.w_shape())?, random(3, s.y_shape())?);
    let each = |f: fn(&Conv2d, &[f64], &[f64]) -> Vec<f64>, a: &[f64], b: &[f64]| -> Vec<f64> {
        a.chunks(a.len() / 3).zip(b.chunks(b.len() / 3)).flat_map(|(a, b)| f(s, a, b)).collect()
    };
    let y64 = each(|s, x, w| reference::conv2d::forward(s, x, w, None), &x64, &w64);
    let dx64 = each(reference::conv2d::input_grad, &dy64, &w64);
    let dw64 = each(reference::conv2d::weight_grad, &x64, &dy64);
    let mut checks = Vec::new();
    for (tile, splits) in tiled::TILES.into_iter().flat_map(|t| [(t, 1), (t, 3)]) {
        let plan = |pass| tiled::Plan::new(pass, s, 3, tile, gpu.profile().class).in_parts(splits).in_rows_of(2);
        let out = |len| Tensor::empty(gpu, &[len]).map(GradTarget::fresh);
        let (y, dx, dw) = (out(y64.len())?, out(dx64.len())?, out(dw64.len())?);
        tiled::forward(gpu, &plan(Pass::Forward), (&x, &w), (Epilogue::default(), None), &y.tensor)?;
        tiled::input_grad(gpu, &plan(Pass::InputGrad), &dy, &w, &dx)?;
        tiled::weight_grad(gpu, &plan(Pass::WeightGrad), &x, &dy, &dw)?;
        for (what, got, want) in [("y", y, &y64), ("dx", dx, &dx64), ("dw", dw, &dw64)] {
            let what = format!("{what}, tiled-{}x{}, {splits} splits", tile.rows, tile.columns);
            checks.push(Check::sum(what, got.tensor.to_f32(gpu)?, want.clone(), s.kh * s.kw * s.ci));
        }
    }
    Ok(checks)
}

/// The pixels of each chunk of partial sums: in their order, or tile by tile.
fn chunks(s: &Conv2d, partials: &Partials, variant: Variant) -> Vec<Vec<usize>> {
    let pixels: Vec<usize> = match variant {
        Variant::Winograd(size) => {
            let tiles =
                (0..s.n * s.oh()).step_by(size).flat_map(|top| (0..s.ow()).step_by(size).map(move |l| (top, l)));
            let inside = (0..size * size).map(|i| (i / size, i % size));
            tiles.flat_map(|(top, left)| inside.clone().map(move |(r, c)| (top + r) * s.ow() + left + c)).collect()
        }
        _ => (0..s.n * s.oh() * s.ow()).collect(),
    };
    pixels.chunks(partials.rows).map(<[usize]>::to_vec).collect()
}

/// A check of a sum of `k` terms that `variant` computed.
fn sum(variant: Variant, what: String, got: Vec<f32>, want: Vec<f64>, k: usize) -> Check {
    let check = Check::sum(what, got, want, k);
    Check { tolerance: check.tolerance + variant.rounding(), ..check }
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
    let plain = reference::conv2d::forward(s, &x64, &w64, None);
    let fused = reference::elementwise::relu(&reference::elementwise::add(
        &reference::conv2d::forward(s, &x64, &w64, Some(&b64)),
        &r64,
    ));
    let dx64 = reference::conv2d::input_grad(s, &dy64, &w64);
    let dw64 = reference::conv2d::weight_grad(s, &x64, &dy64);
    let mut checks = Vec::new();
    let profile = gpu.profile();
    for variant in variants(Pass::Forward, s, profile) {
        let y = forward_with(gpu, s, &x, &w, Epilogue::default(), variant)?;
        checks.push(sum(variant, format!("y, {variant}"), y.to_f32(gpu)?, plain.clone(), k));
        let epilogue = Epilogue { bias: Some(&b), residual: Some(&r), relu: true };
        let y = forward_with(gpu, s, &x, &w, epilogue, variant)?;
        checks.push(sum(variant, format!("relu(y + bias + residual), {variant}"), y.to_f32(gpu)?, fused.clone(), k));
    }
    for variant in variants(Pass::Forward, s, profile) {
        let (y, partials) = forward_stats_with(gpu, s, &x, &w, variant)?;
        checks.push(sum(variant, format!("y beside its sums, {variant}"), y.to_f32(gpu)?, plain.clone(), k));
        if let Some(partials) = partials {
            let want = reference::batch_norm::chunk_stats(&plain, s.co, &chunks(s, &partials, variant));
            checks.push(Check::sum(format!("sums, {variant}"), partials.part.to_f32(gpu)?, want, k));
        }
    }
    // The tiled family's sums on a grid that folds, with workgroups to spare.
    for tile in tiled::TILES {
        let y = Tensor::empty(gpu, &s.y_shape())?;
        let plan = tiled::Plan::new(Pass::Forward, s, 1, tile, profile.class).in_parts(1).in_rows_of(3);
        let rows = tile.rows;
        let part = Tensor::empty(gpu, &[(s.n * s.oh() * s.ow()).div_ceil(rows), 2, s.co])?;
        tiled::forward(gpu, &plan, (&x, &w), (Epilogue::default(), Some(&part)), &y)?;
        let partials = Partials { part, rows };
        let want = reference::batch_norm::chunk_stats(&plain, s.co, &chunks(s, &partials, Variant::Tiled(tile)));
        let what = format!("sums, tiled-{}x{}, folded", tile.rows, tile.columns);
        checks.push(Check::sum(what, partials.part.to_f32(gpu)?, want, k));
    }
    for variant in variants(Pass::InputGrad, s, profile) {
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &s.x_shape(), accumulate)?;
            input_grad_with(gpu, s, &dy, &w, &out, variant)?;
            let what = format!("dx, {variant}, accumulate {accumulate}");
            let terms = s.kh * s.kw * s.co / s.groups;
            checks.push(sum(variant, what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dx64), terms));
        }
    }
    let terms = s.n * s.oh() * s.ow();
    for variant in variants(Pass::WeightGrad, s, profile) {
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &s.w_shape(), accumulate)?;
            weight_grad_with(gpu, s, &x, &dy, &out, variant)?;
            let what = format!("dw, {variant}, accumulate {accumulate}");
            checks.push(sum(variant, what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dw64), terms));
        }
    }
    // An image at a time, as where memory is short.
    for size in
        winograd::SIZES.into_iter().filter(|z| s.n > 1 && Variant::Winograd(*z).serves(Pass::Forward, s, profile))
    {
        let y = Tensor::empty(gpu, &s.y_shape())?;
        let epilogue = Epilogue { bias: Some(&b), residual: Some(&r), relu: true };
        winograd::forward(gpu, s, &x, &w, (epilogue, None), &y, (size, 1))?;
        checks.push(Check::sum(format!("y, winograd {size} by image"), y.to_f32(gpu)?, fused.clone(), k));
        let (out, there) = destination(gpu, &s.x_shape(), true)?;
        winograd::input_grad(gpu, s, &dy, &w, &out, (size, 1))?;
        let want = added(&there, 1.0, &dx64);
        checks.push(Check::sum(format!("dx, winograd {size} by image"), out.tensor.to_f32(gpu)?, want, k));
    }
    for tile in register::WEIGHT_TILES.into_iter().filter(|t| register::serves(Pass::WeightGrad, s, *t)) {
        for (splits, accumulate) in [(1, false), (1, true), (3, false), (7, true)] {
            let (out, there) = destination(gpu, &s.w_shape(), accumulate)?;
            register::weight_grad_split(gpu, s, &x, &dy, &out, tile, splits)?;
            let what = format!("dw, tile {}x{}, {splits} splits, accumulate {accumulate}", tile.rows, tile.columns);
            checks.push(Check::sum(what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dw64), terms));
        }
    }
    // Sums in parts, more of them than there are tiles of terms, with what follows them.
    let plan = |pass, tile, splits| tiled::Plan::new(pass, s, 1, tile, profile.class).in_parts(splits);
    for (tile, splits) in tiled::TILES.into_iter().zip([2, 3, 4, 5, 99]) {
        let named = |what: &str| format!("{what}, tiled-{}x{}, {splits} splits", tile.rows, tile.columns);
        let y = Tensor::empty(gpu, &s.y_shape())?;
        let epilogue = Epilogue { bias: Some(&b), residual: Some(&r), relu: true };
        tiled::forward(gpu, &plan(Pass::Forward, tile, splits), (&x, &w), (epilogue, None), &y)?;
        checks.push(Check::sum(named("relu(y + bias + residual)"), y.to_f32(gpu)?, fused.clone(), k));
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &s.x_shape(), accumulate)?;
            tiled::input_grad(gpu, &plan(Pass::InputGrad, tile, splits), &dy, &w, &out)?;
            let want = added(&there, 1.0, &dx64);
            checks.push(Check::sum(named("dx"), out.tensor.to_f32(gpu)?, want, s.kh * s.kw * s.co / s.groups));
            let (out, there) = destination(gpu, &s.w_shape(), accumulate)?;
            tiled::weight_grad(gpu, &plan(Pass::WeightGrad, tile, splits), &x, &dy, &out)?;
            checks.push(Check::sum(named("dw"), out.tensor.to_f32(gpu)?, added(&there, 1.0, &dw64), terms));
        }
    }
    for tile in matrix::TILES.into_iter().filter(|t| matrix::serves(s, *t, profile)) {
        let plan = |pass, splits| Ok::<_, Error>(matrix::Plan::new(pass, s, tile, profile)?.in_parts(splits));
        for (splits, accumulate) in [(1, true), (2, false), (99, true)] {
            let variant = Variant::Matrix(tile);
            let named = |what: &str| format!("{what}, {variant}, {splits} splits");
            let y = Tensor::empty(gpu, &s.y_shape())?;
            let epilogue = Epilogue { bias: Some(&b), residual: Some(&r), relu: true };
            matrix::forward(gpu, &plan(Pass::Forward, splits)?, &x, &w, epilogue, &y)?;
            checks.push(sum(variant, named("relu(y + bias + residual)"), y.to_f32(gpu)?, fused.clone(), k));
            let (out, there) = destination(gpu, &s.x_shape(), accumulate)?;
            matrix::input_grad(gpu, &plan(Pass::InputGrad, splits)?, &dy, &w, &out)?;
            let want = added(&there, 1.0, &dx64);
            checks.push(sum(variant, named("dx"), out.tensor.to_f32(gpu)?, want, s.kh * s.kw * s.co / s.groups));
            let (out, there) = destination(gpu, &s.w_shape(), accumulate)?;
            matrix::weight_grad(gpu, &plan(Pass::WeightGrad, splits)?, &x, &dy, &out)?;
            checks.push(sum(variant, named("dw"), out.tensor.to_f32(gpu)?, added(&there, 1.0, &dw64), terms));
        }
    }
    Ok(checks)
}
