//! What was heard on the link of a virtual IP: which way it carries advertisements to and from each other candidate,
//! who else speaks there, and who answers for the addresses.

use std::net::IpAddr;
use std::time::Duration;

use nines_control::status::Standing;
use nines_control::vrrp::Cause;
use nines_system::{VrrpAuthentication, VrrpVersion};
use nines_virtual_ip::packet::Refused;

use super::{Findings, PeerReport, listed, others};
use crate::commands::doctor::facts::{Peer, Place, Router, Speaker};
use crate::terminal;

/// Greetings that don't tell of this host, before it counts as unheard.
const DEAF: u64 = 4;
/// The least priority of a host that is well.
const HEALTHY: u8 = 20;

pub(super) fn judge(place: &Place, router: &Router, findings: &mut Findings) -> Vec<PeerReport> {
    if !router.heard.trouble.is_empty() {
        findings.warn(
            &router.name,
            format!("its link could not be listened to as it should: {}", router.heard.trouble.join("; ")),
            "run `nines doctor` as root, or with CAP_NET_RAW",
        );
    }
    let peers: Vec<Way<'_>> = router.peers.iter().map(|peer| Way::to(router, peer)).collect();
    for way in &peers {
        way.tell(router, findings);
        if let Some(speaker) = way.speaker {
            refusals(router, &way.peer.host, speaker, findings);
            differences(router, way.peer, speaker, findings);
        }
    }
    others::strangers(router, &peers, findings);
    others::answers(place, router, findings);
    let own = |id: &u8| place.routers.iter().any(|router| router.router_id == *id);
    let ids: Vec<String> =
        router.heard.other_ids.iter().filter(|id| !own(id)).map(ToString::to_string).collect();
    if !ids.is_empty() {
        findings
            .note(&router.name, format!("other virtual routers are on its link: router id {}", listed(&ids)));
    }
    peers.iter().map(|way| way.report(router)).collect()
}

