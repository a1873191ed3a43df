//! Rows of several tensors `[n, rows, c]` one after the other, image by image.

/// `[n, Σ rows, c]` of the parts, each with its rows.
pub fn forward(parts: &[(&[f64], usize)], n: usize, c: usize) -> Vec<f64> {
    let image = |i: usize| parts.iter().flat_map(move |(x, rows)| x[i * rows * c..(i + 1) * rows * c].iter().copied());
    (0..n).flat_map(image).collect()
}

/// The part of dy `[n, total, c]` that belongs to the `rows` rows from `offset` on.
pub fn grad(dy: &[f64], n: usize, c: usize, (offset, rows, total): (usize, usize, usize)) -> Vec<f64> {
    (0..n).flat_map(|i| dy[(i * total + offset) * c..(i * total + offset + rows) * c].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let (a, b) = ([1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 3.5, 4.5, 7.0, 8.0, 7.5, 8.5]);
        let y = forward(&[(&a, 1), (&b, 2)], 2, 2);
        assert_eq!(y, [1.0, 2.0, 3.0, 4.0, 3.5, 4.5, 5.0, 6.0, 7.0, 8.0, 7.5, 8.5]);
        assert_eq!(grad(&y, 2, 2, (0, 1, 3)), a);
        assert_eq!(grad(&y, 2, 2, (1, 2, 3)), b);
    }
}
