//! Where methods look, and what is kept of a teacher there.

use std::collections::BTreeMap;
use std::fmt;

use crate::nn::{Features, HeadMaps, HeadOutputs, Outputs};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A place in a network where a method looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeatureSite {
    /// The map after a stage of the trunk, from 0: `[n, h, w, c]`.
    Stage(usize),
    /// The pooled features, `[n, c]`.
    Pooled,
    /// The level of the pyramid of the task's head that is made of the map of a stage, from 0: `[n, h, w, c]`.
    Level(usize),
    /// The last map of the task's decoder before its answers, `[n, h, w, c]`.
    Decoder,
    /// The answers of the task's decoder at the size of the image: of a mask a score map for each class, `[n, h, w, classes]`.
    Logits,
}

impl FeatureSite {
    /// What a layer may be called.
    pub const NAMES: &str = "layer1, layer2, …, pooled, level1, level2, …, decoder or logits";

    /// From a layer's name: `layer1`, `layer2`, … as PyTorch calls the stages, or `pooled`; in the head of a task that is asked of
    /// pixels or places `level1`, `level2`, …, each as large as the stage of that number, `decoder` and `logits`.
    pub fn parse(name: &str) -> Option<FeatureSite> {
        let number =
            |prefix: &str| -> Option<usize> { name.strip_prefix(prefix)?.parse::<usize>().ok()?.checked_sub(1) };
        match name {
            "pooled" => Some(FeatureSite::Pooled),
            "decoder" => Some(FeatureSite::Decoder),
            "logits" => Some(FeatureSite::Logits),
            _ => number("layer").map(FeatureSite::Stage).or_else(|| number("level").map(FeatureSite::Level)),
        }
    }

    /// Whether it lies in the head of a task rather than in the trunk.
    pub fn in_head(self) -> bool {
        matches!(self, FeatureSite::Level(_) | FeatureSite::Decoder | FeatureSite::Logits)
    }

    /// What belongs to it among what belongs to the stages, to the pooled features and to the maps of a head.
    pub(crate) fn among<'a, T>(self, stages: &'a [T], pooled: Option<&'a T>, head: &'a HeadMaps<T>) -> Option<&'a T> {
        match self {
            FeatureSite::Stage(i) => stages.get(i),
            FeatureSite::Pooled => pooled,
            FeatureSite::Level(i) => head.level(i),
            FeatureSite::Decoder => head.decoder.as_ref(),
            FeatureSite::Logits => head.logits.as_ref(),
        }
    }

    /// In words that `who`, of so many stages and with such a head, has no such layer.
    pub(crate) fn missing<T>(self, who: &str, stages: usize, head: &HeadMaps<T>) -> String {
        let mut has = format!("layer1 to layer{stages} and pooled");
        if !head.levels.is_empty() {
            let (first, last) = (head.first + 1, head.first + head.levels.len());
            let levels = if first == last { format!("level{first}") } else { format!("level{first} to level{last}") };
            let decoder = if head.decoder.is_some() { ", decoder and logits" } else { "" };
            has += &format!(", its head {levels}{decoder}");
        } else if self.in_head() {
            has += ", its head no maps";
        }
        format!("{who} has {has}, not {self}")
    }
}

impl fmt::Display for FeatureSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeatureSite::Stage(i) => write!(f, "layer{}", i + 1),
            FeatureSite::Pooled => write!(f, "pooled"),
            FeatureSite::Level(i) => write!(f, "level{}", i + 1),
            FeatureSite::Decoder => write!(f, "decoder"),
            FeatureSite::Logits => write!(f, "logits"),
        }
    }
}

/// A tap of a network of several heads: of those within a head it says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TeacherSite {
    tap: FeatureSite,
    head: Option<usize>,
}

impl TeacherSite {
    /// `tap` as the task of that head sees it: the trunk's are the same for all.
    pub fn new(tap: FeatureSite, head: usize) -> Self {
        TeacherSite { tap, head: tap.in_head().then_some(head) }
    }

    /// From its name, such as `layer3` or `decoder of head 0`.
    pub fn parse(name: &str) -> Option<TeacherSite> {
        let (tap, head) = match name.split_once(" of head ") {
            Some((tap, head)) => (FeatureSite::parse(tap)?, Some(head.parse().ok()?)),
            None => (FeatureSite::parse(name)?, None),
        };
        (tap.in_head() == head.is_some()).then_some(TeacherSite { tap, head })
    }
}

