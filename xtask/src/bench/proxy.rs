//! The proxies under test, each with a configuration as one would run it in production, and the backend behind them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::load;
use super::process::Process;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Haproxy,
    /// With `option splice-auto`.
    HaproxySplice,
    Nginx,
    Nines {
        workers: usize,
    },
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::HaproxySplice => "haproxy-splice",
            Self::Nginx => "nginx",
            Self::Nines { workers: 1 } => "nines",
            Self::Nines { .. } => "nines-2-workers",
        }
    }
}

/// The sizes of body that the backend has.
pub(crate) const BODIES: [usize; 3] = [1 << 10, 64 << 10, 1 << 20];

/// The addresses of the pool's members; one process answers for all three.
const MEMBERS: [&str; 3] = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];

/// A proxy that runs and has answered.
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    pub(crate) process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
}

/// The pool's members.
pub(crate) struct Backend {
    _process: Process,
    port: u16,
}

/// Where things are and who may run where.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) nines: PathBuf,
    pub(crate) proxy_cores: [usize; 2],
    pub(crate) load_core: String,
    pub(crate) backend_core: String,
    /// Clients that are connected at one time, at most.
    pub(crate) idle_clients: usize,
}

impl Backend {
    pub(crate) fn start(place: &Place) -> Result<Self> {
        let [port] = free_ports()?;
        for bytes in BODIES {
            fs::write(place.dir.join(bytes.to_string()), "9".repeat(bytes))?;
        }
        let listen: String = MEMBERS.map(|member| format!("listen {member}:{port} backlog=4096;\n")).concat();
        let site = format!(
            "http {{
                access_log off;
                sendfile on;
                tcp_nopush on;
                keepalive_timeout 300s;
                keepalive_requests 1000000000;
                open_file_cache max=16 inactive=1h;
                {}
                server {{
                    {listen}
                    root {};
                    location = /1024 {{ return 200 '{}'; }}
                }}
            }}",
            nginx_scratch(&place.dir),
            place.dir.display(),
            "9".repeat(1024),
        );
        let mut process = nginx(&place.dir, "backend", &site, &place.backend_core)?;
        until_it_answers(&mut process, &format!("{}:{port}", MEMBERS[0]).parse()?)?;
        Ok(Self { _process: process, port })
    }
}

impl Proxy {
    /// Starts it and waits until requests come through, on every port.
    pub(crate) fn start(kind: Kind, backend: &Backend, place: &Place) -> Result<Self> {
        let [http, tcp] = free_ports()?;
        let mut cores = place.proxy_cores[0].to_string();
        let file = |extension: &str| place.dir.join(kind.name()).with_extension(extension);
        let process = match kind {
            Kind::Haproxy | Kind::HaproxySplice => {
                fs::write(
                    file("cfg"),
                    haproxy_configuration(
                        http,
                        tcp,
                        backend.port,
                        place.idle_clients,
                        kind == Kind::HaproxySplice,
                    ),
                )?;
                let mut haproxy = Command::new(program("haproxy"));
                haproxy.args(["-db", "-f"]).arg(file("cfg"));
                Process::start(&haproxy, &cores, &file("log"))?
            }
            Kind::Nginx => {
                let configuration = nginx_configuration(http, tcp, backend.port, &place.dir);
                nginx(&place.dir, kind.name(), &configuration, &cores)?
            }
            Kind::Nines { workers } => {
                if workers > 1 {
                    cores = format!("{cores},{}", place.proxy_cores[1]);
                }
                fs::write(file("toml"), nines_system(http, tcp, backend.port, workers))?;
                let mut nines = Command::new(&place.nines);
                nines
                    .arg("run")
                    .arg(file("toml"))
                    .args(["--host", "lb1", "--admin-socket"])
                    .arg(file("sock"))
                    .arg("--state")
                    .arg(file("state"));
                Process::start(&nines, &cores, &file("log"))?
            }
        };
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut proxy = Self { kind, process, http: at(http), tcp: at(tcp) };
        for port in [proxy.http, proxy.tcp] {
            until_it_answers(&mut proxy.process, &port).with_context(|| kind.name())?;
        }
        Ok(proxy)
    }
}

/// The program's file, wherever Debian put it.
fn program(name: &str) -> PathBuf {
    crate::shell::find(name).unwrap_or_else(|| name.into())
}

