//! YOLO's labels: beside each image a text file with a line for each object, its class and then either a box (middle, width and height)
//! or the corners of a polygon, as parts of the image's width and height. Four numbers are a box, so no polygon has two corners.

use super::coco::OnError;
use super::objects::AnnotatedImage;
use super::outline::{ObjectMask, Outlined};
use super::value::whole;
use super::{folder, image};
use crate::data::{Object, Skipped};
use crate::geometry::Rect;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Images with their objects, and what was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The names of the classes, in the order of their numbers in the files.
    pub classes: Vec<String>,
    /// The images, in byte order of their names. One without a file of labels has no objects that are known.
    pub images: Vec<AnnotatedImage>,
    /// What was left out, and images without labels.
    pub skipped: Vec<Skipped>,
}

/// Where a line ends up: the image's size in pixels, and the number of each class.
struct Sheet<'a> {
    size: [usize; 2],
    classes: &'a BTreeMap<u32, u32>,
}

/// Reads the labels in `labels` of every image in `images`: `a.txt` belongs to `a.jpg`. `names` are the classes by their numbers in the
/// files ([`super::names::read`]).
///
/// An empty file says that there is no object. An image without a file is kept, its objects unknown; it is named in `skipped`, as is a
/// file without an image.
///
/// # Errors
/// [`Error::Io`] where a folder or a file cannot be read; [`Error::Data`] with the file and the line, unless `on_error` says to skip it,
/// for a line that is no object: an unknown class, a box of no area or outside its image, fewer than three corners, not a number; and for
/// an image that cannot be read.
pub fn read(images: &Path, labels: &Path, names: &BTreeMap<u32, String>, on_error: OnError) -> Result<Labelled> {
    let mut files: BTreeMap<String, PathBuf> =
        folder::by_name(labels, |path| path.extension().is_some_and(|e| e == "txt"))?;
    let mut pairs = Vec::new();
    for (stem, path) in folder::by_name(images, folder::is_image)? {
        let file = files.remove(&stem).unwrap_or_else(|| labels.join(format!("{stem}.txt")));
        pairs.push((path, file));
    }
    let mut found = read_pairs(&pairs, names, on_error)?;
    let reason = format!("labels without an image of that name in {}", images.display());
    found.skipped.extend(files.into_values().map(|path| Skipped::left_out(path, reason.as_str())));
    if pairs.is_empty() {
        return Err(Error::data(images, "", "holds no PNG or JPEG image"));
    }
    Ok(found)
}

/// The same of images and the files of their labels, one by one.
///
/// # Errors
/// As [`read`].
pub fn read_pairs(pairs: &[(PathBuf, PathBuf)], names: &BTreeMap<u32, String>, on_error: OnError) -> Result<Labelled> {
    let numbers: BTreeMap<u32, u32> = names.keys().enumerate().map(|(i, id)| (*id, i as u32)).collect();
    let (mut found, mut skipped) = (Vec::new(), Vec::new());
    for (path, file) in pairs {
        let size = match image::size(path) {
            Ok(size) => size,
            Err(Error::Data { message, .. }) if on_error == OnError::Skip => {
                skipped.push(Skipped::left_out(path, message));
                continue;
            }
            Err(error) if on_error == OnError::Skip && !path.exists() => {
                skipped.push(Skipped::left_out(path, error.to_string()));
                continue;
            }
            Err(error) => return Err(error),
        };
        let objects = if file.is_file() {
            Sheet { size, classes: &numbers }.read(file, on_error, &mut skipped)?
        } else {
            let folder = file.parent().unwrap_or(Path::new("."));
            let reason = format!("has no .txt file in {}; its objects are not known", folder.display());
            skipped.push(Skipped::incomplete(path, reason));
            None
        };
        found.push(AnnotatedImage { path: path.clone(), size, objects, segments: None });
    }
    Ok(Labelled { classes: names.values().cloned().collect(), images: found, skipped })
}

