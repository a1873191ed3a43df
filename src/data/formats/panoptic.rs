//! COCO's panoptic annotations (<https://cocodataset.org/#format-data>): a JSON file of segments, and for each image a PNG whose colours
//! number them. Every pixel belongs to one segment or to none; segments of things are objects, those of stuff are not.

use super::coco::{Image, OnError, reason};
use super::objects::AnnotatedImage;
use super::segments::Segments;
use crate::data::{IGNORED, Object, Skipped};
use crate::geometry::Rect;
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, HashSet};
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
    images: Vec<Image>,
    #[serde(borrow)]
    annotations: Vec<&'a RawValue>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
    isthing: u8,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    file_name: String,
    segments_info: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    id: u32,
    category_id: u64,
    bbox: [f32; 4],
    #[serde(default)]
    area: f32,
    #[serde(default)]
    iscrowd: u8,
}

/// Reads a file whose images lie in `images` and whose PNG files in `segments`.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] with the line where it is no such JSON, and, unless `on_error` says to skip,
/// with the annotation and the segment where a category or an image is unknown, a box has no area or lies outside its image, an image
/// has two annotations, or something is of another type.
pub fn read(path: &Path, images: &Path, segments: &Path, on_error: OnError) -> Result<PanopticFile> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let file: File = serde_json::from_slice(&bytes).map_err(|e| {
        let message = format!("no COCO panoptic annotations: {e}; expected `images`, `annotations` and `categories`");
        Error::data(path, format!("line {}", e.line()), message)
    })?;
    let categories: BTreeMap<u64, Category> = file.categories.into_iter().map(|c| (c.id, c)).collect();
    if categories.len() > usize::from(IGNORED) {
        let message = format!("has {} categories; a mask tells {IGNORED} apart", categories.len());
        return Err(Error::data(path, "categories", message));
    }
    let classes: HashMap<u64, u8> = categories.keys().enumerate().map(|(i, id)| (*id, i as u8)).collect();
    let of_things = || categories.values().filter(|c| c.isthing != 0);
    let things: HashMap<u64, u32> = of_things().enumerate().map(|(i, c)| (c.id, i as u32)).collect();
    let mut known: HashMap<u64, &Image> = HashMap::new();
    for image in &file.images {
        if known.insert(image.id, image).is_some() {
            return Err(Error::data(path, format!("image {}", image.id), "is listed twice; remove one"));
        }
    }
    let mut skipped = Vec::new();
    let mut refuse = |place: String, reason: String| on_error.refuse(path, &place, &reason, &mut skipped);
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (i, raw) in file.annotations.into_iter().enumerate() {
        let annotation: Annotation = match serde_json::from_str(raw.get()) {
            Ok(annotation) => annotation,
            Err(error) => {
                refuse(format!("annotations[{i}]"), reason(&error))?;
                continue;
            }
        };
        let place = format!("annotation of {}", annotation.file_name);
        if !seen.insert(annotation.image_id) {
            refuse(place, format!("image {} has one already", annotation.image_id))?;
            continue;
        }
        let Some(image) = known.get(&annotation.image_id) else {
            refuse(place, format!("there is no image {}", annotation.image_id))?;
            continue;
        };
        let size = [image.height, image.width];
        let mut own = Segments { path: segments.join(&annotation.file_name), classes: BTreeMap::new() };
        let mut objects = Vec::new();
        for segment in annotation.segments_info {
            let place = format!("{place}, segment {}", segment.id);
            let Some(class) = classes.get(&segment.category_id) else {
                // Its pixels have no class that could be learnt.
                own.classes.insert(segment.id, IGNORED);
                refuse(place, format!("there is no category {}", segment.category_id))?;
                continue;
            };
            own.classes.insert(segment.id, *class);
            let Some(thing) = things.get(&segment.category_id) else { continue };
            let [x, y, w, h] = segment.bbox;
            let rect = Rect::from_size(x, y, w, h).clipped(size);
            if !rect.is_proper() {
                refuse(place, format!("the box [{x}, {y}, {w}, {h}] has no area within its image"))?;
                continue;
            }
            let area = if segment.area > 0.0 { segment.area } else { rect.area() as f32 };
            objects.push((Object { rect, class: *thing, area, ignored: segment.iscrowd != 0 }, None));
        }
        let path = images.join(&image.file_name);
        found.push(AnnotatedImage { path, size, objects: Some(objects), segments: Some(own) });
    }
    Ok(PanopticFile {
        things: of_things().map(|c| c.name.clone()).collect(),
        classes: categories.values().map(|c| c.name.clone()).collect(),
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
        let found = read(&folder.path().join("panoptic.json"), Path::new("images"), folder.path(), on_error);
        (folder, found)
    }

    const CAT: &str = r#"{"id": 300, "category_id": 4, "bbox": [1, 0, 2, 2], "area": 4, "iscrowd": 0}"#;
    const SKY: &str = r#"{"id": 5, "category_id": 9, "bbox": [3, 0, 1, 2], "area": 2}"#;

    #[test]
    fn segments_become_objects_and_pixels() {
        let (_folder, found) = load(&format!("{CAT}, {SKY}"), OnError::Fail);
        let found = found.unwrap();
        assert_eq!(
            (found.things.as_slice(), found.classes.as_slice()),
            (&["cat".to_string()][..], &["cat".into(), "sky".into()][..])
        );
        let image = &found.images[0];
        assert_eq!((image.path.as_path(), image.size), (Path::new("images/a.jpg"), [2, 4]));
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
