//! Keys of `[data]` that several sources share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use toml::Value;

use crate::data::Limits;
use crate::data::compose::Samples;
use crate::data::formats::image::{MAX_PIXELS, MAX_PIXELS_ALONE};
use crate::data::formats::names as names_file;
use crate::data::formats::objects::TaskChoice;
use crate::settings::{Files, KeyText, NOT_SET, REQUIRED, Section};
use crate::{Error, Result};

use super::RunData;

const COUNT: &str = "a whole number of at least 1";

/// Keys of `limit`.
pub(super) const LIMITS: &[KeyText] = &[
    KeyText::new("train", COUNT, NOT_SET, "Use only so many training images."),
    KeyText::new("val", COUNT, NOT_SET, "Use only so many validation images."),
    KeyText::new("test", COUNT, NOT_SET, "Use only so many test images."),
];
pub(super) const IGNORED: KeyText = KeyText::new(
    "ignored",
    "a list of values from 0 to 255, or of class names",
    "[]",
    "Pixels that have no class, by their value or its name, beside 255.",
);
/// Keys of `masks`.
pub(super) const MASKS: &[KeyText] = &[
    KeyText::new(
        "folder",
        "a folder below data.root",
        REQUIRED,
        "PNG files named as the images, whose values number classes.",
    ),
    KeyText::new("names", NAMES, REQUIRED, "The classes by value, from 0 on."),
    IGNORED,
];

pub(super) const SIZE: KeyText = KeyText::new(
    "size",
    "[height, width], each from 16 to 4096",
    REQUIRED,
    "The canvas on which every image is put, its proportions kept.",
);
pub(super) const CHANNELS: KeyText = KeyText::new("channels", "1 or 3", "3", "1: grey; 3: RGB.");
pub(super) const MAX_PIXELS_KEY: KeyText = KeyText::new(
    "max_pixels",
    "a whole number from 1 to 268435456",
    "67108864",
    "Pixels of the largest image: one whose header claims more is not decoded, which would take that memory on each core.",
);
pub(super) const IMAGES: KeyText =
    KeyText::new("images", "a folder below data.root", REQUIRED, "The folder of the images.");
pub(super) const ON_ERROR: KeyText = KeyText::new(
    "on_error",
    "\"fail\" or \"skip\"",
    "\"fail\"",
    "What is done with images and annotations that cannot be used.",
);
pub(super) const LIMIT: KeyText =
    KeyText::new("limit", "a table", NOT_SET, "Use only so many images of each split: [data.limit].");
pub(super) const SAMPLES: KeyText =
    KeyText::new("samples", "a table", "as below", "How many images are made for each split: [data.samples].");
pub(super) const VAL_FRACTION: KeyText = KeyText::new(
    "val_fraction",
    "a fraction between 0 and 1",
    "0.1",
    "Part of the images kept for validation, where the data have no validation split of their own.",
);
pub(super) const TEST_FRACTION: KeyText = KeyText::new(
    "test_fraction",
    "a fraction between 0 and 1",
    "0.1",
    "Part of the images kept for the test, where the data have no test split of their own.",
);
/// `task`, called so where nothing is written.
pub(super) const fn task_text(default: &'static str) -> KeyText {
    KeyText::new("task", "a name of letters, digits, `-` and `_`", default, "The task's name.")
}
pub(super) const CLASSES: KeyText = KeyText::new(
    "classes",
    "a list of names",
    NOT_SET,
    "Names of the classes; every name that occurs, sorted, where absent (IDX: numbers).",
);

/// What can be asked where only boxes are known.
pub(super) const BOXES: [(&str, TaskChoice); 2] = [("boxes", TaskChoice::Boxes), ("count", TaskChoice::Count)];

/// Names of classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Names {
    /// A YAML file with `names:`, relative to `data.root`.
    File(PathBuf),
    /// The names themselves, from 0 on.
    List(Vec<String>),
    /// The names by their numbers.
    Table(BTreeMap<String, String>),
}

/// What `names` may be.
pub(super) const NAMES: &str = "a YAML file with `names:`, a list of names, or a table: NUMBER = a name";

impl Names {
    /// The classes by number.
    pub(super) fn read(&self, run: &RunData) -> Result<BTreeMap<u32, String>> {
        match self {
            Names::File(path) => names_file::read(&run.root.join(path)),
            Names::List(list) => Ok((0..).zip(list.iter().cloned()).collect()),
            // Found to be numbers when they were read.
            Names::Table(table) => {
                Ok(table.iter().filter_map(|(n, name)| Some((n.parse().ok()?, name.clone()))).collect())
            }
        }
    }

    /// Refuses a missing file of names.
    pub(super) fn look(&self, key: &[&str], files: &Files) -> Result<()> {
        match self {
            Names::File(path) => files.file(key, path),
            Names::List(_) | Names::Table(_) => Ok(()),
        }
    }

    /// The names, where they are written in the run's file.
    fn written(&self) -> Option<Vec<&str>> {
        match self {
            Names::File(_) => None,
            Names::List(list) => Some(list.iter().map(String::as_str).collect()),
            Names::Table(table) => Some(table.values().map(String::as_str).collect()),
        }
    }
}

