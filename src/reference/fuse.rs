//! Two maps into one by an attention over both: `z = x s(a0) + y s(a1)` with `a = Wx x + Wy y + b` for each row and s the logistic
//! function. Chen et al., "Distilling knowledge via knowledge review", CVPR 2021 (arXiv 2104.09044).

fn gate(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// z `[rows, c]` and the gates `[rows, 2]`, of x and y `[rows, c]`, wx and wy `[2, c]`, bias `[2]`.
pub fn forward([x, y, wx, wy, bias]: [&[f64]; 5]) -> (Vec<f64>, Vec<f64>) {
    let c = wx.len() / 2;
    let (mut z, mut gates) = (Vec::new(), Vec::new());
    for (x, y) in x.chunks_exact(c).zip(y.chunks_exact(c)) {
        let g = [0, 1].map(|k| gate(dot(&wx[k * c..][..c], x) + dot(&wy[k * c..][..c], y) + bias[k]));
        z.extend(x.iter().zip(y).map(|(x, y)| x * g[0] + y * g[1]));
        gates.extend(g);
    }
    (z, gates)
}

/// The gradients by x, y, wx, wy and bias, from dz.
pub fn grad(inputs: [&[f64]; 5], dz: &[f64]) -> [Vec<f64>; 5] {
    let [x, y, wx, wy, bias] = inputs;
    let (c, gates) = (wx.len() / 2, forward(inputs).1);
    let [mut dx, mut dy, mut dwx, mut dwy, mut db] = [x, y, wx, wy, bias].map(|v| vec![0.0; v.len()]);
    for (i, g) in gates.chunks_exact(2).enumerate() {
        let row = i * c..(i + 1) * c;
        for k in 0..2 {
            let da = g[k] * (1.0 - g[k]) * dot(&dz[row.clone()], &[x, y][k][row.clone()]);
            db[k] += da;
            for j in 0..c {
                dx[i * c + j] += da * wx[k * c + j];
                dy[i * c + j] += da * wy[k * c + j];
                dwx[k * c + j] += da * x[i * c + j];
                dwy[k * c + j] += da * y[i * c + j];
            }
        }
        for j in row {
            dx[j] += dz[j] * g[0];
            dy[j] += dz[j] * g[1];
        }
    }
    [dx, dy, dwx, dwy, db]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{
        finite_difference,
        testing::{assert_close, values},
    };

    #[test]
    fn gradients() {
        let all = [values(12, 1), values(12, 2), values(6, 3), values(6, 4), values(2, 5)];
        let dz = values(12, 6);
        let grads = grad(all.each_ref().map(Vec::as_slice), &dz);
        for (i, grad) in grads.iter().enumerate() {
            let value = |v: &[f64]| {
                let mut inputs = all.each_ref().map(Vec::as_slice);
                inputs[i] = v;
                dot(&forward(inputs).0, &dz)
            };
            assert_close(grad, &finite_difference(value, &all[i]), 1e-8);
        }
        let (z, _) = forward([&[1.0, 2.0], &[3.0, 5.0], &[0.0; 4], &[0.0; 4], &[0.0, 0.0]]);
        assert_eq!(z, [2.0, 3.5]);
    }
}
