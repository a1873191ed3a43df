//! Where data come from: one file and one row of `SOURCES` a source. The file holds the source's options with their keys, what tasks it
//! has, which files it reads and how it is loaded; nothing else in the crate names it.

mod annotated;
mod coco;
mod csv;
mod digits;
mod folder;
mod idx;
mod keys;
mod labelme;
mod masks;
mod members;
mod pair;
mod panoptic;
mod scenes;
mod sets;
mod voc;
mod yolo;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::data::formats::coco::OnError;
use crate::data::formats::members::Members;
use crate::data::{Dataset, Limits, TaskKind};
use crate::settings::{Choice, Files, KeyRow, KeyText, Section, either};
use crate::{Error, Result};
use annotated::ObjectOptions;
use members::MemberLists;

/// Every source, in the order in which they are listed to the user.
static SOURCES: &[&SourceKind] = &[
    &digits::KIND,
    &pair::KIND,
    &idx::KIND,
    &folder::KIND,
    &scenes::KIND,
    &coco::KIND,
    &voc::KIND,
    &yolo::KIND,
    &labelme::KIND,
    &panoptic::KIND,
    &masks::KIND,
    &csv::KIND,
];

/// A source as the table of sources has it.
struct SourceKind {
    /// What `data.source` calls it.
    name: &'static str,
    /// The keys of `[data]` that it understands, beside those of every source: its own, and those that it shares.
    keys: &'static [&'static [KeyText]],
    /// The tables inside `[data]` that it understands, with their keys. One whose keys the user chooses is not among them.
    tables: &'static [&'static [Table]],
    /// Reads its options.
    read: fn(&Section) -> Result<Source>,
}

/// A table inside `[data]` with its keys.
type Table = (&'static str, &'static [KeyText]);

impl SourceKind {
    fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().copied().flatten().map(|text| text.key)
    }
}

/// The options of a source.
trait SourceOptions: fmt::Debug + Send + Sync {
    /// The options that sources of images with objects share, where it is one of them; they answer what follows.
    fn shared(&self) -> Option<&ObjectOptions> {
        None
    }

    /// Its tasks by name, in the order of their labels, and what each asks for.
    fn tasks(&self) -> Vec<(&str, TaskKind)> {
        self.shared().map_or_else(Vec::new, ObjectOptions::tasks)
    }

    /// Height and width of its images, where the options tell.
    fn size(&self) -> Option<[usize; 2]> {
        self.shared().map(|shared| shared.size)
    }

    /// Reads, splits and, where it says so, composes.
    fn load(&self, run: &RunData) -> Result<Dataset>;

    /// Refuses what it will not find.
    fn look(&self, _files: &Files) -> Result<()> {
        Ok(())
    }

    /// How many images of each split are used at most.
    fn limit(&self) -> Limits {
        self.shared().map_or_else(Limits::default, |shared| shared.limit)
    }

    /// How many folders have that limit, each for itself.
    fn folders(&self) -> usize {
        1
    }

    /// Whether the labels of images move with their pixels, or are as likely mirrored as not.
    fn moves(&self) -> bool {
        self.shared().is_some()
    }

    /// Whether images keep their proportions on the canvas.
    fn letterboxed(&self) -> bool {
        self.shared().is_some()
    }
}

/// What a source is told of the run.
pub(crate) struct RunData<'a> {
    /// The run's name, which is the data set's.
    pub name: &'a str,
    /// Where relative paths begin.
    pub root: &'a Path,
    /// Seed of the split and of the composition.
    pub split_seed: u64,
    /// The tasks whose label survives mirroring the image.
    pub flip_invariant: &'a [String],
    /// Lists of the images of each split, which every source with images in files follows.
    pub members: Option<Members>,
}

impl RunData<'_> {
    /// Whether the label of `task` survives mirroring.
    pub(crate) fn flips(&self, task: &str) -> bool {
        self.flip_invariant.iter().any(|t| t == task)
    }
}

