//! Whole cases on a stage of one process: a loopback server plays the system.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod server;
mod status;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nines_control::event::{Event, Kind};
use nines_control::status::{Health, Status};
use nines_rehearsal::health::Expected;
use nines_rehearsal::plan::{Case, Component, ComponentKind, Door, Manner, Promise, Whom};
use nines_rehearsal::sequence::Error;
use nines_rehearsal::stage::{Enter, Stage, StageError, Victim};
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{CaseReport, Fault, Options, Plan, Rehearsal, Report, sequence};
use server::{Deed, Server};
use status::{member, status};

/// One load balancer before one member. What clients see while a fault is in is `broken`.
struct Loopback {
    server: Server,
    broken: Deed,
    health: Health,
    heals: bool,
    ended: Vec<String>,
    events: Vec<Event>,
    did: Vec<String>,
}

impl Loopback {
    fn new(broken: Deed) -> Self {
        let server = Server::start(|_| Deed::Answer);
        Self {
            server,
            broken,
            health: Health::Unknown,
            heals: true,
            ended: Vec::new(),
            events: Vec::new(),
            did: Vec::new(),
        }
    }

    fn event(&mut self, kind: Kind, subject: &str) {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        self.events.push(Event {
            sequence: 1,
            at_us: u64::try_from(now.as_micros()).unwrap(),
            kind,
            subject: subject.to_owned(),
            why: String::new(),
        });
    }
}

impl Stage for Loopback {
    async fn bring_up(&mut self) -> Result<(), StageError> {
        self.health = Health::Up;
        Ok(())
    }

    async fn inflict(&mut self, fault: Fault, victim: Victim<'_>) -> Result<(), StageError> {
        self.did.push(format!("{fault} {}", victim.host));
        let broken = self.broken;
        self.server.decide(move |_| broken);
        self.health = Health::Down;
        // Somebody else's trouble is not ours.
        self.event(Kind::Down, "web/app2:8080");
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.event(Kind::Ejected, "web/app1:8080");
        self.event(Kind::Down, "web/app1:8080");
        Ok(())
    }

    async fn heal(&mut self, fault: Fault, victim: Victim<'_>) -> Result<(), StageError> {
        self.did.push(format!("heal {fault} {}", victim.host));
        self.server.decide(|_| Deed::Answer);
        if self.heals {
            self.health = Health::Up;
        }
        Ok(())
    }

    async fn forget_failures(&mut self, _: &str) -> Result<(), StageError> {
        Ok(())
    }

    async fn ended(&mut self) -> Vec<String> {
        self.ended.clone()
    }

    async fn status(&mut self) -> Result<Vec<Status>, StageError> {
        Ok(vec![status(vec![member("app1", self.health)])])
    }

    async fn store_leader(&mut self) -> Result<String, StageError> {
        Err("there is no etcd".into())
    }

    async fn new_events(&mut self) -> Result<Vec<Event>, StageError> {
        Ok(std::mem::take(&mut self.events))
    }

    fn address(&self, host: &str) -> Option<IpAddr> {
        (host == "lb1").then(|| self.server.address.ip())
    }

    fn clients_place(&self) -> Result<Enter, StageError> {
        Ok(Box::new(|| Ok(())))
    }
}

fn case(stage: &Loopback, fault: Fault, promise: Promise) -> Case {
    let door = Door {
        host: "lb1".to_owned(),
        address: None,
        port: stage.server.address.port(),
        proxy_header: false,
        manner: Manner::Get { host: "shop.example".to_owned(), path: "/".to_owned() },
    };
    let component = Component {
        name: "app1".to_owned(),
        kind: ComponentKind::Server,
        whom: Whom::Each,
        writes: None,
        zone: Some("a".to_owned()),
        hosts: vec!["app1".to_owned()],
        members: vec!["web/app1:8080".to_owned()],
        alone_in: Vec::new(),
        virtual_ips: Vec::new(),
        doors: vec![door],
    };
    Case::new(&Arc::new(component), fault, promise)
}

fn quick() -> Options {
    Options {
        rate: 200,
        hold: Duration::from_millis(300),
        warm: Duration::from_millis(100),
        settle: Duration::from_millis(300),
        patience: Duration::from_secs(10),
        // A machine that pauses is not what is tested here.
        timeout: Duration::from_secs(5),
        slow: Duration::from_secs(5),
        ..Options::default()
    }
}

