//! The host's virtual addresses, between the daemon's loop and the thread that minds them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nines_control::status::{Standing, VirtualIpStatus};
use nines_control::vrrp::Fitness;
use nines_load_balancer::{DataPlane, Vitality};
use nines_system::LoadBalancerId;
use nines_virtual_ip::{Happened, Surroundings, VirtualIps};
use tokio::sync::mpsc::Receiver;

use super::part::Part;

/// How often the thread hears at least that the daemon's loop turns.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// How long another host may take to claim what this one gives up.
const CLAIM: Duration = Duration::from_secs(3);
/// After that, clients on their way to this host still arrive for so long.
const ARRIVE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(10);

/// `None`: no file yet gave this host a part in any. A thread that was started stays, whatever a later file says: it has
/// the rights, and tells of what it lets go.
#[derive(Default)]
pub(super) struct Addresses(Option<Running>);

/// What another file takes that is not there yet; nothing has changed so far.
#[must_use]
pub(super) struct Prepared(Option<Running>);

struct Running {
    virtual_ips: Arc<VirtualIps>,
    happened: Receiver<Happened>,
}

/// What the thread may ask of the data plane.
struct Forwarding {
    data_plane: Arc<DataPlane>,
    vitality: Vitality,
}

impl Surroundings for Forwarding {
    fn able(&self) -> Result<(), String> {
        self.vitality.able().map_err(|why| why.to_string())
    }

    fn retire(&self) {
        self.data_plane.retire();
    }

    fn hush(&self, on: bool) {
        if let Err(error) = self.data_plane.hush(on) {
            tracing::warn!(%error, "connections of the former holder of a virtual address are reset");
        }
    }
}

impl Running {
    fn start(part: &Part, surroundings: impl Surroundings) -> anyhow::Result<Self> {
        let started = VirtualIps::start(&part.system, part.host, surroundings);
        let (virtual_ips, happened) = started.map_err(|error| {
            let rights = if error.is_refusal() {
                "; virtual addresses take CAP_NET_RAW and CAP_NET_ADMIN: run as root, or see `nines doctor`"
            } else {
                ""
            };
            anyhow::anyhow!("{error}{rights}")
        })?;
        Ok(Self { virtual_ips: Arc::new(virtual_ips), happened })
    }
}

impl Prepared {
    /// It is not to be: ends what was started, without waiting for it.
    pub(super) fn withdraw(self) {
        let Some(running) = self.0 else { return };
        running.virtual_ips.stop();
        // Should there be no thread for it, it is waited for after all.
        let _ = std::thread::Builder::new().name("vrrp-end".to_owned()).spawn(move || drop(running));
    }
}

impl Addresses {
    /// # Errors
    /// This user may not speak VRRP, for example.
    pub(super) fn start(part: &Part, data_plane: &Arc<DataPlane>) -> anyhow::Result<Self> {
        Self::default().prepare(part, data_plane).map(|prepared| Self(prepared.0))
    }

    /// With another data plane than a real one.
    #[cfg(test)]
    pub(super) fn among(part: &Part, surroundings: impl Surroundings) -> anyhow::Result<Self> {
        Running::start(part, surroundings).map(|running| Self(Some(running)))
    }

    /// Does all of taking another file that can fail: where there is no thread and one is needed, it starts, and takes no
    /// part in anything so far.
    ///
    /// # Errors
    /// As [`Addresses::start`].
    pub(super) fn prepare(&self, part: &Part, data_plane: &Arc<DataPlane>) -> anyhow::Result<Prepared> {
        if self.0.is_some() || !VirtualIps::wanted(&part.system, part.host) {
            return Ok(Prepared(None));
        }
        let forwarding = Forwarding { data_plane: data_plane.clone(), vitality: data_plane.vitality() };
        Running::start(part, forwarding).map(|running| Prepared(Some(running)))
    }

    /// Takes another file, for which [`Addresses::prepare`] prepared.
    pub(super) fn apply(&mut self, prepared: Prepared, part: &Part) {
        match (&self.0, prepared.0) {
            (Some(running), _) => running.virtual_ips.reload(&part.system, part.host),
            (None, started) => self.0 = started,
        }
    }

    /// The next thing that happened to one of them, never if there are none; `None` once the thread has ended.
    pub(super) async fn happened(&mut self) -> Option<Happened> {
        match &mut self.0 {
            Some(running) => running.happened.recv().await,
            None => std::future::pending().await,
        }
    }

    /// After the end of the thread: there are none any more.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// The end: lets all of them go. What happens meanwhile still has to be asked for, until that is over or the time that
    /// is returned has come; `None` if there is nothing to wait for.
    pub(super) fn stop(&self) -> Option<Instant> {
        self.0.as_ref().map(|running| running.virtual_ips.stop())
    }

    pub(super) fn any(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn tell(&self, fitness: impl FnOnce() -> Vec<(LoadBalancerId, Fitness)>) {
        if let Some(running) = &self.0 {
            running.virtual_ips.set_fitness(fitness());
        }
    }

    pub(super) fn status(&self) -> Vec<VirtualIpStatus> {
        self.0.as_ref().map(|running| running.virtual_ips.status()).unwrap_or_default()
    }

    /// Until another host answers on all of them, or none does in time; `None` if this host answers on none.
    pub(super) fn handed_over(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let virtual_ips = self.0.as_ref()?.virtual_ips.clone();
        if !virtual_ips.status().iter().any(|one| one.held) {
            return None;
        }
        Some(async move {
            let claimed = async {
                while !virtual_ips.status().iter().all(is_elsewhere) {
                    tokio::time::sleep(LOOK).await;
                }
            };
            // Who has no other host to hand over to stops all the same.
            let _ = tokio::time::timeout(CLAIM, claimed).await;
            tokio::time::sleep(ARRIVE).await;
        })
    }
}

/// This host is not the one that answers, and knows who does.
fn is_elsewhere(one: &VirtualIpStatus) -> bool {
    let answers = matches!(one.state, Standing::Master | Standing::Listening);
    !answers && (!one.held || one.holder.is_some())
}
