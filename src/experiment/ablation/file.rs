//! The file of a comparison.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::plan::{RowPlan, RowStage, SearchPlan, Space, Strategy, points, product};

use crate::config::Config;
use crate::{Error, Result};

/// A comparison, read and expanded: its grids have become rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Ablation {
    /// Its name; the default folder is `runs/<name>`.
    pub name: String,
    /// The run's file that it varies.
    pub base: PathBuf,
    /// Values set on top of that in every row.
    pub sets: Vec<String>,
    /// The rows, grids expanded.
    pub rows: Vec<RowPlan>,
    /// Searches, each of which gives a row.
    pub searches: Vec<SearchPlan>,
    /// Also train every two tasks together, to see which help each other.
    pub transfer: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    base: PathBuf,
    #[serde(default)]
    set: Vec<String>,
    #[serde(default)]
    transfer: bool,
    #[serde(default)]
    row: Vec<FileRow>,
    #[serde(default)]
    search: Vec<FileSearch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    name: String,
    stage: RowStage,
    #[serde(default)]
    set: Vec<String>,
    #[serde(default)]
    grid: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSearch {
    name: String,
    stage: RowStage,
    #[serde(default)]
    set: Vec<String>,
    strategy: Strategy,
    #[serde(default = "eight")]
    trials: usize,
    #[serde(default = "three")]
    factor: usize,
    #[serde(default)]
    seed: u64,
    space: BTreeMap<String, Space>,
}

fn eight() -> usize {
    8
}

fn three() -> usize {
    3
}

/// Values of a table under dotted keys, whether those were written in quotes or not.
fn flat(
    table: &toml::Table,
    prefix: &str,
    out: &mut Vec<(String, Vec<toml::Value>)>,
) -> std::result::Result<(), String> {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flat(inner, &key, out)?,
            toml::Value::Array(values) if !values.is_empty() => out.push((key, values.clone())),
            other => return Err(format!("`{key}` must be a list of the values to try, not {other}")),
        }
    }
    Ok(())
}

impl Ablation {
    /// Reads a comparison's file, with `sets` on top of its own, and checks every row.
    ///
    /// # Errors
    /// [`Error::Io`] where it or the run's file cannot be read; [`Error::Config`] for everything else, with the row it is about.
    pub fn load(path: &Path, sets: &[String]) -> Result<Ablation> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", e))?;
        let refuse = |line: Option<usize>, key: &str, message: String| Error::Config {
            path: path.to_path_buf(),
            line,
            key: key.into(),
            message,
        };
        let file: File = toml::from_str(&text).map_err(|e| {
            let line = e.span().map(|s| text[..s.start].matches('\n').count() + 1);
            let form = "a comparison has `base`, `set`, `transfer`, and tables [[row]] and [[search]]";
            refuse(line, "comparison", format!("{}; {form}", e.message().trim().replace('\n', ", ")))
        })?;
        let stem = path.file_stem().map_or("ablation".into(), |s| s.to_string_lossy().into_owned());
        let name = file.name.unwrap_or(stem);
        let base = path.parent().unwrap_or(Path::new(".")).join(&file.base);
        let mut rows = Vec::new();
        for row in file.row {
            let mut axes = Vec::new();
            flat(&row.grid, "", &mut axes).map_err(|m| refuse(None, &format!("row {:?}", row.name), m))?;
            for point in product(&axes) {
                let suffix: Vec<String> = point.iter().map(|(_, v)| short(v)).collect();
                let name =
                    if point.is_empty() { row.name.clone() } else { format!("{} {}", row.name, suffix.join(", ")) };
                let sets = row.set.iter().cloned().chain(point.iter().map(|(k, v)| format!("{k}={v}"))).collect();
                rows.push(RowPlan { name, stage: row.stage, sets });
            }
        }
        let searches: Vec<SearchPlan> = file
            .search
            .into_iter()
            .map(|s| SearchPlan {
                name: s.name,
                stage: s.stage,
                sets: s.set,
                strategy: s.strategy,
                trials: s.trials,
                factor: s.factor,
                seed: s.seed,
                space: s.space,
            })
            .collect();
        let transfer = file.transfer;
        let ablation = Ablation {
            name,
            base,
            sets: file.set.into_iter().chain(sets.iter().cloned()).collect(),
            rows,
            searches,
            transfer,
        };
        ablation.check(path)?;
        Ok(ablation)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let refuse =
            |key: String, message: String| Error::Config { path: path.to_path_buf(), line: None, key, message };
        if self.rows.is_empty() && self.searches.is_empty() {
            return Err(refuse("row".into(), "there is nothing to compare; add a table [[row]]".into()));
        }
        let names: Vec<&String> =
            self.rows.iter().map(|r| &r.name).chain(self.searches.iter().map(|s| &s.name)).collect();
        if let Some(i) = (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
            return Err(refuse(format!("row {:?}", names[i]), "two rows have this name".into()));
        }
        for row in &self.rows {
            self.config(&row.sets).map_err(|e| refuse(format!("row {:?}", row.name), e.to_string()))?;
        }
        for search in &self.searches {
            let key = format!("search {:?}", search.name);
            if search.trials == 0 || search.factor < 2 || search.space.is_empty() {
                let message = "it needs at least one trial, a factor of at least 2 and something in its space";
                return Err(refuse(key, message.into()));
            }
            for (name, space) in &search.space {
                let fits = match space {
                    Space::Values(values) => !values.is_empty(),
                    Space::Range { from, to, log } => {
                        from < to && (!log || *from > 0.0) && search.strategy != Strategy::Grid
                    }
                };
                if !fits {
                    let message = format!(
                        "`{name}` needs a list of values, or (not in a grid) {{ from, to }} with from < to, above 0 where log"
                    );
                    return Err(refuse(key, message));
                }
            }
            let first = points(search).into_iter().next().unwrap_or_default();
            let sets: Vec<String> = search.sets.iter().cloned().chain(first).collect();
            self.config(&sets).map_err(|e| refuse(key, e.to_string()))?;
        }
        Ok(())
    }

    /// The run's configuration with the comparison's values and these on top.
    pub(crate) fn config(&self, sets: &[String]) -> Result<Config> {
        let all: Vec<String> = self.sets.iter().chain(sets).cloned().collect();
        Config::load(&self.base, &all)
    }
}