/// Pixels without a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Ignored {
    /// Those of this value.
    Value(u8),
    /// Those of the value, or values, of this name.
    Name(String),
}

impl Ignored {
    /// `ignored`, of classes with these names.
    pub(super) fn read(s: &Section, names: &Names) -> Result<Vec<Self>> {
        let one = |v: &Value| match v {
            Value::String(name) => Some(Ignored::Name(name.clone())),
            _ => v.as_integer().and_then(|i| u8::try_from(i).ok()).map(Ignored::Value),
        };
        let what = "a list of values from 0 to 255, or of class names in quotes";
        let all = s.list("ignored", what, one)?.unwrap_or_default();
        if let Some(names) = names.written() {
            for (i, one) in all.iter().enumerate() {
                if let Ignored::Name(name) = one
                    && !names.contains(&name.as_str())
                {
                    let message = format!("{name:?} is none of the names: {}", names.join(", "));
                    return Err(s.element_error("ignored", i, message));
                }
            }
        }
        Ok(all)
    }

    /// The values; `key` is only named in errors.
    pub(super) fn values(all: &[Self], names: &BTreeMap<u32, String>, key: &str) -> Result<Vec<u8>> {
        let mut values = Vec::new();
        for one in all {
            match one {
                Ignored::Value(value) => values.push(*value),
                Ignored::Name(name) => {
                    let own = || names.iter().filter(|(_, own)| *own == name);
                    if own().next().is_none() {
                        let names = names.values().map(String::as_str).collect::<Vec<_>>().join(", ");
                        return Err(Error::Invalid(format!("{key}: {name:?} is none of the names: {names}")));
                    }
                    values.extend(own().filter_map(|(value, _)| u8::try_from(*value).ok()));
                }
            }
        }
        Ok(values)
    }
}

/// Masks in files of their own: PNG images whose values number classes, each named as the image it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct MasksOptions {
    /// Their folder, relative to `data.root`.
    pub folder: PathBuf,
    /// The classes by value.
    pub names: Names,
    /// Pixels that have no class, beside those of 255.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
}

impl MasksOptions {
    /// Refuses a missing folder, or a missing file of names.
    pub(super) fn look(&self, files: &Files) -> Result<()> {
        self.names.look(&["masks", "names"], files)?;
        files.folder(&["masks", "folder"], &self.folder)
    }
}

/// Depth maps in files of their own, each named as the image it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DepthOptions {
    /// Their folder, relative to `data.root`.
    pub folder: PathBuf,
    /// Metres that a 1 in a file stands for; of PNG files 0.001 and of `.npy` files 1 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<f64>,
}

/// `depth`: depth maps in files of their own, for a source of these tasks.
pub(super) fn depth(s: &Section, tasks: &[TaskChoice]) -> Result<Option<DepthOptions>> {
    match (s.has("depth"), tasks.contains(&TaskChoice::Depth)) {
        (false, false) => return Ok(None),
        (true, true) => {}
        (true, false) => {
            let message =
                "data.depth is set, but no task uses depth; add \"depth\" to data.tasks, or remove data.depth";
            return Err(s.error("depth", message));
        }
        (false, true) => {
            let message = "the task \"depth\" needs files: add [data.depth] with the folder of the depth maps";
            return Err(s.error("tasks", message));
        }
    }
    let s = s.table("depth")?;
    let what = "\"mm\", \"m\", or the metres that a 1 in a file stands for, such as 0.00390625";
    let unit = match s.text_or_number("unit", what)? {
        None => None,
        Some(Err(number)) if number > 0.0 => Some(number),
        Some(Ok("mm")) => Some(0.001),
        Some(Ok("m")) => Some(1.0),
        Some(other) => {
            let found = other.map_or_else(|number| number.to_string(), |text| format!("{text:?}"));
            return Err(s.error("unit", format!("expected {what}, found {found}")));
        }
    };
    Ok(Some(DepthOptions {
        folder: s.required("folder", "the folder of the depth maps below data.root")?.into(),
        unit,
    }))
}

