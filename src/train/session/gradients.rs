//! What is measured beside the steps.

use super::*;

impl StageTrainer<'_> {
    /// What is measured before a step: in the first epoch, as soon as it can be, the scales of terms with `cap` or `normalize` (a batch may
    /// hold no label of a task); at the first step of each epoch, where the journal is to have them, the terms' gradients.
    pub(super) fn measure(&mut self, recorded: &mut RecordedStep, taught: Option<&[TeacherOutputs]>) -> Result<()> {
        // Networks that teach each other have no teachers to be asked beside a step.
        let [learner] = self.learners.as_mut_slice() else { return Ok(()) };
        let wanted = self.stage.probe && self.progress.step == 0;
        let products = recorded.measure((self.context.gpu, &self.context.inputs), learner, taught, wanted)?;
        if let Some(products) = products.filter(|_| wanted) {
            let stats = GradientStats::of(&learner.terms, &products);
            self.progress.agree(&stats);
            self.progress.gradient_norms = Some(stats);
        }
        Ok(())
    }

    /// Says which terms could not be scaled, now that it is no longer tried.
    pub(super) fn tell_unscaled(&mut self) -> Result<()> {
        let open = self.student().unscaled();
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
