//! labelme's annotations (<https://github.com/wkentaro/labelme>): one JSON file for each image, with rectangles and polygons.

use super::coco::OnError;
use super::json::reason;
use super::objects::AnnotatedImage;
use super::outline::{ObjectMask, Outlined};
use super::{folder, image};
use crate::data::{Object, Skipped};
use crate::geometry::Rect;
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

/// What labelme's own converters leave out of the classes. Such a region is named as left out; what is in it counts as background.
const IGNORE: &str = "__ignore__";

/// Images with their objects, and the classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// The labels, by which classes are numbered.
    pub classes: Vec<String>,
    /// The images, in byte order of their annotations' names.
    pub images: Vec<AnnotatedImage>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// Shapes are read one by one, so that one that is broken can be named.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(borrow)]
    shapes: Vec<&'a RawValue>,
    image_path: Option<String>,
    image_height: Option<usize>,
    image_width: Option<usize>,
}

#[derive(Deserialize)]
struct Shape {
    label: String,
    points: Vec<[f32; 2]>,
    #[serde(default)]
    group_id: Option<i64>,
    #[serde(default = "polygon")]
    shape_type: String,
}

/// Files of before there were other shapes do not say.
fn polygon() -> String {
    "polygon".into()
}

/// A shape's box, and its corners where it is more than a box.
type Part = (Rect, Option<Vec<[f32; 2]>>);

/// One file's image, its size, and its objects by label.
struct Sheet {
    image: PathBuf,
    size: [usize; 2],
    objects: Vec<(String, Outlined)>,
}

/// Reads every `.json` file in `annotations`. An image is the one that its file names, from the file's folder on, or else one of the
/// file's own name beside it or in `images`; pictures inside the JSON are not read. Classes are `classes`, or, without them, every label
/// that occurs, in byte order. Shapes of one label and one group are one object.
///
/// # Errors
/// [`Error::Io`] where a folder cannot be read; [`Error::Data`] with the file and the shape, unless `on_error` says to skip it, where the
/// JSON is malformed, the image is not there or has another size, a shape is neither rectangle nor polygon, has no area, lies outside its
/// image, has a label that is none of `classes`, or where two files are of one image.
pub fn read(
    annotations: &Path,
    images: Option<&Path>,
    classes: Option<&[String]>,
    on_error: OnError,
) -> Result<Annotations> {
    let json = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let files = folder::by_name(annotations, json)?;
    if files.is_empty() {
        return Err(Error::data(annotations, "", "holds no .json file; expected one annotation for each image"));
    }
    let own = folder::by_name(images.unwrap_or(annotations), folder::is_image)?;
    let (mut sheets, mut skipped) = (Vec::new(), Vec::new());
    let mut first: HashMap<PathBuf, PathBuf> = HashMap::new();
    for (stem, file) in files {
        let Some(sheet) = sheet(&file, own.get(&stem), classes, on_error, &mut skipped)? else { continue };
        // Else one image could be learnt by one name and tested by the other.
        if let Some(other) = first.get(&sheet.image) {
            let reason =
                format!("{} has {} already; keep one annotation for an image", sheet.image.display(), other.display());
            on_error.refuse(&file, "imagePath", &reason, &mut skipped)?;
            continue;
        }
        first.insert(sheet.image.clone(), file);
        sheets.push(sheet);
    }
    let found: BTreeSet<&String> = sheets.iter().flat_map(|s| s.objects.iter().map(|(label, _)| label)).collect();
    let classes: Vec<String> = classes.map_or_else(|| found.into_iter().cloned().collect(), <[String]>::to_vec);
    let number: BTreeMap<&str, u32> = (0..).zip(&classes).map(|(i, name)| (name.as_str(), i)).collect();
    let annotated = |sheet: Sheet| {
        let of = |(label, (object, outline)): (String, Outlined)| {
            Some((Object { class: *number.get(label.as_str())?, ..object }, outline))
        };
        let objects = Some(sheet.objects.into_iter().filter_map(of).collect());
        AnnotatedImage { path: sheet.image, size: sheet.size, objects, segments: None }
    };
    Ok(Annotations { images: sheets.into_iter().map(annotated).collect(), classes, skipped })
}

