//! One step of an optimiser, exactly as `torch.optim` does it.

/// Stochastic gradient descent with momentum (Sutskever et al. 2013) in PyTorch's form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate η.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// Nesterov's form.
    pub nesterov: bool,
    /// λ, added to the gradient.
    pub weight_decay: f64,
}

impl Sgd {
    /// `g' = g + λ p`, `v ← μ v + g'` (`v ← g'` in the `first` step, whatever `velocity` holds), then `p ← p − η v`, or
    /// with Nesterov `p ← p − η (g' + μ v)`. All slices of one length; `p` and `velocity` change in place.
    pub fn step(&self, p: &mut [f64], g: &[f64], velocity: &mut [f64], first: bool) {
        for ((p, g), v) in p.iter_mut().zip(g).zip(velocity) {
            let g = g + self.weight_decay * *p;
            *v = if first { g } else { self.momentum * *v + g };
            *p -= self.lr * if self.nesterov { g + self.momentum * *v } else { *v };
        }
    }
}

/// Adam (Kingma and Ba 2015, arXiv 1412.6980) and AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate η.
    pub lr: f64,
    /// β₁, β₂.
    pub betas: (f64, f64),
    /// ε.
    pub eps: f64,
    /// λ.
    pub weight_decay: f64,
    /// AdamW: decay the value itself rather than through the gradient.
    pub decoupled: bool,
}

impl Adam {
    /// Step `t`, counted from 1: `g' = g + λ p`, or with `decoupled` `p ← p − η λ p` and `g' = g`; then
    /// `m ← β₁ m + (1 − β₁) g'`, `v ← β₂ v + (1 − β₂) g'²` and `p ← p − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)`. `m`
    /// and `v` are zero before the first step; `p`, `m` and `v` change in place.
    pub fn step(&self, p: &mut [f64], g: &[f64], m: &mut [f64], v: &mut [f64], t: u64) {
        let (beta1, beta2) = self.betas;
        let correction = |beta: f64| 1.0 - beta.powf(t as f64);
        for i in 0..p.len() {
            let g = if self.decoupled {
                p[i] -= self.lr * self.weight_decay * p[i];
                g[i]
            } else {
                g[i] + self.weight_decay * p[i]
            };
            m[i] = beta1 * m[i] + (1.0 - beta1) * g;
            v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
            p[i] -= self.lr / correction(beta1) * m[i] / (v[i].sqrt() / correction(beta2).sqrt() + self.eps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_equal;
    use super::*;

    #[test]
    fn two_steps_of_sgd_by_hand() {
        let sgd = Sgd { lr: 0.5, momentum: 0.5, nesterov: false, weight_decay: 0.1 };
        // What the velocity held before the first step does not matter.
        let (mut p, mut v) = ([10.0], [f64::NAN]);
        sgd.step(&mut p, &[1.0], &mut v, true);
        assert_equal(&[p[0], v[0]], &[9.0, 2.0]);
        sgd.step(&mut p, &[0.1], &mut v, false);
        assert_equal(&[p[0], v[0]], &[8.0, 2.0]);
        let (mut p, mut v) = ([10.0], [4.0]);
        Sgd { nesterov: true, ..sgd }.step(&mut p, &[1.0], &mut v, false);
        assert_equal(&[p[0], v[0]], &[10.0 - 0.5 * (2.0 + 0.5 * 4.0), 4.0]);
    }

    #[test]
    fn adams_first_step_has_the_length_of_the_learning_rate() {
        let adam = Adam { lr: 0.1, betas: (0.9, 0.999), eps: 0.0, weight_decay: 0.5, decoupled: false };
        let (mut p, mut m, mut v) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
        adam.step(&mut p, &[1e-3, -9.0], &mut m, &mut v, 1);
        // The decayed gradients are 0.501 and -8.5.
        assert_equal(&p, &[0.9, 1.1]);
        assert_equal(&m, &[0.0501, -0.85]);
        assert_equal(&v, &[0.001 * 0.501 * 0.501, 0.001 * 8.5 * 8.5]);
        let (mut p, mut m, mut v) = ([2.0], [0.0], [0.0]);
        Adam { decoupled: true, ..adam }.step(&mut p, &[-3.0], &mut m, &mut v, 1);
        assert_equal(&p, &[2.0 * (1.0 - 0.1 * 0.5) + 0.1]);
    }
}
