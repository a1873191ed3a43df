//! Gradients at the edges, for every method of the table that knows their products: opposite, dependent, vanishing, a million times
//! shorter than others, not finite. What is published about a method says nothing there, or nothing that `f32` products can decide.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{combined, random};
use crate::Result;
use crate::balance::{Balancer, Gramian, METHODS, Method, Needs, Seen, TOLERANCE, method};

const LOSSES: [f64; 5] = [0.5, 2.0, 1.25, 0.75, 3.0];

fn methods() -> impl Iterator<Item = &'static Method> {
    METHODS.iter().filter(|m| m.needs == Needs::Gramian)
}

fn scaled(gradients: &[Vec<f64>], by: f64) -> Vec<Vec<f64>> {
    gradients.iter().map(|g| g.iter().map(|v| by * v).collect()).collect()
}

fn length(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn longest(gradients: &[Vec<f64>]) -> f64 {
    gradients.iter().map(|g| length(g)).fold(0.0, f64::max)
}

/// Gradients and what they are.
fn cases() -> Vec<(&'static str, Vec<Vec<f64>>)> {
    let regular = || vec![vec![3.0, 4.0, 0.0], vec![-8.0, 0.0, 6.0], vec![0.0, -3.0, 4.0]];
    let mut short = regular();
    short[1] = scaled(&short[1..2], 1e-6).remove(0);
    vec![
        ("opposite", vec![vec![3.0, 4.0], vec![-6.0, -8.0]]),
        ("opposite and as long", vec![vec![3.0, 4.0], vec![-3.0, -4.0]]),
        ("opposite, one a million times shorter", vec![vec![3.0, 4.0], vec![-3e-6, -4e-6]]),
        ("parallel", vec![vec![3.0, 4.0], vec![6.0, 8.0]]),
        ("in a plane", vec![vec![5.0, 0.0], vec![6.0, 8.0], vec![-4.0, 3.0]]),
        ("in a plane, around zero", vec![vec![5.0, 0.0], vec![-3.0, 4.0], vec![-6.0, -8.0]]),
        ("two alike", vec![vec![3.0, 4.0], vec![4.0, -3.0], vec![6.0, 8.0]]),
        ("one vanishes", vec![vec![3.0, 4.0], vec![0.0, 0.0], vec![-5.0, 0.0]]),
        ("one a million times shorter", short),
        ("all a million times shorter", scaled(&regular(), 1e-6)),
        ("regular", regular()),
    ]
}

/// The products as the GPU has them, with errors of this size in units of the lengths.
fn rounded(gradients: &[Vec<f64>], noise: f64, seed: u64) -> Vec<f64> {
    let n = gradients.len();
    let random = random(n, seed);
    let product = |i: usize, j: usize| {
        let sum: f64 = gradients[i].iter().zip(&gradients[j]).map(|(a, b)| a * b).sum();
        let error = || random[i.min(j)][i.max(j)] * noise * length(&gradients[i]) * length(&gradients[j]);
        f64::from(if noise > 0.0 { sum + error() } else { sum } as f32)
    };
    (0..n * n).map(|i| product(i / n, i % n)).collect()
}

/// The weights of the second of two equal steps: what a method has learnt at the first counts.
fn weights(method: &'static Method, gramian: &Gramian) -> Result<Vec<f64>> {
    let mut balancer = Balancer::new(method, &BTreeMap::new(), gramian.tasks(), 5)?;
    let seen = Seen { step: 0, losses: &LOSSES[..gramian.tasks()], gramian: Some(gramian) };
    balancer.weights(&seen)?;
    balancer.weights(&Seen { step: 1, ..seen })
}

/// How long the combination may be, and how long all its parts together, in lengths of the longest gradient: what the methods'
/// comments say.
fn bounds(method: &Method, gramian: &Gramian) -> (f64, f64) {
    let k = gramian.tasks() as f64;
    let norms: Vec<f64> = gramian_norms(gramian);
    let longest = gramian.longest();
    match method.name {
        "mgda" => (norms.iter().copied().fold(f64::INFINITY, f64::min) / longest, 1.0),
        "imtl_g" => (1.0, 1.0 / (k * TOLERANCE).sqrt()),
        "aligned_mtl" => (1.0, k),
        // (1 + c) / (1 + c²) of the mean, by ‖g_w‖ that is not rounding.
        "cagrad" => (1.2, 0.8 * (1.0 + 0.5 / (k * TOLERANCE).sqrt())),
        // The ridge's component of every gradient has the length of a hundredth of the trace's root, and a sum of them is no longer
        // than the whole.
        "upgrad" | "dual_proj" => ((1.0 + 1e-4 * k).sqrt(), k * 101.0),
        "pcgrad" => (k, k * k),
        "gradvac" => (k * (1.0 + 8.0 * (k - 1.0)), k * (1.0 + 8.0 * (k - 1.0))),
        "nash_mtl" => (k, k * (k / TOLERANCE).sqrt()),
        "fairgrad" => {
            // q = 1/2.
            let size = gramian.values().iter().map(|v| v * v).sum::<f64>().sqrt();
            let t = |power: f64| norms.iter().filter(|n| **n > 0.0).map(|n| (size.sqrt() / n).powf(power)).sum::<f64>();
            let combination = (size * t(2.0 / 3.0)).sqrt() * TOLERANCE.powf(-1.0 / 6.0) / longest;
            let parts = (k * size).sqrt() * (t(2.0 / 3.0).powf(0.75) / TOLERANCE).powf(2.0 / 3.0) / longest;
            (combination, parts)
        }
        "db_mtl" => {
            let logs = norms.iter().zip(LOSSES).map(|(n, l)| n / l).fold(0.0, f64::max);
            (k * logs / longest, k * logs / longest)
        }
        // No longer than all gradients together: what a new method is held to unless it says otherwise.
        _ => (k, k),
    }
}

fn gramian_norms(gramian: &Gramian) -> Vec<f64> {
    (0..gramian.tasks()).map(|k| gramian.norm(k)).collect()
}

/// Checks a method's bounds, and gives its combination. What lies below the products' precision is half the digits of a length.
fn bounded(method: &'static Method, gradients: &[Vec<f64>], gramian: &Gramian) -> Result<Vec<f64>> {
    let w = weights(method, gramian)?;
    assert!(w.iter().all(|w| w.is_finite()), "{}: {w:?}", method.name);
    let size = longest(gradients);
    let parts = w.iter().zip(gradients).map(|(w, g)| w.abs() * length(g)).sum::<f64>();
    let (most, together) = bounds(method, gramian);
    assert!(parts <= 1.001 * together * size, "{}: {gradients:?}: {w:?}: {parts} > {together}", method.name);
    let combined = combined(gradients, &w);
    let slack = (gradients.len() as f64 * TOLERANCE).sqrt() * parts + 1e-9 * size;
    let length = length(&combined);
    assert!(length <= 1.001 * most * size + slack, "{}: {gradients:?}: {w:?}: {length} > {most}", method.name);
    Ok(combined)
}

#[test]
fn weights_are_bounded() -> Result<()> {
    for (_, gradients) in cases() {
        let gramian = Gramian::new(rounded(&gradients, 0.0, 0))?;
        for method in methods() {
            bounded(method, &gradients, &gramian)?;
        }
    }
    Ok(())
}

#[test]
fn the_direction_is_the_same_at_every_scale() -> Result<()> {
    for (name, gradients) in cases() {
        for method in methods() {
            let want = weights(method, &Gramian::of(&gradients)?)?;
            for scale in [1e-6, 1e-3, 1e3, 1e6] {
                let got = weights(method, &Gramian::of(&scaled(&gradients, scale))?)?;
                // Up to a common factor.
                let (a, b) = (length(&got), length(&want));
                let far = got.iter().zip(&want).any(|(x, y)| (x * b - y * a).abs() > 1e-6 * a * b);
                assert!(!far && (a > 0.0) == (b > 0.0), "{name}, {} x {scale}: {got:?} {want:?}", method.name);
            }
        }
    }
    Ok(())
}

/// Other rounding moves no combination by more than a thousandth of its bound.
#[test]
fn rounding_does_not_decide() -> Result<()> {
    let noise = 6e-8;
    let mut worst = BTreeMap::new();
    for (name, gradients) in cases() {
        for method in methods() {
            let want = combined(&gradients, &weights(method, &Gramian::of(&gradients)?)?);
            for seed in 0..8 {
                let gramian = Gramian::new(rounded(&gradients, noise, seed))?;
                let got = bounded(method, &gradients, &gramian)?;
                let moved = length(&got.iter().zip(&want).map(|(a, b)| a - b).collect::<Vec<_>>());
                let (most, _) = bounds(method, &gramian);
                let share = moved / (longest(&gradients) * most.max(1.0));
                let entry = worst.entry(method.name).or_insert((0.0, name));
                if share > entry.0 {
                    *entry = (share, name);
                }
            }
        }
    }
    for (method, (share, name)) in worst {
        assert!(share < 1e-3, "{name}: {method}: {share:.1e}");
    }
    Ok(())
}

#[test]
fn a_gradient_that_is_not_finite_is_refused_and_named() {
    for (bad, lone) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        for task in 0..3 {
            let mut gradients = random(3, 1);
            gradients[task][2] = bad;
            let error = Gramian::new(rounded(&gradients, 0.0, 0)).unwrap_err().to_string();
            assert!(error.contains(&format!("task {task}")) && error.contains(lone), "{error}");
        }
    }
}

