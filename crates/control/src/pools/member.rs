//! One member of a pool: its health, the operator's wish, its probes, and how it starts again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nines_system::{Check, Probe};

use super::reach::{Candidate, Heard, Role};
use super::{Outbox, Probed, subject};
use crate::event::Kind;
use crate::gate::Standing;
use crate::health::{Checks, Ejections, Latest};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::status::{Health, Wish};
use crate::view::{MemberKey, MemberView};

/// Gates are asked again at once, but no two questions to one begin closer together than this; where nothing but the lag
/// was news, than the other, since it always is.
const GATE_SOON: Duration = Duration::from_millis(2);
const GATE_LAGS: Duration = Duration::from_millis(25);

/// Steps from a share of nothing to a full one.
const SLOW_START_STEPS: u32 = 10;

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) key: MemberKey,
    pub(super) address: Option<SocketAddr>,
    pub(super) wish: Wish,
    /// When a drain is over.
    pub(super) close_at: Option<Instant>,
    pub(super) checks: Checks,
    pub(super) ejections: Ejections,
    pub(super) schedule: Schedule,
    /// When it came back, until it has its full share.
    pub(super) slow_since: Option<Instant>,
    /// As it was in the latest view.
    pub(super) was_healthy: bool,
    /// Since the daemon started.
    pub(super) times_ejected: u64,
    /// When `checks.health` last changed.
    pub(super) since: Instant,
    /// Where a gate is asked: what it said.
    pub(super) heard: Option<Heard>,
    /// When the gate ceased to serve what the pool is for.
    ended: Option<Instant>,
    /// The latest answer differed from the one before in the lag alone.
    only_lags: bool,
}

impl Member {
    pub(super) fn new(now: Instant, key: MemberKey, probe: &Probe) -> Self {
        Self {
            key,
            address: None,
            wish: Wish::Ready,
            close_at: None,
            checks: Checks::new(probe),
            ejections: Ejections::default(),
            schedule: Schedule::default(),
            slow_since: None,
            was_healthy: false,
            times_ejected: 0,
            since: now,
            heard: None,
            ended: None,
            only_lags: false,
        }
    }

    /// Nothing is known of it any more, but who it is and what the operator wishes.
    pub(super) fn forget(&mut self, now: Instant, probe: &Probe) {
        self.checks = Checks::new(probe);
        self.ejections = Ejections::default();
        self.slow_since = None;
        self.since = now;
        self.heard = None;
        self.schedule.stop();
    }

    /// Starts or stops the probes, as everything else wants it.
    pub(super) fn arrange_probes(&mut self, now: Instant, probe: &Probe) {
        let wanted = self.wish != Wish::Maintenance && self.address.is_some() && *probe != Probe::None;
        if !wanted {
            self.schedule.stop();
        } else if self.schedule.is_stopped() {
            self.schedule.restart(now);
        }
    }

    /// The operator lets it work.
    pub(super) fn is_ready(&self) -> bool {
        self.wish == Wish::Ready
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.is_ready()
            && self.address.is_some()
            && self.checks.health == Health::Up
            && !self.ejections.is_ejected()
    }

    /// Its health can be spoken of.
    pub(super) fn is_known(&self) -> bool {
        self.address.is_some() && self.checks.health != Health::Unknown
    }

    /// Out because of the traffic alone; the only ones that the cap counts.
    pub(super) fn counts_as_ejected(&self) -> bool {
        self.is_ready() && self.checks.health == Health::Up && self.ejections.is_ejected()
    }

    pub(super) fn wish(
        &mut self,
        now: Instant,
        wish: Wish,
        rules: &nines_system::Pool,
        subject: &str,
        outbox: &mut Outbox,
    ) {
        if self.wish == wish {
            return;
        }
        self.wish = wish;
        let why = match wish {
            Wish::Ready => {
                self.close_at = None;
                "ready, as the operator wishes".to_owned()
            }
            Wish::Draining | Wish::Maintenance => {
                let close_at = *self.close_at.get_or_insert(now + rules.drain);
                let left = words(close_at.saturating_duration_since(now));
                let name = if wish == Wish::Draining { "draining" } else { "maintenance, no checks" };
                format!("{name}, as the operator wishes; what is in flight has {left}")
            }
        };
        outbox.event(Kind::Wish, subject, why);
        if wish == Wish::Maintenance {
            self.forget(now, &rules.check.probe);
        }
    }

