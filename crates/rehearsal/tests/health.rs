//! When is everything healthy?
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod status;

use std::collections::BTreeSet;

use nines_control::status::{Health, MemberStatus, Phase, Wish};
use nines_rehearsal::health::missing;
use status::{member, pool, status};

fn missing_of(change: impl FnOnce(&mut MemberStatus)) -> Vec<String> {
    let mut second = member("app2", Health::Up);
    change(&mut second);
    missing(&[status(vec![member("app1", Health::Up), second])], &BTreeSet::new())
}

#[test]
fn whatever_keeps_a_member_from_its_share_is_named() {
    assert_eq!(missing_of(|_| ()), [""; 0]);
    assert_eq!(missing_of(|m| m.health = Health::Down), ["web/app2:8080 is down: connection refused"]);
    assert_eq!(missing_of(|m| m.health = Health::Unknown), ["web/app2:8080 is not checked yet"]);
    assert_eq!(missing_of(|m| m.ejected_ms = Some(5)), ["web/app2:8080 is ejected: connection refused"]);
    assert_eq!(missing_of(|m| m.wish = Wish::Draining), ["web/app2:8080 is draining"]);
}

#[test]
fn a_pool_that_no_listener_reaches_is_not_waited_for() {
    let mut all = status(vec![member("app1", Health::Up)]);
    all.pools.push(pool("elsewhere", vec![member("far", Health::Unknown)]));
    assert_eq!(missing(&[all], &BTreeSet::new()), [""; 0]);
}

#[test]
fn an_unchecked_pool_is_healthy_until_traffic_says_otherwise() {
    let unchecked = BTreeSet::from(["web".to_owned()]);
    let mut unknown = member("app1", Health::Unknown);
    assert_eq!(missing(&[status(vec![unknown.clone()])], &unchecked), [""; 0]);
    unknown.ejected_ms = Some(1);
    assert_eq!(missing(&[status(vec![unknown])], &unchecked).len(), 1);
}

#[test]
fn silence_is_not_health() {
    assert_eq!(missing(&[], &BTreeSet::new()).len(), 1);
    let mut starting = status(vec![member("app1", Health::Up)]);
    starting.phase = Phase::Starting;
    starting.listeners[0].open = false;
    assert_eq!(missing(&[starting], &BTreeSet::new()).len(), 2);
}
