//! What sources of images with objects share: how a data set is made of them, whatever their format.

use std::collections::BTreeSet;
use std::path::Path;

use super::RunData;
use super::keys::MasksOptions;
use crate::data::formats::coco::OnError;
use crate::data::formats::objects::{self, AnnotatedImage, TaskChoice};
use crate::data::{Dataset, Limits, Skipped, TaskKind, seed, split};
use crate::{Error, Result};

/// Tasks by name, and what each asks for.
pub(super) fn tasks(chosen: &[TaskChoice]) -> Vec<(&'static str, TaskKind)> {
    chosen.iter().map(|task| (task.name(), task.kind())).collect()
}

/// How a data set is made of images with objects.
pub(super) fn options(
    run: &RunData,
    (size, channels): ([usize; 2], usize),
    tasks: &[TaskChoice],
    masks: Option<&MasksOptions>,
    on_error: OnError,
) -> Result<objects::Options> {
    let masks = masks.map(|m| {
        let (folder, ignored) = (run.root.join(&m.folder), m.ignored.clone());
        Ok::<_, Error>(objects::MaskFiles { folder, names: m.names.read(run)?, ignored })
    });
    let masks = masks.transpose()?.map_or(objects::Masks::Drawn, objects::Masks::Files);
    Ok(objects::Options { size, channels, questions: tasks.to_vec(), masks, on_error })
}

/// Images in `folder` that nothing is known of, and masks that belong to no image; not what stands in `skipped` already.
pub(super) fn unused<'a>(
    folder: Option<&Path>,
    all: impl IntoIterator<Item = &'a AnnotatedImage>,
    skipped: &[Skipped],
    options: &objects::Options,
) -> Vec<Skipped> {
    let known = all.into_iter().map(|a| a.path.as_path()).chain(skipped.iter().map(|s| s.path.as_path()));
    let known: Vec<&Path> = known.collect();
    let mut unused = folder.map_or_else(Vec::new, |folder| objects::unlisted(folder, known.iter().copied()));
    if let objects::Masks::Files(files) = &options.masks {
        // Masks may lie among the images.
        let stems: BTreeSet<_> = known.iter().filter_map(|path| path.file_stem()).collect();
        unused.retain(|s| {
            folder != Some(files.folder.as_path()) || !s.path.file_stem().is_some_and(|f| stems.contains(f))
        });
        if folder != Some(files.folder.as_path()) {
            unused.extend(files.without_image(known));
        }
    }
    unused
}

/// Classes, images and what was left out, of a source that does not say which image is for what.
pub(super) type Found<'a> = (&'a [String], &'a [AnnotatedImage], Vec<Skipped>);

/// Cut into three, limited, read.
pub(super) fn one_set(
    run: &RunData,
    (classes, images, skipped): Found,
    fractions: [f64; 2],
    limit: &Limits,
    options: &objects::Options,
) -> Result<Dataset> {
    let parts = cut(images, fractions, run.split_seed)?;
    limited(run, (classes, skipped), parts, limit, options)
}

/// For training, validation and the test.
pub(super) fn cut(images: &[AnnotatedImage], [val, test]: [f64; 2], seed: u64) -> Result<[Vec<AnnotatedImage>; 3]> {
    let [rest, test_images] = cut_one(images, test, seed, "test")?;
    let [train, val_images] = cut_one(&rest, val / (1.0 - test), seed, "val")?;
    Ok([train, val_images, test_images])
}

/// The rest, and a part of the images, which have no class by which they could be spread evenly.
pub(super) fn cut_one(all: &[AnnotatedImage], part: f64, seed: u64, name: &str) -> Result<[Vec<AnnotatedImage>; 2]> {
    let (rest, cut) = split::cut(&vec![0; all.len()], part, seed::derive(seed, name))?;
    Ok([pick(all, &rest), pick(all, &cut)])
}

/// So many of each at most, read: those that are drawn, then, where some of them cannot be read, the others in the order of another
/// draw.
pub(super) fn limited(
    run: &RunData,
    (classes, skipped): (&[String], Vec<Skipped>),
    parts: [Vec<AnnotatedImage>; 3],
    limit: &Limits,
    options: &objects::Options,
) -> Result<Dataset> {
    let limits = [limit.train, limit.val, limit.test];
    let mut named = ["train", "val", "test"].into_iter().zip(limits);
    let parts = parts.map(|part| match named.next() {
        Some((name, Some(limit))) if limit < part.len() => {
            let seed = seed::derive(run.split_seed, name);
            let mut order = split::choose(&vec![0; part.len()], limit, seed);
            let drawn: BTreeSet<u32> = order.iter().copied().collect();
            let spare = split::permutation(part.len(), seed::derive(seed, "spare"));
            order.extend(spare.into_iter().filter(|i| !drawn.contains(i)));
            pick(&part, &order)
        }
        _ => part,
    });
    let mut data = objects::load_some(run.name, classes, parts, limits, options)?;
    data.skipped.extend(skipped);
    Ok(data)
}

fn pick(from: &[AnnotatedImage], indices: &[u32]) -> Vec<AnnotatedImage> {
    indices.iter().map(|&i| from[i as usize].clone()).collect()
}
