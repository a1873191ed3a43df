//! From stored bytes to the network's input: shift, flip, noise, standardisation, in one pass.
//!
//! `out[n, y, x, ch] = (v - mean[ch]) / std[ch]`, `v = pixel / 255 + noise gauss`, where the pixel is the one at
//! `(y + dy, x' + dx)`, `x' = w - 1 - x` if flipped, else `x`; outside the image it is 0, and standardised like any other.
//! So a shifted image is a crop of the zero-padded one.
//!
//! The noise is a function of the sample's seed and the element's place alone, so that teacher and student see the same
//! image in any order of work. The hash is the output function of the PCG generator RXS-M-XS 32 (O'Neill, "PCG", 2014;
//! as a hash: Jarzynski & Olano, "Hash functions for GPU rendering", JCGT 2020); Gaussian by Box & Muller (1958).

/// One sample's draw, four words: `[dx, dy, flip, noise_seed]`; flip is 0 or not, the seed's bits are a `u32`'s.
pub type Draw = [i32; 4];

/// The integer hash.
pub fn pcg(a: u32) -> u32 {
    let state = a.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// The standard normal deviate of one element of one sample. `element` is `(y w + x) c + ch`, a place in the output.
///
/// `k = pcg(seed ^ pcg(element))`, `u1 = ((pcg(k) >> 8) + 1) / 2^24` in (0, 1],
/// `u2 = (pcg(k ^ 0x9e3779b9) >> 8) / 2^24` in [0, 1), `sqrt(-2 ln u1) cos(2 pi u2)`.
pub fn gauss(noise_seed: u32, element: u32) -> f64 {
    let unit = 1.0 / f64::from(1u32 << 24);
    let k = pcg(noise_seed ^ pcg(element));
    let u1 = f64::from((pcg(k) >> 8) + 1) * unit;
    let u2 = f64::from(pcg(k ^ 0x9e37_79b9) >> 8) * unit;
    (-2.0 * u1.ln()).sqrt() * (2.0 * std::f64::consts::PI * u2).cos()
}

/// The network's input, `[n, h, w, c]`, of pixels `[n, h, w, c]`. draws: `[n]`; mean, std: `[c]`, of values in 0..1;
/// noise: its standard deviation in the same units.
pub fn forward(
    pixels: &[u8],
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    draws: &[Draw],
    mean: &[f64],
    std: &[f64],
    noise: f64,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(n * h * w * c);
    for (sample, &[dx, dy, flip, noise_seed]) in draws.iter().take(n).enumerate() {
        for y in 0..h {
            for x in 0..w {
                let across = if flip != 0 { w - 1 - x } else { x };
                let source = y
                    .checked_add_signed(dy as isize)
                    .filter(|&y| y < h)
                    .zip(across.checked_add_signed(dx as isize).filter(|&x| x < w));
                for ch in 0..c {
                    let pixel = source.map_or(0, |(sy, sx)| pixels[((sample * h + sy) * w + sx) * c + ch]);
                    let mut v = f64::from(pixel) / 255.0;
                    // Without noise the deviate is not drawn at all, here as in the kernel.
                    if noise != 0.0 {
                        v += noise * gauss(noise_seed as u32, ((y * w + x) * c + ch) as u32);
                    }
                    out.push((v - mean[ch]) / std[ch]);
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::testing::*;

    const PIXELS: [u8; 6] = [0, 51, 102, 153, 204, 255];

    fn plain(draw: Draw) -> Vec<f64> {
        forward(&PIXELS, 1, 2, 3, 1, &[draw], &[0.0], &[1.0], 0.0)
    }

    #[test]
    fn shifts_and_flips() {
        assert_close(&plain([0, 0, 0, 0]), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 1e-15);
        assert_close(&plain([1, 0, 0, 0]), &[0.2, 0.4, 0.0, 0.8, 1.0, 0.0], 1e-15);
        assert_close(&plain([0, -1, 0, 0]), &[0.0, 0.0, 0.0, 0.0, 0.2, 0.4], 1e-15);
        assert_close(&plain([0, 0, 1, 0]), &[0.4, 0.2, 0.0, 1.0, 0.8, 0.6], 1e-15);
        assert_close(&plain([-1, 0, 1, 0]), &[0.2, 0.0, 0.0, 0.8, 0.6, 0.0], 1e-15);
        assert_eq!(plain([i32::MIN, i32::MAX, 0, 0]), [0.0; 6]);
    }

    #[test]
    fn standardises_inside_and_outside() {
        let out = forward(&[255, 0, 0, 255], 2, 1, 1, 2, &[[0; 4], [1, 0, 0, 0]], &[0.5, 0.2], &[0.5, 0.1], 0.0);
        assert_close(&out, &[1.0, -2.0, -1.0, -2.0], 1e-14);
    }

    #[test]
    fn the_hash_keeps_its_values() {
        assert_eq!([pcg(0), pcg(1), pcg(u32::MAX)], [0x07bb_2fe2, 0xa8be_ea3c, 0xe62a_4902]);
    }

    #[test]
    fn noise_is_normal_and_depends_on_the_seed_alone() {
        let (h, w) = (100, 100);
        let draws = [[0, 0, 0, 7], [0, 0, 0, 7], [0, 0, 0, -7]];
        let out = forward(&vec![0; 3 * h * w], 3, h, w, 1, &draws, &[0.0], &[1.0], 0.5);
        let (a, b, c) = (&out[..h * w], &out[h * w..2 * h * w], &out[2 * h * w..]);
        assert_eq!(a, b);
        let count = (h * w) as f64;
        for sample in [a, c] {
            let mean = sample.iter().sum::<f64>() / count;
            let var = sample.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
            let kurtosis = sample.iter().map(|v| (v - mean).powi(4)).sum::<f64>() / count / (var * var);
            assert!(mean.abs() < 0.02 && (var - 0.25).abs() < 0.02 && (kurtosis - 3.0).abs() < 0.2);
        }
        assert!((dot(a, c) / count).abs() < 0.02, "two seeds are correlated");
    }
}
