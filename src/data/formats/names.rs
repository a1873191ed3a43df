//! Names of classes in a YAML file, as YOLO's data sets have them: `names:` (or `classes:`) with a list, or with a number for each name.

use super::yaml;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use yaml_rust2::Yaml;

/// The names by number.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Data`] with the line where it is no YAML, and where it has no `names`, or one
/// that is no name.
pub fn read(path: &Path) -> Result<BTreeMap<u32, String>> {
    let document = yaml::read(path)?;
    let bad = |message: String| Error::data(path, "names", message);
    let names = ["names", "classes"].map(|key| &document[key]).into_iter().find(|names| !names.is_badvalue());
    let names = names.unwrap_or(&Yaml::BadValue);
    let text = |value: &Yaml| match value {
        Yaml::String(name) if !name.trim().is_empty() => Some(name.clone()),
        // A class may be called 7.
        Yaml::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    let mut found = BTreeMap::new();
    match names {
        Yaml::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                let name = text(value).ok_or_else(|| bad(format!("element {} is no name", i + 1)))?;
                found.insert(i as u32, name);
            }
        }
        Yaml::Hash(table) => {
            for (key, value) in table {
                let number = key.as_i64().and_then(|k| u32::try_from(k).ok());
                let number = number.ok_or_else(|| bad(format!("{key:?} is no number of a class")))?;
                let name = text(value).ok_or_else(|| bad(format!("class {number} has no name")))?;
                found.insert(number, name);
            }
        }
        _ => return Err(bad("is missing; expected a list of class names, or `0: name` and so on".into())),
    }
    if found.is_empty() {
        return Err(bad("holds no name".into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BTreeMap<u32, String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.yaml");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn lists_and_tables() {
        let flat = |text: &str| parse(text).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(flat("nc: 2\nnames: [cat, 'dog']"), [(0, "cat".into()), (1, "dog".into())]);
        assert_eq!(flat("classes: [cat]"), [(0, "cat".into())]);
        assert_eq!(flat("names:\n  3: cat\n  1: 7\n"), [(1, "7".into()), (3, "cat".into())]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in
            [("names: [", "line"), ("nc: 3", "names"), ("names: {a: b}", "number"), ("names: [[]]", "element 1")]
        {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("data.yaml") && error.contains(part), "{error}");
        }
    }
}
