//! What formats in JSON share: COCO's files, and what other tools write in their form.

use super::find::{ImageFinder, identity};
use super::on_error::OnError;
use super::value::{Id, pixels, yes};
use super::{image, text};
use crate::data::Skipped;
use crate::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A file's text as JSON has it.
pub(super) fn read(path: &Path) -> Result<String> {
    let text = text::read(path)?;
    match strict(&text) {
        Cow::Borrowed(_) => Ok(text),
        Cow::Owned(strict) => Ok(strict),
    }
}

/// Python writes NaN and Infinity, which JSON does not know: they become null. Lines stay where they are.
fn strict(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest, mut quoted) = (String::with_capacity(text.len()), text, false);
    while let Some(c) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !quoted && rest.starts_with(**word));
        let taken = match word {
            Some(word) => word.len(),
            // What is escaped ends no text.
            None if quoted && c == '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            None => c.len_utf8(),
        };
        quoted ^= c == '"';
        out += if word.is_some() { "null" } else { &rest[..taken] };
        rest = &rest[taken..];
    }
    Cow::Owned(out)
}

/// What is wrong with an entry, without the place within it.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_string()
}

/// What an entry is called, whatever else is wrong with it.
#[derive(Deserialize, Default)]
struct Named {
    #[serde(default)]
    id: serde_json::Value,
}

/// Entry number `i` of a list of such, for messages.
pub(super) fn place(raw: &RawValue, (one, all): (&str, &str), i: usize) -> String {
    let named: Named = serde_json::from_str(raw.get()).unwrap_or_default();
    if named.id.is_null() { format!("{all}[{i}]") } else { format!("{one} {}", named.id) }
}

/// Reads a list entry by entry, so that one that is broken can be named, and left out where that is allowed.
fn entries<T: DeserializeOwned>(
    (path, on_error): (&Path, OnError),
    list: Vec<&RawValue>,
    names: (&str, &str),
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(list.len());
    for (i, raw) in list.into_iter().enumerate() {
        match serde_json::from_str(raw.get()) {
            Ok(entry) => all.push(entry),
            Err(error) => on_error.refuse(path, &place(raw, names, i), &reason(&error), skipped)?,
        }
    }
    Ok(all)
}

#[derive(Deserialize)]
struct Category {
    id: Id,
    name: String,
    #[serde(default)]
    isthing: serde_json::Value,
}

/// Yes or no, however it is written.
fn is_yes(value: &serde_json::Value) -> Option<bool> {
    match value {
        serde_json::Value::String(text) => yes(text),
        other => yes(&other.to_string()),
    }
}

/// A file's categories, numbered in the order of their ids.
pub(super) struct Categories {
    pub names: Vec<String>,
    pub numbers: HashMap<Id, u32>,
    /// Whether each is one of things; `None` where the file does not say.
    pub things: Vec<Option<bool>>,
}

/// The categories of a file.
///
/// # Errors
/// [`Error::Data`] where two names have one id, and, unless `on_error` says to skip it, for one that is none, or that has the name of
/// another, whose class it then is.
pub(super) fn categories(
    path: &Path,
    list: Vec<&RawValue>,
    on_error: OnError,
    skipped: &mut Vec<Skipped>,
) -> Result<Categories> {
    let mut by_id: BTreeMap<Id, Category> = BTreeMap::new();
    let mut by_name: HashMap<String, Id> = HashMap::new();
    let mut same: Vec<(Id, Id)> = Vec::new();
    for category in entries::<Category>((path, on_error), list, ("category", "categories"), skipped)? {
        let (id, name) = (category.id.clone(), category.name.clone());
        if let Some(other) = by_id.get(&id) {
            if other.name == name {
                continue;
            }
            let message =
                format!("is listed twice, as {:?} and as {name:?}; give each category a number of its own", other.name);
            return Err(Error::data(path, format!("category {id}"), message));
        }
        if let Some(other) = by_name.get(&name) {
            let reason = format!("is called {name:?}, as category {other} is");
            on_error.refuse(path, &format!("category {id}"), &reason, skipped)?;
            same.push((id, other.clone()));
            continue;
        }
        by_name.insert(name, id.clone());
        by_id.insert(id, category);
    }
    let mut numbers: HashMap<Id, u32> = by_id.keys().cloned().zip(0..).collect();
    for (id, other) in same {
        numbers.insert(id, numbers[&other]);
    }
    Ok(Categories {
        numbers,
        things: by_id.values().map(|c| is_yes(&c.isthing)).collect(),
        names: by_id.into_values().map(|c| c.name).collect(),
    })
}

