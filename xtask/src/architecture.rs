//! The architecture as tests: what ARCHITECTURE.md promises and the compiler can't see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::shell;

/// Who may know whom; what is not here may not be.
const HOUSE: &[(&str, &[&str])] = &[
    ("nines-system", &[]),
    ("nines-availability", &["nines-system"]),
    ("nines-ledger", &["nines-availability"]),
    ("nines-control", &["nines-system"]),
    ("nines-load-balancer", &["nines-control", "nines-system", "nines-trial"]),
    ("nines-admin", &["nines-control", "nines-system"]),
    ("nines-lab", &["nines-control", "nines-system", "nines-trial"]),
    ("nines-page", &["nines-trial"]),
    ("nines-prober", &["nines-availability"]),
    ("nines-rehearsal", &["nines-control", "nines-system", "nines-trial"]),
    ("nines-simulator", &["nines-control", "nines-system"]),
    ("nines-trial", &[]),
    ("nines-virtual-ip", &["nines-control", "nines-system", "nines-trial"]),
    ("nines-coordination", &["nines-control", "nines-system", "nines-trial"]),
    ("nines-database", &["nines-control", "nines-system", "nines-trial"]),
    (
        "nines",
        &[
            "nines-admin",
            "nines-availability",
            "nines-control",
            "nines-coordination",
            "nines-database",
            "nines-lab",
            "nines-ledger",
            "nines-load-balancer",
            "nines-page",
            "nines-prober",
            "nines-rehearsal",
            "nines-simulator",
            "nines-system",
            "nines-trial",
            "nines-virtual-ip",
        ],
    ),
    ("xtask", &[]),
];

/// The room that others may know in their tests only.
const FOR_TESTS: &str = "nines-trial";

/// The rooms without I/O, clock and randomness.
const PURE: [&str; 5] =
    ["nines-availability", "nines-system", "nines-control", "nines-page", "nines-simulator"];
/// What would bring I/O or randomness into a pure room, however far down its tree.
const IMPURE: [&str; 6] = ["getrandom", "mio", "rand", "rustix", "socket2", "tokio"];
/// What clippy must ban in a pure room.
const BANS: [&str; 3] = ["std::time::Instant::now", "std::time::SystemTime::now", "std::thread::spawn"];

/// Where Linux offers no other way: `fork`, `setns` and signal handlers; packet sockets and `recvmsg` with control messages.
const MAY_BE_UNSAFE: [&str; 2] = ["crates/lab/", "crates/virtual-ip/"];

/// Past this many lines a file is asked what it really is.
const LONG: usize = 600;
/// Files that were asked, and may stay as they are.
const MAY_BE_LONG: [&str; 1] = [
    // A case for each mistake that a system file can have.
    "crates/system/tests/mistakes.rs",
];

/// A package of the workspace: the workspace's packages that it names, and all that it is built from.
struct Room {
    name: String,
    knows: BTreeSet<String>,
    built_from: BTreeSet<String>,
}

/// Every edge that [`HOUSE`] does not allow, in words.
fn wrong_edges(rooms: &[Room]) -> Vec<String> {
    let mut wrong = Vec::new();
    for room in rooms {
        let Some((_, allowed)) = HOUSE.iter().find(|(name, _)| *name == room.name) else {
            wrong.push(format!("{} is not in the table of rooms", room.name));
            continue;
        };
        let unwelcome = room.knows.iter().filter(|known| !allowed.contains(&known.as_str()));
        wrong.extend(unwelcome.map(|known| format!("{} may not know {known}", room.name)));
        if room.built_from.contains(FOR_TESTS) {
            wrong.push(format!("{} may know {FOR_TESTS} in its tests only", room.name));
        }
    }
    wrong
}

/// Every pure room that is built from something impure, in words.
fn impurities(rooms: &[Room]) -> Vec<String> {
    let pure = rooms.iter().filter(|room| PURE.contains(&room.name.as_str()));
    pure.flat_map(|room| {
        let found = IMPURE.iter().filter(|crate_name| room.built_from.contains(**crate_name));
        found.map(|crate_name| format!("{} must do without {crate_name}", room.name))
    })
    .collect()
}

