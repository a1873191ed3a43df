//! Variants that a measurement chose on one adapter (`limbeck bench --tune`), kept in the user's cache directory.
//!
//! A table of names by key; what they mean is the kernels' business. It holds for one adapter, one driver and one version of
//! this crate: any other begins with an empty one, and the rules decide.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::adapter::Profile;
use super::cache_dir::cache_dir;
use crate::{Error, Result, files, hash};

/// Names chosen by measurement, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TunedVariants {
    names: BTreeMap<String, String>,
}

/// What a table holds for; its first line.
fn owner(profile: &Profile) -> String {
    let Profile { name, backend, driver, matrix, .. } = profile;
    // What is fastest where f16 is allowed is another question.
    let matrices = if matrix.is_some() { " | matrices" } else { "" };
    // Line breaks would end the line.
    format!("limbeck {} | {name} | {backend} | {driver}{matrices}", env!("CARGO_PKG_VERSION"))
        .replace(['\n', '\r'], " ")
}

impl TunedVariants {
    /// Where the table of an adapter lies; `None` without a cache directory.
    pub fn path(profile: &Profile) -> Option<PathBuf> {
        let owner = owner(profile);
        Some(cache_dir()?.join("tuned").join(format!("{:016x}.txt", hash::fnv1a(owner.as_bytes()))))
    }

    /// The stored table of an adapter. One that is missing, damaged or another adapter's is an empty one: it only costs speed.
    pub fn load(profile: &Profile) -> Self {
        let text = Self::path(profile).and_then(|path| std::fs::read_to_string(path).ok());
        text.and_then(|text| Self::parse(&text, &owner(profile))).unwrap_or_default()
    }

    /// Stores the table, whole or not at all; where it lies.
    pub fn store(&self, profile: &Profile) -> Result<PathBuf> {
        let path = Self::path(profile).ok_or_else(|| {
            Error::Invalid("there is no cache directory to keep the choices in; set LIMBECK_CACHE_DIR".into())
        })?;
        files::write_atomic(&path, self.text(&owner(profile)).as_bytes())?;
        Ok(path)
    }

    fn text(&self, owner: &str) -> String {
        let lines = self.names.iter().map(|(key, name)| format!("{key} = {name}\n"));
        format!("{owner}\n{}", lines.collect::<String>())
    }

    fn parse(text: &str, owner: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|first| *first == owner)?;
        let pair = |line: &str| line.split_once(" = ").map(|(k, v)| (k.to_string(), v.to_string()));
        Some(TunedVariants { names: lines.map(pair).collect::<Option<_>>()? })
    }

    /// The name chosen for `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.names.get(key).map(String::as_str)
    }

    /// Chooses `name` for `key`.
    pub fn set(&mut self, key: impl Into<String>, name: impl Into<String>) {
        self.names.insert(key.into(), name.into());
    }

    /// Leaves `key` to the rule.
    pub fn forget(&mut self, key: &str) {
        self.names.remove(key);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_its_file_and_serves_only_its_owner() {
        let mut choices = TunedVariants::default();
        choices.set("conv2d forward 1 2 3", "lanes-32x8");
        choices.set("conv2d input_grad 1 2 3", "register-8x8");
        let text = choices.text("limbeck 1 | a | vulkan | 1.0");
        assert_eq!(TunedVariants::parse(&text, "limbeck 1 | a | vulkan | 1.0"), Some(choices.clone()));
        assert_eq!(TunedVariants::parse(&text, "limbeck 1 | a | vulkan | 1.1"), None);
        assert_eq!(TunedVariants::parse("", "x"), None);
        assert_eq!(TunedVariants::parse("x\nbroken", "x"), None);
        assert_eq!(choices.get("conv2d forward 1 2 3"), Some("lanes-32x8"));
        choices.forget("conv2d forward 1 2 3");
        assert_eq!((choices.get("conv2d forward 1 2 3"), choices.len()), (None, 1));
    }
}
