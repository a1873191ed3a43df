//! Gradients of several tasks side by side: their products with each other and their weighted sum (Quinton & Rey 2024).

#[cfg(feature = "selftest")]
mod cases;
#[cfg(feature = "selftest")]
mod workloads;

#[cfg(feature = "selftest")]
pub use cases::{cases, permutations};
#[cfg(feature = "selftest")]
pub use workloads::workloads;

use super::{PART, elementwise};
use crate::gpu::{Defines, Gpu, Source};
use crate::tensor::{GradTarget, Tensor};
use crate::{Error, Result, defines};

const SOURCE: Source = Source { name: "gramian", text: include_str!("../../shaders/gramian.wgsl") };

/// Rows begin at multiples of this many values, as parts of a tensor must ([`Tensor::slice`]).
const ALIGN: usize = 64;

/// One gradient of `len` values for each of several tasks, in one piece of memory.
#[derive(Debug, Clone)]
pub struct GradientRows {
    all: Tensor,
    tasks: usize,
    len: usize,
}

impl GradientRows {
    /// Zeros. A row that nobody writes stays so.
    pub fn new(gpu: &Gpu, tasks: usize, len: usize) -> Result<Self> {
        let all = Tensor::empty(gpu, &[tasks, len.next_multiple_of(ALIGN)])?;
        elementwise::fill(gpu, &all, 0.0)?;
        Ok(GradientRows { all, tasks, len })
    }

    /// The number of rows.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// The gradient of task `k`, of the given shape.
    pub fn row(&self, k: usize, shape: &[usize]) -> Result<Tensor> {
        let len: usize = shape.iter().product();
        if k >= self.tasks || len > self.all.columns() {
            return Err(Error::Shape(format!("row {k} as {shape:?} of {} gradients of {}", self.tasks, self.len)));
        }
        self.all.slice(k * self.all.columns(), shape)
    }

    /// `gramian` (+)= the products of the rows with each other, `[tasks, tasks]`.
    pub fn products(&self, gpu: &Gpu, gramian: &GradTarget) -> Result<()> {
        let tile = self.tasks.min(4);
        self.products_with(gpu, gramian, tile)
    }

    /// [`GradientRows::products`] in blocks of `tile` x `tile` tasks.
    pub fn products_with(&self, gpu: &Gpu, gramian: &GradTarget, tile: usize) -> Result<()> {
        if gramian.tensor.len() != self.tasks * self.tasks {
            let shape = gramian.tensor.shape();
            return Err(Error::Shape(format!("the products of {} gradients into {shape:?}", self.tasks)));
        }
        let quads = self.all.columns() / 4;
        // At least 32 loads a share, so that the shares' sums weigh little beside them.
        let parts = (quads / 32).clamp(1, 16_384).max(quads.div_ceil(PART)).next_multiple_of(64);
        let across = self.tasks.div_ceil(tile);
        let blocks = across * (across + 1) / 2;
        let part = Tensor::empty(gpu, &[blocks * tile * tile, parts])?;
        let launch = |entry| {
            Ok::<_, Error>(
                gpu.launch(SOURCE, entry, &tiles(tile))?
                    .u32("tasks", self.tasks)
                    .u32("stride", quads)
                    .u32("quads", quads)
                    .u32("parts", parts)
                    .u32("first", 0)
                    .u32("accumulate", gramian.flag())
                    .turns(quads.div_ceil(parts).max(parts.div_ceil(64)) + across)
                    .cost((8 * self.all.len() * self.tasks) as u64),
            )
        };
        launch("products")?.bind("rows", &self.all).bind("part", &part).threads(blocks * parts)?;
        let finish = launch("finish")?.bind("parts", &part).bind("gram", &gramian.tensor);
        finish.groups(self.tasks * self.tasks)
    }

    /// `out (+)= Σ_k weights[k] · row k`; `weights` may have been written since the call was recorded.
    pub fn combine(&self, gpu: &Gpu, weights: &Tensor, out: &GradTarget) -> Result<()> {
        self.combine_from(gpu, weights, 0, out)
    }

    /// [`GradientRows::combine`] with the weights from `first` on.
    pub fn combine_from(&self, gpu: &Gpu, weights: &Tensor, first: usize, out: &GradTarget) -> Result<()> {
        let quads = out.tensor.len().div_ceil(4);
        if out.tensor.len() != self.len || first + self.tasks > weights.len() {
            let (out, weights) = (out.tensor.shape(), weights.shape());
            return Err(Error::Shape(format!(
                "{} gradients of {} combined by {weights:?} from {first} into {out:?}",
                self.tasks, self.len
            )));
        }
        gpu.launch(SOURCE, "combine", &tiles(1))?
            .bind("rows", &self.all)
            .bind("weights", weights)
            .bind("sum", &out.tensor)
            .u32("tasks", self.tasks)
            .u32("stride", self.all.columns() / 4)
            .u32("quads", quads)
            .u32("parts", 1)
            .u32("first", first)
            .u32("accumulate", out.flag())
            .turns(self.tasks)
            .threads(quads)
    }
}

fn tiles(tile: usize) -> Defines {
    defines! { TILE = tile }
}
