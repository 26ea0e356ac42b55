//! One screen that a tired person understands.

use anstyle::Style;
use nines_control::statistics::{ListenerStatistics, MemberStatistics, PoolStatistics};
use nines_control::status::{Health, MemberStatus, Phase, PoolStatus, Status, Wish};

use super::databases;
use super::rates::{Rates, handled};
use super::virtual_ips;
use crate::terminal::{BAD, BOLD, Cell, DIM, GOOD, PLAIN, UNSURE, duration, line, table, thousands, widest};

pub(crate) fn render(status: &Status, rates: &Rates, width: Option<usize>) -> Vec<String> {
    let mut screen = header(status, width);
    if !status.listeners.is_empty() {
        screen.push(String::new());
        screen.extend(table(&listeners(status, rates), width));
    }
    if !status.virtual_ips.is_empty() {
        screen.push(String::new());
        screen.extend(virtual_ips::render(&status.host, &status.virtual_ips, width));
    }
    for database in &status.databases {
        screen.push(String::new());
        screen.extend(databases::render(database, width));
    }
    for pool in &status.pools {
        screen.push(String::new());
        screen.extend(self::pool(status, pool, rates, width));
    }
    screen
}

fn header(status: &Status, width: Option<usize>) -> Vec<String> {
    let (phase, style) = match status.phase {
        Phase::Starting => ("starting: waits for the first checks", UNSURE),
        Phase::Serving => ("serving", GOOD),
        Phase::Draining => ("draining: finishes what is there, then stops", UNSURE),
    };
    let first = [
        Cell::new(format!("{} on {}", status.system, status.host), BOLD),
        Cell::new(" · ", DIM),
        Cell::new(phase, style),
        Cell::new(format!(" · up {}", duration(status.uptime_s * 1000)), PLAIN),
        Cell::new(format!(" · objective {}", status.objective), PLAIN),
    ];
    let file = &status.file;
    let loaded = match file.generation {
        1 => "as at the start".to_owned(),
        n => format!("reloaded {} so far", times(n - 1)),
    };
    let second = format!("{}, {loaded} · nines {}, pid {}", file.path, status.program, status.pid);
    let mut lines = vec![line(&first, width), line(&[Cell::new(second, DIM)], width)];
    if status.wish != Wish::Ready {
        let text = format!("Drained by the operator: `nines ready {}` lets it serve again", status.host);
        lines.push(line(&[Cell::new(text, UNSURE)], width));
    }
    if let Some(refused) = &file.refused {
        let text = format!("The latest reload was refused, an older file is in force: {refused}");
        lines.push(line(&[Cell::new(text, BAD)], width));
    }
    if let Some(why) = &status.not_kept {
        let text = format!("What is measured is in memory alone: {why}");
        lines.push(line(&[Cell::new(text, UNSURE)], width));
    }
    if status.slow {
        let text = "This host stands still again and again: too little of its processors is its own";
        lines.push(line(&[Cell::new(text, UNSURE)], width));
    }
    if let stall @ 1000.. = status.statistics.worker_stall_ms {
        let text = format!("A worker has not turned its loop for {}", duration(stall));
        lines.push(line(&[Cell::new(text, BAD)], width));
    }
    lines
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{} times", thousands(n)),
    }
}

fn listeners(status: &Status, rates: &Rates) -> Vec<Vec<Cell>> {
    let headings = ["LISTENER", "ADDRESS", ""].map(|text| Cell::new(text, DIM));
    let numbers = ["CONNECTIONS", "REQUESTS/S", "REQUESTS", "REFUSED"].map(heading_of_number);
    let rows = status.listeners.iter().map(|listener| {
        let nothing = ListenerStatistics::default();
        let counted =
            status.statistics.listeners.iter().find(|one| one.name == listener.name).unwrap_or(&nothing);
        let refused = counted.refused.iter().map(|(_, count)| count).sum();
        vec![
            Cell::new(&listener.name, BOLD),
            Cell::new(&listener.address, PLAIN),
            if listener.open { Cell::new("open", GOOD) } else { Cell::new("closed", UNSURE) },
            Cell::number(thousands(counted.connections)),
            Cell::number(rate(rates.listener(&listener.name))),
            Cell::number(thousands(handled(status, listener))),
            Cell::number(thousands(refused)),
        ]
    });
    [headings.into_iter().chain(numbers).collect()].into_iter().chain(rows).collect()
}

fn pool(status: &Status, pool: &PoolStatus, rates: &Rates, width: Option<usize>) -> Vec<String> {
    let nothing = PoolStatistics::default();
    let counted = status.statistics.pools.iter().find(|one| one.name == pool.name).unwrap_or(&nothing);
    let eligible = pool.members.iter().filter(|member| member.eligible).count();
    let (serving, style) = match pool.serving.as_str() {
        serving if let Some(who) = &pool.who => (who.as_str(), if serving == "healthy" { GOOD } else { BAD }),
        "healthy" => ("the healthy serve", GOOD),
        "everyone" => ("too few are healthy, so all serve", BAD),
        "nobody" => ("nobody may serve: requests are refused", BAD),
        other => (other, PLAIN),
    };
    let title = [
        Cell::new(format!("pool {}", pool.name), BOLD),
        Cell::new(" · ", DIM),
        Cell::new(serving, style),
        Cell::new(
            format!(
                " · {eligible} of {} get traffic · {} queued · {} retried, {} hedged",
                pool.members.len(),
                thousands(counted.queued),
                thousands(counted.retries),
                thousands(counted.hedges),
            ),
            PLAIN,
        ),
    ];
    let mut screen = vec![line(&title, width)];
    screen.extend(members(pool, counted, rates, width));
    screen
}

