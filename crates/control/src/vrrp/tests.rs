//! One host's routers, told what happens: what they do and say.

mod found;
mod slow;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use nines_system::VrrpVersion;

use super::*;
use crate::event::Kind;
use crate::status::Standing;

const INTERVAL: Duration = Duration::from_millis(100);
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 100));

fn host(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 1, last).into()
}

fn settings(priority: u8) -> Settings {
    Settings {
        name: "front/10.0.1.100".to_owned(),
        version: VrrpVersion::V3,
        router_id: 100,
        addresses: vec![ADDRESS],
        priority,
        interval: INTERVAL,
        preempt: Some(Duration::ZERO),
        group: None,
        linger: Duration::from_secs(30),
        source: host(10),
        names: vec![(host(10), "lb1".to_owned()), (host(11), "lb2".to_owned())],
    }
}

fn said(priority: u8) -> Advertisement {
    Advertisement {
        version: VrrpVersion::V3,
        router_id: 100,
        priority,
        interval: INTERVAL,
        addresses: vec![ADDRESS],
    }
}

struct Scene {
    now: Instant,
    routers: Routers,
}

impl Scene {
    #[allow(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn new(settings: Vec<Settings>) -> Self {
        let now = Instant::now();
        Self { now, routers: Routers::new(now, settings) }
    }

    /// Fit, and nobody else there: the master.
    fn master(settings: Settings) -> Self {
        let mut scene = Self::new(vec![settings]);
        scene.fit(Fitness::Fit);
        scene.let_pass(Duration::from_secs(1));
        assert!(scene.routers.is_master(0));
        scene
    }

    /// Fit, and a master of this priority is heard.
    fn backup(settings: Settings, master: u8) -> Self {
        let mut scene = Self::new(vec![settings]);
        scene.fit(Fitness::Fit);
        scene.hear(master);
        scene
    }

    fn done(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.routers.poll()).collect()
    }

    fn fit(&mut self, fitness: Fitness) -> Vec<Output> {
        self.routers.handle(self.now, Input::Fitness { router: 0, fitness });
        self.done()
    }

    fn hear(&mut self, priority: u8) -> Vec<Output> {
        self.hear_at(0, host(11), said(priority))
    }

    fn hear_at(&mut self, router: usize, from: IpAddr, advertisement: Advertisement) -> Vec<Output> {
        self.routers.handle(self.now, Input::Heard { router, from, advertisement });
        self.done()
    }

    /// Each deadline on time.
    fn let_pass(&mut self, time: Duration) -> Vec<Output> {
        let until = self.now + time;
        let mut all = Vec::new();
        while let Some(deadline) = self.routers.deadline().filter(|&deadline| deadline <= until) {
            self.now = deadline;
            self.routers.handle(self.now, Input::Timer);
            all.extend(self.done());
        }
        self.now = until;
        all
    }

    /// Time passes while somebody else advertises.
    fn hear_for(&mut self, time: Duration, priority: u8) -> Vec<Output> {
        let until = self.now + time;
        let mut all = Vec::new();
        while self.now < until {
            all.extend(self.let_pass(INTERVAL));
            all.extend(self.hear(priority));
        }
        all
    }

    fn standing(&self) -> Standing {
        self.routers.status(self.now)[0].state
    }

    fn why(&self) -> String {
        self.routers.status(self.now)[0].why.clone()
    }
}

fn priorities(outputs: &[Output]) -> Vec<u8> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { advertisement, .. } => Some(advertisement.priority),
        _ => None,
    });
    sent.collect()
}

fn takes(outputs: &[Output]) -> Vec<Option<IpAddr>> {
    let taken = outputs.iter().filter_map(|output| match output {
        Output::Take { from, .. } => Some(*from),
        _ => None,
    });
    taken.collect()
}

fn announces(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Announce { .. })).count()
}

fn lets_go(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::LetGo { .. }))
}

fn lingers(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Linger { .. }))
}

fn kinds(outputs: &[Output]) -> Vec<Kind> {
    let events = outputs.iter().filter_map(|output| match output {
        Output::Event { kind, .. } => Some(*kind),
        _ => None,
    });
    events.collect()
}

#[test]
fn who_hears_nobody_advertises_then_takes_then_tells() {
    let mut scene = Scene::new(vec![settings(200)]);
    assert_eq!(scene.let_pass(Duration::from_secs(5)), []);
    scene.fit(Fitness::Fit);
    assert_eq!(scene.let_pass(Duration::from_millis(321)), []);
    let outputs = scene.let_pass(Duration::from_millis(1));
    assert!(matches!(
        outputs.as_slice(),
        [Output::Send { .. }, Output::Take { from: None, .. }, Output::Event { kind: Kind::Taken, .. }]
    ));
    assert_eq!(scene.why(), "nobody was heard for 321 ms");
    let later = scene.let_pass(Duration::from_secs(1));
    assert_eq!(priorities(&later), [200; 10]);
}

