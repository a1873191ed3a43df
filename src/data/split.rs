//! Cutting a labelled set into parts: seeded, and stratified, so that every part has the classes in the set's proportions.

use super::{Dataset, Split, Task, seed};
use crate::{Error, Result};
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// A seeded permutation of `0..n`.
pub fn permutation(n: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.shuffle(&mut seed::stream(seed));
    order
}

/// Exactly `count.min(labels.len())` indices in ascending order, every class in proportion (to within one sample).
pub fn choose(labels: &[u32], count: usize, seed: u64) -> Vec<u32> {
    let (_, mut chosen) = take(labels, count.min(labels.len()), seed, false);
    chosen.sort_unstable();
    chosen
}

/// Cuts about `fraction` of the samples off: `(rest, cut)`, both ascending, every class in proportion. No class leaves the
/// rest altogether: its last sample stays there. At least one sample is cut off if any class has two.
///
/// Refuses a fraction outside the open interval 0..1.
pub fn cut(labels: &[u32], fraction: f64, seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::Invalid(format!("a split fraction of {fraction} is not between 0 and 1 (exclusive)")));
    }
    let count = ((labels.len() as f64 * fraction).round() as usize).max(1);
    let (mut rest, mut cut) = take(labels, count, seed, true);
    rest.sort_unstable();
    cut.sort_unstable();
    Ok((rest, cut))
}

/// The parts of a set, for training, validation and the test, of which some may be missing: these are cut from the samples of training,
/// the test first, by `cut`, which is given samples, a fraction and the part's name, and gives the rest and what was cut. Both fractions
/// are of what there is before anything is cut.
///
/// # Errors
/// [`Error::Invalid`] without samples of training; the errors of `cut`.
pub fn complete<T>(
    [train, val, test]: [Option<Vec<T>>; 3],
    [val_fraction, test_fraction]: [f64; 2],
    mut cut: impl FnMut(Vec<T>, f64, &str) -> Result<[Vec<T>; 2]>,
) -> Result<[Vec<T>; 3]> {
    let mut train = train.ok_or_else(|| Error::Invalid("a data set without training images".into()))?;
    let left = if test.is_some() { 1.0 } else { 1.0 - test_fraction };
    let mut part = |own: Option<Vec<T>>, fraction, name| match own {
        Some(own) => Ok::<_, Error>(own),
        None => {
            let [rest, part] = cut(std::mem::take(&mut train), fraction, name)?;
            train = rest;
            Ok(part)
        }
    };
    let test = part(test, test_fraction, "test")?;
    let val = part(val, val_fraction / left, "val")?;
    Ok([train, val, test])
}

/// What [`complete`] cuts by: every stratum in proportion, as [`cut`] does; `seed` and the part's name decide.
pub fn stratified<T>(stratum: impl Fn(&T) -> u32, seed: u64) -> impl FnMut(Vec<T>, f64, &str) -> Result<[Vec<T>; 2]> {
    move |samples, fraction, part| {
        let strata: Vec<u32> = samples.iter().map(&stratum).collect();
        let (_, taken) = cut(&strata, fraction, seed::derive(seed, part))?;
        let (mut rest, mut part) = (Vec::with_capacity(samples.len() - taken.len()), Vec::with_capacity(taken.len()));
        for (place, sample) in (0..).zip(samples) {
            if taken.binary_search(&place).is_ok() { part.push(sample) } else { rest.push(sample) }
        }
        Ok([rest, part])
    }
}

/// Cuts samples into three by their groups, none of which is in two parts: `[train, val, test]`, each ascending. Groups, in a seeded
/// order, go to the test until it has its fraction of the samples, then to validation; at least one group is left to train.
///
/// Refuses fractions that leave nothing to train, and fewer than three groups.
pub fn grouped(groups: &[&str], [val, test]: [f64; 2], seed: u64) -> Result<[Vec<u32>; 3]> {
    if !(val > 0.0 && test > 0.0 && val + test < 1.0) {
        return Err(Error::Invalid(format!("split fractions of {val} and {test} leave nothing to learn from")));
    }
    by_groups(groups, [1.0 - val - test, val, test], seed)
}

