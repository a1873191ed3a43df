//! `source = "masks"`: semantic segmentation from images and masks alone, PNG files whose values number classes.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::annotated::{self, ObjectOptions, complete, limited, listed, unused};
use super::keys::{self, Ignored, Names};
use super::sets::{self, Sets};
use super::{RunData, Source, SourceKind, SourceOptions, members};
use crate::data::formats::find::identity;
use crate::data::formats::folder;
use crate::data::formats::mask_pairs::{MaskPairs, Paired};
use crate::data::formats::objects::{self, TaskChoice};
use crate::data::{Dataset, IGNORED};
use crate::settings::{Files, KeyText, NOT_SET, REQUIRED, Section};
use crate::{Error, Result};

/// Keys of a split's folders.
const PAIR: &[KeyText] =
    &[keys::IMAGES, KeyText::new("masks", "a folder below data.root", REQUIRED, "The folder of their masks.")];

pub(super) static KIND: SourceKind = SourceKind {
    name: "masks",
    keys: &[
        &[
            KeyText::new(
                "images",
                "a folder below data.root",
                "as `train` says",
                "The folder of the images, or the folder that holds train/, val/ and test/.",
            ),
            KeyText::new(
                "masks",
                "a folder below data.root",
                "as `train` says",
                "The folder of the masks, PNG files named as the images, or of folders named as those of the images.",
            ),
            KeyText::new("train", "a table", NOT_SET, "Folders of training, where `images` is not set: [data.train]."),
            KeyText::new("val", "a table", NOT_SET, "Folders of validation: [data.val]."),
            KeyText::new("test", "a table", NOT_SET, "Folders of the test: [data.test]."),
            KeyText::new("names", keys::NAMES, REQUIRED, "The classes by value, from 0 on."),
            KeyText::new(
                "ignored",
                "a list of values from 0 to 255, or of class names",
                "[]",
                "Pixels that have no class, by their value or its name; 255 too, unless it has a name.",
            ),
            KeyText::new(
                "image_suffix",
                "a text",
                "\"\"",
                "What images' names end in and masks' do not, such as \"_leftImg8bit\".",
            ),
            KeyText::new(
                "mask_suffix",
                "a text",
                "\"\"",
                "What masks' names end in and images' do not, such as \"_gtFine_labelIds\".",
            ),
            keys::VAL_FRACTION,
            keys::TEST_FRACTION,
        ],
        sets::KEYS,
        &[
            keys::SIZE,
            keys::CHANNELS,
            keys::MAX_PIXELS_KEY,
            KeyText::new(
                "tasks",
                "a list of \"mask\", \"depth\"",
                "[\"mask\"], and \"depth\" with [data.depth]",
                "What is asked of the images; each is a task of its own.",
            ),
            keys::ON_ERROR,
            annotated::DEPTH,
            members::KEY,
            keys::LIMIT,
            annotated::EVALUATE_ON,
        ],
    ],
    tables: &[&[("train", PAIR), ("val", PAIR), ("test", PAIR)], sets::TABLES, annotated::TABLES],
    read,
};

#[derive(Debug, Serialize)]
struct Masks {
    /// The folder of the images, or of the splits' folders, relative to `data.root`; absent: each split has folders of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<PathBuf>,
    /// The folder of the masks, relative to `data.root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    masks: Option<PathBuf>,
    /// Folders of the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<Pair>,
    /// Those of the validation images.
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<Pair>,
    /// Those of the test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Pair>,
    /// The classes by value.
    names: Names,
    /// Pixels that have no class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<Ignored>,
    /// What images' names end in and masks' do not.
    #[serde(skip_serializing_if = "String::is_empty")]
    image_suffix: String,
    /// What masks' names end in and images' do not.
    #[serde(skip_serializing_if = "String::is_empty")]
    mask_suffix: String,
    /// Part of the images kept for validation.
    val_fraction: f64,
    /// Part of the images kept for the test.
    test_fraction: f64,
    /// Which images are for what.
    #[serde(skip_serializing_if = "Option::is_none")]
    sets: Option<Sets>,
    #[serde(flatten)]
    shared: ObjectOptions,
}

