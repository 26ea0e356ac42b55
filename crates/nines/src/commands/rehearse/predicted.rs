//! What the audit's model expects of each case, beside what was observed. Only the program knows both rooms.

use std::collections::BTreeMap;

use nines_availability::assumptions::Assumptions;
use nines_availability::forecast::{self, Asked, Blow, Forecast, Harm, Hit};
use nines_availability::service::Service;
use nines_rehearsal::plan::{ComponentKind, Manner, Promise, Whom};
use nines_rehearsal::report::{Loss, Predicted};
use nines_rehearsal::{Case, CaseReport, Fault};
use nines_system::System;

/// The model of one file.
pub(super) struct Predictor {
    service: Service,
    assumptions: Assumptions,
}

impl Predictor {
    pub(super) fn of(system: &System) -> Self {
        let mut service = Service::of(system, &BTreeMap::new());
        // What is asked in a rehearsal is not the peak: whoever is left serves it.
        service.pools.iter_mut().for_each(|pool| pool.needed = 1);
        Self { service, assumptions: Assumptions::of(system) }
    }

    /// Puts the prediction into a report, and how what was observed differs from it.
    pub(super) fn compare(&self, case: &Case, report: &mut CaseReport) {
        let Some(forecast) = self.forecast(case, &report.hosts) else { return };
        let asked = self.requests_beside(case, &report.hosts);
        report.difference = forecast::difference(&forecast, &observed(case, report)).or_else(|| {
            // How long these got no answer is not measured where rows are written, only whether all of them did.
            let asked = asked.as_ref().filter(|asked| asked.loss == forecast::Loss::Nothing)?;
            let failed = Some(report.requests.failed);
            forecast::difference(asked, &forecast::Observed { gap: 0.0, failed, ..observed(case, report) })
        });
        // Of equals what is said of requests: that no write depends on servers needs no saying.
        report.predicted = Forecast::worst(asked.into_iter().chain([forecast])).map(predicted);
    }

    /// `hosts`: who was hit. `None`: the model has no word for the fault, or for what clients ask.
    fn forecast(&self, case: &Case, hosts: &[String]) -> Option<Forecast> {
        let hosts = self.positions(hosts)?;
        let component = &case.component;
        let asked = match &component.writes {
            Some(writes) => {
                let mut databases = self.service.databases.iter();
                let database = databases.position(|database| database.name == writes.database)?;
                let primary = match component.whom {
                    Whom::Primary => Hit::Yes,
                    Whom::Standby | Whom::Standbys => Hit::No,
                    Whom::Each | Whom::Leader => Hit::Perhaps,
                };
                Asked::Writes { database, primary }
            }
            None => Asked::Pools { pools: self.pools(case, &hosts), repeatable: repeatable(case) },
        };
        self.forecast_of(case, hosts, &asked)
    }

    /// The same for those who ask where others write.
    fn requests_beside(&self, case: &Case, hosts: &[String]) -> Option<Forecast> {
        case.asked?;
        let hosts = self.positions(hosts)?;
        let mut pools = self.pools(case, &hosts);
        pools.retain(|&pool| self.service.pools[pool].reaches.is_none());
        self.forecast_of(case, hosts, &Asked::Pools { pools, repeatable: repeatable(case) })
    }

    fn positions(&self, hosts: &[String]) -> Option<Vec<usize>> {
        let at = |name: &String| self.service.hosts.iter().position(|host| host.name == *name);
        hosts.iter().map(at).collect()
    }

    fn forecast_of(&self, case: &Case, hosts: Vec<usize>, asked: &Asked) -> Option<Forecast> {
        let harm = harm(case.fault)?;
        let of_member = matches!(case.fault, Fault::KillMember | Fault::FreezeMember);
        if of_member && self.service.entries.iter().any(|of| of.hosts.iter().any(|host| hosts.contains(host)))
        {
            // The model knows hosts, and this one goes on balancing.
            return None;
        }
        let anyone_answers = [Some(case.promise), case.asked]
            .into_iter()
            .flatten()
            .any(|promise| matches!(promise, Promise::Moves { .. }));
        let of = |hosts| {
            // Each way in has clients of its own, who know no other.
            let blow = Blow { hosts, harm, asked: asked.clone(), anyone_answers, by_name: false };
            Forecast::of(&self.service, &self.assumptions, &blow)
        };
        if case.fault == Fault::RollingRestart {
            return Forecast::worst(hosts.into_iter().map(|host| of(vec![host])));
        }
        Some(of(hosts))
    }

