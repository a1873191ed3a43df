//! What is tried of `softmax`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, added, destination, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [Form::Probability, Form::Logarithm].map(|f| f.defines(*r)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and classes; the last has more rows than a dimension may have workgroups.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (5, 10), (17, 100), (33, 65), (65, 10), (5, 1000), (70_000, 3)];
    let all = shapes.iter().flat_map(|s| [1.0, 4.0].map(|t| (*s, t)));
    all.map(|((b, c), t)| Case::new(format!("[{b}, {c}] T {t}"), move |gpu| run(gpu, b, c, t))).collect()
}

fn run(gpu: &Gpu, b: usize, c: usize, temperature: f32) -> Result<Vec<Check>> {
    let z: Vec<f32> = values(1, b * c).iter().map(|v| 5.0 * v).collect();
    let dy = values(2, b * c);
    let t = f64::from(temperature);
    let (z_gpu, dy_gpu) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_f32(gpu, &dy, &[b, c])?);
    let mut checks = Vec::new();
    for form in [Form::Probability, Form::Logarithm] {
        let want = match form {
            Form::Probability => reference::softmax::softmax(&f64s(&z), c, t),
            Form::Logarithm => reference::softmax::log_softmax(&f64s(&z), c, t),
        };
        let dz = match form {
            Form::Probability => reference::softmax::softmax_grad(&want, &f64s(&dy), c, t),
            Form::Logarithm => reference::softmax::log_softmax_grad(&want, &f64s(&dy), c, t),
        };
        for rows in RowParallelism::ALL {
            let y = forward_with(gpu, &z_gpu, temperature, form, rows)?;
            checks.push(Check::sum(format!("{form:?} by {rows:?}"), y.to_f32(gpu)?, want.clone(), c));
            for accumulate in [false, true] {
                let (out, there) = destination(gpu, &[b, c], accumulate)?;
                grad_with(gpu, &y, &dy_gpu, temperature, &out, form, rows)?;
                let what = format!("dz of {form:?} by {rows:?}, accumulate {accumulate}");
                checks.push(Check::sum(what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dz), c));
            }
        }
    }
    Ok(checks)
}
