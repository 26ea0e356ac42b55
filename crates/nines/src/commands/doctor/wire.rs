//! Listens for a while on the links of this host's virtual addresses: who advertises, who answers for the addresses, and
//! which other doctors are heard. Sends greetings to them and asks who has the addresses; nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use nines_virtual_ip::interface::Interface;
use nines_virtual_ip::neighbour::Neighbours;
use nines_virtual_ip::packet::{Codec, Packet, Wire, router_id};
use nines_virtual_ip::socket::{BUFFER, Family, VrrpSocket};

use super::facts::{Place, Router, Speaker};
use super::greeting::{Greeting, LONGEST};
use super::meeting::{Direct, Group};

/// Between two looks at every socket.
const LOOK: Duration = Duration::from_millis(20);
/// Between two greetings.
const GREET: Duration = Duration::from_millis(200);
/// When others can be expected to have heard this host.
const KNOWN: Duration = Duration::from_millis(600);
/// Times that it is asked who has an address.
const ASK: u32 = 3;
/// Packets of a socket in one look; what is more waits in the kernel.
const AT_ONCE: usize = 4096;
/// Senders that are told apart.
const SENDERS: usize = 64;

/// An interface and a family, and what is open there.
struct Ear {
    interface: Interface,
    family: Family,
    vrrp: Option<VrrpSocket>,
    neighbours: Option<Neighbours>,
    group: Option<Group>,
    /// Positions among the place's routers, and how each one's packets are read.
    routers: Vec<(usize, Codec)>,
    /// Hosts whose greetings came by the group, and those whose came directly.
    by_group: BTreeSet<String>,
    directly: BTreeSet<String>,
}

/// How long is listened unless it is said: for four advertisements of everybody, and two seconds at least.
pub(super) fn default_time(routers: &[Router]) -> Duration {
    let longest = routers.iter().map(|router| router.interval).max().unwrap_or_default();
    (4 * longest).max(Duration::from_secs(2))
}

/// `tick` is called again and again while it listens, with the time that has passed.
pub(super) async fn listen(place: &mut Place, time: Duration, run: u64, mut tick: impl FnMut(Duration)) {
    let mut ears = open(place);
    if ears.is_empty() {
        return;
    }
    let own: BTreeSet<IpAddr> =
        ears.iter().flat_map(|ear| &ear.interface.addresses).map(|own| own.address).collect();
    let direct = Direct::open();
    let begin = Instant::now();
    let (mut greeted, mut asked): (Option<Duration>, u32) = (None, 0);
    loop {
        let passed = begin.elapsed();
        if asked < ASK && passed >= time.min(Duration::from_secs(2)) / ASK * asked {
            ears.iter().for_each(|ear| ask(place, ear));
            asked += 1;
        }
        if greeted.is_none_or(|at| passed >= at + GREET) {
            ears.iter().for_each(|ear| greet(place, ear, &direct, run));
            greeted = Some(passed);
        }
        for ear in &mut ears {
            hear_advertisements(place, ear, &own);
            hear_answers(place, ear);
        }
        let meeting = Meeting { host: place.host.clone(), run, known: passed >= KNOWN, own: &own };
        hear_greetings(place, &mut ears, &direct, &meeting);
        tick(passed);
        if passed >= time {
            return;
        }
        tokio::time::sleep(LOOK.min(time.saturating_sub(passed))).await;
    }
}

fn open(place: &mut Place) -> Vec<Ear> {
    let mut ears: BTreeMap<(u32, Family), Ear> = BTreeMap::new();
    for (position, router) in place.routers.iter_mut().enumerate() {
        let Ok(link) = &router.link else { continue };
        let family = if router.is_v6() { Family::V6 } else { Family::V4 };
        let interface = link.interface.clone();
        let mut trouble = Vec::new();
        let ear = ears.entry((interface.index, family)).or_insert_with(|| Ear {
            vrrp: VrrpSocket::open(&interface, family).map_err(|error| trouble.push(error.to_string())).ok(),
            neighbours: interface.mac.and_then(|_| {
                Neighbours::open(&interface, family).map_err(|error| trouble.push(error.to_string())).ok()
            }),
            group: link.source.and_then(|source| {
                let opened = Group::open(interface.index, source);
                opened.map_err(|error| trouble.push(format!("cannot greet other doctors: {error}"))).ok()
            }),
            interface,
            family,
            routers: Vec::new(),
            by_group: BTreeSet::new(),
            directly: BTreeSet::new(),
        });
        ear.routers.push((position, Codec::new(wire(router))));
        router.heard.trouble = trouble;
    }
    ears.into_values().collect()
}

