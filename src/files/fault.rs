//! Faults of files on purpose: the process dies at one of its operations, or the operation fails, so that tests can try every one of them.
//!
//! Only with the feature `selftest`, which the program has and the core has not, and only where one of these variables is set:
//! `LIMBECK_FILE_FAULT=die:17` ends the process at its 17th operation as `kill -9` would (a write is half done then); `broken:17` lets that
//! one fail; `full:17` lets it and all later ones that take room fail, as on a full disk. `LIMBECK_FILE_LOG=FILE` keeps a list of them.

use std::io;
use std::path::Path;

/// What is done to a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    MakeFolder,
    Create,
    Write,
    Flush,
    Replace,
    FlushFolder,
    #[cfg(feature = "train")]
    Shorten,
    #[cfg(feature = "train")]
    Remove,
}

/// What an operation is to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    #[cfg(feature = "selftest")]
    Die,
    #[cfg(feature = "selftest")]
    Broken,
    #[cfg(feature = "selftest")]
    Full,
}

impl Fault {
    /// Ends the process, or gives what the system would say.
    pub(super) fn happen(self) -> io::Error {
        match self {
            // No destructor runs, nothing is told.
            #[cfg(feature = "selftest")]
            Fault::Die => std::process::abort(),
            #[cfg(feature = "selftest")]
            Fault::Broken => io::Error::other("the device has failed, as LIMBECK_FILE_FAULT asks for"),
            #[cfg(feature = "selftest")]
            Fault::Full => io::Error::new(io::ErrorKind::StorageFull, "no room, as LIMBECK_FILE_FAULT asks for"),
        }
    }
}

/// Counts an operation that is about to be done; gives what it is to meet.
#[cfg(feature = "selftest")]
pub(super) fn next(operation: Operation, path: &Path) -> Option<Fault> {
    plan::get().as_ref().and_then(|plan| plan.next(operation, path))
}

/// Nothing is counted, nothing fails.
#[cfg(not(feature = "selftest"))]
#[inline(always)]
pub(super) fn next(_: Operation, _: &Path) -> Option<Fault> {
    None
}

/// The same for what is done whole or not at all.
pub(super) fn pass(operation: Operation, path: &Path) -> io::Result<()> {
    next(operation, path).map_or(Ok(()), |fault| Err(fault.happen()))
}

#[cfg(feature = "selftest")]
mod plan {
    use super::{Fault, Operation};
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// What is to happen to which operation, and those so far.
    pub(super) struct Plan {
        fault: Option<(Fault, u64)>,
        count: AtomicU64,
        log: Option<Mutex<File>>,
    }

    /// The plan of this process; `None` where nobody asks for one.
    pub(super) fn get() -> &'static Option<Plan> {
        static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
        PLAN.get_or_init(|| {
            let text = std::env::var("LIMBECK_FILE_FAULT").ok();
            let log = std::env::var_os("LIMBECK_FILE_LOG");
            let log = log.and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok()).map(Mutex::new);
            Plan::new(text.as_deref().and_then(parse), log)
        })
    }

    /// `die:17`; what is no such thing is nothing.
    pub(super) fn parse(text: &str) -> Option<(Fault, u64)> {
        let (fault, at) = text.split_once(':')?;
        let fault = match fault {
            "die" => Fault::Die,
            "broken" => Fault::Broken,
            "full" => Fault::Full,
            _ => return None,
        };
        Some((fault, at.parse().ok()?))
    }

    impl Plan {
        pub(super) fn new(fault: Option<(Fault, u64)>, log: Option<Mutex<File>>) -> Option<Self> {
            (fault.is_some() || log.is_some()).then(|| Plan { fault, count: AtomicU64::new(0), log })
        }

        pub(super) fn next(&self, operation: Operation, path: &Path) -> Option<Fault> {
            let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(log) = &self.log {
                let line = format!("{operation:?} {}\n", path.display());
                let _ = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
            }
            let takes_room =
                || matches!(operation, Operation::MakeFolder | Operation::Create | Operation::Write | Operation::Flush);
            let (fault, at) = self.fault?;
            let met = match fault {
                Fault::Full => number >= at && takes_room(),
                Fault::Die | Fault::Broken => number == at,
            };
            met.then_some(fault)
        }
    }
}

#[cfg(all(test, feature = "selftest"))]
mod tests {
    use super::plan::{Plan, parse};
    use super::*;

    #[test]
    fn the_chosen_operation_meets_its_fault_and_no_other() {
        let met = |text: &str| {
            let plan = Plan::new(parse(text), None).unwrap();
            let all = [Operation::Create, Operation::Write, Operation::Replace, Operation::Write, Operation::Flush];
            all.map(|operation| plan.next(operation, Path::new("a")))
        };
        assert_eq!(met("die:2"), [None, Some(Fault::Die), None, None, None]);
        assert_eq!(met("broken:3"), [None, None, Some(Fault::Broken), None, None]);
        assert_eq!(met("full:2"), [None, Some(Fault::Full), None, Some(Fault::Full), Some(Fault::Full)]);
        assert!(["", "die", "die:", "die:x", "7", "melt:7"].iter().all(|text| parse(text).is_none()));
        assert!(Plan::new(None, None).is_none());
    }
}
