//! Who answers for a virtual address? Asked now and then, by a probe that disturbs nobody (RFC 5227 §2.1.1, RFC 4861 §7.2).
//!
//! While this host is the master, nobody else should; while another is, just one machine should.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use nines_control::vrrp::{Input, RouterIndex};

use crate::interface::Mac;

/// From one probe to the next.
const EVERY: Duration = Duration::from_secs(5);
/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a router is when it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Master,
    /// Another one was heard.
    Backup,
    /// There is nothing to ask: no part, no master, or a handover under way.
    Other,
}

#[derive(Debug)]
pub(crate) struct Probing {
    next: Instant,
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    role: Role,
    until: Instant,
    answers: BTreeMap<IpAddr, BTreeSet<Mac>>,
}

impl Probing {
    pub(crate) fn new(now: Instant) -> Self {
        Self { next: now + EVERY, asked: None }
    }

    /// Whether to ask now. Another role makes the question another one.
    pub(crate) fn is_due(&mut self, now: Instant, role: Role, addresses: &[IpAddr]) -> bool {
        if self.asked.as_ref().is_some_and(|asked| asked.role != role) {
            self.asked = None;
            self.next = now + EVERY;
        }
        if role == Role::Other {
            self.next = now + EVERY;
        }
        if self.asked.is_some() || now < self.next {
            return false;
        }
        self.next = now + EVERY;
        let answers = addresses.iter().map(|&address| (address, BTreeSet::new())).collect();
        self.asked = Some(Asked { role, until: now + PATIENCE, answers });
        true
    }

    pub(crate) fn answered(&mut self, address: IpAddr, mac: Mac) {
        if let Some(answers) = self.asked.as_mut().and_then(|asked| asked.answers.get_mut(&address)) {
            answers.insert(mac);
        }
    }

    /// What the answers mean, once they are in.
    pub(crate) fn result(&mut self, now: Instant, router: RouterIndex) -> Vec<Input> {
        if self.asked.as_ref().is_none_or(|asked| now < asked.until) {
            return Vec::new();
        }
        let Some(Asked { role, answers, .. }) = self.asked.take() else { return Vec::new() };
        let strange = answers.into_iter().filter_map(|(address, macs)| {
            let who: Vec<String> = macs.iter().map(ToString::to_string).collect();
            let by = who.join(" and ");
            match (role, macs.len()) {
                (Role::Master, 1..) => Some(Input::Answered { router, address, by }),
                (Role::Backup, 0) => Some(Input::Unanswered { router, address }),
                (Role::Backup, 2..) => Some(Input::Answered { router, address, by }),
                _ => None,
            }
        });
        strange.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 100));

    fn asked(role: Role, answers: &[u8]) -> Vec<Input> {
        let now = Instant::now();
        let mut probing = Probing::new(now);
        assert!(!probing.is_due(now, role, &[ADDRESS]));
        let now = now + EVERY;
        assert!(probing.is_due(now, role, &[ADDRESS]));
        for &last in answers {
            probing.answered(ADDRESS, Mac([2, 0, 0, 0, 0, last]));
        }
        assert_eq!(probing.result(now, 0), []);
        probing.result(now + PATIENCE, 0)
    }

    #[test]
    fn a_masters_address_has_no_other_answer_and_anothers_just_one() {
        assert_eq!(asked(Role::Master, &[]), []);
        assert!(matches!(asked(Role::Master, &[1])[..], [Input::Answered { .. }]));
        assert_eq!(asked(Role::Backup, &[1, 1]), []);
        assert!(matches!(asked(Role::Backup, &[])[..], [Input::Unanswered { .. }]));
        let two = asked(Role::Backup, &[1, 2]);
        let by = "02:00:00:00:00:01 and 02:00:00:00:00:02".to_owned();
        assert_eq!(two, [Input::Answered { router: 0, address: ADDRESS, by }]);
    }

    #[test]
    fn what_was_asked_in_another_role_is_forgotten() {
        let now = Instant::now();
        let mut probing = Probing::new(now);
        assert!(probing.is_due(now + EVERY, Role::Backup, &[ADDRESS]));
        assert!(!probing.is_due(now + EVERY, Role::Master, &[ADDRESS]));
        assert_eq!(probing.result(now + 2 * EVERY, 0), []);
    }
}
