//! Faults of a device on purpose, so that tests can try what happens after one: a device that is lost, memory that is not to be had.
//!
//! Only with the feature `selftest`, which the program has and the core has not, and only where [`super::Options::fault`] asks for one, which
//! [`super::Options::from_env`] takes from `LIMBECK_GPU_FAULT=lost:17`.

#[cfg(feature = "selftest")]
use std::sync::atomic::{AtomicU64, Ordering};

/// What a device meets, and when; counted from 1.
#[cfg(feature = "selftest")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceFault {
    /// The device is lost before this submission (`lost:17`).
    Lost(u64),
    /// The driver says that the device is lost where it is waited for, this time (`lost-in-wait:17`). wgpu panics at that.
    LostInWait(u64),
    /// There is no memory for this buffer and all later ones (`memory:17`).
    NoMemory(u64),
    /// There is none for this buffer; there is again once buffers that only wait are given back (`memory-once:17`).
    NoMemoryOnce(u64),
}

#[cfg(feature = "selftest")]
impl DeviceFault {
    /// The fault that this text names, as in the variants' descriptions.
    pub fn parse(text: &str) -> Option<Self> {
        let (what, at) = text.split_once(':')?;
        let at = at.parse().ok()?;
        match what {
            "lost" => Some(DeviceFault::Lost(at)),
            "lost-in-wait" => Some(DeviceFault::LostInWait(at)),
            "memory" => Some(DeviceFault::NoMemory(at)),
            "memory-once" => Some(DeviceFault::NoMemoryOnce(at)),
            _ => None,
        }
    }
}

/// What a device is to meet, and what it has done so far. Without the feature there is nothing to meet.
#[derive(Debug, Default)]
pub(super) struct Provoked {
    #[cfg(feature = "selftest")]
    fault: Option<DeviceFault>,
    #[cfg(feature = "selftest")]
    counts: [AtomicU64; 3],
}

#[cfg(feature = "selftest")]
impl Provoked {
    pub fn new(fault: Option<DeviceFault>) -> Self {
        Provoked { fault, counts: Default::default() }
    }

    fn count(&self, which: usize) -> u64 {
        if self.fault.is_some() { self.counts[which].fetch_add(1, Ordering::Relaxed) + 1 } else { 0 }
    }

    /// Before a submission.
    pub fn submit(&self, device: &wgpu::Device) {
        let number = self.count(0);
        if self.fault == Some(DeviceFault::Lost(number)) {
            device.destroy();
        }
    }

    /// Before a wait: fails as wgpu does.
    pub fn wait(&self) {
        let number = self.count(1);
        if self.fault == Some(DeviceFault::LostInWait(number)) {
            panic!("Error in Device::poll: the parent device is lost");
        }
    }

    /// Before a buffer is made: whether there is no memory for it.
    pub fn allocate(&self) -> bool {
        let number = self.count(2);
        match self.fault {
            Some(DeviceFault::NoMemory(at)) => number >= at,
            Some(DeviceFault::NoMemoryOnce(at)) => number == at,
            _ => false,
        }
    }
}

#[cfg(not(feature = "selftest"))]
impl Provoked {
    #[inline(always)]
    pub fn submit(&self, _: &wgpu::Device) {}

    #[inline(always)]
    pub fn wait(&self) {}

    #[inline(always)]
    pub fn allocate(&self) -> bool {
        false
    }
}

#[cfg(all(test, feature = "selftest"))]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_and_come_when_they_should() {
        assert_eq!(DeviceFault::parse("lost-in-wait:3"), Some(DeviceFault::LostInWait(3)));
        assert!(["", "lost", "lost:", "lost:x", "7", "melt:7"].iter().all(|text| DeviceFault::parse(text).is_none()));
        let met = |text: &str| {
            let provoked = Provoked::new(DeviceFault::parse(text));
            [(); 4].map(|()| provoked.allocate())
        };
        assert_eq!(met("memory:3"), [false, false, true, true]);
        assert_eq!(met("memory-once:2"), [false, true, false, false]);
        assert_eq!(met("lost:2"), [false; 4]);
        assert!(!Provoked::default().allocate());
    }
}
