//! From a run's `[data]` table to images and labels in memory.

use crate::Result;
use crate::config::Config;
use crate::data::sources::RunData;
use crate::data::{Dataset, seed};

/// Loads and composes what the configuration asks for: read, split, labels taken away where it says so.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::Data`](crate::Error::Data) with file and place, and how to go on without what cannot be
/// used; [`Error::Invalid`](crate::Error::Invalid) for weights of classes that are not as many as the classes.
pub fn load(config: &Config) -> Result<Dataset> {
    let data = &config.data;
    let (name, root, split_seed, flip_invariant) = (&config.name, &data.root, data.split_seed, &data.flip_invariant);
    let run = RunData { name, root, split_seed, flip_invariant, members: None };
    let mut dataset = data.source.load(&run)?;
    // The embedded digits do not know what the file says of mirroring, and nothing but the file says what a part of an image keeps.
    for task in &mut dataset.tasks {
        if let Some(settings) = config.tasks.get(&task.name) {
            settings.check(task)?;
        }
        task.flip |= run.flips(&task.name);
        task.crop |= data.crop_invariant.contains(&task.name);
    }
    let parts: Vec<(&str, f64)> = data.labelled.iter().map(|(task, part)| (task.as_str(), *part)).collect();
    dataset.keep_labels(&parts, data.disjoint, seed::derive(data.split_seed, "labelled"))
}
