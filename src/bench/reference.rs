//! What the steps must compute: losses known from another machine, so that a driver that computes wrong values, however fast,
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

/// The largest relative deviation allowed. Sums in another order, fused multiply-adds or Winograd's transforms change a loss by
/// less than 1e-4 within three steps (measured over the variants of the convolution); one wrong kernel changes the second
/// loss by more than this.
pub const TOLERANCE: f64 = 2e-3;

/// The known values.
pub const ALL: &[Reference] = &[];

/// The known values of the case called `name`.
pub fn find(name: &str) -> Option<&'static Reference> {
    ALL.iter().find(|r| r.name == name)
}

/// Compares what a case gave.
pub fn judge(reference: Option<&Reference>, got: &[f32]) -> Verdict {
    if let Some(bad) = got.iter().find(|v| !v.is_finite()) {
        return Verdict::Failed(format!("a value is {bad}"));
    }
    let Some(reference) = reference else {
        return Verdict::Failed(format!("no reference is known for this case; it gave {got:?}"));
    };
    if got.len() != reference.values.len() {
        return Verdict::Failed(format!("{} values where {} are known", got.len(), reference.values.len()));
    }
    let off = |(got, want): (&f32, &f32)| (f64::from(*got) / f64::from(*want) - 1.0).abs();
    let worst = got.iter().zip(reference.values).map(off).fold(0.0, f64::max);
    if worst <= TOLERANCE {
        return Verdict::Passed(worst / TOLERANCE);
    }
    Verdict::Failed(format!(
        "checksum: {got:?} where {:?} is known, off by {worst:.1e}; {TOLERANCE:.0e} is allowed. This driver computes wrong values: \
         update it",
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
        assert!(matches!(judge(&[2.002, 1.001]), Verdict::Passed(used) if used > 0.4));
        for wrong in [&[2.0, 1.01][..], &[2.0], &[2.0, f32::NAN], &[2.0, f32::INFINITY], &[-2.0, 1.0], &[2.0, 1.0, 1.0]]
        {
            assert!(matches!(judge(wrong), Verdict::Failed(_)), "{wrong:?}");
        }
        assert!(matches!(super::judge(None, &[1.0]), Verdict::Failed(_)));
    }
}
