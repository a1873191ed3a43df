//! How long work takes: the GPU's own timestamps where the adapter has them and they can be believed, else the wall
//! clock around submission and wait.

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
