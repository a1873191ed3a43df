//! From bytes to normalised values, with the shift, mirroring and noise that each sample drew.

/// A permutation of the 32-bit words that looks random: PCG-RXS-M-XS (Jarzynski and Olano 2020).
fn pcg(v: u32) -> u32 {
    let state = v.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// A standard normal value for every pair of `seed` and `i`, by Box and Muller (1958): `√(−2 ln u) cos(2π v)` with `u`
/// in (0, 1] and `v` in [0, 1), both of 24 bits, from two hashes.
pub fn normal(seed: u32, i: u32) -> f64 {
    const ULP: f64 = 1.0 / (1 << 24) as f64;
    let a = pcg(seed ^ pcg(i));
    let b = pcg(a);
    let u = f64::from((a >> 8) + 1) * ULP;
    let v = f64::from(b >> 8) * ULP;
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// `out[i, y, x, c] = (mirrored[y + dy, x + dx] / 255 + noise · N(0, 1) − mean[c]) / std[c]`, where `mirrored[y, x]` is
/// `pixel[i, y, x, c]`, or `pixel[i, y, w − 1 − x, c]` if the sample drew a flip, and 0 outside the image.
///
/// `pixels` `[n, h, w, c]`; one draw `[dx, dy (both i32 bits), flip, noise_seed]` for each of the `n` samples, see
/// [`Draw`](crate::data::augment::Draw); `mean`, `std` `[c]` and `noise` in units of 0..1. The result `[n, h, w, c]`.
/// The noise of a value depends on the sample's seed and the value's place within the sample ([`normal`]). A draw of
/// zeros with no noise only normalises.
pub fn forward(
    pixels: &[u8],
    [n, h, w, c]: [usize; 4],
    draws: &[[u32; 4]],
    mean: &[f64],
    std: &[f64],
    noise: f64,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(n * h * w * c);
    for (image, draw) in pixels.chunks(h * w * c).zip(draws) {
        let [dx, dy, flip, seed] = *draw;
        for i in 0..h * w * c {
            let (y, x, channel) = (i / (w * c), i / c % w, i % c);
            // The bits of an i32.
            let row = (y as i64 + i64::from(dy as i32)) as usize;
            let column = (x as i64 + i64::from(dx as i32)) as usize;
            // A negative index has become a huge one.
            let mut value = 0.0;
            if row < h && column < w {
                let column = if flip != 0 { w - 1 - column } else { column };
                value = f64::from(image[(row * w + column) * c + channel]) / 255.0;
            }
            if noise > 0.0 {
                value += noise * normal(seed, i as u32);
            }
            out.push((value - mean[channel]) / std[channel]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_equal;
    use super::*;

    const SHAPE: [usize; 4] = [1, 2, 3, 1];
    const PIXELS: [u8; 6] = [0, 51, 102, 153, 204, 255];

    fn moved(dx: i32, dy: i32, flip: u32) -> Vec<f64> {
        forward(&PIXELS, SHAPE, &[[dx as u32, dy as u32, flip, 0]], &[0.0], &[1.0], 0.0)
    }

    #[test]
    fn shifts_and_flips_by_hand() {
        assert_equal(&moved(0, 0, 0), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        // The window moves right and up: the content moves left and down.
        assert_equal(&moved(1, -1, 0), &[0.0, 0.0, 0.0, 0.2, 0.4, 0.0]);
        assert_equal(&moved(0, 0, 1), &[0.4, 0.2, 0.0, 1.0, 0.8, 0.6]);
        // Mirrored first, then shifted.
        assert_equal(&moved(-1, 0, 1), &[0.0, 0.4, 0.2, 0.0, 1.0, 0.8]);
        assert_equal(&moved(3, 0, 0), &[0.0; 6]);
    }

    #[test]
    fn channels_are_normalised_one_by_one_padding_too() {
        let out = forward(&[255, 0, 0, 255], [1, 1, 2, 2], &[[1, 0, 0, 0]], &[0.5, 0.25], &[0.5, 0.25], 0.0);
        assert_equal(&out, &[-1.0, 3.0, -1.0, -1.0]);
    }

    #[test]
    fn noise_is_standard_normal_and_differs_by_seed() {
        let n = 100_000;
        let noise = forward(&vec![0; n], [1, 1, n, 1], &[[0, 0, 0, 7]], &[0.0], &[1.0], 2.0);
        let (mean, var) = super::super::batch_norm::stats(&noise, 1);
        // Five standard errors: 2/√n = 0.0063 and 4·√(2/n) = 0.018.
        assert!(mean[0].abs() < 0.032 && (var[0] - 4.0).abs() < 0.09, "{mean:?} {var:?}");
        assert_ne!(normal(7, 0), normal(8, 0));
        assert!((0..=u32::MAX).step_by(9_999_991).all(|i| normal(i, !i).is_finite()));
    }
}