#[test]
fn a_master_that_falls_silent_is_replaced_and_nothing_is_sent_back_to_it() {
    let mut scene = Scene::backup(settings(100), 200);
    assert_eq!(scene.hear_for(Duration::from_secs(3), 200), []);
    let outputs = scene.let_pass(Duration::from_millis(361));
    assert_eq!(takes(&outputs), [None]);
    assert_eq!(scene.why(), "lb2 (10.0.1.11) has not been heard for 360 ms");
}

#[test]
fn a_backup_goes_by_its_masters_interval_and_a_master_by_its_own() {
    let mut scene = Scene::new(vec![settings(100)]);
    scene.fit(Fitness::Fit);
    let slow = Advertisement { interval: Duration::from_secs(1), ..said(200) };
    scene.hear_at(0, host(11), slow);
    assert_eq!(takes(&scene.let_pass(Duration::from_millis(3600))), []);
    let outputs = scene.let_pass(Duration::from_millis(10));
    assert_eq!(takes(&outputs), [None]);
    assert_eq!(priorities(&scene.let_pass(Duration::from_secs(1))).len(), 10);
}

#[test]
fn who_resigns_is_followed_within_the_skew_and_gets_its_late_packets() {
    let mut scene = Scene::backup(settings(100), 200);
    scene.hear(0);
    let outputs = scene.let_pass(Duration::from_millis(61));
    assert_eq!(takes(&outputs), [Some(host(11))]);
    assert_eq!(scene.why(), "lb2 (10.0.1.11) gave it up");
}

#[test]
fn another_that_resigns_changes_nothing_while_the_master_is_heard() {
    let mut scene = Scene::backup(settings(100), 200);
    scene.hear_at(0, host(12), said(0));
    assert_eq!(takes(&scene.hear_for(Duration::from_secs(1), 200)), []);
}

#[test]
fn of_two_masters_the_greater_is_followed_and_the_lesser_may_yield() {
    let mut scene = Scene::backup(settings(50), 200);
    scene.hear_at(0, host(12), said(100));
    scene.hear_at(0, host(12), said(0));
    assert_eq!(takes(&scene.hear_for(Duration::from_secs(1), 200)), []);
}

#[test]
fn the_preferred_takes_over_from_one_that_serves() {
    let mut scene = Scene::backup(settings(200), 100);
    let outputs = scene.hear_for(Duration::from_millis(400), 100);
    assert_eq!(takes(&outputs), [Some(host(11))]);
    assert_eq!(scene.why(), "preferred: priority 200 before 100 of lb2 (10.0.1.11)");
}

#[test]
fn the_preferred_waits_where_it_is_told_to() {
    let mut scene = Scene::backup(Settings { preempt: None, ..settings(200) }, 100);
    assert_eq!(takes(&scene.hear_for(Duration::from_secs(60), 100)), []);
    let delay = Some(Duration::from_secs(5));
    let mut scene = Scene::backup(Settings { preempt: delay, ..settings(200) }, 100);
    assert_eq!(takes(&scene.hear_for(Duration::from_millis(4900), 100)), []);
    assert_eq!(takes(&scene.hear_for(Duration::from_secs(1), 100)), [Some(host(11))]);
}

#[test]
fn a_master_yields_to_a_higher_priority_and_lingers() {
    let mut scene = Scene::master(settings(100));
    let outputs = scene.hear(200);
    assert!(lingers(&outputs) && !lets_go(&outputs));
    assert_eq!(kinds(&outputs), [Kind::Released]);
    assert_eq!(priorities(&outputs), [0]);
    let outputs = scene.hear_for(Duration::from_secs(31), 200);
    assert_eq!(priorities(&outputs), [0]);
    assert_eq!(outputs.last(), Some(&Output::LetGo { router: 0 }));
}

#[test]
fn of_two_equal_masters_the_higher_address_stays() {
    let mut scene = Scene::master(settings(100));
    assert!(lingers(&scene.hear(100)));
    let mut scene = Scene::master(settings(100));
    scene.let_pass(Duration::from_millis(50));
    let outputs = scene.hear_at(0, host(9), said(100));
    assert_eq!(priorities(&outputs), [100]);
    assert!(scene.routers.is_master(0));
}

