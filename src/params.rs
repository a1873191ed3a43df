//! The parameters of a network in one arena: values, gradients and running statistics, so that the optimizer, the
//! gradient norm and a checkpoint are each one operation on it.

use crate::gpu::Gpu;
use crate::kernels::elementwise;
use crate::tape::{Grads, Param};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// A handle to a parameter of a network under construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParamId(usize);

/// A handle to running statistics, `[2, c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunningId(usize);

/// A handle to a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BufferId(usize);

/// One named tensor of an arena.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    start: usize,
}

impl Entry {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Slices begin at multiples of this many values, because bindings begin at multiples of 256 bytes.
const ALIGN: usize = 64;

/// Collects names, shapes and initial values; [`Builder::build`] uploads them.
#[derive(Debug, Default)]
pub struct Builder {
    params: Vec<Entry>,
    values: Vec<f32>,
    running: Vec<Entry>,
    buffers: Vec<Entry>,
    statistics: Vec<f32>,
}

fn append(entries: &mut Vec<Entry>, data: &mut Vec<f32>, name: String, shape: &[usize], values: &[f32]) -> usize {
    let start = data.len();
    data.extend_from_slice(values);
    data.resize(data.len().next_multiple_of(ALIGN), 0.0);
    entries.push(Entry { name, shape: shape.to_vec(), start });
    entries.len() - 1
}

impl Builder {
    /// Adds a parameter with its initial values.
    pub fn param(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) -> ParamId {
        ParamId(append(&mut self.params, &mut self.values, name.into(), shape, values))
    }

    /// Adds running statistics of `channels` channels: mean 0, variance 1. `name` is the layer's (`layer1.0.bn1`).
    pub fn running(&mut self, name: impl Into<String>, channels: usize) -> RunningId {
        let mut values = vec![0.0; channels];
        values.resize(2 * channels, 1.0);
        RunningId(append(&mut self.running, &mut self.statistics, name.into(), &[2, channels], &values))
    }

    /// Adds a buffer: values that are kept and stored with the parameters, but that no optimizer changes.
    pub fn buffer(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) -> BufferId {
        BufferId(append(&mut self.buffers, &mut self.statistics, name.into(), shape, values))
    }

    /// The length of the arena so far: where the next parameter begins.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Uploads everything.
    pub fn build(mut self, gpu: &Gpu) -> Result<Params> {
        for data in [&mut self.values, &mut self.statistics] {
            data.resize(data.len().max(ALIGN), 0.0);
        }
        let values = resident(gpu, &self.values)?;
        let grads = Tensor::empty(gpu, values.shape())?;
        elementwise::fill(gpu, &grads, 0.0)?;
        let statistics = resident(gpu, &self.statistics)?;
        let slices = self
            .params
            .iter()
            .map(|e| Ok(Param { value: values.slice(e.start, &e.shape)?, grad: grads.slice(e.start, &e.shape)? }));
        let params = slices.collect::<Result<_>>()?;
        let cut = |all: &[Entry]| all.iter().map(|e| statistics.slice(e.start, &e.shape)).collect::<Result<Vec<_>>>();
        let (running, buffers) = (cut(&self.running)?, cut(&self.buffers)?);
        let (names, running_names, buffer_names) = (self.params, self.running, self.buffers);
        Ok(Params { values, grads, statistics, params, running, buffers, names, running_names, buffer_names })
    }
}

/// Uploads into memory that kernels write: uploads themselves come from buffers that are only ever written by the CPU.
fn resident(gpu: &Gpu, data: &[f32]) -> Result<Tensor> {
    let staged = Tensor::from_f32(gpu, data, &[data.len()])?;
    let tensor = Tensor::empty(gpu, &[data.len()])?;
    tensor.copy_from(gpu, &staged)?;
    Ok(tensor)
}

/// All parameters of a network. Cloning shares their memory, as with tensors.
#[derive(Debug, Clone)]
pub struct Params {
    values: Tensor,
    grads: Tensor,
    statistics: Tensor,
    params: Vec<Param>,
    running: Vec<Tensor>,
    buffers: Vec<Tensor>,
    names: Vec<Entry>,
    running_names: Vec<Entry>,
    buffer_names: Vec<Entry>,
}

/// A named tensor on the CPU, in this crate's layout.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// PyTorch's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Vec<f32>,
}

