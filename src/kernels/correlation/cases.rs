//! What is tried of `correlation`.

use super::*;
use crate::gpu::AdapterClass;
use crate::kernels::case::{Case, Check, Permutation, Prepared, Size, Workload, f64s, fused, timed, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [false, true].map(|grad| variant(*r, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even sizes, by rows, by columns and as a whole.
pub fn cases() -> Vec<Case> {
    let shapes = [(3, 3), (5, 10), (17, 100), (64, 10), (33, 65), (100, 100)];
    let all = shapes.iter().flat_map(|s| [Of::Rows, Of::Columns, Of::All].map(|of| (*s, of)));
    all.map(|((b, c), of)| Case::new(format!("[{b}, {c}] {of:?}"), move |g| run(g, b, c, of))).collect()
}

/// The loss of each correlation and the gradient of their sum by `x`, as the reference has them.
fn definition(x: &[f32], y: &[f32], [b, c]: [usize; 2], of: Of) -> (Vec<f64>, Vec<f64>) {
    let (_, len) = of.size(b, c);
    let turn = |v: Vec<f64>, columns: usize| match of {
        Of::Columns => reference::correlation::transpose(&v, columns),
        _ => v,
    };
    let (x, y) = (turn(f64s(x), c), turn(f64s(y), c));
    let losses = reference::correlation::forward(&x, &y, len, EPS.into());
    (losses, turn(reference::correlation::grad(&x, &y, len, EPS.into()), b))
}

fn run(gpu: &Gpu, b: usize, c: usize, of: Of) -> Result<Vec<Check>> {
    let (x, y) = (values(1, b * c), values(2, b * c));
    let (count, len) = of.size(b, c);
    let (losses, grad) = definition(&x, &y, [b, c], of);
    let loss = losses.iter().sum();
    let (x, y) = (Tensor::from_f32(gpu, &x, &[b, c])?, Tensor::from_f32(gpu, &y, &[b, c])?);
    let mut checks = Vec::new();
    for rows in RowParallelism::ALL {
        checks.extend(fused(gpu, &format!("{rows:?}"), (&[b, c], count), 0.75, (loss, &grad), len, |out| {
            correlation_with(gpu, (&x, &y), of, 0, out, rows)
        })?);
    }
    // Behind what others have written.
    let row_loss = Tensor::from_f32(gpu, &vec![1.0; count + 2], &[count + 2])?;
    correlation(gpu, (&x, &y), of, 2, LossOut { weight: 1.0, grad: None, row_loss: &row_loss })?;
    let got = row_loss.to_f32(gpu)?;
    let want = [1.0, 1.0].into_iter().chain(losses).collect();
    checks.push(Check::sum("losses behind others", got, want, len));
    Ok(checks)
}

/// PKD's correlation of channels over the pixels of maps of 32x32x256: 8 of them, 2 on software adapters; DIST's two, of samples over
/// classes and of classes over samples: a batch of 1024, 128 there, of 1000 classes.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let (images, batch) = if gpu.profile().class == AdapterClass::Software { (2, 128) } else { (8, 1024) };
    let workload = |(name, of, b, c): (String, Of, usize, usize)| Workload {
        name,
        variant: None,
        // Of both values mean, difference, square and sum, scale; product and sum of the two; in the gradient a product, a difference and
        // the weight.
        flops: 15 * (b * c) as u64,
        // Both matrices are read, the gradient and each correlation's loss are written.
        bytes: 4 * (3 * b * c + of.size(b, c).0) as u64,
        prepare: Box::new(move |gpu| prepare(gpu, b, c, of)),
    };
    let channels = (format!("channels/{images}x32x32x256"), Of::Columns, images * 32 * 32, 256);
    let samples = (format!("samples/{batch}x1000"), Of::Rows, batch, 1000);
    [channels, samples, (format!("classes/{batch}x1000"), Of::Columns, batch, 1000)].map(workload).into()
}

fn prepare(gpu: &Gpu, b: usize, c: usize, of: Of) -> Result<Prepared> {
    let (x, y) = (values(1, b * c), values(2, b * c));
    let (count, len) = of.size(b, c);
    let on_gpu = (Tensor::from_f32(gpu, &x, &[b, c])?, Tensor::from_f32(gpu, &y, &[b, c])?);
    let run = move |gpu: &Gpu, out: LossOut| correlation(gpu, (&on_gpu.0, &on_gpu.1), of, 0, out);
    timed(gpu, (&[b, c], count), len, run, move || {
        let (losses, grad) = definition(&x, &y, [b, c], of);
        (losses.iter().sum(), grad)
    })
}
