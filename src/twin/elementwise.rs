//! Element by element.

/// `alpha · x + y`.
pub fn axpy(alpha: f64, x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| alpha * x + y).collect()
}

/// `max(0, x)`.
pub fn relu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.max(0.0)).collect()
}

/// The gradient of [`relu`], from its output `y`: `dy` where `y > 0`, else 0.
pub fn relu_grad(y: &[f64], dy: &[f64]) -> Vec<f64> {
    y.iter().zip(dy).map(|(y, dy)| if *y > 0.0 { *dy } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_equal, assert_gradient, dot, values};
    use super::*;

    #[test]
    fn values_by_hand() {
        assert_equal(&axpy(2.0, &[1.0, -2.0], &[10.0, 20.0]), &[12.0, 16.0]);
        assert_equal(&relu(&[1.5, -2.0, 0.0]), &[1.5, 0.0, 0.0]);
        assert_equal(&relu_grad(&[1.5, 0.0], &[7.0, 8.0]), &[7.0, 0.0]);
    }

    #[test]
    fn gradients() {
        let (x, dy) = (values(1, 9), values(2, 9));
        assert_gradient(&relu_grad(&relu(&x), &dy), &x, |x| dot(&relu(x), &dy));
    }
}
