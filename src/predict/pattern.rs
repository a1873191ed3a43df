//! Patterns of file names, for where no shell expands them: `photos/*.jpg`.

use std::path::{Component, Path, PathBuf};

/// Whether it is more than a name.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// What one letter, or several, of a name may be.
enum Part {
    /// Any letters, or none.
    Any,
    /// One letter.
    One,
    /// One of these, or none of these.
    Set(Vec<(char, char)>, bool),
    /// This letter.
    Letter(char),
}

impl Part {
    fn holds(&self, letter: char) -> bool {
        match self {
            Part::Any | Part::One => true,
            Part::Set(ranges, own) => ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter)) == *own,
            Part::Letter(own) => *own == letter,
        }
    }
}

/// `[a-c]`, `[!abc]`: the set behind an opening bracket, and what follows; `None` where it is never closed.
fn set(letters: &[char]) -> Option<(Part, &[char])> {
    let own = !matches!(letters.first(), Some('!' | '^'));
    let start = usize::from(!own);
    // A bracket that comes first is one of the letters.
    let end = start + 1 + letters.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let mut rest = letters.get(start..end)?;
    let mut ranges = Vec::new();
    while let Some(first) = rest.first() {
        let last = rest.get(2).filter(|_| rest.get(1) == Some(&'-'));
        ranges.push((*first, *last.unwrap_or(first)));
        let step = if last.is_some() { 3 } else { 1 };
        rest = rest.get(step..)?;
    }
    Some((Part::Set(ranges, own), letters.get(end + 1..)?))
}

/// The parts of a pattern of one name.
fn parts(pattern: &str) -> Vec<Part> {
    let letters: Vec<char> = folded(pattern).collect();
    let (mut rest, mut parts) = (letters.as_slice(), Vec::new());
    while let Some((letter, behind)) = rest.split_first() {
        rest = behind;
        parts.push(match letter {
            '*' => Part::Any,
            '?' => Part::One,
            '[' => match set(behind) {
                Some((set, behind)) => {
                    rest = behind;
                    set
                }
                None => Part::Letter('['),
            },
            other => Part::Letter(*other),
        });
    }
    parts
}

/// Letters as the system tells names apart.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(|c| if cfg!(windows) { c.to_lowercase().collect() } else { vec![c] })
}

/// Whether a name is one of those that `pattern` means: `*` is any letters, `?` one, `[a-c]` one of these, `[!a-c]` none of these. What is
/// hidden must be asked for with a dot.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let parts = parts(pattern);
    // The parts before which the letters so far may end: as many as there are, whatever stars there are.
    let mut places = vec![false; parts.len() + 1];
    let through_stars = |places: &mut Vec<bool>| {
        for (i, part) in parts.iter().enumerate() {
            if places[i] && matches!(part, Part::Any) {
                places[i + 1] = true;
            }
        }
    };
    places[0] = true;
    through_stars(&mut places);
    for letter in folded(name) {
        let mut next = vec![false; places.len()];
        for (i, part) in parts.iter().enumerate().filter(|(i, _)| places[*i]) {
            if part.holds(letter) {
                next[if matches!(part, Part::Any) { i } else { i + 1 }] = true;
            }
        }
        through_stars(&mut next);
        places = next;
    }
    places.last() == Some(&true)
}

/// The files and folders that a path with patterns in it means, in byte order; `**` stands for any number of folders.
pub(super) fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let text = component.as_os_str().to_str().filter(|text| is_pattern(text));
        found = match (component, text) {
            (Component::Normal(_), Some("**")) => found.iter().flat_map(|path| below(path)).collect(),
            (Component::Normal(_), Some(text)) => found.iter().flat_map(|path| entries(path, text)).collect(),
            _ => found.iter().map(|path| path.join(component)).collect(),
        };
    }
    found.retain(|path| path.exists());
    found.sort();
    found.dedup();
    found
}

/// What lies in a folder under a name that fits.
fn entries(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let all = std::fs::read_dir(here).into_iter().flatten().flatten();
    let names = all.map(|entry| entry.file_name()).filter(|name| fits(pattern, &name.to_string_lossy()));
    names.map(|name| folder.join(name)).collect()
}

/// A folder and all folders below it, without those that are hidden or only linked there.
fn below(folder: &Path) -> Vec<PathBuf> {
    let (mut all, mut at) = (vec![folder.to_path_buf()], 0);
    while let Some(path) = all.get(at) {
        let own = |path: &PathBuf| path.is_dir() && !path.is_symlink();
        let inner: Vec<PathBuf> = entries(path, "*").into_iter().filter(own).collect();
        all.extend(inner);
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_or_not() {
        for (pattern, name, expected) in [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "a.jpeg", false),
            ("*.jpg", ".a.jpg", false),
            (".*.jpg", ".a.jpg", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("*", "", true),
            ("img_??.png", "img_07.png", true),
            ("img_??.png", "img_7.png", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[!a-c]x", "ax", false),
            ("[]-]", "]", true),
            ("[]-]", "-", true),
            ("[a", "[a", true),
            ("caf?", "caf\u{e9}", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        // As many stars as there may be take no longer than their number.
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)));
        assert!(is_pattern("a?") && !is_pattern("a.png"));
    }

    #[test]
    fn paths_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/1.png", "a/1.png", "a/2.txt", "a/c/3.png", "a/.hidden/4.png", "5.png"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| -> Vec<PathBuf> {
            let all = expand(&folder.path().join(pattern));
            all.into_iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_path_buf()).collect()
        };
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(found("*/*.png"), paths(&["a/1.png", "b/1.png"]));
        assert_eq!(found("**/*.png"), paths(&["5.png", "a/1.png", "a/c/3.png", "b/1.png"]));
        assert_eq!(found("a/*"), paths(&["a/1.png", "a/2.txt", "a/c"]));
        assert_eq!(found("?/1.png"), paths(&["a/1.png", "b/1.png"]));
        assert_eq!(found("*.jpg"), paths(&[]));
        assert_eq!(found("nowhere/*"), paths(&[]));
    }
}
