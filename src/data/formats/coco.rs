//! COCO's instances (<https://cocodataset.org/#format-data>): one JSON file of images, categories, and objects with a box and an
//! outline each.

use super::outline::Outline;
use crate::data::{Object, Skipped};
use crate::geometry::Rect;
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What is done with an entry that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The whole file is refused.
    #[default]
    Fail,
    /// It is left out, counted and named.
    Skip,
}

/// One image of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its file's name, as the file has it.
    pub file: String,
    /// Height and width.
    pub size: [usize; 2],
    /// Its objects with their outlines, where they have one, in the order of the file.
    pub objects: Vec<(Object, Option<Outline>)>,
}

/// A file's images and categories.
#[derive(Debug, Clone, PartialEq)]
pub struct Instances {
    /// Names of the categories, by which classes are numbered: in the order of their numbers in the file.
    pub classes: Vec<String>,
    /// The images, in the order of the file.
    pub images: Vec<Entry>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

/// An image as COCO's files describe it.
#[derive(Deserialize)]
pub(super) struct Image {
    pub(super) id: u64,
    pub(super) file_name: String,
    pub(super) width: usize,
    pub(super) height: usize,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    id: serde_json::Value,
    image_id: u64,
    category_id: u64,
    bbox: Vec<f32>,
    area: Option<f32>,
    #[serde(default)]
    iscrowd: u8,
    #[serde(default)]
    segmentation: Segmentation,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f32>>),
    Runs {
        counts: Counts,
        size: [usize; 2],
    },
    #[default]
    None,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Counts {
    Plain(Vec<usize>),
    Compressed(String),
}

/// Reads a file.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] with the line where it is no such JSON, and, unless `on_error` says to skip,
/// with the annotation where a box has no area or lies outside its image, a category or an image is unknown, or an outline is broken.
pub fn read(path: &Path, on_error: OnError) -> Result<Instances> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let file: File = serde_json::from_slice(&bytes).map_err(|e| {
        let message = format!("no COCO instances: {e}; expected `images`, `annotations` and `categories`");
        Error::data(path, format!("line {}", e.line()), message)
    })?;
    // By number, whatever the order of the file.
    let categories: BTreeMap<u64, String> = file.categories.into_iter().map(|c| (c.id, c.name)).collect();
    let classes: HashMap<u64, u32> = categories.keys().enumerate().map(|(i, id)| (*id, i as u32)).collect();
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut images = Vec::new();
    let mut skipped = Vec::new();
    for image in file.images {
        if places.insert(image.id, images.len()).is_some() {
            return Err(Error::data(path, format!("image {}", image.id), "stands twice; remove one"));
        }
        if image.width == 0 || image.height == 0 {
            return Err(Error::data(path, format!("image {}", image.id), "has no pixels"));
        }
        images.push(Entry { file: image.file_name, size: [image.height, image.width], objects: Vec::new() });
    }
    for annotation in file.annotations {
        let place = format!("annotation {}", annotation.id);
        match object(&annotation, &classes, &places, &images) {
            Ok((image, found)) => images[image].objects.push(found),
            Err(reason) if on_error == OnError::Skip => {
                skipped.push(Skipped { path: path.to_path_buf(), reason: format!("{place}: {reason}") });
            }
            Err(reason) => {
                let message = format!("{reason}; mend it, or set data.on_error = \"skip\"");
                return Err(Error::data(path, place, message));
            }
        }
    }
    Ok(Instances { classes: categories.into_values().collect(), images, skipped })
}

type Found = (usize, (Object, Option<Outline>));

