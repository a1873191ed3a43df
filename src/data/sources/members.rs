//! Lists of the user's, or of `limbeck eval --save`, that say which image belongs to which split: `[data.members]`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Table;
use crate::Result;
use crate::data::formats::members::Members;
use crate::settings::{Files, KeyText, NOT_SET, Section};

const LIST: &str = "a list below data.root: .txt with an image in each line, or .csv or .json of `limbeck eval --save`";
const OWN: &str = "the data's own, or cut from the training images";

/// The key of the table.
pub(super) const KEY: KeyText = KeyText::new(
    "members",
    "a table",
    NOT_SET,
    "Lists that decide which image belongs to which split: [data.members].",
);
/// The table.
pub(super) const TABLE: Table = (
    "members",
    &[
        KeyText::new("train", LIST, "the data's own", "The training images, and no others."),
        KeyText::new("val", LIST, OWN, "The validation images, and no others."),
        KeyText::new("test", LIST, OWN, "The test images, and no others."),
    ],
);

/// The lists, relative to `data.root`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MemberLists {
    /// Of the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<PathBuf>,
    /// Of the validation images.
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<PathBuf>,
    /// Of the test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
}

impl MemberLists {
    /// `members`, where it is written.
    pub(super) fn read(s: &Section) -> Result<Option<Self>> {
        if !s.has(KEY.key) {
            return Ok(None);
        }
        if s.has("sets") {
            let message = "data.sets lists the images of the splits already; remove one of the two";
            return Err(s.error(KEY.key, message));
        }
        let s = s.table(KEY.key)?;
        let file = |key| Ok::<_, crate::Error>(s.text(key, LIST)?.map(PathBuf::from));
        let lists = MemberLists { train: file("train")?, val: file("val")?, test: file("test")? };
        if lists.all().into_iter().all(|(_, file)| file.is_none()) {
            return Err(s.own_error("names no list; expected `train`, `val` or `test`, such as `test = \"test.txt\"`"));
        }
        Ok(Some(lists))
    }

    fn all(&self) -> [(&'static str, Option<&PathBuf>); 3] {
        [("train", self.train.as_ref()), ("val", self.val.as_ref()), ("test", self.test.as_ref())]
    }

    /// The lists of a run whose data lie below `root`.
    pub(super) fn below(&self, root: &Path) -> Members {
        Members { root: root.to_path_buf(), lists: self.all().map(|(_, file)| file.map(|file| root.join(file))) }
    }

    /// Refuses missing files.
    pub(super) fn look(&self, files: &Files) -> Result<()> {
        let all = self.all().into_iter().filter_map(|(key, file)| Some((key, file?)));
        all.into_iter().try_for_each(|(key, file)| files.file(&[KEY.key, key], file))
    }
}
