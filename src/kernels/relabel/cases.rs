//! What is tried of `relabel`.

use super::*;
use crate::kernels::augment::cases::{shifted, turned, upload};
use crate::kernels::case::{Case, Check, Permutation};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = [(true, true), (true, false), (false, true), (false, false)];
    all.map(|(b, d)| Permutation { source: SOURCE, defines: variant_defines(b, d) }).into()
}

/// Odd and even sizes, shifts in both directions and out of sight, mirrored or not, turned, four that meet, pixels without a label.
pub fn cases() -> Vec<Case> {
    let shapes = [[1, 1, 1], [3, 8, 8], [5, 7, 5], [2, 33, 17], [17, 3, 5]];
    shapes.map(|s| Case::new(format!("{s:?}"), move |gpu| try_one(gpu, s))).into()
}

fn try_one(gpu: &Gpu, shape: [usize; 3]) -> Result<Vec<Check>> {
    let [n, h, w] = shape;
    let bytes: Vec<u8> = (0..n * h * w).map(|i| if i % 9 == 4 { 255 } else { (i * 37 % 254) as u8 }).collect();
    let numbers_in: Vec<f32> = (0..n * h * w).map(|i| i as f32 * 0.25 - 3.0).collect();
    let bytes_gpu = Tensor::from_bytes(gpu, &bytes)?;
    let numbers_gpu = Tensor::from_f32(gpu, &numbers_in, &shape)?;
    // −1 stands for a class that is not there, so that both sides are plain numbers.
    let class = |c: u32| if c == MISSING { -1.0 } else { c as f32 };
    let still = (0..n as u32).map(Warp::still).collect();
    let mut checks = Vec::new();
    for (name, warps) in [("still", still), ("shifted", shifted(n, w)), ("turned", turned(n, [h, w]))] {
        let uploaded = upload(gpu, &warps)?;
        let on_gpu = (name != "still").then_some(&uploaded);
        let got = classes(gpu, &bytes_gpu, shape, on_gpu)?.to_u32(gpu)?.into_iter().map(class).collect();
        let want = reference::relabel::forward(&bytes, h, w, &warps, 255);
        let want = want.into_iter().map(|c| if c == 255 { -1.0 } else { f64::from(c) }).collect();
        checks.push(Check { tolerance: 0.0, ..Check::sum(format!("classes, {name}"), got, want, 1) });
        let got = numbers(gpu, &numbers_gpu, shape, on_gpu, -99.0)?.to_f32(gpu)?;
        let want = reference::relabel::forward(&numbers_in, h, w, &warps, -99.0);
        let want = want.into_iter().map(f64::from).collect();
        checks.push(Check { tolerance: 0.0, ..Check::sum(format!("numbers, {name}"), got, want, 1) });
    }
    Ok(checks)
}
