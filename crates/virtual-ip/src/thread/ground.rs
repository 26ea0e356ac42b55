//! What the routers stand on: the plan in force, interfaces, and the sockets on them.

use std::collections::btree_map::Entry;
use std::time::Instant;

use super::Thread;
use crate::circuit::Circuit;
use crate::error::{Error, failed};
use crate::interface::{self, Interface};
use crate::neighbour::Neighbours;
use crate::plan::Planned;
use crate::socket::{Family, VrrpSocket};

impl Thread<'_> {
    /// Takes another plan, and whatever has changed of the interfaces.
    pub(super) async fn look_at_interfaces(&mut self, now: Instant) {
        let plan = self.shared.plan_after(self.generation);
        if plan.is_none() && !self.stale {
            return;
        }
        self.stale = false;
        let interfaces = match interface::list(&self.netlink).await {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::warn!(%error, "interfaces are not looked at");
                self.stale = true;
                return;
            }
        };
        let plan = match plan {
            Some((plan, generation)) => {
                self.generation = generation;
                plan
            }
            None => self.circuits.iter().map(|circuit| circuit.planned.clone()).collect(),
        };
        self.take_plan(plan, &interfaces, now).await;
        if let Err(error) = self.open_sockets() {
            tracing::error!(%error, "a virtual address can't be looked after");
            // Again with the next turn: until then its host is not fit.
            self.stale = true;
        }
        for circuit in &mut self.circuits {
            circuit.pay_reset(&self.netlink);
        }
    }

    /// Routers that stay are not disturbed; those that are gone, or are others now, are let go.
    pub(super) async fn take_plan(&mut self, plan: Vec<Planned>, interfaces: &[Interface], now: Instant) {
        let place = |planned: &Planned| self.circuits.iter().position(|it| it.is_meant(planned));
        let places: Vec<Option<usize>> = plan.iter().map(place).collect();
        // First of all: what is done next must be done on the ground as it is.
        for circuit in &mut self.circuits {
            let planned = circuit.planned.clone();
            circuit.adopt(planned, interfaces, &self.netlink, now);
        }
        for router in (0..self.circuits.len()).filter(|router| !places.contains(&Some(*router))) {
            self.routers.abandon(now, router, "no longer in the file as it was");
        }
        self.perform(now).await;
        let mut before: Vec<_> = std::mem::take(&mut self.circuits).into_iter().map(Some).collect();
        let mut told = std::mem::take(&mut self.told);
        for (planned, place) in plan.into_iter().zip(places) {
            let stays =
                place.and_then(|place| Some((before.get_mut(place)?.take()?, told.get_mut(place)?.take())));
            let (circuit, told) = match stays {
                Some((mut circuit, told)) => {
                    circuit.adopt(planned, interfaces, &self.netlink, now);
                    (circuit, told)
                }
                None => (Circuit::new(planned, interfaces, now), None),
            };
            self.circuits.push(circuit);
            self.told.push(told);
        }
        let settings = self.circuits.iter().map(|circuit| circuit.planned.settings(circuit.source)).collect();
        self.routers.replace(now, settings);
        self.announce_again.clear();
        for router in 0..self.circuits.len() {
            if self.circuits[router].has_moved_card() {
                self.neighbours.clear();
                self.announce_again.push((now, router));
            }
        }
    }

    /// A socket for each interface and family that a router is on, and no others.
    ///
    /// # Errors
    /// The first that can't be opened; the others are.
    pub(super) fn open_sockets(&mut self) -> Result<(), Error> {
        let on: Vec<(Interface, Family)> = self
            .circuits
            .iter()
            .filter_map(|circuit| Some((circuit.interface.clone()?, circuit.family())))
            .collect();
        self.sockets.retain(|key, _| on.iter().any(|(it, family)| (it.index, *family) == *key));
        self.neighbours.retain(|key, _| on.iter().any(|(it, family)| (it.index, *family) == *key));
        let mut first = Ok(());
        for (interface, family) in on {
            let opened = self.open_on(&interface, family);
            if first.is_ok() {
                first = opened;
            }
        }
        first
    }

    fn open_on(&mut self, interface: &Interface, family: Family) -> Result<(), Error> {
        let key = (interface.index, family);
        if let Entry::Vacant(place) = self.sockets.entry(key) {
            let socket = VrrpSocket::open(interface, family)?.watched();
            place.insert(socket.map_err(failed(format!("wait for packets on {}", interface.name)))?);
        }
        if interface.mac.is_some()
            && let Entry::Vacant(place) = self.neighbours.entry(key)
        {
            let neighbours = Neighbours::open(interface, family)?.watched();
            place.insert(neighbours.map_err(failed(format!("wait for neighbours on {}", interface.name)))?);
        }
        Ok(())
    }
}
