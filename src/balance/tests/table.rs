//! Every row of the table: what must hold for all, and the values of the published objectives.

use std::collections::BTreeMap;

use super::{combined, error, random};
use crate::Result;
use crate::balance::pcgrad::order;
use crate::balance::{Balancer, Gramian, METHODS, Method, Needs, Seen, method};

/// Losses, gradients and losses after the update of a step.
struct Step {
    losses: Vec<f64>,
    after: Vec<f64>,
    gradients: Vec<Vec<f64>>,
}

/// Made-up steps for `tasks` tasks.
fn steps(tasks: usize, count: u64) -> Vec<Step> {
    let step = |seed: u64| {
        let gradients = random(tasks, 11 * seed + tasks as u64);
        let losses: Vec<f64> = gradients.iter().map(|g| 0.5 + g[0].abs()).collect();
        let after = losses.iter().zip(&gradients).map(|(l, g)| l * (0.8 + 0.1 * g[1])).collect();
        Step { losses, after, gradients }
    };
    (0..count).map(step).collect()
}

fn balancer(method: &'static Method, tasks: usize) -> Balancer {
    Balancer::new(method, &BTreeMap::new(), tasks, 5).unwrap()
}

/// The weights of each step; an epoch ends after every second one.
fn run(balancer: &mut Balancer, steps: &[Step], from: usize) -> Result<Vec<Vec<f64>>> {
    let mut all = Vec::new();
    for (i, step) in steps.iter().enumerate().skip(from) {
        let gramian = Gramian::of(&step.gradients)?;
        let seen = Seen { step: i as u64, losses: &step.losses, gramian: Some(&gramian) };
        all.push(balancer.weights(&seen)?);
        if balancer.method().after {
            balancer.after(&step.after)?;
        }
        if i % 2 == 1 {
            balancer.end_epoch(&step.losses)?;
        }
    }
    Ok(all)
}

#[test]
fn names_are_unique_and_found() {
    for (i, row) in METHODS.iter().enumerate() {
        assert!(METHODS[..i].iter().all(|m| m.name != row.name), "{}", row.name);
        assert_eq!(method(row.name).map(|m| m.name), Some(row.name));
        assert!(row.keys.iter().all(|k| k.default >= k.range.0 && k.default <= k.range.1), "{}", row.name);
    }
    assert!(method("nonsense").is_none());
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() -> Result<()> {
    for row in METHODS {
        let steps = steps(3, 9);
        let whole = run(&mut balancer(row, 3), &steps, 0)?;
        for cut in [1, 4, 7] {
            let mut first = balancer(row, 3);
            run(&mut first, &steps[..cut], 0)?;
            let mut second = balancer(row, 3);
            second.restore(&first.state())?;
            assert_eq!(run(&mut second, &steps, cut)?, whole[cut..], "{} at {cut}", row.name);
        }
        assert!(balancer(row, 3).restore(&[1.0; 2]).is_err(), "{}", row.name);
    }
    Ok(())
}

#[test]
fn tasks_have_no_order() -> Result<()> {
    // What is drawn hangs on the task's number: RLW's weights, the order in which PCGrad and GradVac meet.
    let drawn = ["rlw", "pcgrad", "gradvac"];
    for row in METHODS.iter().filter(|m| !drawn.contains(&m.name)) {
        let plain = steps(4, 6);
        let turn = |v: &[f64]| -> Vec<f64> { (0..4).map(|k| v[(k + 1) % 4]).collect() };
        let turned: Vec<Step> = plain
            .iter()
            .map(|s| Step {
                losses: turn(&s.losses),
                after: turn(&s.after),
                gradients: (0..4).map(|k| s.gradients[(k + 1) % 4].clone()).collect(),
            })
            .collect();
        for (a, b) in run(&mut balancer(row, 4), &plain, 0)?.iter().zip(run(&mut balancer(row, 4), &turned, 0)?) {
            assert!(error(&b, &turn(a)) < 1e-6, "{}: {a:?} {b:?}", row.name);
        }
    }
    Ok(())
}

#[test]
fn one_task_is_descended_and_equal_tasks_are_treated_alike() -> Result<()> {
    for row in METHODS {
        for weights in run(&mut balancer(row, 1), &steps(1, 6), 0)? {
            assert!(weights.len() == 1 && weights[0] > 0.0, "{}: {weights:?}", row.name);
        }
        let alike: Vec<Step> = steps(1, 6)
            .into_iter()
            .map(|s| Step {
                losses: vec![s.losses[0]; 3],
                after: vec![s.after[0]; 3],
                gradients: vec![s.gradients[0].clone(); 3],
            })
            .collect();
        for weights in run(&mut balancer(row, 3), &alike, 0)? {
            // Of equal gradients only the sum matters, so that methods may share it out as they like.
            let sum: f64 = weights.iter().sum();
            assert!(sum > 0.0, "{}: {weights:?}", row.name);
            if row.needs == Needs::Losses {
                assert!(weights.iter().all(|w| (w - sum / 3.0).abs() < 1e-9), "{}: {weights:?}", row.name);
            }
        }
    }
    Ok(())
}

#[test]
fn vanishing_gradients_do_no_harm() -> Result<()> {
    for row in METHODS {
        for zeros in [vec![1], vec![0, 1, 2]] {
            let mut all = steps(3, 6);
            for step in &mut all {
                zeros.iter().for_each(|k| step.gradients[*k].fill(0.0));
            }
            for weights in run(&mut balancer(row, 3), &all, 0)? {
                assert!(weights.iter().all(|w| w.is_finite()), "{}: {weights:?}", row.name);
            }
        }
    }
    Ok(())
}

#[test]
fn a_loss_that_is_no_number_is_refused_and_named() {
    for row in METHODS {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut all = steps(3, 3);
            all[2].losses[1] = bad;
            let outcome = run(&mut balancer(row, 3), &all, 0);
            if row.needs == Needs::Nothing {
                outcome.unwrap();
            } else {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains("task 1"), "{}: {error}", row.name);
            }
        }
    }
}

