//! Lists of the images of each split, as in Pascal VOC's `ImageSets`: `[data.sets]`.

use std::path::PathBuf;

use serde::Serialize;

use super::{RunData, Table};
use crate::Result;
use crate::settings::{Files, KeyText, NOT_SET, REQUIRED, Section};

const LIST: &str = "a text file below data.root that names an image in each line";

/// The key of the table.
pub(super) const KEYS: &[KeyText] =
    &[KeyText::new("sets", "a table", NOT_SET, "Lists of the images of each split: [data.sets].")];
/// The table.
pub(super) const TABLES: &[Table] = &[(
    "sets",
    &[
        KeyText::new("train", LIST, REQUIRED, "The training images."),
        KeyText::new("val", LIST, NOT_SET, "The validation images; cut from the training images where absent."),
        KeyText::new("test", LIST, NOT_SET, "The test images; cut from the training images where absent."),
    ],
)];

/// Lists of images.
#[derive(Debug, Serialize)]
pub(super) struct Sets {
    /// The training images.
    train: PathBuf,
    /// Those for validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<PathBuf>,
    /// Those for the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
}

impl Sets {
    /// `sets`, where it is written.
    pub(super) fn read(s: &Section) -> Result<Option<Self>> {
        if !s.has("sets") {
            return Ok(None);
        }
        let s = s.table("sets")?;
        let file = |key| {
            Ok(s.text(key, "a text file below data.root, such as \"ImageSets/Main/val.txt\"")?.map(PathBuf::from))
        };
        Ok(Some(Sets { train: s.required("train", LIST)?.into(), val: file("val")?, test: file("test")? }))
    }

    /// The files of training, validation and test.
    pub(super) fn files(&self, run: &RunData) -> [Option<PathBuf>; 3] {
        [Some(&self.train), self.val.as_ref(), self.test.as_ref()].map(|file| file.map(|file| run.root.join(file)))
    }

    /// Refuses missing files.
    pub(super) fn look(&self, files: &Files) -> Result<()> {
        let all = [("train", Some(&self.train)), ("val", self.val.as_ref()), ("test", self.test.as_ref())];
        all.into_iter()
            .filter_map(|(key, file)| Some((key, file?)))
            .try_for_each(|(key, file)| files.file(&["sets", key], file))
    }
}
