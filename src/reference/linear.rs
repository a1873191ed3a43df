//! The linear layer `y = x w^T + b`. x: `[m, k]`, w: `[n, k]`, b: `[n]`, y: `[m, n]`.
//!
//! The bias's gradient is [`super::reduce::column_sum`] of `dy`.

/// `y[r, o] = b[o] + sum over i of x[r, i] w[o, i]`, `[m, n]`.
pub fn forward(x: &[f64], w: &[f64], b: Option<&[f64]>, m: usize, k: usize, n: usize) -> Vec<f64> {
    let mut y = Vec::with_capacity(m * n);
    for r in 0..m {
        for o in 0..n {
            let products = x[r * k..][..k].iter().zip(&w[o * k..][..k]).map(|(x, w)| x * w);
            y.push(products.sum::<f64>() + b.map_or(0.0, |b| b[o]));
        }
    }
    y
}

/// One value of [`forward`] without bias, where all of them are too many.
pub fn forward_at(x: &[f32], w: &[f32], k: usize, n: usize, at: usize) -> f64 {
    let (r, o) = (at / n, at % n);
    x[r * k..][..k].iter().zip(&w[o * k..][..k]).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
}

/// `dx = dy w`, `[m, k]`, from dy, `[m, n]`.
pub fn input_grad(dy: &[f64], w: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    let mut dx = vec![0.0; m * k];
    for r in 0..m {
        for o in 0..n {
            for i in 0..k {
                dx[r * k + i] += dy[r * n + o] * w[o * k + i];
            }
        }
    }
    dx
}

/// `dw = dy^T x`, `[n, k]`, from dy, `[m, n]`.
pub fn weight_grad(x: &[f64], dy: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    let mut dw = vec![0.0; n * k];
    for r in 0..m {
        for o in 0..n {
            for i in 0..k {
                dw[o * k + i] += dy[r * n + o] * x[r * k + i];
            }
        }
    }
    dw
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, reduce, testing::*};

    #[test]
    fn two_by_two() {
        let y = forward(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 1.0, 1.0], Some(&[10.0, 20.0]), 2, 2, 2);
        assert_eq!(y, [11.0, 23.0, 13.0, 27.0]);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (m, k, n) = (3, 5, 7);
        let (x, w, b, dy) = (values(m * k, 1), values(n * k, 2), values(n, 3), values(m * n, 4));
        let by_x = finite_difference(|x| dot(&forward(x, &w, Some(&b), m, k, n), &dy), &x);
        assert_close(&input_grad(&dy, &w, m, k, n), &by_x, 1e-8);
        let by_w = finite_difference(|w| dot(&forward(&x, w, Some(&b), m, k, n), &dy), &w);
        assert_close(&weight_grad(&x, &dy, m, k, n), &by_w, 1e-8);
        let by_b = finite_difference(|b| dot(&forward(&x, &w, Some(b), m, k, n), &dy), &b);
        assert_close(&reduce::column_sum(&dy, n), &by_b, 1e-8);
    }

    #[test]
    fn single_values_are_those_of_the_whole() {
        use crate::kernels::case::{f64s, values};
        let (m, k, n) = (5, 7, 3);
        let (x, w) = (values(1, m * k), values(2, n * k));
        let at: Vec<f64> = (0..m * n).map(|i| forward_at(&x, &w, k, n, i)).collect();
        assert_close(&at, &forward(&f64s(&x), &f64s(&w), None, m, k, n), 1e-12);
    }
}
