//! A few numbers learnt beside the network.

/// Adam (Kingma & Ba 2015, arXiv 1412.6980) in `f64`, with weight decay in the gradient.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Adam {
    lr: f64,
    weight_decay: f64,
    eps: f64,
    step: f64,
    m: Vec<f64>,
    v: Vec<f64>,
}

impl Adam {
    pub(super) fn new(values: usize, lr: f64, weight_decay: f64) -> Self {
        Adam { lr, weight_decay, eps: 1e-8, step: 0.0, m: vec![0.0; values], v: vec![0.0; values] }
    }

    /// Without what keeps small gradients from being followed as far as large ones: for gradients that have no size of their own.
    pub(super) fn at_any_scale(self) -> Self {
        Adam { eps: 1e-150, ..self }
    }

    /// One step of `x` against `gradient`.
    pub(super) fn step(&mut self, x: &mut [f64], gradient: &[f64]) {
        const BETAS: (f64, f64) = (0.9, 0.999);
        self.step += 1.0;
        let corrections = (1.0 - BETAS.0.powf(self.step), 1.0 - BETAS.1.powf(self.step));
        for (i, (x, g)) in x.iter_mut().zip(gradient).enumerate() {
            let g = g + self.weight_decay * *x;
            self.m[i] = BETAS.0 * self.m[i] + (1.0 - BETAS.0) * g;
            self.v[i] = BETAS.1 * self.v[i] + (1.0 - BETAS.1) * g * g;
            *x -= self.lr * (self.m[i] / corrections.0) / ((self.v[i] / corrections.1).sqrt() + self.eps);
        }
    }

    /// Step and moments.
    pub(super) fn state(&self) -> Vec<f64> {
        [&[self.step][..], &self.m, &self.v].concat()
    }

    pub(super) fn restore(&mut self, state: &[f64]) {
        let n = self.m.len();
        self.step = state[0];
        self.m.copy_from_slice(&state[1..=n]);
        self.v.copy_from_slice(&state[n + 1..=2 * n]);
    }
}

/// Values that are learnt, with their optimizer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Learned {
    pub values: Vec<f64>,
    adam: Adam,
}

impl Learned {
    pub(super) fn new(values: Vec<f64>, lr: f64, weight_decay: f64) -> Self {
        Learned { adam: Adam::new(values.len(), lr, weight_decay), values }
    }

    pub(super) fn descend(&mut self, gradient: &[f64]) {
        self.adam.step(&mut self.values, gradient);
    }

    pub(super) fn state(&self) -> Vec<f64> {
        [self.values.clone(), self.adam.state()].concat()
    }

    /// From the front of `state`.
    pub(super) fn restore(&mut self, state: &[f64]) {
        let n = self.values.len();
        self.values.copy_from_slice(&state[..n]);
        self.adam.restore(&state[n..]);
    }
}

/// `softmax(x)`.
pub(super) fn softmax(x: &[f64]) -> Vec<f64> {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|x| (x - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}
