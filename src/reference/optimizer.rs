//! Optimizers, one step in place, exactly as `torch.optim` takes it. All slices have one length.
//!
//! `decay`, where given, multiplies the weight decay per element (0 for parameters that must not shrink: biases, batch
//! norm); without it every element decays.

/// Stochastic gradient descent with momentum (heavy ball), Nesterov's variant, and L2 weight decay.
///
/// `g += weight_decay p; v = momentum v + g` (`v = g` on the first step); `p -= lr v`, or `p -= lr (g + momentum v)` with
/// Nesterov. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// Nesterov's look-ahead; needs momentum.
    pub nesterov: bool,
    /// Coefficient of the L2 penalty's gradient.
    pub weight_decay: f64,
}

impl Sgd {
    /// One step, decaying every element. `first`: the velocity holds nothing yet and is not read.
    pub fn step(&self, p: &mut [f64], g: &[f64], velocity: &mut [f64], first: bool) {
        self.step_masked(p, g, velocity, first, None);
    }

    /// One step with the weight decay multiplied per element.
    pub fn step_masked(&self, p: &mut [f64], g: &[f64], velocity: &mut [f64], first: bool, decay: Option<&[f64]>) {
        for i in 0..p.len() {
            let g = g[i] + self.weight_decay * decay.map_or(1.0, |d| d[i]) * p[i];
            velocity[i] = if first { g } else { self.momentum * velocity[i] + g };
            p[i] -= self.lr * if self.nesterov { g + self.momentum * velocity[i] } else { velocity[i] };
        }
    }
}

/// Adam, and AdamW where the weight decay is `decoupled` from the gradient.
///
/// `g += weight_decay p` (coupled) or `p -= lr weight_decay p` (decoupled); `m = b1 m + (1 - b1) g`;
/// `v = b2 v + (1 - b2) g^2`; `p -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)`.
/// Kingma & Ba, "Adam", ICLR 2015 (arXiv 1412.6980); Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR
/// 2019 (arXiv 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates of the first and second moment.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// AdamW: the decay acts on the parameter, not through the moments.
    pub decoupled: bool,
}

impl Adam {
    /// Step number `t` (the first is 1), decaying every element. m, v: the moments, 0 before the first step.
    pub fn step(&self, p: &mut [f64], g: &[f64], m: &mut [f64], v: &mut [f64], t: u32) {
        self.step_masked(p, g, m, v, t, None);
    }

    /// Step number `t` with the weight decay multiplied per element.
    pub fn step_masked(&self, p: &mut [f64], g: &[f64], m: &mut [f64], v: &mut [f64], t: u32, decay: Option<&[f64]>) {
        let (b1, b2) = self.betas;
        let (correction1, correction2) = (1.0 - b1.powf(f64::from(t)), 1.0 - b2.powf(f64::from(t)));
        for i in 0..p.len() {
            let weight_decay = self.weight_decay * decay.map_or(1.0, |d| d[i]);
            let mut g = g[i];
            if self.decoupled {
                p[i] -= self.lr * weight_decay * p[i];
            } else {
                g += weight_decay * p[i];
            }
            m[i] = b1 * m[i] + (1.0 - b1) * g;
            v[i] = b2 * v[i] + (1.0 - b2) * g * g;
            p[i] -= self.lr / correction1 * m[i] / (v[i].sqrt() / correction2.sqrt() + self.eps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::testing::*;

    const SGD: Sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    const ADAM: Adam = Adam { lr: 0.01, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, decoupled: false };

    #[test]
    fn momentum_gathers_speed_and_the_first_step_ignores_the_velocity() {
        let (mut p, mut v) = ([1.0], [f64::NAN]);
        SGD.step(&mut p, &[1.0], &mut v, true);
        assert_close(&p, &[0.9], 1e-15);
        SGD.step(&mut p, &[1.0], &mut v, false);
        assert_close(&p, &[0.71], 1e-15);
        let (mut p, mut v) = ([1.0], [0.0]);
        Sgd { nesterov: true, ..SGD }.step(&mut p, &[1.0], &mut v, true);
        assert_close(&p, &[0.81], 1e-15);
    }

    #[test]
    fn adam_first_moves_by_the_learning_rate() {
        let (mut p, mut m, mut v) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
        ADAM.step(&mut p, &[5.0, -0.2], &mut m, &mut v, 1);
        assert_close(&p, &[0.99, 1.01], 1e-8);
    }

    #[test]
    fn the_mask_spares_elements() {
        let sgd = Sgd { weight_decay: 0.5, ..SGD };
        let (mut p, mut v) = ([1.0, 1.0], [0.0; 2]);
        sgd.step_masked(&mut p, &[0.0; 2], &mut v, true, Some(&[1.0, 0.0]));
        assert_close(&p, &[0.95, 1.0], 1e-15);
        for decoupled in [true, false] {
            let adam = Adam { weight_decay: 0.5, decoupled, ..ADAM };
            let (mut p, mut m, mut v) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
            adam.step_masked(&mut p, &[0.0; 2], &mut m, &mut v, 1, Some(&[1.0, 0.0]));
            let moved = if decoupled { 0.995 } else { 0.99 };
            assert_close(&p, &[moved, 1.0], 1e-7);
        }
    }

    #[test]
    fn both_descend_a_bowl() {
        let (mut a, mut b) = (values(5, 1), values(5, 1));
        let (mut velocity, mut m, mut v) = ([0.0; 5], [0.0; 5], [0.0; 5]);
        for t in 1..=2000 {
            let (ga, gb) = (a.clone(), b.clone());
            SGD.step(&mut a, &ga, &mut velocity, t == 1);
            ADAM.step(&mut b, &gb, &mut m, &mut v, t);
        }
        assert_close(&a, &[0.0; 5], 1e-6);
        assert_close(&b, &[0.0; 5], 1e-3);
    }
}
