//! Augmentation as parameters: the CPU draws, the GPU kernel `augment` moves the pixels. Teacher and student read the same
//! augmented batch, so they always see the same picture.

mod draw;

pub use draw::{Draw, Mosaic};

use super::{Task, seed};
use crate::{Error, Result};
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
    /// Show a part of the image, of a share of its area between these two, in its whole size ("random resized crop": Szegedy et al. 2014,
    /// arXiv 1409.4842); its height to width as the image's times 3/4 to 4/3, as far as it fits.
    pub crop: Option<[f32; 2]>,
    /// Show the content larger by a factor between these two, about the middle; as likely twice as large as half as large.
    pub scale: Option<[f32; 2]>,
    /// Turn the content about the middle by an angle up to this, in degrees, both directions.
    pub rotate: f32,
    /// The probability that four images of the batch are shown beside each other (Bochkovskiy et al. 2020, arXiv 2004.10934).
    pub mosaic: f32,
}

impl Augment {
    /// Leave every image as it is (validation, test, teacher caches).
    pub const NONE: Augment =
        Augment { shift: 0, flip: false, noise: 0.0, crop: None, scale: None, rotate: 0.0, mosaic: 0.0 };

    /// The draw of the sample with this seed. Every field is drawn in any case, so switching one off changes no other.
    pub fn draw(&self, sample_seed: u64) -> Draw {
        let mut rng = seed::stream(sample_seed);
        // No image is wider than this, and it keeps the range within i32.
        let reach = self.shift.min(1 << 20) as i32;
        let dx = rng.random_range(-reach..=reach);
        let dy = rng.random_range(-reach..=reach);
        let flip = rng.random::<u32>() >> 31;
        let noise_seed = rng.random::<u32>();
        let mut unit = || rng.random::<f32>();
        let window = window(self.crop.unwrap_or([1.0; 2]), [unit(), unit(), unit(), unit()], self.crop.is_some());
        let zoom = between(self.scale.unwrap_or([1.0; 2]), unit());
        let angle = self.rotate.to_radians() * (2.0 * unit() - 1.0);
        let meets = unit() < self.mosaic;
        let mosaic = Mosaic {
            // In the middle half, so that something is seen of all.
            centre: [unit(), unit()].map(|u| 0.25 + 0.5 * u),
            own: rng.random_range(0..4),
            mates: rng.random(),
        };
        Draw {
            dx,
            dy,
            flip: flip * u32::from(self.flip),
            noise_seed: if self.noise > 0.0 { noise_seed } else { 0 },
            angle,
            zoom,
            window,
            mosaic: meets.then_some(mosaic),
        }
    }

    /// Whether pixels move by whole ones within their own image, in so few ways that the same picture comes back.
    pub fn repeats(&self) -> bool {
        !self.blends() && self.mosaic == 0.0 && self.noise == 0.0
    }

    /// Whether pixels come to lie between others.
    pub fn blends(&self) -> bool {
        self.crop.is_some() || self.scale.is_some() || self.rotate != 0.0
    }

    /// Refuses what is out of range, and what would change a label without anybody noticing.
    pub fn check(&self, tasks: &[Task]) -> Result<()> {
        let refuse = |message: String| Err(Error::Invalid(message));
        if !(self.noise.is_finite() && self.noise >= 0.0) {
            return refuse(format!("augment.noise is {}; it must be a finite number >= 0", self.noise));
        }
        let pair = |name: &str, pair: Option<[f32; 2]>, most: f32| match pair {
            Some([low, high]) if !(low > 0.0 && low <= high && high <= most) => refuse(format!(
                "augment.{name} is [{low}, {high}]; it must be two numbers, not 0, the smaller first, up to {most}"
            )),
            _ => Ok(()),
        };
        pair("crop", self.crop, 1.0)?;
        pair("scale", self.scale, 100.0)?;
        if !(0.0..=180.0).contains(&self.rotate) {
            return refuse(format!("augment.rotate is {}; it must be an angle from 0 to 180 degrees", self.rotate));
        }
        if !(0.0..=1.0).contains(&self.mosaic) {
            return refuse(format!("augment.mosaic is {}; it must be a probability from 0 to 1", self.mosaic));
        }
        if let Some(task) = tasks.iter().find(|t| self.flip && !t.flip) {
            return refuse(format!(
                "augment.flip mirrors images, but the labels of task {:?} do not survive that; set augment.flip = false, \
                 or list the task in data.flip_invariant if a mirrored image keeps its label",
                task.name
            ));
        }
        match tasks.iter().find_map(|task| self.conflict(task)) {
            Some((key, message)) => refuse(format!("augment.{key} {message}")),
            None => Ok(()),
        }
    }

    /// The setting, other than `flip`, that would change the answer to a task, and why.
    pub fn conflict(&self, task: &Task) -> Option<(&'static str, String)> {
        let (name, kind) = (&task.name, task.kind.name());
        if let Some(key) = self.cuts().filter(|_| !task.crop) {
            let message = format!(
                "puts a part of the image out of sight, and the number of task {name:?} may be another then; leave it out (a scale up \
                 to 1 is harmless), or list the task in data.crop_invariant if a part keeps its label"
            );
            return Some((key, message));
        }
        let message =
            || format!("shows several images at once, and task {name:?} of kind {kind} asks about one; leave it out");
        (self.mosaic > 0.0 && !task.kind.is_spatial()).then(|| ("mosaic", message()))
    }

    /// The setting that may put more than the edge of an image out of sight.
    fn cuts(&self) -> Option<&'static str> {
        let larger = self.scale.is_some_and(|[_, most]| most > 1.0);
        let all = [(self.crop.is_some(), "crop"), (larger, "scale"), (self.rotate != 0.0, "rotate")];
        all.into_iter().find_map(|(cuts, key)| cuts.then_some(key))
    }
}

/// A number between two, its logarithm uniform.
fn between([low, high]: [f32; 2], unit: f32) -> f32 {
    if low == high { low } else { (low.ln() + unit * (high.ln() - low.ln())).exp() }
}

/// A part of an image whose area is a share of the image's, by four uniform numbers.
fn window([low, high]: [f32; 2], [area, ratio, x, y]: [f32; 4], asked: bool) -> [f32; 4] {
    if !asked {
        return Draw::default().window;
    }
    let area = low + area * (high - low);
    let ratio = between([0.75, 4.0 / 3.0], ratio).sqrt();
    let [wide, high] = [area.sqrt() * ratio, area.sqrt() / ratio].map(|v| v.min(1.0));
    [x * (1.0 - wide), y * (1.0 - high), wide, high]
}

#[cfg(test)]
mod tests;
