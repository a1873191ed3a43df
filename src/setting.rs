//! A setting of a method: its name, default and what it may be, as the rows of the methods' tables state it.

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// From 0.0001 to 10,000.
    Moderate,
    /// The same, or 0 for none.
    ModerateOrZero,
    /// From 0 to 1e9: what is far more drives a loss beyond single precision.
    Weight,
    /// From 1 to 10,000.
    AtLeastOne,
    /// From -1 to 1e9.
    AtLeastMinusOne,
    /// A number of things.
    Count,
}

/// The largest weight: what exceeds it by far drives a loss beyond single precision.
pub const MOST_WEIGHT: f64 = 1e9;

/// The most that may be counted.
const MOST: f64 = 1_048_576.0;

impl Domain {
    /// Whether it holds `value`.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Domain::Moderate => (1e-4..=1e4).contains(&value),
            Domain::ModerateOrZero => value == 0.0 || Domain::Moderate.holds(value),
            Domain::Weight => (0.0..=MOST_WEIGHT).contains(&value),
            Domain::AtLeastOne => (1.0..=1e4).contains(&value),
            Domain::AtLeastMinusOne => (-1.0..=MOST_WEIGHT).contains(&value),
            Domain::Count => value.fract() == 0.0 && (1.0..=MOST).contains(&value),
        }
    }

    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Domain::Moderate => "a number from 0.0001 to 10000",
            Domain::ModerateOrZero => "a number from 0.0001 to 10000, or 0",
            Domain::Weight => "a number from 0 to 1e9",
            Domain::AtLeastOne => "a number from 1 to 10000",
            Domain::AtLeastMinusOne => "a number from -1 to 1e9",
            Domain::Count => "a whole number from 1 to 1048576",
        }
    }
}

/// A setting of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its published default.
    pub default: f64,
    /// What it may be.
    pub domain: Domain,
}
