//! Clients of a database find its primary, wherever it goes, and hang nowhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

mod gate;
mod shell;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nines_control::gate::Serves;
use nines_control::statistics::Refused;
use nines_control::traffic::Failure;

use gate::Gate;
use shell::{LONG, Place, Shell, startup};
use support::{Client, eventually};

/// Checks that time out soon.
const SHORT: Duration = Duration::from_millis(100);

/// The first is the primary, the others follow it.
fn well(gates: &[Gate; 3], term: u64) {
    gates[0].is(Serves::Everything, term);
    gates[1].is(Serves::Reads, term);
    gates[2].is(Serves::Reads, term);
}

fn name(client: &mut Client) -> String {
    String::from_utf8(client.exactly(3)).unwrap()
}

fn refused(shell: &Shell, cause: Refused) -> u64 {
    let listeners = shell.statistics().listeners;
    listeners.iter().flat_map(|it| &it.refused).filter(|(of, _)| *of == cause).map(|(_, count)| count).sum()
}

fn failures(shell: &Shell, failure: Failure) -> u64 {
    let pools = shell.statistics().pools;
    let all = pools.iter().flat_map(|pool| &pool.members).flat_map(|member| &member.failures);
    all.filter(|(of, _)| *of == failure).map(|(_, count)| count).sum()
}

/// Everything until the end must be a refusal that PostgreSQL's clients understand.
fn is_told(client: &mut Client) {
    let said = client.rest();
    assert_eq!(said.first(), Some(&b'E'), "{said:?}");
    assert_eq!(said.len(), 1 + u32::from_be_bytes(said[1..5].try_into().unwrap()) as usize);
    let fields: Vec<&[u8]> = said[5..].split(|byte| *byte == 0).collect();
    assert!(fields.contains(&&b"C57P03"[..]) && fields.contains(&&b"SFATAL"[..]), "{fields:?}");
}

#[test]
fn the_primary_moves_and_its_clients_with_it() {
    let place = Place::new();
    let gates = place.gates();
    well(&gates, 1);
    // Standings come by themselves: no check ends by time within this test's patience.
    let shell = Shell::start(place, LONG, LONG);
    let mut old = shell.client();
    assert_eq!(name(&mut old), "db1");
    for round in 0..10 {
        let [from, to] = [round % 2, (round + 1) % 2];
        let term = 2 + round as u64;
        gates[from].is(Serves::Reads, term);
        gates[to].is(Serves::Everything, term);
        let moved = Instant::now();
        assert!(old.is_closed());
        let mut new = shell.client();
        assert_eq!(name(&mut new), shell::HOSTS[to]);
        eprintln!("client at {} after {:?}", shell::HOSTS[to], moved.elapsed());
        old = new;
    }
    assert_eq!(gates.each_ref().map(Gate::lines), [2; 3], "one connection for each pool, for all questions");
    let said: Vec<String> = shell.events.try_iter().map(|(_, said)| said).collect();
    assert!(
        said.iter()
            .any(|said| said.starts_with("orders: db2:") && said.ends_with("is the primary of term 2"))
    );
}

#[test]
fn a_frozen_primary_that_is_followed_by_another_keeps_nobody() {
    let place = Place::new();
    let gates = place.gates();
    well(&gates, 7);
    let shell = Shell::start(place, LONG, LONG);
    let mut old = shell.client();
    assert_eq!(name(&mut old), "db1");
    let at_members =
        || shell.statistics().pools.iter().flat_map(|pool| &pool.members).map(|it| it.in_flight).sum::<u64>();
    eventually("nobody else is there", || at_members() == 1);
    gates[0].freeze(true);
    old.send("x");
    let mut unanswered = shell.client();
    eventually("both are at the frozen one", || at_members() == 2);
    gates[2].is(Serves::Reads, 8);
    assert!(old.is_closed(), "a standby knows of a newer term");
    is_told(&mut unanswered);
    let mut new = shell.client();
    eventually("it waits", || shell.waiting() == 1);
    gates[1].is(Serves::Everything, 8);
    assert_eq!(name(&mut new), "db2");
    // It comes back, and does not know yet what has happened.
    gates[0].freeze(false);
    assert_eq!(name(&mut shell.client()), "db2");
    gates[0].is(Serves::Everything, 7);
    assert_eq!(name(&mut shell.client()), "db2");
}

#[test]
fn a_gate_that_says_nothing_keeps_nobody_and_is_asked_on() {
    let place = Place::new();
    let gates = place.gates();
    well(&gates, 1);
    let shell = Shell::start(place, SHORT, LONG);
    let mut old = shell.client();
    assert_eq!(name(&mut old), "db1");
    gates[0].freeze(true);
    old.send("x");
    assert!(old.is_closed());
    let mut new = shell.client();
    eventually("it waits", || shell.waiting() == 1);
    gates[0].freeze(false);
    assert_eq!(name(&mut new), "db1");
}

#[test]
fn a_gate_that_ends_is_missed_at_once_and_found_when_it_is_back() {
    let place = Place::new();
    let gates = place.gates();
    well(&gates, 1);
    let shell = Shell::start(place, LONG, LONG);
    let mut old = shell.client();
    assert_eq!(name(&mut old), "db1");
    let [first, _second, _third] = gates;
    drop(first);
    assert!(old.is_closed());
    let mut new = shell.client();
    eventually("it waits", || shell.waiting() == 1);
    let again = place.gate(0);
    again.is(Serves::Everything, 1);
    assert_eq!(name(&mut new), "db1");
}

