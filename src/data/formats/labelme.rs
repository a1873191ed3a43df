//! labelme's annotations (<https://github.com/wkentaro/labelme>): one JSON file for each image, with rectangles and polygons.

use super::coco::OnError;
use super::find::{ImageFinder, identity};
use super::json::{self, reason};
use super::objects::AnnotatedImage;
use super::outline::{ObjectMask, Outlined};
use super::value::pixels;
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
    #[serde(default, deserialize_with = "pixels")]
    image_height: Option<usize>,
    #[serde(default, deserialize_with = "pixels")]
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

/// Reads every `.json` file in `annotations`. An image is the one that its file names, from the file's folder on; or else one of the file's
/// own name in the folder of `finder`; or what `finder` finds by either name. Pictures inside the JSON are not read. Classes are `classes`,
/// or, without them, every label that occurs, in byte order. Shapes of one label and one group are one object.
///
/// # Errors
/// [`Error::Io`] where a folder cannot be read; [`Error::Data`] with the file and the shape, unless `on_error` says to skip it, where the
/// JSON is malformed, the image is not there or has another size, a shape is neither rectangle nor polygon, has no area, lies outside its
/// image, has a label that is none of `classes`, or where two files are of one image.
pub fn read(
    annotations: &Path,
    finder: &ImageFinder,
    classes: Option<&[String]>,
    on_error: OnError,
) -> Result<Annotations> {
    let json = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let files = folder::by_name(annotations, json)?;
    if files.is_empty() {
        return Err(Error::data(annotations, "", "holds no .json file; expected one annotation for each image"));
    }
    let own = folder::by_name(finder.folder(), folder::is_image)?;
    let (mut sheets, mut skipped) = (Vec::new(), Vec::new());
    let mut first: HashMap<PathBuf, PathBuf> = HashMap::new();
    for (stem, file) in files {
        let find = |written: Option<&str>| image_of(&file, written, own.get(&stem), finder, &stem);
        let Some(sheet) = sheet(&file, &find, classes, on_error, &mut skipped)? else { continue };
        // Else one image could be learnt by one name and tested by the other.
        if let Some(other) = first.get(&identity(&sheet.image)) {
            let reason =
                format!("{} has {} already; keep one annotation for an image", sheet.image.display(), other.display());
            on_error.refuse(&file, "imagePath", &reason, &mut skipped)?;
            continue;
        }
        first.insert(identity(&sheet.image), file);
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

type Find<'a> = &'a dyn Fn(Option<&str>) -> std::result::Result<PathBuf, String>;

/// What one file holds; `None` where it cannot be used and that was borne.
fn sheet(
    file: &Path,
    find: Find,
    classes: Option<&[String]>,
    on_error: OnError,
    skipped: &mut Vec<Skipped>,
) -> Result<Option<Sheet>> {
    let text = match json::read(file) {
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
    let (image, size) = match picture(find, &parsed) {
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

/// The image of a file that calls it so.
fn image_of(
    file: &Path,
    written: Option<&str>,
    beside: Option<&PathBuf>,
    finder: &ImageFinder,
    stem: &str,
) -> std::result::Result<PathBuf, String> {
    // Written on Windows it has the other slashes.
    let named = written.map(|path| path.replace('\\', "/"));
    let named = named.and_then(|path| Some(plain(&file.parent()?.join(path)))).filter(|path| path.is_file());
    if let Some(path) = named.or_else(|| beside.cloned()) {
        return Ok(path);
    }
    let found = finder.find(written.unwrap_or(stem));
    found.or_else(|reason| finder.find(stem).map_err(|_| reason)).map_err(|reason| {
        let name = written.unwrap_or("(not named)");
        format!(
            "its image {name:?} is not there, nor one of the file's own name: {reason}; a picture inside the file is not read"
        )
    })
}

/// The image of a file, and its size.
fn picture(find: Find, parsed: &File) -> std::result::Result<(PathBuf, [usize; 2]), String> {
    let path = find(parsed.image_path.as_deref())?;
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
mod tests;