/// A split's folders.
#[derive(Debug, Serialize)]
struct Pair {
    /// The folder of the images, relative to `data.root`.
    images: PathBuf,
    /// The folder of their masks.
    masks: PathBuf,
}

const MASKS: &str = "the folder of the .png masks below data.root";

fn read(s: &Section) -> Result<Source> {
    let tasks = [("mask", TaskChoice::Mask)];
    let shared = ObjectOptions::without_masks(s, &tasks, &tasks)?;
    if !shared.tasks.contains(&TaskChoice::Mask) {
        return Err(s.error("tasks", "source = \"masks\" is about masks; add \"mask\" to data.tasks"));
    }
    let [train, val, test] = [pair(s, "train")?, pair(s, "val")?, pair(s, "test")?];
    let split = train.is_some() || val.is_some() || test.is_some();
    if split && train.is_none() {
        return Err(s.error("train", "is missing: expected the folders of training, as of the other splits"));
    }
    if let Some(key) = ["images", "masks", "sets"].into_iter().find(|key| split && s.has(key)) {
        let message = "data.train, data.val and data.test name the folders of each split; remove them, or this key";
        return Err(s.error(key, message));
    }
    if s.is_table("masks") {
        let message = format!(
            "expected {MASKS} in quotes, found a table; of source = \"masks\" the rest is data.names and data.ignored"
        );
        return Err(s.error("masks", message));
    }
    let [images, masks] = match split {
        true => [None, None],
        false => [Some(keys::images(s)?), Some(PathBuf::from(s.required("masks", MASKS)?))],
    };
    let suffix = |key| Ok::<_, Error>(s.text(key, "what the names end in")?.unwrap_or_default());
    let [val_fraction, test_fraction] = keys::fractions(s)?;
    let names = keys::names(s)?;
    let masks = Masks {
        images,
        masks,
        train,
        val,
        test,
        ignored: Ignored::read(s, &names)?,
        names,
        image_suffix: suffix("image_suffix")?,
        mask_suffix: suffix("mask_suffix")?,
        val_fraction,
        test_fraction,
        sets: Sets::read(s)?,
        shared,
    };
    Source::new(&KIND, masks)
}

/// The folders of a split.
fn pair(s: &Section, key: &str) -> Result<Option<Pair>> {
    if !s.has(key) {
        return Ok(None);
    }
    let s = s.table(key)?;
    Ok(Some(Pair { images: keys::images(&s)?, masks: s.required("masks", MASKS)?.into() }))
}

/// Images and masks.
type Folders = (PathBuf, PathBuf);

impl Masks {
    /// Where the images and masks of each split lie.
    fn folders(&self, run: &RunData) -> Result<[Option<Folders>; 3]> {
        let (Some(images), Some(masks)) = (&self.images, &self.masks) else {
            let below = |pair: &Pair| (run.root.join(&pair.images), run.root.join(&pair.masks));
            return Ok([&self.train, &self.val, &self.test].map(|pair| pair.as_ref().map(below)));
        };
        let (images, masks) = (run.root.join(images), run.root.join(masks));
        let own = if self.sets.is_some() { [None, None, None] } else { folder::splits(&images)? };
        if own.iter().all(Option::is_none) {
            return Ok([Some((images, masks)), None, None]);
        }
        let flat = folder::files(&images).iter().any(|path| folder::is_image(path));
        if let (true, Some(split)) = (flat, own.iter().flatten().next()) {
            let message = format!(
                "lies beside images, so nobody can tell which images it is a split of; move those into {}, or name the folders in \
                 data.train, data.val and data.test",
                images.join("train").display()
            );
            return Err(Error::data(split, "", message));
        }
        if own[0].is_none() {
            let message = "no such folder, but there are folders of other splits beside it";
            return Err(Error::data(images.join("train"), "", message));
        }
        // Masks of all splits may lie together.
        let together = folder::splits(&masks)?.iter().all(Option::is_none);
        let of = |images: PathBuf| {
            let below = masks.join(images.file_name().unwrap_or_default());
            match (together, below.is_dir()) {
                (true, _) => Ok((images, masks.clone())),
                (false, true) => Ok((images, below)),
                (false, false) => {
                    let message = format!(
                        "no such folder; expected the masks of {}. Add them, or name the folders of the other splits in data.train, data.val \
                         and data.test",
                        images.display()
                    );
                    Err(Error::data(below, "", message))
                }
            }
        };
        let [train, val, test] = own.map(|images| images.map(of).transpose());
        Ok([train?, val?, test?])
    }

