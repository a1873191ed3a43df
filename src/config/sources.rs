//! `[data]`: from the file's table to its source, one arm a source.

use super::read::{Choice, Section};
use super::*;
use crate::data::formats::objects;
use crate::data::formats::table::{self, Column};
use crate::data::scenes::SceneTask;
use toml::Value;

const MANY: usize = usize::MAX;

impl Choice for EvaluateOn {
    const WORDS: &'static [(&'static str, Self)] = &[("image", Self::Image), ("canvas", Self::Canvas)];
}
impl Choice for OnError {
    const WORDS: &'static [(&'static str, Self)] = &[("fail", Self::Fail), ("skip", Self::Skip)];
}
/// The sources' names with the keys that only they understand.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Digits,
    Pair,
    Idx,
    Folder,
    Scenes,
    Coco,
    Voc,
    Yolo,
    Panoptic,
    Csv,
}
impl Choice for Kind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("digits", Self::Digits),
        ("pair", Self::Pair),
        ("idx", Self::Idx),
        ("folder", Self::Folder),
        ("scenes", Self::Scenes),
        ("coco", Self::Coco),
        ("voc", Self::Voc),
        ("yolo", Self::Yolo),
        ("panoptic", Self::Panoptic),
        ("csv", Self::Csv),
    ];
}
/// What can be asked where only boxes are known.
const BOXES: [(&str, objects::TaskChoice); 2] =
    [("boxes", objects::TaskChoice::Boxes), ("count", objects::TaskChoice::Count)];
const OWN_KEYS: &[(&str, &[Kind])] = &[
    ("canvas", &[Kind::Digits, Kind::Pair]),
    ("samples", &[Kind::Digits, Kind::Pair, Kind::Scenes]),
    ("first", &[Kind::Pair]),
    ("second", &[Kind::Pair]),
    ("files", &[Kind::Idx]),
    ("folder", &[Kind::Folder]),
    ("size", &[Kind::Folder, Kind::Scenes, Kind::Coco, Kind::Voc, Kind::Yolo, Kind::Csv, Kind::Panoptic]),
    ("objects", &[Kind::Scenes]),
    ("tasks", &[Kind::Scenes, Kind::Coco, Kind::Voc, Kind::Yolo, Kind::Panoptic]),
    ("images", &[Kind::Coco, Kind::Voc, Kind::Yolo, Kind::Csv, Kind::Panoptic]),
    ("labels", &[Kind::Yolo]),
    ("file", &[Kind::Csv]),
    ("image", &[Kind::Csv]),
    ("group", &[Kind::Csv]),
    ("unknown", &[Kind::Csv]),
    ("columns", &[Kind::Csv]),
    ("names", &[Kind::Yolo]),
    ("masks", &[Kind::Coco, Kind::Voc, Kind::Yolo]),
    ("annotations", &[Kind::Voc, Kind::Panoptic]),
    ("segments", &[Kind::Panoptic]),
    ("sets", &[Kind::Voc]),
    ("classes", &[Kind::Voc]),
    ("train", &[Kind::Coco]),
    ("val", &[Kind::Coco]),
    ("test", &[Kind::Coco]),
    ("on_error", &[Kind::Coco, Kind::Voc, Kind::Yolo, Kind::Csv, Kind::Panoptic]),
    ("evaluate_on", &[Kind::Coco, Kind::Voc, Kind::Yolo, Kind::Panoptic]),
    ("also", &[Kind::Folder]),
    ("channels", &[Kind::Folder, Kind::Coco, Kind::Voc, Kind::Yolo, Kind::Csv, Kind::Panoptic]),
    ("task", &[Kind::Folder]),
    ("val_fraction", &[Kind::Pair, Kind::Idx, Kind::Folder, Kind::Voc, Kind::Yolo, Kind::Csv, Kind::Panoptic]),
    ("test_fraction", &[Kind::Folder, Kind::Voc, Kind::Yolo, Kind::Csv, Kind::Panoptic]),
    ("limit", &[Kind::Idx, Kind::Folder, Kind::Coco, Kind::Voc, Kind::Yolo, Kind::Panoptic]),
];

