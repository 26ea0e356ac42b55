//! A primary that reaches the store and no standby.

use super::*;

fn lacks(streams: bool, lonely: bool) -> Vitals {
    Vitals {
        role: Role::Standby,
        origin: Origin::Ruled,
        position: Some(Position { term: 1, lsn: 100 }),
        streams: streams.then(|| (host("a"), 1)),
        unfit: None,
        lonely,
        deposed: None,
        beat: 0,
    }
}

fn told(scene: &mut Scene, name: &str, vitals: Vitals) {
    scene.changed(Register::Vitals(host(name)), Value::Vitals(vitals));
}

/// It was in the middle of it all, and lost both standbys.
fn alone() -> Scene {
    let mut scene = Scene::serving();
    scene.beats(2);
    scene.engine(primary(1, 100, &[]));
    scene
}

fn gives_up(scene: &mut Scene, beats: usize) -> bool {
    for _ in 0..beats {
        scene.pass(BEAT);
        while scene.is_wanted(&Register::Lease) {
            if matches!(scene.grant(&Register::Lease), Value::Lease(Lease { holder: None, .. })) {
                return true;
            }
        }
    }
    false
}

#[test]
fn it_leaves_it_to_others_that_lack_it_as_well_gate_first() {
    let mut scene = alone();
    for standby in ["b", "c"] {
        told(&mut scene, standby, lacks(false, false));
    }
    scene.asked.clear();
    assert!(gives_up(&mut scene, 8));
    assert!(scene.says(Kind::Released).contains("others could do better"), "{:?}", scene.asked);
    assert!(!scene.is_open());
    scene.pass(2 * LEASE);
    assert!(!scene.is_wanted(&Register::Lease), "it gives them the time");
    assert!(scene.told.last().is_some_and(|told| told.lonely));
    // Nobody takes it: then reads at least go on, and it is not tried again soon.
    scene.beats(8);
    assert!(scene.is_open());
    for standby in ["b", "c"] {
        told(&mut scene, standby, lacks(false, false));
    }
    assert!(!gives_up(&mut scene, 12));
}

#[test]
fn it_stays_if_nobody_could_do_better() {
    // (b, c): what each has told; nothing if it was never heard of.
    let cases = [
        ("one is alone as well, and nobody else is there", Some(lacks(false, false)), None),
        ("both have tried", Some(lacks(false, true)), Some(lacks(false, true))),
        (
            "who would be named has tried",
            Some(Vitals { position: Some(Position { term: 2, lsn: 90 }), ..lacks(false, true) }),
            Some(lacks(false, false)),
        ),
        (
            "one can't serve",
            Some(lacks(false, false)),
            Some(Vitals { unfit: Some("its disk is full".to_owned()), ..lacks(false, false) }),
        ),
        (
            "one has nothing",
            Some(Vitals { position: None, ..lacks(false, false) }),
            Some(lacks(false, false)),
        ),
    ];
    for (what, b, c) in cases {
        let mut scene = alone();
        for (standby, vitals) in [("b", b), ("c", c)] {
            if let Some(vitals) = vitals {
                told(&mut scene, standby, vitals);
            }
        }
        assert!(!gives_up(&mut scene, 30), "{what}");
    }
}

#[test]
fn a_standby_that_confirms_nothing_counts_as_none() {
    let mut scene = Scene::serving();
    scene.beats(2);
    for standby in ["b", "c"] {
        told(&mut scene, standby, lacks(false, false));
    }
    // They reach it, it does not reach them.
    scene.engine(primary(1, 150, &[("b", 100), ("c", 100)]));
    assert!(gives_up(&mut scene, 12));
}

/// What b and c have, heartbeat by heartbeat, while both say that they stream.
fn gives_up_while_they_say_they_stream(confirmed: fn(Lsn) -> Vec<(&'static str, Lsn)>) -> bool {
    let mut scene = Scene::serving();
    scene.beats(2);
    let absent_after = scene.machine.settings.absent_after;
    for beat in 0..u64::from((2 * absent_after).as_millis() as u32 / BEAT.as_millis() as u32) {
        for standby in ["b", "c"] {
            told(&mut scene, standby, lacks(true, false));
        }
        scene.engine(primary(1, 1000 + beat, &confirmed(beat)));
        if gives_up(&mut scene, 1) {
            return true;
        }
    }
    false
}

#[test]
fn of_standbys_that_say_they_stream_it_wants_to_hear_something() {
    let gives_up = gives_up_while_they_say_they_stream;
    assert!(gives_up(|_| vec![("b", 100), ("c", 100)]), "it is deaf to them");
    assert!(gives_up(|_| Vec::new()), "it has long closed their connections");
    assert!(!gives_up(|beat| vec![("b", 100 + beat), ("c", 100)]), "one catches up: nobody could do better");
}

/// Found by the simulator: small packets pass, and of the log nothing does.
#[test]
fn a_standby_that_connects_again_and_again_and_never_confirms_anything_counts_as_none() {
    let mut scene = Scene::serving();
    scene.beats(2);
    let mut beats = 0..80;
    let gave_up = beats.any(|beat| {
        for standby in ["b", "c"] {
            told(&mut scene, standby, lacks(false, false));
        }
        let there: &[(&str, Lsn)] = if beat % 3 == 0 { &[] } else { &[("b", 0), ("c", 0)] };
        scene.engine(primary(1, 200, there));
        gives_up(&mut scene, 1)
    });
    assert!(gave_up);
}

#[test]
fn a_primary_that_never_gathered_anybody_waits_longer() {
    let mut scene = Scene::new("a", primary(1, 100, &[]));
    scene.grant(&Register::Lease);
    scene.beats(30);
    for standby in ["b", "c"] {
        told(&mut scene, standby, lacks(false, false));
    }
    let patience = 2 * (LEASE + scene.machine.settings.absent_after);
    assert!(patience > 30 * BEAT && !gives_up(&mut scene, 4));
    assert!(gives_up(&mut scene, 12));
}

#[test]
fn one_that_was_alone_lately_is_named_last() {
    let mut scene = Scene::new("b", standby(1, 100));
    told(&mut scene, "a", Vitals { role: Role::Primary, ..lacks(false, true) });
    scene.changed(Register::Lease, Value::Lease(Lease { term: 1, holder: None, beat: 9, end: None }));
    scene.grant(&Register::Lease);
    scene.grant_rule();
    scene.done(Report { source: None, ..standby(2, 100) });
    scene.grant(&Register::Pledge(host("b")));
    let pledge =
        |lsn| Value::Pledge(Pledge { term: 2, position: Some(Position { term: 1, lsn }), fit: true });
    scene.changed(Register::Pledge(host("a")), pledge(140));
    assert!(!scene.is_wanted(&Register::Rule), "it would be enough");
    scene.changed(Register::Pledge(host("c")), pledge(100));
    assert_eq!(scene.grant_rule().primary, host("b"));
}