impl fmt::Display for TeacherSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.head {
            Some(head) => write!(f, "{} of head {head}", self.tap),
            None => self.tap.fmt(f),
        }
    }
}

/// What a teacher says of a batch: its logits, and its features where somebody looks.
#[derive(Debug, Clone)]
pub struct TeacherOutputs {
    /// `[n, classes]` for each of its heads.
    pub logits: Vec<Tensor>,
    features: BTreeMap<TeacherSite, Tensor>,
}

impl TeacherOutputs {
    /// Keeps the logits and the features at `spots`; the memory of the others returns to the pool.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are no such features.
    pub fn keep(outputs: Outputs<Tensor>, spots: &[TeacherSite]) -> Result<Self> {
        let Outputs { logits, features, maps } = outputs;
        let none = HeadMaps::none();
        let one = |spot: &TeacherSite| {
            let head = spot.head.and_then(|head| maps.get(head)).unwrap_or(&none);
            let tensor = spot.tap.among(&features.maps, Some(&features.pooled), head);
            let missing = || Error::Invalid(spot.tap.missing("the teacher", features.maps.len(), head));
            Ok((*spot, tensor.ok_or_else(missing)?.clone()))
        };
        Ok(TeacherOutputs { logits, features: spots.iter().map(one).collect::<Result<_>>()? })
    }

    /// What a network that is trained along says: the values of its logits and of all its features.
    pub fn values(heads: &[HeadOutputs<Var>], features: &Features<Var>) -> Self {
        let trunk = |tap: FeatureSite, var: &Var| (TeacherSite { tap, head: None }, var.value().clone());
        let mut all: BTreeMap<TeacherSite, Tensor> =
            features.maps.iter().enumerate().map(|(i, map)| trunk(FeatureSite::Stage(i), map)).collect();
        all.extend([trunk(FeatureSite::Pooled, &features.pooled)]);
        for (k, head) in heads.iter().enumerate() {
            let levels =
                head.maps.levels.iter().enumerate().map(|(i, map)| (FeatureSite::Level(head.maps.first + i), map));
            let decoder = head.maps.decoder.iter().map(|map| (FeatureSite::Decoder, map));
            all.extend(levels.chain(decoder).map(|(tap, map)| (TeacherSite::new(tap, k), map.value().clone())));
        }
        TeacherOutputs { logits: heads.iter().map(|h| h.logits.value().clone()).collect(), features: all }
    }

    /// The features at `spot`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they were not kept.
    pub fn at(&self, spot: TeacherSite) -> Result<&Tensor> {
        self.features.get(&spot).ok_or_else(|| Error::Invalid(format!("the teacher's {spot} was not kept")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in ["layer1", "layer4", "pooled", "level2", "decoder", "logits"] {
            let tap = FeatureSite::parse(name).unwrap();
            assert_eq!(tap.to_string(), name);
            let spot = TeacherSite::new(tap, 3);
            assert_eq!(TeacherSite::parse(&spot.to_string()), Some(spot));
            assert_eq!(spot == TeacherSite::new(tap, 4), !tap.in_head());
        }
        for name in ["layer0", "level", "level0", "decoder1", "Decoder", "layer1 of head 0", "decoder of head x"] {
            assert_eq!(FeatureSite::parse(name), None, "{name}");
            assert_eq!(TeacherSite::parse(name), None, "{name}");
        }
        assert_eq!(TeacherSite::parse("decoder"), None);
    }

    #[test]
    fn what_is_missing_is_said_with_what_is_there() {
        let detector = HeadMaps { levels: vec![8, 8], first: 1, ..HeadMaps::none() };
        assert_eq!(FeatureSite::Level(2).among(&[4, 4, 4], None, &detector), Some(&8));
        assert_eq!(FeatureSite::Level(0).among(&[4, 4, 4], None, &detector), None);
        assert_eq!(FeatureSite::Decoder.among(&[4, 4, 4], None, &detector), None);
        let said = FeatureSite::Decoder.missing("the student", 3, &detector);
        assert_eq!(said, "the student has layer1 to layer3 and pooled, its head level2 to level3, not decoder");
        let said = FeatureSite::Decoder.missing("the student", 3, &HeadMaps::<usize>::none());
        assert_eq!(said, "the student has layer1 to layer3 and pooled, its head no maps, not decoder");
    }
}
