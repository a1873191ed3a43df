//! Where things are kept that can be made again: in the user's cache directory.

use std::path::PathBuf;

/// `LIMBECK_CACHE_DIR`, else `limbeck` in the user's cache directory as the system has it; `None` where there is none.
pub fn cache_dir() -> Option<PathBuf> {
    directory(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn directory(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(own) = variable("LIMBECK_CACHE_DIR") {
        return Some(own);
    }
    let home = || variable("HOME");
    let user = if cfg!(target_os = "windows") {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|h| h.join("Library/Caches"))
    } else {
        // The specification ignores relative paths.
        variable("XDG_CACHE_HOME").filter(|p| p.is_absolute()).or_else(|| home().map(|h| h.join(".cache")))
    };
    user.map(|u| u.join("limbeck"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_variable_wins() {
        let set = |pairs: &'static [(&str, &str)]| {
            directory(move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v)))
        };
        assert_eq!(set(&[("LIMBECK_CACHE_DIR", "/own"), ("HOME", "/home/a")]), Some("/own".into()));
        assert_eq!(set(&[]), None);
        if cfg!(target_os = "linux") {
            assert_eq!(set(&[("HOME", "/home/a")]), Some("/home/a/.cache/limbeck".into()));
            assert_eq!(set(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c")]), Some("/c/limbeck".into()));
            assert_eq!(set(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "c")]), Some("/home/a/.cache/limbeck".into()));
        }
    }
}
