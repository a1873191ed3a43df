//! COCO's panoptic annotations (<https://cocodataset.org/#format-data>): a JSON file of segments, and for each image a PNG whose colours
//! number them. Every pixel belongs to one segment or to none; segments of things are objects, those of stuff are not.

use super::coco::OnError;
use super::find::ImageFinder;
use super::json;
use super::objects::AnnotatedImage;
use super::segments::Segments;
use super::value::Id;
use crate::data::{IGNORED, Object, Skipped};
use crate::geometry::Rect;
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// A file's images and categories.
#[derive(Debug, Clone, PartialEq)]
pub struct PanopticFile {
    /// Names of the categories of things, by which objects are numbered: in the order of their numbers in the file.
    pub things: Vec<String>,
    /// Names of all categories, by which pixels are numbered, in the same order.
    pub classes: Vec<String>,
    /// The annotated images, in the order of their annotations.
    pub images: Vec<AnnotatedImage>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    images: Vec<&'a RawValue>,
    #[serde(borrow)]
    annotations: Vec<&'a RawValue>,
    #[serde(borrow)]
    categories: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: Id,
    file_name: String,
    segments_info: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    id: u32,
    category_id: Id,
    bbox: [f32; 4],
    #[serde(default)]
    area: Option<f32>,
    #[serde(default)]
    iscrowd: u8,
}

