//! A database that goes on with fewer copies: the table says as long as the forecast of a rehearsal does.

use super::*;
use crate::forecast::{Asked, Blow, Forecast, Harm, Hit, Loss};

#[test]
fn the_table_and_the_forecast_say_the_same_of_a_database_that_goes_on_with_fewer_copies() {
    let change =
        |service: &mut Service| (service.databases[0].strict, service.databases[0].confirm) = (false, 2);
    let mut service = shop();
    change(&mut service);
    let audit = audit(change);
    let hosts = service.databases[0].hosts.clone();
    let mut gaps = Vec::new();
    for (at, &host) in hosts.iter().enumerate() {
        let primary = if at == 0 { Hit::Yes } else { Hit::No };
        let blow = Blow {
            hosts: vec![host],
            harm: Harm::Silent,
            asked: Asked::Writes { database: 0, primary },
            anyone_answers: false,
            by_name: true,
        };
        let Loss::Gap(forecast) = Forecast::of(&service, &Assumptions::default(), &blow).loss else {
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
