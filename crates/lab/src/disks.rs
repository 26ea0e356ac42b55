//! The hosts' disks: directories of a host's own, where its programs look for them.
//!
//! The hosts of a lab share this machine's files, and what the system file calls `/var/lib/nines` would be one directory
//! for all of them. So a host's processes are in a mount namespace of their own, with a directory of the host's mounted
//! there. It is on a real disk: what is flushed takes as long as it does, and is there after the power was off.
//!
//! The directory that holds them all is the only thing of a lab that the kernel doesn't take away. It is removed by a process
//! that is forked before the lab is entered and waits on a pipe whose other end everybody inside holds: it outlives all of
//! them, by a moment.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitOptions};
use rustix::thread::UnshareFlags;

use crate::enter::{exit_now, fork};
use crate::error::{LabError, failed};
use crate::place::in_thread;
use crate::signals::Signals;

/// Tries, so far apart, to remove what processes that are just dying still write into.
const TRIES: u32 = 200;
const APART: Duration = Duration::from_millis(50);

const SHARED_MEMORY: &str = "/dev/shm";

/// What the hosts have besides their network. All paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Furniture {
    /// Directories that each host has for itself, empty at first.
    pub own: Vec<PathBuf>,
    /// Directories that they all see, and that are not this machine's.
    pub shared: Vec<PathBuf>,
}

/// A new directory, and who removes it. A copy of the pipe is in each process that came out of the fork.
pub(crate) struct Directory {
    path: PathBuf,
    janitor: Pid,
    alive: OwnedFd,
}

impl Directory {
    pub(crate) fn make(within: &Path) -> Result<Self, LabError> {
        let what = || format!("make a directory for the hosts' disks in {}", within.display());
        let path = new_directory(within).map_err(|error| failed(what())(error))?;
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let (heard, alive) = pipe.map_err(|error| failed("make a pipe")(error.into()))?;
        match fork()? {
            Some(janitor) => Ok(Self { path, janitor, alive }),
            None => {
                drop(alive);
                clean_up(heard, &path);
                exit_now(0)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until it has been removed. Everybody else who held it must have ended.
    pub(crate) fn gone(self) {
        drop(self.alive);
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitpid(Some(self.janitor), WaitOptions::empty())
        {}
    }
}

/// Others may pass through it, since what runs on a host may run as another user.
fn new_directory(within: &Path) -> io::Result<PathBuf> {
    let within = within.canonicalize()?;
    let mut number = 0;
    loop {
        let path = within.join(format!("nines-lab-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o711).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// The janitor. It must not die of what ends the others, nor hold what they hold.
fn clean_up(heard: OwnedFd, path: &Path) {
    // None of these can be helped; each makes it only a little less likely to get its work done.
    let _ = Signals::block();
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    // Nobody writes: the end comes with the last process that holds the other end.
    let _ = File::from(heard).read(&mut [0]);
    for _ in 0..TRIES {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => thread::sleep(APART),
            _ => break,
        }
    }
}

/// A host's own directories and what they are seen as.
pub(crate) struct Disk {
    directory: PathBuf,
    /// Where each is, and where it is mounted; those that lie in others come after them.
    mounts: Vec<(PathBuf, PathBuf)>,
    own: Vec<PathBuf>,
}

impl Disk {
    /// Makes the directories; [`points`] must have been called.
    pub(crate) fn make(all: &Path, host: usize, furniture: &Furniture) -> Result<Self, LabError> {
        let directory = all.join(host.to_string());
        let numbered = |kind: &Path, paths: &[PathBuf]| -> Vec<(PathBuf, PathBuf)> {
            let one = |(number, path): (usize, &PathBuf)| (kind.join(number.to_string()), path.clone());
            paths.iter().enumerate().map(one).collect()
        };
        let own = numbered(&directory.join("own"), &furniture.own);
        let shared = numbered(&all.join("shared"), &furniture.shared);
        let mut mounts = [own.clone(), shared].concat();
        for (source, _) in &mounts {
            fs::create_dir_all(source).map_err(failed(format!("make {}", source.display())))?;
        }
        mounts.sort_by_key(|(_, point)| point.components().count());
        Ok(Self { directory, mounts, own: own.into_iter().map(|(source, _)| source).collect() })
    }

    /// A mount namespace in which they are seen.
    #[allow(unsafe_code)]
    pub(crate) fn mount(&self) -> Result<File, LabError> {
        let mounts = self.mounts.clone();
        let mounted = in_thread("lab-disk", move || {
            // SAFETY: UnshareFlags::FILES is not among the flags, so no file descriptor changes its meaning.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS)? };
            for (source, point) in &mounts {
                fs::create_dir_all(point)?;
                rustix::mount::mount_bind(source, point)?;
            }
            if Path::new(SHARED_MEMORY).is_dir() {
                // What a killed server leaves there is to go with the lab.
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                rustix::mount::mount("shm", SHARED_MEMORY, "tmpfs", flags, Some(c"mode=1777"))?;
            }
            File::open("/proc/thread-self/ns/mnt")
        });
        mounted.and_then(|mounted| mounted).map_err(failed("mount a host's own directories"))
    }

    /// A directory of the host's that is seen by this name everywhere in the lab.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Empties the host's own directories.
    pub(crate) fn wipe(&self) -> Result<(), LabError> {
        for directory in &self.own {
            let what = || failed(format!("empty {}", directory.display()));
            for entry in fs::read_dir(directory).map_err(what())? {
                let path = entry.map_err(what())?.path();
                let is_directory = path.symlink_metadata().is_ok_and(|it| it.is_dir());
                let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(what())?;
            }
        }
        Ok(())
    }
}

/// Sees to it that there is something to mount each directory on. The machine itself is left as it is: where one is
/// missing, the nearest directory above that there is gets a copy in memory, with everything in it mounted where it was.
pub(crate) fn points(furniture: &Furniture) -> Result<(), LabError> {
    let mut copied = BTreeSet::new();
    for path in furniture.own.iter().chain(&furniture.shared) {
        if path.is_dir() {
            continue;
        }
        let above = path.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
        let above = above.canonicalize().map_err(failed(format!("find {}", above.display())))?;
        if above == Path::new("/") {
            return Err(LabError::NoDirectory { path: path.clone() });
        }
        if !copied.iter().any(|copy| above.starts_with(copy)) {
            copy(&above).map_err(failed(format!("make a place for {}", path.display())))?;
            copied.insert(above);
        }
        fs::create_dir_all(path).map_err(failed(format!("make {} in the lab", path.display())))?;
    }
    Ok(())
}

fn copy(directory: &Path) -> io::Result<()> {
    let below =
        rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Of what is mounted over by then.
    let below_path = PathBuf::from(format!("/proc/self/fd/{}", below.as_fd().as_raw_fd()));
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mode = directory.metadata()?.permissions().mode();
    rustix::mount::mount("lab", directory, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(mode))?;
    for entry in entries {
        let (from, to) = (below_path.join(entry.file_name()), directory.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
        } else {
            if kind.is_dir() {
                fs::create_dir(&to)?;
            } else {
                File::create(&to)?;
            }
            rustix::mount::mount_bind_recursive(&from, &to)?;
        }
    }
    Ok(())
}
