//! A network's metrics over a split, and its loss on the labels there.

use std::sync::Arc;

use crate::Result;
use crate::data::loader::{Batch, Loader};
use crate::data::{EvaluateOn, Split};
use crate::gpu::Gpu;
use crate::kernels::fcos::Level;
use crate::loss::{LossLog, LossRecorder};
use crate::metrics::TaskResult;
use crate::nn::{Frozen, Network};
use crate::tape::{Tape, Var};
use crate::tasks::{Seen, TaskTarget};
use crate::tensor::Tensor;
use crate::train::inputs::Inputs;
use crate::train::learner::Learner;
use crate::train::terms::LossTerms;

/// The loss on the labels of a split, as `loss_terms` has it: the sum over the tasks of their weight times their loss, each a mean over the
/// batches by the samples in them that have a label.
struct ValidationLoss<'a> {
    loss_terms: &'a LossTerms,
    log: LossLog,
    /// Samples with a label, by batch and task.
    samples: Vec<Vec<usize>>,
}

impl<'a> ValidationLoss<'a> {
    fn new(gpu: &Gpu, loss_terms: &'a LossTerms, batches: usize) -> Result<Self> {
        let log = LossLog::new(gpu, loss_terms.names().to_vec(), batches)?;
        Ok(ValidationLoss { loss_terms, log, samples: Vec::new() })
    }

    /// Adds a batch of which the heads say `said`; `labels` as losses take them, `samples` with a label by task.
    fn add(&mut self, gpu: &Gpu, said: &[Tensor], labels: &[Tensor], samples: Vec<usize>) -> Result<()> {
        self.log.prepare(gpu)?;
        let vars: Vec<Var> = said.iter().map(|said| Var::constant(said.clone())).collect();
        let mut tape = Tape::new();
        self.loss_terms.judge_labels(&mut LossRecorder { gpu, tape: &mut tape, log: &self.log }, &vars, labels)?;
        self.log.advance();
        self.samples.push(samples);
        Ok(())
    }

    fn mean(mut self, gpu: &Gpu) -> Result<f64> {
        let rows = self.log.take(gpu)?;
        let term = |(i, task, weight): (usize, usize, f32)| {
            let all: usize = self.samples.iter().map(|batch| batch[task]).sum();
            let own = rows.iter().zip(&self.samples).filter(|(_, batch)| batch[task] > 0);
            let sum: f64 = own.map(|(row, batch)| f64::from(row[i]) * batch[task] as f64).sum();
            f64::from(weight) * sum / all.max(1) as f64
        };
        Ok(self.loss_terms.label_terms().map(term).sum())
    }
}

/// Is told of each batch of a split what the heads of a network say, and the levels of its detectors.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(&Batch, &[Tensor], &[Level]) -> Result<()>;

impl Inputs {
    /// What `network` achieves on the test split at the task of each of its heads, looking at `batch` images at a time.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for a head of a task that the data does not have; GPU errors.
    pub fn test(&self, gpu: &Gpu, network: &Network, batch: usize) -> Result<Vec<TaskResult>> {
        self.evaluate(gpu, &network.freeze(gpu)?, &self.test, &self.tasks_of(network)?, batch)
    }

    /// The same on the validation split, and the loss of `learner` on the labels there: what to choose the best epoch by.
    ///
    /// # Errors
    /// As [`Inputs::test`].
    pub fn validate(&self, gpu: &Gpu, learner: &Learner, batch: usize) -> Result<(Vec<TaskResult>, f64)> {
        let (network, tasks) = (learner.network(), self.tasks_of(learner.network())?);
        self.evaluate_with_loss(gpu, &network.freeze(gpu)?, &self.val, &tasks, batch, learner.terms())
    }

    /// What `network` achieves over `split` at each of `tasks` (indices into the data's tasks; the network has one head for each,
    /// in that order).
    pub(crate) fn evaluate(
        &self,
        gpu: &Gpu,
        network: &Frozen,
        split: &Arc<Split>,
        tasks: &[usize],
        batch: usize,
    ) -> Result<Vec<TaskResult>> {
        Ok(self.look_through(gpu, network, split, tasks, batch, None, None)?.0)
    }

