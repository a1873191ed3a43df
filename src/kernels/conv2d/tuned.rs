//! Variants that a measurement chose, and what a measurement has to choose from.

use super::common::Pass;
use super::variant::{Variant, choose, variants};
use crate::gpu::{Gpu, Profile};
use crate::shape::Conv2d;

/// How the device's table calls `pass` of `s`.
pub fn key(pass: Pass, s: &Conv2d) -> String {
    let Conv2d { n, h, w, ci, co, kh, kw, stride, padding, dilation, groups } = s;
    format!("conv2d {pass} {n}x{h}x{w}x{ci} {co}x{kh}x{kw} s{stride} p{padding} d{dilation} g{groups}")
}

/// The variant for `pass` of `s` on this device: what a measurement named, else what the rule says.
pub fn select(gpu: &Gpu, pass: Pass, s: &Conv2d) -> Variant {
    let measured = gpu.choice(|| key(pass, s)).and_then(|name| name.parse().ok());
    measured.filter(|v: &Variant| v.serves(pass, s, gpu.profile())).unwrap_or_else(|| choose(pass, s, gpu.profile()))
}

/// Variants a measurement tries.
const CANDIDATES: usize = 4;

/// The rule's variant, and up to three others that may be better: of each other family the nearest in size, then the nearest of
/// the same family.
pub fn candidates(pass: Pass, s: &Conv2d, profile: &Profile) -> Vec<Variant> {
    let rule = choose(pass, s, profile);
    let (family, size) = parts(rule);
    // Rounding to f16 is the rule's to choose, not the clock's.
    let allowed = |v: &Variant| *v != rule && v.rounding() <= rule.rounding();
    let mut others: Vec<Variant> = variants(pass, s, profile).into_iter().filter(allowed).collect();
    others.sort_by(|a, b| (parts(*a).1 / size).ln().abs().total_cmp(&(parts(*b).1 / size).ln().abs()));
    let mut all = vec![rule];
    let mut families = vec![family.clone()];
    for variant in &others {
        let (own, _) = parts(*variant);
        if !families.contains(&own) {
            families.push(own);
            all.push(*variant);
        }
    }
    // At least one place is kept for a neighbour.
    all.truncate(CANDIDATES - 1);
    all.extend(others.into_iter().filter(|v| parts(*v).0 == family).take(CANDIDATES - all.len()));
    all
}

/// A variant's family, and the product of the numbers in its name.
fn parts(variant: Variant) -> (String, f64) {
    let name = variant.to_string();
    let (family, sizes) = name.split_once('-').unwrap_or((&name, ""));
    let numbers = sizes.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<f64>().ok());
    (family.to_string(), numbers.product::<f64>().max(1.0))
}

#[cfg(all(test, feature = "selftest"))]
mod tests {
    use super::*;
    use crate::gpu::{AdapterClass, Matrix, devices};

    #[test]
    fn candidates_are_few_different_and_serve() {
        let mut profile = devices().into_iter().next().unwrap();
        let matrix = Some(Matrix { edge: 16, lanes: 32 });
        for (class, matrix) in [
            (AdapterClass::Software, None),
            (AdapterClass::Discrete, None),
            (AdapterClass::DiscreteMatrix, matrix),
            (AdapterClass::Apple, None),
        ] {
            (profile.class, profile.matrix) = (class, matrix);
            for timed in super::super::distinct(class) {
                let all = candidates(timed.pass, &timed.shape, &profile);
                assert!((2..=CANDIDATES).contains(&all.len()), "{timed:?}: {all:?}");
                assert_eq!(all[0], choose(timed.pass, &timed.shape, &profile));
                // Nobody gets f16 who did not ask for it, and no gradient does.
                let rounds = all.iter().any(|v| v.rounding() > 0.0);
                assert!(!rounds || matrix.is_some() && timed.pass == Pass::Forward, "{timed:?}: {all:?}");
                for (i, v) in all.iter().enumerate() {
                    assert!(
                        v.serves(timed.pass, &timed.shape, &profile) && !all[..i].contains(v),
                        "{timed:?}: {all:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_field_of_a_shape_is_in_its_key() {
        let s = Conv2d::square(1, 2, 3, 4, 5, 6, 7, 8);
        let others = [
            Conv2d { n: 9, ..s },
            Conv2d { h: 9, ..s },
            Conv2d { w: 9, ..s },
            Conv2d { ci: 9, ..s },
            Conv2d { co: 9, ..s },
            Conv2d { kh: 9, ..s },
            Conv2d { kw: 9, ..s },
            Conv2d { stride: 9, ..s },
            Conv2d { padding: 9, ..s },
            Conv2d { dilation: 9, ..s },
            Conv2d { groups: 9, ..s },
        ];
        assert!(others.iter().all(|o| key(Pass::Forward, o) != key(Pass::Forward, &s)));
        assert_ne!(key(Pass::Forward, &s), key(Pass::InputGrad, &s));
    }
}