/// An annotation's image, by place, and its object; or what is wrong with it.
fn object(
    annotation: &Annotation,
    classes: &HashMap<u64, u32>,
    places: &HashMap<u64, usize>,
    images: &[Entry],
) -> std::result::Result<Found, String> {
    let class =
        *classes.get(&annotation.category_id).ok_or(format!("there is no category {}", annotation.category_id))?;
    let image = *places.get(&annotation.image_id).ok_or(format!("there is no image {}", annotation.image_id))?;
    let size = images[image].size;
    let &[x, y, w, h] = annotation.bbox.as_slice() else {
        return Err(format!("a box of {} numbers, expected x, y, width, height", annotation.bbox.len()));
    };
    let whole = Rect::from_size(x, y, w, h);
    let rect = whole.clipped(size);
    if !whole.is_proper() {
        return Err(format!("the box [{x}, {y}, {w}, {h}] has no area"));
    }
    if !rect.is_proper() {
        return Err(format!("the box [{x}, {y}, {w}, {h}] lies outside its image of {}x{}", size[0], size[1]));
    }
    let outline = match &annotation.segmentation {
        Segmentation::None => None,
        Segmentation::Polygons(flat) if flat.is_empty() => None,
        Segmentation::Polygons(flat) => Some(Outline::polygons(flat)),
        Segmentation::Runs { size: own, .. } if *own != size => {
            return Err(format!("an outline of {}x{} in an image of {}x{}", own[0], own[1], size[0], size[1]));
        }
        Segmentation::Runs { counts: Counts::Plain(counts), size } => Some(Outline::runs(*size, counts.clone())),
        Segmentation::Runs { counts: Counts::Compressed(text), size } => Some(Outline::compressed(*size, text)),
    };
    let outline = outline.transpose().map_err(|e| e.to_string())?;
    let area = annotation.area.filter(|a| a.is_finite() && *a > 0.0).unwrap_or(rect.area() as f32);
    Ok((image, (Object { rect, class, area, ignored: annotation.iscrowd != 0 }, outline)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(annotations: &str) -> String {
        format!(
            r#"{{"images": [{{"id": 7, "file_name": "a.png", "width": 6, "height": 4}}, {{"id": 2, "file_name": "b.png", "width": 3, "height": 3}}],
            "categories": [{{"id": 9, "name": "dog"}}, {{"id": 4, "name": "cat"}}],
            "annotations": [{annotations}]}}"#
        )
    }

    fn parse(text: &str, on_error: OnError) -> Result<Instances> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instances.json");
        std::fs::write(&path, text).unwrap();
        read(&path, on_error)
    }

    #[test]
    fn objects_come_to_their_images() {
        let found = parse(
            &file(
                r#"{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 1, 2, 2], "area": 3.5, "iscrowd": 0,
                    "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]},
                   {"id": 2, "image_id": 7, "category_id": 4, "bbox": [4, 0, 5, 2], "iscrowd": 1,
                    "segmentation": {"counts": [16, 2, 6], "size": [4, 6]}}"#,
            ),
            OnError::Fail,
        )
        .unwrap();
        assert_eq!(found.classes, ["cat", "dog"]);
        assert_eq!((found.images[0].objects.len(), found.images[1].objects.len()), (2, 0));
        let (dog, outline) = &found.images[0].objects[0];
        assert_eq!((dog.class, dog.area, dog.ignored), (1, 3.5, false));
        assert!(matches!(outline, Some(Outline::Polygons(p)) if p[0].len() == 4));
        let (cat, outline) = &found.images[0].objects[1];
        // Cut off at the image's edge; its area is then that of its box.
        assert_eq!((cat.rect, cat.area, cat.ignored), (Rect::from_size(4.0, 0.0, 2.0, 2.0), 4.0, true));
        assert!(matches!(outline, Some(Outline::Runs { size: [4, 6], .. })));
    }

    #[test]
    fn what_is_wrong_is_named_or_skipped() {
        let annotation = |image: u32, category: u32, bbox: &str, segmentation: &str| {
            format!(
                r#"{{"id": 5, "image_id": {image}, "category_id": {category}, "bbox": {bbox}, "segmentation": {segmentation}}}"#
            )
        };
        for (text, reason) in [
            (annotation(7, 1, "[0, 0, 1, 1]", "[]"), "no category 1"),
            (annotation(1, 9, "[0, 0, 1, 1]", "[]"), "no image 1"),
            (annotation(7, 9, "[0, 0, 0, 1]", "[]"), "no area"),
            (annotation(7, 9, "[9, 0, 2, 1]", "[]"), "outside its image of 4x6"),
            (annotation(7, 9, "[0, 0, 2]", "[]"), "a box of 3 numbers"),
            (annotation(7, 9, "[0, 0, 2, 2]", "[[1, 1, 2, 2]]"), "three corners"),
            (annotation(7, 9, "[0, 0, 2, 2]", r#"{"counts": [3], "size": [4, 6]}"#), "3 pixels for an image of 4x6"),
            (annotation(7, 9, "[0, 0, 2, 2]", r#"{"counts": [12], "size": [3, 4]}"#), "an outline of 3x4"),
        ] {
            let error = parse(&file(&text), OnError::Fail).unwrap_err().to_string();
            assert!(error.contains("annotation 5") && error.contains(reason), "{error}");
            let skipped = parse(&file(&text), OnError::Skip).unwrap().skipped;
            assert!(skipped.len() == 1 && skipped[0].reason.contains(reason), "{skipped:?}");
        }
        let error = parse("{\n\"images\": 3}", OnError::Skip).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("COCO"), "{error}");
    }
}
