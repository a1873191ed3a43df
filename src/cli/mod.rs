//! The command line: what is asked for, how it is shown, how it ends.

mod args;
mod bench;
mod commands;
mod compile_watch;
mod eta;
mod eval;
mod keys;
mod predict;
mod progress;

use clap::Parser;
use limbeck::{Error, Result, gpu};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// The user's interrupt, as shells number it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Reads the arguments, does what they ask, and turns the outcome into an exit code: 0 done, 1 failed, 2 wrong usage,
/// 130 interrupted.
pub fn main() -> ExitCode {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !gpu::is_caught(panic) {
            usual(panic);
        }
    }));
    // Help and wrong usage end the program here, with 0 and 2.
    let args = args::Args::parse();
    match commands::dispatch(args) {
        Ok(code) => code,
        Err(error @ Error::Interrupted { .. }) => {
            complain(&error.to_string());
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A line on stderr. Where even that is closed there is nobody left to tell.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A result on stdout.
fn say(text: &str) -> Result<()> {
    put(&format!("{text}\n")).map(drop)
}

/// A part of a result on stdout, and whether anybody still reads it. A reader who has left (`limbeck … | head`) is no error.
fn put(text: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::io("stdout", "write", e)),
    }
}
