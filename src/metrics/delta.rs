//! The multi-task delta, and means over seeds.

use crate::{Error, Result};

/// What [`delta_m`] computes, in words, for files and tables: three definitions are in use and they disagree.
pub const DELTA_M_DEFINITION: &str = "mean over tasks of the mean over a task's metrics of s (M - B) / B, in percent; \
     s = +1 where higher is better, -1 where lower is; positive is good; B is the single-task network of the student's size; not given \
     where B is near zero: a share below 5 %, an error below 0.01 standard deviations of the labels";

/// One metric of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Its name, e.g. `accuracy`.
    pub name: String,
    /// Its value; `None` where the split does not define it.
    pub value: Option<f64>,
    /// `true` for an accuracy, `false` for an error.
    pub higher_is_better: bool,
    /// As a baseline it is near zero below this: a ratio to it would say nothing.
    pub least: f64,
}

impl Measure {
    /// A measure where more is better; as a baseline it may be anything but 0.
    pub fn higher(name: impl Into<String>, value: f64) -> Self {
        Measure { name: name.into(), value: Some(value), higher_is_better: true, least: 0.0 }
    }

    /// A measure where less is better; as a baseline it may be anything but 0.
    pub fn lower(name: impl Into<String>, value: f64) -> Self {
        Measure { higher_is_better: false, ..Self::higher(name, value) }
    }

    /// The gain over `baseline`, in its parts; positive is good.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another measure, one that is undefined or no finite number, and a baseline near zero.
    pub fn gain(&self, baseline: &Measure) -> Result<f64> {
        let bad = |message: String| Err(Error::Invalid(message));
        if self.name != baseline.name || self.higher_is_better != baseline.higher_is_better {
            return bad(format!("{:?} is not the measure {:?} of the baseline", self.name, baseline.name));
        }
        let name = &self.name;
        let (Some(value), Some(base)) = (self.value, baseline.value) else {
            return bad(format!("{name} is undefined on the test split"));
        };
        if !(value.is_finite() && base.is_finite()) {
            return bad(format!("{name} is {value}, of the baseline {base}"));
        }
        if base == 0.0 || base < baseline.least {
            return bad(match baseline.least {
                least if least.is_finite() && least > 0.0 => {
                    format!("{name} of the baseline is {base:.4}, below {least:.4}")
                }
                least if least > 0.0 => format!("{name} cannot be compared: all labels of the test split are equal"),
                _ => format!("{name} of the baseline is 0"),
            });
        }
        let gain = (value - base) / base;
        Ok(if self.higher_is_better { gain } else { -gain })
    }
}

/// `Δm = (1/K) Σ_k (1/M_k) Σ_m s (M − B)/B · 100`, in percent; positive is good. `model[k]` and `baseline[k]` are the
/// measures of task k: averaged inside a task first, then over tasks (LibMTL's Δp; Maninis et al. 2019 with one metric a task).
///
/// Errors: no task, no measure, measures that do not correspond, and whatever has no [`Measure::gain`], with its reason.
pub fn delta_m(model: &[Vec<Measure>], baseline: &[Vec<Measure>]) -> Result<f64> {
    if model.is_empty() || model.len() != baseline.len() {
        let (a, b) = (model.len(), baseline.len());
        return Err(Error::Shape(format!("a multi-task delta of {a} task(s) against a baseline of {b}")));
    }
    let mut sum = 0.0;
    for (k, (of_model, of_baseline)) in model.iter().zip(baseline).enumerate() {
        if of_model.is_empty() || of_model.len() != of_baseline.len() {
            let (a, b) = (of_model.len(), of_baseline.len());
            return Err(Error::Shape(format!(
                "multi-task delta, task {k}: {a} measure(s) against {b} of the baseline"
            )));
        }
        let gains = of_model.iter().zip(of_baseline).map(|(m, b)| m.gain(b));
        sum += gains.sum::<Result<f64>>()? / of_model.len() as f64;
    }
    Ok(100.0 * sum / model.len() as f64)
}

/// Mean and sample standard deviation (n − 1) over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize))]
pub struct MeanStd {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation; 0 for one value.
    pub std: f64,
}

