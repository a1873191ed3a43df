//! Lists of which image belongs to which split, as a user writes them or as `limbeck eval --save` has written them.
//!
//! A list decides its split wholly. A split without a list has the images that are the source's own for it and that no list names; one
//! that the source has not is cut from the training images, as without lists. What is left over is not used, and named.

use super::find::{ImageFinder, identity};
use super::{json, on_error::OnError, text};
use crate::data::Skipped;
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The names of the splits.
const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Lists of the images of each split.
///
/// A list is a text file with an image in each line, where empty lines and those that begin with `#` say nothing; or a table (`.csv`) with
/// a column `path`; or JSON (`.json`) with `images`, each with a `path`. Rows and images that tell their `split` count in the list of that
/// split alone, so one file may be the list of all three.
///
/// An image is named by its path below [`Members::root`], or by what [`ImageFinder`] finds among the images of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Where the paths of images may begin, beside the folder of the images.
    pub root: PathBuf,
    /// The lists of training, validation and test.
    pub lists: [Option<PathBuf>; 3],
}

/// An entry of a list.
struct Entry {
    /// Its line, or its number among the images.
    place: String,
    name: String,
}

/// The list that names an image, and where it does first.
#[derive(Clone)]
struct Owner {
    split: usize,
    place: String,
}

/// The images of the data.
struct Pool {
    /// By [`identity`]; the numbers of those that are one file.
    known: HashMap<PathBuf, usize>,
    finder: ImageFinder,
}

impl Pool {
    /// Of these images, and the number of each.
    fn of<'a>(images: impl Iterator<Item = &'a Path> + Clone) -> (Self, Vec<usize>) {
        let folder = common_folder(images.clone());
        let (mut known, mut numbers, mut once) = (HashMap::new(), Vec::new(), Vec::new());
        for path in images {
            let next = known.len();
            let number = *known.entry(identity(path)).or_insert(next);
            if number == next {
                once.push(path);
            }
            numbers.push(number);
        }
        (Pool { known, finder: ImageFinder::among(folder, once) }, numbers)
    }

    /// The number of the image that `name` means, or why there is none.
    fn find(&self, root: &Path, name: &str) -> std::result::Result<usize, String> {
        let slashed = name.replace('\\', "/");
        let below = [name, slashed.as_str()].map(|name| root.join(name));
        let there = below.iter().find(|path| path.is_file());
        if let Some(number) = there.and_then(|path| self.known.get(&identity(path))) {
            return Ok(*number);
        }
        let strange = || "the file is there, but is none of the data's images: they do not name it, or it was skipped";
        match self.finder.find(name) {
            Ok(path) => self.known.get(&identity(&path)).copied().ok_or_else(|| strange().into()),
            Err(_) if there.is_some() => Err(strange().into()),
            Err(reason) => Err(reason),
        }
    }
}

/// The folder in or below which all of them lie.
fn common_folder<'a>(mut paths: impl Iterator<Item = &'a Path>) -> PathBuf {
    let folder = |path: &Path| path.parent().map(Path::to_path_buf).unwrap_or_default();
    let first = paths.next().map(folder).unwrap_or_default();
    paths.fold(first, |common, path| {
        let shared = common.components().zip(path.components()).take_while(|(a, b)| a == b);
        shared.map(|(part, _)| part).collect()
    })
}

