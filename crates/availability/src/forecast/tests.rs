//! What each fault should cost, on a shop in three zones; and what is a difference and what is none.

use std::time::Duration;

use super::*;
use crate::service::tests::shop;
use crate::service::{Host, Name};

fn forecast(blow: &Blow) -> Forecast {
    Forecast::of(&shop(), &Assumptions::default(), blow)
}

fn asking(hosts: &[usize], harm: Harm) -> Blow {
    let asked = Asked::Pools { pools: vec![0], repeatable: true };
    Blow { hosts: hosts.to_vec(), harm, asked, anyone_answers: false, by_name: false }
}

fn writing(hosts: &[usize], harm: Harm, primary: Hit) -> Blow {
    let asked = Asked::Writes { database: 0, primary };
    Blow { hosts: hosts.to_vec(), harm, asked, anyone_answers: false, by_name: false }
}

fn close(loss: Loss, seconds: f64) -> bool {
    matches!(loss, Loss::Gap(of) if (of - seconds).abs() < 1e-9)
}

#[test]
fn an_address_is_away_for_its_silence_and_its_announcement() {
    for harm in [Harm::Killed, Harm::Silent, Harm::Frozen, Harm::Unattended] {
        let of = forecast(&asking(&[0], harm));
        assert!(close(of.loss, 0.346), "{harm:?}: {of:?}");
        assert!(
            of.how.contains("0.33 s of silence") && of.how.contains("lb2 has announced 10.0.1.100"),
            "{of:?}"
        );
        assert_eq!(forecast(&asking(&[1], harm)).loss, Loss::Nothing, "it stands by");
        assert_eq!(forecast(&asking(&[0, 1], harm)).loss, Loss::UntilRepaired(0.0));
    }
    for harm in [Harm::GivenAway, Harm::Restarted, Harm::Reloaded] {
        assert_eq!(forecast(&asking(&[0], harm)).loss, Loss::Nothing);
    }
    // Whoever hears nobody is told by its checks: 2.3 s.
    assert!(close(forecast(&asking(&[0], Harm::Deaf)).loss, 2.646));
    assert!(close(forecast(&asking(&[1], Harm::Deaf)).loss, 2.646));
    // Where nobody is preferred, any host may be the one that answers.
    let anyone = Blow { anyone_answers: true, ..asking(&[1], Harm::Killed) };
    assert!(close(forecast(&anyone).loss, 0.346));
}

#[test]
fn a_members_death_costs_nothing_where_requests_are_repeated() {
    let killed = forecast(&asking(&[2], Harm::Killed));
    assert_eq!(killed.loss, Loss::Nothing);
    assert!(killed.how.contains("2 of 3 members") && killed.how.contains("at once"), "{killed:?}");
    let silent = forecast(&asking(&[2], Harm::Silent));
    assert!(silent.loss == Loss::Nothing && silent.how.contains("1.00 s at most"), "{silent:?}");
    assert_eq!(forecast(&asking(&[2, 3, 4], Harm::Killed)).loss, Loss::UntilRepaired(0.0));

    let blow =
        Blow { asked: Asked::Pools { pools: vec![0], repeatable: false }, ..asking(&[2], Harm::Killed) };
    assert_eq!(forecast(&blow).loss, Loss::Some(2.3));
    let mut once = shop();
    once.pools[0].tries = 1;
    let assumptions = Assumptions::default();
    assert_eq!(Forecast::of(&once, &assumptions, &asking(&[2], Harm::Silent)).loss, Loss::Some(2.3));
    (once.pools[0].notice, once.pools[0].failures) = (None, None);
    assert_eq!(Forecast::of(&once, &assumptions, &asking(&[2], Harm::Silent)).loss, Loss::UntilRepaired(0.0));
    // Alone in its pool.
    once.pools[0].members.truncate(1);
    assert_eq!(
        Forecast::of(&once, &assumptions, &asking(&[2], Harm::GivenAway)).loss,
        Loss::UntilRepaired(0.0)
    );
}

