//! Methods that are one line each.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::adam::softmax;
use super::method::{Method, Needs, Plain};

/// The random numbers of one step: a stream of its own, so that a resumed run draws the same.
pub(super) fn stream(seed: u64, step: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(step);
    rng
}

/// From 0 (exclusive) to 1.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64
}

/// Normal, by Box and Muller.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (-2.0 * uniform(rng).ln()).sqrt() * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// RLW (Lin et al. 2022, arXiv 2111.10603): every step `w = K softmax(n)`, `n` normal.
pub(super) const RLW: Method = Method {
    name: "rlw",
    needs: Needs::Nothing,
    heads: true,
    after: false,
    keys: &[],
    make: |s| {
        let (tasks, seed) = (s.tasks, s.seed);
        Box::new(Plain(move |seen: &super::Seen| {
            let mut rng = stream(seed, seen.step);
            let draws: Vec<f64> = (0..tasks).map(|_| normal(&mut rng)).collect();
            Ok(softmax(&draws).into_iter().map(|w| w * tasks as f64).collect())
        }))
    },
};

/// GLS (Chennupati et al. 2019, arXiv 1904.08492): `(Π L_k)^{1/K}`, whose gradient weights task `k` by that over `K L_k`.
pub(super) const GLS: Method = Method {
    name: "gls",
    needs: Needs::Losses,
    heads: true,
    after: false,
    keys: &[],
    make: |_| {
        Box::new(Plain(|seen: &super::Seen| {
            let losses = seen.positive()?;
            let tasks = losses.len() as f64;
            let mean = (losses.iter().map(|l| l.ln()).sum::<f64>() / tasks).exp();
            Ok(losses.iter().map(|l| mean / (tasks * l)).collect())
        }))
    },
};

/// DB-MTL (Lin et al. 2023, arXiv 2308.12029): the losses' logarithms, their gradients scaled to the longest one's length and added:
/// `w_k = max_j ‖∇ log L_j‖ / (‖∇ log L_k‖ L_k)`. Without the paper's averaging of gradients over steps, which would need every
/// task's gradient of the parameters to be kept.
///
/// It looks at lengths alone, so that conflicts change nothing: opposite gradients cancel. A gradient a million times shorter than the
/// others becomes as long as they are; one that vanishes stays so. The combination is no longer than `K max_j ‖∇ log L_j‖`.
pub(super) const DB_MTL: Method = Method {
    name: "db_mtl",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[],
    make: |_| {
        Box::new(Plain(|seen: &super::Seen| {
            let (losses, gramian) = (seen.positive()?, seen.gramian()?);
            let norms: Vec<f64> = losses.iter().enumerate().map(|(k, l)| gramian.norm(k) / l).collect();
            let longest = norms.iter().copied().fold(0.0, f64::max);
            // A gradient that vanishes stays so, whatever its weight.
            let weight = |(norm, loss): (&f64, &f64)| if *norm > 0.0 { longest / (norm * loss) } else { 1.0 / loss };
            Ok(norms.iter().zip(&losses).map(weight).collect())
        }))
    },
};
