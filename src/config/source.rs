//! The sources of images in a run's file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::data::formats::{objects, table};
use crate::data::scenes::SceneTask;

/// The sources of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Source {
    /// The embedded digits, two overlapped on one canvas.
    Digits(DigitsSource),
    /// Two IDX sources on one canvas.
    Pair(PairSource),
    /// One IDX source.
    Idx(IdxSource),
    /// A folder of class folders.
    Folder(FolderSource),
    /// Drawn scenes.
    Scenes(ScenesSource),
    /// COCO's instances.
    Coco(CocoSource),
    /// Pascal VOC's annotations.
    Voc(VocSource),
    /// YOLO's labels.
    Yolo(YoloSource),
    /// COCO's panoptic annotations.
    Panoptic(PanopticSource),
    /// A table of labels.
    Csv(CsvSource),
}

/// Drawn scenes ([`crate::data::scenes`]): any size, any number, every kind of task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScenesSource {
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// How many are drawn for each split.
    pub samples: Samples,
    /// Objects in a scene at most.
    pub objects: usize,
    /// What is asked of them; each is a task of its own.
    pub tasks: Vec<SceneTask>,
}

/// Images with objects, annotated in COCO's form: boxes, and outlines as polygons or run lengths.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CocoSource {
    /// The folder of the images, relative to `data.root`.
    pub images: PathBuf,
    /// The file of the training images, relative to `data.root`.
    pub train: PathBuf,
    /// The file of the validation images.
    pub val: PathBuf,
    /// The file of the test images.
    pub test: PathBuf,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// What is asked of them; each is a task of its own.
    pub tasks: Vec<objects::TaskChoice>,
    /// What is done with images and annotations that cannot be used.
    pub on_error: OnError,
    /// Masks in files of their own; drawn from the objects' outlines where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<MasksConfig>,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limit::is_empty")]
    pub limit: Limit,
}

/// Images with objects, annotated in Pascal VOC's form: one XML file for each image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VocSource {
    /// The folder of the images, relative to `data.root`.
    pub images: PathBuf,
    /// The folder of the annotations, relative to `data.root`.
    pub annotations: PathBuf,
    /// Names of the classes; every name that occurs, sorted, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Part of the images kept for validation.
    pub val_fraction: f64,
    /// Part of the images kept for the test.
    pub test_fraction: f64,
    /// What is asked of them; each is a task of its own.
    pub tasks: Vec<objects::TaskChoice>,
    /// What is done with images and annotations that cannot be used.
    pub on_error: OnError,
    /// Masks in files of their own, such as those of `SegmentationClass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<MasksConfig>,
    /// Which images are for what; those of a part without a list are cut from the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<SetsConfig>,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limit::is_empty")]
    pub limit: Limit,
}

/// Lists of images, as in VOC's `ImageSets`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetsConfig {
    /// The training images.
    pub train: PathBuf,
    /// Those for validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<PathBuf>,
    /// Those for the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
}

/// Images with objects, labelled in YOLO's form: one text file for each image, boxes or polygons.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct YoloSource {
    /// The folder of the images, relative to `data.root`.
    pub images: PathBuf,
    /// The folder of the labels, relative to `data.root`.
    pub labels: PathBuf,
    /// The classes: a YAML file, relative to `data.root`, or their names from 0 on.
    pub names: Names,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Part of the images kept for validation.
    pub val_fraction: f64,
    /// Part of the images kept for the test.
    pub test_fraction: f64,
    /// What is asked of them; each is a task of its own.
    pub tasks: Vec<objects::TaskChoice>,
    /// What is done with images and labels that cannot be used.
    pub on_error: OnError,
    /// Masks in files of their own; drawn from the objects' outlines where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<MasksConfig>,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limit::is_empty")]
    pub limit: Limit,
}

/// Images every pixel of which is annotated in COCO's panoptic form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PanopticSource {
    /// The folder of the images, relative to `data.root`.
    pub images: PathBuf,
    /// The JSON file, relative to `data.root`.
    pub annotations: PathBuf,
    /// The folder of the PNG files whose colours number segments, relative to `data.root`.
    pub segments: PathBuf,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Part of the images kept for validation.
    pub val_fraction: f64,
    /// Part of the images kept for the test.
    pub test_fraction: f64,
    /// What is asked of them; each is a task of its own.
    pub tasks: Vec<objects::TaskChoice>,
    /// What is done with images and annotations that cannot be used.
    pub on_error: OnError,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limit::is_empty")]
    pub limit: Limit,
}