/// A value in a row's name: without quotes and brackets.
fn short(value: &toml::Value) -> String {
    match value {
        toml::Value::String(s) => s.clone(),
        toml::Value::Array(a) => a.iter().map(short).collect::<Vec<_>>().join(" + "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Ablation> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("base.toml"), "[data]\nsource = \"digits\"\n").unwrap();
        let path = folder.path().join("compare.toml");
        std::fs::write(&path, text).unwrap();
        Ablation::load(&path, &["train.epochs=2".to_string()])
    }

    #[test]
    fn grids_become_rows() {
        let text = "base = \"base.toml\"\nset = [\"train.lr=0.1\"]\n[[row]]\nname = \"joint\"\nstage = \"joint\"\n\
                    [[row]]\nname = \"T\"\nstage = \"distilled\"\n\
                    grid = { distill.kd.temperature = [1, 4.0], \"distill.methods\" = [[\"kd\"], [\"kd\", \"sp\"]] }\n";
        let ablation = load(text).unwrap();
        let names: Vec<&str> = ablation.rows.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["joint", "T 1, kd", "T 1, kd + sp", "T 4.0, kd", "T 4.0, kd + sp"]);
        assert_eq!(ablation.rows[2].sets, ["distill.kd.temperature=1", "distill.methods=[\"kd\", \"sp\"]"]);
        assert_eq!(
            (ablation.name.as_str(), ablation.sets.as_slice()),
            ("compare", &["train.lr=0.1".to_string(), "train.epochs=2".into()][..])
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let says = |text: &str, words: &[&str]| {
            let error = load(text).unwrap_err().to_string();
            assert!(words.iter().all(|w| error.contains(w)), "{error}");
        };
        says("base = \"base.toml\"\n", &["nothing to compare"]);
        says("base = \"base.toml\"\n[[row]]\nname = \"a\"\n", &["compare.toml:2", "stage"]);
        says("base = \"base.toml\"\n[[rows]]\n", &["rows"]);
        says("base = \"none.toml\"\n[[row]]\nname = \"a\"\nstage = \"joint\"\n", &["row \"a\"", "none.toml"]);
        let row = "[[row]]\nname = \"a\"\nstage = \"joint\"\n";
        says(&format!("base = \"base.toml\"\n{row}{row}"), &["two rows have this name"]);
        says(&format!("base = \"base.toml\"\n{row}set = [\"train.lrr=1\"]\n"), &["row \"a\"", "did you mean `lr`?"]);
        says(&format!("base = \"base.toml\"\n{row}grid = {{ train.lr = 1 }}\n"), &["train.lr", "list"]);
        let search = "base = \"base.toml\"\n[[search]]\nname = \"s\"\nstage = \"joint\"\nstrategy = \"grid\"\n";
        says(&format!("{search}space = {{}}\n"), &["search \"s\"", "space"]);
        says(&format!("{search}space = {{ \"train.lr\" = {{ from = 1, to = 2 }} }}\n"), &["train.lr"]);
    }
}
