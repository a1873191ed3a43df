//! 2-D convolution (cross-correlation, as in every neural net) with stride, zero padding, dilation and groups.

use crate::shape::Conv2d;

/// Calls `visit(x, w, y)` with the flat indices of every product `x · w` that goes into an output `y`. The outputs come
/// in order, and padding is left out since it multiplies by zero.
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

/// `y[n, oy, ox, o] = bias[o] + Σ x[n, iy, ix, g·ci/groups + c] · w[o, ky, kx, c]` over `ky`, `kx` and the `ci / groups`
/// channels `c` of `o`'s group `g`, with `iy = oy·stride + ky·dilation − padding` and `ix` alike; zero outside the map.
///
/// `x` `[n, h, w, ci]`, `w` `[co, kh, kw, ci / groups]`, `bias` `[co]`; the result `[n, oh, ow, co]`.
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

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, dot, values};
    use super::*;

    #[test]
    fn a_row_by_hand() {
        // Two taps two columns apart, stride 3, one zero around.
        let s = Conv2d { n: 1, h: 3, w: 4, ci: 1, co: 1, kh: 1, kw: 2, stride: 3, padding: 1, dilation: 2, groups: 1 };
        assert_eq!((s.oh(), s.ow()), (2, 2));
        let mut x = vec![0.0; 12];
        x[8..].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        // Row 0 of the output sees padding only; row 1 is row 2 of the input, with taps at columns -1, 1 and 2, 4.
        assert_equal(&forward(&s, &x, &[10.0, 1.0], Some(&[0.5])), &[0.5, 0.5, 2.5, 30.5]);
    }

    #[test]
    fn gradients() {
        let shapes = [
            Conv2d { n: 2, h: 5, w: 4, ci: 3, co: 2, kh: 3, kw: 2, stride: 1, padding: 1, dilation: 1, groups: 1 },
            Conv2d { n: 1, h: 7, w: 6, ci: 2, co: 3, kh: 3, kw: 3, stride: 2, padding: 2, dilation: 2, groups: 1 },
            Conv2d { n: 2, h: 4, w: 3, ci: 4, co: 6, kh: 1, kw: 2, stride: 3, padding: 0, dilation: 1, groups: 2 },
            Conv2d { n: 1, h: 3, w: 3, ci: 3, co: 3, kh: 2, kw: 2, stride: 1, padding: 1, dilation: 1, groups: 3 },
        ];
        for s in shapes {
            s.check().unwrap();
            let x = values(1, s.x_shape().iter().product());
            let w = values(2, s.w_shape().iter().product());
            let dy = values(3, s.y_shape().iter().product());
            let b = values(4, s.co);
            assert_gradient(&input_grad(&s, &dy, &w), &x, |x| dot(&forward(&s, x, &w, Some(&b)), &dy));
            assert_gradient(&weight_grad(&s, &x, &dy), &w, |w| dot(&forward(&s, &x, w, Some(&b)), &dy));
            let db = super::super::reduce::column_sum(&dy, s.co);
            assert_gradient(&db, &b, |b| dot(&forward(&s, &x, &w, Some(b)), &dy));
        }
    }
}
