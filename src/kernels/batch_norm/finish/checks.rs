//! What is tried of `batch_norm/finish`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub(in crate::kernels::batch_norm) fn permutations() -> Vec<Permutation> {
    STRANDS.map(|strands| Permutation { source: SOURCE, defines: defines! { STRANDS = strands } }).into()
}

/// Fewer and more chunks than strands, a short last one, more than one invocation may see, channels that fill no workgroup; every
/// number of strands.
pub(in crate::kernels::batch_norm) fn cases() -> Vec<Case> {
    let shapes = [(1000, 3, 5), (1, 4, 1), (777, 64, 16), (2085, 8, 33), (131, 1, 3), (40, 2, 300), (140_000, 2, 1)];
    let case = |(rows, chunk, c)| {
        Case::new(format!("[{rows}, {c}] in chunks of {chunk}"), move |gpu| run(gpu, rows, chunk, c))
    };
    shapes.map(case).into()
}

fn run(gpu: &Gpu, rows: usize, chunk: usize, c: usize) -> Result<Vec<Check>> {
    // A mean far from zero, and chunks that differ.
    let data = values(1, rows * c).into_iter().enumerate();
    let x: Vec<f64> = data.map(|(i, v)| f64::from(v) + 3.0 * (i % c % 3) as f64 + 0.01 * (i / c) as f64).collect();
    let order: Vec<usize> = (0..rows).collect();
    let chunks: Vec<Vec<usize>> = order.chunks(chunk).map(<[usize]>::to_vec).collect();
    let f32s = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    let of_x = f32s(&reference::batch_norm::chunk_stats(&x, c, &chunks));
    let of_dz = values(2, chunks.len() * 2 * c);
    let (gamma, beta, before) = (values(3, c), values(4, c), values(5, 2 * c));
    let up = |v: &[f32], shape: &[usize]| Tensor::from_f32(gpu, v, shape);
    let shape = [chunks.len(), 2, c];
    let (partials, part) = (Partials { part: up(&of_x, &shape)?, rows: chunk }, up(&of_dz, &shape)?);

    let (mean, var) = reference::batch_norm::stats(&x, c);
    let rstd: Vec<f64> = var.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
    let before64 = f64s(&before);
    let (mut running_mean, mut running_var) = (before64[..c].to_vec(), before64[c..].to_vec());
    reference::batch_norm::update_running(&mut running_mean, &mut running_var, &mean, &var, rows, 0.1);
    let sum = |which: usize| -> Vec<f64> {
        let of = |j| of_dz.iter().skip(which * c + j).step_by(2 * c).map(|v| f64::from(*v)).sum();
        (0..c).map(of).collect()
    };
    let (dz, dot, n) = (sum(0), sum(1), rows as f64);
    let mut checks = Vec::new();
    // No invocation may walk through the chunks of the last shape alone.
    let class = gpu.profile().class;
    for strands in STRANDS.into_iter().filter(|s| *s >= strands(chunks.len(), class) || chunks.len() <= PART) {
        let running = Tensor::empty(gpu, &[2, c])?;
        running.copy_from(gpu, &up(&before, &[2, c])?)?;
        let norm = Norm { gamma: up(&gamma, &[c])?, beta: up(&beta, &[c])?, running, eps: 1e-5, momentum: 0.1 };
        let got = stats(gpu, &partials, rows, &norm, strands)?;
        let mut push = |what: &str, got: &Tensor, want: Vec<f64>, terms| {
            got.to_f32(gpu).map(|got| checks.push(Check::sum(format!("{what}, {strands} strands"), got, want, terms)))
        };
        push("statistics", &got, [&mean[..], &rstd].concat(), chunks.len())?;
        push("running", &norm.running, [&running_mean[..], &running_var].concat(), chunks.len())?;
        let saved = f64s(&got.to_f32(gpu)?);
        for (training, accumulate) in [(true, false), (false, true)] {
            let ((dgamma, dgamma0), (dbeta, dbeta0)) =
                (destination(gpu, &[c], accumulate)?, destination(gpu, &[c], accumulate)?);
            let got = grads(gpu, (&part, rows), &got, &norm, training, (&dgamma, &dbeta), strands)?;
            let share = if training { -1.0 / n } else { 0.0 };
            let a: Vec<f64> = (0..c).map(|j| f64::from(gamma[j]) * saved[c + j]).collect();
            let b = (0..c).map(|j| share * a[j] * saved[c + j] * dot[j]).collect::<Vec<_>>();
            let k = (0..c).map(|j| share * a[j] * dz[j]).collect::<Vec<_>>();
            let want = [&a[..], &b, &k, &saved[..c], &f64s(&beta)].concat();
            push(&format!("coefficients, training {training}"), &got, want, chunks.len())?;
            push(
                &format!("dgamma, accumulate {accumulate}"),
                &dgamma.tensor,
                added(&dgamma0, 1.0, &dot),
                chunks.len(),
            )?;
            push(&format!("dbeta, accumulate {accumulate}"), &dbeta.tensor, added(&dbeta0, 1.0, &dz), chunks.len())?;
        }
    }
    Ok(checks)
}