pub(super) fn data(s: &Section) -> Result<DataConfig> {
    let kind = s.choice("source", Kind::Digits)?;
    let word =
        |kind: &Kind| Kind::WORDS.iter().find(|(_, k)| k == kind).map(|(w, _)| format!("{w:?}")).unwrap_or_default();
    if let Some((key, kinds)) = OWN_KEYS.iter().find(|(key, kinds)| s.has(key) && !kinds.contains(&kind)) {
        let owners: Vec<String> = kinds.iter().map(word).collect();
        let owners = super::read::either(&owners);
        let message = format!("has no meaning for source = {}; remove it, or set data.source = {owners}", word(&kind));
        return Err(s.error(key, message));
    }
    let source = match kind {
        Kind::Digits => Source::Digits(DigitsSource {
            canvas: s.size("canvas", Some([12, 12]), 8, 256)?,
            samples: samples(&s.table("samples")?, Samples { train: 4000, val: 800, test: 1500 })?,
        }),
        Kind::Pair => Source::Pair(PairSource {
            canvas: s.size("canvas", Some([36, 36]), 1, 1024)?,
            samples: samples(&s.table("samples")?, Samples { train: 54_000, val: 6_000, test: 10_000 })?,
            val_fraction: fraction(s, "val_fraction")?,
            first: idx_files(&s.table("first")?, "first")?,
            second: idx_files(&s.table("second")?, "second")?,
        }),
        Kind::Idx => Source::Idx(IdxSource {
            val_fraction: fraction(s, "val_fraction")?,
            limit: limit(&s.table("limit")?)?,
            files: idx_files(&s.table("files")?, "label")?,
        }),
        Kind::Scenes => Source::Scenes(ScenesSource {
            size: s.size("size", Some([64, 64]), 16, 4096)?,
            samples: samples(&s.table("samples")?, Samples { train: 1600, val: 200, test: 400 })?,
            objects: s.integer("objects", 4, 1, 100)?,
            tasks: questions(s, &SceneTask::ALL, &[SceneTask::Class, SceneTask::Mask, SceneTask::Count])?,
        }),
        Kind::Coco => {
            let file = |key| s.required(key, "a file of COCO instances below data.root").map(PathBuf::from);
            Source::Coco(CocoSource {
                images: s.required("images", "the folder of the images below data.root")?.into(),
                train: file("train")?,
                val: file("val")?,
                test: file("test")?,
                size: s.size("size", None, 16, 4096)?,
                channels: channels(s)?,
                tasks: questions(s, &objects::TaskChoice::ALL, &objects::TaskChoice::ALL.map(|(_, q)| q))?,
                on_error: s.choice("on_error", OnError::Fail)?,
                masks: masks(s)?,
                limit: limit(&s.table("limit")?)?,
            })
        }
        Kind::Voc => Source::Voc(VocSource {
            images: s.required("images", "the folder of the images below data.root")?.into(),
            annotations: s.required("annotations", "the folder of the .xml files below data.root")?.into(),
            classes: s.list("classes", "a list of class names in quotes", |v| v.as_str().map(str::to_string))?,
            size: s.size("size", None, 16, 4096)?,
            channels: channels(s)?,
            val_fraction: fraction(s, "val_fraction")?,
            test_fraction: fraction(s, "test_fraction")?,
            // There are no outlines to draw a mask from.
            tasks: match s.has("masks") {
                true => questions(s, &objects::TaskChoice::ALL, &objects::TaskChoice::ALL.map(|(_, q)| q))?,
                false => questions(s, &BOXES, &BOXES.map(|(_, q)| q))?,
            },
            on_error: s.choice("on_error", OnError::Fail)?,
            masks: masks(s)?,
            sets: sets(s)?,
            limit: limit(&s.table("limit")?)?,
        }),
        Kind::Yolo => Source::Yolo(YoloSource {
            images: s.required("images", "the folder of the images below data.root")?.into(),
            labels: s.required("labels", "the folder of the .txt files below data.root")?.into(),
            names: names(s)?,
            size: s.size("size", None, 16, 4096)?,
            channels: channels(s)?,
            val_fraction: fraction(s, "val_fraction")?,
            test_fraction: fraction(s, "test_fraction")?,
            // There may be outlines, but most label boxes alone.
            tasks: match s.has("masks") {
                true => questions(s, &objects::TaskChoice::ALL, &objects::TaskChoice::ALL.map(|(_, q)| q))?,
                false => questions(s, &objects::TaskChoice::ALL, &BOXES.map(|(_, q)| q))?,
            },
            on_error: s.choice("on_error", OnError::Fail)?,
            masks: masks(s)?,
            limit: limit(&s.table("limit")?)?,
        }),
        Kind::Panoptic => Source::Panoptic(PanopticSource {
            images: s.required("images", "the folder of the images below data.root")?.into(),
            annotations: s.required("annotations", "a file of panoptic annotations below data.root")?.into(),
            segments: s.required("segments", "the folder of the segments' .png files below data.root")?.into(),
            size: s.size("size", None, 16, 4096)?,
            channels: channels(s)?,
            val_fraction: fraction(s, "val_fraction")?,
            test_fraction: fraction(s, "test_fraction")?,
            tasks: questions(s, &objects::TaskChoice::ALL, &objects::TaskChoice::ALL.map(|(_, q)| q))?,
            on_error: s.choice("on_error", OnError::Fail)?,
            limit: limit(&s.table("limit")?)?,
        }),
        Kind::Csv => Source::Csv(CsvSource {
            file: s.required("file", "a CSV file below data.root")?.into(),
            images: s.required("images", "the folder of the images below data.root")?.into(),
            image: s.text("image", "the column of the images' names")?.unwrap_or_else(|| "image".into()),
            group: s.text("group", "a column")?,
            unknown: s
                .list("unknown", "a list of values in quotes", |v| v.as_str().map(str::to_string))?
                .unwrap_or_default(),
            size: s.size("size", None, 16, 4096)?,
            channels: channels(s)?,
            val_fraction: fraction(s, "val_fraction")?,
            test_fraction: fraction(s, "test_fraction")?,
            on_error: s.choice("on_error", OnError::Fail)?,
            columns: columns(&s.table("columns")?)?,
        }),
        Kind::Folder => Source::Folder(FolderSource {
            folder: s.required("folder", "a folder with train/<class>/ inside")?.into(),
            task: task_name(s, "class")?,
            also: also(s)?,
            size: s.size("size", None, 1, 1024)?,
            channels: channels(s)?,
            val_fraction: fraction(s, "val_fraction")?,
            test_fraction: fraction(s, "test_fraction")?,
            limit: limit(&s.table("limit")?)?,
        }),
    };
    let labelled = s.table("labelled")?;
    let names = |key| s.list(key, "a list of task names in quotes", |v| v.as_str().map(str::to_string));
    Ok(DataConfig {
        root: s.text("root", "a folder")?.unwrap_or_else(|| ".".into()).into(),
        split_seed: s.integer("split_seed", 0, 0, i64::MAX as usize)? as u64,
        flip_invariant: names("flip_invariant")?.unwrap_or_default(),
        crop_invariant: names("crop_invariant")?.unwrap_or_default(),
        disjoint: s.flag("disjoint", false)?,
        evaluate_on: s.choice("evaluate_on", EvaluateOn::Image)?,
        labelled: labelled
            .keys()
            .map(|task| {
                let part = |x: f64| x > 0.0 && x <= 1.0;
                Ok((task.to_string(), labelled.number(task, 1.0, "a part of the labels above 0 and at most 1", part)?))
            })
            .collect::<Result<_>>()?,
        source,
    })
}