/// The same into so many parts, the first of which keeps what the others do not take, the last one first.
///
/// Refuses fewer groups than parts.
pub fn by_groups<const N: usize>(groups: &[&str], parts: [f64; N], seed: u64) -> Result<[Vec<u32>; N]> {
    let mut members: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (i, group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(i as u32);
    }
    if members.len() < N {
        let n = members.len();
        return Err(Error::Invalid(format!("{n} group(s) cannot be cut into {N} parts that share none")));
    }
    let members: Vec<Vec<u32>> = members.into_values().collect();
    let order = permutation(members.len(), seed);
    let wanted = parts.map(|part| part * groups.len() as f64);
    let mut parts = [const { Vec::new() }; N];
    // Each at least one group, whatever its size.
    let mut part = N - 1;
    for (place, group) in order.into_iter().enumerate() {
        let left = members.len() - place;
        let full = |k: usize, parts: &[Vec<u32>; N]| parts[k].len() as f64 >= wanted[k] || left <= k;
        while part > 0 && !parts[part].is_empty() && full(part, &parts) {
            part -= 1;
        }
        parts[part].extend(&members[group as usize]);
    }
    parts.iter_mut().for_each(|p| p.sort_unstable());
    Ok(parts)
}

/// Walks the samples class by class, shuffled inside a class, and takes every (n / count)-th: a Bresenham line, which is
/// what keeps both the total and each class's share right. With `keep_one` a class's last sample is never taken; the debt
/// passes to the next class.
fn take(labels: &[u32], count: usize, seed: u64, keep_one: bool) -> (Vec<u32>, Vec<u32>) {
    let mut order = permutation(labels.len(), seed);
    order.sort_by_key(|&i| labels[i as usize]);
    let n = labels.len();
    let (mut rest, mut taken) = (Vec::with_capacity(n), Vec::with_capacity(count));
    let mut debt = n / 2;
    for class in order.chunk_by(|&a, &b| labels[a as usize] == labels[b as usize]) {
        let mut left = class.len();
        for &i in class {
            debt += count;
            if debt >= n && taken.len() < count && (left > 1 || !keep_one) {
                debt -= n;
                left -= 1;
                taken.push(i);
            } else {
                rest.push(i);
            }
        }
    }
    // Debts of classes of one may be left over at the end; one sample is always owed.
    if taken.is_empty() && count > 0 {
        let pair = rest.windows(2).position(|w| labels[w[0] as usize] == labels[w[1] as usize]);
        taken.extend(pair.map(|p| rest.remove(p)));
    }
    (rest, taken)
}

/// A data set from a source that brings its own test files: validation is cut from train, test is left as it is.
pub fn with_own_test(
    name: &str,
    task: Task,
    train: Split,
    test: Split,
    val_fraction: f64,
    split_seed: u64,
) -> Result<Dataset> {
    let (rest, val) = cut(&train.strata(), val_fraction, seed::derive(split_seed, "val"))?;
    let val = train.gather(&val);
    let train = train.gather(&rest);
    let data = Dataset { name: name.into(), tasks: vec![task], train, val, test, skipped: vec![] };
    data.check()?;
    Ok(data)
}

