//! Augmentation as parameters: the CPU draws, the GPU kernel `augment` moves the pixels. Teacher and student read the same
//! augmented batch, so they always see the same picture.

use super::{Task, seed};
use crate::geometry::Rect;
use crate::{Error, Result};
use bytemuck::{Pod, Zeroable};
use rand::RngExt;

/// What may happen to a training image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    /// Largest shift in pixels, both directions: a crop of the image padded by this many zeros.
    pub shift: u32,
    /// Mirror left-right with probability 1/2. Only where every task keeps its label, see [`Augment::check`].
    pub flip: bool,
    /// Standard deviation of the Gaussian noise, in units of the pixel range 0..1.
    pub noise: f32,
}

/// One sample's draw, 16 bytes, as the kernel reads it. With `shifted[y, x] = image[y + dy, x + dx]`, zero outside, the augmented
/// image is `out[y, x] = shifted[y, w - 1 - x]` if `flip` is 1, else `shifted[y, x]`; then the noise is added.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Draw {
    /// Columns the window moves to the right (the content moves to the left).
    pub dx: i32,
    /// Rows the window moves down (the content moves up).
    pub dy: i32,
    /// 1: mirrored left-right after the shift.
    pub flip: u32,
    /// Seed of the sample's noise field; 0 where there is no noise.
    pub noise_seed: u32,
}

impl Draw {
    /// Where a box of an image of `[height, width]` is in the augmented one; `None` where nothing of it is left.
    pub fn moves(&self, rect: &Rect, [height, width]: [usize; 2]) -> Option<Rect> {
        let shifted = rect.shifted(-self.dx as f32, -self.dy as f32).clipped([height, width]);
        let moved = if self.flip != 0 { shifted.mirrored(width) } else { shifted };
        moved.is_proper().then_some(moved)
    }
}

impl Augment {
    /// Leave every image as it is (validation, test, teacher caches).
    pub const NONE: Augment = Augment { shift: 0, flip: false, noise: 0.0 };

    /// The draw of the sample with this seed. Every field is drawn in any case, so switching one off changes no other.
    pub fn draw(&self, sample_seed: u64) -> Draw {
        let mut rng = seed::stream(sample_seed);
        // No image is wider than this, and it keeps the range within i32.
        let reach = self.shift.min(1 << 20) as i32;
        let dx = rng.random_range(-reach..=reach);
        let dy = rng.random_range(-reach..=reach);
        let flip = rng.random::<u32>() >> 31;
        let noise_seed = rng.random::<u32>();
        Draw { dx, dy, flip: flip * u32::from(self.flip), noise_seed: if self.noise > 0.0 { noise_seed } else { 0 } }
    }

    /// Refuses a flip that would change a label, and noise that is not a finite number ≥ 0.
    pub fn check(&self, tasks: &[Task]) -> Result<()> {
        if !(self.noise.is_finite() && self.noise >= 0.0) {
            return Err(Error::Invalid(format!("augment.noise is {}; it must be a finite number >= 0", self.noise)));
        }
        match tasks.iter().find(|t| self.flip && !t.flip) {
            Some(task) => Err(Error::Invalid(format!(
                "augment.flip mirrors images, but the labels of task {:?} do not survive that; set augment.flip = false, \
                 or list the task in data.flip_invariant if a mirrored image keeps its label",
                task.name
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_shift_and_both_flips_occur_equally_often() {
        let augment = Augment { shift: 2, flip: true, noise: 0.1 };
        let (mut dx, mut dy, mut flips) = ([0usize; 5], [0usize; 5], 0usize);
        let n = 10_000;
        for i in 0..n {
            let d = augment.draw(seed::derive_n(3, i));
            dx[(d.dx + 2) as usize] += 1;
            dy[(d.dy + 2) as usize] += 1;
            flips += d.flip as usize;
        }
        // Five standard deviations of a binomial with p = 1/5 (40) and 1/2 (50).
        assert!(dx.iter().chain(&dy).all(|&c| c.abs_diff(2000) < 200), "{dx:?} {dy:?}");
        assert!(flips.abs_diff(5000) < 250, "{flips}");
    }

    #[test]
    fn boxes_move_with_their_pixels() {
        // A rectangle of ones, moved as the kernel moves pixels, has its edges where the box says.
        let (h, w) = (7usize, 9usize);
        for seed in 0..200 {
            let draw = Augment { shift: 5, flip: true, noise: 0.0 }.draw(seed);
            let rect = Rect::from_size((seed % 7) as f32, (seed % 5) as f32, 2.0, 2.0);
            let inside = |x: usize, y: usize| {
                (rect.x0..rect.x1).contains(&(x as f32)) && (rect.y0..rect.y1).contains(&(y as f32))
            };
            let pixels: Vec<u8> = (0..h * w).map(|i| u8::from(inside(i % w, i / w))).collect();
            let words = [draw.dx, draw.dy, draw.flip as i32, 0];
            let moved = crate::twin::relabel::forward(&pixels, 1, h, w, &[words], 0);
            let seen = moved.iter().enumerate().filter(|(_, v)| **v == 1);
            let corners = seen.flat_map(|(i, _)| [[i % w, i / w], [i % w + 1, i / w + 1]]);
            let want = Rect::around(corners.map(|[x, y]| [x as f32, y as f32]));
            assert_eq!(draw.moves(&rect, [h, w]), want, "{draw:?}");
        }
    }

    #[test]
    fn flip_needs_tasks_that_allow_it() {
        let task = |flip| Task { flip, ..Task::class("digit", vec!["a".into(), "b".into()]) };
        let augment = Augment { flip: true, ..Augment::NONE };
        assert!(augment.check(&[task(true), task(true)]).is_ok());
        let message = augment.check(&[task(true), task(false)]).unwrap_err().to_string();
        assert!(message.contains("digit") && message.contains("flip_invariant"), "{message}");
        assert!(Augment::NONE.check(&[task(false)]).is_ok());
        assert!(Augment { noise: f32::NAN, ..Augment::NONE }.check(&[]).is_err());
    }

    proptest! {
        #[test]
        fn draws_stay_in_range_and_repeat(seed: u64, shift in 0u32..9, flip: bool, noisy: bool) {
            let augment = Augment { shift, flip, noise: if noisy { 0.5 } else { 0.0 } };
            let d = augment.draw(seed);
            prop_assert_eq!(d, augment.draw(seed));
            prop_assert!(d.dx.unsigned_abs() <= shift && d.dy.unsigned_abs() <= shift);
            prop_assert!(d.flip <= u32::from(flip));
            prop_assert!(noisy || d.noise_seed == 0);
            // Switching the flip off leaves the rest alone.
            let still = Augment { flip: false, ..augment }.draw(seed);
            prop_assert_eq!((still.dx, still.dy, still.noise_seed, still.flip), (d.dx, d.dy, d.noise_seed, 0));
        }
    }

    #[test]
    fn none_is_the_identity() {
        assert_eq!(Augment::NONE.draw(12345), Draw::default());
        assert_eq!(size_of::<Draw>(), 16);
    }
}
