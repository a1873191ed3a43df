//! What the steps must compute: losses recorded beforehand, so that a driver that computes wrong values, however fast,
//! has no score.
//!
//! The values were measured with Mesa's lavapipe 22.3.6, whose kernels are held against the f64 twins by the test suite, with
//! the same seeds and batches ([`super::steps`]).

use super::schema::Verdict;

/// What a case must give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference {
    /// The case: `train/resnet20/b64`.
    pub name: &'static str,
    /// The loss of each of the first steps, or a measure of the logits.
    pub values: &'static [f32],
}

/// The largest relative deviation allowed of the first, second and third value. A forward pass depends on the order of sums by
/// 1e-7; from then on rounding decides which ReLUs let through, and each step multiplies the difference. Between kernels of two
/// families (direct, and Winograd with shared loads) the second loss differed by up to 8e-4, the third by 1.8e-3.
pub const TOLERANCES: [f64; 3] = [1e-5, 5e-3, 2e-2];

/// The known values.
pub const ALL: &[Reference] = &[
    Reference { name: "train/resnet20/b32", values: &[2.607_989_3, 2.113_144, 1.732_732_8] },
    Reference { name: "train/resnet20/b64", values: &[2.657_509_8, 2.282_008_6, 1.963_640_7] },
    Reference { name: "train/resnet20/b128", values: &[2.656_385_7, 2.372_978, 2.130_113_4] },
    Reference { name: "train/resnet18/b32", values: &[2.541_018_5, 1.011_686_8, 0.425_079_35] },
    Reference { name: "train/resnet18/b128", values: &[2.531_483, 1.785_330_3, 1.311_412_8] },
    Reference { name: "distil/resnet18-resnet20/b64", values: &[3.122_966_3, 2.704_602_7, 2.447_862] },
    Reference { name: "infer/resnet20/b64", values: &[3.582_102_3, 2.664_775] },
    Reference { name: "infer/resnet20/b128", values: &[3.592_342_4, 2.664_775] },
    Reference { name: "infer/resnet18/b32", values: &[0.893_394_2, 1.967_604_8] },
    Reference { name: "infer/resnet18/b128", values: &[0.892_658_95, 1.967_604_8] },
];

/// The known values of the case called `name`.
pub fn find(name: &str) -> Option<&'static Reference> {
    ALL.iter().find(|r| r.name == name)
}

/// Compares what a case gave: two values at least, for the second loss is the first to tell of gradients.
pub fn judge(reference: Option<&Reference>, got: &[f32]) -> Verdict {
    if let Some(bad) = got.iter().find(|v| !v.is_finite()) {
        return Verdict::Failed(format!("a value is {bad}"));
    }
    let Some(reference) = reference else {
        return Verdict::Failed(format!("no reference is known for this case; it gave {got:?}"));
    };
    if !(2..=reference.values.len()).contains(&got.len()) {
        return Verdict::Failed(format!("{} values where {} are known", got.len(), reference.values.len()));
    }
    // What is inferred takes no step.
    let inferred = reference.name.starts_with("infer/");
    let allowed = TOLERANCES.map(|t| if inferred { TOLERANCES[0] } else { t });
    let off = |(got, want): (&f32, &f32)| (f64::from(*got) / f64::from(*want) - 1.0).abs();
    let used = got.iter().zip(reference.values).map(off).zip(allowed).map(|(off, allowed)| off / allowed);
    let worst = used.fold(0.0, f64::max);
    if worst <= 1.0 {
        return Verdict::Passed(worst);
    }
    Verdict::Failed(format!(
        "checksum: {got:?} where {:?} is known, {worst:.1} times what is allowed. This driver computes wrong values: update it",
        reference.values
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_passes() {
        let reference = Reference { name: "x", values: &[2.0, 1.0] };
        let judge = |got: &[f32]| judge(Some(&reference), got);
        assert!(matches!(judge(&[2.0, 1.0]), Verdict::Passed(used) if used == 0.0));
        assert!(matches!(judge(&[2.00001, 1.004]), Verdict::Passed(used) if used > 0.4));
        for wrong in [
            &[2.0, 1.01][..],
            &[2.0001, 1.0],
            &[2.0],
            &[2.0, f32::NAN],
            &[2.0, f32::INFINITY],
            &[-2.0, 1.0],
            &[2.0, 1.0, 1.0],
        ] {
            assert!(matches!(judge(wrong), Verdict::Failed(_)), "{wrong:?}");
        }
        assert!(matches!(super::judge(None, &[1.0]), Verdict::Failed(_)));
        let inferred = Reference { name: "infer/x", values: &[2.0, 1.0] };
        assert!(matches!(super::judge(Some(&inferred), &[2.0, 1.001]), Verdict::Failed(_)));
    }
}
