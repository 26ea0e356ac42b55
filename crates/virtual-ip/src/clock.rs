//! Whether this host's clock is kept right: advertisements that are signed bear a time, and one that is off is refused.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// What the kernel knows of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Something (chrony, ntpd, timesyncd, …) keeps it, and did so not too long ago.
    pub synchronised: bool,
    /// By how much it may be wrong, as whoever keeps it has told the kernel.
    pub error: Duration,
}

/// Asks without changing anything; any user may.
///
/// # Errors
/// In a sandbox that forbids it.
#[allow(unsafe_code)]
pub fn read() -> io::Result<Clock> {
    // SAFETY: all zeros is a `timex`, one that asks for no change.
    let mut timex = unsafe { MaybeUninit::<libc::timex>::zeroed().assume_init() };
    // SAFETY: the structure lives through the call, which fills it in.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    let synchronised = state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let microseconds = u64::try_from(timex.maxerror).unwrap_or(0);
    Ok(Clock { synchronised, error: Duration::from_micros(microseconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_its_clock() {
        match read() {
            // Nobody keeps this machine's clock, or somebody does; then its error has a bound, which the kernel caps at 16 s.
            Ok(clock) => assert!(!clock.synchronised || clock.error <= Duration::from_secs(16), "{clock:?}"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        }
    }
}