    /// The images of each split with their masks.
    fn pairs(&self, run: &RunData) -> Result<[Option<Paired>; 3]> {
        let (others, on_error) = (self.shared.beside_images(run), self.shared.on_error);
        let suffixes = [self.image_suffix.as_str(), self.mask_suffix.as_str()];
        let of = |(images, masks): Folders| MaskPairs::new(&images, &masks, suffixes, &others);
        let places = self.folders(run)?.map(|folders| folders.map(of));
        if let (Some(sets), [Some(place), ..]) = (&self.sets, &places) {
            let read = |list: PathBuf| place.listed(&list, on_error);
            let [train, val, test] = sets.files(run).map(|list| list.map(read).transpose());
            // Lists leave images and masks out on purpose.
            return Ok([train?, val?, test?]);
        }
        let [train, val, test] = places.each_ref().map(|place| place.as_ref().map(|p| p.all(on_error)).transpose());
        let mut all = [train?, val?, test?];
        let mut used: BTreeSet<PathBuf> =
            all.iter().flatten().flat_map(|p| p.masks.values()).map(|mask| identity(mask)).collect();
        for (place, found) in places.iter().flatten().zip(all.iter_mut().flatten()) {
            let unused = place.unused(&used);
            // Splits may share a folder.
            used.extend(unused.iter().map(|one| identity(&one.path)));
            found.skipped.extend(unused);
        }
        Ok(all)
    }
}

impl SourceOptions for Masks {
    fn shared(&self) -> Option<&ObjectOptions> {
        Some(&self.shared)
    }

    /// As folders or lists have split it; what is not split is cut.
    fn load(&self, run: &RunData) -> Result<Dataset> {
        let names = self.names.read(run)?;
        let mut ignored = Ignored::values(&self.ignored, &names, "data.ignored")?;
        if !names.contains_key(&u32::from(IGNORED)) {
            ignored.push(IGNORED);
        }
        let (mut masks, mut skipped) = (HashMap::new(), Vec::new());
        let parts = self.pairs(run)?.map(|part| {
            part.map(|part| {
                masks.extend(part.masks);
                skipped.extend(part.skipped);
                part.images
            })
        });
        let folder = self.masks.as_deref().or(self.train.as_ref().map(|pair| pair.masks.as_path()));
        let folder = run.root.join(folder.unwrap_or(Path::new("")));
        let files = objects::MaskFiles { folder, names, ignored, paired: Some(masks) };
        let options = objects::Options { masks: objects::Masks::Files(files), ..self.shared.options(run)? };
        skipped.extend(unused(None, parts.iter().flatten().flatten(), &skipped, &options));
        let parts = listed(run, parts, &options, &mut skipped)?;
        let parts = complete(parts, [self.val_fraction, self.test_fraction], run.split_seed)?;
        limited(run, (&[], skipped), parts, &self.shared.limit, &options)
    }

    fn look(&self, files: &Files) -> Result<()> {
        for (key, pair) in [("train", &self.train), ("val", &self.val), ("test", &self.test)] {
            if let Some(pair) = pair {
                files.folder(&[key, "images"], &pair.images)?;
                files.folder(&[key, "masks"], &pair.masks)?;
            }
        }
        for (key, path) in [("images", &self.images), ("masks", &self.masks)] {
            path.as_ref().map_or(Ok(()), |path| files.folder(&[key], path))?;
        }
        self.names.look(&["names"], files)?;
        self.sets.as_ref().map_or(Ok(()), |sets| sets.look(files))?;
        self.shared.look(files)
    }
}
