//! Cases of a database: a plain PostgreSQL plays all of its hosts, and its server is really killed.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod postgres;
mod status;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nines_control::event::{Event, Kind};
use nines_control::status::{DatabaseMember, DatabaseRole, DatabaseStatus, Status};
use nines_rehearsal::health::{Expected, ExpectedDatabase};
use nines_rehearsal::plan::{Case, Component, ComponentKind, Door, Manner, Promise, Whom, Writes};
use nines_rehearsal::sequence::Error;
use nines_rehearsal::stage::{Enter, Stage, StageError, Victim};
use nines_rehearsal::verdict::Verdict;
use nines_rehearsal::{CaseReport, Fault, Options, Rehearsal};
use nines_system::Secret;
use postgres::Postgres;
use status::status;

/// What goes wrong, besides the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Also {
    Nothing,
    /// A row that was acknowledged is deleted while the fault is in.
    RowLost,
    /// A standby is not in the cohort any more, and does not come back.
    Alone,
}

/// Three hosts that are one server.
struct One {
    postgres: Postgres,
    also: Also,
    primary: usize,
    broken: bool,
    events: Vec<Event>,
    did: Vec<String>,
}

const HOSTS: [&str; 3] = ["db1", "db2", "db3"];

impl One {
    fn event(&mut self, kind: Kind) {
        let at_us = u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
        let (subject, why) = ("orders".to_owned(), String::new());
        self.events.push(Event { sequence: 1, at_us, kind, subject, why });
    }
}

