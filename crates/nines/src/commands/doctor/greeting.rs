//! What the doctors of one system say to each other when they are run at the same time, so that each knows in which
//! direction the link carries what: a datagram of JSON, at most [`LONGEST`] bytes, to UDP port [`PORT`] of the group that
//! VRRP speaks to, and one to each other candidate alone. `docs/operations.md` describes it.
//!
//! Anybody on the link can send such a datagram, so nothing follows from one but words on a screen, and what is not
//! wholly right is passed over.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub(super) const PORT: u16 = 8475;
pub(super) const LONGEST: usize = 1400;
const VERSION: u32 = 1;
/// Names in a greeting.
const NAMES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// 1.
    nines_doctor: u32,
    pub(super) system: String,
    pub(super) host: String,
    /// Tells the runs of this program apart.
    pub(super) run: u64,
    /// When it was sent, in milliseconds since 1970.
    pub(super) clock_ms: u64,
    /// The virtual routers that it is about.
    pub(super) router_ids: BTreeSet<u8>,
    /// Hosts whose greetings came, in the way in which these routers advertise.
    pub(super) hears: BTreeSet<String>,
}

impl Greeting {
    pub(super) fn new(system: &str, host: &str, run: u64, router_ids: BTreeSet<u8>) -> Self {
        let (system, host) = (system.to_owned(), host.to_owned());
        Self { nines_doctor: VERSION, system, host, run, clock_ms: 0, router_ids, hears: BTreeSet::new() }
    }

    /// `None` if it is longer than anybody would read.
    pub(super) fn encode(&self, hears: impl Iterator<Item = String>, now: SystemTime) -> Option<Vec<u8>> {
        let hears = hears.take(NAMES).collect();
        let bytes = serde_json::to_vec(&Self { hears, clock_ms: milliseconds(now), ..self.clone() }).ok()?;
        (bytes.len() <= LONGEST).then_some(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > LONGEST {
            return None;
        }
        let greeting: Self = serde_json::from_slice(bytes).ok()?;
        (greeting.nines_doctor == VERSION).then_some(greeting)
    }

    /// By how many milliseconds the sender's clock is ahead.
    pub(super) fn ahead(&self, now: SystemTime) -> i64 {
        let there = i64::try_from(self.clock_ms).unwrap_or(i64::MAX);
        there.saturating_sub(i64::try_from(milliseconds(now)).unwrap_or(i64::MAX))
    }
}

fn milliseconds(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting() -> Greeting {
        Greeting::new("shop", "lb1", 7, [51].into())
    }

    #[test]
    fn a_greeting_arrives_as_it_was_sent() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_403_045);
        let bytes = greeting().encode(["lb2".to_owned()].into_iter(), now).unwrap();
        let got = Greeting::decode(&bytes).unwrap();
        assert_eq!(
            (got.host.as_str(), got.hears.clone(), got.router_ids.clone()),
            ("lb1", BTreeSet::from(["lb2".to_owned()]), BTreeSet::from([51]))
        );
        assert_eq!(got.ahead(now + Duration::from_secs(3)), -3000);
        assert_eq!(got.ahead(now - Duration::from_secs(3)), 3000);
    }

    #[test]
    fn what_is_no_greeting_is_passed_over() {
        let good = greeting().encode(std::iter::empty(), UNIX_EPOCH).unwrap();
        for length in 0..good.len() {
            assert_eq!(Greeting::decode(&good[..length]), None, "{length} bytes of it");
        }
        let text = String::from_utf8(good.clone()).unwrap();
        assert!(
            Greeting::decode(text.replace("\"nines_doctor\":1", "\"nines_doctor\":2").as_bytes()).is_none()
        );
        assert!(Greeting::decode(text.replace("51", "256").as_bytes()).is_none());
        assert!(Greeting::decode(text.replace("shop", &"x".repeat(LONGEST)).as_bytes()).is_none());
        assert!(Greeting::decode(&[b'['; LONGEST]).is_none());
        // Fields that came later do no harm.
        assert!(Greeting::decode(text.replacen('{', "{\"new\":1,", 1).as_bytes()).is_some());
    }

    #[test]
    fn a_greeting_never_grows_beyond_what_is_read() {
        let crowd = (0..1000).map(|n| format!("lb{n}"));
        let bytes = greeting().encode(crowd, UNIX_EPOCH).unwrap();
        assert_eq!(Greeting::decode(&bytes).unwrap().hears.len(), NAMES);
        let long = (0..1000).map(|n| format!("{n}{}", "x".repeat(200)));
        assert_eq!(greeting().encode(long, UNIX_EPOCH), None);
    }
}
