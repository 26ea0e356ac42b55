//! A place in the lab's network: where a host's processes run, and where a thread may go to be a client.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::fs::MetadataExt;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// A network namespace (and a host name) of the lab. It lives as long as something is in it or holds it.
#[derive(Clone)]
pub struct Place {
    namespaces: Arc<Namespaces>,
    /// Where its processes see the host's own directories. Threads don't: they share the program's.
    mounts: Option<Arc<File>>,
}

struct Namespaces {
    name: String,
    network: File,
    host_name: File,
}

impl Place {
    /// Makes an empty place, with not even a loopback interface up.
    #[allow(unsafe_code)]
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let name = name.to_owned();
        in_thread("lab-place", move || {
            // SAFETY: UnshareFlags::FILES is not among the flags, so no file descriptor changes its meaning.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWUTS)? };
            rustix::system::sethostname(name.as_bytes().get(..64).unwrap_or(name.as_bytes()))?;
            let network = File::open("/proc/thread-self/ns/net")?;
            let host_name = File::open("/proc/thread-self/ns/uts")?;
            Ok(Self { namespaces: Arc::new(Namespaces { name, network, host_name }), mounts: None })
        })?
    }

    /// The same, and its processes are in this mount namespace.
    pub(crate) fn with_mounts(self, mounts: File) -> Self {
        Self { mounts: Some(Arc::new(mounts)), ..self }
    }

    pub fn name(&self) -> &str {
        &self.namespaces.name
    }

    /// Moves the calling thread here, for good: every socket that it makes from now on is of this place.
    /// Sockets that exist already stay where they were made.
    ///
    /// Not for the main thread: that is how processes are told apart by where they are.
    pub fn enter(&self) -> io::Result<()> {
        enter(self.namespaces.network.as_fd(), self.namespaces.host_name.as_fd())
    }

    /// Runs `work` in a thread of its own that has entered this place.
    pub fn run_in_thread<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<thread::JoinHandle<io::Result<T>>> {
        let place = self.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            place.enter()?;
            Ok(work())
        })
    }

    /// Does something short here, while the caller waits.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let place = self.clone();
        in_thread("lab-place", move || {
            place.enter()?;
            Ok(work())
        })?
    }

    /// What a new process does before it becomes its program. Allocates nothing, as between fork and exec nothing may.
    pub(crate) fn entry(&self) -> io::Result<impl FnMut() -> io::Result<()> + Send + Sync + use<>> {
        let place = self.clone();
        let here = CString::new(std::env::current_dir()?.as_os_str().as_bytes())?;
        Ok(move || {
            place.enter()?;
            if let Some(mounts) = &place.mounts {
                move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
                // That led to the root of its file systems.
                rustix::process::chdir(&here)?;
            }
            Ok(())
        })
    }

    pub(crate) fn network(&self) -> BorrowedFd<'_> {
        self.namespaces.network.as_fd()
    }

    /// Tells network namespaces apart, on one machine: device and inode number.
    pub(crate) fn network_id(&self) -> io::Result<NetworkId> {
        let metadata = self.namespaces.network.metadata()?;
        Ok(NetworkId { device: metadata.st_dev(), inode: metadata.st_ino() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetworkId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

fn enter(network: BorrowedFd<'_>, host_name: BorrowedFd<'_>) -> io::Result<()> {
    move_into_link_name_space(network, Some(LinkNameSpaceType::Network))?;
    move_into_link_name_space(host_name, Some(LinkNameSpaceType::HostNameAndNISDomainName))?;
    Ok(())
}

pub(crate) fn in_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
    thread.join().map_err(|_| io::Error::other("a thread of the lab panicked"))
}
