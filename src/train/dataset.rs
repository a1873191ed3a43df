//! From a run's `[data]` table to images and labels in memory.

use crate::config::{
    CocoSource, Config, IdxFiles, Limit, MasksConfig, Names, OnError, PanopticSource, Source, VocSource, YoloSource,
};
use crate::data::compose::{self, Pairing, Samples};
use crate::data::formats::{coco, folder, idx, names, objects, panoptic, table, voc, yolo};
use crate::data::{Dataset, Limits, Skipped, digits, scenes, seed, split};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Loads and composes what the configuration asks for: read, split, labels taken away where it says so.
pub fn load(config: &Config) -> Result<Dataset> {
    let data = &config.data;
    let flip = |task: &str| data.flip_invariant.iter().any(|t| t == task);
    let files = |f: &IdxFiles| idx::Files {
        train_images: data.root.join(&f.train_images),
        train_labels: data.root.join(&f.train_labels),
        test_images: data.root.join(&f.test_images),
        test_labels: data.root.join(&f.test_labels),
        task: f.task.clone(),
        classes: f.classes.clone(),
        flip: flip(&f.task),
    };
    let counts = |s: crate::config::Samples| Samples { train: s.train, val: s.val, test: s.test };
    let pairing = |canvas, samples: crate::config::Samples| Pairing {
        canvas,
        samples: counts(samples),
        seed: seed::derive(data.split_seed, "compose"),
    };
    let mut dataset = match &data.source {
        Source::Digits(d) => digits::load(&pairing(d.canvas, d.samples), data.split_seed)?,
        Source::Pair(p) => {
            let first = idx::load(&p.first.task, &files(&p.first), p.val_fraction, data.split_seed)?;
            let second = idx::load(&p.second.task, &files(&p.second), p.val_fraction, data.split_seed)?;
            compose::compose(&config.name, &first, &second, &pairing(p.canvas, p.samples))?
        }
        Source::Scenes(s) => scenes::load(&scenes::Scenes {
            size: s.size,
            samples: counts(s.samples),
            objects: s.objects,
            questions: s.tasks.clone(),
            seed: seed::derive(data.split_seed, "scenes"),
        })?,
        Source::Coco(c) => coco_set(config, c)?,
        Source::Voc(v) => voc_set(config, v)?,
        Source::Yolo(y) => yolo_set(config, y)?,
        Source::Panoptic(p) => panoptic_set(config, p)?,
        Source::Csv(c) => table::load(
            &config.name,
            &table::Options {
                file: data.root.join(&c.file),
                images: data.root.join(&c.images),
                image: c.image.clone(),
                columns: c.columns.clone(),
                unknown: c.unknown.clone(),
                group: c.group.clone(),
                size: c.size,
                channels: c.channels,
                val_fraction: c.val_fraction,
                test_fraction: c.test_fraction,
                split_seed: data.split_seed,
                on_error: skipping(c.on_error),
            },
        )?,
        Source::Idx(i) => {
            let whole = idx::load(&config.name, &files(&i.files), i.val_fraction, data.split_seed)?;
            whole.limited(&limits(&i.limit), data.split_seed)?
        }
        Source::Folder(f) => {
            let options = |path: &std::path::Path, task: &str| folder::Options {
                root: data.root.join(path),
                size: f.size,
                channels: f.channels,
                task: task.to_string(),
                flip: flip(task),
                val_fraction: f.val_fraction,
                test_fraction: f.test_fraction,
                split_seed: data.split_seed,
                limits: limits(&f.limit),
            };
            let first = folder::load(&config.name, &options(&f.folder, &f.task))?;
            let others = f.also.iter().map(|(task, path)| folder::load(&config.name, &options(path, task)));
            others.into_iter().try_fold(first, |all, next| all.union(next?))?
        }
    };
    // The embedded digits do not know what the file says of mirroring, and nothing but the file says what a part of an image keeps.
    for task in &mut dataset.tasks {
        task.flip |= flip(&task.name);
        task.crop |= data.crop_invariant.contains(&task.name);
    }
    let parts: Vec<(&str, f64)> = data.labelled.iter().map(|(task, part)| (task.as_str(), *part)).collect();
    dataset.keep_labels(&parts, data.disjoint, seed::derive(data.split_seed, "labelled"))
}

/// How images with objects become a data set, whatever their format.
fn options(
    config: &Config,
    (size, channels): ([usize; 2], usize),
    questions: &[objects::TaskChoice],
    masks: Option<&MasksConfig>,
    on_error: OnError,
) -> Result<objects::Options> {
    let root = &config.data.root;
    let masks = masks.map(|m| {
        let (folder, ignored) = (root.join(&m.folder), m.ignored.clone());
        Ok::<_, Error>(objects::MaskFiles { folder, names: named(config, &m.names)?, ignored })
    });
    let masks = masks.transpose()?.map_or(objects::Masks::Drawn, objects::Masks::Files);
    let questions = questions.to_vec();
    Ok(objects::Options { size, channels, questions, masks, on_error: skipping(on_error) })
}

