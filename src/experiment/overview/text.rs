//! The overview for people: a table of at most two lines a task, then what was skipped.

use super::{Counts, NameCount, Overview, PerSplit, TaskLabels, TaskOverview};
use crate::data::{Fate, SkippedGroup};

/// Columns of a terminal that lines may have, as those of the result's table.
const WIDTH: usize = 110;

/// Characters of a name that are shown.
const NAME: usize = 24;

/// Groups of skipped things that are shown, of each fate.
const GROUPS: usize = 8;

/// One row of the table: a name, a value for each split, and something in words.
type Row = (String, [String; 3], String);

impl Overview {
    /// The overview as lines; `list` is the file that names all that was skipped.
    pub fn lines(&self, list: &str) -> Vec<String> {
        let mut lines = self.table();
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines.extend(skipped(&self.skipped, list));
        lines
    }

    fn table(&self) -> Vec<String> {
        let [h, w, channels] = self.image;
        let colour = if channels == 1 { "grey" } else { "RGB" };
        let mut rows: Vec<Row> = vec![
            ("data".into(), ["train", "val", "test"].map(String::from), String::new()),
            ("images".into(), self.images.shown(|n| thousands(*n as u64)), format!("{h}x{w}, {colour}")),
        ];
        rows.extend(self.tasks.iter().flat_map(TaskOverview::rows));
        let chars = |text: &String| text.chars().count();
        let first = rows.iter().map(|(name, ..)| chars(name)).max().unwrap_or(0);
        let others = [0, 1, 2].map(|c| rows.iter().map(|(_, values, _)| chars(&values[c])).max().unwrap_or(0));
        let start = 2 + first + others.iter().map(|w| w + 2).sum::<usize>() + 3;
        let mut lines = Vec::new();
        for (name, values, words) in &rows {
            let mut line = format!("  {name:first$}");
            values.iter().zip(others).for_each(|(value, width)| line += &format!("  {value:>width$}"));
            let mut words = wrapped(words, WIDTH.saturating_sub(start).max(30)).into_iter();
            line += &format!("   {}", words.next().unwrap_or_default());
            lines.push(line.trim_end().to_string());
            lines.extend(words.map(|more| format!("{:start$}{more}", "")));
        }
        lines
    }
}

impl<T> PerSplit<T> {
    fn shown(&self, of: impl Fn(&T) -> String) -> [String; 3] {
        [of(&self.train), of(&self.val), of(&self.test)]
    }
}

impl TaskOverview {
    /// The images that have a label; below it, of tasks that have several labels an image, what there is of those.
    fn rows(&self) -> Vec<Row> {
        let images = self.labels.shown(|labels| thousands(labels.images as u64));
        let mut rows = vec![(short(&self.name), images, self.words())];
        let below = |labels: &TaskLabels| match &labels.counts {
            Counts::Classes { .. } | Counts::Attributes { .. } => None,
            Counts::Numbers { mean, .. } => Some(("  mean", mean.map_or("–".into(), number))),
            Counts::Pixels { pixels: 0, .. } => Some(("  % classed", "–".into())),
            Counts::Pixels { pixels, classed, .. } => Some(("  % classed", percent(*classed, *pixels))),
            Counts::Objects { objects, .. } => Some(("  objects", thousands(*objects))),
        };
        if let Some((name, _)) = below(&self.labels.train) {
            let values = self.labels.shown(|labels| below(labels).map_or(String::new(), |(_, value)| value));
            rows.push((name.into(), values, String::new()));
        }
        rows
    }

    /// What the training labels are, and what a split lacks.
    fn words(&self) -> String {
        let train = &self.labels.train.counts;
        let mut parts = vec![match train {
            Counts::Classes { classes } => {
                let n = classes.len();
                format!("{} {}", plural(n, "class", "classes"), range(classes, |c| thousands(c.count), "images each"))
            }
            Counts::Attributes { attributes } => {
                let yes: Vec<NameCount> =
                    attributes.iter().map(|a| NameCount { name: a.name.clone(), count: a.yes }).collect();
                let n = plural(yes.len(), "attribute", "attributes");
                match yes.iter().all(|a| a.count == 0) {
                    true => format!("{n}, none with a yes in train"),
                    false => {
                        format!("{n}, yes {}", range(&yes, |c| thousands(c.count), "times").trim_start_matches("of "))
                    }
                }
            }
            Counts::Numbers { min: Some(min), max: Some(max), .. } => format!("{} to {}", number(*min), number(*max)),
            Counts::Numbers { .. } => "no number in train".into(),
            Counts::Pixels { classes, classed, .. } => {
                let n = plural(classes.len(), "class", "classes");
                format!("{n} {}", range(classes, |c| format!("{} %", percent(c.count, *classed)), "of the pixels"))
            }
            Counts::Objects { classes, .. } => {
                let n = plural(classes.len(), "class", "classes");
                format!("{n} {}", range(classes, |c| thousands(c.count), "objects each"))
            }
        }];
        if let Counts::Objects { ignored, images_without, .. } = train {
            parts.extend((*ignored > 0).then(|| format!("{} ignored", thousands(*ignored))));
            let images = plural(*images_without as usize, "image", "images");
            parts.extend((*images_without > 0).then(|| format!("{images} without an object")));
        }
        // Splits that lack the same are told of together.
        let mut lacking: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        for (split, labels) in self.labels.named() {
            let empty = labels.empty();
            // Where there is no label at all the column says so.
            if empty.is_empty() || labels.images == 0 {
                continue;
            }
            match lacking.iter_mut().find(|(_, names)| *names == empty) {
                Some((splits, _)) => splits.push(split),
                None => lacking.push((vec![split], empty)),
            }
        }
        let what = if matches!(train, Counts::Attributes { .. }) { "no yes" } else { "none" };
        parts.extend(
            lacking.iter().map(|(splits, names)| format!("{what} in {} of {}", splits.join(", "), some(names))),
        );
        parts.join("; ")
    }
}

