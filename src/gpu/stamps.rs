//! The GPU's timestamps, written before and after submissions while work is timed.

use std::sync::Mutex;

use super::lock::lock;
use super::wait::poll;

/// Submissions of one timing that can be stamped; work of more is measured by the wall clock.
const SUBMITS: u32 = 64;
const BYTES: u64 = 2 * SUBMITS as u64 * 8;

struct Queries {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

#[derive(Default)]
struct State {
    queries: Option<Queries>,
    /// Stamping is on, and this many submissions have been stamped.
    armed: Option<u32>,
}

/// The timestamps of a device.
#[derive(Default)]
pub(super) struct Stamps {
    state: Mutex<State>,
}

impl Stamps {
    /// Stamps the beginning of a submission, if one is being timed.
    pub(super) fn open(&self, encoder: &mut wgpu::CommandEncoder) {
        self.with(|queries, count| {
            if count < SUBMITS {
                stamp(encoder, &queries.set, 2 * count);
            }
            count
        });
    }

    /// Stamps the end of a submission, if one is being timed.
    pub(super) fn close(&self, encoder: &mut wgpu::CommandEncoder) {
        self.with(|queries, count| {
            if count < SUBMITS {
                stamp(encoder, &queries.set, 2 * count + 1);
            }
            count + 1
        });
    }

    fn with(&self, act: impl FnOnce(&Queries, u32) -> u32) {
        let mut state = lock(&self.state);
        let State { queries, armed } = &mut *state;
        if let (Some(queries), Some(count)) = (queries, armed) {
            *count = act(queries, *count);
        }
    }

    pub(super) fn arm(&self, device: &wgpu::Device) {
        let mut state = lock(&self.state);
        state.queries.get_or_insert_with(|| Queries::new(device));
        state.armed = Some(0);
    }

    /// Ends the timing; the stamps of the first submission's beginning and the last one's end.
    pub(super) fn disarm(&self, device: &wgpu::Device, queue: &wgpu::Queue) -> Option<(u64, u64)> {
        let mut state = lock(&self.state);
        let count = state.armed.take().filter(|count| (1..=SUBMITS).contains(count))?;
        let queries = state.queries.as_ref()?;
        let bytes = 16 * u64::from(count);
        let mut encoder = device.create_command_encoder(&Default::default());
        encoder.resolve_query_set(&queries.set, 0..2 * count, &queries.resolved, 0);
        encoder.copy_buffer_to_buffer(&queries.resolved, 0, &queries.staging, 0, bytes);
        queue.submit([encoder.finish()]);
        let (send, receive) = std::sync::mpsc::channel();
        queries.staging.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| {
            let _ = send.send(result);
        });
        poll(device, || ()).ok()?;
        receive.recv().ok()?.ok()?;
        let ends = {
            let range = queries.staging.slice(..bytes).get_mapped_range().ok()?;
            let stamps: Vec<u64> = bytemuck::pod_collect_to_vec(&range);
            stamps.first().copied().zip(stamps.last().copied())
        };
        queries.staging.unmap();
        ends
    }
}

impl Queries {
    fn new(device: &wgpu::Device) -> Self {
        let buffer = |label, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: BYTES,
                usage,
                mapped_at_creation: false,
            })
        };
        Queries {
            set: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * SUBMITS,
            }),
            resolved: buffer("timestamps", wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            staging: buffer("timestamps read-back", wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        }
    }
}

/// An empty pass that begins with a timestamp: the one form every backend with timestamps has.
fn stamp(encoder: &mut wgpu::CommandEncoder, set: &wgpu::QuerySet, index: u32) {
    let writes = wgpu::ComputePassTimestampWrites {
        query_set: set,
        beginning_of_pass_write_index: Some(index),
        end_of_pass_write_index: None,
    };
    drop(
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("timestamp"),
            timestamp_writes: Some(writes),
        }),
    );
}
