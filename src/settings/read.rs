//! Typed access to a table of the run's file. Each refusal says what was found and what is expected.

use super::origin::{Origin, describe};
use crate::setting::MOST_WEIGHT;
use crate::{Error, Result};
use toml::Value;

/// One table of the file, whether it was written down or not.
pub(crate) struct Section<'a> {
    origin: &'a Origin,
    values: Option<&'a toml::Table>,
    path: Vec<String>,
}

/// A value that is one of a few words.
pub(crate) trait Choice: Copy + PartialEq + 'static {
    /// Every word and what it stands for.
    const WORDS: &'static [(&'static str, Self)];
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(origin: &'a Origin, values: &'a toml::Table) -> Self {
        Section { origin, values: Some(values), path: Vec::new() }
    }

    /// A table inside this one; as if empty where it is not written.
    pub(crate) fn table(&self, key: &str) -> Result<Section<'a>> {
        let mut path = self.path.clone();
        path.push(key.to_string());
        let values = match self.get(key) {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(other) => {
                let message = format!(
                    "expected a table, found {}; write `[{}]` and its keys below",
                    describe(other),
                    path.join(".")
                );
                return Err(self.error(key, message));
            }
        };
        Ok(Section { origin: self.origin, values, path })
    }

    /// The keys that are written in this table.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.values.into_iter().flat_map(|t| t.keys().map(String::as_str))
    }

    /// Whether the key is written.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether the key holds a table.
    pub(crate) fn is_table(&self, key: &str) -> bool {
        self.get(key).is_some_and(Value::is_table)
    }

    /// Whether the key holds a list.
    pub(crate) fn is_list(&self, key: &str) -> bool {
        self.get(key).is_some_and(Value::is_array)
    }

    /// An error about one of this table's keys.
    pub(crate) fn error(&self, key: &str, message: impl Into<String>) -> Error {
        self.error_in(key, None, message.into())
    }

    /// An error about the table itself.
    pub(crate) fn own_error(&self, message: impl Into<String>) -> Error {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        self.origin.error_in(&path, None, message.into())
    }

    fn error_in(&self, key: &str, element: Option<usize>, message: String) -> Error {
        let mut path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        path.push(key);
        self.origin.error_in(&path, element, message)
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.values.and_then(|t| t.get(key))
    }

    /// A finite number that fulfils `holds` and that single precision has; `what` names such a number.
    pub(crate) fn number(&self, key: &str, default: f64, what: &str, holds: impl Fn(f64) -> bool) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let found = as_number(value).filter(|x| x.is_finite() && holds(*x)).ok_or_else(|| {
            self.error(key, format!("expected {what}, found {}; without the key it is {default:?}", describe(value)))
        })?;
        if !is_single(found) {
            let message = format!("{found:e} {NOT_SINGLE}; without the key it is {default:?}");
            return Err(self.error(key, message));
        }
        Ok(found)
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn integer(&self, key: &str, default: usize, least: usize, most: usize) -> Result<usize> {
        Ok(self.optional_integer(key, Some(default), least, most)?.unwrap_or(default))
    }

    /// A whole number from `least` to `most`, or none.
    pub(crate) fn optional_integer(
        &self,
        key: &str,
        default: Option<usize>,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let found = value.as_integer().and_then(|i| usize::try_from(i).ok()).filter(|i| (least..=most).contains(i));
        found.map(Some).ok_or_else(|| {
            let without =
                default.map_or("leave it out for no limit".to_string(), |d| format!("without the key it is {d}"));
            self.error(
                key,
                format!("expected a whole number {}, found {}; {without}", range(least, most), describe(value)),
            )
        })
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| {
            self.error(
                key,
                format!("expected true or false, found {}; without the key it is {default}", describe(value)),
            )
        })
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, key: &str, what: &str) -> Result<Option<String>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_str() {
            Some(text) if !text.trim().is_empty() => Ok(Some(text.to_string())),
            _ => Err(self.error(key, format!("expected {what} in quotes, found {}", describe(value)))),
        }
    }

    /// A text, or else a number.
    pub(crate) fn text_or_number(&self, key: &str, what: &str) -> Result<Option<std::result::Result<&str, f64>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match (value.as_str(), as_number(value)) {
            (Some(text), _) => Ok(Some(Ok(text))),
            (None, Some(number)) if number.is_finite() => Ok(Some(Err(number))),
            _ => Err(self.error(key, format!("expected {what}, found {}", describe(value)))),
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&self, key: &str, what: &str) -> Result<String> {
        let missing = || self.error(key, format!("is missing: expected {what}; write `{key} = \"…\"`"));
        self.text(key, what)?.ok_or_else(missing)
    }

    /// One of a few words.
    pub(crate) fn choice<T: Choice>(&self, key: &str, default: T) -> Result<T> {
        self.one_of(key, T::WORDS, default)
    }

    /// What one of these words stands for.
    pub(crate) fn one_of<T: Copy>(&self, key: &str, words: &[(&str, T)], default: T) -> Result<T> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let text = value.as_str();
        if let Some((_, choice)) = words.iter().find(|(word, _)| Some(*word) == text) {
            return Ok(*choice);
        }
        let words: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        let quoted: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
        let hint = text.and_then(|t| nearest(t, &words)).map(|w| format!("; did you mean {w:?}?")).unwrap_or_default();
        Err(self.error(key, format!("expected {}, found {}{hint}", either(&quoted), describe(value))))
    }

    /// A list whose every element `read` accepts; `what` names such a list.
    pub(crate) fn list<T>(&self, key: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<Vec<T>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Some(array) = value.as_array() else {
            return Err(self.error(key, format!("expected {what}, found {}", describe(value))));
        };
        let refuse = |i: usize, v: &Value| {
            self.error_in(key, Some(i), format!("expected {what}, found {} as element {}", describe(v), i + 1))
        };
        array.iter().enumerate().map(|(i, v)| read(v).ok_or_else(|| refuse(i, v))).collect::<Result<Vec<T>>>().map(Some)
    }

    /// Height and width, both at least `least`.
    pub(crate) fn size(&self, key: &str, default: Option<[usize; 2]>, least: usize, most: usize) -> Result<[usize; 2]> {
        let example = default.unwrap_or([32, 32]);
        let what = format!("[height, width] in pixels, both {}, such as {example:?}", range(least, most));
        let read =
            |v: &Value| v.as_integer().and_then(|i| usize::try_from(i).ok()).filter(|i| (least..=most).contains(i));
        match (self.list(key, &what, read)?.as_deref(), default) {
            (Some([h, w]), _) => Ok([*h, *w]),
            (Some(other), _) => Err(self.error(key, format!("expected {what}, found {} elements", other.len()))),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.error(key, format!("is missing: expected {what}"))),
        }
    }

    /// An error about element `i` of a list.
    pub(crate) fn element_error(&self, key: &str, i: usize, message: impl Into<String>) -> Error {
        self.error_in(key, Some(i), message.into())
    }
}