/// For what never happens.
fn impatient() -> Options {
    Options { patience: Duration::from_secs(1), ..quick() }
}

async fn play(
    stage: Loopback,
    fault: Fault,
    promise: Promise,
) -> (Result<CaseReport, Error>, Rehearsal<Loopback>) {
    play_with(quick(), stage, fault, promise).await
}

async fn play_with(
    options: Options,
    stage: Loopback,
    fault: Fault,
    promise: Promise,
) -> (Result<CaseReport, Error>, Rehearsal<Loopback>) {
    let case = case(&stage, fault, promise);
    let mut rehearsal = Rehearsal::new(stage, options, Expected::default());
    rehearsal.bring_up(&mut |_| ()).await.unwrap();
    let report = rehearsal.play(&case, &mut |_| ()).await;
    (report, rehearsal)
}

#[tokio::test]
async fn a_fault_that_clients_do_not_see_holds_the_promise() {
    let options = Options { settle: Duration::from_secs(1), ..quick() };
    let stage = Loopback::new(Deed::Answer);
    let (report, rehearsal) = play_with(options, stage, Fault::Kill, Promise::NothingLost).await;
    let report = report.unwrap();
    assert_eq!((report.verdict, report.requests.failed), (Verdict::Held, 0), "{:?}", report.why);
    // 100 ms warm, 50 ms until the fault is in, 300 ms hold, 1 s settling: 290 if nothing begins late.
    assert!(report.requests.sent >= 150, "{}", report.requests.sent);
    let noticed = report.noticed_ms.unwrap();
    assert!((50.0..report.seconds * 1e3).contains(&noticed), "its own member's first event: {noticed}");
    assert!(report.recovered_ms.unwrap() < 1000.0, "the settling is not counted");
    assert!(report.seconds >= 0.3, "{}", report.seconds);
    assert_eq!(rehearsal.into_stage().did, ["kill app1", "heal kill app1"]);
}

#[tokio::test]
async fn a_fault_that_clients_see_breaks_it_and_says_how() {
    let (report, _) = play(Loopback::new(Deed::NoMember), Fault::Kill, Promise::NothingLost).await;
    let report = report.unwrap();
    assert_eq!(report.verdict, Verdict::Broken);
    let failed = report.requests.failed;
    assert!(failed > 10, "{failed}");
    assert_eq!(report.requests.kinds["503"], failed);
    assert_eq!(report.requests.causes["no-member"], failed);
    assert_eq!(report.why, [format!("{failed} requests failed ({failed} 503)")]);
    assert!(report.longest_gap_ms >= 290.0, "{}", report.longest_gap_ms);
    let first = &report.first_failures[0];
    assert!(first.at_ms.abs() < 250.0, "about when the fault came: {first:?}");
}

#[tokio::test]
async fn what_failed_before_the_fault_is_told_apart() {
    let stage = Loopback::new(Deed::Answer);
    stage.server.decide(|_| Deed::NoMember);
    let (report, _) = play(stage, Fault::Kill, Promise::NothingLost).await;
    let report = report.unwrap();
    // From the fault on all is answered.
    let (before, failed) = (report.failed_before, report.requests.failed);
    assert!(before >= 5 && before <= failed, "{before} of {failed}");
    assert_eq!(report.verdict, Verdict::Broken, "nothing is proved");
    let (report, _) = play(Loopback::new(Deed::NoMember), Fault::Kill, Promise::NothingLost).await;
    assert_eq!(report.unwrap().failed_before, 0);
}

