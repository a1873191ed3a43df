//! A YAML file, read with bounds: what a few lines may expand to is looked at before it is built.

use std::path::Path;

use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::{ScanError, Yaml, YamlLoader};

use crate::{Error, Result};

/// Tables and lists in one another. Files of data sets have two or three.
const MOST_NESTED: usize = 32;

/// The first document of the file; [`Yaml::BadValue`] where it has none.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Data`] with the line where it is no YAML, repeats a part of itself by an alias, whose
/// copies may multiply beyond all memory, or is nested deeper than a reader can follow.
pub(super) fn read(path: &Path) -> Result<Yaml> {
    let text = super::text::read(path)?;
    let at = |line: usize, message: String| Error::data(path, format!("line {line}"), message);
    let broken = |e: ScanError| at(e.marker().line(), format!("malformed YAML: {e}"));
    let mut parser = Parser::new_from_str(&text);
    let mut nested = 0;
    loop {
        let (event, mark) = parser.next_token().map_err(broken)?;
        match event {
            Event::Alias(_) => {
                let message = "repeats another part of the file by an alias (`*name`); write that part out";
                return Err(at(mark.line(), message.into()));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => nested += 1,
            Event::SequenceEnd | Event::MappingEnd => nested -= 1,
            Event::StreamEnd => break,
            _ => {}
        }
        if nested > MOST_NESTED {
            return Err(at(mark.line(), format!("is nested deeper than {MOST_NESTED} lists and tables")));
        }
    }
    let documents = YamlLoader::load_from_str(&text).map_err(broken)?;
    Ok(documents.into_iter().next().unwrap_or(Yaml::BadValue))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Yaml> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.yaml");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn the_first_document() {
        assert_eq!(parse("a: 1\n---\na: 2\n").unwrap()["a"].as_i64(), Some(1));
        assert!(parse("").unwrap().is_badvalue());
        // An anchor that nobody repeats is no harm.
        assert_eq!(parse("a: &x 1\n").unwrap()["a"].as_i64(), Some(1));
        assert!(parse(&format!("a: {}1{}\n", "[".repeat(30), "]".repeat(30))).is_ok());
    }

    #[test]
    fn what_could_grow_without_bound_is_refused_with_its_line() {
        for (text, words) in [
            ("a: &x [1]\nb: *x\n", "line 2: repeats another part"),
            (&format!("a:\n  {}1{}\n", "[".repeat(40), "]".repeat(40)), "line 2: is nested deeper than 32"),
            ("a: [\n", "malformed YAML"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("data.yaml, line ") && error.contains(words), "{error}");
        }
    }
}
