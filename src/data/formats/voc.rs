//! Pascal VOC's annotations (Everingham et al. 2010): one XML file for each image, a box and a name for each object.

use super::coco::OnError;
use super::find::{ImageFinder, identity};
use super::image;
use super::objects::AnnotatedImage;
use super::value::yes;
use crate::data::{Object, Skipped};
use crate::geometry::Rect;
use crate::{Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Images with their objects, and the classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// The names of the objects, by which classes are numbered.
    pub classes: Vec<String>,
    /// The images, in the order of [`Annotations::names`].
    pub images: Vec<AnnotatedImage>,
    /// The names of the annotations' files without their endings, in byte order.
    pub names: Vec<String>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// One file, classes by name.
struct Parsed {
    image: PathBuf,
    size: [usize; 2],
    objects: Vec<(String, Rect, bool)>,
}

/// The names that a list of `ImageSets` holds: one in a line, and after it, in the lists of one class, a number that says whether the
/// class is there; this does not matter here.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] for a list without names.
pub fn image_set(file: &Path) -> Result<Vec<String>> {
    let text = super::text::read(file)?;
    let names: Vec<String> = text.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_string).collect();
    if names.is_empty() {
        return Err(Error::data(file, "", "names no image; expected a name in each line"));
    }
    Ok(names)
}

/// Reads every `.xml` file in `folder`, or those called `only`. `finder` finds an image by the name that its file gives, or else by the
/// file's own name; where the file says nothing of its size, the image does. Classes are `classes`, or, without them, every name that
/// occurs, in byte order.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be read; [`Error::Data`] with the file and the object, unless `on_error` says to skip it, where
/// the XML is malformed, an element is missing, a box has no area or lies outside its image, a name is none of `classes`, or another
/// annotation is of the same image.
pub fn read(
    folder: &Path,
    finder: &ImageFinder,
    only: Option<&BTreeSet<String>>,
    classes: Option<&[String]>,
    on_error: OnError,
) -> Result<Annotations> {
    let files = files(folder, only)?;
    let mut skipped = Vec::new();
    let mut all: Vec<(String, Parsed)> = Vec::new();
    let mut first: HashMap<PathBuf, String> = HashMap::new();
    for (name, file) in files {
        let mut refuse = |place: String, reason: String| on_error.refuse(&file, &place, &reason, &mut skipped);
        if !file.exists() {
            refuse("".into(), "a set names the image, which has no annotation".into())?;
            continue;
        }
        let image_of = |written: Option<&str>| {
            // The file's own name is worth more than a name that must be interpreted.
            let exact = written.and_then(|written| finder.exact(written));
            let own = || finder.find(&name).ok();
            let found = exact.or_else(own).or_else(|| written.and_then(|written| finder.find(written).ok()));
            found.unwrap_or_else(|| finder.folder().join(written.unwrap_or(&name)))
        };
        let text = match super::text::read(&file) {
            Err(Error::Data { at: place, message, .. }) => {
                refuse(place, message)?;
                continue;
            }
            text => text?,
        };
        let Some(parsed) = parse(&text, classes, &image_of, &mut refuse)? else { continue };
        // Else one image could be learnt by one name and tested by the other.
        if let Some(other) = first.get(&identity(&parsed.image)) {
            let image = parsed.image.file_name().unwrap_or_default();
            let reason = format!("{image:?} has \"{other}.xml\" already; keep one annotation for an image");
            refuse("<filename>".into(), reason)?;
            continue;
        }
        first.insert(identity(&parsed.image), name.clone());
        all.push((name, parsed));
    }
    let found: BTreeSet<&String> = all.iter().flat_map(|(_, p)| p.objects.iter().map(|(name, ..)| name)).collect();
    let classes: Vec<String> = classes.map_or_else(|| found.into_iter().cloned().collect(), <[String]>::to_vec);
    let annotated = |p: Parsed| {
        let object = |(name, rect, ignored): (String, Rect, bool)| {
            let class = classes.iter().position(|c| *c == name)? as u32;
            Some((Object { ignored, ..Object::new(rect, class) }, None))
        };
        AnnotatedImage {
            path: p.image,
            size: p.size,
            objects: Some(p.objects.into_iter().filter_map(object).collect()),
            segments: None,
        }
    };
    let (names, parsed): (Vec<String>, Vec<Parsed>) = all.into_iter().unzip();
    Ok(Annotations { images: parsed.into_iter().map(annotated).collect(), names, classes, skipped })
}

/// The annotations with their names, in byte order.
fn files(folder: &Path, only: Option<&BTreeSet<String>>) -> Result<Vec<(String, PathBuf)>> {
    if let Some(only) = only {
        return Ok(only.iter().map(|name| (name.clone(), folder.join(format!("{name}.xml")))).collect());
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "read", e))?;
    let xml = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xml"));
    let name = |path: PathBuf| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path);
    let mut files: Vec<(String, PathBuf)> = entries.flatten().map(|e| e.path()).filter(xml).map(name).collect();
    files.sort_by(|a, b| a.1.cmp(&b.1));
    if files.is_empty() {
        return Err(Error::data(folder, "", "holds no .xml file; expected one annotation for each image"));
    }
    Ok(files)
}

