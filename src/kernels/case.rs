//! Cases: what each kernel is tried with. One table serves four readers: the value tests, the gradient tests, the
//! shader validation and the benchmark.

use crate::Result;
use crate::gpu::{Defines, Gpu, Source};

/// A result of the GPU beside the twin's.
#[derive(Debug, Clone)]
pub struct Check {
    /// Which output or gradient, and which variant made it.
    pub what: String,
    /// The GPU's values.
    pub got: Vec<f32>,
    /// The twin's values.
    pub want: Vec<f64>,
    /// Largest relative error allowed.
    pub tolerance: f64,
}

impl Check {
    /// A check with the tolerance of an f32 sum of `k` terms: `1e-5·√k`.
    pub fn sum(what: impl Into<String>, got: Vec<f32>, want: Vec<f64>, k: usize) -> Self {
        Check { what: what.into(), got, want, tolerance: 1e-5 * (k.max(1) as f64).sqrt() }
    }

    /// `‖got − want‖ / ‖want‖`; infinite where the lengths differ or a value is not finite.
    pub fn error(&self) -> f64 {
        if self.got.len() != self.want.len() || self.got.iter().any(|v| !v.is_finite()) {
            return f64::INFINITY;
        }
        let distance: f64 = self.got.iter().zip(&self.want).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
        let size: f64 = self.want.iter().map(|b| b * b).sum();
        // Where everything is zero the error is absolute.
        distance.sqrt() / if size > 0.0 { size.sqrt() } else { 1.0 }
    }

    /// Whether the error is within the tolerance.
    pub fn passes(&self) -> bool {
        self.error() <= self.tolerance
    }
}

type Run = Box<dyn Fn(&Gpu) -> Result<Vec<Check>>>;

/// One shape a kernel is tried with: values and gradients, in every variant.
pub struct Case {
    /// What it is, for messages.
    pub name: String,
    /// Runs it on the GPU and on the twin.
    pub run: Run,
}

impl Case {
    /// A case called `name`.
    pub fn new(name: impl Into<String>, run: impl Fn(&Gpu) -> Result<Vec<Check>> + 'static) -> Self {
        Case { name: name.into(), run: Box::new(run) }
    }
}

/// One way a shader is compiled.
#[derive(Debug, Clone)]
pub struct Permutation {
    /// The file.
    pub source: Source,
    /// Its defines.
    pub defines: Defines,
}

/// A row of the table of kernels.
pub struct Kernel {
    /// The name of its three rooms.
    pub name: &'static str,
    /// Its cases.
    pub cases: fn() -> Vec<Case>,
    /// Every way its shaders are compiled.
    pub permutations: fn() -> Vec<Permutation>,
}

/// `n` values, roughly normal, from a seed: the same on every machine.
pub fn values(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    };
    // The sum of three uniforms has variance 1/4.
    (0..n).map(|_| 2.0 * (uniform() + uniform() + uniform() - 1.5)).collect()
}

/// The same numbers for the twin.
pub fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}
