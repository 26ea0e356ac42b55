//! What the operator can want, and is refused.

use super::*;

fn told(scene: &mut Scene, name: &str, unfit: Option<&str>) {
    let vitals = Vitals {
        role: Role::Standby,
        origin: Origin::Ruled,
        position: Some(Position { term: 1, lsn: 100 }),
        streams: Some((host("a"), 1)),
        unfit: unfit.map(ToOwned::to_owned),
        lonely: false,
        deposed: None,
        beat: 0,
    };
    scene.changed(Register::Vitals(host(name)), Value::Vitals(vitals));
}

fn to(name: &str) -> Verb {
    Verb::Switchover { to: Some(host(name)), force: false }
}

fn reinit(name: &str) -> Verb {
    Verb::Reinit { host: host(name) }
}

fn refused(scene: &Scene, verb: &Verb) -> String {
    scene.machine.wish(verb).expect_err("it is refused")
}

#[test]
fn a_switchover_is_wished_for_in_this_term_to_whom_it_can_go() {
    for name in ["a", "b"] {
        let report = if name == "a" { primary(1, 100, &[("b", 100), ("c", 90)]) } else { standby(1, 100) };
        let mut scene = Scene::new(name, report);
        told(&mut scene, "c", None);
        let (revision, wish) = scene.machine.wish(&to("c")).expect("it can");
        let switchover = Some(Switchover { term: 1, to: Some(host("c")), force: false });
        assert_eq!((revision, wish), (0, Wish { switchover, ..Wish::default() }));
        assert!(scene.machine.wish(&Verb::Switchover { to: None, force: true }).is_ok());
        assert_eq!(refused(&scene, &to("a")), "a is the primary already");
        assert_eq!(refused(&scene, &to("x")), "x is not a host of this database: a, b, c");
        told(&mut scene, "c", Some("its disk is full"));
        assert_eq!(refused(&scene, &to("c")), "c could not serve: its disk is full");
    }
}

#[test]
fn a_switchover_to_who_is_not_there_or_not_a_member_is_refused() {
    let mut scene = Scene::new("a", primary(1, 100, &[("b", 100)]));
    assert_eq!(refused(&scene, &to("c")), "c does not stream from a");
    scene.changed(Register::Rule, Value::Rule(Rule { cohort: cohort(&["a", "c"], 2), ..rule() }));
    assert_eq!(refused(&scene, &to("b")), "b is not in the cohort: 2 of a, c");
    assert_eq!(
        refused(&scene, &Verb::Switchover { to: None, force: false }),
        "no standby could be the primary now"
    );
    scene.changed(Register::Rule, Value::Rule(rule().recruiting(2, host("c"))));
    assert_eq!(refused(&scene, &to("b")), "c takes over in term 2");
}

#[test]
fn one_switchover_at_a_time() {
    let mut scene = Scene::serving();
    let (_, wish) = scene.machine.wish(&to("b")).expect("it can");
    scene.changed(Register::Wish, Value::Wish(wish));
    assert_eq!(refused(&scene, &to("c")), "a switchover to b is under way");
}

#[test]
fn it_is_paused_once_and_resumed_once() {
    let mut scene = Scene::serving();
    assert_eq!(refused(&scene, &Verb::Resume), "it is not paused");
    let (revision, wish) = scene.machine.wish(&Verb::Pause).expect("it can");
    assert_eq!(revision, 0);
    scene.changed(Register::Wish, Value::Wish(wish));
    assert_eq!(refused(&scene, &Verb::Pause), "it is paused already");
    assert_eq!(refused(&scene, &to("b")), "it is paused: resume it first");
    assert_eq!(refused(&scene, &reinit("b")), "it is paused: resume it first");
    let (revision, wish) = scene.machine.wish(&Verb::Resume).expect("it can");
    assert_eq!((revision, wish), (scene.revision, Wish::default()));
}

#[test]
fn a_standby_sets_its_data_aside_once_when_it_is_told_to() {
    let mut scene = Scene::new("b", standby(1, 100));
    told(&mut scene, "c", None);
    let (_, wish) = scene.machine.wish(&reinit("b")).expect("it can");
    scene.changed(Register::Wish, Value::Wish(wish));
    assert_eq!(refused(&scene, &reinit("b")), "b is to do so already");
    let effect = scene.done(standby(1, 120));
    assert_eq!(effect, Effect::Rejoin { primary: host("a"), term: 1, afresh: true });
    assert_eq!(scene.grant(&Register::Wish), Value::Wish(Wish::default()));
    scene.pass(LEASE);
    assert!(scene.effect().is_none());
    // Also what somebody else put there.
    let foreign = Report { origin: Origin::Foreign, pledged: 0, source: None, ..standby(0, 100) };
    let mut scene = Scene::new("b", foreign);
    scene.grant(&Register::Pledge(host("b")));
    scene.changed(Register::Wish, Value::Wish(Wish { reinit: [host("b")].into(), ..Wish::default() }));
    assert!(matches!(scene.effect(), Some((_, Effect::Rejoin { afresh: true, .. }))));
}

#[test]
fn the_primary_and_who_is_needed_keep_their_data() {
    let mut scene = Scene::new("a", primary(1, 100, &[("b", 100)]));
    assert_eq!(refused(&scene, &reinit("a")), "a is the primary: switch over first");
    assert_eq!(refused(&scene, &reinit("b")), "too few would confirm writes without b");
    assert!(scene.machine.wish(&reinit("c")).is_ok(), "it confirms nothing anyway");
    // It may have become the primary since.
    scene.grant(&Register::Lease);
    scene.changed(Register::Wish, Value::Wish(Wish { reinit: [host("a")].into(), ..Wish::default() }));
    assert_eq!(scene.grant(&Register::Wish), Value::Wish(Wish::default()));
    assert!(scene.effect().is_none() && scene.is_open());
    assert!(scene.says(Kind::Refused).contains("it is the primary"));
}
