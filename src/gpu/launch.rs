//! One dispatch, put together by name and checked against what its shader declares.

use std::sync::Arc;

use super::adapter::AdapterClass;
use super::device::Gpu;
use super::expr::Defines;
use super::pipeline::Kernel;
use super::reflect::WordType;
use super::view::View;
use super::wgsl::Source;
use crate::{Error, Result};

/// Turns of loops, of all its loops together, after which Mesa's llvmpipe ends the loops of an invocation without a word
/// (`LP_MAX_TGSI_LOOP_ITERATIONS` in its `lp_bld_limits.h`): longer sums lose their rest there. Kernels stay below it wherever
/// they run, by cutting sums into parts, and [`Launch::turns`] refuses what would not.
pub const MAX_TURNS: usize = 65_535;

/// One dispatch being put together; see [`Gpu::launch`].
pub struct Launch<'a> {
    gpu: &'a Gpu,
    kernel: Arc<Kernel>,
    views: Vec<Option<View>>,
    words: Vec<u8>,
    set: Vec<bool>,
    cost: u64,
    error: Option<Error>,
}

impl Gpu {
    /// Starts a dispatch of `entry` in `source`, compiled with `defines` (cached).
    pub fn launch(&self, source: Source, entry: &'static str, defines: &Defines) -> Result<Launch<'_>> {
        let kernel = self.kernel(source, entry, defines)?;
        let members = kernel.interface.params.as_ref().map_or(0, |(_, p)| p.len());
        Ok(Launch {
            gpu: self,
            views: vec![None; kernel.interface.bindings.len()],
            words: vec![0; kernel.interface.params_size as usize],
            set: vec![false; members],
            kernel,
            cost: 0,
            error: None,
        })
    }
}

impl Launch<'_> {
    fn fail(&mut self, message: String) {
        let name = &self.kernel.name;
        self.error.get_or_insert(Error::Validation(format!("kernel {name}: {message}")));
    }

    /// Binds the storage buffer that the shader calls `name`.
    pub fn bind(mut self, name: &str, view: impl Into<View>) -> Self {
        match self.kernel.interface.bindings.iter().position(|b| b.name == name) {
            Some(at) => self.views[at] = Some(view.into()),
            None => self.fail(format!("it has no buffer `{name}`")),
        }
        self
    }

    fn word(mut self, name: &str, ty: WordType, bytes: [u8; 4]) -> Self {
        let members = self.kernel.interface.params.as_ref().map_or(&[][..], |(_, p)| p);
        match members.iter().position(|p| p.name == name) {
            Some(at) if members[at].ty == ty => {
                let offset = members[at].offset as usize;
                self.words[offset..offset + 4].copy_from_slice(&bytes);
                self.set[at] = true;
            }
            Some(at) => {
                let want = members[at].ty;
                self.fail(format!("parameter `{name}` is {want:?}, not {ty:?}"));
            }
            None => self.fail(format!("it has no parameter `{name}`")),
        }
        self
    }

    /// Sets a `u32` parameter.
    pub fn u32(mut self, name: &str, value: usize) -> Self {
        let Ok(word) = u32::try_from(value) else {
            self.fail(format!("parameter `{name}` = {value} does not fit 32 bits"));
            return self;
        };
        self.word(name, WordType::U32, word.to_le_bytes())
    }

    /// Sets an `i32` parameter.
    pub fn i32(self, name: &str, value: i32) -> Self {
        self.word(name, WordType::I32, value.to_le_bytes())
    }

    /// Sets an `f32` parameter.
    pub fn f32(self, name: &str, value: f32) -> Self {
        self.word(name, WordType::F32, value.to_le_bytes())
    }

    /// States the floating-point operations of this dispatch, so that submissions stay short.
    pub fn cost(mut self, flops: u64) -> Self {
        self.cost = flops;
        self
    }

    /// States how many turns of loops, of all its loops together, an invocation makes at most. To be called by every kernel for
    /// which that grows with data: software adapters stop at [`MAX_TURNS`].
    pub fn turns(mut self, turns: usize) -> Self {
        if turns > MAX_TURNS && self.gpu.profile().class == AdapterClass::Software {
            self.error.get_or_insert(Error::Limit {
                what: format!("kernel {} (turns of loops an invocation)", self.kernel.name),
                needed: turns as u64,
                limit: MAX_TURNS as u64,
                name: "LP_MAX_TGSI_LOOP_ITERATIONS of Mesa's software driver",
                hint: "Run it on a GPU, or make the tensors smaller",
            });
        }
        self
    }

    /// Records the dispatch with one invocation for each of `count` items; long rows of groups are folded into two
    /// dimensions (`shared/index` unfolds them).
    pub fn threads(self, count: usize) -> Result<()> {
        let width: u32 = self.kernel.interface.workgroup_size.iter().product();
        let groups = count.div_ceil(width as usize);
        self.groups(groups)
    }

    /// Records the dispatch with `groups` workgroups, folded into two dimensions where they exceed one.
    pub fn groups(self, groups: usize) -> Result<()> {
        let max = self.gpu.profile().max_groups as usize;
        let rows = groups.div_ceil(max).max(1);
        let columns = groups.div_ceil(rows);
        self.grid([columns, rows, 1])
    }

    /// Records the dispatch with a grid of workgroups.
    pub fn grid(self, groups: [usize; 3]) -> Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if groups.contains(&0) {
            return Ok(());
        }
        let max = self.gpu.profile().max_groups;
        if let Some(&over) = groups.iter().find(|g| **g > max as usize) {
            return Err(Error::Limit {
                what: format!("kernel {} (groups a dimension)", self.kernel.name),
                needed: over as u64,
                limit: max.into(),
                name: "max_compute_workgroups_per_dimension",
                hint: "Lower the batch size",
            });
        }
        let interface = &self.kernel.interface;
        let missing = interface.bindings.iter().zip(&self.views).find(|(_, v)| v.is_none());
        if let Some((binding, _)) = missing {
            let message = format!("kernel {}: buffer `{}` is not bound", self.kernel.name, binding.name);
            return Err(Error::Validation(message));
        }
        if let (Some((_, members)), Some(at)) = (&interface.params, self.set.iter().position(|s| !s)) {
            let message = format!("kernel {}: parameter `{}` is not set", self.kernel.name, members[at].name);
            return Err(Error::Validation(message));
        }
        let views: Vec<View> = self.views.into_iter().flatten().collect();
        self.gpu.record(self.kernel, views, &self.words, groups.map(|g| g as u32), self.cost)
    }
}
