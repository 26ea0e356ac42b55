//! Each finding with a service that has the flaw and one that has not; and what an audit says of the shop.

mod copies;
mod partial;
mod ways_out;

use std::time::Duration;

use super::*;
use crate::service::tests::shop;
use crate::service::{CheckKind, Host, Maintenance, Member, Name, Quorum, Shared};

fn audit(change: impl Fn(&mut Service)) -> Audit {
    let mut service = shop();
    change(&mut service);
    Audit::of(&service, &Options::default())
}

fn codes(audit: &Audit) -> Vec<&'static str> {
    audit.findings.iter().map(|finding| finding.code).collect()
}

/// Every code that findings have, as their source says it.
fn all_codes() -> Vec<&'static str> {
    let sources = [include_str!("findings.rs"), include_str!("findings/surroundings.rs")];
    let quoted = |line: &&'static str| {
        let text = line.trim().trim_start_matches("self.add(").trim_start_matches("code: ");
        let code = text.strip_prefix('"')?.split('"').next()?;
        let is_code = code.contains('-') && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        (is_code && text[code.len() + 2..].starts_with(',')).then_some(code)
    };
    let mut codes: Vec<&str> =
        sources.iter().flat_map(|source| source.lines()).filter_map(|line| quoted(&line)).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The flaw is found where it is, and not in the shop.
#[track_caller]
fn flaw(code: &str, change: impl Fn(&mut Service)) -> Audit {
    assert!(!codes(&audit(|_| {})).contains(&code), "{code} is found where it is not");
    let flawed = audit(change);
    assert!(codes(&flawed).contains(&code), "{code} is not among {:?}", codes(&flawed));
    flawed
}

fn row<'a>(audit: &'a Audit, kind: ComponentKind, name: &str) -> &'a Consequence {
    audit.components.iter().find(|row| row.component.kind == kind && row.component.name == name).unwrap()
}

#[test]
fn a_shop_in_three_zones_is_good() {
    let audit = audit(|_| {});
    assert!(audit.is_good(), "{:?}", audit.findings);
    assert_eq!(codes(&audit), ["capacity-not-stated"], "{:#?}", audit.findings);
    let prediction = audit.prediction.as_ref().unwrap();
    let [worst, likely, best] = prediction.availability;
    assert!(worst < likely && likely < best);
    // Of what takes two, each would take all of it away: together more than there is.
    let share: f64 = prediction.contributions.iter().map(|of| of.share).sum();
    assert!((1.0..1.3).contains(&share), "{:#?}", prediction.contributions);
    assert_eq!(prediction.contributions[0].cause, "a change that breaks everything");
    assert_eq!(audit.pair_count, Some(audit.pairs.len() as f64));
    let has = |pair: [&str; 2]| audit.pairs.iter().any(|of| of.components == pair);
    assert!(has(["host lb1", "host lb2"]) && has(["zone a", "zone b"]));
    assert!(serde_json::to_value(&audit).unwrap()["prediction"]["reachable"].as_bool().unwrap());
}

/// A second load balancer in a zone of its own, and a name that leads to both.
fn two_entries(shop: &mut Service, change: impl Fn(&mut Name)) {
    let mut other = shop.entries[0].clone();
    shop.hosts.push(Host { name: "lb3".into(), zone: 2, ..Host::default() });
    (other.name, other.hosts) = ("other".into(), vec![8]);
    other.addresses.clear();
    shop.entries.push(other);
    let mut name = Name {
        name: "shop.example".into(),
        entries: vec![0, 1],
        ttl: Duration::from_secs(60),
        checked: Some(Duration::from_secs(10)),
        retry: false,
    };
    change(&mut name);
    shop.names.push(name);
}

fn shared(hosts: &[usize]) -> Shared {
    let (name, what) = ("sw1".to_owned(), "switch".to_owned());
    Shared { name, what, hosts: hosts.to_vec(), zones: Vec::new(), failures: None }
}

fn codes_with(change: impl Fn(&mut Service)) -> Vec<&'static str> {
    codes(&audit(change))
}

