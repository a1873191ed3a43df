//! Rows of length 1: `y = x / max(||x||, eps)`.

fn length(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// x `[rows, c]` to rows of length 1.
pub fn forward(x: &[f64], c: usize, eps: f64) -> Vec<f64> {
    x.chunks_exact(c).flat_map(|row| row.iter().map(move |v| v / length(row).max(eps))).collect()
}

/// `dx = (dy - y <y, dy>) / ||x||`, or `dy / eps` where x is shorter than eps.
pub fn grad(x: &[f64], dy: &[f64], c: usize, eps: f64) -> Vec<f64> {
    let mut dx = Vec::new();
    for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
        let l = length(x);
        let along = if l > eps { x.iter().zip(dy).map(|(x, d)| x / l * d).sum() } else { 0.0 };
        dx.extend(x.iter().zip(dy).map(|(x, d)| (d - x / l.max(eps) * along) / l.max(eps)));
    }
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn gradient() {
        let (x, dy) = (values(15, 1), values(15, 2));
        for eps in [1e-8, 50.0] {
            let numeric = finite_difference(|x| dot(&forward(x, 5, eps), &dy), &x);
            assert_close(&grad(&x, &dy, 5, eps), &numeric, 1e-8);
        }
        assert_eq!(forward(&[3.0, 4.0, 0.0, 0.0], 2, 1e-8), [0.6, 0.8, 0.0, 0.0]);
    }
}
