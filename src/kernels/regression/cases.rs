//! What is tried of `regression`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, fused, values};
use crate::reference;

/// Every variant.
fn variants() -> Vec<(RowParallelism, Counting)> {
    RowParallelism::ALL.iter().flat_map(|r| Counting::ALL.map(|c| (*r, c))).collect()
}

const LOSSES: [RegressionLoss; 3] = [RegressionLoss::L2, RegressionLoss::L1, RegressionLoss::Huber { delta: 0.7 }];

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = LOSSES.into_iter().flat_map(|l| variants().into_iter().map(move |v| (l, v)));
    let all = all.flat_map(|(l, v)| [false, true].map(|grad| variant_defines(l, v, grad)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even sizes, every fifth target missing, or all of them; targets that are met exactly.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 1), (3, 3), (65, 1), (17, 100), (5, 1000), (1100, 5)];
    let mut cases: Vec<Case> = Vec::new();
    for loss in LOSSES {
        cases.extend(shapes.map(|(b, c)| case(b, c, loss, "a fifth missing", |i| i % 5 == 3)));
        cases.push(case(3, 5, loss, "all missing", |_| true));
    }
    cases
}

fn case(b: usize, c: usize, loss: RegressionLoss, which: &str, missing: fn(usize) -> bool) -> Case {
    Case::new(format!("[{b}, {c}] {loss:?}, {which}"), move |gpu| run(gpu, b, c, loss, missing))
}

fn run(gpu: &Gpu, b: usize, c: usize, loss: RegressionLoss, missing: fn(usize) -> bool) -> Result<Vec<Check>> {
    let z = values(1, b * c);
    let mut targets = values(2, b * c);
    for (i, t) in targets.iter_mut().enumerate() {
        *t = match i {
            _ if missing(i) => MISSING,
            _ if i % 7 == 1 => z[i],
            _ => *t,
        };
    }
    let weight = 0.75;
    // The reference knows the elements that have a target only.
    let present: Vec<usize> = (0..b * c).filter(|i| !missing(*i)).collect();
    let pick = |all: &[f32]| present.iter().map(|&i| f64::from(all[i])).collect::<Vec<f64>>();
    let (of, delta) = match loss {
        RegressionLoss::L2 => (reference::regression::squared as fn(f64, f64) -> (f64, f64), 0.0),
        RegressionLoss::L1 => (reference::regression::absolute as fn(f64, f64) -> (f64, f64), 0.0),
        RegressionLoss::Huber { delta } => {
            (reference::regression::huber as fn(f64, f64) -> (f64, f64), f64::from(delta))
        }
    };
    let want = reference::regression::forward(of, &pick(&z), &pick(&targets), delta);
    let mut dz = vec![0.0; b * c];
    for (&i, g) in present.iter().zip(reference::regression::grad(of, &pick(&z), &pick(&targets), delta)) {
        dz[i] = g;
    }
    let (z, targets) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_f32(gpu, &targets, &[b, c])?);
    let mut checks = Vec::new();
    for variant in variants() {
        let what = format!("{variant:?}");
        checks.extend(fused(gpu, &what, (&[b, c], b), weight, (want, &dz), c, |out| {
            regression_with(gpu, &z, &targets, loss, out, variant)
        })?);
    }
    Ok(checks)
}