/// A source with its options, as a run's file gives them.
#[derive(Clone)]
pub struct Source {
    name: &'static str,
    /// The options as the file would say them, all of them: what is written back, compared and shown.
    values: toml::Table,
    options: Arc<dyn SourceOptions>,
    /// What decides its splits, where it has images in files.
    members: Option<MemberLists>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.name, self.options, self.members)
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        (self.name, &self.values) == (other.name, &other.values)
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.values.len()))?;
        map.serialize_entry("source", self.name)?;
        for (key, value) in &self.values {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Source {
    fn new<O: SourceOptions + Serialize + 'static>(kind: &SourceKind, options: O) -> Result<Source> {
        let values = toml::Table::try_from(&options)
            .map_err(|e| Error::Invalid(format!("the options of {:?} cannot be written as TOML: {e}", kind.name)))?;
        Ok(Source { name: kind.name, values, options: Arc::new(options), members: None })
    }

    /// Reads `[data]`: which source, and its options.
    pub(crate) fn read(s: &Section) -> Result<Source> {
        let kind =
            s.one_of("source", &SOURCES.iter().map(|kind| (kind.name, *kind)).collect::<Vec<_>>(), SOURCES[0])?;
        let stranger =
            SOURCES.iter().flat_map(|o| o.keys()).find(|key| s.has(key) && !kind.keys().any(|own| own == *key));
        if let Some(key) = stranger {
            let owners =
                SOURCES.iter().filter(|o| o.keys().any(|own| own == key)).map(|other| format!("{:?}", other.name));
            let owners = either(&owners.collect::<Vec<_>>());
            let message =
                format!("has no meaning for source = {:?}; remove it, or set data.source = {owners}", kind.name);
            return Err(s.error(key, message));
        }
        let source = (kind.read)(s)?;
        match MemberLists::read(s)? {
            Some(lists) => source.listed(kind, lists),
            None => Ok(source),
        }
    }

    /// The same, whose splits these lists decide.
    fn listed(mut self, kind: &SourceKind, lists: MemberLists) -> Result<Self> {
        let values = toml::Value::try_from(&lists)
            .map_err(|e| Error::Invalid(format!("the lists of {:?} cannot be written as TOML: {e}", kind.name)))?;
        self.values.insert(members::KEY.key.into(), values);
        Ok(Source { members: Some(lists), ..self })
    }

    /// The keys of `[data]` that some source understands, each once.
    pub(crate) fn keys() -> Vec<&'static str> {
        let mut all = Vec::new();
        for key in SOURCES.iter().flat_map(|kind| kind.keys()) {
            if !all.contains(&key) {
                all.push(key);
            }
        }
        all
    }

    /// The tables inside `[data]` with their keys, each once.
    pub(crate) fn tables() -> Vec<(&'static str, Vec<&'static str>)> {
        let mut all = Vec::new();
        for (name, texts) in SOURCES.iter().flat_map(|kind| kind.tables).copied().flatten() {
            let table = &(*name, texts.iter().map(|text| text.key).collect());
            if !all.contains(table) {
                all.push(table.clone());
            }
        }
        all
    }

    /// What a reference says of the sources.
    pub(crate) fn reference() -> Vec<SourceReference> {
        let rows = |texts: &[KeyText]| texts.iter().map(KeyText::row).collect::<Vec<_>>();
        let one = |kind: &&SourceKind| SourceReference {
            name: kind.name,
            keys: kind.keys.iter().flat_map(|texts| rows(texts)).collect(),
            tables: kind.tables.iter().copied().flatten().map(|(name, texts)| (*name, rows(texts))).collect(),
        };
        SOURCES.iter().map(one).collect()
    }

    /// What a run's file calls it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its options as TOML.
    pub fn values(&self) -> &toml::Table {
        &self.values
    }

    /// Its tasks by name, in the order of their labels, and what each asks for.
    pub fn tasks(&self) -> Vec<(&str, TaskKind)> {
        self.options.tasks()
    }

    /// Height and width of its images, where the options tell.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.options.size()
    }

    /// How many images of each split are used at most.
    pub fn limit(&self) -> Limits {
        self.options.limit()
    }

    /// How many folders have that limit, each for itself.
    pub fn folders(&self) -> usize {
        self.options.folders()
    }

    /// Whether the labels of images move with their pixels, or are as likely mirrored as not.
    pub fn moves(&self) -> bool {
        self.options.moves()
    }

    /// Whether images keep their proportions on the canvas.
    pub fn letterboxed(&self) -> bool {
        self.options.letterboxed()
    }

    /// Refuses what it will not find.
    pub(crate) fn look(&self, files: &Files) -> Result<()> {
        self.options.look(files)?;
        self.members.as_ref().map_or(Ok(()), |members| members.look(files))
    }

    /// Reads, splits and composes the images.
    pub(crate) fn load(&self, run: &RunData) -> Result<Dataset> {
        let members = self.members.as_ref().map(|members| members.below(run.root));
        self.options.load(&RunData { members, ..*run })
    }
}

/// What a reference says of a source.
pub(crate) struct SourceReference {
    /// Its name in a run's file.
    pub name: &'static str,
    /// Its keys in `[data]`.
    pub keys: Vec<KeyRow>,
    /// The tables inside `[data]`, with their keys.
    pub tables: Vec<(&'static str, Vec<KeyRow>)>,
}

impl Choice for OnError {
    const WORDS: &'static [(&'static str, Self)] = &[("fail", Self::Fail), ("skip", Self::Skip)];
}
