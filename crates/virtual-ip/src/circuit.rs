//! One virtual router on the ground: its interface, its packets, its addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant, SystemTime};

use nines_control::status::VirtualIpStatus;
use nines_control::vrrp::{Advertisement, Fitness};
use nines_system::LoadBalancerId;
use rtnetlink::Handle;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::handover::Handover;
use crate::interface::{self, Interface};
use crate::packet::{Codec, Packet, Path, Refused};
use crate::plan::Planned;
use crate::probing::Probing;
use crate::questions::Questions;
use crate::socket::{Family, VrrpSocket};
use crate::{address, departure, ready};

/// What the kernel gives a virtual address to live; it is renewed long before. Longer than a healthy process is ever
/// held up, and short enough that a dead one's address does not stay in the way.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3);
const RENEW: Duration = Duration::from_millis(700);
/// After the kernel refused to put an address up, this host is unfit for so long; then it tries again.
const TROUBLE: Duration = Duration::from_secs(5);
/// An address that moves to another interface of this host is nobody's for so long.
const MOVE: Duration = Duration::from_millis(200);
/// A millisecond each.
const IN_FORCE_LOOKS: u32 = 50;
/// Questions of one turn; further ones in the next.
const QUESTIONS_A_TURN: usize = 256;
/// How long a packet that was refused counts as a problem.
const REFUSED: Duration = Duration::from_secs(10);

pub(crate) struct Circuit {
    pub(crate) planned: Planned,
    /// As it was at the latest look; `None`: the address belongs to no interface of this host.
    pub(crate) interface: Option<Interface>,
    /// Where this host's advertisements come from.
    pub(crate) source: IpAddr,
    codec: Codec,
    /// When the addresses must be renewed; `None` while they are not held.
    renew_at: Option<Instant>,
    /// One of them is not there, though it should be.
    missing: bool,
    pub(crate) lingers: Option<Lingering>,
    /// Connections of addresses that are gone, which could not be reset while the link was down.
    owes_reset: bool,
    trouble: Option<(String, Instant)>,
    departure: Option<JoinHandle<()>>,
    moved_card: bool,
    idle_look: Option<JoinHandle<bool>>,
    pub(crate) handover: Option<Handover>,
    /// While another host may still answer for the addresses, and until when that is.
    pub(crate) questions: Option<(AsyncFd<Questions>, Instant)>,
    pub(crate) probing: Probing,
    sent: u64,
    received: u64,
    refused: BTreeMap<Refused, u64>,
    not_sent: Option<(String, Instant)>,
    latest_refusal: Option<(Refused, IpAddr, Instant)>,
    /// Who advertises other addresses under our number.
    differs: Option<(IpAddr, Instant)>,
}

/// What is connected goes on to its end, since another host answers now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lingering {
    pub(crate) since: Instant,
    /// Late arrivals have been retired as well.
    pub(crate) settled: bool,
}

impl Circuit {
    pub(crate) fn new(planned: Planned, interfaces: &[Interface], now: Instant) -> Self {
        let interface = find(&planned, interfaces).cloned();
        Self {
            source: source(&planned, interface.as_ref()),
            codec: Codec::new(planned.wire()),
            planned,
            interface,
            renew_at: None,
            missing: false,
            lingers: None,
            owes_reset: false,
            trouble: None,
            departure: None,
            moved_card: false,
            idle_look: None,
            handover: None,
            questions: None,
            probing: Probing::new(now),
            sent: 0,
            received: 0,
            refused: BTreeMap::new(),
            not_sent: None,
            latest_refusal: None,
            differs: None,
        }
    }

