//! A database that goes on with fewer copies: the table says as long as the forecast of a rehearsal does.

use super::*;
use crate::forecast::{Asked, Blow, Forecast, Harm, Hit, Loss};
use crate::what_if::{Subject, WhatIf};

fn forecast(service: &Service, host: usize, harm: Harm) -> Loss {
    let first = service.databases[0].hosts[0];
    let asked = Asked::Writes { database: 0, primary: if host == first { Hit::Yes } else { Hit::No } };
    let blow = Blow { hosts: vec![host], harm, asked, anyone_answers: false, by_name: true };
    Forecast::of(service, &Assumptions::default(), &blow).loss
}

#[test]
fn the_table_and_the_forecast_say_the_same_of_a_database_that_goes_on_with_fewer_copies() {
    let change =
        |service: &mut Service| (service.databases[0].strict, service.databases[0].confirm) = (false, 2);
    let mut service = shop();
    change(&mut service);
    let audit = audit(change);
    let hosts = service.databases[0].hosts.clone();
    let mut gaps = Vec::new();
    for &host in &hosts {
        let Loss::Gap(forecast) = forecast(&service, host, Harm::Silent) else {
            panic!("no gap is forecast of {host}")
        };
        let said = row(&audit, ComponentKind::Host, &service.hosts[host].name);
        assert!(said.lost.is_empty() && (said.gap - forecast).abs() < 1e-9, "{forecast}: {said:?}");
        gaps.push(forecast);
    }
    // With and without a takeover, and both of them much longer than where a copy is to spare.
    let takes_over = row(&super::audit(|_| {}), ComponentKind::Host, &service.hosts[hosts[0]].name).gap;
    assert!(gaps[0] > 2.0 * takes_over && gaps[1] > 2.0 * takes_over, "{gaps:?}, {takes_over}");
    let budget =
        |audit: &Audit| audit.time_budget.iter().map(|of| of.notice + of.take_over).fold(0.0, f64::max);
    assert!((budget(&audit) - gaps[0]).abs() < 1e-9, "{:?}", audit.time_budget);
}

#[test]
fn a_program_of_a_database_that_is_gone_makes_it_wait_as_its_host_does() {
    let change =
        |service: &mut Service| (service.databases[0].strict, service.databases[0].confirm) = (false, 2);
    let mut service = shop();
    change(&mut service);
    let audit = audit(change);
    for (at, host) in [(0, "db1"), (1, "db2"), (2, "db3")] {
        let name = format!("main on {host}");
        let said =
            [ComponentKind::Instance, ComponentKind::Keeper].map(|kind| row(&audit, kind, &name).clone());
        let harms = [Harm::ServerKilled, Harm::Unattended];
        for (said, harm) in said.iter().zip(harms) {
            let Loss::Gap(forecast) = forecast(&service, service.databases[0].hosts[at], harm) else {
                panic!("no gap is forecast of {host}")
            };
            // A server that is killed is there again at once, and one that fails is not.
            let is_more = at == 0 && harm == Harm::ServerKilled;
            assert!((said.gap - forecast).abs() < 1e-9 || is_more && said.gap > forecast + 1.0, "{said:?}");
            assert!(said.takes_over.contains(&"main: goes on with 2 of 3".to_owned()), "{said:?}");
            assert!(said.lost.is_empty() && !said.impact.iter().any(|text| text.starts_with("nothing")));
        }
    }
    // With a copy to spare nobody waits.
    let spare = super::audit(|_| {});
    let instance = row(&spare, ComponentKind::Instance, "main on db2");
    assert!(instance.gap == 0.0 && instance.impact[0].starts_with("nothing"), "{instance:?}");
}

#[test]
fn a_zone_of_standbys_is_fatal_if_the_primary_has_gone_there_and_every_answer_says_so() {
    let mut service = shop();
    for name in ["db4", "db5"] {
        service.databases[0].hosts.push(service.hosts.len());
        service.hosts.push(Host { name: name.into(), zone: 1, ..Host::default() });
    }
    (service.databases[0].strict, service.databases[0].confirm) = (false, 2);
    let audit = Audit::of(&service, &Options::default());
    let zone = row(&audit, ComponentKind::Zone, "b");
    assert_eq!(zone.lost, ["writes to main"]);
    assert_eq!(zone.provided, ["main: if the primary is there"]);
    assert!(row(&audit, ComponentKind::Zone, "a").provided.is_empty());
    let holds = audit.findings.iter().find(|of| of.code == "zone-holds-too-many").unwrap();
    assert!(holds.text.contains("if the primary is there"), "{holds:?}");
    let said = WhatIf::of(&service, &Options::default(), &audit, &Subject::Zone(1));
    assert!(said.fatal && said.given.as_ref().is_some_and(|given| given.down == 1.0), "{said:?}");
    let losses: Vec<&str> = said.ways.iter().map(|way| way.loss).collect();
    assert_eq!(&losses[..2], ["until-repaired"; 2], "{:?}", said.ways);
    // What takes a majority along as well is fatal whoever is the primary.
    service.quorum.as_mut().unwrap().members[2].host = Some(8);
    let audit = Audit::of(&service, &Options::default());
    let zone = row(&audit, ComponentKind::Zone, "b");
    assert!(zone.lost.contains(&"writes to main".to_owned()) && zone.provided.is_empty(), "{zone:?}");
}

#[test]
fn what_is_slow_of_a_database_is_told_in_a_sentence_and_its_lease_is_named() {
    let audit = audit(|service| {
        (service.databases[0].strict, service.databases[0].confirm) = (false, 2);
        service.objective = crate::nines::Availability::from_fraction(0.999_999);
    });
    let slow = |of: &&Finding| of.code == "slow-failover" && of.place == "main";
    let slow: Vec<&Finding> = audit.findings.iter().filter(slow).collect();
    let fewer = slow
        .iter()
        .find(|of| of.text.starts_with("when 1 of its 3 hosts fail, the primary among them, it takes up to"));
    assert!(fewer.is_some_and(|of| of.suggestion.contains("lease")), "{slow:#?}");
}