/// The classes by number.
fn named(config: &Config, names: &Names) -> Result<BTreeMap<u32, String>> {
    match names {
        Names::File(path) => names::read(&config.data.root.join(path)),
        Names::List(list) => Ok((0..).zip(list.iter().cloned()).collect()),
    }
}

/// Three files of instances, of the same categories.
fn coco_set(config: &Config, source: &CocoSource) -> Result<Dataset> {
    let root = &config.data.root;
    let on_error = skipping(source.on_error);
    let files = [&source.train, &source.val, &source.test].map(|file| root.join(file));
    let [train, val, test] = &files;
    let read = [coco::read(train, on_error)?, coco::read(val, on_error)?, coco::read(test, on_error)?];
    for (path, other) in files.iter().zip(&read) {
        if other.classes != read[0].classes {
            let (own, first) = (other.classes.len(), read[0].classes.len());
            let message = format!("has other categories ({own}) than {} ({first})", train.display());
            return Err(Error::data(path, "categories", message));
        }
    }
    let folder = root.join(&source.images);
    let parts = [0, 1, 2].map(|i| objects::of_instances(&read[i], &folder));
    let learnt: BTreeSet<&PathBuf> = parts[0].iter().map(|a| &a.path).collect();
    for (file, part) in files.iter().zip(&parts).skip(1) {
        if let Some(twice) = part.iter().find(|a| learnt.contains(&a.path)) {
            let message =
                format!("{} is a training image too; what is tested must not be learnt", twice.path.display());
            return Err(Error::data(file, "images", message));
        }
    }
    let (canvas, masks) = ((source.size, source.channels), source.masks.as_ref());
    let options = options(config, canvas, &source.tasks, masks, source.on_error)?;
    let classes = read[0].classes.clone();
    let mut skipped: Vec<Skipped> = read.into_iter().flat_map(|r| r.skipped).collect();
    skipped.extend(unused(Some(&folder), parts.iter().flatten(), &skipped, &options));
    let [train, val, test] = parts.map(|part| objects::present(part, &mut skipped));
    limited(config, (&classes, skipped), [train?, val?, test?], &source.limit, &options)
}

/// One folder of annotations, cut into three, or as lists say.
fn voc_set(config: &Config, source: &VocSource) -> Result<Dataset> {
    let root = &config.data.root;
    let (folder, images) = (root.join(&source.annotations), root.join(&source.images));
    let sets = match &source.sets {
        Some(sets) => [Some(&sets.train), sets.val.as_ref(), sets.test.as_ref()],
        None => [None; 3],
    };
    let read = |file: &PathBuf| Ok(voc::image_set(&root.join(file))?.into_iter().collect::<BTreeSet<String>>());
    let lists = sets.into_iter().map(|file| file.map(read).transpose()).collect::<Result<Vec<_>>>()?;
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        if let (Some(a), Some(b), Some(file)) = (&lists[i], &lists[j], sets[j])
            && let Some(name) = a.intersection(b).next()
        {
            let message = format!("{name:?} is in another set too; what is tested must not be learnt");
            return Err(Error::data(root.join(file), "", message));
        }
    }
    let only: BTreeSet<String> = lists.iter().flatten().flatten().cloned().collect();
    let listed = source.sets.is_some().then_some(&only);
    let found = voc::read(&folder, &images, listed, source.classes.as_deref(), skipping(source.on_error))?;
    if found.classes.is_empty() {
        return Err(Error::data(&folder, "", "no object has a name; is it the right folder?"));
    }
    let (canvas, masks) = ((source.size, source.channels), source.masks.as_ref());
    let options = options(config, canvas, &source.tasks, masks, source.on_error)?;
    let mut skipped = found.skipped;
    // Lists leave images and masks out on purpose.
    if source.sets.is_none() {
        skipped.extend(unused(Some(&images), &found.images, &skipped, &options));
    }
    let names: HashMap<PathBuf, String> = found.images.iter().map(|a| a.path.clone()).zip(found.names).collect();
    let all = objects::present(found.images, &mut skipped)?;
    let of = |list: &BTreeSet<String>| -> Vec<objects::AnnotatedImage> {
        all.iter().filter(|a| names.get(&a.path).is_some_and(|name| list.contains(name))).cloned().collect()
    };
    let (seed, [val, test]) = (config.data.split_seed, [source.val_fraction, source.test_fraction]);
    let parts = match [&lists[0], &lists[1], &lists[2]] {
        [None, ..] => cut(&all, [val, test], seed)?,
        [Some(train), Some(val), Some(test)] => [of(train), of(val), of(test)],
        [Some(train), None, None] => cut(&of(train), [val, test], seed)?,
        [Some(train), Some(val), None] => {
            let [train, test] = cut_one(&of(train), test, seed, "test")?;
            [train, of(val), test]
        }
        [Some(train), None, Some(test)] => {
            let [train, val] = cut_one(&of(train), val, seed, "val")?;
            [train, val, of(test)]
        }
    };
    limited(config, (&found.classes, skipped), parts, &source.limit, &options)
}

