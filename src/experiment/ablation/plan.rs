//! What a comparison does: its rows, its searches, and the values that a search tries.

use std::collections::BTreeMap;

use rand::RngExt;
use serde::Deserialize;

use crate::data::seed;

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct RowPlan {
    /// What the table calls it.
    pub name: String,
    /// What is trained.
    pub stage: RowStage,
    /// Values set on top of the comparison's own.
    pub sets: Vec<String>,
}

/// Which student a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowStage {
    /// All tasks, labels alone.
    Joint,
    /// All tasks, with teachers.
    Distilled,
}

/// A search for the values that do best on validation, with the first seed.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchPlan {
    /// What the table calls the row of the best.
    pub name: String,
    /// What is trained.
    pub stage: RowStage,
    /// Values set in every trial.
    pub sets: Vec<String>,
    /// How values are tried.
    pub strategy: Strategy,
    /// How many are tried, where not all of them are.
    pub trials: usize,
    /// Of successive halving: the part that goes on is one in so many.
    pub factor: usize,
    /// Seed of what is drawn.
    pub seed: u64,
    /// What is varied, by key.
    pub space: BTreeMap<String, Space>,
}

/// How values are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Every combination.
    Grid,
    /// Combinations drawn at random (Bergstra & Bengio 2012).
    Random,
    /// Random ones, of which few epochs show the better part, which goes on with more (Jamieson & Talwalkar 2016, arXiv
    /// 1502.07943).
    Halving,
}

/// The values of one key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Space {
    /// One of these.
    Values(Vec<toml::Value>),
    /// A number between two.
    Range {
        /// The least.
        from: f64,
        /// The largest.
        to: f64,
        /// Drawn evenly by its logarithm.
        #[serde(default)]
        log: bool,
    },
}

/// Every combination of the axes' values.
pub(crate) fn product(axes: &[(String, Vec<toml::Value>)]) -> Vec<Vec<(String, toml::Value)>> {
    let mut all = vec![Vec::new()];
    for (key, values) in axes {
        let longer = |start: Vec<(String, toml::Value)>| {
            values.iter().map(move |v| start.iter().cloned().chain([(key.clone(), v.clone())]).collect())
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// The values of every trial.
pub(crate) fn points(plan: &SearchPlan) -> Vec<Vec<String>> {
    if plan.strategy == Strategy::Grid {
        let axes: Vec<(String, Vec<toml::Value>)> = plan
            .space
            .iter()
            .map(|(key, space)| match space {
                Space::Values(values) => (key.clone(), values.clone()),
                Space::Range { .. } => (key.clone(), Vec::new()),
            })
            .collect();
        return product(&axes).iter().map(|p| p.iter().map(|(k, v)| format!("{k}={v}")).collect()).collect();
    }
    let mut rng = seed::stream(seed::derive(plan.seed, &plan.name));
    let mut draw = |space: &Space| match space {
        Space::Values(values) => values[rng.random_range(0..values.len())].to_string(),
        Space::Range { from, to, log } => {
            let part: f64 = rng.random();
            let value = match log {
                true => (from.ln() + part * (to / from).ln()).exp(),
                false => from + part * (to - from),
            };
            // Three digits are enough to try, and to read.
            format!("{value:.3e}").parse::<f64>().unwrap_or(value).to_string()
        }
    };
    let one = |_| plan.space.iter().map(|(key, space)| format!("{key}={}", draw(space))).collect();
    let mut points: Vec<Vec<String>> = (0..plan.trials).map(one).collect();
    let mut seen = std::collections::BTreeSet::new();
    points.retain(|p| seen.insert(p.clone()));
    points
}

/// Trials of a search: an upper bound.
pub(crate) fn trials(plan: &SearchPlan) -> usize {
    let first = points(plan).len();
    if plan.strategy == Strategy::Halving { 2 * first } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(strategy: Strategy) -> SearchPlan {
        let values = Space::Values(vec![toml::Value::Integer(1), toml::Value::Integer(2)]);
        let second = match strategy {
            Strategy::Grid => values.clone(),
            _ => Space::Range { from: 0.01, to: 1.0, log: true },
        };
        SearchPlan {
            name: "s".into(),
            stage: RowStage::Joint,
            sets: Vec::new(),
            strategy,
            trials: 50,
            factor: 3,
            seed: 4,
            space: BTreeMap::from([("a".into(), values), ("b".into(), second)]),
        }
    }

    #[test]
    fn grids_have_every_combination_and_draws_are_repeatable() {
        assert_eq!(points(&plan(Strategy::Grid)).len(), 4);
        let drawn = points(&plan(Strategy::Random));
        assert_eq!(drawn, points(&plan(Strategy::Random)));
        assert!(drawn.len() > 40);
        let values: Vec<f64> = drawn.iter().map(|p| p[1].strip_prefix("b=").unwrap().parse().unwrap()).collect();
        assert!(values.iter().all(|v| (0.01..=1.0).contains(v)));
        // By the logarithm: about half of them below the geometric mean.
        let low = values.iter().filter(|v| **v < 0.1).count();
        assert!((low as f64 / values.len() as f64 - 0.5).abs() < 0.25, "{low}");
    }
}
