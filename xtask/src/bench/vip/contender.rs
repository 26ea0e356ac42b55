//! Who is compared: keepalived with HAProxy beside it, and nines; each as a pair of load balancers in front of one backend.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::network::{Host, PORT, VIRTUAL};
use crate::bench::namespace::program;

/// Where the backend listens.
const BACKEND: u16 = 8080;
/// Where sockets and files of process ids are: ours alone, and with a short name.
const RUN: &str = "/run/bench";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    kind: Kind,
    /// From advertisement to advertisement.
    pub(crate) interval: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With `script`, it looks after HAProxy as often as it can, which is once a second.
    Keepalived {
        script: bool,
    },
    Nines,
}

const fn contender(name: &'static str, kind: Kind, milliseconds: u64) -> Contender {
    Contender { name, kind, interval: Duration::from_millis(milliseconds) }
}

const PLAIN: Kind = Kind::Keepalived { script: false };
const SCRIPT: Kind = Kind::Keepalived { script: true };

pub(crate) static CONTENDERS: [Contender; 6] = [
    contender("keepalived-1s", PLAIN, 1000),
    contender("keepalived-100ms", PLAIN, 100),
    contender("keepalived-100ms-script", SCRIPT, 100),
    contender("keepalived-10ms", PLAIN, 10),
    contender("nines-100ms", Kind::Nines, 100),
    contender("nines-10ms", Kind::Nines, 10),
];

impl Contender {
    /// Whether it can show here what it can do. In a user namespace that may not change groups, keepalived's scripts always succeed
    /// without having run.
    pub(crate) fn is_able(self) -> bool {
        let denied = || fs::read_to_string("/proc/self/setgroups").is_ok_and(|said| said.trim() == "deny");
        self.kind != SCRIPT || !denied()
    }
}

/// Where things are.
pub(crate) struct Place {
    /// Configurations and logs, to be looked at afterwards.
    pub(crate) dir: PathBuf,
    pub(crate) nines: PathBuf,
}

/// A program on a host; killed, by its own id, when dropped.
struct Program {
    host: Host,
    role: Role,
    child: Child,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Backend,
    /// Forwards requests: HAProxy, or nines, which holds the address as well.
    Balancer,
    Keepalived,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pair of load balancers, and the backend.
pub(crate) struct Pair<'a> {
    contender: Contender,
    place: &'a Place,
    programs: Vec<Program>,
}

impl<'a> Pair<'a> {
    /// The backend runs; the load balancers are still to be started.
    pub(crate) fn new(contender: Contender, place: &'a Place) -> Result<Self> {
        fs::create_dir_all(RUN).with_context(|| format!("cannot make {RUN}"))?;
        let mut pair = Self { contender, place, programs: Vec::new() };
        let file = place.dir.join("backend.conf");
        fs::write(&file, backend())?;
        let mut nginx = Host::App1.command(program("nginx"));
        nginx.args(["-p", RUN, "-c"]).arg(&file);
        pair.run(Host::App1, Role::Backend, &mut nginx)?;
        Ok(pair)
    }

    /// Starts all that belongs on this load balancer.
    pub(crate) fn start(&mut self, host: Host) -> Result<()> {
        match self.contender.kind {
            Kind::Keepalived { .. } => {
                let file = self.configuration(host, "haproxy.cfg", &haproxy())?;
                let mut haproxy = host.command(program("haproxy"));
                haproxy.args(["-db", "-f"]).arg(file);
                let pid = self.run(host, Role::Balancer, &mut haproxy)?;
                fs::write(pid_file(host), pid.to_string())?;
                self.keepalived(host)
            }
            Kind::Nines => {
                let file = self.configuration(host, "toml", &self.system())?;
                let mut nines = host.command(&self.place.nines);
                nines.arg("run").arg(file).args(["--host", host.name(), "--admin-socket", &socket(host)]);
                nines.args(["--state", &format!("{}.state", socket(host))]);
                self.run(host, Role::Balancer, &mut nines).map(drop)
            }
        }
    }

    fn keepalived(&mut self, host: Host) -> Result<()> {
        let Kind::Keepalived { script } = self.contender.kind else { return Ok(()) };
        let look = PathBuf::from(RUN).join("look");
        fs::write(&look, format!("#!/bin/sh\nkill -0 \"$(cat {RUN}/haproxy-$1.pid)\"\n"))?;
        fs::set_permissions(&look, fs::Permissions::from_mode(0o755))?;
        let text = keepalived(host, self.contender.interval, script.then_some(&look));
        let file = self.configuration(host, "keepalived.conf", &text)?;
        let mut keepalived = host.command(program("keepalived"));
        keepalived.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp", "-f"]).arg(file);
        keepalived.args(["-p", &format!("{RUN}/keepalived-{}.pid", host.name())]);
        keepalived.args(["-r", &format!("{RUN}/vrrp-{}.pid", host.name())]);
        self.run(host, Role::Keepalived, &mut keepalived).map(drop)
    }

    /// Kills what forwards requests on this host, and nothing else.
    pub(crate) fn kill_balancer(&mut self, host: Host) {
        self.programs.retain(|program| (program.host, program.role) != (host, Role::Balancer));
    }

    /// Kills everything on this host.
    pub(crate) fn kill(&mut self, host: Host) -> Result<()> {
        host.signal(Signal::KILL)?;
        self.programs.retain(|program| program.host != host);
        Ok(())
    }

