//! Relational distillation of embeddings s (student) and t (teacher) of a batch of n, of any widths.
//!
//! - [`distance`]: smooth L1 between the matrices of distances, each divided by the mean of those above 1e-5; mean over all n^2 pairs.
//! - [`angle`]: smooth L1 between the cosines at sample i between j and k; mean over all n^3 triples.
//!
//! Park et al., "Relational knowledge distillation", CVPR 2019 (arXiv 1904.05068).

/// `x^2 / 2` near zero, `|x| - 1/2` beyond 1.
fn smooth_l1(x: f64) -> f64 {
    if x.abs() < 1.0 { 0.5 * x * x } else { x.abs() - 0.5 }
}

fn rows(e: &[f64], n: usize) -> Vec<&[f64]> {
    e.chunks_exact(e.len() / n).collect()
}

fn distances(e: &[f64], n: usize) -> Vec<f64> {
    let e = rows(e, n);
    let between = |i: usize, j: usize| -> f64 { e[i].iter().zip(e[j]).map(|(a, b)| (a - b).powi(2)).sum() };
    let d: Vec<f64> =
        (0..n * n).map(|i| if i % (n + 1) == 0 { 0.0 } else { between(i / n, i % n).max(1e-12).sqrt() }).collect();
    let far: Vec<f64> = d.iter().copied().filter(|d| *d > 1e-5).collect();
    let mean = far.iter().sum::<f64>() / far.len().max(1) as f64;
    d.iter().map(|d| d / mean.max(1e-20)).collect()
}

fn cosines(e: &[f64], n: usize) -> Vec<f64> {
    let e = rows(e, n);
    let unit = |i: usize, j: usize| -> Vec<f64> {
        let v: Vec<f64> = e[j].iter().zip(e[i]).map(|(a, b)| a - b).collect();
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
        v.into_iter().map(|v| v / length).collect()
    };
    let mut out = Vec::new();
    for i in 0..n {
        let v: Vec<Vec<f64>> = (0..n).map(|j| unit(i, j)).collect();
        for j in 0..n {
            out.extend(v.iter().map(|k| v[j].iter().zip(k).map(|(a, b)| a * b).sum::<f64>()));
        }
    }
    out
}

fn mean_smooth_l1(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| smooth_l1(a - b)).sum::<f64>() / a.len() as f64
}

/// The loss on distances.
pub fn distance(s: &[f64], t: &[f64], n: usize) -> f64 {
    mean_smooth_l1(&distances(s, n), &distances(t, n))
}

/// The loss on angles.
pub fn angle(s: &[f64], t: &[f64], n: usize) -> f64 {
    mean_smooth_l1(&cosines(s, n), &cosines(t, n))
}

/// The gradient of [`distance`] by s.
pub fn distance_grad(s: &[f64], t: &[f64], n: usize) -> Vec<f64> {
    let (ds, dt, c) = (distances(s, n), distances(t, n), s.len() / n);
    let e = rows(s, n);
    let length =
        |i: usize, j: usize| -> f64 { e[i].iter().zip(e[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt() };
    let pairs: Vec<(usize, usize)> =
        (0..n * n).map(|p| (p / n, p % n)).filter(|(i, j)| length(*i, *j) > 1e-5).collect();
    let mean = pairs.iter().map(|(i, j)| length(*i, *j)).sum::<f64>() / pairs.len().max(1) as f64;
    let slope = |i: usize, j: usize| (ds[i * n + j] - dt[i * n + j]).clamp(-1.0, 1.0) / (n * n) as f64;
    let through: f64 =
        pairs.iter().map(|(i, j)| slope(*i, *j) * ds[i * n + j]).sum::<f64>() / pairs.len().max(1) as f64;
    let mut out = vec![0.0; s.len()];
    for (i, j) in pairs {
        let by_length = (slope(i, j) - through) / mean / length(i, j);
        for k in 0..c {
            let d = by_length * (e[i][k] - e[j][k]);
            out[i * c + k] += d;
            out[j * c + k] -= d;
        }
    }
    out
}

/// The gradient of [`angle`] by s: with unit vectors u, v from i to j and k, `d cos / d e_j = (v - u cos) / ||e_j - e_i||`.
pub fn angle_grad(s: &[f64], t: &[f64], n: usize) -> Vec<f64> {
    let (cs, ct, c, e) = (cosines(s, n), cosines(t, n), s.len() / n, rows(s, n));
    let mut out = vec![0.0; s.len()];
    let vector = |i: usize, j: usize| -> (Vec<f64>, f64) {
        let v: Vec<f64> = e[j].iter().zip(e[i]).map(|(a, b)| a - b).collect();
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        (v.into_iter().map(|v| v / length.max(1e-12)).collect(), length)
    };
    for i in 0..n {
        let all: Vec<(Vec<f64>, f64)> = (0..n).map(|j| vector(i, j)).collect();
        for (j, k) in (0..n).flat_map(|j| (0..n).map(move |k| (j, k))) {
            let at = (i * n + j) * n + k;
            let slope = (cs[at] - ct[at]).clamp(-1.0, 1.0) / (n * n * n) as f64;
            // Each of the two ends, the other held.
            for (own, other) in [(j, k), (k, j)] {
                if all[own].1 == 0.0 || all[other].1 == 0.0 {
                    continue;
                }
                for x in 0..c {
                    let d = slope * (all[other].0[x] - all[own].0[x] * cs[at]) / all[own].1;
                    out[own * c + x] += d;
                    out[i * c + x] -= d;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{finite_difference, testing::*};

    #[test]
    fn scale_does_not_matter_to_either() {
        let s = values(15, 1);
        let t: Vec<f64> = s.iter().map(|v| 4.0 * v + 1.0).collect();
        assert_close(&[distance(&s, &t, 5), angle(&s, &t, 5)], &[0.0, 0.0], 1e-12);
    }

    #[test]
    fn gradients() {
        let (s, t) = (values(15, 1), values(20, 2));
        assert_close(&distance_grad(&s, &t, 5), &finite_difference(|s| distance(s, &t, 5), &s), 1e-7);
        assert_close(&angle_grad(&s, &t, 5), &finite_difference(|s| angle(s, &t, 5), &s), 1e-7);
    }
}
