//! Hosts that stand still again and again.

use super::*;
use crate::random::Random;
use crate::vrrp::router::hearing::SETTLED;

fn slow() -> Fitness {
    Fitness::Slow("stands still again and again".to_owned())
}

/// What a slow host of that priority advertises.
fn when_slow(priority: u8) -> u8 {
    crate::vrrp::timing::when_slow(priority)
}

#[test]
fn a_slow_master_says_so_serves_on_and_yields_to_a_healthy_host() {
    let mut scene = Scene::master(settings(200));
    let outputs = scene.fit(slow());
    assert_eq!(priorities(&outputs), [when_slow(200)]);
    assert!(scene.routers.is_master(0) && !lets_go(&outputs));
    assert_eq!(priorities(&scene.let_pass(Duration::from_secs(60))), [when_slow(200); 600]);
    assert!(lingers(&scene.hear(100)), "what is connected is served to its end");
}

#[test]
fn a_healthy_host_relieves_a_slow_one_whatever_preempt_says_once_it_has_followed_it_for_a_while() {
    for preempt in [None, Some(Duration::ZERO)] {
        let mut scene = Scene::backup(Settings { preempt, ..settings(100) }, 200);
        assert_eq!(takes(&scene.hear_for(Duration::from_secs(20), 200)), []);
        let early = scene.hear_for(SETTLED.checked_sub(Duration::from_secs(21)).unwrap(), when_slow(200));
        assert_eq!(takes(&early), []);
        assert_eq!(takes(&scene.hear_for(Duration::from_secs(2), when_slow(200))), [Some(host(11))]);
    }
}

#[test]
fn a_slow_host_relieves_a_sick_one_at_once_and_a_slow_one_never() {
    let backup = || {
        let mut scene = Scene::backup(settings(200), 210);
        scene.fit(slow());
        scene
    };
    assert_eq!(takes(&backup().hear_for(Duration::from_secs(120), when_slow(20))), []);
    let mut scene = backup();
    scene.hear(14);
    assert_eq!(takes(&scene.let_pass(INTERVAL)), [Some(host(11))]);
    // And takes over all the same from one that is gone.
    assert_eq!(takes(&backup().let_pass(Duration::from_secs(1))), [None]);
}

#[test]
fn who_lost_the_address_for_being_slow_does_not_take_it_back_at_once() {
    let mut scene = Scene::master(settings(200));
    scene.fit(slow());
    scene.hear(190);
    scene.fit(Fitness::Fit);
    assert_eq!(takes(&scene.hear_for(Duration::from_secs(29), 190)), []);
    assert_eq!(takes(&scene.hear_for(Duration::from_secs(2), 190)), [Some(host(11))]);
}

/// Two hosts on one link, on which everything arrives.
struct Pair {
    now: Instant,
    hosts: [Routers; 2],
    master: Option<usize>,
    /// When it went from one to the other.
    exchanged: Vec<Instant>,
}

impl Pair {
    fn new(priorities: [u8; 2], preempt: Option<Duration>) -> Self {
        let now = Scene::new(Vec::new()).now;
        let of = |at: usize| {
            let source = host(10 + u8::try_from(at).unwrap());
            Routers::new(now, vec![Settings { source, preempt, ..settings(priorities[at]) }])
        };
        Self { now, hosts: [of(0), of(1)], master: None, exchanged: Vec::new() }
    }

    fn give(&mut self, at: usize, input: Input) {
        self.hosts[at].handle(self.now, input);
        while let Some(output) = self.hosts[at].poll() {
            match output {
                Output::Send { router, advertisement } => {
                    let from = host(10 + u8::try_from(at).unwrap());
                    self.give(1 - at, Input::Heard { router, from, advertisement });
                }
                Output::Take { .. } => {
                    let before = self.master.replace(at);
                    self.exchanged.extend((before == Some(1 - at)).then_some(self.now));
                }
                _ => {}
            }
        }
    }

    fn let_pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((deadline, at)) = (0..2)
            .filter_map(|at| Some((self.hosts[at].deadline()?, at)))
            .min()
            .filter(|(at, _)| *at <= until)
        {
            self.now = self.now.max(deadline);
            self.give(at, Input::Timer);
        }
        self.now = until;
    }
}

