//! Why a lab could not do what it was asked to, in words that say what to do next.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// Why a lab could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    #[error(
        "the lab must be entered before the program starts threads, and {0} run already: call `enter` first of all"
    )]
    Threads(usize),

    /// The machine lacks something; the text ends with what to do about it.
    #[error("this machine does not let the lab {what}: {source}{advice}")]
    Refused { what: &'static str, advice: String, source: io::Error },

    #[error("host {host}: the address {address} cannot be had in a lab: {why}")]
    Address { host: String, address: IpAddr, why: &'static str },

    #[error("host {host}: its interface cannot be called `{name}` in a lab: {why}")]
    Interface { host: String, name: String, why: &'static str },

    #[error(
        "host {host} cannot be had in a lab: its virtual IPs {} and {} name two interfaces, `{}` and `{}`, and a \
         host has one in a lab; rehearse a copy of the file in which they name the same one, or none",
        one.0, other.0, one.1, other.1
    )]
    TwoInterfaces { host: String, one: (IpAddr, String), other: (IpAddr, String) },

    #[error(
        "{} cannot be had in a lab: not even the first directory of it is there; make that one, or rehearse a copy of \
         the file that keeps its data elsewhere, such as in /var/lib/nines", path.display()
    )]
    NoDirectory { path: PathBuf },

    #[error("the lab's network: cannot {what}: {source}")]
    Network { what: String, source: rtnetlink::Error },

    #[error("the lab cannot {what}: {source}")]
    Io { what: String, source: io::Error },

    #[error("host {host}: cannot start `{command}`: {source}")]
    Spawn { host: String, command: String, source: io::Error },

    #[error("host {host}: there is no command to start")]
    NoCommand { host: String },

    #[error("host {host}: {left} processes are still not {wanted} after {rounds} rounds of signals")]
    Stubborn { host: String, left: usize, wanted: &'static str, rounds: u32 },

    #[error(
        "host {host} cannot be cut off in one direction: this kernel ({release}) has no bridge port locking, which \
         came with Linux 5.18; cut it off both ways, or use a newer kernel"
    )]
    NoOneWay { host: String, release: String },

    #[error("the link of host {host} cannot lose packets: {why}")]
    NoLoss { host: String, why: String },

    #[error("hosts cannot be parted from all others together: {why}")]
    NoIsland { why: String },

    #[error(
        "hosts {one} and {other} cannot be split: they are not on one segment, so the router lies between them"
    )]
    Apart { one: String, other: String },

    #[error("there is no process {0} in this lab")]
    NoSuchProcess(usize),
}

impl LabError {
    /// Whether the kernel itself allows no lab here: forbidden, switched off by a limit of none, or not built in.
    /// Anything else is a fault of the lab's.
    pub fn is_the_kernels(&self) -> bool {
        let no = [io::ErrorKind::PermissionDenied, io::ErrorKind::StorageFull, io::ErrorKind::Unsupported];
        matches!(self, Self::Refused { source, .. } if no.contains(&source.kind()))
    }
}

pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
    let what = what.into();
    move |source| LabError::Io { what, source }
}
