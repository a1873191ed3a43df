//! What sources of images with objects share: how a data set is made of them, whatever their format.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::keys::{self, DepthOptions, Ignored, MasksOptions};
use super::{RunData, Table, members};
use crate::data::formats::coco::OnError;
use crate::data::formats::depth_map::DepthFiles;
use crate::data::formats::find::identity;
use crate::data::formats::objects::{self, AnnotatedImage, TaskChoice};
use crate::data::{Dataset, IGNORED, Limits, Skipped, TaskKind, seed, split};
use crate::settings::{Files, KeyText, NOT_SET, REQUIRED, Section};
use crate::{Error, Result};

/// The keys of [`ObjectOptions`].
pub(super) const KEYS: &[KeyText] = &[
    keys::SIZE,
    keys::CHANNELS,
    keys::MAX_PIXELS_KEY,
    KeyText::new(
        "tasks",
        "a list of \"boxes\", \"mask\", \"count\", \"depth\"",
        "what the annotations can answer",
        "What is asked of the images; each is a task of its own. Masks are drawn from outlines, or come from [data.masks].",
    ),
    keys::ON_ERROR,
    DEPTH,
    members::KEY,
    keys::LIMIT,
    EVALUATE_ON,
];
pub(super) const DEPTH: KeyText =
    KeyText::new("depth", "a table", NOT_SET, "Depth maps in files of their own: [data.depth].");
pub(super) const EVALUATE_ON: KeyText = KeyText::new(
    "evaluate_on",
    "\"image\" or \"canvas\"",
    "\"image\"",
    "In which pixels boxes, masks and depth are measured: the image's own, as other tools do, or those of the canvas.",
);
/// Their tables.
pub(super) const TABLES: &[Table] = &[
    (
        "depth",
        &[
            KeyText::new(
                "folder",
                "a folder below data.root",
                REQUIRED,
                "Maps named as the images: grey PNG of 16 bits or NumPy's .npy; 0 or NaN is unknown.",
            ),
            KeyText::new(
                "unit",
                "\"mm\", \"m\", or a number of metres",
                "\"mm\" of PNG, \"m\" of .npy",
                "What a 1 in a file stands for; KITTI's files have 0.00390625.",
            ),
        ],
    ),
    members::TABLE,
    ("limit", keys::LIMITS),
];
/// The key of sources whose masks may lie in files of their own.
pub(super) const MASKS: &[KeyText] =
    &[KeyText::new("masks", "a table", NOT_SET, "Masks in files of their own: [data.masks].")];
/// Its table.
pub(super) const MASK_TABLES: &[Table] = &[("masks", keys::MASKS)];

/// What all sources of images with objects let one choose.
#[derive(Debug, Serialize)]
pub(super) struct ObjectOptions {
    /// Height and width of the canvas on which every image is put, its proportions kept.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Pixels of the largest image that is decoded.
    #[serde(skip_serializing_if = "keys::is_usual")]
    pub max_pixels: usize,
    /// What is asked of them; each is a task of its own.
    pub tasks: Vec<TaskChoice>,
    /// What is done with images and annotations that cannot be used.
    pub on_error: OnError,
    /// Masks in files of their own; drawn from the objects' outlines where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<MasksOptions>,
    /// Depth maps in files of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<DepthOptions>,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limit: Limits,
}