    /// What clients come for: what a load balancer's host leads to, or what stands on a server.
    fn pools(&self, case: &Case, hosts: &[usize]) -> Vec<usize> {
        let whole = case.component.kind == ComponentKind::WholePool;
        let entries =
            self.service.entries.iter().filter(|entry| entry.hosts.iter().any(|of| hosts.contains(of)));
        let led_to: Vec<usize> =
            entries.flat_map(|entry| entry.serves.iter().map(|(_, pool)| *pool)).collect();
        let of = |(at, pool): (usize, &nines_availability::service::Pool)| {
            let here = match whole {
                true => pool.name == case.component.name,
                false => {
                    let stands = pool.members.iter().any(|member| hosts.contains(&member.host));
                    (stands && pool.reaches.is_none()) || led_to.contains(&at)
                }
            };
            here.then_some(at)
        };
        self.service.pools.iter().enumerate().filter_map(of).collect()
    }
}

fn repeatable(case: &Case) -> bool {
    case.component.doors.iter().all(|door| matches!(door.manner, Manner::Get { .. }))
}

fn harm(fault: Fault) -> Option<Harm> {
    Some(match fault {
        Fault::Kill | Fault::KillMember => Harm::Killed,
        Fault::PowerOff | Fault::CutOff | Fault::Partition | Fault::CutOut => Harm::Silent,
        Fault::Freeze | Fault::FreezeMember => Harm::Frozen,
        Fault::CutIn => Harm::Deaf,
        Fault::Split => Harm::Apart,
        Fault::KillServer => Harm::ServerKilled,
        Fault::FreezeServer => Harm::ServerFrozen,
        Fault::KillNines | Fault::FreezeNines => Harm::Unattended,
        Fault::KillStore | Fault::FreezeStore => Harm::StoreGone,
        Fault::Drain | Fault::Maintenance | Fault::Switchover => Harm::GivenAway,
        Fault::Restart | Fault::RollingRestart => Harm::Restarted,
        Fault::Reload => Harm::Reloaded,
        // In the model a host is there or is not.
        Fault::Slow | Fault::Lossy => return None,
    })
}

fn observed(case: &Case, report: &CaseReport) -> forecast::Observed {
    // Requests go in twos to each way in, in turn. Rows are written every few milliseconds.
    let between = match &report.writes {
        Some(_) => 0.0,
        None => 2.0 * case.component.doors.len() as f64 / f64::from(report.rate.max(1)),
    };
    forecast::Observed {
        gap: report.longest_gap_ms / 1e3,
        grain: between + report.clients_late_ms / 1e3,
        // Who writes comes again when it is sent away; what counts is how long that goes on.
        failed: report.writes.is_none().then_some(report.requests.failed),
        lasted: report.seconds,
    }
}

fn predicted(forecast: Forecast) -> Predicted {
    let (loss, seconds) = match forecast.loss {
        forecast::Loss::Nothing => (Loss::Nothing, None),
        forecast::Loss::Some(seconds) => (Loss::Some, Some(seconds)),
        forecast::Loss::Gap(seconds) => (Loss::Gap, Some(seconds)),
        forecast::Loss::UntilRepaired(_) => (Loss::UntilRepaired, None),
    };
    Predicted { loss, at_most_ms: seconds.map(|seconds| (seconds * 1e4).round() / 10.0), how: forecast.how }
}

#[cfg(test)]
mod tests {
    use nines_rehearsal::Plan;

    use super::*;

    fn system(text: &str) -> System {
        nines_system::parse("test.toml", text).unwrap()
    }

    /// The loss of each case that hits its component's hosts as a whole, as the table would have it.
    fn losses(text: &str, name: &str) -> Vec<(&'static str, Loss, Option<f64>)> {
        let system = system(text);
        let predictor = Predictor::of(&system);
        let plan = Plan::of(&system);
        let cases = plan.cases.iter().filter(|case| case.component.label() == name);
        cases
            .filter_map(|case| {
                let hit = match case.component.whom {
                    Whom::Primary | Whom::Standby | Whom::Leader => &case.component.hosts[..1],
                    Whom::Standbys => &case.component.hosts[1..],
                    Whom::Each => &case.component.hosts[..],
                };
                let asked = predictor.requests_beside(case, hit);
                let of =
                    predicted(Forecast::worst([predictor.forecast(case, hit)?].into_iter().chain(asked))?);
                Some((case.fault.word(), of.loss, of.at_most_ms))
            })
            .collect()
    }

