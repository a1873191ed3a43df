//! Rows of several tensors one after the other: the levels of a pyramid as one list of places.

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use crate::gpu::{Gpu, Launch, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "concat", text: include_str!("../../shaders/concat.wgsl") };

/// `[n, rows, c]` of each part → `[n, Σ rows, c]`.
pub fn concat(gpu: &Gpu, parts: &[&Tensor]) -> Result<Tensor> {
    let strange = || Error::Shape(format!("concat: {:?}", parts.iter().map(|p| p.shape()).collect::<Vec<_>>()));
    let Some(&[n, _, c]) = parts.first().map(|p| p.shape()) else { return Err(strange()) };
    let mut total = 0;
    for part in parts {
        match part.shape() {
            &[m, rows, d] if (m, d) == (n, c) && m * rows * d > 0 => total += rows,
            _ => return Err(strange()),
        }
    }
    let whole = Tensor::empty(gpu, &[n, total, c])?;
    let mut offset = 0;
    for part in parts {
        let launch = gpu.launch(SOURCE, "concat", &defines! {})?.bind("part", *part).bind("whole", &whole);
        prepare(launch.u32("accumulate", 0), part.shape(), total, offset).threads(part.len())?;
        offset += part.shape()[1];
    }
    Ok(whole)
}

/// The gradient of [`concat()`] with respect to the part whose rows begin at `offset`, from `dy` `[n, total, c]`; `dx` has the part's
/// shape `[n, rows, c]`.
pub fn concat_grad(gpu: &Gpu, dy: &Tensor, offset: usize, dx: &GradTarget) -> Result<()> {
    match (dy.shape(), dx.tensor.shape()) {
        (&[n, total, c], &[m, rows, d]) if (n, c) == (m, d) && offset + rows <= total => {
            let launch = gpu.launch(SOURCE, "concat_grad", &defines! {})?;
            let launch = launch.bind("gradient", dy).bind("dpart", &dx.tensor).u32("accumulate", dx.flag());
            prepare(launch, dx.tensor.shape(), total, offset).threads(dx.tensor.len())
        }
        (dy, dx) => Err(Error::Shape(format!("concat: a gradient {dy:?} for {dx:?} at {offset}"))),
    }
}

fn prepare<'a>(launch: Launch<'a>, part: &[usize], total: usize, offset: usize) -> Launch<'a> {
    let (row, c) = (part[1] * part[2], part[2]);
    launch.u32("count", part[0] * row).u32("row", row).u32("whole", total * c).u32("offset", offset * c)
}