#[derive(Deserialize)]
struct Image {
    id: Id,
    file_name: String,
    #[serde(default, deserialize_with = "pixels")]
    width: Option<usize>,
    #[serde(default, deserialize_with = "pixels")]
    height: Option<usize>,
}

/// A file's images that are there.
pub(super) struct Listed {
    /// File, height and width of each, in the order of the file.
    pub images: Vec<(PathBuf, [usize; 2])>,
    /// Their places in that order.
    pub places: HashMap<Id, usize>,
    /// Those whose annotations do not matter: without a file, or left out.
    pub gone: HashSet<Id>,
}

/// The images of a file. One without a file is left out and named; one without width and height has those of its file.
///
/// # Errors
/// [`Error::Data`] where no file is there, or two images have one id, and, unless `on_error` says to skip it, for an image that is none.
pub(super) fn images(
    path: &Path,
    list: Vec<&RawValue>,
    finder: &ImageFinder,
    on_error: OnError,
    skipped: &mut Vec<Skipped>,
) -> Result<Listed> {
    let mut listed = Listed { images: Vec::new(), places: HashMap::new(), gone: HashSet::new() };
    let mut missing = Vec::new();
    // What cannot be read is skipped with its annotations.
    let broken = |raw: &&RawValue| serde_json::from_str::<Image>(raw.get()).is_err();
    let ids = list.iter().filter(|raw| broken(raw)).filter_map(|raw| serde_json::from_str::<Named>(raw.get()).ok());
    listed.gone.extend(ids.filter_map(|named| serde_json::from_value(named.id).ok()));
    let mut files: HashMap<PathBuf, Id> = HashMap::new();
    for own in entries::<Image>((path, on_error), list, ("image", "images"), skipped)? {
        let place = format!("image {}", own.id);
        // Whose its annotations are, nobody can tell.
        if listed.places.contains_key(&own.id) || listed.gone.contains(&own.id) {
            return Err(Error::data(path, place, "is listed twice; remove one"));
        }
        let file = match finder.find(&own.file_name) {
            Ok(file) => file,
            Err(reason) => {
                missing.push(Skipped::left_out(
                    finder.folder().join(&own.file_name),
                    format!("is annotated, but {reason}"),
                ));
                listed.gone.insert(own.id);
                continue;
            }
        };
        let size = match (own.height.filter(|h| *h > 0), own.width.filter(|w| *w > 0)) {
            (Some(height), Some(width)) => Ok([height, width]),
            _ => image::size(&file),
        };
        let size = size.map_err(|error| format!("has no width and height, and its file does not tell: {error}"));
        let only = |size| match files.get(&identity(&file)) {
            None => Ok(size),
            Some(other) => Err(format!("has the file of image {other}: {file:?}")),
        };
        match size.and_then(only) {
            Ok(size) => {
                files.insert(identity(&file), own.id.clone());
                listed.places.insert(own.id, listed.images.len());
                listed.images.push((file, size));
            }
            Err(reason) => {
                on_error.refuse(path, &place, &reason, skipped)?;
                listed.gone.insert(own.id);
            }
        }
    }
    if let (true, Some(first)) = (listed.images.is_empty(), missing.first()) {
        let message =
            format!("{} (none of {} images is there); is data.images the right folder?", first.reason, missing.len());
        return Err(Error::data(&first.path, "", message));
    }
    skipped.extend(missing);
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_becomes_json() {
        for (text, expected) in [
            ("[1, NaN, -Infinity,Infinity]", "[1, null, null,null]"),
            (r#"{"NaN": "a \" NaN", "é\\": NaN}"#, r#"{"NaN": "a \" NaN", "é\\": null}"#),
            ("[\n1]", "[\n1]"),
            ("NaN", "null"),
            ("\"NaN", "\"NaN"),
            ("\"NaN\\", "\"NaN\\"),
        ] {
            assert_eq!(strict(text), expected);
        }
    }
}
