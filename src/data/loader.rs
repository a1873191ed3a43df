//! Batches for the training loop, made one thread ahead of it.

use super::{
    Labels, Split,
    augment::{Augment, Draw},
    seed, split,
};
use crate::geometry::Warp;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::{Builder, JoinHandle},
};

/// Batches held ready. Two hide the gathering behind the GPU; more would only hold memory.
const AHEAD: usize = 2;

/// What one step needs, all of the same batch size.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[batch, height, width, channels]` bytes, not augmented yet.
    pub images: Vec<u8>,
    /// The answers to each task; what belongs to pixels as it is before the augmentation, boxes as they are after it.
    pub labels: Vec<Labels>,
    /// What each row drew.
    pub draws: Vec<Draw>,
    /// Which sample of the split stands in each row.
    pub indices: Vec<u32>,
    /// How many rows count; the rest is padding (evaluation's last batch only).
    pub valid: usize,
}

impl Batch {
    /// Where the kernels find the pixels of each row, of images of `[height, width]`.
    pub fn warps(&self, size: [usize; 2]) -> Vec<Warp> {
        let rows = self.draws.len();
        self.draws.iter().enumerate().map(|(row, draw)| draw.warp(row, rows, size)).collect()
    }
}

/// An iterator over the batches of one epoch (training) or of one pass (evaluation). Dropping it stops its thread.
#[derive(Debug)]
pub struct Loader {
    source: Source,
    left: usize,
}

#[derive(Debug)]
enum Source {
    /// A thread makes the batches; `None` only while dropping.
    Ahead(Option<Receiver<Batch>>, Option<JoinHandle<()>>),
    /// The system refused a thread: batches are made on demand, the same ones.
    OnDemand(Plan, usize),
}

impl Loader {
    /// One epoch in an order shuffled by `epoch_seed`, from step `start_step` on.
    ///
    /// The ragged tail is dropped, so every batch is full; a split smaller than a batch wraps round into one batch. The draw
    /// of a sample depends on `epoch_seed` and its index alone. A loader that starts at step `k` yields exactly what one
    /// from 0 yields after `k` batches. A batch size of 0 is taken as 1; an empty split yields nothing.
    pub fn train(split: Arc<Split>, batch: usize, epoch_seed: u64, augment: Augment, start_step: usize) -> Loader {
        let all: Vec<u32> = (0..split.len() as u32).collect();
        Self::train_among(split, &all, batch, epoch_seed, augment, start_step)
    }

    /// [`Loader::train`] over some of the samples. Panics on an index out of range, as slices do.
    pub fn train_among(
        split: Arc<Split>,
        samples: &[u32],
        batch: usize,
        epoch_seed: u64,
        augment: Augment,
        start_step: usize,
    ) -> Loader {
        let batch = batch.max(1);
        let steps = Self::train_steps(samples.len(), batch);
        let order = split::permutation(samples.len(), seed::derive(epoch_seed, "order"));
        let order = order.into_iter().map(|place| samples[place as usize]).collect();
        let sample_root = seed::derive(epoch_seed, "augment");
        Self::start(Plan { split, batch, order, training: Some((augment, sample_root)) }, start_step, steps)
    }

    /// The whole split in its own order, not augmented. The last batch is padded with sample 0; `valid` counts the true rows.
    pub fn eval(split: Arc<Split>, batch: usize) -> Loader {
        let batch = batch.max(1);
        let steps = Self::eval_steps(split.len(), batch);
        let order = (0..split.len() as u32).collect();
        Self::start(Plan { split, batch, order, training: None }, 0, steps)
    }

    /// Batches of a training epoch over `len` samples.
    pub fn train_steps(len: usize, batch: usize) -> usize {
        if len == 0 { 0 } else { (len / batch.max(1)).max(1) }
    }

    /// Batches of an evaluation pass over `len` samples.
    pub fn eval_steps(len: usize, batch: usize) -> usize {
        len.div_ceil(batch.max(1))
    }

