//! What the convolution is timed on: every distinct one of ResNet-20 and of ResNet-18 for 32x32 images.

use super::{Epilogue, Pass, Variant, forward_with, input_grad_with, select, weight_grad_with};
use crate::Result;
use crate::gpu::{AdapterClass, Gpu};
use crate::kernels::case::{Check, Prepared, Size, Workload, sampled, spread, values};
use crate::reference;
use crate::shape::Conv2d;
use crate::tensor::{GradTarget, Tensor};

/// Stage widths of the networks that are timed, and the images of a batch: on software adapters, and elsewhere.
const NETWORKS: [(&str, &[usize], [usize; 2]); 2] =
    [("resnet20", &[16, 32, 64], [64, 128]), ("resnet18", &[64, 128, 256, 512], [32, 128])];
/// Height and width of the images.
const IMAGE: usize = 32;
/// Values of each result that are held against the reference.
const SAMPLES: usize = 64;

/// A convolution of a network, and the pass of it that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timed {
    /// The network.
    pub network: &'static str,
    /// The shape, batch included.
    pub shape: Conv2d,
    /// The pass.
    pub pass: Pass,
}

impl Timed {
    /// `resnet18/3x3-64-64-32x32-b32/forward`, with `s2` where the stride is 2; sizes are those of the input.
    pub fn name(&self) -> String {
        let s = &self.shape;
        let stride = if s.stride == 1 { String::new() } else { format!("-s{}", s.stride) };
        let size = format!("{}x{}-{}-{}-{}x{}{stride}-b{}", s.kh, s.kw, s.ci, s.co, s.h, s.w, s.n);
        format!("{}/{size}/{}", self.network, self.pass)
    }
}

/// The distinct convolutions of a network of `widths` for batches of `n`, in the order of the forward pass.
fn shapes(widths: &[usize], n: usize) -> Vec<Conv2d> {
    let (mut all, mut ci, mut size) = (Vec::new(), 3, IMAGE);
    for (i, &co) in widths.iter().enumerate() {
        let stride = if i == 0 { 1 } else { 2 };
        all.push(Conv2d::square(n, size, size, ci, co, 3, stride, 1));
        if i > 0 {
            all.push(Conv2d::square(n, size, size, ci, co, 1, stride, 0));
        }
        (ci, size) = (co, size / stride);
        all.push(Conv2d::square(n, size, size, co, co, 3, 1, 1));
    }
    all
}

/// Every distinct convolution and pass of the timed networks on adapters of `class`. The images have no gradient.
pub fn distinct(class: AdapterClass) -> Vec<Timed> {
    let batch = |batches: [usize; 2]| batches[usize::from(class != AdapterClass::Software)];
    let shapes = NETWORKS.iter().flat_map(|(network, widths, batches)| {
        shapes(widths, batch(*batches)).into_iter().map(move |shape| (*network, shape))
    });
    let passes = |shape: &Conv2d| match shape.ci {
        3 => vec![Pass::Forward, Pass::WeightGrad],
        _ => vec![Pass::Forward, Pass::InputGrad, Pass::WeightGrad],
    };
    shapes
        .flat_map(|(network, shape)| passes(&shape).into_iter().map(move |pass| Timed { network, shape, pass }))
        .collect()
}

/// Every distinct convolution and pass.
pub fn workloads(gpu: &Gpu, _: Size) -> Vec<Workload> {
    let workload = |timed: Timed| {
        let s = timed.shape;
        let values: usize = [s.x_shape(), s.w_shape(), s.y_shape()].iter().map(|d| d.iter().product::<usize>()).sum();
        Workload {
            name: timed.name(),
            variant: Some(select(gpu, timed.pass, &s).to_string()),
            flops: 2 * s.macs(),
            bytes: 4 * values as u64,
            prepare: Box::new(move |gpu| prepare(gpu, timed)),
        }
    };
    distinct(gpu.profile().class).into_iter().map(workload).collect()
}