#[test]
fn two_masters_are_told_answered_at_once_and_announced_over_until_one_is_left() {
    let mut scene = Scene::master(settings(200));
    scene.let_pass(Duration::from_secs(60));
    scene.let_pass(Duration::from_millis(50));
    let outputs = scene.hear(100);
    assert_eq!(priorities(&outputs), [200]);
    assert_eq!(kinds(&outputs), [Kind::Conflict]);
    assert_eq!(announces(&outputs), 1);
    assert!(outputs.contains(&Output::Announce { router: 0, from: Some(host(11)) }));
    let contended = announces(&scene.hear_for(Duration::from_secs(5), 100));
    assert!((45..=55).contains(&contended), "{contended}");
    let lasting = announces(&scene.hear_for(Duration::from_secs(10), 100));
    assert!((9..=11).contains(&lasting), "{lasting}");
    let problems = scene.routers.status(scene.now)[0].problems.clone();
    assert!(problems[0].contains("does not hear this host"), "{problems:?}");
    let over = scene.let_pass(Duration::from_millis(301));
    assert_eq!(announces(&over), 1);
    assert_eq!(scene.routers.status(scene.now)[0].problems, Vec::<String>::new());
    assert_eq!(scene.routers.status(scene.now)[0].conflicts, 1);
}

#[test]
fn who_never_heard_of_a_second_master_announces_itself_when_that_one_yields() {
    let mut scene = Scene::master(settings(200));
    scene.let_pass(Duration::from_secs(60));
    let outputs = scene.hear(0);
    assert!(outputs.contains(&Output::Announce { router: 0, from: Some(host(11)) }));
    assert_eq!(kinds(&outputs), []);
    assert!(scene.routers.status(scene.now)[0].problems.is_empty());
    assert_eq!(announces(&scene.let_pass(Duration::from_millis(301))), 1);
}

#[test]
fn a_master_announces_soon_and_then_now_and_then() {
    let mut scene = Scene::master(settings(200));
    let soon = announces(&scene.let_pass(Duration::from_secs(10)));
    assert!((9..=11).contains(&soon), "{soon}");
    let later = announces(&scene.let_pass(Duration::from_secs(300)));
    assert!((9..=11).contains(&later), "{later}");
}

#[test]
fn after_a_stall_it_says_nothing_before_it_has_listened() {
    let mut scene = Scene::master(settings(200));
    scene.now += Duration::from_secs(5);
    scene.routers.handle(scene.now, Input::Timer);
    let outputs = scene.done();
    assert_eq!(kinds(&outputs), [Kind::Standby]);
    assert_eq!(outputs.len(), 1);
    assert_eq!(scene.standing(), Standing::Listening);
    assert!(scene.routers.holds(0));
    assert_eq!(takes(&scene.let_pass(Duration::from_millis(330))), [None]);
}

#[test]
fn after_a_stall_whoever_took_over_stays_and_what_hangs_is_reset() {
    let mut scene = Scene::master(settings(200));
    scene.now += Duration::from_secs(5);
    let outputs = scene.hear(100);
    assert!(lets_go(&outputs) && !lingers(&outputs));
    assert_eq!(kinds(&outputs), [Kind::Standby, Kind::Released]);
    assert!(priorities(&outputs).is_empty());
    // However preferred: not while it is on probation.
    assert_eq!(scene.hear_for(Duration::from_secs(29), 100), []);
    assert_eq!(takes(&scene.hear_for(Duration::from_secs(2), 100)), [Some(host(11))]);
}

#[test]
fn a_backup_that_slept_past_its_masters_silence_listens_first() {
    let mut scene = Scene::backup(settings(100), 200);
    scene.now += Duration::from_secs(5);
    scene.routers.handle(scene.now, Input::Timer);
    assert_eq!(scene.done(), []);
    assert_eq!(scene.hear_for(Duration::from_secs(1), 200), []);
}

#[test]
fn who_leaves_resigns_first_and_lingers_until_another_has_taken_over_and_all_is_idle() {
    let mut scene = Scene::master(settings(200));
    let outputs = scene.fit(Fitness::Leaving("the operator drains lb1".to_owned()));
    assert!(matches!(
        outputs.as_slice(),
        [Output::Send { .. }, Output::Linger { .. }, Output::Event { kind: Kind::Released, .. }]
    ));
    assert_eq!(priorities(&outputs), [0]);
    scene.routers.handle(scene.now, Input::Idle { router: 0 });
    assert_eq!(scene.done(), []);
    scene.hear(100);
    scene.routers.handle(scene.now, Input::Idle { router: 0 });
    let outputs = scene.done();
    assert_eq!(priorities(&outputs), [0]);
    assert!(lets_go(&outputs));
    assert_eq!(scene.routers.status(scene.now)[0].holder.as_deref(), Some("lb2"));
}

