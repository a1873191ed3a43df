//! Labels and attributes in a table: a CSV file with a row for each image.

use super::coco::OnError;
use super::find::{ImageFinder, identity};
use super::members::Members;
use super::objects::in_parallel;
use super::value::yes;
use super::{image, text};
use crate::data::{Dataset, Images, Labels, MISSING, Originals, Skipped, Split, Task, TaskKind, UNKNOWN, seed, split};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The name of the task that asks for all attributes of a table.
pub const ATTRIBUTES: &str = "attributes";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Column {
    /// The name of a class; a task of its own.
    Class,
    /// Yes or no; all such columns are one task, [`ATTRIBUTES`].
    Attribute,
    /// A number; a task of its own.
    Number,
}

/// Which table, and how it becomes a data set.
#[derive(Debug, Clone)]
pub struct Options {
    /// The CSV file, its first line the names of the columns.
    pub file: PathBuf,
    /// The folder of the images.
    pub images: PathBuf,
    /// The column of their names, with or without the ending.
    pub image: String,
    /// The columns that are asked for.
    pub columns: BTreeMap<String, Column>,
    /// Values that mean that nothing is known, beside the empty one.
    pub unknown: Vec<String>,
    /// Values of attributes that mean yes, beside the usual ones.
    pub yes: Vec<String>,
    /// Values of attributes that mean no.
    pub no: Vec<String>,
    /// A column whose equal values stay in one split: where several images show the same thing, or come from the same source.
    pub group: Option<String>,
    /// Height and width of the canvas on which every image is put, its proportions kept.
    pub size: [usize; 2],
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Pixels of the largest image that is decoded.
    pub max_pixels: usize,
    /// Part of the images kept for validation.
    pub val_fraction: f64,
    /// Part of the images kept for the test.
    pub test_fraction: f64,
    /// Decides who is in which split.
    pub split_seed: u64,
    /// What is done with rows and images that cannot be used.
    pub on_error: OnError,
}

/// The tasks of such columns by name and kind, in the order in which they are learnt.
pub fn tasks(columns: &BTreeMap<String, Column>) -> Vec<(&str, TaskKind)> {
    let of = |kind: Column, as_kind: TaskKind| {
        columns.iter().filter(move |(_, c)| **c == kind).map(move |(name, _)| (name.as_str(), as_kind))
    };
    let attributes = of(Column::Attribute, TaskKind::Attributes).next().map(|(_, kind)| (ATTRIBUTES, kind));
    of(Column::Class, TaskKind::Class).chain(attributes).chain(of(Column::Number, TaskKind::Number)).collect()
}

/// A row whose image is there.
struct Row {
    path: PathBuf,
    group: String,
    /// The split that it belongs to, from training on.
    part: usize,
    /// By column, as in the file; empty where nothing is known.
    values: BTreeMap<String, String>,
}

/// Loads the table and its images. Rows without an image and images without a row are left out and named in `skipped`.
///
/// # Errors
/// [`Error::Io`] where the file or the folder cannot be read; [`Error::Data`] with the line for a malformed row, an image that stands
/// twice, an attribute that is neither yes nor no, a number that is none, or an image that cannot be decoded, unless `on_error` says to
/// skip those; [`Error::Invalid`] for a data set that cannot be learnt from ([`Dataset::check`]).
pub fn load(name: &str, options: &Options) -> Result<Dataset> {
    load_members(name, options, None)
}

/// The same, where lists say which image belongs to which split.
///
/// # Errors
/// As [`load`]; those of [`Members`] that cannot be followed; [`Error::Invalid`] for a group that they put into two splits.
pub fn load_members(name: &str, options: &Options, members: Option<&Members>) -> Result<Dataset> {
    let mut skipped = Vec::new();
    let rows = rows(options, &mut skipped)?;
    let parts = match members {
        Some(members) => members.divide([Some(rows), None, None], |r| &r.path, Some(options.on_error), &mut skipped)?,
        None => [Some(rows), None, None],
    };
    let own = parts.each_ref().map(Option::is_some);
    let of = |(part, rows): (usize, Option<Vec<Row>>)| rows.into_iter().flatten().map(move |row| Row { part, ..row });
    let mut rows: Vec<Row> = parts.into_iter().enumerate().flat_map(of).collect();
    let decode = |row: &Row| image::read_boxed(&row.path, options.size, options.channels, options.max_pixels);
    let decoded = in_parallel(&rows, decode);
    let mut pixels = Vec::with_capacity(rows.len());
    let mut kept = Vec::with_capacity(rows.len());
    let (mut files, mut places) = (Vec::new(), Vec::new());
    for (row, decoded) in rows.drain(..).zip(decoded) {
        match decoded {
            Ok((own, _, place)) => {
                pixels.push(own);
                files.push(row.path.clone());
                places.push(place);
                kept.push(row);
            }
            Err(Error::Data { message, .. }) if options.on_error == OnError::Skip => {
                skipped.push(Skipped::left_out(row.path, message));
            }
            Err(error) => return Err(error),
        }
    }
    if kept.is_empty() {
        return Err(Error::data(&options.file, "", "names no image that is there; is data.images the right folder?"));
    }
    let (tasks, labels) = answers(options, &kept);
    let [h, w] = options.size;
    // Nothing that is asked belongs to places in the image.
    let originals = Originals { places, labels: vec![None; labels.len()] };
    let whole = Split {
        images: Images { pixels: pixels.concat(), count: kept.len(), height: h, width: w, channels: options.channels },
        labels,
        files,
        originals: Some(originals),
    };
    let [train, val, test] = cut(options, &kept, own, &whole.strata())?;
    let data = Dataset {
        name: name.into(),
        tasks,
        train: whole.gather(&train),
        val: whole.gather(&val),
        test: whole.gather(&test),
        skipped,
    };
    data.check()?;
    Ok(data)
}

