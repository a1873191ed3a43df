//! Which layers of a student and a teacher a term of the loss looks at, and how many channels they have.

use crate::distill::{FeatureKind, FeatureSite, Method};
use crate::nn::HeadMaps;
use crate::train::teacher_set::Teacher;
use crate::{Error, Result};

/// A method's terms: one for each pair of layers, called by the student's, and by the teacher's too where the student's is in several
/// pairs; or one where it looks at logits or at all layers together.
pub(crate) fn parts(
    method: &Method,
    pairs: Vec<(FeatureSite, FeatureSite)>,
) -> Vec<(String, Vec<(FeatureSite, FeatureSite)>)> {
    match method.look {
        FeatureKind::Layer(_) | FeatureKind::Map(_) if pairs.len() > 1 => {
            let name = |(s, t): &(FeatureSite, FeatureSite)| match pairs.iter().filter(|pair| pair.0 == *s).count() {
                1 => format!("@{s}"),
                _ => format!("@{s}:{t}"),
            };
            pairs.iter().map(|pair| (name(pair), vec![*pair])).collect()
        }
        _ => vec![(String::new(), pairs)],
    }
}

/// Layers with their channels.
pub(crate) type Tapped = Vec<(FeatureSite, usize)>;

/// The channels at both ends of each pair, of a student of such stages and such a head, and of a teacher's head of that number.
pub(crate) fn channels(
    term: &str,
    taps: &[(FeatureSite, FeatureSite)],
    (own, head, teacher, number): (&[usize], Option<&HeadMaps<usize>>, &Teacher, usize),
) -> Result<(Tapped, Tapped)> {
    let none = HeadMaps::none();
    let at = |who: &str, tap: FeatureSite, stages: &[usize], head: Option<&HeadMaps<usize>>| {
        let head = head.unwrap_or(&none);
        let missing = || Error::Invalid(format!("{term}: {}", tap.missing(who, stages.len(), head)));
        tap.among(stages, stages.last(), head).copied().ok_or_else(missing)
    };
    let mut both = (Vec::new(), Vec::new());
    for (s, t) in taps {
        both.0.push((*s, at("the student", *s, own, head)?));
        both.1.push((*t, at("the teacher", *t, &teacher.channels, teacher.heads.get(number))?));
    }
    Ok(both)
}
