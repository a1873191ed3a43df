//! A shape and a pooled buffer.

use std::sync::Arc;

use crate::gpu::{Buffer, Gpu, View};
use crate::{Error, Result};

/// A dense row-major array of 32-bit words (`f32`, or `u32` for labels and counts) on the GPU.
///
/// Cloning shares the memory; the buffer returns to the pool with the last clone.
#[derive(Debug, Clone)]
pub struct Tensor {
    buffer: Arc<Buffer>,
    offset: u64,
    shape: Vec<usize>,
}

/// Where a gradient goes: written over, or added to what is there.
#[derive(Debug, Clone)]
pub struct GradTarget {
    /// The memory.
    pub tensor: Tensor,
    /// Add to it rather than write over it.
    pub accumulate: bool,
}

impl GradTarget {
    /// A target that is written over.
    pub fn fresh(tensor: Tensor) -> Self {
        GradTarget { tensor, accumulate: false }
    }

    /// 1 to accumulate, 0 to write over: the word kernels take.
    pub(crate) fn flag(&self) -> usize {
        usize::from(self.accumulate)
    }
}

impl Tensor {
    /// A tensor with unspecified content.
    pub fn empty(gpu: &Gpu, shape: &[usize]) -> Result<Self> {
        let words: usize = shape.iter().product();
        Ok(Tensor { buffer: gpu.alloc(words as u64 * 4)?, offset: 0, shape: shape.to_vec() })
    }

    /// Uploads `data`.
    pub fn from_f32(gpu: &Gpu, data: &[f32], shape: &[usize]) -> Result<Self> {
        Self::from_words(gpu, bytemuck::cast_slice(data), shape)
    }

    /// Uploads labels or counts.
    pub fn from_u32(gpu: &Gpu, data: &[u32], shape: &[usize]) -> Result<Self> {
        Self::from_words(gpu, bytemuck::cast_slice(data), shape)
    }

    fn from_words(gpu: &Gpu, bytes: &[u8], shape: &[usize]) -> Result<Self> {
        let words: usize = shape.iter().product();
        if bytes.len() != words * 4 {
            return Err(Error::Shape(format!("{} values do not fill {shape:?}", bytes.len() / 4)));
        }
        Ok(Tensor { buffer: gpu.upload(bytes)?, offset: 0, shape: shape.to_vec() })
    }

    /// Uploads bytes, four to a word; the shape is `[words]`.
    pub fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Self> {
        Ok(Tensor { buffer: gpu.upload(bytes)?, offset: 0, shape: vec![bytes.len().div_ceil(4)] })
    }

    /// Writes `data` over its values, after everything recorded so far; never waits ([`Gpu::write`]).
    ///
    /// # Errors
    /// [`Error::Shape`] where the number of values differs; [`Error::Invalid`] inside a recorded step.
    pub fn write_f32(&self, gpu: &Gpu, data: &[f32]) -> Result<()> {
        self.write_words(gpu, bytemuck::cast_slice(data))
    }

    /// [`Tensor::write_f32`] of labels, draws or counts.
    pub fn write_u32(&self, gpu: &Gpu, data: &[u32]) -> Result<()> {
        self.write_words(gpu, bytemuck::cast_slice(data))
    }

    /// [`Tensor::write_f32`] of bytes, four to a word, over a tensor of [`Tensor::from_bytes`].
    pub fn write_bytes(&self, gpu: &Gpu, bytes: &[u8]) -> Result<()> {
        self.write_words(gpu, bytes)
    }

    fn write_words(&self, gpu: &Gpu, bytes: &[u8]) -> Result<()> {
        if bytes.len().div_ceil(4) != self.len() {
            return Err(Error::Shape(format!("{} values written over {:?}", bytes.len().div_ceil(4), self.shape)));
        }
        gpu.write(&self.view(), bytes)
    }

    /// Its memory and where it begins there: different for any two tensors that do not overlap.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.buffer.id(), self.offset)
    }

    /// Where it begins inside `whole`, in values; `None` where it is not a part of it.
    pub(crate) fn start_in(&self, whole: &Tensor) -> Option<usize> {
        let start = self.offset.checked_sub(whole.offset)? as usize / 4;
        (self.buffer.id() == whole.buffer.id() && start + self.len() <= whole.len()).then_some(start)
    }

    /// The sizes of its dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last dimension: channels, classes or features.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Everything but the last dimension: `len / columns`.
    pub fn rows(&self) -> usize {
        self.len() / self.columns().max(1)
    }

    /// The same memory under another shape of the same length.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if shape.iter().product::<usize>() != self.len() {
            return Err(Error::Shape(format!("{:?} cannot become {shape:?}", self.shape)));
        }
        Ok(Tensor { shape: shape.to_vec(), ..self.clone() })
    }

    /// `len` values from `start` (a multiple of 64, as bindings must begin at multiples of 256 bytes).
    pub fn slice(&self, start: usize, shape: &[usize]) -> Result<Self> {
        let len: usize = shape.iter().product();
        if !start.is_multiple_of(64) || start + len > self.len() {
            return Err(Error::Shape(format!("slice {start}..{} of {:?}", start + len, self.shape)));
        }
        Ok(Tensor { buffer: self.buffer.clone(), offset: self.offset + start as u64 * 4, shape: shape.to_vec() })
    }

    /// The memory as kernels bind it: rounded up to whole `vec4`s, which the buffer always has room for.
    pub fn view(&self) -> View {
        let size = (self.len().max(1) as u64 * 4).next_multiple_of(16);
        View { buffer: self.buffer.clone(), offset: self.offset, size }
    }

    /// Waits for the GPU and brings the values back.
    pub fn to_f32(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        let mut values: Vec<f32> = bytemuck::pod_collect_to_vec(&gpu.read(&self.view())?);
        values.truncate(self.len());
        Ok(values)
    }

    /// Waits for the GPU and brings the words back as `u32`.
    pub fn to_u32(&self, gpu: &Gpu) -> Result<Vec<u32>> {
        let mut values: Vec<u32> = bytemuck::pod_collect_to_vec(&gpu.read(&self.view())?);
        values.truncate(self.len());
        Ok(values)
    }

    /// Records a copy of `from`'s values into this tensor.
    pub fn copy_from(&self, gpu: &Gpu, from: &Tensor) -> Result<()> {
        if from.len() != self.len() {
            return Err(Error::Shape(format!("copy of {:?} into {:?}", from.shape, self.shape)));
        }
        let size = self.len() as u64 * 4;
        gpu.copy(&View { size, ..from.view() }, &View { size, ..self.view() })
    }
}

impl From<&Tensor> for View {
    fn from(tensor: &Tensor) -> View {
        tensor.view()
    }
}