#[test]
fn a_primary_is_missed_for_its_lease_and_a_promotion() {
    let killed = forecast(&writing(&[5], Harm::Killed, Hit::Yes));
    // 1.5 s and 5 %, a heartbeat of 0.25 s, a promotion of 2 s.
    assert!(close(killed.loss, 3.825), "{killed:?}");
    for harm in [Harm::GivenAway, Harm::Restarted, Harm::ServerKilled] {
        assert!(close(forecast(&writing(&[5], harm, Hit::Yes)).loss, 2.0), "{harm:?}");
    }
    assert_eq!(forecast(&writing(&[5], Harm::Reloaded, Hit::Yes)).loss, Loss::Nothing);
    assert_eq!(forecast(&writing(&[6], Harm::Silent, Hit::No)).loss, Loss::Nothing, "another one confirms");
    // Both standbys: too few confirm, and two of three members of the store are gone as well.
    assert_eq!(forecast(&writing(&[6, 7], Harm::ServerKilled, Hit::No)).loss, Loss::UntilRepaired(0.0));
    let mut available = shop();
    available.databases[0].strict = false;
    let alone =
        Forecast::of(&available, &Assumptions::default(), &writing(&[6, 7], Harm::ServerKilled, Hit::No));
    // Four leases until both count as absent, and one until that is recorded.
    assert!(close(alone.loss, 7.5), "{alone:?}");
    // Silence is first a connection that says nothing, for two leases.
    let silent = Forecast::of(&available, &Assumptions::default(), &writing(&[6], Harm::Silent, Hit::No));
    assert_eq!(silent.loss, Loss::Nothing, "{silent:?}");
    let mut four = shop();
    (four.databases[0].strict, four.databases[0].confirm) = (false, 2);
    four.databases[0].hosts = vec![4, 5, 6, 7];
    let silent = Forecast::of(&four, &Assumptions::default(), &writing(&[4, 5], Harm::Silent, Hit::No));
    assert!(close(silent.loss, 10.5), "{silent:?}");
    // The primary is lost as well: first somebody takes over, who then waits as long.
    let half = Forecast::of(&four, &Assumptions::default(), &writing(&[4, 5], Harm::Silent, Hit::Yes));
    assert!(close(half.loss, 11.325), "{half:?}");
}

#[test]
fn a_zone_is_as_bad_as_the_worst_that_is_in_it() {
    // lb1, app1 and db1: whoever the primary is.
    let zone = forecast(&writing(&[0, 2, 5], Harm::Silent, Hit::Perhaps));
    assert!(close(zone.loss, 3.825), "{zone:?}");
    let mut together = shop();
    together.hosts[6].zone = 0;
    let both =
        Forecast::of(&together, &Assumptions::default(), &writing(&[0, 5, 6], Harm::Silent, Hit::Perhaps));
    assert!(matches!(both.loss, Loss::UntilRepaired(_)), "{both:?}");
}

/// The shop, and a second load balancer on lb3 alone: a name leads to both.
fn two_entries() -> Service {
    let mut service = shop();
    service.hosts.push(Host { name: "lb3".into(), zone: 2, ..Host::default() });
    let mut other = service.entries[0].clone();
    (other.name, other.hosts) = ("back".into(), vec![8]);
    (other.addresses[0].name, other.addresses[0].hosts) = ("10.0.2.100".into(), vec![8]);
    service.entries.push(other);
    let ttl = Duration::from_secs(60);
    service.names =
        vec![Name { name: "shop.example".into(), entries: vec![0, 1], ttl, checked: None, retry: true }];
    service
}

#[test]
fn clients_of_a_name_go_to_its_other_load_balancer() {
    let mut service = two_entries();
    let assumptions = Assumptions::default();
    let of = |service: &Service, hosts: &[usize], by_name| {
        Forecast::of(service, &assumptions, &Blow { by_name, ..asking(hosts, Harm::Silent) })
    };
    let tried = of(&service, &[0, 1], true);
    assert!(tried.loss == Loss::Nothing && tried.how.contains("another of its load balancers"), "{tried:?}");
    // One of its hosts fails over all the same.
    assert!(close(of(&service, &[0], true).loss, 0.346));
    assert_eq!(of(&service, &[0, 1, 8], true).loss, Loss::UntilRepaired(0.0));
    assert_eq!(of(&service, &[0, 1], false).loss, Loss::UntilRepaired(0.0), "these know no other");
    service.names[0].retry = false;
    assert_eq!(of(&service, &[0, 1], true).loss, Loss::UntilRepaired(0.0), "answers never change");
    service.names[0].checked = Some(Duration::from_secs(10));
    let moved = of(&service, &[0, 1], true);
    assert!(close(moved.loss, 70.0) && moved.how.contains("60 s until clients ask again"), "{moved:?}");
    assert_eq!(of(&service, &[8], true).loss, Loss::Nothing, "who is preferred is there");
}

