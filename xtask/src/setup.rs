//! `cargo xtask setup`: what a fresh Debian machine lacks to build, test and measure. Quick when nothing is missing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also install what `cargo xtask bench` compares with: haproxy, nginx, wrk, keepalived, patroni, pgbouncer
    #[arg(long)]
    bench: bool,
}

/// What the machine shall be able to do afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Demo,
    Test,
    Bench,
}

/// A program, or a file by its whole path, and the Debian package that brings it.
struct Need {
    file: &'static str,
    package: &'static str,
}

/// What a rehearsal of databases runs.
const DEMO: &[Need] =
    &[Need { file: "etcd", package: "etcd-server" }, Need { file: "pg_ctlcluster", package: "postgresql" }];

/// Tests that speak with the real thing.
const TEST: &[Need] = &[
    Need { file: "keepalived", package: "keepalived" },
    Need { file: "etcd", package: "etcd-server" },
    Need { file: "etcdctl", package: "etcd-client" },
    Need { file: "openssl", package: "openssl" },
    Need { file: "chromium", package: "chromium" },
    Need { file: "pg_ctlcluster", package: "postgresql" },
    Need { file: "promtool", package: "prometheus" },
];

/// The benchmark: the peers, and the load.
const BENCH: &[Need] = &[
    Need { file: "haproxy", package: "haproxy" },
    Need { file: "nginx", package: "nginx-light" },
    Need { file: "/usr/lib/nginx/modules/ngx_stream_module.so", package: "libnginx-mod-stream" },
    Need { file: "wrk", package: "wrk" },
    Need { file: "keepalived", package: "keepalived" },
    Need { file: "ip", package: "iproute2" },
    Need { file: "pg_ctlcluster", package: "postgresql" },
    Need { file: "etcd", package: "etcd-server" },
    Need { file: "patroni", package: "patroni" },
    Need { file: "pgbouncer", package: "pgbouncer" },
];

pub(crate) fn run(args: &Args) -> Result<()> {
    prepare(For::Test)?;
    if args.bench {
        prepare(For::Bench)?;
    }
    eprintln!("setup: nothing is missing");
    Ok(())
}

/// Installs what is missing for `purpose`.
pub(crate) fn prepare(purpose: For) -> Result<()> {
    match purpose {
        // The lab speaks to the kernel itself, and Rust is what brought us here.
        For::Demo => debian_packages(DEMO),
        For::Test => {
            rust_components()?;
            cargo_deny()?;
            or_less_is_tested(debian_packages(TEST))
        }
        For::Bench => debian_packages(BENCH),
    }
}

/// Installs packages and starts none of their services, neither now nor at the next boot.
const INSTALL: &str = r#"set -e
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
if command -v systemctl >/dev/null; then
    for package in "$@"; do
        service=${package%-light}
        case $service in etcd-server) service=etcd ;; esac
        case $service in etcd | haproxy | nginx | keepalived | patroni | pgbouncer | prometheus) systemctl disable --quiet "$service" || true ;; esac
    done
fi
"#;

fn debian_packages(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> =
        needs.iter().filter(|need| shell::find(need.file).is_none()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if shell::find("apt-get").is_none() {
        bail!("this machine lacks {list} (Debian's names), and has no apt-get; install them, then try again");
    }
    let mut install = if is_root() {
        Command::new("sh")
    } else if shell::find("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg("sh");
        sudo
    } else {
        bail!("this machine lacks {list}; as root, run `apt-get install {list}`, then try again");
    };
    eprintln!("setup: installing {list}");
    shell::run(install.args(["-c", INSTALL, "install"]).args(&missing))
}

/// A machine of one's own may do with less; CI may not.
fn or_less_is_tested(installed: Result<()>) -> Result<()> {
    match installed {
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("setup: some tests will be skipped: {error:#}");
            Ok(())
        }
        result => result,
    }
}

pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Uid: real, effective, saved, file system.
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .is_some_and(|effective| effective == "0")
}

fn rust_components() -> Result<()> {
    let missing: Vec<&str> = [("clippy", "clippy"), ("rustfmt", "fmt")]
        .into_iter()
        .filter(|(_, command)| !shell::succeeds(shell::cargo().args([command, "--version"])))
        .map(|(component, _)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if shell::find("rustup").is_none() {
        bail!(
            "this toolchain lacks {list}, and there is no rustup to add them; install them, then try again"
        );
    }
    eprintln!("setup: adding {list} to the toolchain");
    shell::run(Command::new("rustup").args(["component", "add"]).args(&missing))
}

/// Compiled without optimisation: it takes a third of the time to build, and runs for a second or two.
fn cargo_deny() -> Result<()> {
    if shell::succeeds(shell::cargo().args(["deny", "--version"])) {
        return Ok(());
    }
    eprintln!("setup: building cargo-deny (a few minutes, once)");
    shell::run(shell::cargo().args([
        "install",
        "--locked",
        "--debug",
        "--no-default-features",
        "--config",
        "profile.dev.debug=false",
        "cargo-deny@^0.20",
    ]))
}
