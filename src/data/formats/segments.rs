//! Segments: a PNG whose colours number the parts of an image.

use super::image::{self, Picture};
use crate::data::IGNORED;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The segments of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Segments {
    /// The PNG whose colours number them: red + 256 green + 65,536 blue.
    pub path: PathBuf,
    /// The class of each by its number.
    pub classes: BTreeMap<u32, u8>,
}

impl Segments {
    /// The class of each pixel of an image of `size`; pixels of no segment have none.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] for a file that cannot be read, has another size, or a colour that is no segment.
    pub(super) fn read(&self, size: [usize; 2]) -> Result<Vec<u8>> {
        // By its header, before it is decoded.
        let [h, w] = image::size(&self.path)?;
        if [h, w] != size {
            let message = format!("is {h}x{w}, its image {}x{}", size[0], size[1]);
            return Err(Error::data(&self.path, "", message));
        }
        // It has as many pixels as its image, which is read already.
        let picture = Picture::read_up_to(&self.path, 3, size[0].saturating_mul(size[1]))?;
        let class = |colour: &[u8]| {
            let number = colour.iter().rev().fold(0, |sum, part| 256 * sum + u32::from(*part));
            match (number, self.classes.get(&number)) {
                (_, Some(class)) => Ok(*class),
                (0, None) => Ok(IGNORED),
                (_, None) => Err(Error::data(
                    &self.path,
                    "",
                    format!("has a segment {number} that its annotation does not know"),
                )),
            }
        };
        picture.pixels.chunks_exact(3).map(class).collect()
    }
}