/// `tasks`: what is asked, among `all` by name; `usual` where nothing is written.
fn questions<Q: Copy + PartialEq>(s: &Section, all: &[(&'static str, Q)], usual: &[Q]) -> Result<Vec<Q>> {
    let names: Vec<String> = all.iter().map(|(name, _)| format!("{name:?}")).collect();
    let what = format!("a list of different tasks among {}", names.join(", "));
    let find = |v: &Value| all.iter().find(|(name, _)| Some(*name) == v.as_str()).map(|(_, q)| *q);
    let Some(found) = s.list("tasks", &what, find)? else { return Ok(usual.to_vec()) };
    if let Some(i) = (1..found.len()).find(|i| found[..*i].contains(&found[*i])) {
        let name = all.iter().find(|(_, q)| *q == found[i]).map_or("", |(name, _)| name);
        return Err(s.element_error("tasks", i, format!("{name:?} stands twice; remove the second")));
    }
    if found.is_empty() {
        return Err(s.error("tasks", format!("expected {what}, found an empty list")));
    }
    Ok(found)
}

impl Choice for Column {
    const WORDS: &'static [(&'static str, Self)] =
        &[("class", Self::Class), ("attribute", Self::Attribute), ("number", Self::Number)];
}

/// `columns`: what each column to be learnt holds. Columns of classes and numbers lend their names to tasks.
fn columns(s: &Section) -> Result<BTreeMap<String, Column>> {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let mut columns = BTreeMap::new();
    for name in s.keys() {
        let column = s.choice(name, Column::Class)?;
        if column != Column::Attribute && (!plain(name) || name == table::ATTRIBUTES) {
            let message = format!("a task cannot be named {name:?}; rename the column to letters, digits, `-` and `_`");
            return Err(s.error(name, message));
        }
        columns.insert(name.to_string(), column);
    }
    if columns.is_empty() {
        let message =
            "is missing: expected a table that says what each column to be learnt holds, such as `kind = \"class\"`";
        return Err(s.own_error(message));
    }
    Ok(columns)
}

