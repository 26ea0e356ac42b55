//! The world by itself, with a program that does nothing but talk.

use std::time::{Duration, Instant};

use nines_simulator::{
    Clock, Conditions, Doing, Fault, Happened, HostIndex, HostState, INBOX, Input, Program, World,
};

const BEAT: Duration = Duration::from_millis(10);

/// Says a number every beat, the next one each time; its process remembers what it was told, its host counts lives.
#[derive(Default)]
struct Talker {
    lives: u64,
    process: Option<Process>,
}

struct Process {
    next: u64,
    at: Instant,
    log: Vec<Input<u64, u64>>,
}

impl Program for Talker {
    type Message = u64;
    type Order = u64;
    type Note = u64;

    fn start(&mut self, now: Instant, doing: &mut Doing<Self>) {
        self.lives += 1;
        self.process = Some(Process { next: 0, at: now + BEAT, log: Vec::new() });
        doing.later(5 * BEAT, self.lives);
    }

    fn crash(&mut self) {
        self.process = None;
    }

    fn handle(&mut self, now: Instant, input: Input<u64, u64>, doing: &mut Doing<Self>) {
        let Some(process) = &mut self.process else { return };
        if input == Input::Timer {
            assert!(now >= process.at, "a timer is never early");
            process.at = now + BEAT;
            doing.broadcast(process.next);
            process.next += 1;
        }
        process.log.push(input);
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.process.as_ref()?.at)
    }
}

#[allow(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
fn world(drifts: &[i32]) -> World<Talker> {
    let origin = Instant::now();
    let hosts = drifts.iter().map(|drift| (Talker::default(), Clock::new(origin, *drift))).collect();
    World::new(7, hosts, Duration::ZERO, 1000)
}

fn play_until(world: &mut World<Talker>, end: Duration) {
    while world.next_at().is_some_and(|next| next <= end) {
        world.step();
    }
    world.skip_to(end);
}

fn log(world: &World<Talker>, host: HostIndex) -> &[Input<u64, u64>] {
    &world.program(host).process.as_ref().expect("it was not killed").log
}