/// Why a number is refused that [`is_single`] is not true of.
const NOT_SINGLE: &str = "is beyond single precision, in which it is computed with: that ends at 1.2e-38 and 3.4e38";

/// Whether single precision has a number about as large: what it rounds to 0 or to infinity would be found only by what it does to a loss.
pub(crate) fn is_single(x: f64) -> bool {
    x == 0.0 || (x as f32).is_normal()
}

/// In words, what [`is_weight`] is true of.
pub(crate) const WEIGHT: &str = "a weight from 0 to 1e9";

/// Whether it may be the weight of a loss.
pub(crate) fn is_weight(x: f64) -> bool {
    is_single(x) && (0.0..=MOST_WEIGHT).contains(&x)
}

/// A number, also where it was written without a point.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|i| i as f64))
}

fn range(least: usize, most: usize) -> String {
    if most == usize::MAX { format!("of at least {least}") } else { format!("from {least} to {most}") }
}

/// `a, b or c`.
pub(crate) fn either(words: &[String]) -> String {
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// The word that was probably meant, if one is near enough.
pub(crate) fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let plain = |s: &str| s.to_lowercase().replace(['-', ' '], "_");
    let distance = |w: &str| strsim::damerau_levenshtein(&plain(word), &plain(w));
    let best = words.iter().min_by_key(|w| distance(w))?;
    // One slip in a short word, about one in three letters of a long one.
    (distance(best) <= (word.chars().count().max(best.chars().count()) / 3).max(1)).then_some(*best)
}