impl Params {
    /// A parameter.
    pub fn get(&self, id: ParamId) -> &Param {
        &self.params[id.0]
    }

    /// Running statistics, `[2, c]`.
    pub fn running(&self, id: RunningId) -> &Tensor {
        &self.running[id.0]
    }

    /// A buffer.
    pub fn buffer(&self, id: BufferId) -> &Tensor {
        &self.buffers[id.0]
    }

    /// The arena of values.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// The arena of gradients.
    pub fn grads(&self) -> &Tensor {
        &self.grads
    }

    /// The arena of running statistics and buffers.
    pub fn statistics(&self) -> &Tensor {
        &self.statistics
    }

    /// Number of learned values.
    pub fn count(&self) -> usize {
        self.names.iter().map(Entry::len).sum()
    }

    /// Sets to zero the gradients that a backward pass did not reach (the head of a task that was not trained).
    pub fn zero_untouched(&self, gpu: &Gpu, grads: &Grads) -> Result<()> {
        self.zero_untouched_in(gpu, grads, &self.grads)
    }

    /// [`Params::zero_untouched`] for the parameters in one part of the arena of gradients.
    pub fn zero_untouched_in(&self, gpu: &Gpu, grads: &Grads, part: &Tensor) -> Result<()> {
        let mut missed = self.params.iter().filter(|p| p.grad.start_in(part).is_some() && !grads.touched(p));
        missed.try_for_each(|p| elementwise::fill(gpu, &p.grad, 0.0))
    }

    fn cut(entries: &[Entry], data: &[f32]) -> Vec<Named> {
        let named = |e: &Entry| Named {
            name: e.name.clone(),
            shape: e.shape.clone(),
            data: data[e.start..e.start + e.len()].to_vec(),
        };
        entries.iter().map(named).collect()
    }

    /// Every parameter, then every running mean and variance, then every buffer, by PyTorch's names.
    pub fn export(&self, gpu: &Gpu) -> Result<Vec<Named>> {
        let mut all = Self::cut(&self.names, &self.values.to_f32(gpu)?);
        let statistics = self.statistics.to_f32(gpu)?;
        for both in Self::cut(&self.running_names, &statistics) {
            let c = both.data.len() / 2;
            let part = |suffix: &str, data: &[f32]| Named {
                name: format!("{}.{suffix}", both.name),
                shape: vec![c],
                data: data.to_vec(),
            };
            all.push(part("running_mean", &both.data[..c]));
            all.push(part("running_var", &both.data[c..]));
        }
        all.extend(Self::cut(&self.buffer_names, &statistics));
        Ok(all)
    }

    /// The gradients by the parameters' names.
    pub fn export_grads(&self, gpu: &Gpu) -> Result<Vec<Named>> {
        Ok(Self::cut(&self.names, &self.grads.to_f32(gpu)?))
    }

    /// Sets every parameter, statistic and buffer from `find(name, shape)`.
    ///
    /// # Errors
    /// Whatever `find` says of a name that is missing or has another shape; nothing is changed then.
    pub fn import(&self, gpu: &Gpu, mut find: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<()> {
        let mut values = vec![0.0; self.values.len()];
        let mut statistics = vec![0.0; self.statistics.len()];
        let mut fetch = |name: &str, shape: &[usize], to: &mut [f32]| {
            let data = find(name, shape)?;
            if data.len() != to.len() {
                return Err(Error::Shape(format!("{name}: {} values, expected {shape:?}", data.len())));
            }
            to.copy_from_slice(&data);
            Ok(())
        };
        for e in &self.names {
            fetch(&e.name, &e.shape, &mut values[e.start..e.start + e.len()])?;
        }
        for e in &self.running_names {
            let c = e.len() / 2;
            fetch(&format!("{}.running_mean", e.name), &[c], &mut statistics[e.start..e.start + c])?;
            fetch(&format!("{}.running_var", e.name), &[c], &mut statistics[e.start + c..e.start + 2 * c])?;
        }
        for e in &self.buffer_names {
            fetch(&e.name, &e.shape, &mut statistics[e.start..e.start + e.len()])?;
        }
        self.values.copy_from(gpu, &Tensor::from_f32(gpu, &values, self.values.shape())?)?;
        self.statistics.copy_from(gpu, &Tensor::from_f32(gpu, &statistics, self.statistics.shape())?)
    }
}
