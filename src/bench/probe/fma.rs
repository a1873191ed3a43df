//! Chains of fused multiply-adds in registers: the peak of arithmetic.

use std::fmt;

use crate::gpu::{Defines, Gpu, Source};
use crate::kernels::case::{Case, Check, Permutation, sampled, spread};
use crate::tensor::Tensor;
use crate::{Result, defines};

const SOURCE: Source = Source { name: "bench/fma", text: include_str!("../../../shaders/bench/fma.wgsl") };

/// Fused multiply-adds of a loop's body, about: enough to hide the loop, few enough to stay in the instruction cache.
const BODY: usize = 384;

/// How an invocation computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chains {
    /// Lanes of a vector: 1, 2 or 4.
    pub lanes: usize,
    /// Vectors that are independent of each other.
    pub count: usize,
    /// In f16 rather than f32.
    pub half: bool,
}

impl fmt::Display for Chains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.lanes == 1 { "scalar".to_string() } else { format!("vec{}", self.lanes) };
        write!(f, "{}/{of}x{}", if self.half { "f16" } else { "f32" }, self.count)
    }
}

impl Chains {
    /// What is tried: which one is best depends on latency, width and registers of the machine.
    pub fn all(half: bool) -> Vec<Chains> {
        const SINGLE: &[(usize, usize)] =
            &[(1, 8), (1, 10), (1, 11), (1, 12), (1, 16), (2, 4), (2, 8), (4, 1), (4, 2), (4, 3), (4, 4), (4, 8)];
        const HALF: &[(usize, usize)] = &[(1, 8), (2, 4), (2, 8), (4, 4)];
        let shapes = if half { HALF } else { SINGLE };
        shapes.iter().map(|&(lanes, count)| Chains { lanes, count, half }).collect()
    }

    fn unroll(self) -> usize {
        (BODY / self.lanes / self.count).max(1)
    }

    fn defines(self) -> Defines {
        defines! { LANES = self.lanes, CHAINS = self.count, UNROLL = self.unroll(), HALF = self.half }
    }

    /// The factor and the term. In f32 the factor is so near to one that the result tells how many steps were made; in f16
    /// such a factor would be lost in rounding, and the chain runs into its fixed point.
    fn constants(self) -> (f32, f32) {
        if self.half { (-0.75, 0.25) } else { (1.0 - 1.0 / 1024.0, 1.0 / 2048.0) }
    }

    /// Operations of one invocation.
    pub fn flops(self, rounds: usize) -> u64 {
        2 * (self.lanes * self.count * self.unroll() * rounds) as u64
    }
}

/// Records `rounds` of the loop in as many invocations as `out` has values.
pub fn fma(gpu: &Gpu, chains: Chains, rounds: usize, out: &Tensor) -> Result<()> {
    let (b, d) = chains.constants();
    gpu.launch(SOURCE, "fma_peak", &chains.defines())?
        .bind("out", out)
        .u32("length", out.len())
        .u32("rounds", rounds)
        .f32("b", b)
        .f32("d", d)
        .cost(chains.flops(rounds) * out.len() as u64)
        .threads(out.len())
}

/// What invocation `i` must find, in closed form: `aₙ = bⁿ a₀ + d (1 − bⁿ) / (1 − b)`.
fn reference(chains: Chains, rounds: usize, i: usize) -> f64 {
    let (b, d) = chains.constants();
    let (b, d) = (f64::from(b), f64::from(d));
    let power = b.powi((rounds * chains.unroll()) as i32);
    let starts = (0..chains.count).flat_map(|c| (0..chains.lanes).map(move |l| (c, l)));
    starts
        .map(|(c, l)| {
            let start = (i % 64) as f64 / 128.0 + c as f64 + 0.25 * l as f64;
            power * start + d * (1.0 - power) / (1.0 - b)
        })
        .sum()
}

/// Runs once and compares some of the invocations.
pub fn check(gpu: &Gpu, chains: Chains, rounds: usize, out: &Tensor) -> Result<Vec<Check>> {
    fma(gpu, chains, rounds, out)?;
    let got = out.to_f32(gpu)?;
    let steps = rounds * chains.unroll();
    let check = sampled(chains.to_string(), &got, &spread(got.len(), 1000), |i| reference(chains, rounds, i), steps);
    // Half precision has 11 bits, and the chain multiplies an error by 1 / (1 − 3/4).
    Ok(vec![if chains.half { Check { tolerance: 1e-2, ..check } } else { check }])
}

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = [false, true].into_iter().flat_map(Chains::all);
    all.map(|chains| Permutation { source: SOURCE, defines: chains.defines() }).collect()
}

/// Every form, with a whole and a broken last group.
pub fn cases() -> Vec<Case> {
    let all = [false, true].into_iter().flat_map(Chains::all);
    let case = |chains: Chains| {
        Case::new(chains.to_string(), move |gpu| {
            if chains.half && !gpu.profile().f16 {
                return Ok(Vec::new());
            }
            let mut checks = Vec::new();
            for (rounds, n) in [(1, 64), (3, 100), (40, 1)] {
                checks.extend(check(gpu, chains, rounds, &Tensor::empty(gpu, &[n])?)?);
            }
            Ok(checks)
        })
    };
    all.map(case).collect()
}
