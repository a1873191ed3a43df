//! 2-D convolution (cross-correlation, as in every neural net) with stride, zero padding, dilation and groups.

use crate::shape::Conv2d;

/// Calls `visit(x, w, y)` with the flat indices of every product `x · w` that goes into an output `y`. The outputs come in
/// order, and padding is left out since it multiplies by zero.
fn for_each_product(s: &Conv2d, mut visit: impl FnMut(usize, usize, usize)) {
    let (ci_group, co_group) = (s.ci / s.groups, s.co / s.groups);
    for n in 0..s.n {
        for oy in 0..s.oh() {
            for ox in 0..s.ow() {
                for co in 0..s.co {
                    let y = ((n * s.oh() + oy) * s.ow() + ox) * s.co + co;
                    for ky in 0..s.kh {
                        for kx in 0..s.kw {
                            let (py, px) = (oy * s.stride + ky * s.dilation, ox * s.stride + kx * s.dilation);
                            let inside = |at: usize, size: usize| at >= s.padding && at < s.padding + size;
                            if !inside(py, s.h) || !inside(px, s.w) {
                                continue;
                            }
                            let (iy, ix) = (py - s.padding, px - s.padding);
                            for c in 0..ci_group {
                                let x = ((n * s.h + iy) * s.w + ix) * s.ci + co / co_group * ci_group + c;
                                let w = ((co * s.kh + ky) * s.kw + kx) * ci_group + c;
                                visit(x, w, y);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `y[n, oy, ox, o] = bias[o] + Σ_{ky, kx, c} x[n, oy·stride + ky·dilation − padding, …, g·ci/groups + c] · w[o, ky, kx, c]`,
/// `g` the group of `o`. `x` `[n, h, w, ci]`, `w` `[co, kh, kw, ci / groups]`, `bias` `[co]`; the result `[n, oh, ow, co]`.
pub fn forward(s: &Conv2d, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let len = s.y_shape().iter().product();
    let mut y: Vec<f64> = (0..len).map(|i| bias.map_or(0.0, |b| b[i % s.co])).collect();
    for_each_product(s, |ix, iw, iy| y[iy] += x[ix] * w[iw]);
    y
}

/// The gradient with respect to `x`: every product `x · w` of an output sends `w · dy` back.
/// `dy` `[n, oh, ow, co]`; the result `[n, h, w, ci]`.
pub fn input_grad(s: &Conv2d, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; s.x_shape().iter().product()];
    for_each_product(s, |ix, iw, iy| dx[ix] += w[iw] * dy[iy]);
    dx
}

/// The gradient with respect to `w`: every product `x · w` of an output sends `x · dy` back.
/// The result `[co, kh, kw, ci / groups]`. The gradient of the bias is [`super::reduce::column_sum`] of `dy`.
pub fn weight_grad(s: &Conv2d, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dw = vec![0.0; s.w_shape().iter().product()];
    for_each_product(s, |ix, iw, iy| dw[iw] += x[ix] * dy[iy]);
    dw
}