/// The rows of training, validation and the test, by number: `own` of them are those that say so, the others are cut from training.
fn cut(options: &Options, rows: &[Row], own: [bool; 3], strata: &[u32]) -> Result<[Vec<u32>; 3]> {
    let (fractions, seed) = ([options.val_fraction, options.test_fraction], options.split_seed);
    let of = |part: usize| (0..).zip(rows).filter(|(_, row)| row.part == part).map(|(i, _)| i).collect::<Vec<u32>>();
    let parts = [0, 1, 2].map(|part| own[part].then(|| of(part)));
    if options.group.is_none() {
        return split::complete(parts, fractions, split::stratified(|i: &u32| strata[*i as usize], seed));
    }
    let mut homes: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in rows {
        let home = homes.entry(&row.group).or_insert(row);
        if home.part != row.part {
            let (group, a, b) = (&row.group, home.path.display(), row.path.display());
            let message = format!(
                "data.members: {a} and {b} are in lists of different splits and in one group, {group:?}; list them together, or remove \
                 data.group"
            );
            return Err(Error::Invalid(message));
        }
    }
    let group = |i: &u32| rows[*i as usize].group.as_str();
    if let [Some(train), None, None] = &parts {
        let groups: Vec<&str> = train.iter().map(group).collect();
        let of = |places: Vec<u32>| places.into_iter().map(|place| train[place as usize]).collect();
        return Ok(split::grouped(&groups, fractions, seed)?.map(of));
    }
    split::complete(parts, fractions, |train, fraction, part| {
        let groups: Vec<&str> = train.iter().map(group).collect();
        let parts = split::by_groups(&groups, [1.0 - fraction, fraction], seed::derive(seed, part))?;
        Ok(parts.map(|places| places.into_iter().map(|place| train[place as usize]).collect()))
    })
}