#[tokio::test]
async fn the_course_of_a_case_has_every_request_and_every_moment() {
    let (report, _) = play(Loopback::new(Deed::NoMember), Fault::Kill, Promise::ComesBack).await;
    let report = report.unwrap();
    let (course, timeline) = (&report.course, &report.course.timeline);
    let sum = |slots: &[u32]| slots.iter().map(|&count| u64::from(count)).sum::<u64>();
    assert_eq!(sum(&timeline.failed["503"]), report.requests.failed);
    let good = sum(&timeline.good) + sum(&timeline.slow);
    assert_eq!(good + report.requests.failed, report.requests.sent);
    // Where nothing good was due, nothing good is drawn: the first failure's slot is of the fault's time.
    let first = timeline.failed["503"].iter().position(|&count| count > 0).unwrap();
    let at = timeline.from_ms + first as f64 * timeline.slot_ms;
    assert!(
        (report.first_failures[0].at_ms - at).abs() <= 10.0 + timeline.slot_ms,
        "{at} {:?}",
        report.first_failures[0]
    );

    assert!(course.inflicted_ms <= course.healed_ms && course.healed_ms >= 300.0, "{course:?}");
    let gap_at = course.gap_at_ms.unwrap();
    assert!(gap_at < course.healed_ms && gap_at + report.longest_gap_ms > 0.0, "{course:?}");
    assert_eq!(course.slowest[0].took_ms, report.slowest_ms.unwrap());
    let noticed = course.events.iter().find(|event| Some(event.at_ms) == report.noticed_ms);
    assert!(noticed.is_some(), "{:?}", course.events);
}

#[tokio::test]
async fn failures_are_no_broken_promise_where_only_the_return_is_promised() {
    let (report, _) = play(Loopback::new(Deed::Reset), Fault::Kill, Promise::ComesBack).await;
    let report = report.unwrap();
    assert!(report.requests.kinds["reset"] > 10);
    assert_eq!(report.verdict, Verdict::Held);
}

#[tokio::test]
async fn a_restart_is_not_held() {
    let stage = Loopback::new(Deed::Answer);
    let case = case(&stage, Fault::Restart, Promise::NothingLost);
    let hold = Duration::from_secs(60);
    let mut rehearsal = Rehearsal::new(stage, Options { hold, ..quick() }, Expected::default());
    rehearsal.bring_up(&mut |_| ()).await.unwrap();
    assert!(rehearsal.play(&case, &mut |_| ()).await.unwrap().seconds < hold.as_secs_f64());
}

#[tokio::test]
async fn in_turn_each_host_is_restarted_once_all_is_healthy_again() {
    let stage = Loopback::new(Deed::Answer);
    let mut case = case(&stage, Fault::RollingRestart, Promise::NothingLost);
    let mut component = (*case.component).clone();
    component.hosts = vec!["app1".to_owned(), "app2".to_owned()];
    case.component = Arc::new(component);
    let mut rehearsal = Rehearsal::new(stage, quick(), Expected::default());
    rehearsal.bring_up(&mut |_| ()).await.unwrap();
    let report = rehearsal.play(&case, &mut |_| ()).await.unwrap();
    assert_eq!(report.verdict, Verdict::Held, "{:?}", report.why);
    let did = rehearsal.into_stage().did;
    assert_eq!(did, ["restart app1", "heal restart app1", "restart app2", "heal restart app2"]);
}

#[tokio::test]
async fn where_one_does_not_come_back_the_next_is_not_restarted() {
    let mut stage = Loopback::new(Deed::Answer);
    stage.heals = false;
    let mut case = case(&stage, Fault::RollingRestart, Promise::ComesBack);
    let mut component = (*case.component).clone();
    component.hosts = vec!["app1".to_owned(), "app2".to_owned()];
    case.component = Arc::new(component);
    let mut rehearsal = Rehearsal::new(stage, impatient(), Expected::default());
    rehearsal.bring_up(&mut |_| ()).await.unwrap();
    let report = rehearsal.play(&case, &mut |_| ()).await.unwrap();
    assert_eq!((report.verdict, report.recovered_ms), (Verdict::Broken, None));
    assert_eq!(rehearsal.into_stage().did, ["restart app1", "heal restart app1"]);
}

#[tokio::test]
async fn what_never_becomes_healthy_again_is_broken_and_the_next_case_is_not_played() {
    let mut stage = Loopback::new(Deed::Answer);
    stage.heals = false;
    let next = case(&stage, Fault::Freeze, Promise::NothingLost);
    let (report, mut rehearsal) = play_with(impatient(), stage, Fault::Kill, Promise::ComesBack).await;
    let report = report.unwrap();
    assert_eq!(report.verdict, Verdict::Broken);
    assert_eq!(report.recovered_ms, None);
    assert_eq!(report.why, ["it did not become healthy again"]);
    let error = rehearsal.play(&next, &mut |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("web/app1:8080 is down: connection refused"), "{error}");
}

