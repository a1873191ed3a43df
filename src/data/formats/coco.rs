//! COCO's instances (<https://cocodataset.org/#format-data>): one JSON file of images, categories, and objects with a box and an
//! outline each.

use super::find::ImageFinder;
use super::json::{self, Categories, Listed};
pub use super::on_error::OnError;
use super::outline::{ObjectMask, Outlined};
use super::value::Id;
use crate::data::{Object, Skipped};
use crate::geometry::Rect;
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};

/// One image of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its file.
    pub file: PathBuf,
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

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    images: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Vec<&'a RawValue>,
    #[serde(borrow)]
    categories: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: Id,
    category_id: Id,
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

/// Reads a file whose images are found by `finder`. An image without a file is left out and named.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] with the line where it is no such JSON, and, unless `on_error` says to skip,
/// with the entry, where a box has no area or lies outside its image, a category or an image is unknown, an outline is broken, something
/// is of another type, or an image's size cannot be told; in any case where two images or two categories have one id, two categories one
/// name, or no image is there.
pub fn read(path: &Path, finder: &ImageFinder, on_error: OnError) -> Result<Instances> {
    let text = json::read(path)?;
    let file: File = serde_json::from_str(&text).map_err(|e| {
        let message = format!("no COCO instances: {e}; expected `images`, `annotations` and `categories`");
        Error::data(path, format!("line {}", e.line()), message)
    })?;
    let mut skipped = Vec::new();
    let categories = json::categories(path, file.categories, on_error, &mut skipped)?;
    let listed = json::images(path, file.images, finder, on_error, &mut skipped)?;
    let entry = |(file, size): &(PathBuf, [usize; 2])| Entry { file: file.clone(), size: *size, objects: Vec::new() };
    let mut images: Vec<Entry> = listed.images.iter().map(entry).collect();
    for (i, raw) in file.annotations.into_iter().enumerate() {
        let parsed: std::result::Result<Annotation, String> =
            serde_json::from_str(raw.get()).map_err(|e| json::reason(&e));
        if parsed.as_ref().is_ok_and(|annotation| listed.gone.contains(&annotation.image_id)) {
            continue;
        }
        match parsed.and_then(|annotation| object(&annotation, &categories, &listed)) {
            Ok((image, found)) => images[image].objects.push(found),
            Err(reason) => {
                let place = json::place(raw, ("annotation", "annotations"), i);
                on_error.refuse(path, &place, &reason, &mut skipped)?;
            }
        }
    }
    Ok(Instances { classes: categories.names, images, skipped })
}

impl Instances {
    /// Numbers the objects of the file at `path` by `classes`, those of the file `first`: categories of one name are one.
    ///
    /// # Errors
    /// [`Error::Data`] for objects of a category that `first` has not, unless `on_error` says to skip them.
    pub fn number_by(&mut self, path: &Path, classes: &[String], first: &Path, on_error: OnError) -> Result<()> {
        if self.classes == classes {
            return Ok(());
        }
        let place = |name: &String| classes.iter().position(|class| class == name).map(|i| i as u32);
        let numbers: Vec<Option<u32>> = self.classes.iter().map(place).collect();
        let mut unknown = vec![0; numbers.len()];
        for image in &mut self.images {
            image.objects.retain_mut(|(object, _)| {
                let own = object.class as usize;
                match numbers[own] {
                    Some(number) => object.class = number,
                    None => unknown[own] += 1,
                }
                numbers[own].is_some()
            });
        }
        for (name, count) in self.classes.iter().zip(unknown).filter(|(_, count)| *count > 0) {
            let reason = format!("has {count} objects of {name:?}, which {} has not", first.display());
            on_error.refuse(path, "categories", &reason, &mut self.skipped)?;
        }
        let told =
            format!("has other categories than {}, or in another order; they were matched by name", first.display());
        self.skipped.push(Skipped::incomplete(path, told).at("categories"));
        self.classes = classes.to_vec();
        Ok(())
    }
}

type Found = (usize, Outlined);

