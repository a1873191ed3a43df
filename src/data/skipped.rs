//! What a loader did not use, or only in part, and why; grouped for people, who cannot read 22,207 lines.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What became of something that is named in [`super::Dataset::skipped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "train", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Fate {
    /// It was meant to be used and is not: a broken image, an annotation without an image.
    LeftOut,
    /// It is used, but something is not known of it: an image without a mask.
    Incomplete,
    /// An image that no table, annotation or list names. It is not used, and nobody may have meant it to be.
    NotNamed,
}

/// Something that was left out on loading, or has no labels of some kind, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// The line or the entry of the file that it is about; empty where it is about the whole file.
    pub place: String,
    /// Why, or what it lacks. Equal reasons are told as one; names in quotes and numbers may differ.
    pub reason: String,
    /// Whether it is used nevertheless.
    pub fate: Fate,
}

impl Skipped {
    /// A file that is not used.
    pub fn left_out(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Skipped { path: path.into(), place: String::new(), reason: reason.into(), fate: Fate::LeftOut }
    }

    /// A file that is used, with something missing.
    pub fn incomplete(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Skipped { fate: Fate::Incomplete, ..Self::left_out(path, reason) }
    }

    /// An image that nothing names; `by` completes "not named".
    pub fn not_named(path: impl Into<PathBuf>, by: &str) -> Self {
        Skipped { fate: Fate::NotNamed, ..Self::left_out(path, format!("not named {by}")) }
    }

    /// The same, of one line or entry of the file.
    pub fn at(self, place: impl Into<String>) -> Self {
        Skipped { place: place.into(), ..self }
    }

    /// The file, and the place in it.
    fn location(&self) -> String {
        match self.place.as_str() {
            "" => self.path.display().to_string(),
            place => format!("{}, {place}", self.path.display()),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.location(), self.reason)
    }
}

/// What was skipped for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "train", derive(serde::Serialize))]
pub struct SkippedGroup {
    /// What became of it.
    pub fate: Fate,
    /// The reason; where details differ, quoted names are `"…"` and numbers `N` in it.
    pub reason: String,
    /// The folder, of images that nothing names.
    #[cfg_attr(feature = "train", serde(skip_serializing_if = "Option::is_none"))]
    pub folder: Option<PathBuf>,
    /// How many.
    pub count: usize,
    /// The first of them: file and place, with the reason where details differ.
    pub examples: Vec<String>,
}

impl SkippedGroup {
    /// Examples that are kept of each group.
    pub const EXAMPLES: usize = 3;

    /// Groups by reason: what is left out first, then what is incomplete, then what nothing names; of these the largest group
    /// first. Gives the groups, and everything in their order.
    pub fn all(skipped: &[Skipped]) -> (Vec<SkippedGroup>, Vec<&Skipped>) {
        let mut by_reason: BTreeMap<(Fate, Option<&Path>, String), Vec<&Skipped>> = BTreeMap::new();
        for one in skipped {
            // Of images that nothing names the folder is all that there is to say.
            let folder = (one.fate == Fate::NotNamed).then(|| one.path.parent()).flatten();
            by_reason.entry((one.fate, folder, pattern(&one.reason))).or_default().push(one);
        }
        let mut groups: Vec<_> = by_reason.into_iter().collect();
        groups.sort_by_key(|((fate, ..), members)| (*fate, std::cmp::Reverse(members.len())));
        let group = |((fate, folder, pattern), members): &((Fate, Option<&Path>, String), Vec<&Skipped>)| {
            let alike = members.windows(2).all(|pair| pair[0].reason == pair[1].reason);
            let example = |one: &&Skipped| if alike { one.location() } else { one.to_string() };
            SkippedGroup {
                fate: *fate,
                reason: if alike { members[0].reason.clone() } else { pattern.clone() },
                folder: folder.map(Path::to_path_buf),
                count: members.len(),
                examples: members.iter().take(Self::EXAMPLES).map(example).collect(),
            }
        };
        (groups.iter().map(group).collect(), groups.iter().flat_map(|(_, members)| members.clone()).collect())
    }
}

/// A reason without what is particular to one file: quoted text becomes `"…"`, a number `N`.
fn pattern(reason: &str) -> String {
    let mut out = String::new();
    let mut rest = reason.chars().peekable();
    while let Some(c) = rest.next() {
        // Digits inside a word, as in `f32`, belong to the word.
        let in_word = out.chars().next_back().is_some_and(char::is_alphanumeric);
        match c {
            '"' => {
                let mut escaped = false;
                for inner in rest.by_ref() {
                    if inner == '"' && !escaped {
                        break;
                    }
                    escaped = inner == '\\' && !escaped;
                }
                out += "\"…\"";
            }
            c if c.is_ascii_digit() && !in_word => {
                // Until the word's end: 10x20, 1e-3 and 0.5 are one number each; a full stop ends a sentence.
                while let Some(&next) = rest.peek() {
                    let mut ahead = rest.clone();
                    ahead.next();
                    let inside = matches!(next, '.' | '-') && ahead.peek().is_some_and(char::is_ascii_digit);
                    if !next.is_alphanumeric() && !inside {
                        break;
                    }
                    rest.next();
                }
                if out.ends_with('-') {
                    out.pop();
                }
                out.push('N');
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_lose_what_is_particular() {
        for (reason, expected) in [
            ("is 480x640, its annotation says 10x20", "is N, its annotation says N"),
            ("\"99\" is no class of the file of names", "\"…\" is no class of the file of names"),
            ("\"a \\\" b\" is no number", "\"…\" is no number"),
            ("the box [-1.5, 2, 1e-3, 4] has no area.", "the box [N, N, N, N] has no area."),
            ("expected f32", "expected f32"),
            ("the name \"never ends", "the name \"…\""),
            ("", ""),
        ] {
            assert_eq!(pattern(reason), expected);
        }
    }

    #[test]
    fn groups_by_fate_and_reason_the_largest_first() {
        let mut all: Vec<Skipped> = (0..5).map(|i| Skipped::not_named(format!("d/{i}.png"), "in t.csv")).collect();
        all.push(Skipped::incomplete("a.png", "has no mask"));
        all.push(Skipped::left_out("x.txt", "\"p\" is no number").at("line 1"));
        all.extend((0..4).map(|i| Skipped::left_out(format!("{i}.jpg"), format!("is {i}x9, not 9x9"))));
        all.push(Skipped::not_named("e/0.png", "in t.csv"));
        let (groups, ordered) = SkippedGroup::all(&all);
        let told: Vec<(Fate, &str, usize)> = groups.iter().map(|g| (g.fate, g.reason.as_str(), g.count)).collect();
        use Fate::{Incomplete, LeftOut, NotNamed};
        let expected = [
            (LeftOut, "is N, not N", 4),
            (LeftOut, "\"p\" is no number", 1),
            (Incomplete, "has no mask", 1),
            (NotNamed, "not named in t.csv", 5),
            (NotNamed, "not named in t.csv", 1),
        ];
        assert_eq!(told, expected);
        // Details are shown where they differ.
        assert_eq!(groups[0].examples, ["0.jpg: is 0x9, not 9x9", "1.jpg: is 1x9, not 9x9", "2.jpg: is 2x9, not 9x9"]);
        assert_eq!(groups[1].examples, ["x.txt, line 1"]);
        assert_eq!(groups[3].folder.as_deref(), Some(Path::new("d")));
        assert_eq!((ordered.len(), ordered[4].to_string()), (12, "x.txt, line 1: \"p\" is no number".into()));
    }
}
