//! Whether labels fit their task and their images, and a hash of them.

use super::{IGNORED, Labels, MISSING, Task};
use crate::data::Images;
use crate::hash;
use crate::{Error, Result};

impl Labels {
    pub(in crate::data) fn fingerprint(&self, hash: u64) -> u64 {
        match self {
            // Classes alone are hashed as they always were.
            Labels::Class(v) => v.iter().fold(hash, |h, l| hash::extend(h, &l.to_le_bytes())),
            Labels::Attributes { answers: v, .. } | Labels::Number(v) | Labels::Depth(v) => {
                v.iter().fold(hash, |h, l| hash::extend(h, &l.to_bits().to_le_bytes()))
            }
            Labels::Mask(v) => hash::extend(hash, v),
            Labels::Boxes(v) => v.iter().fold(hash, |hash, objects| {
                let hash = hash::extend(hash, &objects.as_ref().map_or(u64::MAX, |o| o.len() as u64).to_le_bytes());
                objects.iter().flatten().fold(hash, |hash, o| {
                    let edges = [o.rect.x0, o.rect.y0, o.rect.x1, o.rect.y1, o.area];
                    let hash = edges.iter().fold(hash, |h, v| hash::extend(h, &v.to_bits().to_le_bytes()));
                    hash::extend(hash::extend(hash, &o.class.to_le_bytes()), &[u8::from(o.ignored)])
                })
            }),
        }
    }

    /// Refuses labels that do not fit the task or the images, with the sample.
    pub(in crate::data) fn check(&self, task: &Task, images: &Images) -> Result<()> {
        let bad = |m: String| Err(Error::Invalid(m));
        let (n, pixels, classes) = (images.count, images.height * images.width, task.classes.len());
        if self.kind() != task.kind {
            return bad(format!(
                "task {:?} is of kind {}, its labels of {}",
                task.name,
                task.kind.name(),
                self.kind().name()
            ));
        }
        if let Labels::Attributes { count, .. } = self
            && *count != classes
        {
            return bad(format!("task {:?} has {classes} attributes, its labels have {count}", task.name));
        }
        let (len, width) = match self {
            Labels::Class(v) => (v.len(), 1),
            Labels::Attributes { count, answers } => (answers.len(), *count),
            Labels::Number(v) => (v.len(), 1),
            Labels::Mask(v) => (v.len(), pixels),
            Labels::Depth(v) => (v.len(), pixels),
            Labels::Boxes(v) => (v.len(), 1),
        };
        if len != n * width {
            return bad(format!("task {:?} has {} labels for {n} images", task.name, len / width.max(1)));
        }
        if self.all_missing() {
            return bad(format!("no image has a label for task {:?}", task.name));
        }
        let out_of_range = |sample: usize, label: u32| {
            bad(format!("sample {sample}: label {label} of task {:?} is not below {classes}", task.name))
        };
        match self {
            Labels::Class(v) => match v.iter().position(|&l| l as usize >= classes && l != MISSING) {
                Some(i) => out_of_range(i, v[i]),
                None => Ok(()),
            },
            Labels::Mask(v) => match v.iter().position(|&l| usize::from(l) >= classes && l != IGNORED) {
                Some(i) => out_of_range(i / pixels, v[i].into()),
                None => Ok(()),
            },
            Labels::Boxes(v) => {
                for (i, o) in v.iter().enumerate().flat_map(|(i, all)| all.iter().flatten().map(move |o| (i, o))) {
                    if o.class as usize >= classes {
                        return out_of_range(i, o.class);
                    }
                    if !o.rect.is_proper() {
                        return bad(format!("sample {i}: a box {:?} of task {:?} has no area", o.rect, task.name));
                    }
                }
                Ok(())
            }
            Labels::Number(v) | Labels::Depth(v) => match v.iter().position(|y| y.is_infinite()) {
                Some(i) => bad(format!("sample {}: task {:?} has an infinite label", i / width, task.name)),
                None => Ok(()),
            },
            Labels::Attributes { answers, count } => match answers.iter().position(|a| a.is_nan() || *a > 1.0) {
                Some(i) => bad(format!("sample {}: task {:?} has an answer of {}", i / count, task.name, answers[i])),
                None => Ok(()),
            },
        }
    }
}