impl Stage for One {
    async fn bring_up(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    async fn inflict(&mut self, fault: Fault, victim: Victim<'_>) -> Result<(), StageError> {
        self.did.push(format!("{fault} {} {}", victim.database.unwrap_or("-"), victim.host));
        if self.also == Also::RowLost {
            let delete = "DELETE FROM nines_rehearsal WHERE ctid = (SELECT min(ctid) FROM nines_rehearsal)";
            assert_eq!(self.postgres.ask(delete)?, "DELETE 1");
        }
        self.broken = true;
        if fault == Fault::KillServer {
            self.postgres.kill();
        }
        self.event(Kind::Takeover);
        Ok(())
    }

    async fn heal(&mut self, fault: Fault, victim: Victim<'_>) -> Result<(), StageError> {
        self.did.push(format!("heal {fault} {}", victim.host));
        if fault == Fault::KillServer {
            self.postgres.up();
        }
        self.event(Kind::Taken);
        self.broken = self.also == Also::Alone;
        self.primary = 1;
        Ok(())
    }

    async fn forget_failures(&mut self, _: &str) -> Result<(), StageError> {
        Ok(())
    }

    async fn ended(&mut self) -> Vec<String> {
        Vec::new()
    }

    async fn status(&mut self) -> Result<Vec<Status>, StageError> {
        let member = |(index, host): (usize, &&str)| DatabaseMember {
            host: (*host).to_owned(),
            role: if index == self.primary { DatabaseRole::Primary } else { DatabaseRole::Standby },
            streaming: index != self.primary,
            lag: Some(0),
            in_cohort: index != 2 || !self.broken,
        };
        let members: Vec<DatabaseMember> = HOSTS.iter().enumerate().map(member).collect();
        let one = |(index, host): (usize, &&str)| {
            let it = DatabaseStatus {
                name: "orders".to_owned(),
                role: members[index].role,
                serves: index == self.primary,
                members: members.clone(),
                settled: true,
                ..DatabaseStatus::default()
            };
            Status {
                host: (*host).to_owned(),
                databases: vec![it],
                listeners: Vec::new(),
                ..status(Vec::new())
            }
        };
        Ok(HOSTS.iter().enumerate().map(one).collect())
    }

    async fn store_leader(&mut self) -> Result<String, StageError> {
        Ok("db3".to_owned())
    }

    async fn new_events(&mut self) -> Result<Vec<Event>, StageError> {
        Ok(std::mem::take(&mut self.events))
    }

    fn address(&self, host: &str) -> Option<IpAddr> {
        (host == "lb1" || HOSTS.contains(&host)).then(|| self.postgres.way().address.ip())
    }

    fn clients_place(&self) -> Result<Enter, StageError> {
        Ok(postgres::here())
    }
}

fn case(postgres: &Postgres, whom: Whom, fault: Fault, within: Option<Duration>) -> Case {
    let port = postgres.way().address.port();
    let door = Door {
        host: "lb1".to_owned(),
        address: None,
        port,
        proxy_header: false,
        manner: Manner::OpenAndClose,
    };
    let login = postgres.login();
    let writes = Writes {
        database: "orders".to_owned(),
        doors: vec![door],
        user: login.user,
        password: Secret::Text(login.password),
        inside: login.database,
        hosts: HOSTS.map(str::to_owned).to_vec(),
        read_port: port,
    };
    let component = Component {
        name: "orders".to_owned(),
        kind: ComponentKind::Database,
        whom,
        zone: None,
        hosts: writes.hosts.clone(),
        members: Vec::new(),
        alone_in: Vec::new(),
        virtual_ips: Vec::new(),
        doors: Vec::new(),
        writes: Some(writes),
    };
    Case::new(&Arc::new(component), fault, Promise::KeepsWrites { within })
}

async fn play(
    also: Also,
    whom: Whom,
    fault: Fault,
    within: Option<Duration>,
) -> Option<(Result<CaseReport, Error>, One)> {
    let postgres = Postgres::start()?;
    let case = case(&postgres, whom, fault, within);
    let stage = One { postgres, also, primary: 0, broken: false, events: Vec::new(), did: Vec::new() };
    let database = ExpectedDatabase { name: "orders".to_owned(), hosts: HOSTS.map(str::to_owned).to_vec() };
    let expected = Expected { databases: vec![database], ..Expected::default() };
    let options = Options {
        hold: Duration::from_millis(400),
        warm: Duration::from_millis(300),
        settle: Duration::from_millis(300),
        patience: Duration::from_secs(3),
        ..Options::default()
    };
    let mut rehearsal = Rehearsal::new(stage, options, expected);
    rehearsal.bring_up(&mut |_| ()).await.unwrap();
    let report = rehearsal.play(&case, &mut |_| ()).await;
    Some((report, rehearsal.into_stage()))
}

#[tokio::test]
async fn a_killed_server_costs_a_gap_and_no_row() {
    let Some((report, stage)) =
        play(Also::Nothing, Whom::Primary, Fault::KillServer, Some(Duration::from_secs(20))).await
    else {
        return;
    };
    let report = report.unwrap();
    assert_eq!(report.verdict, Verdict::Held, "{report:#?}");
    assert_eq!(stage.did, ["kill-server orders db1", "heal kill-server db1"]);
    assert_eq!((report.role.as_deref(), &report.hosts[..]), (Some("primary"), &["db1".to_owned()][..]));
    let writes = report.writes.unwrap();
    assert!(writes.acked > 50 && writes.errors >= 4, "{writes:?}");
    assert_eq!((writes.lost, writes.lacking.len(), writes.unread.len()), (Some(0), 0, 0));
    assert!(writes.longest_gap_ms >= 400.0 && report.longest_gap_ms == writes.longest_gap_ms);
    assert!(report.noticed_ms.unwrap() < report.taken_over_ms.unwrap());
    assert!(report.taken_over_ms.unwrap() >= 400.0);
    assert_eq!(report.promised_gap_ms, Some(20_000.0));
    let first = &report.first_failures[0];
    assert!(first.at_ms > -250.0 && first.cause.is_some(), "{first:?}");
}

#[tokio::test]
async fn a_lost_row_breaks_the_promise_whatever_else_was_promised() {
    let Some((report, _)) = play(Also::RowLost, Whom::Standbys, Fault::CutOff, None).await else { return };
    let report = report.unwrap();
    assert_eq!(report.verdict, Verdict::Broken);
    let writes = report.writes.unwrap();
    // One with each host that was cut off.
    assert_eq!(writes.lost, Some(2));
    assert_eq!(report.why[0], "2 acknowledged rows are lost");
    assert!(report.why.contains(&"2 acknowledged rows are not on db3".to_owned()), "{:?}", report.why);
    assert_eq!(report.hosts, ["db2", "db3"], "all but the primary");
}

#[tokio::test]
async fn a_gap_that_is_too_long_breaks_it_too() {
    let within = Some(Duration::from_millis(200));
    let Some((report, _)) = play(Also::Nothing, Whom::Primary, Fault::KillServer, within).await else {
        return;
    };
    let report = report.unwrap();
    assert_eq!(report.verdict, Verdict::Broken);
    assert_eq!(report.why.len(), 1);
    assert!(report.why[0].ends_with("promised were at most 200 ms"), "{:?}", report.why);
    assert_eq!(report.writes.unwrap().lost, Some(0));
}

#[tokio::test]
async fn a_standby_that_does_not_come_back_breaks_it_too() {
    let Some((report, _)) = play(Also::Alone, Whom::Standby, Fault::Freeze, None).await else { return };
    let report = report.unwrap();
    assert_eq!((report.hosts, report.recovered_ms), (vec!["db2".to_owned()], None));
    assert_eq!(report.why, ["it did not become healthy again"]);
}

#[tokio::test]
async fn the_host_with_etcds_leader_is_found_when_the_fault_comes() {
    let Some((report, _)) = play(Also::Nothing, Whom::Leader, Fault::KillStore, None).await else { return };
    let report = report.unwrap();
    assert_eq!((report.role.as_deref(), &report.hosts[..]), (Some("leader"), &["db3".to_owned()][..]));
    assert_eq!(report.verdict, Verdict::Held, "{report:#?}");
}

#[tokio::test]
async fn the_json_has_the_promised_shape() {
    let Some((report, _)) = play(Also::Nothing, Whom::Primary, Fault::Freeze, None).await else { return };
    let json = serde_json::to_value(report.unwrap()).unwrap();
    let writes = &json["writes"];
    assert!(writes["acked"].is_u64() && writes["errors"].is_u64() && writes["longest_gap_ms"].is_number());
    assert_eq!(writes["lost"], 0);
    let back: CaseReport = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(back).unwrap(), json);
}