/// Reads a file whose images are found by `finder` and whose PNG files lie in `segments`. An image without a file is left out and named.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] with the line where it is no such JSON, and, unless `on_error` says to skip,
/// with the entry, and the segment, where a category or an image is unknown, a box has no area or lies outside its image, an image has
/// two annotations, or something is of another type; in any case where two images or two categories have one id, two categories one name,
/// or no image is there.
pub fn read(path: &Path, finder: &ImageFinder, segments: &Path, on_error: OnError) -> Result<PanopticFile> {
    let text = json::read(path)?;
    let file: File = serde_json::from_str(&text).map_err(|e| {
        let message = format!("no COCO panoptic annotations: {e}; expected `images`, `annotations` and `categories`");
        Error::data(path, format!("line {}", e.line()), message)
    })?;
    let mut skipped = Vec::new();
    let categories = json::categories(path, file.categories, on_error, &mut skipped)?;
    if categories.names.len() > usize::from(IGNORED) {
        let message = format!("has {} categories; a mask tells {IGNORED} apart", categories.names.len());
        return Err(Error::data(path, "categories", message));
    }
    if let Some(i) = categories.things.iter().position(Option::is_none) {
        let message = format!("does not say of {:?} whether it is a thing; expected `isthing`", categories.names[i]);
        return Err(Error::data(path, "categories", message));
    }
    // Of each category its number among the things.
    let mut count = 0;
    let number = |thing: &Option<bool>| {
        (*thing == Some(true)).then(|| {
            count += 1;
            count - 1
        })
    };
    let things: Vec<Option<u32>> = categories.things.iter().map(number).collect();
    let listed = json::images(path, file.images, finder, on_error, &mut skipped)?;
    let mut refuse = |place: String, reason: String| on_error.refuse(path, &place, &reason, &mut skipped);
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (i, raw) in file.annotations.into_iter().enumerate() {
        let annotation: Annotation = match serde_json::from_str(raw.get()) {
            Ok(annotation) => annotation,
            Err(error) => {
                refuse(format!("annotations[{i}]"), json::reason(&error))?;
                continue;
            }
        };
        let place = format!("annotation of {}", annotation.file_name);
        if listed.gone.contains(&annotation.image_id) {
            continue;
        }
        if !seen.insert(annotation.image_id.clone()) {
            refuse(place, format!("image {} has one already", annotation.image_id))?;
            continue;
        }
        let Some(image) = listed.places.get(&annotation.image_id) else {
            refuse(place, format!("there is no image {}", annotation.image_id))?;
            continue;
        };
        let (path, size) = listed.images[*image].clone();
        let mut own = Segments { path: segments.join(&annotation.file_name), classes: BTreeMap::new() };
        let mut objects = Vec::new();
        for segment in annotation.segments_info {
            let place = format!("{place}, segment {}", segment.id);
            let Some(class) = categories.numbers.get(&segment.category_id) else {
                // Its pixels have no class that could be learnt.
                own.classes.insert(segment.id, IGNORED);
                refuse(place, format!("there is no category {}", segment.category_id))?;
                continue;
            };
            own.classes.insert(segment.id, *class as u8);
            let Some(thing) = things[*class as usize] else { continue };
            let [x, y, w, h] = segment.bbox;
            let rect = Rect::from_size(x, y, w, h).clipped(size);
            if !rect.is_proper() {
                refuse(place, format!("the box [{x}, {y}, {w}, {h}] has no area within its image"))?;
                continue;
            }
            let area = segment.area.filter(|a| a.is_finite() && *a > 0.0).unwrap_or(rect.area() as f32);
            objects.push((Object { rect, class: thing, area, ignored: segment.iscrowd != 0 }, None));
        }
        found.push(AnnotatedImage { path, size, objects: Some(objects), segments: Some(own) });
    }
    Ok(PanopticFile {
        things: categories.names.iter().zip(&things).filter(|(_, t)| t.is_some()).map(|(n, _)| n.clone()).collect(),
        classes: categories.names,
        images: found,
        skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(segments: &str, on_error: OnError) -> (tempfile::TempDir, Result<PanopticFile>) {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"{{"images": [{{"id": 7, "file_name": "a.jpg", "width": 4, "height": 2}}],
            "categories": [{{"id": 9, "name": "sky", "isthing": 0}}, {{"id": 4, "name": "cat", "isthing": 1}}],
            "annotations": [{{"image_id": 7, "file_name": "a.png", "segments_info": [{segments}]}}]}}"#
        );
        std::fs::write(folder.path().join("panoptic.json"), text).unwrap();
        // Segment 300 is red 44, green 1.
        let colour = |x, _| {
            ::image::Rgb(if x == 0 {
                [0; 3]
            } else if x < 3 {
                [44, 1, 0]
            } else {
                [5, 0, 0]
            })
        };
        ::image::RgbImage::from_fn(4, 2, colour).save(folder.path().join("a.png")).unwrap();
        let images = folder.path().join("images");
        std::fs::create_dir(&images).unwrap();
        ::image::RgbImage::new(4, 2).save(images.join("a.jpg")).unwrap();
        let finder = ImageFinder::new(images);
        let found = read(&folder.path().join("panoptic.json"), &finder, folder.path(), on_error);
        (folder, found)
    }

    const CAT: &str = r#"{"id": 300, "category_id": 4, "bbox": [1, 0, 2, 2], "area": 4, "iscrowd": 0}"#;
    const SKY: &str = r#"{"id": 5, "category_id": 9, "bbox": [3, 0, 1, 2], "area": 2}"#;

    #[test]
    fn segments_become_objects_and_pixels() {
        let (folder, found) = load(&format!("{CAT}, {SKY}"), OnError::Fail);
        let found = found.unwrap();
        assert_eq!(
            (found.things.as_slice(), found.classes.as_slice()),
            (&["cat".to_string()][..], &["cat".into(), "sky".into()][..])
        );
        let image = &found.images[0];
        assert_eq!((&image.path, image.size), (&folder.path().join("images/a.jpg"), [2, 4]));
        let objects = image.objects.as_ref().unwrap();
        assert_eq!((objects.len(), objects[0].0.class, objects[0].0.rect), (1, 0, Rect::from_size(1.0, 0.0, 2.0, 2.0)));
        let segments = image.segments.as_ref().unwrap();
        assert_eq!(segments.read([2, 4]).unwrap(), [IGNORED, 0, 0, 1, IGNORED, 0, 0, 1]);
        assert!(segments.read([4, 2]).unwrap_err().to_string().contains("is 2x4, its image 4x2"));
    }

    #[test]
    fn what_is_wrong_is_named_or_skipped() {
        let (_folder, found) = load(CAT, OnError::Fail);
        let error = found.unwrap().images[0].segments.as_ref().unwrap().read([2, 4]).unwrap_err().to_string();
        assert!(error.contains("a.png") && error.contains("segment 5"), "{error}");
        for (segment, reason) in [
            (CAT.replace("\"category_id\": 4", "\"category_id\": 5"), "no category 5"),
            (CAT.replace("[1, 0, 2, 2]", "[1, 0, 0, 2]"), "no area"),
            (CAT.replace("[1, 0, 2, 2]", "[9, 0, 2, 2]"), "no area"),
        ] {
            let error = load(&segment, OnError::Fail).1.unwrap_err().to_string();
            assert!(error.contains("a.png, segment 300") && error.contains(reason), "{error}");
            let found = load(&format!("{segment}, {SKY}"), OnError::Skip).1.unwrap();
            assert!(found.skipped.len() == 1 && found.skipped[0].reason.contains(reason), "{:?}", found.skipped);
            assert!(found.images[0].objects.as_ref().unwrap().is_empty());
        }
    }
}
