//! Recording: dispatches are collected as plain data and become one compute pass of one submission.
//!
//! Parameters of all dispatches lie in one uniform buffer, written once a submission and addressed by dynamic offsets;
//! bind groups are cached by the buffers in them, so a loop whose shapes are fixed creates none after its second step.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::capture::Capture;
use super::pipeline::Kernel;
use super::view::{Region, SLOT, View};

/// Dispatches a submission may hold.
pub(super) const SLOTS: usize = 1024;
/// Bind groups kept; past that the cache starts anew.
const BIND_GROUPS: usize = 16_384;

pub(super) enum Command {
    Dispatch { kernel: Arc<Kernel>, group: wgpu::BindGroup, slot: Option<u32>, groups: [u32; 3] },
    Copy { from: Region, to: Region },
}

type GroupKey = (u64, Vec<(u64, u64, u64)>);

/// What is recorded and not yet submitted.
#[derive(Default)]
pub(super) struct Recording {
    pub commands: Vec<Command>,
    pub params: Vec<u8>,
    pub cost: u64,
    /// Buffer writes since the last submission.
    pub writes: u32,
    /// The program being recorded, if any.
    pub capture: Option<Capture>,
    /// Buffers that `commands` use.
    used: HashSet<u64>,
    groups: HashMap<GroupKey, wgpu::BindGroup>,
    pub groups_created: u64,
}

/// A bind group of `kernel` over `storage`, with its parameters in `params`.
pub(super) fn bind_group(
    device: &wgpu::Device,
    params: &wgpu::Buffer,
    kernel: &Kernel,
    storage: &[Region],
) -> wgpu::BindGroup {
    let entry = |binding, buffer, offset, size| wgpu::BindGroupEntry {
        binding,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer,
            offset,
            size: wgpu::BufferSize::new(size),
        }),
    };
    let interface = &kernel.interface;
    let uniform = interface.params.iter().map(|(index, _)| entry(*index, params, 0, SLOT));
    let storage = interface.bindings.iter().zip(storage).map(|(b, r)| entry(b.index, &r.raw, r.offset, r.size));
    let entries: Vec<_> = uniform.chain(storage).collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&kernel.name),
        layout: &kernel.layout,
        entries: &entries,
    })
}

impl Recording {
    /// Whether a command that is not submitted yet uses this buffer.
    pub(super) fn uses(&self, buffer: u64) -> bool {
        self.used.contains(&buffer)
    }

    /// Notes that a command uses these views.
    pub(super) fn note<'a>(&mut self, views: impl IntoIterator<Item = &'a View>) {
        self.used.extend(views.into_iter().map(|v| v.buffer.id()));
    }

    /// Makes ready for the next submission; gives the commands of this one.
    pub(super) fn take(&mut self) -> Vec<Command> {
        self.params.clear();
        self.used.clear();
        (self.cost, self.writes) = (0, 0);
        std::mem::take(&mut self.commands)
    }

    /// The program that this thread records, if any.
    pub(super) fn capturing(&mut self) -> Option<&mut Capture> {
        self.capture.as_mut().filter(|c| c.is_mine())
    }

    /// The bind group of `kernel` over `views`, from the cache where it is known.
    pub(super) fn group(
        &mut self,
        device: &wgpu::Device,
        params: &wgpu::Buffer,
        kernel: &Kernel,
        views: &[View],
    ) -> wgpu::BindGroup {
        let key = (kernel.id, views.iter().map(|v| (v.buffer.id(), v.offset, v.size)).collect());
        if let Some(group) = self.groups.get(&key) {
            return group.clone();
        }
        if self.groups.len() >= BIND_GROUPS {
            self.groups.clear();
        }
        let storage: Vec<Region> = views.iter().map(Region::of).collect();
        let group = bind_group(device, params, kernel, &storage);
        self.groups_created += 1;
        self.groups.insert(key, group.clone());
        group
    }

    pub(super) fn forget_groups(&mut self) {
        self.groups.clear();
    }
}
