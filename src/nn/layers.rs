//! Layers: a convolution with its batch norm, and the linear layer.

use super::context::{Context, Mode};
use super::init::Initializer;
use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::batch_norm::{self, Norm};
use crate::kernels::conv2d::{self, Epilogue};
use crate::params::{Builder, ParamId, Params, RunningId};
use crate::shape::Conv2d;
use crate::tape::Var;
use crate::tensor::Tensor;

/// PyTorch's defaults.
const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// A convolution without bias and the batch norm after it; with residual addition and ReLU in the same passes.
#[derive(Debug, Clone)]
pub struct ConvNorm {
    /// Input channels.
    pub ci: usize,
    /// Output channels.
    pub co: usize,
    /// Kernel size.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Distance between taps.
    pub dilation: usize,
    weight: ParamId,
    gamma: ParamId,
    beta: ParamId,
    running: RunningId,
}

impl ConvNorm {
    /// A new layer; `names` are the convolution's and the norm's.
    pub fn new(
        b: &mut Builder,
        init: &mut Initializer,
        names: (&str, &str),
        ci: usize,
        co: usize,
        kernel: usize,
        stride: usize,
    ) -> Self {
        let taps = kernel * kernel;
        let weights = init.weights(co * taps * ci, taps * ci, taps * co, true);
        ConvNorm {
            ci,
            co,
            kernel,
            stride,
            dilation: 1,
            weight: b.param(format!("{}.weight", names.0), &[co, kernel, kernel, ci], &weights),
            gamma: b.param(format!("{}.weight", names.1), &[co], &vec![1.0; co]),
            beta: b.param(format!("{}.bias", names.1), &[co], &vec![0.0; co]),
            running: b.running(names.1, co),
        }
    }

    /// The same with this distance between taps.
    pub fn dilated(self, dilation: usize) -> Self {
        ConvNorm { dilation, ..self }
    }

    /// The convolution's shape for an input `[n, h, w, ci]`; padding keeps the size at stride 1.
    pub fn shape(&self, n: usize, h: usize, w: usize) -> Conv2d {
        let padding = self.dilation * (self.kernel / 2);
        let plain = Conv2d::square(n, h, w, self.ci, self.co, self.kernel, self.stride, padding);
        Conv2d { dilation: self.dilation, ..plain }
    }

    fn shape_of(&self, x: &Tensor) -> Result<Conv2d> {
        match x.shape() {
            &[n, h, w, c] if c == self.ci => Ok(self.shape(n, h, w)),
            other => Err(crate::Error::Shape(format!("a layer of {} channels applied to {other:?}", self.ci))),
        }
    }

    fn norm(&self, params: &Params) -> Norm {
        Norm {
            gamma: params.get(self.gamma).value.clone(),
            beta: params.get(self.beta).value.clone(),
            running: params.running(self.running).clone(),
            eps: EPS,
            momentum: MOMENTUM,
        }
    }

    /// `relu?(bn(conv(x)) + residual)`.
    pub fn forward(&self, ctx: &mut Context, x: &Var, residual: Option<&Var>, relu: bool) -> Result<Var> {
        let params = ctx.params;
        let s = self.shape_of(x.value())?;
        let affine = (params.get(self.gamma), params.get(self.beta));
        ctx.conv_norm(s, x, params.get(self.weight), affine, self.norm(params), residual, relu)
    }

    /// The layer as one convolution with a bias, for inference.
    pub fn fold(&self, gpu: &Gpu, params: &Params) -> Result<Folded> {
        let (weight, bias) = batch_norm::fold(gpu, &params.get(self.weight).value, &self.norm(params))?;
        Ok(Folded { layer: self.clone(), weight, bias })
    }
}

/// A [`ConvNorm`] whose norm has become part of the convolution.
#[derive(Debug, Clone)]
pub struct Folded {
    layer: ConvNorm,
    weight: Tensor,
    bias: Tensor,
}

