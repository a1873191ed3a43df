//! Reverse-mode automatic differentiation: an ordered list of fused, differentiable operations.
//!
//! The tape knows order and accumulation, not maths. An operation runs its kernel, then [`Tape::push`]es its output
//! together with a closure that turns the output's gradient into contributions for its inputs. Losses are fused with
//! their gradients and do not appear as nodes: they write into [`Tape::target`] of what they judge.
//! [`Tape::backward`] walks the list in reverse and drops each node as it goes, so saved buffers return to the pool and
//! serve the gradients that follow.

use std::collections::{HashMap, HashSet};

use crate::Result;
use crate::gpu::Gpu;
use crate::tensor::{GradTarget, Tensor};

/// A parameter as operations see it.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its value, a slice of the arena.
    pub value: Tensor,
    /// Its gradient, a slice of the gradient arena.
    pub grad: Tensor,
}

/// A value on the tape.
#[derive(Debug, Clone)]
pub struct Var {
    value: Tensor,
    id: Option<usize>,
}

impl Var {
    /// A value without a gradient: an input, or a teacher's output.
    pub fn constant(value: Tensor) -> Self {
        Var { value, id: None }
    }

    /// Its value.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// Its place for gradients. Closures keep this rather than the value, whose memory can then be reused.
    pub fn slot(&self) -> Slot {
        Slot { id: self.id, shape: self.value.shape().to_vec() }
    }

    /// The same value under another shape; gradients flow through.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        Ok(Var { value: self.value.reshape(shape)?, id: self.id })
    }
}

/// Where the gradient of a [`Var`] is collected.
#[derive(Debug, Clone)]
pub struct Slot {
    id: Option<usize>,
    shape: Vec<usize>,
}

impl Slot {
    /// Whether anybody wants this gradient.
    pub fn wanted(&self) -> bool {
        self.id.is_some()
    }
}

/// Sends the gradients of the parameters in one part of an arena to other memory of the same layout.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// The part of the arena of gradients.
    pub from: Tensor,
    /// Where its values go instead, position by position.
    pub to: Tensor,
}

type Backward = Box<dyn Fn(&Gpu, &Tensor, &mut Grads) -> Result<()>>;

struct Node {
    output: usize,
    /// The output's shape, which its gradient is handed over in: consumers may have contributed under shapes of their own.
    shape: Vec<usize>,
    backward: Backward,
}

impl Node {
    /// The operation's turn in the backward pass; nothing where nobody has asked anything of its output.
    fn run(&self, gpu: &Gpu, grads: &mut Grads) -> Result<()> {
        match grads.take(self.output) {
            Some(dy) => (self.backward)(gpu, &dy.reshape(&self.shape)?, grads),
            None => Ok(()),
        }
    }
}

struct Held {
    tensor: Tensor,
    /// Somebody else may hold the same memory: copy before adding to it.
    shared: bool,
}

/// The gradients collected so far.
#[derive(Default)]
pub struct Grads {
    held: Vec<Option<Held>>,
    /// Memory that the first contribution to a leaf is to be written to.
    places: HashMap<usize, Tensor>,
    /// Arenas whose parameters' gradients go elsewhere.
    redirected: Vec<Redirect>,
    /// Where the gradients of touched parameters lie: several arenas may take part (a network and its adaptors), so a
    /// position in one of them says nothing.
    touched: HashSet<(u64, u64)>,
}

impl Grads {
    /// Where a contribution to `slot` is to be written: new memory for the first one, the same with `accumulate` for
    /// later ones. `None` where nobody wants it.
    pub fn target(&mut self, gpu: &Gpu, slot: &Slot) -> Result<Option<GradTarget>> {
        let Some(id) = slot.id else { return Ok(None) };
        if self.held.len() <= id {
            self.held.resize_with(id + 1, || None);
        }
        let entry = &mut self.held[id];
        Ok(Some(match entry {
            None => {
                let tensor = match self.places.get(&id) {
                    Some(place) => place.reshape(&slot.shape)?,
                    None => Tensor::empty(gpu, &slot.shape)?,
                };
                *entry = Some(Held { tensor: tensor.clone(), shared: false });
                GradTarget { tensor, accumulate: false }
            }
            Some(held) => {
                if held.shared {
                    let own = Tensor::empty(gpu, &slot.shape)?;
                    // A kernel rather than a copy: a copy would cut the step's compute pass in two.
                    crate::kernels::elementwise::axpy(gpu, 1.0, &held.tensor, &GradTarget::fresh(own.clone()))?;
                    *held = Held { tensor: own, shared: false };
                }
                // Others may have seen the value under another shape.
                GradTarget { tensor: held.tensor.reshape(&slot.shape)?, accumulate: true }
            }
        }))
    }

    /// Hands a finished gradient on to `slot`: moved if it is the first, added otherwise.
    pub fn pass(&mut self, gpu: &Gpu, slot: &Slot, grad: &Tensor) -> Result<()> {
        let Some(id) = slot.id else { return Ok(()) };
        if self.places.contains_key(&id) || self.held.get(id).is_some_and(Option::is_some) {
            return match self.target(gpu, slot)? {
                Some(target) => crate::kernels::elementwise::axpy(gpu, 1.0, grad, &target),
                None => Ok(()),
            };
        }
        if self.held.len() <= id {
            self.held.resize_with(id + 1, || None);
        }
        self.held[id] = Some(Held { tensor: grad.reshape(&slot.shape)?, shared: true });
        Ok(())
    }

