//! Searches: the configuration that does best on validation, with one seed; its row then has all seeds.

use serde::{Deserialize, Serialize};

use super::Work;
use super::plan::{RowPlan, RowStage, SearchPlan, Strategy, points};
use crate::config::{Config, TrainConfig};
use crate::train::event::Event;
use crate::{Error, Result};

/// What a trial did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The values that were set.
    pub sets: Vec<String>,
    /// The epochs it was trained for.
    pub epochs: usize,
    /// Its best validation score; `None` where it is undefined.
    pub val: Option<f64>,
}

/// What trains the stage for `epochs` instead of as long as `config` says, warm-ups in proportion; other stages stay as they are.
fn shortened(config: &Config, stage: RowStage, epochs: usize) -> Vec<String> {
    let (joint, distill) = (&config.joint.train, &config.distill.train);
    let short = |train: &TrainConfig| epochs as f64 / train.epochs as f64;
    let key = |table: &str, epochs: usize, warmup: f64| {
        [format!("{table}.train.epochs={epochs}"), format!("{table}.train.warmup_epochs={warmup:?}")]
    };
    match stage {
        RowStage::Joint => {
            let own = key("joint", epochs, joint.warmup_epochs * short(joint));
            // What the distilled student does not say itself it takes from there.
            own.into_iter().chain(key("distill", distill.epochs, distill.warmup_epochs)).collect()
        }
        RowStage::Distilled => {
            let part = short(distill);
            let rising = config.distill.used().filter(|(_, settings)| settings.warmup_epochs > 0.0);
            let methods = rising.map(|(m, s)| format!("distill.{}.warmup_epochs={:?}", m.name, s.warmup_epochs * part));
            key("distill", epochs, distill.warmup_epochs * part).into_iter().chain(methods).collect()
        }
    }
}

/// Runs the trials; gives the row of the best, and all of them.
pub(crate) fn run(
    work: &mut Work,
    plan: &SearchPlan,
    seed: u64,
    on_event: &mut dyn FnMut(Event),
) -> Result<(RowPlan, Vec<Trial>)> {
    let config = work.ablation.config(&plan.sets)?;
    let whole = match plan.stage {
        RowStage::Joint => config.joint.train.epochs,
        RowStage::Distilled => config.distill.train.epochs,
    };
    let mut left = points(plan);
    let mut epochs = match plan.strategy {
        Strategy::Halving => {
            // As many rungs as it takes to come from all to one.
            let rungs = (left.len() as f64).log(plan.factor as f64).ceil().max(0.0) as u32;
            (whole / plan.factor.pow(rungs)).max(1)
        }
        _ => whole,
    };
    let mut all = Vec::new();
    loop {
        let mut scored = Vec::new();
        for point in &left {
            let mut sets: Vec<String> = plan.sets.iter().chain(point).cloned().collect();
            let mut config = work.ablation.config(&sets)?;
            if epochs != whole {
                sets.extend(shortened(&config, plan.stage, epochs));
                config = work.ablation.config(&sets)?;
            }
            let val = work.cell(&config, plan.stage, seed, on_event)?.result.val;
            all.push(Trial { sets: point.clone(), epochs, val });
            scored.push((val, point.clone()));
        }
        // The first of equals stays first.
        let score = |trial: &(Option<f64>, Vec<String>)| trial.0.unwrap_or(f64::NEG_INFINITY);
        scored.sort_by(|a, b| score(b).total_cmp(&score(a)));
        if epochs >= whole {
            let best = scored.into_iter().next().ok_or_else(|| Error::Invalid("a search without trials".into()))?;
            let sets = plan.sets.iter().cloned().chain(best.1).collect();
            return Ok((RowPlan { name: plan.name.clone(), stage: plan.stage, sets }, all));
        }
        let keep = scored.len().div_ceil(plan.factor);
        left = scored.into_iter().take(keep).map(|(_, point)| point).collect();
        epochs = (epochs * plan.factor).min(whole);
        if left.len() == 1 {
            epochs = whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_trial_keeps_its_proportions_and_other_stages() {
        let text = "[data]\nsource = \"digits\"\n[train]\nepochs = 30\nwarmup_epochs = 6\n[distill]\nmethods = [\"kd\", \"at\"]\n\
                    [distill.train]\nepochs = 20\nwarmup_epochs = 5\n[distill.at]\nwarmup_epochs = 10\n";
        let parse = |sets: &[String]| Config::parse(text, "search.toml".as_ref(), sets).unwrap();
        let whole = parse(&[]);
        let epochs = |c: &Config| {
            [&c.student.train, &c.joint.train, &c.distill.train, &c.teacher.train].map(|t| (t.epochs, t.warmup_epochs))
        };
        assert_eq!(epochs(&whole), [(30, 6.0), (30, 6.0), (20, 5.0), (30, 6.0)]);
        let joint = parse(&shortened(&whole, RowStage::Joint, 5));
        assert_eq!(epochs(&joint), [(30, 6.0), (5, 1.0), (20, 5.0), (30, 6.0)]);
        let distilled = parse(&shortened(&whole, RowStage::Distilled, 2));
        assert_eq!(epochs(&distilled), [(30, 6.0), (30, 6.0), (2, 0.5), (30, 6.0)]);
        assert_eq!(distilled.distill.tables["at"].warmup_epochs, 1.0);
    }
}
