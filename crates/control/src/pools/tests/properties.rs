//! Whatever happens, in whatever order: the machine never contradicts itself.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::*;
use super::world::*;
use crate::traffic::Failure;

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    /// Time stands still, but the shell calls.
    Timer,
    Break(usize),
    Heal(usize),
    Mute(usize),
    Fails(usize, u8),
    Recovers(usize),
    Wish(usize, Wish),
    Resolved(Result<Vec<IpAddr>, String>),
    Reload(usize),
    /// A probe that ends twice, or one that nobody asked for.
    Stray(u32, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..6usize;
    let wish = prop_oneof![Just(Wish::Ready), Just(Wish::Draining), Just(Wish::Maintenance)];
    let address = prop_oneof![
        (0..3u8).prop_map(|n| Ok(vec![IpAddr::from([10, 0, 1, n]), IpAddr::from([10, 0, 1, 2 * n])])),
        Just(Ok(Vec::new())),
        Just(Err("SERVFAIL".to_owned())),
    ];
    prop_oneof![
        4 => (0..3_000u64).prop_map(Step::Pass),
        1 => Just(Step::Timer),
        2 => member.clone().prop_map(Step::Break),
        2 => member.clone().prop_map(Step::Heal),
        1 => member.clone().prop_map(Step::Mute),
        4 => (member.clone(), 1..5u8).prop_map(|(member, times)| Step::Fails(member, times)),
        1 => member.clone().prop_map(Step::Recovers),
        2 => (member, wish).prop_map(|(member, wish)| Step::Wish(member, wish)),
        1 => address.prop_map(Step::Resolved),
        1 => (0..SHAPES.len()).prop_map(Step::Reload),
        1 => (0..9u32, 0..40u64).prop_map(|(member, number)| Step::Stray(member, number)),
    ]
}

/// Members and further lines of the pool.
const SHAPES: [(&str, &str); 6] = [
    ("app1 app2 app3", ""),
    ("app1 app2 app3 app4 named", "slow_start = \"500ms\""),
    ("app1 app2", "when_too_few = \"refuse\"\nminimum_healthy = \"100 %\""),
    ("app1 app2 app3 app4 app5", "check = { http = \"/\", rise = 1, fall = 3 }"),
    (
        "app3 app1 named",
        "check = \"none\"\npassive = { failures = 1, eject = \"1s\", max_ejected = \"100 %\" }",
    ),
    ("app5 app4 app3 app2 app1", "passive = { max_ejected = \"20 %\" }"),
];

fn host(n: usize) -> String {
    if n == 5 { "named".to_owned() } else { format!("app{}", n + 1) }
}

fn live(shape: usize, steps: &[Step]) -> World {
    static PARSED: LazyLock<Vec<Arc<System>>> =
        LazyLock::new(|| SHAPES.iter().map(|(members, pool)| file(members, pool)).collect());
    let shapes = &*PARSED;
    let mut world = World::of(shapes[shape].clone());
    for step in steps {
        let key = |world: &World, n: usize| {
            let members = world.system.pools[0].members.iter();
            let at = members.clone().position(|member| world.system[member.host].name == host(n));
            at.map_or(MemberKey(999), |at| world.view().members[at].key)
        };
        match step {
            Step::Pass(ms) => world.run(*ms),
            Step::Timer => world.handle(Input::Timer),
            Step::Break(n) => drop(world.bad.insert(host(*n))),
            Step::Mute(n) => drop(world.mute.insert(host(*n))),
            Step::Heal(n) => {
                world.bad.remove(&host(*n));
                world.mute.remove(&host(*n));
            }
            Step::Fails(n, times) => {
                for _ in 0..*times {
                    let member = key(&world, *n);
                    world.handle(Input::Traffic { member, traffic: Traffic::Failed(Failure::Reset) });
                }
            }
            Step::Recovers(n) => {
                let member = key(&world, *n);
                world.handle(Input::Traffic { member, traffic: Traffic::Recovered });
            }
            Step::Wish(n, wish) => drop(world.wish(&host(*n), *wish)),
            Step::Resolved(addresses) => {
                world.names.insert("app.internal".to_owned(), addresses.clone());
                let name = "app.internal".to_owned();
                world.handle(Input::Resolved { name, addresses: addresses.clone() });
            }
            Step::Reload(shape) => world.reload(shapes[*shape].clone()),
            Step::Stray(member, number) => {
                let ticket = Ticket { member: MemberKey(*member), number: *number };
                let result = Probed::new(Ok("HTTP 200".to_owned()), HALF_A_MS);
                world.handle(Input::Probed { ticket, result });
            }
        }
        world.pools.check_invariants();
        assert!(
            world.pools.deadline().is_none_or(|deadline| deadline > world.now || world.now == world.start)
        );
    }
    world
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn it_never_contradicts_itself(shape in 0..SHAPES.len(), steps in prop::collection::vec(step(), 1..60)) {
        let world = live(shape, &steps);
        for pair in world.views.windows(2) {
            prop_assert!(pair[0].1 != pair[1].1 || steps.iter().any(|step| matches!(step, Step::Reload(_))));
        }
    }

    #[test]
    fn one_probe_at_a_time(steps in prop::collection::vec(step(), 1..40)) {
        // A mute member's probe is in the air until it is lost; the shortest life of one is 250 ms and its time-out.
        let mut world = live(0, &[]);
        world.run(500);
        world.mute.extend((0..6).map(host));
        let from = world.ms();
        for step in &steps {
            if let Step::Pass(ms) = step {
                world.run(*ms);
            }
            let member = world.view().members[0].key;
            world.handle(Input::Traffic { member, traffic: Traffic::Failed(Failure::Silent) });
        }
        let of_app1: Vec<u128> =
            world.probes.iter().filter(|(at, host)| *at > from + 1_100 && host == "app1").map(|(at, _)| *at).collect();
        for pair in of_app1.windows(2) {
            prop_assert!(pair[1] - pair[0] >= 750, "{:?}", of_app1);
        }
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn once_all_is_well_every_member_serves_again(
        shape in 0..SHAPES.len(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = live(shape, &steps);
        world.bad.clear();
        world.mute.clear();
        world.names.insert("app.internal".to_owned(), Ok(vec![IpAddr::from([10, 0, 1, 1])]));
        world.wish("web", Wish::Ready).unwrap();
        world.run(6 * 60_000);
        prop_assert_eq!(world.eligible().len(), world.system.pools[0].members.len());
        prop_assert!(world.view().members.iter().all(|member| member.share == 100));
        prop_assert!(world.opened.is_some());
    }
}
