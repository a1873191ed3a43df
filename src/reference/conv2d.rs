//! 2-D convolution (cross-correlation, as every deep-learning library has it): forward and both gradients.
//!
//! `y[n, oy, ox, o] = bias[o] + sum over ky, kx, i of x[n, iy, ix, g I + i] * w[o, ky, kx, i]` with
//! `iy = oy stride + ky dilation - padding`, likewise `ix`; `I = ci / groups`, `g = o / (co / groups)`; `x` is 0 outside.
//! x: `[n, h, w, ci]`, w: `[co, kh, kw, ci / groups]`, y: `[n, oh, ow, co]`, bias: `[co]`.
//!
//! The bias's gradient is [`super::reduce::column_sum`] of `dy`.
//! LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998; groups as in Krizhevsky et
//! al. 2012, dilation as in Yu & Koltun, ICLR 2016.

use crate::shape::Conv2d;

/// Calls `f(x index, w index, y index)` for every product in the sum above. The convolution is bilinear, so this one
/// list of products is its forward pass and both its gradients.
fn each_product(s: &Conv2d, mut f: impl FnMut(usize, usize, usize)) {
    let (oh, ow, inputs, outputs) = (s.oh(), s.ow(), s.ci / s.groups, s.co / s.groups);
    let inside = |o: usize, k: usize, size: usize| {
        (o * s.stride + k * s.dilation).checked_sub(s.padding).filter(|&position| position < size)
    };
    for n in 0..s.n {
        for oy in 0..oh {
            for ox in 0..ow {
                for ky in 0..s.kh {
                    let Some(iy) = inside(oy, ky, s.h) else { continue };
                    for kx in 0..s.kw {
                        let Some(ix) = inside(ox, kx, s.w) else { continue };
                        for o in 0..s.co {
                            let x = ((n * s.h + iy) * s.w + ix) * s.ci + o / outputs * inputs;
                            let w = ((o * s.kh + ky) * s.kw + kx) * inputs;
                            let y = ((n * oh + oy) * ow + ox) * s.co + o;
                            for i in 0..inputs {
                                f(x + i, w + i, y);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `y`, `[n, oh, ow, co]`.
pub fn forward(s: &Conv2d, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let pixels = s.n * s.oh() * s.ow();
    let mut y = match bias {
        Some(bias) => bias.repeat(pixels),
        None => vec![0.0; pixels * s.co],
    };
    each_product(s, |xi, wi, yi| y[yi] += x[xi] * w[wi]);
    y
}

/// `dx`, `[n, h, w, ci]`, from `dy`, `[n, oh, ow, co]`.
pub fn input_grad(s: &Conv2d, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; s.n * s.h * s.w * s.ci];
    each_product(s, |xi, wi, yi| dx[xi] += dy[yi] * w[wi]);
    dx
}

/// `dw`, `[co, kh, kw, ci / groups]`, from `dy`, `[n, oh, ow, co]`.
pub fn weight_grad(s: &Conv2d, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dw = vec![0.0; s.co * s.kh * s.kw * s.ci / s.groups];
    each_product(s, |xi, wi, yi| dw[wi] += dy[yi] * x[xi]);
    dw
}

/// What the three `_at` functions below share: the positions along one axis that `tap` connects, `o stride + k dilation - p`.
fn input_of(s: &Conv2d, o: usize, k: usize, size: usize) -> Option<usize> {
    (o * s.stride + k * s.dilation).checked_sub(s.padding).filter(|&position| position < size)
}

/// One value of [`forward`], where all of them are too many.
pub fn forward_at(s: &Conv2d, x: &[f32], w: &[f32], at: usize) -> f64 {
    let (inputs, outputs) = (s.ci / s.groups, s.co / s.groups);
    let (o, pixel) = (at % s.co, at / s.co);
    let (ox, oy, n) = (pixel % s.ow(), pixel / s.ow() % s.oh(), pixel / s.ow() / s.oh());
    let mut sum = 0.0;
    for (ky, kx) in (0..s.kh).flat_map(|ky| (0..s.kw).map(move |kx| (ky, kx))) {
        let (Some(iy), Some(ix)) = (input_of(s, oy, ky, s.h), input_of(s, ox, kx, s.w)) else { continue };
        let from = ((n * s.h + iy) * s.w + ix) * s.ci + o / outputs * inputs;
        let with = ((o * s.kh + ky) * s.kw + kx) * inputs;
        sum += (0..inputs).map(|i| f64::from(x[from + i]) * f64::from(w[with + i])).sum::<f64>();
    }
    sum
}

/// One value of [`input_grad`].
pub fn input_grad_at(s: &Conv2d, dy: &[f32], w: &[f32], at: usize) -> f64 {
    let (inputs, outputs) = (s.ci / s.groups, s.co / s.groups);
    let (i, pixel) = (at % s.ci, at / s.ci);
    let (ix, iy, n) = (pixel % s.w, pixel / s.w % s.h, pixel / s.w / s.h);
    // The output whose tap `k` reaches this input.
    let output = |i: usize, k: usize, size: usize| {
        let shifted = (i + s.padding).checked_sub(k * s.dilation)?;
        (shifted.is_multiple_of(s.stride) && shifted / s.stride < size).then_some(shifted / s.stride)
    };
    let mut sum = 0.0;
    for (ky, kx) in (0..s.kh).flat_map(|ky| (0..s.kw).map(move |kx| (ky, kx))) {
        let (Some(oy), Some(ox)) = (output(iy, ky, s.oh()), output(ix, kx, s.ow())) else { continue };
        let from = ((n * s.oh() + oy) * s.ow() + ox) * s.co;
        for o in i / inputs * outputs..(i / inputs + 1) * outputs {
            let weight = w[((o * s.kh + ky) * s.kw + kx) * inputs + i % inputs];
            sum += f64::from(dy[from + o]) * f64::from(weight);
        }
    }
    sum
}

/// One value of [`weight_grad`].
pub fn weight_grad_at(s: &Conv2d, x: &[f32], dy: &[f32], at: usize) -> f64 {
    let (inputs, outputs) = (s.ci / s.groups, s.co / s.groups);
    let (i, tap) = (at % inputs, at / inputs);
    let (kx, ky, o) = (tap % s.kw, tap / s.kw % s.kh, tap / s.kw / s.kh);
    let mut sum = 0.0;
    for (n, oy) in (0..s.n).flat_map(|n| (0..s.oh()).map(move |oy| (n, oy))) {
        let Some(iy) = input_of(s, oy, ky, s.h) else { continue };
        for ox in 0..s.ow() {
            let Some(ix) = input_of(s, ox, kx, s.w) else { continue };
            let x = x[((n * s.h + iy) * s.w + ix) * s.ci + o / outputs * inputs + i];
            sum += f64::from(x) * f64::from(dy[((n * s.oh() + oy) * s.ow() + ox) * s.co + o]);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn sums_a_neighbourhood_and_pads_with_zeros() {
        let s = Conv2d::square(1, 3, 3, 1, 1, 3, 1, 1);
        let x: Vec<f64> = (1..=9).map(f64::from).collect();
        let y = forward(&s, &x, &[1.0; 9], Some(&[0.5]));
        assert_eq!(y, [12.5, 21.5, 16.5, 27.5, 45.5, 33.5, 24.5, 39.5, 28.5]);
    }

    #[test]
    fn is_not_flipped() {
        let s = Conv2d { kh: 1, kw: 2, ..Conv2d::square(1, 1, 3, 1, 1, 1, 1, 0) };
        assert_eq!(forward(&s, &[1.0, 10.0, 100.0], &[1.0, 2.0], None), [21.0, 210.0]);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let plain = Conv2d::square(2, 5, 3, 3, 4, 3, 2, 1);
        let shapes = [
            plain,
            Conv2d { groups: 2, ci: 4, co: 6, dilation: 2, padding: 2, stride: 1, ..plain },
            Conv2d { kh: 1, kw: 3, ..plain },
            Conv2d { groups: 3, co: 3, n: 1, ..plain },
            Conv2d { dilation: 4, padding: 4, stride: 1, n: 1, ..plain },
        ];
        for s in shapes {
            s.check().unwrap();
            let x = values(s.x_shape().iter().product(), 1);
            let w = values(s.w_shape().iter().product(), 2);
            let dy = values(s.y_shape().iter().product(), 3);
            let by_x = finite_difference(|x| dot(&forward(&s, x, &w, None), &dy), &x);
            assert_close(&input_grad(&s, &dy, &w), &by_x, 1e-8);
            let by_w = finite_difference(|w| dot(&forward(&s, &x, w, None), &dy), &w);
            assert_close(&weight_grad(&s, &x, &dy), &by_w, 1e-8);
        }
    }

    #[test]
    fn single_values_are_those_of_the_whole() {
        use crate::kernels::case::{f64s, values};
        let square = Conv2d::square;
        for s in [
            square(2, 7, 5, 4, 6, 3, 1, 1),
            square(2, 8, 9, 4, 6, 3, 2, 1),
            square(1, 6, 6, 3, 5, 1, 2, 0),
            Conv2d { groups: 2, dilation: 2, ..square(2, 9, 8, 4, 6, 3, 2, 2) },
        ] {
            let len = |shape: [usize; 4]| shape.iter().product();
            let (x, w, dy) = (values(1, len(s.x_shape())), values(2, len(s.w_shape())), values(3, len(s.y_shape())));
            let (x64, w64, dy64) = (f64s(&x), f64s(&w), f64s(&dy));
            let all = |n: usize, at: &dyn Fn(usize) -> f64| (0..n).map(at).collect::<Vec<_>>();
            assert_close(&all(dy.len(), &|i| forward_at(&s, &x, &w, i)), &forward(&s, &x64, &w64, None), 1e-12);
            assert_close(&all(x.len(), &|i| input_grad_at(&s, &dy, &w, i)), &input_grad(&s, &dy64, &w64), 1e-12);
            assert_close(&all(w.len(), &|i| weight_grad_at(&s, &x, &dy, i)), &weight_grad(&s, &x64, &dy64), 1e-12);
        }
    }
}
