//! Matrices with rows and columns exchanged. The gradient is the same of the other shape.

/// `[batch, rows, columns]` to `[batch, columns, rows]`.
pub fn matrices(x: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    let one = |m: &[f64]| (0..m.len()).map(|at| m[at % rows * columns + at / rows]).collect::<Vec<f64>>();
    x.chunks_exact(rows * columns).flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn gradient() {
        assert_eq!(matrices(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let (x, dy) = (values(12, 1), values(12, 2));
        let numeric = finite_difference(|x| dot(&matrices(x, [3, 2]), &dy), &x);
        assert_close(&matrices(&dy, [2, 3]), &numeric, 1e-9);
    }
}