/// A batch may hold no label of a task: its loss and its gradient are then 0.
#[test]
fn a_task_without_labels_does_no_harm_and_a_negative_loss_is_refused_where_logarithms_are_taken() -> Result<()> {
    for row in METHODS {
        let mut all = steps(3, 6);
        all[3].losses[1] = 0.0;
        all[3].after[1] = 0.0;
        all[3].gradients[1].fill(0.0);
        for weights in run(&mut balancer(row, 3), &all, 0)? {
            assert!(weights.iter().all(|w| w.is_finite()), "{}: {weights:?}", row.name);
        }
        all[4].losses[2] = -0.5;
        let outcome = run(&mut balancer(row, 3), &all, 0);
        let logarithms = ["gls", "stch", "famo", "gradnorm", "db_mtl"];
        assert_eq!(outcome.is_err(), logarithms.contains(&row.name), "{}", row.name);
    }
    Ok(())
}

/// A task that has no part in any step leaves the others weighted as if they were alone, whatever the method; and its own weight is
/// finite, of the others' size where it is not learnt.
#[test]
fn an_absent_task_does_not_change_the_others() -> Result<()> {
    // What is drawn hangs on the number of tasks.
    let drawn = ["rlw", "dwa", "pcgrad", "gradvac"];
    for row in METHODS.iter().filter(|m| !drawn.contains(&m.name)) {
        let alone = steps(2, 9);
        let beside: Vec<Step> = alone
            .iter()
            .map(|s| {
                let with = |v: &[f64]| vec![v[0], 0.0, v[1]];
                let nothing = vec![0.0; s.gradients[0].len()];
                let gradients = vec![s.gradients[0].clone(), nothing, s.gradients[1].clone()];
                Step { losses: with(&s.losses), after: with(&s.after), gradients }
            })
            .collect();
        let (alone, beside) = (run(&mut balancer(row, 2), &alone, 0)?, run(&mut balancer(row, 3), &beside, 0)?);
        for (alone, beside) in alone.iter().zip(&beside) {
            assert!(error(&[beside[0], beside[2]], alone) < 1e-9, "{}: {alone:?} {beside:?}", row.name);
            assert!(beside[1] > 1e-3 && beside[1] < 1e3, "{}: {beside:?}", row.name);
        }
    }
    Ok(())
}

/// A task whose first batch has no labels of it is measured from its first loss on.
#[test]
fn gradnorm_waits_for_the_first_loss() -> Result<()> {
    let (mut late, mut steps) = (balancer(method("gradnorm").unwrap(), 3), steps(3, 60));
    steps[0].losses[1] = 0.0;
    steps[0].gradients[1].fill(0.0);
    let weights = run(&mut late, &steps, 0)?;
    assert!(weights.iter().flatten().all(|w| (0.05..2.9).contains(w)), "{:?}", weights.last());
    Ok(())
}

#[test]
fn negative_means_outlive_an_interruption() -> Result<()> {
    let row = method("dwa").unwrap();
    let seen = Seen { step: 0, losses: &[], gramian: None };
    let mut whole = balancer(row, 2);
    [[-0.5, 1.0], [-0.25, 0.5]].into_iter().try_for_each(|means| whole.end_epoch(&means))?;
    let mut torn = balancer(row, 2);
    torn.restore(&whole.state())?;
    assert_eq!(torn.weights(&seen)?, whole.weights(&seen)?);
    let mut new = balancer(row, 2);
    new.restore(&balancer(row, 2).state())?;
    assert_eq!(new.weights(&seen)?, [1.0, 1.0]);
    Ok(())
}

