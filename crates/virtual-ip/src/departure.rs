//! The end of addresses on this host: what is connected to them is reset while that can still be told to the other side,
//! and then they go.
//!
//! Looking through a busy host's connections takes milliseconds, so it is done beside the thread, which must advertise.

use std::net::IpAddr;

use rtnetlink::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::circuit::LIFETIME;
use crate::error::Error;
use crate::{address, reset};

/// Begins to take addresses from an interface. `resets`: whether there is a link on which to tell.
pub(crate) fn begin(
    netlink: &Handle,
    virtual_ip: &str,
    interface: u32,
    addresses: &[IpAddr],
    resets: bool,
) -> JoinHandle<()> {
    let (netlink, virtual_ip, addresses) = (netlink.clone(), virtual_ip.to_owned(), addresses.to_vec());
    tokio::spawn(async move {
        for address in addresses {
            if resets {
                reset_all(&netlink, &virtual_ip, interface, address).await;
            }
            if let Err(error) = address::release(&netlink, interface, address).await {
                tracing::warn!(%virtual_ip, %error, "not taken away");
            }
        }
    })
}

/// Begins to look whether nothing is connected to the addresses any more.
pub(crate) fn look_idle(addresses: &[IpAddr]) -> JoinHandle<bool> {
    let addresses = addresses.to_vec();
    spawn_blocking(move || addresses.into_iter().all(|address| matches!(reset::connections(address), Ok(0))))
}

/// A reset comes from the address, so that it must be there: after a long sleep the kernel has taken it away already.
async fn reset_all(netlink: &Handle, virtual_ip: &str, interface: u32, address: IpAddr) {
    match beside(move || reset::connections(address)).await {
        Some(Ok(0)) => return,
        Some(Err(error)) => tracing::warn!(%virtual_ip, %error, "connections are not counted"),
        Some(Ok(_)) | None => {}
    }
    if let Err(error) = address::hold(netlink, interface, address, LIFETIME).await {
        tracing::debug!(%virtual_ip, %error, "resets may not get out");
    }
    match beside(move || reset::reset(address)).await {
        Some(Ok(0)) | None => {}
        Some(Ok(count)) => {
            tracing::info!(%virtual_ip, count, "connections reset: the address is no longer ours");
        }
        Some(Err(error)) => {
            tracing::warn!(%virtual_ip, %error, "connections not reset: their clients may hang");
        }
    }
}

async fn beside(
    work: impl FnOnce() -> Result<usize, Error> + Send + 'static,
) -> Option<Result<usize, Error>> {
    spawn_blocking(work).await.ok()
}