/// `names`: a YAML file, or the names.
fn names(s: &Section) -> Result<Names> {
    let what = "a YAML file with `names:` below data.root, or a list of class names in quotes";
    if s.is_list("names") {
        let list = s.list("names", what, |v| v.as_str().map(str::to_string))?.unwrap_or_default();
        let empty = s.error("names", format!("expected {what}, found an empty list"));
        return if list.is_empty() { Err(empty) } else { Ok(Names::List(list)) };
    }
    Ok(Names::File(s.required("names", what)?.into()))
}

/// `masks`: masks in files of their own.
fn masks(s: &Section) -> Result<Option<MasksConfig>> {
    if !s.has("masks") {
        return Ok(None);
    }
    let s = s.table("masks")?;
    let value = |v: &Value| v.as_integer().and_then(|i| u8::try_from(i).ok());
    Ok(Some(MasksConfig {
        folder: s.required("folder", "the folder of the .png masks below data.root")?.into(),
        names: names(&s)?,
        ignored: s.list("ignored", "a list of values from 0 to 255", value)?.unwrap_or_default(),
    }))
}

/// `sets`: lists of images.
fn sets(s: &Section) -> Result<Option<SetsConfig>> {
    if !s.has("sets") {
        return Ok(None);
    }
    let s = s.table("sets")?;
    let file =
        |key| Ok(s.text(key, "a text file below data.root, such as \"ImageSets/Main/val.txt\"")?.map(PathBuf::from));
    Ok(Some(SetsConfig {
        train: s.required("train", "a text file below data.root that names an image in each line")?.into(),
        val: file("val")?,
        test: file("test")?,
    }))
}

/// `also`: folders by the names of their tasks.
fn also(s: &Section) -> Result<BTreeMap<String, PathBuf>> {
    let table = s.table("also")?;
    let own = task_name(s, "class")?;
    let one = |task: &str| {
        let plain = task.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !plain || task == own {
            let message = format!("expected another task's name of letters, digits, `-` and `_`, found {task:?}");
            return Err(table.error(task, message));
        }
        Ok((task.to_string(), table.required(task, "a folder with train/<class>/ inside")?.into()))
    };
    table.keys().map(one).collect()
}

fn channels(s: &Section) -> Result<usize> {
    match s.integer("channels", 3, 1, 3)? {
        2 => Err(s.error("channels", "expected 1 (grey) or 3 (RGB), found 2; without the key it is 3")),
        channels => Ok(channels),
    }
}

fn samples(s: &Section, default: Samples) -> Result<Samples> {
    Ok(Samples {
        train: s.integer("train", default.train, 1, MANY)?,
        val: s.integer("val", default.val, 1, MANY)?,
        test: s.integer("test", default.test, 1, MANY)?,
    })
}

fn limit(s: &Section) -> Result<Limit> {
    let of = |key| s.optional_integer(key, None, 1, MANY);
    Ok(Limit { train: of("train")?, val: of("val")?, test: of("test")? })
}

fn fraction(s: &Section, key: &str) -> Result<f64> {
    s.number(key, 0.1, "a fraction between 0 and 1", |x| x > 0.0 && x < 1.0)
}

/// Task names become file names and parts of `teacher/<task>`.
fn task_name(s: &Section, default: &str) -> Result<String> {
    let what = "a task name of letters, digits, `-` and `_`";
    let name = s.text("task", what)?.unwrap_or_else(|| default.to_string());
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if plain { Ok(name) } else { Err(s.error("task", format!("expected {what}, found {name:?}"))) }
}

fn idx_files(s: &Section, default_task: &str) -> Result<IdxFiles> {
    let file = |key| s.required(key, "an IDX file (plain or .gz) below data.root").map(PathBuf::from);
    let classes = s.list("classes", "a list of class names in quotes", |v| v.as_str().map(str::to_string))?;
    if classes.as_ref().is_some_and(|c| c.len() < 2) {
        return Err(s.error("classes", "expected at least two class names; leave the key out to number the classes"));
    }
    Ok(IdxFiles {
        task: task_name(s, default_task)?,
        train_images: file("train_images")?,
        train_labels: file("train_labels")?,
        test_images: file("test_images")?,
        test_labels: file("test_labels")?,
        classes,
    })
}