impl Members {
    /// `parts`, the images that the data have for training, validation and test, as the lists say. The images of a split stay in the order
    /// of the data, whatever the order of its list.
    ///
    /// What a list names and the data have not is refused, or skipped where `on_error` says so; without it the data skip nothing.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] for a list that cannot be read or names none of the images, and with its line for an image that
    /// is in two lists; [`Error::Invalid`] where nothing is left for a split without a list.
    pub(crate) fn divide<T>(
        &self,
        parts: [Option<Vec<T>>; 3],
        path: impl Fn(&T) -> &Path,
        on_error: Option<OnError>,
        skipped: &mut Vec<Skipped>,
    ) -> Result<[Option<Vec<T>>; 3]> {
        let (pool, numbers) = Pool::of(parts.iter().flatten().flatten().map(&path));
        let owners = self.owners(&pool, on_error, skipped)?;
        let own = parts.each_ref().map(Option::is_some);
        let numbered = |(split, part): (usize, Option<Vec<T>>)| part.into_iter().flatten().map(move |one| (split, one));
        let all: Vec<(usize, T, usize)> = parts
            .into_iter()
            .enumerate()
            .flat_map(numbered)
            .zip(numbers)
            .map(|((split, one), n)| (split, one, n))
            .collect();
        // An image that the data have for two splits is taken from the one whose list names it, or else once.
        let mut taken = vec![false; pool.known.len()];
        let listed_for =
            |split: usize, number: usize| owners[number].as_ref().is_some_and(|owner| owner.split == split);
        all.iter()
            .filter(|(split, _, number)| listed_for(*split, *number))
            .for_each(|(.., number)| taken[*number] = true);
        let (mut divided, mut had, mut left) = ([const { Vec::new() }; 3], [false; 3], Vec::new());
        for (split, one, number) in all {
            had[split] = true;
            match &owners[number] {
                Some(owner) if owner.split == split => divided[split].push(one),
                Some(owner) if !std::mem::replace(&mut taken[number], true) => divided[owner.split].push(one),
                Some(_) => {}
                None if self.lists[split].is_some() => left.push((one, number)),
                None => {
                    taken[number] = true;
                    divided[split].push(one);
                }
            }
        }
        for (one, number) in left {
            if !std::mem::replace(&mut taken[number], true) {
                skipped.push(Skipped::not_named(path(&one), "by the lists of data.members"));
            }
        }
        for (split, name) in SPLITS.into_iter().enumerate() {
            if had[split] && divided[split].is_empty() {
                let message = format!(
                    "data.members: the lists name every image that the data have for {name}, which has no list; name its images in \
                     data.members.{name}, or leave some out of the other lists"
                );
                return Err(Error::Invalid(message));
            }
        }
        let mut divided = divided.into_iter();
        let kept = [0, 1, 2].map(|split| {
            let part = divided.next().unwrap_or_default();
            (own[split] || self.lists[split].is_some()).then_some(part)
        });
        Ok(kept)
    }

    /// Of each image of the pool the split whose list names it.
    fn owners(&self, pool: &Pool, on_error: Option<OnError>, skipped: &mut Vec<Skipped>) -> Result<Vec<Option<Owner>>> {
        let mut owners: Vec<Option<Owner>> = vec![None; pool.known.len()];
        for (split, list) in self.lists.iter().enumerate() {
            let Some(list) = list else { continue };
            let (entries, lines) = read(list, SPLITS[split])?;
            let (mut found, mut first) = (false, None);
            for Entry { place, name } in entries {
                let number = match pool.find(&self.root, &name) {
                    Ok(number) => number,
                    Err(reason) => {
                        let reason = format!("image {name:?}: {reason}");
                        first.get_or_insert_with(|| format!("{place}: {reason}"));
                        match on_error {
                            Some(on_error) => on_error.refuse(list, &place, &reason, skipped)?,
                            None => return Err(Error::data(list, place, format!("{reason}; correct or remove it"))),
                        }
                        continue;
                    }
                };
                found = true;
                match &owners[number] {
                    None => owners[number] = Some(Owner { split, place }),
                    // A table of several seeds has a row of each.
                    Some(other) if other.split == split && lines => {
                        let reason = format!("names an image again that {} names; it counts once", other.place);
                        skipped.push(Skipped::left_out(list, reason).at(place));
                    }
                    Some(other) if other.split == split => {}
                    Some(other) => {
                        let there = self.lists[other.split].as_deref().unwrap_or(list).display();
                        let message = format!(
                            "image {name:?} is in the list of {} too ({there}, {}); what is tested must not be learnt, so remove one of \
                             the two",
                            SPLITS[other.split], other.place
                        );
                        return Err(Error::data(list, place, message));
                    }
                }
            }
            if let (false, Some(first)) = (found, first) {
                return Err(Error::data(list, "", format!("names no image of the data; {first}")));
            }
        }
        Ok(owners)
    }
}