#[tokio::test]
async fn what_has_ended_for_good_is_not_waited_for() {
    let mut stage = Loopback::new(Deed::Answer);
    stage.heals = false;
    stage.ended = vec!["app1: `app` has ended".to_owned()];
    let next = case(&stage, Fault::Freeze, Promise::NothingLost);
    let first = case(&stage, Fault::Kill, Promise::NothingLost);
    let mut rehearsal =
        Rehearsal::new(stage, Options { patience: Duration::from_secs(600), ..quick() }, Expected::default());
    rehearsal.bring_up(&mut |_| ()).await.unwrap();
    let report = rehearsal.play(&first, &mut |_| ()).await.unwrap();
    assert_eq!(report.why, ["it did not become healthy again"]);
    let error = rehearsal.play(&next, &mut |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("app1: `app` has ended"), "{error}");
}

#[tokio::test]
async fn whoever_watches_sees_each_phase_and_the_counts() {
    let stage = Loopback::new(Deed::Answer);
    let case = case(&stage, Fault::Kill, Promise::NothingLost);
    let mut rehearsal = Rehearsal::new(stage, quick(), Expected::default());
    let mut phases = Vec::new();
    let mut most = 0;
    let mut watch = |glance: &sequence::Glance<'_>| {
        phases.push(glance.phase);
        most = most.max(glance.sent);
    };
    rehearsal.bring_up(&mut watch).await.unwrap();
    rehearsal.play(&case, &mut watch).await.unwrap();
    phases.dedup();
    use sequence::Phase::{BringingUp, Broken, Healing, Waiting, Warming};
    assert_eq!(phases, [BringingUp, Waiting, Warming, Broken, Healing]);
    assert!(most > 20);
}

#[tokio::test]
async fn a_report_is_in_the_plans_order_and_knows_what_is_missing() {
    let text = include_str!("../../../examples/pair.toml");
    let system = nines_system::parse("pair.toml", text).unwrap();
    let plan =
        Plan::of(&system).narrow(&["app1".to_owned()], &["kill".to_owned(), "freeze".to_owned()]).unwrap();
    let (report, _) = play(Loopback::new(Deed::Answer), Fault::Kill, Promise::NothingLost).await;
    let killed = report.unwrap();
    let frozen = CaseReport { fault: Fault::Freeze, verdict: Verdict::Broken, ..killed.clone() };

    let part = Report::new(&system, &plan, vec![killed.clone()]);
    assert_eq!((part.complete, part.verdict), (false, Verdict::Held));
    let whole = Report::new(&system, &plan, vec![frozen, killed]);
    assert_eq!((whole.complete, whole.verdict), (true, Verdict::Broken));
    assert_eq!([Fault::Kill, Fault::Freeze], [whole.results[0].fault, whole.results[1].fault]);
    assert_eq!(whole.not_possible, []);

    let without = Plan::of(&system).narrow(&["app1".to_owned()], &["lossy".to_owned()]).unwrap();
    let without = Report::new(&system, &without.without(Fault::Lossy, "this kernel has no nftables"), vec![]);
    let [it] = &without.not_possible[..] else { panic!("{:?}", without.not_possible) };
    assert_eq!((it.component.as_str(), it.fault), ("app1", Fault::Lossy));
    assert_eq!(it.why, "this kernel has no nftables");
}

#[tokio::test]
async fn the_json_has_the_promised_shape() {
    let (report, _) = play(Loopback::new(Deed::Answer), Fault::Kill, Promise::NothingLost).await;
    let json = serde_json::to_value(report.unwrap()).unwrap();
    assert_eq!(json["component"], "app1");
    assert_eq!(json["fault"], "kill");
    assert_eq!(json["verdict"], "held");
    assert!(json["requests"]["sent"].is_u64() && json["requests"]["failed"].is_u64());
    assert!(json["requests"]["kinds"].is_object());
    for field in ["longest_gap_ms", "slowest_ms", "noticed_ms", "recovered_ms"] {
        assert!(json[field].is_number(), "{field}: {}", json[field]);
    }
    let back: CaseReport = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(back).unwrap(), json);
}
