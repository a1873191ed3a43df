//! The best for the worst task near the mean.

use super::gramian::Gramian;
use super::method::{Key, Method, Needs, Plain};
use super::solve::{Domain, quadratic};

/// CAGrad (Liu et al. 2021, arXiv 2110.14048): `d = g_0 + c ‖g_0‖ / ‖g_w‖ · g_w`, `g_0` the mean gradient and `w` the point of the
/// simplex where `⟨g_w, g_0⟩ + c ‖g_0‖ ‖g_w‖` is least: of all directions within `c ‖g_0‖` of the mean, the one along which the
/// slowest task gets better fastest. `c = 0` is the mean; from `c = 1` on the mean's own minimum is no longer sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaGrad {
    /// How far from the mean gradient, in its lengths.
    pub c: f64,
    /// Divide by `1 + c²`, as the authors' programs do for multi-task learning.
    pub rescale: bool,
}

impl Default for CaGrad {
    /// `c = 0.5`, rescaled (LibMTL).
    fn default() -> Self {
        CaGrad { c: 0.5, rescale: true }
    }
}

impl CaGrad {
    /// The weights. Those of the mean where `g_w` is zero as far as can be known, as where one gradient vanishes: no direction betters
    /// the worst task then, and the mean is one that does not worsen it more than others; and where the mean itself is zero, as for
    /// opposite gradients of one length. A gradient that is a million times shorter than the others gets better least, so that it
    /// decides the direction. The combination is no longer than `1 + c` times the mean gradient, rescaled as said.
    pub fn weights(&self, gramian: &Gramian) -> Vec<f64> {
        let tasks = gramian.tasks();
        let mean = vec![1.0 / tasks as f64; tasks];
        let scale = if self.rescale { 1.0 / (1.0 + self.c * self.c) } else { 1.0 };
        let centre: Vec<f64> = mean.iter().map(|m| scale * m).collect();
        let Some(g) = gramian.normalised().filter(|g| !g.cancels(&mean)) else { return centre };
        let (along, radius) = (g.times(&mean), self.c * g.square(&mean).sqrt());
        // ‖g_w‖ is the least of (‖g_w‖² / t + t) / 2 over t: each step lowers the whole, and the limit is its minimum, as it is
        // convex.
        let mut w = mean.clone();
        let mut length = g.square(&w).sqrt();
        for _ in 0..500 {
            if radius == 0.0 || g.cancels(&w) {
                return centre;
            }
            let q: Vec<f64> = g.values().iter().map(|v| v * radius / length).collect();
            w = quadratic(&q, &along, Domain::Simplex);
            let next = g.square(&w).sqrt();
            let still = (next - length).abs() <= 1e-14 * length;
            length = next;
            if still {
                break;
            }
        }
        if g.cancels(&w) {
            return centre;
        }
        centre.iter().zip(w).map(|(m, w)| m + scale * radius / length * w).collect()
    }
}

/// `c`: how far from the mean gradient, in its lengths.
pub(super) const CAGRAD: Method = Method {
    name: "cagrad",
    needs: Needs::Gramian,
    heads: false,
    after: false,
    keys: &[Key { name: "c", default: 0.5, range: (0.0, 100.0) }],
    make: |s| {
        let method = CaGrad { c: s.number("c"), rescale: true };
        Box::new(Plain(move |seen: &super::Seen| Ok(method.weights(seen.gramian()?))))
    },
};