/// What a host was told by others since it started.
fn heard(world: &World<Talker>, host: HostIndex) -> Vec<u64> {
    let message = |input: &Input<u64, u64>| match input {
        Input::Message { message, .. } => Some(*message),
        Input::Timer | Input::Order(_) => None,
    };
    log(world, host).iter().filter_map(message).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn on_a_good_link_everything_arrives_once() {
    let mut world = world(&[0, 0]);
    play_until(&mut world, SECOND);
    assert_eq!(heard(&world, 1), (0..99).collect::<Vec<_>>());
}

#[test]
fn a_bad_link_loses_doubles_and_reorders() {
    let of = |conditions: Conditions| {
        let mut world = world(&[0, 0]);
        world.schedule(Duration::ZERO, Fault::Weather(0, 1, conditions));
        play_until(&mut world, 10 * SECOND);
        assert!(heard(&world, 0).len() > 990, "the other direction is good");
        heard(&world, 1)
    };
    let lossy = of(Conditions { loss: 0.5, ..Conditions::GOOD });
    assert!((400..600).contains(&lossy.len()), "{}", lossy.len());
    let doubled = of(Conditions { duplicate: 1.0, ..Conditions::GOOD });
    assert!(doubled.len() > 1900, "{}", doubled.len());
    let slow = of(Conditions { longest: 10 * BEAT, ..Conditions::GOOD });
    assert!(!slow.is_sorted() && slow.len() > 900);
}

#[test]
fn a_cut_link_carries_nothing_in_that_direction() {
    let mut world = world(&[0, 0, 0]);
    world.schedule(SECOND / 2, Fault::Cut(0, 1));
    world.schedule(SECOND, Fault::Mend(0, 1));
    play_until(&mut world, 2 * SECOND);
    // Each says as much, and only half of the first second is missing from one of two.
    assert!((340..355).contains(&heard(&world, 1).len()), "{}", heard(&world, 1).len());
    assert!(heard(&world, 2).len() > 390 && heard(&world, 0).len() > 390);
}

#[test]
fn a_paused_process_reads_what_has_arrived_before_time_passes_for_it() {
    let mut world = world(&[0, 0]);
    world.schedule(SECOND, Fault::Pause(1));
    play_until(&mut world, SECOND * 3 / 2);
    assert_eq!(world.state(1), HostState::Paused);
    let before = log(&world, 1).len();
    world.order(world.now(), 1, 42);
    world.schedule(SECOND * 3 / 2, Fault::Resume(1));
    play_until(&mut world, SECOND * 3 / 2 + BEAT / 2);
    let since = &log(&world, 1)[before..];
    let timer = since.iter().position(|input| *input == Input::Timer).unwrap();
    assert!(timer >= 49, "{since:?}");
    assert!(since[..timer].contains(&Input::Order(42)));
}

#[test]
fn the_socket_of_a_paused_process_is_bounded_and_a_frozen_host_has_none() {
    for (fault, most) in [(Fault::Pause(1), INBOX), (Fault::Freeze(1), 0)] {
        let mut world = world(&[0, 0]);
        play_until(&mut world, SECOND);
        let before = heard(&world, 1).len();
        world.schedule(SECOND, fault);
        world.schedule(6 * SECOND, Fault::Resume(1));
        play_until(&mut world, 6 * SECOND);
        let waited = heard(&world, 1).len() - before;
        assert!(waited.abs_diff(most) <= 1, "{fault:?} {waited}");
    }
}

#[test]
fn a_killed_process_forgets_and_its_host_does_not() {
    let mut world = world(&[0, 0]);
    world.schedule(3 * BEAT, Fault::Crash(1));
    world.schedule(4 * BEAT, Fault::Start(1));
    play_until(&mut world, SECOND);
    assert_eq!(world.program(1).lives, 2);
    let orders = log(&world, 1).iter().filter(|input| matches!(input, Input::Order(_)));
    assert_eq!(
        orders.collect::<Vec<_>>(),
        [&Input::Order(2)],
        "what the first one wanted later died with it"
    );
}

#[test]
fn clocks_run_as_fast_as_they_are_told_to() {
    let mut world = world(&[100_000, -100_000]);
    play_until(&mut world, 10 * SECOND);
    let beats = |host| log(&world, host).iter().filter(|input| **input == Input::Timer).count();
    assert!(
        (1095..=1100).contains(&beats(0)) && (895..=900).contains(&beats(1)),
        "{} {}",
        beats(0),
        beats(1)
    );
}

#[test]
fn healing_ends_every_fault_and_those_to_come() {
    let mut world = world(&[0, 0, 0]);
    world.schedule(Duration::ZERO, Fault::Cut(0, 1));
    world.schedule(Duration::ZERO, Fault::Pause(1));
    world.schedule(Duration::ZERO, Fault::Crash(2));
    world.schedule(2 * SECOND, Fault::Freeze(0));
    play_until(&mut world, SECOND);
    world.heal(Conditions::GOOD);
    play_until(&mut world, 3 * SECOND);
    assert!((0..3).all(|host| world.is_running(host)));
    assert!(!world.network.is_cut(0, 1));
}

#[test]
fn the_trace_tells_in_words_what_happened() {
    let mut world = world(&[0, 0]);
    world.schedule(BEAT, Fault::Cut(1, 0));
    play_until(&mut world, 2 * BEAT);
    assert!(!world.happened().iter().any(|one| matches!(one, Happened::Noted(..))));
    let trace = world.trace().lines().join("\n");
    for line in ["host1  its process starts", "host2  FAULT  cut off from host1", "host1  loses  0 of host2"]
    {
        assert!(trace.contains(line), "{trace}");
    }
}
