//! Initial weights: He et al. 2015 and Glorot & Bengio 2010, uniform and normal.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How weights are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Init {
    /// Normal, `σ = gain / √fan_out` with gain √2: torchvision's choice for ResNets.
    #[default]
    HeNormal,
    /// Uniform with the variance of [`Init::HeNormal`].
    HeUniform,
    /// Normal, `σ = √(2 / (fan_in + fan_out))`.
    XavierNormal,
    /// Uniform with the variance of [`Init::XavierNormal`].
    XavierUniform,
}

/// Draws initial weights from one seeded stream.
#[derive(Debug, Clone)]
pub struct Initializer {
    rng: ChaCha8Rng,
    init: Init,
}

impl Initializer {
    /// A stream of its own for each network.
    pub fn new(seed: u64, init: Init) -> Self {
        Initializer { rng: ChaCha8Rng::seed_from_u64(seed), init }
    }

    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        ((self.rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        // Box & Muller 1958; the second value of the pair is not worth a state.
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }

    /// `count` weights of a layer that a ReLU follows (`relu`) or not.
    pub fn weights(&mut self, count: usize, fan_in: usize, fan_out: usize, relu: bool) -> Vec<f32> {
        let he = if relu { 2.0 / fan_out as f64 } else { 1.0 / fan_in as f64 };
        let xavier = 2.0 / (fan_in + fan_out) as f64;
        let (variance, normal) = match self.init {
            Init::HeNormal => (he, true),
            Init::HeUniform => (he, false),
            Init::XavierNormal => (xavier, true),
            Init::XavierUniform => (xavier, false),
        };
        let draw = |_| {
            let v = if normal { self.normal() } else { (2.0 * self.uniform() - 1.0) * 3f64.sqrt() };
            (v * variance.sqrt()) as f32
        };
        (0..count).map(draw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variances_are_what_the_papers_say() {
        let (n, fan_in, fan_out) = (20_000, 90, 144);
        for (init, want) in [
            (Init::HeNormal, 2.0 / 144.0),
            (Init::HeUniform, 2.0 / 144.0),
            (Init::XavierNormal, 2.0 / 234.0),
            (Init::XavierUniform, 2.0 / 234.0),
        ] {
            let w = Initializer::new(1, init).weights(n, fan_in, fan_out, true);
            let variance = w.iter().map(|v| f64::from(v * v)).sum::<f64>() / n as f64;
            assert!((variance / want - 1.0).abs() < 0.05, "{init:?}: {variance} for {want}");
            assert!(w.iter().map(|v| f64::from(*v)).sum::<f64>().abs() / (n as f64) < 0.01);
        }
        assert_eq!(
            Initializer::new(7, Init::HeNormal).weights(9, 3, 3, true),
            Initializer::new(7, Init::HeNormal).weights(9, 3, 3, true)
        );
    }
}