impl ObjectOptions {
    /// Of a source whose tasks are among `all`, and `usual` where nothing is written.
    pub(super) fn read(
        s: &Section,
        all: &[(&'static str, TaskChoice)],
        usual: &[(&'static str, TaskChoice)],
    ) -> Result<Self> {
        let options = Self::without_masks(s, all, usual)?;
        Ok(ObjectOptions { masks: keys::masks(s, &options.tasks)?, ..options })
    }

    /// The same of a source that has its own words for masks.
    pub(super) fn without_masks(
        s: &Section,
        all: &[(&'static str, TaskChoice)],
        usual: &[(&'static str, TaskChoice)],
    ) -> Result<Self> {
        let depth = ("depth", TaskChoice::Depth);
        let all: Vec<_> = all.iter().copied().chain([depth]).collect();
        let usual: Vec<_> = usual.iter().map(|(_, task)| *task).chain(s.has("depth").then_some(depth.1)).collect();
        let tasks = keys::chosen_tasks(s, &all, &usual)?;
        Ok(ObjectOptions {
            size: keys::canvas(s)?,
            channels: keys::channels(s)?,
            max_pixels: keys::max_pixels(s)?,
            on_error: s.choice("on_error", OnError::Fail)?,
            masks: None,
            depth: keys::depth(s, &tasks)?,
            limit: keys::limit(s)?,
            tasks,
        })
    }

    /// The tasks by name, and what each asks for.
    pub(super) fn tasks(&self) -> Vec<(&str, TaskKind)> {
        self.tasks.iter().map(|task| (task.name(), task.kind())).collect()
    }

    /// How a data set is made of the images.
    pub(super) fn options(&self, run: &RunData) -> Result<objects::Options> {
        let masks = self.masks.as_ref().map(|m| {
            let (folder, names) = (run.root.join(&m.folder), m.names.read(run)?);
            let mut ignored = Ignored::values(&m.ignored, &names, "data.masks.ignored")?;
            // Here also where it has a name, as in VOC's lists of names.
            ignored.push(IGNORED);
            Ok::<_, Error>(objects::MaskFiles { folder, names, ignored, paired: None })
        });
        Ok(objects::Options {
            size: self.size,
            channels: self.channels,
            max_pixels: self.max_pixels,
            questions: self.tasks.clone(),
            masks: masks.transpose()?.map_or(objects::Masks::Drawn, objects::Masks::Files),
            depth: self
                .depth
                .as_ref()
                .map(|d| DepthFiles { folder: run.root.join(&d.folder), unit: d.unit.map(|u| u as f32) }),
            on_error: self.on_error,
        })
    }

    /// The folders of masks and depth maps, whose files are no images of the set.
    pub(super) fn beside_images(&self, run: &RunData) -> Vec<PathBuf> {
        let masks = self.masks.as_ref().map(|masks| &masks.folder);
        masks.into_iter().chain(self.depth.as_ref().map(|d| &d.folder)).map(|folder| run.root.join(folder)).collect()
    }

    /// Refuses missing folders of masks and depth maps.
    pub(super) fn look(&self, files: &Files) -> Result<()> {
        self.masks.as_ref().map_or(Ok(()), |masks| masks.look(files))?;
        self.depth.as_ref().map_or(Ok(()), |depth| files.folder(&["depth", "folder"], &depth.folder))
    }
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
    let masks = match &options.masks {
        objects::Masks::Files(files) if files.paired.is_none() => {
            Some((files.folder.as_path(), "a mask that belongs to no image"))
        }
        _ => None,
    };
    let maps = options.depth.as_ref().map(|files| (files.folder.as_path(), "a depth map that belongs to no image"));
    let stems: BTreeSet<_> = known.iter().filter_map(|path| path.file_stem()).collect();
    for (files, reason) in masks.into_iter().chain(maps) {
        // They may lie among the images.
        if folder == Some(files) {
            unused.retain(|s| !s.path.file_stem().is_some_and(|f| stems.contains(f)));
        } else {
            unused.extend(objects::without_image(files, &stems, reason));
        }
    }
    unused
}

/// Classes, images and what was left out, of a source that does not say which image is for what.
pub(super) type Found<'a> = (&'a [String], Vec<AnnotatedImage>, Vec<Skipped>);

/// Cut into three, or as lists say, limited, read.
pub(super) fn one_set(
    run: &RunData,
    (classes, images, mut skipped): Found,
    fractions: [f64; 2],
    limit: &Limits,
    options: &objects::Options,
) -> Result<Dataset> {
    let parts = listed(run, [Some(images), None, None], options, &mut skipped)?;
    let parts = complete(parts, fractions, run.split_seed)?;
    limited(run, (classes, skipped), parts, limit, options)
}

/// The splits of a data set that has those of `parts` of its own, as the lists of `[data.members]` say, where there are any.
///
/// # Errors
/// Those of lists that cannot be followed ([`crate::data::formats::members::Members`]).
pub(super) fn listed(
    run: &RunData,
    parts: [Option<Vec<AnnotatedImage>>; 3],
    options: &objects::Options,
    skipped: &mut Vec<Skipped>,
) -> Result<[Option<Vec<AnnotatedImage>>; 3]> {
    match &run.members {
        Some(members) => members.divide(parts, |image| &image.path, Some(options.on_error), skipped),
        None => Ok(parts),
    }
}

/// The splits of a data set that has those of `parts` of its own: what is missing is cut from the training images.
///
/// # Errors
/// [`Error::Data`] for an image that is in two of them; [`Error::Invalid`] where too few are left.
pub(super) fn complete(
    parts: [Option<Vec<AnnotatedImage>>; 3],
    fractions: [f64; 2],
    seed: u64,
) -> Result<[Vec<AnnotatedImage>; 3]> {
    let mut seen: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (number, image) in parts.iter().enumerate().flat_map(|(i, part)| part.iter().flatten().map(move |a| (i, a))) {
        match seen.insert(identity(&image.path), number) {
            None => {}
            Some(other) if other == number => return Err(Error::data(&image.path, "", "is listed twice; remove one")),
            Some(_) => {
                return Err(Error::data(&image.path, "", "is in two splits; what is tested must not be learnt"));
            }
        }
    }
    // Images with objects have no class by which they could be spread evenly.
    split::complete(parts, fractions, split::stratified(|_| 0, seed))
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