/// However each of them is slow and well again, even without the hysteresis of [`Slowness`].
#[test]
fn two_hosts_that_are_slow_by_turns_exchange_the_address_at_most_every_thirty_seconds() {
    let mut exchanges = 0;
    for seed in 0..300 {
        let mut random = Random::seeded(seed);
        let second = if random.below(3) == 0 { 200 } else { 190 };
        let preempt = (random.below(4) > 0).then_some(Duration::ZERO);
        let mut pair = Pair::new([200, second], preempt);
        pair.give(0, Input::Fitness { router: 0, fitness: Fitness::Fit });
        pair.give(1, Input::Fitness { router: 0, fitness: Fitness::Fit });
        let (mut is_slow, mut changed) = ([false; 2], pair.now);
        let longest = [1, 100, 1000][random.below(3)];
        for _ in 0..200 {
            pair.let_pass(Duration::from_millis(10 * random.below(10 * longest) as u64));
            let one_is_well = is_slow[0] != is_slow[1];
            if one_is_well && pair.now > changed + SETTLED + Duration::from_secs(1) {
                let well = usize::from(is_slow[0]);
                assert!(pair.hosts[well].is_master(0), "seed {seed}: the slow one keeps it");
            }
            let at = random.below(2);
            is_slow[at] = !is_slow[at];
            let fitness = if is_slow[at] { slow() } else { Fitness::Fit };
            pair.give(at, Input::Fitness { router: 0, fitness });
            changed = pair.now;
        }
        for two in pair.exchanged.windows(2) {
            let after = two[1] - two[0];
            assert!(after >= SETTLED, "seed {seed}: again after {after:?}");
        }
        exchanges += pair.exchanged.len();
    }
    assert!(exchanges > 1000, "{exchanges}");
}

/// A host's measurements, each second.
struct Measured {
    now: Instant,
    turns: Turns,
    slowness: Slowness,
}

impl Measured {
    fn new() -> Self {
        let mut measured =
            Self { now: Scene::new(Vec::new()).now, turns: Turns::default(), slowness: Slowness::default() };
        measured.second(10, 0);
        measured
    }

    fn second(&mut self, all: u64, late: u64) -> bool {
        self.now += Duration::from_secs(1);
        self.turns.all += all;
        self.turns.late += late;
        // Another thread that is never late does not make up for it.
        let well = Turns { all: self.turns.all, late: 0 };
        self.slowness.look(self.now, || vec![well, self.turns]);
        self.slowness.is_slow()
    }

    /// After how many seconds of it something else is so.
    fn until(&mut self, all: u64, late: u64) -> usize {
        let before = self.slowness.is_slow();
        (1..10_000).find(|_| self.second(all, late) != before).unwrap()
    }
}

#[test]
fn a_host_is_slow_after_some_seconds_of_it_and_well_after_a_longer_time() {
    let mut host = Measured::new();
    assert_eq!(host.until(8, 4), 8);
    let well = host.until(10, 0);
    assert!((30..=40).contains(&well), "{well}");
    // Workers that do not turn at all are late as well.
    assert_eq!(host.until(0, 0), 8);
}

#[test]
fn a_busy_machine_and_a_single_pause_do_not_make_a_host_slow() {
    let mut random = Random::seeded(1);
    let mut host = Measured::new();
    for second in 0..100_000_u64 {
        // Most of its timers are late now and then, and some always; and at times it stands still for some seconds.
        let pause = second % 600 < 3;
        let late = if pause || random.below(20) == 0 { 9 } else { random.below(4) as u64 };
        let is_slow = host.second(10, late);
        assert!(!is_slow, "after {second} seconds");
    }
}

#[test]
fn one_that_is_slow_again_and_again_is_believed_later_each_time_and_its_past_is_forgotten() {
    let mut host = Measured::new();
    let mut held = Vec::new();
    for _ in 0..8 {
        host.until(10, 10);
        held.push(host.until(10, 0));
    }
    assert!(held.windows(2).take(4).all(|two| two[1] >= 2 * two[0] - 20), "{held:?}");
    assert!(held[7] <= 15 * 60 + 20 && held[7] >= 15 * 60, "{held:?}");
    for _ in 0..15 * 60 {
        host.second(10, 0);
    }
    host.until(10, 10);
    assert!(host.until(10, 0) < 45);
}

#[test]
fn whatever_is_measured_a_host_is_slow_for_thirty_seconds_at_least() {
    for seed in 0..50 {
        let mut random = Random::seeded(seed);
        let mut host = Measured::new();
        let (mut was, mut since) = (false, host.now);
        for _ in 0..2000 {
            let bad = random.below(2) == 0;
            for _ in 0..random.below(60) {
                let is_slow = host.second(10, if bad { 10 } else { 0 });
                if is_slow != was {
                    let lasted = host.now - since;
                    assert!(!was || lasted >= HOLD, "seed {seed}: {lasted:?}");
                    (was, since) = (is_slow, host.now);
                }
            }
        }
    }
}
