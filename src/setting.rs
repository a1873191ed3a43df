//! A setting of a method: its name, default and what it may be, as the rows of the methods' tables state it.

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Above 0.
    Positive,
    /// From 0.0001 to 10,000.
    Moderate,
    /// At least 0.
    NotNegative,
    /// At least 1.
    AtLeastOne,
    /// At least -1.
    AtLeastMinusOne,
    /// A number of things.
    Count,
}

/// The most that may be counted.
const MOST: f64 = 1_048_576.0;

impl Domain {
    /// Whether it holds `value`.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Domain::Positive => value > 0.0,
            Domain::Moderate => (1e-4..=1e4).contains(&value),
            Domain::NotNegative => value >= 0.0,
            Domain::AtLeastOne => value >= 1.0,
            Domain::AtLeastMinusOne => value >= -1.0,
            Domain::Count => value.fract() == 0.0 && (1.0..=MOST).contains(&value),
        }
    }

    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Domain::Positive => "a number above 0",
            Domain::Moderate => "a number from 0.0001 to 10000",
            Domain::NotNegative => "a number of at least 0",
            Domain::AtLeastOne => "a number of at least 1",
            Domain::AtLeastMinusOne => "a number of at least -1",
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
