//! How tests start the program and the examples.

use std::ffi::OsStr;
use std::process::Command;

/// Starts a program as the tests themselves were started: by itself, or by what `tools/driver.sh` puts before it.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let Some(runner) = std::env::var_os("LIMBECK_RUNNER") else { return Command::new(program) };
    let mut command = Command::new(runner);
    command.arg(program);
    command
}

/// Starts `limbeck`.
#[cfg(feature = "cli")]
#[allow(dead_code)] // not all that include this file start it
pub fn limbeck() -> Command {
    command(env!("CARGO_BIN_EXE_limbeck"))
}
