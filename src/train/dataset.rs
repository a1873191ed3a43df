//! From a run's `[data]` table to images and labels in memory.

use super::config::{CocoSource, Config, IdxFiles, Limit, OnError, Source, VocSource};
use crate::data::compose::{self, Pairing, Samples};
use crate::data::formats::{coco, folder, idx, objects, voc};
use crate::data::{Dataset, Limits, digits, scenes, seed, split};
use crate::{Error, Result};

/// Loads and composes what the configuration asks for.
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
    let counts = |s: super::config::Samples| Samples { train: s.train, val: s.val, test: s.test };
    let pairing = |canvas, samples: super::config::Samples| Pairing {
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
    // The embedded digits do not know what the file says of mirroring.
    for task in &mut dataset.tasks {
        task.flip |= flip(&task.name);
    }
    let parts: Vec<(&str, f64)> = data.labelled.iter().map(|(task, part)| (task.as_str(), *part)).collect();
    dataset.keep_labels(&parts, data.disjoint, seed::derive(data.split_seed, "labelled"))
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
    let options =
        objects::Options { size: source.size, channels: source.channels, questions: source.tasks.clone(), on_error };
    let mut data = objects::load(&config.name, &read[0].classes, parts, &options)?;
    data.skipped.extend(read.into_iter().flat_map(|r| r.skipped));
    Ok(data)
}

/// One folder of annotations, cut into three.
fn voc_set(config: &Config, source: &VocSource) -> Result<Dataset> {
    let (root, seed) = (&config.data.root, config.data.split_seed);
    let on_error = skipping(source.on_error);
    let folder = root.join(&source.annotations);
    let found = voc::read(&folder, &root.join(&source.images), source.classes.as_deref(), on_error)?;
    if found.classes.is_empty() {
        return Err(Error::data(&folder, "", "no object has a name; is it the right folder?"));
    }
    let pick = |from: &[objects::Annotated], indices: &[u32]| -> Vec<objects::Annotated> {
        indices.iter().map(|&i| from[i as usize].clone()).collect()
    };
    // Images have no class by which they could be spread evenly.
    let cut = |all: &[objects::Annotated], part: f64, name: &str| {
        let (rest, cut) = split::cut(&vec![0; all.len()], part, seed::derive(seed, name))?;
        Ok::<_, Error>((pick(all, &rest), pick(all, &cut)))
    };
    let (rest, test) = cut(&found.images, source.test_fraction, "test")?;
    let (train, val) = cut(&rest, source.val_fraction / (1.0 - source.test_fraction), "val")?;
    let options =
        objects::Options { size: source.size, channels: source.channels, questions: source.tasks.clone(), on_error };
    let mut data = objects::load(&config.name, &found.classes, [train, val, test], &options)?;
    data.skipped.extend(found.skipped);
    Ok(data)
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