#[test]
fn what_is_left_of_a_pool_is_enough_by_weight_and_without_idle_backups() {
    let assumptions = Assumptions::default();
    let mut service = shop();
    let pool = &mut service.pools[0];
    (pool.needed, pool.by_weight) = (2, true);
    pool.members[0].weight = 2;
    let heavy = Forecast::of(&service, &assumptions, &asking(&[3, 4], Harm::Killed));
    assert_eq!(heavy.loss, Loss::Nothing, "app1 carries as much as both of the others: {heavy:?}");
    let light = Forecast::of(&service, &assumptions, &asking(&[2, 4], Harm::Killed));
    assert!(light.loss == Loss::UntilRepaired(0.0) && light.how.contains("a weight of 1"), "{light:?}");
    let pool = &mut service.pools[0];
    pool.by_weight = false;
    pool.members[2].backup = true;
    let idle = Forecast::of(&service, &assumptions, &asking(&[2], Harm::Killed));
    assert!(idle.loss == Loss::UntilRepaired(0.0) && idle.how.contains("besides backups"), "{idle:?}");
}

#[test]
fn without_coordination_writes_end_with_the_lease() {
    let all = forecast(&writing(&[5, 6, 7], Harm::StoreGone, Hit::No));
    assert_eq!(all.loss, Loss::UntilRepaired(1.825), "{all:?}");
    let one = forecast(&writing(&[5], Harm::StoreGone, Hit::No));
    assert!(one.loss == Loss::Nothing && one.how.contains("2 of 3"), "{one:?}");
}

fn observed(gap: f64, failed: u64) -> Observed {
    Observed { gap, grain: 0.01, failed: Some(failed), lasted: 3.0 }
}

fn told(loss: Loss, observed: &Observed) -> Option<String> {
    difference(&Forecast { loss, how: String::new() }, observed)
}

#[test]
fn less_than_the_worst_is_as_it_should_be() {
    assert_eq!(told(Loss::Nothing, &observed(0.02, 0)), None);
    assert_eq!(told(Loss::Gap(0.346), &observed(0.02, 0)), None);
    assert_eq!(told(Loss::Gap(0.346), &observed(0.4, 120)), None, "a bit more is the machine's");
    assert_eq!(told(Loss::Some(2.3), &observed(0.4, 120)), None);
    assert_eq!(told(Loss::UntilRepaired(0.0), &observed(3.1, 3000)), None);
    // All of the store killed for three seconds: writes go on for as long as the lease.
    assert_eq!(told(Loss::UntilRepaired(1.825), &observed(2.0, 0)), None);
}

#[test]
fn what_is_much_more_is_a_finding_and_so_is_service_where_there_should_be_none() {
    let longer = told(Loss::Gap(0.346), &observed(2.1, 900));
    assert_eq!(longer.as_deref(), Some("nothing was answered for 2.10 s, 6.1 times as long as predicted"));
    let lost = told(Loss::Nothing, &observed(0.02, 7));
    assert_eq!(lost.as_deref(), Some("7 requests failed where none was predicted to"));
    let gap = told(Loss::Nothing, &observed(0.9, 0));
    assert_eq!(gap.as_deref(), Some("nothing was answered for 0.90 s, and no gap was predicted"));
    let served = told(Loss::UntilRepaired(0.0), &observed(0.03, 0)).unwrap();
    assert!(served.contains("served all the same") && served.contains("too dark"), "{served}");
    // A restart of a moment proves nothing.
    assert_eq!(told(Loss::UntilRepaired(0.0), &Observed { lasted: 0.1, ..observed(0.03, 0) }), None);
}