/// A data set from one undivided source: test is cut off first, then validation; both fractions are of the whole.
pub fn three_ways(
    name: &str,
    task: Task,
    all: &Split,
    val_fraction: f64,
    test_fraction: f64,
    split_seed: u64,
) -> Result<Dataset> {
    if !(val_fraction > 0.0 && test_fraction > 0.0 && val_fraction + test_fraction < 1.0) {
        return Err(Error::Invalid(format!(
            "the validation fraction {val_fraction} and the test fraction {test_fraction} must be above 0 and leave something to train on"
        )));
    }
    let (rest, test) = cut(&all.strata(), test_fraction, seed::derive(split_seed, "test"))?;
    let rest = all.gather(&rest);
    with_own_test(name, task, rest, all.gather(&test), val_fraction / (1.0 - test_fraction), split_seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(labels: &[u32], indices: &[u32]) -> Vec<usize> {
        let mut counts = vec![0; 1 + labels.iter().max().map_or(0, |&m| m as usize)];
        indices.iter().for_each(|&i| counts[labels[i as usize] as usize] += 1);
        counts
    }

    proptest! {
        #[test]
        fn groups_stay_together(sizes in prop::collection::vec(1usize..8, 3..40), val in 0.05f64..0.45, test in 0.05f64..0.45, seed: u64) {
            let names: Vec<String> = (0..sizes.len()).map(|g| format!("g{g}")).collect();
            let groups: Vec<&str> =
                names.iter().zip(&sizes).flat_map(|(g, n)| std::iter::repeat_n(g.as_str(), *n)).collect();
            let parts = grouped(&groups, [val, test], seed).unwrap();
            let mut all: Vec<u32> = parts.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..groups.len() as u32).collect::<Vec<_>>());
            for name in &names {
                let within = parts.iter().filter(|p| p.iter().any(|i| groups[*i as usize] == name)).count();
                prop_assert_eq!(within, 1);
            }
            prop_assert!(parts.iter().all(|p| !p.is_empty()));
            // No more than one group beyond what was asked for.
            let most = |part: f64| part * groups.len() as f64 + 8.0;
            prop_assert!((parts[1].len() as f64) < most(val) && (parts[2].len() as f64) < most(test));
        }

        #[test]
        fn a_cut_is_a_partition_that_keeps_every_class(
            labels in prop::collection::vec(0u32..6, 1..200), fraction in 0.01f64..0.99, seed: u64,
        ) {
            let (rest, cut) = cut(&labels, fraction, seed).unwrap();
            let mut all = [rest.clone(), cut.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len() as u32).collect::<Vec<_>>());
            let whole = histogram(&labels, &(0..labels.len() as u32).collect::<Vec<_>>());
            let kept = histogram(&labels, &rest);
            prop_assert!(whole.iter().zip(&kept).all(|(&w, &k)| w == 0 || k > 0));
            prop_assert!(!cut.is_empty() || whole.iter().all(|&w| w < 2));
        }

        #[test]
        fn a_choice_is_exact_and_in_proportion(
            labels in prop::collection::vec(0u32..5, 1..300), part in 0.0f64..1.0, seed: u64,
        ) {
            let count = (labels.len() as f64 * part) as usize;
            let chosen = choose(&labels, count, seed);
            prop_assert_eq!(chosen.len(), count);
            prop_assert!(chosen.windows(2).all(|w| w[0] < w[1]));
            let share = count as f64 / labels.len() as f64;
            let whole = histogram(&labels, &(0..labels.len() as u32).collect::<Vec<_>>());
            for (w, c) in whole.iter().zip(histogram(&labels, &chosen)) {
                prop_assert!((c as f64 - *w as f64 * share).abs() <= 1.0 + 1e-9, "{} of {}", c, w);
            }
        }
    }

    #[test]
    fn small_classes_still_fill_the_validation_split() {
        // 25 classes of four at 10 %: rounding class by class would cut nothing at all.
        let labels: Vec<u32> = (0..100).map(|i| i / 4).collect();
        let (rest, cut) = cut(&labels, 0.1, 0).unwrap();
        assert_eq!((rest.len(), cut.len()), (90, 10));
        assert!(histogram(&labels, &cut).iter().all(|&c| c <= 1));
    }

    #[test]
    fn the_seed_decides() {
        let labels: Vec<u32> = (0..500).map(|i| i % 10).collect();
        assert_eq!(cut(&labels, 0.2, 1).unwrap(), cut(&labels, 0.2, 1).unwrap());
        assert_ne!(cut(&labels, 0.2, 1).unwrap(), cut(&labels, 0.2, 2).unwrap());
        assert_ne!(permutation(50, 1), permutation(50, 2));
    }

    #[test]
    fn fractions_out_of_range_are_refused() {
        for fraction in [0.0, 1.0, -0.1, 1.5, f64::NAN] {
            assert!(cut(&[0, 0, 1, 1], fraction, 0).is_err());
        }
    }
}
