//! A part of the requests that is lost while the rest is answered: the table, the forecast and the model say the same of it.

use super::*;
use crate::forecast::{Asked, Blow, Forecast, Harm, Loss};
use crate::what_if::{Subject, WhatIf};

fn changed(change: impl Fn(&mut Pool)) -> (Service, Audit) {
    let mut service = shop();
    service.pools[0].tries = 1;
    change(&mut service.pools[0]);
    let audit = Audit::of(&service, &Options::default());
    (service, audit)
}

fn what_if(service: &Service, audit: &Audit, subject: &Subject) -> WhatIf {
    WhatIf::of(service, &Options::default(), audit, subject)
}

fn silent(service: &Service, host: usize) -> Loss {
    let asked = Asked::Pools { pools: vec![0], repeatable: true };
    let blow = Blow { hosts: vec![host], harm: Harm::Silent, asked, anyone_answers: false, by_name: true };
    Forecast::of(service, &Assumptions::default(), &blow).loss
}

#[test]
fn members_take_along_what_they_get_and_a_short_gap_does_not_hide_it() {
    let hour = Duration::from_hours(1);
    let (service, audit) = changed(|pool| {
        (pool.failures, pool.notice) = (None, Some(hour));
        pool.members[0].weight = 100;
        pool.members[2].backup = true;
    });
    let most = Some(hour.as_secs_f64());
    let backup = row(&audit, ComponentKind::Member, "app3:80 of web");
    assert!(backup.part_fails.is_none() && !backup.person && backup.gap == 0.0, "{backup:?}");
    assert_eq!(silent(&service, 4), Loss::Nothing);
    let causes = &audit.prediction.as_ref().unwrap().contributions;
    let cause = |name: &str| causes.iter().any(|of| of.cause == name);
    assert!(cause("host app1") && !cause("host app3"), "{causes:?}");
    let app1 = row(&audit, ComponentKind::Host, "app1");
    assert!(app1.part_fails == most && app1.impact[0].contains("99.0 % of the requests"), "{app1:?}");
    assert_eq!(silent(&service, 2), Loss::Some(3600.0));
    // Its load balancer moves at once, and most requests fail for an hour all the same.
    let zone = row(&audit, ComponentKind::Zone, "a");
    assert!(zone.gap > 0.0 && zone.gap < 5.0 && zone.part_fails == most, "{zone:?}");
    let said = what_if(&service, &audit, &Subject::Zone(0));
    let way = &said.ways[0];
    assert_eq!((way.loss, way.some_at_most_seconds), ("gap", most));
    assert!(way.at_most_seconds < most && way.because.contains("99.0 % of it fail"), "{way:?}");
    let lb1 = &what_if(&service, &audit, &Subject::Host(0)).ways[0];
    assert_eq!((lb1.loss, lb1.some_at_most_seconds), ("gap", None));
}

#[test]
fn where_only_traffic_notices_all_answers_are_a_few_requests() {
    let (service, audit) = changed(|pool| (pool.notice, pool.check) = (None, CheckKind::None));
    let app1 = row(&audit, ComponentKind::Host, "app1");
    assert!(app1.part_fails == Some(0.0) && !app1.person && app1.lost.is_empty(), "{app1:?}");
    assert_eq!(silent(&service, 2), Loss::Some(0.0));
    let said = what_if(&service, &audit, &Subject::Host(2));
    assert_eq!((said.ways[0].loss, said.ways[0].at_most_seconds), ("some", Some(0.0)));
    assert!(said.ways[0].because.contains("until traffic has noticed"), "{:?}", said.ways[0]);
    assert!(!said.person && said.given.unwrap().in_part == 0.0);
    // Nobody at all: it is the repair that ends it, for each of them.
    let (service, audit) =
        changed(|pool| (pool.notice, pool.failures, pool.check) = (None, None, CheckKind::None));
    let app1 = row(&audit, ComponentKind::Host, "app1");
    assert!(app1.part_fails.is_none() && app1.person, "{app1:?}");
    assert_eq!(silent(&service, 2), Loss::UntilRepaired(0.0));
    assert!(what_if(&service, &audit, &Subject::Host(2)).given.unwrap().in_part > 60.0);
}
