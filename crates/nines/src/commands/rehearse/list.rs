//! `nines rehearse --list`: what would be broken and how, what not and why, and how long it would take.

use std::collections::BTreeMap;
use std::io::Write;

use nines_rehearsal::{Options, Plan};
use nines_system::System;
use serde_json::json;

pub(super) fn print(system: &System, plan: &Plan, options: &Options, as_json: bool) -> anyhow::Result<()> {
    let mut faults: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for case in &plan.cases {
        faults.entry(case.component.label()).or_default().push(case.fault.word());
    }
    let mut out = anstream::stdout();
    let components = plan.component_names();
    if as_json {
        let one = |name: &String| json!({ "component": name, "faults": faults[name.as_str()] });
        let left_out = |(what, why): &(String, String)| json!({ "component": what, "why": why });
        let not_possible = plan.not_possible.iter().map(|it| {
            let (what, fault) = (it.case.component.label(), it.case.fault.word());
            json!({ "component": what, "fault": fault, "why": it.why })
        });
        let whole = json!({
            "system": system.name,
            "components": components.iter().map(one).collect::<Vec<_>>(),
            "left_out": plan.left_out.iter().map(left_out).collect::<Vec<_>>(),
            "not_possible": not_possible.collect::<Vec<_>>(),
            "cases": plan.cases.len(),
            "estimated_s": plan.estimate(options).as_secs(),
            "refused": refused(system),
        });
        writeln!(out, "{whole:#}")?;
        return Ok(());
    }
    for name in &components {
        writeln!(out, "{name}: {}", faults[name.as_str()].join(", "))?;
    }
    for (what, why) in &plan.left_out {
        writeln!(out, "{what}: nothing, {why}")?;
    }
    for line in not_possible(plan) {
        writeln!(out, "{line}")?;
    }
    match refused(system) {
        Some(why) => writeln!(out, "none of it can be rehearsed: {why}")?,
        None => writeln!(out, "{}", estimate(plan, options))?,
    }
    Ok(())
}

/// Why the file as it is can't be played in any lab, if it can't.
fn refused(system: &System) -> Option<String> {
    crate::stage::refused(system).map(|why| why.to_string())
}

/// `62 cases, about 9 min`.
pub(super) fn estimate(plan: &Plan, options: &Options) -> String {
    let cases = match plan.cases.len() {
        1 => "1 case".to_owned(),
        more => format!("{more} cases"),
    };
    let seconds = plan.estimate(options).as_secs();
    match seconds {
        0..90 => format!("{cases}, about {seconds} s"),
        _ => format!("{cases}, about {} min", seconds.div_ceil(60)),
    }
}

/// `lossy: not possible here: this kernel has no nftables`, once for each fault.
pub(super) fn not_possible(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> = plan
        .not_possible
        .iter()
        .map(|it| format!("{}: not possible here: {}", it.case.fault, it.why))
        .collect();
    lines.dedup();
    lines
}