type Refuse<'a> = &'a mut dyn FnMut(String, String) -> Result<()>;

/// The image and objects of one file; `None` where the whole file cannot be used and `refuse` bore it.
fn parse(
    text: &str,
    classes: Option<&[String]>,
    image_of: &dyn Fn(Option<&str>) -> PathBuf,
    refuse: Refuse,
) -> Result<Option<Parsed>> {
    let document = match roxmltree::Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            refuse(format!("line {}", error.pos().row), format!("malformed XML: {error}"))?;
            return Ok(None);
        }
    };
    let root = document.root_element();
    let written = || -> std::result::Result<[usize; 2], String> {
        let size = child(root, "size")?;
        let side = |name: &str| -> std::result::Result<usize, String> {
            let found = number(size, name)?;
            if found >= 1.0 { Ok(found as usize) } else { Err(format!("<{name}> is {found}")) }
        };
        Ok([side("height")?, side("width")?])
    };
    let image = image_of(text_of(root, "filename").ok().as_deref());
    let size = match written().or_else(|reason| match image::size(&image) {
        Ok(size) => Ok(size),
        Err(error) => Err(format!("{reason}, and the image does not tell: {error}")),
    }) {
        Ok(size) => size,
        Err(reason) => {
            refuse(format!("<{}>", root.tag_name().name()), reason)?;
            return Ok(None);
        }
    };
    let mut objects = Vec::new();
    for (i, node) in root.children().filter(|n| n.has_tag_name("object")).enumerate() {
        match object(node, size, classes) {
            Ok(found) => objects.push(found),
            Err(reason) => refuse(format!("object {}", i + 1), reason)?,
        }
    }
    Ok(Some(Parsed { image, size, objects }))
}

type Node<'a, 'i> = roxmltree::Node<'a, 'i>;

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> std::result::Result<Node<'a, 'i>, String> {
    node.children().find(|n| n.has_tag_name(name)).ok_or(format!("has no <{name}>"))
}

fn text_of(node: Node, name: &str) -> std::result::Result<String, String> {
    let text = child(node, name)?.text().map(str::trim).filter(|t| !t.is_empty());
    text.map(String::from).ok_or(format!("<{name}> is empty"))
}

fn number(node: Node, name: &str) -> std::result::Result<f32, String> {
    let text = text_of(node, name)?;
    text.parse().ok().filter(|v: &f32| v.is_finite()).ok_or(format!("<{name}> is {text:?}, expected a number"))
}