impl Sheet<'_> {
    /// The objects; `None` where the file cannot be read and that was borne.
    fn read(&self, path: &Path, on_error: OnError, skipped: &mut Vec<Skipped>) -> Result<Option<Vec<Outlined>>> {
        let text = match super::text::read(path) {
            Err(Error::Data { at: place, message, .. }) => {
                on_error.refuse(path, &place, &message, skipped)?;
                return Ok(None);
            }
            text => text?,
        };
        let mut objects = Vec::new();
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match self.object(line) {
                Ok(object) => objects.push(object),
                Err(reason) => on_error.refuse(path, &format!("line {}", i + 1), &reason, skipped)?,
            }
        }
        Ok(Some(objects))
    }

    fn object(&self, line: &str) -> std::result::Result<Outlined, String> {
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or_default();
        let class = whole(word).and_then(|id| self.classes.get(&u32::try_from(id).ok()?));
        let class = *class.ok_or_else(|| format!("{word:?} is no class of the file of names"))?;
        let number = |word: &str| {
            let value: Option<f32> = word.parse().ok();
            value.filter(|v| v.is_finite()).ok_or_else(|| format!("{word:?} is no number"))
        };
        let values = words.map(number).collect::<std::result::Result<Vec<f32>, String>>()?;
        let (h, w) = (self.size[0] as f32, self.size[1] as f32);
        let (whole, outline) = match values.as_slice() {
            &[x, y, width, height] => {
                (Rect::from_size((x - width / 2.0) * w, (y - height / 2.0) * h, width * w, height * h), None)
            }
            corners => {
                let flat: Vec<f32> =
                    corners.iter().enumerate().map(|(i, v)| v * if i % 2 == 0 { w } else { h }).collect();
                let around = Rect::around(flat.chunks_exact(2).map(|p| [p[0], p[1]])).unwrap_or_default();
                let outline = ObjectMask::polygons(&[flat]).map_err(|_| {
                    let n = values.len();
                    format!("{n} numbers after the class; a box has 4, a polygon an even number of at least 6")
                })?;
                (around, Some(outline))
            }
        };
        if !whole.is_proper() {
            return Err("the box has no area".into());
        }
        let rect = whole.clipped(self.size);
        if !rect.is_proper() {
            return Err("the box lies outside its image".into());
        }
        Ok((Object::new(rect, class), outline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(labels: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png"] {
            ::image::RgbImage::new(20, 10).save(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("a.txt"), labels).unwrap();
        std::fs::write(folder.path().join("c.txt"), "").unwrap();
        folder
    }

    fn load(labels: &str, on_error: OnError) -> Result<Labelled> {
        let folder = folder(labels);
        let names = BTreeMap::from([(3, "dog".to_string()), (1, "cat".to_string())]);
        read(folder.path(), folder.path(), &names, on_error)
    }

    #[test]
    fn boxes_and_polygons() {
        let found = load("3 0.5 0.5 0.2 0.4\n\n1 0.1 0.2 0.3 0.2 0.3 0.6\n", OnError::Fail).unwrap();
        assert_eq!(found.classes, ["cat", "dog"]);
        let objects = found.images[0].objects.as_ref().unwrap();
        let close = |a: Rect, b: Rect| a.iou(&b) > 0.999;
        assert!(close(objects[0].0.rect, Rect::from_size(8.0, 3.0, 4.0, 4.0)) && objects[0].0.class == 1);
        assert!(close(objects[1].0.rect, Rect::from_size(2.0, 2.0, 4.0, 4.0)) && objects[1].0.class == 0);
        assert!(matches!(&objects[1].1, Some(ObjectMask::Polygons(p)) if p[0].len() == 3));
        // b has no file, c no image: both are named.
        assert_eq!(found.images[1].objects, None);
        let named: Vec<&str> = found.skipped.iter().filter_map(|s| s.path.file_name()?.to_str()).collect();
        assert_eq!(named, ["b.png", "c.txt"]);
        assert_eq!(load("", OnError::Fail).unwrap().images[0].objects, Some(vec![]));
    }

    #[test]
    fn what_is_wrong_is_named_or_skipped() {
        for line in ["1.0 0.5 0.5 0.2 0.2", "1e0 0.5 0.5 0.2 0.2", "\t1.0e+00  0.5 0.5 0.2 0.2\r"] {
            assert_eq!(load(line, OnError::Fail).unwrap().images[0].objects.as_ref().unwrap()[0].0.class, 0, "{line}");
        }
        for (line, reason) in [
            ("1.5 0.5 0.5 0.2 0.2", "\"1.5\" is no class"),
            ("0 0.5 0.5 0.2 0.2", "\"0\" is no class"),
            ("dog 0.5 0.5 0.2 0.2", "\"dog\" is no class"),
            ("1 0.5 0.5 0.2", "3 numbers"),
            ("1 0.1 0.1 0.2 0.2 0.3", "5 numbers"),
            ("1 0.5 0.5 0 0.2", "no area"),
            ("1 2.5 0.5 0.2 0.2", "outside"),
            ("1 0.5 x 0.2 0.2", "\"x\" is no number"),
            ("1 0.5 nan 0.2 0.2", "\"nan\" is no number"),
        ] {
            let text = format!("3 0.5 0.5 0.2 0.4\n{line}\n");
            let error = load(&text, OnError::Fail).unwrap_err().to_string();
            assert!(error.contains("a.txt") && error.contains("line 2") && error.contains(reason), "{error}");
            let found = load(&text, OnError::Skip).unwrap();
            assert_eq!(found.images[0].objects.as_ref().unwrap().len(), 1);
            assert!(found.skipped.iter().any(|s| s.reason.contains(reason)), "{:?}", found.skipped);
        }
    }
}
