//! A table of settings in one place: name, type, default, what is allowed and what it means, key by key.

use std::fmt::Display;

use toml::Value;

use super::read::{Choice, Section, as_number, either, is_single};
use crate::Result;

/// Declares a struct whose fields are the keys of a table of settings:
///
/// ```text
/// table! {
///     /// How one stage is trained.
///     pub struct TrainConfig {
///         /// Images per step.
///         batch: usize = 64, Whole(2..=65_536);
///     }
/// }
/// ```
///
/// Each key has its meaning, type, default, and a [`Rule`]. It gets `Default`; `KEYS`, their names; `rows`, what a reference says of them;
/// and `read`, which takes from a [`Section`] what is written there and the rest from another table of the kind.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $(#[serde($($serde:tt)*)])?
                $field:ident: $ty:ty = $default:expr, $rule:expr;
            )*
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $(
                $(#[doc = $doc])+
                $(#[serde($($serde)*)])?
                pub $field: $ty,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            /// The keys, in the order in which they are explained.
            pub(crate) const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// What is written in `s`, and `base` for the rest.
            pub(crate) fn read(s: &$crate::settings::Section, base: &Self) -> $crate::Result<Self> {
                use $crate::settings::Rule as _;
                Ok($name { $($field: $rule.read(s, stringify!($field), &base.$field)?,)* })
            }

            /// Each key, what it may be, its default as the file would say it, and what it means.
            pub fn rows() -> Vec<$crate::settings::KeyRow> {
                use $crate::settings::Rule as _;
                let usual = Self::default();
                vec![$($crate::settings::KeyRow {
                    key: stringify!($field),
                    allowed: $crate::settings::Rule::<$ty>::allowed(&$rule),
                    default: $rule.shown(&usual.$field),
                    meaning: concat!($($doc),+).trim(),
                },)*]
            }
        }
    };
}
pub(crate) use table;

/// What a reference says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its name.
    pub key: &'static str,
    /// What it may be.
    pub allowed: String,
    /// What it is where nothing is written, as a file would say it.
    pub default: String,
    /// What it means.
    pub meaning: &'static str,
}

/// What a reference says of a key whose table is read by a function of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyText {
    /// Its name.
    pub key: &'static str,
    /// What it may be.
    pub allowed: &'static str,
    /// What it is where nothing is written.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl KeyText {
    /// A key, what it may be, its default as a file would say it, and what it means.
    pub(crate) const fn new(
        key: &'static str,
        allowed: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        KeyText { key, allowed, default, meaning }
    }

    /// As a row of a reference.
    pub(crate) fn row(&self) -> KeyRow {
        KeyRow { key: self.key, allowed: self.allowed.into(), default: self.default.into(), meaning: self.meaning }
    }
}

/// The default of a key that must be written.
pub(crate) const REQUIRED: &str = "must be given";

/// The default of a key that has no value unless the file gives one.
pub(crate) const NOT_SET: &str = "not set";

/// What a key may hold.
pub(crate) trait Rule<T> {
    /// The value of `key`, or `base` where nothing is written.
    fn read(&self, s: &Section, key: &str, base: &T) -> Result<T>;

    /// In words.
    fn allowed(&self) -> String;

    /// As a file would say it.
    fn shown(&self, value: &T) -> String;
}

/// A whole number in a range.
pub(crate) struct Whole(pub std::ops::RangeInclusive<usize>);

impl Rule<usize> for Whole {
    fn read(&self, s: &Section, key: &str, base: &usize) -> Result<usize> {
        s.integer(key, *base, *self.0.start(), *self.0.end())
    }