/// The rooms as cargo sees them.
fn rooms() -> Vec<Room> {
    let output = shell::cargo()
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();

    let names: BTreeMap<&str, &str> =
        list(&metadata["packages"]).map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let workspace: BTreeSet<&str> = list(&metadata["workspace_members"]).map(text).collect();
    // Each package's direct dependencies, and whether they are part of what is built from it.
    let graph: BTreeMap<&str, Vec<(&str, bool)>> = list(&metadata["resolve"]["nodes"])
        .map(|node| {
            let edges = list(&node["deps"]).map(|dependency| {
                let normal = list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
                (text(&dependency["pkg"]), normal)
            });
            (text(&node["id"]), edges.collect())
        })
        .collect();

    let room = |id: &&str| {
        let direct = graph[id].iter().filter(|(known, _)| workspace.contains(known));
        let mut built_from = BTreeSet::new();
        let mut pending = vec![*id];
        while let Some(package) = pending.pop() {
            for (dependency, normal) in &graph[package] {
                if *normal && built_from.insert(names[dependency].to_owned()) {
                    pending.push(dependency);
                }
            }
        }
        Room {
            name: names[id].to_owned(),
            knows: direct.map(|(known, _)| names[known].to_owned()).collect(),
            built_from,
        }
    };
    workspace.iter().map(room).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Every Rust file of the project: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for top in ["crates", "xtask", "fuzz"] {
        collect(&shell::root().join(top), &mut files);
    }
    files.sort();
    let read = |file: PathBuf| {
        let path = file.strip_prefix(shell::root()).unwrap().to_string_lossy().into_owned();
        (path, fs::read_to_string(file).unwrap())
    };
    files.into_iter().map(read).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Why one file is not as every file shall be, in words.
fn complaints(path: &str, source: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !source.starts_with("//!") {
        complaints.push(format!("{path} does not begin with `//!` and why it exists"));
    }
    let lines = source.lines().count();
    if lines > LONG && !MAY_BE_LONG.contains(&path) {
        complaints.push(format!("{path} has {lines} lines, more than {LONG}: what is it really?"));
    }
    let lifts =
        |lint: &str| ["allow", "expect"].iter().any(|level| source.contains(&format!("{level}({lint}")));
    if lifts("unsafe_code") && !MAY_BE_UNSAFE.iter().any(|room| path.starts_with(room)) {
        complaints.push(format!("{path} allows itself unsafe code"));
    }
    let around = ["/tests/", "/examples/"].iter().any(|folder| path.contains(folder));
    let pure =
        !around && !path.ends_with("/tests.rs") && PURE.iter().any(|room| path.starts_with(&home(room)));
    if pure && (lifts("clippy::disallowed_methods") || lifts("clippy::disallowed_types")) {
        complaints.push(format!("{path} allows itself what a pure room may not do"));
    }
    complaints
}

/// `nines-control` lives in `crates/control/`.
fn home(room: &str) -> String {
    format!("crates/{}/", room.strip_prefix("nines-").unwrap_or(room))
}

fn made_up(name: &str, knows: &[&str]) -> Room {
    let names: BTreeSet<String> = knows.iter().map(|known| (*known).to_owned()).collect();
    Room { name: name.into(), knows: names.clone(), built_from: names }
}

#[test]
fn rooms_know_only_what_lies_below_them() {
    assert_eq!(wrong_edges(&rooms()), Vec::<String>::new());
}

#[test]
fn a_wrong_edge_is_refused() {
    let wrong = wrong_edges(&[
        made_up("nines-control", &["nines-load-balancer"]),
        made_up("nines-lab", &["nines-system", "nines-admin"]),
        made_up("nines-attic", &[]),
        made_up("nines-load-balancer", &["nines-control"]),
        made_up("nines-virtual-ip", &["nines-trial"]),
    ]);
    let expected = [
        "nines-control may not know nines-load-balancer",
        "nines-lab may not know nines-admin",
        "nines-attic is not in the table of rooms",
        "nines-virtual-ip may know nines-trial in its tests only",
    ];
    assert_eq!(wrong, expected);
}

#[test]
fn pure_rooms_are_built_from_nothing_impure() {
    assert_eq!(impurities(&rooms()), Vec::<String>::new());
}

#[test]
fn an_impure_crate_in_a_pure_room_is_refused() {
    let found = impurities(&[made_up("nines-system", &["serde", "tokio"]), made_up("nines-lab", &["tokio"])]);
    assert_eq!(found, ["nines-system must do without tokio"]);
}

#[test]
fn impure_crates_are_seen_far_down_the_tree() {
    let rooms = rooms();
    let load_balancer = rooms.iter().find(|room| room.name == "nines-load-balancer").unwrap();
    // tokio brings it; the room does not name it.
    assert!(load_balancer.built_from.contains("mio"));
}

#[test]
fn clippy_bans_clocks_and_threads_in_pure_rooms() {
    for room in PURE {
        let file = shell::root().join(home(room)).join("clippy.toml");
        let clippy = fs::read_to_string(&file).unwrap();
        for ban in BANS {
            assert!(clippy.contains(&format!("\"{ban}\"")), "{} does not ban {ban}", file.display());
        }
    }
}

#[test]
fn every_room_takes_the_lints_of_the_house() {
    for room in HOUSE {
        let home = if room.0 == "xtask" { "xtask/".to_owned() } else { home(room.0) };
        let manifest = fs::read_to_string(shell::root().join(&home).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{home}Cargo.toml goes without the lints");
    }
}

#[test]
fn every_file_is_as_files_shall_be() {
    let sources = sources();
    assert!(sources.len() > HOUSE.len());
    let all: Vec<String> = sources.iter().flat_map(|(path, source)| complaints(path, source)).collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_file_that_is_not_is_refused() {
    // In two parts, so that this file is not its own wrongdoer.
    let lift = |lint: &str| format!("//! Why.\n#[{}({lint})]\nfn f() {{}}\n", "allow");
    assert_eq!(complaints("crates/lab/src/a.rs", "//! Why.\n"), Vec::<String>::new());
    assert_eq!(complaints("crates/lab/src/a.rs", &lift("unsafe_code")), Vec::<String>::new());
    for (path, source) in [
        ("crates/lab/src/a.rs", "fn f() {}\n".to_owned()),
        ("crates/lab/src/a.rs", format!("//! Why.\n{}", "\n".repeat(LONG))),
        ("crates/control/src/a.rs", lift("unsafe_code")),
        ("crates/control/src/a.rs", lift("clippy::disallowed_methods")),
    ] {
        assert_eq!(complaints(path, &source).len(), 1, "{path} {source}");
    }
}
