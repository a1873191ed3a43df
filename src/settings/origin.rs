//! Where each value of a run's file was written, so that an error can point at it.

use crate::{Error, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The text of a run's file, which knows the place of every key, and the values given on the command line on top.
pub(crate) struct Origin {
    path: PathBuf,
    text: String,
    sets: Vec<Set>,
    /// Keys that were written by another name: the path asked for, and the one in the file.
    renamed: Vec<(Vec<String>, Vec<String>)>,
}

/// One `--set a.b=value`.
struct Set {
    path: Vec<String>,
    /// As it was typed.
    text: String,
}

impl Origin {
    /// Parses the text, applies the command line's values; gives the merged values beside their origins.
    pub(crate) fn parse(text: &str, path: &Path, sets: &[String]) -> Result<(Origin, toml::Table)> {
        let syntax = |span: Option<Range<usize>>, message: &str| Error::Config {
            path: path.to_path_buf(),
            line: span.map(|s| line_at(text, s.start)),
            key: "syntax".into(),
            message: format!(
                "{}. The file must be TOML, such as `epochs = 10` below `[train]`",
                message.trim().replace('\n', ", ")
            ),
        };
        let mut values: toml::Table = toml::from_str(text).map_err(|e| syntax(e.span(), e.message()))?;
        let mut origin =
            Origin { path: path.to_path_buf(), text: text.to_string(), sets: Vec::new(), renamed: Vec::new() };
        for text in sets {
            let set = apply(&mut values, text)?;
            origin.sets.push(set);
        }
        Ok((origin, values))
    }

    /// An error about the value at `path`, told with the file and line (or the `--set`) it came from.
    pub(crate) fn error<S: AsRef<str>>(&self, path: &[S], message: impl Into<String>) -> Error {
        let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        self.error_in(&path, None, message.into())
    }

    /// As [`Origin::error`], about one element of an array.
    pub(crate) fn error_in(&self, path: &[&str], element: Option<usize>, message: String) -> Error {
        let key = path.join(".");
        let path = &self.written(path)[..];
        match self.set_for(path) {
            Some(set) => Error::Config { path: PathBuf::from(format!("--set {}", set.text)), line: None, key, message },
            None => Error::Config { path: self.path.clone(), line: self.line(path, element), key, message },
        }
    }

    /// The line of a key, or of the innermost table around it that was written down.
    pub(crate) fn line(&self, path: &[&str], element: Option<usize>) -> Option<usize> {
        // Parsed once more for each question: few are asked, and tables that know their places borrow the text.
        let root = DeTable::parse(&self.text).ok()?;
        let (mut table, mut value, mut line) = (Some(root.get_ref()), None, None);
        for name in path {
            let Some((key, inner)) = table.and_then(|t| t.get_key_value(*name)) else { return line };
            // A table made by its children (`[teacher.train]` alone makes `teacher`) has its name in the child's header as its place.
            line = Some(self.line_at(key.span().start));
            table = inner.get_ref().as_table();
            value = Some(inner.get_ref());
        }
        let span = element.and_then(|i| Some(value?.as_array()?.get(i)?.span()));
        span.map(|s| self.line_at(s.start)).or(line)
    }

    /// Remembers that what is asked for at `path` was written at `old`.
    pub(crate) fn rename(&mut self, path: &[&str], old: &[&str]) {
        let own = |path: &[&str]| path.iter().map(|key| key.to_string()).collect();
        self.renamed.push((own(path), own(old)));
    }

    /// Whether the command line wrote the value at `path`.
    pub(crate) fn is_set(&self, path: &[&str]) -> bool {
        self.set_for(path).is_some_and(|set| set.path.len() == path.len())
    }

    /// The path by which the value at `path` was written.
    fn written<'p>(&'p self, path: &[&'p str]) -> Vec<&'p str> {
        // A new name of the command line goes before an old one of the file.
        let old = self.renamed.iter().find(|(new, _)| new == path && !self.is_set(path));
        old.map_or_else(|| path.to_vec(), |(_, old)| old.iter().map(String::as_str).collect())
    }

    /// Where the value at `path` was written: `run.toml:3`, or the `--set`.
    pub(crate) fn place(&self, path: &[&str]) -> String {
        match (self.set_for(path), self.line(path, None)) {
            (Some(set), _) => format!("--set {}", set.text),
            (None, Some(line)) => format!("{}:{line}", self.path.display()),
            (None, None) => self.path.display().to_string(),
        }
    }

    /// The last `--set` that wrote the value at `path` or a table around it.
    fn set_for(&self, path: &[&str]) -> Option<&Set> {
        self.sets.iter().rev().find(|s| s.path.len() <= path.len() && s.path.iter().zip(path).all(|(a, b)| a == b))
    }

    fn line_at(&self, offset: usize) -> usize {
        line_at(&self.text, offset)
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// Writes one `key=value` of the command line into the values.
fn apply(values: &mut toml::Table, text: &str) -> Result<Set> {
    let error = |message: String| Error::Config {
        path: PathBuf::from(format!("--set {text}")),
        line: None,
        key: text.split('=').next().unwrap_or_default().trim().to_string(),
        message,
    };
    let form = "write it as `--set table.key=value`, such as `--set train.epochs=20`";
    let (key, value) = text.split_once('=').ok_or_else(|| error(format!("there is no `=`; {form}")))?;
    let path = path_of(key.trim()).ok_or_else(|| error(format!("`{}` is not a key; {form}", key.trim())))?;
    let Some((last, tables)) = path.split_last() else { return Err(error(format!("the key is empty; {form}"))) };
    let mut table = values;
    for name in tables {
        let inner = table.entry(name.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let found = describe(inner);
        table = match inner {
            toml::Value::Table(inner) => inner,
            _ => return Err(error(format!("`{name}` is not a table but {found}; set `{name}` itself"))),
        };
    }
    table.insert(last.clone(), value_of(value.trim()));
    Ok(Set { path, text: text.to_string() })
}

/// The parts of a key as TOML writes it, such as `train."learning rate"`.
fn path_of(key: &str) -> Option<Vec<String>> {
    // A key and its value are one line; more lines would be more than a key.
    if key.contains(['\n', '\r']) {
        return None;
    }
    let text = format!("{key} = 0");
    let root = DeTable::parse(&text).ok()?;
    let (mut table, mut path) = (root.get_ref(), Vec::new());
    loop {
        let (name, value) = table.iter().next()?;
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Integer(_) => return Some(path),
            _ => return None,
        }
    }
}

/// A TOML value; what is none is a string, so that the shell's quotes need no second pair inside.
fn value_of(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    // More than one key means that the text went on after its value: then it was never meant as TOML.
    let value = parsed.filter(|t| t.len() == 1).and_then(|mut t| t.remove("value"));
    value.unwrap_or_else(|| toml::Value::String(text.to_string()))
}

/// What stands in the file, in words.
pub(crate) fn describe(value: &toml::Value) -> String {
    use toml::Value;
    match value {
        Value::String(s) => format!("the string {s:?}"),
        Value::Integer(i) => i.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::Boolean(b) => b.to_string(),
        Value::Datetime(d) => format!("the date {d}"),
        Value::Array(a) => format!("a list of {}", a.len()),
        Value::Table(_) => "a table".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_parts_that_toml_gives_them() {
        let parts = |key| path_of(key).map(|path| path.join("|"));
        assert_eq!(parts("train.lr").as_deref(), Some("train|lr"));
        assert_eq!(parts(r#" a . "b.c" . 'd e' "#).as_deref(), Some("a|b.c|d e"));
        for none in ["", "a b", "a.", ".a", "# a", "[a]", "[a]\nb", "a\nb", "\"a", "a.[0]"] {
            assert_eq!(path_of(none), None, "{none:?}");
        }
    }

    #[test]
    fn every_key_and_element_has_a_line() {
        let text = "a = 1\n\n[b.c]\nd = [\n  1,\n  2,\n]\n[b]\ne = { f = 2 }\n[[row]]\ng = 3\n";
        let (origin, _) = Origin::parse(text, Path::new("run.toml"), &["b.e.f=4".into()]).unwrap();
        let line = |path: &[&str], element| origin.line(path, element);
        assert_eq!(line(&["a"], None), Some(1));
        assert_eq!(line(&["b", "c", "d"], None), Some(4));
        assert_eq!(line(&["b", "c", "d"], Some(1)), Some(6));
        assert_eq!(line(&["b", "c", "missing"], None), Some(3));
        assert_eq!(line(&["b", "e", "f"], None), Some(9));
        assert_eq!(line(&["row"], Some(0)), Some(10));
        assert_eq!(line(&["missing"], None), None);
        assert_eq!(origin.place(&["b", "e", "f"]), "--set b.e.f=4");
    }
}
