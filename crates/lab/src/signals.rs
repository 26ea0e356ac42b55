//! Signals taken one by one from a queue, instead of handlers that interrupt whatever runs.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use rustix::process::Signal;

/// What the processes that watch over a lab wait for.
const WATCHED: [Signal; 5] = [Signal::CHILD, Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// The watched signals, blocked so that [`Signals::wait`] can take them. Children inherit the block.
pub(crate) struct Signals {
    watched: libc::sigset_t,
    before: libc::sigset_t,
}

pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// Sent by the kernel, as a terminal does on Ctrl-C: then every process of the foreground has it already.
    pub(crate) by_kernel: bool,
}

impl Signals {
    #[allow(unsafe_code)]
    pub(crate) fn block() -> io::Result<Self> {
        let mut watched = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises `watched` before anything reads it; sigprocmask fills `before` when it
        // succeeds, and only then is it taken as initialised.
        unsafe {
            libc::sigemptyset(watched.as_mut_ptr());
            for signal in WATCHED {
                libc::sigaddset(watched.as_mut_ptr(), signal.as_raw());
            }
            if libc::sigprocmask(libc::SIG_BLOCK, watched.as_ptr(), before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { watched: watched.assume_init(), before: before.assume_init() })
        }
    }

    /// The next signal, or `None` once `timeout` has passed. Without one it waits for as long as it takes.
    #[allow(unsafe_code)]
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Option<Received> {
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
        loop {
            // SAFETY: all three pointers are to live values of this frame, or null where null is allowed.
            let number = unsafe { libc::sigtimedwait(&raw const self.watched, info.as_mut_ptr(), timeout) };
            if let Some(signal) = Signal::from_named_raw(number) {
                // SAFETY: sigtimedwait returned a signal, so it has filled `info`.
                let by_kernel = unsafe { info.assume_init() }.si_code == libc::SI_KERNEL;
                return Some(Received { signal, by_kernel });
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return None;
            }
        }
    }

    /// Lets signals through again as they were before [`Signals::block`].
    #[allow(unsafe_code)]
    pub(crate) fn restore(self) {
        // SAFETY: `before` was filled by sigprocmask; the old mask is not asked for.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}
