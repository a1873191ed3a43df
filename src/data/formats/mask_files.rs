//! Masks in files of their own, one for each image.

use super::index_mask;
use crate::data::IGNORED;
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Masks in files of their own, one for each image, whose values number classes ([`index_mask::read`]).
#[derive(Debug, Clone, PartialEq)]
pub struct MaskFiles {
    /// Their folder.
    pub folder: PathBuf,
    /// The classes by their values in the files.
    pub names: BTreeMap<u32, String>,
    /// Values of pixels that have no class. 255 has none either, unless `names` has it.
    pub ignored: Vec<u8>,
    /// The mask of each image; where absent, `a.png` in the folder belongs to `a.jpg`.
    pub paired: Option<HashMap<PathBuf, PathBuf>>,
}

impl MaskFiles {
    /// The classes that can be learnt, by value, in the order in which they are numbered.
    pub(super) fn classes(&self) -> impl Iterator<Item = (u32, &str)> {
        let ignored = |value: u32| self.ignored.iter().any(|i| u32::from(*i) == value);
        self.names.iter().map(|(value, name)| (*value, name.as_str())).filter(move |(value, _)| !ignored(*value))
    }

    /// The mask of an image.
    fn of(&self, image: &Path) -> Option<PathBuf> {
        if let Some(paired) = &self.paired {
            return paired.get(image).cloned();
        }
        let mut name = image.file_stem().unwrap_or_default().to_os_string();
        name.push(".png");
        Some(self.folder.join(name)).filter(|path| path.exists())
    }

    /// The class of each pixel of an image of `size`; `None` where the image has no mask.
    pub(super) fn read(&self, image: &Path, size: [usize; 2]) -> Result<Option<Vec<u8>>> {
        let Some(path) = self.of(image) else { return Ok(None) };
        let mut values = index_mask::read_of(&path, size)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_unless_they_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let mask = folder.path().join("a.png");
        ::image::GrayImage::from_raw(4, 1, vec![0, 255, 7, 3]).unwrap().save(&mask).unwrap();
        let names = |values: &[u32]| values.iter().map(|value| (*value, format!("c{value}"))).collect();
        let read = |names, ignored: &[u8], paired| {
            let files = MaskFiles { folder: folder.path().into(), names, ignored: ignored.to_vec(), paired };
            files.read(Path::new("images/a.jpg"), [1, 4]).map_err(|error| error.to_string())
        };
        assert_eq!(read(names(&[0, 3, 7]), &[], None), Ok(Some(vec![0, IGNORED, 2, 1])));
        // 255 may be a class, as in masks of black and white.
        assert_eq!(read(names(&[0, 255]), &[3, 7], None), Ok(Some(vec![0, 1, IGNORED, IGNORED])));
        assert_eq!(read(names(&[0, 7, 255]), &[3, 255], None), Ok(Some(vec![0, IGNORED, 1, IGNORED])));
        assert!(read(names(&[0, 3]), &[], None).unwrap_err().contains("holds the value 7"));
        // Pairs alone say which mask it is.
        assert_eq!(read(names(&[0, 3, 7]), &[], Some(HashMap::new())), Ok(None));
        let pair = HashMap::from([(PathBuf::from("images/a.jpg"), mask.clone())]);
        assert_eq!(read(names(&[0, 3, 7]), &[0], Some(pair)), Ok(Some(vec![IGNORED, IGNORED, 1, 0])));
    }
}