/// One other candidate, and what its link carries.
pub(super) struct Way<'a> {
    pub(super) peer: &'a Peer,
    pub(super) speaker: Option<&'a Speaker>,
    /// From there to here, and how that is known.
    heard: Option<(bool, &'static str)>,
    /// From here to there.
    hears_us: Option<(bool, &'static str)>,
}

impl<'a> Way<'a> {
    fn to(router: &'a Router, peer: &'a Peer) -> Self {
        let heard = &router.heard;
        let doctor = heard.doctors.get(&peer.host);
        let from = |source: &IpAddr| {
            peer.address == Some(*source) || doctor.is_some_and(|doctor| doctor.from.contains(source))
        };
        let speaker = heard.speakers.iter().find(|(source, _)| from(source)).map(|(_, speaker)| speaker);
        let greeted =
            doctor.map_or(0, |doctor| if router.unicast { doctor.directly } else { doctor.by_group });
        let master = is_master(router);
        // Only the other way round would its greetings come to this host alone.
        let only_directly = doctor.is_some_and(|doctor| !router.unicast && doctor.directly >= DEAF);
        let answers_too =
            heard.answers.values().flatten().any(|card| heard.cards.get(card) == Some(&peer.host));

        let there_to_here = if speaker.is_some() {
            Some((true, "it advertises"))
        } else if greeted > 0 {
            Some((true, "its doctor is heard"))
        } else if only_directly {
            Some((false, "its doctor's greetings come to this host alone, and not by the multicast group"))
        } else if master && answers_too && !took_over_in_peace(router) {
            Some((
                false,
                "it answers for the address as this host does, and its advertisements are not heard",
            ))
        } else {
            None
        };
        let yields = speaker.is_some_and(|speaker| {
            speaker.accepted >= 3 && speaker.priority > 0 && speaker.priority < own_priority(router)
        });
        let here_to_there = match doctor {
            Some(doctor) if doctor.hears_us => Some((true, "its doctor says so")),
            Some(doctor) if doctor.deaf >= DEAF => Some((false, "its doctor says so")),
            _ if master && yields => Some((
                false,
                "it goes on advertising a lower priority, which it would not if it heard this host",
            )),
            _ => None,
        };
        Self { peer, speaker, heard: there_to_here, hears_us: here_to_there }
    }

    fn tell(&self, router: &Router, findings: &mut Findings) {
        let about = &router.name;
        let host = &self.peer.host;
        let name = match self.peer.address {
            Some(address) => format!("{host} ({address})"),
            None => host.clone(),
        };
        let what = if router.unicast { "VRRP" } else { "multicast" };
        let remedy = |from: &str| {
            if router.unicast {
                format!("let IP protocol 112 pass from {from} in every firewall between them")
            } else {
                format!(
                    "let IP protocol 112 to 224.0.0.18 (ff02::12) pass from {from} in firewalls and switches (IGMP \
                     snooping); where multicast is not carried, `unicast = true`"
                )
            }
        };
        if let Some((false, why)) = self.heard {
            findings.wrong(about, format!("{what} from {name} to this host is lost: {why}"), remedy(host));
        }
        if let Some((false, why)) = self.hears_us {
            findings.wrong(about, format!("{what} from this host to {name} is lost: {why}"), remedy("here"));
        }
        let advertises = self.speaker.map(|speaker| {
            let every = terminal::duration(u64::try_from(speaker.interval.as_millis()).unwrap_or(u64::MAX));
            format!("advertises with priority {} every {every}", speaker.priority)
        });
        match (self.heard, self.hears_us) {
            (Some((true, why)), Some((true, _))) => {
                let why = advertises.unwrap_or_else(|| why.to_owned());
                findings.ok(
                    about,
                    format!("{name} and this host hear each other: it {why}").replace("it its", "its"),
                );
            }
            (Some((true, why)), None) => {
                let why = advertises.map_or_else(|| why.to_owned(), |text| format!("it {text}"));
                findings.add(
                    super::Level::Note,
                    about,
                    format!("{name} is heard: {why}; the other way is not used now"),
                    self.both_ways(router),
                );
            }
            (None, None) => self.nothing(router, &name, findings),
            (None, Some((true, _))) => findings.ok(about, format!("{name} hears this host")),
            _ => {}
        }
    }

    fn both_ways(&self, router: &Router) -> String {
        let host = &self.peer.host;
        let drain = match &router.status {
            Some(status) if status.holder.as_deref() == Some(host) => {
                format!(", or `nines drain {host}` there")
            }
            _ => String::new(),
        };
        format!(
            "to test both directions, run `nines doctor FILE --host {host} --seconds 20` there at \
             the same time{drain}"
        )
    }

    fn nothing(&self, router: &Router, name: &str, findings: &mut Findings) {
        let answers = router.heard.cards.values().any(|host| *host == self.peer.host);
        let about = &router.name;
        let same_link = !router.unicast && router.heard.asked;
        let comparable = self.peer.address.is_some_and(|address| address.is_ipv6() == router.is_v6());
        if same_link && comparable && !answers {
            findings.warn(
                about,
                format!(
                    "{name} is not heard and does not answer {} on this link",
                    neighbour_question(router)
                ),
                format!("if {} is up, it is on another segment: an address can't move there", self.peer.host),
            );
        } else {
            let reach = if answers { ", but it is there: it answers for its own address" } else { "" };
            findings.add(
                super::Level::Note,
                about,
                format!("{name} is not heard{reach}; a host that stands by says nothing"),
                self.both_ways(router),
            );
        }
    }

    fn report(&self, router: &Router) -> PeerReport {
        PeerReport {
            virtual_ip: router.name.clone(),
            host: self.peer.host.clone(),
            address: self.peer.address.map(|address| address.to_string()),
            heard: self.heard.map(|(heard, _)| heard),
            hears_us: self.hears_us.map(|(hears, _)| hears),
            priority: self.speaker.map(|speaker| speaker.priority),
        }
    }
}

fn neighbour_question(router: &Router) -> &'static str {
    if router.is_v6() { "neighbour solicitations" } else { "ARP" }
}

pub(super) fn is_master(router: &Router) -> bool {
    router.status.as_ref().is_some_and(|status| status.state == Standing::Master)
}

/// Whether the one before it may still have the address, for what is connected there.
pub(super) fn took_over_in_peace(router: &Router) -> bool {
    let by_force = [Cause::Start, Cause::MasterSilent, Cause::Stall];
    router.status.as_ref().is_some_and(|status| {
        u128::from(status.since_ms) < router.linger.as_millis()
            && status.cause.is_none_or(|cause| !by_force.contains(&cause))
    })
}