#[test]
fn every_flaw_is_found_and_only_there() {
    let beginning = ["capacity-not-stated", "too-entangled", "weights-rounded", "accepted-without-need"];
    let seen = std::cell::RefCell::new([&beginning[..], &["pairs-not-sought"]].concat());
    let flaw = |code: &'static str, change: &dyn Fn(&mut Service)| {
        seen.borrow_mut().push(code);
        flaw(code, change);
    };
    every_flaw(&flaw);
    let mut seen = seen.into_inner();
    seen.sort_unstable();
    seen.dedup();
    // Those of the beginning have tests of their own.
    assert_eq!(seen, all_codes());
}

#[test]
fn the_documentation_has_every_code() {
    let text = include_str!("../../../../docs/availability.md");
    for code in all_codes() {
        assert!(text.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn what_is_said_of_the_surroundings_is_said_only_where_it_is_so() {
    // Half of the pair is on the switch; and it is no second member of the quorum.
    let one_each = codes_with(|shop| shop.shared.push(shared(&[0, 2, 5])));
    assert!(!one_each.contains(&"shared-under-redundant"));
    let mut stated = codes_with(|shop| (shop.pools[0].needed, shop.pools[0].stated) = (2, true));
    assert_eq!(std::mem::take(&mut stated), Vec::<&str>::new());
    // Clients try by themselves: neither answers that stay nor a long TTL matter.
    let by_themselves = codes_with(|shop| {
        two_entries(shop, |name| {
            (name.retry, name.checked, name.ttl) = (true, None, Duration::from_secs(86_400));
        });
    });
    // That nobody counts its servers is said of every name.
    let of_dns =
        |codes: &[&str]| codes.iter().any(|code| code.starts_with("dns-") && *code != "dns-not-counted");
    assert!(!of_dns(&by_themselves), "{by_themselves:?}");
    let quick = codes_with(|shop| two_entries(shop, |_| {}));
    assert!(!of_dns(&quick) && quick.iter().all(|code| !code.starts_with("name-")), "{quick:?}");
    let two = |path: &str| (path.to_owned(), vec!["main".to_owned()]);
    let each_its_own = codes_with(|shop| shop.certificates = vec![two("/a"), two("/b")]);
    assert!(!each_its_own.contains(&"one-certificate"));
    let spare = codes_with(|shop| shop.hosts.iter_mut().for_each(|host| host.maintenance = Some(MONTHLY)));
    assert!(!spare.contains(&"maintenance-without-redundancy"));
}

const MONTHLY: Maintenance =
    Maintenance { every: Duration::from_secs(30 * 86_400), takes: Duration::from_secs(600) };

#[test]
fn a_switch_under_both_load_balancers_comes_with_a_second_one() {
    let audit = audit(|shop| shop.shared.push(shared(&[0, 1, 2])));
    let point = &audit.single_points[0];
    assert_eq!(
        (point.component.as_str(), point.lost.as_slice()),
        ("shared sw1", &["front http-80 to web".to_owned()][..])
    );
    // They are in two zones: each can have its own.
    assert_eq!(point.remedy.as_deref(), Some("a switch of its own for each zone in place of sw1"));
    let change = &audit.changes[0];
    assert_eq!((change.removes.as_slice(), change.hosts), (&["shared sw1".to_owned()][..], 0));
    assert!((change.saves.unwrap() - 52.5).abs() < 2.0);
    let sw1 = row(&audit, ComponentKind::Shared, "sw1");
    assert_eq!(sw1.impact[0], "switch of lb1, lb2, app1");
    assert!(sw1.person && sw1.lost == point.lost);
    // In one zone, half of them get another one.
    let together = self::audit(|shop| {
        shop.hosts[1].zone = 0;
        shop.shared.push(shared(&[0, 1]));
    });
    let texts: Vec<&str> = together.changes.iter().map(|change| change.text.as_str()).collect();
    assert!(texts.contains(&"a second switch, sw1-2, beside sw1, with lb2"), "{texts:#?}");
    let under = together.findings.iter().find(|finding| finding.code == "shared-under-redundant").unwrap();
    assert_eq!(under.text, "2 of 2 hosts of front fail with sw1 (switch): what is left is not enough");
}

#[test]
fn what_is_left_of_a_pool_is_compared_with_its_peak() {
    let audit = audit(|shop| {
        let pool = &mut shop.pools[0];
        (pool.needed, pool.by_weight, pool.stated) = (4, true, true);
        pool.members[0].weight = 3;
        pool.members[1].weight = 2;
    });
    // Three and two and one of six, and four are needed.
    let of = &audit.capacity[0];
    assert!((of.runs_at - 4.0 / 6.0).abs() < 1e-12 && of.needed == 4 && of.worth() == 6);
    let told: Vec<(&str, usize, u32, bool)> = of
        .after
        .iter()
        .map(|left| (left.without.as_str(), left.members, (left.of_peak * 100.0).round() as u32, left.enough))
        .collect();
    assert_eq!(
        told,
        [("member app1:80", 2, 75, false), ("host app1", 2, 75, false), ("zone a", 2, 75, false)]
    );
    let finding = audit.findings.iter().find(|finding| finding.code == "no-capacity-after-one-host").unwrap();
    assert_eq!(finding.text, "without member app1:80 there are 2 of 3 members, which carry 75 % of the peak");
    // Two of three, each in a zone of its own: they run at two thirds, and may.
    let well = self::audit(|shop| (shop.pools[0].needed, shop.pools[0].stated) = (2, true));
    let zone = &well.capacity[0].after[2];
    assert!(zone.enough && (zone.may_run_at - well.capacity[0].runs_at).abs() < 1e-12);
}

#[test]
fn clients_of_a_name_move_and_that_is_told() {
    let audit = audit(|shop| {
        two_entries(shop, |_| {});
        shop.hosts[1].zone = 0;
    });
    assert_eq!(audit.single_points, []);
    let zone = row(&audit, ComponentKind::Zone, "a");
    assert!(
        zone.lost.is_empty() && zone.takes_over.contains(&"shop.example: other is the answer".to_owned())
    );
    assert!((zone.gap - 70.0).abs() < 1e-9);
    let budget = audit.time_budget.iter().find(|row| row.component == "shop.example").unwrap();
    assert_eq!((budget.notice, budget.take_over), (10.0, 60.0));
    // Thirty days at 99.9 % are 43 minutes.
    assert!((budget.allowed_in_30_days.unwrap() - 2592.0 / 70.0).abs() < 1e-6);
    assert!(row(&audit, ComponentKind::Shared, "the DNS of shop.example").person);
    assert_eq!(row(&audit, ComponentKind::LoadBalancer, "other on lb3").takes_over, ["shop.example: front"]);
    let texts: Vec<&str> = audit.changes.iter().map(|change| change.text.as_str()).collect();
    assert!(texts.contains(&"clients of shop.example keep answers for 30s"), "{texts:#?}");
    // Nothing of it helps while answers stay as they are.
    let fixed = self::audit(|shop| {
        two_entries(shop, |name| name.checked = None);
        shop.hosts[1].zone = 0;
    });
    let components: Vec<&str> = fixed.single_points.iter().map(|point| point.component.as_str()).collect();
    assert_eq!(components, ["zone a", "zone c", "host lb3"]);
    assert_eq!(
        fixed.single_points[0].remedy.as_deref(),
        Some("answers for shop.example that follow health within 30s")
    );
}

#[test]
fn maintenance_is_among_what_takes_most() {
    let weekly = Maintenance { every: Duration::from_secs(7 * 86_400), takes: Duration::from_secs(3600) };
    let audit = audit(|shop| shop.hosts.iter_mut().for_each(|host| host.maintenance = Some(weekly)));
    let prediction = audit.prediction.unwrap();
    let of = prediction.contributions.iter().find(|of| of.cause == "maintenance of hosts").unwrap();
    let none = self::audit(|_| {}).prediction.unwrap();
    let more = prediction.minutes_per_year.likely - none.minutes_per_year.likely;
    assert!(more > 1.0 && (of.minutes_per_year / more - 1.0).abs() < 1e-6, "{of:?} {more}");
}

#[test]
fn an_acceptance_that_nothing_needs_is_told() {
    let mut options = Options::default();
    options.acknowledged.insert("zone a".into(), "no other".into());
    let audit = Audit::of(&shop(), &options);
    assert!(codes(&audit).contains(&"accepted-without-need") && audit.is_good());
    let mut flawed = shop();
    flawed.hosts[1].zone = 0;
    let audit = Audit::of(&flawed, &options);
    assert!(!codes(&audit).contains(&"accepted-without-need"));
}

type Flaw<'a> = &'a dyn Fn(&'static str, &dyn Fn(&mut Service));

fn every_flaw(flaw: Flaw<'_>) {
    flaw("objective-uncertain", &|shop| shop.objective = Availability::from_fraction(0.9998));
    flaw("shared-under-redundant", &|shop| shop.shared.push(shared(&[0, 1])));
    flaw("dns-answers-are-static", &|shop| two_entries(shop, |name| name.checked = None));
    flaw("dns-ttl-too-long", &|shop| two_entries(shop, |name| name.ttl = Duration::from_secs(3600)));
    flaw("name-leads-astray", &|shop| {
        two_entries(shop, |_| {});
        shop.entries[1].serves.clear();
    });
    flaw("one-certificate", &|shop| {
        shop.certificates = vec![("/etc/x.crt".into(), vec!["main".into(), "other".into()])];
    });
    flaw("maintenance-without-redundancy", &|shop| {
        shop.hosts[0].maintenance = Some(MONTHLY);
        shop.entries[0].addresses[0].hosts.truncate(1);
    });
    flaw("single-point-of-failure", &|shop| shop.hosts[1].zone = 0);
    flaw("objective-out-of-reach", &|shop| shop.objective = Availability::from_fraction(0.99999));
    flaw("slow-failover", &|shop| shop.entries[0].addresses[0].notice = Duration::from_secs(700));
    flaw("one-zone", &|shop| {
        shop.zones.truncate(1);
        shop.hosts.iter_mut().for_each(|host| host.zone = 0);
    });
    flaw("depends-on-dns", &|shop| shop.hosts[0].by_name = true);
    flaw("redundant-in-one-zone", &|shop| shop.hosts[1].zone = 0);
    flaw("redundant-on-one-host", &|shop| {
        shop.pools[0].members.iter_mut().for_each(|member| member.host = 2);
    });
    flaw("no-virtual-address", &|shop| shop.entries[0].addresses.clear());
    flaw("address-without-backup", &|shop| shop.entries[0].addresses[0].hosts.truncate(1));
    flaw("sticky-pool", &|shop| shop.pools[0].sticky = Some("the cookie session".into()));
    flaw("no-retries", &|shop| shop.pools[0].tries = 1);
    flaw("retries-without-budget", &|shop| shop.pools[0].retry_budget = 1.0);
    flaw("nobody-notices", &|shop| (shop.pools[0].check, shop.pools[0].failures) = (CheckKind::None, None));
    flaw("no-check", &|shop| shop.pools[0].check = CheckKind::None);
    flaw("shallow-check", &|shop| shop.pools[0].check = CheckKind::Tcp);
    flaw("too-few-members", &|shop| shop.pools[0].needed = 4);
    flaw("no-capacity-after-one-host", &|shop| shop.pools[0].needed = 3);
    flaw("no-capacity-after-one-zone", &|shop| (shop.pools[0].needed, shop.hosts[4].zone) = (2, 1));
    flaw("database-without-standby", &|shop| {
        (shop.databases[0].confirm, shop.databases[0].hosts) = (0, vec![5]);
    });
    flaw("standby-cannot-take-over", &|shop| shop.databases[0].confirm = 0);
    flaw("every-host-needed", &|shop| shop.databases[0].hosts.truncate(2));
    flaw("fewer-copies", &|shop| shop.databases[0].strict = false);
    flaw("zone-holds-too-many", &|shop| shop.hosts[7].zone = 1);
    flaw("databases-share-a-host", &|shop| {
        let mut other = shop.databases[0].clone();
        other.name = "other".into();
        shop.databases.push(other);
    });
    flaw("quorum-of-one-machine", &|shop| shop.quorum = Some(Quorum { members: Vec::new() }));
    let voters = |count: usize| {
        move |shop: &mut Service| shop.quorum.iter_mut().for_each(|quorum| quorum.members.truncate(count))
    };
    flaw("quorum-of-one", &voters(1));
    flaw("quorum-of-two", &voters(2));
    flaw("quorum-even", &|shop| {
        let quorum = shop.quorum.as_mut().unwrap();
        quorum.members.push(crate::service::Voter::new("10.9.9.9:2379", None));
    });
    flaw("quorum-in-too-few-zones", &|shop| shop.hosts[7].zone = 1);
    flaw("quorum-zones-unknown", &|shop| shop.quorum.as_mut().unwrap().members[2].host = None);
    flaw("watcher-behind-watched", &|shop| {
        let voter = &mut shop.quorum.as_mut().unwrap().members[2];
        (voter.host, voter.through) = (None, Some("front".into()));
    });
    flaw("watched-from-within", &|shop| {
        shop.entries[0].hosts.truncate(1);
        shop.pools[0].members[0].host = 0;
    });
    flaw("changes-not-tried", &|shop| {
        let pool = Pool { needed: 3, ..shop.pools[0].clone() };
        shop.pools.extend(std::iter::repeat_n(pool, 40));
    });
    flaw("dns-not-counted", &|shop| two_entries(shop, |_| {}));
    flaw("certificate-not-counted", &|shop| {
        shop.certificates = vec![("/etc/x.crt".into(), vec!["main".into()])];
    });
}

#[test]
fn a_single_point_comes_with_the_change_that_removes_it() {
    let flawed = flaw("single-point-of-failure", |shop| shop.hosts[1].zone = 0);
    let point = &flawed.single_points[0];
    assert_eq!(
        (point.component.as_str(), point.lost.as_slice()),
        ("zone a", &["front http-80 to web".to_owned()][..])
    );
    assert_eq!(point.remedy.as_deref(), Some("lb2 of front in zone b instead of a (on the same network)"));
    assert!(!flawed.is_good());
    let change = &flawed.changes[0];
    assert_eq!((change.removes.as_slice(), change.hosts), (&["zone a".to_owned()][..], 0));
    assert!(change.saves.unwrap() > 400.0);
}

#[test]
fn a_single_point_that_is_accepted_is_good_enough() {
    let mut service = shop();
    service.objective = Availability::from_fraction(0.99);
    service.hosts[1].zone = 0;
    let mut options = Options::default();
    assert!(!Audit::of(&service, &options).is_good());
    options.acknowledged.insert("zone a".into(), "there is no second one yet".into());
    let audit = Audit::of(&service, &options);
    assert!(audit.is_good());
    assert!(!codes(&audit).contains(&"single-point-of-failure"));
}

#[test]
fn members_of_very_many_weights_have_a_prediction_and_its_findings_say_how() {
    let with = |weight: &dyn Fn(usize) -> usize| {
        let mut service = shop();
        let first = service.hosts.len();
        let host = |at: usize| Host { name: format!("more{at}"), zone: at % 3, ..Host::default() };
        service.hosts.extend((0..60).map(host));
        let pool = &mut service.pools[0];
        let member = |at: usize| Member { weight: weight(at), ..Member::new(format!("m{at}"), first + at) };
        pool.members = (0..60).map(member).collect();
        (pool.by_weight, pool.stated) = (true, true);
        pool.needed = pool.carried(|_| true) / 2;
        let options = Options { limits: Limits { nodes: 60_000, scenarios: 200 }, ..Options::default() };
        Audit::of(&service, &options)
    };
    let (many, one) = (with(&|at| at * 37 % 101 + 1), with(&|_| 7));
    assert!(codes(&many).contains(&"weights-rounded") && !codes(&one).contains(&"weights-rounded"));
    let minutes = |audit: &Audit| audit.prediction.as_ref().unwrap().minutes_per_year;
    // Half may be gone, and a zone is a third: weights hardly matter.
    assert!((minutes(&many).likely / minutes(&one).likely - 1.0).abs() < 0.2, "{:?}", minutes(&many));
    // Two zones of three, whatever the weights: what only nearly is fatal is not among the pairs.
    assert!(one.pair_count.is_some_and(|count| count > 0.0), "{:?}", codes(&one));
    assert_eq!(many.pair_count, one.pair_count, "{:?}", codes(&many));
}

#[test]
fn what_is_fatal_alone_is_known_even_where_nothing_else_is() {
    let mut service = shop();
    service.hosts[1].zone = 0;
    let options = Options { limits: Limits { nodes: 20, scenarios: 2 }, ..Options::default() };
    let audit = Audit::of(&service, &options);
    assert_eq!(audit.single_points.len(), 1);
    assert!(audit.prediction.is_none() && audit.pair_count.is_none() && !audit.is_good());
    assert!(codes(&audit).contains(&"too-entangled"));
}

#[test]
fn changes_say_what_they_buy() {
    let audit = audit(|shop| {
        shop.databases[0].hosts.truncate(2);
        shop.pools[0].members.truncate(1);
        shop.entries[0].hosts.truncate(1);
        shop.entries[0].addresses[0].hosts.truncate(1);
    });
    let texts: Vec<&str> = audit.changes.iter().map(|change| change.text.as_str()).collect();
    for wanted in [
        "a second host for front in zone c (on the same network)",
        "a standby of main in zone c, 1 confirming",
        "one more member of web in zone c",
        "changes go to a part first, so that nine of ten that break something break little",
    ] {
        assert!(texts.contains(&wanted), "{wanted}: {texts:#?}");
    }
    let alone = self::audit(|shop| shop.quorum.iter_mut().for_each(|quorum| quorum.members.truncate(1)));
    // There are hosts for them in other zones.
    assert_eq!(
        alone.changes[0].text,
        "three coordination members in three zones, with new ones beside db2 and beside db3"
    );
    assert_eq!((alone.changes[0].removes.len(), alone.changes[0].hosts), (2, 0));
    assert!(audit.changes.is_sorted_by(|a, b| a.saves >= b.saves));
    assert!(audit.changes.iter().all(|change| change.saves.unwrap() > 0.0));
}

#[test]
fn what_each_component_means() {
    let audit = audit(|_| {});
    let lb1 = row(&audit, ComponentKind::Host, "lb1");
    assert!(lb1.lost.is_empty() && !lb1.person);
    assert_eq!(lb1.takes_over, ["front: lb2 takes 10.0.1.100"]);
    assert!((lb1.gap - 0.346).abs() < 1e-9);
    let zone = row(&audit, ComponentKind::Zone, "a");
    assert!(zone.takes_over.contains(&"main: db2 takes the primary".to_owned()), "{zone:?}");
    assert!(zone.takes_over.contains(&"coordination: 2 of 3 left".to_owned()));
    // Lease, clocks, heartbeat, promotion.
    assert!((zone.gap - (1.575 + 0.25 + 2.0)).abs() < 1e-9);
    assert_eq!(row(&audit, ComponentKind::Host, "lb2").impact, ["nothing"]);
    let app = row(&audit, ComponentKind::Member, "app1:80 of web");
    assert_eq!(app.noticed, ["web: by traffic after 3 failures in a row, by checks within 2.3 s"]);
    assert_eq!(row(&audit, ComponentKind::Instance, "main on db1").takes_over, ["db2 becomes the primary"]);
    // Its nines is the way to it: without that the lease must run out, as if the host were gone.
    let keeper = row(&audit, ComponentKind::Keeper, "main on db1");
    assert!(keeper.takes_over == ["db2 becomes the primary"] && (keeper.gap - zone.gap).abs() < 1e-9);
    assert!(row(&audit, ComponentKind::Keeper, "main on db2").gap == 0.0);
    let address = row(&audit, ComponentKind::Address, "10.0.1.100 of front");
    assert!(address.person && address.lost == ["front http-80 to web"], "{address:?}");
    assert_eq!(row(&audit, ComponentKind::Coordination, "db1:2379").takes_over, ["2 of 3 left"]);
    assert!(row(&audit, ComponentKind::Shared, "the system file and the program").person);
    assert_eq!(row(&audit, ComponentKind::LoadBalancer, "front on lb1").takes_over, ["lb2 takes 10.0.1.100"]);
}

#[test]
fn pairs_are_places_and_all_of_them() {
    // Sixty members of which one may be gone: each two of them. Besides, two load balancers, and two of three of the database's hosts.
    let audit = audit(|shop| {
        let pool = &mut shop.pools[0];
        (pool.needed, pool.stated) = (59, true);
        pool.members = (0..60).map(|at| crate::service::Member::new(format!("m{at}"), 8 + at)).collect();
        shop.hosts.extend((0..60).map(|at| Host { name: format!("h{at}"), zone: at % 3, ..Host::default() }));
    });
    assert_eq!((audit.pair_count, audit.pairs.len()), (Some(1774.0), 1774));
    let bare = |of: &String| {
        ["host ", "zone ", "region ", "shared ", "coordination "].iter().any(|kind| of.starts_with(kind))
    };
    assert!(audit.pairs.iter().flat_map(|pair| &pair.components).all(bare));
}

#[test]
fn of_many_changes_habits_come_first_and_the_rest_is_told() {
    let audit = audit(|shop| {
        let pool = Pool { needed: 3, stated: true, ..shop.pools[0].clone() };
        for at in 0..40 {
            shop.pools.push(Pool { name: format!("more{at}"), ..pool.clone() });
            shop.entries[0].serves.push((format!("http-{at}"), at + 1));
        }
    });
    assert!(audit.changes_not_tried > 10 && codes(&audit).contains(&"changes-not-tried"));
    assert!(
        audit.changes.iter().any(|change| change.text.contains("rehearsed until")),
        "{:?}",
        audit.changes
    );
}

#[test]
fn what_nobody_leads_and_nobody_notices_is_told_of_each_host() {
    let bare = audit(|shop| shop.entries[0].addresses.clear());
    let lb2 = row(&bare, ComponentKind::Host, "lb2");
    assert!(
        lb2.person && lb2.impact[0].contains("1 of 2 of them get no answer until it is repaired"),
        "{lb2:?}"
    );
    let remedy =
        bare.single_points.iter().find(|of| of.component == "host lb1").and_then(|of| of.remedy.clone());
    assert_eq!(remedy.as_deref(), Some("a virtual address for front"));
    let unnoticed = audit(|shop| {
        let pool = &mut shop.pools[0];
        (pool.tries, pool.notice, pool.failures, pool.check) = (1, None, None, CheckKind::None);
    });
    let app1 = row(&unnoticed, ComponentKind::Host, "app1");
    assert!(app1.impact[0].contains("33 % of the requests are lost until it is repaired"), "{app1:?}");
    assert!(app1.person && app1.part_fails.is_none());
    let once = audit(|shop| shop.pools[0].tries = 1);
    assert_eq!(row(&once, ComponentKind::Host, "app1").part_fails, Some(2.3));
    assert_eq!(row(&once, ComponentKind::Member, "app1:80 of web").part_fails, Some(2.3));
    let causes = &unnoticed.prediction.as_ref().unwrap().contributions;
    assert!(causes.iter().any(|of| of.cause == "host app1" && of.minutes_per_year > 150.0), "{causes:?}");
}

#[test]
fn the_capacity_of_very_many_members_is_worked_out_in_one_pass() {
    let mut service = shop();
    let pool = &mut service.pools[0];
    (pool.needed, pool.stated) = (19_000, true);
    pool.members = (0..20_000).map(|at| crate::service::Member::new(format!("m{at}"), 8 + at)).collect();
    service.hosts.extend((0..20_000).map(|at| Host {
        name: format!("h{at}"),
        zone: at % 3,
        ..Host::default()
    }));
    // The cube of it would take days.
    let of = super::capacity(&service, &service.pools[0]).unwrap();
    let left: Vec<(usize, bool)> = of.after.iter().map(|left| (left.members, left.enough)).collect();
    assert_eq!(left, [(19_999, true), (19_999, true), (13_333, false)]);
}

/// A thousand hosts in twenty zones, in five pools and behind two load balancers.
pub(crate) fn thousand() -> Service {
    let mut service = shop();
    service.zones = (0..20).map(|at| crate::service::Zone { name: format!("z{at}"), region: None }).collect();
    service.hosts.iter_mut().enumerate().for_each(|(at, host)| host.zone = at % 20);
    let web = service.pools[0].clone();
    service.pools.clear();
    service.entries[0].serves.clear();
    for pool in 0..5 {
        let first = service.hosts.len();
        service.hosts.extend((0..198).map(|at| Host {
            name: format!("app{pool}-{at}"),
            zone: at % 20,
            ..Host::default()
        }));
        let member = |host: usize| crate::service::Member::new(format!("m{host}"), host);
        service.pools.push(crate::service::Pool {
            name: format!("web{pool}"),
            members: (first..first + 198).map(member).collect(),
            needed: 170,
            stated: true,
            ..web.clone()
        });
        service.entries[0].serves.push(("http-80".into(), pool));
    }
    service
}

#[test]
fn a_thousand_hosts_are_audited() {
    let audit = Audit::of(&thousand(), &Options::default());
    let prediction = audit.prediction.unwrap();
    assert!((1.0..1000.0).contains(&prediction.minutes_per_year.likely), "{prediction:?}");
    assert_eq!(audit.single_points.len(), 0);
    // Zones, hosts, members; nines of the load balancer and its address; engines, nines, and votes of the database; the program.
    assert_eq!(audit.components.len(), 20 + 998 + 990 + 2 + 1 + 3 + 3 + 3 + 1);
}
