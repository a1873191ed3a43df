//! What the steps must compute: losses and gradients recorded beforehand, so that a driver that computes wrong values, however
//! fast, has no score.
//!
//! Losses alone are no good witness of gradients: the second one moves by less than rounding lets it where one layer's gradient
//! is 5 % too large. So the gradients of the first step are compared themselves.
//!
//! The values were measured with Mesa's lavapipe 22.3.6, whose kernels are held against the f64 references by the test suite, with
//! the same seeds and batches ([`super::steps`]).

use super::schema::Verdict;
use crate::params::Named;

/// What a case must give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference {
    /// The case: `train/resnet20/b64`.
    pub name: &'static str,
    /// The loss of each of the first steps, or a measure of the logits.
    pub values: &'static [f32],
    /// The first step's gradients in two numbers; `None` of an inference.
    pub gradients: Option<[f64; 2]>,
}

/// What a case gave, like a [`Reference`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub values: Vec<f32>,
    pub gradients: Option<[f64; 2]>,
}

/// The largest relative deviation allowed of the first, second and third value. A forward pass depends on the order of sums by
/// 1e-7; from then on rounding decides which ReLUs let through, and each step multiplies the difference. Between kernels of two
/// families (direct, and Winograd with shared loads) the second loss differed by up to 8e-4, the third by 1.8e-3.
pub const TOLERANCES: [f64; 3] = [1e-5, 5e-3, 2e-2];

/// The largest deviations allowed of the two numbers of a [`checksum`]. Between kernels of two families, the lanes' and the tiles',
/// they differed by up to 1.1e-4 and 1.6e-3: where rounding takes an activation over the edge of its ReLU, gradients change by
/// whole terms. One tensor 5 % too large moves the first by 0.0488 over the number of tensors, 65: 7.5e-4.
pub const GRADIENTS: [f64; 2] = [5e-4, 5e-3];

/// All gradients in two numbers, in which each tensor weighs the same, however small its gradient: the mean over the tensors of
/// `ln ‖g‖`, which tells of wrong sizes, and of `Σ ±g / ‖g‖` with fixed random signs, which tells of values in wrong places.
pub fn checksum(gradients: &[Named]) -> [f64; 2] {
    let each = gradients.iter().map(|named| {
        let norm = named.data.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let signed: f64 = named.data.iter().enumerate().map(|(i, g)| sign(i as u64) * f64::from(*g)).sum();
        [norm.ln(), signed / norm]
    });
    let sum = each.fold([0.0; 2], |sum, tensor| [sum[0] + tensor[0], sum[1] + tensor[1]]);
    sum.map(|s| s / gradients.len() as f64)
}

/// 1 or -1, as the last bit of SplitMix64 says.
fn sign(i: u64) -> f64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    if (z ^ (z >> 31)) & 1 == 1 { 1.0 } else { -1.0 }
}

/// The known values.
pub const ALL: &[Reference] = &[
    Reference {
        name: "train/resnet20/b32",
        values: &[2.607_989, 2.113_143_7, 1.732_751_6],
        gradients: Some([-2.081_862_567, 0.116_447_867]),
    },
    Reference {
        name: "train/resnet20/b64",
        values: &[2.657_509_3, 2.280_121_8, 1.963_944_4],
        gradients: Some([-2.356_745_660, 0.062_026_852]),
    },
    Reference {
        name: "train/resnet20/b128",
        values: &[2.656_385_4, 2.362_944_8, 2.117_594],
        gradients: Some([-2.668_538_630, 0.177_091_625]),
    },
    Reference {
        name: "train/resnet18/b32",
        values: &[2.541_019_4, 1.011_788_4, 0.424_787_16],
        gradients: Some([-1.475_412_682, -0.138_765_969]),
    },
    Reference {
        name: "train/resnet18/b128",
        values: &[2.531_482_7, 1.707_261_9, 1.192_370_8],
        gradients: Some([-2.082_251_520, -0.076_874_010]),
    },
    Reference {
        name: "distil/resnet18-resnet20/b64",
        values: &[3.122_966_5, 2.704_069_4, 2.447_282_8],
        gradients: Some([-3.641_818_643, 0.026_845_919]),
    },
    Reference { name: "infer/resnet20/b64", values: &[3.582_102_3, 2.664_775], gradients: None },
    Reference { name: "infer/resnet20/b128", values: &[3.592_342_4, 2.664_775], gradients: None },
    Reference { name: "infer/resnet18/b32", values: &[0.893_394_2, 1.967_604_8], gradients: None },
    Reference { name: "infer/resnet18/b128", values: &[0.892_658_95, 1.967_604_8], gradients: None },
];

/// The known values of the case called `name`.
pub fn find(name: &str) -> Option<&'static Reference> {
    ALL.iter().find(|r| r.name == name)
}