impl Folded {
    /// `relu?(conv(x) + b + residual)`, one dispatch.
    pub fn infer(&self, gpu: &Gpu, x: &Tensor, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        let epilogue = Epilogue { bias: Some(&self.bias), residual, relu };
        conv2d::forward(gpu, &self.layer.shape_of(x)?, x, &self.weight, epilogue)
    }

    /// The tensors it computes with.
    pub fn tensors(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }
}

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Input features.
    pub inputs: usize,
    /// Output features.
    pub outputs: usize,
    relu: bool,
    weight: ParamId,
    bias: ParamId,
}

impl Linear {
    /// A new layer called `name`; a ReLU follows it where `relu`.
    pub fn new(b: &mut Builder, init: &mut Initializer, name: &str, inputs: usize, outputs: usize, relu: bool) -> Self {
        Self::with_bias(b, init, name, inputs, relu, &vec![0.0; outputs])
    }

    /// A new layer that begins with these biases, one an output.
    pub(super) fn with_bias(
        b: &mut Builder,
        init: &mut Initializer,
        name: &str,
        inputs: usize,
        relu: bool,
        bias: &[f32],
    ) -> Self {
        let outputs = bias.len();
        let weights = init.weights(inputs * outputs, inputs, outputs, relu);
        Linear {
            inputs,
            outputs,
            relu,
            weight: b.param(format!("{name}.weight"), &[outputs, inputs], &weights),
            bias: b.param(format!("{name}.bias"), &[outputs], bias),
        }
    }

    /// `[m, inputs]` → `[m, outputs]`.
    pub fn forward(&self, ctx: &mut Context, x: &Var) -> Result<Var> {
        let params = ctx.params;
        ctx.linear(x, params.get(self.weight), Some(params.get(self.bias)), self.relu)
    }

    /// Copies of its weight and bias, and whether a ReLU follows.
    pub fn freeze(&self, gpu: &Gpu, params: &Params) -> Result<FrozenLinear> {
        let copy = |id: ParamId| {
            let from = &params.get(id).value;
            let to = Tensor::empty(gpu, from.shape())?;
            to.copy_from(gpu, from)?;
            Ok::<_, crate::Error>(to)
        };
        Ok(FrozenLinear { weight: copy(self.weight)?, bias: copy(self.bias)?, relu: self.relu })
    }
}

/// A [`Linear`] for inference.
#[derive(Debug, Clone)]
pub struct FrozenLinear {
    weight: Tensor,
    bias: Tensor,
    relu: bool,
}

impl FrozenLinear {
    /// `relu?(x Wᵀ + b)`.
    pub fn infer(&self, gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
        crate::kernels::linear::forward(gpu, x, &self.weight, Some(&self.bias), self.relu)
    }

    /// The layer whose outputs are `scale` times these, plus `shift`. For a layer without ReLU.
    pub(super) fn affine(&self, gpu: &Gpu, scale: f64, shift: f64) -> Result<Self> {
        let with = |tensor: &Tensor, shift: f64| {
            let values: Vec<f32> = tensor.to_f32(gpu)?.iter().map(|v| (f64::from(*v) * scale + shift) as f32).collect();
            // Not into memory that only uploads write.
            let own = Tensor::empty(gpu, tensor.shape())?;
            own.copy_from(gpu, &Tensor::from_f32(gpu, &values, tensor.shape())?)?;
            Ok::<_, crate::Error>(own)
        };
        Ok(FrozenLinear { weight: with(&self.weight, 0.0)?, bias: with(&self.bias, shift)?, relu: self.relu })
    }

    /// The tensors it computes with.
    pub fn tensors(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }
}

/// A training or evaluation pass needs statistics of more than one value.
pub(super) fn check_batch(mode: Mode, shape: &[usize]) -> Result<()> {
    if mode != Mode::Eval && shape.first().is_some_and(|n| *n < 2) {
        let message = format!("a batch of {shape:?} is too small to train batch norm; use at least 2 samples");
        return Err(crate::Error::Shape(message));
    }
    Ok(())
}