/// A short gradient counts where a method knows directions: in conflict with it, the others give way.
#[test]
fn a_short_gradient_is_not_taken_for_none() -> Result<()> {
    for name in ["mgda", "imtl_g", "nash_mtl", "fairgrad", "pcgrad", "aligned_mtl"] {
        for short in [1.0, 1e-3, 1e-6] {
            let gradients = vec![vec![3.0, 4.0], vec![-5.0 * short, 0.0]];
            let gramian = Gramian::new(rounded(&gradients, 0.0, 0))?;
            let d = combined(&gradients, &weights(method(name).unwrap(), &gramian)?);
            let along = -d[0] / length(&d);
            assert!(along > -1e-6, "{name}, {short}: {d:?}");
        }
    }
    Ok(())
}

/// The ends of the range of α, and lengths as far apart as they may be.
#[test]
fn fairgrad_has_weights_for_every_alpha() -> Result<()> {
    for alpha in [0.05, 0.5, 1.0, 10.0, 100.0] {
        for short in [1.0, 1e-6, 1e-12] {
            for cosine in [-1.0, -0.6, 0.0, 1.0_f64] {
                let other = [short * cosine, short * (1.0 - cosine * cosine).sqrt()].to_vec();
                let w = crate::balance::fairgrad(&Gramian::of(&[vec![1.0, 0.0], other])?, alpha);
                assert!(w.iter().all(|w| w.is_finite() && *w > 0.0), "{alpha}, {short}, {cosine}: {w:?}");
            }
        }
    }
    Ok(())
}

