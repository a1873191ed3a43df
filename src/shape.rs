//! Shapes of the operations that have more than a length: shared by kernels (GPU) and references (f64).

use crate::{Error, Result};

/// A 2-D convolution's shape: input `[n, h, w, ci]`, weight `[co, kh, kw, ci / groups]`, output `[n, oh, ow, co]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Batch size.
    pub n: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Input channels.
    pub ci: usize,
    /// Output channels.
    pub co: usize,
    /// Kernel height.
    pub kh: usize,
    /// Kernel width.
    pub kw: usize,
    /// Stride, both directions.
    pub stride: usize,
    /// Zero padding on every side.
    pub padding: usize,
    /// Distance between taps.
    pub dilation: usize,
    /// Number of channel groups.
    pub groups: usize,
}

impl Conv2d {
    /// A square kernel of size `k`, dilation 1, one group.
    pub fn square(n: usize, h: usize, w: usize, ci: usize, co: usize, k: usize, stride: usize, padding: usize) -> Self {
        Conv2d { n, h, w, ci, co, kh: k, kw: k, stride, padding, dilation: 1, groups: 1 }
    }

    /// Output height.
    pub fn oh(&self) -> usize {
        (self.h + 2 * self.padding - self.dilation * (self.kh - 1) - 1) / self.stride + 1
    }

    /// Output width.
    pub fn ow(&self) -> usize {
        (self.w + 2 * self.padding - self.dilation * (self.kw - 1) - 1) / self.stride + 1
    }

    /// Input shape.
    pub fn x_shape(&self) -> [usize; 4] {
        [self.n, self.h, self.w, self.ci]
    }

    /// Weight shape.
    pub fn w_shape(&self) -> [usize; 4] {
        [self.co, self.kh, self.kw, self.ci / self.groups]
    }

    /// Output shape.
    pub fn y_shape(&self) -> [usize; 4] {
        [self.n, self.oh(), self.ow(), self.co]
    }

    /// Multiply-accumulates of the forward pass, counted as a direct convolution.
    pub fn macs(&self) -> u64 {
        (self.n * self.oh() * self.ow() * self.co) as u64 * (self.kh * self.kw * self.ci / self.groups) as u64
    }

    /// Refuses shapes that have no output or whose groups do not divide the channels.
    pub fn check(&self) -> Result<()> {
        let bad = |m: String| Err(Error::Shape(format!("conv2d {self:?}: {m}")));
        if [self.n, self.h, self.w, self.ci, self.co, self.kh, self.kw, self.stride, self.dilation, self.groups]
            .contains(&0)
        {
            return bad("no dimension may be zero".into());
        }
        if !self.ci.is_multiple_of(self.groups) || !self.co.is_multiple_of(self.groups) {
            return bad(format!("{} groups must divide both channel counts", self.groups));
        }
        let (eh, ew) = (self.dilation * (self.kh - 1) + 1, self.dilation * (self.kw - 1) + 1);
        if self.h + 2 * self.padding < eh || self.w + 2 * self.padding < ew {
            return bad(format!("the kernel spans {eh}x{ew}, more than the padded input"));
        }
        Ok(())
    }
}

/// A 2-D pooling window's shape over `[n, h, w, c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Batch size.
    pub n: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Window size, both directions.
    pub kernel: usize,
    /// Stride, both directions.
    pub stride: usize,
    /// Padding on every side; at most half the window, as in PyTorch.
    pub padding: usize,
}

impl Pool2d {
    /// Output height.
    pub fn oh(&self) -> usize {
        (self.h + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Output width.
    pub fn ow(&self) -> usize {
        (self.w + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Refuses windows that do not fit.
    pub fn check(&self) -> Result<()> {
        if [self.n, self.h, self.w, self.c, self.kernel, self.stride].contains(&0) {
            return Err(Error::Shape(format!("pool {self:?}: no dimension may be zero")));
        }
        if self.padding * 2 > self.kernel {
            return Err(Error::Shape(format!("pool {self:?}: padding may be at most half the window")));
        }
        if self.h + 2 * self.padding < self.kernel || self.w + 2 * self.padding < self.kernel {
            return Err(Error::Shape(format!("pool {self:?}: the window is larger than the padded input")));
        }
        Ok(())
    }
}