/// Those that make conflicts vanish, pair by pair for two tasks.
#[test]
fn no_conflict_where_that_is_claimed() -> Result<()> {
    for name in ["mgda", "upgrad", "dual_proj", "pcgrad", "nash_mtl", "fairgrad", "imtl_g"] {
        let row = method(name).unwrap();
        for seed in 0..20 {
            let gradients = random(2, seed);
            let gramian = Gramian::of(&gradients)?;
            let seen = Seen { step: seed, losses: &[1.0, 1.0], gramian: Some(&gramian) };
            let change = gramian.times(&balancer(row, 2).weights(&seen)?);
            // IMTL-G's weights may be negative, and both tasks then get worse alike.
            let least = if name == "imtl_g" { change[0] * change[1] } else { change[0].min(change[1]) };
            assert!(least > -1e-3 * gramian.trace(), "{name} {seed}: {change:?}");
        }
    }
    Ok(())
}

#[test]
fn settings_are_checked() {
    let row = method("dwa").unwrap();
    let settings = |key: &str, value: f64| BTreeMap::from([(key.to_string(), value)]);
    assert!(Balancer::new(row, &settings("temperature", 4.0), 2, 0).is_ok());
    assert!(Balancer::new(row, &settings("temperature", -1.0), 2, 0).is_err());
    assert!(Balancer::new(row, &settings("c", 1.0), 2, 0).is_err());
    assert!(Balancer::new(row, &BTreeMap::new(), 0, 0).is_err());
}

#[test]
fn random_weights_are_those_of_their_step() -> Result<()> {
    let row = method("rlw").unwrap();
    let at = |step| balancer(row, 5).weights(&Seen { step, losses: &[], gramian: None });
    assert_eq!(at(3)?, at(3)?);
    assert_ne!(at(3)?, at(4)?);
    let mean: f64 = (0..2000).map(|s| at(s).unwrap()[2]).sum::<f64>() / 2000.0;
    assert!((mean - 1.0).abs() < 0.05 && (at(7)?.iter().sum::<f64>() - 5.0).abs() < 1e-9, "{mean}");
    let mut orders: Vec<Vec<usize>> = (0..200).map(|s| order(1, s, 0, 4)).collect();
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), 6);
    Ok(())
}

#[cfg(feature = "formats")]
#[test]
fn weights_are_those_of_the_published_objectives() -> Result<()> {
    use serde_json::Value;
    let golden: Value = serde_json::from_str(include_str!("../../../tests/goldens/balance_more.json")).unwrap();
    let numbers = |v: &Value| v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let lists = |v: &Value| v.as_array().unwrap().iter().map(numbers).collect::<Vec<_>>();
    let ends: Vec<u64> = golden["ends"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
    let steps: Vec<Step> = golden["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| Step { losses: numbers(&s["losses"]), after: numbers(&s["after"]), gradients: lists(&s["jacobian"]) })
        .collect();
    // Held elsewhere: against TorchJD's values (CAGrad as CaGrad), and RLW by its distribution.
    let elsewhere = ["mgda", "pcgrad", "cagrad", "imtl_g", "aligned_mtl", "upgrad", "dual_proj", "rlw"];
    for row in METHODS.iter().filter(|m| !elsewhere.contains(&m.name)) {
        let settings = match row.name {
            "stch" => BTreeMap::from([("warmup_epochs".to_string(), 2.0)]),
            _ => BTreeMap::new(),
        };
        let mut balancer = Balancer::new(row, &settings, 3, 0)?;
        let mut epoch: Vec<&Step> = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let gramian = Gramian::of(&step.gradients)?;
            let seen = Seen { step: i as u64, losses: &step.losses, gramian: Some(&gramian) };
            let got = balancer.weights(&seen)?;
            let (got, want) = match row.name {
                // Its order is drawn, and the golden's is not.
                "gradvac" => continue,
                name => (got, numbers(&golden["weights"][name][i])),
            };
            assert!(error(&got, &want) < 1e-5, "{} at {i}: {got:?} {want:?}", row.name);
            if row.after {
                balancer.after(&step.after)?;
            }
            epoch.push(step);
            if ends.contains(&(i as u64)) {
                let mean = |k: usize| epoch.iter().map(|s| s.losses[k]).sum::<f64>() / epoch.len() as f64;
                balancer.end_epoch(&[mean(0), mean(1), mean(2)])?;
                epoch.clear();
            }
        }
    }
    // GradVac with the golden's order.
    let mut usual = vec![0.0; 9];
    for (i, step) in steps.iter().enumerate() {
        let gramian = Gramian::of(&step.gradients)?;
        let weights = crate::balance::gradvac::gradvac(&gramian, &mut usual, 0.5, |k| vec![(k + 1) % 3, (k + 2) % 3]);
        let (got, want) = (combined(&step.gradients, &weights), numbers(&golden["gradvac"][i]));
        assert!(error(&got, &want) < 1e-6, "gradvac at {i}: {got:?} {want:?}");
    }
    Ok(())
}
