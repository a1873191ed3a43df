//! From a run's `[data]` table to images and labels in memory.

use super::config::{Config, IdxFiles, Limit, Source};
use crate::Result;
use crate::data::compose::{self, Pairing, Samples};
use crate::data::formats::{folder, idx};
use crate::data::{Dataset, Limits, digits, seed};

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
    let pairing = |canvas, samples: super::config::Samples| Pairing {
        canvas,
        samples: Samples { train: samples.train, val: samples.val, test: samples.test },
        seed: seed::derive(data.split_seed, "compose"),
    };
    let mut dataset = match &data.source {
        Source::Digits(d) => digits::load(&pairing(d.canvas, d.samples), data.split_seed)?,
        Source::Pair(p) => {
            let first = idx::load(&p.first.task, &files(&p.first), p.val_fraction, data.split_seed)?;
            let second = idx::load(&p.second.task, &files(&p.second), p.val_fraction, data.split_seed)?;
            compose::compose(&config.name, &first, &second, &pairing(p.canvas, p.samples))?
        }
        Source::Idx(i) => {
            let whole = idx::load(&config.name, &files(&i.files), i.val_fraction, data.split_seed)?;
            whole.limited(&limits(&i.limit), data.split_seed)?
        }
        Source::Folder(f) => folder::load(
            &config.name,
            &folder::Options {
                root: data.root.join(&f.folder),
                size: f.size,
                channels: f.channels,
                task: f.task.clone(),
                flip: flip(&f.task),
                val_fraction: f.val_fraction,
                test_fraction: f.test_fraction,
                split_seed: data.split_seed,
                limits: limits(&f.limit),
            },
        )?,
    };
    // The embedded digits do not know what the file says of mirroring.
    for task in &mut dataset.tasks {
        task.flip |= flip(&task.name);
    }
    dataset.check()?;
    Ok(dataset)
}

fn limits(limit: &Limit) -> Limits {
    Limits { train: limit.train, val: limit.val, test: limit.test }
}
