//! Mistakes that the simulator found in the machine, each in as few steps as show it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use nines_system::VrrpVersion;

use crate::vrrp::{Advertisement, Fitness, Input, Output, Routers, Settings};

const INTERVAL: Duration = Duration::from_millis(100);

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

/// A router of priority 100 on 10.0.0.100, which preempts at once and lingers for two seconds.
fn router(router_id: u8) -> Settings {
    Settings {
        name: format!("vip{router_id}"),
        version: VrrpVersion::V3,
        router_id,
        addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 1, 0, router_id))],
        priority: 100,
        interval: INTERVAL,
        preempt: Some(Duration::ZERO),
        group: None,
        linger: Duration::from_secs(2),
        source: address(100),
        names: Vec::new(),
    }
}

struct Host {
    machine: Routers,
    settings: Vec<Settings>,
    now: Instant,
}

impl Host {
    /// Fit from the start.
    #[allow(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn new(settings: Vec<Settings>) -> Self {
        let now = Instant::now();
        let mut host = Self { machine: Routers::new(now, settings.clone()), settings, now };
        for router in 0..host.settings.len() {
            host.give(Input::Fitness { router, fitness: Fitness::Fit });
        }
        host
    }

    /// What the machine wants done, events left out.
    fn give(&mut self, input: Input) -> Vec<Output> {
        self.machine.handle(self.now, input);
        let outputs = std::iter::from_fn(|| self.machine.poll());
        outputs.filter(|output| !matches!(output, Output::Event { .. })).collect()
    }

    fn hear(&mut self, router: usize, last: u8, priority: u8) -> Vec<Output> {
        let settings = &self.settings[router];
        let advertisement = Advertisement {
            version: settings.version,
            router_id: settings.router_id,
            priority,
            interval: settings.interval,
            addresses: settings.addresses.clone(),
        };
        self.give(Input::Heard { router, from: address(last), advertisement })
    }

    /// Time passes, and every timer goes off when it is due.
    fn run_for(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some(due) = self.machine.deadline().filter(|due| *due <= end) {
            self.now = due;
            all.extend(self.give(Input::Timer));
        }
        self.now = end;
        all
    }

    fn become_(&mut self, fitness: &Fitness) -> Vec<Output> {
        (0..self.settings.len())
            .flat_map(|router| self.give(Input::Fitness { router, fitness: fitness.clone() }))
            .collect()
    }
}

fn lets_go(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::LetGo { .. }))
}

#[test]
fn who_is_drained_while_it_listens_lingers_until_another_was_heard() {
    let mut host = Host::new(vec![router(1)]);
    host.run_for(10 * INTERVAL);
    assert!(host.machine.is_master(0));
    host.now += 4 * INTERVAL;
    host.give(Input::Timer);
    assert!(!host.machine.is_master(0) && host.machine.holds(0), "it listens");

    let outputs = host.become_(&Fitness::Leaving("drained".to_owned()));
    assert!(matches!(&outputs[0], Output::Send { advertisement, .. } if advertisement.priority == 0));
    assert!(!lets_go(&outputs), "{outputs:?}");
    assert!(!lets_go(&host.run_for(Duration::from_secs(60))), "nobody has taken over");
    let outputs = host.hear(0, 1, 50);
    assert!(lets_go(&outputs), "{outputs:?}");
}

#[test]
fn who_stands_still_again_while_it_listens_listens_anew() {
    let mut host = Host::new(vec![router(1)]);
    host.run_for(10 * INTERVAL);
    host.now += 4 * INTERVAL;
    host.give(Input::Timer);
    host.now += 10 * INTERVAL;
    assert_eq!(host.give(Input::Timer), [], "what was said meanwhile may be lost: a whole host stood still");
    assert_eq!(host.run_for(3 * INTERVAL), []);
    assert!(!host.run_for(INTERVAL).is_empty(), "nobody was heard");
    assert!(host.machine.is_master(0));
}

