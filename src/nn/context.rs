//! What a layer needs to run, and the differentiable operations on it.

use crate::Result;
use crate::gpu::Gpu;
use crate::kernels::batch_norm::{Norm, NormTargets};
use crate::kernels::conv2d::Epilogue;
use crate::kernels::{batch_norm, concat, conv2d, elementwise, linear, pool, reduce, resize};
use crate::params::Params;
use crate::shape::{Conv2d, Pool2d};
use crate::tape::{Param, Tape, Var};
use crate::tensor::Tensor;

/// Which statistics batch norm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The batch's own; the running values are updated.
    Train,
    /// The batch's own, as in training, but the running values stay: for a look, or a second pass over one batch.
    TrainNoStats,
    /// The running values.
    Eval,
}

/// One forward pass.
pub struct Context<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// Where operations are recorded.
    pub tape: &'a mut Tape,
    /// The network's parameters.
    pub params: &'a Params,
    /// Training or evaluation.
    pub mode: Mode,
}

impl Context<'_> {
    /// Convolution without bias, `[n, h, w, ci]` → `[n, oh, ow, co]`.
    pub fn conv2d(&mut self, s: Conv2d, x: &Var, weight: &Param) -> Result<Var> {
        let y = conv2d::forward(self.gpu, &s, x.value(), &weight.value, Epilogue::default())?;
        Ok(self.push_conv2d(s, x, weight, y))
    }

    fn push_conv2d(&mut self, s: Conv2d, x: &Var, weight: &Param, y: Tensor) -> Var {
        let (input, slot, weight) = (x.value().clone(), x.slot(), weight.clone());
        self.tape.push(y, move |gpu, dy, grads| {
            if let Some(dx) = grads.target(gpu, &slot)? {
                conv2d::input_grad(gpu, &s, dy, &weight.value, &dx)?;
            }
            conv2d::weight_grad(gpu, &s, &input, dy, &grads.param(&weight)?)
        })
    }

    /// Convolution without bias, then batch norm, residual addition and ReLU. The convolution leaves the partial sums of the
    /// norm's statistics where its variant can, so that its output is read once less.
    pub fn conv_norm(
        &mut self,
        s: Conv2d,
        x: &Var,
        weight: &Param,
        affine: (&Param, &Param),
        norm: Norm,
        residual: Option<&Var>,
        relu: bool,
    ) -> Result<Var> {
        if self.mode == Mode::Eval {
            let z = self.conv2d(s, x, weight)?;
            return self.batch_norm(&z, affine, norm, residual, relu);
        }
        let (y, partials) = conv2d::forward_stats(self.gpu, &s, x.value(), &weight.value)?;
        let stats = batch_norm::batch_stats(self.gpu, &y, &self.updating(&norm), partials)?;
        let z = self.push_conv2d(s, x, weight, y);
        self.normalize(&z, affine, norm, stats, residual, relu)
    }

    /// The norm as it is to update its running values.
    fn updating(&self, norm: &Norm) -> Norm {
        let momentum = if self.mode == Mode::TrainNoStats { 0.0 } else { norm.momentum };
        Norm { momentum, ..norm.clone() }
    }

    /// Bilinear enlargement or reduction, `[n, h, w, c]` → `[n, oh, ow, c]`.
    pub fn resize(&mut self, x: &Var, out: [usize; 2]) -> Result<Var> {
        let y = resize::bilinear(self.gpu, x.value(), out)?;
        let slot = x.slot();
        Ok(self.tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
            Some(dx) => resize::bilinear_grad(gpu, dy, &dx),
            None => Ok(()),
        }))
    }

    /// Rows of several values one after the other: `[n, rows, c]` each → `[n, Σ rows, c]`.
    pub fn concat(&mut self, parts: &[Var]) -> Result<Var> {
        let y = concat::concat(self.gpu, &parts.iter().map(Var::value).collect::<Vec<_>>())?;
        let rows = |v: &Var| v.value().shape().get(1).copied().unwrap_or(0);
        let mut offset = 0;
        let mut slots = Vec::new();
        for part in parts {
            slots.push((part.slot(), offset));
            offset += rows(part);
        }
        Ok(self.tape.push(y, move |gpu, dy, grads| {
            for (slot, offset) in &slots {
                if let Some(dx) = grads.target(gpu, slot)? {
                    concat::concat_grad(gpu, dy, *offset, &dx)?;
                }
            }
            Ok(())
        }))
    }

    /// Batch norm, then residual addition, then ReLU, in one node.
    pub fn batch_norm(
        &mut self,
        x: &Var,
        affine: (&Param, &Param),
        norm: Norm,
        residual: Option<&Var>,
        relu: bool,
    ) -> Result<Var> {
        let stats = match self.mode {
            Mode::Train | Mode::TrainNoStats => {
                batch_norm::batch_stats(self.gpu, x.value(), &self.updating(&norm), None)?
            }
            Mode::Eval => batch_norm::running_stats(self.gpu, &norm)?,
        };
        self.normalize(x, affine, norm, stats, residual, relu)
    }

    fn normalize(
        &mut self,
        x: &Var,
        (gamma, beta): (&Param, &Param),
        norm: Norm,
        stats: Tensor,
        residual: Option<&Var>,
        relu: bool,
    ) -> Result<Var> {
        let training = self.mode != Mode::Eval;
        let y = batch_norm::normalize(self.gpu, x.value(), &stats, &norm, residual.map(Var::value), relu)?;
        let (input, output) = (x.value().clone(), y.clone());
        let (x_slot, residual_slot) = (x.slot(), residual.map(Var::slot));
        let (gamma, beta) = (gamma.clone(), beta.clone());
        Ok(self.tape.push(y, move |gpu, dy, grads| {
            let dx = grads.target(gpu, &x_slot)?;
            let dresidual = match &residual_slot {
                Some(slot) => grads.target(gpu, slot)?,
                None => None,
            };
            let out = NormTargets {
                dx: dx.as_ref(),
                dgamma: &grads.param(&gamma)?,
                dbeta: &grads.param(&beta)?,
                dresidual: dresidual.as_ref(),
            };
            batch_norm::backward(
                gpu,
                (dy, &input, &output),
                &stats,
                &norm,
                (residual_slot.is_some(), relu),
                training,
                out,
            )
        }))
    }

    /// Max pooling.
    pub fn max_pool(&mut self, s: Pool2d, x: &Var) -> Result<Var> {
        let y = pool::max(self.gpu, &s, x.value())?;
        let (input, output, slot) = (x.value().clone(), y.clone(), x.slot());
        Ok(self.tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
            Some(dx) => pool::max_grad(gpu, &s, &input, &output, dy, &dx),
            None => Ok(()),
        }))
    }

    /// Average pooling; padding counts.
    pub fn avg_pool(&mut self, s: Pool2d, x: &Var) -> Result<Var> {
        let y = pool::avg(self.gpu, &s, x.value())?;
        let slot = x.slot();
        Ok(self.tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
            Some(dx) => pool::avg_grad(gpu, &s, dy, &dx),
            None => Ok(()),
        }))
    }

    /// The mean over height and width, `[n, h, w, c]` → `[n, c]`.
    pub fn global_avg_pool(&mut self, x: &Var) -> Result<Var> {
        let y = pool::global_avg(self.gpu, x.value())?;
        let slot = x.slot();
        Ok(self.tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
            Some(dx) => pool::global_avg_grad(gpu, dy, &dx),
            None => Ok(()),
        }))
    }

    /// `relu?(x Wᵀ + b)`, `[m, k]` → `[m, n]`.
    pub fn linear(&mut self, x: &Var, weight: &Param, bias: Option<&Param>, relu: bool) -> Result<Var> {
        let y = linear::forward(self.gpu, x.value(), &weight.value, bias.map(|b| &b.value), relu)?;
        let (input, output, slot) = (x.value().clone(), y.clone(), x.slot());
        let (weight, bias) = (weight.clone(), bias.cloned());
        Ok(self.tape.push(y, move |gpu, dy, grads| {
            let dz = if relu { relu_grad(gpu, dy, &output)? } else { dy.clone() };
            if let Some(dx) = grads.target(gpu, &slot)? {
                linear::input_grad(gpu, &input, &dz, &weight.value, &dx)?;
            }
            if let Some(bias) = &bias {
                reduce::column_sum(gpu, &dz, 1.0, &grads.param(bias)?)?;
            }
            linear::weight_grad(gpu, &input, &dz, &weight.value, &grads.param(&weight)?)
        }))
    }
}

fn relu_grad(gpu: &Gpu, dy: &Tensor, y: &Tensor) -> Result<Tensor> {
    let dz = Tensor::empty(gpu, dy.shape())?;
    elementwise::relu_grad(gpu, dy, y, &crate::tensor::GradTarget::fresh(dz.clone()))?;
    Ok(dz)
}
