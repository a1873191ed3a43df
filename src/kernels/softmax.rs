//! Softmax and log-softmax with temperature over the last dimension, and their gradients.

mod workloads;

pub use workloads::workloads;

use super::case::{Case, Check, Permutation, f64s, values};
use super::rows::{RowParallelism, added, destination, expect};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines, reference};

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

/// Every way the shader is compiled.
pub fn permutations() -> Vec<Permutation> {
    let all = RowParallelism::ALL.iter().flat_map(|r| [Form::Probability, Form::Logarithm].map(|f| f.defines(*r)));
    all.map(|defines| Permutation { source: SOURCE, defines }).collect()
}

/// Odd and even rows and classes; the last has more rows than a dimension may have workgroups.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 2), (3, 3), (5, 10), (17, 100), (33, 65), (65, 10), (5, 1000), (70_000, 3)];
    let all = shapes.iter().flat_map(|s| [1.0, 4.0].map(|t| (*s, t)));
    all.map(|((b, c), t)| Case::new(format!("[{b}, {c}] T {t}"), move |gpu| run(gpu, b, c, t))).collect()
}

fn run(gpu: &Gpu, b: usize, c: usize, temperature: f32) -> Result<Vec<Check>> {
    let z: Vec<f32> = values(1, b * c).iter().map(|v| 5.0 * v).collect();
    let dy = values(2, b * c);
    let t = f64::from(temperature);
    let (z_gpu, dy_gpu) = (Tensor::from_f32(gpu, &z, &[b, c])?, Tensor::from_f32(gpu, &dy, &[b, c])?);
    let mut checks = Vec::new();
    for form in [Form::Probability, Form::Logarithm] {
        let want = match form {
            Form::Probability => reference::softmax::softmax(&f64s(&z), c, t),
            Form::Logarithm => reference::softmax::log_softmax(&f64s(&z), c, t),
        };
        let dz = match form {
            Form::Probability => reference::softmax::softmax_grad(&want, &f64s(&dy), c, t),
            Form::Logarithm => reference::softmax::log_softmax_grad(&want, &f64s(&dy), c, t),
        };
        for rows in RowParallelism::ALL {
            let y = forward_with(gpu, &z_gpu, temperature, form, rows)?;
            checks.push(Check::sum(format!("{form:?} by {rows:?}"), y.to_f32(gpu)?, want.clone(), c));
            for accumulate in [false, true] {
                let (out, there) = destination(gpu, &[b, c], accumulate)?;
                grad_with(gpu, &y, &dy_gpu, temperature, &out, form, rows)?;
                let what = format!("dz of {form:?} by {rows:?}, accumulate {accumulate}");
                checks.push(Check::sum(what, out.tensor.to_f32(gpu)?, added(&there, 1.0, &dz), c));
            }
        }
    }
    Ok(checks)
}
