//! What a person is told: who would take over, and why the others would not.

use super::*;

fn vitals(lsn: Lsn, streams: bool) -> Vitals {
    Vitals {
        role: Role::Standby,
        origin: Origin::Ruled,
        position: Some(Position { term: 1, lsn }),
        streams: streams.then(|| (host("a"), 1)),
        unfit: None,
    }
}

fn told(scene: &mut Scene, name: &str, vitals: Vitals) {
    scene.changed(Register::Vitals(host(name)), Value::Vitals(vitals));
}

fn others(forecast: &Forecast) -> Vec<(&str, &str)> {
    forecast.others.iter().map(|(host, why)| (host.name(), why.as_str())).collect()
}

#[test]
fn the_primary_knows_who_would_take_over_and_how_far_each_is() {
    let mut scene = Scene::serving();
    scene.engine(primary(1, 120, &[("b", 100), ("c", 120)]));
    told(&mut scene, "b", vitals(90, true));
    told(&mut scene, "c", vitals(90, true));
    let status = scene.machine.status(scene.now);
    assert!(status.serves && status.settled, "{status:?}");
    assert_eq!(status.lease.left, Some(LEASE.mul_f64(0.95)));
    let lag: Vec<_> = status.members.iter().map(|one| (one.host.name(), one.lag, one.confirms)).collect();
    assert_eq!(lag, [("a", Some(0), false), ("b", Some(20), true), ("c", Some(0), true)]);
    let forecast = status.if_primary_died;
    assert_eq!((forecast.successor.clone(), forecast.at_risk), (Some(host("c")), Some(0)));
    assert_eq!(others(&forecast), [("b", "it is 20 bytes behind")]);
    let within = forecast.within.expect("somebody would");
    assert!(within > LEASE && within < 2 * LEASE, "{within:?}");
}

#[test]
fn too_few_that_stream_put_at_risk_what_only_the_primary_has() {
    let mut scene = Scene::serving();
    scene.engine(primary(1, 120, &[("b", 110)]));
    told(&mut scene, "b", vitals(100, true));
    told(&mut scene, "c", vitals(40, false));
    let forecast = scene.machine.status(scene.now).if_primary_died;
    assert_eq!((forecast.successor.clone(), forecast.at_risk), (None, Some(10)));
    assert!(forecast.refused.as_ref().is_some_and(|why| why.contains("1 of a, c")), "{forecast:?}");
    assert_eq!(
        others(&forecast),
        [("b", "what it has may not be everything"), ("c", "it does not stream from the primary")]
    );
}

#[test]
fn a_standby_knows_by_what_the_others_have_told() {
    let mut scene = Scene::new("b", standby(1, 100));
    let lease =
        Lease { term: 1, holder: Some(host("a")), beat: 2, end: Some(Position { term: 1, lsn: 105 }) };
    scene.changed(Register::Lease, Value::Lease(lease));
    told(&mut scene, "c", Vitals { unfit: Some("its disk is full".to_owned()), ..vitals(100, true) });
    scene.now += BEAT;
    let status = scene.machine.status(scene.now);
    assert_eq!((status.lease.left, status.lease.unchanged), (None, BEAT));
    let lag: Vec<_> = status.members.iter().map(|one| (one.lag, one.streams)).collect();
    assert_eq!(lag, [(Some(0), false), (Some(5), true), (Some(5), true)]);
    let forecast = status.if_primary_died;
    assert_eq!(forecast.successor, Some(host("b")));
    assert_eq!(others(&forecast), [("c", "its disk is full")]);
    // Everything of it can be written down and read again.
    let text = serde_json::to_string(&scene.machine.status(scene.now)).expect("it can be written");
    let read: Status = serde_json::from_str(&text).expect("it can be read");
    assert_eq!(read, scene.machine.status(scene.now));
}

#[test]
fn a_takeover_says_whom_it_lacks() {
    let mut scene = Scene::new("b", Report { source: None, streams: false, ..standby(2, 100) });
    scene.changed(Register::Rule, Value::Rule(rule().recruiting(2, host("b"))));
    scene.grant(&Register::Pledge(host("b")));
    let takeover = scene.machine.status(scene.now).takeover.expect("it is under way");
    assert_eq!((takeover.term, takeover.recruits.as_slice()), (2, [host("b")].as_slice()));
    assert_eq!(takeover.lacks, "a is missing, and without it 1 of a, c");
}

#[test]
fn a_host_tells_how_it_is_at_once_and_then_seldom() {
    let mut scene = Scene::new("b", standby(1, 100));
    assert_eq!(scene.told, [vitals(100, true)]);
    // The log grows and grows.
    for lsn in 0..60 {
        scene.engine(standby(1, 101 + lsn));
        scene.pass(BEAT);
    }
    assert_eq!(scene.told.len(), 3 + 1, "in 15 s: {:?}", scene.told);
    // It lacks its primary.
    scene.engine(Report { streams: false, ..standby(1, 161) });
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.told.last(), Some(&vitals(161, false)));
}