/// One folder of labels, cut into three.
fn yolo_set(config: &Config, source: &YoloSource) -> Result<Dataset> {
    let root = &config.data.root;
    let (images, labels) = (root.join(&source.images), root.join(&source.labels));
    let found = yolo::read(&images, &labels, &named(config, &source.names)?, skipping(source.on_error))?;
    let (canvas, masks) = ((source.size, source.channels), source.masks.as_ref());
    let options = options(config, canvas, &source.tasks, masks, source.on_error)?;
    let fractions = [source.val_fraction, source.test_fraction];
    let mut skipped = found.skipped;
    // Images are what the folder holds.
    skipped.extend(unused(None, &found.images, &skipped, &options));
    one_set(config, (&found.classes, &found.images, skipped), fractions, &source.limit, &options)
}

/// One file of segments, cut into three.
fn panoptic_set(config: &Config, source: &PanopticSource) -> Result<Dataset> {
    let root = &config.data.root;
    let [file, images, segments] = [&source.annotations, &source.images, &source.segments].map(|path| root.join(path));
    let found = panoptic::read(&file, &images, &segments, skipping(source.on_error))?;
    let options = options(config, (source.size, source.channels), &source.tasks, None, source.on_error)?;
    let options = objects::Options { masks: objects::Masks::Segments(found.classes), ..options };
    let fractions = [source.val_fraction, source.test_fraction];
    let mut skipped = found.skipped;
    skipped.extend(unused(Some(&images), &found.images, &skipped, &options));
    let all = objects::present(found.images, &mut skipped)?;
    one_set(config, (&found.things, &all, skipped), fractions, &source.limit, &options)
}

/// Images in `folder` that nothing is known of, and masks that belong to no image; not what stands in `skipped` already.
fn unused<'a>(
    folder: Option<&Path>,
    all: impl IntoIterator<Item = &'a objects::AnnotatedImage>,
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
type Found<'a> = (&'a [String], &'a [objects::AnnotatedImage], Vec<Skipped>);

/// Cut into three, limited, read.
fn one_set(
    config: &Config,
    (classes, images, skipped): Found,
    fractions: [f64; 2],
    limit: &Limit,
    options: &objects::Options,
) -> Result<Dataset> {
    let parts = cut(images, fractions, config.data.split_seed)?;
    limited(config, (classes, skipped), parts, limit, options)
}

/// For training, validation and the test.
fn cut(
    images: &[objects::AnnotatedImage],
    [val, test]: [f64; 2],
    seed: u64,
) -> Result<[Vec<objects::AnnotatedImage>; 3]> {
    let [rest, test_images] = cut_one(images, test, seed, "test")?;
    let [train, val_images] = cut_one(&rest, val / (1.0 - test), seed, "val")?;
    Ok([train, val_images, test_images])
}

/// The rest, and a part of the images, which have no class by which they could be spread evenly.
fn cut_one(
    all: &[objects::AnnotatedImage],
    part: f64,
    seed: u64,
    name: &str,
) -> Result<[Vec<objects::AnnotatedImage>; 2]> {
    let (rest, cut) = split::cut(&vec![0; all.len()], part, seed::derive(seed, name))?;
    Ok([pick(all, &rest), pick(all, &cut)])
}

/// So many of each at most, read: those that are drawn, then, where some of them cannot be read, the others in the order of another
/// draw.
fn limited(
    config: &Config,
    (classes, skipped): (&[String], Vec<Skipped>),
    parts: [Vec<objects::AnnotatedImage>; 3],
    limit: &Limit,
    options: &objects::Options,
) -> Result<Dataset> {
    let limits = [limit.train, limit.val, limit.test];
    let mut named = ["train", "val", "test"].into_iter().zip(limits);
    let parts = parts.map(|part| match named.next() {
        Some((name, Some(limit))) if limit < part.len() => {
            let seed = seed::derive(config.data.split_seed, name);
            let mut order = split::choose(&vec![0; part.len()], limit, seed);
            let drawn: BTreeSet<u32> = order.iter().copied().collect();
            let spare = split::permutation(part.len(), seed::derive(seed, "spare"));
            order.extend(spare.into_iter().filter(|i| !drawn.contains(i)));
            pick(&part, &order)
        }
        _ => part,
    });
    let mut data = objects::load_some(&config.name, classes, parts, limits, options)?;
    data.skipped.extend(skipped);
    Ok(data)
}

fn pick(from: &[objects::AnnotatedImage], indices: &[u32]) -> Vec<objects::AnnotatedImage> {
    indices.iter().map(|&i| from[i as usize].clone()).collect()
}

fn skipping(on_error: OnError) -> coco::OnError {
    match on_error {
        OnError::Fail => coco::OnError::Fail,
        OnError::Skip => coco::OnError::Skip,
    }
}

fn limits(limit: &Limit) -> Limits {
    Limits { train: limit.train, val: limit.val, test: limit.test }
}