#[test]
fn the_owner_of_one_address_takes_its_whole_group() {
    let group = Some("both".to_owned());
    let owner = Settings { priority: 255, group: group.clone(), ..router(1) };
    for settings in [
        vec![owner.clone(), Settings { group: group.clone(), ..router(2) }],
        vec![Settings { group, ..router(2) }, owner],
    ] {
        let host = Host::new(settings);
        assert!(host.machine.is_master(0) && host.machine.is_master(1));
    }
}

#[test]
fn of_two_equal_masters_of_a_group_one_stays() {
    let hosts = |group: Option<&str>| {
        let of = |first, second| {
            let one =
                |id, last| Settings { source: address(last), group: group.map(str::to_owned), ..router(id) };
            let mut host = Host::new(vec![one(1, first), one(2, second)]);
            host.run_for(10 * INTERVAL);
            host
        };
        // Each has the higher address for one of the two.
        [of(11, 12), of(21, 2)]
    };
    let [mut one, mut other] = hosts(Some("both"));
    // What both have said meets on the way.
    one.hear(0, 21, 100);
    one.hear(1, 2, 100);
    other.hear(0, 11, 100);
    other.hear(1, 12, 100);
    let masters = |host: &Host| [host.machine.is_master(0), host.machine.is_master(1)];
    assert_eq!((masters(&one), masters(&other)), ([false; 2], [true; 2]));

    let [mut one, mut other] = hosts(None);
    one.hear(0, 21, 100);
    one.hear(1, 2, 100);
    other.hear(0, 11, 100);
    other.hear(1, 12, 100);
    assert_eq!((masters(&one), masters(&other)), ([false, true], [true, false]), "each on its own");
}

#[test]
fn silence_is_judged_only_when_everything_that_has_arrived_was_read() {
    let mut host = Host::new(vec![router(1), router(2)]);
    host.hear(0, 1, 200);
    host.hear(1, 1, 200);
    // It ran late, but not so late that it doubts itself; an advertisement for each waits in the socket.
    host.now += 4 * INTERVAL;
    let fitness = Fitness::Sick("its pool is down".to_owned());
    assert_eq!(host.give(Input::Fitness { router: 0, fitness }), []);
    assert_eq!(host.hear(0, 1, 200), []);
    assert_eq!(host.hear(1, 1, 200), []);
    assert_eq!(host.give(Input::Timer), []);
    host.now += 4 * INTERVAL;
    assert_eq!(host.hear(0, 1, 200), []);
    host.give(Input::Timer);
    assert_eq!((host.machine.is_master(0), host.machine.is_master(1)), (false, true), "nothing was there");
}

#[test]
fn who_becomes_sick_does_not_push_aside_whom_it_was_about_to() {
    let mut host = Host::new(vec![router(1)]);
    host.run_for(3 * INTERVAL);
    host.hear(0, 1, 50);
    // It would take over before the next advertisement.
    host.become_(&Fitness::Sick("its pool is down".to_owned()));
    for _ in 0..100 {
        assert_eq!(host.run_for(INTERVAL), []);
        host.hear(0, 1, 50);
    }
}

#[test]
fn two_sick_hosts_that_do_not_preempt_leave_it_to_the_one_that_serves() {
    let mut host = Host::new(vec![Settings { preempt: None, ..router(1) }]);
    host.run_for(3 * INTERVAL);
    host.hear(0, 1, 2);
    // In health it would relieve the sick one.
    host.become_(&Fitness::Sick("its pool is down".to_owned()));
    for _ in 0..100 {
        assert_eq!(host.run_for(INTERVAL), []);
        host.hear(0, 1, 2);
    }
}

#[test]
fn who_comes_back_is_as_patient_as_the_master_that_it_has_heard() {
    let mut host = Host::new(vec![router(1)]);
    host.become_(&Fitness::Leaving("drained".to_owned()));
    host.settings[0].interval = 20 * INTERVAL;
    host.hear(0, 1, 50);
    host.become_(&Fitness::Unfit("no listener".to_owned()));
    host.become_(&Fitness::Fit);
    assert_eq!(host.run_for(20 * INTERVAL), [], "it speaks once in two seconds");
    host.run_for(60 * INTERVAL);
    assert!(host.machine.is_master(0));
}