/// As it is advertised now, if it is.
fn own_priority(router: &Router) -> u8 {
    router.status.as_ref().map_or(router.priority, |status| status.priority)
}

/// Advertisements that this host does not accept.
pub(super) fn refusals(router: &Router, who: &str, speaker: &Speaker, findings: &mut Findings) {
    for (refused, count) in &speaker.refused {
        let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
        findings.wrong(
            &router.name,
            format!("what {who} advertises is refused, {times}: {}", reason(router, speaker, *refused)),
            remedy(*refused),
        );
    }
}

fn reason(router: &Router, speaker: &Speaker, refused: Refused) -> String {
    let own = if router.version == VrrpVersion::V2 { 2 } else { 3 };
    match refused {
        Refused::Version => format!("it is version {}, and the file says {own}", speaker.version),
        Refused::Interval if router.version == VrrpVersion::V2 => format!(
            "it advertises every {} s and the file says {} s, and in version 2 all must agree",
            speaker.interval.as_secs(),
            router.interval.as_secs()
        ),
        Refused::AuthenticationType => {
            let ours = match &router.authentication {
                VrrpAuthentication::None => "none",
                VrrpAuthentication::Password(_) => "a password",
                VrrpAuthentication::Keys(_) => "keys",
            };
            format!("it is authenticated in another way than the file's, which is {ours}")
        }
        Refused::Password => "its password is another".to_owned(),
        Refused::UnknownKey => "it is signed with a key whose id the file does not have".to_owned(),
        Refused::Signature => "its signature is wrong: a key of the same id is another there".to_owned(),
        Refused::Stale => {
            "it was signed at another time than it is here: clocks disagree, or it is a replay".to_owned()
        }
        Refused::Replay => "it came twice: a replay, or a loop in the network".to_owned(),
        Refused::Ttl => "it passed a router, as its TTL is not 255".to_owned(),
        Refused::Destination if router.unicast => {
            "it is sent to the multicast group, and the file says unicast".to_owned()
        }
        Refused::Destination => "it is sent to this host alone, and the file says multicast".to_owned(),
        Refused::Stranger => "it is none of the peers that unicast is accepted from".to_owned(),
        Refused::Checksum => "its checksum is wrong".to_owned(),
        other => format!("it is malformed ({})", other.word()),
    }
}

fn remedy(refused: Refused) -> &'static str {
    match refused {
        Refused::Stale => "keep the clocks of all hosts right (chrony, systemd-timesyncd or ntpd)",
        Refused::Ttl | Refused::Replay => {
            "put the hosts on one segment, without a router or a loop between them"
        }
        Refused::Checksum | Refused::Truncated | Refused::Length | Refused::Count | Refused::Type => {
            "see what sends it, and whether a device between them changes packets"
        }
        _ => "the same file on every host; with another program, the same settings there",
    }
}

/// A candidate that goes by another file.
fn differences(router: &Router, peer: &Peer, speaker: &Speaker, findings: &mut Findings) {
    if speaker.accepted == 0 {
        return;
    }
    let same_file = "the same file on every host, and `systemctl reload nines` there";
    if !same_addresses(router, speaker) {
        findings.warn(
            &router.name,
            format!("{} advertises other addresses: {}", peer.host, addresses(speaker)),
            same_file,
        );
    }
    if speaker.priority >= HEALTHY && speaker.priority != peer.priority {
        findings.warn(
            &router.name,
            format!(
                "{} advertises priority {}, and the file says {}",
                peer.host, speaker.priority, peer.priority
            ),
            same_file,
        );
    }
    if speaker.interval != router.interval {
        let ms = |interval: Duration| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        findings.note(
            &router.name,
            format!(
                "{} advertises every {} and the file says {}; a backup goes by its master's",
                peer.host,
                terminal::duration(ms(speaker.interval)),
                terminal::duration(ms(router.interval))
            ),
        );
    }
}

pub(super) fn addresses(speaker: &Speaker) -> String {
    listed(&speaker.addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
}

pub(super) fn same_addresses(router: &Router, speaker: &Speaker) -> bool {
    let sorted = |addresses: &[IpAddr]| {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted
    };
    sorted(&router.addresses) == sorted(&speaker.addresses)
}
