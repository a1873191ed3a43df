//! A kernel that has never been compiled before: what a new pipeline costs.

use crate::gpu::{Gpu, Source};
use crate::kernels::case::{Case, Check, Permutation, values};
use crate::tensor::Tensor;
use crate::{Result, defines};

const SOURCE: Source = Source { name: "bench/fresh", text: include_str!("../../../shaders/bench/fresh.wgsl") };

/// Values a row.
const ROW: usize = 16;
/// Nonces stay exact in f32.
const NONCES: u64 = 1 << 23;

/// Numbers that no run before has had, or so improbably that it does not matter.
pub fn nonces() -> impl Iterator<Item = u32> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.map_or(1, |d| d.as_nanos() as u64) ^ u64::from(std::process::id()).rotate_left(32);
    // An odd step visits every number once before it repeats.
    (0u64..).map(move |i| (seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15 | 1)) % NONCES) as u32)
}

/// Records the kernel with `nonce` over `x` `[rows, 16]` into `out` `[rows]`.
pub fn fresh(gpu: &Gpu, nonce: u32, x: &Tensor, out: &Tensor) -> Result<()> {
    gpu.launch(SOURCE, "fresh", &defines! { NONCE = nonce })?
        .bind("x", x)
        .bind("out", out)
        .u32("length", out.len())
        .threads(out.len())
}

/// `nonce + 136 Σ x` of each row: 136 = 1 + 2 + … + 16.
fn reference(nonce: u32, x: &[f32]) -> Vec<f64> {
    let row = |x: &[f32]| f64::from(nonce) + 136.0 * x.iter().map(|v| f64::from(*v)).sum::<f64>();
    x.chunks_exact(ROW).map(row).collect()
}

/// An input, and memory for the result.
pub fn operands(gpu: &Gpu, rows: usize) -> Result<(Tensor, Tensor)> {
    let x = Tensor::from_f32(gpu, &values(1, rows * ROW), &[rows, ROW])?;
    Ok((x, Tensor::empty(gpu, &[rows])?))
}

/// Runs once with each of two nonces and compares.
pub fn check(gpu: &Gpu, nonces: [u32; 2], rows: usize) -> Result<Vec<Check>> {
    let (x, out) = operands(gpu, rows)?;
    let mut checks = Vec::new();
    for nonce in nonces {
        fresh(gpu, nonce, &x, &out)?;
        let want = reference(nonce, &values(1, rows * ROW));
        checks.push(Check::sum(format!("nonce {nonce}"), out.to_f32(gpu)?, want, ROW));
    }
    Ok(checks)
}

/// Two of the many ways the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    [0, 12_345].map(|nonce| Permutation { source: SOURCE, defines: defines! { NONCE = nonce } }).into()
}

/// One row, and a broken last group.
pub fn cases() -> Vec<Case> {
    [1, 64, 100].map(|rows| Case::new(format!("{rows} rows"), move |gpu| check(gpu, [0, 12_345], rows))).into()
}
