//! Element-wise operations on slices of one length: sum, scaling, `alpha x + y`, ReLU and its gradient.

/// `a + b`.
pub fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `k a`.
pub fn scale(a: &[f64], k: f64) -> Vec<f64> {
    a.iter().map(|a| k * a).collect()
}

/// `alpha x + y`.
pub fn axpy(alpha: f64, x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| alpha * x + y).collect()
}

/// `max(x, 0)`. Nair & Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.
pub fn relu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.max(0.0)).collect()
}

/// `dx = dy where y > 0, else 0`, from the output y of [`relu`].
pub fn relu_grad(y: &[f64], dy: &[f64]) -> Vec<f64> {
    y.iter().zip(dy).map(|(&y, &dy)| if y > 0.0 { dy } else { 0.0 }).collect()
}

/// `y + factor (x − y)`.
pub fn lerp(y: &[f64], x: &[f64], factor: f64) -> Vec<f64> {
    y.iter().zip(x).map(|(y, x)| y + factor * (x - y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn values_and_gradient() {
        assert_eq!(add(&[1.0, 2.0], &[3.0, 5.0]), [4.0, 7.0]);
        assert_eq!(scale(&[1.0, 2.0], -2.0), [-2.0, -4.0]);
        assert_eq!(axpy(2.0, &[1.0, 2.0], &[3.0, 5.0]), [5.0, 9.0]);
        assert_eq!(lerp(&[1.0, 2.0], &[3.0, -2.0], 0.25), [1.5, 1.0]);
        assert_eq!(relu(&[-1.0, 0.0, 2.0]), [0.0, 0.0, 2.0]);
        let (x, dy) = (values(17, 1), values(17, 2));
        assert_close(&relu_grad(&relu(&x), &dy), &finite_difference(|x| dot(&relu(x), &dy), &x), 1e-9);
    }
}