fn until_it_answers(process: &mut Process, target: &SocketAddr) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(10);
    while !load::answers(*target, BODIES[0]) {
        if process.ended() {
            bail!("it ended before it answered");
        }
        if Instant::now() > patience {
            bail!("nothing came through {target} within 10 s");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Ports that nobody listens on now.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // Held together, so that they differ.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Starts nginx as a single process, which leaves nothing behind when it is killed.
fn nginx(dir: &Path, name: &str, site: &str, cores: &str) -> Result<Process> {
    let file = dir.join(format!("{name}.conf"));
    let configuration = format!(
        "daemon off;
        master_process off;
        worker_processes 1;
        pid {name}.pid;
        error_log stderr crit;
        load_module /usr/lib/nginx/modules/ngx_stream_module.so;
        events {{ worker_connections 15000; multi_accept on; }}
        {site}
        "
    );
    fs::write(&file, configuration)?;
    let mut nginx = Command::new(program("nginx"));
    nginx.arg("-p").arg(dir).arg("-c").arg(file);
    Process::start(&nginx, cores, &dir.join(format!("{name}.log")))
}

/// Where nginx may keep what it otherwise keeps in the system's directories.
fn nginx_scratch(dir: &Path) -> String {
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", dir.join(kind).display()))
        .concat()
}

fn nginx_configuration(http: u16, tcp: u16, backend: u16, dir: &Path) -> String {
    let servers: String =
        MEMBERS.map(|member| format!("server {member}:{backend} max_fails=3 fail_timeout=5s;\n")).concat();
    format!(
        "http {{
            access_log off;
            keepalive_timeout 60s;
            keepalive_requests 1000000000;
            {scratch}
            upstream web {{ {servers} keepalive 512; keepalive_requests 1000000000; }}
            server {{
                listen 127.0.0.1:{http} backlog=4096;
                location / {{
                    proxy_pass http://web;
                    proxy_http_version 1.1;
                    proxy_set_header Connection '';
                    proxy_set_header Host $http_host;
                    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    proxy_set_header X-Forwarded-Proto $scheme;
                    proxy_max_temp_file_size 0;
                }}
            }}
        }}
        stream {{
            upstream tcp {{ {servers} }}
            server {{ listen 127.0.0.1:{tcp} backlog=4096; proxy_pass tcp; }}
        }}",
        scratch = nginx_scratch(dir),
    )
}

fn haproxy_configuration(http: u16, tcp: u16, backend: u16, clients: usize, splice: bool) -> String {
    let servers: String = (MEMBERS.iter().zip(1..))
        .map(|(member, n)| format!("    server app{n} {member}:{backend} check inter 1s\n"))
        .collect();
    // Files for pipes come on top of those for connections, and bulk needs few of either.
    let (maxconn, splice) = if splice { (1000, "option splice-auto") } else { (clients + 200, "") };
    format!(
        "global
    nbthread 1
    maxconn {maxconn}
defaults
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout queue 5s
    retries 3
    option redispatch
frontend http
    mode http
    bind 127.0.0.1:{http} backlog 4096
    default_backend web
backend web
    mode http
    balance roundrobin
    option http-keep-alive
    http-reuse always
    option httpchk GET /1024
    option forwardfor
    http-request set-header X-Forwarded-Proto http
{servers}
frontend tcp
    mode tcp
    bind 127.0.0.1:{tcp} backlog 4096
    default_backend tcp
backend tcp
    mode tcp
    balance roundrobin
    {splice}
{servers}"
    )
}

/// All features on, as they are by default: active checks every second, passive health, retries, metrics.
fn nines_system(http: u16, tcp: u16, backend: u16, workers: usize) -> String {
    let members = ["app1", "app2", "app3"];
    let hosts: String =
        members.iter().zip(MEMBERS).map(|(name, address)| format!("{name} = \"{address}\"\n")).collect();
    let members = members.map(|name| format!("\"{name}:{backend}\"")).join(", ");
    format!(
        "name = \"bench\"

[hosts]
lb1 = \"127.0.0.1\"
{hosts}
[load_balancers.front]
hosts = [\"lb1\"]
workers = {workers}
listeners = [
    {{ bind = \"127.0.0.1:{http}\", pool = \"web\" }},
    {{ bind = \"127.0.0.1:{tcp}\", protocol = \"tcp\", pool = \"tcp\" }},
]

[pools.web]
members = [{members}]
check = {{ http = \"/1024\" }}

[pools.tcp]
members = [{members}]
"
    )
}