    const PAIR: &str = include_str!("../../../../../examples/pair.toml");
    const SHOP: &str = include_str!("../../../../../examples/shop.toml");

    #[test]
    fn every_case_of_the_pair_is_predicted() {
        let nothing = |fault| (fault, Loss::Nothing, None);
        let moves = |fault| (fault, Loss::Gap, Some(345.8));
        // 2.1 s until the checks know that they reach nobody.
        let deaf = ("cut-in", Loss::Gap, Some(2445.8));
        let expected = [
            moves("kill"),
            moves("power-off"),
            moves("freeze"),
            moves("cut-off"),
            deaf,
            moves("cut-out"),
            moves("split"),
            nothing("drain"),
            nothing("restart"),
            nothing("reload"),
        ];
        assert_eq!(losses(PAIR, "lb1"), expected);
        let standing_by = losses(PAIR, "lb2");
        for (fault, loss, at_most) in standing_by {
            match fault {
                "split" => assert_eq!((loss, at_most), (Loss::Gap, Some(345.8))),
                "cut-in" => assert_eq!((loss, at_most), (Loss::Gap, Some(2445.8))),
                _ => assert_eq!(loss, Loss::Nothing, "{fault}"),
            }
        }
        assert!(losses(PAIR, "app1").iter().all(|(_, loss, _)| *loss == Loss::Nothing));
        assert_eq!(losses(PAIR, "web"), [("kill", Loss::UntilRepaired, None), nothing("rolling-restart")]);
    }

    #[test]
    fn where_nobody_is_preferred_any_host_may_be_missed() {
        let address = "virtual_ips = [\"10.0.1.100\"]";
        let text = PAIR.replace(address, "virtual_ips = [{ address = \"10.0.1.100\", preempt = false }]");
        assert!(text != PAIR);
        assert_eq!(losses(&text, "lb2")[0], ("kill", Loss::Gap, Some(345.8)));
    }

    #[test]
    fn every_case_of_the_shops_database_is_predicted() {
        for (fault, loss, at_most) in losses(SHOP, "orders/primary") {
            let expected = match fault {
                "reload" => (Loss::Nothing, None),
                "switchover" | "restart" | "kill-server" => (Loss::Gap, Some(2000.0)),
                _ => (Loss::Gap, Some(3825.0)),
            };
            assert_eq!((loss, at_most), expected, "{fault}");
        }
        assert!(losses(SHOP, "orders/standby").iter().all(|(_, loss, _)| *loss == Loss::Nothing));
        assert!(losses(SHOP, "orders/standbys").iter().all(|(_, loss, _)| *loss == Loss::UntilRepaired));
        assert!(losses(SHOP, "coordination/leader").iter().all(|(_, loss, _)| *loss == Loss::Nothing));
        let of_store = losses(SHOP, "coordination");
        assert!(of_store.iter().all(|(_, loss, _)| *loss == Loss::UntilRepaired), "{of_store:?}");
        assert!(losses(SHOP, "zone a").iter().all(|(_, loss, _)| *loss == Loss::Gap));
        // Neither load balancers nor a majority of anything is there.
        assert!(losses(SHOP, "zone c").iter().all(|(_, loss, _)| *loss == Loss::Gap));
    }

    #[test]
    fn a_rehearsal_is_not_the_peak() {
        let text = PAIR.replace("needs = 1", "needs = 2");
        assert!(text != PAIR);
        for name in ["zone b", "app1"] {
            assert_eq!(losses(&text, name), losses(PAIR, name), "{name}");
        }
    }

    #[test]
    fn where_rows_are_written_those_who_ask_are_predicted_too() {
        // Writes go on, and the only server of the pool is lost with its zone.
        let members = "members = [\"app1:8080\", \"app2:8080\", \"app3:8080\"]";
        let text = SHOP.replace(members, "members = [\"app1:8080\"]");
        assert!(text != SHOP);
        let of_zone = losses(&text, "zone a");
        assert!(
            !of_zone.is_empty() && of_zone.iter().all(|(_, loss, _)| *loss == Loss::UntilRepaired),
            "{of_zone:?}"
        );
    }
}