/// What one file holds; `None` where it cannot be used and that was borne.
fn sheet(
    file: &Path,
    beside: Option<&PathBuf>,
    classes: Option<&[String]>,
    on_error: OnError,
    skipped: &mut Vec<Skipped>,
) -> Result<Option<Sheet>> {
    let text = match super::text::read(file) {
        Err(Error::Data { at: place, message, .. }) => {
            on_error.refuse(file, &place, &message, skipped)?;
            return Ok(None);
        }
        text => text?,
    };
    let parsed: File = match serde_json::from_str(&text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let message = format!("no annotation of labelme: {}; expected `shapes` and `imagePath`", reason(&error));
            on_error.refuse(file, &format!("line {}", error.line()), &message, skipped)?;
            return Ok(None);
        }
    };
    let (image, size) = match picture(file, beside, &parsed) {
        Ok(found) => found,
        Err(reason) => {
            on_error.refuse(file, "imagePath", &reason, skipped)?;
            return Ok(None);
        }
    };
    // In the order of the objects' first shapes.
    let mut objects: Vec<(String, Option<i64>, Vec<Part>)> = Vec::new();
    for (i, raw) in parsed.shapes.iter().enumerate() {
        let place = format!("shape {}", i + 1);
        let shape = serde_json::from_str(raw.get()).map_err(|e| reason(&e));
        match shape.and_then(|shape: Shape| Ok((part(&shape, size, classes)?, shape))) {
            Ok((_, shape)) if shape.label == IGNORE => {
                skipped.push(Skipped::left_out(file, format!("a region labelled {IGNORE:?}")).at(place));
            }
            Ok((part, shape)) => {
                let same = |(label, group, _): &&mut (String, Option<i64>, Vec<Part>)| {
                    shape.group_id.is_some() && *group == shape.group_id && *label == shape.label
                };
                match objects.iter_mut().find(same) {
                    Some((.., parts)) => parts.push(part),
                    None => objects.push((shape.label, shape.group_id, vec![part])),
                }
            }
            Err(reason) => on_error.refuse(file, &place, &reason, skipped)?,
        }
    }
    let objects = objects.into_iter().map(|(label, _, parts)| (label, object(parts, size))).collect();
    Ok(Some(Sheet { image, size, objects }))
}

/// The image of a file, and its size.
fn picture(file: &Path, beside: Option<&PathBuf>, parsed: &File) -> std::result::Result<(PathBuf, [usize; 2]), String> {
    // Written on Windows it has the other slashes.
    let named = parsed.image_path.as_ref().map(|path| path.replace('\\', "/"));
    let named = named.and_then(|path| Some(plain(&file.parent()?.join(path)))).filter(|path| path.is_file());
    let path = named.or_else(|| beside.cloned()).ok_or_else(|| {
        let name = parsed.image_path.as_deref().unwrap_or("(not named)");
        format!(
            "its image {name:?} is not there, nor one of the file's own name; a picture inside the file is not read"
        )
    })?;
    let size = image::size(&path).map_err(|e| e.to_string())?;
    let says = [parsed.image_height, parsed.image_width];
    match says {
        [Some(h), Some(w)] if [h, w] != size => {
            Err(format!("is of an image of {h}x{w}, but {} is {}x{}", path.display(), size[0], size[1]))
        }
        _ => Ok((path, size)),
    }
}

/// The path without `.` and, where it goes back into a folder that it names, `..`: so that one file has one name.
fn plain(path: &Path) -> PathBuf {
    let mut all = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(all.components().next_back(), Some(Component::Normal(_))) => {
                all.pop();
            }
            part => all.push(part),
        }
    }
    all
}

fn part(shape: &Shape, size: [usize; 2], classes: Option<&[String]>) -> std::result::Result<Part, String> {
    let Shape { label, points, shape_type, .. } = shape;
    if label != IGNORE && classes.is_some_and(|c| !c.contains(label)) {
        return Err(format!("{label:?} is none of the classes"));
    }
    if let Some(strange) = points.iter().flatten().find(|v| !v.is_finite()) {
        return Err(format!("{label:?} has a coordinate of {strange}"));
    }
    let corners = match (shape_type.as_str(), points.len()) {
        // Opposite corners in any order, or, by tools that write labelme's form, all four.
        ("rectangle", 2 | 4) => None,
        ("polygon", 3..) => Some(points.clone()),
        ("rectangle" | "polygon", count) => return Err(format!("the {shape_type} {label:?} has {count} corners")),
        _ => return Err(format!("{label:?} is a {shape_type:?}; only rectangles and polygons are read")),
    };
    let whole = Rect::around(points.iter().copied()).unwrap_or_default();
    if !whole.is_proper() {
        return Err(format!("the {shape_type} {label:?} has no area"));
    }
    let rect = whole.clipped(size);
    if !rect.is_proper() {
        return Err(format!("the {shape_type} {label:?} lies outside its image of {}x{}", size[0], size[1]));
    }
    Ok((rect, corners))
}

