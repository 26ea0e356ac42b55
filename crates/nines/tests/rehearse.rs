//! Rehearsals end to end: real programs in a lab, broken in each way, while clients count what fails.
//!
//! They need Linux namespaces, and take some seconds each; one at a time, because each measures time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest that a rehearsal of a few cases may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where rehearsals are remembered.
const STATE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/rehearse-state");

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

fn start(file: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_nines"))
        .arg("rehearse")
        .arg(file)
        .args(args)
        .env("XDG_STATE_HOME", STATE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(mut child: Child) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it did not end: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn rehearse(file: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let output = end(start(file, &[&["--json", "--seconds", "3"], args].concat()));
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), json)
}

/// Clients that were themselves later than this had no machine to measure with: what was slow says nothing then.
const LATE_MS: f64 = 50.0;
/// How often a case is played for want of a machine that keeps up.
const ATTEMPTS: usize = 3;

fn was_late(result: &Value) -> bool {
    result["clients_late_ms"].as_f64().is_some_and(|late| late > LATE_MS)
}

fn play(component: &str, fault: &str) -> (Option<i32>, Value) {
    let (code, report) = rehearse(&example("pair.toml"), &["--only", component, "--fault", fault]);
    assert_eq!(report["complete"], true, "{report:#}");
    assert_eq!(report["results"].as_array().map(Vec::len), Some(1), "{report:#}");
    (code, report["results"][0].clone())
}

/// Breaks a component of the pair's example; nothing may fail, and nothing may be slow.
fn spared(component: &str, fault: &str) -> Value {
    let _guard = one_at_a_time();
    let (mut code, mut result) = play(component, fault);
    for _ in 1..ATTEMPTS {
        assert_eq!(result["requests"]["failed"], 0, "{result:#}");
        if !was_late(&result) {
            break;
        }
        (code, result) = play(component, fault);
    }
    assert_eq!((&result["component"], &result["fault"]), (&Value::from(component), &Value::from(fault)));
    assert_eq!(result["requests"]["failed"], 0, "{result:#}");
    if !was_late(&result) {
        assert_eq!(result["verdict"], "held", "{result:#}");
        assert!(result["slowest_ms"].as_f64().unwrap() < 500.0, "{result:#}");
        assert_eq!(code, Some(0));
    }
    assert!(result["recovered_ms"].is_number(), "{result:#}");
    let least = if fault.starts_with("re") { 1500 } else { 4500 };
    assert!(result["requests"]["sent"].as_u64().unwrap() >= least, "{result:#}");
    result
}

#[test]
fn a_killed_server_costs_clients_nothing() {
    assert!(spared("app1", "kill")["noticed_ms"].is_number());
}

#[test]
fn a_frozen_server_costs_clients_nothing() {
    assert!(spared("app1", "freeze")["noticed_ms"].is_number());
}

#[test]
fn a_server_that_is_cut_off_costs_clients_nothing() {
    assert!(spared("app1", "cut-off")["noticed_ms"].is_number());
}

#[test]
fn draining_a_server_costs_clients_nothing() {
    assert_eq!(spared("app1", "drain")["noticed_ms"], Value::Null, "nothing was wrong with it");
}

#[test]
fn restarting_a_server_costs_clients_nothing() {
    spared("app1", "restart");
}

#[test]
fn a_server_in_maintenance_costs_clients_nothing() {
    assert_eq!(spared("app1", "maintenance")["noticed_ms"], Value::Null, "nothing was wrong with it");
}

/// Breaks a component that is only worse than it was: no request fails, however late the answers are.
fn nothing_fails(component: &str, fault: &str) {
    let _guard = one_at_a_time();
    let (code, report) = rehearse(&example("pair.toml"), &["--only", component, "--fault", fault]);
    if let Some(why) = report["not_possible"][0]["why"].as_str() {
        assert!(why.starts_with("this kernel"), "{why}");
        return;
    }
    let result = &report["results"][0];
    assert_eq!(result["expected"], "no request fails, answers may be late");
    assert_eq!(result["requests"]["failed"], 0, "{result:#}");
    assert!(result["recovered_ms"].is_number(), "{result:#}");
    assert_eq!((&result["verdict"], code), (&Value::from("held"), Some(0)), "{result:#}");
}

#[test]
fn a_slow_server_costs_clients_nothing_but_time() {
    nothing_fails("app1", "slow");
}

#[test]
fn a_server_behind_a_lossy_link_costs_clients_nothing_but_time() {
    nothing_fails("app1", "lossy");
}