    /// Where a contribution to a parameter's gradient is to be written.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where a [`Redirect`] leads to memory that is too small.
    pub fn param(&mut self, param: &Param) -> Result<GradTarget> {
        let accumulate = !self.touched.insert(param.grad.place());
        for redirect in &self.redirected {
            if let Some(start) = param.grad.start_in(&redirect.from) {
                return Ok(GradTarget { tensor: redirect.to.slice(start, param.grad.shape())?, accumulate });
            }
        }
        Ok(GradTarget { tensor: param.grad.clone(), accumulate })
    }

    /// Whether a parameter has received a gradient.
    pub fn touched(&self, param: &Param) -> bool {
        self.touched.contains(&param.grad.place())
    }

    fn take(&mut self, id: usize) -> Option<Tensor> {
        self.held.get_mut(id)?.take().map(|held| held.tensor)
    }
}

/// The list of operations of one step.
pub struct Tape {
    nodes: Vec<Node>,
    next: usize,
    grads: Grads,
    recording: bool,
}

impl Tape {
    /// A tape that records.
    pub fn new() -> Self {
        Tape { nodes: Vec::new(), next: 0, grads: Grads::default(), recording: true }
    }

    /// A tape that records nothing: for inference.
    pub fn off() -> Self {
        Tape { recording: false, ..Tape::new() }
    }

    /// Whether operations are recorded.
    pub fn recording(&self) -> bool {
        self.recording
    }

    /// A value whose gradient is wanted although no operation made it.
    pub fn leaf(&mut self, value: Tensor) -> Var {
        let id = self.recording.then(|| self.fresh());
        Var { value, id }
    }

    /// A leaf whose gradient is written to `place`, which keeps what it has where no gradient comes.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where `place` has another length.
    pub fn leaf_at(&mut self, value: Tensor, place: &Tensor) -> Result<Var> {
        let place = place.reshape(value.shape())?;
        let leaf = self.leaf(value);
        if let Some(id) = leaf.id {
            self.grads.places.insert(id, place);
        }
        Ok(leaf)
    }

    /// Sends gradients of parameters elsewhere in the backward pass of this tape.
    pub fn redirect(&mut self, redirect: Redirect) {
        self.grads.redirected.push(redirect);
    }

    /// Adds `gradient` to that of `var`, as a loss on it would.
    pub fn seed(&mut self, gpu: &Gpu, var: &Var, gradient: &Tensor) -> Result<()> {
        self.grads.pass(gpu, &var.slot(), gradient)
    }

    /// The output of an operation. `backward` receives the output's gradient, complete and in the output's shape, and adds to its inputs' through
    /// [`Grads::target`], [`Grads::pass`] and [`Grads::param`].
    pub fn push(&mut self, value: Tensor, backward: impl Fn(&Gpu, &Tensor, &mut Grads) -> Result<()> + 'static) -> Var {
        if !self.recording {
            return Var::constant(value);
        }
        let id = self.fresh();
        self.nodes.push(Node { output: id, shape: value.shape().to_vec(), backward: Box::new(backward) });
        Var { value, id: Some(id) }
    }

    fn fresh(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    /// Where a loss writes its gradient with respect to `var`.
    pub fn target(&mut self, gpu: &Gpu, var: &Var) -> Result<Option<GradTarget>> {
        self.grads.target(gpu, &var.slot())
    }

    /// The backward pass from `seeds`, gradients of values of this tape, with the operations kept: for several passes over
    /// one forward pass. What losses have written into this tape takes no part.
    pub fn retrace(&self, gpu: &Gpu, seeds: &[(&Var, &Tensor)], redirect: Redirect) -> Result<Grads> {
        let mut grads = Grads { redirected: vec![redirect], ..Grads::default() };
        for (var, gradient) in seeds {
            grads.pass(gpu, &var.slot(), gradient)?;
        }
        self.nodes.iter().rev().try_for_each(|node| node.run(gpu, &mut grads))?;
        Ok(grads)
    }

    /// Where a loss writes its gradient with respect to a parameter of its own; `None` where nothing is recorded.
    pub fn param(&mut self, param: &Param) -> Result<Option<GradTarget>> {
        self.recording.then(|| self.grads.param(param)).transpose()
    }

    /// Walks the operations in reverse, from the gradients that losses have written. Leaves keep theirs in the result.
    pub fn backward(mut self, gpu: &Gpu) -> Result<Grads> {
        while let Some(node) = self.nodes.pop() {
            node.run(gpu, &mut self.grads)?;
        }
        Ok(self.grads)
    }
}

impl Grads {
    /// The gradient of a leaf, in the leaf's shape.
    pub fn of(&self, leaf: &Var) -> Option<Tensor> {
        self.held.get(leaf.id?)?.as_ref()?.tensor.reshape(leaf.value.shape()).ok()
    }
}

impl Default for Tape {
    fn default() -> Self {
        Tape::new()
    }
}
