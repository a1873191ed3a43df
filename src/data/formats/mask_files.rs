//! Masks in files of their own, one for each image.

use super::index_mask;
use crate::data::IGNORED;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Masks in files of their own, one for each image: `a.png` belongs to `a.jpg` ([`index_mask::read`]).
#[derive(Debug, Clone, PartialEq)]
pub struct MaskFiles {
    /// Their folder.
    pub folder: PathBuf,
    /// The classes by their values in the files.
    pub names: BTreeMap<u32, String>,
    /// Values of pixels that have no class, beside 255.
    pub ignored: Vec<u8>,
}

impl MaskFiles {
    /// The classes that can be learnt, by value, in the order in which they are numbered.
    pub(super) fn classes(&self) -> impl Iterator<Item = (u32, &str)> {
        let ignored = |value: u32| value == u32::from(IGNORED) || self.ignored.iter().any(|i| u32::from(*i) == value);
        self.names.iter().map(|(value, name)| (*value, name.as_str())).filter(move |(value, _)| !ignored(*value))
    }

    /// The class of each pixel of an image of `size`; `None` where the image has no mask.
    pub(super) fn read(&self, image: &Path, size: [usize; 2]) -> Result<Option<Vec<u8>>> {
        let mut name = image.file_stem().unwrap_or_default().to_os_string();
        name.push(".png");
        let path = self.folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let (mut values, own) = index_mask::read(&path)?;
        if own != size {
            let message = format!("is {}x{}, its image {}x{}", own[0], own[1], size[0], size[1]);
            return Err(Error::data(&path, "", message));
        }
        let mut numbers = [None; 256];
        numbers[usize::from(IGNORED)] = Some(IGNORED);
        self.ignored.iter().for_each(|i| numbers[usize::from(*i)] = Some(IGNORED));
        for (number, (value, _)) in self.classes().enumerate() {
            if let Some(place) = numbers.get_mut(value as usize) {
                *place = Some(number as u8);
            }
        }
        for value in &mut values {
            *value = numbers[usize::from(*value)].ok_or_else(|| {
                let message = format!("holds the value {value}, which has no name and is not ignored");
                Error::data(&path, "", message)
            })?;
        }
        Ok(Some(values))
    }
}