    fn allowed(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn shown(&self, value: &usize) -> String {
        value.to_string()
    }
}

/// A number: which, in words, and whether one is such.
pub(crate) struct Number(pub &'static str, pub fn(f64) -> bool);

impl Rule<f64> for Number {
    fn read(&self, s: &Section, key: &str, base: &f64) -> Result<f64> {
        s.number(key, *base, self.0, self.1)
    }

    fn allowed(&self) -> String {
        self.0.into()
    }

    fn shown(&self, value: &f64) -> String {
        format!("{value:?}")
    }
}

/// Not set, or a number, for which the second value is a usual one.
pub(crate) struct Optional(pub Number, pub f64);

impl Rule<Option<f64>> for Optional {
    fn read(&self, s: &Section, key: &str, base: &Option<f64>) -> Result<Option<f64>> {
        if s.has(key) { self.0.read(s, key, &self.1).map(Some) } else { Ok(*base) }
    }

    fn allowed(&self) -> String {
        self.0.allowed()
    }

    fn shown(&self, value: &Option<f64>) -> String {
        value.map_or_else(|| NOT_SET.into(), |value| self.0.shown(&value))
    }
}

/// Not set, or two numbers from 0.01 to so much, the smaller one first.
pub(crate) struct Range(pub &'static str, pub f64);

impl Rule<Option<[f64; 2]>> for Range {
    fn read(&self, s: &Section, key: &str, base: &Option<[f64; 2]>) -> Result<Option<[f64; 2]>> {
        let list = s.list(key, self.0, |v| as_number(v).filter(|x| (0.01..=self.1).contains(x)))?;
        match list.as_deref() {
            None => Ok(*base),
            Some([low, high]) if low <= high => Ok(Some([*low, *high])),
            Some([low, high]) => Err(s.error(key, format!("{low} is more than {high}; the smaller one comes first"))),
            Some(other) => Err(s.error(key, format!("expected {}, found {}", self.0, other.len()))),
        }
    }

    fn allowed(&self) -> String {
        self.0.into()
    }

    fn shown(&self, value: &Option<[f64; 2]>) -> String {
        value.map_or_else(|| NOT_SET.into(), |pair| listed(&pair))
    }
}

/// Yes or no.
pub(crate) struct Flag;

impl Rule<bool> for Flag {
    fn read(&self, s: &Section, key: &str, base: &bool) -> Result<bool> {
        s.flag(key, *base)
    }

    fn allowed(&self) -> String {
        "true or false".into()
    }

    fn shown(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// One of a few words.
pub(crate) struct OneOf;

impl<T: Choice> Rule<T> for OneOf {
    fn read(&self, s: &Section, key: &str, base: &T) -> Result<T> {
        s.choice(key, *base)
    }

    fn allowed(&self) -> String {
        either(&T::WORDS.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>())
    }

    fn shown(&self, value: &T) -> String {
        let own = T::WORDS.iter().find(|(_, choice)| choice == value);
        own.map(|(word, _)| format!("{word:?}")).unwrap_or_default()
    }
}

/// Numbers: which, in words, and whether one is such.
pub(crate) struct Numbers(pub &'static str, pub fn(f64) -> bool);

impl Numbers {
    fn list(&self, s: &Section, key: &str) -> Result<Option<Vec<f64>>> {
        s.list(key, self.0, |v: &Value| as_number(v).filter(|x| is_single(*x) && (self.1)(*x)))
    }
}

fn listed(values: &[impl Display]) -> String {
    format!("[{}]", values.iter().map(|v| v.to_string()).collect::<Vec<_>>().join(", "))
}

impl Rule<Vec<f64>> for Numbers {
    fn read(&self, s: &Section, key: &str, base: &Vec<f64>) -> Result<Vec<f64>> {
        Ok(self.list(s, key)?.unwrap_or_else(|| base.clone()))
    }

    fn allowed(&self) -> String {
        self.0.into()
    }

    fn shown(&self, value: &Vec<f64>) -> String {
        listed(value)
    }
}

impl Rule<[f64; 2]> for Numbers {
    fn read(&self, s: &Section, key: &str, base: &[f64; 2]) -> Result<[f64; 2]> {
        match self.list(s, key)?.as_deref() {
            None => Ok(*base),
            Some([first, second]) => Ok([*first, *second]),
            Some(other) => Err(s.error(key, format!("expected {}, found {} of them", self.0, other.len()))),
        }
    }

    fn allowed(&self) -> String {
        self.0.into()
    }

    fn shown(&self, value: &[f64; 2]) -> String {
        listed(value)
    }
}
