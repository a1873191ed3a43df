//! What a head gives: its answers, and the maps it makes them from.

/// The maps between the trunk and a head's answers, `[n, h, w, c]` each: what a decoder or a detector has made of the trunk's. A head
/// over the pooled features has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadMaps<T> {
    /// The levels of its pyramid, from fine to coarse, as large as the stages' maps they are made of.
    pub levels: Vec<T>,
    /// The stage, from 0, whose map the first level is made of.
    pub first: usize,
    /// Of a decoder the last map before its answers. A detector has answers at every level instead.
    pub decoder: Option<T>,
    /// Of a decoder its answers, at the size of the images.
    pub logits: Option<T>,
}

impl<T> HeadMaps<T> {
    /// Those of a head that has none.
    pub fn none() -> Self {
        HeadMaps { levels: Vec::new(), first: 0, decoder: None, logits: None }
    }

    /// The level made of the map of `stage`, from 0.
    pub fn level(&self, stage: usize) -> Option<&T> {
        self.levels.get(stage.checked_sub(self.first)?)
    }
}

/// What a head says of a batch.
#[derive(Debug, Clone)]
pub struct HeadOutputs<T> {
    /// `[n, outputs]`, `[n, h, w, outputs]` or `[n, places, outputs]`, as in [`Outputs`](super::Outputs).
    pub logits: T,
    /// What it says that from.
    pub maps: HeadMaps<T>,
}
