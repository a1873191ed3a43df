//! Values that mean the same, however a program wrote them: one reader for whole numbers, yes and no, and names of entries, for all
//! formats.

use serde::{Deserialize, Deserializer};
use std::fmt;

/// A whole number: `3`, `3.0`, `+3`, `3e0`. `None` for any other text, and for what a double does not hold exactly.
pub(crate) fn whole(text: &str) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| exact(text.parse().ok()?))
}

/// A double that is a whole number.
fn exact(value: f64) -> Option<u64> {
    (value >= 0.0 && value < 2f64.powi(53) && value.fract() == 0.0).then_some(value as u64)
}

/// Yes or no: `true`, `Yes`, `1`, `1.0`, `y`, `t`, and their opposites.
pub(crate) fn yes(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "t" | "y" => Some(true),
        "false" | "no" | "f" | "n" => Some(false),
        other => match other.parse::<f64>() {
            Ok(1.0) => Some(true),
            Ok(0.0) => Some(false),
            _ => None,
        },
    }
}

/// What an entry of a JSON file is called: any number or text. 1 and 1.0 are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Id {
    /// A whole number.
    Number(i64),
    /// Any other, as the file has it.
    Other(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Id::Number(number) => number.fmt(f),
            Id::Other(text) => write!(f, "{text:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Id::Other(text)),
            Value::Number(number) => Ok(match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Id::Number(whole),
                (None, Some(value)) if exact(value.abs()).is_some() => Id::Number(value as i64),
                _ => Id::Other(number.to_string()),
            }),
            other => Err(serde::de::Error::custom(format!("invalid type: {other}, expected a number or a text"))),
        }
    }
}

/// A length in pixels: a whole number, as an integer or not.
pub(crate) fn pixels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Option::<f64>::deserialize(deserializer)? {
        None => Ok(None),
        Some(value) => match exact(value).and_then(|v| usize::try_from(v).ok()) {
            Some(whole) => Ok(Some(whole)),
            None => Err(serde::de::Error::custom(format!("{value} is no number of pixels"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_any_notation() {
        for text in ["3", "3.0", " 3 ", "+3", "3e0", "0.3e1", "3."] {
            assert_eq!(whole(text), Some(3), "{text}");
        }
        assert_eq!(whole("18446744073709551615"), Some(u64::MAX));
        for text in ["", "3.5", "-1", "nan", "inf", "three", "1e300", "3 4", "0x3"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn yes_and_no_in_any_notation() {
        for text in ["1", "1.0", "true", "TRUE", "Yes", "y", " t "] {
            assert_eq!(yes(text), Some(true), "{text}");
        }
        for text in ["0", "0.0", "-0.0", "false", "No", "n", "F"] {
            assert_eq!(yes(text), Some(false), "{text}");
        }
        for text in ["", "2", "-1", "nan", "maybe", "0.5"] {
            assert_eq!(yes(text), None, "{text}");
        }
    }

    #[test]
    fn ids_are_what_json_writes() {
        let id = |text: &str| serde_json::from_str::<Id>(text).map_err(|e| e.to_string());
        assert_eq!(id("1.0"), id("1"));
        assert_eq!(id("-3"), Ok(Id::Number(-3)));
        assert_eq!(id("\"im1\""), Ok(Id::Other("im1".into())));
        assert_ne!(id("\"1\""), id("1"));
        assert_eq!(id("0.5"), Ok(Id::Other("0.5".into())));
        assert!(id("null").unwrap_err().contains("a number or a text") && id("[1]").is_err());
        assert_eq!((id("7").unwrap().to_string(), id("\"a\"").unwrap().to_string()), ("7".into(), "\"a\"".into()));
    }
}
