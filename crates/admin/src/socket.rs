//! The Unix socket on which the operator's commands reach the daemon of a host.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, unix};

/// Read and write, for the daemon's user and group.
const MODE: u32 = 0o660;

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
    make_way(path)?;
    bind_private(path).map_err(|error| BindError::Io(path.to_owned(), error))
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
fn bind_private(path: &Path) -> io::Result<Socket> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let private = directory.join(format!(".{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&private)?;
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