fn wire(router: &Router) -> Wire {
    let others = router.peers.iter().filter_map(|peer| peer.address);
    Wire {
        version: router.version,
        router_id: router.router_id,
        interval: router.interval,
        peers: router.unicast.then(|| others.chain(router.besides.iter().copied()).collect()),
        // What is received is understood in either dialect.
        checksum: nines_system::VrrpChecksum::PseudoHeader,
        authentication: router.authentication.clone(),
    }
}

fn ask(place: &mut Place, ear: &Ear) {
    let Some(neighbours) = &ear.neighbours else { return };
    for (position, _) in &ear.routers {
        let router = &mut place.routers[*position];
        let peers = router.peers.iter().filter_map(|peer| peer.address);
        for address in peers.filter(|&address| Family::of(address) == ear.family) {
            // A link that is down is told of elsewhere.
            let _ = neighbours.probe(address, None);
        }
        for &address in &router.addresses {
            router.heard.asked |= neighbours.probe(address, None).is_ok();
        }
    }
}

fn greet(place: &Place, ear: &Ear, direct: &Direct, run: u64) {
    let now = SystemTime::now();
    for unicast in [false, true] {
        let routers: Vec<&Router> = ear
            .routers
            .iter()
            .map(|(position, _)| &place.routers[*position])
            .filter(|router| router.unicast == unicast)
            .collect();
        if routers.is_empty() {
            continue;
        }
        let ids = routers.iter().map(|router| router.router_id).collect();
        let hears = if unicast { &ear.directly } else { &ear.by_group };
        let greeting = Greeting::new(&place.system, &place.host, run, ids);
        let Some(bytes) = greeting.encode(hears.iter().cloned(), now) else { return };
        if let Some(group) = ear.group.as_ref().filter(|_| !unicast) {
            group.send(&bytes);
        }
        let peers: BTreeSet<IpAddr> =
            routers.iter().flat_map(|router| &router.peers).filter_map(|peer| peer.address).collect();
        peers.into_iter().for_each(|peer| direct.send(&bytes, peer));
    }
}