/// An annotation's image, by place, and its object; or what is wrong with it.
fn object(annotation: &Annotation, categories: &Categories, listed: &Listed) -> std::result::Result<Found, String> {
    let Annotation { image_id, category_id, .. } = annotation;
    let class = *categories.numbers.get(category_id).ok_or_else(|| format!("there is no category {category_id}"))?;
    let image = *listed.places.get(image_id).ok_or_else(|| format!("there is no image {image_id}"))?;
    let size = listed.images[image].1;
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
        for (name, [width, height]) in [("a.png", [6, 4]), ("b.png", [3, 3])] {
            ::image::RgbImage::new(width, height).save(folder.path().join(name)).unwrap();
        }
        read(&path, &ImageFinder::new(folder.path()), on_error)
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
        for (image, reason) in [
            (r#"{"id": 2, "file_name": 3}"#, "image 2: invalid type: integer"),
            (r#"{"id": 2, "width": 3, "height": 3}"#, "image 2: missing field `file_name`"),
            (r#"{"id": 2, "file_name": "b.png", "width": 3.5}"#, "image 2: 3.5 is no number of pixels"),
            (r#"{"id": null, "file_name": "b.png"}"#, "images[1]: invalid type: null"),
            (r#"{"id": 2, "file_name": "instances.json", "width": 0}"#, "image 2: has no width and height"),
        ] {
            let error = with(image, OnError::Fail).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("; fix it"), "{error}");
            let found = with(image, OnError::Skip).unwrap();
            assert_eq!((found.images.len(), found.skipped.len()), (1, 1));
            assert!(found.skipped[0].to_string().contains(reason), "{:?}", found.skipped);
        }
        // Whose its annotations are, nobody can tell.
        for on_error in [OnError::Fail, OnError::Skip] {
            let error = with(r#"{"id": 7, "file_name": "b.png", "width": 3, "height": 3}"#, on_error).unwrap_err();
            assert!(error.to_string().contains("image 7: is listed twice"), "{error}");
        }
        // Nor of which class.
        for (categories, words) in [
            (r#"{"id": 9, "name": "dog"}, {"id": 9, "name": "cat"}"#, "is listed twice, as \"dog\" and as \"cat\""),
            (
                r#"{"id": 9, "name": "cat"}, {"id": 4, "name": "cat"}"#,
                "category 4: is called \"cat\", as category 9 is",
            ),
        ] {
            let both = r#"{"id": 9, "name": "dog"}, {"id": 4, "name": "cat"}"#;
            let error = parse(&file("").replace(both, categories), OnError::Fail).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn ids_and_sizes_may_be_written_in_any_way() {
        let text = r#"{"images": [{"id": "im1", "file_name": "a", "width": 6.0, "height": 4e0}, {"id": -3, "file_name": "b.jpg"}],
            "categories": [{"id": 1.0, "name": "cat"}],
            "annotations": [{"image_id": "im1", "category_id": 1, "bbox": [0, 0, 2, 2], "area": NaN},
                            {"image_id": -3.0, "category_id": 1.0, "bbox": [0, 0, 9, 9]}]}"#;
        let found = parse(text, OnError::Fail).unwrap();
        assert_eq!(found.images.iter().map(|i| i.size).collect::<Vec<_>>(), [[4, 6], [3, 3]]);
        let objects: Vec<&Object> = found.images.iter().flat_map(|i| &i.objects).map(|(object, _)| object).collect();
        assert_eq!((objects[0].area, objects[1].rect), (4.0, Rect::from_size(0.0, 0.0, 3.0, 3.0)));
    }

    #[test]
    fn an_image_without_a_file_is_left_out_with_its_objects() {
        let annotation = r#"{"id": 1, "image_id": 2, "category_id": 9, "bbox": [0, 0, 1, 1]}"#;
        let text = file(annotation);
        let found = parse(&text.replace("b.png", "c.png"), OnError::Fail).unwrap();
        assert_eq!((found.images.len(), found.skipped.len()), (1, 1));
        assert!(found.skipped[0].to_string().contains("c.png: is annotated, but there is no image of this name"));
        let none = text.replace("a.png", "x.png").replace("b.png", "y.png");
        let error = parse(&none, OnError::Skip).unwrap_err().to_string();
        assert!(
            error.contains("x.png") && error.contains("(none of 2 images is there); is data.images the right"),
            "{error}"
        );
    }

    #[test]
    fn files_are_numbered_alike() {
        let object = r#"{"id": 1, "image_id": 7, "category_id": 9, "bbox": [0, 0, 1, 1]}"#;
        let mut found = parse(&file(object), OnError::Fail).unwrap();
        let names = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        let (own, first) = (Path::new("val.json"), Path::new("train.json"));
        found.number_by(own, &names(&["dog", "bird", "cat"]), first, OnError::Fail).unwrap();
        assert_eq!((found.images[0].objects[0].0.class, found.skipped.len()), (0, 1));
        let mut other = found.clone();
        other.number_by(own, &names(&["cat"]), first, OnError::Skip).unwrap();
        assert!(other.images[0].objects.is_empty() && other.skipped.len() == 3);
        let error = found.number_by(own, &names(&["cat"]), first, OnError::Fail).unwrap_err().to_string();
        assert!(
            error.contains("val.json") && error.contains("1 objects of \"dog\", which train.json has not"),
            "{error}"
        );
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