    pub(crate) fn load_balancer(&self) -> LoadBalancerId {
        self.planned.load_balancer
    }

    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.planned.virtual_ip.addresses
    }

    pub(crate) fn family(&self) -> Family {
        if self.planned.is_v6() { Family::V6 } else { Family::V4 }
    }

    pub(crate) fn is_on(&self, socket: &VrrpSocket) -> bool {
        let index = self.interface.as_ref().map(|interface| interface.index);
        index == Some(socket.interface()) && self.family() == socket.family()
    }

    pub(crate) fn is_held(&self) -> bool {
        self.renew_at.is_some()
    }

    /// Whether the plan means this router, whatever else is said of it, and wherever it is now.
    pub(crate) fn is_meant(&self, planned: &Planned) -> bool {
        self.planned.settings(self.source).is_same_router(&planned.settings(self.source))
    }

    /// Goes on by a plan that means it, on the interfaces that there are now: keys, priorities and intervals may have changed,
    /// and the interface may have lost its link or its addresses, come back, or be another one.
    pub(crate) fn adopt(
        &mut self,
        planned: Planned,
        interfaces: &[Interface],
        netlink: &Handle,
        now: Instant,
    ) {
        if planned.wire() != self.planned.wire() {
            self.codec = Codec::new(planned.wire());
        }
        self.planned = planned;
        let former = self.interface.as_ref().map(|interface| interface.index);
        let found = find(&self.planned, interfaces);
        // One that lost its addresses with its link is still the one: they come back with it.
        let same = || interfaces.iter().find(|interface| Some(interface.index) == former);
        let interface = found.or_else(same).cloned();
        if let (Some(former), Some(found)) = (former, interface.as_ref().map(|it| it.index))
            && former != found
        {
            departure::begin(netlink, &self.planned.name, former, self.addresses(), false);
            self.owes_reset |= self.is_held();
            self.trouble = Some((format!("it moves to {}", name_of(interface.as_ref())), now + MOVE));
        }
        self.moved_card |= match (&self.interface, &interface) {
            (Some(before), Some(now)) => before.mac != now.mac,
            _ => false,
        };
        let source = source(&self.planned, interface.as_ref());
        if !source.is_unspecified() {
            self.source = source;
        }
        self.interface = interface;
    }

    /// Whether the interface has another hardware address than at the latest look, which the link must be told of.
    pub(crate) fn has_moved_card(&mut self) -> bool {
        std::mem::take(&mut self.moved_card)
    }

    /// What speaks against this host on the ground: no interface, no link, a kernel that refuses.
    pub(crate) fn fitness(&self, now: Instant) -> Fitness {
        let Some(interface) = &self.interface else {
            let wanted = self.planned.virtual_ip.interface.as_deref();
            return Fitness::Unfit(wanted.map_or_else(
                || "no interface of this host has an address in its network: name one in the file".to_owned(),
                |name| format!("there is no interface {name}"),
            ));
        };
        if !interface.is_running() {
            return Fitness::Unfit(format!("{} has no link", interface.name));
        }
        let own = |own: &&interface::Address| own.usable && self.addresses().contains(&own.address);
        if let Some(own) = interface.addresses.iter().find(own) {
            return Fitness::Unfit(format!(
                "{} has {} as an address of its own: take it off (ip address del; a keepalived that \
                 still runs would put it back), or out of the file",
                interface.name, own.address
            ));
        }
        if self.source.is_unspecified() || !interface.has(self.source) {
            return Fitness::Unfit(format!("{} has no address to advertise from", interface.name));
        }
        match &self.trouble {
            Some((why, until)) if now < *until => Fitness::Unfit(why.clone()),
            _ => Fitness::Fit,
        }
    }

    pub(crate) fn send(&mut self, socket: &VrrpSocket, advertisement: &Advertisement) {
        let group = [self.family().group()];
        let destinations = self.planned.peers.clone();
        for &destination in destinations.as_deref().unwrap_or(&group) {
            let path = Path { source: self.source, destination };
            let bytes = self.codec.encode(advertisement, path, SystemTime::now());
            match socket.send(&bytes, self.source, destination) {
                Ok(()) => self.sent += 1,
                Err(error) => {
                    self.not_sent =
                        Some((format!("what is said to {destination} is not sent: {error}"), Instant::now()));
                    tracing::debug!(virtual_ip = %self.planned.name, %destination, %error, "not sent");
                }
            }
        }
    }

    /// The advertisement in a packet for this router, if it is to be believed.
    pub(crate) fn receive(&mut self, packet: &Packet<'_>, now: Instant) -> Option<Advertisement> {
        if packet.source == self.source {
            return None;
        }
        match self.codec.decode(packet, SystemTime::now()) {
            Ok(advertisement) => {
                self.received += 1;
                let mut theirs = advertisement.addresses.clone();
                let mut ours = self.addresses().to_vec();
                theirs.sort_unstable();
                ours.sort_unstable();
                if theirs != ours {
                    self.differs = Some((packet.source, now));
                }
                Some(advertisement)
            }
            Err(refused) => {
                *self.refused.entry(refused).or_default() += 1;
                self.latest_refusal = Some((refused, packet.source, now));
                tracing::debug!(virtual_ip = %self.planned.name, source = %packet.source, why = refused.word(), "refused");
                None
            }
        }
    }

    /// Puts the addresses up, or renews them.
    pub(crate) async fn hold(&mut self, netlink: &Handle, now: Instant) -> Result<(), Error> {
        // What is on its way out would take them away again.
        self.gone().await;
        let Some(interface) = &self.interface else { return Ok(()) };
        for &address in &self.planned.virtual_ip.addresses {
            if let Err(error) = address::hold(netlink, interface.index, address, LIFETIME).await {
                self.trouble = Some((error.to_string(), now + TROUBLE));
                return Err(error);
            }
        }
        self.renew_at = Some(now + RENEW);
        self.missing = false;
        Ok(())
    }

    /// Waits, briefly, until packets to the addresses are taken in here: what is announced before is lost.
    pub(crate) async fn in_force(&self, netlink: &Handle) {
        let mut looks = 0;
        for &address in self.addresses() {
            while !address::is_in_force(netlink, address).await.unwrap_or(true) {
                looks += 1;
                if looks > IN_FORCE_LOOKS {
                    tracing::warn!(virtual_ip = %self.planned.name, %address, "up, and nothing is taken in for it");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// `returns`: whether addresses come back that the kernel has taken away meanwhile. They are the master's to have; who
    /// slept for longer than their lifetime, and only listens or lingers, has lost them.
    pub(crate) async fn renew(&mut self, netlink: &Handle, now: Instant, returns: bool) {
        let Some(due) = self.renew_at.filter(|at| *at <= now || self.missing) else { return };
        let ended = self.missing || now >= due + (LIFETIME - RENEW);
        if ended && !returns {
            return;
        }
        if let Err(error) = self.hold(netlink, now).await {
            tracing::warn!(virtual_ip = %self.planned.name, %error, "not renewed");
        }
    }

    /// Takes the addresses away, beside everything else.
    pub(crate) fn let_go(&mut self, netlink: &Handle) {
        self.renew_at = None;
        self.lingers = None;
        self.questions = None;
        let can_tell = self.interface.as_ref().is_some_and(|it| it.is_running() && it.has(self.source));
        self.owes_reset = !can_tell;
        self.depart(netlink, can_tell);
    }

    /// What a former life of this host left behind is taken away, for the present master has it elsewhere.
    pub(crate) fn clear(&mut self, netlink: &Handle) {
        let Some(interface) = &self.interface else { return };
        let left = |own: &interface::Address| !own.usable && self.addresses().contains(&own.address);
        if interface.addresses.iter().any(left) {
            self.depart(netlink, interface.is_running());
        }
    }

    /// The link is back, and the addresses are elsewhere: tells those who still wait for an answer.
    pub(crate) fn pay_reset(&mut self, netlink: &Handle) {
        // Without an address of its own the host has no way to those who are to be told.
        let back = |it: &Interface| it.is_running() && it.has(self.source);
        if self.interface.as_ref().is_some_and(back) && self.owes_reset && !self.is_held() {
            self.owes_reset = false;
            self.depart(netlink, true);
        }
    }

    fn depart(&mut self, netlink: &Handle, resets: bool) {
        let Some(interface) = &self.interface else { return };
        let departure =
            departure::begin(netlink, &self.planned.name, interface.index, self.addresses(), resets);
        self.departure = Some(departure);
    }

    /// Until the addresses are gone that are on their way.
    pub(crate) async fn gone(&mut self) {
        if let Some(departure) = self.departure.take()
            && let Err(error) = departure.await
        {
            tracing::error!(virtual_ip = %self.planned.name, %error, "taking addresses away");
        }
    }

    /// Whether nothing is connected to the addresses any more; each call begins a look or takes its result.
    pub(crate) async fn is_idle(&mut self) -> bool {
        match self.idle_look.take() {
            Some(look) if look.is_finished() => look.await.unwrap_or(false),
            Some(look) => {
                self.idle_look = Some(look);
                false
            }
            None => {
                self.idle_look = Some(departure::look_idle(self.addresses()));
                false
            }
        }
    }

    /// Begins to listen for those who ask where the addresses are.
    pub(crate) fn listen_for_questions(&mut self, until: Instant) {
        let Some(interface) = &self.interface else { return };
        match Questions::listen(interface, self.family()) {
            Ok(questions) => self.questions = Some((questions, until)),
            Err(error) => {
                tracing::warn!(virtual_ip = %self.planned.name, %error, "the old holder may be believed");
            }
        }
    }

    /// Whether somebody has asked where the addresses are.
    pub(crate) fn is_asked_for(&mut self, now: Instant) -> bool {
        let Some((questions, until)) = &self.questions else { return false };
        if *until <= now {
            self.questions = None;
            return false;
        }
        let mut asked = false;
        for _ in 0..QUESTIONS_A_TURN {
            match questions.get_ref().receive() {
                Ok(Some(named)) => {
                    asked |= named.iter().any(|named| self.planned.virtual_ip.addresses.contains(named));
                }
                Ok(None) => {}
                Err(_) => break,
            }
        }
        ready::forget(questions);
        asked
    }

    /// One of our addresses is gone from the interface: somebody took it, or its lifetime ended.
    pub(crate) fn lost(&mut self, address: IpAddr) {
        self.missing |= self.is_held() && self.addresses().contains(&address);
    }

    /// Adds to a status what only the ground knows.
    pub(crate) fn report(&self, now: Instant, status: &mut VirtualIpStatus) {
        status.interface =
            self.interface.as_ref().map(|interface| interface.name.clone()).unwrap_or_default();
        status.sent = self.sent;
        status.received = self.received;
        status.refused = self.refused.iter().map(|(why, count)| (why.word().to_owned(), *count)).collect();
        let fresh = |at: Instant| now.saturating_duration_since(at) < REFUSED;
        if let Some((why, source, _)) = self.latest_refusal.filter(|(.., at)| fresh(*at)) {
            let why =
                format!("packets of router {} from {source} are refused: {}", status.router_id, why.word());
            status.problems.push(why);
        }
        if let Some((source, _)) = self.differs.filter(|(_, at)| fresh(*at)) {
            let id = status.router_id;
            status
                .problems
                .push(format!("{source} advertises other addresses under the same router id, {id}"));
        }
        if let Some((why, _)) = self.not_sent.as_ref().filter(|(_, at)| fresh(*at)) {
            status.problems.push(why.clone());
        }
        if let Some((why, _)) = self.trouble.as_ref().filter(|(_, until)| now < *until) {
            status.problems.push(why.clone());
        }
    }
}

fn name_of(interface: Option<&Interface>) -> &str {
    interface.map_or("another interface", |interface| interface.name.as_str())
}

/// The interface that a virtual address belongs to: by name, by its network, or where this host's own address is.
fn find<'a>(planned: &Planned, interfaces: &'a [Interface]) -> Option<&'a Interface> {
    if let Some(name) = &planned.virtual_ip.interface {
        return interface::by_name(interfaces, name).ok();
    }
    let first = *planned.virtual_ip.addresses.first()?;
    let by_own = || interface::by_address(interfaces, planned.own?).ok();
    interface::by_subnet(interfaces, first).ok().or_else(by_own)
}

fn source(planned: &Planned, interface: Option<&Interface>) -> IpAddr {
    let v6 = planned.is_v6();
    let unknown: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let Some(interface) = interface else { return unknown };
    let own = planned.own.filter(|own| own.is_ipv6() == v6 && interface.has(*own));
    let found = match (v6, &planned.peers) {
        (false, _) => own.or(interface.primary_v4().map(IpAddr::V4)),
        // Peers know each other by the addresses in the file; to the group one speaks from the link's own.
        (true, Some(_)) => own,
        (true, None) => interface.link_local_v6().map(IpAddr::V6),
    };
    found.unwrap_or(unknown)
}
