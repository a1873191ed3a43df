//! What is tried of `optimizer`.

use super::*;
use crate::kernels::case::{Case, Check, Permutation, f64s, values};
use crate::reference;

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    [0, 1].map(|clip| Permutation { source: SOURCE, defines: defines! { CLIP = clip } }).into()
}

/// Five steps of every rule, with and without clipping.
pub fn cases() -> Vec<Case> {
    let rules = [
        Rule::Sgd(Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 5e-4 }),
        Rule::Sgd(Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 }),
        Rule::Sgd(Sgd { lr: 0.5, momentum: 0.0, nesterov: false, weight_decay: 0.0 }),
        Rule::Adam(Adam { lr: 1e-2, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: false }),
        Rule::Adam(Adam { lr: 1e-2, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: true }),
    ];
    let all = rules.into_iter().flat_map(|rule| [1, 3, 64, 185, 4099].map(|n| (rule, n)));
    let all = all.flat_map(|(rule, n)| [None, Some(0.5)].map(|factor| (rule, n, factor)));
    all.map(|(rule, n, factor)| {
        Case::new(format!("{rule:?}, {n} values, clip {factor:?}"), move |gpu| run(gpu, rule, n, factor))
    })
    .collect()
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Sgd(Sgd),
    Adam(Adam),
}

fn run(gpu: &Gpu, rule: Rule, n: usize, factor: Option<f32>) -> Result<Vec<Check>> {
    let start = values(1, n);
    let p = Tensor::from_f32(gpu, &start, &[n])?;
    let (m, v) = (Tensor::empty(gpu, &[n])?, Tensor::empty(gpu, &[n])?);
    let norm = factor.map(|f| Tensor::from_f32(gpu, &[7.0, f], &[2])).transpose()?;
    let hyper = Tensor::empty(gpu, &[WORDS])?;
    let (mut p64, mut m64, mut v64) = (f64s(&start), vec![0.0; n], vec![0.0; n]);
    for t in 1..=5 {
        let g = values(10 + t, n);
        let g64: Vec<f64> = g.iter().map(|g| f64::from(*g) * f64::from(factor.unwrap_or(1.0))).collect();
        let g = Tensor::from_f32(gpu, &g, &[n])?;
        match rule {
            Rule::Sgd(o) => {
                hyper.write_f32(gpu, &o.hyper(t))?;
                sgd(gpu, &o, &hyper, &p, &g, &m, norm.as_ref())?;
                let (lr, momentum) = (o.lr.into(), o.momentum.into());
                let reference = reference::optimizer::Sgd {
                    lr,
                    momentum,
                    nesterov: o.nesterov,
                    weight_decay: o.weight_decay.into(),
                };
                reference.step(&mut p64, &g64, &mut m64, t == 1);
            }
            Rule::Adam(o) => {
                hyper.write_f32(gpu, &o.hyper(t))?;
                adam(gpu, &o, &hyper, &p, &g, (&m, &v), norm.as_ref())?;
                let betas = (o.betas.0.into(), o.betas.1.into());
                let (lr, eps, weight_decay) = (o.lr.into(), o.eps.into(), o.weight_decay.into());
                let reference = reference::optimizer::Adam { lr, betas, eps, weight_decay, decoupled: o.decoupled };
                reference.step(&mut p64, &g64, &mut m64, &mut v64, t as u32);
            }
        }
    }
    let mut checks =
        vec![Check::sum("value", p.to_f32(gpu)?, p64, 5), Check::sum("first moment", m.to_f32(gpu)?, m64, 5)];
    if let Rule::Adam(_) = rule {
        checks.push(Check::sum("second moment", v.to_f32(gpu)?, v64, 5));
    }
    Ok(checks)
}
