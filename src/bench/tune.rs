//! `--tune`: which of a few variants of a convolution is fastest on this machine.
//!
//! For every shape and pass of the timed networks, at most four candidates run on the same inputs, in turns. A candidate whose
//! answer is not the rule's is out, and one replaces the rule's only if it is clearly faster.

use super::measure::TimeBudget;
use super::{Event, Progress, Selection, stats};
use crate::gpu::{Gpu, TunedVariants};
use crate::kernels::conv2d::{self, Timed, Variant};
use crate::{Error, Result};

/// How much faster a candidate must be than the rule's: less is noise, and changes the last digits of results for nothing.
const GAIN: f64 = 1.05;

/// What was found for a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The shape and pass, as its record is called.
    pub name: String,
    /// Candidates with the seconds each took, the rule's first.
    pub seconds: Vec<(String, f64)>,
    /// The one to use, where it is not the rule's.
    pub better: Option<String>,
}

/// Measures the convolutions of the timed networks that are wanted; adds what it found to the table of this device and gives it
/// back. Nothing is stored.
pub(super) fn tune(
    gpu: &Gpu,
    selection: &Selection,
    pace: &TimeBudget,
    progress: &mut Progress,
) -> Result<(TunedVariants, Vec<Finding>)> {
    let class = gpu.profile().class;
    let wanted = conv2d::distinct(class).into_iter().map(|t| (format!("kernel/conv2d/{}", t.name()), t));
    let wanted: Vec<_> = wanted.filter(|(name, _)| selection.names(name)).collect();
    progress(Event::Group("tune", wanted.len()));
    let mut choices = gpu.choices().clone();
    let mut findings = Vec::new();
    for (name, timed) in wanted {
        progress(Event::Entry(&name));
        let key = conv2d::key(timed.pass, &timed.shape);
        let finding = match best(gpu, timed, pace) {
            Ok(seconds) => decide(name, seconds),
            Err(error @ (Error::Limit { .. } | Error::OutOfMemory { .. })) => {
                progress(Event::Note(&format!("{name} is not tuned: {error}")));
                gpu.trim()?;
                continue;
            }
            Err(error) => return Err(error),
        };
        match &finding.better {
            Some(variant) => choices.set(key, variant.clone()),
            None => choices.forget(&key),
        }
        findings.push(finding);
    }
    gpu.trim()?;
    Ok((choices, findings))
}

fn decide(name: String, seconds: Vec<(String, f64)>) -> Finding {
    let rule = seconds.first().map_or(f64::INFINITY, |(_, s)| *s);
    let fastest = seconds.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let better = fastest.filter(|(_, s)| s * GAIN < rule).map(|(name, _)| name.clone());
    Finding { name, seconds, better }
}

/// Seconds of every candidate that computes what the rule's does.
fn best(gpu: &Gpu, timed: Timed, pace: &TimeBudget) -> Result<Vec<(String, f64)>> {
    let inputs = timed.inputs(gpu)?;
    let mut running: Vec<(Variant, usize, Vec<f64>)> = Vec::new();
    let mut answer: Option<(Vec<f32>, f64)> = None;
    for variant in conv2d::candidates(timed.pass, &timed.shape, gpu.profile()) {
        let got = timed.compute(gpu, &inputs, variant)?.to_f32(gpu)?;
        match &answer {
            None => answer = Some((got, variant.rounding())),
            Some((answer, rounding)) => {
                let allowed = 2e-5 * (timed.terms() as f64).sqrt() + rounding.max(variant.rounding());
                if distance(&got, answer) > allowed {
                    continue;
                }
            }
        }
        let once = gpu.time(|| timed.compute(gpu, &inputs, variant).map(drop))?.wall;
        running.push((variant, ((pace.slice / once) as usize).clamp(1, 200), Vec::new()));
    }
    for _ in 0..pace.least.max(3) {
        for (variant, repeat, samples) in &mut running {
            let act = || (0..*repeat).try_for_each(|_| timed.compute(gpu, &inputs, *variant).map(drop));
            samples.push(gpu.time(act)?.seconds / *repeat as f64);
        }
    }
    let median = |samples: &[f64]| stats::quantile(samples, 0.5).unwrap_or(f64::INFINITY);
    Ok(running.iter().map(|(variant, _, samples)| (variant.to_string(), median(samples))).collect())
}

/// Relative distance; infinite where a value is not finite.
fn distance(got: &[f32], want: &[f32]) -> f64 {
    let square = |v: f64| v * v;
    let difference: f64 = got.iter().zip(want).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let size: f64 = want.iter().map(|b| square(f64::from(*b))).sum();
    let distance = (difference / size.max(f64::MIN_POSITIVE)).sqrt();
    if distance.is_nan() { f64::INFINITY } else { distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_gain_replaces_the_rule() {
        let decide = |seconds: &[(&str, f64)]| {
            decide("x".into(), seconds.iter().map(|(n, s)| (n.to_string(), *s)).collect()).better
        };
        assert_eq!(decide(&[("rule", 1.0), ("other", 0.5), ("third", 0.7)]), Some("other".into()));
        assert_eq!(decide(&[("rule", 1.0), ("other", 0.97)]), None);
        assert_eq!(decide(&[("rule", 1.0)]), None);
    }

    #[test]
    fn a_wrong_answer_is_far_away() {
        assert_eq!(distance(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
        assert!(distance(&[1.0, 2.1], &[1.0, 2.0]) > 0.04);
        assert_eq!(distance(&[1.0, f32::NAN], &[1.0, 2.0]), f64::INFINITY);
    }
}
