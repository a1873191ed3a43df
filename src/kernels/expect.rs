//! What every launcher asks of its tensors.

use crate::tensor::Tensor;
use crate::{Error, Result};

/// Refuses `tensor` where it has not `len` values.
pub(super) fn expect(kernel: &str, what: &str, tensor: &Tensor, shape: &[usize]) -> Result<()> {
    if tensor.len() == shape.iter().product::<usize>() {
        return Ok(());
    }
    Err(Error::Shape(format!("{kernel}: {what} is {:?}, expected {shape:?}", tensor.shape())))
}
