//! Where the daemon of a host listens for its operator, and how a command finds it.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::bail;
use nines_admin::Client;

/// Which daemon a command talks to.
#[derive(clap::Args)]
pub(crate) struct Daemon {
    /// The host whose daemon is asked. Default: the only one that runs on this machine
    #[arg(long, value_name = "NAME", conflicts_with = "admin_socket")]
    host: Option<String>,
    /// The daemon's Unix socket, where `nines run` was given another than the default
    #[arg(long, value_name = "PATH")]
    admin_socket: Option<PathBuf>,
}

impl Daemon {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(match (&self.admin_socket, &self.host) {
            (Some(path), _) => path.clone(),
            (None, Some(host)) => of_host(&directories(), host)?,
            (None, None) => only_one(&directories())?,
        }))
    }
}

/// Where `nines run --host NAME` puts its socket when it isn't told.
pub(crate) fn default_path(host: &str) -> PathBuf {
    let root = rustix::process::geteuid().is_root();
    let directories = directories();
    let directory = if root { directories.first() } else { directories.get(1) };
    directory.map_or_else(PathBuf::new, |directory| directory.join(socket_name(host)))
}

/// Where the daemon of this host has its socket, running or not.
pub(crate) fn of(host: &str) -> PathBuf {
    of_host(&directories(), host).unwrap_or_else(|_| default_path(host))
}

/// The first is root's; the second belongs to the user who runs this. The name under the temp dir carries the user, so that
/// users don't meet there.
fn directories() -> Vec<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty()).map_or_else(
        || std::env::temp_dir().join(format!("nines-{}", rustix::process::geteuid().as_raw())),
        |directory| PathBuf::from(directory).join("nines"),
    );
    vec![PathBuf::from("/run/nines"), own]
}

fn socket_name(host: &str) -> String {
    format!("{host}.sock")
}

fn of_host(directories: &[PathBuf], host: &str) -> anyhow::Result<PathBuf> {
    let there =
        directories.iter().map(|directory| directory.join(socket_name(host))).find(|path| path.exists());
    match there {
        Some(path) => Ok(path),
        None => bail!("no daemon of host {host} runs here: {}", what_there_is(directories)),
    }
}

fn only_one(directories: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let answering = answering(directories);
    match answering.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("no daemon runs here: {}", what_there_is(directories)),
        several => {
            let hosts: Vec<String> = several.iter().map(|path| format!("--host {}", host_of(path))).collect();
            bail!("several daemons run here; say which: {}", hosts.join(" or "))
        }
    }
}

fn what_there_is(directories: &[PathBuf]) -> String {
    let answering = answering(directories);
    if answering.is_empty() {
        let looked: Vec<String> = directories.iter().map(|one| one.display().to_string()).collect();
        return format!(
            "looked in {}. Start one with `nines run FILE --host NAME`, or say where it is with --admin-socket PATH",
            looked.join(" and ")
        );
    }
    let hosts: Vec<&str> = answering.iter().map(|path| host_of(path)).collect();
    format!("there is {}", hosts.join(", "))
}

/// The sockets on which somebody answers, by name; what a dead daemon left behind is passed over.
fn answering(directories: &[PathBuf]) -> Vec<PathBuf> {
    let mut sockets: Vec<PathBuf> = directories
        .iter()
        .filter_map(|directory| std::fs::read_dir(directory).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
        // A socket that this user may not open still is somebody's: the command will say so.
        .filter(|path| match UnixStream::connect(path) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
        })
        .collect();
    sockets.sort();
    sockets
}

fn host_of(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_only_daemon_needs_no_name_and_leftovers_do_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let directories = [directory.path().to_owned(), directory.path().join("missing")];
        let none = only_one(&directories).unwrap_err().to_string();
        assert!(none.contains("nines run FILE") && none.contains("missing"), "{none}");

        let one = UnixListener::bind(directory.path().join("lb1.sock")).unwrap();
        let other = UnixListener::bind(directory.path().join("lb2.sock")).unwrap();
        let several = only_one(&directories).unwrap_err().to_string();
        assert!(several.contains("--host lb1 or --host lb2"), "{several}");

        drop(other);
        assert_eq!(only_one(&directories).unwrap(), directory.path().join("lb1.sock"));
        let wrong = of_host(&directories, "lb9").unwrap_err().to_string();
        assert!(wrong.ends_with("there is lb1"), "{wrong}");
        drop(one);
    }
}