/// The rows whose images are there.
fn rows(options: &Options, skipped: &mut Vec<Skipped>) -> Result<Vec<Row>> {
    let file = &options.file;
    std::fs::read_dir(&options.images).map_err(|e| Error::io(&options.images, "read", e))?;
    let finder = ImageFinder::new(&options.images);
    let text = text::read(file)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| Error::data(file, "line 1", format!("malformed CSV: {e}")))?.clone();
    let place = |column: &str| {
        header.iter().position(|c| c == column).ok_or_else(|| {
            let known: Vec<&str> = header.iter().collect();
            let message = format!("has no column {column:?}; its columns are {}", known.join(", "));
            Error::data(file, "line 1", message)
        })
    };
    let image = place(&options.image)?;
    let group = options.group.as_deref().map(place).transpose()?;
    let columns: Vec<(&String, Column, usize)> =
        options.columns.iter().map(|(name, kind)| Ok((name, *kind, place(name)?))).collect::<Result<_>>()?;
    let mut rows = Vec::new();
    let (mut seen, mut missing) = (BTreeSet::new(), None);
    let lines = text::Lines::new(&text);
    for record in reader.records() {
        let line = |position: Option<&csv::Position>| format!("line {}", lines.of(position));
        let read = match &record {
            Err(error) => Err((line(error.position()), format!("malformed: {error}"))),
            Ok(record) => {
                let known = |value: &str| !options.unknown.iter().any(|u| u == value);
                let value = |(name, kind, at): &(&String, Column, usize)| {
                    let value = record.get(*at).filter(|v| known(v)).unwrap_or_default();
                    check(options, *kind, value).map_err(|m| format!("column {name:?}: {m}"))?;
                    Ok(((*name).clone(), value.to_string()))
                };
                let values = columns.iter().map(value).collect::<std::result::Result<BTreeMap<_, _>, String>>();
                let own = record.get(image).unwrap_or_default();
                let path = finder.find(own);
                let twice = path.as_ref().is_ok_and(|path| !seen.insert(identity(path)));
                values
                    .and_then(|v| if twice { Err(format!("image {own:?} is listed twice")) } else { Ok(v) })
                    .map(|values| (own, path, values, record))
                    .map_err(|message| (line(record.position()), message))
            }
        };
        match read {
            Ok((own, path, values, record)) => match path {
                Ok(path) => {
                    let group = group.and_then(|at| record.get(at)).unwrap_or_default().to_string();
                    rows.push(Row { path, group, part: 0, values });
                }
                Err(reason) => {
                    let reason = format!("image {own:?}: {reason}");
                    let told = Skipped::left_out(file, reason).at(line(record.position()));
                    missing.get_or_insert_with(|| told.clone());
                    skipped.push(told);
                }
            },
            Err((line, message)) if options.on_error == OnError::Skip => {
                skipped.push(Skipped::left_out(file, message).at(line));
            }
            Err((line, message)) => {
                return Err(Error::data(file, line, format!("{message}; fix it, or set data.on_error = \"skip\"")));
            }
        }
    }
    if let (true, Some(first)) = (rows.is_empty(), missing) {
        let message = format!("names no image that is there; {}; is data.images the right folder?", first.reason);
        return Err(Error::data(file, first.place.clone(), message));
    }
    let alone = finder.all().into_iter().filter(|path| !seen.contains(&identity(path)));
    let by = format!("in {}", file.file_name().unwrap_or_default().display());
    skipped.extend(alone.map(|path| Skipped::not_named(path, &by)));
    Ok(rows)
}

/// What a value says of an attribute.
fn answer(options: &Options, value: &str) -> Option<bool> {
    let listed = |values: &[String]| values.iter().any(|v| v == value);
    match (listed(&options.yes), listed(&options.no)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => yes(value),
    }
}

/// Refuses a value that its column cannot hold.
fn check(options: &Options, kind: Column, value: &str) -> std::result::Result<(), String> {
    match kind {
        _ if value.is_empty() => Ok(()),
        Column::Class => Ok(()),
        Column::Attribute if answer(options, value).is_some() => Ok(()),
        Column::Number if number(value).is_some() => Ok(()),
        Column::Attribute => Err(format!(
            "{value:?} is neither yes nor no, true nor false, 1 nor 0; list it under data.yes, data.no or data.unknown"
        )),
        Column::Number => Err(format!("{value:?} is no number")),
    }
}

fn number(value: &str) -> Option<f32> {
    value.parse().ok().filter(|v: &f32| v.is_finite())
}

/// The tasks of the columns and their answers.
fn answers(options: &Options, rows: &[Row]) -> (Vec<Task>, Vec<Labels>) {
    let value = |row: &Row, column: &str| row.values.get(column).cloned().unwrap_or_default();
    let attributes: Vec<&String> =
        options.columns.iter().filter(|(_, kind)| **kind == Column::Attribute).map(|(name, _)| name).collect();
    let one = |(name, kind): (&str, TaskKind)| match kind {
        TaskKind::Class => {
            let all: BTreeSet<String> = rows.iter().map(|r| value(r, name)).filter(|v| !v.is_empty()).collect();
            let classes: Vec<String> = all.into_iter().collect();
            let class = |r: &Row| classes.binary_search(&value(r, name)).map_or(MISSING, |i| i as u32);
            let labels = Labels::Class(rows.iter().map(class).collect());
            (Task::class(name, classes), labels)
        }
        TaskKind::Attributes => {
            let said = |r: &Row, a: &str| answer(options, &value(r, a)).map_or(UNKNOWN, |yes| f32::from(u8::from(yes)));
            let answers = rows.iter().flat_map(|r| attributes.iter().map(move |a| said(r, a))).collect();
            let names: Vec<&str> = attributes.iter().map(|a| a.as_str()).collect();
            let task = Task { flip: false, ..Task::new(name, kind, &names) };
            (task, Labels::Attributes { count: names.len(), answers })
        }
        _ => {
            let numbers = rows.iter().map(|r| number(&value(r, name)).unwrap_or(f32::NAN)).collect();
            (Task { flip: false, ..Task::new(name, kind, &[]) }, Labels::Number(numbers))
        }
    };
    tasks(&options.columns).into_iter().map(one).unzip()
}

#[cfg(test)]
mod tests;