    /// The host gives up the address because somebody wants it to.
    pub(crate) fn leave(&mut self, host: Host) -> Result<()> {
        match self.contender.kind {
            Kind::Keepalived { .. } => {
                let keepalived = self.find(host, Role::Keepalived)?;
                let pid = Pid::from_child(&keepalived.child);
                kill_process(pid, Signal::TERM).context("keepalived cannot be told to end")
            }
            Kind::Nines => self.order("drain", host),
        }
    }

    /// What [`Pair::leave`] undid.
    pub(crate) fn come_back(&mut self, host: Host) -> Result<()> {
        match self.contender.kind {
            Kind::Keepalived { .. } => {
                self.programs.retain(|program| (program.host, program.role) != (host, Role::Keepalived));
                self.keepalived(host)
            }
            Kind::Nines => self.order("ready", host),
        }
    }

    /// An error if something ended that nobody ended.
    pub(crate) fn all_run(&mut self) -> Result<()> {
        for program in &mut self.programs {
            if let Some(status) = program.child.try_wait()? {
                bail!("{:?} on {} ended ({status})", program.role, program.host.name());
            }
        }
        Ok(())
    }

    fn order(&self, verb: &str, host: Host) -> Result<()> {
        let output = Command::new(&self.place.nines)
            .args([verb, host.name(), "--admin-socket", &socket(host)])
            .output()
            .context("cannot start nines")?;
        if !output.status.success() {
            bail!("`nines {verb} {}`: {}", host.name(), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn find(&self, host: Host, role: Role) -> Result<&Program> {
        let found = self.programs.iter().find(|program| (program.host, program.role) == (host, role));
        found.with_context(|| format!("{role:?} does not run on {}", host.name()))
    }

    fn configuration(&self, host: Host, extension: &str, text: &str) -> Result<PathBuf> {
        let file = self.place.dir.join(format!("{}-{}.{extension}", self.contender.name, host.name()));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Starts a program, its output going to a log.
    fn run(&mut self, host: Host, role: Role, command: &mut Command) -> Result<u32> {
        let name = format!("{}-{}-{role:?}.log", self.contender.name, host.name()).to_lowercase();
        let log = fs::File::options().create(true).append(true).open(self.place.dir.join(name))?;
        let child = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{role:?} on {} cannot be started", host.name()))?;
        let pid = child.id();
        self.programs.push(Program { host, role, child });
        Ok(pid)
    }

    /// Every default but the interval.
    fn system(&self) -> String {
        format!(
            "name = \"bench\"

[hosts]
lb1 = \"{}\"
lb2 = \"{}\"
app1 = \"{}\"

[load_balancers.front]
hosts = [\"lb1\", \"lb2\"]
virtual_ips = [{{ address = \"{VIRTUAL}\", interface = \"eth0\", interval = \"{}ms\" }}]
listeners = [{{ bind = \":{PORT}\", pool = \"web\" }}]

[pools.web]
members = [\"app1:{BACKEND}\"]
check = {{ http = \"/\" }}
",
            Host::Lb1.address(),
            Host::Lb2.address(),
            Host::App1.address(),
            self.contender.interval.as_millis(),
        )
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn socket(host: Host) -> String {
    format!("{RUN}/{}.sock", host.name())
}

fn pid_file(host: Host) -> String {
    format!("{RUN}/haproxy-{}.pid", host.name())
}

fn backend() -> String {
    let scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {RUN}/{kind};\n"))
        .concat();
    format!(
        "daemon off;
        user root root;
        master_process off;
        pid {RUN}/backend.pid;
        error_log stderr crit;
        events {{ worker_connections 4096; }}
        http {{
            access_log off;
            keepalive_timeout 300s;
            keepalive_requests 1000000000;
            {scratch}
            server {{
                listen {BACKEND};
                location / {{ return 200 'fine'; }}
            }}
        }}
        "
    )
}

/// With checks, retries and reuse, as one would run it.
fn haproxy() -> String {
    format!(
        "global
    maxconn 4096
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout queue 5s
    retries 3
    option redispatch
frontend http
    bind :{PORT}
    default_backend web
backend web
    option http-keep-alive
    http-reuse always
    option httpchk GET /
    option forwardfor
    server app1 {}:{BACKEND} check inter 1s
",
        Host::App1.address()
    )
}

/// As in its manual: the preferred host begins as master.
fn keepalived(host: Host, interval: Duration, script: Option<&PathBuf>) -> String {
    let (state, priority) = if host == Host::Lb1 { ("MASTER", 200) } else { ("BACKUP", 190) };
    let (look, track) =
        script.map_or_else(Default::default, |script| (look(host, script), "track_script { look }"));
    format!(
        "global_defs {{
    router_id {}
    enable_script_security
    script_user root
}}
{look}
vrrp_instance bench {{
    state {state}
    version 3
    interface eth0
    virtual_router_id {}
    priority {priority}
    advert_int {}
    virtual_ipaddress {{
        {VIRTUAL}/32
    }}
    {track}
}}
",
        host.name(),
        VIRTUAL.octets()[3],
        interval.as_secs_f64(),
    )
}

/// One failed look suffices; it takes no shorter interval.
fn look(host: Host, script: &Path) -> String {
    format!(
        "vrrp_script look {{
    script \"{} {}\"
    interval 1
    fall 1
    rise 1
}}",
        script.display(),
        host.name()
    )
}