impl TaskLabels {
    /// Classes that do not occur, and attributes that never hold.
    fn empty(&self) -> Vec<&str> {
        match &self.counts {
            Counts::Attributes { attributes } => {
                attributes.iter().filter(|a| a.yes == 0).map(|a| a.name.as_str()).collect()
            }
            Counts::Classes { classes } | Counts::Pixels { classes, .. } | Counts::Objects { classes, .. } => {
                classes.iter().filter(|c| c.count == 0).map(|c| c.name.as_str()).collect()
            }
            Counts::Numbers { .. } => Vec::new(),
        }
    }
}

/// `of 1 (Skip) to 92 (T-Shirt) images each`: the smallest and the largest of those that occur.
fn range(classes: &[NameCount], value: impl Fn(&NameCount) -> String, what: &str) -> String {
    let there = || classes.iter().filter(|c| c.count > 0);
    // The first of equals, both times.
    let (Some(least), Some(most)) = (there().min_by_key(|c| c.count), there().rev().max_by_key(|c| c.count)) else {
        return "without a label in train".into();
    };
    let one = |c: &NameCount| format!("{} ({})", value(c), short(&c.name));
    match (least.count == most.count, there().count()) {
        (true, 1) => format!("of {} {}", one(least), what.trim_end_matches(" each")),
        (true, _) => format!("of {} {what}", value(least)),
        _ => format!("of {} to {} {what}", one(least), one(most)),
    }
}

/// `a, b, c`, `17 (a, b, c, …)`.
fn some(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| short(name)).collect();
    match names.len() {
        0..=3 => shown.join(", "),
        n => format!("{} ({}, …)", thousands(n as u64), shown.join(", ")),
    }
}

/// What was skipped, by fate and reason, with examples.
fn skipped(groups: &[SkippedGroup], list: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (fate, head) in [(Fate::LeftOut, "left out"), (Fate::Incomplete, "used, but incomplete")] {
        let own: Vec<&SkippedGroup> = groups.iter().filter(|g| g.fate == fate).collect();
        let total = |groups: &[&SkippedGroup]| groups.iter().map(|g| g.count as u64).sum::<u64>();
        if !own.is_empty() {
            lines.push(format!("  {head}: {}", thousands(total(&own))));
        }
        for group in own.iter().take(GROUPS) {
            lines.extend(group.lines(list));
        }
        let rest = own.get(GROUPS..).unwrap_or_default();
        if !rest.is_empty() {
            lines.push(format!("    … and {} more for other reasons in {list}", thousands(total(rest))));
        }
    }
    for group in groups.iter().filter(|g| g.fate == Fate::NotNamed) {
        let (count, folder) = (group.count, group.folder.clone().unwrap_or_default());
        let (images, are) = (plural(count, "image", "images"), if count == 1 { "is" } else { "are" });
        let they = if count == 1 { "it is" } else { "they are" };
        lines.push(format!("  {images} in {} {are} {}; {they} not used", folder.display(), group.reason));
    }
    lines
}

impl SkippedGroup {
    fn lines(&self, list: &str) -> Vec<String> {
        let mut lines = vec![format!("    {} × {}", thousands(self.count as u64), self.reason)];
        lines.extend(self.examples.iter().map(|example| format!("      {example}")));
        let more = self.count.saturating_sub(self.examples.len());
        lines.extend((more > 0).then(|| format!("      … and {} more in {list}", thousands(more as u64))));
        lines
    }
}

fn plural(n: usize, one: &str, several: &str) -> String {
    format!("{} {}", thousands(n as u64), if n == 1 { one } else { several })
}

/// `22,207`.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let places = digits.len();
    let with_comma = |(i, digit): (usize, char)| {
        let comma = (i > 0 && (places - i).is_multiple_of(3)).then_some(',');
        comma.into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(with_comma).collect()
}

/// A part in per cent: one decimal, two significant digits where it is small.
fn percent(part: u64, of: u64) -> String {
    let value = 100.0 * part as f64 / of.max(1) as f64;
    let decimals =
        if value == 0.0 || value >= 1.0 { 1 } else { (1 - value.log10().floor() as i32).clamp(1, 6) as usize };
    format!("{value:.decimals$}")
}

/// A number with four digits at most, unless it is a whole one.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == value.round() && size < 1e6 {
        format!("{value}")
    } else if (0.001..1e6).contains(&size) {
        let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
        format!("{value:.decimals$}").trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        format!("{value:.3e}")
    }
}

/// A name that is not longer than a column may be.
fn short(name: &str) -> String {
    // A name may hold anything; a line break or an escape sequence would spoil the table.
    let plain = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    if name.chars().count() <= NAME { plain.collect() } else { plain.take(NAME - 1).chain(['…']).collect() }
}

/// Breaks a text between words so that no line is longer than `width`, unless a word is.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => *line += &format!(" {word}"),
            _ => lines.push(word.to_string()),
        }
    }
    lines
}