    /// Its address, new or the same.
    pub(super) fn move_to(&mut self, now: Instant, address: SocketAddr, probe: &Probe) {
        let moved = self.address.is_some_and(|before| before != address);
        self.address = Some(address);
        if moved {
            self.forget(now, probe);
        }
    }

    /// Where to probe now, if a probe is due.
    pub(super) fn due(&self, now: Instant, rules: &nines_system::Pool) -> Option<SocketAddr> {
        let address = self.address.filter(|_| self.schedule.is_due(now))?;
        Some(SocketAddr::new(address.ip(), rules.check.port.unwrap_or(address.port())))
    }

    /// A probe whose result never came has failed.
    pub(super) fn give_up_lost(
        &mut self,
        now: Instant,
        rules: &nines_system::Pool,
        place: usize,
        random: &mut Random,
        outbox: &mut Outbox,
    ) {
        let Some(number) = self.schedule.is_lost(now) else { return };
        let Some(began) = self.schedule.end(number) else { return };
        let took = now.saturating_duration_since(began);
        let result = Probed::new(Err("the check did not end".to_owned()), took);
        self.judge(now, began, result, rules, &subject(rules, place), outbox);
        let wait = self.wait(now, &rules.check, random);
        self.schedule.again(now, wait);
    }

    /// Takes in the result of a probe that began at `began`.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        began: Instant,
        result: Probed,
        rules: &nines_system::Pool,
        subject: &str,
        outbox: &mut Outbox,
    ) {
        let needed = self.needed(&result, &rules.check);
        let (good, said) = match result.outcome {
            Ok(said) => (true, said),
            Err(said) => (false, said),
        };
        let before = self.checks.health;
        let latest = Latest { good, said: said.clone(), took: result.took, at: now };
        let change = self.checks.judge(latest, needed);
        if rules.check.is_of_gate() {
            self.hear(result.standing);
        }
        if good {
            self.ejections.good_check(began);
        }
        let Some((health, results)) = change else { return };
        self.since = now;
        let which = match (before, results) {
            (Health::Unknown, _) => "the first check".to_owned(),
            (_, 1) => "a check".to_owned(),
            (_, n) => format!("{n} checks in a row"),
        };
        if health == Health::Up {
            if self.ejections.is_over(now, &rules.check.probe) {
                self.ejections.end(now);
            } else if !self.ejections.is_ejected() {
                self.ejections.recovered();
            }
            let still = self.ejections.until().map(|until| until.saturating_duration_since(now));
            let out = still.map_or(String::new(), |left| format!("; still ejected for {}", words(left)));
            let verb = if results > 1 { "were" } else { "was" };
            outbox.event(Kind::Up, subject, format!("{which} {verb} good: {said}{out}"));
        } else {
            outbox.event(Kind::Down, subject, format!("{which} failed: {said}"));
        }
    }

    /// How many results like this one in a row decide. What a gate says, or that nobody listens there, decides alone.
    fn needed(&self, result: &Probed, check: &Check) -> u32 {
        let silent = result.took >= check.timeout && result.standing.is_none();
        match result.outcome {
            _ if check.is_of_gate() && !silent => 1,
            Ok(_) => check.rise,
            Err(_) => check.fall,
        }
    }

    /// What a gate said, or that it said nothing.
    fn hear(&mut self, standing: Option<Standing>) {
        self.only_lags = false;
        match (standing, &mut self.heard) {
            (Some(standing), before) => {
                let same = |heard: &Heard| {
                    (heard.standing.serves, heard.standing.term) == (standing.serves, standing.term)
                };
                self.only_lags = before.as_ref().is_some_and(same);
                *before = Some(Heard { standing, silent: false });
            }
            (None, heard) if self.checks.health == Health::Down => *heard = None,
            (None, Some(heard)) => heard.silent = true,
            (None, None) => {}
        }
    }

    /// The number of the standing that its gate need not say again.
    pub(super) fn seen(&self) -> u64 {
        self.heard.as_ref().filter(|heard| !heard.silent).map_or(0, |heard| heard.standing.number)
    }

    /// As one of a database's hosts.
    pub(super) fn candidate(&self) -> Option<Candidate> {
        let heard = self.heard.as_ref()?;
        Some(Candidate {
            ready: self.is_ready() && self.address.is_some(),
            silent: heard.silent,
            serves: heard.standing.serves,
            term: heard.standing.term,
        })
    }

    /// Its part in what workers see of a database's hosts.
    pub(super) fn view_of_host(
        &mut self,
        now: Instant,
        member: &nines_system::Member,
        slow_start: Duration,
        role: Role,
    ) -> MemberView {
        // In maintenance nobody is asked, and what is in flight has its time.
        let ended = !role.serves && self.wish != Wish::Maintenance;
        self.ended = if ended { self.ended.or(Some(now)) } else { None };
        let view = self.view(now, member, slow_start, None);
        MemberView {
            eligible: role.eligible,
            close_at: view.close_at.into_iter().chain(self.ended).min(),
            ..view
        }
    }

    /// From the begin of one probe to the next.
    pub(super) fn wait(&self, now: Instant, check: &Check, random: &mut Random) -> Duration {
        if check.is_of_gate() && self.heard.is_some() {
            return if self.only_lags { GATE_LAGS } else { GATE_SOON };
        }
        let fast = self.checks.is_unsettled() || self.ejections.has_failures(now) || check.is_of_gate();
        let wait = if fast { check.fast_interval.min(check.interval) } else { check.interval };
        let jitter = check.jitter.clamp(0.0, 1.0) * (2.0 * random.unit() - 1.0);
        wait.mul_f64(1.0 + jitter)
    }

    /// Its weight times 100, less while it starts slowly.
    fn share(&self, now: Instant, weight: u8, slow_start: Duration) -> u32 {
        let full = u32::from(weight.max(1)) * 100;
        match self.step(now, slow_start) {
            Some(step) => (full * step / SLOW_START_STEPS).max(1),
            None => full,
        }
    }

    /// Which tenth of its share it has, while it starts slowly.
    fn step(&self, now: Instant, slow_start: Duration) -> Option<u32> {
        let elapsed = now.saturating_duration_since(self.slow_since?);
        let length = slow_start / SLOW_START_STEPS;
        let step = 1 + elapsed.as_nanos().checked_div(length.as_nanos())?.min(10) as u32;
        (step <= SLOW_START_STEPS).then_some(step)
    }

    pub(super) fn view(
        &self,
        now: Instant,
        member: &nines_system::Member,
        slow_start: Duration,
        serving_all: Option<bool>,
    ) -> MemberView {
        let eligible = match serving_all {
            None => false,
            Some(true) => self.is_ready() && self.address.is_some(),
            Some(false) => self.is_healthy(),
        };
        let slow_start = if serving_all == Some(true) { Duration::ZERO } else { slow_start };
        MemberView {
            key: self.key,
            address: self.address,
            eligible,
            share: self.share(now, member.weight, slow_start),
            backup: member.backup,
            close_at: self.close_at,
        }
    }

    /// When it next wants attention.
    pub(super) fn deadline(&self, now: Instant, slow_start: Duration) -> Option<Instant> {
        let step = self.slow_since.zip(self.step(now, slow_start));
        let share = step.map(|(since, step)| since + slow_start / SLOW_START_STEPS * step);
        let ejection = self.ejections.until().filter(|&until| until > now);
        [self.schedule.deadline(), share, ejection].into_iter().flatten().min()
    }
}

/// A duration for a person: `5 s`, `200 ms`.
pub(super) fn words(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 if !ms.is_multiple_of(1000) => format!("{:.1} s", duration.as_secs_f64()),
        1000..120_000 => format!("{} s", ms / 1000),
        _ => format!("{} min", ms / 60_000),
    }
}