    /// [`Inputs::evaluate`], while `watch` is told of each batch.
    #[cfg(feature = "train")]
    pub(crate) fn evaluate_watched(
        &self,
        gpu: &Gpu,
        network: &Frozen,
        split: &Arc<Split>,
        tasks: &[usize],
        batch: usize,
        watch: Watch,
    ) -> Result<Vec<TaskResult>> {
        Ok(self.look_through(gpu, network, split, tasks, batch, None, Some(watch))?.0)
    }

    /// [`Inputs::evaluate`], and the loss on the labels with the tasks' weights of `loss_terms`, whose tasks are `tasks`.
    pub(crate) fn evaluate_with_loss(
        &self,
        gpu: &Gpu,
        network: &Frozen,
        split: &Arc<Split>,
        tasks: &[usize],
        batch: usize,
        loss_terms: &LossTerms,
    ) -> Result<(Vec<TaskResult>, f64)> {
        let loss = ValidationLoss::new(gpu, loss_terms, Loader::eval_steps(split.len(), batch))?;
        let (results, loss) = self.look_through(gpu, network, split, tasks, batch, Some(loss), None)?;
        Ok((results, loss.unwrap_or(f64::INFINITY)))
    }

    fn look_through(
        &self,
        gpu: &Gpu,
        network: &Frozen,
        split: &Arc<Split>,
        tasks: &[usize],
        batch: usize,
        mut loss: Option<ValidationLoss>,
        mut watch: Option<Watch>,
    ) -> Result<(Vec<TaskResult>, Option<f64>)> {
        let targets: Vec<&TaskTarget> = tasks.iter().map(|t| &self.targets[*t]).collect();
        let mut tallies = targets.iter().map(|t| t.rules().tally(gpu, t)).collect::<Result<Vec<_>>>()?;
        let [h, w, _] = self.image();
        let levels = network.detector_levels([h, w]);
        let originals = split.originals.as_ref().filter(|_| self.evaluate_on == EvaluateOn::Image);
        for batch in Loader::eval(split.clone(), batch) {
            let batch = without_padding(batch, h * w);
            let outputs = network.infer(gpu, &self.plain_input(gpu, &batch)?)?;
            let rows = batch.indices.len();
            let upload = |(task, target): (&usize, &&TaskTarget)| {
                let uploaded = target.upload(gpu, &batch.labels[*task], rows, [h, w])?;
                target.rules().moved(gpu, &uploaded, [rows, h, w], None)
            };
            let labels = tasks.iter().zip(&targets).map(upload).collect::<Result<Vec<Tensor>>>()?;
            for (k, tally) in tallies.iter_mut().enumerate() {
                tally.add(
                    gpu,
                    &Seen {
                        target: targets[k],
                        batch: &batch,
                        labels: &batch.labels[tasks[k]],
                        uploaded: &labels[k],
                        said: &outputs.logits[k],
                        size: [h, w],
                        levels: &levels,
                        originals: originals.map(|o| (o, o.labels[tasks[k]].as_ref())),
                    },
                )?;
            }
            if let Some(watch) = &mut watch {
                watch(&batch, &outputs.logits, &levels)?;
            }
            if let Some(loss) = &mut loss {
                let known = |task: &usize| (0..batch.valid).filter(|i| batch.labels[*task].has(*i, h * w)).count();
                loss.add(gpu, &outputs.logits, &labels, tasks.iter().map(known).collect())?;
            }
            gpu.flush()?;
        }
        let results = tallies.into_iter().zip(targets).map(|(tally, target)| tally.result(gpu, target));
        Ok((results.collect::<Result<_>>()?, loss.map(|loss| loss.mean(gpu)).transpose()?))
    }
}

/// The batch without labels in the rows that only fill it up, so that no loss counts them.
fn without_padding(mut batch: Batch, pixels: usize) -> Batch {
    let rows = batch.valid..batch.indices.len();
    for labels in &mut batch.labels {
        rows.clone().for_each(|row| labels.forget(row, pixels));
    }
    batch
}