/// Why a member is as it is stands beside it, or, where the terminal is too narrow, below those that are not well.
fn members(pool: &PoolStatus, counted: &PoolStatistics, rates: &Rates, width: Option<usize>) -> Vec<String> {
    let mut headings: Vec<Cell> =
        ["  MEMBER", "ZONE", "HEALTH", "WISH"].map(|text| Cell::new(text, DIM)).into();
    headings.extend(["IN FLIGHT", "REQUESTS/S", "REQUESTS", "FAILURES"].map(heading_of_number));
    let mut rows = vec![headings];
    rows.extend(pool.members.iter().map(|one| member(pool, one, counted, rates)));

    let mut with_why = rows.clone();
    let whys = pool.members.iter().map(|member| Cell::new(why(member), PLAIN));
    for (row, why) in with_why.iter_mut().zip(std::iter::once(Cell::new("WHY", DIM)).chain(whys)) {
        row.push(why);
    }
    if width.is_none_or(|width| widest(&with_why) <= width) {
        return table(&with_why, width);
    }
    let mut lines = table(&rows, width).into_iter();
    let mut screen: Vec<String> = lines.next().into_iter().collect();
    for (member, row) in pool.members.iter().zip(lines) {
        screen.push(row);
        if member.health != Health::Up || member.ejected_ms.is_some() {
            screen.push(line(&[Cell::new(format!("    {}", why(member)), PLAIN)], width));
        }
    }
    screen
}

fn member(pool: &PoolStatus, member: &MemberStatus, counted: &PoolStatistics, rates: &Rates) -> Vec<Cell> {
    let nothing = MemberStatistics::default();
    let counted = counted.members.iter().find(|one| one.name == member.name).unwrap_or(&nothing);
    let failures = counted.failures.iter().map(|(_, count)| count).sum();
    // Shape says what colour says: whether traffic goes there.
    let mark = if member.eligible { "●" } else { "○" };
    let (health, style) = health(member);
    let (wish, wish_style) = match member.wish {
        Wish::Ready => ("ready", DIM),
        Wish::Draining => ("draining", UNSURE),
        Wish::Maintenance => ("maintenance", UNSURE),
    };
    vec![
        Cell::new(format!("{mark} {}", member.name), if member.eligible { BOLD } else { PLAIN }),
        Cell::new(&member.zone, PLAIN),
        Cell::new(health, style),
        Cell::new(wish, wish_style),
        Cell::number(thousands(counted.in_flight)),
        Cell::number(rate(rates.member(&pool.name, &member.name))),
        Cell::number(thousands(counted.tries)),
        Cell::number(thousands(failures)),
    ]
}

fn health(member: &MemberStatus) -> (&'static str, Style) {
    match (member.ejected_ms, member.health) {
        (Some(_), Health::Up) => ("ejected", BAD),
        (_, Health::Up) => ("up", GOOD),
        (_, Health::Down) => ("down", BAD),
        (_, Health::Unknown) => ("unknown", UNSURE),
    }
}

/// What was found and since when, then what the latest check said if that is something else.
fn why(member: &MemberStatus) -> String {
    let mut parts = Vec::new();
    if member.health != Health::Up || member.ejected_ms.is_some() || member.check.is_none() {
        parts.push(format!("{}, for {}", member.why, duration(member.since_ms)));
    }
    if let Some(left) = member.ejected_ms {
        parts.push(format!("ejected for another {}", duration(left)));
    }
    if member.address.is_none() {
        parts.push("its name has not resolved".to_owned());
    }
    if member.backup {
        parts.push("backup".to_owned());
    }
    if let Some(check) = &member.check {
        let took =
            if check.took_us < 1000 { "under 1 ms".to_owned() } else { duration(check.took_us / 1000) };
        parts.push(format!("check {} ago: {} in {took}", duration(check.ago_ms), check.said));
    }
    parts.join("; ")
}

fn heading_of_number(text: &str) -> Cell {
    Cell::number(text).styled(DIM)
}

fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.1}"),
        Some(rate) => thousands(rate as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_narrow_terminal_the_reason_still_has_its_place() {
        let member = |name: &str, health, why: &str| MemberStatus {
            name: name.to_owned(),
            host: "app".to_owned(),
            zone: "a".to_owned(),
            address: Some("10.0.1.21:8080".to_owned()),
            health,
            wish: Wish::Ready,
            eligible: health == Health::Up,
            backup: false,
            ejected_ms: None,
            ejections: 0,
            why: why.to_owned(),
            since_ms: 12_000,
            check: None,
        };
        let members = vec![
            member("app1:8080", Health::Up, "HTTP 200"),
            member("app2:8080", Health::Down, "connection refused (2 of 2)"),
        ];
        let pool = PoolStatus { name: "web".to_owned(), serving: "healthy".to_owned(), who: None, members };
        let screen = super::members(&pool, &PoolStatistics::default(), &Rates::default(), Some(80));
        let plain: Vec<String> =
            screen.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert!(plain.iter().all(|line| line.chars().count() <= 80), "{plain:#?}");
        assert_eq!(plain.len(), 4);
        assert_eq!(plain[3], "    connection refused (2 of 2), for 12 s");
    }
}
