//! `source = "voc"`: images with objects, annotated in Pascal VOC's form: one XML file for each image.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde::Serialize;

use super::annotated::{self, ObjectOptions, complete, limited, listed, unused};
use super::keys::{self, BOXES};
use super::sets::{self, Sets};
use super::{RunData, Source, SourceKind, SourceOptions};
use crate::data::Dataset;
use crate::data::formats::find::ImageFinder;
use crate::data::formats::objects::{self, AnnotatedImage, TaskChoice};
use crate::data::formats::voc;
use crate::settings::{Files, KeyText, REQUIRED, Section};
use crate::{Error, Result};

pub(super) static KIND: SourceKind = SourceKind {
    name: "voc",
    keys: &[
        &[
            keys::IMAGES,
            KeyText::new("annotations", "a folder below data.root", REQUIRED, "The folder of the .xml files."),
            keys::CLASSES,
            keys::VAL_FRACTION,
            keys::TEST_FRACTION,
        ],
        sets::KEYS,
        annotated::KEYS,
        annotated::MASKS,
    ],
    tables: &[sets::TABLES, annotated::TABLES, annotated::MASK_TABLES],
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
    /// Part of the images kept for validation.
    val_fraction: f64,
    /// Part of the images kept for the test.
    test_fraction: f64,
    /// Which images are for what; those of a part without a list are cut from the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    sets: Option<Sets>,
    #[serde(flatten)]
    shared: ObjectOptions,
}

fn read(s: &Section) -> Result<Source> {
    // There are no outlines to draw a mask from.
    let all: &[_] = if s.has("masks") { &TaskChoice::ALL } else { &BOXES };
    let shared = ObjectOptions::read(s, all, all)?;
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let voc = Voc {
        images: keys::images(s)?,
        annotations: s.required("annotations", "the folder of the .xml files below data.root")?.into(),
        classes: s.list("classes", "a list of class names in quotes", |v| v.as_str().map(str::to_string))?,
        val_fraction,
        test_fraction,
        sets: Sets::read(s)?,
        shared,
    };
    Source::new(&KIND, voc)
}

impl SourceOptions for Voc {
    fn shared(&self) -> Option<&ObjectOptions> {
        Some(&self.shared)
    }

    /// One folder of annotations, cut into three, or as lists say.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let (folder, images) = (run.root.join(&self.annotations), run.root.join(&self.images));
        let sets = self.sets.as_ref().map_or([None, None, None], |sets| sets.files(run));
        let read = |file: &PathBuf| Ok(voc::image_set(file)?.into_iter().collect::<BTreeSet<String>>());
        let lists = sets.iter().map(|file| file.as_ref().map(read).transpose()).collect::<Result<Vec<_>>>()?;
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            if let (Some(a), Some(b), Some(file)) = (&lists[i], &lists[j], &sets[j])
                && let Some(name) = a.intersection(b).next()
            {
                let message = format!("{name:?} is in another set too; what is tested must not be learnt");
                return Err(Error::data(file, "", message));
            }
        }
        let only: BTreeSet<String> = lists.iter().flatten().flatten().cloned().collect();
        let named = self.sets.is_some().then_some(&only);
        let found =
            voc::read(&folder, &ImageFinder::new(&images), named, self.classes.as_deref(), self.shared.on_error)?;
        if found.classes.is_empty() {
            return Err(Error::data(&folder, "", "no object has a name; is it the right folder?"));
        }
        let options = self.shared.options(run)?;
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
        let parts = match &self.sets {
            None => [Some(all), None, None],
            Some(_) => [0, 1, 2].map(|i| lists[i].as_ref().map(of)),
        };
        let parts = listed(run, parts, &options, &mut skipped)?;
        let parts = complete(parts, [self.val_fraction, self.test_fraction], run.split_seed)?;
        limited(run, (&found.classes, skipped), parts, &self.shared.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        files.folder(&["images"], &self.images)?;
        files.folder(&["annotations"], &self.annotations)?;
        self.sets.as_ref().map_or(Ok(()), |sets| sets.look(files))?;
        self.shared.look(files)
    }
}