/// `tasks`: what is asked, among `all` by name; `usual` where nothing is written.
pub(super) fn chosen_tasks<Q: Copy + PartialEq>(s: &Section, all: &[(&'static str, Q)], usual: &[Q]) -> Result<Vec<Q>> {
    let names: Vec<String> = all.iter().map(|(name, _)| format!("{name:?}")).collect();
    let what = format!("a list of different tasks among {}", names.join(", "));
    let find = |v: &Value| all.iter().find(|(name, _)| Some(*name) == v.as_str()).map(|(_, q)| *q);
    let Some(found) = s.list("tasks", &what, find)? else { return Ok(usual.to_vec()) };
    if let Some(i) = (1..found.len()).find(|i| found[..*i].contains(&found[*i])) {
        let name = all.iter().find(|(_, q)| *q == found[i]).map_or("", |(name, _)| name);
        return Err(s.element_error("tasks", i, format!("{name:?} is listed twice; remove the second")));
    }
    if found.is_empty() {
        return Err(s.error("tasks", format!("expected {what}, found an empty list")));
    }
    Ok(found)
}

/// `names`: a YAML file, or the names.
pub(super) fn names(s: &Section) -> Result<Names> {
    let what = "a YAML file with `names:` below data.root, a list of class names in quotes, or a table such as { 0 = \"cat\", 7 = \"dog\" }";
    if s.is_table("names") {
        let table = s.table("names")?;
        let one = |number: &str| {
            // One way to write each number: two names of one would hide each other.
            if number.parse::<u32>().is_ok_and(|n| n.to_string() == number) {
                return Ok((number.to_string(), table.required(number, "a class name")?));
            }
            Err(table.error(number, format!("expected the number of a class, such as 0 or 255, found {number:?}")))
        };
        let all = table.keys().map(one).collect::<Result<BTreeMap<_, _>>>()?;
        let empty = s.error("names", format!("expected {what}, found an empty table"));
        return if all.is_empty() { Err(empty) } else { Ok(Names::Table(all)) };
    }
    if s.is_list("names") {
        let list = s.list("names", what, |v| v.as_str().map(str::to_string))?.unwrap_or_default();
        let empty = s.error("names", format!("expected {what}, found an empty list"));
        return if list.is_empty() { Err(empty) } else { Ok(Names::List(list)) };
    }
    Ok(Names::File(s.required("names", what)?.into()))
}

/// `masks`: masks in files of their own, for a source of these tasks.
pub(super) fn masks(s: &Section, tasks: &[TaskChoice]) -> Result<Option<MasksOptions>> {
    if !s.has("masks") {
        return Ok(None);
    }
    if !tasks.contains(&TaskChoice::Mask) {
        let message = "data.masks is set, but no task uses masks; add \"mask\" to data.tasks, or remove data.masks";
        return Err(s.error("masks", message));
    }
    let s = s.table("masks")?;
    let folder = s.required("folder", "the folder of the .png masks below data.root")?.into();
    let names = names(&s)?;
    Ok(Some(MasksOptions { folder, ignored: Ignored::read(&s, &names)?, names }))
}

/// `images`: the folder of the images.
pub(super) fn images(s: &Section) -> Result<PathBuf> {
    s.required("images", "the folder of the images below data.root").map(PathBuf::from)
}

/// `size`: the canvas on which every image is put.
pub(super) fn canvas(s: &Section) -> Result<[usize; 2]> {
    s.size("size", None, 16, 4096)
}

/// `max_pixels`.
pub(super) fn max_pixels(s: &Section) -> Result<usize> {
    s.integer("max_pixels", MAX_PIXELS, 1, MAX_PIXELS_ALONE)
}

/// Whether nobody has to write it.
pub(super) fn is_usual(max_pixels: &usize) -> bool {
    *max_pixels == MAX_PIXELS
}

/// `channels`.
pub(super) fn channels(s: &Section) -> Result<usize> {
    match s.integer("channels", 3, 1, 3)? {
        2 => Err(s.error("channels", "expected 1 (grey) or 3 (RGB), found 2; without the key it is 3")),
        channels => Ok(channels),
    }
}

/// `samples`: how many images are made for each split.
pub(super) fn samples(s: &Section, [train, val, test]: [usize; 3]) -> Result<Samples> {
    let s = s.table("samples")?;
    let of = |key, default| s.integer(key, default, 1, usize::MAX);
    Ok(Samples { train: of("train", train)?, val: of("val", val)?, test: of("test", test)? })
}

/// `limit`: how many images of each split are used at most.
pub(super) fn limit(s: &Section) -> Result<Limits> {
    let s = s.table("limit")?;
    let of = |key| s.optional_integer(key, None, 1, usize::MAX);
    Ok(Limits { train: of("train")?, val: of("val")?, test: of("test")? })
}

/// `val_fraction`.
pub(super) fn val_fraction(s: &Section) -> Result<f64> {
    fraction(s, "val_fraction")
}

/// `val_fraction` and `test_fraction`, of images that nobody has split.
pub(super) fn fractions(s: &Section) -> Result<[f64; 2]> {
    let both = [val_fraction(s)?, fraction(s, "test_fraction")?];
    let sum: f64 = both.iter().sum();
    if sum >= 1.0 {
        let message = format!(
            "with data.val_fraction this takes {sum} of the images and leaves none to learn from; lower one of the two"
        );
        return Err(s.error("test_fraction", message));
    }
    Ok(both)
}

fn fraction(s: &Section, key: &str) -> Result<f64> {
    s.number(key, 0.1, "a fraction between 0 and 1", |x| x > 0.0 && x < 1.0)
}

/// Whether a task may be called so: task names become file names and parts of `teacher/<task>`.
pub(super) fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// `task`: the name of the only task.
pub(super) fn task_name(s: &Section, default: &str) -> Result<String> {
    let what = "a task name of letters, digits, `-` and `_`";
    let name = s.text("task", what)?.unwrap_or_else(|| default.to_string());
    if is_plain(&name) { Ok(name) } else { Err(s.error("task", format!("expected {what}, found {name:?}"))) }
}
