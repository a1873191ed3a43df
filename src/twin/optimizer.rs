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