    fn start(plan: Plan, first: usize, steps: usize) -> Loader {
        let left = steps.saturating_sub(first);
        let plan = Arc::new(plan);
        let theirs = Arc::clone(&plan);
        let (sender, receiver) = sync_channel(AHEAD);
        let thread = Builder::new().name("limbeck-loader".into()).spawn(move || {
            // A failed send means that the loader was dropped: nobody waits for the rest.
            let _ = (first..steps).try_for_each(|step| sender.send(theirs.batch(step)));
        });
        let source = match thread {
            Ok(handle) => Source::Ahead(Some(receiver), Some(handle)),
            Err(_) => Source::OnDemand(Plan::clone(&plan), first),
        };
        Loader { source, left }
    }
}

impl Iterator for Loader {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.source {
            Source::OnDemand(plan, step) => {
                *step += 1;
                Some(plan.batch(*step - 1))
            }
            Source::Ahead(receiver, handle) => {
                let batch = receiver.as_ref()?.recv().ok();
                if batch.is_none()
                    && let Some(Err(panic)) = handle.take().map(JoinHandle::join)
                {
                    // A split whose buffers do not fit together: an epoch cut short in silence would be worse.
                    std::panic::resume_unwind(panic);
                }
                batch
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Loader {}

impl Drop for Loader {
    fn drop(&mut self) {
        if let Source::Ahead(receiver, handle) = &mut self.source {
            // First hang up, so that a blocked send returns; then the thread ends within one batch.
            drop(receiver.take());
            if let Some(handle) = handle.take() {
                let _ = handle.join();
            }
        }
    }
}

/// Everything that determines a batch: `batch(step)` is a pure function, which is why a resumed epoch is the same epoch.
#[derive(Debug, Clone)]
struct Plan {
    split: Arc<Split>,
    batch: usize,
    order: Vec<u32>,
    training: Option<(Augment, u64)>,
}

impl Plan {
    fn batch(&self, step: usize) -> Batch {
        let start = step * self.batch;
        let valid = if self.training.is_some() { self.batch } else { self.batch.min(self.order.len() - start) };
        let row = |r: usize| match r {
            _ if r >= valid => 0,
            // The remainder matters only for a split smaller than the batch.
            _ => self.order[(start + r) % self.order.len()],
        };
        let indices: Vec<u32> = (0..self.batch).map(row).collect();
        let draws = match self.training {
            Some((augment, root)) => {
                indices.iter().map(|&i| augment.draw(seed::derive_n(root, u64::from(i)))).collect()
            }
            None => vec![Draw::default(); self.batch],
        };
        // A batch is what networks see: the canvas alone.
        let images = self.split.images.gather(&indices);
        let pixels = images.height * images.width;
        let labels: Vec<Labels> = self.split.labels.iter().map(|l| l.gather(&indices, pixels)).collect();
        let size = [images.height, images.width];
        let labels = labels.into_iter().map(|l| l.augmented(&draws, size)).collect();
        Batch { images: images.pixels, labels, draws, indices, valid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use proptest::prelude::*;

    fn split(n: usize) -> Arc<Split> {
        let pixels = (0..n).flat_map(|i| [i as u8, (i >> 8) as u8]).collect();
        let images = Images { pixels, count: n, height: 1, width: 2, channels: 1 };
        Arc::new(Split {
            images,
            files: Vec::new(),
            originals: None,
            labels: [1, 3]
                .map(|k| Labels::Class((0..n as u32).map(|i| if k == 1 { i } else { i % k }).collect()))
                .to_vec(),
        })
    }

    const AUGMENT: Augment = Augment { shift: 2, flip: true, noise: 0.1, ..Augment::NONE };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_resumed_epoch_is_the_same_epoch(n in 1usize..60, batch in 1usize..20, start in 0usize..30, seed: u64) {
            let whole: Vec<Batch> = Loader::train(split(n), batch, seed, AUGMENT, 0).collect();
            let rest: Vec<Batch> = Loader::train(split(n), batch, seed, AUGMENT, start).collect();
            prop_assert_eq!(whole.len(), Loader::train_steps(n, batch));
            prop_assert_eq!(&whole[start.min(whole.len())..], &rest[..]);
        }

        #[test]
        fn rows_agree_with_their_indices(n in 1usize..60, batch in 1usize..20, seed: u64) {
            let mut seen = vec![0; n];
            for b in Loader::train(split(n), batch, seed, AUGMENT, 0) {
                prop_assert_eq!((b.indices.len(), b.draws.len(), b.valid), (batch, batch, batch));
                for (r, &i) in b.indices.iter().enumerate() {
                    seen[i as usize] += 1;
                    prop_assert_eq!(u32::from(b.images[2 * r]) + 256 * u32::from(b.images[2 * r + 1]), i);
                    prop_assert_eq!((b.labels[0].classes()[r], b.labels[1].classes()[r]), (i, i % 3));
                }
            }
            // Nobody twice, except where a batch larger than the split wraps round.
            let (least, most) = if n >= batch { (0, 1) } else { (batch / n, batch.div_ceil(n)) };
            prop_assert!(seen.iter().all(|s| (least..=most).contains(s)));
        }

        #[test]
        fn some_of_the_samples_are_seen_and_no_others(n in 1usize..60, every in 1usize..5, batch in 1usize..20, seed: u64) {
            let some: Vec<u32> = (0..n as u32).step_by(every).collect();
            let batches: Vec<Batch> = Loader::train_among(split(n), &some, batch, seed, AUGMENT, 0).collect();
            prop_assert_eq!(batches.len(), Loader::train_steps(some.len(), batch));
            let seen: std::collections::BTreeSet<u32> = batches.iter().flat_map(|b| b.indices.clone()).collect();
            prop_assert!(seen.iter().all(|i| some.contains(i)));
            prop_assert!(seen.len() == some.len().min(batches.len() * batch));
        }

        #[test]
        fn evaluation_sees_everyone_once_in_order(n in 0usize..60, batch in 1usize..20) {
            let batches: Vec<Batch> = Loader::eval(split(n), batch).collect();
            let seen: Vec<u32> = batches.iter().flat_map(|b| b.indices[..b.valid].to_vec()).collect();
            prop_assert_eq!(seen, (0..n as u32).collect::<Vec<_>>());
            for b in &batches {
                prop_assert_eq!(b.images.len(), 2 * batch);
                prop_assert!(b.indices[b.valid..].iter().all(|&i| i == 0));
                prop_assert!(b.draws.iter().all(|&d| d == Draw::default()));
            }
        }
    }

    #[test]
    fn the_draw_belongs_to_the_sample_not_to_the_batch() {
        let draws = |batch| {
            let mut all: Vec<(u32, Draw)> = Loader::train(split(60), batch, 7, AUGMENT, 0)
                .flat_map(|b| b.indices.into_iter().zip(b.draws))
                .collect();
            all.sort_by_key(|(i, _)| *i);
            all
        };
        assert_eq!(draws(10), draws(20));
    }

    #[test]
    fn another_epoch_is_another_order() {
        let order = |seed| Loader::train(split(40), 8, seed, AUGMENT, 0).flat_map(|b| b.indices).collect::<Vec<_>>();
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn dropping_early_ends_the_thread() {
        // Enough batches that the thread is certainly blocked in a send; a drop that did not hang up would never return.
        let data = split(1000);
        let mut loader = Loader::train(Arc::clone(&data), 1, 0, AUGMENT, 0);
        assert!(loader.next().is_some());
        assert_eq!(loader.len(), 999);
        drop(loader);
        assert_eq!(Arc::strong_count(&data), 1);
    }

    #[test]
    #[should_panic]
    fn a_broken_split_is_loud() {
        let mut broken = Split::clone(&split(10));
        broken.labels[0] = Labels::Class(vec![0; 3]);
        Loader::train(Arc::new(broken), 2, 0, AUGMENT, 0).for_each(drop);
    }
}
