//! `limbeck eval --save FILE`: every image of the split with its labels and the network's answers, in a form that the file's name tells.

mod coco;
mod json;
mod table;

use limbeck::config::DataConfig;
use limbeck::predict::AnsweredImage;
use limbeck::{Error, Result};
use std::path::{Path, PathBuf};

/// A file of images on its way; nothing of it is there before it is committed.
pub trait ImageFile {
    /// Adds the next image.
    fn add(&mut self, image: &AnsweredImage) -> Result<()>;

    /// Ends the file and gives it its name.
    fn commit(self: Box<Self>) -> Result<()>;
}

/// The file at `path` for the answers of networks of these seeds.
///
/// # Errors
/// [`Error::Invalid`] for a name that tells no form, and for several seeds in a form that holds one; [`Error::Io`] where no file can be made.
pub fn create(path: &Path, seeds: &[u64]) -> Result<Box<dyn ImageFile>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if path.is_dir() || !(name.ends_with(".csv") || name.ends_with(".json")) {
        let message = format!(
            "--save {} tells no form; give a file that ends in .csv (a row for each image), .json (everything) or .coco.json (boxes for \
             pycocotools)",
            path.display()
        );
        return Err(Error::Invalid(message));
    }
    if name.ends_with(".coco.json") {
        if seeds.len() > 1 {
            let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
            let message = format!(
                "--save {} holds the boxes of one network, and the run has the seeds {}; choose one with --seed",
                path.display(),
                seeds.join(", ")
            );
            return Err(Error::Invalid(message));
        }
        return Ok(Box::new(coco::Coco::create(path)?));
    }
    Ok(if name.ends_with(".csv") { Box::new(table::Table::create(path)?) } else { Box::new(json::Json::create(path)?) })
}

/// Refuses to write over what the run's data are read from.
///
/// # Errors
/// [`Error::Invalid`] where a file of that name is one that `data` names.
pub fn spare(path: &Path, data: &DataConfig) -> Result<()> {
    let mut read = Vec::new();
    data.source.values().values().for_each(|value| texts(value, &mut read));
    let identity = |path: &Path| path.canonicalize().ok();
    let known: Vec<PathBuf> = read.into_iter().filter_map(|text| identity(&data.root.join(text))).collect();
    match [path.to_path_buf(), coco::truth_beside(path)]
        .iter()
        .find(|path| identity(path).is_some_and(|own| known.contains(&own)))
    {
        Some(path) => {
            Err(Error::Invalid(format!("{} is a file that the run reads; give another name", path.display())))
        }
        None => Ok(()),
    }
}

/// Every text in a value of the settings.
fn texts<'a>(value: &'a toml::Value, found: &mut Vec<&'a str>) {
    match value {
        toml::Value::String(text) => found.push(text),
        toml::Value::Array(all) => all.iter().for_each(|value| texts(value, found)),
        toml::Value::Table(all) => all.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// What tests of the forms share.
#[cfg(test)]
mod samples {
    use limbeck::config::EvaluateOn;
    use limbeck::data::{IGNORED, Task, TaskKind};
    use limbeck::geometry::Rect;
    use limbeck::predict::{AnsweredImage, AnsweredTask, DetectedObject, LabelledObject, TaskLabel, TaskOutput};

    /// A task of each kind.
    pub fn tasks() -> Vec<Task> {
        vec![
            Task::class("kind", vec!["a,b".into(), "c".into()]),
            Task::new("attributes", TaskKind::Attributes, &["new", "big"]),
            Task::new("count", TaskKind::Number, &[]),
            Task::new("mask", TaskKind::Mask, &["ground", "disc"]),
            Task::new("depth", TaskKind::Depth, &[]),
            Task::new("boxes", TaskKind::Boxes, &["disc", "cross"]),
        ]
    }

    /// Image number `number` of 2x3 pixels, with all labels or none.
    pub fn image(tasks: &[Task], number: usize, labelled: bool) -> AnsweredImage<'_> {
        let rect = |x, y| Rect::from_size(x, y, 1.5, 1.0);
        let object = |class: usize, ignored| LabelledObject {
            label: tasks[5].classes[class].clone(),
            class,
            rect: rect(0.5, 0.25),
            area: 1.25,
            ignored,
        };
        let found = |label: &str, score| DetectedObject { label: label.into(), score, rect: rect(1.0, 0.0) };
        let named = |all: &[(&str, f32)]| all.iter().map(|(name, p)| (name.to_string(), *p)).collect::<Vec<_>>();
        let all = [
            (
                TaskLabel::Class("c".into()),
                TaskOutput::Class {
                    label: "a,b".into(),
                    probability: 0.75,
                    probabilities: named(&[("a,b", 0.75), ("c", 0.25)]),
                },
            ),
            (
                TaskLabel::Attributes(vec![("new".into(), Some(true)), ("big".into(), None)]),
                TaskOutput::Attributes { attributes: named(&[("new", 0.25), ("big", 0.75)]) },
            ),
            (TaskLabel::Number(2.0), TaskOutput::Number { value: 1.5 }),
            (
                TaskLabel::Mask(vec![0, 1, 1, 0, IGNORED, 1]),
                TaskOutput::Mask { size: [2, 3], names: tasks[3].classes.clone(), classes: vec![0, 1, 0, 0, 0, 1] },
            ),
            (
                TaskLabel::Depth(vec![1.0, f32::NAN, 2.0, 3.0, f32::NAN, 2.0]),
                TaskOutput::Depth { size: [2, 3], values: vec![1.5, 9.0, 2.0, 3.0, 9.0, 2.5] },
            ),
            (
                TaskLabel::Boxes(vec![object(0, false), object(1, true)]),
                TaskOutput::Boxes { objects: vec![found("cross", 0.5), found("disc", 0.25)] },
            ),
        ];
        let answered = tasks.iter().zip(all).map(|(task, (label, answer))| {
            let label = labelled.then_some(label);
            AnsweredTask { task, label, answer }
        });
        AnsweredImage {
            model: "distilled",
            seed: 3,
            split: "test",
            evaluate_on: EvaluateOn::Image,
            number,
            path: Some(format!("images/\"{number}\".png")),
            size: [2, 3],
            tasks: answered.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_form() {
        let folder = tempfile::tempdir().unwrap();
        let told = |name: &str, seeds: &[u64]| create(&folder.path().join(name), seeds).err().map(|e| e.to_string());
        assert!(["a.csv", "b/a.JSON", "a.coco.json"].iter().all(|name| told(name, &[0]).is_none()));
        assert!(["a.csv", "a.json"].iter().all(|name| told(name, &[0, 1]).is_none()));
        assert!(told("a.coco.json", &[0, 1]).unwrap().contains("the seeds 0, 1; choose one with --seed"));
        for name in ["a", "a.txt", ".", "csv"] {
            assert!(told(name, &[0]).unwrap().contains("ends in .csv"), "{name}");
        }
        // What is not committed leaves nothing.
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name()).collect::<Vec<_>>(),
            ["b"]
        );
    }
}