fn hear_advertisements(place: &mut Place, ear: &mut Ear, own: &BTreeSet<IpAddr>) {
    let Some(socket) = &ear.vrrp else { return };
    let mut buffer = [0; BUFFER];
    for _ in 0..AT_ONCE {
        match socket.receive(&mut buffer) {
            Ok(Ok(packet)) if own.contains(&packet.source) => {}
            Ok(Ok(packet)) => take(place, &mut ear.routers, &packet),
            // Nobody can tell whose it is.
            Ok(Err(_)) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn take(place: &mut Place, routers: &mut [(usize, Codec)], packet: &Packet<'_>) {
    let Some(id) = router_id(packet.payload) else { return };
    for (position, codec) in routers {
        let router = &mut place.routers[*position];
        if router.router_id != id {
            router.heard.other_ids.insert(id);
            continue;
        }
        let speakers = &mut router.heard.speakers;
        if speakers.len() >= SENDERS && !speakers.contains_key(&packet.source) {
            continue;
        }
        let speaker = speakers.entry(packet.source).or_default();
        glimpse(speaker, packet);
        match codec.decode(packet, SystemTime::now()) {
            Ok(_) => speaker.accepted += 1,
            Err(refused) => *speaker.refused.entry(refused).or_default() += 1,
        }
    }
}

/// What a packet says, whether or not it is right.
fn glimpse(speaker: &mut Speaker, packet: &Packet<'_>) {
    let Some(&[first, _, priority, count, fourth, fifth, ..]) = packet.payload.first_chunk::<8>() else {
        return;
    };
    speaker.version = first >> 4;
    speaker.priority = priority;
    speaker.interval = if speaker.version == 2 {
        Duration::from_secs(fifth.into())
    } else {
        Duration::from_millis(u64::from(u16::from_be_bytes([fourth, fifth]) & 0x0fff) * 10)
    };
    let addresses = packet.payload.get(8..).unwrap_or_default();
    let count = usize::from(count);
    speaker.addresses = if packet.source.is_ipv4() {
        addresses.as_chunks::<4>().0.iter().take(count).map(|octets| IpAddr::from(*octets)).collect()
    } else {
        addresses.as_chunks::<16>().0.iter().take(count).map(|octets| IpAddr::from(*octets)).collect()
    };
}

fn hear_answers(place: &mut Place, ear: &Ear) {
    let Some(neighbours) = &ear.neighbours else { return };
    for _ in 0..AT_ONCE {
        let answer = match neighbours.receive() {
            Ok(answer) => answer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        for (position, _) in &ear.routers {
            let router = &mut place.routers[*position];
            if let Some(peer) = router.peers.iter().find(|peer| peer.address == Some(answer.address)) {
                if router.heard.cards.len() < SENDERS {
                    router.heard.cards.insert(answer.mac, peer.host.clone());
                }
            } else if router.addresses.contains(&answer.address) {
                let cards = router.heard.answers.entry(answer.address).or_default();
                if cards.len() < SENDERS {
                    cards.insert(answer.mac);
                }
            }
        }
    }
}

/// This host among the doctors.
struct Meeting<'a> {
    host: String,
    run: u64,
    /// Whether others must have heard it by now, if they can.
    known: bool,
    own: &'a BTreeSet<IpAddr>,
}

fn hear_greetings(place: &mut Place, ears: &mut [Ear], direct: &Direct, meeting: &Meeting<'_>) {
    let mut buffer = [0; LONGEST + 1];
    for ear in &mut *ears {
        let Some(group) = &ear.group else { continue };
        for _ in 0..AT_ONCE {
            let Some((length, from)) = group.receive(&mut buffer) else { break };
            let Some(greeting) = meeting.accept(place, &buffer[..length], from) else { continue };
            for (position, _) in &ear.routers {
                let router = &mut place.routers[*position];
                if !router.unicast && meeting.note(router, &greeting, from, true) {
                    ear.by_group.insert(greeting.host.clone());
                }
            }
        }
    }
    for _ in 0..AT_ONCE {
        let Some((length, from)) = direct.receive(&mut buffer) else { break };
        let Some(greeting) = meeting.accept(place, &buffer[..length], from) else { continue };
        for ear in &mut *ears {
            for (position, _) in &ear.routers {
                let router = &mut place.routers[*position];
                if meeting.note(router, &greeting, from, false) && router.unicast {
                    ear.directly.insert(greeting.host.clone());
                }
            }
        }
    }
}

impl Meeting<'_> {
    fn accept(&self, place: &mut Place, bytes: &[u8], from: IpAddr) -> Option<Greeting> {
        let greeting = Greeting::decode(bytes)?;
        if greeting.system != place.system || self.own.contains(&from) {
            return None;
        }
        if greeting.host == place.host {
            if greeting.run != self.run && place.doubles.len() < SENDERS {
                place.doubles.insert(from);
            }
            return None;
        }
        if place.routers.iter().flat_map(|router| &router.peers).any(|peer| peer.host == greeting.host) {
            place.clocks.insert(greeting.host.clone(), greeting.ahead(SystemTime::now()));
        }
        Some(greeting)
    }

    /// Whether the greeting is about this router, from one of its candidates.
    fn note(&self, router: &mut Router, greeting: &Greeting, from: IpAddr, by_group: bool) -> bool {
        let about = greeting.router_ids.contains(&router.router_id);
        if !about || !router.peers.iter().any(|peer| peer.host == greeting.host) {
            return false;
        }
        let doctor = router.heard.doctors.entry(greeting.host.clone()).or_default();
        if doctor.from.len() < SENDERS {
            doctor.from.insert(from);
        }
        if by_group {
            doctor.by_group += 1;
        } else {
            doctor.directly += 1;
        }
        if greeting.hears.contains(&self.host) {
            doctor.hears_us = true;
        } else if self.known {
            doctor.deaf += 1;
        }
        true
    }
}
