//! What the optimizers are timed on: the parameters of ResNet-20 and of ResNet-18.

use super::{Adam, Sgd, adam, sgd};
use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::case::{Check, Prepared, Size, Workload, f64s, values};
use crate::reference;
use crate::tensor::Tensor;

const SGD: Sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
const ADAM: Adam = Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, decoupled: true };

/// One step over 0.27 and over 11.2 million parameters.
pub fn workloads(_: &Gpu, _: Size) -> Vec<Workload> {
    let sizes = [("resnet20", 272_474), ("resnet18", 11_173_962)];
    let all = sizes.into_iter().flat_map(|size| [(size, false), (size, true)]);
    let workload = |((network, n), moments): ((&str, usize), bool)| {
        let rule = if moments { "adamw" } else { "sgd" };
        // Value, gradient and each moment are read; value and moments are written.
        let (flops, words) = if moments { (16, 7) } else { (8, 5) };
        Workload {
            name: format!("{rule}/{network}"),
            variant: None,
            flops: flops * n as u64,
            bytes: 4 * words * n as u64,
            prepare: Box::new(move |gpu| prepare(gpu, n, moments)),
        }
    };
    all.map(workload).collect()
}

/// Second moments, which are never negative.
fn squares(n: usize) -> Vec<f32> {
    values(4, n).into_iter().map(|v| v * v).collect()
}

/// What a step works on.
struct Arena {
    hyper: Tensor,
    value: Tensor,
    grad: Tensor,
    m: Tensor,
    v: Tensor,
}

impl Arena {
    fn new(gpu: &Gpu, n: usize, moments: bool) -> Result<Self> {
        // Kernels write value and moments, so these do not lie in memory that only uploads write.
        let resident = |values: Vec<f32>| {
            let tensor = Tensor::empty(gpu, &[n])?;
            tensor.copy_from(gpu, &Tensor::from_f32(gpu, &values, &[n])?)?;
            Ok::<_, crate::Error>(tensor)
        };
        // The second step: the first reads no moments.
        let hyper = if moments { ADAM.hyper(2) } else { SGD.hyper(2) };
        let hyper = Tensor::from_f32(gpu, &hyper, &[hyper.len()])?;
        let [value, grad, m] = [1, 2, 3].map(|seed| resident(values(seed, n)));
        Ok(Arena { hyper, value: value?, grad: grad?, m: m?, v: resident(squares(n))? })
    }

    fn step(&self, gpu: &Gpu, moments: bool) -> Result<()> {
        let Arena { hyper, value, grad, m, v } = self;
        if moments {
            adam(gpu, &ADAM, hyper, value, grad, (m, v), None)
        } else {
            sgd(gpu, &SGD, hyper, value, grad, m, None)
        }
    }
}

fn prepare(gpu: &Gpu, n: usize, moments: bool) -> Result<Prepared> {
    let arena = Arena::new(gpu, n, moments)?;
    Ok(Prepared {
        run: Box::new(move |gpu| arena.step(gpu, moments)),
        check: Box::new(move |gpu| check(gpu, n, moments)),
    })
}

/// A step on fresh memory: the timed one changes its own.
fn check(gpu: &Gpu, n: usize, moments: bool) -> Result<Vec<Check>> {
    let arena = Arena::new(gpu, n, moments)?;
    arena.step(gpu, moments)?;
    let (mut p, g, mut m) = (f64s(&values(1, n)), f64s(&values(2, n)), f64s(&values(3, n)));
    if moments {
        let betas = (ADAM.betas.0.into(), ADAM.betas.1.into());
        let (lr, eps, weight_decay) = (ADAM.lr.into(), ADAM.eps.into(), ADAM.weight_decay.into());
        let mut v = f64s(&squares(n));
        let rule = reference::optimizer::Adam { lr, betas, eps, weight_decay, decoupled: ADAM.decoupled };
        rule.step(&mut p, &g, &mut m, &mut v, 2);
    } else {
        let (lr, momentum, weight_decay) = (SGD.lr.into(), SGD.momentum.into(), SGD.weight_decay.into());
        reference::optimizer::Sgd { lr, momentum, nesterov: SGD.nesterov, weight_decay }
            .step(&mut p, &g, &mut m, false);
    }
    Ok(vec![Check::sum("value", arena.value.to_f32(gpu)?, p, 5)])
}