/// The object that these shapes are. A rectangle says nothing of pixels; beside polygons of the same object it is one.
fn object(parts: Vec<Part>, size: [usize; 2]) -> Outlined {
    let edges = |r: &Rect| [[r.x0, r.y0], [r.x1, r.y0], [r.x1, r.y1], [r.x0, r.y1]];
    let rect = Rect::around(parts.iter().flat_map(|(rect, _)| edges(rect))).unwrap_or_default().clipped(size);
    let drawn = parts.iter().any(|(_, corners)| corners.is_some());
    let polygon = |(rect, corners): Part| corners.unwrap_or_else(|| edges(&rect).to_vec());
    (Object::new(rect, 0), drawn.then(|| ObjectMask::Polygons(parts.into_iter().map(polygon).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(label: &str, kind: &str, points: &str, more: &str) -> String {
        format!(r#"{{"label": "{label}", "shape_type": "{kind}", "points": {points}, "flags": {{}}{more}}}"#)
    }

    fn file(image: &str, shapes: &[String]) -> String {
        let shapes = shapes.join(", ");
        format!(
            r#"{{"version": "5.5.0", "flags": {{}}, "shapes": [{shapes}], "imagePath": "{image}", "imageData": null,
                "imageHeight": 10, "imageWidth": 20}}"#
        )
    }

    /// A folder with the images a.png, b.png and other/c.png of 20x10 and these files.
    fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("other")).unwrap();
        for name in ["a.png", "b.png", "other/c.png"] {
            ::image::RgbImage::new(20, 10).save(folder.path().join(name)).unwrap();
        }
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    fn load(shapes: &[String], classes: Option<&[String]>, on_error: OnError) -> Result<Annotations> {
        let folder = folder(&[("a.json", file("a.png", shapes))]);
        read(folder.path(), None, classes, on_error)
    }

    #[test]
    fn rectangles_polygons_and_groups() {
        let found = load(
            &[
                shape("dog", "rectangle", "[[8, 7], [4, 3]]", r#", "group_id": null"#),
                shape("cat", "polygon", "[[2, 2], [6, 2], [6, 30]]", r#", "group_id": 1"#),
                shape("dog", "polygon", "[[0, 0], [2, 0], [2, 2]]", r#", "group_id": 1"#),
                shape("cat", "rectangle", "[[10, 1], [12, 1], [12, 4], [10, 4]]", r#", "group_id": 1"#),
                r#"{"label": "cat", "points": [[1, 1], [3, 1], [3, 3]]}"#.into(),
            ],
            None,
            OnError::Fail,
        )
        .unwrap();
        assert_eq!(found.classes, ["cat", "dog"]);
        let objects = found.images[0].objects.as_ref().unwrap();
        let boxes: Vec<(u32, Rect)> = objects.iter().map(|(o, _)| (o.class, o.rect)).collect();
        assert_eq!(
            boxes,
            [
                (1, Rect::from_size(4.0, 3.0, 4.0, 4.0)),
                (0, Rect::from_size(2.0, 1.0, 10.0, 9.0)),
                (1, Rect::from_size(0.0, 0.0, 2.0, 2.0)),
                (0, Rect::from_size(1.0, 1.0, 2.0, 2.0)),
            ]
        );
        assert_eq!(objects[0].1, None, "of a rectangle no pixels are known");
        let Some(ObjectMask::Polygons(parts)) = &objects[1].1 else { panic!("{:?}", objects[1].1) };
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 4]);
        assert_eq!((found.images[0].size, found.skipped.len()), ([10, 20], 0));
        // Classes that are given number the objects, also where none of one is there.
        let own = ["dog", "cow", "cat"].map(String::from);
        let found = load(&[shape("cat", "rectangle", "[[8, 7], [4, 3]]", "")], Some(&own), OnError::Fail).unwrap();
        assert_eq!((found.classes.len(), found.images[0].objects.as_ref().unwrap()[0].0.class), (3, 2));
        assert_eq!(load(&[], None, OnError::Fail).unwrap().images[0].objects, Some(vec![]));
    }

    #[test]
    fn the_image_is_named_or_lies_beside() {
        let one = || vec![shape("dog", "rectangle", "[[8, 7], [4, 3]]", "")];
        let files = [
            ("x.json", file("other\\\\c.png", &one())),
            ("b.json", file("somewhere/else.png", &one())),
            (
                "a.json",
                file("a.png", &one()).replace(r#""imageHeight": 10, "imageWidth": 20"#, r#""imageHeight": null"#),
            ),
        ];
        let folder = folder(&files);
        let found = read(folder.path(), None, None, OnError::Fail).unwrap();
        let names: Vec<_> = found.images.iter().map(|i| i.path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("a.png"), Path::new("b.png"), Path::new("other/c.png")]);
        // In a folder of their own.
        std::fs::rename(folder.path().join("b.png"), folder.path().join("other/b.png")).unwrap();
        let error = read(folder.path(), None, None, OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("b.json") && error.contains("\"somewhere/else.png\" is not there"), "{error}");
        let found = read(folder.path(), Some(&folder.path().join("other")), None, OnError::Fail).unwrap();
        assert!(found.images[1].path.ends_with("other/b.png"));
    }

    #[test]
    fn one_image_has_one_name() {
        let one = shape("dog", "rectangle", "[[8, 7], [4, 3]]", "");
        let folder =
            folder(&[("a.json", file("other/../a.png", &[])), ("b.json", file("./b.png", std::slice::from_ref(&one)))]);
        let found = read(folder.path(), None, None, OnError::Fail).unwrap();
        let paths: Vec<&Path> = found.images.iter().map(|i| i.path.as_path()).collect();
        assert_eq!(paths, [folder.path().join("a.png"), folder.path().join("b.png")]);
        std::fs::write(folder.path().join("c.json"), file("other/../b.png", &[one])).unwrap();
        let error = read(folder.path(), None, None, OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("c.json") && error.contains("already"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_or_skipped() {
        let own = ["dog".to_string()];
        let good = shape("dog", "rectangle", "[[8, 7], [4, 3]]", "");
        for (broken, reason) in [
            (shape("cow", "rectangle", "[[8, 7], [4, 3]]", ""), "\"cow\" is none of the classes"),
            (shape("dog", "circle", "[[8, 7], [4, 3]]", ""), "only rectangles and polygons"),
            (shape("dog", "polygon", "[[8, 7], [4, 3]]", ""), "has 2 corners"),
            (shape("dog", "rectangle", "[[8, 7], [8, 3]]", ""), "has no area"),
            (shape("dog", "rectangle", "[[80, 70], [90, 90]]", ""), "outside its image of 10x20"),
            (shape("dog", "polygon", "[[8, 7], [4, 3], [1]]", ""), "invalid length"),
            (r#"{"points": []}"#.into(), "missing field `label`"),
        ] {
            let shapes = [good.clone(), broken];
            let error = load(&shapes, Some(&own), OnError::Fail).unwrap_err().to_string();
            assert!(error.contains("a.json") && error.contains("shape 2") && error.contains(reason), "{error}");
            let found = load(&shapes, Some(&own), OnError::Skip).unwrap();
            assert_eq!(found.images[0].objects.as_ref().unwrap().len(), 1);
            assert!(found.skipped.len() == 1 && found.skipped[0].reason.contains(reason), "{:?}", found.skipped);
        }
        // A region to be ignored is no class, and no error.
        let found =
            load(&[good.clone(), shape(IGNORE, "polygon", "[[8, 7], [4, 3], [1, 1]]", "")], None, OnError::Fail);
        let found = found.unwrap();
        assert_eq!((found.classes, found.skipped.len()), (own.to_vec(), 1));
        for (text, place, reason) in [
            ("{\"images\": []}".to_string(), "line 1", "no annotation of labelme"),
            ("{".to_string(), "line 1", "no annotation of labelme"),
            (
                file("a.png", &[]).replace("\"imageHeight\": 10", "\"imageHeight\": 11"),
                "imagePath",
                "of an image of 11x20",
            ),
        ] {
            let folder = folder(&[("a.json", text), ("b.json", file("b.png", std::slice::from_ref(&good)))]);
            let error = read(folder.path(), None, None, OnError::Fail).unwrap_err().to_string();
            assert!(error.contains("a.json") && error.contains(place) && error.contains(reason), "{error}");
            let found = read(folder.path(), None, None, OnError::Skip).unwrap();
            assert!(found.images.len() == 1 && found.skipped.len() == 1, "{:?}", found.skipped);
        }
        let twice = folder(&[("a.json", file("a.png", &[])), ("c.json", file("a.png", &[]))]);
        let error = read(twice.path(), None, None, OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("c.json") && error.contains("already"), "{error}");
        let empty = tempfile::tempdir().unwrap();
        let error = read(empty.path(), None, None, OnError::Skip).unwrap_err().to_string();
        assert!(error.contains("holds no .json file"), "{error}");
    }
}
