//! Virtual addresses shared with Debian's keepalived: the real programs, one on each host of a pair in a lab, and clients
//! who see which of the two answers. A test is made of cases, each in a process of its own with a lab of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod cases;
mod clients;
mod failover;
mod pair;
mod rules;
mod speech;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nines_lab::{Entered, Inside};

use cases::TESTS;

type Test = nines_trial::Test<fn(&Inside)>;

/// Far above what any case takes.
const LIMIT: Duration = Duration::from_secs(120);
/// More than one, as most of it is waiting.
const AT_ONCE: usize = 2;

fn main() -> ExitCode {
    nines_trial::main(TESTS, LIMIT, AT_ONCE, |case| {
        if keepalived().is_none() {
            let install = "there is no keepalived here; `cargo xtask setup` installs it";
            // It is what the tests there are for.
            assert!(std::env::var_os("CI").is_none(), "{install}");
            nines_trial::skip(install);
        }
        match nines_lab::enter() {
            Ok(Entered::Inside(inside)) => case(&inside),
            Ok(Entered::Outside(code)) => return code,
            Err(error) if error.is_the_kernels() => nines_trial::skip(error),
            Err(error) => panic!("{error}"),
        }
        ExitCode::SUCCESS
    })
}

/// keepalived, also where an ordinary user's `PATH` lacks the administrator's directories.
fn keepalived() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join("keepalived")).find(|file| file.is_file())
}