fn object(
    node: Node,
    size: [usize; 2],
    classes: Option<&[String]>,
) -> std::result::Result<(String, Rect, bool), String> {
    let name = text_of(node, "name")?;
    if classes.is_some_and(|c| !c.contains(&name)) {
        return Err(format!("{name:?} is none of the classes"));
    }
    let corners = child(node, "bndbox")?;
    let [x0, y0, x1, y1] = ["xmin", "ymin", "xmax", "ymax"].map(|edge| number(corners, edge));
    // Pixels are counted from 1, and both ends belong to the box.
    let whole = Rect { x0: x0? - 1.0, y0: y0? - 1.0, x1: x1?, y1: y1? };
    if !whole.is_proper() {
        return Err(format!("the box of {name:?} has no area"));
    }
    let rect = whole.clipped(size);
    if !rect.is_proper() {
        return Err(format!("the box of {name:?} lies outside its image of {}x{}", size[0], size[1]));
    }
    let difficult = text_of(node, "difficult").is_ok_and(|t| yes(&t) == Some(true));
    Ok((name, rect, difficult))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(objects: &str) -> String {
        format!(
            "<annotation><filename>a.jpg</filename><size><width>10</width><height>8</height><depth>3</depth></size>{objects}</annotation>"
        )
    }

    fn object(name: &str, [x0, y0, x1, y1]: [i32; 4], more: &str) -> String {
        format!(
            "<object><name>{name}</name>{more}<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        )
    }

    fn read_one(text: &str, classes: Option<&[String]>, on_error: OnError) -> Result<Annotations> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.xml"), text).unwrap();
        read(folder.path(), &ImageFinder::new("images"), None, classes, on_error)
    }

    #[test]
    fn boxes_are_counted_from_one_and_include_their_ends() {
        let text = file(&(object("dog", [1, 1, 10, 8], "") + &object("cat", [3, 2, 3, 2], "<difficult>1</difficult>")));
        let found = read_one(&text, None, OnError::Fail).unwrap();
        assert_eq!(found.classes, ["cat", "dog"]);
        let image = &found.images[0];
        assert_eq!((image.path.as_path(), image.size), (Path::new("images/a.jpg"), [8, 10]));
        let objects = image.objects.as_ref().unwrap();
        let (dog, cat) = (&objects[0].0, &objects[1].0);
        assert_eq!((dog.rect, dog.class, dog.ignored), (Rect::from_size(0.0, 0.0, 10.0, 8.0), 1, false));
        assert_eq!((cat.rect, cat.class, cat.ignored), (Rect::from_size(2.0, 1.0, 1.0, 1.0), 0, true));
        let own = ["dog".to_string(), "cat".to_string()];
        let found = read_one(&text, Some(&own), OnError::Fail).unwrap();
        assert_eq!(found.images[0].objects.as_ref().unwrap()[0].0.class, 0);
    }

    #[test]
    fn what_is_wrong_is_named_or_skipped() {
        let own = ["dog".to_string()];
        for (text, place, reason) in [
            (file("<object>"), "line", "malformed XML"),
            ("<annotation><filename>a</filename></annotation>".into(), "<annotation>", "no <size>"),
            (file(&object("dog", [5, 5, 4, 8], "")), "object 1", "no area"),
            (file(&object("dog", [50, 5, 60, 8], "")), "object 1", "outside its image of 8x10"),
            (file(&object("cow", [1, 1, 4, 8], "")), "object 1", "none of the classes"),
            (file("<object><name>dog</name></object>"), "object 1", "no <bndbox>"),
            (file(&object("dog", [1, 1, 4, 8], "").replace(">4<", ">four<")), "object 1", "expected a number"),
        ] {
            let error = read_one(&text, Some(&own), OnError::Fail).unwrap_err().to_string();
            assert!(error.contains("a.xml") && error.contains(place) && error.contains(reason), "{error}");
            let skipped = read_one(&text, Some(&own), OnError::Skip).unwrap().skipped;
            assert!(skipped.len() == 1 && skipped[0].reason.contains(reason), "{skipped:?}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(
            read(empty.path(), &ImageFinder::new(empty.path()), None, None, OnError::Skip)
                .unwrap_err()
                .to_string()
                .contains(".xml")
        );
    }

    #[test]
    fn the_image_tells_what_its_file_does_not() {
        let folder = tempfile::tempdir().unwrap();
        ::image::RgbImage::new(10, 8).save(folder.path().join("a.png")).unwrap();
        let whole = file(&object("dog", [1, 1, 10, 8], ""));
        for text in [
            whole.clone(),
            whole.replace("<width>10<", "<width>0<"),
            whole.replace("<size><width>10</width><height>8</height><depth>3</depth></size>", ""),
            whole.replace("<filename>a.jpg</filename>", ""),
            whole.replace("a.jpg", "C:\\labelled\\other name.jpg"),
        ] {
            std::fs::write(folder.path().join("a.xml"), text).unwrap();
            let found = read(folder.path(), &ImageFinder::new(folder.path()), None, None, OnError::Fail).unwrap();
            assert_eq!((&found.images[0].path, found.images[0].size), (&folder.path().join("a.png"), [8, 10]));
        }
    }

    #[test]
    fn sets_name_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            let text = file(&object(name, [1, 1, 4, 4], "")).replace("a.jpg", &format!("{name}.jpg"));
            std::fs::write(folder.path().join(format!("{name}.xml")), text).unwrap();
        }
        let list = folder.path().join("train.txt");
        std::fs::write(&list, "c  1\n\na -1\nd  0\n").unwrap();
        let names = image_set(&list).unwrap();
        assert_eq!(names, ["c", "a", "d"]);
        let only: BTreeSet<String> = names.into_iter().collect();
        let read = |on_error| read(folder.path(), &ImageFinder::new(folder.path()), Some(&only), None, on_error);
        let error = read(OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("d.xml") && error.contains("has no annotation"), "{error}");
        let found = read(OnError::Skip).unwrap();
        assert_eq!(
            (found.names, found.classes),
            (vec!["a".to_string(), "c".into()], vec!["a".to_string(), "c".into()])
        );
        assert!(found.skipped.len() == 1 && found.images.len() == 2);
        std::fs::write(&list, "\n").unwrap();
        assert!(image_set(&list).unwrap_err().to_string().contains("names no image"));
    }

    #[test]
    fn an_image_has_one_annotation() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.xml", file(&object("dog", [1, 1, 4, 4], "")));
        write("b.xml", file(&object("cat", [2, 2, 4, 4], "")));
        let read = |on_error| read(folder.path(), &ImageFinder::new(folder.path()), None, None, on_error);
        let error = read(OnError::Fail).unwrap_err().to_string();
        assert!(error.contains("b.xml") && error.contains("\"a.jpg\" has \"a.xml\" already"), "{error}");
        let found = read(OnError::Skip).unwrap();
        assert_eq!((found.names, found.skipped.len()), (vec!["a".to_string()], 1));
    }
}