/// Compares what a case gave: two values at least, for the second loss is the first to tell of the optimizer.
pub(super) fn judge(reference: Option<&Reference>, got: &Outcome) -> Verdict {
    let Outcome { values, gradients } = got;
    let numbers = values.iter().map(|v| f64::from(*v)).chain(gradients.iter().flatten().copied());
    if let Some(bad) = numbers.into_iter().find(|v| !v.is_finite()) {
        return Verdict::Failed(format!("a value is {bad}: {values:?}, gradients {gradients:?}"));
    }
    let Some(reference) = reference else {
        return Verdict::Failed(format!(
            "no reference is known for this case; it gave {values:?}, gradients {gradients:?}"
        ));
    };
    if !(2..=reference.values.len()).contains(&values.len()) || gradients.is_some() != reference.gradients.is_some() {
        return Verdict::Failed(format!("{got:?} where {reference:?} is known"));
    }
    // What is inferred takes no step.
    let inferred = reference.name.starts_with("infer/");
    let allowed = TOLERANCES.map(|t| if inferred { TOLERANCES[0] } else { t });
    let off = |(got, want): (&f32, &f32)| (f64::from(*got) / f64::from(*want) - 1.0).abs();
    let used = values.iter().zip(reference.values).map(off).zip(allowed).map(|(off, allowed)| off / allowed);
    let sums = gradients.iter().flatten().zip(reference.gradients.iter().flatten());
    let sums = sums.zip(GRADIENTS).map(|((got, known), allowed)| (got - known).abs() / allowed);
    let worst = sums.chain(used).fold(0.0, f64::max);
    if worst <= 1.0 {
        return Verdict::Passed(worst);
    }
    Verdict::Failed(format!(
        "checksum: {values:?}, gradients {gradients:?} where {:?}, {:?} are known, {worst:.1} times what is allowed. This driver \
         computes wrong values: update it",
        reference.values, reference.gradients
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_passes() {
        let reference = Reference { name: "x", values: &[2.0, 1.0], gradients: Some([-3.0, 0.1]) };
        let judge = |values: &[f32], gradients: Option<[f64; 2]>| {
            super::judge(Some(&reference), &Outcome { values: values.into(), gradients })
        };
        let known = reference.gradients;
        assert!(matches!(judge(&[2.0, 1.0], known), Verdict::Passed(used) if used == 0.0));
        assert!(matches!(judge(&[2.00001, 1.004], known), Verdict::Passed(used) if used > 0.4));
        assert!(matches!(judge(&[2.0, 1.0], Some([-3.0004, 0.1])), Verdict::Passed(used) if used > 0.7));
        for wrong in [
            &[2.0, 1.01][..],
            &[2.0001, 1.0],
            &[2.0],
            &[2.0, f32::NAN],
            &[2.0, f32::INFINITY],
            &[-2.0, 1.0],
            &[2.0, 1.0, 1.0],
        ] {
            assert!(matches!(judge(wrong, known), Verdict::Failed(_)), "{wrong:?}");
        }
        for wrong in [[-3.001, 0.1], [-3.0, 0.106], [-3.0, f64::NAN], [f64::NEG_INFINITY, 0.1]].map(Some) {
            assert!(matches!(judge(&[2.0, 1.0], wrong), Verdict::Failed(_)), "{wrong:?}");
        }
        assert!(matches!(judge(&[2.0, 1.0], None), Verdict::Failed(_)));
        let unknown = Outcome { values: vec![1.0], gradients: None };
        assert!(matches!(super::judge(None, &unknown), Verdict::Failed(_)));
        let inferred = Reference { name: "infer/x", values: &[2.0, 1.0], gradients: None };
        let outcome = |values: &[f32]| Outcome { values: values.into(), gradients: None };
        assert!(matches!(super::judge(Some(&inferred), &outcome(&[2.0, 1.0])), Verdict::Passed(_)));
        assert!(matches!(super::judge(Some(&inferred), &outcome(&[2.0, 1.001])), Verdict::Failed(_)));
    }

    #[test]
    fn every_tensor_weighs_the_same() {
        let named = |data: &[f32]| Named { name: String::new(), shape: vec![data.len()], data: data.to_vec() };
        let large: Vec<f32> = (0..999).map(|i| (i as f32).sin()).collect();
        let small: Vec<f32> = (0..70).map(|i| 1e-4 * (i as f32).cos()).collect();
        let of = |large: &[f32], small: &[f32]| checksum(&[named(large), named(small)]);
        let [size, places] = of(&large, &small);
        let scaled = |v: &[f32]| v.iter().map(|v| 1.05 * v).collect::<Vec<f32>>();
        for [wrong_size, same_places] in [of(&scaled(&large), &small), of(&large, &scaled(&small))] {
            assert!((wrong_size - size - 1.05_f64.ln() / 2.0).abs() < 1e-6 && (same_places - places).abs() < 1e-6);
        }
        let turned: Vec<f32> = small.iter().rev().copied().collect();
        let [same_size, wrong_places] = of(&large, &turned);
        assert!((same_size - size).abs() < 1e-6 && (wrong_places - places).abs() > 1e-3);
        assert!(of(&large, &[0.0; 70]).iter().any(|v| !v.is_finite()));
        let heads = (0..100_000).filter(|i| sign(*i) > 0.0).count();
        assert!((49_000..51_000).contains(&heads), "{heads}");
    }
}
