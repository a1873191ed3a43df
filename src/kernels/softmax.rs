//! Softmax and log-softmax with temperature over the last dimension, and their gradients.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::rows::{RowParallelism, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "softmax", text: include_str!("../../shaders/softmax.wgsl") };

/// Whether a kernel computes probabilities or their logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `softmax(z / T)`
    Probability,
    /// `log softmax(z / T)`
    Logarithm,
}

impl Form {
    fn defines(self, form: RowParallelism) -> Defines {
        defines! { WIDE = form.wide(), LOG = self == Form::Logarithm }
    }
}

/// `softmax(z / temperature)` over the rows of `z` `[.., columns]`.
pub fn softmax(gpu: &Gpu, z: &Tensor, temperature: f32) -> Result<Tensor> {
    forward_with(gpu, z, temperature, Form::Probability, RowParallelism::choose(z.columns(), gpu.profile().class))
}

/// `log softmax(z / temperature)` over the rows of `z` `[.., columns]`.
pub fn log_softmax(gpu: &Gpu, z: &Tensor, temperature: f32) -> Result<Tensor> {
    forward_with(gpu, z, temperature, Form::Logarithm, RowParallelism::choose(z.columns(), gpu.profile().class))
}

/// The gradient with respect to `z` from `p = softmax(z / temperature)` and `dp`.
pub fn softmax_grad(gpu: &Gpu, p: &Tensor, dp: &Tensor, temperature: f32, out: &GradTarget) -> Result<()> {
    grad_with(gpu, p, dp, temperature, out, Form::Probability, RowParallelism::choose(p.columns(), gpu.profile().class))
}

/// The gradient with respect to `z` from `logp = log softmax(z / temperature)` and `dlogp`.
pub fn log_softmax_grad(gpu: &Gpu, logp: &Tensor, dlogp: &Tensor, temperature: f32, out: &GradTarget) -> Result<()> {
    grad_with(
        gpu,
        logp,
        dlogp,
        temperature,
        out,
        Form::Logarithm,
        RowParallelism::choose(logp.columns(), gpu.profile().class),
    )
}

/// Refuses a temperature that is not a positive number.
pub(super) fn check_temperature(kernel: &str, temperature: f32) -> Result<()> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(Error::Invalid(format!("{kernel}: the temperature is {temperature}; it must be a finite number > 0")))
}

/// [`softmax`] or [`log_softmax`] with rows worked through in a given way.
pub fn forward_with(gpu: &Gpu, z: &Tensor, temperature: f32, form: Form, rows: RowParallelism) -> Result<Tensor> {
    check_temperature("softmax", temperature)?;
    let y = Tensor::empty(gpu, z.shape())?;
    let launch = gpu
        .launch(SOURCE, "softmax", &form.defines(rows))?
        .bind("z", z)
        .bind("y", &y)
        .u32("rows", z.rows())
        .u32("columns", z.columns())
        .u32("accumulate", 0)
        .f32("temperature", temperature)
        .cost(20 * z.len() as u64);
    rows.dispatch(launch, [z.rows(), z.columns()])?;
    Ok(y)
}

/// [`softmax_grad`] or [`log_softmax_grad`] with rows worked through in a given way.
pub fn grad_with(
    gpu: &Gpu,
    y: &Tensor,
    dy: &Tensor,
    temperature: f32,
    out: &GradTarget,
    form: Form,
    rows: RowParallelism,
) -> Result<()> {
    check_temperature("softmax", temperature)?;
    expect("softmax", "the gradient of the output", dy, y.shape())?;
    expect("softmax", "dz", &out.tensor, y.shape())?;
    let launch = gpu
        .launch(SOURCE, "softmax_grad", &form.defines(rows))?
        .bind("out", y)
        .bind("dout", dy)
        .bind("dz", &out.tensor)
        .u32("rows", y.rows())
        .u32("columns", y.columns())
        .u32("accumulate", out.flag())
        .f32("temperature", temperature)
        .cost(20 * y.len() as u64);
    rows.dispatch(launch, [y.rows(), y.columns()])
}
