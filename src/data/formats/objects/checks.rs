//! What is looked at in annotated images before any of them is read.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use super::{AnnotatedImage, Masks, Options, TaskChoice};
use crate::data::Skipped;
use crate::data::formats::outline::Outlined;
use crate::geometry::Rect;
use crate::{Error, Result};

/// The image with each of its objects once: two of one class, box and outline are one that was listed twice.
pub(super) fn once(mut image: AnnotatedImage, classes: &[String], skipped: &mut Vec<Skipped>) -> AnnotatedImage {
    // Segments are told apart by their pixels.
    let (Some(objects), None) = (&mut image.objects, &image.segments) else { return image };
    let mut seen: HashMap<[u32; 5], Vec<usize>> = HashMap::new();
    let mut kept: Vec<Outlined> = Vec::with_capacity(objects.len());
    for (object, outline) in objects.drain(..) {
        let Rect { x0, y0, x1, y1 } = object.rect;
        let same = seen.entry([object.class, x0.to_bits(), y0.to_bits(), x1.to_bits(), y1.to_bits()]).or_default();
        let twice = same.iter().any(|i| kept[*i].1 == outline && kept[*i].0.ignored == object.ignored);
        if twice {
            let class = classes.get(object.class as usize).map_or("?", |name| name);
            let reason = format!("an object of {class:?} is listed again, at [{x0}, {y0}, {x1}, {y1}]; it counts once");
            skipped.push(Skipped::left_out(&image.path, reason));
        } else {
            same.push(kept.len());
            kept.push((object, outline));
        }
    }
    *objects = kept;
    image
}

/// Refuses images of one name in several folders where each is to have a file of that name elsewhere: which of them has it?
pub(super) fn check_names(parts: &[Vec<AnnotatedImage>; 3], options: &Options) -> Result<()> {
    let by_name = matches!(&options.masks, Masks::Files(files) if files.paired.is_none());
    let with_files = by_name || options.depth.is_some();
    let mut seen: HashMap<&OsStr, &Path> = HashMap::new();
    for path in parts.iter().flatten().map(|a| a.path.as_path()).filter(|_| with_files) {
        let Some(stem) = path.file_stem() else { continue };
        if let Some(other) = seen.insert(stem, path)
            && other.parent() != path.parent()
        {
            let message =
                format!("has the name of {}; masks and depth maps are found by name, so rename one", other.display());
            return Err(Error::data(path, "", message));
        }
    }
    Ok(())
}

/// Refuses masks that would be drawn of nothing.
pub(super) fn check_outlines(parts: &[Vec<AnnotatedImage>; 3], options: &Options) -> Result<()> {
    if options.masks != Masks::Drawn || !options.questions.contains(&TaskChoice::Mask) {
        return Ok(());
    }
    let mut objects = parts.iter().flatten().filter_map(|a| a.objects.as_ref()).flatten().peekable();
    if objects.peek().is_some() && objects.all(|(_, outline)| outline.is_none()) {
        let message = "data.tasks: no object has an outline of which a mask could be drawn; leave \"mask\" out, or name files of masks in \
                       data.masks";
        return Err(Error::Invalid(message.into()));
    }
    Ok(())
}