#[test]
fn a_client_that_comes_before_the_primary_waits_for_it() {
    let place = Place::new();
    let gates = place.gates();
    let shell = Shell::start(place, LONG, LONG);
    let mut clients: Vec<Client> = (0..20).map(|_| shell.client()).collect();
    eventually("all wait", || shell.waiting() >= 20);
    gates[1].is(Serves::Everything, 1);
    for client in &mut clients {
        assert_eq!(name(client), "db2");
    }
    eventually("nobody waits any more", || shell.waiting() == 0);
    assert_eq!(refused(&shell, Refused::NoMember), 0);
}

#[test]
fn who_waits_in_vain_is_told_so() {
    let place = Place::new();
    let _gates = place.gates();
    let shell = Shell::start(place, LONG, SHORT);
    is_told(&mut shell.client());
    let mut wary = shell.silent_client();
    wary.send([0, 0, 0, 8, 4, 210, 22, 48]).send([0, 0, 0, 8, 4, 210, 22, 47]);
    assert_eq!(wary.exactly(2), b"NN");
    wary.send(startup());
    is_told(&mut wary);
    let mut stranger = shell.silent_client();
    stranger.send("GET / HTTP/1.1\r\n\r\n");
    assert!(stranger.is_closed());
    let mut mute = shell.silent_client();
    assert!(mute.is_closed());
    eventually("all are counted", || refused(&shell, Refused::NoMember) >= 4);
}

#[test]
fn reads_are_spread_over_standbys_and_go_to_the_primary_if_there_is_none() {
    let place = Place::new();
    let gates = place.gates();
    well(&gates, 1);
    let shell = Shell::start(place, LONG, LONG);
    let mut readers: Vec<(String, Client)> = Vec::new();
    for _ in 0..40 {
        let mut reader = shell.reader();
        readers.push((name(&mut reader), reader));
    }
    let mut count = BTreeMap::new();
    readers.iter().for_each(|(name, _)| *count.entry(name.as_str()).or_insert(0) += 1);
    assert!(count["db2"] >= 10 && count["db3"] >= 10 && count.len() == 2, "{count:?}");

    gates[1].is(Serves::Nobody, 1);
    for (name, reader) in &mut readers {
        if name == "db2" {
            assert!(reader.is_closed());
        } else {
            assert_eq!(reader.send("x").exactly(1), b"x");
        }
    }
    assert_eq!(name(&mut shell.reader()), "db3");
    gates[2].is(Serves::Nobody, 1);
    eventually("the primary serves reads", || name(&mut shell.reader()) == "db1");
    let mut reader = shell.reader();
    assert_eq!(name(&mut reader), "db1");
    gates[1].is(Serves::Reads, 1);
    eventually("a standby serves again", || name(&mut shell.reader()) == "db2");
    assert_eq!(reader.send("x").exactly(1), b"x", "who reads at the primary may stay");
}

#[test]
fn clients_that_a_gate_turns_away_are_counted() {
    let place = Place::new();
    let gates = place.gates();
    well(&gates, 1);
    gates[0].shut();
    let shell = Shell::start(place, LONG, LONG);
    is_told(&mut shell.client());
    eventually("it is counted", || failures(&shell, Failure::TurnedAway) == 1);
    let mut wary = shell.silent_client();
    assert_eq!(wary.send([0, 0, 0, 8, 4, 210, 22, 47]).exactly(1), b"N");
    wary.send(startup());
    is_told(&mut wary);
    eventually("it is counted", || failures(&shell, Failure::TurnedAway) == 2);
    gates[1].is(Serves::Everything, 2);
    eventually("the next primary is found", || name(&mut shell.client()) == "db2");
}

/// Connections of the listener for writes that went well for their clients, and that did not.
fn outcomes(shell: &Shell) -> (u64, u64) {
    let all = shell.statistics();
    (all.listeners[0].good, all.listeners[0].bad)
}

const WANTS_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[test]
fn clients_that_a_gate_turns_away_count_against_it_and_served_ones_for_it() {
    let place = Place::new();
    let gates = place.gates();
    well(&gates, 1);
    let shell = Shell::start(place, LONG, LONG);
    assert_eq!(name(&mut shell.client()), "db1");
    eventually("it is good", || outcomes(&shell) == (1, 0));
    let mut wary = shell.silent_client();
    assert_eq!(wary.send(WANTS_TLS).exactly(1), b"N");
    assert_eq!(name(wary.send(startup())), "db1");
    eventually("it is good", || outcomes(&shell) == (2, 0));
    gates[0].shut();
    is_told(&mut shell.client());
    eventually("it is bad", || outcomes(&shell) == (2, 1));
    let mut wary = shell.silent_client();
    assert_eq!(wary.send(WANTS_TLS).exactly(1), b"N");
    wary.send(startup());
    is_told(&mut wary);
    // That there is no TLS says nothing of the database.
    eventually("it is bad", || outcomes(&shell) == (2, 2));
}

#[test]
fn a_request_to_cancel_something_has_no_answer_and_counts_for_nothing() {
    let place = Place::new();
    let gates = place.gates();
    well(&gates, 1);
    let shell = Shell::start(place, LONG, LONG);
    let mut client = shell.silent_client();
    client.send([0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2]);
    // PostgreSQL ends it in order, without a word.
    assert_eq!(client.rest(), b"");
    drop(client);
    assert_eq!(name(&mut shell.client()), "db1");
    eventually("the next is counted", || outcomes(&shell).0 == 1);
    assert_eq!(outcomes(&shell), (1, 0));
}
