//! Small dense problems in `f64`: a handful of tasks, so exact methods and plain loops.

/// The solution of `a x = b` (`a` row by row), by elimination with pivots; `None` where `a` is singular.
pub(super) fn linear(mut a: Vec<f64>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    let scale = a.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    for column in 0..n {
        let pivot = (column..n).max_by(|i, j| a[i * n + column].abs().total_cmp(&a[j * n + column].abs()))?;
        if a[pivot * n + column].abs() <= 1e-14 * scale {
            return None;
        }
        for k in 0..n {
            a.swap(column * n + k, pivot * n + k);
        }
        b.swap(column, pivot);
        for row in column + 1..n {
            let factor = a[row * n + column] / a[column * n + column];
            for k in column..n {
                a[row * n + k] -= factor * a[column * n + k];
            }
            b[row] -= factor * b[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| a[row * n + k] * b[k]).sum();
        b[row] = (b[row] - known) / a[row * n + row];
    }
    Some(b)
}

/// An eigenvalue or a singular value, and its vector.
pub(super) type Pair = (f64, Vec<f64>);

/// Eigenvalues, largest first, and for each its vector of length 1, of the symmetric `a`; by Jacobi's rotations.
pub(super) fn eigen(mut a: Vec<f64>, n: usize) -> Vec<Pair> {
    let mut v: Vec<f64> = (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
    // Convergence is quadratic; a few sweeps do.
    for _ in 0..60 {
        let off: f64 = (0..n * n).filter(|i| i % (n + 1) != 0).map(|i| a[i] * a[i]).sum();
        let all: f64 = a.iter().map(|v| v * v).sum();
        if off <= 1e-32 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p * n + q] == 0.0 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * a[p * n + q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let t = if theta == 0.0 { 1.0 } else { t };
                let (c, s) = (1.0 / t.hypot(1.0), t / t.hypot(1.0));
                for k in 0..n {
                    let (x, y) = (a[k * n + p], a[k * n + q]);
                    (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[p * n + k], a[q * n + k]);
                    (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
                    let (x, y) = (v[k * n + p], v[k * n + q]);
                    (v[k * n + p], v[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
    }
    let mut pairs: Vec<_> = (0..n).map(|k| (a[k * n + k], (0..n).map(|i| v[i * n + k]).collect())).collect();
    pairs.sort_by(|a: &Pair, b| b.0.total_cmp(&a.0));
    pairs
}

/// The singular values, largest first, and for each its combination (of length 1) of these columns, which is as long as it: by one-sided
/// Jacobi rotations, which find the small ones as exactly as the large ones where the columns differ in length only (Demmel & Veselić
/// 1992, "Jacobi's method is more accurate than QR").
pub(super) fn singular(mut columns: Vec<Vec<f64>>) -> Vec<Pair> {
    let n = columns.len();
    let mut v: Vec<Vec<f64>> = (0..n).map(|k| (0..n).map(|i| if i == k { 1.0 } else { 0.0 }).collect()).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let turn = |of: &mut [Vec<f64>], (p, q): (usize, usize), (c, s): (f64, f64)| {
        let (left, right) = of.split_at_mut(q);
        for (x, y) in left[p].iter_mut().zip(&mut right[0]) {
            (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
        }
    };
    for _ in 0..60 {
        let mut still = true;
        for p in 0..n {
            for q in p + 1..n {
                let (a, b) = (dot(&columns[p], &columns[p]), dot(&columns[q], &columns[q]));
                let product = dot(&columns[p], &columns[q]);
                if product.abs() <= 1e-15 * a.sqrt() * b.sqrt() {
                    continue;
                }
                still = false;
                let theta = (b - a) / (2.0 * product);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let rotation = (1.0 / t.hypot(1.0), t / t.hypot(1.0));
                turn(&mut columns, (p, q), rotation);
                turn(&mut v, (p, q), rotation);
            }
        }
        if still {
            break;
        }
    }
    let mut pairs: Vec<_> = columns.iter().map(|c| dot(c, c).sqrt()).zip(v).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs
}

/// Where a quadratic function is minimised.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    /// `x ≥ 0`.
    Positive,
    /// `x ≥ 0`, `Σ x = 1`.
    Simplex,
}

/// The minimum of `½ xᵀ q x + bᵀ x` over `domain`, `q` positive semidefinite: by a primal active set, exact up to rounding where
/// `q` is definite. A ridge of 1e-13 of its diagonal stands in where it is not.
///
/// It is solved in `y = x √diag(q)`, so that a variable whose row of `q` is a million million times smaller than another's is found
/// as exactly.
pub(super) fn quadratic(q: &[f64], b: &[f64], domain: Domain) -> Vec<f64> {
    let n = b.len();
    let roots: Vec<f64> = (0..n).map(|k| q[k * (n + 1)].max(0.0).sqrt()).collect();
    let least = roots.iter().copied().filter(|r| *r > 0.0).fold(f64::INFINITY, f64::min);
    // A row of zeros has no size; that of the smallest serves.
    let unit = if least.is_finite() { least } else { 1.0 };
    let scale: Vec<f64> = roots.iter().map(|r| if *r > 0.0 { unit / r } else { 1.0 }).collect();
    let at = |i: usize, j: usize| q[i * n + j] / unit * (scale[i] * scale[j]) / unit + if i == j { 1e-13 } else { 0.0 };
    let sum = usize::from(domain == Domain::Simplex);
    let mut x = vec![0.0; n];
    let mut free = vec![false; n];
    if domain == Domain::Simplex {
        // The best corner.
        let value = |k: usize| 0.5 * q[k * (n + 1)] + b[k];
        let best = (0..n).min_by(|i, j| value(*i).total_cmp(&value(*j))).unwrap_or(0);
        (x[best], free[best]) = (1.0 / scale[best], true);
    }
    let b: Vec<f64> = b.iter().zip(&scale).map(|(b, s)| b / unit * s / unit).collect();
    for _ in 0..50 * (n + 1) {
        let set: Vec<usize> = (0..n).filter(|k| free[*k]).collect();
        // The minimum with the others at zero, whatever its signs: [q s; sᵀ 0] [y; λ] = [-b; 1].
        let m = set.len() + sum;
        let entry = |i: usize, j: usize| match (set.get(i), set.get(j)) {
            (Some(i), Some(j)) => at(*i, *j),
            (Some(k), None) | (None, Some(k)) => scale[*k],
            (None, None) => 0.0,
        };
        let a = (0..m * m).map(|i| entry(i / m, i % m)).collect();
        let right = (0..m).map(|i| set.get(i).map_or(1.0, |k| -b[*k])).collect();
        let Some(solution) = linear(a, right) else { break };
        let target = |k: usize| set.iter().position(|s| *s == k).map_or(0.0, |i| solution[i]);
        // As far as the first one that would become negative.
        let blocking = set.iter().filter(|k| target(**k) < 0.0).map(|k| (x[*k] / (x[*k] - target(*k)), *k));
        if let Some((step, k)) = blocking.min_by(|a, b| a.0.total_cmp(&b.0)) {
            for i in &set {
                x[*i] += step.min(1.0) * (target(*i) - x[*i]);
            }
            (x[k], free[k]) = (0.0, false);
            continue;
        }
        for k in &set {
            x[*k] = target(*k);
        }
        let level = if sum == 1 { -solution[m - 1] } else { 0.0 };
        // How fast the function falls as `k` enters, in units of what cancels in it.
        let slope = |k: usize| {
            let parts = (0..n).map(|j| at(k, j) * x[j]).chain([b[k], -level * scale[k]]);
            let (sum, size) = parts.fold((0.0, 0.0), |(sum, size), v| (sum + v, size + v.abs()));
            if size > 0.0 { sum / size } else { 0.0 }
        };
        let bound = (0..n).filter(|k| !free[*k]).map(|k| (slope(k), k)).min_by(|a, b| a.0.total_cmp(&b.0));
        match bound {
            Some((slope, k)) if slope < -1e-12 => free[k] = true,
            _ => break,
        }
    }
    x.iter().zip(scale).map(|(x, s)| x * s).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
    }

    #[test]
    fn linear_systems() {
        close(&linear(vec![0.0, 2.0, 3.0, 1.0], vec![4.0, 5.0]).unwrap(), &[1.0, 2.0]);
        assert_eq!(linear(vec![1.0, 2.0, 2.0, 4.0], vec![1.0, 1.0]), None);
        assert_eq!(linear(vec![], vec![]), Some(vec![]));
    }

    #[test]
    fn eigenvectors_rebuild_the_matrix() {
        let a = vec![4.0, 1.0, -2.0, 1.0, 3.0, 0.5, -2.0, 0.5, 1.0];
        let pairs = eigen(a.clone(), 3);
        assert!(pairs.windows(2).all(|w| w[0].0 >= w[1].0));
        let rebuilt = (0..9).map(|i| pairs.iter().map(|(l, v)| l * v[i / 3] * v[i % 3]).sum()).collect::<Vec<f64>>();
        close(&rebuilt, &a);
        close(&eigen(vec![2.0, 0.0, 0.0, 2.0], 2).iter().map(|p| p.0).collect::<Vec<_>>(), &[2.0, 2.0]);
    }

    /// Columns of lengths 1, 1e-5 and 1e-9 at 60° to each other, and one more that depends on the first two.
    #[test]
    fn small_singular_values_are_as_exact_as_large_ones() {
        let (half, high) = (0.5, 0.75_f64.sqrt());
        let columns = |small: f64| vec![vec![1.0, 0.0], vec![half * small, high * small], vec![1.0, 0.0]];
        for small in [1e-5, 1e-9, 1e-12] {
            let pairs = singular(columns(small));
            // Of [√2 e, small u], whose squares' product is the determinant 2 small² sin² 60°, and whose sum is 2 + small².
            let (first, second) = (pairs[0].0, pairs[1].0);
            assert!((first - 2.0_f64.sqrt()).abs() < 1e-9 && (second / (high * small) - 1.0).abs() < 1e-9, "{pairs:?}");
            assert!(pairs[2].0 < 1e-6 * small, "{pairs:?}");
        }
        let lengths: Vec<f64> = singular(vec![vec![3.0], vec![4.0]]).iter().map(|p| p.0).collect();
        close(&lengths, &[5.0, 0.0]);
    }

    #[test]
    fn quadratic_minima_keep_to_their_domain() {
        let q = [2.0, 0.0, 0.0, 2.0];
        close(&quadratic(&q, &[-2.0, 4.0], Domain::Positive), &[1.0, 0.0]);
        close(&quadratic(&q, &[-2.0, -4.0], Domain::Positive), &[1.0, 2.0]);
        close(&quadratic(&q, &[0.0, 0.0], Domain::Simplex), &[0.5, 0.5]);
        close(&quadratic(&q, &[0.0, 10.0], Domain::Simplex), &[1.0, 0.0]);
        // A singular one: any point of the simplex is as good, and one of it comes out.
        let x = quadratic(&[1.0; 9], &[0.0; 3], Domain::Simplex);
        assert!((x.iter().sum::<f64>() - 1.0).abs() < 1e-9 && x.iter().all(|x| *x >= 0.0));
    }

    /// The shortest point between two short gradients is found beside a long one.
    #[test]
    fn small_rows_are_seen() {
        for small in [1.0, 1e-6, 1e-10] {
            let s = small * small;
            // Lengths 1, small, 2 small, each orthogonal to the others: weights in proportion to 1 / length².
            let x = quadratic(&[1.0, 0.0, 0.0, 0.0, s, 0.0, 0.0, 0.0, 4.0 * s], &[0.0; 3], Domain::Simplex);
            let sum = s + 1.0 + 0.25;
            close(&x, &[s / sum, 1.0 / sum, 0.25 / sum]);
            let x = quadratic(&[1.0, 0.0, 0.0, s], &[-1.0, -s], Domain::Positive);
            close(&x, &[1.0, 1.0]);
        }
    }

    /// Against the conditions of the optimum, on random matrices of several sizes.
    #[test]
    fn quadratic_minima_are_minima() {
        let mut state = 1_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        };
        for n in [1, 2, 3, 5, 8, 16] {
            for _ in 0..20 {
                let rows: Vec<Vec<f64>> = (0..n).map(|_| (0..n + 2).map(|_| random()).collect()).collect();
                let product = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum::<f64>();
                let q: Vec<f64> = (0..n * n).map(|i| product(i / n, i % n)).collect();
                let b: Vec<f64> = (0..n).map(|_| random()).collect();
                for domain in [Domain::Positive, Domain::Simplex] {
                    let x = quadratic(&q, &b, domain);
                    let slope: Vec<f64> =
                        (0..n).map(|i| (0..n).map(|j| q[i * n + j] * x[j]).sum::<f64>() + b[i]).collect();
                    let level = match domain {
                        Domain::Positive => 0.0,
                        Domain::Simplex => slope.iter().zip(&x).map(|(s, x)| s * x).sum(),
                    };
                    for k in 0..n {
                        assert!(x[k] >= 0.0 && slope[k] - level > -1e-8, "{n}: {x:?} {slope:?}");
                        assert!(x[k] < 1e-12 || (slope[k] - level).abs() < 1e-8, "{n}: {x:?} {slope:?}");
                    }
                }
            }
        }
    }
}
