//! A file that is made worse in one place never has a better figure, and what is partly lost is counted as such a part.

use super::*;
use crate::service::Name;

fn changed(change: impl Fn(&mut Service)) -> Service {
    let mut service = shop();
    change(&mut service);
    service
}

#[test]
fn without_an_address_clients_lose_the_host_that_they_know() {
    let bare = changed(|shop| shop.entries[0].addresses.clear());
    assert_eq!(single_points(&bare), [Kind::Zone(0), Kind::Host(0)]);
    assert!(minutes(&bare) > minutes(&shop()) + 900.0);
    // One host is as good as two of which clients know one.
    let alone = changed(|shop| {
        shop.entries[0].addresses.clear();
        shop.entries[0].hosts.truncate(1);
    });
    assert!(minutes(&bare) >= minutes(&alone) - 1e-9);
    // Who tries each of them needs no address.
    let name = |retry| {
        let mut named = bare.clone();
        let name = "shop.example".into();
        named.names.push(Name { name, entries: vec![0], ttl: Duration::from_secs(60), checked: None, retry });
        minutes(&named)
    };
    assert!(name(true) < minutes(&shop()) && name(false) >= minutes(&bare) - 1e-9);
}

#[test]
fn a_member_that_nobody_notices_takes_its_share_until_it_is_repaired() {
    let once = changed(|shop| shop.pools[0].tries = 1);
    let unnoticed = changed(|shop| {
        let pool = &mut shop.pools[0];
        (pool.tries, pool.notice, pool.failures) = (1, None, None);
    });
    let [all, once, unnoticed] = [&shop(), &once, &unnoticed].map(minutes);
    // Each of the three and its zone is away for a thousandth of the year, and a third of the requests with it.
    let wanted = 2.0 * 0.001 * MINUTES_PER_YEAR;
    assert!((unnoticed - all - wanted).abs() < 0.01 * wanted, "{all} {unnoticed}");
    // Checks of 2.3 s: for each of some ten failures a year, a third of that.
    assert!(once > all + 0.05 && once < all + 0.5, "{all} {once}");
    // Who has all of the requests is no part.
    let alone = |notice: Option<Duration>| {
        minutes(&changed(|shop| {
            let pool = &mut shop.pools[0];
            pool.members.truncate(1);
            (pool.tries, pool.notice, pool.failures) = (1, notice, None);
        }))
    };
    assert_eq!(alone(None), alone(Some(Duration::from_secs(2))));
}

#[test]
fn load_balancers_behind_one_name_have_something_in_common() {
    let service = changed(|shop| {
        shop.entries[0].addresses.clear();
        shop.entries[0].hosts.truncate(1);
        let mut other = shop.entries[0].clone();
        (other.name, other.hosts) = ("south".into(), vec![1]);
        shop.entries.push(other);
        let (name, ttl) = ("shop.example".into(), Duration::from_secs(60));
        shop.names.push(Name { name, entries: vec![0, 1], ttl, checked: Some(ttl), retry: false });
    });
    let model = Model::of(&service, &Assumptions::default(), Case::Likely);
    let common = model.event(&Kind::CommonCause("shop.example".into())).unwrap();
    assert_eq!(model.lost(&[common]).len(), 1);
    // Answers may fail to follow, as hosts may fail to take over.
    let missed = model.event(&Kind::Missed("shop.example".into())).unwrap();
    let moving = model.event(&Kind::Moving("shop.example".into())).unwrap();
    let share = model.frequency[missed.index()] / model.frequency[moving.index()];
    assert!((share - 0.05 / 0.95).abs() < 1e-9, "{share}");
    assert_eq!(model.lost(&[missed]).len(), 1);
}

#[test]
fn a_host_elsewhere_makes_nothing_worse_where_everything_else_is_in_one_zone() {
    let together = changed(|shop| shop.hosts.iter_mut().for_each(|host| host.zone = 0));
    let elsewhere = |change: &dyn Fn(&mut Service)| {
        let mut more = together.clone();
        more.hosts.push(Host { name: "new".into(), zone: 1, ..Host::default() });
        change(&mut more);
        minutes(&more)
    };
    // It takes the address when the zone falls, and then there is nothing to lead clients to.
    let balancer = elsewhere(&|more| {
        more.entries[0].hosts.push(8);
        more.entries[0].addresses[0].hosts.push(8);
    });
    let standby = elsewhere(&|more| more.databases[0].hosts.push(8));
    for more in [balancer, standby] {
        assert!(more <= minutes(&together) + 1e-9, "{more} {}", minutes(&together));
    }
}
