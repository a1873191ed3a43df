//! Objects in an image: a box and a class each (detection).

use std::borrow::Cow;

use crate::data::{Labels, Object, OriginalLabels};
use crate::geometry::Detection as Found;
use crate::gpu::Gpu;
use crate::kernels::fcos::{self, Level, Part};
use crate::loss::{Detection, LabelLoss};
use crate::metrics::{DetectionTally, TaskResult, Truth};
use crate::nn::HeadSpec;
use crate::nn::boxes::{NmsConfig, detect};
use crate::tasks::output::DetectedObject;
use crate::tasks::{NamedLosses, Reading, Rules, Seen, Tally, TaskObjective, TaskOutput, TaskTarget};
use crate::tensor::Tensor;
use crate::{Error, Result};

pub(super) struct Boxes;

impl Rules for Boxes {
    fn head(&self, task: &str, classes: usize, _hidden: &[usize], channels: usize) -> HeadSpec {
        HeadSpec::detector(task, classes, channels)
    }

    fn bytes<'a>(&self, target: &TaskTarget, labels: &'a Labels) -> Result<Cow<'a, [u8]>> {
        let Labels::Boxes(all) = labels else { return Err(target.mismatch(labels)) };
        let most = labels.most_objects();
        if most > target.most {
            let (task, room) = (&target.task.name, target.most);
            return Err(Error::Invalid(format!("task {task:?}: {most} objects in an image, and room for {room}")));
        }
        let rows: Vec<f32> = all.iter().flat_map(|objects| rows(objects.as_deref(), target.most)).collect();
        Ok(Cow::Owned(bytemuck::cast_slice(&rows).to_vec()))
    }

    fn shape(&self, target: &TaskTarget, rows: usize, _size: [usize; 2]) -> Option<Vec<usize>> {
        Some(vec![rows, target.most, fcos::OBJECT])
    }

    fn losses(&self, _gpu: &Gpu, _objective: &TaskObjective, levels: &[Level]) -> Result<NamedLosses> {
        let focal = fcos::Focal { alpha: 0.25, gamma: 2.0 };
        let parts = [("focal", Part::Classes(focal)), ("giou", Part::Boxes), ("centre", Part::Centre)];
        let one = |(name, part)| -> (&'static str, Box<dyn LabelLoss>) {
            (name, Box::new(Detection { part, levels: levels.to_vec() }))
        };
        Ok(parts.map(one).into())
    }

    fn tally(&self, _gpu: &Gpu, target: &TaskTarget) -> Result<Box<dyn Tally>> {
        Ok(Box::new(Objects(DetectionTally::new(target.task.classes.len()))))
    }

    fn decode(&self, gpu: &Gpu, said: &Tensor, reading: &Reading) -> Result<Vec<TaskOutput>> {
        let found = |d: Found| DetectedObject { label: reading.classes[d.class].clone(), score: d.score, rect: d.rect };
        let all = detect(gpu, said, reading.levels, reading.size, &reading.keep)?;
        let image = |found_in: Vec<Found>| TaskOutput::Boxes { objects: found_in.into_iter().map(found).collect() };
        Ok(all.into_iter().map(image).collect())
    }
}

/// An image's objects as [`fcos::assign`] takes them, with room for `most`.
fn rows(objects: Option<&[Object]>, most: usize) -> Vec<f32> {
    let mut rows = vec![0.0; most * fcos::OBJECT];
    let slots = rows.chunks_exact_mut(fcos::OBJECT);
    match objects {
        Some(objects) => {
            for (slot, o) in slots.zip(objects) {
                let what = if o.ignored { 2.0 } else { 1.0 };
                slot.copy_from_slice(&[o.rect.x0, o.rect.y0, o.rect.x1, o.rect.y1, o.class as f32, what]);
            }
        }
        // Nobody has looked.
        None => slots.take(1).for_each(|slot| slot[fcos::OBJECT - 1] = 3.0),
    }
    rows
}

/// Predicted and true objects.
struct Objects(DetectionTally);

impl Tally for Objects {
    fn add(&mut self, gpu: &Gpu, seen: &Seen) -> Result<()> {
        let Labels::Boxes(truth) = seen.labels else { return Err(seen.target.mismatch(seen.labels)) };
        let images = detect(gpu, seen.said, seen.levels, seen.size, &NmsConfig::default())?;
        for (((place, sample), found), on_canvas) in seen.places().zip(images).zip(truth) {
            let (truth, found) = match (seen.originals, place) {
                (Some((_, Some(OriginalLabels::Boxes(own)))), Some(place)) => (&own[sample], place.boxes_back(found)),
                _ => (on_canvas, found),
            };
            // Where nobody has looked, nothing can be held against it.
            if let Some(objects) = truth {
                self.0.add(objects.iter().map(truth_of).collect(), found)?;
            }
        }
        Ok(())
    }

    fn result(self: Box<Self>, _gpu: &Gpu, target: &TaskTarget) -> Result<TaskResult> {
        Ok(TaskResult::of_boxes(&self.0, &target.task.classes))
    }
}

fn truth_of(object: &Object) -> Truth {
    Truth { rect: object.rect, class: object.class as usize, area: object.area.into(), ignored: object.ignored }
}
