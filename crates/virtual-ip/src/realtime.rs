//! Real-time priority for the thread that speaks VRRP: when the machine is busy, an advertisement must not wait for a
//! turn. It does not help against a machine that stands still; that a stall happened is noticed elsewhere.
//!
//! The process's memory is not locked: it would take the whole program's, and the thread's own is touched many times a
//! second.

use std::io;
use std::mem::MaybeUninit;

use rustix::process::{Resource, getrlimit};

use crate::error::{Error, failed};

/// The least real-time priority goes before all ordinary work; more is for those who know what else runs.
pub const LEAST: u8 = 1;
pub const MOST: u8 = 10;

/// Gives the calling thread a real-time priority (`SCHED_RR`), from [`LEAST`] to [`MOST`], or less where
/// `RLIMIT_RTPRIO` allows no more. Threads that it starts are ordinary ones. Returns the priority that it has.
///
/// # Errors
/// Where this is not permitted at all. All goes on without; it is for the log.
pub fn raise(priority: u8) -> Result<u8, Error> {
    let priority = priority.clamp(LEAST, MOST);
    let refused = match set(priority) {
        Ok(()) => return Ok(priority),
        Err(error) => error,
    };
    let limit =
        getrlimit(Resource::Rtprio).current.and_then(|limit| u8::try_from(limit).ok()).unwrap_or_default();
    if (LEAST..priority).contains(&limit) && set(limit).is_ok() {
        return Ok(limit);
    }
    Err(failed("run with real-time priority (CAP_SYS_NICE, or systemd's LimitRTPRIO=10, would allow it)")(
        refused,
    ))
}

#[allow(unsafe_code)]
fn set(priority: u8) -> io::Result<()> {
    // SAFETY: all zeros is a `sched_param` (some systems have more fields than the priority).
    let mut parameter = unsafe { MaybeUninit::<libc::sched_param>::zeroed().assume_init() };
    parameter.sched_priority = priority.into();
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread, and the parameter lives through the call.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(unsafe_code)]
    fn policy() -> i32 {
        // SAFETY: it only asks about the calling thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_thread_is_raised_or_told_why_not_and_those_it_starts_are_ordinary() {
        let raised = std::thread::spawn(|| {
            let raised = raise(200);
            let started = std::thread::spawn(policy).join().unwrap();
            (raised, policy() & !libc::SCHED_RESET_ON_FORK, started)
        });
        match raised.join().unwrap() {
            (Ok(priority), own, started) => {
                assert!((LEAST..=MOST).contains(&priority));
                assert_eq!((own, started), (libc::SCHED_RR, libc::SCHED_OTHER));
            }
            (Err(error), own, _) => {
                assert!(error.is_refusal(), "{error}");
                assert_eq!(own, libc::SCHED_OTHER);
            }
        }
    }
}
