//! What batch norm is timed on: the widest, a middle and the deepest map of the timed networks.

use super::{Norm, NormTargets, backward, batch_stats, normalize};
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::case::{Check, Prepared, Size, Workload, f64s, values};
use crate::tensor::{GradTarget, Tensor};
use crate::{Result, reference};

const EPS: f32 = 1e-5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Mean and variance of the batch.
    Stats,
    /// Normalize, add the residual, ReLU.
    Normalize,
    /// All gradients of that.
    Backward,
}

/// Statistics, normalization with residual and ReLU, and the gradient.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let software = gpu.profile().class == AdapterClass::Software;
    // Images of a batch, height and width, channels.
    let maps = [("resnet20", if software { 64 } else { 128 }, 32, 16)]
        .into_iter()
        .chain([(32, 64), (8, 256), (4, 512)].map(|(hw, c)| ("resnet18", if software { 32 } else { 128 }, hw, c)));
    let parts = [(Part::Stats, "stats"), (Part::Normalize, "normalise"), (Part::Backward, "backward")];
    let all = maps.flat_map(|map| parts.map(|part| (map, part)));
    let workload = |((network, n, hw, c), (part, name)): ((&str, usize, usize, usize), (Part, &str))| {
        let elements = (n * hw * hw * c) as u64;
        // Arrays that are read, and written: statistics read x; normalization x, residual → y; the gradient reads dy, x and
        // y, and writes dx and the residual's.
        let (flops, arrays) = match part {
            Part::Stats => (4, 1),
            Part::Normalize => (4, 3),
            Part::Backward => (10, 5),
        };
        Workload {
            name: format!("{network}/{hw}x{hw}x{c}-b{n}/{name}"),
            variant: None,
            flops: flops * elements,
            bytes: 4 * arrays * elements,
            prepare: Box::new(move |gpu| prepare(gpu, n * hw * hw, c, part)),
        }
    };
    all.map(workload).collect()
}

struct Layer {
    norm: Norm,
    x: Tensor,
    residual: Tensor,
    dy: Tensor,
    stats: Tensor,
    y: Tensor,
    grads: [GradTarget; 4],
}

impl Layer {
    fn new(gpu: &Gpu, rows: usize, c: usize) -> Result<Self> {
        let up = |seed, shape: &[usize]| Tensor::from_f32(gpu, &values(seed, shape.iter().product()), shape);
        let running = Tensor::empty(gpu, &[2, c])?;
        running.copy_from(gpu, &up(5, &[2, c])?)?;
        let norm = Norm { gamma: up(3, &[c])?, beta: up(4, &[c])?, running, eps: EPS, momentum: 0.1 };
        let (x, residual, dy) = (up(1, &[rows, c])?, up(2, &[rows, c])?, up(6, &[rows, c])?);
        let stats = batch_stats(gpu, &x, &norm, None)?;
        let y = normalize(gpu, &x, &stats, &norm, Some(&residual), true)?;
        let fresh = |shape: &[usize]| Tensor::empty(gpu, shape).map(GradTarget::fresh);
        let grads = [fresh(&[rows, c])?, fresh(&[c])?, fresh(&[c])?, fresh(&[rows, c])?];
        Ok(Layer { norm, x, residual, dy, stats, y, grads })
    }

    /// Records `part`; what it wrote.
    fn compute(&self, gpu: &Gpu, part: Part) -> Result<Vec<Tensor>> {
        match part {
            Part::Stats => Ok(vec![batch_stats(gpu, &self.x, &self.norm, None)?]),
            Part::Normalize => Ok(vec![normalize(gpu, &self.x, &self.stats, &self.norm, Some(&self.residual), true)?]),
            Part::Backward => {
                let [dx, dgamma, dbeta, dresidual] = &self.grads;
                let out = NormTargets { dx: Some(dx), dgamma, dbeta, dresidual: Some(dresidual) };
                backward(gpu, (&self.dy, &self.x, &self.y), &self.stats, &self.norm, (true, true), true, out)?;
                Ok(self.grads.iter().map(|g| g.tensor.clone()).collect())
            }
        }
    }
}

fn prepare(gpu: &Gpu, rows: usize, c: usize, part: Part) -> Result<Prepared> {
    let layer = std::rc::Rc::new(Layer::new(gpu, rows, c)?);
    let again = layer.clone();
    Ok(Prepared {
        run: Box::new(move |gpu| layer.compute(gpu, part).map(|_| ())),
        check: Box::new(move |gpu| check(gpu, &again, rows, c, part)),
    })
}

fn check(gpu: &Gpu, layer: &Layer, rows: usize, c: usize, part: Part) -> Result<Vec<Check>> {
    let got = layer.compute(gpu, part)?.iter().map(|t| t.to_f32(gpu)).collect::<Result<Vec<_>>>()?;
    let x = f64s(&values(1, rows * c));
    let (mean, var) = reference::batch_norm::stats(&x, c);
    if part == Part::Stats {
        let inverse = var.iter().map(|v| 1.0 / (v + f64::from(EPS)).sqrt());
        let want: Vec<f64> = mean.iter().copied().chain(inverse).collect();
        return Ok(got.into_iter().map(|got| Check::sum("stats", got, want.clone(), rows)).collect());
    }
    let (gamma, beta) = (f64s(&values(3, c)), f64s(&values(4, c)));
    let residual = f64s(&values(2, rows * c));
    let y = reference::batch_norm::forward(&x, c, &mean, &var, &gamma, &beta, EPS.into(), Some(&residual), true);
    if part == Part::Normalize {
        return Ok(got.into_iter().map(|got| Check::sum("y", got, y.clone(), rows)).collect());
    }
    let dy = f64s(&values(6, rows * c));
    let want = reference::batch_norm::backward(&dy, &y, &x, c, &mean, &var, &gamma, EPS.into(), true, true);
    let names = ["dx", "dgamma", "dbeta", "dresidual"];
    let want = [want.dx, want.dgamma, want.dbeta, want.dresidual];
    Ok(names.into_iter().zip(got).zip(want).map(|((name, got), want)| Check::sum(name, got, want, rows)).collect())
}