#[test]
fn an_address_that_nobody_takes_over_is_kept_and_told_of() {
    let mut scene = Scene::master(settings(200));
    scene.fit(Fitness::Leaving("drained".to_owned()));
    let outputs = scene.let_pass(Duration::from_secs(100));
    assert_eq!(kinds(&outputs), [Kind::Conflict]);
    assert!(!lets_go(&outputs) && scene.routers.holds(0));
    assert_eq!(scene.routers.status(scene.now)[0].problems.len(), 1);
    assert!(lets_go(&scene.hear(100)));
}

#[test]
fn who_can_no_longer_serve_resigns_and_resets() {
    let mut scene = Scene::master(settings(200));
    let outputs = scene.fit(Fitness::Unfit("no listener is open".to_owned()));
    assert_eq!(priorities(&outputs), [0]);
    assert!(lets_go(&outputs));
    assert_eq!(scene.standing(), Standing::Off);
    assert_eq!(scene.let_pass(Duration::from_secs(5)), []);
}

#[test]
fn the_sick_let_the_healthy_go_before_whatever_preempt_says() {
    let mut scene = Scene::master(settings(200));
    let outputs = scene.fit(Fitness::Sick("every member of web is down".to_owned()));
    assert!(priorities(&outputs)[0] < HEALTHY);
    assert!(scene.routers.is_master(0));
    assert!(lingers(&scene.hear(100)));

    let mut scene = Scene::backup(Settings { preempt: None, ..settings(100) }, 200);
    scene.hear(14);
    assert_eq!(takes(&scene.let_pass(Duration::from_millis(61))), [Some(host(11))]);
}

#[test]
fn the_sick_stay_where_all_are() {
    let mut scene = Scene::backup(settings(100), 200);
    scene.fit(Fitness::Sick("every member of web is down".to_owned()));
    assert_eq!(takes(&scene.hear_for(Duration::from_secs(10), 15)), []);
}

#[test]
fn the_owner_waits_for_nobody() {
    let mut scene = Scene::new(vec![settings(255)]);
    assert_eq!(takes(&scene.fit(Fitness::Fit)), [None]);
}

#[test]
fn version_2_keeps_to_its_own_interval() {
    let second = Duration::from_secs(1);
    let v2 = Settings { version: VrrpVersion::V2, interval: second, ..settings(100) };
    let mut scene = Scene::new(vec![v2]);
    scene.fit(Fitness::Fit);
    let says = |interval| Advertisement { version: VrrpVersion::V2, interval, ..said(200) };
    for _ in 0..10 {
        scene.hear_at(0, host(11), says(second));
        assert_eq!(takes(&scene.let_pass(second)), []);
    }
    scene.hear_at(0, host(11), says(2 * second));
    assert_eq!(takes(&scene.let_pass(3 * second)), [None]);
}

/// Two addresses of one group, and a machine that has heard nobody.
fn pair() -> Scene {
    let group = Some("edge".to_owned());
    let one = Settings { group: group.clone(), ..settings(100) };
    let two = Settings { group, router_id: 101, name: "front/10.0.1.101".to_owned(), ..settings(100) };
    let mut scene = Scene::new(vec![one, two]);
    for router in 0..2 {
        scene.routers.handle(scene.now, Input::Fitness { router, fitness: Fitness::Fit });
    }
    scene.done();
    scene
}

fn said_of_the_second(priority: u8) -> Advertisement {
    Advertisement { router_id: 101, ..said(priority) }
}

#[test]
fn a_group_moves_as_one() {
    let mut scene = pair();
    assert_eq!(takes(&scene.let_pass(Duration::from_secs(1))).len(), 2);
    let outputs = scene.hear_at(1, host(11), said_of_the_second(200));
    assert_eq!(priorities(&outputs), [0, 0]);
    assert!(!scene.routers.is_master(0) && !scene.routers.is_master(1));
    let outputs = scene.fit(Fitness::Unfit("eth0 has no link".to_owned()));
    assert_eq!(outputs.iter().filter(|output| matches!(output, Output::LetGo { .. })).count(), 2);
    assert!(scene.routers.status(scene.now).iter().all(|status| status.state == Standing::Off));
}

