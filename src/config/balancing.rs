//! `[balance]`: a method and its settings.

use super::*;
use crate::balance::{self, FIXED, METHODS};
use crate::settings::{Choice, Section, either, nearest};

/// Keys of every method.
const COMMON: &[&str] = &["method", "over", "level", "probe", "rescale"];

impl Choice for Over {
    const WORDS: &'static [(&'static str, Self)] = &[("tasks", Self::Tasks), ("terms", Self::Terms)];
}
impl Choice for BalanceLevel {
    const WORDS: &'static [(&'static str, Self)] = &[("features", Self::Features), ("parameters", Self::Parameters)];
}

/// The keys of `[balance]`, with the settings of every method.
pub(super) fn keys() -> Vec<&'static str> {
    let mut keys = COMMON.to_vec();
    for key in METHODS.iter().flat_map(|m| m.keys) {
        if !keys.contains(&key.name) {
            keys.push(key.name);
        }
    }
    keys
}

pub(super) fn section(s: &Section) -> Result<BalanceConfig> {
    let method = s.text("method", "a balancing method")?.unwrap_or_else(|| FIXED.to_string());
    let known = balance::method(&method);
    if known.is_none() && method != FIXED {
        let names: Vec<&str> = std::iter::once(FIXED).chain(METHODS.iter().map(|m| m.name)).collect();
        let quoted: Vec<String> = names.iter().map(|n| format!("{n:?}")).collect();
        let hint = nearest(&method, &names).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
        return Err(s.error("method", format!("expected {}, found {method:?}{hint}", either(&quoted))));
    }
    let own = known.map_or(&[][..], |m| m.keys);
    if let Some(stranger) = s.keys().find(|k| !COMMON.contains(k) && !own.iter().any(|o| o.name == *k)) {
        let settings = match own {
            [] => "which has no settings".to_string(),
            keys => format!("whose settings are {}", keys.iter().map(|k| k.name).collect::<Vec<_>>().join(", ")),
        };
        return Err(s.error(stranger, format!("has no meaning for method = {method:?}, {settings}")));
    }
    let setting = |k: &balance::Key| {
        let what = format!("a number from {} to {}", k.range.0, k.range.1);
        let value = s.number(k.name, k.default, &what, |x| x >= k.range.0 && x <= k.range.1)?;
        Ok((k.name.to_string(), value))
    };
    Ok(BalanceConfig {
        over: s.choice("over", Over::Tasks)?,
        level: s.choice("level", BalanceLevel::Features)?,
        probe: s.flag("probe", true)?,
        rescale: s.flag("rescale", true)?,
        settings: own.iter().map(setting).collect::<Result<_>>()?,
        method,
    })
}
