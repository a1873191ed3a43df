//! Rows of several tensors one after the other: the levels of a pyramid as one list of places.

mod workloads;

pub use workloads::workloads;

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{added, destination};
use crate::gpu::{Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

const SOURCE: Source = Source { name: "concat", text: include_str!("../../shaders/concat.wgsl") };

/// `[n, rows, c]` of each part → `[n, Σ rows, c]`.
pub fn concat(gpu: &Gpu, parts: &[&Tensor]) -> Result<Tensor> {
    let strange = || Error::Shape(format!("concat: {:?}", parts.iter().map(|p| p.shape()).collect::<Vec<_>>()));
    let Some(&[n, _, c]) = parts.first().map(|p| p.shape()) else { return Err(strange()) };
    let mut total = 0;
    for part in parts {
        match part.shape() {
            &[m, rows, d] if (m, d) == (n, c) && m * rows * d > 0 => total += rows,
            _ => return Err(strange()),
        }
    }
    let whole = Tensor::empty(gpu, &[n, total, c])?;
    let mut offset = 0;
    for part in parts {
        let launch = gpu.launch(SOURCE, "concat", &defines! {})?.bind("part", *part).bind("whole", &whole);
        prepare(launch.u32("accumulate", 0), part.shape(), total, offset).threads(part.len())?;
        offset += part.shape()[1];
    }
    Ok(whole)
}

/// The gradient of [`concat()`] with respect to the part whose rows begin at `offset`, from `dy` `[n, total, c]`; `dx` has the part's
/// shape `[n, rows, c]`.
pub fn concat_grad(gpu: &Gpu, dy: &Tensor, offset: usize, dx: &GradTarget) -> Result<()> {
    match (dy.shape(), dx.tensor.shape()) {
        (&[n, total, c], &[m, rows, d]) if (n, c) == (m, d) && offset + rows <= total => {
            let launch = gpu.launch(SOURCE, "concat_grad", &defines! {})?;
            let launch = launch.bind("gradient", dy).bind("dpart", &dx.tensor).u32("accumulate", dx.flag());
            prepare(launch, dx.tensor.shape(), total, offset).threads(dx.tensor.len())
        }
        (dy, dx) => Err(Error::Shape(format!("concat: a gradient {dy:?} for {dx:?} at {offset}"))),
    }
}

fn prepare<'a>(launch: Launch<'a>, part: &[usize], total: usize, offset: usize) -> Launch<'a> {
    let (row, c) = (part[1] * part[2], part[2]);
    launch.u32("count", part[0] * row).u32("row", row).u32("whole", total * c).u32("offset", offset * c)
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    vec![Permutation { source: SOURCE, defines: defines! {} }]
}

/// One part, several of different lengths, single rows and columns.
pub fn cases() -> Vec<Case> {
    let all: [(usize, usize, &[usize]); 4] = [(1, 1, &[1]), (3, 5, &[7]), (2, 9, &[16, 4, 1]), (5, 3, &[33, 17])];
    all.map(|(n, c, rows)| Case::new(format!("{n} of {rows:?} x {c}"), move |gpu| run(gpu, n, c, rows))).into()
}

fn run(gpu: &Gpu, n: usize, c: usize, rows: &[usize]) -> Result<Vec<Check>> {
    let total: usize = rows.iter().sum();
    let parts: Vec<Vec<f32>> = rows.iter().enumerate().map(|(i, r)| values(i as u64, n * r * c)).collect();
    let on_gpu = parts.iter().zip(rows).map(|(p, r)| Tensor::from_f32(gpu, p, &[n, *r, c]));
    let on_gpu = on_gpu.collect::<Result<Vec<_>>>()?;
    let wide: Vec<Vec<f64>> = parts.iter().map(|p| f64s(p)).collect();
    let references: Vec<(&[f64], usize)> = wide.iter().map(Vec::as_slice).zip(rows.iter().copied()).collect();
    let got = concat(gpu, &on_gpu.iter().collect::<Vec<_>>())?.to_f32(gpu)?;
    let mut checks = vec![Check::sum("whole", got, reference::concat::forward(&references, n, c), 1)];
    let dy = values(99, n * total * c);
    let dy_gpu = Tensor::from_f32(gpu, &dy, &[n, total, c])?;
    let mut offset = 0;
    for r in rows {
        for accumulate in [false, true] {
            let (out, there) = destination(gpu, &[n, *r, c], accumulate)?;
            concat_grad(gpu, &dy_gpu, offset, &out)?;
            let want = added(&there, 1.0, &reference::concat::grad(&f64s(&dy), n, c, (offset, *r, total)));
            checks.push(Check::sum(format!("part at {offset}, {accumulate}"), out.tensor.to_f32(gpu)?, want, 1));
        }
        offset += r;
    }
    Ok(checks)
}
