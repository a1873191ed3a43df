//! How long work takes: the GPU's own timestamps where the adapter has them and they can be believed, else the wall
//! clock around submission and wait.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::device::Gpu;
use crate::Result;

/// What a duration was measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Timestamps that the GPU wrote before and after the work.
    Timestamps,
    /// The processor's clock, from before the recording until the GPU was done.
    Wall,
}

impl Clock {
    /// `timestamps` or `wall`.
    pub fn name(self) -> &'static str {
        match self {
            Clock::Timestamps => "timestamps",
            Clock::Wall => "wall",
        }
    }
}

/// How long some work took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// Seconds by `clock`: by timestamps, from the start of the first submission to the end of the last.
    pub seconds: f64,
    /// Seconds by the wall clock, recording and waiting included.
    pub wall: f64,
    /// What `seconds` was measured with.
    pub clock: Clock,
}

impl Timing {
    /// A duration by the wall clock.
    pub fn wall(seconds: f64) -> Self {
        Timing { seconds, wall: seconds, clock: Clock::Wall }
    }

    /// The time between two timestamps where they can be believed, else the wall clock. Drivers are known to leave them
    /// at zero, to let them run backwards, or to count in another unit than they say; none of this passes: the work lies
    /// between two moments of the wall clock, so it cannot have taken longer, and nothing takes no time.
    fn checked(stamps: Option<(u64, u64)>, period: f32, wall: f64) -> Self {
        let between = |(begin, end): (u64, u64)| {
            let ticks = end.checked_sub(begin).filter(|_| begin != 0)?;
            let seconds = ticks as f64 * f64::from(period) * 1e-9;
            // A wait of wgpu's may end a moment before the last stamp is written.
            (seconds > 0.0 && seconds <= wall * 1.05 + 20e-6).then_some(seconds)
        };
        match stamps.and_then(between) {
            Some(seconds) => Timing { seconds, wall, clock: Clock::Timestamps },
            None => Timing::wall(wall),
        }
    }
}

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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { queries, armed } = &mut *state;
        if let (Some(queries), Some(count)) = (queries, armed) {
            *count = act(queries, *count);
        }
    }

    fn arm(&self, device: &wgpu::Device) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.queries.get_or_insert_with(|| Queries::new(device));
        state.armed = Some(0);
    }

    /// Ends the timing; the stamps of the first submission's beginning and the last one's end.
    fn disarm(&self, device: &wgpu::Device, queue: &wgpu::Queue) -> Option<(u64, u64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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
        device.poll(wgpu::PollType::wait_indefinitely()).ok()?;
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

impl Gpu {
    /// How long what `work` records takes on the GPU. Waits for earlier work first, and for `work` before it returns.
    pub fn time(&self, work: impl FnOnce() -> Result<()>) -> Result<Timing> {
        self.flush()?;
        self.wait()?;
        let (device, queue, stamps) = self.timed();
        let believed = self.profile().timestamps;
        if believed {
            stamps.arm(device);
        }
        let start = Instant::now();
        let done = work().and_then(|()| self.flush()).and_then(|()| self.wait());
        let wall = start.elapsed().as_secs_f64();
        let ends = if believed { stamps.disarm(device, queue) } else { None };
        done?;
        Ok(Timing::checked(ends, queue.get_timestamp_period(), wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_that_cannot_be_are_not_believed() {
        let ms = |begin, end| Timing::checked(Some((begin, end)), 1.0, 1e-3);
        let good = ms(1_000_000, 1_900_000);
        assert_eq!(good.clock, Clock::Timestamps);
        assert!((good.seconds - 0.9e-3).abs() < 1e-12 && good.wall == 1e-3);
        for (what, timing) in [
            ("zero", ms(0, 0)),
            ("the first missing", ms(0, 900_000)),
            ("backwards", ms(1_900_000, 1_000_000)),
            ("no time at all", ms(1_000_000, 1_000_000)),
            ("longer than the wall clock", ms(1_000_000, 9_000_000)),
            ("none", Timing::checked(None, 1.0, 1e-3)),
        ] {
            assert_eq!(timing, Timing::wall(1e-3), "{what}");
        }
    }
}
