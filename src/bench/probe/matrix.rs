//! Chains of products of cooperative matrices in registers: the peak of matrix units.

use std::fmt;

use crate::gpu::{Defines, Gpu, Matrix, Source};
use crate::kernels::case::{Case, Check, Permutation, sampled, spread};
use crate::tensor::Tensor;
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "bench/matrix", text: include_str!("../../../shaders/bench/matrix.wgsl") };

/// Products of a loop's body: enough to hide the loop.
const BODY: usize = 32;
/// Chains that are tried: which number is best depends on the latency of a product and on the registers.
const COUNTS: [usize; 4] = [1, 2, 4, 8];
/// Each size of matrix with the subgroups of those who have it.
const FORMS: [Matrix; 4] = [
    Matrix { edge: 8, lanes: 8 },
    Matrix { edge: 8, lanes: 32 },
    Matrix { edge: 16, lanes: 32 },
    Matrix { edge: 16, lanes: 64 },
];

/// How a subgroup computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chains {
    /// The matrices of the device.
    pub matrix: Matrix,
    /// Sums that are independent of each other.
    pub count: usize,
}

impl fmt::Display for Chains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "matrix/mat{}x{}", self.matrix.edge, self.count)
    }
}

impl Chains {
    /// What is tried on a device; nothing where none are open.
    pub fn all(gpu: &Gpu) -> Vec<Chains> {
        gpu.profile().matrix.map_or(Vec::new(), |matrix| COUNTS.map(|count| Chains { matrix, count }).into())
    }

    /// The names that chains may have, whatever the device.
    pub fn names() -> impl Iterator<Item = String> {
        FORMS.into_iter().flat_map(|matrix| COUNTS.map(|count| Chains { matrix, count }.to_string()))
    }

    fn unroll(self) -> usize {
        BODY / self.count
    }

    fn defines(self) -> Defines {
        let own = defines! { CHAINS = self.count, UNROLL = self.unroll() };
        self.matrix.defines().into_iter().chain(own).collect()
    }

    /// Operations of one subgroup.
    pub fn flops(self, rounds: usize) -> u64 {
        2 * (self.matrix.edge.pow(3) * self.count * self.unroll() * rounds) as u64
    }
}

/// Records `rounds` of the loop in as many invocations as `out` has values.
///
/// # Errors
/// [`Error::Invalid`] where the device has no such matrices open.
pub fn matrix(gpu: &Gpu, chains: Chains, rounds: usize, out: &Tensor) -> Result<()> {
    if gpu.profile().matrix != Some(chains.matrix) {
        return Err(Error::Invalid(format!("{chains}: this device has no such cooperative matrices open")));
    }
    gpu.launch(SOURCE, "matrix_peak", &chains.defines())?
        .bind("out", out)
        .u32("length", out.len())
        .u32("rounds", rounds)
        .cost(chains.flops(rounds) * out.len().div_ceil(chains.matrix.lanes) as u64)
        .threads(out.len())
}

/// What invocation `i` must find.
fn reference(chains: Chains, rounds: usize, i: usize) -> f64 {
    let Matrix { edge, lanes } = chains.matrix;
    let steps = (rounds * chains.unroll()) as f64;
    let x = |row: usize, k: usize| ((3 * row + 5 * k) % 8) as f64 / 8.0 - 0.375;
    let w = |k: usize, column: usize| ((7 * k + column) % 8) as f64 / 8.0 - 0.5;
    let product = |v: usize| (0..edge).map(|k| x(v / edge, k) * w(k, v % edge)).sum::<f64>();
    let starts = (0..chains.count).sum::<usize>() as f64;
    (i % lanes..edge * edge).step_by(lanes).map(|v| starts + chains.count as f64 * steps * product(v)).sum()
}

/// Runs once and compares some of the invocations.
pub fn check(gpu: &Gpu, chains: Chains, rounds: usize, out: &Tensor) -> Result<Vec<Check>> {
    matrix(gpu, chains, rounds, out)?;
    let got = out.to_f32(gpu)?;
    let steps = rounds * chains.unroll() * chains.matrix.edge;
    Ok(vec![sampled(chains.to_string(), &got, &spread(got.len(), 1000), |i| reference(chains, rounds, i), steps)])
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = FORMS.into_iter().flat_map(|matrix| COUNTS.map(|count| Chains { matrix, count }));
    all.map(|chains| Permutation { source: SOURCE, defines: chains.defines() }).collect()
}

/// Every number of chains, with a whole and a broken last group; nothing where the device has no matrices open.
pub fn cases() -> Vec<Case> {
    let case = |count: usize| {
        Case::new(format!("{count} chains"), move |gpu| {
            let mut checks = Vec::new();
            for chains in Chains::all(gpu).into_iter().filter(|c| c.count == count) {
                for (rounds, n) in [(1, 4 * chains.matrix.lanes), (3, 100), (40, 1)] {
                    checks.extend(check(gpu, chains, rounds, &Tensor::empty(gpu, &[n])?)?);
                }
            }
            Ok(checks)
        })
    };
    COUNTS.map(case).into()
}
