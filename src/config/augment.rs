//! `[augment]`: how training images are varied.

use serde::Serialize;

use crate::data::augment::Augment;
use crate::settings::{Flag, Number, Range, Whole, table};

table! {
    /// Variation of the training images, the same for teacher and student.
    #[derive(Debug, Clone, Copy, PartialEq, Serialize)]
    pub struct AugmentConfig {
        /// Largest shift in pixels, each direction.
        shift: usize = 1, Whole(0..=1024);
        /// Mirror half of the images.
        flip: bool = false, Flag;
        /// Standard deviation of the added noise, pixels being 0 to 1.
        noise: f64 = 0.0, Number("a standard deviation from 0 to 1", |x| (0.0..=1.0).contains(&x));
        /// Show a part of the image, of a share of its area between these two, in its whole size.
        #[serde(skip_serializing_if = "Option::is_none")]
        crop: Option<[f64; 2]> = None, Range("two shares of the image's area from 0.01 to 1, such as [0.25, 1.0]", 1.0);
        /// Show the content larger by a factor between these two.
        #[serde(skip_serializing_if = "Option::is_none")]
        scale: Option<[f64; 2]> = None, Range("two factors from 0.01 to 100, such as [0.8, 1.25]", 100.0);
        /// Largest angle by which the content is turned, in degrees, each direction.
        #[serde(skip_serializing_if = "is_zero")]
        rotate: f64 = 0.0, Number("an angle from 0 to 180 degrees", |x| (0.0..=180.0).contains(&x));
        /// Probability that four images are shown beside each other.
        #[serde(skip_serializing_if = "is_zero")]
        mosaic: f64 = 0.0, Number("a probability from 0 to 1", |x| (0.0..=1.0).contains(&x));
    }
}

impl AugmentConfig {
    /// As the loader takes it.
    pub fn augment(&self) -> Augment {
        let a = self;
        let pair = |pair: Option<[f64; 2]>| pair.map(|pair| pair.map(|x| x as f32));
        Augment {
            shift: a.shift as u32,
            flip: a.flip,
            noise: a.noise as f32,
            crop: pair(a.crop),
            scale: pair(a.scale),
            rotate: a.rotate as f32,
            mosaic: a.mosaic as f32,
        }
    }
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}
