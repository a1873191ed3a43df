//! `source = "voc"`: images with objects, annotated in Pascal VOC's form: one XML file for each image.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, cut, cut_one, limited, options, unused};
use super::keys::{self, BOXES, MasksOptions};
use super::{RunData, Source, SourceKind, SourceOptions};
use crate::data::formats::coco::OnError;
use crate::data::formats::objects::{self, AnnotatedImage, TaskChoice};
use crate::data::formats::voc;
use crate::data::{Dataset, Limits, TaskKind};
use crate::settings::{Files, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "voc",
    keys: &[
        "images",
        "annotations",
        "classes",
        "size",
        "channels",
        "val_fraction",
        "test_fraction",
        "tasks",
        "on_error",
        "masks",
        "sets",
        "limit",
        "evaluate_on",
    ],
    tables: &[("masks", keys::MASKS), ("sets", keys::COUNTS), ("limit", keys::COUNTS)],
    read,
};

#[derive(Debug, Serialize)]
struct Voc {
    /// The folder of the images, relative to `data.root`.
    images: PathBuf,
    /// The folder of the annotations, relative to `data.root`.
    annotations: PathBuf,
    /// Names of the classes; every name that occurs, sorted, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    channels: usize,
    /// Part of the images kept for validation.
    val_fraction: f64,
    /// Part of the images kept for the test.
    test_fraction: f64,
    /// What is asked of them; each is a task of its own.
    tasks: Vec<TaskChoice>,
    /// What is done with images and annotations that cannot be used.
    on_error: OnError,
    /// Masks in files of their own, such as those of `SegmentationClass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    masks: Option<MasksOptions>,
    /// Which images are for what; those of a part without a list are cut from the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    sets: Option<Sets>,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limits::is_none")]
    limit: Limits,
}

/// Lists of images, as in VOC's `ImageSets`.
#[derive(Debug, Serialize)]
struct Sets {
    /// The training images.
    train: PathBuf,
    /// Those for validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<PathBuf>,
    /// Those for the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
}

fn read(s: &Section) -> Result<Source> {
    // There are no outlines to draw a mask from.
    let tasks = match s.has("masks") {
        true => keys::chosen_tasks(s, &TaskChoice::ALL, &TaskChoice::ALL.map(|(_, task)| task))?,
        false => keys::chosen_tasks(s, &BOXES, &BOXES.map(|(_, task)| task))?,
    };
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let voc = Voc {
        images: keys::images(s)?,
        annotations: s.required("annotations", "the folder of the .xml files below data.root")?.into(),
        classes: s.list("classes", "a list of class names in quotes", |v| v.as_str().map(str::to_string))?,
        size: keys::canvas(s)?,
        channels: keys::channels(s)?,
        val_fraction,
        test_fraction,
        on_error: s.choice("on_error", OnError::Fail)?,
        masks: keys::masks(s, &tasks)?,
        sets: sets(s)?,
        limit: keys::limit(s)?,
        tasks,
    };
    Source::new(&KIND, voc)
}

/// `sets`: lists of images.
fn sets(s: &Section) -> Result<Option<Sets>> {
    if !s.has("sets") {
        return Ok(None);
    }
    let s = s.table("sets")?;
    let file =
        |key| Ok(s.text(key, "a text file below data.root, such as \"ImageSets/Main/val.txt\"")?.map(PathBuf::from));
    Ok(Some(Sets {
        train: s.required("train", "a text file below data.root that names an image in each line")?.into(),
        val: file("val")?,
        test: file("test")?,
    }))
}

impl SourceOptions for Voc {
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        annotated::tasks(&self.tasks)
    }

    fn size(&self) -> Option<[usize; 2]> {
        Some(self.size)
    }

    /// One folder of annotations, cut into three, or as lists say.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let (folder, images) = (run.root.join(&self.annotations), run.root.join(&self.images));
        let sets = match &self.sets {
            Some(sets) => [Some(&sets.train), sets.val.as_ref(), sets.test.as_ref()],
            None => [None; 3],
        };
        let read = |file: &PathBuf| Ok(voc::image_set(&run.root.join(file))?.into_iter().collect::<BTreeSet<String>>());
        let lists = sets.into_iter().map(|file| file.map(read).transpose()).collect::<Result<Vec<_>>>()?;
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            if let (Some(a), Some(b), Some(file)) = (&lists[i], &lists[j], sets[j])
                && let Some(name) = a.intersection(b).next()
            {
                let message = format!("{name:?} is in another set too; what is tested must not be learnt");
                return Err(Error::data(run.root.join(file), "", message));
            }
        }
        let only: BTreeSet<String> = lists.iter().flatten().flatten().cloned().collect();
        let listed = self.sets.is_some().then_some(&only);
        let found = voc::read(&folder, &images, listed, self.classes.as_deref(), self.on_error)?;
        if found.classes.is_empty() {
            return Err(Error::data(&folder, "", "no object has a name; is it the right folder?"));
        }
        let canvas = (self.size, self.channels);
        let options = options(run, canvas, &self.tasks, self.masks.as_ref(), self.on_error)?;
        let mut skipped = found.skipped;
        // Lists leave images and masks out on purpose.
        if self.sets.is_none() {
            skipped.extend(unused(Some(&images), &found.images, &skipped, &options));
        }
        let names: HashMap<PathBuf, String> = found.images.iter().map(|a| a.path.clone()).zip(found.names).collect();
        let all = objects::present(found.images, &mut skipped)?;
        let of = |list: &BTreeSet<String>| -> Vec<AnnotatedImage> {
            all.iter().filter(|a| names.get(&a.path).is_some_and(|name| list.contains(name))).cloned().collect()
        };
        let (seed, [val, test]) = (run.split_seed, [self.val_fraction, self.test_fraction]);
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
        limited(run, (&found.classes, skipped), parts, &self.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.folder(&["images"], &self.images)?;
        files.folder(&["annotations"], &self.annotations)?;
        self.masks.as_ref().map_or(Ok(()), |masks| masks.look(files))
    }

    fn limit(&self) -> Limits {
        self.limit
    }

    fn moves(&self) -> bool {
        true
    }

    fn letterboxed(&self) -> bool {
        true
    }
}