/// After many steps with parallel gradients GradVac's usual cosine is 1, and its rule would add without end.
#[test]
fn gradvac_stays_bounded_whatever_is_usual() -> Result<()> {
    for usual in [-1.0, 0.0, 0.9, 1.0 - 1e-9, 1.0] {
        for (name, gradients) in cases() {
            let (gramian, n) = (Gramian::of(&gradients)?, gradients.len());
            let mut usual = vec![usual; n * n];
            let w = crate::balance::gradvac(&gramian, &mut usual, 0.5, |k| (1..n).map(|s| (k + s) % n).collect());
            let most = (n * (8 * n - 7)) as f64 * longest(&gradients);
            assert!(length(&combined(&gradients, &w)) <= most, "{name}: {w:?}");
            assert!(usual.iter().all(|u| u.abs() <= 1.0), "{name}: {usual:?}");
        }
    }
    Ok(())
}

/// A step that is longer than any gradient, or against all of them, is none: weights of both signs whose sum is small or negative.
#[test]
fn imtl_g_goes_no_further_than_any_gradient() -> Result<()> {
    let method = method("imtl_g").unwrap();
    // The third lies nearly between the two others; at about half their length the sum of the weights passes through zero.
    for share in [0.1, 0.3, 0.4, 0.49, 0.4999, 0.5, 0.51, 0.7, 1.0] {
        let third = [0.96, 0.0, 0.28].map(|v| v * 5.0 * share).to_vec();
        let gradients = vec![vec![3.0, 4.0, 0.0], vec![3.0, -4.0, 0.0], third];
        let gramian = Gramian::new(rounded(&gradients, 0.0, 0))?;
        let d = bounded(method, &gradients, &gramian)?;
        let projections: Vec<f64> =
            gradients.iter().map(|g| g.iter().zip(&d).map(|(a, b)| a * b).sum::<f64>() / length(g)).collect();
        assert!(projections.iter().all(|p| *p > 0.0 && (p / projections[0] - 1.0).abs() < 1e-3), "{share}: {d:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random gradients, of which one may be a combination of others, scaled by anything, in products as exact as `f32` sums are: bounded
    /// combinations, which other rounding does not move.
    #[test]
    fn combinations_are_bounded_and_sure(
        tasks in 2_usize..=5,
        seed in 0_u64..1 << 40,
        mix in proptest::collection::vec(-2.0_f64..2.0, 5),
        sizes in proptest::collection::vec(-6.0_f64..0.0, 5),
        dependent in 0_usize..5,
    ) {
        let mut gradients = random(tasks, seed);
        if dependent < tasks {
            let mut mix = mix;
            mix[dependent] = 0.0;
            gradients[dependent] = combined(&gradients, &mix[..tasks]);
        }
        for (g, size) in gradients.iter_mut().zip(sizes) {
            g.iter_mut().for_each(|v| *v *= 10.0_f64.powf(size));
        }
        let [first, second] = [1, 2].map(|s| Gramian::new(rounded(&gradients, 6e-8, seed ^ s)).unwrap());
        for method in methods() {
            let (a, b) = (bounded(method, &gradients, &first).unwrap(), bounded(method, &gradients, &second).unwrap());
            let moved = length(&a.iter().zip(&b).map(|(a, b)| a - b).collect::<Vec<_>>());
            let most = bounds(method, &first).0.max(1.0) * longest(&gradients);
            prop_assert!(moved < 1e-3 * most, "{}: {gradients:?}: {a:?} {b:?}", method.name);
        }
    }
}

/// What exact arithmetic gives (`make_balance_edges.py`), from products that `f32` has rounded.
#[cfg(feature = "formats")]
#[test]
fn combinations_are_those_of_exact_arithmetic() -> Result<()> {
    use serde_json::Value;
    let golden: Value = serde_json::from_str(include_str!("../../../tests/goldens/balance_edges.json")).unwrap();
    let numbers = |v: &Value| v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let mut worst: BTreeMap<&str, (f64, String)> = BTreeMap::new();
    for case in golden["cases"].as_array().unwrap() {
        let gradients: Vec<Vec<f64>> = case["gradients"].as_array().unwrap().iter().map(numbers).collect();
        let (losses, n) = (numbers(&case["losses"]), gradients.len());
        let gramian = Gramian::new(rounded(&gradients, 0.0, 0))?;
        let seen = Seen { step: 0, losses: &losses, gramian: Some(&gramian) };
        let order = |k: usize| (1..n).map(|s| (k + s) % n).collect();
        for row in methods() {
            let mut balancer = Balancer::new(row, &BTreeMap::new(), n, 0)?;
            let weights = match row.name {
                // Their orders are drawn, and the golden's are not.
                "pcgrad" => crate::balance::pcgrad(&gramian, order),
                "gradvac" => crate::balance::gradvac(&gramian, &mut vec![0.0; n * n], 0.5, order),
                _ => balancer.weights(&seen)?,
            };
            let (got, want, size) = match row.name {
                "gradnorm" => (balancer.weights(&seen)?, numbers(&case["gradnorm"]), 1.0),
                name => {
                    let want = numbers(&case["combined"][name]);
                    // Of what cancels, little of the longest is left.
                    let little = length(&want) < 1e-9 * longest(&gradients);
                    let size = if little { 1e-3 * longest(&gradients) } else { length(&want) };
                    (combined(&gradients, &weights), want, size)
                }
            };
            let error = length(&got.iter().zip(&want).map(|(a, b)| a - b).collect::<Vec<_>>()) / size;
            let entry = worst.entry(row.name).or_default();
            // Where no bargain is possible, what the ridge leaves.
            let left = match row.name {
                "nash_mtl" if length(&want) == 0.0 => TOLERANCE.sqrt(),
                "fairgrad" if length(&want) == 0.0 => TOLERANCE.cbrt(),
                _ => 0.0,
            };
            let error = (error - left / 1e-3).max(0.0);
            if error >= entry.0 {
                *entry = (error, format!("{}: {got:?} {want:?}", case["name"]));
            }
        }
    }
    assert_eq!(worst.len(), methods().count());
    for (method, (error, what)) in worst {
        assert!(error < 1e-4, "{method}: {error:.1e}: {what}");
    }
    Ok(())
}