#[test]
fn a_group_does_not_move_while_one_of_its_masters_is_heard() {
    let mut scene = pair();
    for _ in 0..20 {
        scene.hear_at(0, host(11), said(200));
        assert_eq!(takes(&scene.let_pass(INTERVAL)), []);
    }
    assert_eq!(scene.routers.status(scene.now)[1].problems.len(), 1);
    assert_eq!(takes(&scene.let_pass(Duration::from_secs(1))).len(), 2);
}

#[test]
fn a_stranger_that_answers_is_told_of_once_and_announced_over() {
    let mut scene = Scene::master(settings(200));
    scene.let_pass(Duration::from_secs(40));
    let stranger = || Input::Answered { router: 0, address: ADDRESS, by: "02:00:00:00:00:09".to_owned() };
    scene.routers.handle(scene.now, stranger());
    let outputs = scene.done();
    assert_eq!(kinds(&outputs), [Kind::Conflict]);
    assert_eq!(announces(&outputs), 1);
    scene.let_pass(Duration::from_secs(5));
    scene.routers.handle(scene.now, stranger());
    assert_eq!(kinds(&scene.done()), []);
    scene.let_pass(Duration::from_secs(20));
    assert_eq!(scene.routers.status(scene.now)[0].problems, Vec::<String>::new());
}

#[test]
fn a_router_that_stays_in_the_file_goes_on_as_what_it_is() {
    let mut scene = Scene::master(settings(200));
    let new = Settings { router_id: 101, name: "front/10.0.1.101".to_owned(), ..settings(200) };
    scene.routers.replace(scene.now, vec![new, settings(150)]);
    assert!(!scene.routers.is_master(0) && scene.routers.is_master(1));
    assert_eq!(priorities(&scene.let_pass(Duration::from_secs(1))), [150; 10]);
}

fn of_group(number: u8) -> Settings {
    let name = format!("front/10.0.1.{number}");
    Settings { name, router_id: number, group: Some("edge".to_owned()), ..settings(100) }
}

#[test]
fn a_router_that_leaves_a_group_takes_nobody_with_it() {
    let mut scene = pair();
    assert_eq!(takes(&scene.let_pass(Duration::from_secs(1))).len(), 2);
    scene.routers.abandon(scene.now, 1, "no longer in the file");
    let outputs = scene.done();
    assert!(
        outputs.contains(&Output::LetGo { router: 1 }) && !outputs.contains(&Output::LetGo { router: 0 })
    );
    scene.routers.replace(scene.now, vec![of_group(100)]);
    scene.let_pass(Duration::from_secs(1));
    assert!(scene.routers.is_master(0));
}

#[test]
fn a_router_that_joins_a_group_joins_it_as_what_it_is() {
    let mut scene = pair();
    assert_eq!(takes(&scene.let_pass(Duration::from_secs(1))).len(), 2);
    scene.routers.replace(scene.now, vec![of_group(102), of_group(100), of_group(101)]);
    assert_eq!(takes(&scene.done()), [None]);
    assert!((0..3).all(|router| scene.routers.is_master(router)));

    let mut scene = pair();
    scene.hear_at(0, host(11), said(200));
    scene.hear_at(1, host(11), said_of_the_second(200));
    scene.routers.replace(scene.now, vec![of_group(102), of_group(100), of_group(101)]);
    assert!(takes(&scene.let_pass(Duration::from_millis(200))).is_empty());
}

#[test]
fn who_was_out_when_another_resigned_still_knows_whose_packets_are_late() {
    let mut scene = Scene::new(vec![settings(100)]);
    scene.hear(0);
    scene.fit(Fitness::Fit);
    assert_eq!(takes(&scene.let_pass(Duration::from_secs(1))), [Some(host(11))]);
}

#[test]
fn who_gave_up_says_so_until_somebody_has_heard_it() {
    let mut scene = Scene::master(settings(200));
    scene.fit(Fitness::Leaving("drained".to_owned()));
    assert_eq!(priorities(&scene.let_pass(Duration::from_secs(1))), [0; 10]);
    scene.hear(100);
    assert!(priorities(&scene.let_pass(Duration::from_secs(1))).is_empty());
}

#[test]
fn probation_can_be_seen() {
    let mut scene = Scene::master(settings(200));
    scene.now += Duration::from_secs(5);
    scene.hear(100);
    scene.hear_for(Duration::from_secs(1), 100);
    assert!(scene.why().contains("for another 29 s"), "{}", scene.why());
}

#[test]
fn words_are_what_serde_writes() {
    for cause in Cause::ALL {
        assert_eq!(serde_json::to_value(cause).unwrap(), cause.word());
    }
}
