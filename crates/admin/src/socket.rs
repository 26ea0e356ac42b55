//! The Unix socket on which the operator's commands reach the daemon of a host.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::net::{UnixListener, unix};

/// Read and write, for the daemon's user and group.
const MODE: u32 = 0o660;
/// Another one that makes its socket in the same directory needs a millisecond.
const OTHERS: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "another daemon answers on {}; stop it first, or give this one its own --admin-socket",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("{} is there and no socket; remove it, or give another --admin-socket", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot make the admin socket {}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

/// A bound socket, removed from the file system when dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: a successor's socket at the same path is not ours to remove.
    identity: (u64, u64),
}

/// Binds the socket, making its directory where there is none. A socket on which nobody answers is a leftover of a daemon
/// that died, and is replaced.
pub fn bind(path: &Path) -> Result<Socket, BindError> {
    let failed = |error| BindError::Io(path.to_owned(), error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed)?;
    let _alone = alone_in(directory).ok_or_else(|| BindError::InUse(path.to_owned()))?;
    make_way(path)?;
    bind_private(path, directory).map_err(failed)
}

/// Of two that begin at the same moment, each would find that nobody answers. `None`: somebody else is at it, and does not end.
fn alone_in(directory: &Path) -> Option<Option<File>> {
    // Where it may not be read, it is done without.
    let Ok(lock) = File::open(directory) else { return Some(None) };
    let begun = Instant::now();
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(Some(lock)),
            Err(Errno::WOULDBLOCK) if begun.elapsed() > OTHERS => return None,
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return Some(None),
        }
    }
}

fn make_way(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Io(path.to_owned(), error);
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
            // Answered, or too busy to (a full backlog): somebody is there.
            _ => Err(BindError::InUse(path.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Bound inside a directory that nobody else can enter and moved into place once its permissions are right, so that
/// there is no moment in which anybody else could connect; the move replaces a leftover in one step.
fn bind_private(path: &Path, directory: &Path) -> io::Result<Socket> {
    let private = directory.join(format!(".{}", std::process::id()));
    let make = || fs::DirBuilder::new().mode(0o700).create(&private);
    match make() {
        // Of a daemon of this number that was killed just then: in a container all have the same.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_dir_all(&private)?;
            make()?;
        }
        made => made?,
    }
    let bound = (|| {
        let socket = private.join("s");
        let listener = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, Permissions::from_mode(MODE))?;
        let metadata = fs::metadata(&socket)?;
        fs::rename(&socket, path)?;
        Ok(Socket { listener, path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) })
    })();
    if bound.is_err() {
        let _ = fs::remove_file(private.join("s"));
    }
    let _ = fs::remove_dir(&private);
    bound
}

impl Socket {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl axum::serve::Listener for Socket {
    type Io = tokio::net::UnixStream;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        axum::serve::Listener::accept(&mut self.listener).await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is a failed test")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_many_that_begin_at_the_same_moment_one_has_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lb1.sock");
        let runtime = tokio::runtime::Handle::current();
        for round in 0..20 {
            // At first nothing is there, then a leftover.
            let start = std::sync::Barrier::new(8);
            let bound = std::thread::scope(|scope| {
                let at_once = || {
                    let _within = runtime.enter();
                    start.wait();
                    bind(&path)
                };
                let all: Vec<_> = (0..8).map(|_| scope.spawn(at_once)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
            });
            let refused = |one: &Result<_, _>| matches!(one, Err(BindError::InUse(_)));
            assert_eq!(bound.iter().filter(|one| refused(one)).count(), 7, "{round}: {bound:?}");
            drop(bound);
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        }
        // What one of this number has left when it was killed just then.
        let left = directory.path().join(format!(".{}", std::process::id()));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("s"), "").unwrap();
        bind(&path).unwrap();
        assert!(!left.exists());
    }
}