#[test]
fn a_zone_without_power_and_load_balancers_that_are_restarted_in_turn_hold_their_promise() {
    let _guard = one_at_a_time();
    let args = ["--only", "zone b,front", "--fault", "power-off,rolling-restart"];
    let (_, report) = rehearse(&example("pair.toml"), &args);
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{report:#}");
    for result in results {
        assert!(result["recovered_ms"].is_number(), "{result:#}");
        assert!(was_late(result) || result["verdict"] == "held", "{result:#}");
    }
    assert_eq!(results[1]["hosts"], serde_json::json!(["lb1", "lb2"]));
}

#[test]
fn of_two_members_on_a_host_one_dies_alone_and_is_started_again() {
    let _guard = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pair.toml");
    let text = std::fs::read_to_string(example("pair.toml")).unwrap();
    std::fs::write(&file, text.replace(r#""app1:8080", "#, r#""app1:8080", "app1:8081", "#)).unwrap();
    let args = ["--only", "web/app1:8080", "--fault", "kill-member,freeze-member"];
    let (_, report) = rehearse(&file, &args);
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{report:#}");
    for result in results {
        assert_eq!(result["members"], serde_json::json!(["web/app1:8080"]));
        assert_eq!(result["requests"]["failed"], 0, "{result:#}");
        assert!(result["noticed_ms"].is_number(), "{result:#}");
        assert!(result["recovered_ms"].is_number(), "{result:#}");
    }
}

#[test]
fn two_that_fail_together_come_back_by_themselves() {
    let _guard = one_at_a_time();
    let (code, report) =
        rehearse(&example("pair.toml"), &["--pairs", "--only", "lb1 + lb2", "--fault", "kill"]);
    let result = &report["results"][0];
    assert!(result["requests"]["failed"].as_u64().unwrap() > 0, "nobody is left: {result:#}");
    assert_eq!(result["expected"], "healthy again once healed");
    assert_eq!((&result["verdict"], code), (&Value::from("held"), Some(0)), "{result:#}");
}

#[test]
fn what_was_found_is_kept_though_stdout_is_full() {
    let _guard = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("out.html");
    let file = folder.path().join("pair.toml");
    let text = std::fs::read_to_string(example("pair.toml")).unwrap();
    std::fs::write(&file, &text).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_nines"))
        .args(["rehearse", "--json", "--seconds", "1", "--only", "app1", "--fault", "kill", "--report"])
        .args([&page, &file])
        .env("XDG_STATE_HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(std::fs::File::options().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = end(child);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
    assert!(std::fs::read_to_string(&page).unwrap().contains("app1"), "{told}");
    let memory = std::fs::read_to_string(folder.path().join("nines/rehearsals-pair.json")).unwrap();
    assert!(memory.contains("\"component\":\"app1\""), "{memory}");
}

#[test]
fn a_hundred_reloads_cost_clients_nothing() {
    spared("lb1", "reload");
}

/// Breaks the host that answers on the pair's address; what fails may fail only while the address moves.
fn moved(fault: &str) -> Value {
    let _guard = one_at_a_time();
    let (mut code, mut result) = play("lb1", fault);
    for _ in 1..ATTEMPTS {
        if !was_late(&result) {
            break;
        }
        (code, result) = play("lb1", fault);
    }
    assert_eq!(result["promised_gap_ms"], 500.0, "{result:#}");
    // Three intervals of 100 ms, the skew of priority 190, and an announcement.
    assert_eq!(result["predicted"]["at_most_ms"], 345.8, "{result:#}");
    assert!(result["recovered_ms"].is_number(), "{result:#}");
    if !was_late(&result) {
        assert_eq!((&result["verdict"], code), (&Value::from("held"), Some(0)), "{result:#}");
        assert!(result["longest_gap_ms"].as_f64().unwrap() <= 510.0, "{result:#}");
        assert_eq!(result["difference"], Value::Null, "{result:#}");
    }
    result
}

#[test]
fn the_address_of_a_killed_load_balancer_moves_in_time() {
    assert!(moved("kill")["noticed_ms"].is_number());
}

#[test]
fn the_address_of_a_host_without_power_moves_in_time() {
    assert!(moved("power-off")["noticed_ms"].is_number());
}

#[test]
fn the_address_of_a_frozen_load_balancer_moves_in_time() {
    assert!(moved("freeze")["noticed_ms"].is_number());
}

#[test]
fn the_address_of_a_host_that_is_cut_off_moves_in_time() {
    assert!(moved("cut-off")["noticed_ms"].is_number());
}

#[test]
fn the_address_of_a_mute_host_moves_in_time() {
    assert!(moved("cut-out")["noticed_ms"].is_number());
}

#[test]
fn two_that_dont_hear_each_other_both_answer_and_agree_when_healed() {
    moved("split");
}

#[test]
fn draining_the_host_that_answers_costs_clients_nothing() {
    assert!(spared("lb1", "drain")["noticed_ms"].is_number(), "the address moved");
}

#[test]
fn restarting_the_host_that_answers_costs_clients_nothing() {
    spared("lb1", "restart");
}

#[test]
fn a_killed_host_that_stood_by_costs_clients_nothing() {
    assert_eq!(spared("lb2", "kill")["noticed_ms"], Value::Null, "the address stayed");
}

/// Two load balancers before one server, with virtual addresses in one subnet or another.
fn pair(network: &str, virtual_ips: &str) -> String {
    format!(
        r#"
        name = "pair"
        [hosts]
        lb1 = "{network}10"
        lb2 = "{network}11"
        app1 = "{network}21"
        [load_balancers.front]
        hosts = ["lb1", "lb2"]
        virtual_ips = [{virtual_ips}]
        listeners = [{{ bind = ":80", pool = "web" }}]
        [pools.web]
        members = ["app1:8080"]
        "#
    )
}

/// Breaks the first load balancer of a pair: what is planned costs nothing, and every promise is held on a machine that
/// keeps up. Returns the results in the order of the faults.
fn pair_holds(text: &str, faults: &[&str]) -> Vec<Value> {
    let _guard = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pair.toml");
    std::fs::write(&file, text).unwrap();
    let words: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    let args = [&["--only", "lb1"], words.as_slice()].concat();
    let mut results = Vec::new();
    for _ in 0..ATTEMPTS {
        let (_, report) = rehearse(&file, &args);
        assert_eq!(report["complete"], true, "{report:#}");
        results = report["results"].as_array().unwrap().clone();
        for result in results.iter().filter(|result| result["fault"] != "kill") {
            assert_eq!(result["requests"]["failed"], 0, "planned: {result:#}");
        }
        if !results.iter().any(was_late) {
            break;
        }
    }
    let result = |fault: &&str| results.iter().find(|result| result["fault"] == **fault).unwrap().clone();
    let results: Vec<Value> = faults.iter().map(result).collect();
    for result in &results {
        assert!(result["recovered_ms"].is_number(), "{result:#}");
        assert!(was_late(result) || result["verdict"] == "held", "{result:#}");
    }
    results
}

#[test]
fn a_planned_handover_over_ipv6_costs_clients_nothing() {
    let results = pair_holds(&pair("fd00::", r#""fd00::100""#), &["drain", "restart"]);
    assert!(results.iter().all(|result| result["noticed_ms"].is_number()), "the address moved: {results:#?}");
}

/// On an interface that the file names, besides.
#[test]
fn the_addresses_of_a_group_move_together() {
    let member = |last: u8| format!(r#"{{ address = "10.0.1.{last}", group = "edge", interface = "eno1" }}"#);
    let text = pair("10.0.1.", &[member(100), member(101)].join(", "));
    let results = pair_holds(&text, &["drain", "kill"]);
    assert_eq!(results[1]["promised_gap_ms"], 500.0, "{:#}", results[1]);
    assert!(results.iter().all(|result| result["noticed_ms"].is_number()), "{results:#?}");
}

#[test]
fn a_host_that_would_need_two_interfaces_is_told_at_once() {
    let _guard = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pair.toml");
    let member = |last, name| format!(r#"{{ address = "10.0.1.{last}", interface = "{name}" }}"#);
    let text = pair("10.0.1.", &[member(100, "eno1"), member(101, "eno2")].join(", "));
    std::fs::write(&file, text).unwrap();
    let output = end(start(&file, &["--only", "lb1", "--fault", "drain"]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("host lb1 cannot be had in a lab") && told.contains("`eno1` and `eno2`"), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_was_predicted_and_observed_is_remembered_and_moves_the_audit() {
    let _guard = one_at_a_time();
    let (folder, file) = (tempfile::tempdir().unwrap(), example("pair.toml"));
    let _ = std::fs::remove_dir_all(STATE);
    let (_, report) = rehearse(&file, &["--only", "lb1", "--fault", "kill", "--fault", "drain"]);
    let [killed, drained] = report["results"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
    assert_eq!(
        (&killed["predicted"]["loss"], &drained["predicted"]["loss"]),
        (&"gap".into(), &"nothing".into())
    );
    std::fs::write(folder.path().join("out.json"), report.to_string()).unwrap();
    let ask = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nines"));
        let output =
            command.args(args).current_dir(folder.path()).env("XDG_STATE_HOME", STATE).output().unwrap();
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        (value, String::from_utf8(output.stderr).unwrap())
    };
    let file = file.to_str().unwrap();
    let (assumed, told) = ask(&["audit", file, "--json"]);
    assert!(told.contains("pair was rehearsed on ") && told.contains("`--with last`"), "{told}");
    let (given, _) = ask(&["audit", file, "--with", "out.json", "--json"]);
    let (last, _) = ask(&["audit", file, "--with", "last", "--json"]);
    for answer in [&given, &last] {
        assert_eq!(answer["rehearsals"]["failovers"][0]["failovers"], 1, "{answer:#}");
        assert_eq!(answer["rehearsals"]["from"][0]["file_changed"], false, "{answer:#}");
        assert_ne!(answer["prediction"], assumed["prediction"]);
    }
    let (lb1, _) = ask(&["what-if", file, "lb1", "--json", "--years", "100"]);
    let cases = lb1["last_rehearsal"]["cases"].as_array().unwrap();
    let gaps: Vec<&Value> = cases.iter().map(|case| &case["longest_gap_ms"]).collect();
    assert_eq!(gaps, [&killed["longest_gap_ms"], &drained["longest_gap_ms"]]);
}

/// The proof that a rehearsal can fail.
#[test]
fn without_retries_a_killed_server_breaks_the_promise() {
    let _guard = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pair.toml");
    let text = std::fs::read_to_string(example("pair.toml")).unwrap();
    std::fs::write(&file, text + "retries = { tries = 1 }\n").unwrap();
    let (code, report) = rehearse(&file, &["--only", "app1", "--fault", "kill"]);
    let result = &report["results"][0];
    assert!(result["requests"]["failed"].as_u64().unwrap() > 0, "{result:#}");
    // The model knows: what was promised is broken, and nothing differs from what was predicted.
    assert_eq!((&result["predicted"]["loss"], &result["difference"]), (&Value::from("some"), &Value::Null));
    assert_eq!((&result["verdict"], &report["verdict"]), (&Value::from("broken"), &Value::from("broken")));
    assert_eq!(code, Some(1));
}

#[test]
fn a_pool_killed_as_a_whole_is_seen_by_clients_and_no_broken_promise() {
    let _guard = one_at_a_time();
    let logs = tempfile::tempdir().unwrap();
    let directory = logs.path().to_str().unwrap();
    let page = logs.path().join("report.html");
    let page_name = page.to_str().unwrap();
    let args =
        ["--only", "web", "--seconds", "2", "--rate", "200", "--keep-logs", directory, "--report", page_name];
    let output = end(start(&example("pair.toml"), &args));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "pair · 2 zones · load balancer front (2 hosts) · pool web (3 servers) · objective 99.99 %",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(lines[2].starts_with("all of web   killed together  "), "{text}");
    assert!(lines[2].contains(" failed ") && !lines[2].contains("  0 of "), "{text}");
    assert_eq!(lines.last(), Some(&"verdict: every promise held"), "{text}");
    assert_eq!(output.status.code(), Some(0));
    let page = std::fs::read_to_string(page).unwrap();
    for part in [
        "<!DOCTYPE html>",
        " promises held.",
        "all of web: killed together",
        "first good answer after the gap +",
        "</html>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(logs.path().join("lb1.log").exists() && logs.path().join("app1.log").exists());
}

#[test]
fn a_server_that_does_not_start_is_told_with_its_last_words() {
    let _guard = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pair.toml");
    let text = std::fs::read_to_string(example("pair.toml")).unwrap();
    std::fs::write(&file, text + "command = [\"sh\", \"-c\", \"echo no database for {host}; exit 3\"]\n")
        .unwrap();
    let begin = Instant::now();
    let output = end(start(&file, &["--only", "app1", "--fault", "kill"]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("no database for app") && told.contains("exit status: 3"), "{told}");
    assert_eq!(output.status.code(), Some(1));
    assert!(begin.elapsed() < Duration::from_secs(30), "it is not waited for in vain");
}

#[test]
fn an_interrupted_rehearsal_tells_what_it_has_and_leaves_nothing_behind() {
    let _guard = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("out.html");
    let args = ["--seconds", "60", "--rate", "100", "--json", "--report", page.to_str().unwrap()];
    let child = start(&example("pair.toml"), &args);
    let pid = child.id().to_string();
    wait_until("the servers run", || {
        processes().iter().any(|words| words.contains("stand-in --listen 10.0.1.21"))
    });
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = end(child);
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["complete"], false);
    assert!(std::fs::read_to_string(&page).unwrap().contains("The rehearsal ended early"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing half written is left");
    wait_until("nothing is left", || !processes().iter().any(|words| words.contains("--listen 10.0.1.21")));
}

/// The command lines of every process of this machine that this test's program runs in.
fn processes() -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_nines");
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let words = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&words).replace('\0', " ");
        line.starts_with(program).then_some(line)
    });
    lines.collect()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
