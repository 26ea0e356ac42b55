//! What can be wrong with an address that this host answers for or follows, and when to announce it anew.
//!
//! Neighbours keep what they were told last: an announcement that was lost, or a wrong one, sends clients astray for
//! minutes. So a master announces again and again, soon after it took over and more slowly later; at once when another
//! master is heard, and once more when that one has fallen silent.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::router::Heard;

/// From one announcement to the next, soon after taking over and while there are two masters.
const SOON: Duration = Duration::from_secs(1);
/// How long after taking over that is.
const FRESH: Duration = Duration::from_secs(10);
/// The first repetition.
const FIRST: Duration = Duration::from_millis(100);
/// The slow refresh.
const LATER: Duration = Duration::from_secs(30);
/// How long the result of a probe is believed: longer than from one to the next.
const BELIEVED: Duration = Duration::from_secs(15);
/// How long each word of a second master is answered by an announcement: it announces itself as well, and a deaf one can't
/// be told to stop.
const CONTENDED: Duration = Duration::from_secs(5);
/// The closest that announcements follow each other.
const CLOSEST: Duration = Duration::from_millis(50);
/// A second master that is heard for so long does not hear us.
const UNHEARD: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Default)]
pub(super) struct Problems {
    /// The next announcement; `None` unless this router is the master.
    announce_at: Option<Instant>,
    announced: Option<Instant>,
    /// Until when announcements follow fast.
    fresh_until: Option<Instant>,
    two_masters: Option<TwoMasters>,
    /// What a probe found, and when.
    probed: Option<(String, Instant)>,
    /// Times that a second master was heard.
    pub(super) conflicts: u64,
}

#[derive(Debug, Clone, Copy)]
struct TwoMasters {
    since: Instant,
    latest: Heard,
}

impl TwoMasters {
    fn over_at(&self) -> Instant {
        self.latest.at + 3 * self.latest.interval
    }
}

impl Problems {
    /// This router became the master. `from`: whose late packets must find their way for as long as `linger`.
    pub(super) fn begin(&mut self, now: Instant, from: Option<IpAddr>, linger: Duration) {
        let fresh = if from.is_some() { FRESH.max(linger + SOON) } else { FRESH };
        self.announce_at = Some(now + FIRST);
        self.fresh_until = Some(now + fresh);
        self.two_masters = None;
        self.probed = None;
    }

    /// It is the master no longer.
    pub(super) fn end(&mut self) {
        self.announce_at = None;
        self.fresh_until = None;
        self.two_masters = None;
        self.probed = None;
    }

    /// Another master was heard, which will yield to us as soon as it hears us. True when that begins.
    pub(super) fn two_masters(&mut self, heard: Heard) -> bool {
        if heard.priority == 0 {
            // It yields by its own word; what it was sent last, and whoever believed it last, may still be there.
            let since = self.two_masters.map_or(heard.at, |two| two.since);
            self.two_masters = Some(TwoMasters { since, latest: heard });
            self.announce_at = Some(heard.at);
            return false;
        }
        match &mut self.two_masters {
            Some(two) => {
                two.latest = heard;
                let closest = self.announced.map_or(heard.at, |at| at + CLOSEST);
                if heard.at < two.since + CONTENDED {
                    self.announce_at = self.announce_at.min(Some(closest.max(heard.at)));
                }
                false
            }
            None => {
                self.two_masters = Some(TwoMasters { since: heard.at, latest: heard });
                self.announce_at = Some(heard.at);
                self.conflicts += 1;
                true
            }
        }
    }

    /// The announcements that are due, with the host that late packets belong to. `fit`: a host that is not well does not
    /// call clients to itself.
    pub(super) fn tick(&mut self, now: Instant, fit: bool) -> Vec<Option<IpAddr>> {
        let mut due = Vec::new();
        let from = self.two_masters.map(|two| two.latest.from);
        let over = self.two_masters.is_some_and(|two| two.over_at() <= now);
        if over {
            self.two_masters = None;
        }
        if over || self.announce_at.is_some_and(|at| at <= now) {
            let fast = self.two_masters.is_some() || self.fresh_until.is_some_and(|until| now < until);
            self.announce_at = Some(now + if fast { SOON } else { LATER });
            if fit {
                self.announced = Some(now);
                due.push(from);
            }
        }
        due
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let over = self.two_masters.map(|two| two.over_at());
        [self.announce_at, over].into_iter().flatten().min()
    }

    /// A probe found something wrong; true when that is news.
    pub(super) fn probed(&mut self, now: Instant, what: String, announce: bool) -> bool {
        let news = self.found(now).is_none_or(|known| known != what);
        self.probed = Some((what, now));
        if announce && self.announce_at.is_some() {
            self.announce_at = Some(now);
        }
        news
    }

    fn found(&self, now: Instant) -> Option<&str> {
        let (what, at) = self.probed.as_ref()?;
        (now.saturating_duration_since(*at) < BELIEVED).then_some(what)
    }

    /// What is wrong now, each in a sentence.
    pub(super) fn sentences(&self, now: Instant, name_of: impl Fn(IpAddr) -> String) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(two) = self.two_masters.filter(|two| two.latest.priority > 0) {
            let name = name_of(two.latest.from);
            sentences.push(if now.saturating_duration_since(two.since) < UNHEARD {
                format!("{name} answers too")
            } else {
                format!("{name} answers too, and does not hear this host, which has the higher priority")
            });
        }
        sentences.extend(self.found(now).map(str::to_owned));
        sentences
    }
}
