//! The norm of all gradients, and clipping by it (Pascanu et al. 2013).

#[cfg(feature = "selftest")]
mod cases;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};

use crate::gpu::{Gpu, Source};
use crate::tensor::Tensor;
use crate::{Result, defines};

const SOURCE: Source = Source { name: "gradient_norm", text: include_str!("../../shaders/gradient_norm.wgsl") };

/// `[2]`: the norm of `grad` and the factor `min(1, max_norm / (norm + 1e-6))` by which the optimizer scales it.
pub fn clip(gpu: &Gpu, grad: &Tensor, max_norm: f32) -> Result<Tensor> {
    let parts = grad.len().div_ceil(4096).clamp(1, 256);
    let (part, out) = (Tensor::empty(gpu, &[parts])?, Tensor::empty(gpu, &[2])?);
    let pass = |entry, g: &Tensor, out: &Tensor, groups: usize| {
        gpu.launch(SOURCE, entry, &defines! {})?
            .bind("g", g)
            .bind("out", out)
            .u32("length", grad.len())
            .u32("parts", parts)
            .turns(grad.len().div_ceil(256 * parts).max(parts))
            .f32("max_norm", max_norm)
            .groups(groups)
    };
    pass("squares", grad, &part, parts)?;
    pass("finish", &part, &out, 1)?;
    Ok(out)
}
