//! Features of different shapes made comparable.

use crate::kernels::{adaptive_pool, resize};
use crate::loss::LossRecorder;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// The shape of a map; pooled features are maps of one pixel.
pub(super) fn map(shape: &[usize]) -> Result<[usize; 4]> {
    match shape {
        &[n, h, w, c] => Ok([n, h, w, c]),
        &[n, c] => Ok([n, 1, 1, c]),
        other => Err(Error::Shape(format!("features are [n, h, w, c] or [n, c], not {other:?}"))),
    }
}

/// Both as maps `[n, h, w, ·]` of the smaller one's size: the larger one is average-pooled, as mdistiller does for attention
/// transfer.
///
/// # Errors
/// [`Error::Shape`] where the batches differ, or where neither is the smaller one in both directions.
pub(super) fn match_spatial_size(losses: &mut LossRecorder, student: &Var, teacher: &Tensor) -> Result<(Var, Tensor)> {
    let ([n, h, w, c], [m, th, tw, tc]) = (map(student.value().shape())?, map(teacher.shape())?);
    let (s, t) = (student.reshape(&[n, h, w, c])?, teacher.reshape(&[m, th, tw, tc])?);
    if (h, w) == (th, tw) && n == m {
        return Ok((s, t));
    }
    let gpu = losses.gpu;
    if n == m && h <= th && w <= tw {
        return Ok((s, adaptive_pool::adaptive_pool(gpu, &t, [h, w])?));
    }
    if n == m && h >= th && w >= tw {
        return Ok((shrink(losses, &s, [th, tw])?, t));
    }
    let (s, t) = (student.value().shape(), teacher.shape());
    Err(Error::Shape(format!("features {s:?} and {t:?} have no common size; compare other layers")))
}

/// Both as one row a sample, `[n, ·]`: maps are averaged over their pixels.
pub(super) fn pooled(losses: &mut LossRecorder, student: &Var, teacher: &Tensor) -> Result<(Var, Tensor)> {
    let ([n, h, w, c], [m, th, tw, tc]) = (map(student.value().shape())?, map(teacher.shape())?);
    let (s, t) = (student.reshape(&[n, h, w, c])?, teacher.reshape(&[m, th, tw, tc])?);
    let s = if h * w > 1 { shrink(losses, &s, [1, 1])? } else { s };
    let t = if th * tw > 1 { adaptive_pool::adaptive_pool(losses.gpu, &t, [1, 1])? } else { t };
    Ok((s.reshape(&[n, c])?, t.reshape(&[m, tc])?))
}

/// Average pooling to a given size, on the tape.
pub(super) fn shrink(losses: &mut LossRecorder, x: &Var, out: [usize; 2]) -> Result<Var> {
    let y = adaptive_pool::adaptive_pool(losses.gpu, x.value(), out)?;
    let slot = x.slot();
    Ok(losses.tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
        Some(dx) => adaptive_pool::adaptive_pool_grad(gpu, dy, &dx),
        None => Ok(()),
    }))
}

/// A map in another size, each pixel the nearest one, on the tape.
pub(super) fn resize(losses: &mut LossRecorder, x: &Var, out: [usize; 2]) -> Result<Var> {
    let [_, h, w, _] = map(x.value().shape())?;
    if [h, w] == out {
        return Ok(x.clone());
    }
    let y = resize::nearest(losses.gpu, x.value(), out)?;
    let slot = x.slot();
    Ok(losses.tape.push(y, move |gpu, dy, grads| match grads.target(gpu, &slot)? {
        Some(dx) => resize::nearest_grad(gpu, dy, &dx),
        None => Ok(()),
    }))
}
