//! The admin API on TCP, where the file asks for it: nothing can be changed there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use tokio::task::JoinHandle;

use super::desk::Desk;

/// What is served now, by address.
#[derive(Default)]
pub(crate) struct ReadOnly(BTreeMap<SocketAddr, Serving>);

/// Ends with this.
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The addresses to be served from now on; bound already where they are new.
pub(crate) struct Prepared {
    addresses: BTreeSet<SocketAddr>,
    bound: Vec<(SocketAddr, tokio::net::TcpListener)>,
}

impl ReadOnly {
    /// Binds what is not served yet; changes nothing so far.
    pub(crate) fn prepare(&self, addresses: &BTreeSet<SocketAddr>) -> anyhow::Result<Prepared> {
        let bind = |&address: &SocketAddr| {
            let listener = TcpListener::bind(address)
                .and_then(|listener| {
                    listener.set_nonblocking(true)?;
                    tokio::net::TcpListener::from_std(listener)
                })
                .with_context(|| {
                    format!("cannot serve the admin API on {address}, an `admin` address of the file")
                })?;
            Ok((address, listener))
        };
        let new = addresses.iter().filter(|address| !self.0.contains_key(address));
        Ok(Prepared { addresses: addresses.clone(), bound: new.map(bind).collect::<anyhow::Result<_>>()? })
    }

    pub(crate) fn apply(&mut self, prepared: Prepared, desk: &Desk) {
        self.0.retain(|address, _| prepared.addresses.contains(address));
        for (address, listener) in prepared.bound {
            let served = nines_admin::serve(listener, nines_admin::read_only(desk.clone()));
            self.0.insert(address, Serving(tokio::spawn(served)));
        }
    }
}
