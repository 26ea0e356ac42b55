//! Why something could not be done on the wire or in the kernel.

use std::io;
use std::net::IpAddr;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {what}: {source}")]
    Io { what: String, source: io::Error },

    #[error("cannot {what}: {source}")]
    Netlink { what: String, source: rtnetlink::Error },

    #[error("there is no interface {0}: see `ip link`")]
    NoSuchInterface(String),

    #[error(
        "no interface of this host has an address in a network that {0} belongs to: name the interface in the file"
    )]
    NoInterfaceFor(IpAddr),
}

impl Error {
    /// Whether the kernel refuses it to this user, who lacks `CAP_NET_RAW` or `CAP_NET_ADMIN`.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Netlink { source: rtnetlink::Error::NetlinkError(message), .. } => {
                message.to_io().kind() == io::ErrorKind::PermissionDenied
            }
            Self::Netlink { .. } | Self::NoSuchInterface(_) | Self::NoInterfaceFor(_) => false,
        }
    }
}

pub(crate) fn failed<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source: source.into() }
}

pub(crate) fn netlink(what: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> Error {
    let what = what.into();
    move |source| Error::Netlink { what, source }
}