/// Images with a table of their labels: a CSV file, its first line the names of the columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CsvSource {
    /// The CSV file, relative to `data.root`.
    pub file: PathBuf,
    /// The folder of the images, relative to `data.root`.
    pub images: PathBuf,
    /// The column of their names, with or without the ending.
    pub image: String,
    /// A column whose equal values stay in one split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Values that mean that nothing is known, beside the empty one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Part of the images kept for validation.
    pub val_fraction: f64,
    /// Part of the images kept for the test.
    pub test_fraction: f64,
    /// What is done with rows and images that cannot be used.
    pub on_error: OnError,
    /// The columns to be learnt, and what each holds.
    pub columns: BTreeMap<String, table::Column>,
}

/// Names of classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Names {
    /// A YAML file with `names:`, relative to `data.root`.
    File(PathBuf),
    /// The names themselves, from 0 on.
    List(Vec<String>),
}

/// Masks in files of their own: PNG images whose values number classes, each named as the image it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MasksConfig {
    /// Their folder, relative to `data.root`.
    pub folder: PathBuf,
    /// The classes by value.
    pub names: Names,
    /// Values of pixels that have no class, beside 255.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<u8>,
}

/// What is done with what cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Nothing is learnt: the error is told.
    Fail,
    /// It is left out, counted and named.
    Skip,
}

/// The embedded 8x8 digits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DigitsSource {
    /// Height and width of the canvas in pixels.
    pub canvas: [usize; 2],
    /// How many images are composed for each split.
    pub samples: Samples,
}

/// Two IDX sources composed into images with two labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairSource {
    /// Height and width of the canvas in pixels.
    pub canvas: [usize; 2],
    /// How many images are composed for each split.
    pub samples: Samples,
    /// Part of each source's training images that is kept for validation.
    pub val_fraction: f64,
    /// The source at the top left.
    pub first: IdxFiles,
    /// The source at the bottom right.
    pub second: IdxFiles,
}

/// One IDX source with one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdxSource {
    /// Part of the training images that is kept for validation.
    pub val_fraction: f64,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limit::is_empty")]
    pub limit: Limit,
    /// The four files.
    pub files: IdxFiles,
}

/// `folder/train/<class>/*.png`, and `val` and `test` beside `train` where they exist.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FolderSource {
    /// The folder, relative to `data.root`.
    pub folder: PathBuf,
    /// The task's name.
    pub task: String,
    /// Further folders, each a task of its own: its images have no labels for the other tasks.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub also: BTreeMap<String, PathBuf>,
    /// Height and width to which every image is resized.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Part of `train` kept for validation where there is no `val`.
    pub val_fraction: f64,
    /// Part of `train` kept for the test where there is no `test`.
    pub test_fraction: f64,
    /// Use only so many images of each split.
    #[serde(skip_serializing_if = "Limit::is_empty")]
    pub limit: Limit,
}

/// The four IDX files of a source, plain or gzip-compressed; relative to `data.root`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdxFiles {
    /// The task's name.
    pub task: String,
    /// Images to learn from (and to validate on).
    pub train_images: PathBuf,
    /// Their labels.
    pub train_labels: PathBuf,
    /// Images to test on.
    pub test_images: PathBuf,
    /// Their labels.
    pub test_labels: PathBuf,
    /// Names of the classes; numbered where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

/// Images to compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Samples {
    /// For training.
    pub train: usize,
    /// For validation.
    pub val: usize,
    /// For the test.
    pub test: usize,
}

impl Source {
    /// How many images of each split are used at most, of sources that can be told so.
    pub fn limit(&self) -> Limit {
        match self {
            Source::Idx(s) => s.limit,
            Source::Folder(s) => s.limit,
            Source::Coco(s) => s.limit,
            Source::Voc(s) => s.limit,
            Source::Yolo(s) => s.limit,
            Source::Panoptic(s) => s.limit,
            Source::Digits(_) | Source::Pair(_) | Source::Scenes(_) | Source::Csv(_) => Limit::default(),
        }
    }
}

/// Images to use at most; `None` is all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// Of the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// Of the validation images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<usize>,
    /// Of the test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<usize>,
}

impl Limit {
    fn is_empty(&self) -> bool {
        *self == Limit::default()
    }
}
