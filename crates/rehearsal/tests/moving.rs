//! Cases of load balancers that share an address: a loopback server plays the address, and two hosts hold it in turn.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod server;
mod status;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use nines_control::event::{Event, Kind};
use nines_control::status::{Standing, Status};
use nines_rehearsal::health::Expected;
use nines_rehearsal::sequence::{self, Error};
use nines_rehearsal::stage::{Enter, Stage, StageError, Victim};
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{Case, CaseReport, Fault, Options, Plan, Rehearsal};
use server::{Deed, Server};
use status::{VIRTUAL_IP, pair};

/// Two load balancers. What the broken one did is not done by anybody for as long as `gap`.
struct Two {
    server: Server,
    gap: Duration,
    lb1_answers: bool,
    /// Looks until lb1 has its address back.
    returns_after: u32,
    events: Vec<Event>,
    did: Vec<String>,
}

impl Two {
    fn new(gap: Duration) -> Self {
        let server = Server::start(|_| Deed::Answer);
        Self { server, gap, lb1_answers: true, returns_after: 0, events: Vec::new(), did: Vec::new() }
    }

    fn event(&mut self, kind: Kind, subject: &str) {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let at_us = u64::try_from(now.as_micros()).unwrap();
        let (subject, why) = (subject.to_owned(), String::new());
        self.events.push(Event { sequence: 1, at_us, kind, subject, why });
    }
}

impl Stage for Two {
    async fn bring_up(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    async fn inflict(&mut self, fault: Fault, victim: Victim<'_>) -> Result<(), StageError> {
        self.did.push(format!("{fault} {}", victim.host));
        self.server.decide(|_| Deed::Reset);
        self.event(Kind::Taken, "front/10.0.1.200");
        tokio::time::sleep(self.gap).await;
        self.server.decide(|_| Deed::Answer);
        self.event(Kind::Taken, VIRTUAL_IP);
        self.lb1_answers = false;
        Ok(())
    }

    async fn heal(&mut self, fault: Fault, victim: Victim<'_>) -> Result<(), StageError> {
        self.did.push(format!("heal {fault} {}", victim.host));
        Ok(())
    }

    async fn forget_failures(&mut self, _: &str) -> Result<(), StageError> {
        Ok(())
    }

    async fn ended(&mut self) -> Vec<String> {
        Vec::new()
    }

    async fn status(&mut self) -> Result<Vec<Status>, StageError> {
        if !self.lb1_answers && self.returns_after > 0 {
            self.returns_after -= 1;
            self.lb1_answers = self.returns_after == 0;
        }
        let (one, other) = (Standing::Master, Standing::Backup);
        Ok(if self.lb1_answers { pair(one, other) } else { pair(other, one) })
    }

    async fn store_leader(&mut self) -> Result<String, StageError> {
        Err("there is no etcd".into())
    }

    async fn new_events(&mut self) -> Result<Vec<Event>, StageError> {
        Ok(std::mem::take(&mut self.events))
    }

    fn address(&self, _: &str) -> Option<IpAddr> {
        None
    }

    fn clients_place(&self) -> Result<Enter, StageError> {
        Ok(Box::new(|| Ok(())))
    }
}

/// A pair, whose address is the server's; 200 ms between advertisements promise a second.
fn system(two: &Two) -> nines_system::System {
    let text = include_str!("../../../examples/pair.toml")
        .replace(r#"["10.0.1.100"]"#, r#"[{ address = "10.0.1.100", interval = "200ms" }]"#)
        .replace(r#"":80""#, &format!(r#"":{}""#, two.server.address.port()));
    nines_system::parse("pair.toml", &text).unwrap()
}

fn case(two: &Two, host: &str, fault: Fault) -> Case {
    let mut plan = Plan::of(&system(two)).narrow(&[host.to_owned()], &[fault.to_string()]).unwrap();
    let mut case = plan.cases.remove(0);
    let mut component = (*case.component).clone();
    for door in &mut component.doors {
        door.address = Some(two.server.address.ip());
        door.manner = two.server.target().manner;
    }
    case.component = component.into();
    case
}

fn quick() -> Options {
    Options {
        rate: 200,
        hold: Duration::from_millis(300),
        warm: Duration::from_millis(100),
        settle: Duration::from_millis(100),
        patience: Duration::from_secs(5),
        ..Options::default()
    }
}

fn rehearsal(two: Two, options: Options) -> Rehearsal<Two> {
    let expected = Expected::of(&system(&two));
    Rehearsal::new(two, options, expected)
}

async fn kill_lb1(gap: Duration) -> CaseReport {
    let two = Two::new(gap);
    let case = case(&two, "lb1", Fault::Kill);
    rehearsal(two, quick()).play(&case, &mut |_| ()).await.unwrap()
}

#[tokio::test]
async fn a_short_gap_keeps_the_promise_whatever_failed_in_it() {
    let report = kill_lb1(Duration::from_millis(100)).await;
    assert!(report.requests.failed > 0, "{report:?}");
    assert!(report.longest_gap_ms >= 90.0, "{report:?}");
    assert_eq!(report.promised_gap_ms, Some(1000.0));
    assert_eq!((report.verdict, report.why.len()), (Verdict::Held, 0), "{report:?}");
    let noticed = report.noticed_ms.unwrap();
    assert!((100.0..900.0).contains(&noticed), "when its own address moved: {noticed}");
    assert!(report.recovered_ms.is_some(), "well again with the address on another host");
}

#[tokio::test]
async fn a_long_gap_breaks_it_and_is_told() {
    let report = kill_lb1(Duration::from_millis(1300)).await;
    assert_eq!(report.verdict, Verdict::Broken);
    let [why] = &report.why[..] else { panic!("{:?}", report.why) };
    assert!(why.starts_with("the longest gap was ") && why.ends_with(" ms, promised were 1000 ms"), "{why}");
}

#[tokio::test]
async fn a_case_begins_once_the_address_is_with_the_preferred_host() {
    let mut two = Two::new(Duration::ZERO);
    (two.lb1_answers, two.returns_after) = (false, 10);
    let case = case(&two, "lb2", Fault::Freeze);
    let mut rehearsal = rehearsal(two, quick());
    let mut waited = 0;
    let mut watch = |glance: &sequence::Glance<'_>| {
        if glance.phase == sequence::Phase::Waiting && !glance.missing.is_empty() {
            assert_eq!(glance.missing, ["front/10.0.1.100 is on lb2 and goes back to lb1"]);
            waited += 1;
        }
    };
    rehearsal.play(&case, &mut watch).await.unwrap();
    assert_eq!(waited, 9);
}

#[tokio::test]
async fn what_never_comes_home_ends_the_rehearsal_and_is_said() {
    let mut two = Two::new(Duration::ZERO);
    two.lb1_answers = false;
    let of_lb1 = case(&two, "lb1", Fault::Kill);
    let of_server = case(&two, "web", Fault::Kill);
    let mut rehearsal = rehearsal(two, Options { patience: Duration::from_millis(200), ..quick() });
    let error = rehearsal.play(&of_lb1, &mut |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::NotHealthy { .. }), "{error}");
    assert!(error.to_string().contains("is on lb2 and goes back to lb1"), "{error}");
    // Who answers on the address makes no difference to what a server's failure costs.
    rehearsal.play(&of_server, &mut |_| ()).await.unwrap();
}