fn prepare(gpu: &Gpu, timed: Timed) -> Result<Prepared> {
    let variant = select(gpu, timed.pass, &timed.shape);
    let drawn = timed.drawn();
    let inputs = timed.upload(gpu, &drawn)?;
    let again = inputs.clone();
    Ok(Prepared {
        run: Box::new(move |gpu| timed.compute(gpu, &inputs, variant).map(|_| ())),
        check: Box::new(move |gpu| {
            let got = timed.compute(gpu, &again, variant)?.to_f32(gpu)?;
            let check = spot_check(&timed, &drawn, &got);
            Ok(vec![Check { tolerance: check.tolerance + variant.rounding(), ..check }])
        }),
    })
}

impl Timed {
    /// What the pass takes, the same on every machine.
    fn drawn(&self) -> [Vec<f32>; 2] {
        let (a, b) = operands(&self.shape, self.pass);
        [values(1, len(a)), values(2, len(b))]
    }

    fn upload(&self, gpu: &Gpu, [a, b]: &[Vec<f32>; 2]) -> Result<[Tensor; 2]> {
        let shapes = operands(&self.shape, self.pass);
        Ok([Tensor::from_f32(gpu, a, &shapes.0)?, Tensor::from_f32(gpu, b, &shapes.1)?])
    }

    /// The pass's inputs on the GPU.
    pub fn inputs(&self, gpu: &Gpu) -> Result<[Tensor; 2]> {
        self.upload(gpu, &self.drawn())
    }

    /// Records the pass in a variant.
    pub fn compute(&self, gpu: &Gpu, [a, b]: &[Tensor; 2], variant: Variant) -> Result<Tensor> {
        let s = &self.shape;
        let fresh = |shape: [usize; 4]| Tensor::empty(gpu, &shape).map(GradTarget::fresh);
        match self.pass {
            Pass::Forward => forward_with(gpu, s, a, b, Epilogue::default(), variant),
            Pass::InputGrad => {
                let out = fresh(s.x_shape())?;
                input_grad_with(gpu, s, a, b, &out, variant)?;
                Ok(out.tensor)
            }
            Pass::WeightGrad => {
                let out = fresh(s.w_shape())?;
                weight_grad_with(gpu, s, a, b, &out, variant)?;
                Ok(out.tensor)
            }
        }
    }

    /// Terms of each sum of the result.
    pub fn terms(&self) -> usize {
        let s = &self.shape;
        match self.pass {
            Pass::Forward => s.kh * s.kw * s.ci,
            Pass::InputGrad => s.kh * s.kw * s.co,
            Pass::WeightGrad => s.n * s.oh() * s.ow(),
        }
    }
}

fn len(shape: [usize; 4]) -> usize {
    shape.iter().product()
}

/// The shapes of what `pass` takes.
fn operands(s: &Conv2d, pass: Pass) -> ([usize; 4], [usize; 4]) {
    match pass {
        Pass::Forward => (s.x_shape(), s.w_shape()),
        Pass::InputGrad => (s.y_shape(), s.w_shape()),
        Pass::WeightGrad => (s.x_shape(), s.y_shape()),
    }
}

/// Some values of the result against the reference's on the inputs `a` and `b`.
fn spot_check(timed: &Timed, [a, b]: &[Vec<f32>; 2], got: &[f32]) -> Check {
    let Timed { shape: s, pass, .. } = timed;
    let want = |at| match pass {
        Pass::Forward => reference::conv2d::forward_at(s, a, b, at),
        Pass::InputGrad => reference::conv2d::input_grad_at(s, a, b, at),
        Pass::WeightGrad => reference::conv2d::weight_grad_at(s, a, b, at),
    };
    sampled(pass.to_string(), got, &spread(got.len(), SAMPLES), want, timed.terms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_say_the_shape() {
        for class in [AdapterClass::Software, AdapterClass::Discrete] {
            let names: Vec<String> = distinct(class).iter().map(Timed::name).collect();
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
            assert_eq!(names.len(), 8 * 3 - 1 + 11 * 3 - 1);
        }
        let names: Vec<String> = distinct(AdapterClass::Software).iter().map(Timed::name).collect();
        assert!(names.contains(&"resnet18/3x3-64-64-32x32-b32/input_grad".to_string()), "{names:?}");
        assert!(names.contains(&"resnet20/1x1-16-32-32x32-s2-b64/forward".to_string()));
        assert!(!names.iter().any(|n| n.contains("3x3-3-") && n.contains("input_grad")));
    }
}
