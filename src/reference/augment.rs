//! Pixels to the network's input: `out[n, y, x, ch] = (v - mean[ch]) / std[ch]`, `v = pixel / 255 + noise gauss`, where the pixel is
//! the one that the sample's [`Warp`] finds for the middle of `(x, y)`: nearest, or bilinear between the four around it, of which those
//! beyond the image's edge are the ones at the edge. Where it finds none it is 0, and standardised like any other: a shifted image is a
//! crop of the zero-padded one.
//!
//! The noise is a function of the sample's seed and the element's place alone, so that teacher and student see the same
//! image in any order of work. The hash is the output function of the PCG generator RXS-M-XS 32 (O'Neill, "PCG", 2014;
//! as a hash: Jarzynski & Olano, "Hash functions for GPU rendering", JCGT 2020); Gaussian by Box & Muller (1958).

use crate::geometry::Warp;

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

/// The network's input, `[warps, h, w, c]`, of pixels `[n, h, w, c]`; mean, std: `[c]`, of values in 0..1; noise: its standard deviation
/// in the same units.
pub fn forward(
    pixels: &[u8],
    [h, w, c]: [usize; 3],
    warps: &[Warp],
    mean: &[f64],
    std: &[f64],
    noise: f64,
    bilinear: bool,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(warps.len() * h * w * c);
    for warp in warps {
        for y in 0..h {
            for x in 0..w {
                let source = warp.source(x as f64 + 0.5, y as f64 + 0.5, [h, w]);
                for ch in 0..c {
                    let at = |row: usize, y: usize, x: usize| f64::from(pixels[((row * h + y) * w + x) * c + ch]);
                    let pixel = match source {
                        None => 0.0,
                        Some((row, [u, v])) if !bilinear => at(row, v as usize, u as usize),
                        Some((row, [u, v])) => {
                            let ([x0, x1], fx) = around(u, w);
                            let ([y0, y1], fy) = around(v, h);
                            let line = |y| at(row, y, x0) * (1.0 - fx) + at(row, y, x1) * fx;
                            line(y0) * (1.0 - fy) + line(y1) * fy
                        }
                    };
                    let mut v = pixel / 255.0;
                    // Without noise the deviate is not drawn at all, here as in the kernel.
                    if noise != 0.0 {
                        v += noise * gauss(warp.noise_seed, ((y * w + x) * c + ch) as u32);
                    }
                    out.push((v - mean[ch]) / std[ch]);
                }
            }
        }
    }
    out
}

/// The pixels on both sides of a point, of `size` in a row, and the weight of the second.
fn around(at: f64, size: usize) -> ([usize; 2], f64) {
    let low = (at - 0.5).floor();
    let clamp = |v: f64| v.clamp(0.0, size as f64 - 1.0) as usize;
    ([clamp(low), clamp(low + 1.0)], at - 0.5 - low)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::reference::testing::*;

    const PIXELS: [u8; 6] = [0, 51, 102, 153, 204, 255];

    /// `out[y, x] = image[y + dy, x' + dx]`, `x' = w - 1 - x` if flipped.
    pub(in crate::reference) fn shift(row: u32, w: usize, dx: i32, dy: i32, flip: u32) -> Warp {
        let (a, c) = if flip != 0 { (-1.0, w as f32) } else { (1.0, 0.0) };
        Warp { matrix: [a, 0.0, c + dx as f32, 0.0, 1.0, dy as f32], ..Warp::still(row) }
    }

    fn plain(dx: i32, dy: i32, flip: u32) -> Vec<f64> {
        let one = |bilinear| forward(&PIXELS, [2, 3, 1], &[shift(0, 3, dx, dy, flip)], &[0.0], &[1.0], 0.0, bilinear);
        // Between whole pixels there is nothing to blend.
        assert_eq!(one(false), one(true));
        one(false)
    }

    #[test]
    fn shifts_and_flips() {
        assert_close(&plain(0, 0, 0), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 1e-15);
        assert_close(&plain(1, 0, 0), &[0.2, 0.4, 0.0, 0.8, 1.0, 0.0], 1e-15);
        assert_close(&plain(0, -1, 0), &[0.0, 0.0, 0.0, 0.0, 0.2, 0.4], 1e-15);
        assert_close(&plain(0, 0, 1), &[0.4, 0.2, 0.0, 1.0, 0.8, 0.6], 1e-15);
        assert_close(&plain(-1, 0, 1), &[0.2, 0.0, 0.0, 0.8, 0.6, 0.0], 1e-15);
        assert_eq!(plain(i32::MIN, i32::MAX, 0), [0.0; 6]);
    }

    #[test]
    fn twice_as_large_is_what_resizing_gives() {
        // The left half of the width, stretched to all of it: PyTorch's bilinear interpolation of [0, 51] from 1.5 columns to 3.
        let warp = Warp { matrix: [0.5, 0.0, 0.0, 0.0, 1.0, 0.0], ..Warp::still(0) };
        let got = forward(&PIXELS, [2, 3, 1], &[warp], &[0.0], &[1.0], 0.0, true);
        assert_close(&got, &[0.0, 0.05, 0.15, 0.6, 0.65, 0.75], 1e-15);
    }

    #[test]
    fn standardises_inside_and_outside() {
        let warps = [Warp::still(0), shift(1, 1, 1, 0, 0)];
        let out = forward(&[255, 0, 0, 255], [1, 1, 2], &warps, &[0.5, 0.2], &[0.5, 0.1], 0.0, false);
        assert_close(&out, &[1.0, -2.0, -1.0, -2.0], 1e-14);
    }

    #[test]
    fn the_hash_keeps_its_values() {
        assert_eq!([pcg(0), pcg(1), pcg(u32::MAX)], [0x07bb_2fe2, 0xa8be_ea3c, 0xe62a_4902]);
    }

    #[test]
    fn noise_is_normal_and_depends_on_the_seed_alone() {
        let (h, w) = (100, 100);
        let warps = [7, 7, 70].map(|noise_seed| Warp { noise_seed, ..Warp::still(0) });
        let out = forward(&vec![0; h * w], [h, w, 1], &warps, &[0.0], &[1.0], 0.5, false);
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