impl MeanStd {
    /// Of at least one value; `None` of none.
    pub fn of(values: &[f64]) -> Option<MeanStd> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        match values.len() {
            0 => None,
            1 => Some(MeanStd { mean, std: 0.0 }),
            _ => {
                let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
                Some(MeanStd { mean, std: (squares / (n - 1.0)).sqrt() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn the_mean_is_taken_inside_a_task_first() {
        // Task 0: +10 % and, where lower is better, 20 % less error, so +15 %; task 1: -5 %. Mean +5 %.
        let model = [
            vec![Measure::higher("accuracy", 0.55), Measure::lower("error", 0.8)],
            vec![Measure::higher("accuracy", 0.95)],
        ];
        let baseline = [
            vec![Measure::higher("accuracy", 0.5), Measure::lower("error", 1.0)],
            vec![Measure::higher("accuracy", 1.0)],
        ];
        assert_relative_eq!(delta_m(&model, &baseline).unwrap(), 5.0, max_relative = 1e-12);
        assert_eq!(delta_m(&baseline, &baseline).unwrap(), 0.0);
    }

    #[test]
    fn the_published_delta_of_multi_fashion_mnist() {
        // Recon, ICLR 2023: 97.42 / 88.82 against 98.37 / 89.63 is a delta of -0.94.
        let accuracies = |a, b| [vec![Measure::higher("accuracy", a)], vec![Measure::higher("accuracy", b)]];
        let delta = delta_m(&accuracies(97.42, 88.82), &accuracies(98.37, 89.63)).unwrap();
        assert!((delta - -0.94).abs() < 0.01, "{delta}");
    }

    #[test]
    fn what_has_no_delta_is_refused() {
        let one = |v| vec![vec![Measure::higher("accuracy", v)]];
        assert!(delta_m(&[], &[]).is_err());
        assert!(delta_m(&one(0.5), &[]).is_err());
        assert!(delta_m(&[vec![]], &[vec![]]).is_err());
        assert!(delta_m(&one(0.5), &one(0.0)).is_err());
        assert!(delta_m(&one(f64::NAN), &one(0.5)).is_err());
        assert!(delta_m(&one(0.5), &[vec![Measure::lower("accuracy", 0.5)]]).is_err());
        assert!(delta_m(&one(0.5), &[vec![Measure::higher("f1", 0.5)]]).is_err());
        let undefined = vec![vec![Measure { value: None, ..Measure::higher("accuracy", 0.0) }]];
        let says =
            |model: &[Vec<Measure>], baseline: &[Vec<Measure>]| delta_m(model, baseline).unwrap_err().to_string();
        assert!(says(&undefined, &one(0.5)).contains("accuracy is undefined"));
        assert!(says(&one(0.5), &undefined).contains("accuracy is undefined"));
    }

    #[test]
    fn a_baseline_near_zero_has_no_delta() {
        let part = |v| vec![vec![Measure { least: 0.05, ..Measure::higher("ap", v) }]];
        assert_relative_eq!(delta_m(&part(0.1), &part(0.05)).unwrap(), 100.0);
        let error = delta_m(&part(0.1), &part(0.0499)).unwrap_err().to_string();
        assert!(error.contains("ap of the baseline is 0.0499, below 0.0500"), "{error}");
        // What the model itself reaches may be anything.
        assert_relative_eq!(delta_m(&part(0.0), &part(0.5)).unwrap(), -100.0);
        let number = |least| vec![vec![Measure { least, ..Measure::lower("rmse", 0.5) }]];
        assert_relative_eq!(delta_m(&number(0.4), &number(0.4)).unwrap(), 0.0);
        let error = delta_m(&number(f64::INFINITY), &number(f64::INFINITY)).unwrap_err().to_string();
        assert!(error.contains("all labels of the test split are equal"), "{error}");
    }

    #[test]
    fn mean_and_sample_deviation() {
        assert_eq!(MeanStd::of(&[]), None);
        assert_eq!(MeanStd::of(&[3.0]), Some(MeanStd { mean: 3.0, std: 0.0 }));
        let m = MeanStd::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_relative_eq!(m.mean, 5.0);
        assert_relative_eq!(m.std, (32.0f64 / 7.0).sqrt());
    }
}
