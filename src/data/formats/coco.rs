//! COCO's instances (<https://cocodataset.org/#format-data>): one JSON file of images, categories, and objects with a box and an
//! outline each.

use super::outline::{ObjectMask, Outlined};
use crate::data::{Object, Skipped};
use crate::geometry::Rect;
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, hash_map};
use std::path::Path;

/// What is done with an entry that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum OnError {
    /// The whole file is refused.
    #[default]
    Fail,
    /// It is left out, counted and named.
    Skip,
}

impl OnError {
    /// Bears what is wrong at `place` of the file at `path`, or refuses the file for it.
    pub(super) fn refuse(self, path: &Path, place: &str, reason: &str, skipped: &mut Vec<Skipped>) -> Result<()> {
        match self {
            OnError::Skip => {
                skipped.push(Skipped::left_out(path, reason).at(place));
                Ok(())
            }
            OnError::Fail => {
                Err(Error::data(path, place, format!("{reason}; fix it, or set data.on_error = \"skip\"")))
            }
        }
    }
}

/// One image of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its file's name, as the file has it.
    pub file: String,
    /// Height and width.
    pub size: [usize; 2],
    /// Its objects with their outlines, where they have one, in the order of the file.
    pub objects: Vec<Outlined>,
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

/// Annotations are read one by one, so that one that is broken can be named.
#[derive(Deserialize)]
struct File<'a> {
    images: Vec<Image>,
    #[serde(borrow, default)]
    annotations: Vec<&'a RawValue>,
    categories: Vec<Category>,
}

/// What is wrong with an entry, without the place within it.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_string()
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

/// What an annotation is called, whatever else is wrong with it.
#[derive(Deserialize, Default)]
struct Named {
    #[serde(default)]
    id: serde_json::Value,
}

#[derive(Deserialize)]
struct Annotation {
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
#[serde(untagged, expecting = "its outline is neither polygons nor run lengths with their size")]
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
/// with the annotation, where a box has no area or lies outside its image, a category or an image is unknown, an outline is broken, or
/// something is of another type, and with the image where it has no pixels; in any case where two images have one number.
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
        let place = format!("image {}", image.id);
        match places.entry(image.id) {
            _ if image.width == 0 || image.height == 0 => {
                on_error.refuse(path, &place, "has no pixels", &mut skipped)?;
            }
            // Whose its annotations are, nobody can tell.
            hash_map::Entry::Occupied(_) => return Err(Error::data(path, place, "is listed twice; remove one")),
            hash_map::Entry::Vacant(free) => {
                free.insert(images.len());
                images.push(Entry { file: image.file_name, size: [image.height, image.width], objects: Vec::new() });
            }
        }
    }
    for (i, raw) in file.annotations.into_iter().enumerate() {
        let parsed: std::result::Result<Annotation, String> = serde_json::from_str(raw.get()).map_err(|e| reason(&e));
        match parsed.and_then(|annotation| object(&annotation, &classes, &places, &images)) {
            Ok((image, found)) => images[image].objects.push(found),
            Err(reason) => {
                let named: Named = serde_json::from_str(raw.get()).unwrap_or_default();
                let place =
                    if named.id.is_null() { format!("annotations[{i}]") } else { format!("annotation {}", named.id) };
                on_error.refuse(path, &place, &reason, &mut skipped)?;
            }
        }
    }
    Ok(Instances { classes: categories.into_values().collect(), images, skipped })
}

type Found = (usize, Outlined);

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
        Segmentation::Polygons(flat) => Some(ObjectMask::polygons(flat)),
        Segmentation::Runs { size: own, .. } if *own != size => {
            return Err(format!("an outline of {}x{} in an image of {}x{}", own[0], own[1], size[0], size[1]));
        }
        Segmentation::Runs { counts: Counts::Plain(counts), size } => Some(ObjectMask::runs(*size, counts.clone())),
        Segmentation::Runs { counts: Counts::Compressed(text), size } => Some(ObjectMask::compressed(*size, text)),
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
        assert!(matches!(outline, Some(ObjectMask::Polygons(p)) if p[0].len() == 4));
        let (cat, outline) = &found.images[0].objects[1];
        // Cut off at the image's edge; its area is then that of its box.
        assert_eq!((cat.rect, cat.area, cat.ignored), (Rect::from_size(4.0, 0.0, 2.0, 2.0), 4.0, true));
        assert!(matches!(outline, Some(ObjectMask::Runs { size: [4, 6], .. })));
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
            (annotation(7, 9, "[0, 0, 2, 2]", r#"{"counts": "8", "size": [4, 6]}"#), "8 pixels for an image of 4x6"),
            (annotation(7, 9, "[0, 0, 2, 2]", r#"{"counts": [25, -1], "size": [4, 6]}"#), "neither polygons nor run"),
            (annotation(7, 9, r#"[0, 0, "2", 2]"#, "[]"), "invalid type: string"),
            (annotation(7, 9, "[0, 0, 2, 2]", "[]").replace("category_id", "category"), "missing field `category_id`"),
        ] {
            let error = parse(&file(&text), OnError::Fail).unwrap_err().to_string();
            assert!(error.contains("annotation 5") && error.contains(reason), "{error}");
            let skipped = parse(&file(&text), OnError::Skip).unwrap().skipped;
            assert!(skipped.len() == 1 && skipped[0].reason.contains(reason), "{skipped:?}");
        }
        let nameless = annotation(7, 1, "[0, 0, 1, 1]", "[]").replace("\"id\": 5, ", "");
        let error = parse(&file(&nameless), OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("annotations[0]"), "{error}");
        let error = parse("{\n\"images\": 3}", OnError::Skip).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("COCO"), "{error}");
    }

    #[test]
    fn images_that_cannot_be_are_named() {
        let second = r#"{"id": 2, "file_name": "b.png", "width": 3, "height": 3}"#;
        let with = |image: &str, on_error| parse(&file("").replace(second, image), on_error);
        let flat = r#"{"id": 2, "file_name": "b.png", "width": 0, "height": 3}"#;
        let error = with(flat, OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("image 2: has no pixels; fix it"), "{error}");
        let found = with(flat, OnError::Skip).unwrap();
        assert_eq!((found.images.len(), found.skipped.len()), (1, 1));
        assert!(found.skipped[0].to_string().ends_with("instances.json, image 2: has no pixels"));
        // Whose its annotations are, nobody can tell.
        for on_error in [OnError::Fail, OnError::Skip] {
            let error = with(r#"{"id": 7, "file_name": "c.png", "width": 3, "height": 3}"#, on_error).unwrap_err();
            assert!(error.to_string().contains("image 7: is listed twice"), "{error}");
        }
    }

    #[test]
    fn compressed_runs_are_outlines() {
        // 16 pixels outside, 2 inside, 6 outside, as pycocotools writes them.
        let text = r#"{"id": 1, "image_id": 7, "category_id": 4, "bbox": [4, 0, 1, 2], "segmentation": {"counts": "`026", "size": [4, 6]}}"#;
        let found = parse(&file(text), OnError::Fail).unwrap();
        let Some(outline) = &found.images[0].objects[0].1 else { panic!("{found:?}") };
        let mut inside = Vec::new();
        outline.pixels([4, 6], |y, x| inside.push([y, x]));
        assert_eq!(inside, [[0, 4], [1, 4]]);
    }
}
