//! Waiting for a device that may be lost meanwhile.

use std::any::Any;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

/// How wgpu begins what it says when a driver answers a wait with the loss of the device, which it takes for a reason to panic.
const LOST_IN_WAIT: &str = "Error in Device::poll";

/// Whether a panic is that of wgpu at a device which is lost in a wait. It is caught, and becomes [`crate::Error::DeviceLost`]; a program's
/// panic hook need not tell of it, too.
pub fn is_caught(panic: &PanicHookInfo) -> bool {
    words(panic.payload()).starts_with(LOST_IN_WAIT)
}

/// Waits until everything submitted is done, `before` having been called; what is wrong where that cannot be.
///
/// A panic of wgpu's is caught here, so that a lost device is an error as any other; wgpu holds no lock where it begins.
pub(super) fn poll(device: &wgpu::Device, before: impl FnOnce()) -> Result<(), String> {
    let wait = || {
        before();
        device.poll(wgpu::PollType::wait_indefinitely())
    };
    match catch_unwind(AssertUnwindSafe(wait)) {
        Ok(polled) => polled.map(drop).map_err(|e| e.to_string()),
        Err(payload) => Err(words(&*payload)),
    }
}

/// What a panic said, in one line.
fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    let text = text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "the driver gave no reason".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_one_line() {
        let said = |text: &str| words(&*catch_unwind(|| std::panic::panic_any(text.to_string())).unwrap_err());
        assert_eq!(
            said("Error in Device::poll: Validation Error\n\nCaused by:\n  lost"),
            "Error in Device::poll: Validation Error Caused by: lost"
        );
        assert_eq!(said(""), "the driver gave no reason");
        assert_eq!(words(&*catch_unwind(|| panic!("as meant")).unwrap_err()), "as meant");
        assert_eq!(words(&7), "the driver gave no reason");
    }
}