/// What a list names for this split, and whether each entry is a line that somebody wrote.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] for a list in no form that is known, or that names nothing.
fn read(list: &Path, split: &str) -> Result<(Vec<Entry>, bool)> {
    let ending = list.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let (named, lines) = match ending.as_deref() {
        Some("csv") => (table(list)?, false),
        Some("json") => (images(list)?, false),
        _ => (text_lines(list)?, true),
    };
    if named.is_empty() {
        return Err(Error::data(list, "", "names no image; it has a path on each line"));
    }
    let others = named.iter().find_map(|(_, other)| other.clone());
    let own = named.into_iter().filter(|(_, own)| own.as_ref().is_none_or(|own| own == split));
    let own: Vec<Entry> = own.map(|(entry, _)| entry).collect();
    match (own.is_empty(), others) {
        (true, Some(other)) => {
            let message = format!(
                "has no image whose split is {split:?}; it is the list of {other:?}: name it in data.members.{other}, or remove its `split`"
            );
            Err(Error::data(list, "", message))
        }
        _ => Ok((own, lines)),
    }
}

/// An entry, and the split that it tells.
type Told = (Entry, Option<String>);

fn text_lines(list: &Path) -> Result<Vec<Told>> {
    let text = text::read(list)?;
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|(i, line)| (Entry { place: format!("line {}", i + 1), name: line.into() }, None)).collect())
}

fn table(list: &Path) -> Result<Vec<Told>> {
    let text = text::read(list)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let malformed =
        |line: usize, e: csv::Error| Error::data(list, format!("line {line}"), format!("malformed CSV: {e}"));
    let header = reader.headers().map_err(|e| malformed(1, e))?.clone();
    let place = |column: &str| header.iter().position(|c| c.trim() == column);
    let Some(path) = place("path") else {
        let known: Vec<&str> = header.iter().collect();
        let message = format!(
            "has no column \"path\"; its columns are {}. A list without columns is a text file of another ending, such as .txt",
            known.join(", ")
        );
        return Err(Error::data(list, "line 1", message));
    };
    let (split, lines) = (place("split"), text::Lines::new(&text));
    let mut all = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| malformed(lines.of(e.position()), e))?;
        let cell = |column: usize| record.get(column).filter(|cell| !cell.is_empty()).map(str::to_string);
        let place = format!("line {}", lines.of(record.position()));
        let Some(name) = cell(path) else { return Err(Error::data(list, place, "has no path")) };
        all.push((Entry { place, name }, split.and_then(cell)));
    }
    Ok(all)
}

#[derive(Deserialize)]
struct Saved {
    images: Vec<SavedImage>,
}

#[derive(Deserialize)]
struct SavedImage {
    #[serde(alias = "file_name")]
    path: Option<String>,
    split: Option<String>,
}

fn images(list: &Path) -> Result<Vec<Told>> {
    let text = json::read(list)?;
    let saved: Saved = serde_json::from_str(&text).map_err(|e| {
        let message = format!(
            "no list of images: {e}; expected `images`, each with a `path`, as `limbeck eval --save` writes it"
        );
        Error::data(list, format!("line {}", e.line()), message)
    })?;
    let one = |(i, image): (usize, SavedImage)| {
        let place = format!("images[{i}]");
        match image.path {
            Some(name) => Ok((Entry { place, name }, image.split)),
            None => Err(Error::data(list, place, "has no path")),
        }
    };
    saved.images.into_iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests;
