//! What is measured at the first step of an epoch.

use super::*;

impl StageTrainer<'_> {
    /// What is measured at the first step of an epoch: the terms' gradients; and in the first epoch, as soon as it can be, the scales
    /// of those that are normalised. A batch may hold no label of a task.
    pub(super) fn measure(&mut self, cycle: &mut RecordedStep, taught: Option<&[TeacherOutputs]>) -> Result<()> {
        let (gpu, feed) = (self.bench.gpu, &self.bench.feed);
        let several = self.learners.len() > 1;
        let Learner { network, terms: objective, .. } = &mut self.learners[0];
        let known = &self.progress.scales;
        let open = if known.is_empty() { objective.terms().iter().any(Term::is_scaled) } else { known.contains(&0.0) };
        let normalize = open && self.progress.epoch == 0;
        let probe = self.stage.probe && self.progress.step == 0;
        // Networks that teach each other have no teachers to be asked beside a step.
        if (!normalize && !probe) || several {
            return Ok(());
        }
        let mut products = cycle.probe(gpu, feed, (network, objective), taught)?;
        if normalize {
            let known = &mut self.progress.scales;
            known.resize(objective.names().len(), 0.0);
            let mut scales = objective.scales(&products);
            scales.iter_mut().zip(known.iter()).filter(|(_, known)| **known != 0.0).for_each(|(scale, _)| *scale = 0.0);
            known.iter_mut().zip(&scales).for_each(|(known, scale)| *known += scale);
            objective.scale(&scales);
            if scales.iter().any(|scale| ![0.0, 1.0].contains(scale)) {
                cycle.forget();
            }
            // What is told is what the step will do.
            let by = |i: usize| if scales[i] == 0.0 { 1.0 } else { f64::from(scales[i]) };
            for (i, product) in products.iter_mut().enumerate() {
                *product *= by(i / scales.len()) * by(i % scales.len());
            }
        }
        if probe {
            let pulls = GradientStats::of(objective, &products);
            self.progress.agree(&pulls);
            self.progress.gradient_norms = Some(pulls);
        }
        Ok(())
    }

    /// Says which terms could not be scaled, now that it is no longer tried.
    pub(super) fn tell_unscaled(&mut self) -> Result<()> {
        let names = self.student().terms.names().iter().zip(&self.progress.scales);
        let open: Vec<&str> = names.filter(|(_, scale)| **scale == 0.0).map(|(name, _)| name.as_str()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let text = format!(
            "{} could not be scaled in the first epoch, as the labels of the task or the method itself pulled at nothing; the weight is \
             taken as it is",
            open.join(", ")
        );
        (self.journal)(Event::Note { text: &text })
    }
}
